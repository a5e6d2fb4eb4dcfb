//! Interrupts for the TD: posted by descriptor, announced by an interrupt to oneself.
//! [ABI-H 5.9]

use abi::field::vp;

use crate::failure::Failure;
use crate::lapic::Effect;
use crate::td::{NOTIFICATION_VECTOR, Vcpu, Vmm};

/// Does what a write to an APIC register asks for.
///
/// # Errors
/// TDH.VP.WR fails.
pub fn carry_out(vmm: &mut Vmm<'_>, vcpu: &mut Vcpu, effect: Effect) -> Result<(), Failure> {
    match effect {
        Effect::None => {}
        Effect::Interrupt(vector) => vcpu.posted.post(vmm.memory, vector),
        Effect::Nmi => {
            let written = vmm.module.vp_wr(vcpu.tdvpr, vp::PEND_NMI, 1, u64::MAX);
            written.map_err(Failure::module("TDH.VP.WR"))?;
        }
    }
    Ok(())
}

/// What is due before the vCPU is entered: an expired timer, and the announcement.
pub fn before_entry(vmm: &mut Vmm<'_>, vcpu: &mut Vcpu) {
    timer(vmm, vcpu);
    if vcpu.posted.are_pending(vmm.memory) {
        vmm.cpu.interrupt_self(NOTIFICATION_VECTOR);
    }
}

/// Posts the interrupt of a timer that has expired.
pub fn timer(vmm: &mut Vmm<'_>, vcpu: &mut Vcpu) {
    if vcpu.lapic.is_armed()
        && let Some(vector) = vcpu.lapic.expire(vcpu.clock.now(vmm.cpu))
    {
        vcpu.posted.post(vmm.memory, vector);
    }
}

/// Whether the vCPU would take an interrupt now, its own blocking apart. [ABI-H 4.7]
///
/// # Errors
/// TDH.VP.RD fails.
pub fn is_pending(vmm: &mut Vmm<'_>, vcpu: &mut Vcpu) -> Result<bool, Failure> {
    const VIRTUAL_INTERRUPT: u64 = 1;
    if vcpu.posted.are_pending(vmm.memory) {
        return Ok(true);
    }
    let details = vmm.module.vp_rd(vcpu.tdvpr, vp::VCPU_STATE_DETAILS);
    Ok(details.map_err(Failure::module("TDH.VP.RD"))? & VIRTUAL_INTERRUPT != 0)
}
