//! IN and OUT, exit reason 30. [ABI-G 5]
//!
//! The privilege check is done before the exception. 8- and 16-bit IN leave the rest of
//! RAX alone, 32-bit IN clears its upper half. INS and OUTS are [`super::string_io`]'s.

use abi::ghci::function;
use abi::{Gpr, IoQualification, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Memory, Routed, Unroutable, instruction_length, string_io};
use crate::td::Tdcall;

/// Bits of the qualification that are 0. [ABI-G 5]
const RESERVED: u64 = !0xFFFF_007F;

pub(super) fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let access = IoQualification::from_bits(info.qualification);
    let width = access.width().ok_or(Unroutable::PortSize)?;
    if info.qualification & RESERVED != 0 || !is_port_of(access, frame) {
        return Err(Unroutable::PortQualification);
    }
    if access.is_string() {
        return string_io::route(td, memory, info, frame);
    }
    let accumulator = Register::new(Gpr::Rax, Part::of_port(width));
    if access.is_in() {
        let value = td.io_read(access.port(), width).map_err(Unroutable::Refused)?;
        let value = u64::from(value) & width.mask();
        accumulator.write(&mut frame.regs, value);
        Ok(Routed { length, call: Some((function::IO, mask::IO_READ)), value })
    } else {
        let value = frame.regs.rax & width.mask();
        td.io_write(access.port(), width, value as u32).map_err(Unroutable::Refused)?;
        Ok(Routed { length, call: Some((function::IO, mask::IO_WRITE)), value })
    }
}

/// The port is the immediate, of one byte, or DX.
fn is_port_of(access: IoQualification, frame: &TrapFrame) -> bool {
    if access.is_immediate() {
        access.port() <= 0xFF
    } else {
        access.port() == frame.regs.rdx as u16
    }
}
