//! A module that keeps books.
#![expect(clippy::panic_in_result_fn, reason = "a fake that is used wrongly ends the test")]

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use abi::exit::TdExitStatus;
use abi::field::{self, FieldId};
use abi::{Hpa, PAGE_SIZE, PageLevel, PrivateGpa, RegisterFile, Regs, Status};
use tdcall::host::{LeafError, PageMetadata, Removed};

use crate::seam::Seamcall;

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
    /// Where the pages are.
    pub(crate) behind: BTreeMap<u64, u64>,
    /// Blocked pages, and whether they are tracked.
    pub(crate) blocked: BTreeMap<u64, bool>,
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
        let is_table = level == PageLevel::Size2M && self.tables.contains(&(1, gpa.bits()));
        let is_missing = self.missing(gpa.bits(), level as u8).is_some();
        if is_missing || is_table || self.pages.contains_key(&gpa.bits()) {
            return Err(self.refuse(gpa.bits(), level as u8));
        }
        self.own(page, level.bytes())?;
        self.pages.insert(gpa.bits(), level);
        self.behind.insert(gpa.bits(), page.bits());
        Ok(())
    }

    /// What a leaf says about the entry of `level`, or the one where its walk ends above it.
    fn refuse(&self, gpa: u64, level: u8) -> LeafError {
        const WALK: Status = Status::EPT_WALK_FAILED.with_detail(1);
        const STATE: Status = Status::EPT_ENTRY_STATE_INCORRECT.with_detail(1);
        let large = gpa & !(PageLevel::Size2M.bytes() - 1);
        let (status, at, state): (Status, u8, u8) = match self.missing(gpa, level) {
            Some(1) if self.pages.get(&large) == Some(&PageLevel::Size2M) => {
                (WALK, 1, if self.blocked.contains_key(&large) { 3 } else { 2 })
            }
            Some(stop) => (WALK, stop, 0),
            None if self.blocked.contains_key(&gpa) => (STATE, level, 3),
            None if self.pages.contains_key(&gpa) => (STATE, level, 2),
            None if level == 1 && self.tables.contains(&(1, gpa)) => (STATE, level, 0x84),
            None => (STATE, level, 0),
        };
        LeafError { status, rcx: 1 << 63, rdx: u64::from(state) << 8 | u64::from(at) }
    }

    /// The page of this size, if a leaf would find it.
    fn has(&self, gpa: u64, level: PageLevel) -> bool {
        self.missing(gpa, level as u8).is_none() && self.pages.get(&gpa) == Some(&level)
    }

    /// The page is blocked and tracked.
    fn removable(&self, gpa: u64) -> Result<(), LeafError> {
        match self.blocked.get(&gpa) {
            Some(true) => Ok(()),
            Some(false) => Err(Status::TLB_TRACKING_NOT_DONE.with_detail(1).into()),
            None => Err(Status::GPA_RANGE_NOT_BLOCKED.with_detail(1).into()),
        }
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
    fn mem_range_block(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        _: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.RANGE.BLOCK")?;
        if !self.has(gpa.bits(), level) {
            return Err(self.refuse(gpa.bits(), level as u8));
        }
        self.blocked.entry(gpa.bits()).or_insert(false);
        Ok(())
    }
    fn mem_range_unblock(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        _: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.RANGE.UNBLOCK")?;
        assert!(self.has(gpa.bits(), level), "UNBLOCK of no page");
        self.removable(gpa.bits())?;
        self.blocked.remove(&gpa.bits());
        Ok(())
    }
    fn mem_track(&mut self, _: Hpa) -> Result<(), Status> {
        self.call("MEM.TRACK")?;
        self.blocked.values_mut().for_each(|tracked| *tracked = true);
        Ok(())
    }
    fn mem_page_remove(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        _: Hpa,
    ) -> Result<Removed, LeafError> {
        self.call("MEM.PAGE.REMOVE")?;
        assert!(self.has(gpa.bits(), level), "REMOVE of no page");
        self.removable(gpa.bits())?;
        self.blocked.remove(&gpa.bits());
        self.pages.remove(&gpa.bits());
        let page = self.behind.remove(&gpa.bits()).expect("every page is somewhere");
        assert_eq!(self.owned.remove(&page), Some(level.bytes()));
        Ok(Removed { page })
    }
    fn mem_page_demote(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        _: Hpa,
        sept_page: Hpa,
    ) -> Result<(), LeafError> {
        self.call("MEM.PAGE.DEMOTE")?;
        assert!(self.has(gpa.bits(), level), "DEMOTE of no page");
        self.removable(gpa.bits())?;
        self.own(sept_page, PAGE_SIZE)?;
        self.tables.push((1, gpa.bits()));
        self.blocked.remove(&gpa.bits());
        let page = self.behind.remove(&gpa.bits()).expect("every page is somewhere");
        self.pages.remove(&gpa.bits());
        self.owned.remove(&page);
        for offset in (0..level.bytes()).step_by(PAGE_SIZE as usize) {
            self.owned.insert(page + offset, PAGE_SIZE);
            self.pages.insert(gpa.bits() + offset, PageLevel::Size4K);
            self.behind.insert(gpa.bits() + offset, page + offset);
        }
        Ok(())
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
    fn phymem_page_rdmd(&mut self, page: Hpa) -> Result<PageMetadata, LeafError> {
        self.call("PHYMEM.PAGE.RDMD")?;
        let owned = self.owned.contains_key(&page.bits());
        Ok(PageMetadata { page_type: if owned { 3 } else { 0 }, owner: 0, level: 0 })
    }
    fn phymem_page_wbinvd(&mut self, page_with_hkid: u64) -> Result<(), Status> {
        self.call("PHYMEM.PAGE.WBINVD")?;
        let page = page_with_hkid & ((1 << 46) - 1);
        assert_ne!(page, page_with_hkid, "WBINVD without a key");
        assert!(!self.owned.contains_key(&page), "WBINVD of a page that is not free");
        Ok(())
    }
}
