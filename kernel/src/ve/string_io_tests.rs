//! INS and OUTS, by scripted exceptions: against a model that does one element after the
//! other, and case by case where they stop.

use std::vec::Vec;

use abi::{IoWidth, Regs};
use proptest::prelude::*;

use super::fakes::{Asked, CODE, DATA, FS_BASE, GS_BASE, Host, Pages};
use super::string_io::BATCH;
use super::tests::{info, port_frame, try_route_in};
use super::*;

const PORT: u16 = 0x5A0;
const DIRECTION: u64 = 1 << 10;
const TRAP: u64 = 1 << 8;

/// A form of INS or OUTS.
#[derive(Clone, Copy, Debug)]
struct Form {
    is_in: bool,
    width: IoWidth,
    has_rep: bool,
    is_32_bit: bool,
    goes_down: bool,
}

impl Form {
    const OUTSB: Self = Self {
        is_in: false,
        width: IoWidth::Byte,
        has_rep: false,
        is_32_bit: false,
        goes_down: false,
    };
    const REP_INSD: Self =
        Self { is_in: true, width: IoWidth::Dword, has_rep: true, ..Self::OUTSB };

    /// VE_INFO as the module fills it, with DS as the segment.
    fn info(self) -> VeInfo {
        let bits = u64::from(self.is_in) << 3 | 1 << 4 | u64::from(self.has_rep) << 5;
        let qualification = u64::from(self.width as u8) | bits | u64::from(PORT) << 16;
        let address_size = if self.is_32_bit { 1 } else { 2 };
        let segment = if self.is_in { 0 } else { 3 };
        VeInfo {
            instruction_info: address_size << 7 | segment << 15,
            ..info(ExitReason::IO, qualification, 2)
        }
    }

    /// With 32-bit addresses the upper halves do not count: here they are garbage.
    fn frame(self, rcx: u64, address: u64) -> TrapFrame {
        let garbage = if self.is_32_bit { 0xDEAD_BEEF << 32 } else { 0 };
        let (rcx, address) = (rcx | garbage, address | garbage);
        let mut frame = port_frame(PORT.into());
        frame.regs = Regs { rcx, rsi: address, rdi: address, ..frame.regs };
        frame.rflags |= if self.goes_down { DIRECTION } else { 0 };
        frame
    }

    fn step(self) -> i64 {
        let bytes = i64::from(self.width.bytes());
        if self.goes_down { -bytes } else { bytes }
    }

    /// Registers after `done` elements: [SDM2 INS, OUTS, REP] word by word.
    fn registers_after(self, done: u64, before: &Regs) -> Regs {
        let mut regs = *before;
        let cut = |value: u64| if self.is_32_bit { value & 0xFFFF_FFFF } else { value };
        for _ in 0..done {
            let index = if self.is_in { &mut regs.rdi } else { &mut regs.rsi };
            *index = cut(cut(*index).wrapping_add_signed(self.step()));
            if self.has_rep {
                regs.rcx = cut(cut(regs.rcx) - 1);
            }
        }
        regs
    }
}

/// Runs the instruction to its end, as the processor does: again while RIP stays.
fn run(host: &mut Host, pages: &Pages, form: Form, frame: &mut TrapFrame) -> Vec<u64> {
    let mut batches = Vec::new();
    while frame.rip == CODE {
        batches.push(try_route_in(host, pages, &form.info(), frame).unwrap().value);
        assert!(batches.len() < 100, "it does not end");
    }
    assert_eq!(frame.rip, CODE + 2);
    batches
}

fn forms() -> impl Strategy<Value = Form> {
    let width = prop::sample::select(std::vec![IoWidth::Byte, IoWidth::Word, IoWidth::Dword]);
    (any::<[bool; 4]>(), width).prop_map(|([is_in, has_rep, is_32_bit, goes_down], width)| Form {
        is_in,
        width,
        has_rep,
        is_32_bit,
        goes_down,
    })
}

