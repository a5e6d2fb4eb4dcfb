//! EPT violations: what KVM does about them. [ABI-H 5.5, 7], [TDVF 1.10]
//!
//! | GPA | cause | answer |
//! |---|---|---|
//! | private, memory | not there, or ACCEPT of a page that is not there | add the page, pending |
//! | private, memory | blocked | unblock it |
//! | private, memory | the TD shares the page | make it private, see [`crate::conversion`] |
//! | private, memory | pending, and the TD has #VE for it disabled | the TD is dead |
//! | private, no memory | any | the TD is dead |
//! | shared, memory | the TD shares the page | map a page of the VMM |
//! | shared, memory | the TD does not share the page | make it shared: the private page is lost |
//! | shared, no memory | first touch | mark it MMIO: from now on #VE |
//! | shared, no memory | again | no #VE could be delivered: the TD is dead |
//!
//! A page that was converted is not there yet: the vCPU is entered, and the access comes again.
//! Under KVM a touch of the wrong half is a memory fault for QEMU, which converts. [TDVF 9.1]

use abi::exit::ExtendedQualification;
use abi::{Gpa, Hpa, PAGE_SIZE, PageLevel, PrivateGpa, Regs, SharedGpa, Status};
use tdcall::host::LeafError;

use crate::conversion::{self, MapGpaMode, Stop, found, is_blocked};
use crate::end::{Death, End};
use crate::failure::Failure;
use crate::ram::Range;
use crate::seam::Memory;
use crate::shared_ept::{Entry, SharedEpt};
use crate::td::{Td, Vcpu, Vmm};

/// SEPT state PENDING. [ABI-H 7.1]
const PENDING: u8 = 2;
/// SEPT levels below the root: one AUG needs at most so many SEPT.ADDs.
const MAX_SEPT_ADDS: u32 = 4;
const AUG: &str = "TDH.MEM.PAGE.AUG";
const PRIVATE: &str = "the TD's private memory";

/// What to do about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add a private page.
    Add(PrivateGpa, PageLevel),
    /// Convert the page to the half of the address.
    Convert(Gpa),
    /// Map a shared page.
    Map(SharedGpa),
    /// Mark a shared page as MMIO.
    MarkMmio(SharedGpa),
    /// Give the TD up.
    Die(Death),
}

/// Decides by the registers of the exit and by the shared EPT.
pub fn decide(td: &Td, regs: &Regs, shared: &SharedEpt, memory: &dyn Memory) -> Action {
    match Gpa::try_new(regs.r8, td.width) {
        Ok(Gpa::Private(gpa)) => {
            let extended = ExtendedQualification(regs.rdx);
            decide_private(td, gpa, extended, |range| shared.shares_any(memory, range))
        }
        Ok(Gpa::Shared(gpa)) => decide_shared(td, gpa, shared.entry(memory, gpa)),
        Err(_) => Action::Die(Death::OutsideMemory(regs.r8)),
    }
}

fn decide_shared(td: &Td, gpa: SharedGpa, entry: Entry) -> Action {
    match entry {
        Entry::Mmio => Action::Die(Death::NoVe(gpa.bits())),
        _ if !td.guest.contains(gpa.address()) => Action::MarkMmio(gpa),
        Entry::Shared | Entry::Mapped(_) => Action::Map(gpa),
        Entry::Private => match td.conversion.mode {
            MapGpaMode::Lie => Action::Die(Death::NotShared(gpa.bits())),
            MapGpaMode::LieMmio => Action::MarkMmio(gpa),
            _ => Action::Convert(Gpa::Shared(gpa)),
        },
    }
}

