//! TDG.MR.VERIFYREPORT. [ABI-G 2.12]

use abi::Gpr::Rcx;
use abi::leaf::tdg;
use abi::{Regs, Status};
use conformance::Value::{At, Past};

use super::{BAD_RCX, OK, READ, VE, mr_report, operand_ve};
use crate::conform::Place::{Device, Missing, Output, PageShared, Shared};
use crate::conform::layout::{page_of, small};
use crate::conform::{Row, When, World};

const LEAF: (&str, u64) = ("ABI-G 2.12", tdg::MR_VERIFYREPORT);
const PENDING: u16 = page_of(tdg::MR_VERIFYREPORT, 0);
const FORGED: Status = Status::INVALID_REPORTMACSTRUCT;
const OTHER_CPU: Status = Status::INVALID_CPUSVN;

macro_rules! refused {
    ($name:literal, $more:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Past(Output, $more))], BAD_RCX, &[])
    };
}

macro_rules! bit {
    ($bit:literal) => {
        Row::new(LEAF, concat!("RCX bit ", $bit), &[(Rcx, Past(Output, 1 << $bit))], BAD_RCX, &[])
    };
}

/// A genuine report with one byte changed.
macro_rules! changed {
    ($name:literal, $offset:literal, $status:expr) => {
        Row::new(LEAF, $name, &[(Rcx, At(Output))], $status, &[]).after(change::<$offset>)
    };
}

fn change<const OFFSET: u16>(world: &mut World<'_>) {
    mr_report::make(world);
    let [byte] = world.output.read(OFFSET);
    world.output.write(OFFSET, &[byte ^ 1]);
}

fn kept(world: &mut World<'_>, _: &Regs) -> Result<(), &'static str> {
    let report: [u8; 256] = world.output.read(0);
    super::is(report[224..] != [0; 32], "the report changed")
}

pub(super) const ROWS: &[Row] = &[
    bit!(0),
    bit!(1),
    bit!(2),
    bit!(3),
    bit!(4),
    bit!(5),
    bit!(6),
    bit!(7),
    bit!(52),
    bit!(63),
    refused!("RCX bit 48", 1 << 48).when(When::Width48),
    Row::new(LEAF, "shared, where private memory is", &[(Rcx, At(PageShared))], BAD_RCX, &[]),
    Row::new(LEAF, "shared memory", &[(Rcx, At(Shared))], BAD_RCX, &[]),
    Row::new(LEAF, "a shared device", &[(Rcx, At(Device))], BAD_RCX, &[]),
    Row::new(LEAF, "a genuine report", &[(Rcx, At(Output))], OK, &[])
        .after(mr_report::make)
        .then(kept),
    Row::new(LEAF, "a genuine report elsewhere", &[(Rcx, Past(Output, 1024))], OK, &[])
        .after(|world| world.report(1024)),
    Row::new(LEAF, "zeros", &[(Rcx, At(Output))], FORGED, &[]).after(|world| world.output.fill(0)),
    changed!("another TYPE", 0, FORGED),
    changed!("another SUBTYPE", 1, FORGED),
    changed!("another VERSION", 2, FORGED),
    changed!("a reserved byte at 4", 4, FORGED),
    changed!("another CPUSVN", 16, OTHER_CPU),
    changed!("another last byte of CPUSVN", 31, OTHER_CPU),
    changed!("another TEE_TCB_INFO_HASH", 32, FORGED),
    changed!("another TEE_INFO_HASH", 80, FORGED),
    changed!("another REPORTDATA", 191, FORGED),
    changed!("a reserved byte at 192", 192, FORGED),
    changed!("another MAC", 224, FORGED),
    changed!("another last byte of the MAC", 255, FORGED),
    Row::new(LEAF, "in a missing page", &[(Rcx, At(Missing(PENDING)))], VE, &[])
        .when(When::PendingVe)
        .then(|world, _| operand_ve(world, small(PENDING), READ)),
];
