//! The module's static pages: what VMRUN and the permission maps need.
#![expect(unsafe_code, reason = "zeros in a constant")]

use core::mem::MaybeUninit;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::permission_maps::{MsrMap, PortMap};
use super::vmcb::Vmcb;
use abi::Regs;

/// An XSAVE area with x87, SSE and AVX state, in a page of its own.
#[repr(C, align(4096))]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct XsaveArea {
    /// x87 control word, then the rest of the x87 state.
    pub fcw: u16,
    _x87: [u8; 22],
    /// MXCSR.
    pub mxcsr: u32,
    _rsvd_01c: [u8; 132],
    /// XMM0-15.
    pub xmm: [[u8; 16]; 16],
    _rsvd_1a0: [u8; 96],
    /// Which states are not initial.
    pub xstate_bv: u64,
    _rest: [u8; 4096 - 520],
}

const _: () = {
    assert!(core::mem::offset_of!(XsaveArea, mxcsr) == 24);
    assert!(core::mem::offset_of!(XsaveArea, xmm) == 160);
    assert!(core::mem::offset_of!(XsaveArea, xstate_bv) == 512);
    assert!(size_of::<XsaveArea>() == 4096);
};

/// XSTATE_BV: the SSE state is in the area.
pub(super) const XSTATE_SSE: u64 = 1 << 1;

impl XsaveArea {
    /// The state after INIT: XRSTOR takes FCW from the CPU's rule, but MXCSR from here.
    pub(super) fn reset(&mut self) {
        self.zero();
        self.fcw = 0x37F;
        self.mxcsr = 0x1F80;
    }
}

/// Pages in `.bss`.
#[repr(C, align(4096))]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Pages {
    /// Where VMRUN keeps the host's registers.
    pub host_save: [u8; 4096],
    /// What VMSAVE keeps of the host.
    pub host_vmcb: Vmcb,
    /// The VMM's VMCB.
    pub vmm_vmcb: Vmcb,
    /// The VMM's FP state.
    pub vmm_xsave: XsaveArea,
    /// The VMM's MSR permissions.
    pub vmm_msrs: MsrMap,
    /// Every TD's MSR permissions.
    pub td_msrs: MsrMap,
    /// Every TD's port permissions: none.
    pub td_ports: PortMap,
    /// The VMM's GPRs.
    pub vmm_gprs: Regs,
    _rest: [u8; 4096 - size_of::<Regs>()],
}

impl Pages {
    /// All zeros.
    // SAFETY: the type is plain bytes, as its `FromBytes` proves.
    pub(super) const ZERO: Self = unsafe { MaybeUninit::zeroed().assume_init() };
}
