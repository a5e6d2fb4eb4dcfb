//! The general-purpose registers, in the order every TDX register mask uses.

use core::ops::{Index, IndexMut};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The sixteen general-purpose registers in x86 register-number order, so that
/// bit *n* of a VP.VMCALL mask names field *n*. [ABI-G 4]
///
/// The assembly of the world switch and of the call template addresses the
/// fields by `offset_of!`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[expect(missing_docs, reason = "the field is the register")]
pub struct Regs {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}

const _: () = assert!(size_of::<Regs>() == 16 * 8);

/// The registers that TDH.VP.ENTER hands over: [`Regs`] and XMM0-15, of which a TD may expose
/// any in a VP.VMCALL. [ABI-G 4]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterFile {
    /// The general-purpose registers; the file starts with them.
    pub gprs: Regs,
    /// XMM0-15.
    pub xmm: [u128; 16],
}

const _: () = assert!(core::mem::offset_of!(RegisterFile, gprs) == 0);
const _: () = assert!(align_of::<RegisterFile>() == 16);

/// A general-purpose register, numbered as instructions number it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variant is the register")]
pub enum Gpr {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rbx = 3,
    Rsp = 4,
    Rbp = 5,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    R12 = 12,
    R13 = 13,
    R14 = 14,
    R15 = 15,
}

impl Gpr {
    /// All registers in number order.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The register with this number; only the low four bits count.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        Self::ALL[(number & 15) as usize]
    }

    /// The register's bit in a VP.VMCALL mask. [ABI-G 4]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl Index<Gpr> for Regs {
    type Output = u64;

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a register's number is below 16")]
    fn index(&self, gpr: Gpr) -> &u64 {
        let all: &[u64; 16] = zerocopy::transmute_ref!(self);
        &all[gpr as usize]
    }
}

impl IndexMut<Gpr> for Regs {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a register's number is below 16")]
    fn index_mut(&mut self, gpr: Gpr) -> &mut u64 {
        let all: &mut [u64; 16] = zerocopy::transmute_mut!(self);
        &mut all[gpr as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_number_selects_the_field_at_its_place() {
        let mut regs = Regs::default();
        for (number, gpr) in Gpr::ALL.into_iter().enumerate() {
            assert_eq!(gpr as usize, number);
            assert_eq!(Gpr::from_number(gpr as u8), gpr);
            regs[gpr] = 100 + number as u64;
        }
        assert_eq!((regs.rax, regs.rdx, regs.rbx, regs.r15), (100, 102, 103, 115));
    }
}
