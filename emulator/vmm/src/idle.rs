//! Time that passes without the TD: HLT, and the watchdog.

use abi::GhciStatus;
use abi::field::vp;

use crate::end::{End, Hang};
use crate::failure::Failure;
use crate::interrupts;
use crate::seam::Cpu;
use crate::td::{Vcpu, Vmm};

/// How long the TD may run.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    start_ns: u64,
    /// 0: for ever.
    limit_ms: u64,
}

impl Watchdog {
    /// A watchdog that starts now. A `limit_ms` of 0 is none.
    pub fn start(cpu: &mut dyn Cpu, limit_ms: u64) -> Self {
        Self { start_ns: cpu.now_ns(), limit_ms }
    }

    /// # Errors
    /// The time is over.
    pub fn check(self, cpu: &mut dyn Cpu) -> Result<(), End> {
        let passed_ms = cpu.now_ns().saturating_sub(self.start_ns) / 1_000_000;
        let limit_ms = self.limit_ms;
        if limit_ms != 0 && passed_ms >= limit_ms {
            return Err(End::Hung(Hang::Timeout { limit_ms }));
        }
        Ok(())
    }
}

/// Instruction.HLT: sleeps until an interrupt is pending that the vCPU would take. KVM would
/// sleep for ever when there can be none; this says so at once.
///
/// # Errors
/// The vCPU would never wake up, or the watchdog ends the run.
pub fn halt(
    vmm: &mut Vmm<'_>,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    interrupts_are_blocked: bool,
) -> Result<GhciStatus, End> {
    if interrupts_are_blocked {
        let nmi = vmm.module.vp_rd(vcpu.tdvpr, vp::PEND_NMI);
        if nmi.map_err(Failure::module("TDH.VP.RD"))? != 0 {
            return Ok(GhciStatus::SUCCESS);
        }
        return Err(End::Hung(Hang::HaltedForEver));
    }
    loop {
        interrupts::timer(vmm, vcpu);
        if interrupts::is_pending(vmm, vcpu)? {
            return Ok(GhciStatus::SUCCESS);
        }
        if !vcpu.lapic.will_interrupt() {
            return Err(End::Hung(Hang::NothingToWaitFor));
        }
        watchdog.check(vmm.cpu)?;
        vmm.cpu.wait();
    }
}
