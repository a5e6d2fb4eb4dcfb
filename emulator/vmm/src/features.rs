//! What a TD can have beyond KVM's defaults: instructions that are enumerated or served, a
//! device for tests, exits that are survived, and devices that are missing.

use bitflags::bitflags;

bitflags! {
    /// The names in the configuration, with `+` between them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u16 {
        /// `monitor`: CPUID shows MONITOR and MWAIT, as with QEMU's `-overcommit cpu-pm=on`.
        const MONITOR = 1 << 0;
        /// `pconfig`: CPUID shows PCONFIG, and Instruction.PCONFIG is served.
        const PCONFIG = 1 << 1;
        /// `wbinvd`: Instruction.WBINVD is served.
        const WBINVD = 1 << 2;
        /// `scratch-port`: see [`crate::vmcall::Scratch`].
        const SCRATCH_PORT = 1 << 3;
        /// `cross-td`: a TD whose TDG.SERVTD call met a fault of another TD goes on.
        const CROSS_TD = 1 << 4;
        /// `dirty-pages`: pages that the TD gets at run time hold something before.
        const DIRTY_PAGES = 1 << 5;
        /// `no-debug-exit`: nothing is at the port of QEMU's debug-exit device.
        const NO_DEBUG_EXIT = 1 << 6;
        /// `no-acpi`: nothing is at the ACPI ports that switch the machine off.
        const NO_ACPI = 1 << 7;
        /// `look`: see [`crate::vmcall::Look`].
        const LOOK = 1 << 8;
    }
}

impl Features {
    /// Names with `+` between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split('+').try_fold(Self::empty(), |features, name| {
            let feature = match name {
                "monitor" => Self::MONITOR,
                "pconfig" => Self::PCONFIG,
                "wbinvd" => Self::WBINVD,
                "scratch-port" => Self::SCRATCH_PORT,
                "cross-td" => Self::CROSS_TD,
                "dirty-pages" => Self::DIRTY_PAGES,
                "no-debug-exit" => Self::NO_DEBUG_EXIT,
                "no-acpi" => Self::NO_ACPI,
                "look" => Self::LOOK,
                _ => return None,
            };
            Some(features | feature)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_feature_and_no_other_word_does() {
        let names =
            "monitor+pconfig+wbinvd+scratch-port+cross-td+dirty-pages+no-debug-exit+no-acpi+look";
        assert_eq!(Features::parse(names), Some(Features::all()));
        assert_eq!(Features::parse("wbinvd"), Some(Features::WBINVD));
        for text in ["", "+", "wbinvd+", "WBINVD", "monitor,pconfig", "none"] {
            assert_eq!(Features::parse(text), None, "{text}");
        }
    }
}
