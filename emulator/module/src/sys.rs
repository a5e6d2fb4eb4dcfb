//! The platform as the module reports it, and the module's own life. [ABI-H 3.3, 4.5]
//!
//! The numbers are those of module 1.5.01 without perfmon and PKS, plus three things that
//! later modules have and today's Linux needs: VP.INIT version 1, TDX_FEATURES0 bit 20
//! and MAX_VCPUS_PER_TD.
//!
//! TDX_FEATURES0 is what 1.5.01 on a CPU with local attestation says. Of that, this
//! emulator leaves out migration, TD preserving, service TDs and nested VMs: the VMM's
//! leaves for them answer as unsupported ones, so that a TD never has them.

/// Width of a host-physical address, HKID bits included.
pub(crate) const MAX_PA_BITS: u32 = 52;
/// Bits of a host-physical address that carry the HKID: the top ones.
pub(crate) const HKID_BITS: u32 = 6;
/// Lowest HKID bit of a host-physical address.
pub(crate) const HKID_SHIFT: u32 = MAX_PA_BITS - HKID_BITS;
/// HKIDs that exist.
pub(crate) const HKIDS: usize = 1 << HKID_BITS;
/// The first HKID that only TDs may use; the ones below are the VMM's.
pub(crate) const FIRST_PRIVATE_HKID: u16 = 32;

/// IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) as the VMM reads it: shared keys beside
/// key 0 in bits 31:0, private keys in bits 63:32.
pub const KEYID_PARTITIONING: u64 =
    (FIRST_PRIVATE_HKID as u64 - 1) | (HKIDS as u64 - FIRST_PRIVATE_HKID as u64) << 32;

/// The one version of handoff data that SYS.SHUTDOWN can prepare: the newest, the oldest
/// and the only one that 1.5.01 knows.
pub(crate) const HANDOFF_VERSION: u64 = 0;

/// IA32_TSC_ADJUST: changed since SYS.INIT, it would make time of a TD jump.
pub(crate) const MSR_TSC_ADJUST: u32 = 0x3B;
/// IA32_MISC_ENABLE.
pub(crate) const MSR_MISC_ENABLE: u32 = 0x1A0;
/// IA32_MISC_ENABLE: MONITOR and MWAIT work.
pub(crate) const MISC_ENABLE_MONITOR: u64 = 1 << 18;
/// IA32_MISC_ENABLE: CPUID ends at leaf 2.
pub(crate) const MISC_ENABLE_BOOT_NT4: u64 = 1 << 22;

/// The one logical processor.
pub(crate) const LP: u32 = 0;

/// ATTRIBUTES bits that may be 1: DEBUG and SEPT_VE_DISABLE. [ABI-H 4.2]
pub(crate) const ATTRIBUTES_FIXED0: u64 = 1 << 28 | 1;
/// XFAM bits that must be 1: x87 and SSE.
pub(crate) const XFAM_FIXED1: u64 = 3;
/// XFAM bits that module 1.5.01 knows.
pub(crate) const XFAM_KNOWN: u64 = 0x6_DBE7;
/// CONFIG_FLAGS bits that may be 1.
pub(crate) const CONFIG_FLAGS_FIXED0: u64 = 7;
/// TD_CTLS bits that the guest may write.
pub(crate) const TD_CTLS_WRITABLE: u64 = 1;

/// TDX_FEATURES0 of 1.5.01: migration (0), TD preserving (1), service TDs (2), TDG.VP.RD
/// and WR (3), relaxed memory concurrency (4), CPUID guest control (5), partitioning (7),
/// local attestation (8), TD entry enhancements (9), host-priority locks (10),
/// ARCH_CAPABILITIES configuration (11), PENDING EPT violation v2 (16), FMS configuration
/// (17), NO_RBP_MOD (18), L2 TLB invalidation (19). [ABI-G 12]
const FEATURES0_1_5_01: u64 = 0xF_0FBF;
/// TDX_FEATURES0, with bit 20, ENUM_TOPOLOGY, which 1.5.01 does not have.
pub(crate) const FEATURES0: u64 = FEATURES0_1_5_01 | 1 << 20;

/// Most vCPUs of a TD: what TD_PARAMS can say. Newer than 1.5.01.
pub(crate) const MAX_VCPUS_PER_TD: u16 = u16::MAX;
/// TDCS pages of a TD without nested guests.
pub(crate) const TDCS_PAGES: u32 = 6;
/// TDCS pages that TDH.MNG.ADDCX takes.
pub(crate) const TDCS_PAGES_MAX: u32 = 9;
/// TDVPS pages that TDH.VP.ADDCX takes, TDVPR included.
pub(crate) const TDVPS_PAGES_MAX: u32 = 15;

/// System state, in the order in which the states follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SysState {
    /// Nothing done yet.
    Pending,
    /// After SYS.INIT.
    InitDone,
    /// After SYS.CONFIG.
    ConfigDone,
    /// After SYS.KEY.CONFIG on the last package: every leaf works.
    Ready,
    /// After SYS.SHUTDOWN: no leaf but SYS.LP.SHUTDOWN works, for ever.
    Shutdown,
}
