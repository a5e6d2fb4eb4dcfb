//! From how QEMU ended to an exit code and the layer at fault.
//!
//! Exit codes of `cargo xtask run`: 0 passed, 1 a check failed, 2 usage,
//! environment (no TDX module among it) or a refused image, 3 not a trust domain, 4 the TD died, 5 it took
//! too long. A layer that explains itself in its log (`vmm: error: LAYER: TEXT`)
//! is believed; else the verdict names the layer.

use std::fmt;

use abi::verdict;

use crate::{Exit, Report};

/// Passed.
pub const PASSED: u8 = 0;
/// A check failed, or the emulator did.
pub const FAILED: u8 = 1;
/// Wrong usage, missing tools, or an image that nobody would start.
pub const REFUSED: u8 = 2;
/// The image runs, but not in a trust domain.
pub const NOT_A_TD: u8 = 3;
/// The trust domain died.
pub const DIED: u8 = 4;
/// It took too long.
pub const TIMED_OUT: u8 = 5;

/// What QEMU writes, with `-d guest_errors`, when a TD calls ReportFatalError.
const FATAL_ERROR: &str = "TDX guest reports fatal error";
/// What QEMU writes when KVM can no longer run the TD, as after a touch of memory that is
/// not accepted.
const RUN_FAILED: &str = "kvm run failed";

/// Who can be at fault, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The QEMU process or its command line.
    Qemu,
    /// KVM and the TDX module of a TDX host.
    Kvm,
    /// The emulated TDX module.
    Module,
    /// The emulator's VMM.
    Vmm,
    /// The image and the code that boots from it.
    Firmware,
    /// The kernel in the trust domain.
    Kernel,
}

/// What a boot amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Exit code of `cargo xtask run`.
    pub code: u8,
    /// The layer at fault, when something is.
    pub layer: Option<Layer>,
    /// What happened, in a line.
    pub text: String,
}

/// Judges a boot by its verdict and by what the logs say about it.
pub fn judge(report: &Report) -> Judgement {
    if let Some(judgement) = told_by_qemu(&report.qemu_log) {
        return judgement;
    }
    let (code, layer, text) = match report.exit {
        Exit::Verdict(value) => match value {
            verdict::PASSED => return Judgement::passed(),
            verdict::CHECK_FAILED => (FAILED, Layer::Kernel, "a check failed"),
            verdict::NOT_A_TRUST_DOMAIN => (NOT_A_TD, Layer::Firmware, "not a trust domain"),
            verdict::TD_DIED => (DIED, Layer::Kernel, "the trust domain died"),
            verdict::TIMED_OUT => (TIMED_OUT, farthest(report), "the VMM's watchdog ended it"),
            verdict::REFUSED => (REFUSED, Layer::Firmware, "the VMM refused the image"),
            verdict::VMM_STOPPED => (FAILED, Layer::Vmm, "the module stopped the VMM"),
            verdict::NO_MODULE => (REFUSED, Layer::Module, "SEAMCALL reaches no TDX module"),
            verdict::EMULATOR_FAILED => (FAILED, Layer::Module, "a bug in the emulator"),
            _ => (FAILED, Layer::Kernel, "a verdict that nobody knows"),
        },
        Exit::Qemu(0) if report.hardware => (DIED, Layer::Kernel, "the trust domain was reset"),
        Exit::Qemu(0) => (FAILED, Layer::Module, "the machine was reset"),
        Exit::Qemu(_) if report.qemu_log.contains("KVM") => (REFUSED, Layer::Kvm, "QEMU failed"),
        Exit::Qemu(_) => (REFUSED, Layer::Qemu, "QEMU failed"),
        Exit::Signal(_) => (REFUSED, Layer::Qemu, "QEMU was killed"),
        Exit::TimedOut => (TIMED_OUT, farthest(report), "no end before the deadline"),
    };
    let (layer, detail) = explanation(report, layer);
    let text = match detail {
        Some(detail) => format!("{text}: {detail}"),
        None => text.to_owned(),
    };
    Judgement { code, layer: Some(layer), text }
}

/// The death of a trust domain on KVM, which QEMU tells on its standard error. After the
/// second kind it stays, with a machine that no longer runs. [TDVF 3.5]
fn told_by_qemu(log: &str) -> Option<Judgement> {
    let died = |layer, text| Some(Judgement { code: DIED, layer: Some(layer), text });
    if let Some((_, words)) = log.lines().rev().find_map(|line| line.split_once(FATAL_ERROR)) {
        let words = words.trim_start_matches(['.', ' ']);
        return died(Layer::Kernel, format!("the trust domain died: {words}"));
    }
    let line = log.lines().find(|line| line.contains(RUN_FAILED))?;
    died(Layer::Kvm, format!("KVM ended the trust domain: {line}"))
}

