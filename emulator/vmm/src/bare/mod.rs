//! The hardware under the VMM: start, traps, log, and the seams' real sides.
//!
//! Physical memory is identity-mapped, below the module as a guest and without it alike.

mod console;
mod cpu;
mod devices;
mod fw_cfg;
mod memory;
mod rbp;
mod tdx;
mod traps;

use arch::BootCell;
use arch::pvh::{MemoryRange, RAM, StartInfo};
use arch::vmx::{self, NotEntered};
use vmm::config::Config;
use vmm::construct::{HOB_BYTES, Image};
use vmm::failure::Failure;
use vmm::ram::{Range, Ranges};
use vmm::seam::Seamcall;
use vmm::session::{Seams, session};
use vmm::system;
use vmm::tdmr::MAX_RANGES;

pub(crate) use console::end;
use cpu::Processor;
use devices::Ports;
use memory::Ram;
use tdx::Module;

/// Where the VMM itself is: see vmm.ld.
const OWN: Range = Range::new(0x200_0000, 0x300_0000);
/// The start info, real-mode leftovers and the rest of the first MiB are never given away.
const LOW: Range = Range::new(0, 0x10_0000);

const IMAGE_FILE: &str = "opt/tdlet/image";
const CONFIG_FILE: &str = "opt/tdlet/config";
/// The longest configuration.
const CONFIG_BYTES: usize = 512;

static VMXON_REGION: BootCell<vmx::Region> = BootCell::new(vmx::Region::new());
static HOB: BootCell<[u8; HOB_BYTES]> = BootCell::new([0; HOB_BYTES]);

/// Runs the VMM.
///
/// # Safety
/// Called once, by the PVH start code, with what the loader left in EBX.
#[expect(unsafe_code, reason = "the start code's promises")]
pub(crate) unsafe fn start(start_info: u64) -> ! {
    console::init();
    traps::init();
    // SAFETY: `start_info` is what the loader left in EBX, by the caller's promise.
    let map = unsafe { StartInfo::read(start_info) }.map(|info| {
        // SAFETY: the lists are where the loader left them; nothing was written yet.
        unsafe { info.memory_map() }
    });
    let free = free_memory(map.into_iter().flatten());
    let verdict = run(free).unwrap_or_else(|error| {
        log::error!("{error}");
        error.verdict()
    });
    end(verdict)
}

/// RAM that is nobody's yet.
fn free_memory(map: impl Iterator<Item = MemoryRange>) -> Ranges<MAX_RANGES> {
    let mut free = Ranges::new();
    let mut taken = Ranges::<MAX_RANGES>::new();
    for range in map {
        let set = if range.kind == RAM { &mut free } else { &mut taken };
        set.insert(range.base, range.size);
    }
    for range in taken.as_slice().iter().chain([&OWN, &LOW]) {
        free.remove(*range);
    }
    free
}

/// SEAMCALL needs VMX operation. A CPU without VMX has no SEAMCALL either, which the first
/// one shows.
#[expect(unsafe_code, reason = "VMXON")]
fn enter_vmx_operation() -> Result<(), NotEntered> {
    match VMXON_REGION.take().filter(|_| vmx::is_supported()) {
        // SAFETY: CPL 0, paging is on, and everything is identity-mapped.
        Some(region) => unsafe { vmx::enter(region) },
        None => Ok(()),
    }
}

/// The whole run; its verdict.
fn run(mut free: Ranges<MAX_RANGES>) -> Result<u32, Failure> {
    let mut module = Module::default();
    let vmx_operation = enter_vmx_operation();
    system::init(&mut module as &mut dyn Seamcall, vmx_operation)?;
    let mut cpu = Processor::start()?;
    let config = read_config()?;
    let image = read_image(&mut free)?;
    let hob = HOB.take().ok_or(Failure::OutOfMemory("the TD HOB"))?;
    let mut memory = Ram::new(&free);
    module.can_have(&free);
    let seams =
        Seams { module: &mut module, memory: &mut memory, devices: &mut Ports, cpu: &mut cpu };
    let verdict = session(seams, free, &config, image, hob);
    module.rbp().log();
    if module.rbp().is_kept() { Ok(verdict) } else { Err(Failure::LostRbp) }
}

fn read_config() -> Result<Config, Failure> {
    let file = fw_cfg::find(CONFIG_FILE).ok_or(Failure::FwCfg(CONFIG_FILE))?;
    let mut text = [0; CONFIG_BYTES];
    let len = file.len();
    let text = text.get_mut(..len).ok_or(Failure::FwCfg(CONFIG_FILE))?;
    file.read_slowly(text);
    Ok(Config::parse(text)?)
}

/// Reads the image into memory of its own, which leaves the free memory.
fn read_image(free: &mut Ranges<MAX_RANGES>) -> Result<Image<'static>, Failure> {
    const LARGEST: usize = image::layout::MAX_IMAGE_SIZE;
    let file = fw_cfg::find(IMAGE_FILE).ok_or(Failure::FwCfg(IMAGE_FILE))?;
    let size = file.len();
    if size == 0 || size > LARGEST {
        // The parser's own words for these.
        let error = if size == 0 {
            image::ImageError::BadSize { size }
        } else {
            image::ImageError::TooLarge { size }
        };
        return Err(error.into());
    }
    let pages = (size as u64).next_multiple_of(abi::PAGE_SIZE);
    let range = free.take_highest(pages, abi::PAGE_SIZE, u64::MAX);
    let range = range.ok_or(Failure::OutOfMemory("the image"))?;
    let at = abi::Hpa::try_new(range.start).map_err(|_| Failure::OutOfMemory("the image"))?;
    let bytes = memory::claim(range, size);
    file.read(bytes).ok_or(Failure::FwCfg(IMAGE_FILE))?;
    log::info!("image of {size} bytes");
    Ok(Image { bytes, at })
}
