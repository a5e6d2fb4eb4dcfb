//! Instruction.IO: port accesses. [TDVF 4.4]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::IoWidth;
use abi::ghci::function;

use super::{VmcallError, mask, refused, succeeded};

const READ: u64 = 0;
const WRITE: u64 = 1;

/// Instruction.IO, read: the value, zero above its width. [TDVF 4.4]
///
/// In R12 bytes, R13 = 0, R14 port; out R11 value.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn io_read(port: u16, width: IoWidth) -> Result<u32, VmcallError> {
    let value: u64;
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::IO_READ,
                lend ["r12" by "rdx" = (width as u64).wrapping_add(1), "r13" by "r8" = READ,
                      "r14" by "rsi" = u64::from(port)],
                after ["and r11, r9"],
                inlateout("r11") function::IO => value, in("r9") width.mask(),)
    };
    if succeeded(answer) { Ok(value as u32) } else { refused(answer) }
}

/// Instruction.IO, write: the low bytes of `value`; the VMM does not see the others.
/// [TDVF 4.4]
///
/// In R12 bytes, R13 = 1, R14 port, R15 value.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn io_write(port: u16, width: IoWidth, value: u32) -> Result<(), VmcallError> {
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::IO_WRITE,
                lend ["r12" by "rsi" = (width as u64).wrapping_add(1), "r13" by "r8" = WRITE,
                      "r14" by "rdi" = u64::from(port),
                      "r15" by "rdx" = u64::from(value) & width.mask()],
                after ["xor r11d, r11d"],
                inlateout("r11") function::IO => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}
