//! Lists of fields: TDG.SYS.RDALL and TDH.SYS.RDALL. [ABI-G 2.10], [ABI-H 4.4]

use abi::field::FieldId;
use abi::leaf::{tdg, tdh};
use abi::{Operand, Status};
use std::collections::BTreeMap;
use std::vec::Vec;

use super::catalogue::SYS;
use super::fake::PAGE;
use super::host::{BUFFER, Host, Shape};
use crate::machine::{Machine, Outcome};

/// Bit 63, which fields of one sequence need not share.
const NON_ARCH: u64 = 1 << 63;

/// A list, read as its format says: header, then sequences. Ids are without bit 63.
fn parse(page: &[u8]) -> BTreeMap<u64, Vec<u64>> {
    let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().expect("8 bytes"));
    let (used, sequences) = ((word(0) & 0xFFFF) as usize, word(0) >> 16 & 0xFFFF);
    assert_eq!(word(0) >> 32, 0);
    let (mut at, mut fields) = (8, BTreeMap::new());
    for _ in 0..sequences {
        let header = word(at);
        at += 8;
        let elements = (header >> 34 & 0xF) + 1;
        let count = (header >> 38 & 0x1FF) + 1;
        let base = header & !(0xF << 34 | 0x1FF << 38 | NON_ARCH);
        for field in 0..count {
            let values = (0..elements as usize).map(|i| word(at + 8 * i)).collect();
            at += 8 * elements as usize;
            assert!(fields.insert(base + field * elements, values).is_none());
        }
    }
    assert_eq!(at, used);
    fields
}

/// GPA 0 of the TD in host-physical memory.
fn private_page(host: &mut Host) -> u64 {
    let tdr = host.tdr;
    host.must(tdh::MEM_SEPT_RD, [0, tdr, 0, 0]).rcx & 0x000F_FFFF_FFFF_F000
}

fn bytes(host: &Host, hpa: u64) -> Vec<u8> {
    let mut page = [0; PAGE as usize];
    host.m.read(hpa, &mut page);
    page.to_vec()
}

#[test]
fn the_guest_s_list_is_what_it_reads_one_by_one() {
    let mut host = Host::runnable(Shape::default());
    let page = private_page(&mut host);
    host.m.write(page, &[0xEE; PAGE as usize]);
    let regs = host.done(tdg::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (0, u64::MAX));
    assert_eq!((regs.rax, regs.rdx, regs.r8), (0, 0, u64::MAX));
    let list = bytes(&host, page);
    // VENDOR_ID; the versions; SYS_ATTRIBUTES; NUM_TDX_FEATURES; TDX_FEATURES0;
    // MIG_ATTRIBUTES; the four migration versions; GUEST_L2_GPA_ATTR_MASK.
    assert_eq!(list[2..4], 8_u16.to_le_bytes());
    let found: Vec<(u64, u64)> = parse(&list).into_iter().map(|(id, v)| (id, v[0])).collect();
    let mut expected = SYS.map(|(id, value)| (id & !NON_ARCH, value));
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(list[8 + 8 * 8 + 12 * 8..].iter().all(|byte| *byte == 0xEE), "not touched");
}

#[test]
fn the_guest_s_list_starts_where_it_is_told() {
    let mut host = Host::runnable(Shape::default());
    let page = private_page(&mut host);
    // From a field that the guest may read, its reserved bits set; from one it may not.
    for (first, fields) in [(0x0A00000300000008 | 1 << 24, 7), (0x8800000200000001, 11)] {
        let regs = host.done(tdg::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (0, first));
        assert_eq!((regs.rax, regs.r8), (0, u64::MAX), "{first:#x}");
        assert_eq!(parse(&bytes(&host, page)).len(), fields, "{first:#x}");
    }
}

/// The order of [ABI-G 2.10].
#[test]
fn sys_rdall_checks_in_order_and_forgets_where_to_start() {
    let mut host = Host::runnable(Shape { attributes: 0, ..Shape::default() });
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    let rdx = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
    let incorrect = Status::METADATA_FIELD_ID_INCORRECT;
    let rows = [
        (8, 1, rdx),
        (1 << 47, 1, rdx),
        (0, 0x0800000200000009, incorrect), // unknown
        (0, 0x0800000300000000, incorrect), // another element size
        (0, 0x9900000300000501, incorrect), // not the first element
        (0, 0x0800000100000003, Status::SUCCESS),
    ];
    for (gpa, first, status) in rows {
        let regs = host.done(tdg::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (gpa, first));
        assert_eq!((Status(regs.rax), regs.r8), (status, u64::MAX), "{gpa:#x} {first:#x}");
    }
    let ve = host.tdcall(tdg::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (0x1000, 0));
    assert!(matches!(ve, Outcome::Inject(_)), "{ve:?}");
    let regs = host.gprs();
    assert_eq!((regs.rax, regs.rdx, regs.r8), (tdg::SYS_RDALL, 0x1000, u64::MAX));
}

fn host_list(host: &mut Host, first: u64) -> (Status, u64) {
    let regs = host.call(tdh::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (BUFFER, first));
    (Status(regs.rax), regs.r8)
}

#[test]
fn the_vmm_s_list_is_what_it_reads_one_by_one() {
    let mut host = Host::ready();
    let mut found = BTreeMap::new();
    let (mut status, mut next) = host_list(&mut host, u64::MAX);
    let mut calls = 1;
    loop {
        found.extend(parse(&bytes(&host, BUFFER)));
        if status == Status::SUCCESS {
            break;
        }
        assert_eq!(status, Status::METADATA_LIST_OVERFLOW);
        (status, next) = host_list(&mut host, next);
        calls += 1;
    }
    assert_eq!((next, calls), (u64::MAX, 1));
    let first = host.call(tdh::SYS_RD, |regs| regs.rdx = u64::MAX);
    let (mut id, mut elements) = (first.rdx, 0);
    while id != u64::MAX {
        let regs = host.must(tdh::SYS_RD, [0, id, 0, 0]);
        let (base, values) = found.range(..=id & !NON_ARCH).next_back().expect("listed");
        let index = (id & !NON_ARCH) - base;
        assert_eq!(values.get(index as usize), Some(&regs.r8), "{id:#x}");
        elements += 1;
        id = regs.rdx;
    }
    assert_eq!(elements, found.values().map(Vec::len).sum::<usize>());
    assert!(elements > 300, "{elements}");
}

#[test]
fn sys_rdall_of_the_vmm_checks_its_page() {
    let mut host = Host::ready();
    let tdx = |rdx, r8, host: &mut Host| {
        let regs = host.call(tdh::SYS_RDALL, |regs| (regs.rdx, regs.r8) = (rdx, r8));
        (Status(regs.rax), regs.r8)
    };
    let invalid = (Status::OPERAND_INVALID.with_operand(Operand::Rdx), u64::MAX);
    for page in [BUFFER + 8, 1 << 52, 33 << 46, super::host::SEAMRR.0] {
        assert_eq!(tdx(page, u64::MAX, &mut host), invalid, "{page:#x}");
    }
    let unknown = tdx(BUFFER, FieldId(0x77).0, &mut host);
    assert_eq!(unknown, (Status::METADATA_FIELD_ID_INCORRECT, u64::MAX));
    let mut early = Host::power_on();
    early.must(tdh::SYS_INIT, [0; 4]);
    let answer = tdx(BUFFER, u64::MAX, &mut early);
    assert_eq!(answer, (Status::SYS_LP_INIT_NOT_DONE, u64::MAX));
}
