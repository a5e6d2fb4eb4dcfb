//! TD partitioning: nested VMs inside the TD. [ABI-G 2.14]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::exit::TdExitStatus;
use abi::l2::{L2Exit, L2Invalidation, L2Vm, LinearAddresses};
use abi::leaf::tdg;
use abi::{PrivateGpa, Regs, Status};

use crate::error::done;

/// A return of TDG.VP.ENTER that is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Entry {
    /// RAX: the class, and the VMX exit reason. PENDING_INTERRUPT: the VM was not entered,
    /// and `exit` means nothing.
    pub status: TdExitStatus,
    /// The other registers.
    pub exit: L2Exit,
}

/// TDG.VP.ENTER: runs a nested VM with the [`abi::l2::L2GuestState`] at `state` (256-byte
/// aligned) until it exits; its registers are there again afterwards. [ABI-G 2.14]
///
/// In RCX VM and invalidation, RDX address; out RCX, RDX, RSI, RDI, R8-R13 (RBX, R14, R15
/// zero). The module leaves the nested VM's RBP in place; the caller's is restored.
///
/// # Errors
/// OPERAND_INVALID: no such VM, unaligned, or the VM has no virtual APIC page (detail:
/// L2_VAPIC_GPA).
///
/// # Safety
/// What the nested VM may reach holds no Rust object, nor does the state.
pub unsafe fn vp_enter(
    vm: L2Vm,
    invalidation: L2Invalidation,
    state: PrivateGpa,
) -> Result<L2Entry, Status> {
    let mut regs =
        Regs { rcx: vm.operand() | invalidation as u64, rdx: state.bits(), ..Regs::default() };
    // SAFETY: reads and writes `regs`; the rest is the caller's promise.
    let status = unsafe { tdcall_all!(tdg::VP_ENTER, &mut regs) };
    done(status)?;
    Ok(L2Entry { status: TdExitStatus(status.0), exit: L2Exit::from_regs(&regs) })
}

/// TDG.VP.INVEPT: forgets the cached translations of nested VMs. [ABI-G 2.14]
///
/// In RCX a bit for each VM.
///
/// # Errors
/// OPERAND_INVALID: no such VM.
pub fn vp_invept(vms: &[L2Vm]) -> Result<(), Status> {
    let bits = vms.iter().fold(0_u64, |bits, vm| bits | 1 << *vm as u64);
    // SAFETY: the leaf drops cached translations and writes RAX alone.
    done(unsafe { tdcall!(tdg::VP_INVEPT, in("rcx") bits,) })
}

/// TDG.VP.INVVPID (INVGLA in later documents): forgets a nested VM's translations of linear
/// addresses. `Ok` holds the operand with what is left of a list. [ABI-G 2.14]
///
/// In RCX VM and list flag, RDX addresses; out RDX.
///
/// # Errors
/// OPERAND_INVALID: no such VM, a bad list; GLA_NOT_CANONICAL.
pub fn vp_invvpid(vm: L2Vm, addresses: LinearAddresses) -> Result<u64, Status> {
    let (list, operand) = addresses.operands();
    let left: u64;
    // SAFETY: the leaf reads the list, drops cached translations, writes RAX and RDX.
    let status = unsafe {
        tdcall!(tdg::VP_INVVPID, in("rcx") vm.operand() | list,
                inlateout("rdx") operand => left,)
    };
    done(status).map(|()| left)
}
