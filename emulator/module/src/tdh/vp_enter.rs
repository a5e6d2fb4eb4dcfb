//! TDH.VP.ENTER: runs a vCPU. [ABI-H 5.1-5.3]
//!
//! Of itself never VCPU_ASSOCIATED or OPERAND_BUSY: there is one logical processor, and it
//! is here. An entry that the defence against zero-stepping refuses looks like a TD exit for
//! an EPT violation; x87 and YMM state are not reset then, but XMM is.

use abi::exit::VmcallMask;
use abi::{ExitReason, Gpr, Operand, Regs, Status};

use super::{
    Leaf, associate, check_cpuid_is_whole, check_tsc_adjust, check_vcpu_pages, vcpu_operand,
};
use crate::machine::{Machine, TDVPS_VMCB, TDVPS_XSAVE, VcpuId};
use crate::module::Module;
use crate::phys::PAGE;
use crate::sys::{MISC_ENABLE_MONITOR, MSR_MISC_ENABLE};
use crate::td::Td;
use crate::td::tdcs::{OpState, Tdcs};
use crate::td::tdvps::{LastExit, Tdvps, VcpuState};
use crate::ve;
use crate::xmm::{self, Xmm};
use crate::zero_step::{self, Entry};

/// RCX: host-physical address of the TDVPR page.
const TDVPR: u64 = 0x000F_FFFF_FFFF_F000;
/// RCX: the VMM may have repaired what a trap-like exit told it.
const HOST_RECOVERABILITY_HINT: u64 = 1 << 52;
/// The guest's status then says so in this bit.
const HINT_IN_STATUS: u64 = 1 << 60;
/// RCX: resume L1; legal only while an L2 is current, and there are none.
const RESUME_L1: u64 = 1 << 53;
/// CPUID(1).ECX: MONITOR and MWAIT.
const MONITOR: u32 = 1 << 3;
/// Exit qualification of a refused entry: data write.
const WRITE: u64 = 1 << 1;

/// Checks the entry and prepares the vCPU. On a status every register of the VMM but RAX
/// stays, unless the status is that of a refused entry.
pub(crate) fn run(
    module: &Module,
    m: &mut dyn Machine,
    gpr: &mut Regs,
    xmm: &mut Xmm,
) -> Result<VcpuId, Status> {
    let operand = gpr.rcx;
    check_cpuid_is_whole(m)?;
    if operand & !(TDVPR | HOST_RECOVERABILITY_HINT | RESUME_L1) != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let tdvpr = operand & TDVPR;
    let (mut tdvps, tdr) = vcpu_operand(module, m, tdvpr, Operand::Rcx)?;
    let mut td = Td::load_in(m, tdr, &[OpState::Runnable])?;
    check_vcpu_pages(&tdvps)?;
    if !tdvps.is_in(VcpuState::Ready) {
        return Err(Status::VCPU_STATE_INCORRECT);
    }
    // From the association on nothing is taken back.
    if !tdvps.is_associated() {
        associate(&mut tdvps, &mut td);
        td.store_tdcs(m);
        tdvps.store(m, tdvpr);
    }
    check_flags(&tdvps, operand)?;
    check_platform(module, m, &td.tdcs, &tdvps)?;

    let v = VcpuId { tdvpr, tdr };
    join_epoch(m, v, &mut tdvps, &td.tdcs);
    let rip = m.guest_rip(tdvps.pages[TDVPS_VMCB]);
    match zero_step::on_entry(m, &td, tdvpr, rip) {
        Entry::Refused { gpa } => {
            tdvps.last_exit = LastExit::AsyncFault as u32;
            tdvps.store(m, tdvpr);
            return Err(refuse(gpa, gpr, xmm));
        }
        Entry::Notified { gpa, qualification } if tdvps.ve_info.valid == 0 => {
            // Keeps what was stored, and fills VE_INFO.
            ve::operand_ve(m, v, gpa, qualification);
            zero_step::owe_ve(m, tdvpr);
            tdvps = Tdvps::load(m, tdvpr);
        }
        Entry::Notified { .. } | Entry::Allowed => {}
    }
    resume(m, &mut tdvps, operand, gpr, xmm);
    activate(m, v, &mut tdvps, &mut td);
    Ok(v)
}

