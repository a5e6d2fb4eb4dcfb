//! A vCPU's pages, and the switch between it and the VMM.

use core::mem::offset_of;

use abi::Regs;

use super::super::cpu;
use super::super::hardware::Hardware;
use super::super::in_place::InPlace;
use super::super::vmcb::{Vmcb, exception, int_control, misc1, misc2, tlb_control};
use super::super::world_switch::{self, Guest, Host};
use super::state::{self, TdState};
use crate::machine::{CpuMode, Machine, TDVPS_PAGES, TDVPS_VAPIC, TDVPS_VMCB, TDVPS_XSAVE, VcpuId};
use crate::tdvps::Tdvps;
use crate::virt::TdFeatures;
use crate::virt::apic::VapicPage;
use crate::virt::xcr;

/// ASID of the first slot of TD maps; the VMM has 1.
const FIRST_ASID: u32 = super::super::vmm::ASID + 1;

/// Physical addresses of the permission maps, and what a TD may execute natively.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Port permissions.
    pub ports: u64,
    /// MSR permissions.
    pub msrs: u64,
    /// Host TSC to guest TSC.
    pub tsc_offset: u64,
    /// MONITOR and MWAIT are native.
    pub has_monitor: bool,
}

/// A vCPU that is entered.
#[derive(Debug)]
pub(super) struct Vcpu {
    /// Its names.
    pub id: VcpuId,
    /// Its VMCB.
    pub vmcb: InPlace<Vmcb>,
    /// Its GPRs.
    pub gprs: InPlace<Regs>,
    /// What else the module keeps of it.
    pub state: InPlace<TdState>,
    /// Its virtual APIC.
    pub vapic: InPlace<VapicPage>,
    xsave: u64,
}

impl Vcpu {
    /// The vCPU `id`, which TDH.VP.ENTER has found ready: its pages are the TD's.
    #[expect(unsafe_code, reason = "names pages of the TD by address")]
    pub(super) fn new(hardware: &Hardware, id: VcpuId) -> Self {
        let mut pages = [0; TDVPS_PAGES];
        for (page, index) in pages.iter_mut().zip(0..) {
            let at = id.tdvpr + offset_of!(Tdvps, pages) as u64 + 8 * index;
            *page = Machine::read_u64(hardware, at);
        }
        Self {
            id,
            // SAFETY: a page of RAM that TDH.VP.ADDCX took from the VMM, so no guest maps
            // it; no reference is made to it but by this handle.
            vmcb: unsafe { InPlace::new(pages[TDVPS_VMCB]) },
            // SAFETY: the same for the TDVPR page; registers are its first field.
            gprs: unsafe { InPlace::new(id.tdvpr) },
            // SAFETY: the same; the upper half of the page is `svm`'s.
            state: unsafe { InPlace::new(state::address(id.tdvpr)) },
            // SAFETY: the same for this page.
            vapic: unsafe { InPlace::new(pages[TDVPS_VAPIC]) },
            xsave: pages[TDVPS_XSAVE],
        }
    }

    /// Loads what VMRUN does not switch, and sets the intercepts. [SVM B2]
    pub(super) fn enter(&mut self, policy: &Policy) {
        set_controls(self.vmcb.get(), policy);
        cpu::set_debug_registers(self.vmcb.get().control.saved_debug_registers);
        cpu::set_tsc_aux(self.state.get().tsc_aux);
    }

    /// Saves what VMRUN does not switch.
    pub(super) fn leave(&mut self) {
        self.vmcb.get().control.saved_debug_registers = cpu::debug_registers();
        self.state.get().tsc_aux = cpu::tsc_aux();
    }

    /// Runs the vCPU until its next exit.
    #[expect(unsafe_code, reason = "runs a guest")]
    pub(super) fn run(&mut self, host: &Host, hardware: &mut Hardware, features: &TdFeatures) {
        let (nested_cr3, slot) = hardware.td_root(self.id.tdr);
        let flush = hardware.take_tlb_is_stale() | hardware.is_another_vcpu(self.id);
        let control = &mut self.vmcb.get().control;
        control.nested_cr3 = nested_cr3;
        control.asid = FIRST_ASID + slot;
        control.tlb_control = if flush { tlb_control::FLUSH_ALL } else { tlb_control::NOTHING };
        control.clean = 0;
        let mut guest = Guest {
            vmcb: self.vmcb.address(),
            gprs: self.gprs.address(),
            xsave: self.xsave,
            xcr0: self.state.get().xcr0,
        };
        // SAFETY: pages of this vCPU (see `new`), unborrowed here; the TD's nested tables
        // hold its own pages and the VMM's; XCR0 is one that `is_valid_xcr0` accepts.
        unsafe { world_switch::run(host, &mut guest) };
        self.vmcb.get().control.event_injection = 0;
        // QEMU 7.2 does not intercept XSETBV; what XFAM forbids does not stay. [SVM B1.2]
        let allowed = guest.xcr0 & features.xcr0_mask();
        self.state.get().xcr0 = if xcr::is_valid_xcr0(allowed, features) { allowed } else { 1 };
    }

    /// The CPU at the exit.
    pub(super) fn mode(&mut self) -> CpuMode {
        let xcr0 = self.state.get().xcr0;
        let save = &self.vmcb.get().save;
        CpuMode {
            cpl: save.cpl,
            long64: save.is_long64(),
            cr0: save.cr0,
            cr4: save.cr4,
            xcr0,
            rflags: save.rflags,
        }
    }
}

/// Everything that [ABI-G 5] lists as sensitive exits; the rest is native.
fn set_controls(vmcb: &mut Vmcb, policy: &Policy) {
    let control = &mut vmcb.control;
    // CR0, CR4, CR8 writes; reads are native. [SVM B1.1, B1.3, B1.4]
    control.intercept_cr_read = 0;
    control.intercept_cr_write = 1 << 0 | 1 << 4 | 1 << 8;
    control.intercept_dr_read = 0;
    control.intercept_dr_write = 0;
    control.intercept_exceptions = exception::UD;
    control.intercept_misc1 = misc1::INTR
        | misc1::NMI
        | misc1::SMI
        | misc1::INIT
        | misc1::RDPMC
        | misc1::CPUID
        | misc1::RSM
        | misc1::INVD
        | misc1::HLT
        | misc1::INVLPGA
        | misc1::IOIO
        | misc1::MSR
        | misc1::TASK_SWITCH
        | misc1::SHUTDOWN;
    control.intercept_misc2 =
        misc2::VMRUN | misc2::VMMCALL | misc2::SVM_REST | misc2::WBINVD | misc2::XSETBV;
    if !policy.has_monitor {
        control.intercept_misc2 |= misc2::MONITOR | misc2::MWAIT;
    }
    control.iopm_base = policy.ports;
    control.msrpm_base = policy.msrs;
    control.tsc_offset = policy.tsc_offset;
    control.nested_paging = 1;
    control.int_control |= int_control::V_INTR_MASKING;
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn a_td_never_runs_without_the_intercepts_that_hold_it() {
        let policy = Policy { ports: 0x1000, msrs: 0x2000, tsc_offset: 3, has_monitor: true };
        let mut vmcb = Vmcb::new_zeroed();
        set_controls(&mut vmcb, &policy);
        let control = &vmcb.control;
        assert_eq!(control.intercept_cr_write, 0x111);
        assert_eq!(control.intercept_misc2, 0x227F);
        assert_eq!(control.int_control, 1 << 24);
        set_controls(&mut vmcb, &Policy { has_monitor: false, ..policy });
        assert_eq!(vmcb.control.intercept_misc2, 0x2E7F);
    }
}
