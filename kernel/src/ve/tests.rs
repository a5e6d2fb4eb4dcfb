//! Routing, by scripted exceptions: what the host is asked, what registers hold after.

use abi::{GpaWidth, Regs};

use super::fakes::{Asked, CODE, DEVICE, Host, Pages, SHARED_PAGE, WINDOW};
use super::*;
use abi::IoWidth;
use std::string::ToString;
use tdcall::ghci::MmioWidth;

pub(super) const OLD: u64 = 0x1122_3344_5566_7788;
const SHARED: u64 = GpaWidth::Bits48.shared_mask();
/// EPT qualification: address valid and translated.
const ACCESS: u64 = 3 << 7;
const READ: u64 = ACCESS | 1;
const WRITE: u64 = ACCESS | 2;

pub(super) fn info(reason: ExitReason, qualification: u64, length: u32) -> VeInfo {
    VeInfo {
        raw_reason: u32::from(reason.0),
        qualification,
        linear_address: 0,
        guest_physical_address: 0,
        instruction_length: length,
        instruction_info: 0,
    }
}

pub(super) fn frame() -> TrapFrame {
    let regs = Regs { rax: OLD, rcx: OLD, rdx: OLD, rbx: OLD, ..Regs::default() };
    TrapFrame { regs, rip: CODE, cs: 8, rflags: RESUME_FLAG | 2, ..TrapFrame::default() }
}

/// The same with the port in DX.
pub(super) fn port_frame(port: u64) -> TrapFrame {
    let mut frame = frame();
    frame.regs.rdx = OLD & !0xFFFF | port;
    frame
}

/// Routes; on an error nothing may have changed.
pub(super) fn try_route(
    host: &mut Host,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    try_route_in(host, &Pages::with(0, &[]), info, frame)
}

pub(super) fn try_route_in(
    host: &mut Host,
    pages: &Pages,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let mut changed = frame.clone();
    let routed = route(host, pages, info, &mut changed);
    let state = |frame: &TrapFrame| (frame.regs, frame.rip, frame.rflags, frame.rsp);
    let is_sound = routed.is_ok() || state(&changed) == state(frame);
    *frame = changed;
    // A stop that changed something must not look like the stop that a test expects.
    if is_sound { routed } else { Err(Unroutable::Length(0xBAD)) }
}

#[test]
fn hypervisor_leaves_are_the_hosts_and_clear_upper_halves() {
    let mut host = Host::answering(0x4000_0010);
    let mut frame = frame();
    frame.regs.rax = 0xFFFF_FFFF_4000_0000;
    frame.regs.rcx = 3;
    try_route(&mut host, &info(ExitReason::CPUID, 0, 2), &mut frame).unwrap();
    assert_eq!(host.asked, [Asked::Cpuid(0x4000_0000, 3)]);
    let regs = [frame.regs.rax, frame.regs.rbx, frame.regs.rcx, frame.regs.rdx];
    assert_eq!(regs, [0x4000_0010, 0x4000_0011, 0x4000_0012, 0x4000_0013]);
    assert_eq!((frame.rip, frame.rflags), (CODE + 2, 2));
}

#[test]
fn other_leaves_are_zeros_and_nobody_is_asked() {
    for leaf in [2, 6, 0xB, 0x3FFF_FFFF, 0x5000_0000, 0x8000_0002] {
        let mut host = Host::answering(u64::MAX);
        let mut frame = frame();
        frame.regs.rax = leaf;
        let routed = try_route(&mut host, &info(ExitReason::CPUID, 0, 2), &mut frame).unwrap();
        assert_eq!((host.asked.len(), routed.call, frame.regs), (0, None, Regs::default()));
    }
}

#[test]
fn an_in_changes_no_bit_beyond_its_width() {
    let widths =
        [(IoWidth::Byte, OLD | 0xFF), (IoWidth::Word, OLD | 0xFFFF), (IoWidth::Dword, 0xFFFF_FFFF)];
    for (width, expected) in widths {
        let mut host = Host::answering(u64::MAX);
        let mut frame = port_frame(0xCFC);
        let qualification = 0x0CFC_0008 | u64::from(width as u8);
        let routed = try_route(&mut host, &info(ExitReason::IO, qualification, 1), &mut frame);
        assert_eq!(routed.unwrap().value, width.mask());
        assert_eq!(host.asked, [Asked::IoRead(0xCFC, width)]);
        assert_eq!(frame.regs, Regs { rax: expected, ..port_frame(0xCFC).regs });
        assert_eq!(frame.rip, CODE + 1);
    }
}

