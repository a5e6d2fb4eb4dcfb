//! The virtual machine control block. [APM2 appendix B]
//!
//! Layout only: who sets which bit is decided in `vmm_context` and `td_context`.
//! Bytes from 0x698 to the end of the page are reserved; the processor neither
//! reads nor writes 0x3E0-0x3FF, where the TD's DR0-3 live while it is out.

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A segment register as the VMCB holds it.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub(super) struct Segment {
    /// Selector.
    pub selector: u16,
    /// Descriptor bits 55:52 and 47:40 in 11:8 and 7:0.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

impl Segment {
    /// CS.L: 64-bit code.
    pub(super) const LONG: u16 = 1 << 9;
    /// CS.D, SS.B: 32-bit.
    pub(super) const DEFAULT_32: u16 = 1 << 10;

    /// A segment with these attributes, selector 0, base 0.
    #[must_use]
    pub(super) const fn flat(attributes: u16, limit: u32) -> Self {
        Self { selector: 0, attributes, limit, base: 0 }
    }
}

/// The control area, 0x000-0x3FF.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(clippy::struct_field_names, reason = "the fields are the manual's")]
pub(super) struct Control {
    pub intercept_cr_read: u16,
    pub intercept_cr_write: u16,
    pub intercept_dr_read: u16,
    pub intercept_dr_write: u16,
    pub intercept_exceptions: u32,
    pub intercept_misc1: u32,
    pub intercept_misc2: u32,
    pub intercept_misc3: u32,
    _rsvd_018: [u8; 0x28],
    pub iopm_base: u64,
    pub msrpm_base: u64,
    pub tsc_offset: u64,
    pub asid: u32,
    pub tlb_control: u32,
    pub int_control: u32,
    pub int_vector: u32,
    pub interrupt_shadow: u64,
    pub exit_code: u64,
    pub exit_info1: u64,
    pub exit_info2: u64,
    pub exit_int_info: u64,
    pub nested_paging: u64,
    _rsvd_098: [u8; 0x10],
    pub event_injection: u64,
    pub nested_cr3: u64,
    pub lbr_virtualization: u64,
    pub clean: u32,
    _rsvd_0c4: u32,
    pub next_rip: u64,
    _rsvd_0d0: [u8; 0x310],
    /// Reserved for host use: DR0-3 of a TD vCPU that is not running.
    pub saved_debug_registers: [u64; 4],
}

/// The state save area, 0x400-0xFFF.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Save {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
    _rsvd_4a0: [u8; 0x2B],
    pub cpl: u8,
    _rsvd_4cc: u32,
    pub efer: u64,
    _rsvd_4d8: [u8; 0x70],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    _rsvd_580: [u8; 0x58],
    pub rsp: u64,
    _rsvd_5e0: [u8; 0x18],
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    _rsvd_648: [u8; 0x20],
    pub g_pat: u64,
    pub debugctl: u64,
    _rsvd_678: [u8; 0x988],
}

/// A VMCB: one page.
#[repr(C, align(4096))]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Vmcb {
    /// What the VMM of the guest controls.
    pub control: Control,
    /// The guest's state.
    pub save: Save,
}

const _: () = {
    assert!(size_of::<Control>() == 0x400);
    assert!(size_of::<Vmcb>() == 0x1000);
    assert!(offset_of!(Control, iopm_base) == 0x40);
    assert!(offset_of!(Control, asid) == 0x58);
    assert!(offset_of!(Control, tlb_control) == 0x5C);
    assert!(offset_of!(Control, int_control) == 0x60);
    assert!(offset_of!(Control, interrupt_shadow) == 0x68);
    assert!(offset_of!(Control, exit_code) == 0x70);
    assert!(offset_of!(Control, exit_int_info) == 0x88);
    assert!(offset_of!(Control, nested_paging) == 0x90);
    assert!(offset_of!(Control, event_injection) == 0xA8);
    assert!(offset_of!(Control, nested_cr3) == 0xB0);
    assert!(offset_of!(Control, clean) == 0xC0);
    assert!(offset_of!(Control, next_rip) == 0xC8);
    assert!(offset_of!(Control, saved_debug_registers) == 0x3E0);
    assert!(offset_of!(Vmcb, save) == 0x400);
    assert!(offset_of!(Save, tr) == 0x90);
    assert!(offset_of!(Save, cpl) == 0xCB);
    assert!(offset_of!(Save, efer) == 0xD0);
    assert!(offset_of!(Save, cr4) == 0x148);
    assert!(offset_of!(Save, rip) == 0x178);
    assert!(offset_of!(Save, rsp) == 0x1D8);
    assert!(offset_of!(Save, rax) == 0x1F8);
    assert!(offset_of!(Save, cr2) == 0x240);
    assert!(offset_of!(Save, g_pat) == 0x268);
};

/// `intercept_exceptions`, one bit a vector.
pub(super) mod exception {
    /// #UD.
    pub(crate) const UD: u32 = 1 << 6;
}

/// `intercept_misc1` at 0x00C.
pub(super) mod misc1 {
    /// A physical interrupt.
    pub(crate) const INTR: u32 = 1 << 0;
    /// A non-maskable interrupt.
    pub(crate) const NMI: u32 = 1 << 1;
    /// A system-management interrupt.
    pub(crate) const SMI: u32 = 1 << 2;
    /// INIT.
    pub(crate) const INIT: u32 = 1 << 3;
    /// The window for a virtual interrupt is open.
    pub(crate) const VINTR: u32 = 1 << 4;
    /// RDPMC.
    pub(crate) const RDPMC: u32 = 1 << 15;
    /// CPUID.
    pub(crate) const CPUID: u32 = 1 << 18;
    /// RSM.
    pub(crate) const RSM: u32 = 1 << 19;
    /// IRET.
    pub(crate) const IRET: u32 = 1 << 20;
    /// INVD.
    pub(crate) const INVD: u32 = 1 << 22;
    /// HLT.
    pub(crate) const HLT: u32 = 1 << 24;
    /// INVLPGA.
    pub(crate) const INVLPGA: u32 = 1 << 26;
    /// Port I/O by the permission map.
    pub(crate) const IOIO: u32 = 1 << 27;
    /// RDMSR and WRMSR by the permission map.
    pub(crate) const MSR: u32 = 1 << 28;
    /// Task switches.
    pub(crate) const TASK_SWITCH: u32 = 1 << 29;
    /// Triple fault.
    pub(crate) const SHUTDOWN: u32 = 1 << 31;
}

