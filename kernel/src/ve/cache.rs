//! INVD, WBINVD and WBNOINVD, exit reasons 13 and 54. [TDVF 4.4]
//!
//! WBINVD and WBNOINVD have one exit reason; the F3 prefix tells them apart, so that the
//! instruction is read. The host flushes, or says that it does not: it is never taken for
//! done. INVD, which would lose data if it did what it says, is refused.

use abi::ghci::function;
use abi::{PAGE_SIZE, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::{CacheOperation, mask};

use super::decode::MAX_LENGTH;
use super::{Memory, Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

/// Second opcode byte behind 0F.
const WBINVD: u8 = 0x09;
/// The prefix that makes it WBNOINVD.
const REP: u8 = 0xF3;

pub(super) fn route_write_back(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let mut code = [0; MAX_LENGTH];
    let code = code.get_mut(..length as usize).ok_or(Unroutable::Mismatch)?;
    read_code(memory, frame.rip, code)?;
    let operation = operation(code).ok_or(Unroutable::Mismatch)?;
    td.wbinvd(operation).map_err(Unroutable::Refused)?;
    let call = Some((function::WBINVD, mask::WBINVD));
    Ok(Routed { length, call, value: operation as u64 })
}

/// Prefixes, then 0F 09.
fn operation(code: &[u8]) -> Option<CacheOperation> {
    match code {
        [prefixes @ .., 0x0F, WBINVD] if prefixes.contains(&REP) => Some(CacheOperation::WriteBack),
        [.., 0x0F, WBINVD] => Some(CacheOperation::WriteBackInvalidate),
        _ => None,
    }
}

/// The bytes of an instruction, whose end may be on another page.
fn read_code(memory: &impl Memory, rip: u64, code: &mut [u8]) -> Result<(), Unroutable> {
    let to_page_end = PAGE_SIZE - rip % PAGE_SIZE;
    let (here, beyond) = code.split_at_mut(code.len().min(to_page_end as usize));
    let is_read = memory.read_code(rip, here)
        && (beyond.is_empty() || memory.read_code(rip.wrapping_add(to_page_end), beyond));
    if is_read { Ok(()) } else { Err(Unroutable::Code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_tells_the_two_instructions_apart() {
        assert_eq!(operation(&[0x0F, 0x09]), Some(CacheOperation::WriteBackInvalidate));
        assert_eq!(operation(&[0xF3, 0x0F, 0x09]), Some(CacheOperation::WriteBack));
        assert_eq!(operation(&[0xF3, 0x48, 0x0F, 0x09]), Some(CacheOperation::WriteBack));
        assert_eq!(operation(&[0x66, 0x0F, 0x09]), Some(CacheOperation::WriteBackInvalidate));
        for other in [&[0x0F, 0x08][..], &[0x09], &[], &[0x0F, 0x09, 0x90]] {
            assert_eq!(operation(other), None, "{other:02x?}");
        }
    }
}
