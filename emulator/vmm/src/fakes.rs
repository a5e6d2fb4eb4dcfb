//! Stand-ins for the hardware in host tests.
#![expect(clippy::panic_in_result_fn, reason = "a fake that is used wrongly ends the test")]

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use abi::exit::TdExitStatus;
use abi::field::{self, FieldId};
use abi::{Hpa, IoWidth, PAGE_SIZE, PageLevel, PrivateGpa, RegisterFile, Regs, Status};
use tdcall::host::{LeafError, PageMetadata};

use crate::pool::Pool;
use crate::ram::Ranges;
use crate::seam::{Cpu, Devices, Memory, Seamcall};

/// Sparse memory: what was never written holds garbage.
#[derive(Default)]
pub(crate) struct FakeMemory {
    pages: BTreeMap<u64, Vec<u8>>,
}

impl FakeMemory {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Memory for FakeMemory {
    fn read(&self, at: Hpa, buf: &mut [u8]) {
        for (offset, byte) in buf.iter_mut().enumerate() {
            let at = at.bits() + offset as u64;
            let page = self.pages.get(&(at / PAGE_SIZE));
            *byte = page.map_or(0xA5, |page| page[(at % PAGE_SIZE) as usize]);
        }
    }

    fn write(&mut self, at: Hpa, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            let at = at.bits() + offset as u64;
            let fresh = || std::vec![0xA5; PAGE_SIZE as usize];
            self.pages.entry(at / PAGE_SIZE).or_insert_with(fresh)[(at % PAGE_SIZE) as usize] =
                *byte;
        }
    }

    fn zero(&mut self, at: Hpa, len: u64) {
        for page in 0..len / PAGE_SIZE {
            let zeros = std::vec![0; PAGE_SIZE as usize];
            self.pages.insert(at.bits() / PAGE_SIZE + page, zeros);
        }
    }
}

/// Free memory of 64 MiB at 1 GiB.
pub(crate) fn pool() -> Pool {
    let mut memory = Ranges::new();
    memory.insert(1 << 30, 64 << 20);
    Pool::new(memory).unwrap()
}

/// What a device saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    PortRead(u16, IoWidth),
    PortWrite(u16, IoWidth, u32),
    RegisterRead(u64, IoWidth),
    RegisterWrite(u64, IoWidth, u32),
}

/// Devices that answer `answer` and write down what reached them.
#[derive(Default)]
pub(crate) struct FakeDevices {
    pub(crate) seen: Vec<Seen>,
    pub(crate) answer: u32,
}

impl Devices for FakeDevices {
    fn port_read(&mut self, port: u16, width: IoWidth) -> u32 {
        self.seen.push(Seen::PortRead(port, width));
        self.answer
    }
    fn port_write(&mut self, port: u16, width: IoWidth, value: u32) {
        self.seen.push(Seen::PortWrite(port, width, value));
    }
    fn register_read(&mut self, address: u64, width: IoWidth) -> u32 {
        self.seen.push(Seen::RegisterRead(address, width));
        self.answer
    }
    fn register_write(&mut self, address: u64, width: IoWidth, value: u32) {
        self.seen.push(Seen::RegisterWrite(address, width, value));
    }
}

/// A processor whose time passes by 10 ms with each wait.
#[derive(Default)]
pub(crate) struct FakeCpu {
    pub(crate) now_ns: u64,
    /// Time that passes with each look at the clock.
    pub(crate) step_ns: u64,
    pub(crate) interrupts: Vec<u8>,
    pub(crate) self_interrupts: Vec<u8>,
    pub(crate) flushes: u32,
}

impl Cpu for FakeCpu {
    fn now_ns(&mut self) -> u64 {
        self.now_ns += self.step_ns;
        self.now_ns
    }
    fn tsc(&mut self) -> u64 {
        self.now_ns
    }
    fn keyid_partitioning(&mut self) -> u64 {
        31 | 32 << 32
    }
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        [leaf, subleaf, 0x11, 0x22]
    }
    fn wbinvd(&mut self) {
        self.flushes += 1;
    }
    fn interrupt(&mut self, vector: u8) {
        self.interrupts.push(vector);
    }
    fn interrupt_self(&mut self, vector: u8) {
        self.self_interrupts.push(vector);
    }
    fn wait(&mut self) {
        self.now_ns += 10_000_000;
    }
}