impl Judgement {
    /// What to do about it, for a person.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match (self.code, self.layer) {
            (PASSED, _) | (_, None) => "nothing is to be done",
            (NOT_A_TD, _) => {
                "boot the image as a trust domain: on a TDX host with `--tdx`, else on the emulator"
            }
            (TIMED_OUT, _) => "see how far the logs go, or give it more time by `--timeout`",
            (_, Some(Layer::Qemu)) => "see qemu.log, or name another QEMU by `--qemu`",
            (_, Some(Layer::Kvm)) => "ask `cargo xtask doctor` what is missing",
            (_, Some(Layer::Module)) => "see module.log; on hardware, see the host's kernel log",
            (_, Some(Layer::Vmm)) => "see vmm.log",
            (_, Some(Layer::Firmware)) => "see vmm.log, and build the image again",
            (_, Some(Layer::Kernel)) => "see the failed checks, or the end of console.log",
        }
    }

    fn passed() -> Self {
        Self { code: PASSED, layer: None, text: "passed".to_owned() }
    }
}

/// The layer that a log blames and its words; `otherwise` when none does.
fn explanation(report: &Report, otherwise: Layer) -> (Layer, Option<String>) {
    let last = |log: &str, prefix: &str| {
        log.lines().rev().find_map(|line| line.strip_prefix(prefix).map(str::to_owned))
    };
    if report.exit == Exit::TimedOut {
        return (otherwise, Some(last_words(report)));
    }
    if matches!(otherwise, Layer::Qemu | Layer::Kvm) {
        return (otherwise, report.qemu_log.lines().next_back().map(str::to_owned));
    }
    if let Some(error) = last(&report.vmm_log, "vmm: error: ") {
        return match error
            .split_once(": ")
            .and_then(|(name, text)| Some((Layer::named(name)?, text)))
        {
            Some((layer, text)) => (layer, Some(text.to_owned())),
            None => (otherwise, Some(error)),
        };
    }
    if let Some(error) = last(&report.module_log, "module: error: ") {
        return (otherwise, Some(error));
    }
    let detail = last(&report.vmm_log, "vmm: fatal error from TD: ")
        .or_else(|| last(&report.vmm_log, "vmm: td died: "));
    (otherwise, detail)
}

/// The innermost layer that has said anything: where a boot that hangs got to.
fn farthest(report: &Report) -> Layer {
    match (&*report.console, &*report.vmm_log, &*report.module_log) {
        ("", "", "") => Layer::Qemu,
        ("", "", _) => Layer::Module,
        ("", _, _) => Layer::Vmm,
        _ => Layer::Kernel,
    }
}

/// The last line of each log, for a boot that hangs.
fn last_words(report: &Report) -> String {
    let logs = [
        ("console", &report.console),
        ("vmm.log", &report.vmm_log),
        ("module.log", &report.module_log),
        ("qemu.log", &report.qemu_log),
    ];
    let lines: Vec<String> = logs
        .iter()
        .filter_map(|(name, log)| {
            let line = log.lines().rfind(|line| !line.trim().is_empty())?;
            Some(format!("{name} ends with \"{}\"", line.trim()))
        })
        .collect();
    if lines.is_empty() { "nothing was logged".to_owned() } else { lines.join(", ") }
}

