use abi::attributes::Attributes;
use proptest::prelude::*;

use super::super::msr_table::TABLE;
use super::*;
use crate::virt::features::tests::{minimal, permissive};
use crate::virt::platform::tests::{boastful, tcg};

const EFER: u64 = 0xd01;

fn rd(index: u32, td: &TdFeatures) -> MsrRead {
    read(index, td, &StoredMsrs::default(), &tcg)
}

fn wr(index: u32, value: u64, td: &TdFeatures) -> MsrWrite {
    write(index, value, EFER, td, &mut StoredMsrs::default(), &tcg)
}

#[test]
fn the_table_is_in_order() {
    for pair in TABLE.windows(2) {
        assert!(pair[0].first <= pair[0].last && pair[0].last < pair[1].first, "{pair:x?}");
    }
}

#[test]
fn an_msr_outside_the_table_gives_ve_both_ways() {
    let named = [
        0x1b,
        0x3a,
        0x3b,
        0x8b,
        0xfe,
        0x17,
        0x33,
        0xce,
        0xcf,
        0x179,
        0x1a4,
        0x200,
        0x250,
        0x2ff,
        0x400,
        0x606,
        0x6a1,
        0x6a3,
        0x770,
        0x1fff,
        0x2000,
        0x4b56_4d00,
        0x4000_0000,
        0xbfff_ffff,
        0xc000_0083,
        0xc000_0104,
        0xc000_1fff,
        0xc000_2000,
        0xc001_0015,
        0xffff_ffff,
        0,
    ];
    for index in named {
        assert_eq!(
            (rd(index, &minimal()), wr(index, 0, &minimal())),
            (MsrRead::Ve, MsrWrite::Ve),
            "{index:#x}"
        );
    }
}

#[test]
fn what_a_td_without_extras_has_not_is_gp_both_ways() {
    let absent = [
        0x87, 0x8c, 0x8f, 0x98, 0x9a, 0x9b, 0x9e, 0xc1, 0xc8, 0xe1, 0x122, 0x186, 0x195, 0x1a6,
        0x1c4, 0x1c5, 0x1f8, 0x1fa, 0x276, 0x309, 0x310, 0x329, 0x38d, 0x392, 0x3f1, 0x3f2, 0x3f6,
        0x3f7, 0x4c1, 0x500, 0x560, 0x572, 0x587, 0x6a0, 0x6a2, 0x6a8, 0x6e0, 0x6e1, 0x981, 0x98a,
        0xd90, 0xd93, 0x1200, 0x14cf, 0x15ff, 0x1600,
    ];
    for index in absent {
        assert_eq!(
            (rd(index, &minimal()), wr(index, 0, &minimal())),
            (MsrRead::Gp, MsrWrite::Gp),
            "{index:#x}"
        );
    }
}

#[test]
fn a_configured_feature_turns_gp_into_ve() {
    let td = permissive(3);
    for index in [0x87, 0x1f8, 0x6e0, 0x981] {
        let read = read(index, &td, &StoredMsrs::default(), &boastful);
        let write = write(index, 0, EFER, &td, &mut StoredMsrs::default(), &boastful);
        assert_eq!((read, write), (MsrRead::Ve, MsrWrite::Ve), "{index:#x}");
        assert_eq!(rd(index, &minimal()), MsrRead::Gp, "not if the VMM hides it: {index:#x}");
    }
    for index in [0x1f8, 0x6e0, 0x981] {
        assert_eq!(rd(index, &td), MsrRead::Gp, "not on a CPU without it: {index:#x}");
    }
}

#[test]
fn native_registers_go_to_the_cpu_after_its_checks() {
    let native = [
        (0x174, NativeMsr::SysenterCs),
        (0x175, NativeMsr::SysenterEsp),
        (0x176, NativeMsr::SysenterEip),
        (0x277, NativeMsr::Pat),
        (0xc000_0081, NativeMsr::Star),
        (0xc000_0082, NativeMsr::Lstar),
        (0xc000_0084, NativeMsr::Fmask),
        (0xc000_0100, NativeMsr::FsBase),
        (0xc000_0101, NativeMsr::GsBase),
        (0xc000_0102, NativeMsr::KernelGsBase),
        (0xc000_0103, NativeMsr::TscAux),
    ];
    for (index, msr) in native {
        assert_eq!(rd(index, &minimal()), MsrRead::Native(msr));
        assert_eq!(wr(index, 6, &minimal()), MsrWrite::Native(msr, 6));
    }
    let illegal = [
        (0x175, 1 << 56),
        (0x277, 0x0200),
        (0x277, 0x08 << 56),
        (0xc000_0082, 0x8000_0000_0000_0000),
        (0xc000_0084, 1 << 32),
        (0xc000_0101, 0x0100_0000_0000_0000),
        (0xc000_0103, 1 << 32),
        (0x600, 1 << 60),
        (0x48, 1 << 8),
        (0x48, 1 << 9),
        (0x49, 2),
        (0x10b, 2),
        (0x1b01, 2),
        (0xbd, 1),
        (0x10a, 0),
    ];
    for (index, value) in illegal {
        assert_eq!(wr(index, value, &minimal()), MsrWrite::Gp, "{index:#x} {value:#x}");
    }
    assert_eq!(
        wr(0xc000_0100, 0xff00_0000_0000_0000, &minimal()),
        MsrWrite::Native(NativeMsr::FsBase, 0xff00_0000_0000_0000)
    );
}

#[test]
fn tsc_reads_and_does_not_write() {
    assert_eq!(rd(0x10, &minimal()), MsrRead::Native(NativeMsr::Tsc));
    assert_eq!(wr(0x10, 0, &minimal()), MsrWrite::Ve);
}

