use proptest::prelude::*;

use super::*;
use crate::virt::features::tests::{minimal, permissive};
use crate::virt::platform::tests::{boastful, tcg};
use crate::virt::tests::{long_mode, reset};

#[test]
fn cr0_of_the_reset_state_is_what_the_guest_reads() {
    assert_eq!((reset().cr0, reset().cr4), (CR0_INIT, CR4_INIT));
}

#[test]
fn cr0_writes_follow_the_table_in_its_order() {
    let mode = long_mode();
    let cases = [
        (mode.cr0, CrWrite::Write(mode.cr0)),
        (mode.cr0 | CR0_TS | 2, CrWrite::Write(mode.cr0 | CR0_TS | 2)),
        (mode.cr0 & !CR0_ET, CrWrite::Write(mode.cr0)),
        (mode.cr0 & !CR0_WP, CrWrite::Write(mode.cr0 & !CR0_WP)),
        (mode.cr0 & !CR0_NE, CrWrite::Gp),
        (mode.cr0 & !CR0_NE | CR0_CD, CrWrite::Gp),
        (mode.cr0 | 1 << 32, CrWrite::Gp),
        (mode.cr0 & !CR0_PE, CrWrite::Gp),
        (mode.cr0 & !(CR0_PE | CR0_PG), CrWrite::Ve),
        (mode.cr0 | CR0_CD, CrWrite::Ve),
        (mode.cr0 | CR0_NW, CrWrite::Ve),
        (mode.cr0 | CR0_NW | CR0_CD, CrWrite::Ve),
        (mode.cr0 | 0x1ffa_ffc0, CrWrite::Write(mode.cr0)),
        (mode.cr0 & !CR0_PG, CrWrite::Gp),
    ];
    for (new, expected) in cases {
        assert_eq!(write_cr0(new, &mode), expected, "{new:#x}");
    }
}

#[test]
fn paging_needs_pae_and_ends_only_outside_64_bit_code() {
    let paging = CR0_INIT | CR0_PG;
    assert_eq!(write_cr0(paging, &reset()), CrWrite::Gp);
    let ready = CpuMode { cr4: CR4_INIT | CR4_PAE, ..reset() };
    assert_eq!(write_cr0(paging, &ready), CrWrite::Write(paging));
    let compatibility = CpuMode { long64: false, ..long_mode() };
    let off = compatibility.cr0 & !CR0_PG;
    assert_eq!(write_cr0(off, &compatibility), CrWrite::Write(off));
    assert_eq!(efer_for_cr0(EFER_INIT, paging), 0xd01);
    assert_eq!(efer_for_cr0(0xd01, CR0_INIT), EFER_INIT);
}

#[test]
fn wp_stays_while_cet_is_on() {
    let mode = CpuMode { cr4: long_mode().cr4 | CR4_CET, ..long_mode() };
    assert_eq!(write_cr0(mode.cr0 & !CR0_WP, &mode), CrWrite::Gp);
}

#[test]
fn cr4_writes_follow_the_table_in_its_order() {
    let (td, mode) = (minimal(), long_mode());
    let cases = [
        (mode.cr4, CrWrite::Write(mode.cr4)),
        (mode.cr4 | 1 << 7, CrWrite::Write(mode.cr4 | 1 << 7)),
        (mode.cr4 & !CR4_MCE, CrWrite::Ve),
        (mode.cr4 & !(CR4_MCE | CR4_PAE), CrWrite::Ve),
        (mode.cr4 | CR4_VMXE, CrWrite::Ve),
        (mode.cr4 | CR4_SMXE, CrWrite::Ve),
        (mode.cr4 & !CR4_MCE | 1 << 15, CrWrite::Gp),
        (mode.cr4 | 1 << 26, CrWrite::Gp),
        (mode.cr4 | 1 << 63, CrWrite::Gp),
        (mode.cr4 | 1 << 17, CrWrite::Gp), // PCIDE
        (mode.cr4 | 1 << 19, CrWrite::Gp), // KL
        (mode.cr4 | CR4_PKE, CrWrite::Gp),
        (mode.cr4 | CR4_CET, CrWrite::Gp),
        (mode.cr4 | CR4_PKS, CrWrite::Gp),
        (mode.cr4 | 1 << 25, CrWrite::Gp), // UINTR
        (mode.cr4 & !CR4_PAE, CrWrite::Gp),
        (mode.cr4 | CR4_LA57, CrWrite::Gp),
        (0, CrWrite::Ve),
    ];
    for (new, expected) in cases {
        assert_eq!(write_cr4(new, &mode, &td, &tcg), expected, "{new:#x}");
    }
}

#[test]
fn cr4_bits_follow_the_cpu_xfam_and_attributes() {
    let mut td = permissive(0x203);
    assert_eq!(cr4_available(&td, &tcg) & (CR4_PKE | CR4_PKS), CR4_PKE);
    td.attributes = abi::attributes::Attributes::PKS;
    assert_eq!(cr4_available(&td, &boastful) & (CR4_PKE | CR4_PKS), CR4_PKE | CR4_PKS);
    assert_eq!(cr4_available(&td, &|_, _| [0; 4]), 0x7fc);
    let set = |new| write_cr4(new, &reset(), &td, &boastful);
    assert_eq!(set(CR4_MCE | CR4_LA57), CrWrite::Write(CR4_MCE | CR4_LA57));
}

#[test]
fn lmsw_and_clts_touch_only_mp_em_ts() {
    assert_eq!(lmsw(0x8001_0033, 0xfff0), 0x8001_0031);
    assert_eq!(lmsw(0x8001_0033, 0x000f), 0x8001_003f);
    assert_eq!(clts(0x8001_003b), 0x8001_0033);
}

#[test]
fn efer_gives_up_only_sce() {
    assert_eq!(read_efer(0x1d01), 0xd01);
    assert_eq!(write_efer(0x900, 0xd01), CrWrite::Write(0xd00));
    assert_eq!(write_efer(0xd01, 0x901), CrWrite::Write(0x901));
    for new in [0x001, 0x101, 0x801, 0x1901, 0x2901, 0xffff_ffff_0000_0d01] {
        assert_eq!(write_efer(new, 0xd01), CrWrite::Ve, "{new:#x}");
    }
}

proptest! {
    #[test]
    fn what_is_written_keeps_what_a_td_must_have(new: u64, cr0: u64, cr4: u64, long64: bool) {
        let mode = CpuMode { cr0: cr0 | 0x31, cr4: cr4 | CR4_MCE, long64, ..long_mode() };
        if let CrWrite::Write(value) = write_cr0(new, &mode) {
            prop_assert_eq!(value & 0x31, 0x31);
            prop_assert_eq!(value & (CR0_CD | CR0_NW), 0);
            prop_assert!(value & CR0_PG == 0 || mode.cr4 & CR4_PAE != 0);
        }
        let td = permissive(7);
        if let CrWrite::Write(value) = write_cr4(new & 0x03ff_ffff | CR4_MCE, &mode, &td, &tcg) {
            prop_assert_eq!(value & !cr4_available(&td, &tcg), 0);
            prop_assert!(value & CR4_MCE != 0);
        }
    }
}
