//! The field catalogue, as guest and VMM see it. [ABI-G 2.8-2.10, 12]

use abi::field::FieldId;
use abi::leaf::{tdg, tdh, versioned};
use abi::{Operand, Regs, Status};
use std::collections::BTreeMap;
use std::vec::Vec;

use super::fake::PAGE;
use super::host::{BUFFER, Host, Shape};
use crate::machine::{Machine, Outcome};

/// Rows of [ABI-G 12]: base id and elements, in iteration order.
const TD: [(u64, u64); 20] = [
    (0x8010000300000020, 4),
    (0x9010000200000001, 1),
    (0x9010000100000005, 1),
    (0x1110000300000000, 1),
    (0x1110000300000001, 1),
    (0x1110000200000002, 1),
    (0x1110000000000003, 1),
    (0x111000010000000C, 1),
    (0x9110000300000010, 1),
    (0x1110000300000016, 1),
    (0x1110000300000017, 1),
    (0x1310000300000000, 6),
    (0x1310000300000010, 6),
    (0x1310000300000018, 6),
    (0x1310000300000020, 6),
    (0x1310000300000040, 24),
    (0x9810000300000040, 4),
    (0x9910000300000000, 6),
    (0x9910000100000006, 1),
    (0x9910000300000080, 16),
];

const VP: [(u64, u64); 6] = [
    (0xA020000200000002, 1),
    (0xA020000000000007, 1),
    (0xA020000000000008, 1),
    (0xA020000300000050, 4),
    (0xA020000300000058, 4),
    (0xA120000000000000, 128),
];

/// The values are those of the reference, but for bit 20 of TDX_FEATURES0.
const SYS: [(u64, u64); 12] = [
    (0x0800000200000000, 0x8086),
    (0x0800000100000003, 5),
    (0x0800000100000004, 1),
    (0x0A00000200000000, 0),
    (0x0A00000000000001, 1),
    (0x0A00000300000008, 0xF_0FBF | 1 << 20),
    (0xA000000300000000, 0),
    (0x2000000100000001, 0),
    (0x2000000100000002, 0),
    (0x2000000100000003, 0),
    (0x2000000100000004, 0),
    (0xA200000100000000, 0x807F),
];

fn read(host: &mut Host, leaf: u64, id: u64) -> Regs {
    host.done(leaf, |regs| (regs.rcx, regs.rdx, regs.r8) = (0, id, 0x5555))
}

/// Ids and values in the order in which the guest finds them.
fn iterate(host: &mut Host, leaf: u64) -> Vec<(u64, u64)> {
    let first = read(host, leaf, u64::MAX);
    assert_eq!((first.rax, first.r8), (0x0000_0C0B_0000_0000, 0));
    let (mut id, mut found) = (first.rdx, Vec::new());
    while id != u64::MAX {
        let regs = read(host, leaf, id);
        assert_eq!(regs.rax, 0, "{id:#x}");
        found.push((id, regs.r8));
        id = regs.rdx;
    }
    found
}

#[test]
fn iteration_finds_what_the_reference_lists_in_its_order() {
    let mut host = Host::runnable(Shape::default());
    for (leaf, rows) in [(versioned(tdg::VM_RD, 1), &TD[..]), (tdg::VP_RD, &VP[..])] {
        let expected: Vec<u64> =
            rows.iter().flat_map(|(base, count)| (0..*count).map(move |i| base + i)).collect();
        let found: Vec<u64> = iterate(&mut host, leaf).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, expected, "leaf {leaf:#x}");
    }
    assert_eq!(iterate(&mut host, tdg::SYS_RD), SYS);
}

