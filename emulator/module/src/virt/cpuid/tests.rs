use abi::attributes::Attributes;
use proptest::prelude::*;

use super::*;
use crate::virt::features::tests::{minimal, permissive};
use crate::virt::platform::tests::{boastful, tcg};
use crate::virt::tests::long_mode;

fn vcpu() -> CpuidVcpu<'static> {
    CpuidVcpu { index: 0, xss: 0, supervisor_ve: false, user_ve: false, control: &[0; 128] }
}

fn on(leaf: u32, subleaf: u32, td: &TdFeatures, native: &NativeCpuid<'_>) -> CpuidAnswer {
    answer(leaf, subleaf, td, &long_mode(), &vcpu(), native)
}

fn values(leaf: u32, subleaf: u32, td: &TdFeatures, native: &NativeCpuid<'_>) -> [u32; 4] {
    match on(leaf, subleaf, td, native) {
        CpuidAnswer::Values(values) => values,
        CpuidAnswer::Ve => panic!("#VE for {leaf:#x}.{subleaf:#x}"),
    }
}

#[test]
fn leaves_without_a_row_and_faulting_rows_give_ve() {
    let leaves = [
        (0x2, 0),
        (0x4, 5),
        (0x6, 0),
        (0x7, 3),
        (0x9, 0),
        (0xb, 0),
        (0xc, 0),
        (0xd, 0x13),
        (0xf, 0),
        (0x10, 0),
        (0x14, 2),
        (0x16, 0),
        (0x17, 0),
        (0x18, 0),
        (0x1a, 0),
        (0x1b, 0),
        (0x1d, 2),
        (0x1f, 0),
        (0x1f, 5),
        (0x1f, 6),
        (0x21, 1),
        (0x23, 4),
        (0x4000_0000, 0),
        (0x4fff_ffff, 0),
        (0x8000_0002, 0),
        (0x8000_0005, 0),
        (0x8000_0006, 0),
        (0x24, 4),
        (0x7fff_ffff, 9),
        (0x8000_0009, 4),
    ];
    for (leaf, subleaf) in leaves {
        assert_eq!(
            on(leaf, subleaf, &permissive(7), &boastful),
            CpuidAnswer::Ve,
            "{leaf:#x}.{subleaf:#x}"
        );
    }
}

#[test]
fn a_leaf_beyond_the_last_is_leaf_0x23_with_the_same_sub_leaf() {
    let td = permissive(7);
    for leaf in [0x24, 0x3fff_ffff, 0x5000_0000, 0x7fff_ffff, 0x8000_0009, 0x8000_000a, 0xffff_ffff]
    {
        for subleaf in 0..5 {
            assert_eq!(
                on(leaf, subleaf, &td, &boastful),
                on(0x23, subleaf, &td, &boastful),
                "{leaf:#x}"
            );
        }
    }
}