#[test]
fn emulated_values_are_those_of_the_reference() {
    let values = [
        (0xbc, 1),
        (0xbd, 1),
        (0x10a, 0xf16b),
        (0x1a0, 0x41801),
        (0x1d9, 0),
        (0x345, 0),
        (0x480, 0x01c0_0000_0000_0000),
        (0x485, 0x6004_40e0),
        (0x486, 0x20),
        (0x487, 0x8005_003f),
        (0x488, 0x2040),
        (0x491, 0),
        (0xc80, 1 << 30),
        (0xda0, 0),
        (0x1b01, 0),
    ];
    for (index, value) in values {
        assert_eq!(rd(index, &minimal()), MsrRead::Value(value), "{index:#x}");
    }
    for index in 0x480..=0x492 {
        let hidden = matches!(index, 0x481..=0x484 | 0x48a);
        assert_eq!(rd(index, &minimal()) == MsrRead::Ve, hidden, "{index:#x}");
        assert_eq!(wr(index, 0, &minimal()), MsrWrite::Gp);
    }
    let td = TdFeatures { arch_capabilities_config: u64::MAX, ..minimal() };
    assert_eq!(rd(0x10a, &td), MsrRead::Value(0xf16b | 1 << 19));
}

#[test]
fn command_registers_take_their_command_and_do_not_read() {
    for index in [0x49, 0x10b] {
        assert_eq!(
            (rd(index, &minimal()), wr(index, 1, &minimal())),
            (MsrRead::Gp, MsrWrite::Done)
        );
    }
}

#[test]
fn stored_registers_read_back() {
    let (td, mut msrs) = (permissive(0x103), StoredMsrs::default());
    for (index, value) in
        [(0x48, 0x4ff), (0x600, 0x1000), (0x1b01, 1), (0xda0, 0x100), (0x1d9, 0xc2)]
    {
        assert_eq!(write(index, value, EFER, &td, &mut msrs, &tcg), MsrWrite::Done);
        assert_eq!(read(index, &td, &msrs, &tcg), MsrRead::Value(value), "{index:#x}");
    }
    assert_eq!(write(0xda0, 0x800, EFER, &td, &mut msrs, &tcg), MsrWrite::Gp);
    assert_eq!(msrs.xss, 0x100);
}

#[test]
fn debugctl_refuses_what_the_reference_refuses() {
    for (value, expected) in [
        (0, MsrWrite::Done),
        (3, MsrWrite::Done),
        (8, MsrWrite::Gp),
        (1 << 16, MsrWrite::Gp),
        (1 << 63, MsrWrite::Gp),
        (1 << 6, MsrWrite::Ve),
        (3 << 6, MsrWrite::Done),
        (1 << 6 | 8, MsrWrite::Gp),
    ] {
        assert_eq!(wr(0x1d9, value, &minimal()), expected, "{value:#x}");
    }
    let mut msrs = StoredMsrs::default();
    assert_eq!(write(0x1d9, 1 << 13, EFER, &minimal(), &mut msrs, &tcg), MsrWrite::Done);
    assert_eq!(msrs.debugctl, 0, "bit 13 is kept");
}

#[test]
fn efer_gives_up_only_sce() {
    assert_eq!(rd(0xc000_0080, &minimal()), MsrRead::Native(NativeMsr::Efer));
    assert_eq!(wr(0xc000_0080, 0x900, &minimal()), MsrWrite::Native(NativeMsr::Efer, 0xd00));
    assert_eq!(wr(0xc000_0080, 0x1, &minimal()), MsrWrite::Ve);
}

#[test]
fn the_whole_x2apic_range_is_the_apics() {
    for index in 0x800..=0x8ff {
        assert_eq!(
            (rd(index, &minimal()), wr(index, 0, &minimal())),
            (MsrRead::Apic, MsrWrite::Apic)
        );
    }
    assert_eq!((rd(0x7ff, &minimal()), rd(0x900, &minimal())), (MsrRead::Ve, MsrRead::Ve));
}

#[test]
fn a_register_that_the_td_may_use_and_the_cpu_lacks_is_gp() {
    let td = TdFeatures { attributes: Attributes::all(), ..permissive(0x0006_dbe7) };
    for index in [0xc1, 0x38f, 0x560, 0x6a0, 0x6e1, 0x985, 0x1200] {
        let access = read(index, &td, &StoredMsrs::default(), &boastful);
        assert_eq!(access, MsrRead::Gp, "{index:#x}");
    }
}

proptest! {
    #[test]
    fn no_access_panics_and_the_unknown_is_ve(index: u32, value: u64, attributes: u64, xfam: u64) {
        let td = TdFeatures { attributes: Attributes::from_bits_retain(attributes), ..permissive(xfam) };
        let mut msrs = StoredMsrs::default();
        let unknown = !TABLE.iter().any(|row| (row.first..=row.last).contains(&index));
        for native in [tcg, boastful] {
            let read = read(index, &td, &msrs, &native);
            let write = write(index, value, EFER, &td, &mut msrs, &native);
            prop_assert_eq!(unknown, read == MsrRead::Ve && write == MsrWrite::Ve && unknown);
        }
    }

    #[test]
    fn no_access_in_the_bitmaps_ranges_panics(low in 0_u32..0x2000, high: bool, value: u64) {
        let index = low | if high { 0xc000_0000 } else { 0 };
        let mut msrs = StoredMsrs::default();
        for td in [minimal(), permissive(u64::MAX)] {
            let _ = read(index, &td, &msrs, &boastful);
            let _ = write(index, value, EFER, &td, &mut msrs, &boastful);
        }
    }
}
