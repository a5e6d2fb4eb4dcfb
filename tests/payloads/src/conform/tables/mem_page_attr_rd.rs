//! TDG.MEM.PAGE.ATTR.RD in a TD without nested VMs. [ABI-G 2.13]

use abi::Gpr::{Rcx, Rdx};
use abi::leaf::tdg;
use conformance::Value::{At, Is, Past};

use super::{BAD_RCX, OK};
use crate::conform::Place::{Device, Missing, MissingLarge, Page, PageShared, Shared};
use crate::conform::layout::page_of;
use crate::conform::world::accept;
use crate::conform::{Row, When};

const LEAF: (&str, u64) = ("ABI-G 2.13", tdg::MEM_PAGE_ATTR_RD);
const NEW: u16 = page_of(tdg::MEM_PAGE_ATTR_RD, 0);
const PENDING: u64 = 1 << 62;

macro_rules! refused {
    ($name:literal, $address:expr) => {
        Row::new(LEAF, $name, &[(Rcx, $address)], BAD_RCX, &[(Rcx, Is(0)), (Rdx, Is(0))])
    };
}

macro_rules! read {
    ($name:literal, $address:expr, $mapping:expr) => {
        Row::new(LEAF, $name, &[(Rcx, $address)], OK, &[(Rcx, $mapping), (Rdx, Is(0))])
    };
}

pub(super) const ROWS: &[Row] = &[
    refused!("RCX bit 52", Past(Page, 1 << 52)),
    refused!("RCX bit 62, PENDING of the answer", Past(Page, 1 << 62)),
    refused!("RCX bit 63", Past(Page, 1 << 63)),
    refused!("RCX bit 48", Past(Page, 1 << 48)).when(When::Width48),
    refused!("RCX bit 51", Past(Page, 1 << 51)).when(When::Width48),
    refused!("shared, where private memory is", At(PageShared)),
    refused!("shared memory", At(Shared)),
    refused!("a shared device", At(Device)),
    read!("an accepted page", At(Page), At(Page)),
    read!("the level of RCX does not count", Past(Page, 1), At(Page)),
    read!("an address inside of the page", Past(Page, 0xFFF), At(Page)),
    read!("missing, the VMM adds it, pending", At(Missing(NEW)), Past(Missing(NEW), PENDING)),
    read!("pending, at an address inside", Past(Missing(NEW), 8), Past(Missing(NEW), PENDING)),
    read!("accepted", At(Missing(NEW)), At(Missing(NEW))).after(|world| {
        let gpa = world.resolve(Missing(NEW));
        accept(gpa, abi::PageLevel::Size4K);
    }),
    read!("a page of 2 MiB", At(MissingLarge(0)), Past(MissingLarge(0), 1)).when(When::Large),
    read!("in its middle", Past(MissingLarge(0), 0x12_3456), Past(MissingLarge(0), 1))
        .when(When::Large),
];
