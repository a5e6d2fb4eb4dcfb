//! The registers between VMM and TD.
//!
//! Ordinarily they go back as they came, with the answer. With `registers=poison` the VMM
//! is as hostile with them as it can be, for a test of the TD and of the module:
//!
//! * At each TDH.VP.ENTER all registers that are no part of an answer hold poison
//!   ([`abi::poison`]): those that the TD exposed, those that it did not, XMM0-15, and the bits
//!   above a result's width. After an asynchronous exit there is no answer.
//! * What each exit shows is entered in a book, which is logged at the end of the run:
//!
//! ```text
//! vmm: vmcall 0x1e write mask 0xfc00 seen 812 leaked 0x0
//! vmm: exit 48 seen 3071 leaked 0x0
//! ```
//!
//! Leaked are registers that hold something that is neither argument nor exit information:
//! bit *n* is GPR *n*, bit 16 + *n* XMM *n*. The first leak of a kind is logged at once. RBP has
//! leaked when it is neither what the VMM had in it nor zero, as module 1.5.01 leaves it after
//! an asynchronous exit. [ABI-H 5.4-5.6]
//!
//! * The TD can choose answers, so that it sees both endings of every function:
//!   [`abi::poison::SCRIPT`].

mod call;
mod ledger;

use abi::exit::TdExitStatus;
use abi::{ExitReason, GhciStatus, Gpr, RegisterFile, Regs, poison};

use call::Call;
use ledger::{Kind, Ledger};

/// How the VMM treats registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// As they came.
    Plain,
    /// Poisoned and watched.
    Poison,
}

/// The registers of the vCPU while it is not running.
#[derive(Clone, Debug)]
pub struct Registers {
    /// What TDH.VP.ENTER takes and gives.
    pub file: RegisterFile,
    /// None: the ordinary treatment.
    hostile: Option<Hostile>,
}

/// The other treatment.
#[derive(Clone, Debug)]
struct Hostile {
    entries: u64,
    /// RBP at the last entry.
    rbp: u64,
    /// The call that is being served.
    call: Option<Call>,
    /// Status and seed of the answer to the next standard call.
    script: Option<(u64, u64)>,
    ledger: Ledger,
}

impl Registers {
    /// All zero.
    #[must_use]
    pub fn new(treatment: Treatment) -> Self {
        let hostile = match treatment {
            Treatment::Plain => None,
            Treatment::Poison => Some(Hostile {
                entries: 0,
                rbp: 0,
                call: None,
                script: None,
                ledger: Ledger::new(),
            }),
        };
        Self { file: RegisterFile::default(), hostile }
    }

    /// What is due right before TDH.VP.ENTER, the answer being in its registers.
    pub fn before_entry(&mut self) {
        if let Some(hostile) = &mut self.hostile {
            hostile.poison(&mut self.file);
        }
    }

    /// What is due right behind it.
    pub fn after_exit(&mut self, exit: TdExitStatus) {
        if let Some(hostile) = &mut self.hostile
            && exit.entered()
        {
            hostile.note(exit, &self.file);
        }
    }

    /// Answers a VP.VMCALL that is not to be served; false if it is.
    pub fn answer(&mut self) -> bool {
        self.hostile.as_mut().is_some_and(|hostile| hostile.answer(&mut self.file.gprs))
    }

    /// Logs what was seen.
    pub fn log(&self) {
        if let Some(hostile) = &self.hostile {
            hostile.ledger.log();
        }
    }
}

impl Hostile {
    fn poison(&mut self, RegisterFile { gprs, xmm }: &mut RegisterFile) {
        self.entries += 1;
        let word = |number: u8| poison::word(self.entries, number);
        let status = GhciStatus(gprs.r10);
        for gpr in Gpr::ALL {
            let kept = self.call.map_or(0, |call| call.result(status, gpr));
            gprs[gpr] = gprs[gpr] & kept | word(gpr as u8) & !kept;
        }
        for (number, value) in (0..).zip(xmm) {
            *value = u128::from(word(number)) << 64 | u128::from(word(number));
        }
        self.rbp = gprs.rbp;
    }

    fn note(&mut self, exit: TdExitStatus, file: &RegisterFile) {
        let is_vmcall = exit.class().0 == 0 && exit.reason() == ExitReason::TDCALL;
        self.call = is_vmcall.then(|| Call::of(&file.gprs));
        let (kind, mut leaked) = match self.call {
            Some(call) => {
                let (function, mask) = call.key();
                (Kind::Vmcall(function, mask), call.leaked(file))
            }
            None => (Kind::Async(exit.reason()), call::leaked(file, exit_information)),
        };
        if file.gprs.rbp != self.rbp && file.gprs.rbp != 0 {
            leaked |= Gpr::Rbp.bit() as u32;
        }
        if self.ledger.enter(kind, leaked) {
            log::info!("leak: {kind}: {leaked:#x} of {:x?}", file.gprs);
        }
    }

