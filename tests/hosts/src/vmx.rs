//! In and out of VMX operation, with a SEAMCALL at every step. [ABI-H 1.1], [SDM3 31.3]
//!
//! Each step is a line of the log, `vmx: <step>: <outcome>`; what the outcomes have to be is
//! the test's knowledge.
#![expect(unsafe_code, reason = "VMXON, VMXOFF, CR4, SEAMCALL")]

use core::arch::asm;
use core::fmt;

use abi::leaf::tdh;
use abi::{Regs, verdict};
use arch::vmx;
use arch::{BootCell, msr};
use tdcall::host;

use crate::bare;

const FEATURE_CONTROL: u32 = 0x3A;
const KEYID_PARTITIONING: u32 = 0x87;
const VMX_BASIC: u32 = 0x480;
const CR4_VMXE: u64 = 1 << 13;
/// RAX bit 63: a call of the P-SEAMLDR.
const SEAMLDR: u64 = 1 << 63;

/// The page that VMXON names.
#[repr(C, align(4096))]
struct Region([u64; 512]);

static REGION: BootCell<Region> = BootCell::new(Region([0; 512]));

/// How an instruction of VMX ended.
#[derive(Clone, Copy)]
enum Ending {
    /// VMsucceed.
    Done,
    FailedInvalid,
    /// The flags are what they were.
    Skipped,
    /// An exception with this vector.
    Fault(u64),
    /// Other flags.
    Flags(u64),
}

/// AH after LAHF: SF, ZF, AF, PF, CF; and what XOR of a register leaves in them.
const FLAGS: u64 = 0xD5;
const UNTOUCHED: u64 = 0x44;

impl Ending {
    /// From RAX of `instruction`: AH with the flags, or the vector of a fault.
    const fn new(rax: u64) -> Self {
        const FAULT: u64 = 1 << 63;
        match rax >> 8 & FLAGS {
            _ if rax & FAULT != 0 => Self::Fault(rax & 0xFF),
            0 => Self::Done,
            1 => Self::FailedInvalid,
            UNTOUCHED => Self::Skipped,
            flags => Self::Flags(flags),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::FailedInvalid => f.write_str("VMfailInvalid"),
            Self::Skipped => f.write_str("skipped"),
            Self::Fault(vector) => write!(f, "fault {vector}"),
            Self::Flags(flags) => write!(f, "flags {flags:#x}"),
        }
    }
}

/// Executes one instruction that may fault; `{operand}` in it is a register.
macro_rules! instruction {
    ($instruction:literal $(, $operand:expr)?) => {{
        let rax: u64;
        asm!("xor eax, eax", concat!("771: ", $instruction), "lahf", "772:",
             ".pushsection .extable, \"a\"", ".balign 8", ".quad 771b, 772b", ".popsection",
             $(operand = in(reg) $operand,)? out("rax") rax, options(nostack));
        Ending::new(rax)
    }};
}

/// Runs everything.
pub fn run() -> u32 {
    let Some(region) = REGION.take() else { return verdict::EMULATOR_FAILED };
    let page = region.0.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: every platform under the module has these MSRs.
    let [control, keys, basic] =
        [FEATURE_CONTROL, KEYID_PARTITIONING, VMX_BASIC].map(|index| unsafe { msr::read(index) });
    bare::log(format_args!(
        "vmx: cpuid {}, feature control {control:#x}, private keys {}",
        vmx::is_supported(),
        keys >> 32
    ));
    seamcall("SEAMCALL out of reset");
    step("VMXON without CR4.VMXE", vmxon(page));
    step("CR4.VMXE", set_vmxe(true));
    step("VMXON off a page boundary", vmxon(page + 8));
    step("VMXON without the revision", vmxon(page));
    seamcall("SEAMCALL after them");
    region.0[0] = basic & 0x7FFF_FFFF;
    step("VMXON", vmxon(page));
    step("VMXON again", vmxon(page));
    seamcall("SEAMCALL in VMX operation");
    call("SEAMLDR in VMX operation", SEAMLDR);
    step("CR4.VMXE cleared", set_vmxe(false));
    step("VMXOFF", vmxoff());
    seamcall("SEAMCALL after VMXOFF");
    step("VMXOFF again", vmxoff());
    step("CR4.VMXE cleared then", set_vmxe(false));
    verdict::PASSED
}

fn step(name: &str, ending: Ending) {
    bare::log(format_args!("vmx: {name}: {ending}"));
}

/// A leaf that does nothing and is always right.
fn seamcall(name: &str) {
    call(name, tdh::SYS_LP_SHUTDOWN);
}

fn call(name: &str, rax: u64) {
    // SAFETY: neither leaf exists to do anything.
    let status = unsafe { host::call(host::Leaf::from_rax(rax), &mut Regs::default()) };
    bare::log(format_args!("vmx: {name}: {status}"));
}

fn vmxon(region: u64) -> Ending {
    // SAFETY: reads the local and the region, which is the static page or not taken.
    unsafe { instruction!("vmxon [{operand}]", &raw const region) }
}

fn vmxoff() -> Ending {
    // SAFETY: changes no memory.
    unsafe { instruction!("vmxoff") }
}

fn set_vmxe(set: bool) -> Ending {
    let cr4: u64;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) };
    let cr4 = if set { cr4 | CR4_VMXE } else { cr4 & !CR4_VMXE };
    // SAFETY: VMXE only allows VMXON.
    let ending = unsafe { instruction!("mov cr4, {operand}", cr4) };
    // MOV to CR4 has its own idea of the flags, which are undefined.
    if matches!(ending, Ending::Fault(_)) { ending } else { Ending::Done }
}
