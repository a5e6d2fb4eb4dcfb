//! From the PVH entry to the first run of the VMM.

use abi::td_params::CPUID_CONFIG_LEAVES;
use arch::BootCell;
use arch::pvh::{MemoryRange, RAM, StartInfo};
use arch::trap::Tables;

use super::cpu;
use super::elf::{Elf, VMM_BASE, VMM_END};
use super::hardware::Hardware;
use super::interrupt;
use super::log;
use super::options::Options;
use super::pages::Pages;
use super::pool::{PAGE, Pool};
use super::ram::{Identity, Ram};
use super::run;
use super::start_info;
use super::vmm::Vmm;
use super::vmm_map::FAR_TABLES;
use super::world_switch::Host;
use crate::machine::Machine;
use crate::module::MAX_CMRS;
use crate::{Module, ModuleConfig};

/// The module's own memory.
const OWN: (u64, u64) = (0x10_0000, 0x200_0000);
/// The longest command line, and its end.
const OPTIONS_BYTES: usize = 1024;
/// Tables that stay for the TDs' maps when the VMM's map is at its largest.
const SPARE_TABLES: u64 = 256;

static TABLES: BootCell<Tables> = BootCell::new(Tables::new());
static PAGES: BootCell<Pages> = BootCell::new(Pages::ZERO);

/// Sets the machine up, loads the VMM from the first boot module and runs it.
///
/// `start_info` is the loader's; `image_end` is the first byte after the module's
/// image and stack.
///
/// # Safety
/// Called once, by the start code, in the state that `arch::pvh_entry!` describes.
#[expect(unsafe_code, reason = "makes the promises of the start code")]
pub unsafe fn start(start_info: u64, image_end: u64) -> ! {
    let (Some(tables), Some(pages)) = (TABLES.take(), PAGES.take()) else {
        log::die(format_args!("started twice"));
    };
    // SAFETY: 64-bit mode, CPL 0, interrupts off, once; the identity map stays for ever.
    unsafe { arch::trap::init(tables, interrupt::trap) };
    cpu::mask_pic();
    check_cpu();
    // SAFETY: EBX of a PVH start; memory is identity-mapped.
    let Some(info) = (unsafe { StartInfo::read(start_info) }) else {
        log::die(format_args!("no PVH start info at {start_info:#x}"));
    };
    let ram = find_ram(&info);
    let options = read_options(&info);
    // SAFETY: identity-mapped; borrows are `InPlace`'s, which say what they need.
    let identity = unsafe { Identity::new() };
    let pool = Pool::new(image_end, OWN.1);
    check_pool(&pool, &ram);
    let Ok(mut hardware) = Hardware::new(identity, ram.clone(), pool, OWN) else {
        log::die(format_args!("no room for the VMM's map"));
    };
    hardware.seed(options.seed);
    let entry = load_vmm(&info, &ram, &mut hardware);
    // SAFETY: the loader's lists, not yet written by anyone.
    let map = unsafe { info.memory_map() };
    hardware.write(start_info::ADDRESS, &start_info::image(map, info.rsdp, OWN));
    // SAFETY: both pages are static and used for nothing else.
    unsafe { cpu::enable_svm(pages.host_save.as_ptr().expose_provenance() as u64) };
    let host_vmcb = core::ptr::from_ref(&pages.host_vmcb).expose_provenance() as u64;
    // SAFETY: SVM is on, the tables are loaded, XCR0 is cut to what CPUID offers.
    let host = unsafe { Host::capture(host_vmcb, cpu::switched_xcr0()) };
    let vmm = Vmm::new(pages, entry, start_info::ADDRESS, options.platform);
    let module = Module::new(config(&ram, host.xcr0(), &options));
    log::line(format_args!("started; the VMM enters at {entry:#x}"));
    run::forever(vmm, module, hardware, &host);
}

/// What the emulation needs of the CPU, and how to get it.
fn check_cpu() {
    let has = |(leaf, register, bit): (u32, usize, u32)| {
        cpu::known_cpuid(leaf, 0)[register] >> bit & 1 == 1
    };
    for (name, place) in [
        ("svm", (0x8000_0001, 2, 2)),
        ("npt", (0x8000_000A, 3, 0)),
        ("la57", (7, 2, 16)),
        ("xsave", (1, 2, 26)),
        ("pdpe1gb", (0x8000_0001, 3, 26)),
    ] {
        if !has(place) {
            log::die(format_args!("the CPU has no {name}: start QEMU with -cpu max,+svm,+npt"));
        }
    }
}