    fn answer(&mut self, regs: &mut Regs) -> bool {
        if regs.r10 == poison::SCRIPT {
            self.script = Some((regs.r11, regs.r12));
            regs.r10 = 0;
            return true;
        }
        let Some((status, seed)) = self.script.filter(|_| regs.r10 == 0) else { return false };
        self.script = None;
        for gpr in [Gpr::R11, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15] {
            regs[gpr] = poison::result(seed, gpr);
        }
        regs.r10 = status;
        true
    }
}

/// Registers that an asynchronous exit gives information in; what RAX, RSP and RBP hold is
/// not the TD's. [ABI-H 5.5]
fn exit_information(gpr: Gpr) -> u64 {
    match gpr {
        Gpr::Rax | Gpr::Rcx | Gpr::Rdx | Gpr::Rsp | Gpr::Rbp | Gpr::R8 | Gpr::R9 => u64::MAX,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::ghci::function;

    const VMCALL: TdExitStatus = TdExitStatus(77);

    /// An exit with a port read of one byte.
    fn port_read() -> Registers {
        let mut registers = Registers::new(Treatment::Poison);
        let gprs = Regs { rcx: 0x7C00, r11: function::IO, r12: 1, r14: 0x3FD, ..Regs::default() };
        registers.before_entry();
        registers.file = RegisterFile { gprs, xmm: [0; 16] };
        registers.file.gprs.rbp = registers.hostile.as_ref().unwrap().rbp;
        registers.after_exit(VMCALL);
        registers
    }

    #[test]
    fn the_answer_alone_is_not_poison() {
        let mut registers = port_read();
        registers.file.gprs.r11 = 0x60;
        registers.before_entry();
        let RegisterFile { gprs, xmm } = registers.file;
        assert_eq!((gprs.r10, gprs.r11 & 0xFF), (0, 0x60));
        assert_eq!(gprs.r11 & !0xFF, poison::word(2, 11) & !0xFF);
        for gpr in Gpr::ALL.into_iter().filter(|gpr| !matches!(gpr, Gpr::R10 | Gpr::R11)) {
            assert_eq!(gprs[gpr], poison::word(2, gpr as u8), "{gpr:?}");
        }
        for (number, value) in (0..).zip(xmm) {
            assert_eq!(value as u64, poison::word(2, number));
            assert_eq!((value >> 64) as u64, poison::word(2, number));
        }
    }

    #[test]
    fn without_an_answer_everything_is_poison() {
        let mut registers = port_read();
        registers.file.gprs = Regs { rcx: 2, r8: 0x5000, ..Regs::default() };
        registers.after_exit(TdExitStatus(48));
        registers.before_entry();
        assert!(Gpr::ALL.into_iter().all(|gpr| poison::is_in(registers.file.gprs[gpr])));
    }

    #[test]
    fn a_scripted_answer_is_given_once() {
        let mut registers = port_read();
        assert!(!registers.answer(), "nothing was scripted");
        registers.file.gprs = Regs { r10: poison::SCRIPT, r11: 1, r12: 0x5A, ..Regs::default() };
        assert!(registers.answer());
        assert_eq!(registers.file.gprs.r10, 0);
        registers.file.gprs = Regs { r10: 7, ..Regs::default() };
        assert!(!registers.answer(), "a vendor's call");
        registers.file.gprs = Regs { r11: function::RDMSR, ..Regs::default() };
        assert!(registers.answer());
        assert_eq!((registers.file.gprs.r10, registers.file.gprs.r11), (1, 0x5A + 11));
        registers.file.gprs.r10 = 0;
        assert!(!registers.answer());
    }

    #[test]
    fn rbp_is_the_vmms_own_or_a_leak() {
        let mut registers = port_read();
        let own = registers.file.gprs.rbp;
        let hostile = registers.hostile.as_mut().unwrap();
        for exit in [77, 48] {
            for (rbp, leaks) in [(own, false), (0, false), (1, true), (own + 1, true)] {
                hostile.ledger = Ledger::new();
                registers.file.gprs = Regs { rbp, ..Regs::default() };
                hostile.note(TdExitStatus(exit), &registers.file);
                let book = std::format!("{:?}", hostile.ledger);
                assert_eq!(book.contains("leaked: 32"), leaks, "{exit}: {rbp:#x}: {book}");
            }
        }
    }

    #[test]
    fn the_ordinary_vmm_neither_poisons_nor_scripts() {
        let mut registers = Registers::new(Treatment::Plain);
        registers.file.gprs = Regs { r10: poison::SCRIPT, rdx: 3, ..Regs::default() };
        assert!(!registers.answer());
        registers.before_entry();
        registers.after_exit(VMCALL);
        assert_eq!((registers.file.gprs.r10, registers.file.gprs.rdx), (poison::SCRIPT, 3));
    }
}
