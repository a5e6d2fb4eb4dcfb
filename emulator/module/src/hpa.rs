//! Host-physical operands: the checks that many leaves share. [ABI-H 3.2]

use abi::{Operand, Status};

use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::{PageType, Slot};
use crate::phys::PAGE;
use crate::sys::{FIRST_PRIVATE_HKID, HKID_SHIFT, MAX_PA_BITS};

/// The HKID in the top bits of an address.
pub(crate) fn hkid(hpa: u64) -> u64 {
    hpa >> HKID_SHIFT
}

/// The address without its HKID.
pub(crate) fn without_hkid(hpa: u64) -> u64 {
    hpa & ((1 << HKID_SHIFT) - 1)
}

/// Aligned to `alignment`, no HKID, below the physical address width.
pub(crate) fn is_plain(hpa: u64, alignment: u64) -> bool {
    hpa.is_multiple_of(alignment) && hkid(hpa) == 0
}

impl Module {
    /// An explicit private page of 4 KiB that must have type `expected`.
    pub(crate) fn private_page(
        &self,
        m: &dyn Machine,
        hpa: u64,
        operand: Operand,
        expected: PageType,
    ) -> Result<Slot, Status> {
        if !is_plain(hpa, PAGE) {
            return Err(Status::OPERAND_INVALID.with_operand(operand));
        }
        let range_error = Status::OPERAND_ADDR_RANGE_ERROR.with_operand(operand);
        let slot = self.pamt_walk(m, hpa).ok_or(range_error)?;
        if slot.level != 0 || slot.page_type() != expected {
            return Err(Status::PAGE_METADATA_INCORRECT.with_operand(operand));
        }
        Ok(slot)
    }

    /// A free range of level 0 or 1 for a TD page: every 4 KiB entry is NDA.
    pub(crate) fn free_range(
        &self,
        m: &dyn Machine,
        hpa: u64,
        operand: Operand,
        level: u8,
    ) -> Result<Slot, Status> {
        if level == 0 {
            return self.private_page(m, hpa, operand, PageType::NDA);
        }
        if !is_plain(hpa, PAGE << (9 * u32::from(level))) {
            return Err(Status::OPERAND_INVALID.with_operand(operand));
        }
        let range_error = Status::OPERAND_ADDR_RANGE_ERROR.with_operand(operand);
        let small = self.pamt_walk(m, hpa).ok_or(range_error)?;
        let slot = self.pamt_slot(m, hpa, level).ok_or(range_error)?;
        let is_free = small.level == 0
            && slot.page_type() == PageType::NDA
            && self.pamt_children_are_free(m, hpa);
        if !is_free {
            return Err(Status::PAGE_METADATA_INCORRECT.with_operand(operand));
        }
        Ok(slot)
    }

    /// A buffer of the VMM, `size` bytes and aligned to its size, a power of two.
    /// Returns its address without the HKID.
    ///
    /// Hardware lets the VMM name a page that a TD owns and gives it ciphertext or
    /// poison; here there is no ciphertext, so such a page is refused like one that
    /// overlaps the module.
    pub(crate) fn shared_buffer(
        &self,
        m: &dyn Machine,
        hpa: u64,
        size: u64,
        operand: Operand,
    ) -> Result<u64, Status> {
        let fits = hpa.is_multiple_of(size)
            && hpa >> MAX_PA_BITS == 0
            && hkid(hpa) < u64::from(FIRST_PRIVATE_HKID);
        let address = without_hkid(hpa);
        if !fits || !self.is_vmm_memory(m, address, size) {
            return Err(Status::OPERAND_INVALID.with_operand(operand));
        }
        Ok(address)
    }

    /// Whether neither the module nor a TD owns a byte of `[hpa, hpa + size)`, which
    /// must not cross a page boundary unless it is aligned to its size.
    pub(crate) fn is_vmm_memory(&self, m: &dyn Machine, hpa: u64, size: u64) -> bool {
        let (base, length) = self.config.seamrr;
        if overlaps((hpa, size), (base, length)) || self.is_pamt(hpa, size) {
            return false;
        }
        let first = hpa & !(PAGE - 1);
        let pages = (hpa - first + size).div_ceil(PAGE);
        (0..pages).all(|page| match self.pamt_walk(m, first + page * PAGE) {
            Some(slot) => !slot.page_type().is_owned(),
            None => true,
        })
    }
}

/// Whether two ranges (base, size) share a byte.
pub(crate) fn overlaps(a: (u64, u64), b: (u64, u64)) -> bool {
    a.1 != 0 && b.1 != 0 && a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}