#[test]
fn fixed_leaves_have_the_values_of_the_reference() {
    let td = minimal();
    let expected = [
        (0x0, 0, [0x23, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        (0x3, 0, [0; 4]),
        (0x4, 0, [0, 0x3f, 0, 0]),
        (0x4, 4, [0; 4]),
        (0x5, 0, [0; 4]),
        (0x12, 7, [0; 4]),
        (0x15, 0, [1, 100, 25_000_000, 0]),
        (0x19, 0, [0; 4]),
        (0x21, 0, [0, 0x6574_6e49, 0x2020_2020, 0x5844_546c]),
        (0x22, 0, [0; 4]),
        (0x8000_0000, 0, [0x8000_0008, 0, 0, 0]),
        (0x8000_0001, 0, [0, 0, 0x121, 0x2c10_0800]),
        (0x8000_0007, 0, [0, 0, 0, 0x100]),
        (0x8000_0008, 0, [0x3034, 0, 0, 0]),
    ];
    for (leaf, subleaf, expected) in expected {
        assert_eq!(values(leaf, subleaf, &td, &boastful), expected, "{leaf:#x}.{subleaf:#x}");
        assert_eq!(values(leaf, subleaf, &td, &tcg), expected, "{leaf:#x}.{subleaf:#x} on TCG");
    }
}

#[test]
fn leaf_1_on_tcg_shows_what_tcg_executes() {
    let mode = CpuMode { cr4: 0x660, ..long_mode() };
    let vcpu = CpuidVcpu { index: 0x1_02, ..vcpu() };
    let answer = answer(1, 9, &permissive(7), &mode, &vcpu, &tcg);
    // ECX: SSE3 PCLMUL MONITOR SSSE3 FMA CX16 PDCM SSE4.1/2 x2APIC MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
    assert_eq!(answer, CpuidAnswer::Values([0x663, 0x0200_0800, 0xf6f8_b20b, 0x0f89_fbfd]));
    let [_, _, ecx, edx] = values(1, 0, &minimal(), &tcg);
    assert_eq!(ecx & (1 << 3 | 1 << 12 | 1 << 28 | 1 << 29), 0, "not allowed, no AVX");
    assert_eq!(edx & 0xb844_0000, 0);
}

#[test]
fn leaf_1_follows_the_vmm_the_vcpu_and_the_table() {
    let mut td = permissive(7);
    td.cpuid_config[0] = [0x000c_06f1, 0x0012_0000, 0, 0];
    let [eax, ebx, ecx, edx] = values(1, 0, &td, &boastful);
    assert_eq!((eax, ebx), (0x000c_06f1, 0x0012_0800));
    // What every TDX host has (no PCID), FMA by XFAM, OSXSAVE by CR4, and the hypervisor bit.
    assert_eq!(ecx, 0x46f8_a217 | 1 << 12 | 1 << 27 | 1 << 31);
    assert_eq!(edx, 0x07a9_fbff);
    let fms = |platform| values(1, 0, &permissive(7), &move |_, _| [platform; 4])[0];
    assert_eq!(fms(0xffff_ffff), 0x0fff_3fff);
}

#[test]
fn os_bits_follow_cr4() {
    let td = permissive(0x203);
    let with = |cr4| {
        let mode = CpuMode { cr4, ..long_mode() };
        let of = |leaf| match answer(leaf, 0, &td, &mode, &vcpu(), &boastful) {
            CpuidAnswer::Values(values) => values[2],
            CpuidAnswer::Ve => 0,
        };
        (of(1) >> 27 & 1, of(7) >> 4 & 1)
    };
    assert_eq!((with(0), with(1 << 18), with(1 << 22)), ((0, 0), (1, 0), (0, 1)));
}

#[test]
fn leaf_7_masks_by_the_vmm_xfam_and_attributes() {
    let all = permissive(0x0006_dbe7);
    assert_eq!(values(7, 0, &all, &boastful), [2, 0xffbf_bbf9, 0x1b41_7fef, 0xffdd_453c]);
    let mut td = permissive(3);
    td.attributes = Attributes::PKS;
    let [_, ebx, ecx, edx] = values(7, 0, &td, &boastful);
    assert_eq!(ebx, 0xffbf_bbf9 & !(0xdc23_0000 | 0x0200_0020));
    assert_eq!(ecx, 0x1b41_7fef & !(0x0000_5842 | 0x600 | 8 | 0x80) | 1 << 31);
    assert_eq!(edx, 0xffdd_453c & !(0x0080_010c | 0x0010_0000 | 0x20 | 0x0008_0000 | 0x0340_0000));
    assert_eq!(values(7, 0, &minimal(), &boastful)[1], 0x2194_20c1);
    assert_eq!(values(7, 1, &all, &boastful), [0x1d30, 0, 0, 0]);
    assert_eq!(values(7, 1, &permissive(7), &boastful), [0x1d00, 0, 0, 0]);
    assert_eq!(values(7, 2, &all, &boastful), [0, 0, 0, 0x3f]);
    assert_eq!(values(7, 2, &minimal(), &tcg), [0, 0, 0, 0x17]);
}

#[test]
fn la57_and_the_linear_width_agree() {
    let td = permissive(7);
    assert!(shows(Feature::La57, &td, &tcg) && !shows(Feature::La57, &minimal(), &tcg));
    assert_eq!(values(0x8000_0008, 0, &td, &tcg)[0], 0x3934);
    assert_eq!(values(0x8000_0008, 0, &minimal(), &tcg)[0], 0x3034);
}

#[test]
fn leaf_5_is_there_only_with_monitor() {
    assert_eq!(values(5, 0, &permissive(3), &tcg), [0, 0, 3, 0]);
    assert_eq!(values(5, 0, &permissive(3), &boastful), [0xffff, 0xffff, 3, u32::MAX]);
    assert_eq!(values(5, 0, &minimal(), &tcg), [0; 4]);
}

#[test]
fn xsave_leaves_follow_xfam_and_xcr0() {
    let td = permissive(7);
    let size = |xcr0, subleaf, native: &NativeCpuid<'_>| match answer(
        0xd,
        subleaf,
        &td,
        &CpuMode { xcr0, ..long_mode() },
        &vcpu(),
        native,
    ) {
        CpuidAnswer::Values(values) => values,
        CpuidAnswer::Ve => panic!("leaf 0xD has rows"),
    };
    assert_eq!(size(1, 0, &tcg), [7, 576, 832, 0]);
    assert_eq!(size(7, 0, &tcg), [7, 832, 832, 0]);
    assert_eq!(size(7, 1, &tcg), [5, 0, 0, 0], "no XSAVEC, no compacted size");
    assert_eq!(size(7, 2, &tcg), [0x100, 0x240, 0, 0]);
    let compacting = |leaf, subleaf| {
        if (leaf, subleaf) == (0xd, 1) { [0xf, 1, 2, 3] } else { tcg(leaf, subleaf) }
    };
    assert_eq!(size(7, 1, &compacting), [0xf, 832, 0, 0]);
    let xfd = |leaf, subleaf| match (leaf, subleaf) {
        (0xd, 1) => [0x1f, 0, 0, 0],
        (0xd, 2) => [0x100, 0x240, 4, 0],
        _ => tcg(leaf, subleaf),
    };
    assert_eq!(size(7, 1, &xfd)[0], 0x1f);
    assert_eq!(values(0xd, 1, &permissive(3), &xfd)[0], 0xf, "XFD only for state of the TD");
    assert!(shows(Feature::Xfd, &td, &xfd) && !shows(Feature::Xfd, &permissive(3), &xfd));
    assert_eq!(values(0xd, 0, &permissive(3), &tcg)[..3], [3, 576, 576]);
    assert_eq!(values(0xd, 2, &permissive(3), &tcg), [0; 4]);
    assert_eq!(values(0xd, 9, &permissive(0x203), &boastful), [u32::MAX, u32::MAX, u32::MAX, 0]);
    assert_eq!(values(0xd, 1, &permissive(0x0006_dbe7), &boastful)[2], 0xd900);
}

#[test]
fn whole_leaves_follow_attributes_and_xfam() {
    let all = TdFeatures { attributes: Attributes::PERFMON, ..permissive(0x0006_dbe7) };
    let expected = [
        (0xa, 0, [u32::MAX, u32::MAX, u32::MAX, 0x9fff]),
        (0x14, 0, [1, 0x1ff, 0x8000_000f, 0]),
        (0x14, 1, [0xffff_0007, u32::MAX, 0, 0]),
        (0x1c, 0, [u32::MAX; 4]),
        (0x1d, 1, [u32::MAX; 4]),
    ];
    for (leaf, subleaf, expected) in expected {
        assert_eq!(values(leaf, subleaf, &all, &boastful), expected, "{leaf:#x}");
        assert_eq!(values(leaf, subleaf, &permissive(7), &boastful), [0; 4], "{leaf:#x}");
    }
    assert_eq!(values(0x1e, 0, &minimal(), &boastful), [u32::MAX; 4], "not masked by XFAM");
    assert_eq!(values(0x23, 0, &minimal(), &boastful), [0, u32::MAX, 0, 0], "nor by PERFMON");
}

#[test]
fn the_guest_can_ask_for_ve_by_row_and_by_privilege() {
    let mut control = [0; 128];
    control[10] = 1;
    control[53] = 2;
    let asked = |leaf, cpl, vcpu: &CpuidVcpu<'_>| {
        let mode = CpuMode { cpl, ..long_mode() };
        answer(leaf, 0, &minimal(), &mode, vcpu, &tcg) == CpuidAnswer::Ve
    };
    let rows = CpuidVcpu { control: &control, ..vcpu() };
    assert_eq!((asked(0, 0, &rows), asked(0, 3, &rows)), (true, false));
    assert_eq!((asked(0x21, 0, &rows), asked(0x21, 3, &rows)), (false, true));
    let supervisor = CpuidVcpu { supervisor_ve: true, ..vcpu() };
    assert_eq!((asked(0, 0, &supervisor), asked(0, 1, &supervisor)), (true, false));
    let user = CpuidVcpu { user_ve: true, ..vcpu() };
    assert_eq!((asked(0, 0, &user), asked(0, 3, &user)), (false, true));
}

