//! The way back: every page of a TD becomes the VMM's again. [ABI-H 3.9, 3.10]
//!
//! VP.FLUSH, VPFLUSHDONE, CACHE.WB, KEY.FREEID; then PAGE.RECLAIM of every page that was ever
//! taken from the pool, in the size that it has by now, the TDR last, as only it needs PAGE.WBINVD,
//! with the module's key: the others were written back with the TD's. Each page is read to see that it
//! is the VMM's, and is cleared.
//! Pages that are the VMM's by then do no harm, but as many have to come back as the pool says are
//! with the module. Works for a TD in any state after MNG.CREATE.

use abi::{Hpa, PAGE_SIZE, PageLevel, Status};
use tdcall::host::PageMetadata;

use crate::failure::Failure;
use crate::seam::Memory;
use crate::system::System;
use crate::td::{Td, Vmm};

/// PAMT type of a page that nobody owns. [ABI-H 8]
const NOT_ASSIGNED: u64 = 0;

/// Takes the TD apart; returns how many 4 KiB pages came back.
///
/// # Errors
/// A leaf fails, or pages do not come back.
pub fn teardown(vmm: &mut Vmm<'_>, td: &Td, system: &Keys) -> Result<u64, Failure> {
    free_key(vmm, td)?;
    let pool = vmm.pool.clone();
    let (mut pages, mut lost) = (0, 0);
    for (page, level) in pool.taken() {
        let (mut at, end) = (page.bits(), page.bits() + level.bytes());
        while let Some(page) = Hpa::try_new(at).ok().filter(|_| at < end) {
            at += PAGE_SIZE;
            if page == td.tdr {
                continue;
            }
            match reclaim(vmm, page) {
                Ok(None) => {}
                Ok(Some(level)) => {
                    at = page.bits() + level.bytes();
                    pages += level.bytes() / PAGE_SIZE;
                }
                Err(error) => {
                    log::info!("page {page:?} did not come back: {error}");
                    lost += 1;
                }
            }
        }
    }
    // The TDR is the last one.
    if lost != 0 || pages + 1 != pool.given() {
        return Err(Failure::Leak { pages: lost.max((pages + 1).abs_diff(pool.given())) });
    }
    let reclaimed = vmm.module.phymem_page_reclaim(td.tdr);
    reclaimed.map_err(Failure::leaf("TDH.PHYMEM.PAGE.RECLAIM of the TDR"))?;
    let with_hkid = td.tdr.bits() | system.in_address(system.global_hkid);
    let flushed = vmm.module.phymem_page_wbinvd(with_hkid);
    flushed.map_err(Failure::module("TDH.PHYMEM.PAGE.WBINVD"))?;
    clear(vmm, td.tdr, PageLevel::Size4K)?;
    Ok(pages + 1)
}

impl Keys {
    /// A key where it stands in an address.
    #[must_use]
    pub fn in_address(&self, hkid: u16) -> u64 {
        u64::from(hkid) << self.hkid_shift
    }
}

/// Where HKIDs stand in an address, and which is the module's.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// The module's own HKID.
    pub global_hkid: u16,
    /// Lowest bit of the HKID in an address.
    pub hkid_shift: u32,
}

impl From<&System> for Keys {
    fn from(system: &System) -> Self {
        Self { global_hkid: system.global_hkid, hkid_shift: system.hkid_shift }
    }
}

/// From whatever state to one in which pages can be reclaimed.
fn free_key(vmm: &mut Vmm<'_>, td: &Td) -> Result<(), Failure> {
    if let Some(tdvpr) = td.tdvpr {
        match vmm.module.vp_flush(tdvpr) {
            // It never ran here: a TD that was built half.
            Err(status)
                if status.is(Status::VCPU_NOT_ASSOCIATED)
                    || status.is(Status::TDCX_NUM_INCORRECT) => {}
            other => other.map_err(Failure::module("TDH.VP.FLUSH"))?,
        }
    }
    vmm.module.mng_vpflushdone(td.tdr).map_err(Failure::module("TDH.MNG.VPFLUSHDONE"))?;
    vmm.module.phymem_cache_wb().map_err(Failure::module("TDH.PHYMEM.CACHE.WB"))?;
    vmm.module.mng_key_freeid(td.tdr).map_err(Failure::module("TDH.MNG.KEY.FREEID"))
}

/// Takes one page back, whatever its size is by now. None: it is the VMM's.
fn reclaim(vmm: &mut Vmm<'_>, page: Hpa) -> Result<Option<PageLevel>, Failure> {
    let level = match vmm.module.phymem_page_reclaim(page) {
        Ok(PageMetadata { level: 0, .. }) => PageLevel::Size4K,
        Ok(PageMetadata { level: 1, .. }) => PageLevel::Size2M,
        Ok(_) => return Err(Failure::Unsuitable("a page of the TD has grown")),
        Err(error)
            if error.status.is(Status::PAGE_METADATA_INCORRECT) && error.rcx == NOT_ASSIGNED =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Failure::leaf("TDH.PHYMEM.PAGE.RECLAIM")(error)),
    };
    clear(vmm, page, level)?;
    Ok(Some(level))
}

/// Sees that a page is the VMM's and holds nothing: a word of each 4 KiB is read, and where
/// one is not zero all of them are cleared. The emulated module gives pages back as zeros;
/// ciphertext has no word that stays zero.
fn clear(vmm: &mut Vmm<'_>, page: Hpa, level: PageLevel) -> Result<(), Failure> {
    let small_pages = (page.bits()..page.bits() + level.bytes()).step_by(PAGE_SIZE as usize);
    // Pages lie below 2^52.
    let words = small_pages.map(|at| Hpa::try_new(at).unwrap_or(page));
    let is_clear = |memory: &dyn Memory| words.clone().all(|word| memory.read_u64(word) == 0);
    if is_clear(vmm.memory) {
        return Ok(());
    }
    vmm.memory.zero(page, level.bytes());
    if is_clear(vmm.memory) { Ok(()) } else { Err(Failure::Leak { pages: 1 }) }
}