/// The flags of RCX fit how the vCPU left.
fn check_flags(tdvps: &Tdvps, operand: u64) -> Leaf {
    let hints = operand & HOST_RECOVERABILITY_HINT != 0;
    let fits = !hints || tdvps.last_exit == LastExit::AsyncTrap as u32;
    if fits && operand & RESUME_L1 == 0 {
        Ok(())
    } else {
        Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx))
    }
}

/// Time goes on, and the CPU does what the TD was promised.
fn check_platform(module: &Module, m: &dyn Machine, tdcs: &Tdcs, tdvps: &Tdvps) -> Leaf {
    check_tsc_adjust(module, m)?;
    if m.tsc().wrapping_sub(tdvps.last_exit_tsc).cast_signed() < 0 {
        return Err(Status::TSC_ROLLBACK);
    }
    let has_monitor = tdcs.cpuid_config[0][2] & module.config.cpuid_config[0][2] & MONITOR != 0;
    if has_monitor && m.vmm_msr(MSR_MISC_ENABLE) & MISC_ENABLE_MONITOR == 0 {
        return Err(Status::INCORRECT_MSR_VALUE.with_detail(MSR_MISC_ENABLE));
    }
    Ok(())
}

/// The vCPU's translations are of this TD epoch.
fn join_epoch(m: &mut dyn Machine, v: VcpuId, tdvps: &mut Tdvps, tdcs: &Tdcs) {
    if tdvps.epoch != tdcs.td_epoch {
        m.flush_td(v.tdr);
        tdvps.epoch = tdcs.td_epoch;
        tdvps.store(m, v.tdvpr);
    }
}

/// The registers of an EPT violation that did not happen again. RBP and RSP stay.
fn refuse(gpa: u64, gpr: &mut Regs, xmm: &mut Xmm) -> Status {
    *xmm = [[0; 16]; 16];
    *gpr =
        Regs { rcx: WRITE, r8: gpa & !(PAGE - 1), rsp: gpr.rsp, rbp: gpr.rbp, ..Regs::default() };
    Status(u64::from(ExitReason::EPT_VIOLATION.0))
}

/// What the guest gets from the VMM.
fn resume(m: &mut dyn Machine, tdvps: &mut Tdvps, operand: u64, gpr: &Regs, xmm: &Xmm) {
    if tdvps.last_exit == LastExit::Tdvmcall as u32 {
        let mask = VmcallMask(tdvps.gprs.rcx as u32);
        resume_vmcall(&mut tdvps.gprs, mask, gpr);
        xmm::write(m, tdvps.pages[TDVPS_XSAVE], mask, xmm);
    } else if tdvps.last_exit == LastExit::AsyncTrap as u32 {
        let hint = if operand & HOST_RECOVERABILITY_HINT != 0 { HINT_IN_STATUS } else { 0 };
        tdvps.gprs.rax = tdvps.gprs.rax & !HINT_IN_STATUS | hint;
    }
}

fn activate(m: &mut dyn Machine, v: VcpuId, tdvps: &mut Tdvps, td: &mut Td) {
    let count = &mut td.tdcs.refcount[(tdvps.epoch & 1) as usize];
    *count = count.saturating_add(1);
    tdvps.state = VcpuState::Active as u32;
    td.store_tdcs(m);
    tdvps.store(m, v.tdvpr);
}

/// The registers that the guest exposed come from the VMM. [ABI-H 5.3]
fn resume_vmcall(guest: &mut Regs, mask: VmcallMask, host: &Regs) {
    let passed = Gpr::ALL.into_iter().filter(|gpr| mask.has(*gpr));
    for gpr in passed.filter(|gpr| gpr.bit() & u64::from(VmcallMask::GPR_ALLOWED) != 0) {
        guest[gpr] = host[gpr];
    }
    guest.rax = Status::SUCCESS.0;
}
