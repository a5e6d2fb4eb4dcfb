//! GPA attributes: TDG.MEM.PAGE.ATTR.RD and .WR. [ABI-G 2.13]

use bitflags::bitflags;

use crate::PageLevel;

bitflags! {
    /// What one VM of the TD may do with a page. All bits count only if VALID is set.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PageAttributes: u16 {
        /// Read.
        const READ = 1 << 0;
        /// Write.
        const WRITE = 1 << 1;
        /// Execute in supervisor mode.
        const EXECUTE_SUPERVISOR = 1 << 2;
        /// Execute in user mode.
        const EXECUTE_USER = 1 << 3;
        /// Verify guest paging.
        const VERIFY_GUEST_PAGING = 1 << 4;
        /// Paging-write access.
        const PAGING_WRITE_ACCESS = 1 << 5;
        /// Supervisor shadow stack.
        const SUPERVISOR_SHADOW_STACK = 1 << 6;
        /// Suppress #VE.
        const SUPPRESS_VE = 1 << 7;
        /// The other bits mean something. As a mask of ATTR.WR: invalidate translations.
        const VALID = 1 << 15;
    }
}

/// The attributes of a page for the TD itself (L1, always empty) and its nested VMs 1-3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmAttributes(pub [PageAttributes; 4]);

impl VmAttributes {
    /// From the register: VM *n* in bits 16 * *n* and up.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self([
            PageAttributes::from_bits_retain(bits as u16),
            PageAttributes::from_bits_retain((bits >> 16) as u16),
            PageAttributes::from_bits_retain((bits >> 32) as u16),
            PageAttributes::from_bits_retain((bits >> 48) as u16),
        ])
    }

    /// The register.
    #[must_use]
    pub const fn bits(self) -> u64 {
        let [l1, vm1, vm2, vm3] = self.0;
        l1.bits() as u64
            | (vm1.bits() as u64) << 16
            | (vm2.bits() as u64) << 32
            | (vm3.bits() as u64) << 48
    }
}

/// How a private page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMapping {
    /// RCX bits 51:12: the address, aligned to the level.
    pub address: u64,
    /// RCX bits 2:0, unless it is a number that no leaf entry has.
    pub level: Option<PageLevel>,
    /// RCX bit 62: the page is not accepted yet.
    pub pending: bool,
    /// RDX.
    pub attributes: VmAttributes,
}

impl PageMapping {
    /// From RCX and RDX.
    #[must_use]
    pub const fn from_regs(rcx: u64, rdx: u64) -> Self {
        Self {
            address: rcx & 0x000F_FFFF_FFFF_F000,
            level: match rcx & 7 {
                0 => Some(PageLevel::Size4K),
                1 => Some(PageLevel::Size2M),
                2 => Some(PageLevel::Size1G),
                _ => None,
            },
            pending: rcx >> 62 & 1 == 1,
            attributes: VmAttributes::from_bits(rdx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vm_has_sixteen_bits() {
        let bits = 0x8007_0000_8001_0000;
        let attributes = VmAttributes::from_bits(bits);
        assert_eq!(attributes.0[1], PageAttributes::VALID | PageAttributes::READ);
        assert_eq!(attributes.0[3].bits(), 0x8007);
        assert_eq!(attributes.bits(), bits);
    }

    #[test]
    fn a_mapping_is_cut_into_its_fields() {
        let mapping = PageMapping::from_regs(1 << 62 | 0x20_0001, 0);
        assert_eq!((mapping.address, mapping.pending), (0x20_0000, true));
        assert_eq!(mapping.level, Some(PageLevel::Size2M));
        assert_eq!(PageMapping::from_regs(7, 0).level, None);
    }
}
