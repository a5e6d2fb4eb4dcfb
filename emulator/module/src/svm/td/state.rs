//! What the module keeps of a vCPU beside the VMCB: upper half of the TDVPR page.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::tdvps::SVM_AREA;
use crate::virt::msr::StoredMsrs;

/// State of a vCPU that SVM does not hold. All zero after TDH.VP.INIT but XCR0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct TdState {
    /// XCR0.
    pub xcr0: u64,
    /// TSC_AUX.
    pub tsc_aux: u64,
    /// A [`NmiState`].
    pub nmi: u64,
    /// RIP of the IRET that ends the blocking, while `nmi` is [`NmiState::Ending`].
    pub iret_rip: u64,
    /// MSRs that the CPU underneath does not have.
    pub msrs: StoredMsrs,
}

/// Whether the vCPU can take a virtual NMI.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NmiState {
    /// It can.
    Open = 0,
    /// One was delivered and IRET has not come.
    Blocked = 1,
    /// IRET is about to run.
    Ending = 2,
}

const _: () = assert!(SVM_AREA + size_of::<TdState>() as u64 <= 4096);

/// Where the state of the vCPU with this TDVPR page is.
#[must_use]
pub(super) const fn address(tdvpr: u64) -> u64 {
    tdvpr + SVM_AREA
}
