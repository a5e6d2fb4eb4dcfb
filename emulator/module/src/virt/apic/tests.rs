use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn page() -> Box<VapicPage> {
    Box::new([0; 4096])
}

#[test]
fn the_register_table_is_that_of_the_reference() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    for index in 0x800..=0x8ff {
        let expected = match index {
            0x800 | 0x801 | 0x804..=0x807 | 0x829..=0x82e | 0x831 | 0x840..=0x8ff => {
                (ApicRead::Gp, ApicWrite::Gp)
            }
            0x802 | 0x803 | 0x80d | 0x80f | 0x828 | 0x82f | 0x830 | 0x832..=0x83e => {
                (ApicRead::Ve, ApicWrite::Ve)
            }
            0x808 | 0x80b => (ApicRead::Value(0), ApicWrite::Done),
            0x83f => (ApicRead::Value(0), ApicWrite::DoneThenVe(0x3f0)),
            _ => (ApicRead::Value(0), ApicWrite::Gp),
        };
        assert_eq!((apic.read_msr(index), apic.write_msr(index, 0)), expected, "{index:#x}");
    }
}

#[test]
fn reserved_bits_of_the_writable_registers_are_gp() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    for (index, value) in
        [(0x808, 0x100), (0x808, 1 << 63), (0x80b, 1), (0x83f, 0x130), (0x83f, 1 << 32)]
    {
        assert_eq!(apic.write_msr(index, value), ApicWrite::Gp, "{index:#x}");
    }
    assert_eq!(apic.deliverable(true, false), None);
    assert_eq!(apic.write_cr8(0x10), Err(Exception::Gp));
}

#[test]
fn a_self_ipi_below_16_is_a_trap_like_ve() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    assert_eq!(apic.write_msr(0x83f, 15), ApicWrite::DoneThenVe(0x3f0));
    assert_eq!(apic.read_msr(0x83f), ApicRead::Value(15));
    assert_eq!(apic.read_msr(0x820), ApicRead::Value(0));
    assert_eq!(apic.write_msr(0x83f, 16), ApicWrite::Done);
    assert_eq!(apic.deliverable(true, false), Some(16));
}

#[test]
fn if_and_the_shadow_hold_an_interrupt_back_but_not_vmxip() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    apic.post(0x30);
    assert_eq!((apic.deliverable(false, false), apic.deliverable(true, true)), (None, None));
    assert!(apic.pending_above_ppr());
    assert_eq!(apic.deliverable(true, false), Some(0x30));
}

#[test]
fn the_higher_class_nests_and_eoi_unwinds() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    apic.merge_pir(&[1 << 0x31 | 1 << 0x35, 1 << 0x10, 0, 0]);
    assert_eq!(apic.deliverable(true, false), Some(0x50));
    apic.deliver(0x50);
    assert_eq!(apic.read_msr(0x80a), ApicRead::Value(0x50));
    assert_eq!(apic.deliverable(true, false), None);
    apic.post(0x61);
    apic.deliver(0x61);
    assert_eq!(apic.write_msr(0x80b, 0), ApicWrite::Done);
    assert_eq!(
        (apic.read_msr(0x80a), apic.deliverable(true, false)),
        (ApicRead::Value(0x50), None)
    );
    assert_eq!(apic.write_msr(0x80b, 0), ApicWrite::Done);
    assert_eq!(apic.deliverable(true, false), Some(0x35));
    apic.deliver(0x35);
    assert_eq!(apic.deliverable(true, false), None, "0x31 is of the same class");
    assert_eq!(apic.read_msr(0x811), ApicRead::Value(1 << 0x15));
    assert_eq!(apic.read_msr(0x821), ApicRead::Value(1 << 0x11));
}

#[test]
fn cr8_is_the_class_of_tpr() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    apic.post(0x45);
    assert_eq!(apic.write_cr8(4), Ok(()));
    assert_eq!((apic.read_cr8(), apic.read_msr(0x808)), (4, ApicRead::Value(0x40)));
    assert_eq!(
        (apic.read_msr(0x80a), apic.deliverable(true, false)),
        (ApicRead::Value(0x40), None)
    );
    assert_eq!(apic.write_msr(0x808, 0x3f), ApicWrite::Done);
    assert_eq!((apic.read_cr8(), apic.deliverable(true, false)), (3, Some(0x45)));
}

#[test]
fn a_vector_below_16_is_posted_and_never_delivered() {
    let mut page = page();
    let mut apic = Vapic::new(&mut page);
    apic.merge_pir(&[0xffff, 0, 0, 0]);
    assert_eq!(apic.read_msr(0x820), ApicRead::Value(0xffff));
    assert!(!apic.pending_above_ppr() && apic.deliverable(true, false).is_none());
}

