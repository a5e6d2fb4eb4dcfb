//! Each of the fourteen causes of #VE by a real instruction, what came of it, and how many
//! exceptions that took; then the kernel's counts, for the module's.
//!
//! Wants a TD with `features=pconfig+wbinvd+scratch-port`.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "instructions that raise #VE")]

extern crate alloc;

mod instructions;
mod nesting;
mod strings;

use abi::ExitReason;
use abi::leaf::tdg;
use kernel::{Kernel, Verdict, checks, counts, print, println};

kernel::main!(run);

fn run(kernel: &mut Kernel) -> Verdict {
    let mut causes = Causes { failed: 0 };
    instructions::run(&mut causes, &mut kernel.memory);
    strings::run(&mut causes);
    nesting::run(&mut causes);
    checks::print_counts();
    println!("causes: {} failed", causes.failed);
    if causes.failed == 0 { Verdict::Passed } else { Verdict::CheckFailed }
}

/// The steps so far.
struct Causes {
    failed: u32,
}

impl Causes {
    /// Something that raises #VEs of one cause, and no others, and makes VP.VMCALLs: how many
    /// of each. `act` says whether the rest is as it must be; it does not print.
    fn step(
        &mut self,
        name: &str,
        cause: ExitReason,
        count: (u64, u64),
        act: impl FnOnce() -> bool,
    ) {
        let before = counts::snapshot();
        let is_right = act();
        let seen = counts::snapshot().since(&before);
        let exceptions: u64 = (0..80).map(|reason| seen.ve(reason)).sum();
        let calls = (seen.tdcall(tdg::VP_VEINFO_GET), seen.tdcall(tdg::VP_VMCALL));
        let is_right = is_right && calls == count && exceptions == seen.ve(cause.0);
        let is_right = is_right && exceptions == count.0;
        self.failed += u32::from(!is_right);
        print!("{}", if is_right { "ok   " } else { "FAIL " });
        println!("{:<3}{:<14}{name}: {} #VEs, {} calls; {seen}", cause.0, cause, count.0, count.1);
    }
}
