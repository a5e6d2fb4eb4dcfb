//! The VMM's context: a guest that sees the machine as it is, less SVM, less the
//! memory of the module and the TDs, plus SEAMCALL.

use abi::Regs;
use zerocopy::FromZeros;

use super::cpu;
use super::in_place::InPlace;
use super::pages::{Pages, XsaveArea};
use super::vmcb::{Segment, Vmcb, cr0, efer, exception, misc1, misc2, rflags, tlb_control};
use super::vmx::{self, Platform, Vmx};
use super::world_switch::{self, Guest, Host};
use crate::machine::HostRegs;

const MSR_KEYID_PARTITIONING: u32 = 0x87;
const MSR_EFER: u32 = 0xC000_0080;
const MSR_VM_CR: u32 = 0xC001_0114;
const MSR_VM_HSAVE_PA: u32 = 0xC001_0117;

/// MSRs of the VMM that exit.
const INTERCEPTED_MSRS: [u32; 4] = [MSR_KEYID_PARTITIONING, MSR_EFER, MSR_VM_CR, MSR_VM_HSAVE_PA];
/// MSRs that a TD reads without an exit: native in [ABI-G 8], and switched with the
/// VMCB. FS_BASE, GS_BASE and KERNEL_GS_BASE. Writes exit: QEMU lets a non-canonical
/// value through. [SVM B1.17]
const TD_NATIVE_READS: [u32; 3] = [0xC000_0100, 0xC000_0101, 0xC000_0102];
/// ASID of the VMM; TDs follow.
pub(super) const ASID: u32 = 1;

/// The VMM.
#[derive(Debug)]
pub(super) struct Vmm {
    /// Its VMCB.
    pub vmcb: InPlace<Vmcb>,
    /// Its GPRs.
    pub gprs: InPlace<Regs>,
    /// Its FP state.
    pub xsave: InPlace<XsaveArea>,
    /// Its XCR0.
    pub xcr0: u64,
    /// Its VMX operation.
    pub vmx: Vmx,
    /// Physical address of the TDs' port permissions.
    pub td_ports: u64,
    /// Physical address of the TDs' MSR permissions.
    pub td_msrs: u64,
    /// A machine check was injected: the VMM touched what is not its own.
    pub was_stopped: bool,
}

impl Vmm {
    /// The VMM in the PVH start state: 32-bit, flat, paging off, EBX = `start_info`.
    #[expect(unsafe_code, reason = "names static pages by address")]
    pub(super) fn new(
        pages: &'static mut Pages,
        entry: u32,
        start_info: u64,
        platform: Platform,
    ) -> Self {
        reset(&mut pages.vmm_vmcb, entry);
        pages.vmm_gprs = Regs { rbx: start_info, ..Regs::default() };
        pages.vmm_xsave.reset();
        for msr in INTERCEPTED_MSRS.into_iter().chain(vmx::MSRS.into_iter().flatten()) {
            pages.vmm_msrs.intercept(msr);
        }
        pages.vmm_vmcb.control.msrpm_base = address_of(&pages.vmm_msrs);
        pages.td_ports.0.fill(0xFF);
        pages.td_msrs.0.fill(0xFF);
        for msr in TD_NATIVE_READS {
            pages.td_msrs.allow_reads(msr);
        }
        Self {
            // SAFETY: static, aligned, and from here on reached by this handle alone.
            vmcb: unsafe { InPlace::new(address_of(&pages.vmm_vmcb)) },
            // SAFETY: as above.
            gprs: unsafe { InPlace::new(address_of(&pages.vmm_gprs)) },
            // SAFETY: as above.
            xsave: unsafe { InPlace::new(address_of(&pages.vmm_xsave)) },
            xcr0: 1,
            vmx: Vmx::new(platform, cpu::vmxon_is_undefined()),
            td_ports: address_of(&pages.td_ports),
            td_msrs: address_of(&pages.td_msrs),
            was_stopped: false,
        }
    }

