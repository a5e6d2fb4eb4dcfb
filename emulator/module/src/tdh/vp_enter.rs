//! TDH.VP.ENTER: runs a vCPU. [ABI-H 5.1-5.3]
//!
//! Left out of the checks: those of IA32_MISC_ENABLE and the TSC, which nobody
//! changes here, and the zero-step filter.

use abi::exit::VmcallMask;
use abi::{Gpr, Operand, Regs, Status};

use super::{associate, check_vcpu_pages, vcpu_operand};
use crate::machine::{Machine, TDVPS_XSAVE, VcpuId};
use crate::module::Module;
use crate::td::Td;
use crate::td::tdcs::OpState;
use crate::td::tdvps::{LastExit, Tdvps, VcpuState};
use crate::xmm::{self, Xmm};

/// RCX: host-physical address of the TDVPR page.
const TDVPR: u64 = 0x000F_FFFF_FFFF_F000;
/// RCX: the VMM may have repaired what a trap-like exit told it.
const HOST_RECOVERABILITY_HINT: u64 = 1 << 52;
/// The guest's status then says so in this bit.
const HINT_IN_STATUS: u64 = 1 << 60;
/// RCX: resume L1; legal only while an L2 is current, and there are none.
const RESUME_L1: u64 = 1 << 53;

/// Checks the entry and prepares the vCPU. On a status every register of the VMM
/// but RAX stays.
pub(crate) fn run(
    module: &Module,
    m: &mut dyn Machine,
    gpr: &Regs,
    xmm: &Xmm,
) -> Result<VcpuId, Status> {
    let operand = gpr.rcx;
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    if operand & !(TDVPR | HOST_RECOVERABILITY_HINT | RESUME_L1) != 0 {
        return Err(invalid);
    }
    let tdvpr = operand & TDVPR;
    let (mut tdvps, tdr) = vcpu_operand(module, m, tdvpr, Operand::Rcx)?;
    let mut td = Td::load_in(m, tdr, &[OpState::Runnable])?;
    check_vcpu_pages(&tdvps)?;
    if !tdvps.is_in(VcpuState::Ready) {
        return Err(Status::VCPU_STATE_INCORRECT);
    }
    associate(&mut tdvps, &mut td);
    let hint_fits =
        operand & HOST_RECOVERABILITY_HINT == 0 || tdvps.last_exit == LastExit::AsyncTrap as u32;
    if !hint_fits || operand & RESUME_L1 != 0 {
        // From the association on nothing is taken back.
        td.store_tdcs(m);
        tdvps.store(m, tdvpr);
        return Err(invalid);
    }
    let vcpu = VcpuId { tdvpr, tdr };
    if tdvps.last_exit == LastExit::Tdvmcall as u32 {
        let mask = VmcallMask(tdvps.gprs.rcx as u32);
        resume_vmcall(&mut tdvps.gprs, mask, gpr);
        xmm::write(m, tdvps.pages[TDVPS_XSAVE], mask, xmm);
    }
    if operand & HOST_RECOVERABILITY_HINT != 0 {
        tdvps.gprs.rax |= HINT_IN_STATUS;
    }
    activate(m, vcpu, &mut tdvps, &mut td);
    Ok(vcpu)
}

fn activate(m: &mut dyn Machine, v: VcpuId, tdvps: &mut Tdvps, td: &mut Td) {
    let epoch = td.tdcs.td_epoch;
    let count = &mut td.tdcs.refcount[(epoch & 1) as usize];
    *count = count.saturating_add(1);
    if tdvps.epoch != epoch {
        m.flush_td(v.tdr);
    }
    tdvps.epoch = epoch;
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
