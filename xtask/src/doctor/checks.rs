//! What a TDX host needs, in the order in which it is set up. [TDVF 3.1]
//!
//! Pure: from the facts of a [`Host`] to a line for each need. `scripts/tdlet-smoke` says the
//! same lines, word for word.

use harness::qemu::{DEFAULT, OLDEST_WITH_TDX};
use harness::verdict::Layer;

use super::host::{Device, Host};

/// The oldest Linux whose KVM starts trust domains. [TDVF 3.1]
const OLDEST_LINUX: (u32, u32) = (6, 16);

/// How it stands with one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there.
    Ok,
    /// It is not there: no trust domain can be started.
    Missing,
    /// Something else has to be put right before this can be seen.
    CannotTell,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What is needed.
    pub(crate) name: &'static str,
    /// How it stands.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it; empty when nothing is.
    pub(crate) advice: String,
}

/// Every need, from the processor outwards.
pub(crate) fn checks(host: &Host) -> [Check; 9] {
    [
        cpu(host),
        bios(host),
        kernel(host),
        hibernation(host),
        parameter(host),
        module(host),
        device(host),
        qemu(host),
        object(host),
    ]
}

/// The first need that keeps a trust domain from being started; none on a TDX host that is
/// ready.
pub(crate) fn obstacle(checks: &[Check]) -> Option<&Check> {
    let missing = checks.iter().find(|check| check.state == State::Missing);
    missing.or_else(|| checks.iter().find(|check| check.state == State::CannotTell))
}

fn cpu(host: &Host) -> Check {
    let check = Check::of("CPU");
    let Some(vendor) = host.cpu("vendor_id") else {
        return check.cannot_tell("/proc/cpuinfo names no vendor", "run this on the host itself");
    };
    if host.flag("hypervisor") && !host.kvm_has_tdx() {
        return check.missing(
            "this is a virtual machine, and TDX is not nested",
            "run this on the host itself",
        );
    }
    if vendor != "GenuineIntel" {
        return check.missing(
            &format!("{vendor} processors have no TDX"),
            "use a machine with a 5th generation Xeon, a Xeon 6, or a 4th generation Xeon \
             that was sold with TDX",
        );
    }
    check.ok(host.cpu("model name").unwrap_or(vendor))
}

fn bios(host: &Host) -> Check {
    let check = Check::of("BIOS");
    let see = "sudo dmesg | grep virt/tdx shows \"BIOS enabled\" where TDX is on in the BIOS";
    if host.kvm_has_tdx() || host.flag("tdx_host_platform") {
        check.ok("TDX is on")
    } else if linux(host).is_none_or(|version| version < OLDEST_LINUX) {
        check.cannot_tell("this kernel does not tell", see)
    } else if hibernates(host) {
        check.cannot_tell("the kernel gave TDX up for hibernation", see)
    } else if host.parameter.is_none() {
        check.cannot_tell("this kernel does not tell without KVM's TDX", see)
    } else {
        check.missing(
            "TDX is off",
            "in the BIOS setup turn on TME, TME-MT (its memory integrity off), TDX and the SEAM \
             loader, and give TDX at least one key",
        )
    }
}

fn kernel(host: &Host) -> Check {
    let check = Check::of("kernel");
    let (major, minor) = OLDEST_LINUX;
    let Some(release) = host.release.as_deref().map(str::trim) else {
        return check.cannot_tell(
            "/proc/sys/kernel/osrelease cannot be read",
            "run this on the host itself",
        );
    };
    if linux(host).is_some_and(|version| version >= OLDEST_LINUX) {
        return check.ok(&format!("Linux {release}"));
    }
    check.missing(
        &format!("Linux {release} cannot start trust domains"),
        &format!("install Linux {major}.{minor} or later, built with CONFIG_KVM_INTEL_TDX"),
    )
}

fn hibernation(host: &Host) -> Check {
    let check = Check::of("hibernation");
    if hibernates(host) {
        return check.missing(
            "it is on, and the kernel then leaves TDX off",
            "add nohibernate to the kernel's command line and reboot",
        );
    }
    check.ok("off, or no obstacle")
}

