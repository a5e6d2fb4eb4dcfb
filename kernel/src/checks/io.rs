//! IN and OUT of each width, with the accumulator's other bits watched.
#![expect(unsafe_code, reason = "IN and OUT")]

use core::arch::asm;

use abi::ghci::function;
use abi::{ExitReason, IoWidth};
use tdcall::ghci::mask;

use super::step::{Expected, PATTERN, Steps, watch};
use crate::exit::{PCI_ADDRESS, PCI_DATA};

/// COM1's scratch register: a byte without effect.
const SCRATCH: u16 = 0x3FF;
/// POST codes: shown by nobody.
const POST: u16 = 0x80;
/// 00:00.0, vendor and device: the host bridge of q35.
const HOST_BRIDGE: u64 = 0x8000_0000;
const HOST_BRIDGE_ID: u64 = 0x29C0_8086;
/// 00:00.0, scratchpad data: 32 bits without effect.
const SCRATCHPAD: u64 = 0x8000_00DC;

macro_rules! port_access {
    ($in:ident, $out:ident, $register:literal) => {
        /// IN with `rax` loaded; what RAX holds afterwards.
        fn $in(port: u16, rax: u64) -> u64 {
            let mut value = rax;
            // SAFETY: no port that is read here changes memory.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), in("dx") port, inout("rax") value,
                     options(nostack, preserves_flags));
            }
            value
        }

        /// OUT of `rax`'s low bits.
        fn $out(port: u16, rax: u64) {
            // SAFETY: no port that is written here changes memory.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in("rax") rax,
                     options(nostack, preserves_flags));
            }
        }
    };
}

port_access!(in8, out8, "al");
port_access!(in16, out16, "ax");
port_access!(in32, out32, "eax");

/// OUT with the port in the instruction.
fn out_post(rax: u64) {
    // SAFETY: a POST code changes nothing.
    unsafe { asm!("out 0x80, al", in("rax") rax, options(nostack, preserves_flags)) };
}

/// A value for the low byte.
const BYTE: u64 = 0x5A;

pub(super) fn byte(steps: &mut Steps) {
    write(steps, "OUT 8", (SCRATCH, IoWidth::Byte), 0, BYTE, out8);
    read(steps, "IN 8", (SCRATCH, IoWidth::Byte), PATTERN & !0xFF | BYTE, in8);
}

pub(super) fn word(steps: &mut Steps) {
    let word = 0xA5C3;
    out32(PCI_ADDRESS, SCRATCHPAD);
    write(steps, "OUT 16", (PCI_DATA, IoWidth::Word), 0, word, out16);
    read(steps, "IN 16", (PCI_DATA, IoWidth::Word), PATTERN & !0xFFFF | word, in16);
    out32(PCI_DATA, 0);
}

pub(super) fn dword(steps: &mut Steps) {
    write(steps, "OUT 32", (PCI_ADDRESS, IoWidth::Dword), 0, HOST_BRIDGE, out32);
    read(steps, "IN 32", (PCI_DATA, IoWidth::Dword), HOST_BRIDGE_ID, in32);
}

pub(super) fn immediate(steps: &mut Steps) {
    write(steps, "OUT imm", (POST, IoWidth::Byte), 1 << 6, BYTE, |_, rax| out_post(rax));
}

/// Three bytes to the scratch register, which keeps the last; then that one back.
pub(super) fn strings(steps: &mut Steps) {
    let form = 1 << 4 | 1 << 5;
    let sent = [0x11_u8, 0x22, 0x33];
    let (left, seen) = watch(|| rep_outs(&sent));
    let access = (SCRATCH, IoWidth::Byte);
    let expected_out = expected("REP OUT", access, form, mask::IO_WRITE);
    let gone = seen.last.value.wrapping_sub(left);
    steps.routed(&expected_out, seen, gone, sent.len() as u64);

    let mut received = [0_u8];
    let ((), seen) = watch(|| ins(&mut received));
    let expected_in = expected("INS", access, 1 << 3 | 1 << 4, mask::IO_READ);
    steps.routed(&expected_in, seen, received[0].into(), sent[2].into());
}

/// REP OUTSB; what RCX holds afterwards.
fn rep_outs(bytes: &[u8]) -> u64 {
    let mut rcx = bytes.len() as u64;
    // SAFETY: reads the slice; the scratch register has no effect.
    unsafe {
        asm!("rep outsb", in("dx") SCRATCH, inout("rcx") rcx, inout("rsi") bytes.as_ptr() => _,
             options(nostack, preserves_flags));
    }
    rcx
}

/// INSB.
fn ins(byte: &mut [u8; 1]) {
    // SAFETY: writes the byte; reading the scratch register has no effect.
    unsafe {
        asm!("insb", in("dx") SCRATCH, inout("rdi") byte.as_mut_ptr() => _,
             options(nostack, preserves_flags));
    }
}

/// The upper bits of RAX are loaded too: the host must see none of them.
fn write(
    steps: &mut Steps,
    cause: &'static str,
    access: (u16, IoWidth),
    form: u64,
    value: u64,
    out: fn(u16, u64),
) {
    let rax = PATTERN & !access.1.mask() | value;
    let ((), seen) = watch(|| out(access.0, rax));
    let expected = expected(cause, access, form, mask::IO_WRITE);
    let sent = seen.last.value;
    steps.routed(&expected, seen, sent, value);
}

fn read(
    steps: &mut Steps,
    cause: &'static str,
    access: (u16, IoWidth),
    wanted: u64,
    input: fn(u16, u64) -> u64,
) {
    let (rax, seen) = watch(|| input(access.0, PATTERN));
    let expected = expected(cause, access, 1 << 3, mask::IO_READ);
    steps.routed(&expected, seen, rax, wanted);
}

/// The qualification by the manual's table: size - 1, direction and form, port. [ABI-G 5]
fn expected(cause: &'static str, (port, width): (u16, IoWidth), form: u64, mask: u64) -> Expected {
    let qualification = u64::from(width.bytes() - 1) | form | u64::from(port) << 16;
    Expected {
        cause,
        reason: ExitReason::IO,
        qualification: (qualification, u64::MAX),
        gpa: None,
        call: Some((function::IO, mask)),
    }
}
