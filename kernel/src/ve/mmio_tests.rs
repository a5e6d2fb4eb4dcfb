//! Accesses of more than one step: what the host is asked, in which order, and what is
//! left when something is wrong.

use std::vec::Vec;

use abi::{ExitReason, GhciStatus, GpaWidth, Regs};
use tdcall::ghci::VmcallError;

use super::super::fakes::{Asked, CODE, DATA, DEVICE, GS_BASE, Host, Pages, WINDOW};
use super::*;

const SHARED: u64 = GpaWidth::Bits48.shared_mask();
/// EPT qualification: address valid and translated.
const ACCESS: u64 = 3 << 7;
const READ: u64 = ACCESS | 1;
const WRITE: u64 = ACCESS | 2;
const READ_WRITE: u64 = ACCESS | 3;
/// RFLAGS: bit 1, CF, SF, DF, RF.
const BASE: u64 = 2;
const CARRY: u64 = 1;
const SIGN: u64 = 1 << 7;
const DOWN: u64 = 1 << 10;
const RESUME: u64 = 1 << 16;

const OLD: u64 = 0x1122_3344_5566_7788;
/// What every register of the device holds.
const HELD: u64 = 0xF1F2_F3F4_F5F6_F7F8;
/// Where the accesses go.
const OFFSET: u64 = 0x10;
const GPA: u64 = DEVICE + OFFSET;

/// An instruction that accessed a device, with host, memory and registers.
struct Trial {
    host: Host,
    pages: Pages,
    info: VeInfo,
    frame: TrapFrame,
}

impl Trial {
    /// RDI leads to the device, RSI to two quadwords of data, RCX counts 3.
    fn of(code: &[u8], qualification: u64) -> Self {
        let info = VeInfo {
            raw_reason: u32::from(ExitReason::EPT_VIOLATION.0),
            qualification,
            linear_address: WINDOW + OFFSET,
            guest_physical_address: SHARED | GPA,
            instruction_length: 0xDEAD,
            instruction_info: 0,
        };
        let regs = Regs { rax: OLD, rcx: 3, rdi: WINDOW + OFFSET, rsi: DATA, ..Regs::default() };
        let frame =
            TrapFrame { regs, rip: CODE, cs: 8, rflags: BASE | RESUME, ..TrapFrame::default() };
        let mut pages = Pages::with_data(&OLD.to_le_bytes().repeat(2));
        pages.code = Pages::with(0, code).code;
        Self { host: Host::answering(HELD), pages, info, frame }
    }

    /// RSI leads to the device, RDI to the data.
    fn from_device(code: &[u8]) -> Self {
        let mut trial = Self::of(code, READ);
        (trial.frame.regs.rsi, trial.frame.regs.rdi) = (WINDOW + OFFSET, DATA);
        trial
    }

    /// Routes; a stop changes nothing.
    fn route(&mut self) -> Result<Routed, Unroutable> {
        let before = self.frame.clone();
        let routed = super::super::route(&mut self.host, &self.pages, &self.info, &mut self.frame);
        let state = |frame: &TrapFrame| (frame.regs, frame.rip, frame.rsp, frame.rflags);
        let is_sound = routed.is_ok() || state(&self.frame) == state(&before);
        // A stop that changed something must not look like the stop that a test expects.
        if is_sound { routed } else { Err(Unroutable::Length(0xBAD)) }
    }

    fn data(&self) -> Vec<u8> {
        self.pages.data.borrow().clone()
    }
}

/// The stop of a trial, before which nobody was asked and nothing was written.
fn stop(mut trial: Trial) -> Unroutable {
    let data = trial.data();
    let stop = trial.route().unwrap_err();
    assert!(trial.host.asked.is_empty());
    assert_eq!(trial.data(), data);
    stop
}

const READS: Asked = Asked::MmioRead(GPA, MmioWidth::Dword);

fn writes(value: u64) -> Asked {
    Asked::MmioWrite(GPA, MmioWidth::Dword, value)
}

#[test]
fn a_read_modify_write_is_a_read_and_then_a_write() {
    let or = [0x81, 0x0F, 0x00, 0x00, 0x09, 0x00]; // or dword [rdi], 0x90000
    for qualification in [WRITE, READ_WRITE] {
        let mut trial = Trial::of(&or, qualification);
        trial.frame.rflags |= CARRY;
        let routed = trial.route().unwrap();
        assert_eq!(trial.host.asked, [READS, writes(0xF5FF_F7F8)]);
        assert_eq!((routed.length, routed.value), (6, 0xF5FF_F7F8));
        assert_eq!((trial.frame.rip, trial.frame.rflags), (CODE + 6, BASE | SIGN));
    }
}

