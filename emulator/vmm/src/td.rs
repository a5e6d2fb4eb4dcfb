//! The trust domain and its vCPU as the VMM keeps them.

use abi::{GpaWidth, Hpa, PageLevel};

use crate::conversion::Conversion;
use crate::failure::Failure;
use crate::features::Features;
use crate::guest_memory::GuestMemory;
use crate::lapic::{Lapic, Now};
use crate::pool::Pool;
use crate::seam::{Cpu, Devices, Memory, Seamcall};
use crate::shared_ept::SharedEpt;
use crate::vmcall::{Ioapic, Msrs, Ports, WrongAnswers};

/// The vector by which the processor is told of a posted interrupt: Linux's.
pub(crate) const NOTIFICATION_VECTOR: u8 = 0xF2;

/// The VMM's means: the seams, and the pages that are left.
pub struct Vmm<'a> {
    /// The TDX module.
    pub module: &'a mut dyn Seamcall,
    /// The VMM's memory.
    pub memory: &'a mut dyn Memory,
    /// QEMU's devices.
    pub devices: &'a mut dyn Devices,
    /// The processor.
    pub cpu: &'a mut dyn Cpu,
    /// Pages.
    pub pool: Pool,
}

impl core::fmt::Debug for Vmm<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vmm").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Vmm<'_> {
    /// Gives a page to the module by `leaf`; it comes back if the leaf fails.
    ///
    /// # Errors
    /// There is no page (for `what`), or the leaf fails.
    pub(crate) fn give(
        &mut self,
        level: PageLevel,
        what: &'static str,
        leaf: impl FnOnce(&mut Self, Hpa) -> Result<(), Failure>,
    ) -> Result<Hpa, Failure> {
        let page = match level {
            PageLevel::Size4K => self.pool.small(self.memory),
            _ => self.pool.large(self.memory),
        };
        let page = page.ok_or(Failure::OutOfMemory(what))?;
        if let Err(failure) = leaf(self, page) {
            self.pool.give_back(self.memory, page, level);
            return Err(failure);
        }
        Ok(page)
    }
}

/// A TD from TDH.MNG.CREATE on.
#[derive(Debug)]
pub struct Td {
    /// Its root page.
    pub tdr: Hpa,
    /// Its key, where it stands in an address.
    pub key_bits: u64,
    /// Its vCPU's root page, from TDH.VP.CREATE on.
    pub tdvpr: Option<Hpa>,
    /// Width of its addresses.
    pub width: GpaWidth,
    /// Its memory.
    pub guest: GuestMemory,
    /// Largest private page added at run time.
    pub page_level: PageLevel,
    /// Pages added at run time hold something before.
    pub dirty_pages: bool,
    /// What it leaves in pages that it loses stays there: see [`crate::vmcall::Look`].
    pub is_curious: bool,
    /// How its pages are converted.
    pub(crate) conversion: Conversion,
}

/// The vCPU from TDH.VP.INIT on.
#[derive(Debug)]
pub struct Vcpu {
    /// Its root page.
    pub tdvpr: Hpa,
    /// Tables of the shared half.
    pub shared: SharedEpt,
    pub(crate) lapic: Lapic,
    pub(crate) msrs: Msrs,
    pub(crate) ports: Ports,
    pub(crate) ioapic: Ioapic,
    pub(crate) features: Features,
    pub(crate) posted: PostedInterrupts,
    pub(crate) clock: TdClock,
    /// What it is answered wrong.
    pub(crate) wrong: WrongAnswers,
}

/// How the TD's time stamp counter follows from the processor's. [ABI-H 4.6]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TdClock {
    pub(crate) offset: u64,
    /// Fixed point, 48 fraction bits.
    pub(crate) multiplier: u64,
}

impl TdClock {
    pub(crate) fn now(self, cpu: &mut dyn Cpu) -> Now {
        let scaled = (u128::from(cpu.tsc()) * u128::from(self.multiplier)) >> 48;
        Now { ns: cpu.now_ns(), tsc: (scaled as u64).wrapping_add(self.offset) }
    }
}

/// The posted-interrupt descriptor: 256 request bits, then ON. [ABI-H 5.9]
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostedInterrupts {
    /// Its page.
    pub(crate) descriptor: Hpa,
    /// Something was posted since the last look.
    posted: bool,
}

impl PostedInterrupts {
    pub(crate) const fn new(descriptor: Hpa) -> Self {
        Self { descriptor, posted: false }
    }

    /// Requests `vector`.
    pub(crate) fn post(&mut self, memory: &mut dyn Memory, vector: u8) {
        let word = self.word(u64::from(vector) / 64);
        memory.write_u64(word, memory.read_u64(word) | 1 << (vector % 64));
        memory.write_u64(self.word(4), 1);
        self.posted = true;
    }

    /// Requests are waiting for the next entry, which has to be told by an interrupt.
    pub(crate) fn are_pending(&mut self, memory: &dyn Memory) -> bool {
        self.posted &= memory.read_u64(self.word(4)) & 1 != 0;
        self.posted
    }

    fn word(&self, index: u64) -> Hpa {
        Hpa::try_new(self.descriptor.bits() + 8 * index).unwrap_or(self.descriptor)
    }
}