proptest! {
    #[test]
    fn elements_move_as_one_after_the_other(
        form in forms(), count in 0..200_u64, data: [u8; 0x400], seed: u32,
    ) {
        let elements = if form.has_rep { count } else { 1 };
        let bytes = usize::from(form.width.bytes());
        let start = if form.goes_down { data.len() - bytes } else { 0 };
        let elements = elements.min((data.len() / bytes) as u64);
        let rcx = if form.has_rep { elements } else { count };
        let data_start = if form.is_32_bit { 0x7FFF_FF00 } else { DATA };
        let mut frame = form.frame(rcx, data_start + start as u64);
        let before = frame.regs;
        let pages = Pages { data_start, ..Pages::with_data(&data) };
        let mut host = Host { step: 0x0123_4567, ..Host::answering(u64::from(seed) << 32 | 77) };
        let mut answers = host.answer;
        run(&mut host, &pages, form, &mut frame);

        prop_assert_eq!(frame.regs, form.registers_after(elements, &before));
        prop_assert_eq!(frame.rflags & RESUME_FLAG, 0);
        prop_assert_eq!(host.asked.len() as u64, elements);
        let mut expected = data;
        let mut at = start;
        for asked in host.asked {
            if form.is_in {
                prop_assert_eq!(asked, Asked::IoRead(PORT, form.width));
                expected[at..at + bytes].copy_from_slice(&answers.to_le_bytes()[..bytes]);
                answers = answers.wrapping_add(host.step);
            } else {
                let mut value = [0; 4];
                value[..bytes].copy_from_slice(&data[at..at + bytes]);
                let value = u32::from_le_bytes(value);
                prop_assert_eq!(asked, Asked::IoWrite(PORT, form.width, value));
            }
            at = at.wrapping_add_signed(form.step() as isize);
        }
        prop_assert_eq!(&pages.data.borrow()[..], &expected[..]);
    }
}

#[test]
fn interrupts_are_let_in_after_a_batch() {
    let count = 2 * BATCH + 3;
    let pages = Pages::with_data(&[0; 1024]);
    let mut frame = Form::REP_INSD.frame(count, DATA);
    let mut host = Host::answering(0);
    let routed = try_route_in(&mut host, &pages, &Form::REP_INSD.info(), &mut frame).unwrap();
    assert_eq!((routed.value, frame.rip, frame.regs.rcx), (BATCH, CODE, count - BATCH));
    assert_ne!(frame.rflags & RESUME_FLAG, 0, "the instruction is not over");
    assert_eq!(run(&mut host, &pages, Form::REP_INSD, &mut frame), [BATCH, 3]);
}

#[test]
fn a_single_step_is_one_element() {
    let pages = Pages::with_data(&[0; 1024]);
    let mut frame = Form::REP_INSD.frame(3, DATA);
    frame.rflags |= TRAP;
    assert_eq!(run(&mut Host::answering(0), &pages, Form::REP_INSD, &mut frame), [1, 1, 1]);
}

#[test]
fn a_count_of_zero_does_nothing() {
    let pages = Pages::with_data(&[]);
    let mut host = Host::refusing();
    for is_32_bit in [false, true] {
        let form = Form { is_32_bit, ..Form::REP_INSD };
        let mut frame = form.frame(0, 0xDEAD_0000_0000);
        let before = frame.regs;
        let routed = try_route_in(&mut host, &pages, &form.info(), &mut frame).unwrap();
        assert_eq!((routed.value, routed.call, frame.rip), (0, None, CODE + 2));
        assert_eq!(frame.regs, before);
    }
    assert!(host.asked.is_empty());
}

/// Where an OUTSB with this form and segment reads: the address in the error.
fn outs_address(is_32_bit: bool, segment: u32, rsi: u64) -> Result<Routed, Unroutable> {
    let form = Form { is_32_bit, ..Form::OUTSB };
    let mut info = form.info();
    info.instruction_info = info.instruction_info & !(7 << 15) | segment << 15;
    let pages = Pages::with_data(&[]);
    try_route_in(&mut Host::answering(0), &pages, &info, &mut form.frame(0, rsi))
}

