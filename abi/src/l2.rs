//! TD partitioning: operands of TDG.VP.ENTER, .INVEPT and .INVVPID. [ABI-G 2.14]

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{PrivateGpa, Regs};

/// A nested VM of the TD, numbered from 1.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L2Vm {
    /// VM 1.
    Vm1 = 1,
    /// VM 2.
    Vm2 = 2,
    /// VM 3.
    Vm3 = 3,
}

impl L2Vm {
    /// The VM field of an operand: bits 53:52.
    #[must_use]
    pub const fn operand(self) -> u64 {
        (self as u64) << 52
    }
}

/// What TDG.VP.ENTER forgets of the VM's translations first: RCX bits 1:0.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L2Invalidation {
    /// Nothing.
    #[default]
    None = 0,
    /// TLB and paging-structure caches.
    All = 1,
    /// The TLB.
    Tlb = 2,
    /// The TLB without global translations.
    TlbNotGlobal = 3,
}

/// The state that TDG.VP.ENTER loads and stores: in private memory, 256-aligned.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct L2GuestState {
    /// General-purpose registers.
    pub regs: Regs,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    /// Shadow-stack pointer.
    pub ssp: u64,
    /// RVI in bits 7:0, SVI in bits 15:8.
    pub interrupt_status: u16,
    /// Zero.
    pub _rsvd_09a: [u8; 6],
}

const _: () = assert!(offset_of!(L2GuestState, rflags) == 128);
const _: () = assert!(offset_of!(L2GuestState, interrupt_status) == 152);

/// What TDG.VP.INVVPID is to forget: RCX bit 0 and RDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearAddresses {
    /// Pages in a row.
    Pages {
        /// Address of the first, page aligned.
        first: u64,
        /// How many follow it, 0 to 511 (bits 11:0 of the operand).
        following: u16,
    },
    /// A page of such operands.
    List {
        /// The page, in private memory.
        list: PrivateGpa,
        /// The first entry to process, below 512.
        first: u16,
        /// How many entries, at most 512.
        entries: u16,
    },
}

impl LinearAddresses {
    /// RCX bit 0 and RDX.
    #[must_use]
    pub const fn operands(self) -> (u64, u64) {
        match self {
            Self::Pages { first, following } => (0, first & !0xFFF | following as u64 & 0xFFF),
            Self::List { list, first, entries } => {
                let page = list.bits() & 0x000F_FFFF_FFFF_F000;
                (1, page | first as u64 & 0x1FF | (entries as u64 & 0x3FF) << 52)
            }
        }
    }
}

/// An exit of a nested VM: the registers that TDG.VP.ENTER returns beside RAX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Exit {
    /// RCX: exit qualification.
    pub qualification: u64,
    /// RDX: guest linear address.
    pub linear_address: u64,
    /// RSI bits 15:0: CS selector.
    pub cs_selector: u16,
    /// RSI bits 31:16: CS access rights.
    pub cs_access_rights: u16,
    /// RSI bits 63:32: CS limit.
    pub cs_limit: u32,
    /// RDI: CS base.
    pub cs_base: u64,
    /// R8: guest-physical address.
    pub guest_physical_address: u64,
    /// R9 bits 31:0: VM-exit interruption information.
    pub interruption_info: u32,
    /// R9 bits 63:32: its error code.
    pub interruption_error: u32,
    /// R10 bits 31:0: IDT-vectoring information.
    pub vectoring_info: u32,
    /// R10 bits 63:32: its error code.
    pub vectoring_error: u32,
    /// R11 bits 31:0: instruction information.
    pub instruction_info: u32,
    /// R11 bits 63:32: bytes of the instruction.
    pub instruction_length: u32,
    /// R12 bits 1:0: current privilege level.
    pub cpl: u8,
    /// R13: extended exit qualification.
    pub extended_qualification: u64,
}

impl L2Exit {
    /// From the registers after TDG.VP.ENTER.
    #[must_use]
    pub const fn from_regs(regs: &Regs) -> Self {
        Self {
            qualification: regs.rcx,
            linear_address: regs.rdx,
            cs_selector: regs.rsi as u16,
            cs_access_rights: (regs.rsi >> 16) as u16,
            cs_limit: (regs.rsi >> 32) as u32,
            cs_base: regs.rdi,
            guest_physical_address: regs.r8,
            interruption_info: regs.r9 as u32,
            interruption_error: (regs.r9 >> 32) as u32,
            vectoring_info: regs.r10 as u32,
            vectoring_error: (regs.r10 >> 32) as u32,
            instruction_info: regs.r11 as u32,
            instruction_length: (regs.r11 >> 32) as u32,
            cpl: regs.r12 as u8 & 3,
            extended_qualification: regs.r13,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_operands_have_the_modules_bits() {
        let pages = LinearAddresses::Pages { first: 0xFFFF_8000_0000_1000, following: 2 };
        assert_eq!(pages.operands(), (0, 0xFFFF_8000_0000_1002));
        let list = LinearAddresses::List { list: PrivateGpa::new(0x5000), first: 3, entries: 512 };
        assert_eq!(list.operands(), (1, 512 << 52 | 0x5003));
        assert_eq!(L2Vm::Vm3.operand(), 3 << 52);
    }

    #[test]
    fn an_exit_is_cut_into_its_fields() {
        let regs = Regs { rsi: 0xFFFF_FFFF_A09B_0010, r11: 3 << 32 | 7, r12: 3, ..Regs::default() };
        let exit = L2Exit::from_regs(&regs);
        assert_eq!((exit.cs_selector, exit.cs_access_rights), (0x10, 0xA09B));
        assert_eq!((exit.instruction_length, exit.instruction_info, exit.cpl), (3, 7, 3));
    }
}
