//! Any VE_INFO, instruction and registers: the router never panics, leaves everything alone
//! when it stops, and otherwise moves RIP by one instruction or not at all, changes no flag
//! but status flags and RF, and shows the host no address but the device's.
#![no_main]

#[path = "../../src/ve/fakes.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod fakes;

use abi::{Gpr, Regs, VeInfo};
use arch::trap::TrapFrame;
use kernel::ve::route;
use libfuzzer_sys::fuzz_target;

use self::fakes::{Asked, CODE, DATA, DEVICE, Host, Pages, WINDOW};

/// CF, PF, AF, ZF, SF, OF and RF.
const MAY_CHANGE: u64 = 0x1_08D5;
/// Elements of a string that one exception may move.
const MOST_ASKED: usize = 64;
const SHARED: u64 = 1 << 47;
const EPT_VIOLATION: u32 = 48;
/// EPT qualification: address valid and translated.
const ACCESS: u64 = 3 << 7;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let choice = input.number();
    let offset = input.number() & 0xFFF;
    let mut info = VeInfo::from_regs(
        input.number(),
        input.number(),
        input.number(),
        input.number(),
        input.number(),
    );
    let mut frame = frame(&mut input, offset, choice);
    if choice & 1 == 0 {
        // As if an instruction with an operand at RDI, or at RSI, had met the device.
        info.raw_reason = EPT_VIOLATION;
        info.qualification = ACCESS | info.qualification & 3;
        info.linear_address = WINDOW + offset;
        info.guest_physical_address = SHARED | (DEVICE + offset);
        let (device, data) = if choice & 2 == 0 { (Gpr::Rdi, Gpr::Rsi) } else { (Gpr::Rsi, Gpr::Rdi) };
        frame.regs[device] = WINDOW + offset;
        frame.regs[data] = DATA + (offset >> 4);
    }
    let mut pages = Pages::with_data(&[0x5A; 0x100]);
    pages.has_second_page = choice & 4 == 0;
    let at = (frame.rip - CODE) as usize;
    let code = input.0;
    let room = code.len().min(15).min(pages.code.len() - at);
    pages.code[at..at + room].copy_from_slice(&code[..room]);
    let mut host = Host::answering(choice.rotate_left(32));
    host.refuses = choice & 0x70 == 0x70;
    host.refuses_mmio_writes = choice & 0x70 == 0x60;
    check(&mut host, &pages, &info, &mut frame);
});

fn check(host: &mut Host, pages: &Pages, info: &VeInfo, frame: &mut TrapFrame) {
    let before = frame.clone();
    let state = |frame: &TrapFrame| (frame.regs, frame.rip, frame.rsp, frame.rflags);
    if route(host, pages, info, frame).is_ok() {
        assert!(frame.rip.wrapping_sub(before.rip) <= 15);
        assert_eq!((frame.rflags ^ before.rflags) & !MAY_CHANGE, 0);
    } else {
        assert_eq!(state(frame), state(&before));
    }
    assert_eq!((frame.cs, frame.ss), (before.cs, before.ss));
    assert!(host.asked.len() <= MOST_ASKED);
    for asked in &host.asked {
        if let Asked::MmioRead(gpa, width) | Asked::MmioWrite(gpa, width, _) = *asked {
            assert!(gpa >= DEVICE && gpa + width as u64 <= DEVICE + 0x1000);
        }
        if let Asked::MmioWrite(_, width, value) = *asked {
            assert_eq!(value & !width.mask(), 0);
        }
    }
}

fn frame(input: &mut Input<'_>, offset: u64, choice: u64) -> TrapFrame {
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = input.number();
    }
    let rflags = input.number();
    // Sometimes the instruction reaches into the second page, or beyond it.
    let rip = CODE + if choice & 8 == 0 { offset } else { 0x1000 + (0xFF0 | offset & 15) };
    let cs = if choice & 0x700 == 0x700 { 0x1B } else { 8 };
    TrapFrame { regs, rip, cs, rsp: regs.rsp, rflags, ..TrapFrame::default() }
}

/// The fuzzer's bytes, from the front; zeros behind their end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> u64 {
        let (head, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        let mut bytes = [0; 8];
        bytes[..head.len()].copy_from_slice(head);
        u64::from_le_bytes(bytes)
    }
}