/// `intercept_misc2` at 0x010.
pub(super) mod misc2 {
    /// VMRUN; must be set.
    pub(crate) const VMRUN: u32 = 1 << 0;
    /// VMMCALL.
    pub(crate) const VMMCALL: u32 = 1 << 1;
    /// VMLOAD, VMSAVE, STGI, CLGI, SKINIT.
    pub(crate) const SVM_REST: u32 = 0b111_1100;
    /// WBINVD and WBNOINVD.
    pub(crate) const WBINVD: u32 = 1 << 9;
    /// MONITOR.
    pub(crate) const MONITOR: u32 = 1 << 10;
    /// MWAIT.
    pub(crate) const MWAIT: u32 = 1 << 11;
    /// XSETBV.
    pub(crate) const XSETBV: u32 = 1 << 13;
}

/// `int_control` at 0x060.
pub(super) mod int_control {
    /// The virtual task priority, bits 7:0.
    pub(crate) const V_TPR: u32 = 0xFF;
    /// A virtual interrupt is pending.
    pub(crate) const V_IRQ: u32 = 1 << 8;
    /// Priority of the virtual interrupt: the highest.
    pub(crate) const V_PRIORITY_MAX: u32 = 0xF << 16;
    /// The task priority does not mask it.
    pub(crate) const V_IGNORE_TPR: u32 = 1 << 20;
    /// RFLAGS.IF of the guest masks virtual interrupts only.
    pub(crate) const V_INTR_MASKING: u32 = 1 << 24;
}

/// `tlb_control` at 0x05C.
pub(super) mod tlb_control {
    /// Keep the TLB.
    pub(crate) const NOTHING: u32 = 0;
    /// Drop every entry of every ASID.
    pub(crate) const FLUSH_ALL: u32 = 1;
}

/// CR0.
pub(super) mod cr0 {
    /// Protection enabled.
    pub(crate) const PE: u64 = 1 << 0;
    /// Extension type.
    pub(crate) const ET: u64 = 1 << 4;
    /// Numeric error.
    pub(crate) const NE: u64 = 1 << 5;
    /// Paging.
    pub(crate) const PG: u64 = 1 << 31;
}

/// CR4.
pub(super) mod cr4 {
    /// Physical-address extension.
    pub(crate) const PAE: u64 = 1 << 5;
    /// Machine-check enable.
    pub(crate) const MCE: u64 = 1 << 6;
    /// 57-bit linear addresses.
    pub(crate) const LA57: u64 = 1 << 12;
    /// VMX enable.
    pub(crate) const VMXE: u64 = 1 << 13;
    /// Process-context identifiers.
    pub(crate) const PCIDE: u64 = 1 << 17;
    /// XSAVE enabled.
    pub(crate) const OSXSAVE: u64 = 1 << 18;
    /// Protection keys for user pages.
    pub(crate) const PKE: u64 = 1 << 22;
}

/// EFER.
pub(super) mod efer {
    /// SYSCALL enable.
    pub(crate) const SCE: u64 = 1 << 0;
    /// Long mode enable.
    pub(crate) const LME: u64 = 1 << 8;
    /// Long mode active.
    pub(crate) const LMA: u64 = 1 << 10;
    /// No-execute enable.
    pub(crate) const NXE: u64 = 1 << 11;
    /// Secure virtual machine enable; never shown to a guest.
    pub(crate) const SVME: u64 = 1 << 12;
}

/// RFLAGS.
pub(super) mod rflags {
    /// Carry.
    pub(crate) const CF: u64 = 1 << 0;
    /// Always one.
    pub(crate) const RESERVED_1: u64 = 1 << 1;
    /// Trap flag.
    pub(crate) const TF: u64 = 1 << 8;
    /// Interrupt enable.
    pub(crate) const IF: u64 = 1 << 9;
    /// Resume.
    pub(crate) const RF: u64 = 1 << 16;
    /// Virtual-8086 mode.
    pub(crate) const VM: u64 = 1 << 17;
}

impl Save {
    /// EFER.LMA and CS.L: 64-bit code.
    #[must_use]
    pub(super) const fn is_long64(&self) -> bool {
        self.efer & efer::LMA != 0 && self.cs.attributes & Segment::LONG != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn a_vmcb_is_bytes_and_back() {
        let mut vmcb = Vmcb::new_zeroed();
        vmcb.save.rip = 0xFFFF_FFF0;
        vmcb.control.asid = 3;
        assert_eq!(vmcb.as_bytes()[0x578..0x57C], [0xF0, 0xFF, 0xFF, 0xFF]);
        assert_eq!(vmcb.as_bytes()[0x58], 3);
    }

    #[test]
    fn long_mode_needs_both_lma_and_cs_l() {
        let mut save = Vmcb::new_zeroed().save;
        save.efer = efer::LMA;
        assert!(!save.is_long64());
        save.cs.attributes = Segment::LONG;
        assert!(save.is_long64());
        save.efer = efer::LME;
        assert!(!save.is_long64());
    }
}
