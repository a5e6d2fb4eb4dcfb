//! TDH.VP.INIT: the vCPU's initial state. [ABI-H 3.6], [ABI-G 6]
//!
//! Version 1, newer than 1.5.01, takes the x2APIC id in R8.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::vp_create::check_uninitialized;
use super::{Leaf, associate, check_tsc_adjust, check_vcpu_pages, vcpu_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::td::Td;
use crate::td::tdcs::OpState;
use crate::td::tdvps::{LastExit, VcpuState};

pub(crate) fn run(module: &Module, m: &mut dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let (tdvpr, initial_rcx, x2apic_id) = (regs.rcx, regs.rdx, regs.r8);
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let (mut tdvps, tdr_pa) = vcpu_operand(module, m, tdvpr, Operand::Rcx)?;
    let mut td = Td::load_in(m, tdr_pa, &[OpState::Initialized])?;
    check_vcpu_pages(&tdvps)?;
    check_uninitialized(&tdvps)?;
    let index = td.tdcs.num_vcpus;
    let x2apic_id = match version {
        0 => index,
        _ => u32::try_from(x2apic_id)
            .map_err(|_| Status::OPERAND_INVALID.with_operand(Operand::R8))?,
    };
    if index >= td.tdcs.max_vcpus {
        return Err(Status::MAX_VCPUS_EXCEEDED);
    }
    td.tdcs.num_vcpus = index + 1;
    if let Err(status) = check_tsc_adjust(module, m) {
        // 1.5.01 has counted the vCPU already.
        td.store_tdcs(m);
        return Err(status);
    }
    tdvps.index = index;
    tdvps.x2apic_id = x2apic_id;
    tdvps.state = VcpuState::Ready as u32;
    tdvps.last_exit = LastExit::AsyncFault as u32;
    tdvps.last_exit_tsc = m.tsc();
    tdvps.gprs = Regs {
        rbx: u64::from(td.tdcs.gpa_width()),
        rcx: initial_rcx,
        rdx: u64::from(module.config.processor_signature),
        rsi: u64::from(index),
        r8: initial_rcx,
        ..Regs::default()
    };
    associate(&mut tdvps, &mut td);
    td.store_tdcs(m);
    tdvps.store(m, tdvpr);
    m.reset_vcpu(&tdvps.required_pages());
    Ok(())
}
