//! The module, by SEAMCALL.
//!
//! A leaf that takes a page away is unsafe: no Rust object may be there. So each such page
//! must lie in the memory that was free when the VMM started; another address is refused
//! here, without a SEAMCALL.
#![expect(unsafe_code, reason = "leaves that take pages away")]

use super::rbp::Rbp;
use abi::exit::TdExitStatus;
use abi::field::FieldId;
use abi::{Hpa, PageLevel, PrivateGpa, RegisterFile, Status};
use tdcall::host::{self, LeafError, PageMetadata, Removed};
use vmm::ram::{Range, Ranges};
use vmm::seam::Seamcall;
use vmm::tdmr::MAX_RANGES;

/// The TDX module under this VMM. At first it can have no page.
#[derive(Debug, Default)]
pub(super) struct Module {
    free: Ranges<MAX_RANGES>,
    rbp: Rbp,
}

impl Module {
    /// From here on it can have pages of `free`.
    pub(super) fn can_have(&mut self, free: &Ranges<MAX_RANGES>) {
        self.free = free.clone();
    }

    /// What became of RBP.
    pub(super) const fn rbp(&self) -> &Rbp {
        &self.rbp
    }

    /// Refuses a page that is not free memory.
    fn can_give(&self, page: Hpa, bytes: u64) -> Result<(), Status> {
        let wanted = Range::new(page.bits(), page.bits() + bytes);
        let is_free = |range: &Range| range.intersection(wanted) == wanted;
        if self.free.as_slice().iter().any(is_free) {
            Ok(())
        } else {
            Err(Status::OPERAND_ADDR_RANGE_ERROR)
        }
    }

    fn can_give_small(&self, page: Hpa) -> Result<(), Status> {
        self.can_give(page, abi::PAGE_SIZE)
    }
}

impl Seamcall for Module {
    fn sys_init(&mut self) -> Result<(), LeafError> {
        host::sys_init()
    }

    fn sys_lp_init(&mut self) -> Result<(), LeafError> {
        host::sys_lp_init()
    }

    fn sys_rd(&mut self, field: FieldId) -> Result<u64, Status> {
        host::sys_rd(field)
    }

    fn sys_config(&mut self, tdmr_infos: Hpa, count: usize, hkid: u16) -> Result<(), Status> {
        // SAFETY: the TDMR_INFOs are made of the free memory alone: the module refuses PAMTs
        // outside its CMRs, and what of a CMR was not free is reserved in every TDMR.
        unsafe { host::sys_config(tdmr_infos, count, hkid) }
    }

    fn sys_key_config(&mut self) -> Result<(), Status> {
        host::sys_key_config()
    }

    fn sys_tdmr_init(&mut self, base: Hpa) -> Result<u64, Status> {
        host::sys_tdmr_init(base)
    }

    fn mng_create(&mut self, tdr: Hpa, hkid: u16) -> Result<(), Status> {
        self.can_give_small(tdr)?;
        // SAFETY: free memory, checked above.
        unsafe { host::mng_create(tdr, hkid) }
    }

    fn mng_key_config(&mut self, tdr: Hpa) -> Result<(), Status> {
        host::mng_key_config(tdr)
    }

    fn mng_addcx(&mut self, page: Hpa, tdr: Hpa) -> Result<(), Status> {
        self.can_give_small(page)?;
        // SAFETY: free memory, checked above.
        unsafe { host::mng_addcx(page, tdr) }
    }

    fn mng_init(&mut self, tdr: Hpa, td_params: Hpa) -> Result<(), LeafError> {
        host::mng_init(tdr, td_params)
    }

    fn mng_rd(&mut self, tdr: Hpa, field: FieldId) -> Result<u64, Status> {
        host::mng_rd(tdr, field)
    }

    fn mng_vpflushdone(&mut self, tdr: Hpa) -> Result<(), Status> {
        host::mng_vpflushdone(tdr)
    }

    fn mng_key_freeid(&mut self, tdr: Hpa) -> Result<(), Status> {
        host::mng_key_freeid(tdr)
    }

    fn vp_create(&mut self, tdvpr: Hpa, tdr: Hpa) -> Result<(), Status> {
        self.can_give_small(tdvpr)?;
        // SAFETY: free memory, checked above.
        unsafe { host::vp_create(tdvpr, tdr) }
    }

