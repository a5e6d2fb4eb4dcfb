//! The seam between the TDX leaves and the CPU underneath.
//!
//! Everything in this crate except `svm/` and the binary is written against
//! [`Machine`], so that the leaves run in host tests over a fake, with a hostile
//! VMM and a hostile TD as callers.
//!
//! Data flows one way: `svm/` takes an exit, calls one entry of [`crate::Module`]
//! and acts on the [`Outcome`] or [`AfterSeamcall`] that it gets back.

use abi::{Regs, Status};

/// What the leaves may do to the machine under them.
///
/// Addresses are host-physical (the emulator's L1-physical). `svm/` bounds every
/// memory access: a read outside RAM gives zeros and a write there is dropped, so
/// no address from a caller can hurt the module. Leaves still check addresses
/// as the specification says, because the caller sees the status.
pub trait Machine {
    /// Copies `buf.len()` bytes from host-physical `hpa`.
    fn read(&self, hpa: u64, buf: &mut [u8]);
    /// Copies `bytes` to host-physical `hpa`.
    fn write(&mut self, hpa: u64, bytes: &[u8]);
    /// Fills `[hpa, hpa + len)` with zeros.
    fn zero(&mut self, hpa: u64, len: u64);

    /// Reads a naturally aligned little-endian quadword.
    fn read_u64(&self, hpa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(hpa, &mut bytes);
        u64::from_le_bytes(bytes)
    }
    /// Writes a naturally aligned little-endian quadword.
    fn write_u64(&mut self, hpa: u64, value: u64) {
        self.write(hpa, &value.to_le_bytes());
    }

    /// Takes `[hpa, hpa + len)` out of the VMM's map: it is TD or module memory.
    /// Cached shared translations of any TD that lead there end too, because the
    /// VMM may have mapped the page in a shared EPT before it gave it away.
    fn hide_from_vmm(&mut self, hpa: u64, len: u64);
    /// Puts `[hpa, hpa + len)` back into the VMM's map.
    fn show_to_vmm(&mut self, hpa: u64, len: u64);
    /// Drops every cached translation of the TD that `tdr` names (INVEPT).
    fn flush_td(&mut self, tdr: u64);

    /// Puts the vCPU whose TDVPS pages are `pages` into the state of TDH.VP.INIT
    /// [ABI-G 6], except its GPRs, which the leaf sets.
    fn reset_vcpu(&mut self, pages: &[u64; TDVPS_PAGES]);

    /// RIP of the vCPU whose VMCB stands in the page `vmcb`, and which does not run now.
    fn guest_rip(&self, vmcb: u64) -> u64;
    /// An MSR as the VMM has it on this processor: IA32_TSC_ADJUST or IA32_MISC_ENABLE.
    fn vmm_msr(&self, index: u32) -> u64;

    /// A number for UUIDs and keys; reproducible, from the module's seed.
    fn random(&mut self) -> u64;
    /// The host's time stamp counter.
    fn tsc(&self) -> u64;
}

/// Pages of a TDVPS: TDVPR and five TDCX. [ABI-H 3.6]
pub const TDVPS_PAGES: usize = 6;
/// Index in the TDVPS of the page with the fields of `td::tdvps` (the TDVPR page).
pub const TDVPS_FIELDS: usize = 0;
/// Index in the TDVPS of the page that holds the vCPU's VMCB.
pub const TDVPS_VMCB: usize = 1;
/// Index in the TDVPS of the virtual-APIC page.
pub const TDVPS_VAPIC: usize = 2;
/// Index in the TDVPS of the XSAVE area, standard format with its header: XMM*i*
/// stands at byte 160 + 16 *i*, XSTATE_BV at byte 512, and while its bit 1 is clear
/// the XMM registers are in their initial state, zero.
pub const TDVPS_XSAVE: usize = 3;

/// A vCPU of a TD: host-physical addresses of its TDVPR page and its TDR page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuId {
    /// The TDVPR page.
    pub tdvpr: u64,
    /// The owner's TDR page.
    pub tdr: u64,
}

