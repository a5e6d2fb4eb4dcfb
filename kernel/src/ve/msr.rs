//! RDMSR and WRMSR, exit reasons 31 and 32. [ABI-G 8]
//!
//! The exception names no MSR: ECX does, and EDX:EAX is the data. Every MSR that the
//! module does not know raises #VE, so the list below decides what the host is asked; the
//! rest are stops. All of the list is the local APIC, which the host emulates.

use core::ops::RangeInclusive;

use abi::ghci::function;
use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

/// IA32_APIC_BASE.
pub(crate) const APIC_BASE: u32 = 0x1B;
/// x2APIC: local APIC id.
pub(crate) const X2APIC_ID: u32 = 0x802;
/// x2APIC: LVT timer.
pub(crate) const X2APIC_LVT_TIMER: u32 = 0x832;

/// MSRs that are read from the host.
const READABLE: [RangeInclusive<u32>; 5] = [
    APIC_BASE..=APIC_BASE,
    X2APIC_ID..=0x803, // id, version
    X2APIC_LVT_TIMER..=X2APIC_LVT_TIMER,
    0x838..=0x839, // timer: initial and current count
    0x83E..=0x83E, // timer: divider
];

/// MSRs that are written to the host.
const WRITABLE: [RangeInclusive<u32>; 3] =
    [X2APIC_LVT_TIMER..=X2APIC_LVT_TIMER, 0x838..=0x838, 0x83E..=0x83E];

pub(super) fn route_read(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let index = allowed(frame, &READABLE)?;
    let value = td.rdmsr(index).map_err(Unroutable::Refused)?;
    Register::new(Gpr::Rax, Part::Dword).write(&mut frame.regs, value);
    Register::new(Gpr::Rdx, Part::Dword).write(&mut frame.regs, value >> 32);
    Ok(Routed { length, call: Some((function::RDMSR, mask::RDMSR)), value })
}

pub(super) fn route_write(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let index = allowed(frame, &WRITABLE)?;
    let value = frame.regs.rdx << 32 | frame.regs.rax & 0xFFFF_FFFF;
    td.wrmsr(index, value).map_err(Unroutable::Refused)?;
    Ok(Routed { length, call: Some((function::WRMSR, mask::WRMSR)), value })
}

/// The index in ECX, if the list has it.
fn allowed(frame: &TrapFrame, list: &[RangeInclusive<u32>]) -> Result<u32, Unroutable> {
    let index = frame.regs.rcx as u32;
    let is_listed = list.iter().any(|range| range.contains(&index));
    if is_listed { Ok(index) } else { Err(Unroutable::Msr(index)) }
}