fn parameter(host: &Host) -> Check {
    let check = Check::of("kvm_intel.tdx");
    if !host.kvm_intel {
        return check.missing(
            "kvm_intel is not loaded",
            "sudo modprobe kvm_intel tdx=1; when that fails, sudo dmesg | grep -iE 'kvm|tdx' says why",
        );
    }
    if host.kvm_has_tdx() {
        return check.ok("Y");
    }
    if host.parameter.is_none() {
        return check.missing(
            "this kernel was built without it",
            "install a kernel built with CONFIG_KVM_INTEL_TDX",
        );
    }
    if host.asked_for() {
        return check.ok("asked for on the kernel's command line");
    }
    check.missing(
        "N",
        "add kvm_intel.tdx=1 to the kernel's command line and reboot, or \
         sudo modprobe -r kvm_intel && sudo modprobe kvm_intel tdx=1",
    )
}

fn module(host: &Host) -> Check {
    let check = Check::of("TDX module");
    if host.kvm_has_tdx() {
        check.ok("initialised")
    } else if host.parameter.is_some() && host.asked_for() {
        check.missing(
            "KVM was asked for TDX and turned it off again",
            "sudo dmesg | grep -iE 'virt/tdx|kvm_intel' says why; \"module not loaded\" means \
             that the BIOS did not load it: update the BIOS or turn on its SEAM loader",
        )
    } else {
        check.cannot_tell("KVM has not tried it", "see to kvm_intel.tdx first")
    }
}

fn device(host: &Host) -> Check {
    let check = Check::of("/dev/kvm");
    match host.device {
        Device::Opens => check.ok("opens"),
        Device::Missing => check.missing(
            "it is not there",
            "sudo modprobe kvm_intel; a container needs --device /dev/kvm",
        ),
        Device::Forbidden => check.missing(
            "this user may not open it",
            "sudo usermod -aG kvm \"$USER\" and log in again",
        ),
    }
}

fn qemu(host: &Host) -> Check {
    let check = Check::of("QEMU");
    let advice = format!("install QEMU {OLDEST_WITH_TDX} or later, or name one with --qemu");
    match &host.qemu {
        Ok(qemu) if qemu.version >= OLDEST_WITH_TDX => check.ok(&qemu.version.to_string()),
        Ok(qemu) => check.missing(&format!("{} cannot start trust domains", qemu.version), &advice),
        Err(error) => check.missing(error, &advice),
    }
}

fn object(host: &Host) -> Check {
    let check = Check::of("tdx-guest");
    match &host.qemu {
        Ok(qemu) if qemu.version < OLDEST_WITH_TDX => {
            check.cannot_tell("this QEMU is too old to ask", "see to QEMU first")
        }
        Ok(qemu) if qemu.object => check.ok("QEMU has the object"),
        Ok(_) => check
            .missing("QEMU has no such object", &format!("use a {DEFAULT} that is built with KVM")),
        Err(_) => check.cannot_tell("there is no QEMU to ask", "see to QEMU first"),
    }
}

/// Whether the kernel hibernates, and so has turned TDX off.
fn hibernates(host: &Host) -> bool {
    let able = host.hibernation.as_deref().is_some_and(|text| text.trim() != "[disabled]");
    able && !host.kvm_has_tdx() && !host.flag("tdx_host_platform")
}

/// The kernel's version: major and minor.
fn linux(host: &Host) -> Option<(u32, u32)> {
    let mut numbers = host.release.as_deref()?.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Check {
    /// Who is at fault when this is missing. The TDX module stands for what it runs on.
    pub(crate) fn layer(&self) -> Layer {
        match self.name {
            "QEMU" | "tdx-guest" => Layer::Qemu,
            "CPU" | "BIOS" | "TDX module" => Layer::Module,
            _ => Layer::Kvm,
        }
    }

    fn of(name: &'static str) -> Self {
        Self { name, state: State::Ok, found: String::new(), advice: String::new() }
    }

    fn ok(self, found: &str) -> Self {
        Self { found: found.to_owned(), ..self }
    }

    fn missing(self, found: &str, advice: &str) -> Self {
        Self { state: State::Missing, advice: advice.to_owned(), ..self.ok(found) }
    }

    fn cannot_tell(self, found: &str, advice: &str) -> Self {
        Self { state: State::CannotTell, ..self.missing(found, advice) }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
