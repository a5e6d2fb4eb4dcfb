//! What independent witnesses must agree on after a run that passed.
//!
//! * MRTD: computed from the image file here, measured page by page by the module.
//! * Counts of #VEs, TDCALLs and VP.VMCALLs: kept by the kernel, and by the module.
//! * Memory: the VMM got every page back that it had given to the trust domain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use abi::{Counts, leaf::tdg};
use image::{ImageError, PageOrder};

use crate::Report;

/// The kernel's line: what it counted between its first and its last VP.INFO.
const KERNEL_COUNTS: &str = "# counts from vp_info to vp_info: ";
/// The module's line at the TD's VP.INFO number *n*, which follows.
const MODULE_COUNTS: &str = "module: counts at vp_info ";

/// What was agreed on.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// What the kernel and the module both counted; nothing if the kernel keeps no counts.
    pub counts: Option<Counts>,
    /// The VMM's own line about the pages it got back.
    pub reclaimed: String,
}

/// The MRTD of `image` in lower-case hex, as the VMM prints the measured one.
pub fn mrtd(image: &[u8], order: PageOrder) -> Result<String, ImageError> {
    Ok(hex(&image::measure(image, order)?))
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// One thing that two witnesses see differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    what: String,
    sides: [(&'static str, String); 2],
}

/// Who runs in the trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Ours: it must print its counts.
    Ours,
    /// Any: if it prints counts, they must be right.
    Any,
}

/// Compares; `mrtd` is what the image file says it must be, in lower-case hex.
pub fn compare(report: &Report, mrtd: &str, kernel: Kernel) -> Result<Agreement, Vec<Difference>> {
    let mut differences = Vec::new();
    let vmm_line = |prefix: &str| {
        report.vmm_log.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or("(no line)")
    };
    let measured = vmm_line("vmm: mrtd ");
    if measured != mrtd {
        differences.push(Difference::new("mrtd", ("image", mrtd), ("module", measured)));
    }
    let reclaimed = vmm_line("vmm: reclaimed ");
    if !reclaimed.ends_with("none left") {
        let expected = ("expected", "reclaimed …, none left");
        differences.push(Difference::new("pages", expected, ("VMM", reclaimed)));
    }
    let line = report.console.lines().rev().find_map(|line| line.strip_prefix(KERNEL_COUNTS));
    let counts = line.map(Counts::parse);
    match counts {
        Some(counts) => differences.extend(count_differences(&counts, report)),
        None if kernel == Kernel::Any => {}
        None => {
            let expected = ("expected", "a line");
            differences.push(Difference::new("counts", expected, ("kernel", "none")));
        }
    }
    if differences.is_empty() {
        Ok(Agreement { counts, reclaimed: reclaimed.to_owned() })
    } else {
        Err(differences)
    }
}

/// What the module counted while the kernel counted `kernel`.
fn counted_by_module(kernel: &Counts, report: &Report) -> Result<Counts, Difference> {
    let snapshots: Vec<Counts> = report
        .module_log
        .lines()
        .filter_map(|line| line.strip_prefix(MODULE_COUNTS).map(Counts::parse))
        .collect();
    // The kernel starts to count when its first VP.INFO returns and counts the later
    // ones; boot's are the snapshots before.
    let calls =
        usize::try_from(kernel.tdcall(tdg::VP_INFO)).unwrap_or(usize::MAX).saturating_add(1);
    let first = snapshots.len().checked_sub(calls).and_then(|index| snapshots.get(index));
    if let (Some(first), Some(last)) = (first, snapshots.last()) {
        return Ok(last.since(first));
    }
    let [made, seen] = [calls, snapshots.len()].map(|number| number.to_string());
    Err(Difference::new("VP.INFO calls", ("kernel", &made), ("module", &seen)))
}

/// A row for each counter that is not the same on both sides.
fn count_differences(kernel: &Counts, report: &Report) -> Vec<Difference> {
    let module = match counted_by_module(kernel, report) {
        Ok(module) => module,
        Err(difference) => return vec![difference],
    };
    let [left, right] = [kernel, &module].map(|counts| by_name(&counts.to_string()));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let row = |name: &String| {
        let [kernel, module] =
            [&left, &right].map(|side| side.get(name).map_or("0", String::as_str));
        (kernel != module).then(|| Difference::new(name, ("kernel", kernel), ("module", module)))
    };
    names.into_iter().filter_map(row).collect()
}

/// The words `name=count` of the text form.
fn by_name(counts: &str) -> BTreeMap<String, String> {
    let words = counts.split(' ').filter_map(|word| word.split_once('='));
    words.map(|(name, count)| (name.to_owned(), count.to_owned())).collect()
}

impl Difference {
    fn new(what: &str, left: (&'static str, &str), right: (&'static str, &str)) -> Self {
        let own = |(who, value): (&'static str, &str)| (who, value.to_owned());
        Self { what: what.to_owned(), sides: [own(left), own(right)] }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(left, a), (right, b)] = &self.sides;
        write!(f, "{:<14} {left:>8}: {a:<12} {right:>8}: {b}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;
    use std::time::Duration;

    /// Boot calls VP.INFO once, the kernel three times.
    fn report() -> Report {
        Report {
            hardware: false,
            exit: Exit::Verdict(0x10),
            console: "# counts from vp_info to vp_info: ve.30=2 tdcall.0=2 tdcall.1=2 tdcall.3=2 \
                      vmcall.0x1e=2\n"
                .into(),
            vmm_log: "vmm: mrtd abc\nvmm: reclaimed 77 pages, none left\n".into(),
            module_log: "module: counts at vp_info 1 tdcall.1=1 tdcall.6=9\n\
                         module: counts at vp_info 2 ve.30=5 tdcall.0=5 tdcall.1=2 tdcall.3=5 \
                         tdcall.6=9 vmcall.0x1e=5\n\
                         module: counts at vp_info 3 ve.30=6 tdcall.0=6 tdcall.1=3 tdcall.3=6 \
                         tdcall.6=9 vmcall.0x1e=6\n\
                         module: counts at vp_info 4 ve.30=7 tdcall.0=7 tdcall.1=4 tdcall.3=7 \
                         tdcall.6=9 vmcall.0x1e=7\n\
                         module: counts at end ve.30=99\n"
                .into(),
            qemu_log: String::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn lines(differences: &[Difference]) -> Vec<String> {
        differences.iter().map(|d| d.to_string().split_whitespace().collect()).collect()
    }

    #[test]
    fn equal_witnesses_agree() {
        let agreement = compare(&report(), "abc", Kernel::Ours).unwrap();
        assert_eq!(agreement.counts.map(|counts| counts.ve(30)), Some(2));
        assert_eq!(agreement.reclaimed, "77 pages, none left");
    }

    #[test]
    fn each_counter_that_differs_is_a_row() {
        let mut report = report();
        report.console = report.console.replace("ve.30=2", "ve.30=3 ve.10=1");
        let differences = compare(&report, "abc", Kernel::Ours).unwrap_err();
        let rows = ["ve.10kernel:1module:0", "ve.30kernel:3module:2"];
        assert_eq!(lines(&differences), rows);
    }

    #[test]
    fn another_measurement_is_a_difference() {
        assert_eq!(
            lines(&compare(&report(), "abd", Kernel::Ours).unwrap_err()),
            ["mrtdimage:abdmodule:abc"]
        );
    }

    #[test]
    fn pages_that_stay_behind_are_a_difference() {
        let mut report = report();
        report.vmm_log = report.vmm_log.replace("none left", "2 left");
        assert_eq!(compare(&report, "abc", Kernel::Ours).unwrap_err().len(), 1);
    }

    #[test]
    fn silence_never_agrees() {
        let without = |silence: fn(&mut Report)| {
            let mut report = report();
            silence(&mut report);
            compare(&report, "abc", Kernel::Ours).unwrap_err().len()
        };
        assert_eq!(without(|report| report.console.clear()), 1);
        assert_eq!(without(|report| report.module_log.clear()), 1);
        assert_eq!(without(|report| report.vmm_log.clear()), 2);
    }

    #[test]
    fn only_our_own_kernel_must_keep_counts() {
        let mut silent = report();
        silent.console.clear();
        assert!(compare(&silent, "abc", Kernel::Any).unwrap().counts.is_none());
        let mut wrong = report();
        wrong.console = wrong.console.replace("ve.30=2", "ve.30=3");
        assert!(compare(&wrong, "abc", Kernel::Any).is_err());
    }

    #[test]
    fn a_kernel_that_claims_more_calls_than_were_made_is_caught() {
        let mut report = report();
        report.console = report.console.replace("tdcall.1=2", "tdcall.1=9");
        let differences = compare(&report, "abc", Kernel::Ours).unwrap_err();
        assert_eq!(lines(&differences), ["VP.INFOcallskernel:10module:4"]);
    }
}
