//! A VMM and a TD for the tests: SEAMCALL and TDCALL by name, and a built TD.

use abi::leaf::{tdg, tdh};
use abi::td_params::{EPTP_4_LEVELS, EPTP_5_LEVELS, TdParams};
use abi::tdmr::{ReservedArea, TdmrInfo};
use abi::{Regs, Status};
use zerocopy::{FromZeros, IntoBytes};

use super::fake::{Fake, PAGE};
use crate::machine::{AfterSeamcall, CpuMode, HostRegs, Machine, Outcome, TdExit, VcpuId};
use crate::module::{Module, ModuleConfig};
use crate::pamt::PageType;
use crate::sept::{Entry, SeptState};
use crate::td::Td;
use crate::td::tdcs::SEPT_ROOT;
use crate::td::tdr::Lifecycle;
use crate::tdmr::Tdmr;
use crate::tdvps::Tdvps;
use crate::xmm::Xmm;

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const SEAMRR: (u64, u64) = (0x10_0000, 0x1F0_0000);
/// RAM that may become a TD's: 32 MiB to 256 MiB, the PAMT at its start.
pub(crate) const RAM: (u64, u64) = (0x200_0000, 0xE00_0000);
/// First page that the VMM gives away.
pub(crate) const POOL: u64 = 0x300_0000;
/// A page of the VMM's for operands.
pub(crate) const BUFFER: u64 = 0x8000;
/// A page of the VMM's that nobody writes.
pub(crate) const ZEROS: u64 = 0xF000;
pub(crate) const GLOBAL_HKID: u64 = 32;
pub(crate) const HKID: u64 = 33;
pub(crate) const SIGNATURE: u32 = 0x000A_06F1;

/// Code in 64-bit mode at CPL 0.
pub(crate) const KERNEL: CpuMode =
    CpuMode { cpl: 0, long64: true, cr0: 0x8000_0031, cr4: 0x60, xcr0: 3, rflags: 2 };

#[derive(Clone)]
pub(crate) struct Host {
    pub module: Module,
    pub m: Fake,
    pub xmm: Xmm,
    next_page: u64,
    pub tdr: u64,
    pub tdvpr: u64,
}

/// How the test's TD differs from the default.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub attributes: u64,
    pub config_flags: u64,
    pub five_levels: bool,
}

impl Default for Shape {
    fn default() -> Self {
        // As KVM: SEPT_VE_DISABLE, NO_RBP_MOD.
        Self { attributes: 1 << 28, config_flags: 4, five_levels: false }
    }
}

pub(crate) fn ok(regs: &Regs) {
    assert_eq!(Status(regs.rax), Status::SUCCESS, "{regs:x?}");
}

impl Host {
    /// A module that no call has reached.
    pub(crate) fn power_on() -> Self {
        let mut config = ModuleConfig {
            seamrr: SEAMRR,
            processor_signature: SIGNATURE,
            xfam: 7,
            ..ModuleConfig::default()
        };
        config.cmrs[0] = RAM;
        Self {
            module: Module::new(config),
            m: Fake::default(),
            xmm: [[0; 16]; 16],
            next_page: POOL,
            tdr: 0,
            tdvpr: 0,
        }
    }

    pub(crate) fn call(&mut self, leaf: u64, change: impl FnOnce(&mut Regs)) -> Regs {
        let mut regs = Regs { rax: leaf, ..Regs::default() };
        change(&mut regs);
        let after = self.seamcall(&mut regs);
        assert_eq!(after, AfterSeamcall::Return);
        regs
    }

    pub(crate) fn seamcall(&mut self, regs: &mut Regs) -> AfterSeamcall {
        let host = HostRegs { gpr: regs, xmm: &mut self.xmm };
        self.module.seamcall(&mut self.m, host)
    }

    /// A call with RCX, RDX, R8, R9 that must succeed.
    pub(crate) fn must(&mut self, leaf: u64, [rcx, rdx, r8, r9]: [u64; 4]) -> Regs {
        let regs = self.call(leaf, |regs| {
            (regs.rcx, regs.rdx, regs.r8, regs.r9) = (rcx, rdx, r8, r9);
        });
        ok(&regs);
        regs
    }

    /// A call with RCX, RDX, R8, R9 and its status.
    pub(crate) fn status(&mut self, leaf: u64, [rcx, rdx, r8, r9]: [u64; 4]) -> Status {
        let regs = self.call(leaf, |regs| {
            (regs.rcx, regs.rdx, regs.r8, regs.r9) = (rcx, rdx, r8, r9);
        });
        Status(regs.rax)
    }

    pub(crate) fn fresh_page(&mut self) -> u64 {
        self.next_page += PAGE;
        self.next_page - PAGE
    }

