//! TDG.VP.INVVPID in a TD without nested VMs: it is always refused. [ABI-G 2.14]

use abi::Gpr::{Rcx, Rdx};
use abi::leaf::tdg;
use conformance::Value::{At, Is};

use super::BAD_RCX;
use crate::conform::Place::{Page, PageShared};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.14", tdg::VP_INVVPID);
const VM1: u64 = 1 << 52;
/// RDX is a list.
const LIST: u64 = 1 << 0;

macro_rules! refused {
    ($name:literal, $vm:expr, $addresses:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is($vm)), (Rdx, $addresses)], BAD_RCX, &[])
    };
}

pub(super) const ROWS: &[Row] = &[
    refused!("VM 0", 0, Is(0)),
    refused!("VM 0, a list", LIST, At(Page)),
    refused!("VM 1, which does not exist", VM1, Is(0)),
    refused!("VM 1, a list", VM1 | LIST, At(Page)),
    refused!("VM 2, which does not exist", 2 << 52, Is(0)),
    refused!("VM 3, which does not exist", 3 << 52, Is(0)),
    refused!("RCX bit 1", VM1 | 1 << 1, Is(0)),
    refused!("RCX bit 51", VM1 | 1 << 51, Is(0)),
    refused!("RCX bit 54", VM1 | 1 << 54, Is(0)),
    refused!("RCX bit 63", VM1 | 1 << 63, Is(0)),
    refused!("the VM comes before an address that is not canonical", VM1, Is(1 << 60)),
    refused!("the VM comes before a list in shared memory", VM1 | LIST, At(PageShared)),
];
