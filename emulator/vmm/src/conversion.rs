//! Pages between private and shared, as KVM and QEMU convert them. [TDVF 4.5, 9.1], [ABI-H 3.8]
//!
//! | to | what happens |
//! |---|---|
//! | shared | RANGE.BLOCK, TRACK, PAGE.REMOVE of each private page that is there, PAGE.WBINVD; the page goes back to the pool. A 2 MiB page of which only a part goes is DEMOTEd. A shared page is given at the first touch; at once if devices may come, which can not fault, as QEMU tells VFIO |
//! | private | the mappings of the shared EPT end, INVEPT if there was one, the pages go back to the pool, cleared. A private page is added when the TD accepts or touches it |
//!
//! Content is lost both ways. The TD asks by MapGPA ([`crate::vmcall`]), or just touches the other
//! half ([`crate::fault`]), which KVM reports to QEMU, which converts then.
//!
//! A leaf that stays busy stops the work at a page. The page may be blocked then: the next
//! MapGPA goes on with it, and a touch of it unblocks it.

mod mode;
mod sept;

use abi::{Hpa, PAGE_SIZE, PageLevel, PrivateGpa, SharedGpa, Status};
use tdcall::host::{LeafError, SeptEntry};

pub use mode::MapGpaMode;
pub(crate) use sept::{found, is_blocked};

use crate::failure::Failure;
use crate::ram::Range;
use crate::shared_ept::SharedEpt;
use crate::td::{Td, Vmm};

const LARGE: u64 = PageLevel::Size2M.bytes();

/// How the TD's pages are converted, and how often that was done.
#[derive(Debug)]
pub struct Conversion {
    /// What MapGPA does.
    pub mode: MapGpaMode,
    /// Where the last MapGPA told the TD to go on.
    pub(crate) resume: Option<u64>,
    to_shared: u64,
    to_private: u64,
    pub(crate) by_touch: u64,
}

impl Conversion {
    /// None yet.
    #[must_use]
    pub const fn new(mode: MapGpaMode) -> Self {
        Self { mode, resume: None, to_shared: 0, to_private: 0, by_touch: 0 }
    }

    /// Logs how much was converted, if anything was.
    pub fn log(&self) {
        let Self { to_shared, to_private, by_touch, .. } = self;
        if to_shared + to_private != 0 {
            log::info!(
                "conversions: {to_shared} pages to shared, {to_private} to private, {by_touch} by touch"
            );
        }
    }
}

/// Why a conversion stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The module was busy. The pages below this address (without SHARED bit) are done.
    Busy(u64),
    /// The VMM gives up.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Makes `range` (memory of the TD, whole pages, without SHARED bit) shared.
pub(crate) fn to_shared(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    shared: &SharedEpt,
    range: Range,
) -> Result<(), Stop> {
    let mut at = range.start;
    let removed = loop {
        if at >= range.end {
            break Ok(());
        }
        match remove(vmm, td, at, range.end) {
            Ok(next) => at = next,
            Err(stop) => break Err(stop),
        }
    };
    let done = Range::new(range.start, at.min(range.end));
    shared.share(vmm.memory, &mut vmm.pool, done)?;
    if shared.iommu.is_some() {
        for at in (done.start..done.end).step_by(PAGE_SIZE as usize) {
            if let Ok(gpa) = SharedGpa::try_new(at, td.width) {
                shared.map(vmm.memory, &mut vmm.pool, gpa)?;
            }
        }
    }
    td.conversion.to_shared += done.len() / PAGE_SIZE;
    removed
}

/// Makes `range` (as above) private.
pub(crate) fn to_private(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    shared: &SharedEpt,
    range: Range,
) -> Result<(), Failure> {
    td.conversion.to_private += range.len() / PAGE_SIZE;
    let was_mapped = shared.unmap(vmm.memory, &mut vmm.pool, range)?;
    if td.conversion.mode == MapGpaMode::NoFlush {
        // Somebody may still use the pages: they stay where they are.
        return Ok(());
    }
    if was_mapped {
        flush(vmm, shared)?;
    }
    shared.discard(vmm.memory, &mut vmm.pool, range);
    Ok(())
}

/// Makes the CPU and the devices forget what the shared EPT said before.
fn flush(vmm: &mut Vmm<'_>, shared: &SharedEpt) -> Result<(), Failure> {
    if !vmm.cpu.invept() {
        return Err(Failure::Unsuitable("INVEPT fails"));
    }
    shared.iommu.map_or(Ok(()), |iommu| iommu.invalidate(vmm.devices))
}

/// Takes the private page at `at` away, if one is there; the larger one around it is split if it
/// reaches over `[at, end)`. Returns where to go on.
fn remove(vmm: &mut Vmm<'_>, td: &Td, at: u64, end: u64) -> Result<u64, Stop> {
    let page = private(td, at)?;
    let mut refused = block(vmm, td, page, PageLevel::Size4K)?;
    if refused.is_some_and(|error| is_large_page(found(&error))) {
        let base = page.start_of_range(PageLevel::Size2M as u8);
        if let Some(error) = block(vmm, td, base, PageLevel::Size2M)? {
            return Err(Failure::leaf("TDH.MEM.RANGE.BLOCK")(error).into());
        }
        track(vmm, td, at)?;
        if base == page && end - at >= LARGE {
            take(vmm, td, base, PageLevel::Size2M)?;
            return Ok(at + LARGE);
        }
        demote(vmm, td, base, at)?;
        refused = block(vmm, td, page, PageLevel::Size4K)?;
    }
    match refused {
        None => {
            track(vmm, td, at)?;
            take(vmm, td, page, PageLevel::Size4K)?;
            Ok(at + PAGE_SIZE)
        }
        Some(error) if found(&error).state == sept::FREE => {
            let bytes = PAGE_SIZE << (9 * u32::from(found(&error).level.min(4)));
            Ok((at & !(bytes - 1)).saturating_add(bytes))
        }
        Some(error) => Err(Failure::leaf("TDH.MEM.RANGE.BLOCK")(error).into()),
    }
}

