//! EPT violations: what KVM does about them. [ABI-H 5.5, 7], [TDVF 1.10]
//!
//! | GPA | cause | answer |
//! |---|---|---|
//! | private, memory | not there, or ACCEPT of a page that is not there | add the page, pending |
//! | private, memory | pending, and the TD has #VE for it disabled | the TD is dead |
//! | private, no memory | any | the TD is dead |
//! | shared, memory | first touch | back it by a page of the VMM |
//! | shared, no memory | first touch | mark it MMIO: from now on #VE |
//! | shared, no memory | again | no #VE could be delivered: the TD is dead |
//!
//! A shared page has backing of its own: private memory at the same GPA stays, until the TD
//! asks for a conversion.

use abi::exit::ExtendedQualification;
use abi::{Gpa, Hpa, PAGE_SIZE, PageLevel, PrivateGpa, Regs, SharedGpa, Status};
use tdcall::host::LeafError;

use crate::end::{Death, End};
use crate::failure::Failure;
use crate::shared_ept::Entry;
use crate::td::{Td, Vcpu, Vmm};

/// SEPT state PENDING. [ABI-H 7.1]
const PENDING: u8 = 2;
/// SEPT levels below the root: one AUG needs at most so many SEPT.ADDs.
const MAX_SEPT_ADDS: u32 = 4;
const AUG: &str = "TDH.MEM.PAGE.AUG";

/// What to do about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add a private page.
    Add(PrivateGpa, PageLevel),
    /// Back a shared page.
    Back(SharedGpa),
    /// Mark a shared page as MMIO.
    MarkMmio(SharedGpa),
    /// Give the TD up.
    Die(Death),
}

/// Decides by the registers of the exit; `entry` looks into the shared EPT.
pub fn decide(td: &Td, regs: &Regs, entry: impl FnOnce(SharedGpa) -> Entry) -> Action {
    match Gpa::try_new(regs.r8, td.width) {
        Ok(Gpa::Private(gpa)) => decide_private(td, gpa, ExtendedQualification(regs.rdx)),
        Ok(Gpa::Shared(gpa)) if td.guest.contains(gpa.address()) => Action::Back(gpa),
        Ok(Gpa::Shared(gpa)) if entry(gpa) == Entry::Mmio => Action::Die(Death::NoVe(gpa.bits())),
        Ok(Gpa::Shared(gpa)) => Action::MarkMmio(gpa),
        Err(_) => Action::Die(Death::OutsideMemory(regs.r8)),
    }
}

fn decide_private(td: &Td, gpa: PrivateGpa, extended: ExtendedQualification) -> Action {
    let kind = extended.kind();
    if kind == ExtendedQualification::PENDING_EPT_VIOLATION {
        return Action::Die(Death::PendingPage(gpa.bits()));
    }
    if !td.guest.contains(gpa.bits()) {
        return Action::Die(Death::OutsideMemory(gpa.bits()));
    }
    let is_accept = kind == ExtendedQualification::ACCEPT;
    let inside_larger = extended.found_level() > extended.requested_level();
    if is_accept && inside_larger && extended.state() == PENDING {
        return Action::Die(Death::PartOfLargePage(gpa.bits()));
    }
    // Only ACCEPT tells the size that the TD wants; KVM adds small pages for other touches.
    let wanted = if is_accept && extended.requested_level() >= PageLevel::Size2M as u8 {
        td.page_level
    } else {
        PageLevel::Size4K
    };
    let (gpa, level) = td.guest.page_around(gpa, wanted);
    Action::Add(gpa, level)
}

/// Handles the EPT violation in `regs`.
///
/// # Errors
/// The TD is dead, or there is no memory.
pub fn handle(vmm: &mut Vmm<'_>, td: &mut Td, vcpu: &Vcpu, regs: &Regs) -> Result<(), End> {
    let action = decide(td, regs, |gpa| vcpu.shared.entry(vmm.memory, gpa));
    match action {
        Action::Add(gpa, PageLevel::Size4K) => Ok(add_small(vmm, td, gpa)?),
        Action::Add(gpa, _) => Ok(add_large(vmm, td, gpa)?),
        Action::Back(gpa) => {
            vcpu.shared.back(vmm.memory, &mut vmm.pool, gpa)?;
            Ok(())
        }
        Action::MarkMmio(gpa) => Ok(vcpu.shared.mark_mmio(vmm.memory, &mut vmm.pool, gpa)?),
        Action::Die(death) => Err(death.into()),
    }
}

