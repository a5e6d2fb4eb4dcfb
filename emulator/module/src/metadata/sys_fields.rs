//! The fields of the system. [ABI-G 12], [ABI-H 4.5]

use abi::field::FieldId;
use abi::field::sys::{
    ATTRIBUTES_FIXED0, ATTRIBUTES_FIXED1, BUILD_DATE, BUILD_NUM, CMR_BASE, CMR_SIZE,
    CONFIG_FLAGS_FIXED0, CONFIG_FLAGS_FIXED1, CPUID_CONFIG_LEAVES, CPUID_CONFIG_VALUES,
    MAJOR_VERSION, MAX_RESERVED_PER_TDMR, MAX_TDMRS, MAX_VCPUS_PER_TD, MINOR_VERSION, NUM_CMRS,
    NUM_CPUID_CONFIG, PAMT_1G_ENTRY_SIZE, PAMT_2M_ENTRY_SIZE, PAMT_4K_ENTRY_SIZE, TDCS_BASE_SIZE,
    TDR_BASE_SIZE, TDVPS_BASE_SIZE, TDX_FEATURES0, UPDATE_VERSION, VENDOR_ID, XFAM_FIXED0,
    XFAM_FIXED1,
};

use super::{Context, Field, common, host_only};

pub(crate) const NUM_PKGS: FieldId = FieldId(0x0000_0002_0000_0000);
pub(crate) const PKG_FMS: FieldId = FieldId(0x0000_0002_0000_0001);
const INTERNAL_VERSION: FieldId = FieldId(0x0800_0001_0000_0006);
const MODULE_HV: FieldId = FieldId(0x8900_0001_0000_0000);
const MIN_UPDATE_HV: FieldId = FieldId(0x8900_0001_0000_0001);
const NO_DOWNGRADE: FieldId = FieldId(0x8900_0000_0000_0002);
const NUM_HANDOFF_PAGES: FieldId = FieldId(0x8900_0001_0000_0003);
const HANDOFF_DATA_VALID: FieldId = FieldId(0x8900_0000_0000_0004);
const HANDOFF_DATA_HV: FieldId = FieldId(0x8900_0001_0000_0005);
const HANDOFF_DATA_SIZE: FieldId = FieldId(0x8900_0002_0000_0006);
const SYS_ATTRIBUTES: FieldId = FieldId(0x0A00_0002_0000_0000);
pub(crate) const NUM_TDX_FEATURES: FieldId = FieldId(0x0A00_0000_0000_0001);
pub(crate) const TDCS_SIZE_PER_L2_VM: FieldId = FieldId(0x9800_0001_0000_0101);
pub(crate) const TDVPS_SIZE_PER_L2_VM: FieldId = FieldId(0x9800_0001_0000_0201);
pub(crate) const ARCH_CAPABILITIES_CONFIG_MASK: FieldId = FieldId(0x9900_0003_0000_0600);
pub(crate) const NUM_ALLOWED_FMS: FieldId = FieldId(0x9900_0001_0000_0800);
const NUM_DISALLOWED_FMS: FieldId = FieldId(0x9900_0001_0000_0801);
pub(crate) const ALLOWED_FMS: FieldId = FieldId(0x9900_0003_0000_0810);
const DISALLOWED_FMS: FieldId = FieldId(0x9900_0003_0000_0850);
const MIG_ATTRIBUTES: FieldId = FieldId(0xA000_0003_0000_0000);
/// MIN_EXPORT, MAX_EXPORT, MIN_IMPORT and MAX_IMPORT_VERSION: four fields.
const MIG_VERSIONS: FieldId = FieldId(0x2000_0001_0000_0001);
pub(crate) const MAX_MIGS: FieldId = FieldId(0xA000_0001_0000_0010);
pub(crate) const NUM_IMMUTABLE_STATE_PAGES: FieldId = FieldId(0xA000_0000_0000_0020);
pub(crate) const NUM_TD_STATE_PAGES: FieldId = FieldId(0xA000_0000_0000_0021);
pub(crate) const NUM_VP_STATE_PAGES: FieldId = FieldId(0xA000_0000_0000_0022);
pub(crate) const MAX_SERV_TDS: FieldId = FieldId(0xA100_0001_0000_0000);
pub(crate) const SERVTD_ATTR_FIXED0: FieldId = FieldId(0xA100_0003_0000_0001);
const SERVTD_ATTR_FIXED1: FieldId = FieldId(0xA100_0003_0000_0002);
pub(crate) const GUEST_L2_GPA_ATTR_MASK: FieldId = FieldId(0xA200_0001_0000_0000);
pub(crate) const VM_CTLS_FIXED0: FieldId = FieldId(0xA200_0003_0000_0001);
const VM_CTLS_FIXED1: FieldId = FieldId(0xA200_0003_0000_0002);
pub(crate) const VCPU_L2_CTLS_FIXED0: FieldId = FieldId(0xA200_0003_0000_0003);
const VCPU_L2_CTLS_FIXED1: FieldId = FieldId(0xA200_0003_0000_0004);
pub(crate) const VCPU_L2_DEBUG_CTLS_FIXED0: FieldId = FieldId(0xA200_0003_0000_0005);
const VCPU_L2_DEBUG_CTLS_FIXED1: FieldId = FieldId(0xA200_0003_0000_0006);

