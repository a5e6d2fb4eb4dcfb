//! The virtual VMX capability MSRs: what TD partitioning would offer an L1 VMM.
//! [ABI-G 8]
//!
//! They can be read although this module makes no L2 VMs, as on a real module with
//! NUM_L2_VMS = 0; VMX instructions are #UD all the same. The control MSRs follow the
//! module's L2 VMCS: a base value with the TD's choices, and a mask of what an L1 VMM
//! could change. Bits that the module takes from the CPU are those of every CPU with
//! VMX ("default1" of [SDM3 A.2-A.5]).

use abi::attributes::{Attributes, Xfam};

use super::cpuid::{self, Feature};
use super::{NativeCpuid, TdFeatures, cr};

/// RDMSR of IA32_VMX_*; `None` for an index that has no virtual value.
pub(super) fn read(index: u32, td: &TdFeatures, native: &NativeCpuid<'_>) -> Option<u64> {
    let shows = |feature, bit: u32| u32::from(cpuid::shows(feature, td, native)) << bit;
    let counters = td.attributes.intersects(Attributes::PERFMON.union(Attributes::DEBUG));
    let keys = td.attributes.intersects(Attributes::PKS.union(Attributes::DEBUG));
    let value = match index {
        0x480 => 0x01c0_0000_0000_0000,
        0x485 => 0x6004_40e0,
        0x486 => 0x20,
        0x487 => 0x8005_003f,
        0x488 => CR4_L2,
        0x489 => CR4_L2 | cr::cr4_available(td, native) & 0x03ff_1fbf,
        0x48b => {
            let chosen = shows(Feature::Waitpkg, 26) | shows(Feature::Pconfig, 27);
            allowed(0x1338_b3fa | chosen, 0x0051_3e0c | chosen)
        }
        0x48c => 0x0043_0001 | u64::from(td.has(Xfam::CET)) << 23,
        0x48d => allowed(0x29 | 0x16, 0),
        0x48e => {
            let mwait = shows(Feature::Monitor, 10) | shows(Feature::Monitor, 29);
            let rdpmc = u32::from(td.perfmon()) << 11;
            let exits = (1 << 10 | 1 << 29) & !mwait | 1 << 11 & !rdpmc;
            allowed(0x9122_0088 | 0x0400_6172 | exits, 0x48d9_9204 | rdpmc)
        }
        0x48f => {
            let switches = if counters { 1 << 12 | 1 << 30 } else { 0 };
            allowed(0x1f3c_8204 | 0x0003_6dfb | switches, 0)
        }
        0x490 => {
            let loads = u32::from(counters) << 13 | u32::from(keys) << 22;
            allowed(0x003e_c004 | 0x0000_11fb | loads, 0x200)
        }
        0x491 => 0,
        0x492 => 0x80 | 0xe,
        _ => return None,
    };
    Some(value)
}

/// CR4 of an L2 VM that no one may change: MCE and VMXE.
const CR4_L2: u64 = cr::CR4_MCE | cr::CR4_VMXE;

/// A control MSR: bits that must be 1 below, bits that may be 1 above.
const fn allowed(base: u32, variable: u32) -> u64 {
    ((base | variable) as u64) << 32 | (base & !variable) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::features::tests::{minimal, permissive};
    use crate::virt::platform::tests::tcg;

    #[test]
    fn fixed_values_are_those_of_the_reference() {
        let read = |index| read(index, &minimal(), &tcg);
        assert_eq!(read(0x480), Some(0x01c0_0000_0000_0000));
        assert_eq!(read(0x485), Some(0x6004_40e0));
        assert_eq!((read(0x486), read(0x487)), (Some(0x20), Some(0x8005_003f)));
        assert_eq!(read(0x491), Some(0));
        assert_eq!(read(0x481), None);
        assert_eq!(read(0x48b), Some(0x1379_bffe_1328_81f2));
        assert_eq!(read(0x48d), Some(0x3f_0000_003f));
    }

    #[test]
    fn what_must_be_1_may_be_1() {
        for td in [minimal(), permissive(7)] {
            for index in [0x48b, 0x48d, 0x48e, 0x48f, 0x490] {
                let value = read(index, &td, &tcg).unwrap();
                assert_eq!(value & 0xffff_ffff & !(value >> 32), 0, "{index:#x} {value:#x}");
            }
            let (fixed0, fixed1) =
                (read(0x488, &td, &tcg).unwrap(), read(0x489, &td, &tcg).unwrap());
            assert_eq!((fixed0, fixed0 & !fixed1), (0x2040, 0));
        }
    }
}