fn decide_private(
    td: &Td,
    gpa: PrivateGpa,
    extended: ExtendedQualification,
    shares_any: impl Fn(Range) -> bool,
) -> Action {
    let kind = extended.kind();
    if kind == ExtendedQualification::PENDING_EPT_VIOLATION {
        return Action::Die(Death::PendingPage(gpa.bits()));
    }
    if !td.guest.contains(gpa.bits()) {
        return Action::Die(Death::OutsideMemory(gpa.bits()));
    }
    let pages_at = |gpa: PrivateGpa, level: PageLevel| {
        Range::new(gpa.bits(), gpa.bits().saturating_add(level.bytes()))
    };
    let small = gpa.start_of_range(PageLevel::Size4K as u8);
    if shares_any(pages_at(small, PageLevel::Size4K)) {
        return Action::Convert(Gpa::Private(small));
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
    match td.guest.page_around(gpa, wanted) {
        (gpa, PageLevel::Size4K) => Action::Add(gpa, PageLevel::Size4K),
        // The same address: a large page begins where the one of the ACCEPT does.
        (large, level) if shares_any(pages_at(large, level)) => {
            Action::Add(small, PageLevel::Size4K)
        }
        (large, level) => Action::Add(large, level),
    }
}

/// Handles the EPT violation in `regs`.
///
/// # Errors
/// The TD is dead, or there is no memory.
pub fn handle(vmm: &mut Vmm<'_>, td: &mut Td, vcpu: &Vcpu, regs: &Regs) -> Result<(), End> {
    let shared = &vcpu.shared;
    match decide(td, regs, shared, vmm.memory) {
        Action::Add(gpa, PageLevel::Size4K) => Ok(add_small(vmm, td, gpa)?),
        Action::Add(gpa, _) => Ok(add_large(vmm, td, gpa)?),
        Action::Convert(gpa) => Ok(convert(vmm, td, shared, gpa)?),
        Action::Map(gpa) => Ok(shared.map(vmm.memory, &mut vmm.pool, gpa).map(drop)?),
        Action::MarkMmio(gpa) => Ok(shared.mark_mmio(vmm.memory, &mut vmm.pool, gpa)?),
        Action::Die(death) => Err(death.into()),
    }
}

/// One page. If the module is busy, the fault comes again.
fn convert(vmm: &mut Vmm<'_>, td: &mut Td, shared: &SharedEpt, gpa: Gpa) -> Result<(), Failure> {
    let page_of = |address: u64| {
        let start = address & !(PAGE_SIZE - 1);
        Range::new(start, start + PAGE_SIZE)
    };
    td.conversion.by_touch += 1;
    match gpa {
        Gpa::Private(gpa) => conversion::to_private(vmm, td, shared, page_of(gpa.bits())),
        Gpa::Shared(gpa) => match conversion::to_shared(vmm, td, shared, page_of(gpa.address())) {
            Ok(()) | Err(Stop::Busy(_)) => Ok(()),
            Err(Stop::Failed(failure)) => Err(failure),
        },
    }
}

/// TDH.MEM.PAGE.AUG of 4 KiB. A page that is there already is left to the bound on faults,
/// unless it is blocked.
fn add_small(vmm: &mut Vmm<'_>, td: &Td, gpa: PrivateGpa) -> Result<(), Failure> {
    match add(vmm, td, gpa, PageLevel::Size4K) {
        Err(Failure::Module { error, .. }) if is_blocked(found(&error)) => {
            conversion::unblock(vmm, td, gpa, found(&error)).map(drop)
        }
        Err(Failure::Module { error, .. })
            if error.status.is(Status::EPT_ENTRY_STATE_INCORRECT) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// TDH.MEM.PAGE.AUG of 2 MiB; a small page where small ones are already, or when large ones
/// have run out.
fn add_large(vmm: &mut Vmm<'_>, td: &Td, gpa: PrivateGpa) -> Result<(), Failure> {
    match add(vmm, td, gpa, PageLevel::Size2M) {
        Err(Failure::OutOfMemory(PRIVATE)) => add_small(vmm, td, gpa),
        Err(Failure::Module { error, .. })
            if error.status.is(Status::EPT_ENTRY_STATE_INCORRECT) =>
        {
            add_small(vmm, td, gpa)
        }
        other => other,
    }
}

fn add(vmm: &mut Vmm<'_>, td: &Td, gpa: PrivateGpa, level: PageLevel) -> Result<(), Failure> {
    let given = vmm.give(level, PRIVATE, |vmm, page| {
        soil(vmm, td, page, level);
        with_sept(vmm, td, gpa, AUG, |vmm| vmm.module.mem_page_aug(gpa, level, td.tdr, page))
    });
    given.map(drop)
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
    let mut added = add(vmm);
    for _ in 0..MAX_SEPT_ADDS {
        let level = match added {
            Err(error)
                if error.status.is(Status::EPT_WALK_FAILED) && !is_blocked(found(&error)) =>
            {
                found(&error).level
            }
            _ => break,
        };
        vmm.give(PageLevel::Size4K, "secure EPT pages", |vmm, page| {
            let sept = vmm.module.mem_sept_add(gpa.start_of_range(level), level, td.tdr, page);
            sept.map_err(Failure::leaf("TDH.MEM.SEPT.ADD"))
        })?;
        added = add(vmm);
    }
    added.map_err(Failure::leaf(leaf))
}

#[cfg(test)]
mod tests;
