//! Every policy by scripted exceptions, and the table of policies against what is done.

use std::format;
use std::vec::Vec;

use abi::GhciStatus;
use abi::ghci::function;
use tdcall::ghci::{CacheOperation, VmcallError};

use super::fakes::{Asked, CODE, Host, Pages};
use super::policy::POLICIES;
use super::tests::{OLD, frame, info, port_frame, try_route, try_route_in};
use super::*;
use crate::fault::Fault;

const REFUSED: Unroutable = Unroutable::Refused(VmcallError::Vmm(GhciStatus::INVALID_OPERAND));

/// The sub-function that a question goes by.
fn function_of(asked: Asked) -> u64 {
    match asked {
        Asked::Cpuid(..) => function::CPUID,
        Asked::Hlt(_) => function::HLT,
        Asked::IoRead(..) | Asked::IoWrite(..) => function::IO,
        Asked::Rdmsr(_) => function::RDMSR,
        Asked::Wrmsr(..) => function::WRMSR,
        Asked::MmioRead(..) | Asked::MmioWrite(..) => function::MMIO,
        Asked::Wbinvd(_) => function::WBINVD,
        Asked::Pconfig(..) => function::PCONFIG,
    }
}

/// Frames on which a cause's policy may decide one way or another.
fn frames() -> Vec<TrapFrame> {
    let numbers = [0, 0x1B, 0x8B, 0xFE, 0x4000_0000, 0x6E0, 0x830, 0x83F, OLD, u64::MAX];
    let with = |number| {
        let mut frame = port_frame(0x3F8);
        (frame.regs.rax, frame.regs.rcx) = (number, number);
        frame
    };
    numbers.into_iter().map(with).collect()
}

#[test]
fn each_cause_asks_at_most_what_its_policy_names() {
    let wbinvd = Pages::with(0, &[0x0F, 0x09]);
    for policy in POLICIES {
        for qualification in [0, 0x03F8_0000, 0x03F8_0008, 0x03F8_0038, 0x3F0] {
            for mut frame in frames() {
                let mut host = Host::answering(u64::MAX);
                let info = info(policy.cause, qualification, 2);
                let routed = try_route_in(&mut host, &wbinvd, &info, &mut frame);
                let allowed = policy.asked.map(|(function, _)| function);
                let asked: Vec<u64> = host.asked.iter().map(|asked| function_of(*asked)).collect();
                assert!(asked.len() <= 1, "{policy}");
                assert!(asked.iter().all(|function| Some(*function) == allowed), "{policy}");
                if let Ok(routed) = routed {
                    let call = routed.call.map(|(function, _)| function);
                    assert_eq!(call, asked.first().copied(), "{policy}");
                }
                // A policy that asks nobody and answers nothing refuses.
                let only_refuses = policy.asked.is_none() && policy.answered.is_empty();
                assert!(!only_refuses || routed.is_err(), "{policy}");
                let fault = routed.err().and_then(|why| why.fault());
                assert!(fault.is_none() || fault == policy.fault, "{policy}: {routed:?}");
            }
        }
    }
}

#[test]
fn the_table_has_every_cause_once_and_in_order() {
    let causes: Vec<u16> = POLICIES.iter().map(|policy| policy.cause.0).collect();
    assert_eq!(causes, [10, 12, 13, 18, 28, 30, 31, 32, 36, 39, 48, 54, 56, 65]);
    for reason in (0..=100).filter(|reason| !causes.contains(reason)) {
        let info = info(ExitReason(reason), 0, 2);
        let stop = try_route(&mut Host::answering(0), &info, &mut frame());
        assert_eq!(stop, Err(Unroutable::Cause));
    }
}

#[test]
fn the_document_has_the_table() {
    let document = include_str!("../../../docs/ve.md");
    for policy in POLICIES {
        let row = format!("{policy}");
        assert!(document.lines().any(|line| line == row), "docs/ve.md lacks\n{row}");
    }
}