#[test]
fn an_out_shows_the_host_no_bit_beyond_its_width() {
    for (width, value) in
        [(IoWidth::Byte, 0x88), (IoWidth::Word, 0x7788), (IoWidth::Dword, 0x5566_7788)]
    {
        let mut host = Host::answering(u64::MAX);
        let mut frame = port_frame(0xF4);
        let qualification = 0x00F4_0000 | u64::from(width as u8);
        try_route(&mut host, &info(ExitReason::IO, qualification, 2), &mut frame).unwrap();
        assert_eq!(host.asked, [Asked::IoWrite(0xF4, width, value)]);
        assert_eq!(frame.regs, port_frame(0xF4).regs);
    }
}

#[test]
fn a_qualification_that_no_port_access_has_is_a_stop() {
    let mut host = Host::answering(0);
    for (qualification, stop) in [
        (0x03F8_0002, Unroutable::PortSize),
        (0x03F8_0007, Unroutable::PortSize),
        (0x03F8_0080, Unroutable::PortQualification),
        (0x03F8_8000, Unroutable::PortQualification),
        (1 << 32 | 0x03F8_0000, Unroutable::PortQualification),
        (0x03F9_0000, Unroutable::PortQualification), // DX is 0x3F8
        (0x03F8_0040, Unroutable::PortQualification), // no immediate
    ] {
        let mut frame = frame();
        frame.regs.rdx = 0xFFFF_03F8;
        let info = info(ExitReason::IO, qualification, 1);
        assert_eq!(try_route(&mut host, &info, &mut frame), Err(stop), "{qualification:#x}");
    }
    assert!(host.asked.is_empty());
}

#[test]
fn msrs_on_the_list_go_to_the_host_and_others_stop() {
    let mut host = Host::answering(0xAABB_CCDD_FEE0_0D00);
    let mut frame = frame();
    frame.regs.rcx = 0xFFFF_FFFF_0000_001B;
    try_route(&mut host, &info(ExitReason::RDMSR, 0, 2), &mut frame).unwrap();
    assert_eq!((frame.regs.rax, frame.regs.rdx), (0xFEE0_0D00, 0xAABB_CCDD));
    frame.regs.rcx = 0x832;
    frame.regs.rax = OLD;
    try_route(&mut host, &info(ExitReason::WRMSR, 0, 2), &mut frame).unwrap();
    assert_eq!(host.asked, [Asked::Rdmsr(0x1B), Asked::Wrmsr(0x832, 0xAABB_CCDD_5566_7788)]);
    assert_eq!(frame.rip, CODE + 4);

    for (reason, index) in [(ExitReason::WRMSR, 0x1B), (ExitReason::RDMSR, 0x8B)] {
        frame.regs.rcx = index;
        let stop = try_route(&mut host, &info(reason, 0, 2), &mut frame);
        assert_eq!(stop, Err(Unroutable::Msr(index as u32)));
    }
    assert_eq!(host.asked.len(), 2);
}

#[test]
fn a_halt_says_whether_interrupts_are_blocked() {
    let mut host = Host::answering(0);
    let mut frame = frame();
    try_route(&mut host, &info(ExitReason::HLT, 0, 1), &mut frame).unwrap();
    frame.rflags |= INTERRUPT_FLAG;
    try_route(&mut host, &info(ExitReason::HLT, 0, 1), &mut frame).unwrap();
    assert_eq!(host.asked, [Asked::Hlt(true), Asked::Hlt(false)]);
    assert_eq!(frame.rip, CODE + 2);
}

#[test]
fn a_refusal_of_the_host_is_a_stop_and_changes_nothing() {
    let refused =
        Unroutable::Refused(tdcall::ghci::VmcallError::Vmm(abi::GhciStatus::INVALID_OPERAND));
    for (reason, qualification, rcx) in [
        (ExitReason::CPUID, 0, 0),
        (ExitReason::HLT, 0, 0),
        (ExitReason::IO, 0x03F8_0000, 0),
        (ExitReason::IO, 0x03F8_0008, 0),
        (ExitReason::RDMSR, 0, 0x1B),
        (ExitReason::WRMSR, 0, 0x832),
    ] {
        let mut frame = frame();
        frame.regs.rax = 0x4000_0000;
        frame.regs.rcx = rcx;
        frame.regs.rdx = 0x3F8;
        let info = info(reason, qualification, 2);
        assert_eq!(try_route(&mut Host::refusing(), &info, &mut frame), Err(refused), "{reason}");
    }
    let (mut frame, info) = access(0, READ);
    let pages = Pages::with(0, &[0x8B, 0x07]);
    assert_eq!(try_route_in(&mut Host::refusing(), &pages, &info, &mut frame), Err(refused));
}

