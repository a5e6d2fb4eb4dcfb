//! Exit codes. [APM2 appendix C] Raw codes are parsed here and nowhere else.

use super::vmcb::Control;

/// Why a guest stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// A read of a control register, or SMSW: some QEMUs report every CRn read as CR0.
    /// [SVM B1.3]
    CrRead,
    /// MOV to CR0, CLTS or LMSW.
    Cr0Write,
    /// MOV to CR4.
    Cr4Write,
    /// MOV to CR8.
    Cr8Write,
    /// #UD.
    InvalidOpcode,
    /// A physical interrupt is pending.
    Interrupt,
    /// A physical NMI is pending.
    Nmi,
    /// A system-management interrupt is pending.
    Smi,
    /// INIT.
    Init,
    /// The guest can take an interrupt now.
    InterruptWindow,
    /// RDPMC.
    Rdpmc,
    /// CPUID.
    Cpuid,
    /// RSM.
    Rsm,
    /// HLT.
    Hlt,
    /// INVD, or WBINVD or WBNOINVD: some QEMUs report all as WBINVD. [SVM B2]
    CacheFlush,
    /// IN, OUT, INS, OUTS.
    Io,
    /// RDMSR.
    Rdmsr,
    /// WRMSR.
    Wrmsr,
    /// IRET.
    Iret,
    /// A task switch.
    TaskSwitch,
    /// Triple fault.
    Shutdown,
    /// VMRUN, VMMCALL and the other SVM instructions.
    SvmInstruction,
    /// MONITOR.
    Monitor,
    /// MWAIT.
    Mwait,
    /// XSETBV.
    Xsetbv,
    /// A nested page fault.
    NestedPageFault(NestedFault),
    /// Anything else, VMEXIT_INVALID included.
    Other(u64),
}

/// EXITINFO1 and EXITINFO2 of a nested page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NestedFault {
    /// Guest-physical address.
    pub gpa: u64,
    /// A write.
    pub write: bool,
    /// A fetch.
    pub fetch: bool,
    /// The access was to a guest paging structure.
    pub in_walk: bool,
}

impl Exit {
    /// Parses the exit in `control`.
    #[must_use]
    pub(super) fn parse(control: &Control) -> Self {
        let (info1, info2) = (control.exit_info1, control.exit_info2);
        match control.exit_code {
            0x00..=0x0F => Self::CrRead,
            0x10 => Self::Cr0Write,
            0x14 => Self::Cr4Write,
            0x18 => Self::Cr8Write,
            0x46 => Self::InvalidOpcode,
            0x60 => Self::Interrupt,
            0x61 => Self::Nmi,
            0x62 => Self::Smi,
            0x63 => Self::Init,
            0x64 => Self::InterruptWindow,
            0x6F => Self::Rdpmc,
            0x72 => Self::Cpuid,
            0x73 => Self::Rsm,
            0x74 => Self::Iret,
            0x76 | 0x89 => Self::CacheFlush,
            0x78 => Self::Hlt,
            0x7A | 0x80..=0x86 => Self::SvmInstruction,
            0x7B => Self::Io,
            0x7C if info1 == 0 => Self::Rdmsr,
            0x7C => Self::Wrmsr,
            0x7D => Self::TaskSwitch,
            0x7F => Self::Shutdown,
            0x8A => Self::Monitor,
            0x8B | 0x8C => Self::Mwait,
            0x8D => Self::Xsetbv,
            0x400 => Self::NestedPageFault(NestedFault {
                gpa: info2,
                write: info1 >> 1 & 1 == 1,
                fetch: info1 >> 4 & 1 == 1,
                in_walk: info1 >> 33 & 1 == 1,
            }),
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vmcb::Vmcb;
    use super::*;
    use zerocopy::FromZeros;

    fn parse(code: u64, info1: u64, info2: u64) -> Exit {
        let mut control = Vmcb::new_zeroed().control;
        (control.exit_code, control.exit_info1, control.exit_info2) = (code, info1, info2);
        Exit::parse(&control)
    }

    #[test]
    fn msr_exits_know_their_direction() {
        assert_eq!(parse(0x7C, 0, 0), Exit::Rdmsr);
        assert_eq!(parse(0x7C, 1, 0), Exit::Wrmsr);
    }

    #[test]
    fn a_nested_page_fault_says_what_was_tried() {
        let fetch = NestedFault { gpa: 0x1234, write: false, fetch: true, in_walk: false };
        assert_eq!(parse(0x400, 0x1_0000_0014, 0x1234), Exit::NestedPageFault(fetch));
        let walk = NestedFault { gpa: 8, write: true, fetch: false, in_walk: true };
        assert_eq!(parse(0x400, 0x2_0000_0006, 8), Exit::NestedPageFault(walk));
    }

    #[test]
    fn invalid_is_no_exit_in_either_width() {
        assert_eq!(parse(0xFFFF_FFFF, 0, 0), Exit::Other(0xFFFF_FFFF));
        assert_eq!(parse(u64::MAX, 0, 0), Exit::Other(u64::MAX));
    }
}
