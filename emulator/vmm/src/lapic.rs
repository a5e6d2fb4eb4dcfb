//! The half of a vCPU's local APIC that the TDX module leaves to the VMM, in x2APIC mode.
//! [ABI-G 8], [SDM3 12.12]
//!
//! The module virtualizes TPR, PPR, EOI, ISR, TMR, IRR and SELF_IPI; identity, SVR, ESR,
//! LVT, ICR and the timer come here by VMCALL, with KVM's answers. Nothing here touches the
//! processor's own APIC.

/// Nanoseconds of one cycle of the APIC bus: 25 MHz, as KVM is told to use. [TDVF 1.8]
const BUS_CYCLE_NS: u64 = 40;

/// x2APIC MSR numbers.
mod register {
    pub(super) const ID: u32 = 0x802;
    pub(super) const VERSION: u32 = 0x803;
    pub(super) const LDR: u32 = 0x80D;
    pub(super) const SVR: u32 = 0x80F;
    pub(super) const ESR: u32 = 0x828;
    pub(super) const ICR: u32 = 0x830;
    pub(super) const LVT_TIMER: u32 = 0x832;
    pub(super) const LVT_ERROR: u32 = 0x837;
    pub(super) const INITIAL_COUNT: u32 = 0x838;
    pub(super) const CURRENT_COUNT: u32 = 0x839;
    pub(super) const DIVIDE: u32 = 0x83E;
}

/// IA32_TSC_DEADLINE.
pub(crate) const TSC_DEADLINE: u32 = 0x6E0;

/// Version 0x14, six LVT entries: KVM without CMCI.
const VERSION: u64 = 0x14 | 5 << 16;
const MASKED: u32 = 1 << 16;
const VECTOR: u32 = 0xFF;
/// SVR: the APIC is enabled by software.
const ENABLED: u32 = 1 << 8;
/// Writable bits of LVT timer, thermal, performance, LINT0, LINT1, error: vector and mask;
/// then timer mode; then delivery mode; then polarity and trigger.
const LVT_WRITABLE: [u32; 6] = [0x7_00FF, 0x1_07FF, 0x1_07FF, 0x1_A7FF, 0x1_A7FF, 0x1_00FF];

/// Timer mode, LVT bits 18:17. The fourth is reserved and does not count.
const ONE_SHOT: u32 = 0;
const PERIODIC: u32 = 1;
const DEADLINE: u32 = 2;

/// The moment of an access: host time and the TD's time stamp counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Nanoseconds.
    pub ns: u64,
    /// The TD's TSC.
    pub tsc: u64,
}

/// What a write asks the VMM for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing more.
    None,
    /// Give the vCPU this interrupt.
    Interrupt(u8),
    /// Give the vCPU an NMI.
    Nmi,
}

/// The registers of one vCPU.
#[derive(Clone, Debug)]
pub struct Lapic {
    id: u32,
    svr: u32,
    icr: u64,
    lvt: [u32; 6],
    initial_count: u32,
    divide: u32,
    /// When the count started, or was reloaded.
    started_ns: u64,
    /// The count runs: not yet expired, or periodic.
    counts: bool,
    /// 0: not armed.
    deadline: u64,
}

