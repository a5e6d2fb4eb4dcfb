//! Faults: what the TD, or its VMM, sees of them.

use abi::field::td as field;
use abi::leaf::tdg;
use abi::{ExitReason, Regs, Status};

use super::fake::PAGE;
use super::host::{Host, Shape};
use crate::machine::{Exception, Machine, Outcome, TdExit};
use crate::td::Td;
use crate::tdvps::Tdvps;

fn runnable(rules: &[&str]) -> Host {
    let mut host = Host::runnable(Shape::default());
    for rule in rules {
        host.module.config.faults.add(rule).unwrap();
    }
    host
}

#[test]
fn a_dropped_call_succeeds_and_does_nothing() {
    let mut host = runnable(&["drop.2:1"]);
    for is_extended in [false, true] {
        let regs = host.done(tdg::MR_RTMR_EXTEND, |regs| (regs.rcx, regs.rdx) = (0, 2));
        assert_eq!(Status(regs.rax), Status::SUCCESS);
        let rtmr = Td::load(&host.m, host.tdr).tdcs.rtmr[2];
        assert_eq!(rtmr != [0; 48], is_extended);
    }
}

#[test]
fn a_page_keeps_what_was_in_it() {
    let mut host = runnable(&["keep:1"]);
    for (gpa, byte) in [(PAGE, 0xD1), (2 * PAGE, 0)] {
        let (tdr, page) = (host.tdr, host.fresh_page());
        host.must(abi::leaf::tdh::MEM_PAGE_AUG, [gpa, tdr, page, 0]);
        host.m.write(page, &[0xD1]);
        assert_eq!(host.accept(gpa), Outcome::Done);
        let mut first = [0xFF];
        host.m.read(page, &mut first);
        assert_eq!(first, [byte], "{gpa:#x}");
    }
}

#[test]
fn registers_are_wrong_where_the_rule_says() {
    let rule = std::format!("out.7.r8:1:40:{:x}", field::ATTRIBUTES.0);
    let mut host = runnable(&[&rule, "out.0.r15:1:1:c00"]);
    let mut read = || host.done(tdg::VM_RD, |regs| (regs.rcx, regs.rdx) = (0, field::ATTRIBUTES.0));
    assert_eq!((read().r8, read().r8), (1 << 28 | 0x40, 1 << 28));
    for (mask, r15) in [(0x1C00, 15), (0xC00, 14), (0xC00, 15)] {
        host.enter(Regs::default());
        let call = host.tdcall(tdg::VP_VMCALL, |regs| (regs.rcx, regs.r15) = (mask, 15));
        assert_eq!(call, Outcome::Exit(TdExit::Vmcall));
        host.exit(TdExit::Vmcall, Regs::default());
        host.enter(Regs::default());
        assert_eq!(host.gprs().r15, r15, "{mask:#x}");
        host.exit(TdExit::Vmcall, Regs::default());
    }
}

#[test]
fn a_qualification_is_wrong_and_the_rest_of_the_exception_is_right() {
    let mut host = runnable(&["ve.30:1:2"]);
    let v = host.vcpu();
    let raised = host.module.instruction_ve(&mut host.m, v, ExitReason::IO, 5, 2, 0);
    assert_eq!(raised, Outcome::Inject(Exception::Ve));
    let info = Tdvps::load(&host.m, host.tdvpr).ve_info;
    assert_eq!((info.reason, info.qualification, info.length), (30, 7, 2));
}
