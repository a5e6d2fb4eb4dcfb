//! VE_INFO: what TDG.VP.VEINFO.GET returns, and the formats inside it. [ABI-G 2.4, 5]

use core::fmt;

use bitfield_struct::bitfield;

use crate::Regs;

/// A VMX exit reason: open, because a newer module may use more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExitReason(pub u16);

macro_rules! exit_reasons {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl ExitReason {
            $(
                #[doc = $text]
                pub const $name: Self = Self($number);
            )*

            /// The name that [SDM3 C] gives the reason.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

exit_reasons! {
    NMI = 0, "NMI";
    EXTERNAL_INTERRUPT = 1, "external interrupt";
    TRIPLE_FAULT = 2, "triple fault";
    INIT = 3, "INIT";
    TASK_SWITCH = 9, "task switch";
    CPUID = 10, "CPUID";
    HLT = 12, "HLT";
    INVD = 13, "INVD";
    RDPMC = 15, "RDPMC";
    VMCALL = 18, "VMCALL";
    CR_ACCESS = 28, "CR access";
    IO = 30, "I/O";
    RDMSR = 31, "RDMSR";
    WRMSR = 32, "WRMSR";
    MWAIT = 36, "MWAIT";
    MONITOR = 39, "MONITOR";
    EPT_VIOLATION = 48, "EPT violation";
    EPT_MISCONFIGURATION = 49, "EPT misconfiguration";
    WBINVD = 54, "WBINVD";
    XSETBV = 55, "XSETBV";
    APIC_WRITE = 56, "APIC write";
    PCONFIG = 65, "PCONFIG";
    SEAMCALL = 76, "SEAMCALL";
    TDCALL = 77, "TDCALL";
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "exit reason {}", self.0),
        }
    }
}

impl fmt::Debug for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({self})", self.0)
    }
}

/// Bytes of a port access; the encoding is size - 1.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoWidth {
    /// One byte.
    Byte = 0,
    /// Two bytes.
    Word = 1,
    /// Four bytes.
    Dword = 3,
}

impl IoWidth {
    /// Number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u8 {
        self as u8 + 1
    }

    /// From a number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            _ => None,
        }
    }

    /// The bits of a register that an access of this width covers.
    #[must_use]
    pub const fn mask(self) -> u64 {
        const MASKS: &[u64; 4] = &[0xFF, 0xFFFF, 0, 0xFFFF_FFFF];
        MASKS[self as usize & 3]
    }
}

/// Exit qualification of reason 30. [ABI-G 5]
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct IoQualification {
    /// Size of the access minus one: 0, 1 or 3.
    #[bits(3)]
    pub size_minus_one: u8,
    /// 1 = IN.
    pub is_in: bool,
    /// INS or OUTS.
    pub is_string: bool,
    /// REP prefix.
    pub has_rep: bool,
    /// The port is an immediate (0: in DX).
    pub is_immediate: bool,
    #[bits(9)]
    _rsvd_7: u16,
    /// The port.
    pub port: u16,
    #[bits(32)]
    _rsvd_32: u32,
}

impl IoQualification {
    /// The width, unless the size field holds a value that no access has.
    #[must_use]
    pub const fn width(self) -> Option<IoWidth> {
        IoWidth::from_bytes(self.size_minus_one() as u64 + 1)
    }
}

/// Exit qualification of reason 48. [ABI-G 5]
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct EptQualification {
    /// Data read.
    pub read: bool,
    /// Data write.
    pub write: bool,
    /// Instruction fetch.
    pub fetch: bool,
    /// The EPT entry allows reads.
    pub entry_readable: bool,
    /// The EPT entry allows writes.
    pub entry_writable: bool,
    /// The EPT entry allows fetches.
    pub entry_executable: bool,
    /// The EPT entry allows user-mode fetches.
    pub entry_user_executable: bool,
    /// The guest linear address is valid.
    pub linear_valid: bool,
    /// The access was to the translated address (0: to a paging structure).
    pub translated: bool,
    /// The linear address is a user address.
    pub linear_user: bool,
    /// The linear address is writable.
    pub linear_writable: bool,
    /// The linear address is execute-disable.
    pub linear_no_execute: bool,
    /// NMIs were unblocked by an IRET.
    pub nmi_unblocked: bool,
    #[bits(51)]
    _rsvd_13: u64,
}

/// The virtualization exception's information, as TDG.VP.VEINFO.GET gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VeInfo {
    /// RCX bits 31:0, raw: bit 26 may say that a bus lock was preempted.
    pub raw_reason: u32,
    /// RDX: exit qualification.
    pub qualification: u64,
    /// R8: guest linear address (reason 48).
    pub linear_address: u64,
    /// R9: guest-physical address with the SHARED bit (reason 48).
    pub guest_physical_address: u64,
    /// R10 bits 31:0: bytes of the instruction; meaningless for reason 48.
    pub instruction_length: u32,
    /// R10 bits 63:32: instruction information (INS, OUTS).
    pub instruction_info: u32,
}

impl VeInfo {
    /// From the output registers of TDG.VP.VEINFO.GET.
    #[must_use]
    pub const fn from_regs(rcx: u64, rdx: u64, r8: u64, r9: u64, r10: u64) -> Self {
        Self {
            raw_reason: rcx as u32,
            qualification: rdx,
            linear_address: r8,
            guest_physical_address: r9,
            instruction_length: r10 as u32,
            instruction_info: (r10 >> 32) as u32,
        }
    }

    /// Puts the fields where TDG.VP.VEINFO.GET returns them.
    pub const fn to_regs(self, regs: &mut Regs) {
        regs.rcx = self.raw_reason as u64;
        regs.rdx = self.qualification;
        regs.r8 = self.linear_address;
        regs.r9 = self.guest_physical_address;
        regs.r10 = self.instruction_length as u64 | (self.instruction_info as u64) << 32;
    }

    /// The basic exit reason: bits 15:0. [ABI-G 16.9]
    #[must_use]
    pub const fn reason(&self) -> ExitReason {
        ExitReason(self.raw_reason as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_out_to_the_serial_port_has_the_manuals_bits() {
        // out dx, al with DX = 0x3f8
        let q = IoQualification::from_bits(0x03F8_0000);
        assert_eq!((q.port(), q.is_in(), q.width()), (0x3F8, false, Some(IoWidth::Byte)));
        // in eax, 0xcf
        let q = IoQualification::from_bits(0x00CF_004B);
        assert!(q.is_in() && q.is_immediate());
        assert_eq!((q.port(), q.width()), (0xCF, Some(IoWidth::Dword)));
        assert_eq!(IoQualification::from_bits(2).width(), None);
    }

    #[test]
    fn widths_have_masks() {
        assert_eq!(IoWidth::Byte.mask(), 0xFF);
        assert_eq!(IoWidth::Word.mask(), 0xFFFF);
        assert_eq!(IoWidth::Dword.mask(), 0xFFFF_FFFF);
    }

    #[test]
    fn ve_info_survives_the_registers() {
        let info = VeInfo {
            raw_reason: 30 | 1 << 26,
            qualification: 0x03F8_0000,
            linear_address: 1,
            guest_physical_address: 2,
            instruction_length: 3,
            instruction_info: 4,
        };
        let mut regs = Regs::default();
        info.to_regs(&mut regs);
        assert_eq!(VeInfo::from_regs(regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10), info);
        assert_eq!(info.reason(), ExitReason::IO);
    }
}
