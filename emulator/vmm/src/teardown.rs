//! The way back: every page of a TD becomes the VMM's again. [ABI-H 3.9, 3.10]
//!
//! VP.FLUSH, VPFLUSHDONE, CACHE.WB, KEY.FREEID; then PAGE.RECLAIM of every page that was
//! given, the TDR last, as only it needs PAGE.WBINVD, with the module's key: the others were
//! written back with the TD's. Each page is read to see that it is the VMM's, and is cleared.
//! Works for a TD in any state after MNG.CREATE.

use abi::{Hpa, PAGE_SIZE, PageLevel, Status};

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
    for (page, level) in pool.given().filter(|(page, _)| *page != td.tdr) {
        match reclaim(vmm, page, level) {
            Ok(true) => pages += level.bytes() / PAGE_SIZE,
            Ok(false) => {}
            Err(error) => {
                log::info!("page {page:?} did not come back: {error}");
                lost += 1;
            }
        }
    }
    if lost != 0 {
        return Err(Failure::Leak { pages: lost });
    }
    let reclaimed = vmm.module.phymem_page_reclaim(td.tdr);
    reclaimed.map_err(Failure::leaf("TDH.PHYMEM.PAGE.RECLAIM of the TDR"))?;
    let with_hkid = td.tdr.bits() | u64::from(system.global_hkid) << system.hkid_shift;
    let flushed = vmm.module.phymem_page_wbinvd(with_hkid);
    flushed.map_err(Failure::module("TDH.PHYMEM.PAGE.WBINVD"))?;
    clear(vmm, td.tdr, PageLevel::Size4K)?;
    Ok(pages + 1)
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

/// Takes one page back. `false`: the module refused it when it was given, so that it has
/// been the VMM's all along.
fn reclaim(vmm: &mut Vmm<'_>, page: Hpa, level: PageLevel) -> Result<bool, Failure> {
    match vmm.module.phymem_page_reclaim(page) {
        Ok(_) => {}
        Err(error)
            if error.status.is(Status::PAGE_METADATA_INCORRECT) && error.rcx == NOT_ASSIGNED =>
        {
            return Ok(false);
        }
        Err(error) => return Err(Failure::leaf("TDH.PHYMEM.PAGE.RECLAIM")(error)),
    }
    clear(vmm, page, level)?;
    Ok(true)
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