fn is_large_page(entry: SeptEntry) -> bool {
    entry.level == PageLevel::Size2M as u8 && sept::is_page(entry)
}

/// RANGE.BLOCK; the error if there is no page of this size.
fn block(
    vmm: &mut Vmm<'_>,
    td: &Td,
    gpa: PrivateGpa,
    level: PageLevel,
) -> Result<Option<LeafError>, Stop> {
    match vmm.module.mem_range_block(gpa, level, td.tdr) {
        Ok(()) => Ok(None),
        Err(error)
            if error.status.is(Status::EPT_WALK_FAILED)
                || error.status.is(Status::EPT_ENTRY_STATE_INCORRECT) =>
        {
            Ok(Some(error))
        }
        Err(error) => Err(stop("TDH.MEM.RANGE.BLOCK", gpa.bits(), error)),
    }
}

/// MEM.TRACK: with it, as no vCPU runs, no translation is left of what was blocked.
fn track(vmm: &mut Vmm<'_>, td: &Td, at: u64) -> Result<(), Stop> {
    let tracked = vmm.module.mem_track(td.tdr);
    tracked.map_err(|status| stop("TDH.MEM.TRACK", at, status.into()))
}

/// PAGE.REMOVE, and back to the pool, written back and cleared as by KVM.
fn take(vmm: &mut Vmm<'_>, td: &Td, gpa: PrivateGpa, level: PageLevel) -> Result<(), Stop> {
    let removed = vmm.module.mem_page_remove(gpa, level, td.tdr);
    let removed = removed.map_err(|error| stop("TDH.MEM.PAGE.REMOVE", gpa.bits(), error))?;
    let page = Hpa::try_new(removed.page).ok().filter(|page| page.is_aligned_to(level.bytes()));
    let page = page.ok_or(Failure::Unsuitable("PAGE.REMOVE gives no page"))?;
    for at in (page.bits()..page.bits() + level.bytes()).step_by(PAGE_SIZE as usize) {
        let flushed = vmm.module.phymem_page_wbinvd(at | td.key_bits);
        flushed.map_err(Failure::module("TDH.PHYMEM.PAGE.WBINVD"))?;
    }
    if !td.is_curious {
        vmm.memory.zero(page, level.bytes());
    }
    vmm.pool.give_back(vmm.memory, page, level);
    Ok(())
}

/// PAGE.DEMOTE of a blocked and tracked 2 MiB page.
fn demote(vmm: &mut Vmm<'_>, td: &Td, gpa: PrivateGpa, at: u64) -> Result<(), Stop> {
    let mut refused = None;
    let given = vmm.give(PageLevel::Size4K, "secure EPT pages", |vmm, page| {
        vmm.module.mem_page_demote(gpa, PageLevel::Size2M, td.tdr, page).map_err(|error| {
            refused = Some(error);
            Failure::leaf("TDH.MEM.PAGE.DEMOTE")(error)
        })
    });
    match (given, refused) {
        (Err(_), Some(error)) => Err(stop("TDH.MEM.PAGE.DEMOTE", at, error)),
        (given, _) => Ok(given.map(drop)?),
    }
}

/// RANGE.UNBLOCK of the page that `blocked` shows, which a conversion left behind. False: busy.
pub(crate) fn unblock(
    vmm: &mut Vmm<'_>,
    td: &Td,
    gpa: PrivateGpa,
    blocked: SeptEntry,
) -> Result<bool, Failure> {
    let level = if blocked.level == 0 { PageLevel::Size4K } else { PageLevel::Size2M };
    let gpa = gpa.start_of_range(level as u8);
    let done = track(vmm, td, gpa.bits()).and_then(|()| {
        let unblocked = vmm.module.mem_range_unblock(gpa, level, td.tdr);
        unblocked.map_err(|error| stop("TDH.MEM.RANGE.UNBLOCK", gpa.bits(), error))
    });
    match done {
        Ok(()) => Ok(true),
        Err(Stop::Busy(_)) => Ok(false),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

fn stop(leaf: &'static str, at: u64, error: LeafError) -> Stop {
    let status = error.status;
    if status.is_busy()
        || status.is(Status::PREVIOUS_TLB_EPOCH_BUSY)
        || status.is(Status::INTERRUPTED_RESTARTABLE)
    {
        return Stop::Busy(at);
    }
    Stop::Failed(Failure::leaf(leaf)(error))
}

fn private(td: &Td, address: u64) -> Result<PrivateGpa, Failure> {
    PrivateGpa::try_new(address, td.width)
        .map_err(|_| Failure::Unsuitable("memory reaches over the TD's address width"))
}

#[cfg(test)]
mod tests;