#[test]
fn syscall_shows_in_64_bit_code_only() {
    let mode = CpuMode { long64: false, ..long_mode() };
    let answer = answer(0x8000_0001, 0, &minimal(), &mode, &vcpu(), &tcg);
    assert_eq!(answer, CpuidAnswer::Values([0, 0, 0x121, 0x2c10_0000]));
}

#[test]
fn a_configuration_is_refused_at_its_first_wrong_entry() {
    let good = permissive(3).cpuid_config;
    assert_eq!(check_config(&good, 0x663), Ok(()));
    let with = |entry: usize, register: usize, value| {
        let mut config = good;
        config[entry][register] = value;
        check_config(&config, 0x8000_0663)
    };
    assert_eq!((with(0, 0, 0x663), with(0, 0, 0x664)), (Ok(()), Err((1, u32::MAX))));
    assert_eq!(with(0, 2, 1 << 5), Err((1, u32::MAX)));
    assert_eq!(with(3, 1, 0xfff), Err((4, 2)));
    assert_eq!(
        (with(7, 0, 1), with(9, 1, 1 << 8)),
        (Err((0xa, u32::MAX)), Err((0x8000_0008, u32::MAX)))
    );
    assert_eq!((with(11, 0, 0x10), with(4, 3, 7)), (Err((0x23, 0)), Ok(())));
}