impl Lapic {
    /// The state after reset.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self {
            id,
            svr: 0xFF,
            icr: 0,
            lvt: [MASKED; 6],
            initial_count: 0,
            divide: 0,
            started_ns: 0,
            counts: false,
            deadline: 0,
        }
    }

    /// RDMSR. `None` is #GP: no such register, or not readable.
    #[must_use]
    pub fn read(&self, msr: u32, now: Now) -> Option<u64> {
        Some(match msr {
            register::ID => self.id.into(),
            register::VERSION => VERSION,
            register::LDR => u64::from(self.id >> 4 << 16 | 1 << (self.id & 15)),
            register::SVR => self.svr.into(),
            register::ESR => 0,
            register::ICR => self.icr,
            register::LVT_TIMER..=register::LVT_ERROR => self.lvt[lvt_index(msr)].into(),
            register::INITIAL_COUNT => self.initial_count.into(),
            register::CURRENT_COUNT => self.current_count(now.ns).into(),
            register::DIVIDE => self.divide.into(),
            TSC_DEADLINE if self.mode() == DEADLINE => self.deadline,
            TSC_DEADLINE => 0,
            _ => return None,
        })
    }

    /// WRMSR. `None` is #GP: no such register, not writable, or reserved bits.
    pub fn write(&mut self, msr: u32, value: u64, now: Now) -> Option<Effect> {
        if msr == register::ICR {
            return Some(self.send(value));
        }
        if msr == TSC_DEADLINE {
            // Ignored in the other modes, as the manual says. [SDM3 12.5.4.1]
            if self.mode() == DEADLINE {
                self.deadline = value;
            }
            return Some(Effect::None);
        }
        let value = u32::try_from(value).ok()?;
        match msr {
            register::SVR => self.svr = value & (ENABLED | VECTOR),
            register::ESR => return (value == 0).then_some(Effect::None),
            register::LVT_TIMER..=register::LVT_ERROR => self.write_lvt(msr, value),
            register::INITIAL_COUNT => {
                self.initial_count = value;
                self.started_ns = now.ns;
                self.counts = value != 0 && self.mode() != DEADLINE;
            }
            register::DIVIDE => self.divide = value & 0b1011,
            _ => return None,
        }
        Some(Effect::None)
    }

    /// The interrupt of a timer that has expired by now; it is re-armed or disarmed.
    pub fn expire(&mut self, now: Now) -> Option<u8> {
        let due = match self.mode() {
            DEADLINE => self.deadline != 0 && now.tsc >= self.deadline,
            _ => self.counts && now.ns.saturating_sub(self.started_ns) >= self.period_ns(),
        };
        if !due {
            return None;
        }
        self.deadline = 0;
        if self.mode() == PERIODIC {
            let passed = now.ns.saturating_sub(self.started_ns);
            self.started_ns = now.ns - passed % self.period_ns();
        } else {
            self.counts = false;
        }
        let timer = self.lvt[0];
        let delivers = timer & MASKED == 0 && self.svr & ENABLED != 0 && timer & VECTOR >= 16;
        delivers.then_some(timer as u8)
    }

    /// Whether time will make the timer interrupt the vCPU.
    #[must_use]
    pub const fn will_interrupt(&self) -> bool {
        let delivers = self.lvt[0] & MASKED == 0 && self.svr & ENABLED != 0;
        delivers && self.is_armed()
    }

    /// Whether [`Self::expire`] has anything to do.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.counts || self.deadline != 0
    }

    const fn mode(&self) -> u32 {
        self.lvt[0] >> 17 & 3
    }

    fn write_lvt(&mut self, msr: u32, value: u32) {
        let index = lvt_index(msr);
        let before = self.mode();
        let mask = if self.svr & ENABLED == 0 { MASKED } else { 0 };
        self.lvt[index] = value & LVT_WRITABLE[index] | mask;
        if self.mode() != before && (before == DEADLINE || self.mode() == DEADLINE) {
            self.counts = false;
            self.deadline = 0;
        }
    }

    /// Sends an IPI. The TD has one vCPU: what is not for it is lost, as with a missing
    /// processor.
    fn send(&mut self, value: u64) -> Effect {
        const DELIVERY_STATUS: u64 = 1 << 12;
        self.icr = value & !DELIVERY_STATUS;
        let (vector, destination) = (value as u8, (value >> 32) as u32);
        let is_logical = value >> 11 & 1 == 1;
        let for_us = match value >> 18 & 3 {
            0 if destination == u32::MAX => true,
            0 if is_logical => {
                destination >> 16 == self.id >> 4 && destination & 1 << (self.id & 15) != 0
            }
            0 => destination == self.id,
            1 | 2 => true,
            _ => false,
        };
        match value >> 8 & 7 {
            // Fixed, lowest priority.
            0 | 1 if for_us && vector >= 16 && self.svr & ENABLED != 0 => Effect::Interrupt(vector),
            4 if for_us => Effect::Nmi,
            // INIT, SIPI and SMI do not reach a TD vCPU. [ABI-H 5.9]
            _ => Effect::None,
        }
    }

    fn current_count(&self, now_ns: u64) -> u32 {
        if !self.counts {
            return 0;
        }
        let passed = now_ns.saturating_sub(self.started_ns) / self.tick_ns();
        let initial = u64::from(self.initial_count);
        let left = match self.mode() {
            PERIODIC => initial - passed % initial.max(1),
            ONE_SHOT => initial.saturating_sub(passed),
            _ => 0,
        };
        left as u32
    }

    fn tick_ns(&self) -> u64 {
        let code = self.divide & 3 | self.divide >> 1 & 4;
        BUS_CYCLE_NS << ((code + 1) & 7)
    }

    fn period_ns(&self) -> u64 {
        (u64::from(self.initial_count) * self.tick_ns()).max(1)
    }
}