/// The APIC as sets of vectors.
#[derive(Default)]
struct Model {
    requested: BTreeSet<u8>,
    in_service: BTreeSet<u8>,
    tpr: u8,
}

impl Model {
    fn ppr(&self) -> u8 {
        let top = self.in_service.last().unwrap_or(&0) & 0xf0;
        if self.tpr & 0xf0 >= top { self.tpr } else { top }
    }

    fn next(&self) -> Option<u8> {
        self.requested.last().copied().filter(|vector| vector >> 4 > self.ppr() >> 4)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Post(u8),
    Pir([u64; 4]),
    SelfIpi(u8),
    Tpr(u8),
    Cr8(u8),
    Take,
    Eoi,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u8>().prop_map(Step::Post),
        (any::<[u64; 4]>(), any::<[u64; 4]>(), any::<[u64; 4]>())
            .prop_map(|(a, b, c)| Step::Pir(std::array::from_fn(|i| a[i] & b[i] & c[i]))),
        any::<u8>().prop_map(Step::SelfIpi),
        any::<u8>().prop_map(Step::Tpr),
        (0..16_u8).prop_map(Step::Cr8),
        Just(Step::Take),
        Just(Step::Take),
        Just(Step::Eoi),
        Just(Step::Eoi),
    ]
}

fn apply(step: &Step, apic: &mut Vapic<'_>, model: &mut Model) {
    match *step {
        Step::Post(vector) => {
            apic.post(vector);
            model.requested.insert(vector);
        }
        Step::Pir(pir) => {
            apic.merge_pir(&pir);
            let set = |vector: &u8| pir[usize::from(vector / 64)] >> (vector % 64) & 1 != 0;
            model.requested.extend((0..=255).filter(set));
        }
        Step::SelfIpi(vector) => {
            let _ = apic.write_msr(0x83f, vector.into());
            if vector >= 16 {
                model.requested.insert(vector);
            }
        }
        Step::Tpr(tpr) => {
            assert_eq!(apic.write_msr(0x808, tpr.into()), ApicWrite::Done);
            model.tpr = tpr;
        }
        Step::Cr8(class) => {
            assert_eq!(apic.write_cr8(class.into()), Ok(()));
            model.tpr = class << 4;
        }
        Step::Take => {
            if let Some(vector) = apic.deliverable(true, false) {
                apic.deliver(vector);
                model.requested.remove(&vector);
                model.in_service.insert(vector);
            }
        }
        Step::Eoi => {
            assert_eq!(apic.write_msr(0x80b, 0), ApicWrite::Done);
            model.in_service.pop_last();
        }
    }
}

fn registers(apic: &Vapic<'_>, first: u32) -> BTreeSet<u8> {
    let words: Vec<_> = (first..first + 8).map(|index| apic.read_msr(index)).collect();
    let is_set = |vector: &u8| match words[usize::from(vector / 32)] {
        ApicRead::Value(word) => word >> (vector % 32) & 1 != 0,
        _ => false,
    };
    (0..=255).filter(is_set).collect()
}

proptest! {
    #[test]
    fn the_apic_does_what_the_model_does(steps in prop::collection::vec(step(), 0..200)) {
        let (mut page, mut model) = (page(), Model::default());
        let mut apic = Vapic::new(&mut page);
        for step in &steps {
            prop_assert_eq!(apic.deliverable(true, false), model.next());
            apply(step, &mut apic, &mut model);
            prop_assert_eq!(registers(&apic, 0x820), model.requested.clone());
            prop_assert_eq!(registers(&apic, 0x810), model.in_service.clone());
            prop_assert_eq!(apic.pending_above_ppr(), model.next().is_some());
            prop_assert_eq!(apic.read_cr8(), u64::from(model.tpr >> 4));
            prop_assert_eq!(apic.read_msr(0x80a), ApicRead::Value(model.ppr().into()));
        }
    }

    #[test]
    fn no_access_to_any_page_panics(seed: u64, index: u32, value: u64, pir: [u64; 4], vector: u8) {
        let mut page = page();
        for (place, byte) in page.iter_mut().enumerate() {
            *byte = seed.rotate_left(u32::try_from(place % 63).unwrap()).to_le_bytes()[place % 8];
        }
        let mut apic = Vapic::new(&mut page);
        for index in [index, index & 0xff | 0x800] {
            let _ = (apic.read_msr(index), apic.write_msr(index, value), apic.write_cr8(value));
        }
        apic.merge_pir(&pir);
        apic.deliver(vector);
        let _ = apic.deliverable(true, false);
    }
}
