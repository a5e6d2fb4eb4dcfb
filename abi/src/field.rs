//! Metadata field identifiers. [ABI-G 12], [ABI-H 4.4-4.7]

/// A metadata field id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldId(pub u64);

impl FieldId {
    /// All ones: asks for the first field. [ABI-H 4.4]
    pub const NULL: Self = Self(u64::MAX);

    /// Bits that identify a field for single-element access: class and code.
    const IDENTITY: u64 = 0x3F << 56 | 0xFF_FFFF;
    /// Bits that must be zero for single-element access.
    const MUST_BE_ZERO: u64 = 0xFF << 24 | 0xF << 34 | 0x1FF << 38 | 7 << 47 | 1 << 55 | 1 << 62;

    /// Whether this is the null id; the context bits 54:52 do not count.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 | 7 << 52 == u64::MAX
    }

    /// Whether the bits that must be zero are zero.
    #[must_use]
    pub const fn is_well_formed(self) -> bool {
        self.0 & Self::MUST_BE_ZERO == 0
    }

    /// Whether both name the same field: element size, context and the
    /// non-architectural bit do not count. [ABI-G 2.8]
    #[must_use]
    pub const fn same_field(self, other: Self) -> bool {
        self.0 & Self::IDENTITY == other.0 & Self::IDENTITY
    }

    /// The element index of `self` in the field that starts at `base` and has
    /// `elements` elements.
    #[must_use]
    pub const fn element_of(self, base: Self, elements: u32) -> Option<u32> {
        let class = 0x3F << 56;
        let (code, first) = (self.0 & 0xFF_FFFF, base.0 & 0xFF_FFFF);
        if self.0 & class != base.0 & class || code < first || code - first >= elements as u64 {
            return None;
        }
        Some((code - first) as u32)
    }

    /// Element `index` of the field.
    #[must_use]
    pub const fn element(self, index: u32) -> Self {
        Self(self.0.wrapping_add(index as u64))
    }
}

/// Global fields. [ABI-H 4.5]
pub mod sys {
    #![expect(missing_docs, reason = "the constant is the field's name in the specification")]
    use super::FieldId;
    pub const VENDOR_ID: FieldId = FieldId(0x0800_0002_0000_0000);
    pub const BUILD_DATE: FieldId = FieldId(0x8800_0002_0000_0001);
    pub const BUILD_NUM: FieldId = FieldId(0x8800_0001_0000_0002);
    pub const MINOR_VERSION: FieldId = FieldId(0x0800_0001_0000_0003);
    pub const MAJOR_VERSION: FieldId = FieldId(0x0800_0001_0000_0004);
    pub const UPDATE_VERSION: FieldId = FieldId(0x0800_0001_0000_0005);
    pub const TDX_FEATURES0: FieldId = FieldId(0x0A00_0003_0000_0008);
    pub const NUM_CMRS: FieldId = FieldId(0x9000_0001_0000_0000);
    pub const CMR_BASE: FieldId = FieldId(0x9000_0003_0000_0080);
    pub const CMR_SIZE: FieldId = FieldId(0x9000_0003_0000_0100);
    pub const MAX_TDMRS: FieldId = FieldId(0x9100_0001_0000_0008);
    pub const MAX_RESERVED_PER_TDMR: FieldId = FieldId(0x9100_0001_0000_0009);
    pub const PAMT_4K_ENTRY_SIZE: FieldId = FieldId(0x9100_0001_0000_0010);
    pub const PAMT_2M_ENTRY_SIZE: FieldId = FieldId(0x9100_0001_0000_0011);
    pub const PAMT_1G_ENTRY_SIZE: FieldId = FieldId(0x9100_0001_0000_0012);
    pub const TDR_BASE_SIZE: FieldId = FieldId(0x9800_0001_0000_0000);
    pub const TDCS_BASE_SIZE: FieldId = FieldId(0x9800_0001_0000_0100);
    pub const TDVPS_BASE_SIZE: FieldId = FieldId(0x9800_0001_0000_0200);
    pub const ATTRIBUTES_FIXED0: FieldId = FieldId(0x1900_0003_0000_0000);
    pub const ATTRIBUTES_FIXED1: FieldId = FieldId(0x1900_0003_0000_0001);
    pub const XFAM_FIXED0: FieldId = FieldId(0x1900_0003_0000_0002);
    pub const XFAM_FIXED1: FieldId = FieldId(0x1900_0003_0000_0003);
    pub const NUM_CPUID_CONFIG: FieldId = FieldId(0x9900_0001_0000_0004);
    pub const CONFIG_FLAGS_FIXED0: FieldId = FieldId(0x9900_0003_0000_0006);
    pub const CONFIG_FLAGS_FIXED1: FieldId = FieldId(0x9900_0003_0000_0007);
    pub const MAX_VCPUS_PER_TD: FieldId = FieldId(0x9900_0001_0000_0008);
    pub const CPUID_CONFIG_LEAVES: FieldId = FieldId(0x9900_0003_0000_0400);
    pub const CPUID_CONFIG_VALUES: FieldId = FieldId(0x9900_0003_0000_0500);
}

