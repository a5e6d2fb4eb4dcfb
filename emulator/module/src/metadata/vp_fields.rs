//! The fields of a vCPU. [ABI-G 12], [ABI-H 4.7]

use abi::field::FieldId;
use abi::field::vp::{
    ASSOC_LPID, CPUID_CONTROL, CPUID_SUPERVISOR_VE, CPUID_USER_VE, NOTIFY_WINDOW, PEND_NMI,
    PIN_BASED_CONTROLS, POSTED_INTR_DESC, POSTED_INTR_NV, SECONDARY_CONTROLS, SHARED_EPTP,
    TDVPS_PAGE_PA, VCPU_EPOCH, VCPU_INDEX, VCPU_STATE_DETAILS,
};

use super::{ALL, Context, Field, Masks, common, debug_only, hidden, host_only};
use crate::module::{PIN_POSTED_INTERRUPTS, POSTED_DESCRIPTOR_BYTES};

pub(crate) const VAPIC: FieldId = FieldId(0x0120_0003_0000_0000);
pub(crate) const VE_EXIT_REASON: FieldId = FieldId(0x0220_0002_0000_0000);
pub(crate) const VE_VALID: FieldId = FieldId(0x0220_0002_0000_0001);
/// EXIT_QUALIFICATION, GLA and GPA.
pub(crate) const VE_ADDRESSES: FieldId = FieldId(0x0220_0003_0000_0002);
pub(crate) const VE_EPTP_INDEX: FieldId = FieldId(0x0220_0001_0000_0005);
/// INSTRUCTION_LENGTH and INSTRUCTION_INFORMATION.
pub(crate) const VE_INSTRUCTION: FieldId = FieldId(0x8220_0002_0000_0010);
pub(crate) const RAX_TO_RBX: FieldId = FieldId(0x1020_0003_0000_0000);
pub(crate) const RBP_TO_R15: FieldId = FieldId(0x1020_0003_0000_0005);
pub(crate) const NUM_TDVPS_PAGES: FieldId = FieldId(0xA020_0000_0000_0003);
pub(crate) const L2_CTLS: FieldId = FieldId(0xA020_0003_0000_0050);
pub(crate) const TSC_DEADLINE: FieldId = FieldId(0xA020_0003_0000_0058);

/// Process posted interrupts.
pub(crate) const PIN: u64 = PIN_POSTED_INTERRUPTS as u64;
/// Bus-lock detection and notification exiting.
const SECONDARY_WRITABLE: u64 = 1 << 30 | 1 << 31;
const EPTP_ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const L2_CTLS_WRITABLE: u64 = 7;
const CPUID_CONTROL_WRITABLE: u64 = 3;

const BYTE: u64 = 0xFF;
const WORD: u64 = 0xFFFF;
const DWORD: u64 = 0xFFFF_FFFF;

/// The context VP.
///
/// The VMCSs and MSR bitmaps of nested VMs are left out, as in a TD without any.
pub(crate) const FIELDS: Context =
    Context::new(2, &[VMCS_16, VMCS_64, VMCS_32, VMCS_NATURAL, STATE, MSRS, MANAGEMENT, LAST]);

/// A field that the VMM writes, in every TD.
const fn host(id: FieldId, masks: Masks) -> Field {
    Field { host: masks, debug: masks, ..host_only(id, 1, 1) }
}

/// The VMCS field with the encoding `code`, or `fields` of them in a row.
const fn vmcs(size_code: u64, code: u64, fields: u32) -> Field {
    hidden(0x0024 << 48 | size_code << 32 | code, fields, 1)
}

const VMCS_16: &[Field] = &[
    vmcs(1, 0x0000, 1),
    host(POSTED_INTR_NV, (WORD, WORD)),
    vmcs(1, 0x0004, 2),
    vmcs(1, 0x0800, 11),
];

const VMCS_64: &[Field] = &[
    vmcs(3, 0x2000, 11),
    host(POSTED_INTR_DESC, (ALL, !(POSTED_DESCRIPTOR_BYTES - 1))),
    vmcs(3, 0x2018, 12),
    vmcs(3, 0x2032, 5),
    Field {
        host: (EPTP_ADDRESS, EPTP_ADDRESS),
        debug: (ALL, EPTP_ADDRESS),
        ..host_only(SHARED_EPTP, 1, 1)
    },
    vmcs(3, 0x203E, 2),
    vmcs(3, 0x204A, 2),
    vmcs(3, 0x2400, 1),
    vmcs(3, 0x2800, 9),
    vmcs(3, 0x2814, 3),
];

const VMCS_32: &[Field] = &[
    host(PIN_BASED_CONTROLS, (PIN, PIN)),
    vmcs(2, 0x4002, 14),
    host(SECONDARY_CONTROLS, (SECONDARY_WRITABLE, SECONDARY_WRITABLE)),
    vmcs(2, 0x4020, 2),
    host(NOTIFY_WINDOW, (DWORD, DWORD)),
    vmcs(2, 0x4026, 1),
    vmcs(2, 0x4400, 8),
    vmcs(2, 0x4800, 22),
    vmcs(2, 0x482E, 1),
];

const VMCS_NATURAL: &[Field] = &[
    vmcs(3, 0x6000, 8),
    vmcs(3, 0x6400, 6),
    vmcs(3, 0x6800, 23),
    vmcs(3, 0x6C08, 1),
    vmcs(3, 0x6C14, 2),
    vmcs(3, 0x6C1A, 1),
];

