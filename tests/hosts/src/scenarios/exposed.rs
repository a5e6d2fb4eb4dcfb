//! XMM and RBP through VP.ENTER, by the typed function that has them. [ABI-H 5.3-5.6]
#![expect(unsafe_code, reason = "VP.ENTER")]

use abi::exit::TdExitStatus;
use abi::leaf::tdh;
use abi::{RegisterFile, Regs, Status};
use tdcall::host;

use crate::bare::apic;
use crate::guest::{COUNT, EXPOSE};
use crate::place::Place::Tdvpr;
use crate::run::{Run, What};
use crate::tables::enter::exit;

const VECTOR: u8 = 0x61;
/// RBP of the VMM; the TD never gets it.
const RBP: u64 = 0x5EED_B0B5;

/// RCX of the guest's VMCALLs: R10-R15, and XMM registers. [ABI-H 5.4]
const NO_XMM: u64 = 0xFC00;
const ODD_XMM: u64 = 0xAAAA_FC00;
const EVERY_XMM: u64 = 0xFFFF_FC00;

/// One entry and its exit.
struct Step {
    name: &'static str,
    /// R10 and R11: what the guest is asked for.
    command: [u64; 2],
    /// The VMM fills XMM so.
    given: u8,
    status: Status,
    /// XMM of even and odd numbers are filled so after it; 0: they are zero.
    shown: [u8; 2],
}

const fn vmcall(name: &'static str, mask: u64, given: u8, shown: [u8; 2]) -> Step {
    Step { name, command: [EXPOSE, mask], given, status: exit::TDCALL, shown }
}

/// The guest's VMCALL before them had no XMM, and its XMM are still zero.
const STEPS: [Step; 7] = [
    vmcall("no XMM goes in that the VMCALL did not name", EVERY_XMM, 1, [0, 0]),
    vmcall("no XMM comes out that the VMCALL does not name", NO_XMM, 2, [0, 0]),
    vmcall("XMM of a VMCALL went in, and some come out", ODD_XMM, 3, [0, 2]),
    vmcall("some XMM go in, and the guest's others stay", EVERY_XMM, 4, [2, 4]),
    Step {
        name: "no XMM comes out of an asynchronous exit",
        command: [COUNT, 0],
        given: 5,
        status: exit::INTERRUPT,
        shown: [0, 0],
    },
    Step {
        name: "no XMM goes in after an asynchronous exit",
        command: [0, 0],
        given: 6,
        status: exit::TDCALL,
        shown: [0, 0],
    },
    vmcall("the guest's XMM outlive an asynchronous exit", EVERY_XMM, 7, [5, 5]),
];

/// All steps; the guest is at a VMCALL before and after them.
pub(super) fn typed(run: &mut Run) {
    let tdvpr = run.address(Tdvpr(0));
    for step in &STEPS {
        if step.status == exit::INTERRUPT {
            apic::interrupt_self(VECTOR);
        }
        let [r10, r11] = step.command;
        let gprs = Regs { r10, r11, r12: 1, rbp: RBP, ..Regs::default() };
        let mut file = RegisterFile { gprs, xmm: filled([step.given; 2]) };
        // SAFETY: the TD reaches the pool alone, where no Rust object is; this program has
        // no other state that a TD exit changes.
        let status = unsafe { host::vp_enter_with_xmm(tdvpr, &mut file) };
        let is_vmcall = step.status == exit::TDCALL;
        // Of the other exits a module may clear it.
        let rbp_is_kept = file.gprs.rbp == RBP || !is_vmcall;
        let mask = if r10 == EXPOSE { r11 } else { NO_XMM };
        let holds = status == TdExitStatus(step.status.0)
            && file.xmm == filled(step.shown)
            && (!is_vmcall || file.gprs.rcx == mask)
            && rbp_is_kept;
        let what = What(tdh::VP_ENTER, "ABI-H 5.3-5.6", step.name);
        run.report_as(&what, step.status, holds);
        if !is_vmcall {
            apic::end_of_interrupt();
        }
    }
}

/// XMM0-15: those of even numbers by the first, those of odd ones by the second.
fn filled(fills: [u8; 2]) -> [u128; 16] {
    let mut xmm = [0; 16];
    for (slot, number) in xmm.iter_mut().zip(0_u8..) {
        let fill = fills[usize::from(number % 2)];
        if fill != 0 {
            *slot = u128::from_le_bytes([fill << 4 | number; 16]);
        }
    }
    xmm
}
