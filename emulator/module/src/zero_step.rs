//! The defence against zero-stepping. [ABI-G 10], [ABI-H 5.2]
//!
//! A VMM that never maps a page can make one instruction of a TD fault as often as it
//! likes, and learn from each try. Past [`THRESHOLD`] violations of private memory at one
//! RIP the addresses are recorded, and TDH.VP.ENTER refuses the vCPU until all of them
//! are mapped; then a TD that asked for it by NOTIFY_ENABLES is told with a #VE. The
//! record ends when a VM exit finds RIP elsewhere.
//!
//! | bytes of the TDVPR page | field |
//! |---|---|
//! | 1024-1055 | [`Record`] |
//! | 1056-1311 | recorded addresses |

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::machine::{Machine, TDVPS_VMCB, VcpuId};
use crate::phys::{load, store};
use crate::td::Td;
use crate::td::tdvps::{SVM_AREA, Tdvps};
use crate::translate::{Access, Translation, translate_private};

/// Violations at one place that are not yet suspicious.
const THRESHOLD: u8 = 6;
/// Addresses that are recorded.
const GPAS: u64 = 32;
/// Where the record stands in the TDVPR page.
const AT: u64 = 1024;
/// NOTIFY_ENABLES: a #VE tells of the suspicion.
const NOTIFY: u64 = 1;

/// What the module knows of the vCPU's last violations. The recorded addresses follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Record {
    flags: Flags,
    /// RIP when the vCPU was entered.
    rip_at_entry: u64,
    /// The last violation: address and qualification.
    gpa: u64,
    qualification: u64,
}

/// The part of the record that every exit looks at.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Flags {
    /// Violations at this RIP, up to the threshold.
    violations: u8,
    /// Recorded addresses.
    num_gpas: u8,
    /// What the last exit was: see the constants below.
    last: u8,
    owes_ve: u8,
    _rsvd_004: [u8; 4],
}

/// Where the recorded addresses stand in the TDVPR page.
const GPAS_AT: u64 = AT + size_of::<Record>() as u64;

const _: () = assert!(size_of::<Tdvps>() as u64 <= AT);
const _: () = assert!(GPAS_AT + 8 * GPAS <= SVM_AREA);

/// `last`: something else than a violation, or one with an event that must not be lost.
const OTHER: u8 = 0;
/// `last`: a violation; the TD exit has not been made yet.
const VIOLATION: u8 = 1;
/// `last`: a violation, with its TD exit.
const VIOLATION_EXIT: u8 = 2;

impl Record {
    fn load(m: &dyn Machine, tdvpr: u64) -> Self {
        load(m, tdvpr + AT)
    }

    fn store(&self, m: &mut dyn Machine, tdvpr: u64) {
        store(m, tdvpr + AT, self);
    }

    fn forget_at(&mut self, rip: u64) {
        if rip != self.rip_at_entry {
            (self.flags.violations, self.flags.num_gpas) = (0, 0);
        }
    }
}

impl Flags {
    fn load(m: &dyn Machine, tdvpr: u64) -> Self {
        load(m, tdvpr + AT)
    }

    fn store(self, m: &mut dyn Machine, tdvpr: u64) {
        store(m, tdvpr + AT, &self);
    }

    /// The recorded addresses.
    fn recorded(self, m: &dyn Machine, tdvpr: u64) -> impl Iterator<Item = u64> {
        (0..u64::from(self.num_gpas)).map(move |index| m.read_u64(GPAS_AT + tdvpr + 8 * index))
    }
}

/// What TDH.VP.ENTER does with the vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Enters it.
    Allowed,
    /// Answers as if the vCPU had violated this address.
    Refused {
        /// The first recorded address that is not mapped.
        gpa: u64,
    },
    /// Enters it with a #VE, if VE_INFO is free.
    Notified {
        /// Address of the last violation.
        gpa: u64,
        /// Its qualification.
        qualification: u64,
    },
}

/// TDH.VP.ENTER is about to enter the vCPU at `rip`.
pub(crate) fn on_entry(m: &mut dyn Machine, td: &Td, tdvpr: u64, rip: u64) -> Entry {
    let mut record = Record::load(m, tdvpr);
    record.rip_at_entry = rip;
    record.store(m, tdvpr);
    let access = Access { read: true, write: true, execute: true };
    let is_missing =
        |gpa: &u64| matches!(translate_private(m, td, *gpa, access), Translation::Violation(_));
    if let Some(gpa) = record.flags.recorded(m, tdvpr).find(is_missing) {
        return Entry::Refused { gpa };
    }
    let notifies = td.tdcs.notify_enables == NOTIFY;
    if record.flags.num_gpas != 0 && notifies && record.flags.last == VIOLATION_EXIT {
        return Entry::Notified { gpa: record.gpa, qualification: record.qualification };
    }
    Entry::Allowed
}

/// A VM exit of a TD, as hardware would make it: progress ends the record.
pub(crate) fn note_exit(m: &mut dyn Machine, v: VcpuId) {
    if Flags::load(m, v.tdvpr).violations != 0 {
        let mut record = Record::load(m, v.tdvpr);
        record.forget_at(rip(m, v));
        record.store(m, v.tdvpr);
    }
}

/// A violation of private memory that becomes a TD exit. `loses_event`: it interrupted
/// the delivery of an event, or NMIs are blocked.
pub(crate) fn note_violation(
    m: &mut dyn Machine,
    v: VcpuId,
    gpa: u64,
    qualification: u64,
    loses_event: bool,
) {
    let mut record = Record::load(m, v.tdvpr);
    record.forget_at(rip(m, v));
    (record.gpa, record.qualification) = (gpa, qualification);
    record.flags.last = if loses_event { OTHER } else { VIOLATION };
    if record.flags.violations < THRESHOLD {
        record.flags.violations += 1;
    } else if u64::from(record.flags.num_gpas) < GPAS
        && !record.flags.recorded(m, v.tdvpr).any(|recorded| recorded == gpa)
    {
        m.write_u64(GPAS_AT + v.tdvpr + 8 * u64::from(record.flags.num_gpas), gpa);
        record.flags.num_gpas += 1;
    }
    record.store(m, v.tdvpr);
}

/// A TD exit, whatever its cause.
pub(crate) fn note_td_exit(m: &mut dyn Machine, tdvpr: u64) {
    let flags = Flags::load(m, tdvpr);
    let last = if flags.last == VIOLATION { VIOLATION_EXIT } else { OTHER };
    Flags { last, ..flags }.store(m, tdvpr);
}

/// VE_INFO was filled by TDH.VP.ENTER: the vCPU starts with a #VE.
pub(crate) fn owe_ve(m: &mut dyn Machine, tdvpr: u64) {
    let flags = Flags::load(m, tdvpr);
    Flags { owes_ve: 1, ..flags }.store(m, tdvpr);
}

/// Whether the vCPU starts with a #VE; says so once.
pub(crate) fn take_ve(m: &mut dyn Machine, tdvpr: u64) -> bool {
    let flags = Flags::load(m, tdvpr);
    if flags.owes_ve != 0 {
        Flags { owes_ve: 0, ..flags }.store(m, tdvpr);
    }
    flags.owes_ve != 0
}

fn rip(m: &dyn Machine, v: VcpuId) -> u64 {
    let vmcb = offset_of!(Tdvps, pages) + TDVPS_VMCB * size_of::<u64>();
    m.guest_rip(m.read_u64(v.tdvpr + vmcb as u64))
}
