//! What the booted tests share: everything built once, QEMU found once, and two
//! boots at a time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::qemu::{DEFAULT, Qemu};
use crate::{Machine, Options, Report, paths};

/// Boots that run at the same time: each keeps one CPU busy.
const SLOTS: usize = 2;

/// Names the QEMU to test with (a path or a command); the default is on `PATH`.
pub const QEMU: &str = "TDLET_QEMU";
/// More QEMUs to test with, separated by colons.
pub const QEMU_EXTRA: &str = "TDLET_QEMU_EXTRA";
/// Path of an xtask that has built everything already.
pub const XTASK: &str = "TDLET_XTASK";

/// The QEMU under test.
pub fn qemu() -> &'static Qemu {
    static FOUND: OnceLock<Qemu> = OnceLock::new();
    FOUND.get_or_init(|| {
        let command = env::var(QEMU).unwrap_or_else(|_| DEFAULT.to_owned());
        Qemu::find(&command).expect("a QEMU (`cargo xtask test` installs one)")
    })
}

/// The other QEMUs that the tester wants to see pass.
pub fn more_qemus() -> Vec<Qemu> {
    let commands = env::var(QEMU_EXTRA).unwrap_or_default();
    let commands = commands.split(':').filter(|command| !command.is_empty());
    commands.map(|command| Qemu::find(command).expect("a QEMU of TDLET_QEMU_EXTRA")).collect()
}

/// A `cargo xtask` command, in the repository's root. Everything is built.
pub fn xtask() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let program = BUILT.get_or_init(|| {
        if let Some(path) = env::var_os(XTASK) {
            return path.into();
        }
        let run = |command: &mut Command| {
            let status = command.current_dir(paths::root()).status().expect("cargo is here");
            assert!(status.success(), "{command:?} failed");
        };
        run(Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "xtask"]));
        let program = paths::target().join("debug/xtask");
        run(Command::new(&program).arg("build"));
        program
    });
    let mut command = Command::new(program);
    command.current_dir(paths::root());
    command
}

/// `cargo xtask run` on the QEMU under test, when a slot is free.
pub fn run(test: &str, more: &[&str]) -> Output {
    let mut command = xtask_run(test);
    if let Ok(qemu) = env::var(QEMU) {
        command.args(["--qemu", &qemu]);
    }
    in_slot(|| command.args(more).output().expect("xtask starts"))
}

/// `cargo xtask run` on the emulator, with its logs in the scratch folder of `test`.
pub fn xtask_run(test: &str) -> Command {
    let mut command = xtask();
    command.args(["run", "--emulator", "--logs"]).arg(scratch(test));
    command
}

/// The folder where the test `test` may write.
pub fn scratch(test: &str) -> PathBuf {
    let folder = paths::target().join("tests").join(test);
    std::fs::create_dir_all(&folder).expect("the target directory is writable");
    folder
}

/// The emulator with the image `name` (`td`, or a payload) for the test `test`.
pub fn options(test: &str, name: &str) -> Options {
    Options {
        machine: Machine::Emulator { module: paths::bare("module"), vmm: paths::bare("vmm") },
        image: paths::image(name),
        memory_bytes: 12 << 20,
        attributes: 1 << 28,
        gpaw: 48,
        config: String::new(),
        module_options: String::new(),
        devices: Vec::new(),
        timeout: Duration::from_secs(30),
        logs: scratch(test),
        echo: false,
        interactive: false,
    }
}

/// The emulator's PC and VMM, but no module under it.
pub fn vmm_alone(test: &str) -> Options {
    Options { machine: Machine::VmmAlone { vmm: paths::bare("vmm") }, ..options(test, "td") }
}

/// The same PC without TDX and without the emulator.
pub fn plain_options(test: &str, image: &Path) -> Options {
    Options { machine: Machine::Plain, image: image.to_owned(), ..options(test, "td") }
}

/// Boots on the QEMU under test when a slot is free.
pub fn boot(options: &Options) -> Report {
    boot_on(qemu(), options)
}

/// Boots on this QEMU when a slot is free.
pub fn boot_on(qemu: &Qemu, options: &Options) -> Report {
    xtask();
    in_slot(|| crate::boot(qemu, options).expect("QEMU starts"))
}

/// Runs `f` while at most one other boot does.
pub fn in_slot<T>(f: impl FnOnce() -> T) -> T {
    static FREE: Mutex<usize> = Mutex::new(SLOTS);
    static FREED: Condvar = Condvar::new();
    struct Slot;
    impl Drop for Slot {
        fn drop(&mut self) {
            *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            FREED.notify_one();
        }
    }
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free =
        FREED.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *free -= 1;
    drop(free);
    let _slot = Slot;
    f()
}