#[test]
fn every_other_cause_user_mode_and_odd_lengths_are_stops() {
    let mut host = Host::answering(0);
    for reason in [0, 9, 15, 49, 55, 77, 999] {
        let info = info(ExitReason(reason), 0, 2);
        assert_eq!(try_route(&mut host, &info, &mut frame()), Err(Unroutable::Cause));
    }
    let mut user = frame();
    user.cs = 0x1B;
    let halt = info(ExitReason::HLT, 0, 1);
    assert_eq!(try_route(&mut host, &halt, &mut user), Err(Unroutable::UserMode));
    for length in [0, 16, u32::MAX] {
        let info = info(ExitReason::HLT, 0, length);
        assert_eq!(try_route(&mut host, &info, &mut frame()), Err(Unroutable::Length(length)));
    }
    assert!(host.asked.is_empty());
}

/// An access to the device at `offset` by an instruction at [`CODE`] that uses RDI.
fn access(offset: u64, qualification: u64) -> (TrapFrame, VeInfo) {
    let mut frame = frame();
    frame.regs.rdi = WINDOW + offset;
    let mut info = info(ExitReason::EPT_VIOLATION, qualification, 0xDEAD);
    info.linear_address = WINDOW + offset;
    info.guest_physical_address = SHARED | (DEVICE + offset);
    (frame, info)
}

/// Routes `code` as an access; what the host was asked and RAX afterwards.
fn mmio(code: &[u8], qualification: u64, answer: u64) -> (Asked, u64) {
    let (mut frame, info) = access(0x10, qualification);
    let mut host = Host::answering(answer);
    try_route_in(&mut host, &Pages::with(0, code), &info, &mut frame).unwrap();
    assert_eq!(frame.rip, CODE + code.len() as u64);
    assert_eq!(host.asked.len(), 1);
    (host.asked[0], frame.regs.rax)
}

#[test]
fn loads_extend_and_merge_as_the_processor_does() {
    let gpa = DEVICE + 0x10;
    let read = |width| Asked::MmioRead(gpa, width);
    let hostile = 0xF1F2_F3F4_F5F6_F7F8;
    let cases: [(&[u8], MmioWidth, u64); 9] = [
        (&[0x8A, 0x07], MmioWidth::Byte, 0x1122_3344_5566_77F8), // mov al, [rdi]
        (&[0x8A, 0x27], MmioWidth::Byte, 0x1122_3344_5566_F888), // mov ah, [rdi]
        (&[0x66, 0x8B, 0x07], MmioWidth::Word, 0x1122_3344_5566_F7F8), // mov ax, [rdi]
        (&[0x8B, 0x07], MmioWidth::Dword, 0xF5F6_F7F8),          // mov eax, [rdi]
        (&[0x48, 0x8B, 0x07], MmioWidth::Qword, hostile),        // mov rax, [rdi]
        (&[0x0F, 0xB6, 0x07], MmioWidth::Byte, 0xF8),            // movzx eax, byte [rdi]
        (&[0x0F, 0xBE, 0x07], MmioWidth::Byte, 0xFFFF_FFF8),     // movsx eax, byte [rdi]
        (&[0x48, 0x0F, 0xBF, 0x07], MmioWidth::Word, 0xFFFF_FFFF_FFFF_F7F8), // movsx rax, word
        (&[0x48, 0x63, 0x07], MmioWidth::Dword, 0xFFFF_FFFF_F5F6_F7F8), // movsxd rax, [rdi]
    ];
    for (code, width, rax) in cases {
        assert_eq!(mmio(code, READ, hostile), (read(width), rax), "{code:02x?}");
    }
}

#[test]
fn stores_show_the_host_the_operand_alone() {
    let gpa = DEVICE + 0x10;
    let cases: [(&[u8], MmioWidth, u64); 6] = [
        (&[0x88, 0x07], MmioWidth::Byte, 0x88), // mov [rdi], al
        (&[0x88, 0x27], MmioWidth::Byte, 0x77), // mov [rdi], ah
        (&[0x66, 0x89, 0x07], MmioWidth::Word, 0x7788), // mov [rdi], ax
        (&[0x48, 0x89, 0x07], MmioWidth::Qword, OLD), // mov [rdi], rax
        (&[0xC7, 0x07, 0, 0, 0, 0x80], MmioWidth::Dword, 0x8000_0000), // mov dword [rdi], imm
        (&[0x48, 0xC7, 0x07, 0, 0, 0, 0x80], MmioWidth::Qword, 0xFFFF_FFFF_8000_0000),
    ];
    for (code, width, value) in cases {
        let asked = Asked::MmioWrite(gpa, width, value);
        assert_eq!(mmio(code, WRITE, u64::MAX), (asked, OLD), "{code:02x?}");
    }
}

