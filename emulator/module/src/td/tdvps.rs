//! The TDVPS: state of one vCPU. [ABI-H 3.3, 4.7], [ABI-G 5]
//!
//! [`Tdvps`] stands at the start of the TDVPR page, the registers first, so that the
//! world switch can save into the page and load from it. Bytes 2048-4095 of the
//! page belong to `svm`.

use core::mem::offset_of;

use abi::Regs;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::machine::{Machine, TDVPS_PAGES};
use crate::module::PIN_POSTED_INTERRUPTS;
use crate::phys::{load, store};
use crate::sys::TDVPS_PAGES_MAX;

/// First byte of the TDVPR page that `svm` may use for itself.
pub const SVM_AREA: u64 = 2048;

/// `assoc_lpid` of a vCPU that is on no logical processor.
pub(crate) const NO_LP: u32 = u32::MAX;

/// vCPU state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum VcpuState {
    /// Before VP.INIT.
    Uninitialized = 0,
    /// May be entered.
    Ready = 2,
    /// Between VP.ENTER and the TD exit.
    Active = 4,
    /// Never runs again.
    Disabled = 8,
}

/// How the last TD exit came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LastExit {
    /// Fault-like, or no exit yet.
    AsyncFault = 0,
    /// Trap-like.
    AsyncTrap = 1,
    /// TDG.VP.VMCALL.
    Tdvmcall = 2,
}

/// VE_INFO as it stands in the vCPU's page. [ABI-G 5]
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct VeInfoArea {
    /// Exit reason.
    pub reason: u32,
    /// [`VeInfoArea::VALID`] or 0.
    pub valid: u32,
    /// Exit qualification.
    pub qualification: u64,
    /// Guest linear address.
    pub gla: u64,
    /// Guest-physical address.
    pub gpa: u64,
    /// Always 0.
    pub eptp_index: u16,
    pub(crate) _rsvd_022: u16,
    /// Bytes of the instruction.
    pub length: u32,
    /// Instruction information.
    pub info: u32,
    pub(crate) _rsvd_02c: [u8; 84],
}

impl VeInfoArea {
    /// Value of `valid` while the guest has not fetched the information.
    pub const VALID: u32 = u32::MAX;

    /// Valid, with this reason; everything else zero.
    pub(crate) fn new(reason: u32) -> Self {
        Self { reason, valid: Self::VALID, ..Self::new_zeroed() }
    }
}

const _: () = assert!(size_of::<VeInfoArea>() == 128);
const _: () = assert!(offset_of!(VeInfoArea, gpa) == 24);
const _: () = assert!(offset_of!(VeInfoArea, info) == 40);

/// The fields of the TDVPR page.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tdvps {
    /// The guest's general-purpose registers while it does not run.
    pub gprs: Regs,
    /// What TDG.VP.VEINFO.GET returns.
    pub ve_info: VeInfoArea,
    /// Host-physical addresses of TDVPR and the TDCX pages, in order of ADDCX.
    pub pages: [u64; TDVPS_PAGES_MAX as usize],
    /// Pages there are, surplus ones included.
    pub num_pages: u32,
    /// A [`VcpuState`].
    pub state: u32,
    /// A [`LastExit`].
    pub last_exit: u32,
    /// Index in the TD, in order of VP.INIT.
    pub index: u32,
    /// Logical processor, or all ones.
    pub assoc_lpid: u32,
    /// From VP.INIT version 1.
    pub x2apic_id: u32,
    /// TD epoch at the last entry.
    pub epoch: u64,
    /// Root of the shared EPT as the VMM wrote it, HKID included.
    pub shared_eptp: u64,
    /// Posted-interrupt descriptor as the VMM wrote it, HKID included; see
    /// [`crate::Module::posted_descriptor`].
    pub posted_descriptor: u64,
    /// Posted-interrupt notification vector; above 255 while not set.
    pub posted_vector: u16,
    /// The VMM asked for an NMI.
    pub pend_nmi: u8,
    /// #VE on every CPUID at CPL 0.
    pub cpuid_supervisor_ve: u8,
    /// #VE on every CPUID at CPL > 0.
    pub cpuid_user_ve: u8,
    /// What VP.WR set up beside the fields themselves: see the associated constants.
    pub written: u8,
    _rsvd_1ae: [u8; 2],
    /// Pin-based VM-execution controls that the VMM chose (bit 7).
    pub pin_controls: u32,
    /// Secondary controls that the VMM chose (bits 30 and 31).
    pub secondary_controls: u32,
    /// Notification window.
    pub notify_window: u32,
    _rsvd_1bc: u32,
    /// The host's time stamp counter at the last TD exit, or at VP.INIT.
    pub last_exit_tsc: u64,
    /// CPUID_CONTROL: #VE per CPUID row.
    pub cpuid_control: [u8; 128],
    /// L2_CTLS by VM; without nested VMs a store that nobody reads but the guest.
    pub l2_ctls: [u64; 4],
    /// TSC_DEADLINE by VM, all ones while none is set, zero for a VM that does not exist.
    pub tsc_deadline: [u64; 4],
    /// Time stamp since when every TDCALL has lost a lock to the host; 0 for none.
    pub host_priority_since: u64,
}

const _: () = assert!(offset_of!(Tdvps, gprs) == 0);
const _: () = assert!(size_of::<Tdvps>() as u64 <= SVM_AREA);

impl Tdvps {
    /// `written`: the posted-interrupt descriptor address.
    pub(crate) const WROTE_DESCRIPTOR: u8 = 1;
    /// `written`: the notification vector.
    pub(crate) const WROTE_VECTOR: u8 = 2;

    /// Copies the structure from the TDVPR page.
    pub fn load(m: &dyn Machine, tdvpr: u64) -> Self {
        load(m, tdvpr)
    }

    /// Copies the structure to the TDVPR page.
    pub fn store(&self, m: &mut dyn Machine, tdvpr: u64) {
        store(m, tdvpr, self);
    }

    /// The vCPU's registers alone.
    pub fn load_gprs(m: &dyn Machine, tdvpr: u64) -> Regs {
        load(m, tdvpr)
    }

    /// Stores the vCPU's registers alone.
    pub fn store_gprs(m: &mut dyn Machine, tdvpr: u64, gprs: &Regs) {
        store(m, tdvpr, gprs);
    }

    /// The pages that a vCPU needs; surplus ones are left out.
    pub fn required_pages(&self) -> [u64; TDVPS_PAGES] {
        core::array::from_fn(|index| self.pages[index])
    }

    pub(crate) fn is_in(&self, state: VcpuState) -> bool {
        self.state == state as u32
    }

    /// The VMM gave a posted-interrupt descriptor and turned its processing on.
    pub(crate) fn takes_posted_interrupts(&self) -> bool {
        self.written & Self::WROTE_DESCRIPTOR != 0 && self.pin_controls & PIN_POSTED_INTERRUPTS != 0
    }

    pub(crate) fn is_associated(&self) -> bool {
        self.assoc_lpid != NO_LP
    }
}