    /// Runs the VMM until its next exit.
    #[expect(unsafe_code, reason = "runs a guest")]
    pub(super) fn run(&mut self, host: &Host, nested_cr3: u64, flush: bool) {
        let control = &mut self.vmcb.get().control;
        control.nested_cr3 = nested_cr3;
        control.tlb_control = if flush { tlb_control::FLUSH_ALL } else { tlb_control::NOTHING };
        let mut guest = Guest {
            vmcb: self.vmcb.address(),
            gprs: self.gprs.address(),
            xsave: self.xsave.address(),
            xcr0: self.xcr0,
        };
        // SAFETY: the three are the static pages of `new`, unborrowed here; the nested
        // tables hide the module; XCR0 is what the guest's XSETBV last made it.
        unsafe { world_switch::run(host, &mut guest) };
        self.xcr0 = guest.xcr0;
    }

    /// Its registers, for a SEAMCALL.
    pub(super) fn registers(&mut self) -> HostRegs<'_> {
        self.xsave.get().xstate_bv |= super::pages::XSTATE_SSE;
        HostRegs { gpr: self.gprs.get(), xmm: &mut self.xsave.get().xmm }
    }

    /// What a TD exit leaves behind beside GPRs and XMM. [ABI-H 5.10]
    pub(super) fn after_td_exit(&mut self, xfam_user: u64) {
        let xmm = self.xsave.get().xmm;
        self.xsave.get().reset();
        self.xsave.get().xmm = xmm;
        self.xsave.get().xstate_bv = super::pages::XSTATE_SSE;
        self.xcr0 = xfam_user;
        let save = &mut self.vmcb.get().save;
        (save.star, save.lstar, save.kernel_gs_base, save.cr2) = (0, 0, 0, 0);
        (save.sfmask, save.dr6, save.dr7) = (0x2_0200, 0xFFFF_0FF0, 0x400);
        cpu::set_debug_registers([0; 4]);
        cpu::set_tsc_aux(0);
    }
}

fn address_of<T>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

/// The PVH start state, and the intercepts. Physical interrupts are not among them:
/// they are the VMM's. INIT and SMI are: the CPU takes both below the nested tables.
fn reset(vmcb: &mut Vmcb, entry: u32) {
    const CODE_32: u16 = 0xC9B;
    const DATA_32: u16 = 0xC93;
    const BUSY_TSS_32: u16 = 0x8B;
    vmcb.zero();
    let control = &mut vmcb.control;
    control.intercept_exceptions = exception::UD;
    control.intercept_misc1 =
        misc1::SMI | misc1::INIT | misc1::CPUID | misc1::INVLPGA | misc1::MSR | misc1::SHUTDOWN;
    control.intercept_misc2 = misc2::VMRUN | misc2::VMMCALL | misc2::SVM_REST;
    control.intercept_cr_write = 1 << 4;
    control.asid = ASID;
    control.nested_paging = 1;
    let save = &mut vmcb.save;
    let data = Segment { selector: 0x18, ..Segment::flat(DATA_32, u32::MAX) };
    save.cs = Segment { selector: 0x10, ..Segment::flat(CODE_32, u32::MAX) };
    (save.ds, save.es, save.ss, save.fs, save.gs) = (data, data, data, data, data);
    save.tr = Segment::flat(BUSY_TSS_32, 0x67);
    save.ldtr = Segment::flat(0x82, 0);
    save.cr0 = cr0::PE | cr0::ET;
    save.efer = efer::SVME;
    save.rip = u64::from(entry);
    save.rflags = rflags::RESERVED_1;
    (save.dr6, save.dr7) = (0xFFFF_0FF0, 0x400);
    save.g_pat = 0x0007_0406_0007_0406;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_the_nested_tables_is_intercepted() {
        let mut vmcb = Vmcb::new_zeroed();
        reset(&mut vmcb, 0x100);
        let leaves = misc1::INIT | misc1::SMI;
        assert_eq!(vmcb.control.intercept_misc1 & leaves, leaves);
    }
}
