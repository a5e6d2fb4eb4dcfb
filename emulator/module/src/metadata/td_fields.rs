//! The fields of a TD. [ABI-G 12], [ABI-H 4.6]

use abi::field::FieldId;
use abi::field::td::{
    ATTRIBUTES, CHLDCNT, CONFIG_FLAGS, EPTP, FATAL, GPAW, HKID, HP_LOCK_TIMEOUT, LIFECYCLE_STATE,
    MAX_VCPUS, MRCONFIGID, MROWNER, MROWNERCONFIG, MRTD, NOTIFY_ENABLES, NUM_ASSOC_VCPUS,
    NUM_L2_VMS, NUM_TDCX, NUM_VCPUS, OP_STATE, REFCOUNT, RTMR, TD_CTLS, TD_EPOCH, TD_UUID, TDCX_PA,
    TSC_FREQUENCY, TSC_MULTIPLIER, TSC_OFFSET, XFAM,
};

use super::{ALL, Context, Field, common, debug_only, hidden, host_only};
use crate::sys::TD_CTLS_WRITABLE;

pub(crate) const PKG_CONFIG_BITMAP: FieldId = FieldId(0x8110_0003_0000_0002);
pub(crate) const NUM_CPUID_VALUES: FieldId = FieldId(0x9110_0001_0000_000E);
const PRE_IMPORT_UUID: FieldId = FieldId(0x9810_0003_0000_0040);
pub(crate) const SERVTD_HASH: FieldId = FieldId(0x9910_0003_0000_0000);
const SERVTD_NUM: FieldId = FieldId(0x9910_0001_0000_0006);
const SERVTD_BINDINGS_TABLE: FieldId = FieldId(0x9910_0003_0000_0080);
pub(crate) const CPUID_VALID: FieldId = FieldId(0x9110_0000_0000_0080);

/// The context TD.
///
/// The roots of nested VMs' secure EPTs are left out, as in a TD without any.
pub(crate) const FIELDS: Context = Context::new(1, &[TDR, TDCS, MIGRATION]);

const TDR: &[Field] = &[
    host_only(FATAL, 1, 1),
    host_only(NUM_TDCX, 1, 1),
    host_only(CHLDCNT, 1, 1),
    host_only(LIFECYCLE_STATE, 1, 1),
    host_only(TDCX_PA, 9, 1),
    common(TD_UUID, 1, 4),
    host_only(HKID, 1, 1),
    host_only(PKG_CONFIG_BITMAP, 1, 1),
    // HANDOFF_VERSION, SEAMDB_INDEX, SEAMDB_NONCE.
    hidden(0x8210_0001_0000_0000, 1, 1),
    hidden(0x8210_0003_0000_0001, 1, 1),
    hidden(0x8210_0003_0000_0002, 1, 4),
];

const TDCS: &[Field] = &[
    common(NUM_VCPUS, 1, 1),
    host_only(NUM_ASSOC_VCPUS, 1, 1),
    host_only(OP_STATE, 1, 1),
    common(NUM_L2_VMS, 1, 1),
    common(ATTRIBUTES, 1, 1),
    common(XFAM, 1, 1),
    common(MAX_VCPUS, 1, 1),
    common(GPAW, 1, 1),
    host_only(EPTP, 1, 1),
    host_only(TSC_OFFSET, 1, 1),
    host_only(TSC_MULTIPLIER, 1, 1),
    common(TSC_FREQUENCY, 1, 1),
    // VIRTUAL_TSC.
    hidden(0x1110_0003_0000_000D, 1, 1),
    host_only(NUM_CPUID_VALUES, 1, 1),
    // XBUFF_SIZE.
    hidden(0x9110_0002_0000_000F, 1, 1),
    Field { debug: (ALL, 1), guest: (1, 1), ..debug_only(NOTIFY_ENABLES, 1, 1) },
    Field { host: (ALL, ALL), debug: (ALL, ALL), ..host_only(HP_LOCK_TIMEOUT, 1, 1) },
    // VM_CTLS.
    hidden(0x9110_0003_0000_0012, 4, 1),
    common(CONFIG_FLAGS, 1, 1),
    Field { guest: (ALL, TD_CTLS_WRITABLE), ..debug_only(TD_CTLS, 1, 1) },
    debug_only(CPUID_VALID, 80, 1),
    // XBUFF_OFFSETS.
    hidden(0x9110_0002_0000_0800, 19, 1),
    host_only(TD_EPOCH, 1, 1),
    host_only(REFCOUNT, 2, 1),
    common(MRTD, 1, 6),
    common(MRCONFIGID, 1, 6),
    common(MROWNER, 1, 6),
    common(MROWNERCONFIG, 1, 6),
    Field { guest: (ALL, 0), ..debug_only(RTMR, 4, 6) },
    // CPUID_VALUES.
    hidden(0x9410_0003_0000_0000, 80, 2),
    // VIRTUAL_IA32_ARCH_CAPABILITIES, VIRTUAL_IA32_VMX_BASIC, _MISC to _CR4_FIXED1,
    // _PROCBASED_CTLS2 to _EXIT_CTLS2.
    hidden(0x9610_0003_0000_010A, 1, 1),
    hidden(0x9610_0003_0000_0480, 1, 1),
    hidden(0x9610_0003_0000_0485, 5, 1),
    hidden(0x9610_0003_0000_048B, 9, 1),
];

const MIGRATION: &[Field] = &[
    // MIG_DEC_KEY_SET, EXPORT_COUNT, IMPORT_COUNT, MIG_EPOCH, BW_EPOCH, TOTAL_MB_COUNT.
    hidden(0x9810_0000_0000_0001, 1, 1),
    hidden(0x9810_0002_0000_0002, 3, 1),
    hidden(0x9810_0003_0000_0005, 2, 1),
    // MIG_DEC_KEY to MIG_ENC_WORKING_KEY.
    hidden(0x9810_0003_0000_0010, 4, 4),
    // MIG_VERSION, MIG_WORKING_VERSION.
    hidden(0x9810_0001_0000_0020, 2, 1),
    // DIRTY_COUNT, MIG_COUNT, NUM_MIGS, NUM_MIGRATED_VCPUS.
    hidden(0x9810_0003_0000_0030, 2, 1),
    hidden(0x9810_0001_0000_0032, 1, 1),
    hidden(0x9810_0002_0000_0034, 1, 1),
    common(PRE_IMPORT_UUID, 1, 4),
    common(SERVTD_HASH, 1, 6),
    common(SERVTD_NUM, 1, 1),
    common(SERVTD_BINDINGS_TABLE, 1, 16),
    // MIGSC_LINKS, MSR_BITMAPS, SEPT_ROOT.
    hidden(0x9A10_0003_0000_0000, 512, 1),
    hidden(0x2010_0003_0000_0000, 512, 1),
    hidden(0x2110_0003_0000_0000, 512, 1),
];