const STATE: &[Field] = &[
    debug_only(VAPIC, 128, 1),
    debug_only(VE_EXIT_REASON, 1, 1),
    debug_only(VE_VALID, 1, 1),
    debug_only(VE_ADDRESSES, 3, 1),
    debug_only(VE_EPTP_INDEX, 1, 1),
    debug_only(VE_INSTRUCTION, 2, 1),
    Field { debug: (ALL, ALL), ..debug_only(RAX_TO_RBX, 4, 1) },
    // RSP stands in the VMCS.
    hidden(0x1020_0003_0000_0004, 1, 1),
    Field { debug: (ALL, ALL), ..debug_only(RBP_TO_R15, 11, 1) },
    // DR0 to DR3, DR6, XCR0, CR2.
    hidden(0x1120_0003_0000_0000, 4, 1),
    hidden(0x1120_0003_0000_0006, 1, 1),
    hidden(0x1120_0003_0000_0020, 1, 1),
    hidden(0x1120_0003_0000_0028, 1, 1),
    host_only(VCPU_STATE_DETAILS, 1, 1),
    // XBUFF.
    hidden(0x1220_0003_0000_0000, 1536, 1),
];

/// A saved MSR, or `count` of them in a row.
const fn msr(index: u64, count: u32) -> Field {
    hidden(0x1320_0003 << 32 | index, count, 1)
}

const MSRS: &[Field] = &[
    msr(0x48, 1),
    msr(0xE1, 1),
    msr(0x122, 1),
    msr(0x186, 8),
    msr(0x1A6, 2),
    msr(0x1C4, 2),
    msr(0x309, 7),
    msr(0x329, 1),
    msr(0x38D, 2),
    msr(0x3F1, 2),
    msr(0x3F6, 2),
    msr(0x4C1, 8),
    msr(0x600, 1),
    msr(0xDA0, 1),
    msr(0x14CF, 1),
    msr(0x1B01, 1),
    // STAR, LSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX.
    msr(0x2081, 2),
    msr(0x2084, 1),
    msr(0x2102, 2),
];

const MANAGEMENT: &[Field] = &[
    // VCPU_STATE.
    hidden(0xA020_0000_0000_0000, 1, 1),
    common(VCPU_INDEX, 1, 1),
    host_only(NUM_TDVPS_PAGES, 1, 1),
    host_only(ASSOC_LPID, 1, 1),
    host_only(VCPU_EPOCH, 1, 1),
    Field { guest: (BYTE, BYTE), ..host_only(CPUID_SUPERVISOR_VE, 1, 1) },
    Field { guest: (BYTE, BYTE), ..host_only(CPUID_USER_VE, 1, 1) },
    // LAST_EXIT_TSC.
    hidden(0xA020_0003_0000_000A, 1, 1),
    host(PEND_NMI, (BYTE, BYTE)),
    // XFAM, LAST_EPF_GPA_LIST_IDX, POSSIBLY_EPF_STEPPING, LAST_TD_EXIT.
    hidden(0x2020_0003_0000_000C, 1, 1),
    hidden(0xA020_0000_0000_000D, 3, 1),
    host_only(TDVPS_PAGE_PA, 15, 1),
    // HP_LOCK_BUSY_START, HP_LOCK_BUSY, LAST_SEAMDB_INDEX.
    hidden(0xA020_0003_0000_0030, 1, 1),
    hidden(0xA020_0000_0000_0031, 1, 1),
    hidden(0xA020_0003_0000_0032, 1, 1),
    // NMI_UNBLOCKING_DUE_TO_IRET, CURR_VM, L2_EXIT_HOST_ROUTING, VM_LAUNCHED,
    // LP_DEPENDENT_HPA_UPDATED, MODULE_DEPENDENT_FIELDS_UPDATED.
    hidden(0xA020_0000_0000_0040, 1, 1),
    hidden(0xA020_0001_0000_0041, 1, 1),
    hidden(0xA020_0000_0000_0042, 1, 1),
    hidden(0xA020_0000_0000_0044, 12, 1),
    Field {
        debug: (ALL, L2_CTLS_WRITABLE),
        guest: (ALL, L2_CTLS_WRITABLE),
        ..debug_only(L2_CTLS, 4, 1)
    },
    // L2_DEBUG_CTLS.
    hidden(0xA020_0003_0000_0054, 4, 1),
    Field { guest: (ALL, ALL), ..debug_only(TSC_DEADLINE, 4, 1) },
    // SHADOW_TSC_DEADLINE, BASE_L2_CR0 and CR4 masks and shadows, their copies for the
    // nested VMs, and the other SHADOW fields.
    hidden(0xA020_0003_0000_005C, 4, 1),
    hidden(0xA020_0003_0000_0080, 20, 1),
    hidden(0xA020_0002_0000_0094, 4, 1),
    hidden(0xA020_0003_0000_0098, 4, 1),
    hidden(0xA020_0002_0000_009C, 4, 1),
    hidden(0xA020_0002_0000_00A4, 8, 1),
    hidden(0xA020_0001_0000_00AC, 4, 1),
    hidden(0xA020_0002_0000_00B0, 4, 1),
    hidden(0xA020_0003_0000_00B4, 4, 1),
    // L2_ENTER_GUEST_STATE_GPA to L2_VAPIC_HPA.
    hidden(0xA020_0003_0000_0100, 24, 1),
];

const LAST: &[Field] = &[
    Field { guest: (BYTE, CPUID_CONTROL_WRITABLE), ..debug_only(CPUID_CONTROL, 128, 1) },
    // LAST_EPF_GPA_LIST.
    hidden(0xA220_0003_0000_0200, 32, 1),
];
