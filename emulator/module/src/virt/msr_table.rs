//! The MSR table. [ABI-G 8]
//!
//! Rows stand in order of their indexes. An MSR in no row, in the bitmap's ranges or
//! out of them, gives #VE for both accesses.

use Access::{Apic, Emulated, Gp, Native, NativeIf, Ve, VeIf};
use Condition::{Cet, Lbr, PerfMetrics, Perfmon, Pks, ProcessorTrace, Shown, UserInterrupts};

use super::cpuid::Feature;
use super::cpuid::Feature::{Dca, Pconfig, Tme, TscDeadline, Tsx, Waitpkg, Xfd};

/// What an access to an MSR does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No exit: the CPU's register and the CPU's #GP rules.
    Native,
    /// No exit if the condition holds, else #GP(0).
    NativeIf(Condition),
    /// The module answers.
    Emulated,
    /// The virtual x2APIC answers.
    Apic,
    /// #VE.
    Ve,
    /// #VE if the condition holds, else #GP(0).
    VeIf(Condition),
    /// #GP(0).
    Gp,
}

/// What the TD must have been given for an MSR to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// ATTRIBUTES.PERFMON.
    Perfmon,
    /// ATTRIBUTES.PERFMON, and IA32_PERF_CAPABILITIES has PERF_METRICS.
    PerfMetrics,
    /// ATTRIBUTES.PKS.
    Pks,
    /// XFAM has processor trace.
    ProcessorTrace,
    /// XFAM has CET.
    Cet,
    /// XFAM has user interrupts.
    UserInterrupts,
    /// XFAM has last-branch records.
    Lbr,
    /// CPUID shows the feature.
    Shown(Feature),
}

/// A row: MSRs `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// First index.
    pub first: u32,
    /// Last index.
    pub last: u32,
    /// RDMSR.
    pub read: Access,
    /// WRMSR.
    pub write: Access,
}

const fn row(first: u32, last: u32, read: Access, write: Access) -> Row {
    Row { first, last, read, write }
}

const fn both(first: u32, last: u32, access: Access) -> Row {
    row(first, last, access, access)
}

