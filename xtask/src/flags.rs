//! The command line. `UPDATE_XFLAGS=1 cargo build -p xtask` writes the lower half.
#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "the lower half is generated"
)]

use std::path::PathBuf;

use crate::values::{Gpaw, Hex, OptionText, Size};

xflags::xflags! {
    src "./src/flags.rs"

    /// Builds, boots and checks tdlet.
    cmd xtask {
        /// Boots the trust domain and shows its console and the checks.
        ///
        /// Uses TDX hardware where there is some, else the emulated TDX module
        /// under QEMU. Exit codes: 0 passed, 1 a check failed, 2 usage,
        /// environment or a refused image, 3 not a trust domain, 4 the trust
        /// domain died, 5 it took too long.
        cmd run {
            /// Boot this TDVF image instead of building target/td/td.fd.
            optional --image file: PathBuf
            /// Boot this program of the folder examples instead of our own kernel.
            optional --app name: String
            /// Options of the kernel, in one word, instead of `accept=lazy`; see the README.
            optional --append text: OptionText
            /// Take commands from the terminal; `help` lists them. Without a terminal the checks are
            /// made as always.
            optional --shell
            /// Memory of the trust domain: 12M (the default) to 8G.
            optional --memory size: Size
            /// Attach this raw file as a virtio disk, which the trust domain can write.
            optional --disk file: PathBuf
            /// Kill QEMU after so many seconds (default: 30).
            optional --timeout seconds: u64
            /// QEMU to use: a path, or a command with arguments.
            optional --qemu command: String
            /// TD ATTRIBUTES in hexadecimal (default: 10000000, SEPT_VE_DISABLE).
            optional --attributes bits: Hex
            /// Guest-physical address width: 48 (the default) or 52.
            optional --gpaw bits: Gpaw
            /// Use the emulator even on a TDX host.
            optional --emulator
            /// Use TDX hardware, or fail and say what is missing.
            optional --tdx
            /// Options of the emulated module, in one word; see the README.
            optional --module-options words: String
            /// Where to put the logs instead of target/run.
            optional --logs folder: PathBuf
            /// Print the QEMU command and do not run it.
            optional --print-command
        }
        /// Boots the trust domain and gives its checks as a TAP 14 stream on standard output.
        ///
        /// Exit codes: 0 all checks passed, 1 a check failed, 2 usage or environment, 3 not a
        /// trust domain, 4 the trust domain died, 5 it took too long. One line on standard
        /// error names the layer at fault and says what to do.
        cmd smoke {
            /// Write the results here too, as JUnit XML.
            optional --junit file: PathBuf
            /// Make only the checks that have this in their name.
            optional --filter word: String
            /// Boot this TDVF image instead of building one.
            optional --image file: PathBuf
            /// Memory of the trust domain, as for run.
            optional --memory size: Size
            /// Give the trust domain this file as a disk, as for run.
            optional --disk file: PathBuf
            /// Kill QEMU after so many seconds (default: 30).
            optional --timeout seconds: u64
            /// QEMU to use: a path, or a command with arguments.
            optional --qemu command: String
            /// Use the emulator even on a TDX host.
            optional --emulator
            /// Use TDX hardware, or fail and say what is missing.
            optional --tdx
            /// Options of the emulated module, in one word; see the README.
            optional --module-options words: String
            /// Where to put the logs instead of target/run.
            optional --logs folder: PathBuf
            /// Print the QEMU command and do not run it.
            optional --print-command
        }
        /// Writes target/td/td.fd and prints its size, sha256 and MRTD.
        cmd image {
            /// Kernel ELF file to put into the image instead of our own.
            optional --kernel file: PathBuf
            /// Options of the kernel, in one word, instead of `accept=lazy`, or of none with
            /// --kernel; see the README.
            optional --append text: OptionText
            /// Where to write the image.
            optional --output file: PathBuf
        }
        /// Writes the files of a release: td.fd, tdlet-smoke and SHA256SUMS.
        cmd dist {
            /// Where to write them instead of target/dist.
            optional --output folder: PathBuf
        }
        /// Runs the host tests, then the booted tests; ends with `N passed, N failed`.
        cmd test {
            /// QEMU to use: a path, or a command with arguments.
            optional --qemu command: String
        }
        /// Builds all images, and those of the tests, without running anything.
        cmd build {
            /// Compile the kernel and the tests' kernels with this profile of cargo, too, and
            /// put their images into a folder of its name beside the others.
            optional --profile name: String
        }
        /// Measures.
        cmd bench {
            /// Instructions that TDX calls cost, beside those of other crates.
            ///
            /// Exit codes: 0 as cheap as it has to be, 1 not, 2 environment.
            cmd calls {
                /// Write the counts here too, as JSON.
                optional --json file: PathBuf
            }
            /// Instructions and TDCALLs that a #VE costs in the trust domain, by cause, and
            /// the same accesses without the exception.
            ///
            /// Exit codes: 0 as cheap as it has to be, 1 not, 2 environment.
            cmd ve {
                /// Write the counts here too, as JSON.
                optional --json file: PathBuf
                /// QEMU to use: a path, or a command with arguments.
                optional --qemu command: String
            }
            /// Calls, TD exits and instructions that a GiB of memory costs, accepted eagerly and
            /// lazily, and a lazy start in little and in much memory.
            ///
            /// Exit codes: 0 as cheap as it has to be, 1 not, 2 environment.
            cmd memory {
                /// Write the counts here too, as JSON.
                optional --json file: PathBuf
                /// QEMU to use: a path, or a command with arguments.
                optional --qemu command: String
            }
        }
        /// Says what keeps this machine from starting a trust domain, and what to do.
        ///
        /// Exit codes: 0 nothing does, 2 something.
        cmd doctor {
            /// QEMU to use: a path, or a command with arguments.
            optional --qemu command: String
        }
        /// Fetches the programs and schemas that check deploy/ into target/tools.
        cmd tools {
        }
        /// Checks the rules of the house that clippy cannot.
        cmd tidy {
        }
        /// Formatting, lints, tidy and all tests.
        cmd ci {
            /// QEMU to use: a path, or a command with arguments.
            optional --qemu command: String
        }
    }
}

