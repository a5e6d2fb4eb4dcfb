//! Leaves for fields: TDG.VM.*, VP.RD and .WR, SYS.*, SERVTD.*. [ABI-G 2.8-2.11]

use abi::{Operand, Status};

use super::{RAX, SUCCESS, busy, invalid, seen, unseen, ve};
use crate::documented::Documented;

const NO_BINDING: &str = "no service TD can be bound: TDH.SERVTD.BIND is not emulated";
const ONE_TD: &str = "needs another TD in that state; the VMM makes one TD";
const NOT_THE_MODULES: Status = Status::OPERAND_ADDR_RANGE_ERROR.with_operand(Operand::Tdr);
const PAGE_OF_NO_TD: Status = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Tdr);

pub(super) const VM_RD: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 0"),
    seen(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT, "version 1 and the null id"),
    seen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or none that there is"),
    seen(Status::METADATA_FIELD_NOT_READABLE, "not the guest's to read"),
    seen(SUCCESS, "the value"),
];

pub(super) const VM_WR: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 0"),
    seen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or none that there is"),
    seen(Status::METADATA_FIELD_NOT_READABLE, "CPUID_VALUES of a leaf that raises #VE"),
    seen(Status::METADATA_FIELD_NOT_WRITABLE, "no bit of the mask is the guest's to write"),
    seen(
        Status::METADATA_FIELD_VALUE_NOT_VALID,
        "another bit of the mask would change, or PENDING_VE_DISABLE without \
         FLEXIBLE_PENDING_VE",
    ),
    seen(busy(Operand::MetadataField), "the field changed meanwhile"),
    seen(SUCCESS, "written"),
];

pub(super) const VP_RD: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 0"),
    seen(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT, "the null id"),
    seen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or none that there is"),
    seen(Status::METADATA_FIELD_NOT_READABLE, "not the guest's to read"),
    seen(SUCCESS, "the value"),
];

pub(super) const VP_WR: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 0"),
    seen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or none that there is"),
    seen(Status::METADATA_FIELD_NOT_WRITABLE, "no bit of the mask is the guest's to write"),
    seen(Status::METADATA_FIELD_VALUE_NOT_VALID, "another bit of the mask would change"),
    seen(SUCCESS, "written"),
];

pub(super) const SYS_RD: &[Documented] = &[
    RAX,
    seen(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT, "the null id"),
    seen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or none that there is"),
    seen(Status::METADATA_FIELD_NOT_READABLE, "not the guest's to read"),
    seen(SUCCESS, "the value"),
];

pub(super) const SYS_RDALL: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rdx), "not 4 KiB aligned, too wide, or shared"),
    ve("the list is in a pending page"),
    seen(
        Status::METADATA_FIELD_ID_INCORRECT,
        "no such field, not its first element, or another element size",
    ),
    unseen(
        Status::METADATA_LIST_OVERFLOW,
        "the page is full",
        "all fields that a guest can read take 168 of the 4096 bytes",
    ),
    seen(SUCCESS, "all fields from there on"),
];

pub(super) const SERVTD_RD: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "no such slot"),
    seen(busy(Operand::Tdr), "the target's TDR is in use"),
    seen(busy(Operand::OpState), "the target changes its state"),
    seen(busy(Operand::ServtdBindings), "the target's bindings change"),
    seen(busy(Operand::Rtmr), "the caller's RTMRs are in use"),
    seen(Status::TARGET_UUID_UPDATED, "the UUID that the target had before an import"),
    seen(Status::TARGET_UUID_MISMATCH, "another UUID"),
    unseen(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT, "the null id", NO_BINDING),
    unseen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or no such field", NO_BINDING),
    unseen(Status::METADATA_FIELD_NOT_READABLE, "not a service TD's to read", NO_BINDING),
    unseen(Status::RND_NO_ENTROPY, "a migration key can not be made", NO_BINDING),
    unseen(SUCCESS, "the value", NO_BINDING),
    seen(invalid(Operand::Tdr), "by TD exit: the handle's address has an HKID"),
    seen(NOT_THE_MODULES, "by TD exit: the handle names memory that is in no TDMR"),
    seen(PAGE_OF_NO_TD, "by TD exit: the handle names a page that is no TDR"),
    unseen(Status::TD_FATAL, "by TD exit: the target is dead", ONE_TD),
    unseen(Status::TD_KEYS_NOT_CONFIGURED, "by TD exit: the target has no key", ONE_TD),
    unseen(Status::TDCS_NOT_ALLOCATED, "by TD exit: the target is not built", ONE_TD),
    unseen(Status::OP_STATE_INCORRECT, "by TD exit: the target is in another state", ONE_TD),
    seen(Status::SERVTD_NOT_BOUND, "by TD exit: nothing is bound to the slot"),
    unseen(Status::SERVTD_UUID_MISMATCH, "by TD exit: another TD is bound", NO_BINDING),
    unseen(Status::SERVTD_INFO_HASH_MISMATCH, "by TD exit: the caller changed", NO_BINDING),
];

pub(super) const SERVTD_WR: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "no such slot"),
    seen(busy(Operand::Tdr), "the target's TDR is in use"),
    seen(busy(Operand::OpState), "the target changes its state"),
    seen(busy(Operand::ServtdBindings), "the target's bindings change"),
    seen(busy(Operand::Rtmr), "the caller's RTMRs are in use"),
    seen(Status::TARGET_UUID_UPDATED, "the UUID that the target had before an import"),
    seen(Status::TARGET_UUID_MISMATCH, "another UUID"),
    unseen(Status::METADATA_FIELD_ID_INCORRECT, "a malformed id, or no such field", NO_BINDING),
    unseen(Status::METADATA_FIELD_NOT_WRITABLE, "not a service TD's to write", NO_BINDING),
    unseen(Status::METADATA_FIELD_VALUE_NOT_VALID, "another bit would change", NO_BINDING),
    unseen(busy(Operand::MetadataField), "the field changed meanwhile", NO_BINDING),
    unseen(SUCCESS, "written", NO_BINDING),
    seen(invalid(Operand::Tdr), "by TD exit: the handle's address has an HKID"),
    seen(NOT_THE_MODULES, "by TD exit: the handle names memory that is in no TDMR"),
    seen(PAGE_OF_NO_TD, "by TD exit: the handle names a page that is no TDR"),
    unseen(Status::TD_FATAL, "by TD exit: the target is dead", ONE_TD),
    unseen(Status::TD_KEYS_NOT_CONFIGURED, "by TD exit: the target has no key", ONE_TD),
    unseen(Status::TDCS_NOT_ALLOCATED, "by TD exit: the target is not built", ONE_TD),
    unseen(Status::OP_STATE_INCORRECT, "by TD exit: the target is in another state", ONE_TD),
    seen(Status::SERVTD_NOT_BOUND, "by TD exit: nothing is bound to the slot"),
    unseen(Status::SERVTD_UUID_MISMATCH, "by TD exit: another TD is bound", NO_BINDING),
    unseen(Status::SERVTD_INFO_HASH_MISMATCH, "by TD exit: the caller changed", NO_BINDING),
];
