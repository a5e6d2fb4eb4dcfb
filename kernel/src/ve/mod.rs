//! Virtualization exceptions: what a TD can not execute, routed to the host. [ABI-G 5]
//!
//! Contract:
//!
//! * On entry: vector 20, IF = 0, RIP at the instruction, nothing emulated yet.
//! * TDG.VP.VEINFO.GET comes first: until it ran, another #VE would be #DF.
//! * Each cause decides without effect, asks the host, then commits: registers as the
//!   instruction writes them, no bit wider than the access; RIP behind the instruction,
//!   once.
//! * What can not be routed faithfully stops the kernel with a message that names the
//!   cause. Nothing is skipped and nothing is guessed.
//!
//! Causes without an arm in [`route`] are such stops; so is any #VE from user mode, of
//! which there is none.

pub mod decode;
pub mod register;

mod cpuid;
mod hlt;
mod io;
mod journal;
mod mmio;
pub(crate) mod msr;

use core::fmt;

use abi::{AddressError, ExitReason, GpaWidth, SharedGpa, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::VmcallError;

pub use self::decode::DecodeError;
pub use self::journal::{LastVe, last};
use crate::memory::Map;
use crate::td::{Td, Tdcall};
use crate::{counts, memory};

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
pub(crate) struct Routed {
    /// Bytes of the instruction.
    length: u64,
    /// The VP.VMCALL that was made: sub-function and RCX mask. None: answered here.
    call: Option<(u64, u64)>,
    /// What the host gave, cut to the access, or what it was given. CPUID: EAX.
    value: u64,
}

/// Why an exception can not be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It came from user mode.
    UserMode,
    /// No policy for this cause.
    Cause,
    /// An instruction of 0 or of more than 15 bytes.
    Length(u32),
    /// INS or OUTS.
    StringIo,
    /// A port access of a size that does not exist.
    PortSize,
    /// An MSR that is not asked of the host: its index.
    Msr(u32),
    /// The host's answer, or the module's in its place.
    Refused(VmcallError),
    /// An access to private memory that is not there: the host took it away, or the
    /// address never had any.
    PrivateMemory,
    /// The GPA has bits above its width.
    Address(AddressError),
    /// The GPA is shared, but no device of the kernel's.
    UnknownDevice,
    /// The processor fetched code or walked page tables in device memory.
    NotAnAccess,
    /// The code at RIP is not private memory.
    Code,
    /// An instruction that accesses device memory in a way that is not emulated.
    Decode(DecodeError),
    /// The instruction does not do what VE_INFO says of it: another direction or address.
    Mismatch,
    /// The access crosses a page boundary.
    CrossesPage,
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserMode => f.write_str("it came from user mode"),
            Self::Cause => f.write_str("no policy for this cause"),
            Self::Length(length) => write!(f, "an instruction of {length} bytes"),
            Self::StringIo => f.write_str("string I/O is not emulated"),
            Self::PortSize => f.write_str("no port access has this size"),
            Self::Msr(index) => write!(f, "MSR {index:#x} is not one to ask the host for"),
            Self::Refused(error) => write!(f, "{error}"),
            Self::PrivateMemory => f.write_str("private memory is missing"),
            Self::Address(error) => write!(f, "{error}"),
            Self::UnknownDevice => f.write_str("no device is mapped there"),
            Self::NotAnAccess => f.write_str("code or page tables in device memory"),
            Self::Code => f.write_str("the instruction is not in private memory"),
            Self::Decode(error) => write!(f, "{error}"),
            Self::Mismatch => f.write_str("the instruction is not the one that faulted"),
            Self::CrossesPage => f.write_str("the access crosses a page"),
        }
    }
}

/// The handler of vector 20.
pub(crate) fn on_exception(frame: &mut TrapFrame) {
    let info = match Td.vp_veinfo_get() {
        Ok(info) => info,
        Err(status) => panic!("#VE without information at {:#x}: {status}", frame.rip),
    };
    counts::ve(info.reason().0);
    let rip = frame.rip;
    match route(&mut Td, &Map, &info, frame) {
        Ok(routed) => journal::record(&info, rip, &routed),
        Err(why) => panic!("#VE not routed: {why}; {}", Description { info, rip }),
    }
}

/// Emulates one instruction. On an error nothing was changed.
pub(crate) fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    if frame.cs & 3 != 0 {
        return Err(Unroutable::UserMode);
    }
    let routed = match info.reason() {
        ExitReason::CPUID => cpuid::route(td, info, frame),
        ExitReason::HLT => hlt::route(td, info, frame),
        ExitReason::IO => io::route(td, info, frame),
        ExitReason::RDMSR => msr::route_read(td, info, frame),
        ExitReason::WRMSR => msr::route_write(td, info, frame),
        ExitReason::EPT_VIOLATION => mmio::route(td, memory, info, frame),
        _ => Err(Unroutable::Cause),
    }?;
    frame.rip = frame.rip.wrapping_add(routed.length);
    frame.rflags &= !RESUME_FLAG;
    Ok(routed)
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
mod fakes;
#[cfg(test)]
mod tests;