/// TDH.MEM.PAGE.AUG of 4 KiB. A page that is there already is left to the bound on faults.
fn add_small(vmm: &mut Vmm<'_>, td: &mut Td, gpa: PrivateGpa) -> Result<(), Failure> {
    let page = small_page(vmm, td)?;
    soil(vmm, td, page, PageLevel::Size4K);
    let tdr = td.tdr;
    let added = with_sept(vmm, td, gpa, AUG, |vmm| {
        vmm.module.mem_page_aug(gpa, PageLevel::Size4K, tdr, page)
    });
    keep_if_there(td, page, added)
}

/// TDH.MEM.PAGE.AUG of 2 MiB; a small page where small ones are already, or when large ones
/// have run out.
fn add_large(vmm: &mut Vmm<'_>, td: &mut Td, gpa: PrivateGpa) -> Result<(), Failure> {
    let Some(page) = vmm.pool.large() else { return add_small(vmm, td, gpa) };
    soil(vmm, td, page, PageLevel::Size2M);
    let tdr = td.tdr;
    let added = with_sept(vmm, td, gpa, AUG, |vmm| {
        vmm.module.mem_page_aug(gpa, PageLevel::Size2M, tdr, page)
    });
    match added {
        Err(Failure::Module { error, .. })
            if error.status.is(Status::EPT_ENTRY_STATE_INCORRECT) =>
        {
            add_small(vmm, td, gpa)
        }
        other => other,
    }
}

/// Writes something into a page before the TD gets it, if the configuration asks for that:
/// it is for the module to give the TD zeros.
fn soil(vmm: &mut Vmm<'_>, td: &Td, page: Hpa, level: PageLevel) {
    const DIRT: [u8; PAGE_SIZE as usize] = [0xD1; PAGE_SIZE as usize];
    if td.dirty_pages {
        for at in (page.bits()..page.bits() + level.bytes()).step_by(DIRT.len()) {
            // Pages lie below 2^52.
            vmm.memory.write(Hpa::try_new(at).unwrap_or(page), &DIRT);
        }
    }
}

/// Does `add`, putting SEPT pages under it from the top down where they are missing.
///
/// # Errors
/// A leaf fails, or there is no page.
pub fn with_sept(
    vmm: &mut Vmm<'_>,
    td: &Td,
    gpa: PrivateGpa,
    leaf: &'static str,
    mut add: impl FnMut(&mut Vmm<'_>) -> Result<(), LeafError>,
) -> Result<(), Failure> {
    const LEVEL: u64 = 7;
    let mut added = add(vmm);
    for _ in 0..MAX_SEPT_ADDS {
        let level = match added {
            Err(error) if error.status.is(Status::EPT_WALK_FAILED) => (error.rdx & LEVEL) as u8,
            _ => break,
        };
        let page = vmm.pool.small().ok_or(Failure::OutOfMemory("secure EPT pages"))?;
        let sept = vmm.module.mem_sept_add(gpa.start_of_range(level), level, td.tdr, page);
        sept.map_err(Failure::leaf("TDH.MEM.SEPT.ADD"))?;
        added = add(vmm);
    }
    added.map_err(Failure::leaf(leaf))
}

/// A page to add, the spare one first.
pub(crate) fn small_page(vmm: &mut Vmm<'_>, td: &mut Td) -> Result<Hpa, Failure> {
    let page = td.spare.take().or_else(|| vmm.pool.small());
    page.ok_or(Failure::OutOfMemory("the TD's private memory"))
}

/// A page that the module refused because another one is there stays for the next time.
fn keep_if_there(td: &mut Td, page: Hpa, added: Result<(), Failure>) -> Result<(), Failure> {
    match added {
        Err(Failure::Module { error, .. })
            if error.status.is(Status::EPT_ENTRY_STATE_INCORRECT) =>
        {
            td.spare = Some(page);
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
