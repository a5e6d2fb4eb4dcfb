//! TDG.MR.RTMR.EXTEND. [ABI-G 2.3]

use abi::Gpr::{Rcx, Rdx};
use abi::leaf::tdg;
use abi::{PageLevel, Regs};
use conformance::Value::{At, Is, Past};
use tdcall::guest::Rtmr;

use super::{BAD_RCX, BAD_RDX, DF, OK, READ, VE, is, operand_ve, rtmr, sha384};
use crate::conform::Place::{Device, Missing, Page, PageShared};
use crate::conform::layout::{page_of, small};
use crate::conform::traps::{accept_pending, leave_ve_info};
use crate::conform::world::accept;
use crate::conform::{Row, When, World};

const LEAF: (&str, u64) = ("ABI-G 2.3", tdg::MR_RTMR_EXTEND);
const PENDING: u16 = page_of(tdg::MR_RTMR_EXTEND, 0);
const PENDING_TWICE: u16 = page_of(tdg::MR_RTMR_EXTEND, 1);

const ACCEPTED: u16 = page_of(tdg::MR_RTMR_EXTEND, 2);

const REGISTERS: [Rtmr; 4] = [Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2, Rtmr::Rtmr3];

fn keep<const N: usize>(world: &mut World<'_>) {
    world.note = rtmr(REGISTERS[N]);
}

/// RTMR `N` is the hash of what it was and 48 bytes at this offset of the page.
fn is_extended<const N: usize, const OFFSET: u16>(
    world: &mut World<'_>,
    _: &Regs,
) -> Result<(), &'static str> {
    let data = world.page.read::<48>(OFFSET);
    is(rtmr(REGISTERS[N]) == sha384(&[&world.note, &data]), "the RTMR is not the hash")
}

fn is_kept<const N: usize>(world: &mut World<'_>, _: &Regs) -> Result<(), &'static str> {
    is(rtmr(REGISTERS[N]) == world.note, "the RTMR changed")
}

macro_rules! unaligned {
    ($name:literal, $more:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Past(Page, $more)), (Rdx, Is(0))], BAD_RCX, &[])
    };
}

macro_rules! no_register {
    ($name:literal, $index:expr) => {
        Row::new(LEAF, $name, &[(Rcx, At(Page)), (Rdx, Is($index))], BAD_RDX, &[])
    };
}

macro_rules! extend {
    ($name:literal, $register:literal, $offset:literal) => {
        Row::new(LEAF, $name, &[(Rcx, Past(Page, $offset)), (Rdx, Is($register))], OK, &[])
            .after(keep::<$register>)
            .then(is_extended::<$register, $offset>)
    };
}

macro_rules! pending {
    ($name:literal, $page:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rcx, At(Missing($page))), (Rdx, Is(3))], $status, &[])
            .when(When::PendingVe)
    };
}

pub(super) const ROWS: &[Row] = &[
    unaligned!("RCX bit 0", 1),
    unaligned!("RCX bit 1", 2),
    unaligned!("RCX bit 2", 4),
    unaligned!("RCX bit 3", 8),
    unaligned!("RCX bit 4", 16),
    unaligned!("RCX bit 5", 32),
    unaligned!("RCX is wider than addresses, bit 52", 1 << 52),
    unaligned!("RCX is wider than addresses, bit 63", 1 << 63),
    unaligned!("RCX is wider than GPAs, bit 48", 1 << 48).when(When::Width48),
    unaligned!("RCX is wider than GPAs, bit 51", 1 << 51).when(When::Width48),
    Row::new(LEAF, "RCX is shared memory", &[(Rcx, At(PageShared)), (Rdx, Is(0))], BAD_RCX, &[]),
    Row::new(LEAF, "RCX is a shared device", &[(Rcx, At(Device)), (Rdx, Is(0))], BAD_RCX, &[]),
    no_register!("RDX is 4", 4).after(keep::<0>).then(is_kept::<0>),
    no_register!("RDX is 2^32, all 64 bits count", 1 << 32).after(keep::<0>).then(is_kept::<0>),
    no_register!("RDX is 2^64 - 1", u64::MAX),
    Row::new(
        LEAF,
        "unaligned RCX comes before RDX",
        &[(Rcx, Past(Page, 1)), (Rdx, Is(4))],
        BAD_RCX,
        &[],
    ),
    Row::new(
        LEAF,
        "shared RCX comes before RDX",
        &[(Rcx, At(PageShared)), (Rdx, Is(4))],
        BAD_RCX,
        &[],
    ),
    extend!("RTMR0", 0, 0),
    extend!("RTMR1", 1, 64),
    extend!("RTMR2", 2, 2048),
    extend!("RTMR3, with the end of the page", 3, 4032),
    extend!("RTMR0 again", 0, 128),
    pending!("a missing page, the VMM adds it, pending", PENDING, VE)
        .then(|world, _| operand_ve(world, small(PENDING), READ)),
    pending!("a pending page again", PENDING, VE)
        .then(|world, _| operand_ve(world, small(PENDING), READ)),
    Row::new(
        LEAF,
        "a pending page comes before RDX",
        &[(Rcx, At(Missing(PENDING))), (Rdx, Is(4))],
        VE,
        &[],
    )
    .when(When::PendingVe),
    pending!("a pending page while VE_INFO is valid", PENDING_TWICE, DF)
        .after(|_| leave_ve_info())
        .then(|world, _| is(world.ve.is_some(), "VE_INFO is not valid any more")),
    pending!("a page that the #VE handler accepts, the call runs again", ACCEPTED, OK)
        .after(|world| {
            accept_pending();
            keep::<3>(world);
        })
        .then(|world, _| {
            operand_ve(world, small(ACCEPTED), READ)?;
            let hash = sha384(&[&world.note, &[0; 48]]);
            is(rtmr(Rtmr::Rtmr3) == hash, "the RTMR is not the hash of zeros")
        }),
    pending!("a page accepted after its #VE", PENDING, OK)
        .after(|world| {
            accept(small(PENDING), PageLevel::Size4K);
            keep::<3>(world);
        })
        .then(|world, _| {
            let hash = sha384(&[&world.note, &[0; 48]]);
            is(rtmr(Rtmr::Rtmr3) == hash, "the RTMR is not the hash of zeros")
        }),
];
