//! [`Machine`] over the real one: identity-mapped RAM, the VMM's map, the TDs' maps.

use core::mem::offset_of;

use super::cpu;
use super::log;
use super::memory::Memory;
use super::pool::{Pool, PoolEmpty};
use super::ram::{Identity, Ram};
use super::td::{self, Page, TdMaps};
use super::vmcb::{Save, Vmcb};
use super::vmm_map::{View, VmmMap};
use crate::hpa::without_hkid;
use crate::machine::{Machine, TDVPS_PAGES, VcpuId};
use crate::td::Td;

/// Everything below the guests.
#[derive(Debug)]
pub(super) struct Hardware {
    identity: Identity,
    ram: Ram,
    pool: Pool,
    vmm: VmmMap,
    tds: TdMaps,
    seed: u64,
    tlb_is_stale: bool,
    last_vcpu: Option<VcpuId>,
}

impl Hardware {
    /// Builds the VMM's map with the module's `own` range hidden.
    pub(super) fn new(
        mut identity: Identity,
        ram: Ram,
        mut pool: Pool,
        own: (u64, u64),
    ) -> Result<Self, PoolEmpty> {
        let vmm = VmmMap::new(&mut identity, &mut pool)?;
        vmm.hide(&mut identity, &mut pool, own.0, own.1 - own.0)?;
        let tds = TdMaps::new();
        // Runs are reproducible: the seed is a constant until something asks for another.
        let seed = 0x7464_6C65_7401_0001;
        Ok(Self { identity, ram, pool, vmm, tds, seed, tlb_is_stale: true, last_vcpu: None })
    }

    /// Makes `random` start elsewhere.
    pub(super) fn seed(&mut self, seed: Option<u64>) {
        self.seed = seed.unwrap_or(self.seed);
    }

    /// N_CR3 of the VMM.
    #[must_use]
    pub(super) const fn vmm_root(&self) -> u64 {
        self.vmm.root()
    }

    /// N_CR3 of the TD that `tdr` names, and a small number for its ASID.
    pub(super) fn td_root(&mut self, tdr: u64) -> (u64, u32) {
        // A tree that is made now may take the ASID of one that is gone.
        self.tlb_is_stale |= !self.tds.has(tdr);
        self.tds
            .root(&mut self.identity, &mut self.pool, tdr)
            .or_else(|PoolEmpty| {
                self.forget_tds();
                self.tds.root(&mut self.identity, &mut self.pool, tdr)
            })
            .unwrap_or_else(|PoolEmpty| out_of_pages())
    }

    /// Maps a page that [`crate::Module::translate`] found.
    pub(super) fn map_for_td(&mut self, tdr: u64, page: Page) {
        if self.tds.map(&mut self.identity, &mut self.pool, tdr, page).is_err() {
            out_of_pages();
        }
    }

    /// Where the TD's map leads for `gpa`, if it was filled.
    #[must_use]
    pub(super) fn find_for_td(&self, tdr: u64, gpa: u64) -> Option<u64> {
        self.tds.find(&self.identity, tdr, gpa)
    }

    /// A nested page fault of the VMM at `gpa`.
    pub(super) fn vmm_touched(&mut self, gpa: u64) -> View {
        let (identity, pool) = (&mut self.identity, &mut self.pool);
        self.vmm.touch(identity, pool, gpa).unwrap_or_else(|PoolEmpty| out_of_pages())
    }

    /// Whether a nested translation was taken away since the last call.
    pub(super) fn take_tlb_is_stale(&mut self) -> bool {
        core::mem::take(&mut self.tlb_is_stale)
    }

    /// Ends every cached translation of every guest.
    pub(super) const fn flush_tlb(&mut self) {
        self.tlb_is_stale = true;
    }

