//! The field catalogue, as the guest sees it. [ABI-G 2.8-2.10, 12]

use abi::leaf::{tdg, tdh, versioned};
use abi::{Regs, Status};
use std::vec::Vec;

use super::host::{Host, Shape};

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
pub(super) const SYS: [(u64, u64); 12] = [
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

/// [ABI-G 12], with what 1.5.01 shows the VMM of a debug TD.
#[test]
fn the_vmm_of_a_debug_td_reads_more_and_writes_registers() {
    const DEBUG: Shape = Shape { attributes: 1, config_flags: 4, five_levels: false };
    // VE_INFO.VALID, R15, L2_CTLS[1], TSC_DEADLINE[0], CPUID_CONTROL[5].
    let vcpu_rows = [
        (0x0220000200000001, 0),
        (0x102000030000000F, 0xF15),
        (0xA020000300000051, 0),
        (0xA020000300000058, u64::MAX),
        (0xA120000000000005, 0),
    ];
    // NOTIFY_ENABLES, TD_CTLS, CPUID_VALID[63] and [64], RTMR.
    let td_rows = [
        (0x9110000300000010, 0),
        (0x1110000300000017, 0),
        (0x91100000000000BF, 1),
        (0x91100000000000C0, 0),
        (0x1310000300000057, 0),
    ];
    for shape in [DEBUG, Shape { attributes: 0, ..DEBUG }] {
        let mut host = Host::runnable(shape);
        let (tdr, tdvpr) = (host.tdr, host.tdvpr);
        let status = |value: u64| match shape.attributes {
            0 => (Status::METADATA_FIELD_NOT_READABLE, 0),
            _ => (Status::SUCCESS, value),
        };
        let write = host.status(tdh::VP_WR, [tdvpr, 0x102000030000000F, 0xF15, u64::MAX]);
        assert_eq!(write == Status::SUCCESS, shape.attributes == 1, "{write:?}");
        for (leaf, owner, rows) in
            [(tdh::VP_RD, tdvpr, &vcpu_rows[..]), (tdh::MNG_RD, tdr, &td_rows[..])]
        {
            for (id, value) in rows {
                let regs = host.call(leaf, |regs| (regs.rcx, regs.rdx) = (owner, *id));
                assert_eq!((Status(regs.rax), regs.r8), status(*value), "{id:#x}");
            }
        }
    }
}