#[test]
fn a_comparison_is_one_read() {
    let cmp = [0x39, 0x07]; // cmp [rdi], eax
    let mut trial = Trial::of(&cmp, READ);
    trial.frame.regs.rax = 0xF5F6_F7F9;
    trial.route().unwrap();
    assert_eq!(trial.host.asked, [READS]);
    assert_eq!(trial.frame.regs.rax, 0xF5F6_F7F9);
    assert_eq!(trial.frame.rflags & (CARRY | SIGN), CARRY | SIGN);
}

#[test]
fn an_exchange_reads_writes_and_ends_in_the_register() {
    let mut trial = Trial::of(&[0x87, 0x07], READ_WRITE); // xchg [rdi], eax
    trial.route().unwrap();
    assert_eq!(trial.host.asked, [READS, writes(0x5566_7788)]);
    assert_eq!(trial.frame.regs.rax, 0xF5F6_F7F8);
    let mut trial = Trial::of(&[0x48, 0x87, 0x27], WRITE); // xchg [rdi], rsp
    trial.route().unwrap();
    assert_eq!((trial.frame.rsp, trial.frame.regs.rsp), (HELD, HELD));
}

#[test]
fn directions_other_than_the_instructions_are_stops() {
    let (load, or, cmp, stos) = ([0x8B, 0x07], [0x09, 0x07], [0x39, 0x07], [0xAB, 0x90]);
    let wrong = [
        (load, WRITE),
        (load, READ_WRITE),
        (or, READ),
        (cmp, WRITE),
        (cmp, READ_WRITE),
        (stos, READ),
        (stos, READ_WRITE),
        (load, ACCESS),
        (or, ACCESS),
    ];
    for (code, qualification) in wrong {
        assert_eq!(stop(Trial::of(&code, qualification)), Unroutable::Mismatch, "{code:02x?}");
    }
}

#[test]
fn a_write_that_is_refused_behind_a_read_changes_no_register_and_no_flag() {
    for code in [[0x09, 0x07], [0x87, 0x07]] {
        let mut trial = Trial::of(&code, WRITE);
        trial.host.refuses_mmio_writes = true;
        let refused = VmcallError::Vmm(GhciStatus::INVALID_OPERAND);
        assert_eq!(trial.route(), Err(Unroutable::Refused(refused)));
        assert_eq!(trial.host.asked.len(), 2);
    }
}

#[test]
fn a_repeated_string_stays_at_its_instruction_until_the_count_is_0() {
    for (rflags, step) in [(BASE, 4), (BASE | DOWN, -4)] {
        let mut trial = Trial::of(&[0xF3, 0xAB], WRITE); // rep stosd
        trial.frame.rflags = rflags | RESUME;
        for left in [2, 1, 0] {
            let is_last = left == 0;
            let routed = trial.route().unwrap();
            assert_eq!(routed.length, if is_last { 2 } else { 0 });
            assert_eq!(trial.frame.regs.rcx, left);
            assert_eq!(trial.frame.rip, if is_last { CODE + 2 } else { CODE });
            let resume = if is_last { 0 } else { RESUME };
            assert_eq!(trial.frame.rflags, rflags | resume);
            trial.info.linear_address = trial.info.linear_address.wrapping_add_signed(step);
            let gpa = &mut trial.info.guest_physical_address;
            *gpa = gpa.wrapping_add_signed(step);
            assert_eq!(trial.frame.regs.rdi, trial.info.linear_address);
        }
        let at = |n: i64| {
            Asked::MmioWrite(GPA.wrapping_add_signed(step * n), MmioWidth::Dword, 0x5566_7788)
        };
        assert_eq!(trial.host.asked, [at(0), at(1), at(2)]);
    }
}

#[test]
fn a_string_of_no_elements_does_not_fault() {
    let mut trial = Trial::of(&[0xF3, 0xAB], WRITE);
    trial.frame.regs.rcx = 0;
    assert_eq!(stop(trial), Unroutable::Mismatch);
    let mut trial = Trial::of(&[0x67, 0xF3, 0xAB], WRITE);
    trial.frame.regs.rcx = 1 << 32;
    trial.info.linear_address &= 0xFFFF_FFFF;
    assert_eq!(stop(trial), Unroutable::Mismatch);
}

