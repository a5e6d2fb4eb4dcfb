//! IN and OUT, exit reason 30. [ABI-G 5]
//!
//! The privilege check is done before the exception. 8- and 16-bit IN leave the rest of
//! RAX alone, 32-bit IN clears its upper half.

use abi::ghci::function;
use abi::{Gpr, IoQualification, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

pub(super) fn route(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let access = IoQualification::from_bits(info.qualification);
    let width = access.width().ok_or(Unroutable::PortSize)?;
    if access.is_string() {
        return Err(Unroutable::StringIo);
    }
    let accumulator = Register::new(Gpr::Rax, Part::of_port(width));
    if access.is_in() {
        let value = td.io_read(access.port(), width).map_err(Unroutable::Refused)?;
        let value = u64::from(value) & width.mask();
        accumulator.write(&mut frame.regs, value);
        Ok(Routed { length, call: Some((function::IO, mask::IO_READ)), value })
    } else {
        let value = accumulator.read(&frame.regs);
        td.io_write(access.port(), width, value as u32).map_err(Unroutable::Refused)?;
        Ok(Routed { length, call: Some((function::IO, mask::IO_WRITE)), value })
    }
}
