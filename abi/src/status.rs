//! Completion status: what RAX holds after TDCALL and SEAMCALL. [ABI-G 3]
//!
//! | bits | meaning |
//! |---|---|
//! | 63 | error: the call did not do its work |
//! | 62 | non-recoverable: the same call cannot succeed |
//! | 61 | fatal: the TD is dead |
//! | 60 | host recoverability hint |
//! | 47:40 | class |
//! | 39:32 | code within the class |
//! | 31:0 | detail: operand id, SEPT level, MSR index, exit reason, or 0 |
//!
//! Statuses are compared on their upper 32 bits ([`Status::is`]); the detail is
//! kept and printed. A status that is not in the table stays printable.

use core::fmt;

use crate::Operand;

/// A completion status. Unknown values are legal and stay printable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u64);

macro_rules! statuses {
    ($($name:ident = $code:literal,)*) => {
        impl Status {
            $(
                #[doc = concat!("`TDX_", stringify!($name), "`: upper half ", stringify!($code), ".")]
                pub const $name: Self = Self($code << 32);
            )*

            /// The specification's name, without `TDX_`, for a status in the table.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match (self.0 >> 32) as u32 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Every status in the table, detail 0.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

statuses! {
    SUCCESS = 0x00000000,
    NON_RECOVERABLE_VCPU = 0x40000001,
    NON_RECOVERABLE_TD = 0x60000002,
    INTERRUPTED_RESUMABLE = 0x80000003,
    INTERRUPTED_RESTARTABLE = 0x80000004,
    NON_RECOVERABLE_TD_NON_ACCESSIBLE = 0x60000005,
    INVALID_RESUMPTION = 0xC0000006,
    NON_RECOVERABLE_TD_WRONG_APIC_MODE = 0xE0000007,
    CROSS_TD_FAULT = 0x80000008,
    CROSS_TD_TRAP = 0x90000009,
    NON_RECOVERABLE_TD_CORRUPTED_MD = 0x6000000A,
    OPERAND_INVALID = 0xC0000100,
    OPERAND_ADDR_RANGE_ERROR = 0xC0000101,
    OPERAND_BUSY = 0x80000200,
    PREVIOUS_TLB_EPOCH_BUSY = 0x80000201,
    SYS_BUSY = 0x80000202,
    RND_NO_ENTROPY = 0x80000203,
    OPERAND_BUSY_HOST_PRIORITY = 0x80000204,
    HOST_PRIORITY_BUSY_TIMEOUT = 0x90000205,
    PAGE_METADATA_INCORRECT = 0xC0000300,
    PAGE_ALREADY_FREE = 0x00000301,
    PAGE_NOT_OWNED_BY_TD = 0xC0000302,
    PAGE_NOT_FREE = 0xC0000303,
    TD_ASSOCIATED_PAGES_EXIST = 0xC0000400,
    SYS_INIT_NOT_PENDING = 0xC0000500,
    SYS_LP_INIT_NOT_DONE = 0xC0000502,
    SYS_LP_INIT_DONE = 0xC0000503,
    SYS_NOT_READY = 0xC0000505,
    SYS_SHUTDOWN = 0xC0000506,
    SYS_KEY_CONFIG_NOT_PENDING = 0xC0000507,
    SYS_STATE_INCORRECT = 0xC0000508,
    SYS_INVALID_HANDOFF = 0xC0000509,
    SYS_INCOMPATIBLE_SIGSTRUCT = 0xC000050A,
    SYS_LP_INIT_NOT_PENDING = 0xC000050B,
    SYS_CONFIG_NOT_PENDING = 0xC000050C,
    INCOMPATIBLE_SEAM_CAPABILITIES = 0xC000050D,
    TD_FATAL = 0xE0000604,
    TD_NON_DEBUG = 0xC0000605,
    TDCS_NOT_ALLOCATED = 0xC0000606,
    LIFECYCLE_STATE_INCORRECT = 0xC0000607,
    OP_STATE_INCORRECT = 0xC0000608,
    NO_VCPUS = 0xC0000609,
    TDCX_NUM_INCORRECT = 0xC0000610,
    VCPU_STATE_INCORRECT = 0xC0000700,
    VCPU_ASSOCIATED = 0x80000701,
    VCPU_NOT_ASSOCIATED = 0x80000702,
    NO_VALID_VE_INFO = 0xC0000704,
    MAX_VCPUS_EXCEEDED = 0xC0000705,
    TSC_ROLLBACK = 0xC0000706,
    TD_VMCS_FIELD_NOT_INITIALIZED = 0xC0000730,
    TD_VMCS_FIELD_ERROR = 0xC0000731,
    KEY_GENERATION_FAILED = 0x80000800,
    TD_KEYS_NOT_CONFIGURED = 0x80000810,
    KEY_STATE_INCORRECT = 0xC0000811,
    KEY_CONFIGURED = 0x00000815,
    WBCACHE_NOT_COMPLETE = 0x80000817,
    HKID_NOT_FREE = 0xC0000820,
    NO_HKID_READY_TO_WBCACHE = 0x00000821,
    WBCACHE_RESUME_ERROR = 0xC0000823,
    FLUSHVP_NOT_DONE = 0x80000824,
    NUM_ACTIVATED_HKIDS_NOT_SUPPORTED = 0xC0000825,
    INCORRECT_CPUID_VALUE = 0xC0000900,
    LIMIT_CPUID_MAXVAL_SET = 0xC0000901,
    INCONSISTENT_CPUID_FIELD = 0xC0000902,
    CPUID_MAX_SUBLEAVES_UNRECOGNIZED = 0xC0000903,
    CPUID_LEAF_1F_FORMAT_UNRECOGNIZED = 0xC0000904,
    INVALID_WBINVD_SCOPE = 0xC0000905,
    INVALID_PKG_ID = 0xC0000906,
    ENABLE_MONITOR_FSM_NOT_SET = 0xC0000907,
    CPUID_LEAF_NOT_SUPPORTED = 0xC0000908,
    SMRR_NOT_LOCKED = 0xC0000910,
    INVALID_SMRR_CONFIGURATION = 0xC0000911,
    SMRR_OVERLAPS_CMR = 0xC0000912,
    SMRR_LOCK_NOT_SUPPORTED = 0xC0000913,
    SMRR_NOT_SUPPORTED = 0xC0000914,
    INCONSISTENT_MSR = 0xC0000920,
    INCORRECT_MSR_VALUE = 0xC0000921,
    SEAMREPORT_NOT_AVAILABLE = 0xC0000930,
    SEAMDB_GETREF_NOT_AVAILABLE = 0xC0000931,
    SEAMDB_REPORT_NOT_AVAILABLE = 0xC0000932,
    SEAMVERIFYREPORT_NOT_AVAILABLE = 0xC0000933,
    INVALID_TDMR = 0xC0000A00,
    NON_ORDERED_TDMR = 0xC0000A01,
    TDMR_OUTSIDE_CMRS = 0xC0000A02,
    TDMR_ALREADY_INITIALIZED = 0x00000A03,
    INVALID_PAMT = 0xC0000A10,
    PAMT_OUTSIDE_CMRS = 0xC0000A11,
    PAMT_OVERLAP = 0xC0000A12,
    INVALID_RESERVED_IN_TDMR = 0xC0000A20,
    NON_ORDERED_RESERVED_IN_TDMR = 0xC0000A21,
    CMR_LIST_INVALID = 0xC0000A22,
    EPT_WALK_FAILED = 0xC0000B00,
    EPT_ENTRY_FREE = 0xC0000B01,
    EPT_ENTRY_NOT_FREE = 0xC0000B02,
    EPT_ENTRY_NOT_PRESENT = 0xC0000B03,
    EPT_ENTRY_NOT_LEAF = 0xC0000B04,
    EPT_ENTRY_LEAF = 0xC0000B05,
    GPA_RANGE_NOT_BLOCKED = 0xC0000B06,
    GPA_RANGE_ALREADY_BLOCKED = 0x00000B07,
    TLB_TRACKING_NOT_DONE = 0xC0000B08,
    EPT_INVALID_PROMOTE_CONDITIONS = 0xC0000B09,
    PAGE_ALREADY_ACCEPTED = 0x00000B0A,
    PAGE_SIZE_MISMATCH = 0xC0000B0B,
    GPA_RANGE_BLOCKED = 0xC0000B0C,
    EPT_ENTRY_STATE_INCORRECT = 0xC0000B0D,
    EPT_PAGE_NOT_FREE = 0xC0000B0E,
    L2_SEPT_WALK_FAILED = 0xC0000B0F,
    L2_SEPT_ENTRY_NOT_FREE = 0xC0000B10,
    PAGE_ATTR_INVALID = 0xC0000B11,
    L2_SEPT_PAGE_NOT_PROVIDED = 0xC0000B12,
    METADATA_FIELD_ID_INCORRECT = 0xC0000C00,
    METADATA_FIELD_NOT_WRITABLE = 0xC0000C01,
    METADATA_FIELD_NOT_READABLE = 0xC0000C02,
    METADATA_FIELD_VALUE_NOT_VALID = 0xC0000C03,
    METADATA_LIST_OVERFLOW = 0xC0000C04,
    INVALID_METADATA_LIST_HEADER = 0xC0000C05,
    REQUIRED_METADATA_FIELD_MISSING = 0xC0000C06,
    METADATA_ELEMENT_SIZE_INCORRECT = 0xC0000C07,
    METADATA_LAST_ELEMENT_INCORRECT = 0xC0000C08,
    METADATA_FIELD_CURRENTLY_NOT_WRITABLE = 0xC0000C09,
    METADATA_WR_MASK_NOT_VALID = 0xC0000C0A,
    METADATA_FIRST_FIELD_ID_IN_CONTEXT = 0x00000C0B,
    METADATA_FIELD_SKIP = 0x00000C0C,
    SERVTD_ALREADY_BOUND_FOR_TYPE = 0xC0000D00,
    SERVTD_TYPE_MISMATCH = 0xC0000D01,
    SERVTD_ATTR_MISMATCH = 0xC0000D02,
    SERVTD_INFO_HASH_MISMATCH = 0xC0000D03,
    SERVTD_UUID_MISMATCH = 0xC0000D04,
    SERVTD_NOT_BOUND = 0xC0000D05,
    SERVTD_BOUND = 0xC0000D06,
    TARGET_UUID_MISMATCH = 0xC0000D07,
    TARGET_UUID_UPDATED = 0xC0000D08,
    INVALID_MBMD = 0xC0000E00,
    INCORRECT_MBMD_MAC = 0xC0000E01,
    NOT_WRITE_BLOCKED = 0xC0000E02,
    ALREADY_WRITE_BLOCKED = 0x00000E03,
    NOT_EXPORTED = 0xC0000E04,
    MIGRATION_STREAM_STATE_INCORRECT = 0xC0000E05,
    MAX_MIGS_NUM_EXCEEDED = 0xC0000E06,
    EXPORTED_DIRTY_PAGES_REMAIN = 0xC0000E07,
    MIGRATION_DECRYPTION_KEY_NOT_SET = 0xC0000E08,
    TD_NOT_MIGRATABLE = 0xC0000E09,
    PREVIOUS_EXPORT_CLEANUP_INCOMPLETE = 0xC0000E0A,
    NUM_MIGS_HIGHER_THAN_CREATED = 0xC0000E0B,
    IMPORT_MISMATCH = 0xC0000E0C,
    MIGRATION_EPOCH_OVERFLOW = 0xC0000E0D,
    MAX_EXPORTS_EXCEEDED = 0xC0000E0E,
    INVALID_PAGE_MAC = 0xC0000E0F,
    MIGRATED_IN_CURRENT_EPOCH = 0xC0000E10,
    DISALLOWED_IMPORT_OVER_REMOVED = 0xC0000E11,
    SOME_VCPUS_NOT_MIGRATED = 0xC0000E12,
    ALL_VCPUS_IMPORTED = 0xC0000E13,
    MIN_MIGS_NOT_CREATED = 0xC0000E14,
    VCPU_ALREADY_EXPORTED = 0xC0000E15,
    INVALID_MIGRATION_DECRYPTION_KEY = 0xC0000E16,
    INVALID_CPUSVN = 0xC0001000,
    INVALID_REPORTMACSTRUCT = 0xC0001001,
    L2_EXIT_HOST_ROUTED_ASYNC = 0x00001100,
    L2_EXIT_HOST_ROUTED_TDVMCALL = 0x00001101,
    L2_EXIT_PENDING_INTERRUPT = 0x00001102,
    PENDING_INTERRUPT = 0x00001120,
    TD_EXIT_BEFORE_L2_ENTRY = 0x00001140,
    TD_EXIT_ON_L2_VM_EXIT = 0x00001141,
    TD_EXIT_ON_L2_TO_L1 = 0x00001142,
    GLA_NOT_CANONICAL = 0xC0001160,
}

/// Why a SEAMCALL did not reach a leaf: the codes Linux reserves in class 0xFF,
/// which no module issues. [ABI-H 1.4]
impl Status {
    /// CF = 1: no module loaded, or it is disabled, or the P-SEAMLDR is busy.
    pub const SEAMCALL_VMFAILINVALID: Self = Self(0x8000_FF00_FFFF_0000);
    /// The instruction raised #GP: TDX is off in the firmware.
    pub const SEAMCALL_GP: Self = Self(Self::SOFTWARE_ERROR | 13);
    /// The instruction raised #UD: the CPU is not in VMX operation, or has no SEAM.
    pub const SEAMCALL_UD: Self = Self(Self::SOFTWARE_ERROR | 6);
    /// Base of the software codes; a trap number is or-ed into the low bits.
    pub const SOFTWARE_ERROR: u64 = 0x8000_FF00_0000_0000;
}

impl Status {
    /// The call did its work: bit 63 is clear. The value may still be non-zero,
    /// for example PAGE_ALREADY_ACCEPTED. [ABI-H 1.3]
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >> 63 == 0
    }

    /// Same status, whatever the detail in bits 31:0.
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// Bits 31:0.
    #[must_use]
    pub const fn detail(self) -> u32 {
        self.0 as u32
    }

    /// Bits 47:40.
    #[must_use]
    pub const fn class(self) -> u8 {
        (self.0 >> 40) as u8
    }

    /// This status with a detail in bits 31:0.
    #[must_use]
    pub const fn with_detail(self, detail: u32) -> Self {
        Self(self.0 & !0xFFFF_FFFF | detail as u64)
    }

    /// This status with an operand id as its detail.
    #[must_use]
    pub const fn with_operand(self, operand: Operand) -> Self {
        self.with_detail(operand as u32)
    }

    /// The caller should try the same call again: a lock was taken, by another
    /// vCPU or by the host, or there was no entropy. [ABI-G 16.24], [ABI-H 2.5]
    ///
    /// PREVIOUS_TLB_EPOCH_BUSY is not among them: it stays until vCPUs leave the TD.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        self.is(Self::OPERAND_BUSY)
            || self.is(Self::OPERAND_BUSY_HOST_PRIORITY)
            || self.is(Self::RND_NO_ENTROPY)
    }

    /// The same for leaves that work on the whole system or make keys: [`Self::is_busy`], or
    /// such a leaf is running, or there was no entropy for a key. [ABI-H 3.5, 3.6]
    #[must_use]
    pub const fn is_system_busy(self) -> bool {
        self.is_busy() || self.is(Self::SYS_BUSY) || self.is(Self::KEY_GENERATION_FAILED)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.name()) {
            (Self::SEAMCALL_VMFAILINVALID, _) => f.write_str("SEAMCALL VMfailInvalid"),
            (Self::SEAMCALL_GP, _) => f.write_str("SEAMCALL raised #GP"),
            (Self::SEAMCALL_UD, _) => f.write_str("SEAMCALL raised #UD"),
            (_, Some(name)) if self.detail() == 0 => f.write_str(name),
            (_, Some(name)) => write!(f, "{name}|{:#x}", self.detail()),
            (_, None) => write!(f, "unknown status {:#018x}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} ({self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn the_values_linux_and_the_reference_name_are_exact() {
        assert_eq!(Status::OPERAND_INVALID.with_operand(Operand::Rcx).0, 0xC000_0100_0000_0001);
        assert_eq!(Status::OPERAND_BUSY.with_operand(Operand::Rtmr).0, 0x8000_0200_0000_00A8);
        assert_eq!(Status::NO_VALID_VE_INFO.0, 0xC000_0704_0000_0000);
        assert_eq!(Status::SEAMCALL_GP.0, 0x8000_FF00_0000_000D);
        assert_eq!(Status::SEAMCALL_UD.0, 0x8000_FF00_0000_0006);
    }

    #[test]
    fn every_status_has_a_name_and_no_two_share_a_value() {
        for (i, a) in Status::ALL.iter().enumerate() {
            assert!(a.name().is_some());
            assert!(Status::ALL[i + 1..].iter().all(|b| !a.is(*b)), "{a} twice");
        }
    }

    #[test]
    fn success_is_bit_63_and_not_zero() {
        assert!(Status::PAGE_ALREADY_ACCEPTED.with_detail(1).is_success());
        assert!(!Status::PAGE_SIZE_MISMATCH.is_success());
    }

    #[test]
    fn an_unknown_status_is_printed_with_its_number() {
        assert_eq!(
            format!("{}", Status(0xDEAD_0000_0000_0001)),
            "unknown status 0xdead000000000001"
        );
        assert_eq!(format!("{}", Status::OPERAND_INVALID.with_detail(2)), "OPERAND_INVALID|0x2");
    }
}
