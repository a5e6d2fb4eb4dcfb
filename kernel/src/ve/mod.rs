//! Virtualization exceptions: what a TD can not execute, routed to the host. [ABI-G 5]
//!
//! Contract:
//!
//! * On entry: vector 20, IF = 0, RIP at the instruction, nothing emulated yet. An APIC
//!   write alone is trap-like: RIP is behind it.
//! * TDG.VP.VEINFO.GET comes first: until it ran, another #VE would be #DF, and the host's
//!   NMIs are held back. From then on both may come, here too.
//! * Each cause decides without effect, asks the host, then commits: registers as the
//!   instruction writes them, no bit wider than the access; RIP behind the instruction,
//!   once. With RFLAGS.TF set, #DB follows.
//! * What can not be routed faithfully is refused: an exception for an instruction that is
//!   prepared for it ([`crate::fault`]), else a stop with a message that names the cause.
//!   Nothing is skipped and nothing is guessed.
//!
//! [`policy`] has all causes in one table. A cause that it does not have is a stop; so is any
//! #VE from user mode, of which there is none.

pub mod decode;
pub mod emulate;
pub mod policy;
pub mod register;

mod apic;
mod cache;
mod control_register;
mod cpuid;
mod hlt;
mod io;
mod journal;
mod mmio;
pub(crate) mod msr;
mod pconfig;
mod step;
mod string_io;
mod unroutable;

use core::fmt;

use abi::{ExitReason, GpaWidth, SharedGpa, VeInfo};
use arch::trap::TrapFrame;

pub use self::decode::DecodeError;
pub use self::journal::{LastVe, Outcome, last, slowest, start_timing};
pub use self::unroutable::Unroutable;
use crate::memory::Map;
use crate::td::{Td, Tdcall};
use crate::{counts, fault, memory};

/// RFLAGS.IF.
const INTERRUPT_FLAG: u64 = 1 << 9;
/// RFLAGS.RF, which the module sets in the pushed image; a completed instruction clears
/// it. [ABI-G 16.8]
const RESUME_FLAG: u64 = 1 << 16;

/// What routing asks of memory.
pub trait Memory {
    /// Width of guest-physical addresses.
    fn gpa_width(&self) -> GpaWidth;
    /// Whether the page of `gpa` was mapped as a device's.
    fn is_device(&self, gpa: SharedGpa) -> bool;
    /// Whether the page of `gpa` is mapped as shared memory, which never raises #VE.
    fn is_shared(&self, gpa: SharedGpa) -> bool;
    /// Copies code at a linear address, `bytes` not crossing a page; false unless the page
    /// is mapped and private.
    fn read_code(&self, address: u64, bytes: &mut [u8]) -> bool;
    /// Copies data at a linear address, `bytes` at most a page; false unless all of it is
    /// mapped and private.
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes data to a linear address; false, and nothing is written, unless
    /// [`Memory::can_write`].
    fn write(&self, address: u64, bytes: &[u8]) -> bool;
    /// Whether all of `bytes` bytes, at most a page, at a linear address are mapped writable
    /// and private.
    fn can_write(&self, address: u64, bytes: usize) -> bool;
    /// The base of a segment.
    fn segment_base(&self, segment: Segment) -> u64;
    /// The device that a linear address leads to, if its page is one that was mapped as a
    /// device's.
    fn device(&self, address: u64) -> Option<SharedGpa>;
}

/// A segment whose base counts in 64-bit mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// FS.
    Fs,
    /// GS.
    Gs,
}

/// A routed exception: what is left is to step over the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Bytes that RIP is to move by. 0: RIP stays, because a repeated instruction goes on, or
    /// is past the instruction already.
    length: u64,
    /// The VP.VMCALL that was made: sub-function and RCX mask. None: answered here.
    call: Option<(u64, u64)>,
    /// What the host gave, cut to the access, or what it was given. CPUID: EAX. INS, OUTS:
    /// the number of elements.
    value: u64,
}

