//! One boot: the command line, the child process, its deadline and its logs.
//!
//! The console arrives on QEMU's standard output and is streamed while it is
//! collected; the logs of module and VMM are files that QEMU writes. Nothing here
//! judges: [`crate::verdict`] does, from the [`Report`].

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use abi::verdict;
use anyhow::{Context, Result};

use crate::qemu::Qemu;

/// RAM of an emulator whose trust domain has next to none: 32 MiB of the module, 16 MiB of
/// the VMM, their files and the image, and what the VMM keeps for the shared half.
const EMULATOR_BYTES: u64 = 128 << 20;
/// What it needs for each byte of the trust domain is a fraction of so many: 16 bytes of PAMT for
/// 4096, and a page of the secure EPT for 512 pages, are 3/512.
const EMULATOR_PART: u64 = 128;

/// TD ATTRIBUTES: no #VE for private memory that is not there. [TDVF 3.2]
const SEPT_VE_DISABLE: u64 = 1 << 28;

/// How often the child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// What QEMU is to be.
#[derive(Clone, Debug)]
pub enum Machine {
    /// The emulated TDX module and its VMM, under TCG: works anywhere.
    Emulator {
        /// ELF file of the module, which QEMU boots.
        module: PathBuf,
        /// ELF file of the VMM, which the module starts.
        vmm: PathBuf,
    },
    /// The emulator's VMM without the module: SEAMCALL is what the CPU makes of it.
    VmmAlone {
        /// ELF file of the VMM, which QEMU boots.
        vmm: PathBuf,
    },
    /// A TDX host: KVM and the real module. [TDVF 3.2]
    Kvm,
    /// An ordinary PC with the image as its firmware: no trust domain.
    Plain,
}

/// A virtio device of the machine.
#[derive(Clone, Debug)]
pub enum Virtio {
    /// Random numbers of the host's.
    Rng,
    /// A disk: the raw file, which the trust domain can write.
    Disk(PathBuf),
    /// A console: QEMU connects to this Unix socket, where somebody listens.
    Console(PathBuf),
}

/// One boot.
#[derive(Clone, Debug)]
pub struct Options {
    /// What QEMU is to be.
    pub machine: Machine,
    /// The TDVF image.
    pub image: PathBuf,
    /// RAM of the trust domain.
    pub memory_bytes: u64,
    /// TD ATTRIBUTES.
    pub attributes: u64,
    /// Guest-physical address width: 48 or 52.
    pub gpaw: u8,
    /// More `key=value,…` for the emulator's VMM; empty for none.
    pub config: String,
    /// Words for the emulated module, separated by spaces; empty for none.
    pub module_options: String,
    /// Virtio devices, on PCI.
    pub devices: Vec<Virtio>,
    /// QEMU is killed when this has passed.
    pub timeout: Duration,
    /// Folder for `console.log`, `module.log`, `vmm.log` and `qemu.log`.
    pub logs: PathBuf,
    /// Show the console on standard output while it arrives.
    pub echo: bool,
    /// What is typed on standard input, a terminal, goes to the console; Ctrl-C, too.
    pub interactive: bool,
}

/// How QEMU ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Somebody wrote this verdict (see `abi::verdict`) to the debug-exit device.
    Verdict(u32),
    /// QEMU left with a status of its own: 0 after a reset, 1 for a bad command line.
    Qemu(i32),
    /// QEMU was ended by this signal.
    Signal(i32),
    /// The deadline passed and QEMU was killed.
    TimedOut,
}

/// What one boot left behind.
#[derive(Clone, Debug)]
pub struct Report {
    /// How QEMU ended.
    pub exit: Exit,
    /// Whether this was a TDX host.
    pub hardware: bool,
    /// The trust domain's serial console.
    pub console: String,
    /// The emulator's VMM, line by line.
    pub vmm_log: String,
    /// The emulated module, line by line.
    pub module_log: String,
    /// QEMU's own warnings and errors.
    pub qemu_log: String,
    /// From QEMU's start to its end.
    pub elapsed: Duration,
}

/// Boots and waits for the end, which comes at `options.timeout` at the latest.
pub fn boot(qemu: &Qemu, options: &Options) -> Result<Report> {
    let (report, _) = if options.echo {
        boot_to(qemu, options, Box::new(io::stdout()) as Box<dyn Write + Send>)?
    } else {
        boot_to(qemu, options, Box::new(io::sink()) as Box<dyn Write + Send>)?
    };
    Ok(report)
}