impl Layer {
    const ALL: [Self; 6] =
        [Self::Qemu, Self::Kvm, Self::Module, Self::Vmm, Self::Firmware, Self::Kernel];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.to_string().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qemu => "QEMU",
            Self::Kvm => "KVM",
            Self::Module => "module",
            Self::Vmm => "VMM",
            Self::Firmware => "firmware",
            Self::Kernel => "kernel",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report(exit: Exit) -> Report {
        Report {
            exit,
            hardware: false,
            console: "kernel: hello\n".into(),
            vmm_log: String::new(),
            module_log: String::new(),
            qemu_log: String::new(),
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn every_verdict_has_its_exit_code_and_layer() {
        let rows = [
            (verdict::CHECK_FAILED, 1, Layer::Kernel),
            (verdict::NOT_A_TRUST_DOMAIN, 3, Layer::Firmware),
            (verdict::TD_DIED, 4, Layer::Kernel),
            (verdict::TIMED_OUT, 5, Layer::Kernel),
            (verdict::REFUSED, 2, Layer::Firmware),
            (verdict::EMULATOR_FAILED, 1, Layer::Module),
            (verdict::VMM_STOPPED, 1, Layer::Vmm),
            (verdict::NO_MODULE, 2, Layer::Module),
            (0x3f, 1, Layer::Kernel),
        ];
        for (value, code, layer) in rows {
            let judgement = judge(&report(Exit::Verdict(value)));
            assert_eq!((judgement.code, judgement.layer), (code, Some(layer)), "{value:#x}");
        }
        assert_eq!(judge(&report(Exit::Verdict(verdict::PASSED))), Judgement::passed());
    }

    #[test]
    fn only_the_passing_verdict_passes() {
        let exits = (0..0x80).map(Exit::Verdict).chain((0..3).map(Exit::Qemu));
        for exit in exits.chain([Exit::Signal(9), Exit::TimedOut]) {
            let passed = judge(&report(exit)).code == PASSED;
            assert_eq!(passed, exit == Exit::Verdict(verdict::PASSED), "{exit:?}");
        }
    }

    #[test]
    fn a_log_that_blames_a_layer_is_believed() {
        let mut report = report(Exit::Verdict(verdict::EMULATOR_FAILED));
        report.vmm_log = "vmm: error: VMM: no memory\nvmm: bye\n".into();
        let judgement = judge(&report);
        assert_eq!(judgement.layer, Some(Layer::Vmm));
        assert_eq!(judgement.text, "a bug in the emulator: no memory");
    }

    #[test]
    fn a_module_that_gives_up_is_quoted() {
        let mut report = report(Exit::Verdict(verdict::EMULATOR_FAILED));
        report.module_log = "SeaBIOS\nmodule: error: the VMM's file: empty\n".into();
        let judgement = judge(&report);
        assert_eq!(judgement.layer, Some(Layer::Module));
        assert_eq!(judgement.text, "a bug in the emulator: the VMM's file: empty");
    }

    #[test]
    fn a_fatal_error_is_quoted() {
        let mut report = report(Exit::Verdict(verdict::TD_DIED));
        report.vmm_log = "vmm: fatal error from TD: panic at src/main.rs:7\n".into();
        assert_eq!(judge(&report).text, "the trust domain died: panic at src/main.rs:7");
    }

    #[test]
    fn a_hang_is_placed_by_the_last_log_lines() {
        let mut report = report(Exit::TimedOut);
        report.vmm_log = "vmm: entering\n".into();
        let judgement = judge(&report);
        assert_eq!((judgement.code, judgement.layer), (TIMED_OUT, Some(Layer::Kernel)));
        assert!(judgement.text.contains("console ends with \"kernel: hello\""), "{judgement:?}");
        assert!(judgement.text.contains("vmm.log ends with \"vmm: entering\""), "{judgement:?}");
        report.console.clear();
        assert_eq!(judge(&report).layer, Some(Layer::Vmm));
    }

    #[test]
    fn qemu_failing_is_reported_in_its_own_words() {
        let mut report = report(Exit::Qemu(1));
        report.qemu_log = "warning: x\nqemu: could not load kernel\n".into();
        let judgement = judge(&report);
        assert_eq!((judgement.code, judgement.layer), (REFUSED, Some(Layer::Qemu)));
        assert!(judgement.text.ends_with("could not load kernel"), "{judgement:?}");
        report.qemu_log = "qemu: Could not access KVM kernel module\n".into();
        assert_eq!(judge(&report).layer, Some(Layer::Kvm));
    }

    #[test]
    fn a_death_on_kvm_is_read_from_what_qemu_says() {
        let mut report = report(Exit::Qemu(0));
        assert_eq!((judge(&report).code, judge(&report).layer), (FAILED, Some(Layer::Module)));
        report.hardware = true;
        assert_eq!((judge(&report).code, judge(&report).layer), (DIED, Some(Layer::Kernel)));
        report.qemu_log =
            "x\nTDX guest reports fatal error. error code: 0x0 error message:\"panic\"\n".into();
        let judgement = judge(&report);
        assert_eq!((judgement.code, judgement.layer), (DIED, Some(Layer::Kernel)));
        assert!(judgement.text.ends_with("error message:\"panic\""), "{judgement:?}");
        report.exit = Exit::TimedOut;
        report.qemu_log = "error: kvm run failed Input/output error\n".into();
        let judgement = judge(&report);
        assert_eq!((judgement.code, judgement.layer), (DIED, Some(Layer::Kvm)));
    }
}
