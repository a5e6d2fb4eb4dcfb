//! Instruction.CPUID: the leaves that the module leaves to the VMM. [TDVF 4.5]
//!
//! | leaf | answer |
//! |---|---|
//! | 0x40000000 | "KVMKVMKVM", last leaf 0x40000001 |
//! | 0x40000001 | EAX bit 1: no delay after port I/O is needed |
//! | other 0x4xxxxxxx | zeros |
//! | 0x6 | EAX bit 2: the APIC timer always runs |
//! | 0xB, 0x1F | one thread, one core, the x2APIC id |
//! | 0x2, 0x80000002-0x80000006 | the processor's own |
//! | everything else | zeros |
//!
//! A TD asks the VMM only for what the module does not answer, but it may ask for any leaf,
//! and no answer may be believed: so these tell nothing about the machine but its name and
//! its caches.

use crate::seam::Cpu;

/// "KVMKVMKVM", zero-padded.
const SIGNATURE: [u32; 3] = [0x4B4D_564B, 0x564B_4D56, 0x4D];
const LAST_HYPERVISOR_LEAF: u32 = 0x4000_0001;
const NO_IO_DELAY: u32 = 1 << 1;
const APIC_TIMER_ALWAYS_RUNS: u32 = 1 << 2;

/// {EAX, EBX, ECX, EDX} for the vCPU with this x2APIC id.
pub fn answer(cpu: &mut dyn Cpu, leaf: u32, subleaf: u32, x2apic_id: u32) -> [u32; 4] {
    match leaf {
        0x4000_0000 => [LAST_HYPERVISOR_LEAF, SIGNATURE[0], SIGNATURE[1], SIGNATURE[2]],
        0x4000_0001 => [NO_IO_DELAY, 0, 0, 0],
        0x6 => [APIC_TIMER_ALWAYS_RUNS, 0, 0, 0],
        0xB | 0x1F => topology(subleaf, x2apic_id),
        0x2 | 0x8000_0002..=0x8000_0006 => cpu.cpuid(leaf, subleaf),
        _ => [0; 4],
    }
}

/// Level 0: threads of a core; level 1: threads of the package; then nothing. [SDM3 10.9.1]
const fn topology(level: u32, x2apic_id: u32) -> [u32; 4] {
    let level = level & 0xFF;
    match level {
        0 | 1 => [0, 1, level | (level + 1) << 8, x2apic_id],
        _ => [0, 0, level, x2apic_id],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeCpu;
    use std::vec::Vec;

    #[test]
    fn the_hypervisor_is_kvm_by_name() {
        let [last, rest @ ..] = answer(&mut FakeCpu::default(), 0x4000_0000, 0, 0);
        assert_eq!(last, 0x4000_0001);
        let name: Vec<u8> = rest.into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(name, b"KVMKVMKVM\0\0\0");
    }

    #[test]
    fn other_leaves_are_as_the_table_says() {
        let mut cpu = FakeCpu::default();
        let mut ask = |leaf, subleaf| answer(&mut cpu, leaf, subleaf, 7);
        assert_eq!(ask(0xB, 0), [0, 1, 0x100, 7]);
        assert_eq!(ask(0x1F, 1), [0, 1, 0x201, 7]);
        assert_eq!(ask(0x1F, 2), [0, 0, 2, 7]);
        assert_eq!(ask(0x8000_0003, 0), [0x8000_0003, 0, 0x11, 0x22]);
        for leaf in [0, 1, 7, 0x16, 0x4000_0002, 0x4FFF_FFFF, 0x8000_0000, u32::MAX] {
            assert_eq!(ask(leaf, 0), [0; 4], "{leaf:#x}");
        }
    }
}
