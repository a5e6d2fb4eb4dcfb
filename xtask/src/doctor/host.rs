//! What a machine says about itself, read without privileges.
//!
//! Files are read below a root folder, so that a folder can stand for another machine.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use harness::qemu::{OLDEST_WITH_TDX, Qemu, QemuError, Version};

/// Names the folder below which the machine's files are, in place of `/`: for tests, and
/// for the files of another machine.
pub(crate) const ROOT: &str = "TDLET_HOST";

/// The facts that decide whether a trust domain can be started. A file that is not there,
/// or may not be read, is `None`.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// `/proc/cpuinfo`.
    pub(crate) cpuinfo: Option<String>,
    /// `/proc/sys/kernel/osrelease`.
    pub(crate) release: Option<String>,
    /// `/proc/cmdline`.
    pub(crate) cmdline: Option<String>,
    /// `/sys/power/disk`: how the kernel hibernates; `[disabled]` when it does not.
    pub(crate) hibernation: Option<String>,
    /// Whether `/sys/module/kvm_intel` is there.
    pub(crate) kvm_intel: bool,
    /// `/sys/module/kvm_intel/parameters/tdx`.
    pub(crate) parameter: Option<String>,
    /// `/dev/kvm`.
    pub(crate) device: Device,
    /// The QEMU that would be used, or why there is none.
    pub(crate) qemu: Result<Launcher, String>,
}

/// What becomes of opening `/dev/kvm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// There is no such file.
    Missing,
    /// It is there and this user may not open it.
    Forbidden,
    /// It opens for reading and writing.
    Opens,
}

/// A QEMU, as far as trust domains are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launcher {
    /// What `--version` said.
    pub(crate) version: Version,
    /// Whether `-object help` names `tdx-guest`; a QEMU that is too old is not asked.
    pub(crate) object: bool,
}

impl Host {
    /// This machine, or the one that [`ROOT`] names; `command` is the QEMU.
    pub(crate) fn here(command: &str) -> Self {
        Self { qemu: launcher(command), ..Self::here_without_qemu() }
    }

    /// The same without a look at QEMU.
    pub(crate) fn here_without_qemu() -> Self {
        let root = std::env::var_os(ROOT).map_or_else(|| PathBuf::from("/"), PathBuf::from);
        Self::read(&root)
    }

    /// The facts that are files below `root`; QEMU is none of them.
    pub(crate) fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        Self {
            cpuinfo: text("proc/cpuinfo"),
            release: text("proc/sys/kernel/osrelease"),
            cmdline: text("proc/cmdline"),
            hibernation: text("sys/power/disk"),
            kvm_intel: root.join("sys/module/kvm_intel").is_dir(),
            parameter: text("sys/module/kvm_intel/parameters/tdx"),
            device: Device::open(&root.join("dev/kvm")),
            qemu: Err("was not looked for".to_owned()),
        }
    }

    /// Whether KVM can run trust domains: it keeps the parameter only when the TDX module
    /// is initialised.
    pub(crate) fn kvm_has_tdx(&self) -> bool {
        self.parameter.as_deref().is_some_and(|text| matches!(text.trim(), "Y" | "1"))
    }

    /// Whether somebody asked for TDX on the kernel's command line.
    pub(crate) fn asked_for(&self) -> bool {
        let on = ["=1", "=Y", "=y", "=on", ""];
        let cmdline = self.cmdline.as_deref().unwrap_or_default();
        cmdline
            .split_whitespace()
            .any(|word| word.strip_prefix("kvm_intel.tdx").is_some_and(|value| on.contains(&value)))
    }

    /// The value of a line of `/proc/cpuinfo`, of the first processor.
    pub(crate) fn cpu(&self, key: &str) -> Option<&str> {
        let lines = self.cpuinfo.as_deref()?.lines();
        let mut values = lines.filter_map(|line| line.split_once(':'));
        values.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    }

    /// Whether the first processor has this flag.
    pub(crate) fn flag(&self, flag: &str) -> bool {
        self.cpu("flags").is_some_and(|flags| flags.split(' ').any(|other| other == flag))
    }
}

impl Device {
    fn open(path: &Path) -> Self {
        match File::options().read(true).write(true).open(path) {
            Ok(_) => Self::Opens,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Missing,
            Err(_) => Self::Forbidden,
        }
    }
}

/// Asks the QEMU that `command` names.
fn launcher(command: &str) -> Result<Launcher, String> {
    let qemu = match Qemu::find(command) {
        Ok(qemu) if qemu.version >= OLDEST_WITH_TDX => qemu,
        Ok(Qemu { version, .. }) | Err(QemuError::TooOld(_, version)) => {
            return Ok(Launcher { version, object: false });
        }
        Err(error) => {
            return Err(error.to_string().lines().next().unwrap_or_default().to_owned());
        }
    };
    let help = qemu.command().args(["-object", "help"]).output();
    let help = help.map_err(|error| error.to_string())?;
    let mut lines = help.stdout.split(|byte| *byte == b'\n');
    let object = lines.any(|line| line.trim_ascii() == b"tdx-guest");
    Ok(Launcher { version: qemu.version, object })
}
