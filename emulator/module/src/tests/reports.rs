//! TDG.MR.REPORT and TDG.MR.VERIFYREPORT. [ABI-G 2.5, 2.12, 13]

use abi::leaf::tdg;
use abi::report::{ReportMac, TdReport};
use abi::{Operand, Regs, Status};
use sha2::{Digest, Sha256, Sha384};
use std::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

use super::fake::PAGE;
use super::host::{Host, Shape};
use crate::machine::{Machine, Outcome};
use crate::report::new_key;
use crate::td::Td;

/// Where the report, and where REPORTDATA, of these tests stand.
const REPORT: u64 = 0x400;
const DATA: u64 = 0xC0;

/// Host-physical address of the TD's page at GPA 0.
fn page(host: &mut Host) -> u64 {
    let tdr = host.tdr;
    host.must(abi::leaf::tdh::MEM_SEPT_RD, [0, tdr, 0, 0]).rcx & 0x000F_FFFF_FFFF_F000
}

fn call(host: &mut Host, rcx: u64, rdx: u64, r8: u64) -> Status {
    let regs = host.done(tdg::MR_REPORT, |regs| (regs.rcx, regs.rdx, regs.r8) = (rcx, rdx, r8));
    Status(regs.rax)
}

/// A TD with a report of its own in its memory.
fn reported() -> (Host, u64, TdReport) {
    let mut host = Host::runnable(Shape::default());
    let page = page(&mut host);
    host.m.write(page + DATA, &core::array::from_fn::<u8, 64, _>(|i| i as u8));
    let extend = host.done(tdg::MR_RTMR_EXTEND, |regs| (regs.rcx, regs.rdx) = (DATA, 2));
    assert_eq!(extend.rax, 0);
    assert_eq!(call(&mut host, REPORT, DATA, 0), Status::SUCCESS);
    let mut bytes = [0; 1024];
    host.m.read(page + REPORT, &mut bytes);
    (host, page, TdReport::read_from_bytes(&bytes).expect("1024 bytes"))
}

#[test]
fn a_report_has_the_layout_and_the_values_of_the_reference() {
    let (host, _, report) = reported();
    let bytes = report.as_bytes();
    let at = |offset: usize, len: usize| &bytes[offset..offset + len];
    assert_eq!(at(0, 4), [0x81, 0, 0, 0], "TYPE, SUBTYPE, VERSION");
    assert_eq!(at(4, 28), [0; 28], "reserved, CPUSVN");
    let counting: [u8; 64] = core::array::from_fn(|i| i as u8);
    assert_eq!(at(128, 64), counting, "REPORTDATA");
    assert_eq!(at(192, 32), [0; 32]);
    assert_eq!(at(256, 8), 0x3_01FF_u64.to_le_bytes(), "VALID");
    let name: [u8; 48] = Sha384::digest(b"tdlet: an emulated TDX module").into();
    assert_eq!(at(280, 48), name, "MRSEAM");
    assert_eq!(at(264, 16), [0; 16], "TEE_TCB_SVN");
    assert!(at(328, 184).iter().all(|byte| *byte == 0));
    let tdcs = Td::load(&host.m, host.tdr).tdcs;
    assert_eq!(at(512, 8), (1_u64 << 28).to_le_bytes(), "ATTRIBUTES");
    assert_eq!(at(520, 8), 3_u64.to_le_bytes(), "XFAM");
    assert_eq!(at(528, 48), tdcs.mrtd);
    assert_ne!(at(528, 48), [0; 48]);
    assert_eq!((at(720, 48), at(768, 48)), (&[0; 48][..], &[0; 48][..]), "RTMR0, RTMR1");
    let rtmr: [u8; 48] = Sha384::digest([&[0; 48], &counting[..48]].concat()).into();
    assert_eq!(at(816, 48), rtmr, "RTMR2");
    assert!(at(864, 160).iter().all(|byte| *byte == 0), "RTMR3, SERVTD_HASH, reserved");
}

#[test]
fn the_hashes_of_a_report_are_those_of_its_parts() {
    let (_, _, report) = reported();
    let bytes = report.as_bytes();
    let tcb: [u8; 48] = Sha384::digest(&bytes[256..256 + 239]).into();
    let info: [u8; 48] = Sha384::digest(&bytes[512..]).into();
    assert_eq!(report.mac.tee_tcb_info_hash, tcb);
    assert_eq!(report.mac.tee_info_hash, info);
}