/// TD fields. [ABI-G 12], [ABI-H 4.6]
pub mod td {
    #![expect(missing_docs, reason = "the constant is the field's name in the specification")]
    use super::FieldId;
    pub const FATAL: FieldId = FieldId(0x8010_0000_0000_0001);
    pub const NUM_TDCX: FieldId = FieldId(0x8010_0002_0000_0002);
    pub const CHLDCNT: FieldId = FieldId(0x8010_0003_0000_0004);
    pub const LIFECYCLE_STATE: FieldId = FieldId(0x8010_0002_0000_0005);
    pub const TDCX_PA: FieldId = FieldId(0x8010_0003_0000_0010);
    pub const TD_UUID: FieldId = FieldId(0x8010_0003_0000_0020);
    pub const HKID: FieldId = FieldId(0x8110_0001_0000_0001);
    pub const NUM_VCPUS: FieldId = FieldId(0x9010_0002_0000_0001);
    pub const NUM_ASSOC_VCPUS: FieldId = FieldId(0x9010_0002_0000_0002);
    pub const OP_STATE: FieldId = FieldId(0x9010_0002_0000_0004);
    pub const NUM_L2_VMS: FieldId = FieldId(0x9010_0001_0000_0005);
    pub const ATTRIBUTES: FieldId = FieldId(0x1110_0003_0000_0000);
    pub const XFAM: FieldId = FieldId(0x1110_0003_0000_0001);
    pub const MAX_VCPUS: FieldId = FieldId(0x1110_0002_0000_0002);
    pub const GPAW: FieldId = FieldId(0x1110_0000_0000_0003);
    pub const EPTP: FieldId = FieldId(0x1110_0003_0000_0004);
    pub const TSC_OFFSET: FieldId = FieldId(0x1110_0003_0000_000A);
    pub const TSC_MULTIPLIER: FieldId = FieldId(0x1110_0003_0000_000B);
    pub const TSC_FREQUENCY: FieldId = FieldId(0x1110_0001_0000_000C);
    pub const NOTIFY_ENABLES: FieldId = FieldId(0x9110_0003_0000_0010);
    pub const HP_LOCK_TIMEOUT: FieldId = FieldId(0x9110_0003_0000_0011);
    pub const CONFIG_FLAGS: FieldId = FieldId(0x1110_0003_0000_0016);
    pub const TD_CTLS: FieldId = FieldId(0x1110_0003_0000_0017);
    pub const MRTD: FieldId = FieldId(0x1310_0003_0000_0000);
    pub const MRCONFIGID: FieldId = FieldId(0x1310_0003_0000_0010);
    pub const MROWNER: FieldId = FieldId(0x1310_0003_0000_0018);
    pub const MROWNERCONFIG: FieldId = FieldId(0x1310_0003_0000_0020);
    pub const RTMR: FieldId = FieldId(0x1310_0003_0000_0040);
    pub const TD_EPOCH: FieldId = FieldId(0x9210_0003_0000_0000);
    pub const REFCOUNT: FieldId = FieldId(0x9210_0001_0000_0001);
}

/// vCPU fields. [ABI-G 12], [ABI-H 4.7]
pub mod vp {
    #![expect(missing_docs, reason = "the constant is the field's name in the specification")]
    use super::FieldId;
    pub const POSTED_INTR_NV: FieldId = FieldId(0x0024_0001_0000_0002);
    pub const POSTED_INTR_DESC: FieldId = FieldId(0x0024_0003_0000_2016);
    pub const SHARED_EPTP: FieldId = FieldId(0x0024_0003_0000_203C);
    pub const PIN_BASED_CONTROLS: FieldId = FieldId(0x0024_0002_0000_4000);
    pub const SECONDARY_CONTROLS: FieldId = FieldId(0x0024_0002_0000_401E);
    pub const NOTIFY_WINDOW: FieldId = FieldId(0x0024_0002_0000_4024);
    pub const VCPU_INDEX: FieldId = FieldId(0xA020_0002_0000_0002);
    pub const ASSOC_LPID: FieldId = FieldId(0xA020_0002_0000_0004);
    pub const VCPU_EPOCH: FieldId = FieldId(0xA020_0003_0000_0006);
    pub const CPUID_SUPERVISOR_VE: FieldId = FieldId(0xA020_0000_0000_0007);
    pub const CPUID_USER_VE: FieldId = FieldId(0xA020_0000_0000_0008);
    pub const PEND_NMI: FieldId = FieldId(0x2020_0000_0000_000B);
    pub const TDVPS_PAGE_PA: FieldId = FieldId(0xA020_0003_0000_0010);
    pub const VCPU_STATE_DETAILS: FieldId = FieldId(0x9120_0003_0000_0100);
    pub const CPUID_CONTROL: FieldId = FieldId(0xA120_0000_0000_0000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_names_notify_enables_without_size_and_context() {
        assert!(FieldId(0x9100_0000_0000_0010).same_field(td::NOTIFY_ENABLES));
        assert!(!FieldId(0x9100_0000_0000_0011).same_field(td::NOTIFY_ENABLES));
    }

    #[test]
    fn the_null_id_ignores_the_context() {
        assert!(FieldId::NULL.is_null());
        assert!(FieldId(u64::MAX & !(7 << 52)).is_null());
        assert!(!td::MRTD.is_null());
    }

    #[test]
    fn elements_are_counted_from_the_base() {
        assert_eq!(td::MRTD.element(5).element_of(td::MRTD, 6), Some(5));
        assert_eq!(td::MRTD.element(6).element_of(td::MRTD, 6), None);
        assert_eq!(td::ATTRIBUTES.element_of(td::MRTD, 6), None);
    }

    #[test]
    fn reserved_bits_spoil_an_id() {
        assert!(td::TD_CTLS.is_well_formed());
        assert!(!FieldId(td::TD_CTLS.0 | 1 << 24).is_well_formed());
        assert!(!FieldId(td::TD_CTLS.0 | 1 << 38).is_well_formed());
    }
}