    /// INVEPT: ends the cached translations of the shared half of the TDs with this EPTP, or of all
    /// TDs. What the module caches of the private half is never stale.
    pub(super) fn invept(&mut self, eptp: Option<u64>) {
        const PAGE: u64 = 0xFFF;
        let page = |eptp| without_hkid(eptp & !PAGE);
        for tdr in self.tds.tdrs().into_iter().flatten() {
            if eptp.is_none_or(|eptp| page(eptp) == page(Td::load(self, tdr).tdcs.eptp)) {
                self.tds.drop_shared(&mut self.identity, &mut self.pool, tdr);
            }
        }
        self.tlb_is_stale = true;
    }

    /// Whether another vCPU ran last. One ASID serves all vCPUs of a TD.
    pub(super) fn is_another_vcpu(&mut self, vcpu: VcpuId) -> bool {
        self.last_vcpu.replace(vcpu) != Some(vcpu)
    }

    /// Whether the last vCPU that ran is the TD's.
    #[must_use]
    pub(super) fn has_run(&self, tdr: u64) -> bool {
        self.last_vcpu.is_some_and(|vcpu| vcpu.tdr == tdr)
    }

    fn forget_tds(&mut self) {
        self.tds.drop_all(&mut self.identity, &mut self.pool);
        self.tlb_is_stale = true;
    }

    fn change_vmm_view(&mut self, hpa: u64, len: u64, show: bool) {
        self.tlb_is_stale = true;
        for attempt in 0..2 {
            let (identity, pool) = (&mut self.identity, &mut self.pool);
            let change = if show { VmmMap::show } else { VmmMap::hide };
            match change(&self.vmm, identity, pool, hpa, len) {
                Ok(()) => return,
                Err(PoolEmpty) if attempt == 0 => self.forget_tds(),
                Err(PoolEmpty) => out_of_pages(),
            }
        }
    }
}

/// The pool holds a table for every 2 MiB of RAM, so this is the module's own bug.
fn out_of_pages() -> ! {
    log::die(format_args!("no page left for nested page tables"));
}

impl Machine for Hardware {
    fn read(&self, hpa: u64, buf: &mut [u8]) {
        if self.ram.holds(hpa, buf.len() as u64) {
            self.identity.read(hpa, buf);
        } else {
            buf.fill(0);
        }
    }

    fn write(&mut self, hpa: u64, bytes: &[u8]) {
        if self.ram.holds(hpa, bytes.len() as u64) {
            self.identity.write(hpa, bytes);
        }
    }

    // A walk reads and writes single entries: no copy by string instructions for them.
    fn read_u64(&self, hpa: u64) -> u64 {
        if self.ram.holds(hpa, 8) { self.identity.read_u64(hpa) } else { 0 }
    }

    fn write_u64(&mut self, hpa: u64, value: u64) {
        if self.ram.holds(hpa, 8) {
            self.identity.write_u64(hpa, value);
        }
    }

    fn zero(&mut self, hpa: u64, len: u64) {
        if self.ram.holds(hpa, len) {
            self.identity.zero(hpa, len);
        }
    }

    fn hide_from_vmm(&mut self, hpa: u64, len: u64) {
        self.change_vmm_view(hpa, len, false);
        self.tds.forget_shared(&mut self.identity, &mut self.pool, hpa, len);
    }

    fn show_to_vmm(&mut self, hpa: u64, len: u64) {
        self.change_vmm_view(hpa, len, true);
    }

    fn flush_td(&mut self, tdr: u64) {
        self.tds.drop_td(&mut self.identity, &mut self.pool, tdr);
        self.tlb_is_stale = true;
    }

    fn reset_vcpu(&mut self, pages: &[u64; TDVPS_PAGES]) {
        td::reset(self, pages);
    }

    fn guest_rip(&self, vmcb: u64) -> u64 {
        const RIP: u64 = (offset_of!(Vmcb, save) + offset_of!(Save, rip)) as u64;
        self.read_u64(vmcb + RIP)
    }

    fn vmm_msr(&self, index: u32) -> u64 {
        cpu::vmm_msr(index)
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn tsc(&self) -> u64 {
        cpu::tsc()
    }
}