/// Known to 1.5.01, and not for the guest.
const NOT_READABLE: [(u64, u64); 26] = [
    (tdg::VM_RD, 0x8010000000000001),  // FATAL
    (tdg::VM_RD, 0x8110000100000001),  // HKID
    (tdg::VM_RD, 0x8210000300000004),  // SEAMDB_NONCE, element 2
    (tdg::VM_RD, 0x111000030000000D),  // VIRTUAL_TSC
    (tdg::VM_RD, 0x911000010000000E),  // NUM_CPUID_VALUES
    (tdg::VM_RD, 0x9110000300000011),  // HP_LOCK_TIMEOUT
    (tdg::VM_RD, 0x9110000300000015),  // VM_CTLS, element 3
    (tdg::VM_RD, 0x91100000000000CF),  // CPUID_VALID, element 79
    (tdg::VM_RD, 0x9210000300000000),  // TD_EPOCH
    (tdg::VM_RD, 0x9610000300000489),  // VIRTUAL_IA32_VMX_CR4_FIXED1
    (tdg::VM_RD, 0x981000030000001F),  // MIG_ENC_WORKING_KEY, element 3
    (tdg::VM_RD, 0x9A100003000001FF),  // MIGSC_LINKS, element 511
    (tdg::VM_RD, 0x2010000300000000),  // MSR_BITMAPS
    (tdg::VM_RD, 0x21100003000001FF),  // SEPT_ROOT, element 511
    (tdg::VM_RD, 0x9410000300000300),  // CPUID_VALUES of leaf 1
    (tdg::VP_RD, 0x0024000300002016),  // posted-interrupt descriptor
    (tdg::VP_RD, 0x002400030000681E),  // RIP
    (tdg::VP_RD, 0x1020000300000000),  // RAX
    (tdg::VP_RD, 0x0220000200000001),  // VE_INFO.VALID
    (tdg::VP_RD, 0x1320000300002103),  // IA32_TSC_AUX
    (tdg::VP_RD, 0x202000000000000B),  // PEND_NMI
    (tdg::VP_RD, 0xA020000300000057),  // L2_DEBUG_CTLS, element 3
    (tdg::VP_RD, 0xA22000030000021F),  // LAST_EPF_GPA_LIST, element 31
    (tdg::SYS_RD, 0x8800000200000001), // BUILD_DATE
    (tdg::SYS_RD, 0x990000030000053F), // CPUID_CONFIG_VALUES, element 63
    (tdg::SYS_RD, 0xA200000300000006), // VCPU_L2_DEBUG_CTLS_FIXED1
];

/// Unknown, malformed, or of a nested VM that the TD does not have.
const INCORRECT: [(u64, u64); 18] = [
    (tdg::VM_RD, 0x9100000000000019), // TOPOLOGY_ENUM_CONFIGURED
    (tdg::VM_RD, 0x9010000200000001 | 1 << 24), // reserved bits
    (tdg::VM_RD, 0x9010000200000001 | 1 << 47),
    (tdg::VM_RD, 0x9010000200000001 | 1 << 55),
    (tdg::VM_RD, 0x9010000200000001 | 1 << 62),
    (tdg::VM_RD, 0x9010000200000001 | 1 << 34), // LAST_ELEMENT
    (tdg::VM_RD, 0x9010000200000001 | 1 << 38), // LAST_FIELD
    (tdg::VM_RD, 0x2510000300000000),           // L2_SEPT_ROOT_1
    (tdg::VM_RD, 0x9410000300000300 | 1 << 17), // CPUID_VALUES, reserved bit
    (tdg::VM_RD, 0x9410000300000500),           // CPUID leaf 2
    (tdg::VM_RD, u64::MAX),
    (tdg::VP_RD, 0x0024000300002017), // high half of a VMCS field
    (tdg::VP_RD, 0x0024000300002030), // a hole of the VMCS
    (tdg::VP_RD, 0x2420000300002016), // VMCS of VM 1
    (tdg::VP_RD, 0x2520000300000000), // L2_MSR_BITMAPS_1
    (tdg::VP_RD, 0xA020000300000009),
    (tdg::SYS_RD, 0x0A00000300000009),
    (tdg::SYS_RD, 0x0800000200000000 | 1 << 46),
];

