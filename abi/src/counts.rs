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

/// Counts of #VEs by exit reason, TDCALLs by leaf and VP.VMCALLs by sub-function.
///
/// Numbers outside the tables, vendor calls included, share one `other` counter a
/// kind, so that no count is lost. Counters wrap.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Counts {
    ve: [u64; VE],
    ve_other: u64,
    tdcall: [u64; TDCALL],
    tdcall_other: u64,
    vmcall: [u64; FUNCTIONS.len()],
    vmcall_other: u64,
}

impl Counts {
    /// All counters zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ve: [0; VE],
            ve_other: 0,
            tdcall: [0; TDCALL],
            tdcall_other: 0,
            vmcall: [0; FUNCTIONS.len()],
            vmcall_other: 0,
        }
    }

    /// Counts a #VE with this basic exit reason.
    pub fn record_ve(&mut self, reason: u16) {
        bump(self.ve.get_mut(usize::from(reason)).unwrap_or(&mut self.ve_other));
    }

    /// Counts a TDCALL of this leaf.
    pub fn record_tdcall(&mut self, leaf: u64) {
        let slot = usize::try_from(leaf).ok().and_then(|leaf| self.tdcall.get_mut(leaf));
        bump(slot.unwrap_or(&mut self.tdcall_other));
    }

    /// Counts a VP.VMCALL: R10 and R11 as the VMM sees them.
    pub fn record_vmcall(&mut self, r10: u64, r11: u64) {
        let index = FUNCTIONS.iter().position(|function| r10 == 0 && *function == r11);
        match index {
            Some(index) => bump(&mut self.vmcall[index]),
            None => bump(&mut self.vmcall_other),
        }
    }

    /// #VEs with this basic exit reason.
    #[must_use]
    pub fn ve(&self, reason: u16) -> u64 {
        self.ve.get(usize::from(reason)).copied().unwrap_or(self.ve_other)
    }

    /// TDCALLs of this leaf.
    #[must_use]
    pub fn tdcall(&self, leaf: u64) -> u64 {
        let slot = usize::try_from(leaf).ok().and_then(|leaf| self.tdcall.get(leaf));
        slot.copied().unwrap_or(self.tdcall_other)
    }

    /// VP.VMCALLs of this sub-function.
    #[must_use]
    pub fn vmcall(&self, function: u64) -> u64 {
        let index = FUNCTIONS.iter().position(|known| *known == function);
        index.map_or(self.vmcall_other, |index| self.vmcall[index])
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let minus = |now: u64, then: u64| now.wrapping_sub(then);
        Self {
            ve: array::from_fn(|i| minus(self.ve[i], earlier.ve[i])),
            ve_other: minus(self.ve_other, earlier.ve_other),
            tdcall: array::from_fn(|i| minus(self.tdcall[i], earlier.tdcall[i])),
            tdcall_other: minus(self.tdcall_other, earlier.tdcall_other),
            vmcall: array::from_fn(|i| minus(self.vmcall[i], earlier.vmcall[i])),
            vmcall_other: minus(self.vmcall_other, earlier.vmcall_other),
        }
    }

    /// Reads the counters that a line in text form names; the others are zero.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut counts = Self::new();
        for word in line.split_ascii_whitespace() {
            if let Some((name, value)) = word.split_once('=')
                && let Ok(value) = value.parse()
                && let Some(slot) = counts.slot(name)
            {
                *slot = value;
            }
        }
        counts
    }

    fn slot(&mut self, name: &str) -> Option<&mut u64> {
        let (kind, number) = name.split_once('.')?;
        if number == "other" {
            return match kind {
                "ve" => Some(&mut self.ve_other),
                "tdcall" => Some(&mut self.tdcall_other),
                "vmcall" => Some(&mut self.vmcall_other),
                _ => None,
            };
        }
        match kind {
            "ve" => self.ve.get_mut(number.parse::<usize>().ok()?),
            "tdcall" => self.tdcall.get_mut(number.parse::<usize>().ok()?),
            "vmcall" => {
                let number = u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()?;
                let index = FUNCTIONS.iter().position(|known| *known == number)?;
                Some(&mut self.vmcall[index])
            }
            _ => None,
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Words { f, first: true };
        for (reason, count) in self.ve.iter().enumerate() {
            words.put(*count, format_args!("ve.{reason}"))?;
        }
        words.put(self.ve_other, format_args!("ve.other"))?;
        for (leaf, count) in self.tdcall.iter().enumerate() {
            words.put(*count, format_args!("tdcall.{leaf}"))?;
        }
        words.put(self.tdcall_other, format_args!("tdcall.other"))?;
        for (function, count) in FUNCTIONS.iter().zip(&self.vmcall) {
            words.put(*count, format_args!("vmcall.{function:#x}"))?;
        }
        words.put(self.vmcall_other, format_args!("vmcall.other"))
    }
}

/// Writes `name=count` words with spaces between them, leaving out zeros.
struct Words<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl Words<'_, '_> {
    fn put(&mut self, count: u64, name: fmt::Arguments<'_>) -> fmt::Result {
        if count == 0 {
            return Ok(());
        }
        let space = if self.first { "" } else { " " };
        self.first = false;
        write!(self.f, "{space}{name}={count}")
    }
}

fn bump(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
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
