//! A TD made without a look at every fault, and the end of any TD.
#![expect(unsafe_code, reason = "leaves that take pages")]

use abi::leaf::tdh;
use abi::td_params::TdParams;
use abi::{PrivateGpa, Status};
use tdcall::host::{self, LeafError};
use zerocopy::IntoBytes;

use super::build::INITIAL_RCX;
use crate::bare;
use crate::guest::{self, PDPT, PML4};
use crate::place::Place::{Buffer as In, Hkid, Page, Sept, Tdcx, Tdr, Tdvpr, Tdvpx};
use crate::place::{Buffer, Place};
use crate::run::{Run, What};
use crate::tables::entry::CODE;

/// MNG.CREATE, MNG.KEY.CONFIG and `tdcs` times MNG.ADDCX.
pub(super) fn create(run: &Run, tdcs: u8) -> Result<(), Status> {
    let (tdr, hkid) = (run.address(Tdr), run.pool.resolve(Hkid(1)) as u16);
    // SAFETY: a page of the pool, where no Rust object is.
    unsafe { host::mng_create(tdr, hkid) }?;
    host::mng_key_config(tdr)?;
    for index in 0..tdcs {
        // SAFETY: as above.
        unsafe { host::mng_addcx(run.address(Tdcx(index)), tdr) }?;
    }
    Ok(())
}

/// A TD of these parameters, initialised.
pub(super) fn initialize(run: &Run, params: &TdParams) -> Result<(), LeafError> {
    create(run, 6)?;
    let at = run.address(In(Buffer::Params));
    bare::write_bytes(at.bits(), params.as_bytes());
    host::mng_init(run.address(Tdr), at)
}

/// A TD of these parameters with one vCPU and the guest's code, which may run.
pub(super) fn finish(run: &Run, params: &TdParams) -> Result<(), LeafError> {
    initialize(run, params)?;
    let (tdr, tdvpr) = (run.address(Tdr), run.address(Tdvpr(0)));
    // SAFETY: a page of the pool, where no Rust object is.
    unsafe { host::vp_create(tdvpr, tdr) }?;
    for page in 0..5 {
        // SAFETY: as above.
        unsafe { host::vp_addcx(run.address(Tdvpx(0, page)), tdvpr) }?;
    }
    host::vp_init(tdvpr, INITIAL_RCX, 0)?;
    for (level, table) in [(3, 0), (2, 3), (1, 4)] {
        let range = 0x1000 << (9 * u64::from(level));
        let gpa = PrivateGpa::new(CODE & !(range - 1));
        // SAFETY: as above.
        unsafe { host::mem_sept_add(gpa, level, tdr, run.address(Sept(table))) }?;
    }
    for (gpa, page) in [(CODE, 4), (PDPT, 5), (PML4, 6)] {
        guest::write_source(&run.pool, gpa);
        let (page, source) = (run.address(Page(page)), run.address(In(Buffer::Source)));
        // SAFETY: as above.
        unsafe { host::mem_page_add(PrivateGpa::new(gpa), tdr, page, source) }?;
    }
    Ok(host::mr_finalize(tdr)?)
}

/// Reports a TD made by the functions above.
pub(super) fn report<E: Into<crate::run::Refused>>(run: &mut Run, name: &str, made: Result<(), E>) {
    run.typed(&What(tdh::MNG_CREATE, "ABI-H 10", name), made, &());
}

/// Takes every page back, the TDR's last, and looks that none is left.
pub(super) fn reclaim(run: &mut Run) {
    let failure = pages(run).find_map(|page| reclaim_page(run, page).err());
    let what = What(tdh::PHYMEM_PAGE_RECLAIM, "ABI-H 3.9", "every page but the TDR");
    run.typed(&what, failure.map_or(Ok(()), Err), &());
    let what = What(tdh::PHYMEM_PAGE_RECLAIM, "ABI-H 3.9", "the TDR, last");
    let done = host::phymem_page_reclaim(run.address(Tdr));
    run.typed(&what, done.map(|page| (page.page_type, page.owner, page.level)), &(4, 0, 0));
    let is_free =
        |place| host::phymem_page_rdmd(run.address(place)).is_ok_and(|page| page.page_type == 0);
    let none_left = pages(run).chain([Tdr]).all(is_free);
    let what = What(tdh::PHYMEM_PAGE_RDMD, "ABI-H 3.9", "all pages are nobody's again");
    run.holds(&what, none_left);
}

/// VP.FLUSH of vCPU 0 if it is there, VPFLUSHDONE, CACHE.WB, FREEID, and all pages.
pub(super) fn end(run: &mut Run, has_vcpu: bool) {
    let tdr = run.address(Tdr);
    let flush = || if has_vcpu { host::vp_flush(run.address(Tdvpr(0))) } else { Ok(()) };
    let done = flush()
        .and_then(|()| host::mng_vpflushdone(tdr))
        .and_then(|()| host::phymem_cache_wb())
        .and_then(|()| host::mng_key_freeid(tdr));
    run.typed(&What(tdh::MNG_KEY_FREEID, "ABI-H 3.9", "the key is freed"), done, &());
    reclaim(run);
}

/// All pages that a TD can have but its TDR; those of 2 MiB may be in parts.
fn pages(_: &Run) -> impl Iterator<Item = Place> + use<> {
    let tdcs = (0..9).map(Tdcx);
    let vcpus = (0..4).flat_map(|vcpu| {
        [Tdvpr(vcpu)].into_iter().chain((0..15).map(move |page| Tdvpx(vcpu, page)))
    });
    let memory = (0..16).map(Sept).chain((0..16).map(Page)).chain((0..4).map(Place::Large));
    tdcs.chain(vcpus).chain(memory)
}

/// Takes a page back if it is a TD's; of 2 MiB, only as a whole.
fn reclaim_page(run: &Run, place: Place) -> Result<(), LeafError> {
    let page = run.address(place);
    if host::phymem_page_rdmd(page)?.page_type == 0 {
        return Ok(());
    }
    let taken = host::phymem_page_reclaim(page)?;
    let is_whole = taken.level == u64::from(matches!(place, Place::Large(_)));
    let owner = run.pool.resolve(Tdr);
    if taken.owner == owner && is_whole {
        Ok(())
    } else {
        Err(LeafError { status: Status::PAGE_METADATA_INCORRECT, rcx: 0, rdx: taken.owner })
    }
}
