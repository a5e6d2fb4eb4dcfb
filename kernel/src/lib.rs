//! The trust domain's kernel: a library that each TD program is a thin binary over.
//!
//! Contract: boot enters `_start` as `bootloader_api` 0.11 says, with interrupts off, SSE
//! on, memory mapped at [`BOOT_CONFIG`]'s wish and accepted or told to be not. [`init`] then takes
//! traps, the console and memory into use, in this order, because the console works by #VE
//! and a #VE needs its gate.
//!
//! The kernel knows the TDX module and the host by TDCALL alone. The host is an enemy: what
//! it returns is checked, cut to width, or ends the run.
//!
//! A program is `kernel::main!(f)` with `fn f(&mut Kernel) -> Verdict`.
#![no_std]
// The fuzz target shares source files with the tests and knows them by this name.
#[cfg(test)]
extern crate self as kernel;
#[cfg(test)]
extern crate std;

extern crate alloc;

pub mod attest;
pub mod checks;
pub mod console;
pub mod counts;
pub mod debug;
pub mod exit;
pub mod fault;
pub mod interrupts;
pub mod io;
pub mod memory;
pub mod msr;
pub mod options;
pub mod panic;
pub mod pci;
pub mod shell;
pub mod td;
pub mod time;
mod traps;
pub mod ve;
pub mod virtio;

use core::arch::x86_64::{__cpuid, __cpuid_count};

use bootloader_api::config::Mapping;
use bootloader_api::{BootInfo, BootloaderConfig};
use tdcall::guest::VpInfo;

pub use self::exit::{Verdict, exit};
pub use self::memory::Memory;
pub use self::options::Options;
use self::td::{Td, Tdcall};

#[doc(hidden)]
pub use {arch, bootloader_api};

/// What the kernel asks of its loader.
pub static BOOT_CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = 64 * 1024;
    config
};

/// The kernel after [`init`].
#[derive(Debug)]
pub struct Kernel {
    /// What TDG.VP.INFO said.
    pub vp: VpInfo,
    /// Memory and devices.
    pub memory: Memory,
    /// What the image says.
    pub options: Options<'static>,
}

/// Makes a function the program: `_start`, the loader's config, the panic handler, the
/// allocator and the C memory functions.
///
/// `kernel::main!(f)` with `fn f(&mut kernel::Kernel) -> kernel::Verdict`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        fn __kernel_start(boot_info: &'static mut $crate::bootloader_api::BootInfo) -> ! {
            $crate::run(boot_info, $main)
        }

        $crate::bootloader_api::entry_point!(__kernel_start, config = &$crate::BOOT_CONFIG);

        #[global_allocator]
        static __KERNEL_HEAP: $crate::memory::Heap = $crate::memory::Heap;

        #[panic_handler]
        fn __kernel_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panic::report(info)
        }

        $crate::arch::runtime!();
    };
}

/// [`init`], then `main`, then its verdict.
pub fn run(boot_info: &'static mut BootInfo, main: fn(&mut Kernel) -> Verdict) -> ! {
    let mut kernel = init(boot_info);
    exit(main(&mut kernel))
}

/// Takes the machine over from boot. Outside a trust domain it says so and does not return.
pub fn init(boot_info: &'static mut BootInfo) -> Kernel {
    let gaps = traps::init();
    if !is_trust_domain() {
        console::init();
        println!("kernel: not in a trust domain");
        exit(Verdict::NotATrustDomain);
    }
    let vp = Td.vp_info().unwrap_or_else(|status| panic!("TDG.VP.INFO: {status}"));
    let Some(width) = vp.gpa_width() else { panic!("a GPA width of {} bits", vp.gpa_width_bits) };
    console::init();
    let boot_info: &'static BootInfo = boot_info;
    let options = Options::parse(memory::boot_text(boot_info));
    let options = options.unwrap_or_else(|error| panic!("{error}"));
    let memory = Memory::init(boot_info, width, options.acceptance, gaps);
    Kernel { vp, memory, options }
}

/// CPUID leaf 0x21, which only the TDX module answers so, and without #VE. [ABI-G 9]
fn is_trust_domain() -> bool {
    const LEAF: u32 = 0x21;
    if __cpuid(0).eax < LEAF {
        return false;
    }
    let signature = __cpuid_count(LEAF, 0);
    let [b, d, c] = [signature.ebx, signature.edx, signature.ecx].map(u32::to_le_bytes);
    [b, d, c].as_flattened() == b"IntelTDX    "
}
