//! TDG.MEM.PAGE.ATTR.WR in a TD without nested VMs: words of RDX and R8 must be zero.
//! [ABI-G 2.13]

use abi::Gpr::{R8, Rcx, Rdx};
use abi::Status;
use abi::leaf::tdg;
use conformance::Value::{At, Is, Past};

use super::{BAD_R8, BAD_RCX, BAD_RDX, OK};
use crate::conform::Place::{Device, Missing, MissingLarge, Page, PageShared, Shared};
use crate::conform::layout::page_of;
use crate::conform::world::accept;
use crate::conform::{Row, When};

const LEAF: (&str, u64) = ("ABI-G 2.13", tdg::MEM_PAGE_ATTR_WR);
const NEW: u16 = page_of(tdg::MEM_PAGE_ATTR_WR, 0);
const PENDING: u64 = 1 << 62;
const MISMATCH: Status = Status::PAGE_SIZE_MISMATCH;

macro_rules! row {
    ($name:literal, $page:expr, $attributes:expr, $mask:expr, $status:expr, $mapping:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, $page), (Rdx, Is($attributes)), (R8, Is($mask))],
            $status,
            &[(Rcx, $mapping), (Rdx, Is(0))],
        )
    };
}

macro_rules! refused {
    ($name:literal, $page:expr, $attributes:expr, $mask:expr, $status:expr) => {
        row!($name, $page, $attributes, $mask, $status, Is(0))
    };
}

macro_rules! address {
    ($name:literal, $page:expr) => {
        refused!($name, $page, 0, 0, BAD_RCX)
    };
}

pub(super) const ROWS: &[Row] = &[
    refused!("attributes for the TD itself", At(Page), 1, 0, BAD_RDX),
    refused!("VALID for the TD itself", At(Page), 1 << 15, 0, BAD_RDX),
    refused!("attributes for VM 1", At(Page), 0x8007 << 16, 0, BAD_RDX),
    refused!("attributes for VM 2", At(Page), 0x8007 << 32, 0, BAD_RDX),
    refused!("attributes for VM 3", At(Page), 0x8007 << 48, 0, BAD_RDX),
    refused!("a mask for the TD itself", At(Page), 0, 1, BAD_R8),
    refused!("an invalidation for the TD itself", At(Page), 0, 1 << 15, BAD_R8),
    refused!("a mask for VM 1", At(Page), 0, 1 << 16, BAD_R8),
    refused!("a mask for VM 2", At(Page), 0, 1 << 32, BAD_R8),
    refused!("an invalidation for VM 3", At(Page), 0, 1 << 63, BAD_R8),
    refused!("RDX comes before R8 of the same VM", At(Page), 1 << 16, 1 << 16, BAD_RDX),
    refused!("R8 of VM 1 comes before RDX of VM 2", At(Page), 1 << 32, 1 << 16, BAD_R8),
    refused!("RDX comes before RCX", Past(Page, 8), 1, 0, BAD_RDX),
    refused!("R8 comes before RCX", Past(Page, 8), 0, 1, BAD_R8),
    address!("RCX bit 3", Past(Page, 1 << 3)),
    address!("RCX bit 7", Past(Page, 1 << 7)),
    address!("RCX bit 11", Past(Page, 1 << 11)),
    address!("level 3", Past(Page, 3)),
    address!("level 7", Past(Page, 7)),
    address!("level 1 at an odd 4 KiB", Past(MissingLarge(0), 0x1001)),
    address!("level 2 at an odd 2 MiB", Past(MissingLarge(0), 2)),
    address!("RCX bit 52", Past(Page, 1 << 52)),
    address!("RCX bit 63", Past(Page, 1 << 63)),
    address!("RCX bit 48", Past(Page, 1 << 48)).when(When::Width48),
    address!("shared, where private memory is", At(PageShared)),
    address!("shared memory", At(Shared)),
    address!("a shared device", At(Device)),
    row!("an accepted page", At(Page), 0, 0, OK, At(Page)),
    row!(
        "missing, the VMM adds it, pending",
        At(Missing(NEW)),
        0,
        0,
        OK,
        Past(Missing(NEW), PENDING)
    ),
    row!("accepted", At(Missing(NEW)), 0, 0, OK, At(Missing(NEW))).after(|world| {
        let gpa = world.resolve(Missing(NEW));
        accept(gpa, abi::PageLevel::Size4K);
    }),
    refused!("2 MiB where pages of 4 KiB are", Past(Missing(0), 1), 0, 0, MISMATCH.with_detail(1)),
    refused!("1 GiB where smaller pages are", Is(2), 0, 0, MISMATCH.with_detail(2)),
    row!("a page of 2 MiB", Past(MissingLarge(0), 1), 0, 0, OK, Past(MissingLarge(0), 1))
        .when(When::Large),
];
