//! `cargo xtask run`: builds, boots, and compares what the witnesses say.

use std::fs;
use std::path::{Display, Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::crosscheck::Kernel;
use harness::qemu::{DEFAULT, OLDEST_WITH_TDX, Qemu};
use harness::verdict::{self, Layer};
use harness::{Machine, Options, Report, Virtio, command_line, crosscheck, paths};
use image::PageOrder;
use xshell::Shell;

use crate::doctor::{self, Device, Host};
use crate::terminal::{self, Settings};
use crate::{bare, flags, image as td_image, qemu};

/// The VMM's own watchdog ends a run this long before QEMU is killed: it can still
/// say what the trust domain did last.
const WATCHDOG_LEAD: Duration = Duration::from_secs(2);

/// A boot that can begin.
pub(crate) struct Prepared {
    pub(crate) qemu: Qemu,
    pub(crate) options: Options,
    /// What the image must measure to.
    pub(crate) mrtd: String,
    pub(crate) kernel: Kernel,
}

impl Prepared {
    pub(crate) const fn is_hardware(&self) -> bool {
        matches!(self.options.machine, Machine::Kvm)
    }

    /// The command line of QEMU on standard output, as a shell takes it.
    pub(crate) fn print_command(&self) {
        let command = self.qemu.command();
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words = words.map(ToOwned::to_owned).chain(command_line(&self.options));
        let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        println!("{}", words.join(" "));
    }
}

/// How long a shell lasts unless it is said.
const DAY: Duration = Duration::from_hours(24);

pub(crate) fn run(sh: &Shell, flags: &flags::Run) -> Result<ExitCode> {
    let prepared = prepare(sh, flags)?;
    if flags.print_command {
        prepared.print_command();
        return Ok(ExitCode::SUCCESS);
    }
    let Prepared { qemu, options, mrtd, kernel } = &prepared;
    let _settings = options.interactive.then(Settings::keep);
    let place = if prepared.is_hardware() { "TDX host" } else { "emulated TDX module" };
    eprintln!("booting {} on QEMU {} ({place})", shown(&options.image), qemu.version);
    let report = harness::boot(qemu, options)?;
    Ok(ExitCode::from(conclude(&report, mrtd, *kernel, options)))
}

/// Builds what is needed, and checks what was given.
pub(crate) fn prepare(sh: &Shell, flags: &flags::Run) -> Result<Prepared> {
    ensure!(!(flags.tdx && flags.emulator), "--tdx and --emulator exclude each other");
    let hardware = flags.tdx || !flags.emulator && has_tdx();
    if flags.tdx && !flags.print_command {
        doctor::require(&Host::here(flags.qemu.as_deref().unwrap_or(DEFAULT)))?;
    }
    let qemu = qemu::ensure(sh, flags.qemu.as_deref())?;
    let options = options(flags, hardware);
    ensure!(
        flags.image.is_none() || flags.append.is_none(),
        "--append is for the image that is built here: an --image has its options in it, measured; \
         make another one with `cargo xtask image --append`"
    );
    // An image that was given is checked before anything is built.
    let given = flags.image.as_deref().map(td_image::checked).transpose()?;
    ensure!(
        !hardware || flags.print_command || qemu.version >= OLDEST_WITH_TDX,
        "this is a TDX host, but QEMU {} cannot use it: {OLDEST_WITH_TDX} can, or add --emulator",
        qemu.version
    );
    ensure!(
        !hardware || flags.module_options.is_none(),
        "--module-options is for the emulated module: add --emulator"
    );
    if let Some(disk) = &flags.disk {
        check_disk(disk)?;
    }
    ensure!(
        flags.app.is_none() || flags.image.is_none(),
        "--app is built here, an --image is ready: take one of them"
    );
    let program = flags.app.as_deref().map_or(Ok(bare::KERNEL.to_owned()), bare::app)?;
    let emulator = if hardware { &[][..] } else { &bare::EMULATOR };
    let td = if given.is_some() { &[][..] } else { &["boot", &*program] };
    let packages = [td, emulator].concat();
    if !packages.is_empty() {
        bare::build(sh, &packages)?;
    }
    let image = if let Some(image) = given {
        image
    } else {
        let mut text = flags.append.as_ref().map_or(td_image::OPTIONS, |text| &*text.0).to_owned();
        if options.interactive {
            text.push_str(" shell");
        }
        td_image::write(&paths::bare(&program), &text, &options.image)?
    };
    let mrtd = crosscheck::mrtd(&image, PageOrder::Interleaved)?;
    let is_ours = flags.image.is_none() && flags.app.is_none();
    let kernel = if is_ours { Kernel::Ours } else { Kernel::Any };
    Ok(Prepared { qemu, options, mrtd, kernel })
}

fn options(flags: &flags::Run, hardware: bool) -> Options {
    // Without a terminal the checks are made instead.
    let interactive = flags.shell && terminal::is_there();
    let timeout = flags.timeout.map(Duration::from_secs);
    let timeout = timeout.unwrap_or(if interactive { DAY } else { Duration::from_secs(30) });
    let machine = if hardware {
        Machine::Kvm
    } else {
        Machine::Emulator { module: paths::bare("module"), vmm: paths::bare("vmm") }
    };
    let watchdog = timeout.checked_sub(WATCHDOG_LEAD).unwrap_or(timeout / 2);
    Options {
        machine,
        image: flags.image.clone().unwrap_or_else(|| built(flags, interactive)),
        memory_bytes: flags.memory.map_or(12 << 20, |size| size.0),
        attributes: flags.attributes.map_or(1 << 28, |bits| bits.0),
        gpaw: flags.gpaw.map_or(48, |gpaw| gpaw.0),
        config: format!("timeout={}", watchdog.as_millis()),
        module_options: flags.module_options.clone().unwrap_or_default(),
        devices: flags.disk.iter().cloned().map(Virtio::Disk).collect(),
        timeout,
        logs: flags.logs.clone().unwrap_or_else(|| paths::target().join("run")),
        echo: true,
        interactive,
    }
}

/// The image that is built here. One with other options is another file, so that
/// `target/td/td.fd` stays what `cargo xtask image` says.
fn built(flags: &flags::Run, interactive: bool) -> PathBuf {
    if let Some(app) = &flags.app {
        // Payloads of the tests have names without a prefix.
        return paths::image(&(bare::APP.to_owned() + app));
    }
    paths::image(match (&flags.append, interactive) {
        (_, true) => "td-shell",
        (Some(_), false) => "td-append",
        (None, false) => "td",
    })
}

/// A disk is whole sectors.
fn check_disk(disk: &Path) -> Result<()> {
    const SECTOR: u64 = 512;
    let file = fs::metadata(disk).with_context(|| format!("no disk {}", disk.display()))?;
    let is_disk = file.is_file() && file.len() != 0 && file.len().is_multiple_of(SECTOR);
    ensure!(is_disk, "{} is no disk: a file of whole sectors of 512 bytes", disk.display());
    Ok(())
}

/// Whether KVM here can run trust domains, and this user may. [TDVF 3.1]
fn has_tdx() -> bool {
    let host = Host::here_without_qemu();
    host.kvm_has_tdx() && host.device == Device::Opens
}

/// Says on stderr how it went; the exit code.
fn conclude(report: &Report, mrtd: &str, kernel: Kernel, options: &Options) -> u8 {
    let seconds = report.elapsed.as_secs_f64();
    let judgement = verdict::judge(report);
    let logs = shown(&options.logs);
    if let Some(layer) = judgement.layer {
        let code = judgement.code;
        eprintln!("{layer} at fault: {} (exit {code}, logs in {})", judgement.text, logs);
        return code;
    }
    if matches!(options.machine, Machine::Kvm) {
        eprintln!("passed in {seconds:.2} s on TDX hardware; MRTD must be {mrtd}");
        return verdict::PASSED;
    }
    match crosscheck::compare(report, mrtd, kernel) {
        Ok(agreement) => {
            eprintln!("passed in {seconds:.2} s");
            eprintln!(
                "  MRTD    {mrtd}\n          computed from the image = measured by the module"
            );
            match agreement.counts {
                Some(counts) => eprintln!("  counts  {counts}\n          kernel = module"),
                None => eprintln!("  counts  not compared: this kernel prints none"),
            }
            eprintln!("  memory  reclaimed {}", agreement.reclaimed);
            verdict::PASSED
        }
        Err(differences) => {
            let (layer, code) = (Layer::Kernel, verdict::FAILED);
            eprintln!("{layer} or module at fault: they differ (exit {code}, logs in {logs})");
            for difference in differences {
                eprintln!("  {difference}");
            }
            code
        }
    }
}

/// A path as short as it can be told.
pub(crate) fn shown(path: &Path) -> Display<'_> {
    path.strip_prefix(paths::root()).unwrap_or(path).display()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_commands_can_be_pasted() {
        assert_eq!(
            quoted("name=opt/tdlet/config,string=a=1,,b=2"),
            "name=opt/tdlet/config,string=a=1,,b=2"
        );
        assert_eq!(quoted("my file's"), r"'my file'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
