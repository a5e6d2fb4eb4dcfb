//! TDG.MR.REPORT. [ABI-G 2.5, 13]

use abi::Gpr::{R8, Rcx, Rdx};
use abi::field::td;
use abi::leaf::tdg;
use abi::report::TdReport;
use conformance::Value::{At, Is, Past};
use tdcall::guest::{Rtmr, vm_rd};
use zerocopy::{FromBytes, IntoBytes};

use super::vm_fields::SERVTD_HASH;
use super::{BAD_R8, BAD_RCX, BAD_RDX, OK, READ, READ_WRITE, VE};
use super::{digest, is, operand_ve, rtmr, sha384};
use crate::conform::Place::{Device, Missing, Output, Page, Shared, SharedNew};
use crate::conform::layout::{page_of, small};
use crate::conform::traps::accept_pending;
use crate::conform::{Row, When, World};

const LEAF: (&str, u64) = ("ABI-G 2.5", tdg::MR_REPORT);
const DATA_PENDING: u16 = page_of(tdg::MR_REPORT, 0);
const REPORT_PENDING: u16 = page_of(tdg::MR_REPORT, 1);
const DATA_ACCEPTED: u16 = page_of(tdg::MR_REPORT, 2);
const REPORT_ACCEPTED: u16 = page_of(tdg::MR_REPORT, 3);
const TDX: u8 = 0x81;

macro_rules! report {
    ($name:expr, $report:expr, $data:expr, $subtype:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rcx, $report), (Rdx, $data), (R8, Is($subtype))], $status, &[])
    };
}

macro_rules! unaligned {
    (RCX, $bit:literal) => {
        report!(concat!("RCX bit ", $bit), Past(Output, 1 << $bit), At(Page), 0, BAD_RCX)
    };
    (RDX, $bit:literal) => {
        report!(concat!("RDX bit ", $bit), At(Output), Past(Page, 1 << $bit), 0, BAD_RDX)
    };
}

pub(super) const ROWS: &[Row] = &[
    unaligned!(RCX, 0),
    unaligned!(RCX, 1),
    unaligned!(RCX, 2),
    unaligned!(RCX, 3),
    unaligned!(RCX, 4),
    unaligned!(RCX, 5),
    unaligned!(RCX, 6),
    unaligned!(RCX, 7),
    unaligned!(RCX, 8),
    unaligned!(RCX, 9),
    unaligned!(RDX, 0),
    unaligned!(RDX, 1),
    unaligned!(RDX, 2),
    unaligned!(RDX, 3),
    unaligned!(RDX, 4),
    unaligned!(RDX, 5),
    report!("RDX bit 52", At(Output), Past(Page, 1 << 52), 0, BAD_RDX),
    report!("RDX bit 63", At(Output), Past(Page, 1 << 63), 0, BAD_RDX),
    report!("RDX bit 48", At(Output), Past(Page, 1 << 48), 0, BAD_RDX).when(When::Width48),
    report!("R8 is 1", At(Output), At(Page), 1, BAD_R8),
    report!("R8 is 256, all 64 bits count", At(Output), At(Page), 256, BAD_R8),
    report!("R8 is 2^63", At(Output), At(Page), 1 << 63, BAD_R8),
    report!("RCX bit 52", Past(Output, 1 << 52), At(Page), 0, BAD_RCX),
    report!("RCX bit 63", Past(Output, 1 << 63), At(Page), 0, BAD_RCX),
    report!("RCX bit 48", Past(Output, 1 << 48), At(Page), 0, BAD_RCX).when(When::Width48),
    report!("unaligned RCX comes before unaligned RDX", Past(Output, 1), Past(Page, 1), 0, BAD_RCX),
    report!("unaligned RDX comes before R8", At(Output), Past(Page, 1), 1, BAD_RDX),
    report!("wide RDX comes before R8", At(Output), Past(Page, 1 << 52), 1, BAD_RDX),
    report!(
        "wide RDX comes before wide RCX",
        Past(Output, 1 << 52),
        Past(Page, 1 << 52),
        0,
        BAD_RDX
    ),
    report!("R8 comes before wide RCX", Past(Output, 1 << 52), At(Page), 1, BAD_R8),
    report!("in private memory", At(Output), At(Page), 0, OK)
        .after(|world| world.output.fill(0xEE))
        .then(|world, _| {
            check(&world.output.read(0), &world.page.read(0))?;
            let behind = world.output.read::<1024>(1024);
            is(behind == [0xEE; 1024], "more than 1024 bytes were written")
        }),
    report!("at other places of the pages", Past(Output, 3072), Past(Page, 4032), 0, OK)
        .then(|world, _| check(&world.output.read(3072), &world.page.read(4032))),
    report!("to shared memory, which the VMM backs first", At(Shared), At(Page), 0, OK)
        .then(|world, _| check(&world.shared_bytes(0), &world.page.read(0))),
    report!("with data from shared memory", At(Output), At(SharedNew), 0, OK)
        .then(|world, _| check(&world.output.read(0), &[0; 64])),
    report!("data in a shared device", At(Output), At(Device), 0, VE)
        .then(|world, _| operand_ve(world, world.resolve(Device), READ)),
    report!("a shared device comes before R8", At(Output), At(Device), 1, VE),
    report!("the report in a shared device", At(Device), At(Page), 0, VE)
        .then(|world, _| operand_ve(world, world.resolve(Device), READ_WRITE)),
    report!("data in a missing page", At(Output), At(Missing(DATA_PENDING)), 0, VE)
        .when(When::PendingVe)
        .then(|world, _| operand_ve(world, small(DATA_PENDING), READ)),
    report!("the report in a missing page", At(Missing(REPORT_PENDING)), At(Page), 0, VE)
        .when(When::PendingVe)
        .then(|world, _| operand_ve(world, small(REPORT_PENDING), READ_WRITE)),
    report!(
        "both in missing pages that the #VE handler accepts",
        At(Missing(REPORT_ACCEPTED)),
        At(Missing(DATA_ACCEPTED)),
        0,
        OK
    )
    .when(When::PendingVe)
    .after(|_| accept_pending())
    .then(|world, _| {
        operand_ve(world, small(REPORT_ACCEPTED), READ_WRITE)?;
        check(&world.memory(small(REPORT_ACCEPTED)).read(0), &[0; 64])
    }),
];

