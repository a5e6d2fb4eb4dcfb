//! TD configuration bits. [ABI-G 12], [ABI-H 4.2]

use bitflags::bitflags;

bitflags! {
    /// ATTRIBUTES: fixed at TDH.MNG.INIT, reported in the TDREPORT.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Attributes: u64 {
        /// The host may read and change the TD.
        const DEBUG = 1 << 0;
        /// Initial value of TD_CTLS.PENDING_VE_DISABLE.
        const SEPT_VE_DISABLE = 1 << 28;
        /// The TD may be migrated.
        const MIGRATABLE = 1 << 29;
        /// Supervisor protection keys.
        const PKS = 1 << 30;
        /// Key locker.
        const KL = 1 << 31;
        /// Performance monitoring.
        const PERFMON = 1 << 63;
    }
}

bitflags! {
    /// XFAM: extended features of the TD, in the layout of XCR0 | IA32_XSS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Xfam: u64 {
        /// x87, always set.
        const X87 = 1 << 0;
        /// SSE, always set.
        const SSE = 1 << 1;
        /// AVX.
        const AVX = 1 << 2;
        /// AVX-512: bits 5, 6 and 7 together.
        const AVX512 = 7 << 5;
        /// Processor trace.
        const PT = 1 << 8;
        /// Protection keys.
        const PKRU = 1 << 9;
        /// Control-flow enforcement: bits 11 and 12 together.
        const CET = 3 << 11;
        /// User interrupts.
        const UINTR = 1 << 14;
        /// Last-branch records.
        const LBR = 1 << 15;
        /// AMX: bits 17 and 18 together.
        const AMX = 3 << 17;
    }
}

bitflags! {
    /// CONFIG_FLAGS of TD_PARAMS: not measured.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConfigFlags: u64 {
        /// GPA width 52 (0: 48).
        const GPAW_52 = 1 << 0;
        /// The guest may change TD_CTLS.PENDING_VE_DISABLE.
        const FLEXIBLE_PENDING_VE = 1 << 1;
        /// RBP is not passed by VP.VMCALL and not changed by VP.ENTER.
        const NO_RBP_MOD = 1 << 2;
    }
}

bitflags! {
    /// TD_CTLS: run-time controls of the guest.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TdCtls: u64 {
        /// Access to a pending page exits to the VMM (0: #VE).
        const PENDING_VE_DISABLE = 1 << 0;
    }
}

bitflags! {
    /// When CPUID raises #VE whatever its leaf: TDG.VP.CPUIDVE.SET. [ABI-G 2.6]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CpuidVe: u64 {
        /// At CPL 0.
        const SUPERVISOR = 1 << 0;
        /// At CPL 1-3.
        const USER = 1 << 1;
    }
}
