//! What the module keeps of a vCPU beside the VMCB: upper half of the TDVPR page.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::tdvps::SVM_AREA;

/// State of a vCPU that SVM does not hold.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdState {
    /// XCR0.
    pub xcr0: u64,
    /// TSC_AUX.
    pub tsc_aux: u64,
    /// An event for the next entry, as EVENTINJ holds it.
    pub pending_event: u64,
    /// Virtual NMIs are blocked until IRET.
    pub nmi_blocked: u64,
    /// [`crate::virt::msr::StoredMsrs`], field by field.
    pub msrs: [u64; 5],
}

const _: () = assert!(SVM_AREA + size_of::<TdState>() as u64 <= 4096);

/// Where the state of the vCPU with this TDVPR page is.
#[must_use]
pub const fn address(tdvpr: u64) -> u64 {
    tdvpr + SVM_AREA
}