fn any_td() -> impl Strategy<Value = TdFeatures> {
    (any::<u64>(), any::<u64>(), any::<[u32; 16]>()).prop_map(|(attributes, xfam, bits)| {
        TdFeatures {
            attributes: Attributes::from_bits_retain(attributes),
            cpuid_config: std::array::from_fn(|i| std::array::from_fn(|j| bits[(i + 4 * j) % 16])),
            ..permissive(xfam)
        }
    })
}

fn any_leaf() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..0x30_u32,
        0x8000_0000..0x8000_0020_u32,
        0x4000_0000..0x4000_0100_u32,
        any::<u32>()
    ]
}

proptest! {
    #[test]
    fn no_leaf_panics_and_no_answer_names_another_hypervisor(
        td in any_td(), leaf in any_leaf(), subleaf in prop_oneof![0..24_u32, any::<u32>()],
        seed: u32, xcr0: u64, index: u32,
    ) {
        let native = |leaf: u32, subleaf: u32| {
            let base = seed.wrapping_mul(leaf | 1).rotate_left(subleaf % 32);
            [base, base.rotate_left(8), base.rotate_left(16), !base]
        };
        let vcpu = CpuidVcpu { index, ..vcpu() };
        let mode = CpuMode { xcr0, ..long_mode() };
        for native in [&native as &NativeCpuid<'_>, &boastful, &tcg] {
            let answer = answer(leaf, subleaf, &td, &mode, &vcpu, native);
            if (0x4000_0000..0x5000_0000).contains(&leaf) {
                prop_assert_eq!(answer, CpuidAnswer::Ve);
            }
            let CpuidAnswer::Values([_, ebx, ecx, edx]) = answer else { continue };
            match (leaf, subleaf) {
                (1, _) => {
                    prop_assert_eq!(ecx & (1 << 5 | 1 << 6), 0, "VMX, SMX");
                    prop_assert_eq!((ecx >> 31, ebx >> 24), (1, index & 0xff));
                }
                (7, 0) => prop_assert_eq!((ebx & 1 << 2, ecx & (1 << 23 | 1 << 30)), (0, 0), "SGX, KL"),
                (0x8000_0001, _) => prop_assert_eq!((ecx & 1 << 2, edx >> 29), (0, 1), "SVM, LM"),
                _ => {}
            }
        }
    }

    #[test]
    fn a_feature_that_the_cpu_lacks_is_shown_only_if_the_module_supplies_it(td in any_td()) {
        for (leaf, subleaf, supplied) in [(1, 0, [0, 0, 1 << 15 | 1 << 21 | 1 << 31, 1 << 9]), (7, 0, [2, 0, 0, 0xfc04_0400])] {
            let bare = |leaf: u32, _: u32| if leaf == 0 { [0x20, 0, 0, 0] } else { [0; 4] };
            let td = TdFeatures { attributes: Attributes::empty(), ..td.clone() };
            let mode = CpuMode { cr4: 0, ..long_mode() };
            let CpuidAnswer::Values(values) = answer(leaf, subleaf, &td, &mode, &vcpu(), &bare) else {
                panic!("leaf {leaf:#x} has a row");
            };
            for register in if leaf == 1 { 2..4 } else { 0..4 } {
                prop_assert_eq!(values[register] & !supplied[register], 0);
            }
        }
    }

    #[test]
    fn a_wider_configuration_never_hides_a_feature(xfam: u64, registers: [u32; 4]) {
        let (narrow, mut wide) = (permissive(xfam & 7), permissive(7));
        wide.cpuid_config[5] = narrow.cpuid_config[5].map(|bits| bits | registers[0]);
        let (less, more) = (values(7, 0, &narrow, &boastful), values(7, 0, &wide, &boastful));
        for (less, more) in less.iter().zip(more) {
            prop_assert_eq!(less & !more, 0);
        }
    }
}