/// Everything in a report that the TD knows or can compute.
fn check(bytes: &[u8; 1024], data: &[u8; 64]) -> Result<(), &'static str> {
    let report = TdReport::read_from_bytes(bytes).map_err(|_| "it is no report")?;
    let TdReport { mac, td_info, tee_tcb_info } = &report;
    is((mac.tee_type, mac.subtype, mac.version) == (TDX, 0, 0), "the type is wrong")?;
    is(mac._rsvd_003 == [0; 13] && mac._rsvd_0c0 == [0; 32], "a reserved byte is set")?;
    is(mac.report_data == *data, "REPORTDATA is wrong")?;
    is(mac.tee_info_hash == sha384(&[td_info.as_bytes()]), "TEE_INFO_HASH is wrong")?;
    is(mac.mac != [0; 32] && mac.tee_tcb_info_hash != [0; 48], "MAC or hash is missing")?;
    is(tee_tcb_info.valid & 1 == 1, "TEE_TCB_INFO is not valid")?;
    is_this_td(td_info)
}

fn is_this_td(info: &abi::report::TdInfo) -> Result<(), &'static str> {
    is(vm_rd(td::ATTRIBUTES) == Ok(info.attributes), "ATTRIBUTES are wrong")?;
    is(vm_rd(td::XFAM) == Ok(info.xfam), "XFAM is wrong")?;
    is(info.mrtd == digest(td::MRTD, 0), "MRTD is wrong")?;
    is(info.mrconfigid == digest(td::MRCONFIGID, 0), "MRCONFIGID is wrong")?;
    is(info.mrowner == digest(td::MROWNER, 0), "MROWNER is wrong")?;
    is(info.mrownerconfig == digest(td::MROWNERCONFIG, 0), "MROWNERCONFIG is wrong")?;
    let rtmrs = [Rtmr::Rtmr0, Rtmr::Rtmr1, Rtmr::Rtmr2, Rtmr::Rtmr3].map(rtmr);
    is(info.rtmr == rtmrs, "an RTMR is wrong")?;
    is(info.servtd_hash == digest(SERVTD_HASH, 0), "SERVTD_HASH is wrong")?;
    is(info._rsvd_1c0 == [0; 64], "a reserved byte is set")
}

/// Puts a genuine report into `Output`.
pub(super) fn make(world: &mut World<'_>) {
    world.report(0);
}
