//! TDG.MEM.PAGE.ACCEPT. [ABI-G 11]

use abi::Gpr::Rcx;
use abi::leaf::tdg;
use abi::{PageLevel, Status};
use conformance::Value::{At, Past};

use super::{BAD_RCX, OK, is};
use crate::conform::Place::{Device, Missing, MissingLarge, Page, PageShared, Shared};
use crate::conform::layout::{large, page_of, small};
use crate::conform::world::{accept, add_pending};
use crate::conform::{Row, When};

const LEAF: (&str, u64) = ("ABI-G 11", tdg::MEM_PAGE_ACCEPT);
const MISSING: u16 = page_of(tdg::MEM_PAGE_ACCEPT, 0);
const PENDING: u16 = page_of(tdg::MEM_PAGE_ACCEPT, 1);
const ACCEPTED: Status = Status::PAGE_ALREADY_ACCEPTED;
const MISMATCH: Status = Status::PAGE_SIZE_MISMATCH.with_detail(1);

macro_rules! refused {
    ($name:literal, $more:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Past(Page, $more))], BAD_RCX, &[])
    };
}

/// A bit of RCX that must be zero.
macro_rules! reserved {
    ($bit:literal) => {
        Row::new(LEAF, concat!("RCX bit ", $bit), &[(Rcx, Past(Page, 1 << $bit))], BAD_RCX, &[])
    };
}

/// Level 1 at 2 MiB of unlisted memory, and bytes more.
macro_rules! unaligned {
    ($name:literal, $more:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Past(MissingLarge(0), 1 + $more))], BAD_RCX, &[])
    };
}

pub(super) const ROWS: &[Row] = &[
    reserved!(3),
    reserved!(4),
    reserved!(5),
    reserved!(6),
    reserved!(7),
    reserved!(8),
    reserved!(9),
    reserved!(10),
    reserved!(11),
    reserved!(52),
    reserved!(53),
    reserved!(54),
    reserved!(55),
    reserved!(56),
    reserved!(57),
    reserved!(58),
    reserved!(59),
    reserved!(60),
    reserved!(61),
    reserved!(62),
    reserved!(63),
    refused!("level 2", 2),
    refused!("level 3", 3),
    refused!("level 4", 4),
    refused!("level 5", 5),
    refused!("level 6", 6),
    refused!("level 7", 7),
    unaligned!("level 1 at an odd 4 KiB", 1 << 12),
    unaligned!("level 1 at an odd 64 KiB", 1 << 16),
    unaligned!("level 1 at an odd 1 MiB", 1 << 20),
    refused!("wider than GPAs, bit 48", 1 << 48).when(When::Width48),
    refused!("wider than GPAs, bit 49", 1 << 49).when(When::Width48),
    refused!("wider than GPAs, bit 50", 1 << 50).when(When::Width48),
    refused!("wider than GPAs, bit 51", 1 << 51).when(When::Width48),
    Row::new(LEAF, "shared, where private memory is", &[(Rcx, At(PageShared))], BAD_RCX, &[]),
    Row::new(LEAF, "shared memory", &[(Rcx, At(Shared))], BAD_RCX, &[]),
    Row::new(LEAF, "a shared device", &[(Rcx, At(Device))], BAD_RCX, &[]),
    Row::new(LEAF, "accepted before, it is not zeroed", &[(Rcx, At(Page))], ACCEPTED, &[])
        .then(|world, _| is(!world.page.is_all(0), "the page is zero")),
    Row::new(
        LEAF,
        "missing, the VMM adds it and the call goes on",
        &[(Rcx, At(Missing(MISSING)))],
        OK,
        &[],
    )
    .then(|world, _| is(world.memory(small(MISSING)).is_all(0), "the page is not zero")),
    Row::new(
        LEAF,
        "accepted by this leaf, it is not zeroed",
        &[(Rcx, At(Missing(MISSING)))],
        ACCEPTED,
        &[],
    )
    .after(|world| world.memory(small(MISSING)).fill(0xA5))
    .then(|world, _| is(world.memory(small(MISSING)).is_all(0xA5), "the page changed")),
    Row::new(LEAF, "pending", &[(Rcx, At(Missing(PENDING)))], OK, &[])
        .after(|_| add_pending(small(PENDING)))
        .then(|world, _| is(world.memory(small(PENDING)).is_all(0), "the page is not zero")),
    Row::new(LEAF, "2 MiB over pages of 4 KiB", &[(Rcx, Past(MissingLarge(0), 1))], MISMATCH, &[])
        .when(When::Small),
    Row::new(LEAF, "a page of them", &[(Rcx, At(MissingLarge(0)))], OK, &[]).when(When::Small),
    Row::new(
        LEAF,
        "2 MiB over accepted pages of 4 KiB",
        &[(Rcx, Past(MissingLarge(0), 1))],
        MISMATCH,
        &[],
    )
    .when(When::Small),
    Row::new(
        LEAF,
        "2 MiB over a page that was added alone",
        &[(Rcx, Past(MissingLarge(1), 1))],
        MISMATCH,
        &[],
    )
    .when(When::Large)
    .after(|_| {
        accept(large(1), PageLevel::Size4K);
    }),
    Row::new(LEAF, "2 MiB", &[(Rcx, Past(MissingLarge(0), 1))], OK, &[]).when(When::Large).then(
        |world, _| {
            let ends = [large(0), large(0) + (1 << 20), large(1) - 0x1000];
            let is_zero = ends.into_iter().all(|gpa| world.memory(gpa).is_all(0));
            is(is_zero, "the page is not zero")
        },
    ),
    Row::new(
        LEAF,
        "2 MiB again, it is not zeroed",
        &[(Rcx, Past(MissingLarge(0), 1))],
        ACCEPTED.with_detail(1),
        &[],
    )
    .when(When::Large)
    .after(|world| world.memory(large(0)).fill(0xA5))
    .then(|world, _| is(world.memory(large(0)).is_all(0xA5), "the page changed")),
    Row::new(
        LEAF,
        "4 KiB of it, the level that was found",
        &[(Rcx, At(MissingLarge(0)))],
        ACCEPTED.with_detail(1),
        &[],
    )
    .when(When::Large),
    Row::new(
        LEAF,
        "4 KiB at its end",
        &[(Rcx, Past(MissingLarge(0), 0x1F_F000))],
        ACCEPTED.with_detail(1),
        &[],
    )
    .when(When::Large),
];
