//! What the rows act on: pages, mappings, and what the TD is.
#![expect(unsafe_code, reason = "reads and writes memory that leaves write")]

use core::arch::x86_64::__cpuid_count;

use abi::attributes::{Attributes, ConfigFlags};
use abi::field::td;
use abi::page_attributes::VmAttributes;
use abi::{GpaWidth, PAGE_SIZE, PageLevel, PrivateGpa, Status, VeInfo};
use kernel::Kernel;
use kernel::memory::Device;
use tdcall::guest::{self, Rtmr};

use super::target::{self, Target};
use super::traps::Trap;
use super::{Place, When, layout};

/// The unit of TSC_FREQUENCY.
const TSC_UNIT_HZ: u64 = 25_000_000;

/// The I/O APIC of q35, and a page of nothing behind it.
const IOAPIC: u64 = 0xFEC0_0000;
/// Two pages of 4 KiB, and an address with shared memory and no private one: of the small
/// unlisted pages that no leaf has.
const PAGE: u64 = layout::small(0x1E0);
const OUTPUT: u64 = layout::small(0x1E1);
const SHARED: u64 = layout::small(0x1F0);

/// The TD as the rows see it.
#[derive(Debug)]
pub struct World<'k> {
    /// The kernel.
    pub kernel: &'k mut Kernel,
    pub(crate) page: Page,
    pub(crate) output: Page,
    pub(crate) shared: Device,
    /// The trap of the last row, if it made one.
    pub(crate) trap: Option<Trap>,
    /// VE_INFO after the last row's trap.
    pub(crate) ve: Option<VeInfo>,
    width: GpaWidth,
    large: bool,
    uuid: [u64; 4],
    /// What TDG.SERVTD leaves can name, once it is found.
    target: Option<Target>,
    busy: bool,
    /// What a step before a row wants to tell the look after it.
    pub(crate) note: [u8; 48],
}

/// A private page that is accepted, outside of all Rust objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Its address for the module.
    pub(crate) gpa: u64,
    at: *mut u8,
}

impl<'k> World<'k> {
    /// Takes two pages and finds out what TD this is.
    pub fn new(kernel: &'k mut Kernel) -> Self {
        super::traps::install();
        let width = kernel.vp.gpa_width().expect("the kernel checked it");
        let [page, output] = [PAGE, OUTPUT].map(|gpa| Page::accept(kernel, gpa));
        let shared = kernel.memory.map_device(SHARED);
        let uuid = [0, 1, 2, 3].map(|index| guest::vm_rd(td::TD_UUID.element(index)));
        let uuid = uuid.map(Result::unwrap_or_default);
        page.write(0, &PATTERN);
        let mut world = Self {
            kernel,
            page,
            output,
            shared,
            trap: None,
            ve: None,
            width,
            large: false,
            uuid,
            target: None,
            busy: false,
            note: [0; 48],
        };
        let probe = accept(layout::large(layout::PROBE), PageLevel::Size2M);
        world.large = probe == Status::SUCCESS;
        world
    }

    /// Whether a row is for this TD.
    pub(crate) fn is(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::PendingVe => !self.pending_exits(),
            When::PendingExit => self.pending_exits(),
            When::Width48 => self.width == GpaWidth::Bits48,
            When::Width52 => self.width == GpaWidth::Bits52,
            When::Small => !self.large,
            When::Large => self.large,
            When::Busy => self.busy,
            When::CrossTd => self.target.is_some(),
        }
    }

    /// From here on the module answers as if something were in use, as often as the boot that
    /// runs these tables told it.
    pub const fn expect_busy(&mut self) {
        self.busy = true;
    }

    /// Finds the TD's own root page; the VMM must go on after cross-TD traps.
    pub fn find_target(&mut self) {
        self.target = target::find(self.uuid);
    }

    /// The number of a place.
    pub(crate) fn resolve(&self, place: Place) -> u64 {
        let shared = self.width.shared_mask();
        match place {
            Place::Page => self.page.gpa,
            Place::Output => self.output.gpa,
            Place::PageShared => self.page.gpa | shared,
            Place::Shared => SHARED | shared,
            Place::SharedNew => (SHARED + PAGE_SIZE) | shared,
            Place::Device => IOAPIC | shared,
            Place::DeviceNew => (IOAPIC + PAGE_SIZE) | shared,
            Place::Missing(index) => layout::small(index),
            Place::MissingLarge(index) => layout::large(index),
            Place::LargeLevel => u64::from(self.large),
            Place::Uuid(index) => self.uuid.get(usize::from(index)).copied().unwrap_or(0),
            Place::Handle => self.target.map_or(0, |target| self.uuid[0].wrapping_add(target.tdr)),
            Place::NoHandle => {
                self.target.map_or(0, |target| self.uuid[0].wrapping_add(target.other))
            }
            Place::GpaBits => u64::from(self.width.bits()),
            Place::Gpaw => u64::from(self.width == GpaWidth::Bits52),
            Place::TscFrequency => kernel::time::tsc_hz().unwrap_or(0) / TSC_UNIT_HZ,
            Place::Attributes => self.kernel.vp.attributes.bits(),
            Place::Xfam => xfam(),
            Place::ConfigFlags => self.config_flags(),
            Place::TdCtls => u64::from(self.pending_exits()),
        }
    }

    /// The unlisted memory, and every other, through the physical mapping.
    pub(crate) fn memory(&self, gpa: u64) -> Page {
        Page { gpa, at: self.kernel.memory.physical(gpa) }
    }

    /// Bytes of the shared page.
    pub(crate) fn shared_bytes<const N: usize>(&self, offset: u16) -> [u8; N] {
        let page = Page { gpa: SHARED, at: self.shared.register(0).cast() };
        page.read(offset)
    }

    /// Puts a report about [`Place::Page`]'s first bytes into [`Place::Output`].
    pub(crate) fn report(&self, offset: u64) {
        let [report, data] = [self.output.gpa + offset, self.page.gpa].map(PrivateGpa::new);
        // SAFETY: the page is no Rust object.
        let made = unsafe { guest::mr_report(report.into(), data.into()) };
        assert!(made.is_ok(), "{made:?}");
    }

    /// Makes a call that the VMM can not help, again and again while it is busy. With small pages: RTMR.EXTEND of a missing page,
    /// which the VMM adds, pending. With large ones: ATTR.WR of a piece of a page.
    pub fn leave_for_good(&self) -> Status {
        let piece = PrivateGpa::new(layout::large(layout::PROBE) + PAGE_SIZE);
        let none = VmAttributes::default();
        loop {
            let result = if self.large {
                guest::mem_page_attr_wr(piece, PageLevel::Size4K, none, none)
                    .map(|_| ())
                    .map_err(|error| error.status)
            } else {
                guest::mr_rtmr_extend(PrivateGpa::new(layout::small(0)), Rtmr::Rtmr3)
            };
            match result {
                Err(status) if status.is_busy() => {}
                Err(status) => return status,
                Ok(()) => return Status::SUCCESS,
            }
        }
    }

    fn pending_exits(&self) -> bool {
        self.kernel.vp.attributes.contains(Attributes::SEPT_VE_DISABLE)
    }

    /// As the boots that run these tables configure it: the TD in which pending pages raise
    /// #VE may change that, and RBP is never passed.
    fn config_flags(&self) -> u64 {
        let mut flags = ConfigFlags::NO_RBP_MOD;
        flags.set(ConfigFlags::GPAW_52, self.width == GpaWidth::Bits52);
        flags.set(ConfigFlags::FLEXIBLE_PENDING_VE, !self.pending_exits());
        flags.bits()
    }
}