// generated start
// The following code is generated by `xflags` macro.
// Run `env UPDATE_XFLAGS=1 cargo build` to regenerate.
#[derive(Debug)]
pub struct Xtask {
    pub subcommand: XtaskCmd,
}

#[derive(Debug)]
pub enum XtaskCmd {
    Run(Run),
    Smoke(Smoke),
    Image(Image),
    Dist(Dist),
    Test(Test),
    Build(Build),
    Bench(Bench),
    Doctor(Doctor),
    Tools(Tools),
    Tidy(Tidy),
    Ci(Ci),
}

#[derive(Debug)]
pub struct Run {
    pub image: Option<PathBuf>,
    pub app: Option<String>,
    pub append: Option<OptionText>,
    pub shell: bool,
    pub memory: Option<Size>,
    pub disk: Option<PathBuf>,
    pub timeout: Option<u64>,
    pub qemu: Option<String>,
    pub attributes: Option<Hex>,
    pub gpaw: Option<Gpaw>,
    pub emulator: bool,
    pub tdx: bool,
    pub module_options: Option<String>,
    pub logs: Option<PathBuf>,
    pub print_command: bool,
}

#[derive(Debug)]
pub struct Smoke {
    pub junit: Option<PathBuf>,
    pub filter: Option<String>,
    pub image: Option<PathBuf>,
    pub memory: Option<Size>,
    pub disk: Option<PathBuf>,
    pub timeout: Option<u64>,
    pub qemu: Option<String>,
    pub emulator: bool,
    pub tdx: bool,
    pub module_options: Option<String>,
    pub logs: Option<PathBuf>,
    pub print_command: bool,
}

#[derive(Debug)]
pub struct Image {
    pub kernel: Option<PathBuf>,
    pub append: Option<OptionText>,
    pub output: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Dist {
    pub output: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Test {
    pub qemu: Option<String>,
}

#[derive(Debug)]
pub struct Build {
    pub profile: Option<String>,
}

#[derive(Debug)]
pub struct Bench {
    pub subcommand: BenchCmd,
}

#[derive(Debug)]
pub enum BenchCmd {
    Calls(Calls),
    Ve(Ve),
    Memory(Memory),
}

#[derive(Debug)]
pub struct Calls {
    pub json: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Ve {
    pub json: Option<PathBuf>,
    pub qemu: Option<String>,
}

#[derive(Debug)]
pub struct Memory {
    pub json: Option<PathBuf>,
    pub qemu: Option<String>,
}

#[derive(Debug)]
pub struct Doctor {
    pub qemu: Option<String>,
}

#[derive(Debug)]
pub struct Tools;

#[derive(Debug)]
pub struct Tidy;

#[derive(Debug)]
pub struct Ci {
    pub qemu: Option<String>,
}

impl Xtask {
    #[allow(dead_code)]
    pub fn from_env_or_exit() -> Self {
        Self::from_env_or_exit_()
    }

    #[allow(dead_code)]
    pub fn from_env() -> xflags::Result<Self> {
        Self::from_env_()
    }

    #[allow(dead_code)]
    pub fn from_vec(args: Vec<std::ffi::OsString>) -> xflags::Result<Self> {
        Self::from_vec_(args)
    }
}
// generated end

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_command_line_is_read() {
        let line = "run --image a.fd --memory 128M --timeout 5 --gpaw 52 --attributes 0x1 \
                    --emulator --print-command";
        let words = line.split_whitespace().map(Into::into).collect();
        let XtaskCmd::Run(run) = Xtask::from_vec(words).unwrap().subcommand else {
            panic!("another verb")
        };
        assert_eq!(run.memory, Some(Size(128 << 20)));
        assert_eq!((run.timeout, run.gpaw), (Some(5), Some(Gpaw(52))));
        assert_eq!((run.attributes, run.emulator, run.print_command), (Some(Hex(1)), true, true));
        assert!(Xtask::from_vec(vec!["fly".into()]).is_err());
    }
}
