//! The guest leaves. [ABI-G 1, 2, 4, 11]
//!
//! A trap at the TDCALL counts as a status ([`raised`]), and so does what stands in RAX after
//! a TD exit after which the VMM goes on. Other TD exits are in [`super::EXITS`].

mod fields;
mod memory;
mod vp;

use abi::{Operand, Status};

use super::{Documented, Leaf, OTHER_LEAVES};
use crate::{Side, raised};

const NO_L2: &str =
    "no nested VM can be made: the VMM asks for none, and 1.5.01's are not emulated";

/// RAX of TDCALL: what every leaf has.
const RAX: Documented = Documented::seen(
    invalid(Operand::Rax),
    "a version that the leaf does not have; RAX bits 63:24",
);
const SUCCESS: Status = Status::SUCCESS;

const fn invalid(operand: Operand) -> Status {
    Status::OPERAND_INVALID.with_operand(operand)
}

const fn busy(operand: Operand) -> Status {
    Status::OPERAND_BUSY.with_operand(operand)
}

const fn leaf(
    number: u16,
    name: &'static str,
    source: &'static str,
    statuses: &'static [Documented],
) -> Leaf {
    Leaf { side: Side::Guest, number, name, source, statuses }
}

const fn seen(status: Status, when: &'static str) -> Documented {
    Documented::seen(status, when)
}

const fn unseen(status: Status, when: &'static str, why: &'static str) -> Documented {
    Documented::unseen(status, when, why)
}

const fn ve(when: &'static str) -> Documented {
    Documented::seen(raised(20), when)
}

/// TDCALL leaves. What comes by TD exit is in RAX when the VMM goes on.
pub const GUEST: &[Leaf] = &[
    leaf(0, "TDG.VP.VMCALL", "ABI-G 4", vp::VP_VMCALL),
    leaf(1, "TDG.VP.INFO", "ABI-G 2.2", vp::VP_INFO),
    leaf(2, "TDG.MR.RTMR.EXTEND", "ABI-G 2.3", memory::MR_RTMR_EXTEND),
    leaf(3, "TDG.VP.VEINFO.GET", "ABI-G 2.4", vp::VP_VEINFO_GET),
    leaf(4, "TDG.MR.REPORT", "ABI-G 2.5", memory::MR_REPORT),
    leaf(5, "TDG.VP.CPUIDVE.SET", "ABI-G 2.6", vp::VP_CPUIDVE_SET),
    leaf(6, "TDG.MEM.PAGE.ACCEPT", "ABI-G 11", memory::MEM_PAGE_ACCEPT),
    leaf(7, "TDG.VM.RD", "ABI-G 2.8", fields::VM_RD),
    leaf(8, "TDG.VM.WR", "ABI-G 2.8", fields::VM_WR),
    leaf(9, "TDG.VP.RD", "ABI-G 2.9", fields::VP_RD),
    leaf(10, "TDG.VP.WR", "ABI-G 2.9", fields::VP_WR),
    leaf(11, "TDG.SYS.RD", "ABI-G 2.10", fields::SYS_RD),
    leaf(12, "TDG.SYS.RDALL", "ABI-G 2.10", fields::SYS_RDALL),
    leaf(18, "TDG.SERVTD.RD", "ABI-G 2.11", fields::SERVTD_RD),
    leaf(20, "TDG.SERVTD.WR", "ABI-G 2.11", fields::SERVTD_WR),
    leaf(22, "TDG.MR.VERIFYREPORT", "ABI-G 2.12", memory::MR_VERIFYREPORT),
    leaf(23, "TDG.MEM.PAGE.ATTR.RD", "ABI-G 2.13", memory::MEM_PAGE_ATTR_RD),
    leaf(24, "TDG.MEM.PAGE.ATTR.WR", "ABI-G 2.13", memory::MEM_PAGE_ATTR_WR),
    leaf(25, "TDG.VP.ENTER", "ABI-G 2.14", vp::VP_ENTER),
    leaf(26, "TDG.VP.INVEPT", "ABI-G 2.14", vp::VP_INVEPT),
    leaf(27, "TDG.VP.INVVPID", "ABI-G 2.14", vp::VP_INVVPID),
    leaf(OTHER_LEAVES, "every other number", "ABI-G 1", OTHER),
];

const OTHER: &[Documented] = &[seen(invalid(Operand::Rax), "there is no such leaf, in no version")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_leaf_is_listed_twice_and_no_status_of_a_leaf() {
        for (index, leaf) in GUEST.iter().enumerate() {
            assert!(GUEST[index + 1..].iter().all(|other| other.number != leaf.number));
            for (index, one) in leaf.statuses.iter().enumerate() {
                let again =
                    leaf.statuses[index + 1..].iter().any(|other| other.status == one.status);
                assert!(!again, "{}: {} twice", leaf.name, one.status);
            }
        }
    }
}