/// HMAC by its definition. [RFC 2104]
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| -> Vec<u8> {
        (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    Sha256::digest([&pad(0x5C)[..], &inner].concat()).into()
}

#[test]
fn the_mac_is_hmac_sha_256_under_a_key_from_the_machine() {
    let mut host = Host::runnable(Shape::default());
    // The machine is deterministic: a copy of it gives the numbers that the module will get.
    let key = new_key(&mut host.m.clone());
    let page = page(&mut host);
    assert_eq!(call(&mut host, REPORT, DATA, 0), Status::SUCCESS);
    let mut bytes = [0; 256];
    host.m.read(page + REPORT, &mut bytes);
    assert_eq!(bytes[224..], hmac_sha256(key.as_bytes(), &bytes[..224]));
    assert_ne!(key, [0; 4]);
}

/// The order of [ABI-G 2.5].
#[test]
fn report_checks_in_the_order_of_the_table() {
    let mut host = Host::runnable(Shape::default());
    let bad = |operand| Status::OPERAND_INVALID.with_operand(operand);
    let rows = [
        (0x200, 0x20, 1, bad(Operand::Rcx)),
        (1, 0x20, 1, bad(Operand::Rcx)),
        (REPORT, 0x20, 1, bad(Operand::Rdx)),
        (1 << 52, 1 << 52, 1, bad(Operand::Rdx)),
        (1 << 52, DATA, 1, bad(Operand::R8)),
        (1 << 52, DATA, 1 << 63, bad(Operand::R8)),
        (1 << 52, DATA, 0, bad(Operand::Rcx)),
        (REPORT, DATA, 0, Status::SUCCESS),
    ];
    for (rcx, rdx, r8, expected) in rows {
        assert_eq!(call(&mut host, rcx, rdx, r8), expected, "{rcx:#x} {rdx:#x} {r8:#x}");
    }
    // A bad R8 comes after the walk of RDX, and before that of RCX.
    let missing = host.tdcall(tdg::MR_REPORT, |regs| {
        (regs.rcx, regs.rdx, regs.r8) = (REPORT, 0x9000, 1);
    });
    assert!(matches!(missing, Outcome::Exit(_)), "{missing:?}");
    assert_eq!(call(&mut host, 0x9000, DATA, 1), bad(Operand::R8));
}

#[test]
fn report_changes_rax_alone() {
    let mut host = Host::runnable(Shape::default());
    let before = Regs { rcx: REPORT, rdx: DATA, r9: 9, r10: 10, r11: 11, ..Regs::default() };
    let regs = host.done(tdg::MR_REPORT, |regs| *regs = before);
    assert_eq!(regs, Regs { rax: 0, ..before });
}

fn verify(host: &mut Host, gpa: u64) -> Status {
    Status(host.done(tdg::MR_VERIFYREPORT, |regs| regs.rcx = gpa).rax)
}

/// The order of [ABI-G 2.12].
#[test]
fn verifyreport_knows_its_own_reports_and_no_others() {
    let (mut host, page, _) = reported();
    assert_eq!(verify(&mut host, REPORT), Status::SUCCESS);
    let unaligned = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    assert_eq!(verify(&mut host, REPORT + 128), unaligned);
    let mut report = [0; 256];
    host.m.read(page + REPORT, &mut report);
    for byte in 0..256 {
        let mut changed = report;
        changed[byte] ^= 0x10;
        host.m.write(page + 0x800, &changed);
        let expected = match byte {
            16..32 => Status::INVALID_CPUSVN,
            _ => Status::INVALID_REPORTMACSTRUCT,
        };
        assert_eq!(verify(&mut host, 0x800), expected, "byte {byte}");
    }
    assert!(!verify(&mut host, 0).is_success(), "zeros");
    assert_eq!(size_of::<ReportMac>() as u64, PAGE / 16);
}

#[test]
fn another_run_does_not_know_the_report() {
    let (_, _, report) = reported();
    let mut other = Host::power_on();
    other.m.random();
    let key = new_key(&mut other.m);
    assert_eq!(crate::report::verify(&key, &report.mac), Status::INVALID_REPORTMACSTRUCT);
}