/// A module that says yes, keeps books as the real one does, and exits from the TD as a
/// script says.
#[derive(Default)]
pub(crate) struct FakeModule {
    /// RAX and registers of the coming exits.
    pub(crate) exits: VecDeque<(u64, Regs)>,
    /// When the script is at its end, the last exit comes again.
    pub(crate) repeats: bool,
    /// Registers that the VMM entered with.
    pub(crate) entries: Vec<Regs>,
    /// Leaves in the order of their calls.
    pub(crate) calls: Vec<&'static str>,
    /// Answers to give once instead of doing the leaf.
    pub(crate) refusals: Vec<(&'static str, Status)>,
    /// Fields by identity.
    pub(crate) fields: BTreeMap<u64, u64>,
    /// VP.WR.
    pub(crate) written: Vec<(FieldId, u64)>,
    /// Owned pages: base to size.
    pub(crate) owned: BTreeMap<u64, u64>,
    /// SEPT: (level, base of the range) that has a table, or a page at level 0 and 1.
    pub(crate) tables: Vec<(u8, u64)>,
    pub(crate) pages: BTreeMap<u64, PageLevel>,
    /// MR.EXTENDs.
    pub(crate) extended: Vec<u64>,
    /// TDR after KEY.FREEID.
    pub(crate) key_is_free: bool,
    pub(crate) tdr: u64,
    pub(crate) tdmr_steps: u64,
}

const ROOT_LEVEL: u8 = 3;

impl FakeModule {
    pub(crate) fn new() -> Self {
        let fields = [
            (field::sys::TDX_FEATURES0, 1 << 18 | 1 << 20),
            (field::sys::NUM_CMRS, 1),
            (field::sys::CMR_BASE, 0x10_0000),
            (field::sys::CMR_SIZE, 0x1000_0000),
            (field::sys::MAX_TDMRS, 64),
            (field::sys::MAX_RESERVED_PER_TDMR, 16),
            (field::sys::PAMT_4K_ENTRY_SIZE, 16),
            (field::sys::PAMT_2M_ENTRY_SIZE, 16),
            (field::sys::PAMT_1G_ENTRY_SIZE, 16),
            (field::sys::TDCS_BASE_SIZE, 6 * 4096),
            (field::sys::TDVPS_BASE_SIZE, 6 * 4096),
            (field::sys::ATTRIBUTES_FIXED0, 1 << 28 | 1),
            (field::sys::XFAM_FIXED0, 7),
            (field::sys::XFAM_FIXED1, 3),
            (field::sys::MAX_VCPUS_PER_TD, 0xFFFF),
            (field::sys::NUM_CPUID_CONFIG, 12),
        ];
        Self {
            fields: fields.into_iter().map(|(id, value)| (identity(id), value)).collect(),
            ..Self::default()
        }
    }

    /// The script: exits in order.
    pub(crate) fn script(mut self, exits: impl IntoIterator<Item = (u64, Regs)>) -> Self {
        self.exits.extend(exits);
        self
    }

    fn call(&mut self, leaf: &'static str) -> Result<(), Status> {
        self.calls.push(leaf);
        match self.refusals.iter().position(|(name, _)| *name == leaf) {
            Some(index) => Err(self.refusals.remove(index).1),
            None => Ok(()),
        }
    }

    /// A page becomes the module's.
    fn own(&mut self, page: Hpa, bytes: u64) -> Result<(), Status> {
        let (start, end) = (page.bits(), page.bits() + bytes);
        if self.owned.iter().any(|(base, size)| *base < end && start < base + size) {
            return Err(Status::PAGE_METADATA_INCORRECT.with_detail(1));
        }
        self.owned.insert(start, bytes);
        Ok(())
    }

    /// The level where a walk to `level` stops, if it does not get there.
    fn missing(&self, gpa: u64, level: u8) -> Option<u8> {
        (level + 1..=ROOT_LEVEL).rev().find(|at| {
            let base = gpa >> (12 + 9 * u32::from(*at)) << (12 + 9 * u32::from(*at));
            !self.tables.contains(&(*at, base))
        })
    }

    fn map(&mut self, gpa: PrivateGpa, level: PageLevel, page: Hpa) -> Result<(), LeafError> {
        if let Some(stop) = self.missing(gpa.bits(), level as u8) {
            let status = Status::EPT_WALK_FAILED.with_detail(1);
            return Err(LeafError { status, rcx: 1 << 63, rdx: stop.into() });
        }
        let is_table = level == PageLevel::Size2M && self.tables.contains(&(1, gpa.bits()));
        if is_table || self.pages.contains_key(&gpa.bits()) {
            return Err(Status::EPT_ENTRY_STATE_INCORRECT.with_detail(1).into());
        }
        self.own(page, level.bytes())?;
        self.pages.insert(gpa.bits(), level);
        Ok(())
    }
}

/// Class and code.
fn identity(id: FieldId) -> u64 {
    id.0 & (0x3F << 56 | 0xFF_FFFF)
}

impl Seamcall for FakeModule {
    fn sys_init(&mut self) -> Result<(), LeafError> {
        Ok(self.call("SYS.INIT")?)
    }
    fn sys_lp_init(&mut self) -> Result<(), LeafError> {
        Ok(self.call("SYS.LP.INIT")?)
    }
    fn sys_rd(&mut self, field: FieldId) -> Result<u64, Status> {
        Ok(self.fields.get(&identity(field)).copied().unwrap_or(0))
    }
    fn sys_config(&mut self, _: Hpa, _: usize, _: u16) -> Result<(), Status> {
        self.call("SYS.CONFIG")
    }
    fn sys_key_config(&mut self) -> Result<(), Status> {
        self.call("SYS.KEY.CONFIG")
    }
    fn sys_tdmr_init(&mut self, base: Hpa) -> Result<u64, Status> {
        self.call("SYS.TDMR.INIT")?;
        self.tdmr_steps += 1;
        Ok(base.bits() + if self.tdmr_steps.is_multiple_of(256) { 1 << 30 } else { 0 })
    }

