//! TDG.VP.*, without the fields. [ABI-G 2.2, 2.4, 2.6, 2.14, 4]

use abi::{Operand, Status};

use super::{NO_L2, RAX, SUCCESS, invalid, seen, unseen};
use crate::documented::Documented;
use crate::raised;

pub(super) const VP_VMCALL: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "a register that may not be passed, or a reserved bit"),
    seen(SUCCESS, "the VMM came back"),
];

pub(super) const VP_INFO: &[Documented] = &[
    seen(raised(13), "CPL above 0, or not in 64-bit mode: any leaf"),
    RAX,
    seen(SUCCESS, "always"),
];

pub(super) const VP_VEINFO_GET: &[Documented] = &[
    RAX,
    seen(Status::NO_VALID_VE_INFO, "there was no #VE since the last call"),
    seen(SUCCESS, "the #VE's information"),
];

pub(super) const VP_CPUIDVE_SET: &[Documented] =
    &[RAX, seen(invalid(Operand::Rcx), "a reserved bit"), seen(SUCCESS, "set")];

pub(super) const VP_ENTER: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rdx), "not 256-byte aligned, too wide, or shared"),
    seen(invalid(Operand::Rcx), "no such VM, or a reserved bit"),
    unseen(invalid(Operand::L2VapicGpa), "the VM has no virtual APIC page", NO_L2),
    unseen(Status::PENDING_INTERRUPT, "an interrupt for the TD itself is pending", NO_L2),
    unseen(Status::L2_EXIT_HOST_ROUTED_ASYNC, "the VMM came back to the TD itself", NO_L2),
    unseen(Status::L2_EXIT_HOST_ROUTED_TDVMCALL, "the same, from a VMCALL of the VM", NO_L2),
    unseen(Status::L2_EXIT_PENDING_INTERRUPT, "the VM was left for an interrupt", NO_L2),
    unseen(SUCCESS, "the VM exited; with its exit reason", NO_L2),
];

pub(super) const VP_INVEPT: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "the TD itself, or a VM that does not exist"),
    seen(SUCCESS, "done"),
];

pub(super) const VP_INVVPID: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "no such VM, or a reserved bit"),
    unseen(invalid(Operand::Rdx), "a bad list, or one in shared memory", NO_L2),
    unseen(Status::GLA_NOT_CANONICAL, "an address that is not canonical", NO_L2),
    unseen(SUCCESS, "done", NO_L2),
];