#[test]
fn user_mode_is_a_stop_whatever_the_cause() {
    for policy in POLICIES {
        let mut user = port_frame(0x3F8);
        user.cs = 0x1B;
        let mut host = Host::answering(0);
        let stop = try_route(&mut host, &info(policy.cause, 0x03F8_0000, 2), &mut user);
        assert_eq!(stop, Err(Unroutable::UserMode));
        assert_eq!((Unroutable::UserMode.fault(), host.asked.len()), (None, 0));
    }
}

#[test]
fn instructions_that_a_td_does_not_have_are_undefined() {
    for reason in [ExitReason::VMCALL, ExitReason::MONITOR, ExitReason::MWAIT] {
        let stop = try_route(&mut Host::answering(0), &info(reason, 0, 3), &mut frame());
        assert_eq!(stop, Err(Unroutable::Undefined));
    }
    let general = Some(Fault::GeneralProtection);
    assert_eq!(Unroutable::Undefined.fault(), Some(Fault::InvalidOpcode));
    for refusal in [Unroutable::Invd, Unroutable::PconfigLeaf(1), Unroutable::Msr(7), REFUSED] {
        assert_eq!(refusal.fault(), general);
    }
    let stop = try_route(&mut Host::answering(0), &info(ExitReason::INVD, 0, 2), &mut frame());
    assert_eq!(stop, Err(Unroutable::Invd));
}

#[test]
fn a_stop_names_the_control_register_and_the_value() {
    let mut frame = frame();
    frame.regs.r12 = 0x6A0;
    for (qualification, text) in [
        (0xC04, "CR4 can not be 0x6a0"),
        (0xC00, "CR0 can not be 0x6a0"),
        (0x20, "CR0 not by MOV"), // CLTS
        (0x30, "CR0 not by MOV"), // LMSW
    ] {
        let info = info(ExitReason::CR_ACCESS, qualification, 4);
        let stop = try_route(&mut Host::answering(0), &info, &mut frame).unwrap_err();
        assert_eq!(format!("{stop}"), text);
        assert_eq!(stop.fault(), Some(Fault::GeneralProtection));
    }
}

#[test]
fn a_write_back_is_asked_for_by_the_instruction_that_it_is() {
    for (code, operation) in [
        (&[0x0F, 0x09][..], CacheOperation::WriteBackInvalidate),
        (&[0xF3, 0x0F, 0x09], CacheOperation::WriteBack),
    ] {
        for start in [0, 0xFFF, 0x1000 - code.len()] {
            let pages = Pages::with(start, code);
            let mut frame = frame();
            frame.rip = CODE + start as u64;
            let mut host = Host::answering(0);
            let info = info(ExitReason::WBINVD, 0, code.len() as u32);
            try_route_in(&mut host, &pages, &info, &mut frame).unwrap();
            assert_eq!(host.asked, [Asked::Wbinvd(operation)]);
            assert_eq!(frame.rip, CODE + (start + code.len()) as u64);
        }
    }
    let wbinvd = info(ExitReason::WBINVD, 0, 2);
    let other = Pages::with(0, &[0x0F, 0x08]);
    let stop = try_route_in(&mut Host::answering(0), &other, &wbinvd, &mut frame());
    assert_eq!(stop, Err(Unroutable::Mismatch));
    let pages = Pages::with(0, &[0x0F, 0x09]);
    let stop = try_route_in(&mut Host::refusing(), &pages, &wbinvd, &mut frame());
    assert_eq!(stop, Err(REFUSED), "a flush that was not done is not taken for done");
}