/// The handler of vector 20.
pub(crate) fn on_exception(frame: &mut TrapFrame) {
    if journal::is_timed() {
        journal::time(|| handle(frame));
    } else {
        handle(frame);
    }
}

#[inline]
fn handle(frame: &mut TrapFrame) {
    let info = match Td.vp_veinfo_get() {
        Ok(info) => info,
        Err(status) => panic!("#VE without information at {:#x}: {status}", frame.rip),
    };
    counts::ve(info.reason().0);
    let rip = frame.rip;
    match route(&mut Td, &Map, &info, frame) {
        Ok(routed) => {
            journal::record(&info, rip, Outcome::Routed, &routed);
            step::after(frame);
        }
        Err(why) => refuse(why, &info, frame),
    }
}

/// Emulates one instruction. On an error nothing was changed.
pub fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    if frame.cs & 3 != 0 {
        return Err(Unroutable::UserMode);
    }
    let reason = info.reason();
    // First, and not by the compiler's order: most exceptions are the console's.
    if reason == ExitReason::IO {
        return Ok(step_over(io::route(td, memory, info, frame)?, frame));
    }
    let routed = match reason {
        ExitReason::CPUID => cpuid::route(td, info, frame),
        ExitReason::HLT => hlt::route(td, info, frame),
        ExitReason::INVD => Err(Unroutable::Invd),
        ExitReason::VMCALL | ExitReason::MWAIT | ExitReason::MONITOR => Err(Unroutable::Undefined),
        ExitReason::CR_ACCESS => control_register::route(info, frame),
        ExitReason::RDMSR => msr::route_read(td, info, frame),
        ExitReason::WRMSR => msr::route_write(td, info, frame),
        ExitReason::EPT_VIOLATION => mmio::route(td, memory, info, frame),
        ExitReason::WBINVD => cache::route_write_back(td, memory, info, frame),
        ExitReason::APIC_WRITE => apic::route(info, frame),
        ExitReason::PCONFIG => pconfig::route(td, info, frame),
        _ => Err(Unroutable::Cause),
    }?;
    Ok(step_over(routed, frame))
}

/// RIP moves, and the instruction is over.
fn step_over(routed: Routed, frame: &mut TrapFrame) -> Routed {
    if routed.length != 0 {
        frame.rip = frame.rip.wrapping_add(routed.length);
        frame.rflags &= !RESUME_FLAG;
    }
    routed
}

/// The exception that the instruction is prepared for, or the end.
#[cold]
fn refuse(why: Unroutable, info: &VeInfo, frame: &mut TrapFrame) {
    let rip = frame.rip;
    if let Some(fault) = why.fault() {
        frame.vector = fault as u64;
        if fault::catch(frame) {
            let length = u64::from(info.instruction_length);
            let refused = Routed { length, call: None, value: fault as u64 };
            journal::record(info, rip, Outcome::Refused(fault), &refused);
            return;
        }
    }
    panic!("#VE not routed: {why}; {}", Description { info: *info, rip });
}

/// The length that VE_INFO gives, for every cause but EPT violations. [ABI-G 16.6]
fn instruction_length(info: &VeInfo) -> Result<u64, Unroutable> {
    match info.instruction_length {
        length @ 1..=15 => Ok(u64::from(length)),
        length => Err(Unroutable::Length(length)),
    }
}

/// The last words on an exception: cause, qualification, addresses, bytes.
struct Description {
    info: VeInfo,
    rip: u64,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, rip } = self;
        write!(f, "{} qualification {:#x}", info.reason(), info.qualification)?;
        if info.reason() == ExitReason::EPT_VIOLATION {
            write!(f, " gpa {:#x} gla {:#x}", info.guest_physical_address, info.linear_address)?;
        }
        write!(f, " rip {rip:#x} bytes")?;
        memory::code_at(*rip).iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod string_io_tests;
#[cfg(test)]
mod tests;