/// Accepts a page of the unlisted memory; SUCCESS, or why not.
pub(crate) fn accept(gpa: u64, level: PageLevel) -> Status {
    // SAFETY: unlisted memory, where no Rust object is.
    unsafe { guest::mem_page_accept(PrivateGpa::new(gpa), level) }
}

/// Lets the VMM add a page of the unlisted memory, which is pending then: ATTR.RD of a
/// missing page exits to the VMM, and reads pending ones.
pub(crate) fn add_pending(gpa: u64) {
    let mapping = guest::mem_page_attr_rd(PrivateGpa::new(gpa));
    assert!(mapping.is_ok_and(|mapping| mapping.pending), "{gpa:#x} is not pending");
}

/// XFAM by what CPUID says of the features, of which the module shows those in XFAM.
/// [ABI-G 9]
fn xfam() -> u64 {
    let user = __cpuid_count(0xD, 0);
    let supervisor = __cpuid_count(0xD, 1);
    u64::from(user.eax | supervisor.ecx) | u64::from(user.edx | supervisor.edx) << 32
}

/// What [`Place::Page`] holds: no byte is zero, and no two quadwords are alike.
const PATTERN: [u8; PAGE_SIZE as usize] = {
    let mut bytes = [0; PAGE_SIZE as usize];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = 1 | (at * 37 + at / 64 * 2) as u8;
        at += 1;
    }
    bytes
};

impl Page {
    fn accept(kernel: &Kernel, gpa: u64) -> Self {
        let status = accept(gpa, PageLevel::Size4K);
        assert!(status.is_success(), "{status}");
        Self { gpa, at: kernel.memory.physical(gpa) }
    }

    /// Copies `bytes` to the page.
    pub(crate) fn write(self, offset: u16, bytes: &[u8]) {
        for (index, byte) in (usize::from(offset)..PAGE_SIZE as usize).zip(bytes) {
            // SAFETY: inside the page, which is mapped and holds no Rust object.
            unsafe { self.at.add(index).write_volatile(*byte) };
        }
    }

    /// Copies bytes out of the page.
    pub(crate) fn read<const N: usize>(self, offset: u16) -> [u8; N] {
        let mut bytes = [0; N];
        for (index, byte) in (usize::from(offset)..PAGE_SIZE as usize).zip(&mut bytes) {
            // SAFETY: inside the page, which is mapped and holds no Rust object.
            *byte = unsafe { self.at.add(index).read_volatile() };
        }
        bytes
    }

    /// Fills the page.
    pub(crate) fn fill(self, byte: u8) {
        for index in 0..PAGE_SIZE as usize {
            // SAFETY: inside the page, which is mapped and holds no Rust object.
            unsafe { self.at.add(index).write_volatile(byte) };
        }
    }

    /// Whether every byte is `byte`.
    pub(crate) fn is_all(self, byte: u8) -> bool {
        // SAFETY: inside the page, which is mapped and holds no Rust object.
        (0..PAGE_SIZE as usize).all(|index| unsafe { self.at.add(index).read_volatile() } == byte)
    }
}
