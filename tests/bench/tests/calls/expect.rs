//! Running the subject with a seam made for one test.

use std::path::PathBuf;
use std::sync::OnceLock;

use abi::{Gpr, Regs};
use bench::seam::{Ending, Seam};
use bench::subject::{self, Profile};
use bench::trace::{self, Row, Run, Secrets};

/// What callers have in the registers that a function keeps.
pub(crate) const SECRETS: Secrets = Secrets([
    0x5EC2_E700_0000_0001,
    0x5EC2_E700_0000_0002,
    0x5EC2_E700_0000_0003,
    0x5EC2_E700_0000_0004,
    0x5EC2_E700_0000_0005,
    0x5EC2_E700_0000_0006,
]);

/// The subject, compiled.
pub(crate) fn tdlet(profile: Profile) -> PathBuf {
    static BUILT: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
    BUILT[profile as usize]
        .get_or_init(|| subject::build("tdlet", profile).expect("it compiles"))
        .clone()
}

/// All rows of the subject over this seam.
pub(crate) fn run(seam: &mut dyn Seam) -> Run {
    run_as(Profile::Release, seam)
}

/// The same, compiled so.
pub(crate) fn run_as(profile: Profile, seam: &mut dyn Seam) -> Run {
    trace::run(&tdlet(profile), seam, &SECRETS).expect("it runs under ptrace")
}

/// A seam of two functions.
pub(crate) struct Script<T, S>(T, S);

impl<T: FnMut(&mut Regs), S: FnMut(&mut Regs) -> Ending> Seam for Script<T, S> {
    fn tdcall(&mut self, regs: &mut Regs) {
        self.0(regs);
    }

    fn seamcall(&mut self, regs: &mut Regs) -> Ending {
        self.1(regs)
    }
}

/// A seam in which every SEAMCALL is this and every TDCALL fails.
pub(crate) fn module(seamcall: impl FnMut(&mut Regs) -> Ending) -> impl Seam {
    Script(|regs: &mut Regs| regs.rax = abi::Status::OPERAND_INVALID.0, seamcall)
}

/// A seam in which every TDCALL is this.
pub(crate) fn td(tdcall: impl FnMut(&mut Regs)) -> impl Seam {
    Script(tdcall, |_: &mut Regs| Ending::Invalid)
}

/// The registers that a caller does not expect back; the others hold what they held.
pub(crate) fn kept(row: &Row) {
    assert_eq!(row.exit.rsp, row.entry.rsp + 8, "{}: RSP", row.name);
    for gpr in [Gpr::Rbx, Gpr::Rbp, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15] {
        assert_eq!(row.exit[gpr], row.entry[gpr], "{}: {gpr:?} is not restored", row.name);
    }
}

/// The first call of a row has these values in these registers.
pub(crate) fn loads(run: &Run, name: &str, registers: &[(Gpr, u64)]) {
    let row = run.row(name).expect("a row of the subject");
    for (gpr, value) in registers {
        let loaded = row.calls[0].regs[*gpr];
        assert_eq!(loaded, *value, "{name}: {gpr:?} is {loaded:#x}, not {value:#x}");
    }
}