/// What `svm/` does after a SEAMCALL leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSeamcall {
    /// The registers are final: CF := 0, RIP += 4, back to the VMM.
    Return,
    /// TDH.VP.ENTER passed its checks: run this vCPU until a TD exit.
    EnterTd(VcpuId),
}

/// An exception to inject into the TD. All are faults and set RFLAGS.RF in the
/// pushed image. [ABI-G 5]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Vector 20, no error code; VE_INFO was filled by whoever asks for this.
    Ve,
    /// Vector 6.
    Ud,
    /// Vector 13, error code 0.
    Gp,
    /// Vector 8, error code 0.
    Df,
    /// Vector 14 with CR2 and an error code.
    Pf {
        /// Faulting linear address.
        cr2: u64,
        /// Error code as the CPU pushes it.
        error: u32,
    },
}

/// What `svm/` does with a TD vCPU after an exit was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The instruction is done: RIP moves past it, STI and MOV-SS shadows end.
    Done,
    /// Run on at the same RIP (a translation was filled, the instruction restarts).
    Retry,
    /// Deliver an exception at the same RIP.
    Inject(Exception),
    /// Leave the TD: see [`TdExit`].
    Exit(TdExit),
}

impl Outcome {
    /// Whether a TDCALL with this outcome is finished: RIP goes past it.
    #[must_use]
    pub const fn finishes_tdcall(self) -> bool {
        match self {
            Self::Done => true,
            Self::Exit(exit) => exit.is_trap_like(),
            Self::Retry | Self::Inject(_) => false,
        }
    }
}

/// An exit from the TD to the VMM, before it is turned into host registers by
/// `Module::td_exit`. [ABI-H 5.4-5.7]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TdExit {
    /// TDG.VP.VMCALL: trap-like, RIP already advanced by `svm/`.
    Vmcall,
    /// A fault-like asynchronous exit. Registers as in [ABI-H 5.5].
    Async {
        /// Upper half of RAX (class), for example 0 or 0x4000_0001.
        class: u32,
        /// VMX exit reason.
        reason: u32,
        /// Exit qualification (RCX).
        qualification: u64,
        /// Extended exit qualification (RDX).
        extended: u64,
        /// GPA for R8; the module clears bits 11:0.
        gpa: u64,
        /// VM-exit interruption information (R9).
        interruption: u64,
    },
    /// A TDCALL that failed because of another TD. Trap-like: the guest's RAX holds
    /// its status, and RIP was advanced by `svm/`. [ABI-G 2.11]
    CrossTdTrap {
        /// The guest's status: RDX.
        status: Status,
        /// Host-physical address of the other TD's TDR: R8.
        target: u64,
    },
    /// A TDCALL that lost a lock to the host for too long. Trap-like: the guest's RAX
    /// holds OPERAND_BUSY, and RIP was advanced by `svm/`. [ABI-H 5.7]
    HostPriorityTimeout,
}

impl TdExit {
    /// Whether RIP goes past the TDCALL before the exit.
    #[must_use]
    pub const fn is_trap_like(self) -> bool {
        matches!(self, Self::Vmcall | Self::CrossTdTrap { .. } | Self::HostPriorityTimeout)
    }
}

/// The mode of the vCPU at an exit, read from its VMCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuMode {
    /// Current privilege level.
    pub cpl: u8,
    /// EFER.LMA = 1 and CS.L = 1.
    pub long64: bool,
    /// Guest CR0.
    pub cr0: u64,
    /// Guest CR4 as the guest reads it.
    pub cr4: u64,
    /// Guest XCR0.
    pub xcr0: u64,
    /// RFLAGS.
    pub rflags: u64,
}

/// Registers of the VMM at a SEAMCALL: GPRs, and XMM0-15 for VP.ENTER.
#[derive(Debug)]
pub struct HostRegs<'a> {
    /// General-purpose registers, in and out.
    pub gpr: &'a mut Regs,
    /// XMM0-15, in and out.
    pub xmm: &'a mut [[u8; 16]; 16],
}