#[test]
fn fields_are_known_or_not_as_in_1_5_01() {
    let mut host = Host::runnable(Shape::default());
    for (rows, status) in [
        (&NOT_READABLE[..], Status::METADATA_FIELD_NOT_READABLE),
        (&INCORRECT[..], Status::METADATA_FIELD_ID_INCORRECT),
    ] {
        for (leaf, id) in rows {
            let regs = read(&mut host, *leaf, *id);
            assert_eq!((Status(regs.rax), regs.r8), (status, 0), "leaf {leaf}, {id:#x}");
            let rdx = if *leaf == tdg::VM_RD { *id } else { u64::MAX };
            assert_eq!(regs.rdx, rdx, "leaf {leaf}, {id:#x}");
        }
    }
}

/// A CPUID leaf that gives #VE has no value: not to be read, and said so to a writer.
#[test]
fn cpuid_values_are_looked_up_before_they_are_refused() {
    let mut host = Host::runnable(Shape::default());
    let id = |leaf: u64| 0x9410_0003_0000_0000 | leaf << 9 | 1 << 8;
    let mut write =
        |id| Status(host.done(tdg::VM_WR, |regs| (regs.rcx, regs.rdx, regs.r9) = (0, id, 1)).rax);
    assert_eq!(write(id(1)), Status::METADATA_FIELD_NOT_WRITABLE);
    assert_eq!(write(id(6)), Status::METADATA_FIELD_NOT_READABLE);
    assert_eq!(write(id(2)), Status::METADATA_FIELD_ID_INCORRECT);
}

#[test]
fn an_id_is_found_by_class_and_code_alone_and_its_other_bits_stay() {
    let mut host = Host::runnable(Shape::default());
    // RTMR element 0 with another element size, without the context.
    let id = 0x1300000000000040;
    let regs = read(&mut host, versioned(tdg::VM_RD, 1), id);
    assert_eq!((regs.rax, regs.rdx), (0, 0x1310000000000041));
    // INC_SIZE and WRITE_MASK_VALID and the non-architectural bit.
    let id = 0x931C000300000040;
    let regs = read(&mut host, versioned(tdg::VM_RD, 1), id);
    assert_eq!((regs.rax, regs.rdx), (0, id + 1));
}

#[test]
fn controls_of_nested_vms_are_stored() {
    let mut host = Host::runnable(Shape::default());
    let (controls, deadline) = (0xA020000300000050, 0xA020000300000058);
    let write = |host: &mut Host, id, value, mask| {
        let regs = host.done(tdg::VP_WR, |regs| {
            (regs.rcx, regs.rdx, regs.r8, regs.r9) = (0, id, value, mask);
        });
        (Status(regs.rax), regs.r8)
    };
    for index in 0..4 {
        assert_eq!(read(&mut host, tdg::VP_RD, controls + index).r8, 0);
        let initial = if index == 0 { u64::MAX } else { 0 };
        assert_eq!(read(&mut host, tdg::VP_RD, deadline + index).r8, initial);
        assert_eq!(write(&mut host, controls + index, 5, 7), (Status::SUCCESS, 0));
        let old = write(&mut host, deadline + index, 100 + index, u64::MAX);
        assert_eq!(old, (Status::SUCCESS, initial));
        assert_eq!(read(&mut host, tdg::VP_RD, controls + index).r8, 5);
        assert_eq!(read(&mut host, tdg::VP_RD, deadline + index).r8, 100 + index);
    }
    let forbidden = write(&mut host, controls, 8, 8);
    assert_eq!(forbidden.0, Status::METADATA_FIELD_NOT_WRITABLE);
    let forbidden = write(&mut host, controls, 8, 9);
    assert_eq!(forbidden.0, Status::METADATA_FIELD_VALUE_NOT_VALID);
}

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