#[test]
fn a_load_into_the_stack_pointer_reaches_it() {
    let (mut frame, info) = access(0, READ);
    let pages = Pages::with(0, &[0x48, 0x8B, 0x27]); // mov rsp, [rdi]
    try_route_in(&mut Host::answering(0x7700), &pages, &info, &mut frame).unwrap();
    assert_eq!((frame.rsp, frame.regs.rsp), (0x7700, 0x7700));
}

#[test]
fn an_instruction_across_a_page_end_is_fetched_in_two_reads() {
    let code = [0xC7, 0x07, 1, 0, 0, 0];
    for before in 1..=code.len() {
        let start = 0x1000 - before;
        let mut pages = Pages::with(start, &code);
        let (mut frame, info) = access(0, WRITE);
        frame.rip = CODE + start as u64;
        pages.has_second_page = before < code.len();
        let mut host = Host::answering(0);
        try_route_in(&mut host, &pages, &info, &mut frame).unwrap();
        assert_eq!(host.asked, [Asked::MmioWrite(DEVICE, MmioWidth::Dword, 1)]);
    }
    let mut pages = Pages::with(0xFFF, &code);
    pages.has_second_page = false;
    let (mut frame, info) = access(0, WRITE);
    frame.rip = CODE + 0xFFF;
    let stop = try_route_in(&mut Host::answering(0), &pages, &info, &mut frame);
    assert_eq!(stop, Err(Unroutable::Code));
}

#[test]
fn an_access_that_is_not_a_devices_is_a_stop() {
    let load = [0x8B, 0x07];
    let stop = |change: fn(&mut VeInfo)| {
        let (mut frame, mut info) = access(0, READ);
        change(&mut info);
        let mut host = Host::answering(0);
        let stop = try_route_in(&mut host, &Pages::with(0, &load), &info, &mut frame);
        assert!(host.asked.is_empty());
        stop.unwrap_err()
    };
    assert_eq!(stop(|info| info.guest_physical_address = DEVICE), Unroutable::PrivateMemory);
    assert_eq!(stop(|info| info.guest_physical_address += 0x1000), Unroutable::UnknownDevice);
    let shared = stop(|info| info.guest_physical_address += SHARED_PAGE - DEVICE + 8);
    assert!(matches!(shared, Unroutable::NotShared(gpa) if gpa.address() == SHARED_PAGE + 8));
    let words = "the host answered MapGPA with success, but page 0xfec02000 is not shared memory";
    assert_eq!(shared.to_string(), words);
    assert!(matches!(stop(|info| info.guest_physical_address |= 1 << 50), Unroutable::Address(_)));
    assert_eq!(stop(|info| info.qualification = ACCESS | 4), Unroutable::NotAnAccess);
    assert_eq!(stop(|info| info.qualification = 1), Unroutable::NotAnAccess);
    assert_eq!(stop(|info| info.qualification = 1 | 1 << 7), Unroutable::NotAnAccess);
}

#[test]
fn an_instruction_that_is_not_the_one_that_faulted_is_a_stop() {
    let stop = |code: &[u8], offset, change: fn(&mut TrapFrame, &mut VeInfo)| {
        let (mut frame, mut info) = access(offset, READ);
        change(&mut frame, &mut info);
        let mut host = Host::answering(0);
        let stop = try_route_in(&mut host, &Pages::with(0, code), &info, &mut frame);
        assert!(host.asked.is_empty());
        stop.unwrap_err()
    };
    let load = [0x8B, 0x07];
    let none = |_: &mut TrapFrame, _: &mut VeInfo| ();
    assert_eq!(stop(&[0x89, 0x07], 0, none), Unroutable::Mismatch);
    assert_eq!(stop(&load, 0, |_, info| info.qualification = READ | WRITE), Unroutable::Mismatch);
    assert_eq!(stop(&load, 0, |frame, _| frame.regs.rdi += 4), Unroutable::Mismatch);
    assert_eq!(stop(&load, 0, |_, info| info.guest_physical_address += 4), Unroutable::Mismatch);
    assert_eq!(stop(&load, 0xFFD, none), Unroutable::CrossesPage);
    let locked = Unroutable::Decode(DecodeError::Lock);
    assert_eq!(stop(&[0xF0, 0x8B, 0x07], 0, none), locked);
    assert_eq!(stop(&load, 0, |frame, _| frame.rip += 0x2000), Unroutable::Code);
}
