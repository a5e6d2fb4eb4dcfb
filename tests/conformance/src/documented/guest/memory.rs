//! TDG.MR.* and TDG.MEM.*. [ABI-G 2.3, 2.5, 2.12, 2.13, 11]

use abi::{Operand, Status};

use super::{NO_L2, RAX, SUCCESS, busy, invalid, seen, unseen, ve};
use crate::documented::Documented;
use crate::raised;

pub(super) const MR_RTMR_EXTEND: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 64-byte aligned, too wide, or shared"),
    ve("the data is in a pending page"),
    seen(raised(8), "the same while VE_INFO is valid"),
    seen(invalid(Operand::Rdx), "no such register"),
    seen(busy(Operand::Rtmr), "the RTMRs are in use"),
    seen(SUCCESS, "extended"),
];

pub(super) const MR_REPORT: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 1024-byte aligned; last of all: too wide"),
    seen(invalid(Operand::Rdx), "not 64-byte aligned, or too wide"),
    ve("data or report in a pending page, or in shared memory that the VMM made convertible"),
    seen(invalid(Operand::R8), "a sub-type other than 0"),
    seen(busy(Operand::Rtmr), "the RTMRs are in use"),
    seen(SUCCESS, "a report"),
];

pub(super) const MR_VERIFYREPORT: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "not 256-byte aligned, too wide, or shared"),
    ve("the report is in a pending page"),
    seen(Status::INVALID_CPUSVN, "a report of another CPUSVN"),
    seen(Status::INVALID_REPORTMACSTRUCT, "not a report of this platform"),
    seen(SUCCESS, "a report of this platform"),
];

pub(super) const MEM_PAGE_ACCEPT: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "a reserved bit, a level above 1, unaligned, shared, or too wide"),
    seen(busy(Operand::Rcx), "the SEPT entry is in use"),
    seen(Status::PAGE_SIZE_MISMATCH.with_detail(1), "2 MiB where smaller pages are"),
    seen(Status::PAGE_ALREADY_ACCEPTED, "a page of 4 KiB that is accepted"),
    seen(
        Status::PAGE_ALREADY_ACCEPTED.with_detail(1),
        "a page of 2 MiB that is accepted, or a piece of one",
    ),
    unseen(
        Status::PAGE_ALREADY_ACCEPTED.with_detail(2),
        "a piece of a page of 1 GiB that is accepted",
        "no host leaf of 1.5.01 maps pages of 1 GiB to a TD that the VMM does not add as such",
    ),
    seen(SUCCESS, "accepted, and zero"),
];

pub(super) const MEM_PAGE_ATTR_RD: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rcx), "too wide, or shared"),
    seen(busy(Operand::Rcx), "the SEPT entry is in use"),
    seen(SUCCESS, "the mapping"),
];

pub(super) const MEM_PAGE_ATTR_WR: &[Documented] = &[
    RAX,
    seen(invalid(Operand::Rdx), "attributes for the TD itself or for a VM that does not exist"),
    seen(invalid(Operand::R8), "a mask for the TD itself or for a VM that does not exist"),
    seen(invalid(Operand::Rcx), "a reserved bit, a level above 2, unaligned, shared, or too wide"),
    seen(busy(Operand::Rcx), "the SEPT entry is in use"),
    seen(Status::PAGE_SIZE_MISMATCH.with_detail(1), "2 MiB where smaller pages are"),
    seen(Status::PAGE_SIZE_MISMATCH.with_detail(2), "1 GiB where smaller pages are"),
    unseen(Status::PAGE_ATTR_INVALID, "attributes that no VM can have", NO_L2),
    unseen(Status::L2_SEPT_WALK_FAILED, "the VM's SEPT lacks a page", NO_L2),
    seen(SUCCESS, "the mapping"),
];