    fn vp_addcx(&mut self, page: Hpa, tdvpr: Hpa) -> Result<(), Status> {
        self.can_give_small(page)?;
        // SAFETY: free memory, checked above.
        unsafe { host::vp_addcx(page, tdvpr) }
    }

    fn vp_init(&mut self, tdvpr: Hpa, rcx: u64, x2apic_id: u32) -> Result<(), Status> {
        host::vp_init(tdvpr, rcx, x2apic_id)
    }

    fn vp_rd(&mut self, tdvpr: Hpa, field: FieldId) -> Result<u64, Status> {
        host::vp_rd(tdvpr, field)
    }

    fn vp_wr(&mut self, tdvpr: Hpa, field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
        host::vp_wr(tdvpr, field, value, mask)
    }

    fn vp_flush(&mut self, tdvpr: Hpa) -> Result<(), Status> {
        host::vp_flush(tdvpr)
    }

    fn vp_enter(&mut self, tdvpr: Hpa, file: &mut RegisterFile) -> TdExitStatus {
        /// RBP of the vCPU's registers, unless they have another one: the TD never gets it.
        const RBP: u64 = 0x5242_505F_7464_0000;
        if file.gprs.rbp == 0 {
            file.gprs.rbp = RBP;
        }
        let mut status = TdExitStatus(0);
        self.rbp.watch(|| {
            // SAFETY: the shared EPT links only pages of the free memory, where no Rust
            // object is. Of the state that an exit changes the VMM uses x87 and XMM alone,
            // which the call declares as lost.
            status = unsafe { host::vp_enter_with_xmm(tdvpr, file) };
        });
        self.rbp.left(file.gprs.rbp);
        status
    }

    fn mem_sept_add(
        &mut self,
        gpa: PrivateGpa,
        level: u8,
        tdr: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError> {
        self.can_give_small(page)?;
        // SAFETY: free memory, checked above.
        unsafe { host::mem_sept_add(gpa, level, tdr, page) }
    }

    fn mem_page_add(
        &mut self,
        gpa: PrivateGpa,
        tdr: Hpa,
        page: Hpa,
        source: Hpa,
    ) -> Result<(), LeafError> {
        self.can_give_small(page)?;
        // SAFETY: free memory, checked above.
        unsafe { host::mem_page_add(gpa, tdr, page, source) }
    }

    fn mem_page_aug(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError> {
        self.can_give(page, level.bytes())?;
        // SAFETY: free memory, checked above.
        unsafe { host::mem_page_aug(gpa, level, tdr, page) }
    }

    fn mem_range_block(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<(), LeafError> {
        host::mem_range_block(gpa, level as u8, tdr)
    }

    fn mem_range_unblock(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<(), LeafError> {
        host::mem_range_unblock(gpa, level as u8, tdr)
    }

    fn mem_track(&mut self, tdr: Hpa) -> Result<(), Status> {
        host::mem_track(tdr)
    }

    fn mem_page_remove(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<Removed, LeafError> {
        host::mem_page_remove(gpa, level, tdr)
    }

    fn mem_page_demote(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
        sept_page: Hpa,
    ) -> Result<(), LeafError> {
        self.can_give_small(sept_page)?;
        // SAFETY: free memory, checked above.
        unsafe { host::mem_page_demote(gpa, level, tdr, sept_page) }
    }

    fn mr_extend(&mut self, gpa: PrivateGpa, tdr: Hpa) -> Result<(), LeafError> {
        host::mr_extend(gpa, tdr)
    }

    fn mr_finalize(&mut self, tdr: Hpa) -> Result<(), Status> {
        host::mr_finalize(tdr)
    }

    fn phymem_cache_wb(&mut self) -> Result<(), Status> {
        host::phymem_cache_wb()
    }

    fn phymem_page_reclaim(&mut self, page: Hpa) -> Result<PageMetadata, LeafError> {
        host::phymem_page_reclaim(page)
    }

    fn phymem_page_rdmd(&mut self, page: Hpa) -> Result<PageMetadata, LeafError> {
        host::phymem_page_rdmd(page)
    }

    fn phymem_page_wbinvd(&mut self, page_with_hkid: u64) -> Result<(), Status> {
        host::phymem_page_wbinvd(page_with_hkid)
    }
}