#[test]
fn a_move_goes_from_device_to_memory_and_back_and_between_devices() {
    let movsq = [0x48, 0xA5];
    let mut trial = Trial::from_device(&movsq);
    trial.frame.regs.rdi += 4;
    trial.route().unwrap();
    assert_eq!(trial.host.asked, [Asked::MmioRead(GPA, MmioWidth::Qword)]);
    assert_eq!(trial.data()[4..12], HELD.to_le_bytes());
    assert_eq!((trial.data()[3], trial.data()[12]), (0x55, 0x44));
    let regs = trial.frame.regs;
    assert_eq!((regs.rsi, regs.rdi, regs.rcx), (WINDOW + OFFSET + 8, DATA + 12, 3));

    let mut trial = Trial::of(&movsq, WRITE);
    trial.pages.writable_bytes = 0;
    trial.frame.regs.rsi += 4;
    trial.route().unwrap();
    let moved = OLD.rotate_right(32);
    assert_eq!(trial.host.asked, [Asked::MmioWrite(GPA, MmioWidth::Qword, moved)]);

    for qualification in [READ, WRITE] {
        let mut trial = Trial::of(&[0xA5, 0x90], qualification); // movsd
        let (source, destination) = (WINDOW + 0x20, WINDOW + OFFSET);
        (trial.frame.regs.rsi, trial.frame.regs.rdi) = (source, destination);
        if qualification == READ {
            trial.info.linear_address = source;
            trial.info.guest_physical_address = SHARED | (DEVICE + 0x20);
        }
        trial.route().unwrap();
        let read = Asked::MmioRead(DEVICE + 0x20, MmioWidth::Dword);
        assert_eq!(trial.host.asked, [read, writes(0xF5F6_F7F8)]);
    }
}

#[test]
fn the_other_operand_of_a_move_is_known_to_be_good_before_a_device_is_read() {
    let from_device = |change: fn(&mut Trial)| {
        let mut trial = Trial::from_device(&[0x48, 0xA5]);
        change(&mut trial);
        stop(trial)
    };
    let unmapped = from_device(|trial| trial.frame.regs.rdi = DATA + 9);
    assert_eq!(unmapped, Unroutable::OtherOperand(DATA + 9));
    let read_only = from_device(|trial| trial.pages.writable_bytes = 7);
    assert_eq!(read_only, Unroutable::OtherOperand(DATA));
    let crossing = from_device(|trial| trial.frame.regs.rdi = WINDOW + 0xFF9);
    assert_eq!(crossing, Unroutable::CrossesPage);
    let neither = from_device(|trial| trial.frame.regs.rsi = DATA);
    assert_eq!(neither, Unroutable::Mismatch);

    let mut to_device = Trial::of(&[0x48, 0xA5], WRITE);
    to_device.frame.regs.rsi = DATA + 9;
    assert_eq!(stop(to_device), Unroutable::OtherOperand(DATA + 9));
}

#[test]
fn a_move_does_not_reach_the_handlers_own_stack() {
    let variable = 0_u64;
    let mut trial = Trial::from_device(&[0x48, 0xA5]);
    let here = ptr::from_ref(&variable).addr() as u64;
    // The frame is part of the trial, above the handler's variables as in the kernel.
    let frame = ptr::from_ref(&trial.frame).addr() as u64;
    for address in [frame, frame + 696, here.min(frame) - 1024] {
        trial.frame.regs.rdi = address;
        assert_eq!(trial.route(), Err(Unroutable::OtherOperandInStack(address)));
    }
    trial.frame.regs.rdi = frame + 704;
    assert_eq!(trial.route(), Err(Unroutable::OtherOperand(frame + 704)));
    assert!(trial.host.asked.is_empty());
}

#[test]
fn segment_bases_and_bit_offsets_count() {
    let mut trial = Trial::of(&[0x65, 0x8B, 0x07], READ); // mov eax, gs:[rdi]
    trial.frame.regs.rdi = (WINDOW + OFFSET).wrapping_sub(GS_BASE);
    trial.route().unwrap();
    assert_eq!(trial.frame.regs.rax, 0xF5F6_F7F8);

    let bts = [0x0F, 0xAB, 0x07]; // bts [rdi], eax
    let mut trial = Trial::of(&bts, WRITE);
    trial.frame.regs.rdi += 0x100;
    trial.frame.regs.rax = (-0x800_i64 + 3).cast_unsigned();
    trial.route().unwrap();
    assert_eq!(trial.host.asked, [READS, writes(0xF5F6_F7F8)]);
    assert_eq!(trial.frame.rflags, BASE | CARRY);
    assert_eq!(stop(Trial::of(&bts, WRITE)), Unroutable::Mismatch);
}

#[test]
fn an_access_across_a_page_is_refused_wherever_it_faults() {
    let mut trial = Trial::of(&[0x09, 0x07], WRITE);
    trial.frame.regs.rdi = WINDOW + 0xFFD;
    trial.info.linear_address = WINDOW + 0xFFD;
    trial.info.guest_physical_address = SHARED | (DEVICE + 0xFFD);
    assert_eq!(stop(trial), Unroutable::CrossesPage);
    let mut trial = Trial::of(&[0x09, 0x07], WRITE);
    trial.frame.regs.rdi = WINDOW - 3;
    trial.info.linear_address = WINDOW;
    trial.info.guest_physical_address = SHARED | DEVICE;
    assert_eq!(stop(trial), Unroutable::CrossesPage);
}
