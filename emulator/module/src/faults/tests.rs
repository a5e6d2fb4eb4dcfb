use super::*;
use abi::Regs;
use abi::leaf::tdg;
use std::vec::Vec;

fn faults(rules: &[&str]) -> Faults {
    let mut faults = Faults::NONE;
    for rule in rules {
        assert_eq!(faults.add(rule), Ok(()), "{rule}");
    }
    faults
}

#[test]
fn every_kind_of_the_table_is_read() {
    let rule = |text: &str| {
        let Rule { place, nth, xor, operand, .. } = Rule::parse(text)?;
        Some((place, nth, xor, operand))
    };
    for (text, expected) in [
        ("ve.30:2:1:800040", (Place::Ve(30), 2, 1, Some(0x80_0040))),
        ("ve.10:0:ff", (Place::Ve(10), 0, 0xFF, None)),
        ("out.7.r8:1:40:1234", (Place::Output(7, Gpr::R8), 1, 0x40, Some(0x1234))),
        ("cpuid.4000000a.edx:1:1:0", (Place::Cpuid(0x4000_000A, 3), 1, 1, Some(0))),
        ("report.1023:1:80", (Place::Report(1023), 1, 0x80, None)),
        ("drop.2:0", (Place::Drop(2), 0, 0, None)),
        ("drop.22:1:1000", (Place::Drop(22), 1, 0, Some(0x1000))),
        ("keep:0", (Place::Keep, 0, 0, None)),
        ("keep:1:800000", (Place::Keep, 1, 0, Some(0x80_0000))),
    ] {
        assert_eq!(rule(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_fault_is_refused() {
    for text in [
        "",
        ":",
        "ve",
        "ve.30",
        "ve.30:1",
        "ve.30:1:0",
        "ve.x:1:1",
        "ve.70000:1:1",
        "ve.30:-1:1",
        "ve.30:1:1:2:3",
        "ve.30.rax:1:1",
        "out.7:1:1",
        "out.7.R8:1:1",
        "out.7.eax:1:1",
        "cpuid.21:1:1",
        "cpuid.21.rax:1:1",
        "cpuid.100000000.eax:1:1",
        "cpuid.1.eax:1:100000000",
        "report.1024:1:1",
        "report.0:1:100",
        "report.0:1:1:0",
        "drop.2:1:+1",
        "drop.2",
        "keep",
        "keep:1:1:1",
        "keep.6:1",
        "keep:x",
        "KEEP:1",
        "lose:1",
    ] {
        assert_eq!(faults(&[]).add(text), Err(Refused::Malformed), "{text}");
    }
    let mut full = faults(&["keep:1"; MAX_RULES]);
    assert_eq!(full.add("keep:1"), Err(Refused::TooMany));
}

#[test]
fn the_nth_event_goes_wrong_or_each_of_them() {
    let mut second = faults(&["ve.30:2:1"]);
    let wrong: Vec<_> = (0..4).map(|_| second.at(Place::Ve(30), &[])).collect();
    assert_eq!(wrong, [None, Some(1), None, None]);
    let mut each = faults(&["ve.30:0:1", "ve.30:0:2"]);
    assert_eq!(each.at(Place::Ve(30), &[]), Some(3));
    assert_eq!(each.at(Place::Ve(31), &[]), None);
    let mut other = faults(&["ve.30:1:1:800040"]);
    assert_eq!(other.at(Place::Ve(30), &[0x80_0000]), None);
    assert_eq!(other.at(Place::Ve(30), &[0x80_0040]), Some(1));
}

#[test]
fn cpuid_goes_wrong_where_it_answers_and_where_it_does_not() {
    let mut faults = faults(&["cpuid.21.ebx:1:1", "cpuid.6.eax:0:4", "cpuid.4.ecx:0:8:1"]);
    assert_eq!(faults.cpuid(0x21, 0, Some([1, 2, 3, 4])), Some([1, 3, 3, 4]));
    assert_eq!(faults.cpuid(0x21, 0, Some([1, 2, 3, 4])), Some([1, 2, 3, 4]));
    assert_eq!(faults.cpuid(6, 0, None), Some([4, 0, 0, 0]));
    assert_eq!(faults.cpuid(4, 0, Some([0; 4])), Some([0; 4]));
    assert_eq!(faults.cpuid(4, 1, Some([0; 4])), Some([0, 0, 8, 0]));
    assert_eq!(faults.cpuid(5, 0, None), None);
}

#[test]
fn a_call_is_dropped_or_spoiled_by_its_leaf() {
    let mut faults = faults(&["drop.2:1", "keep:1", "report.5:1:81", "out.1.r8:0:1:10"]);
    assert!(faults.call(tdg::MR_RTMR_EXTEND, &[]).is_dropped);
    assert!(!faults.call(tdg::MR_RTMR_EXTEND, &[]).is_dropped);
    assert!(faults.call(tdg::MEM_PAGE_ACCEPT, &[]).keeps_content);
    assert_eq!(faults.call(tdg::MR_REPORT, &[]).report, Some((5, 0x81)));
    assert_eq!(faults.call(tdg::MR_REPORT, &[]).report, None);
    let mut regs = Regs::default();
    faults.outputs(tdg::VP_INFO, &[0, 0x11], &mut regs);
    faults.outputs(tdg::VP_VMCALL, &[0x10, 0], &mut regs);
    assert_eq!(regs.r8, 0);
    faults.outputs(tdg::VP_INFO, &[0, 0x10], &mut regs);
    assert_eq!(regs.r8, 1);
}