    fn mng_create(&mut self, tdr: Hpa, _: u16) -> Result<(), Status> {
        self.call("MNG.CREATE")?;
        self.tdr = tdr.bits();
        self.own(tdr, PAGE_SIZE)
    }
    fn mng_key_config(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("MNG.KEY.CONFIG")
    }
    fn mng_addcx(&mut self, page: Hpa, _: Hpa) -> Result<(), Status> {
        self.call("MNG.ADDCX")?;
        self.own(page, PAGE_SIZE)
    }
    fn mng_init(&mut self, _: Hpa, _: Hpa) -> Result<(), LeafError> {
        Ok(self.call("MNG.INIT")?)
    }
    fn mng_rd(&mut self, _: Hpa, field: FieldId) -> Result<u64, Status> {
        self.call("MNG.RD")?;
        Ok(self.fields.get(&identity(field)).copied().unwrap_or(0))
    }
    fn mng_vpflushdone(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("MNG.VPFLUSHDONE")
    }
    fn mng_key_freeid(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("MNG.KEY.FREEID")?;
        self.key_is_free = true;
        Ok(())
    }

    fn vp_create(&mut self, page: Hpa, _: Hpa) -> Result<(), Status> {
        self.call("VP.CREATE")?;
        self.own(page, PAGE_SIZE)
    }
    fn vp_addcx(&mut self, page: Hpa, _: Hpa) -> Result<(), Status> {
        self.call("VP.ADDCX")?;
        self.own(page, PAGE_SIZE)
    }
    fn vp_init(&mut self, _: Hpa, rcx: u64, _: u32) -> Result<(), Status> {
        self.fields.insert(u64::MAX, rcx);
        self.call("VP.INIT")
    }
    fn vp_rd(&mut self, _: Hpa, field: FieldId) -> Result<u64, Status> {
        Ok(self.fields.get(&identity(field)).copied().unwrap_or(0))
    }
    fn vp_wr(&mut self, _: Hpa, field: FieldId, value: u64, _: u64) -> Result<u64, Status> {
        self.call("VP.WR")?;
        self.written.push((field, value));
        Ok(0)
    }
    fn vp_flush(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("VP.FLUSH")
    }
    fn vp_enter(&mut self, _: Hpa, file: &mut RegisterFile) -> TdExitStatus {
        self.entries.push(file.gprs);
        let last = self.repeats && self.exits.len() == 1;
        let next = if last { self.exits.front().copied() } else { self.exits.pop_front() };
        let (rax, out) = next.expect("the script ends before the run does");
        let exit = TdExitStatus(rax);
        if exit.entered() {
            file.gprs = out;
        }
        exit
    }

    fn mem_sept_add(
        &mut self,
        gpa: PrivateGpa,
        level: u8,
        _: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.SEPT.ADD")?;
        assert_eq!(self.missing(gpa.bits(), level - 1), Some(level), "SEPT.ADD at a wrong level");
        self.own(page, PAGE_SIZE)?;
        let shift = 12 + 9 * u32::from(level);
        assert_eq!(gpa.bits() % (1 << shift), 0, "SEPT.ADD off the start of the range");
        self.tables.push((level, gpa.bits()));
        Ok(())
    }
    fn mem_page_add(
        &mut self,
        gpa: PrivateGpa,
        _: Hpa,
        page: Hpa,
        _: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.PAGE.ADD")?;
        self.map(gpa, PageLevel::Size4K, page)
    }
    fn mem_page_aug(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        _: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.PAGE.AUG")?;
        self.map(gpa, level, page)
    }
    fn mr_extend(&mut self, gpa: PrivateGpa, _: Hpa) -> Result<(), LeafError> {
        self.call("MR.EXTEND")?;
        self.extended.push(gpa.bits());
        Ok(())
    }
    fn mr_finalize(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("MR.FINALIZE")
    }

    fn phymem_cache_wb(&mut self) -> Result<(), Status> {
        self.call("PHYMEM.CACHE.WB")
    }
    fn phymem_page_reclaim(&mut self, page: Hpa) -> Result<PageMetadata, LeafError> {
        self.call("PHYMEM.PAGE.RECLAIM")?;
        let Some(size) = self.owned.get(&page.bits()).copied() else {
            return Err(Status::PAGE_METADATA_INCORRECT.with_detail(1).into());
        };
        if !self.key_is_free {
            return Err(Status::LIFECYCLE_STATE_INCORRECT.into());
        }
        if page.bits() == self.tdr && self.owned.len() > 1 {
            return Err(Status::TD_ASSOCIATED_PAGES_EXIST.into());
        }
        self.owned.remove(&page.bits());
        Ok(PageMetadata { page_type: 3, owner: self.tdr, level: u64::from(size != PAGE_SIZE) })
    }
    fn phymem_page_wbinvd(&mut self, _: u64) -> Result<(), Status> {
        self.call("PHYMEM.PAGE.WBINVD")
    }
}
