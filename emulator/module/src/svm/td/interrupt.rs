//! Interrupts: physical ones leave the TD, virtual ones go in. [ABI-G 14]
//!
//! A virtual interrupt is injected by EVENTINJ when the vCPU can take it. When it
//! cannot, a dummy V_IRQ with its intercept makes an exit as soon as it can: never a
//! real one, since that aborts some QEMUs. [SVM B1.1]

use core::mem::offset_of;

use abi::ExitReason;

use super::super::cpu;
use super::super::exit::Exit;
use super::super::inject::Event;
use super::super::interrupt as physical;
use super::super::vmcb::{int_control, misc1, rflags};
use super::run::{Td, plain_exit};
use super::state::NmiState;
use crate::machine::{Machine, Outcome};
use crate::tdvps::Tdvps;
use crate::virt::apic::Vapic;

/// A virtual interrupt that is only there to be intercepted.
const WINDOW: u32 = int_control::V_IRQ | int_control::V_PRIORITY_MAX | int_control::V_IGNORE_TPR;

/// Interruption information: valid; type NMI.
const VALID: u64 = 1 << 31;
const TYPE_NMI: u64 = 2 << 8;

/// Posted-interrupt descriptor: 256 request bits, then ON. [SDM3 30.6]
const OUTSTANDING: u64 = 32;

impl Td<'_> {
    /// Before each run: inject what the vCPU can take, ask for an exit when it can
    /// take what it cannot now.
    pub(super) fn prepare_interrupts(&mut self) {
        self.mirror_cr8();
        self.prepare_nmi();
        let vmcb = self.vcpu.vmcb.get();
        let is_enabled = vmcb.save.rflags & rflags::IF != 0;
        let is_blocked = vmcb.control.interrupt_shadow & 1 != 0;
        let is_free = vmcb.control.event_injection == 0;
        let mut vapic = Vapic::new(self.vcpu.vapic.get());
        let now = vapic.deliverable(is_enabled, is_blocked).filter(|_| is_free);
        if let Some(vector) = now {
            vapic.deliver(vector);
        }
        let is_waiting = vapic.pending_above_ppr();
        let is_in_nmi = self.vcpu.state.get().nmi == NmiState::Blocked as u64;
        let control = &mut self.vcpu.vmcb.get().control;
        if let Some(vector) = now {
            control.event_injection = Event::interrupt(vector).0;
        }
        set(&mut control.int_control, WINDOW, is_waiting);
        set(&mut control.intercept_misc1, misc1::VINTR, is_waiting);
        set(&mut control.intercept_misc1, misc1::IRET, is_in_nmi);
    }

    /// The VMM's NMI waits for the guest to fetch VE_INFO and for the end of an NMI
    /// handler.
    fn prepare_nmi(&mut self) {
        let tdvpr = self.vcpu.id.tdvpr;
        let mut pend_nmi = [0];
        self.hardware.read(tdvpr + offset_of!(Tdvps, pend_nmi) as u64, &mut pend_nmi);
        if pend_nmi == [0] {
            return;
        }
        let mut tdvps = Tdvps::load(self.hardware, tdvpr);
        let is_open = self.vcpu.state.get().nmi == NmiState::Open as u64;
        let is_free = self.vcpu.vmcb.get().control.event_injection == 0;
        if tdvps.ve_info.valid != 0 || !is_open || !is_free {
            return;
        }
        tdvps.pend_nmi = 0;
        tdvps.store(self.hardware, tdvpr);
        self.vcpu.state.get().nmi = NmiState::Blocked as u64;
        self.vcpu.vmcb.get().control.event_injection = Event::NMI.0;
    }

    /// NMIs are blocked, or an IRET is about to end that.
    pub(super) fn nmis_are_blocked(&mut self) -> bool {
        self.vcpu.state.get().nmi != NmiState::Open as u64
    }

    /// IRET is about to end the blocking of NMIs: it runs now, without the intercept.
    pub(super) fn iret(&mut self) -> Outcome {
        let rip = self.vcpu.vmcb.get().save.rip;
        let state = self.vcpu.state.get();
        (state.nmi, state.iret_rip) = (NmiState::Ending as u64, rip);
        Outcome::Retry
    }

    /// An exit anywhere else says that the IRET has run.
    pub(super) fn note_nmi_progress(&mut self, exit: Exit) {
        let rip = self.vcpu.vmcb.get().save.rip;
        let state = self.vcpu.state.get();
        let is_ending = state.nmi == NmiState::Ending as u64;
        if is_ending && (state.iret_rip != rip || exit == Exit::InterruptWindow) {
            state.nmi = NmiState::Open as u64;
        }
    }

    /// A physical interrupt: the VMM dispatches its vector. The one exception is the
    /// notification that vectors were posted. [ABI-H 5.8, 5.9]
    pub(super) fn physical_interrupt(&mut self) -> Outcome {
        let Some(vector) = physical::take() else { return Outcome::Retry };
        let tdvps = Tdvps::load(self.hardware, self.vcpu.id.tdvpr);
        if tdvps.takes_posted_interrupts() && tdvps.posted_vector == u16::from(vector) {
            cpu::end_of_interrupt();
            self.take_posted_interrupts();
            return Outcome::Retry;
        }
        let information = VALID | u64::from(vector);
        Outcome::Exit(plain_exit(ExitReason::EXTERNAL_INTERRUPT.0, information))
    }

    pub(super) fn physical_nmi() -> Outcome {
        if !physical::take_nmi() {
            return Outcome::Retry;
        }
        Outcome::Exit(plain_exit(ExitReason::NMI.0, VALID | TYPE_NMI | 2))
    }

    /// Moves the vectors that the VMM posted into the virtual APIC.
    pub(super) fn take_posted_interrupts(&mut self) {
        let Some(descriptor) = self.module.posted_descriptor(self.hardware, self.vcpu.id) else {
            return;
        };
        let control = Machine::read_u64(self.hardware, descriptor + OUTSTANDING);
        if control & 1 == 0 {
            return;
        }
        self.hardware.write_u64(descriptor + OUTSTANDING, control & !1);
        let mut requests = [0; 4];
        for (word, offset) in requests.iter_mut().zip((0u64..).step_by(8)) {
            *word = Machine::read_u64(self.hardware, descriptor + offset);
            self.hardware.write_u64(descriptor + offset, 0);
        }
        Vapic::new(self.vcpu.vapic.get()).merge_pir(&requests);
    }
}

fn set(word: &mut u32, bits: u32, on: bool) {
    *word = if on { *word | bits } else { *word & !bits };
}
