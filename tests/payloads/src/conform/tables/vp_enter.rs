//! TDG.VP.ENTER in a TD without nested VMs: it is always refused. [ABI-G 2.14]

use abi::Gpr::{Rcx, Rdx};
use abi::leaf::tdg;
use conformance::Value::{At, Is, Past};

use super::{BAD_RCX, BAD_RDX};
use crate::conform::Place::{Device, Missing, Page, PageShared, Shared};
use crate::conform::layout::page_of;
use crate::conform::{Row, When};

const LEAF: (&str, u64) = ("ABI-G 2.14", tdg::VP_ENTER);
/// Never added: the address is checked, and not walked.
const NEVER: u16 = page_of(tdg::VP_ENTER, 0);
const VM1: u64 = 1 << 52;

macro_rules! row {
    ($name:expr, $vm:expr, $state:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is($vm)), (Rdx, $state)], $status, &[])
    };
}

macro_rules! bit {
    (RCX, $bit:literal) => {
        row!(concat!("RCX bit ", $bit), VM1 | 1 << $bit, At(Page), BAD_RCX)
    };
    (RDX, $bit:literal) => {
        row!(concat!("RDX bit ", $bit), VM1, Past(Page, 1 << $bit), BAD_RDX)
    };
}

pub(super) const ROWS: &[Row] = &[
    bit!(RDX, 0),
    bit!(RDX, 1),
    bit!(RDX, 2),
    bit!(RDX, 3),
    bit!(RDX, 4),
    bit!(RDX, 5),
    bit!(RDX, 6),
    bit!(RDX, 7),
    bit!(RDX, 52),
    bit!(RDX, 63),
    row!("RDX bit 48", VM1, Past(Page, 1 << 48), BAD_RDX).when(When::Width48),
    row!("shared, where private memory is", VM1, At(PageShared), BAD_RDX),
    row!("shared memory", VM1, At(Shared), BAD_RDX),
    row!("a shared device", VM1, At(Device), BAD_RDX),
    row!("RDX comes before RCX", 0, Past(Page, 1), BAD_RDX),
    row!("VM 0", 0, At(Page), BAD_RCX),
    row!("VM 1, which does not exist", VM1, At(Page), BAD_RCX),
    row!("VM 2, which does not exist", 2 << 52, At(Page), BAD_RCX),
    row!("VM 3, which does not exist", 3 << 52, At(Page), BAD_RCX),
    bit!(RCX, 2),
    bit!(RCX, 3),
    bit!(RCX, 8),
    bit!(RCX, 31),
    bit!(RCX, 32),
    bit!(RCX, 51),
    bit!(RCX, 54),
    bit!(RCX, 55),
    bit!(RCX, 63),
    row!("RCX comes before a missing page", VM1, At(Missing(NEVER)), BAD_RCX),
];