#[test]
fn an_address_is_cut_to_its_size_before_the_base_is_added() {
    let rsi = 0xAAAA_BBBB_FFFF_FFF0;
    let at = |is_32_bit, segment| outs_address(is_32_bit, segment, rsi).unwrap_err();
    for without_base in 0..=3 {
        assert_eq!(at(false, without_base), Unroutable::PortBuffer(rsi));
        assert_eq!(at(true, without_base), Unroutable::PortBuffer(0xFFFF_FFF0));
    }
    assert_eq!(at(false, 4), Unroutable::PortBuffer(rsi.wrapping_add(FS_BASE)));
    assert_eq!(at(true, 4), Unroutable::PortBuffer(0xFFFF_FFF0 + FS_BASE));
    assert_eq!(at(true, 5), Unroutable::PortBuffer(GS_BASE.wrapping_add(0xFFFF_FFF0)));
    assert_eq!(at(false, 6), Unroutable::PortQualification);
}

#[test]
fn a_32_bit_address_wraps_and_its_register_loses_the_upper_half() {
    for (goes_down, address, next) in [(false, 0xFFFF_FFFE, 2), (true, 1, 0xFFFF_FFFD)] {
        let form = Form { is_32_bit: true, goes_down, ..Form::REP_INSD };
        let pages = Pages { data_start: address, ..Pages::with_data(&[0; 4]) };
        let mut frame = form.frame(1, address);
        try_route_in(&mut Host::answering(0), &pages, &form.info(), &mut frame).unwrap();
        assert_eq!((frame.regs.rcx, frame.regs.rdi), (0, next));
    }
}

#[test]
fn a_port_is_not_touched_for_memory_that_is_not_there() {
    for (form, readable, writable) in [
        (Form::OUTSB, 0, 0),
        (Form::REP_INSD, 0, 0),
        (Form::REP_INSD, 4, 0),
        (Form::REP_INSD, 4, 3),
    ] {
        let mut pages = Pages::with_data(&std::vec![0; readable]);
        pages.writable_bytes = writable;
        let mut host = Host::answering(0);
        let stop = try_route_in(&mut host, &pages, &form.info(), &mut form.frame(1, DATA));
        assert_eq!(stop, Err(Unroutable::PortBuffer(DATA)), "{form:?}");
        assert!(host.asked.is_empty());
    }
}

#[test]
fn what_was_moved_before_a_stop_counts() {
    let pages = Pages::with_data(&[0; 10]);
    let mut frame = Form::REP_INSD.frame(5, DATA);
    let mut host = Host::answering(u64::MAX);
    let info = Form::REP_INSD.info();
    assert_eq!(try_route_in(&mut host, &pages, &info, &mut frame).unwrap().value, 2);
    assert_eq!((frame.rip, frame.regs.rcx, frame.regs.rdi), (CODE, 3, DATA + 8));
    let stop = try_route_in(&mut host, &pages, &info, &mut frame);
    assert_eq!(stop, Err(Unroutable::PortBuffer(DATA + 8)));
    assert_eq!(host.asked.len(), 2);
    assert_eq!(&pages.data.borrow()[..], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0]);
}

#[test]
fn a_host_that_refuses_in_the_middle_is_a_stop_after_what_it_did() {
    let pages = Pages::with_data(&[0; 64]);
    let mut frame = Form::OUTSB.frame(0, DATA);
    let refused = try_route_in(&mut Host::refusing(), &pages, &Form::OUTSB.info(), &mut frame);
    assert!(matches!(refused, Err(Unroutable::Refused(_))));
}

#[test]
fn string_information_that_no_such_instruction_has_is_a_stop() {
    let pages = Pages::with_data(&[0; 64]);
    let mut host = Host::answering(0);
    for address_size in [0, 3, 4, 5, 6, 7] {
        let info = VeInfo { instruction_info: address_size << 7, ..Form::REP_INSD.info() };
        let stop = try_route_in(&mut host, &pages, &info, &mut Form::REP_INSD.frame(1, DATA));
        assert_eq!(stop, Err(Unroutable::PortQualification));
    }
    let mut immediate = Form::OUTSB.info();
    immediate.qualification = 0x0080_0050;
    let stop = try_route_in(&mut host, &pages, &immediate, &mut Form::OUTSB.frame(0, DATA));
    assert_eq!(stop, Err(Unroutable::PortQualification));
    assert!(host.asked.is_empty());
}