    /// A fresh range of 2 MiB.
    pub(crate) fn fresh_large_page(&mut self) -> u64 {
        let page = self.next_page.next_multiple_of(PAGE << 9);
        self.next_page = page + (PAGE << 9);
        page
    }

    pub(crate) fn tdmr() -> TdmrInfo {
        let mut info = TdmrInfo::new_zeroed();
        info.size = GIB;
        (info.pamt_4k_base, info.pamt_4k_size) = (RAM.0, 0x40_0000);
        (info.pamt_2m_base, info.pamt_2m_size) = (RAM.0 + 0x40_0000, 0x2000);
        (info.pamt_1g_base, info.pamt_1g_size) = (RAM.0 + 0x40_2000, 0x1000);
        let hole_end = RAM.0 + 0x40_3000;
        let ram_end = RAM.0 + RAM.1;
        info.reserved[0] = ReservedArea { offset: 0, size: hole_end };
        info.reserved[1] = ReservedArea { offset: ram_end, size: GIB - ram_end };
        info
    }

    /// The system up to READY.
    pub(crate) fn ready() -> Self {
        let mut host = Self::power_on();
        host.must(tdh::SYS_INIT, [0; 4]);
        host.must(tdh::SYS_LP_INIT, [0; 4]);
        host.m.vmm_write(BUFFER, &(BUFFER + 512).to_le_bytes());
        host.m.vmm_write(BUFFER + 512, Self::tdmr().as_bytes());
        host.must(tdh::SYS_CONFIG, [BUFFER, 1, GLOBAL_HKID, 0]);
        host.must(tdh::SYS_KEY_CONFIG, [0; 4]);
        for _ in 0..GIB / (1024 * PAGE) {
            host.must(tdh::SYS_TDMR_INIT, [0; 4]);
        }
        host
    }

    pub(crate) fn params(shape: Shape) -> TdParams {
        let mut params = TdParams::new_zeroed();
        params.attributes = shape.attributes;
        params.xfam = 3;
        params.max_vcpus = 1;
        params.eptp_controls = if shape.five_levels { EPTP_5_LEVELS } else { EPTP_4_LEVELS };
        params.config_flags = shape.config_flags;
        params.tsc_frequency_25mhz = 100;
        params
    }

    /// A TD with keys and TDCS pages, before MNG.INIT.
    pub(crate) fn with_tdcs() -> Self {
        let mut host = Self::ready();
        host.tdr = host.fresh_page();
        let tdr = host.tdr;
        host.must(tdh::MNG_CREATE, [tdr, HKID, 0, 0]);
        host.must(tdh::MNG_KEY_CONFIG, [tdr, 0, 0, 0]);
        for _ in 0..6 {
            let page = host.fresh_page();
            host.must(tdh::MNG_ADDCX, [page, tdr, 0, 0]);
        }
        host
    }

    /// A TD after MNG.INIT.
    pub(crate) fn initialized(shape: Shape) -> Self {
        let mut host = Self::with_tdcs();
        host.m.vmm_write(BUFFER, Self::params(shape).as_bytes());
        let tdr = host.tdr;
        host.must(tdh::MNG_INIT, [tdr, BUFFER, 0, 0]);
        host
    }

    /// A TD with a vCPU and secure EPT pages for `[0, 2 MiB)`.
    pub(crate) fn built(shape: Shape) -> Self {
        let mut host = Self::initialized(shape);
        let tdr = host.tdr;
        host.tdvpr = host.fresh_page();
        let tdvpr = host.tdvpr;
        host.must(tdh::VP_CREATE, [tdvpr, tdr, 0, 0]);
        for _ in 0..5 {
            let page = host.fresh_page();
            host.must(tdh::VP_ADDCX, [page, tdvpr, 0, 0]);
        }
        host.must(tdh::VP_INIT, [tdvpr, 0x1234_5678, 0, 0]);
        let top = if shape.five_levels { 4 } else { 3 };
        for level in (1..=top).rev() {
            let page = host.fresh_page();
            host.must(tdh::MEM_SEPT_ADD, [level, tdr, page, 0]);
        }
        host
    }

    /// As [`Self::built`], with one measured page at GPA 0, and finalized.
    pub(crate) fn runnable(shape: Shape) -> Self {
        let mut host = Self::built(shape);
        let (tdr, page) = (host.tdr, host.fresh_page());
        host.must(tdh::MEM_PAGE_ADD, [0, tdr, page, ZEROS]);
        host.must(tdh::MR_FINALIZE, [tdr, 0, 0, 0]);
        host
    }