#[test]
fn pconfig_is_the_hosts_with_32_bits_and_a_zero_flag() {
    const FLAGS: u64 = 0x8D5;
    for (answer, rax, zero) in
        [(0, 0, 0), (5, 5, 1 << 6), (u64::MAX, 0xFFFF_FFFF, 1 << 6), (1 << 32, 0, 0)]
    {
        let mut frame = frame();
        frame.regs.rax = 0xFFFF_FFFF_0000_0000;
        frame.rflags |= FLAGS;
        let before = frame.regs;
        let mut host = Host::answering(answer);
        try_route(&mut host, &info(ExitReason::PCONFIG, 0, 3), &mut frame).unwrap();
        assert_eq!(host.asked, [Asked::Pconfig(0, [OLD; 3])]);
        assert_eq!(frame.regs, abi::Regs { rax, ..before });
        assert_eq!((frame.rip, frame.rflags), (CODE + 3, 2 | zero));
    }
    let mut frame = frame();
    frame.regs.rax = 1;
    let stop = try_route(&mut Host::answering(0), &info(ExitReason::PCONFIG, 0, 3), &mut frame);
    assert_eq!(stop, Err(Unroutable::PconfigLeaf(1)));
}

#[test]
fn an_apic_write_is_past_and_leaves_its_error_in_the_register() {
    let mut frame = frame();
    let mut host = Host::answering(0x1_0000_0040);
    // The length is undefined: RIP stands behind the instruction already.
    let write = info(ExitReason::APIC_WRITE, 0x3F0, 0xDEAD);
    try_route(&mut host, &write, &mut frame).unwrap();
    assert_eq!((frame.rip, frame.rflags, host.asked.len()), (CODE, 2, 0));

    let mut esr = |reason| {
        (frame.regs.rcx, frame.regs.rax, frame.regs.rdx) = (0x828, 0, 0);
        try_route(&mut host, &info(reason, 0, 2), &mut frame).unwrap();
        (frame.regs.rax, frame.regs.rdx)
    };
    assert_eq!(esr(ExitReason::RDMSR), (0x40, 1));
    esr(ExitReason::WRMSR);
    assert_eq!(esr(ExitReason::RDMSR), (0x60, 1));
    esr(ExitReason::WRMSR);
    assert_eq!(esr(ExitReason::RDMSR), (0x40, 1));
    assert_eq!(host.asked[1], Asked::Wrmsr(0x828, 0));

    let other = info(ExitReason::APIC_WRITE, 0x300, 2);
    let stop = try_route(&mut host, &other, &mut tests::frame());
    assert_eq!(stop, Err(Unroutable::ApicRegister(0x300)));
}

#[test]
fn mtrrs_are_answered_here_and_can_not_be_written() {
    for (index, value) in [(0xFE, 0), (0x2FF, 0x806)] {
        let mut host = Host::answering(u64::MAX);
        let mut frame = frame();
        frame.regs.rcx = index;
        let routed = try_route(&mut host, &info(ExitReason::RDMSR, 0, 2), &mut frame).unwrap();
        assert_eq!((frame.regs.rax, frame.regs.rdx, routed.call), (value, 0, None));
        let stop = try_route(&mut host, &info(ExitReason::WRMSR, 0, 2), &mut frame);
        assert_eq!(stop, Err(Unroutable::Msr(index as u32)));
        assert!(host.asked.is_empty());
    }
}

#[test]
fn a_leaf_of_the_modules_that_raises_ve_is_a_stop() {
    for (leaf, subleaf) in [(0, 0), (1, 9), (4, 4), (7, 2), (0xD, 18), (0x21, 0), (0x23, 3)] {
        let mut frame = frame();
        (frame.regs.rax, frame.regs.rcx) = (leaf, subleaf);
        let stop = try_route(&mut Host::answering(0), &info(ExitReason::CPUID, 0, 2), &mut frame);
        assert_eq!(stop, Err(Unroutable::CpuidLeaf(leaf as u32)));
    }
    for (leaf, subleaf) in [(4, 5), (7, 3), (0xD, 19), (0x21, 1), (0x23, 4)] {
        let mut frame = frame();
        (frame.regs.rax, frame.regs.rcx) = (leaf, subleaf);
        try_route(&mut Host::answering(7), &info(ExitReason::CPUID, 0, 2), &mut frame).unwrap();
        assert_eq!((frame.regs.rax, frame.regs.rdx), (0, 0));
    }
}
