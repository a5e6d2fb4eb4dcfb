//! Counters of what a TD did: kept by the module and by the kernel, each on its
//! own, and compared after a run.
//!
//! Text form, one line, only non-zero counters, the same from both sides:
//! `ve.30=12 tdcall.0=34 tdcall.3=12 vmcall.0x1e=30`. Other words in a line are
//! ignored by [`Counts::parse`].

use core::array;
use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ghci::function;

/// #VE causes: exit reasons 0-79.
const VE: usize = 80;
/// TDCALL leaves 0-31.
const TDCALL: usize = 32;

/// VP.VMCALL sub-functions with a counter of their own, in print order.
const FUNCTIONS: [u64; 15] = [
    function::CPUID,
    function::HLT,
    function::IO,
    function::RDMSR,
    function::WRMSR,
    function::MMIO,
    function::WBINVD,
    function::PCONFIG,
    function::GET_TD_VMCALL_INFO,
    function::MAP_GPA,
    function::GET_QUOTE,
    function::REPORT_FATAL_ERROR,
    function::SETUP_EVENT_NOTIFY_INTERRUPT,
    function::SERVICE,
    function::MIGTD,
];

/// One counter of a [`Counts`].
///
/// Numbers outside the tables, vendor calls included, share one `other` slot a kind, so that
/// no count is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// How many there are.
    pub const COUNT: usize = Self::VMCALL_OTHER + 1;

    const VE_OTHER: usize = VE;
    const TDCALL: usize = Self::VE_OTHER + 1;
    const TDCALL_OTHER: usize = Self::TDCALL + TDCALL;
    const VMCALL: usize = Self::TDCALL_OTHER + 1;
    const VMCALL_OTHER: usize = Self::VMCALL + FUNCTIONS.len();

    /// #VEs with this basic exit reason.
    #[must_use]
    pub const fn ve(reason: u16) -> Self {
        let reason = reason as usize;
        Self(if reason < VE { reason } else { Self::VE_OTHER })
    }

    /// TDCALLs of this leaf.
    #[must_use]
    pub const fn tdcall(leaf: u64) -> Self {
        if leaf < TDCALL as u64 {
            Self(Self::TDCALL + leaf as usize)
        } else {
            Self(Self::TDCALL_OTHER)
        }
    }

    /// VP.VMCALLs with this R10 and R11.
    #[must_use]
    pub const fn vmcall(r10: u64, r11: u64) -> Self {
        let mut index = 0;
        while index < FUNCTIONS.len() {
            if r10 == 0 && FUNCTIONS[index] == r11 {
                return Self(Self::VMCALL + index);
            }
            index += 1;
        }
        Self(Self::VMCALL_OTHER)
    }

    /// Its place in [`Counts::from_slots`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// The slot of a name in text form.
    fn parse(name: &str) -> Option<Self> {
        let (kind, number) = name.split_once('.')?;
        match (kind, number) {
            ("ve", "other") => Some(Self(Self::VE_OTHER)),
            ("tdcall", "other") => Some(Self(Self::TDCALL_OTHER)),
            ("vmcall", "other") => Some(Self(Self::VMCALL_OTHER)),
            ("ve", reason) => Some(Self::ve(reason.parse().ok()?)),
            ("tdcall", leaf) => Some(Self::tdcall(leaf.parse().ok()?)),
            ("vmcall", function) => {
                let function = u64::from_str_radix(function.strip_prefix("0x")?, 16).ok()?;
                Some(Self::vmcall(0, function))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Self::VE_OTHER => f.write_str("ve.other"),
            Self::TDCALL_OTHER => f.write_str("tdcall.other"),
            slot if slot < VE => write!(f, "ve.{slot}"),
            slot if slot < Self::TDCALL_OTHER => write!(f, "tdcall.{}", slot - Self::TDCALL),
            slot => match slot.checked_sub(Self::VMCALL).and_then(|at| FUNCTIONS.get(at)) {
                Some(function) => write!(f, "vmcall.{function:#x}"),
                None => f.write_str("vmcall.other"),
            },
        }
    }
}

/// Counts of #VEs by exit reason, TDCALLs by leaf and VP.VMCALLs by sub-function. Counters
/// wrap.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Counts {
    slots: [u64; Slot::COUNT],
}

impl Counts {
    /// All counters zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [0; Slot::COUNT] }
    }

    /// The counters in the order of [`Slot::index`].
    #[must_use]
    pub const fn from_slots(slots: [u64; Slot::COUNT]) -> Self {
        Self { slots }
    }

    /// Counts a #VE with this basic exit reason.
    pub fn record_ve(&mut self, reason: u16) {
        self.record(Slot::ve(reason));
    }

    /// Counts a TDCALL of this leaf.
    pub fn record_tdcall(&mut self, leaf: u64) {
        self.record(Slot::tdcall(leaf));
    }

    /// Counts a VP.VMCALL: R10 and R11 as the VMM sees them.
    pub fn record_vmcall(&mut self, r10: u64, r11: u64) {
        self.record(Slot::vmcall(r10, r11));
    }

    fn record(&mut self, slot: Slot) {
        self.slots[slot.0] = self.slots[slot.0].wrapping_add(1);
    }

    /// #VEs with this basic exit reason.
    #[must_use]
    pub fn ve(&self, reason: u16) -> u64 {
        self.slots[Slot::ve(reason).0]
    }

    /// TDCALLs of this leaf.
    #[must_use]
    pub fn tdcall(&self, leaf: u64) -> u64 {
        self.slots[Slot::tdcall(leaf).0]
    }

    /// VP.VMCALLs of this sub-function.
    #[must_use]
    pub fn vmcall(&self, function: u64) -> u64 {
        self.slots[Slot::vmcall(0, function).0]
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self { slots: array::from_fn(|slot| self.slots[slot].wrapping_sub(earlier.slots[slot])) }
    }

    /// Reads the counters that a line in text form names; the others are zero.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut counts = Self::new();
        for word in line.split_ascii_whitespace() {
            if let Some((name, value)) = word.split_once('=')
                && let Ok(value) = value.parse()
                && let Some(slot) = Slot::parse(name)
            {
                counts.slots[slot.0] = value;
            }
        }
        counts
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.slots.iter().enumerate().filter(|(_, count)| **count != 0);
        for (index, (slot, count)) in counted.enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}={count}", Slot(slot))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::tdg;
    use std::format;

    fn sample() -> Counts {
        let mut counts = Counts::new();
        counts.record_ve(30);
        counts.record_ve(30);
        counts.record_ve(9999);
        counts.record_tdcall(tdg::VP_VEINFO_GET);
        counts.record_tdcall(77);
        counts.record_vmcall(0, function::IO);
        counts.record_vmcall(1, function::IO);
        counts
    }

    #[test]
    fn the_text_form_names_what_was_counted() {
        let text = "ve.30=2 ve.other=1 tdcall.3=1 tdcall.other=1 vmcall.0x1e=1 vmcall.other=1";
        assert_eq!(format!("{}", sample()), text);
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let line = format!("module: counts at vp_info 2 {} junk=1 ve.x=3", sample());
        assert_eq!(Counts::parse(&line), sample());
    }

    #[test]
    fn a_difference_is_counter_by_counter() {
        let mut later = sample();
        later.record_ve(10);
        later.record_vmcall(0, function::MMIO);
        let difference = later.since(&sample());
        assert_eq!(format!("{difference}"), "ve.10=1 vmcall.0x30=1");
        assert_eq!((difference.ve(10), difference.ve(30), difference.vmcall(0x30)), (1, 0, 1));
    }
}