/// The table, in order of indexes.
pub const TABLE: [Row; 62] = [
    row(0x10, 0x10, Native, Ve),                     // TSC
    both(0x48, 0x49, Native),                        // SPEC_CTRL, PRED_CMD
    both(0x87, 0x87, VeIf(Shown(Pconfig))),          // MKTME_PARTITIONING
    both(0x8c, 0x8f, Gp),                            // SGXLEPUBKEYHASH
    both(0x98, 0x9b, Gp),                            // WBINVDP … SMM_MONITOR_CTL
    both(0x9e, 0x9e, Gp),                            // SMBASE
    row(0xbc, 0xbc, Native, Ve),                     // MISC_PACKAGE_CTLS
    row(0xbd, 0xbd, Emulated, Native),               // XAPIC_DISABLE_STATUS
    both(0xc1, 0xc8, NativeIf(Perfmon)),             // PMCx
    both(0xe1, 0xe1, NativeIf(Shown(Waitpkg))),      // UMWAIT_CONTROL
    row(0x10a, 0x10a, Emulated, Native),             // ARCH_CAPABILITIES
    both(0x10b, 0x10b, Native),                      // FLUSH_CMD
    both(0x122, 0x122, NativeIf(Shown(Tsx))),        // TSX_CTRL
    both(0x174, 0x176, Native),                      // SYSENTER_*
    both(0x186, 0x18d, NativeIf(Perfmon)),           // PERFEVTSELx
    both(0x195, 0x195, Gp),                          // OVERCLOCKING_STATUS
    row(0x1a0, 0x1a0, Emulated, Ve),                 // MISC_ENABLE
    both(0x1a6, 0x1a7, NativeIf(Perfmon)),           // OFFCORE_RSPx
    both(0x1c4, 0x1c5, NativeIf(Shown(Xfd))),        // XFD, XFD_ERR
    both(0x1d9, 0x1d9, Emulated),                    // DEBUGCTL
    both(0x1f8, 0x1fa, VeIf(Shown(Dca))),            // DCA_CAP
    both(0x276, 0x276, Gp),                          // SLAM_ENABLE
    both(0x277, 0x277, Native),                      // PAT
    both(0x309, 0x310, NativeIf(Perfmon)),           // FIXED_CTRx
    both(0x329, 0x329, NativeIf(PerfMetrics)),       // PERF_METRICS
    row(0x345, 0x345, Emulated, NativeIf(Perfmon)),  // PERF_CAPABILITIES
    both(0x38d, 0x392, NativeIf(Perfmon)),           // FIXED_CTR_CTRL, GLOBAL_*
    both(0x3f1, 0x3f2, NativeIf(Perfmon)),           // PEBS_ENABLE, MATRIX_VECT
    both(0x3f6, 0x3f7, NativeIf(Perfmon)),           // LD_LATENCY, FRONTEND
    row(0x480, 0x480, Emulated, Gp),                 // VMX_BASIC
    row(0x481, 0x484, Ve, Gp),                       // VMX controls, not TRUE
    row(0x485, 0x489, Emulated, Gp),                 // VMX_MISC, CR0/4_FIXED
    row(0x48a, 0x48a, Ve, Gp),                       // VMX_VMCS_ENUM
    row(0x48b, 0x492, Emulated, Gp),                 // VMX_PROCBASED2 … PROCBASED3
    both(0x4c1, 0x4c8, NativeIf(Perfmon)),           // A_PMCx
    both(0x500, 0x500, Gp),                          // SGX_SVN_STATUS
    both(0x560, 0x561, NativeIf(ProcessorTrace)),    // RTIT_OUTPUT_*
    both(0x570, 0x572, NativeIf(ProcessorTrace)),    // RTIT_CTL, STATUS, CR3_MATCH
    both(0x580, 0x587, NativeIf(ProcessorTrace)),    // RTIT_ADDRx
    both(0x600, 0x600, Native),                      // DS_AREA
    both(0x6a0, 0x6a0, NativeIf(Cet)),               // U_CET
    both(0x6a2, 0x6a2, NativeIf(Cet)),               // S_CET
    both(0x6a4, 0x6a8, NativeIf(Cet)),               // PLx_SSP, INT_SSP_TABLE
    both(0x6e0, 0x6e0, VeIf(Shown(TscDeadline))),    // TSC_DEADLINE
    both(0x6e1, 0x6e1, NativeIf(Pks)),               // PKRS
    both(0x800, 0x8ff, Apic),                        // x2APIC
    both(0x981, 0x984, VeIf(Shown(Tme))),            // TME_*
    both(0x985, 0x98a, NativeIf(UserInterrupts)),    // UINTR_*
    row(0xc80, 0xc80, Native, Ve),                   // DEBUG_INTERFACE
    both(0xd90, 0xd90, Gp),                          // BNDCFGS
    both(0xd93, 0xd93, Gp),                          // PASID
    row(0xda0, 0xda0, Native, Emulated),             // XSS
    both(0x1200, 0x12ff, NativeIf(Lbr)),             // LBR_INFO
    both(0x14ce, 0x14cf, NativeIf(Lbr)),             // LBR_CTL, LBR_DEPTH
    both(0x1500, 0x15ff, NativeIf(Lbr)),             // LBR_FROM
    both(0x1600, 0x16ff, NativeIf(Lbr)),             // LBR_TO
    both(0x1b01, 0x1b01, Native),                    // UARCH_MISC_CTL
    row(0xc000_0080, 0xc000_0080, Native, Emulated), // EFER
    both(0xc000_0081, 0xc000_0082, Native),          // STAR, LSTAR
    both(0xc000_0084, 0xc000_0084, Native),          // FMASK
    both(0xc000_0100, 0xc000_0102, Native),          // FS_BASE, GS_BASE, KERNEL_GS_BASE
    both(0xc000_0103, 0xc000_0103, Native),          // TSC_AUX
];

/// The accesses of an MSR: RDMSR, WRMSR.
pub fn find(index: u32) -> (Access, Access) {
    let after = TABLE.partition_point(|row| row.first <= index);
    match after.checked_sub(1).and_then(|at| TABLE.get(at)) {
        Some(row) if index <= row.last => (row.read, row.write),
        _ => (Ve, Ve),
    }
}