const fn lvt_index(msr: u32) -> usize {
    (msr - register::LVT_TIMER) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(ns: u64) -> Now {
        Now { ns, tsc: ns }
    }

    fn enabled() -> Lapic {
        let mut lapic = Lapic::new(0);
        assert_eq!(lapic.write(register::SVR, 0x1FF, at(0)), Some(Effect::None));
        lapic
    }

    #[test]
    fn identity_is_that_of_the_vcpu() {
        let lapic = Lapic::new(0x23);
        assert_eq!(lapic.read(0x802, at(0)), Some(0x23));
        assert_eq!(lapic.read(0x803, at(0)), Some(0x5_0014));
        assert_eq!(lapic.read(0x80D, at(0)), Some(2 << 16 | 1 << 3));
    }

    #[test]
    fn registers_that_the_module_has_are_not_here() {
        let mut lapic = enabled();
        for msr in [0x800, 0x801, 0x808, 0x80A, 0x80B, 0x80E, 0x810, 0x827, 0x82F, 0x831, 0x83F] {
            assert_eq!(lapic.read(msr, at(0)), None, "{msr:#x}");
            assert_eq!(lapic.write(msr, 0, at(0)), None, "{msr:#x}");
        }
        for read_only in [0x802, 0x803, 0x80D, 0x839] {
            assert_eq!(lapic.write(read_only, 0, at(0)), None, "{read_only:#x}");
        }
        assert_eq!(lapic.write(0x838, 1 << 32, at(0)), None);
        assert_eq!(lapic.write(0x828, 1, at(0)), None);
    }

    #[test]
    fn a_masked_timer_is_read_back() {
        let mut lapic = Lapic::new(0);
        assert_eq!(lapic.read(0x832, at(0)), Some(1 << 16));
        lapic.write(0x832, 1 << 16 | 0xE1, at(0)).unwrap();
        assert_eq!(lapic.read(0x832, at(0)), Some(1 << 16 | 0xE1));
    }

    #[test]
    fn a_one_shot_timer_fires_once_at_25_mhz() {
        let mut lapic = enabled();
        lapic.write(0x83E, 0b1011, at(0)).unwrap(); // divide by 1
        lapic.write(0x832, 0x40, at(0)).unwrap();
        lapic.write(0x838, 25, at(1000)).unwrap();
        assert_eq!(lapic.read(0x839, at(1400)), Some(15));
        assert!(lapic.will_interrupt());
        assert_eq!(lapic.expire(at(1999)), None);
        assert_eq!(lapic.expire(at(2000)), Some(0x40));
        assert_eq!(lapic.expire(at(9000)), None);
        assert!(!lapic.will_interrupt());
    }

    #[test]
    fn a_periodic_timer_keeps_its_beat() {
        let mut lapic = enabled();
        lapic.write(0x83E, 0, at(0)).unwrap(); // divide by 2
        lapic.write(0x832, 1 << 17 | 0x41, at(0)).unwrap();
        lapic.write(0x838, 10, at(0)).unwrap();
        assert_eq!(lapic.expire(at(2500)), Some(0x41));
        assert_eq!(lapic.expire(at(3199)), None);
        assert_eq!(lapic.expire(at(3200)), Some(0x41));
    }

    #[test]
    fn a_deadline_is_a_time_stamp() {
        let mut lapic = enabled();
        lapic.write(TSC_DEADLINE, 50, at(0)).unwrap();
        assert_eq!(lapic.read(TSC_DEADLINE, at(0)), Some(0));
        lapic.write(0x832, 2 << 17 | 0x42, at(0)).unwrap();
        lapic.write(TSC_DEADLINE, 50, at(0)).unwrap();
        assert_eq!(lapic.expire(at(49)), None);
        assert_eq!(lapic.expire(at(50)), Some(0x42));
        assert_eq!(lapic.read(TSC_DEADLINE, at(51)), Some(0));
    }

    #[test]
    fn an_ipi_to_oneself_comes_back_and_others_are_lost() {
        let mut lapic = enabled();
        for (icr, effect) in [
            (0x41, Effect::Interrupt(0x41)),
            (1 << 32 | 0x41, Effect::None),
            (u64::from(u32::MAX) << 32 | 0x41, Effect::Interrupt(0x41)),
            (1 << 18 | 0x42, Effect::Interrupt(0x42)),
            (2 << 18 | 0x43, Effect::Interrupt(0x43)),
            (3 << 18 | 0x44, Effect::None),
            (1 << 11 | 1 << 32 | 0x45, Effect::Interrupt(0x45)),
            (1 << 11 | 2 << 32 | 0x45, Effect::None),
            (4 << 8, Effect::Nmi),
            (5 << 8, Effect::None),
            (6 << 8 | 8, Effect::None),
            (0x0F, Effect::None),
        ] {
            assert_eq!(lapic.write(0x830, icr, at(0)), Some(effect), "{icr:#x}");
        }
        assert_eq!(lapic.read(0x830, at(0)), Some(0x0F));
    }

    proptest! {
        #[test]
        fn no_sequence_of_writes_panics(
            writes in prop::collection::vec((0x800..0x840_u32, any::<u64>(), any::<u64>()), 0..40)
        ) {
            let mut lapic = Lapic::new(0);
            for (msr, value, ns) in writes {
                let msr = if msr == 0x800 { TSC_DEADLINE } else { msr };
                let value = if ns & 1 == 0 { value } else { value & 0xFFFF_FFFF };
                let _ = lapic.write(msr, value, at(ns));
                let _ = lapic.expire(at(ns.wrapping_mul(3)));
                for msr in 0x800..0x840 {
                    let _ = lapic.read(msr, at(ns));
                }
            }
        }
    }
}