/// The context SYS.
pub(crate) const FIELDS: Context = Context::new(0, &[ROWS]);

const ROWS: &[Field] = &[
    host_only(NUM_PKGS, 1, 1),
    host_only(PKG_FMS, 8, 1),
    common(VENDOR_ID, 1, 1),
    host_only(BUILD_DATE, 1, 1),
    host_only(BUILD_NUM, 1, 1),
    common(MINOR_VERSION, 1, 1),
    common(MAJOR_VERSION, 1, 1),
    host_only(UPDATE_VERSION, 1, 1),
    host_only(INTERNAL_VERSION, 1, 1),
    host_only(MODULE_HV, 1, 1),
    host_only(MIN_UPDATE_HV, 1, 1),
    host_only(NO_DOWNGRADE, 1, 1),
    host_only(NUM_HANDOFF_PAGES, 1, 1),
    host_only(HANDOFF_DATA_VALID, 1, 1),
    host_only(HANDOFF_DATA_HV, 1, 1),
    host_only(HANDOFF_DATA_SIZE, 1, 1),
    common(SYS_ATTRIBUTES, 1, 1),
    common(NUM_TDX_FEATURES, 1, 1),
    common(TDX_FEATURES0, 1, 1),
    host_only(NUM_CMRS, 1, 1),
    host_only(CMR_BASE, 32, 1),
    host_only(CMR_SIZE, 32, 1),
    host_only(MAX_TDMRS, 1, 1),
    host_only(MAX_RESERVED_PER_TDMR, 1, 1),
    host_only(PAMT_4K_ENTRY_SIZE, 1, 1),
    host_only(PAMT_2M_ENTRY_SIZE, 1, 1),
    host_only(PAMT_1G_ENTRY_SIZE, 1, 1),
    host_only(TDR_BASE_SIZE, 1, 1),
    host_only(TDCS_BASE_SIZE, 1, 1),
    host_only(TDCS_SIZE_PER_L2_VM, 1, 1),
    host_only(TDVPS_BASE_SIZE, 1, 1),
    host_only(TDVPS_SIZE_PER_L2_VM, 1, 1),
    host_only(ATTRIBUTES_FIXED0, 1, 1),
    host_only(ATTRIBUTES_FIXED1, 1, 1),
    host_only(XFAM_FIXED0, 1, 1),
    host_only(XFAM_FIXED1, 1, 1),
    host_only(NUM_CPUID_CONFIG, 1, 1),
    host_only(CONFIG_FLAGS_FIXED0, 1, 1),
    host_only(CONFIG_FLAGS_FIXED1, 1, 1),
    // Newer than 1.5.01.
    host_only(MAX_VCPUS_PER_TD, 1, 1),
    host_only(CPUID_CONFIG_LEAVES, 32, 1),
    host_only(CPUID_CONFIG_VALUES, 32, 2),
    host_only(ARCH_CAPABILITIES_CONFIG_MASK, 1, 1),
    host_only(NUM_ALLOWED_FMS, 1, 1),
    host_only(NUM_DISALLOWED_FMS, 1, 1),
    host_only(ALLOWED_FMS, 64, 1),
    host_only(DISALLOWED_FMS, 64, 1),
    common(MIG_ATTRIBUTES, 1, 1),
    common(MIG_VERSIONS, 4, 1),
    host_only(MAX_MIGS, 1, 1),
    host_only(NUM_IMMUTABLE_STATE_PAGES, 1, 1),
    host_only(NUM_TD_STATE_PAGES, 1, 1),
    host_only(NUM_VP_STATE_PAGES, 1, 1),
    host_only(MAX_SERV_TDS, 1, 1),
    host_only(SERVTD_ATTR_FIXED0, 1, 1),
    host_only(SERVTD_ATTR_FIXED1, 1, 1),
    common(GUEST_L2_GPA_ATTR_MASK, 1, 1),
    host_only(VM_CTLS_FIXED0, 1, 1),
    host_only(VM_CTLS_FIXED1, 1, 1),
    host_only(VCPU_L2_CTLS_FIXED0, 1, 1),
    host_only(VCPU_L2_CTLS_FIXED1, 1, 1),
    host_only(VCPU_L2_DEBUG_CTLS_FIXED0, 1, 1),
    host_only(VCPU_L2_DEBUG_CTLS_FIXED1, 1, 1),
];