/// [`boot`] with the console copied to `sink` while it arrives, which comes back.
pub fn boot_to<W: Write + Send + 'static>(
    qemu: &Qemu,
    options: &Options,
    sink: W,
) -> Result<(Report, W)> {
    let logs = &options.logs;
    fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
    for log in ["console.log", "module.log", "vmm.log", "qemu.log"] {
        File::create(logs.join(log)).with_context(|| format!("{} / {log}", logs.display()))?;
    }

    let start = Instant::now();
    let mut child = Running(
        qemu.command()
            .args(command_line(options))
            .stdin(if options.interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(File::create(logs.join("qemu.log"))?)
            .spawn()
            .context("cannot start QEMU")?,
    );
    let console = child.0.stdout.take().context("QEMU has no standard output")?;
    let copy = File::create(logs.join("console.log"))?;
    let reader = thread::spawn(move || collect(console, copy, sink));
    let status = child.wait_until(start + options.timeout)?;
    let elapsed = start.elapsed();
    drop(child);
    let console = reader.join().map_err(|_| anyhow::anyhow!("the console's reader panicked"))?;
    let (console, sink) = console?;

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
    let read = |log: &str| fs::read(logs.join(log)).map(|bytes| text(&bytes));
    let report = Report {
        hardware: matches!(options.machine, Machine::Kvm),
        exit: Exit::of(status),
        console: text(&console),
        vmm_log: read("vmm.log")?,
        module_log: read("module.log")?,
        qemu_log: read("qemu.log")?,
        elapsed,
    };
    Ok((report, sink))
}

/// QEMU's arguments for `options`.
pub fn command_line(options: &Options) -> Vec<OsString> {
    let mut line = Line(Vec::new());
    match &options.machine {
        Machine::Emulator { module, vmm } => {
            line.emulator(options);
            line.words("-kernel").path("", module).words("-initrd").path("", vmm);
            if !options.module_options.is_empty() {
                line.words("-append").word(&options.module_options);
            }
        }
        Machine::VmmAlone { vmm } => {
            line.emulator(options);
            line.words("-kernel").path("", vmm);
        }
        Machine::Kvm => {
            line.words("-accel kvm -cpu host -smp 1");
            line.memory(options.memory_bytes);
            line.words("-nodefaults -vga none -display none -no-reboot");
            line.console(options);
            // A fatal error that the TD reports is one of these.
            line.words("-d guest_errors -object").word(&tdx_guest(options.attributes));
            line.words(
                "-machine q35,kernel-irqchip=split,confidential-guest-support=tdx0,hpet=off",
            );
            line.words("-bios").path("", &options.image);
        }
        Machine::Plain => {
            line.words("-M q35 -bios").path("", &options.image);
            line.words("-display none -serial stdio");
        }
    }
    line.words("-device isa-debug-exit,iobase=0xf4,iosize=4");
    line.devices(options);
    line.0
}

/// The object that makes a machine a trust domain. QEMU has a property for each attribute
/// that is of use, and one for all of them, in no order that could be relied on: only one is
/// ever given. [TDVF 3.2]
fn tdx_guest(attributes: u64) -> String {
    match attributes {
        0 => "tdx-guest,id=tdx0,sept-ve-disable=false".to_owned(),
        SEPT_VE_DISABLE => "tdx-guest,id=tdx0,sept-ve-disable=true".to_owned(),
        other => format!("tdx-guest,id=tdx0,attributes={other}"),
    }
}

impl Options {
    /// The VMM's configuration: the fw_cfg file `opt/tdlet/config`.
    fn config_string(&self) -> String {
        let Self { memory_bytes, attributes, gpaw, .. } = self;
        let mut config = format!("memory={memory_bytes},attributes={attributes:#x},gpaw={gpaw}");
        if !self.config.is_empty() {
            config = config + "," + &self.config;
        }
        config
    }
}

impl Exit {
    fn of(status: Option<ExitStatus>) -> Self {
        let Some(status) = status else { return Self::TimedOut };
        match (status.code(), status.signal()) {
            // QEMU's own failures are 1, which would be verdict 0: nobody writes that.
            (Some(code), _) => verdict::from_qemu_status(code)
                .filter(|verdict| *verdict != 0)
                .map_or(Self::Qemu(code), Self::Verdict),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// A command line in the making.
struct Line(Vec<OsString>);

impl Line {
    /// Appends words that hold no path.
    fn words(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(OsString::from));
        self
    }

    /// Appends one word as it is.
    fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(word.into());
        self
    }

    /// Appends the PC that the emulator needs, with its logs and the VMM's files.
    fn emulator(&mut self, options: &Options) {
        self.words("-M q35 -cpu max,+svm,+npt,phys-bits=52 -smp 1");
        self.memory(options.memory_bytes + EMULATOR_BYTES + options.memory_bytes / EMULATOR_PART);
        self.words("-nodefaults -vga none -display none -no-reboot");
        self.console(options);
        self.log("m", &options.logs.join("module.log"), "0x403");
        self.log("v", &options.logs.join("vmm.log"), "0xe9");
        self.words("-fw_cfg").path("name=opt/tdlet/image,file=", &options.image);
        self.words("-fw_cfg").option("name=opt/tdlet/config,string=", &options.config_string());
    }

    /// Appends the virtio devices. Under the emulator an IOMMU comes before them, and they go
    /// through it; for a confidential guest on KVM QEMU itself makes them do as if. [TDVF 3.3]
    fn devices(&mut self, options: &Options) {
        let is_emulator = !matches!(options.machine, Machine::Kvm | Machine::Plain);
        let common =
            if is_emulator { "disable-legacy=on,iommu_platform=on" } else { "disable-legacy=on" };
        if is_emulator && !options.devices.is_empty() {
            self.words("-device intel-iommu,aw-bits=48");
        }
        for (index, device) in options.devices.iter().enumerate() {
            match device {
                Virtio::Rng => {
                    self.words(&format!("-device virtio-rng-pci,{common}"));
                }
                Virtio::Disk(file) => {
                    let drive = format!("if=none,id=disk{index},format=raw,file=");
                    self.words("-drive")
                        .path(&drive, file)
                        .words(&format!("-device virtio-blk-pci,drive=disk{index},{common}"));
                }
                Virtio::Console(socket) => {
                    let chardev = format!("socket,id=console{index},path=");
                    self.words("-chardev").path(&chardev, socket).words(&format!(
                        "-device virtio-serial-pci,{common} -device virtconsole,chardev=console{index}"
                    ));
                }
            }
        }
    }

    /// Appends the serial port. QEMU ends at a Ctrl-C on its standard input unless told not to.
    fn console(&mut self, options: &Options) {
        self.words(if options.interactive {
            "-chardev stdio,id=console,signal=off -serial chardev:console"
        } else {
            "-serial stdio"
        });
    }

    /// Appends one option value; QEMU wants commas in it doubled.
    fn option(&mut self, prefix: &str, value: &str) -> &mut Self {
        self.0.push((prefix.to_owned() + &value.replace(',', ",,")).into());
        self
    }

    /// Appends a path: as it is when it stands alone, else as an option value.
    fn path(&mut self, prefix: &str, path: &Path) -> &mut Self {
        if prefix.is_empty() {
            self.0.push(path.into());
            return self;
        }
        self.option(prefix, &path.to_string_lossy())
    }

    fn memory(&mut self, bytes: u64) {
        self.words("-m").words(&format!("{}M", bytes >> 20));
    }

    fn log(&mut self, id: &str, path: &Path, port: &str) {
        self.words("-chardev").path(&format!("file,id={id},path="), path);
        self.words("-device").words(&format!("isa-debugcon,iobase={port},chardev={id}"));
    }
}

/// A child that never outlives its owner.
struct Running(Child);

impl Running {
    /// The exit status, or nothing when the deadline came first.
    fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(POLL);
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has ended, which is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Reads the console to its end, copying it to the log and to `sink`.
fn collect<W: Write>(
    mut console: impl Read,
    mut copy: File,
    mut sink: W,
) -> io::Result<(Vec<u8>, W)> {
    let mut all = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let len = console.read(&mut chunk)?;
        if len == 0 {
            return Ok((all, sink));
        }
        all.extend_from_slice(&chunk[..len]);
        copy.write_all(&chunk[..len])?;
        sink.write_all(&chunk[..len])?;
        sink.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(machine: Machine) -> Options {
        Options {
            machine,
            image: "a,b.fd".into(),
            memory_bytes: 64 << 20,
            attributes: 1 << 28,
            gpaw: 48,
            config: "timeout=500".into(),
            module_options: String::new(),
            devices: Vec::new(),
            timeout: Duration::from_secs(1),
            logs: "logs".into(),
            echo: false,
            interactive: false,
        }
    }

    fn words(machine: Machine) -> Vec<String> {
        let line = command_line(&options(machine));
        line.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_emulator_gets_its_memory_and_escaped_option_values() {
        let line = words(Machine::Emulator { module: "m.elf".into(), vmm: "v.elf".into() });
        assert!(line.contains(&"192M".into()), "{line:?}");
        assert!(line.contains(&"name=opt/tdlet/image,file=a,,b.fd".into()), "{line:?}");
        let config = "name=opt/tdlet/config,string=\
                      memory=67108864,,attributes=0x10000000,,gpaw=48,,timeout=500";
        assert!(line.contains(&config.into()), "{line:?}");
    }

    #[test]
    fn a_large_trust_domain_makes_the_emulator_larger() {
        let machine = Machine::Emulator { module: "m.elf".into(), vmm: "v.elf".into() };
        let line = command_line(&Options { memory_bytes: 6 << 30, ..options(machine) });
        assert!(line.contains(&"6320M".into()), "{line:?}");
    }

    #[test]
    fn the_module_gets_its_options_in_one_word() {
        let machine = Machine::Emulator { module: "m.elf".into(), vmm: "v.elf".into() };
        let module_options = "seamcall=gp seed=1".to_owned();
        let line = command_line(&Options { module_options, ..options(machine) });
        let at = line.iter().position(|word| word == "-append").unwrap();
        assert_eq!(line[at + 1], "seamcall=gp seed=1");
    }

    #[test]
    fn devices_stand_behind_an_iommu_where_the_emulator_is() {
        let devices =
            vec![Virtio::Rng, Virtio::Disk("a,b.img".into()), Virtio::Console("s".into())];
        let line = |machine| {
            let options = Options { devices: devices.clone(), ..options(machine) };
            let words = command_line(&options).into_iter();
            words.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let emulated = line(Machine::Emulator { module: "m.elf".into(), vmm: "v.elf".into() });
        let expected = "-device intel-iommu,aw-bits=48 \
                        -device virtio-rng-pci,disable-legacy=on,iommu_platform=on \
                        -drive if=none,id=disk1,format=raw,file=a,,b.img \
                        -device virtio-blk-pci,drive=disk1,disable-legacy=on,iommu_platform=on \
                        -chardev socket,id=console2,path=s \
                        -device virtio-serial-pci,disable-legacy=on,iommu_platform=on \
                        -device virtconsole,chardev=console2";
        assert!(emulated.ends_with(expected), "{emulated}");
        let hardware = line(Machine::Kvm);
        assert!(!hardware.contains("iommu"), "{hardware}");
        assert!(
            hardware.contains("-device virtio-blk-pci,drive=disk1,disable-legacy=on"),
            "{hardware}"
        );
    }

    #[test]
    fn the_plain_machine_is_the_one_of_the_manual_test() {
        assert_eq!(
            words(Machine::Plain).join(" "),
            "-M q35 -bios a,b.fd -display none -serial stdio \
             -device isa-debug-exit,iobase=0xf4,iosize=4"
        );
    }

    #[test]
    fn a_tdx_host_gets_a_confidential_machine() {
        let line = words(Machine::Kvm).join(" ");
        assert!(line.contains("-object tdx-guest,id=tdx0,sept-ve-disable=true"), "{line}");
        assert!(line.contains("confidential-guest-support=tdx0"), "{line}");
    }

    #[test]
    fn attributes_reach_a_tdx_host_in_one_property() {
        assert_eq!(tdx_guest(0), "tdx-guest,id=tdx0,sept-ve-disable=false");
        assert_eq!(tdx_guest(1 << 28 | 1 << 30), "tdx-guest,id=tdx0,attributes=1342177280");
    }

    #[test]
    fn exit_statuses_are_told_apart() {
        let status = |raw: i32| Exit::of(Some(ExitStatus::from_raw(raw)));
        assert_eq!(status(33 << 8), Exit::Verdict(0x10));
        assert_eq!(status(49 << 8), Exit::Verdict(0x18));
        assert_eq!(status(0), Exit::Qemu(0));
        assert_eq!(status(1 << 8), Exit::Qemu(1));
        assert_eq!(status(6), Exit::Signal(6));
        assert_eq!(Exit::of(None), Exit::TimedOut);
    }
}