#[expect(unsafe_code, reason = "reads the loader's lists")]
fn find_ram(info: &StartInfo) -> Ram {
    let mut ram = Ram::new();
    // SAFETY: the loader's lists, not yet written by anyone.
    for MemoryRange { base, size, kind, .. } in unsafe { info.memory_map() } {
        if kind == RAM {
            ram.add(base, base.saturating_add(size), OWN);
        }
    }
    ram
}

#[expect(unsafe_code, reason = "reads the loader's command line")]
fn read_options(info: &StartInfo) -> Options {
    // SAFETY: the loader's string, not yet written by anyone.
    let (line, length) = unsafe { info.command_line::<OPTIONS_BYTES>() };
    if length == OPTIONS_BYTES {
        log::die(format_args!("the options are longer than {} bytes", OPTIONS_BYTES - 1));
    }
    match Options::parse(&line[..length]) {
        Ok(options) => options,
        Err(error) => log::die(format_args!("{error}")),
    }
}

/// The pool must hold a table for every 2 MiB that could be split.
fn check_pool(pool: &Pool, ram: &Ram) {
    let bytes: u64 = ram.ranges().iter().map(|(base, end)| end - base).sum();
    let needed = (bytes >> 21) + (bytes >> 30) + SPARE_TABLES + FAR_TABLES;
    if pool.available() < needed {
        log::die(format_args!("{} MiB of RAM is more than the module can map", bytes >> 20));
    }
}

/// Copies the VMM to its place; gives its entry point.
#[expect(unsafe_code, reason = "borrows the file that the loader put into memory")]
fn load_vmm(info: &StartInfo, ram: &Ram, hardware: &mut Hardware) -> u32 {
    // SAFETY: the loader's lists, not yet written by anyone.
    let Some(file) = (unsafe { info.modules() }).next() else {
        log::die(format_args!("no VMM: give its ELF file with -initrd"));
    };
    let end = file.address.saturating_add(file.size);
    let in_the_way = file.address < VMM_END && end > VMM_BASE;
    if !ram.holds(file.address, file.size) || in_the_way {
        log::die(format_args!("the VMM's file is at {:#x}, in the way: add memory", file.address));
    }
    let start = core::ptr::with_exposed_provenance::<u8>(file.address as usize);
    // SAFETY: RAM that holds the file, checked above; only the VMM's range is written
    // while the borrow lives, and the file is outside of it.
    let bytes = unsafe { core::slice::from_raw_parts(start, file.size as usize) };
    let loaded = Elf::parse(bytes).and_then(|elf| {
        for load in elf.loads() {
            hardware.zero(load.address, load.memory_bytes);
            hardware.write(load.address, elf.bytes(&load));
        }
        elf.entry()
    });
    match loaded {
        Ok(entry) => entry,
        Err(error) => log::die(format_args!("the VMM's file: {error}")),
    }
}

/// Convertible memory is all RAM above the module: the firmware of a TDX machine
/// leaves out low memory too.
fn config(ram: &Ram, xfam: u64, options: &Options) -> ModuleConfig {
    let mut config = ModuleConfig {
        seamrr: (OWN.0, OWN.1 - OWN.0),
        processor_signature: cpu::cpuid(1, 0)[0] & 0x0FFF_3FFF,
        xfam,
        rbp_clobbered_on_async_exit: options.clobber_rbp,
        injections: options.injections.clone(),
        faults: options.faults.clone(),
        ..ModuleConfig::default()
    };
    let above = ram.ranges().iter().filter(|range| range.0 >= OWN.1);
    for (cmr, (base, end)) in config.cmrs[..MAX_CMRS].iter_mut().zip(above) {
        let (base, end) = (base.next_multiple_of(PAGE), end & !(PAGE - 1));
        *cmr = (base, end.saturating_sub(base));
    }
    for (values, leaf) in config.cpuid_config.iter_mut().zip(CPUID_CONFIG_LEAVES) {
        *values = cpu::known_cpuid(leaf.0, leaf.1.unwrap_or(0));
    }
    config
}