    fn td_can_run(&self) -> bool {
        let root = self.module.pamt_walk(&self.m, self.tdr);
        let is_td = root.is_some_and(|slot| slot.page_type() == PageType::TDR);
        let td = Td::load(&self.m, self.tdr);
        is_td && td.tdr.num_tdcx >= 6 && td.tdr.lifecycle() == Lifecycle::KeysConfigured
    }

    /// Every page that a table of the secure EPT leads to is this TD's.
    fn assert_table(&self, table: u64, level: u8) {
        for at in (table..table + PAGE).step_by(8) {
            let entry = Entry(self.m.read_u64(at));
            let page = entry.page();
            if entry.state() == SeptState::Free {
                continue;
            }
            let slot = self.module.pamt_walk(&self.m, page).expect("in a TDMR");
            assert!(self.m.hidden.contains(&page), "the VMM and the TD reach {page:#x}");
            assert_eq!(slot.owner(), self.tdr, "page {page:#x} in the secure EPT");
            let is_leaf = entry.state().is_leaf();
            assert_eq!(slot.page_type(), if is_leaf { PageType::REG } else { PageType::EPT });
            assert_eq!(slot.level, if is_leaf { level } else { 0 });
            if !is_leaf {
                self.assert_table(page, level - 1);
            }
        }
    }

    pub(crate) fn vcpu(&self) -> VcpuId {
        VcpuId { tdvpr: self.tdvpr, tdr: self.tdr }
    }

    /// VP.ENTER that must be accepted; the VMM's registers as given, but for RAX, RCX.
    pub(crate) fn enter(&mut self, mut regs: Regs) {
        regs.rax = tdh::VP_ENTER;
        regs.rcx = self.tdvpr;
        let after = self.seamcall(&mut regs);
        assert_eq!(after, AfterSeamcall::EnterTd(self.vcpu()), "{:?}", Status(regs.rax));
    }

    /// What the VMM's registers are after the exit, if they were `before`.
    pub(crate) fn exit(&mut self, exit: TdExit, before: Regs) -> Regs {
        let mut regs = before;
        let v = self.vcpu();
        let host = HostRegs { gpr: &mut regs, xmm: &mut self.xmm };
        self.module.td_exit(&mut self.m, v, exit, host);
        regs
    }

    pub(crate) fn gprs(&self) -> Regs {
        Tdvps::load_gprs(&self.m, self.tdvpr)
    }

    /// A TDCALL with the guest's registers changed first.
    pub(crate) fn tdcall(&mut self, leaf: u64, change: impl FnOnce(&mut Regs)) -> Outcome {
        let mut regs = self.gprs();
        change(&mut regs);
        regs.rax = leaf;
        Tdvps::store_gprs(&mut self.m, self.tdvpr, &regs);
        let v = self.vcpu();
        self.module.tdcall(&mut self.m, v, &KERNEL)
    }

    /// A TDCALL that must complete; the guest's registers after it.
    pub(crate) fn done(&mut self, leaf: u64, change: impl FnOnce(&mut Regs)) -> Regs {
        assert_eq!(self.tdcall(leaf, change), Outcome::Done);
        self.gprs()
    }

    pub(crate) fn accept(&mut self, operand: u64) -> Outcome {
        self.tdcall(tdg::MEM_PAGE_ACCEPT, |regs| regs.rcx = operand)
    }

    /// The VMM can reach exactly the memory that nobody owns, and none that the TD
    /// can reach.
    pub(crate) fn assert_ownership(&self) {
        if self.td_can_run() {
            let td = Td::load(&self.m, self.tdr);
            self.assert_table(td.tdr.tdcx_pa[SEPT_ROOT], td.tdcs.root_level());
        }
        let mut owned = 0;
        for (base, size) in self.module.tdmrs().iter().flat_map(Tdmr::pamts) {
            for page in (base..base + size).step_by(PAGE as usize) {
                assert!(self.m.hidden.contains(&page), "PAMT page {page:#x} is the VMM's");
                owned += 1;
            }
        }
        // The tests give away pages from the first 32 MiB of the pool, and chance any page.
        let pool = POOL..POOL + (32 << 20);
        for page in self.m.hidden.iter().filter(|page| !pool.contains(page)) {
            let slot = self.module.pamt_walk(&self.m, *page);
            owned += usize::from(slot.is_some_and(|slot| slot.page_type().is_owned()));
        }
        for page in pool.step_by(PAGE as usize) {
            let Some(slot) = self.module.pamt_walk(&self.m, page) else { continue };
            let is_hidden = self.m.hidden.contains(&page);
            assert_eq!(is_hidden, slot.page_type().is_owned(), "page {page:#x}");
            owned += usize::from(slot.page_type() != PageType::NDA);
        }
        assert_eq!(owned, self.m.hidden.len(), "a page that no table names is hidden");
    }
}
