//! GetTdVmCallInfo, GetQuote, SetupEventNotifyInterrupt, Service. [TDVF 4.4, 4.6, 10.1]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::SharedGpa;
use abi::ghci::function;

use super::instruction::one_argument;
use super::{VmcallError, mask, refused, succeeded};

/// An interrupt vector by which the VMM may tell of an event: 32-255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyVector(u8);

impl NotifyVector {
    /// A vector that is not an exception's.
    #[must_use]
    pub const fn try_new(vector: u8) -> Option<Self> {
        if vector >= 32 { Some(Self(vector)) } else { None }
    }

    /// The vector.
    #[must_use]
    pub const fn vector(self) -> u8 {
        self.0
    }
}

/// What GetTdVmCallInfo tells. Leaf 0: all zero. Leaf 1: bitmaps of optional functions that
/// the VMM has, in R11 and R12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field is the register")]
pub struct VmcallInfo {
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
}

/// GetTdVmCallInfo: which functions the VMM has. [TDVF 4.4]
///
/// In R12 leaf; out R11-R14.
///
/// # Errors
/// See [`VmcallError`]; a VMM that does not know the leaf says INVALID_OPERAND.
pub fn get_td_vmcall_info(leaf: u64) -> Result<VmcallInfo, VmcallError> {
    let (r11, r12, r13, r14): (u64, u64, u64, u64);
    // SAFETY: touches no memory; every exposed register is an output or is lent.
    let answer = unsafe {
        vmcall!(mask mask::GET_TD_VMCALL_INFO,
                swap ["r12" with "rsi" = leaf => r12, "r13" with "r8" = 0_u64 => r13,
                      "r14" with "r9" = 0_u64 => r14],
                back ["xchg r12, rsi", "xchg r13, r8", "xchg r14, r9"],
                inlateout("r11") function::GET_TD_VMCALL_INFO => r11,)
    };
    if succeeded(answer) { Ok(VmcallInfo { r11, r12, r13, r14 }) } else { refused(answer) }
}

/// GetQuote: asks the host to turn the TDREPORT in a shared buffer into a quote. The buffer
/// is 4 KiB aligned, `bytes` a multiple of 4 KiB, and starts with an
/// [`abi::quote::QuoteHeader`], whose status tells later whether the quote is there.
/// [TDVF 10.1]
///
/// In R12 address with its SHARED bit, R13 bytes.
///
/// The host writes to the buffer until the status says that it is done; as it may write to
/// shared memory at any time, that is no new right.
///
/// # Errors
/// See [`VmcallError`]; RETRY: the host has too many requests, call again later.
pub fn get_quote(buffer: SharedGpa, bytes: u64) -> Result<(), VmcallError> {
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::GET_QUOTE,
                lend ["r12" by "rdi" = buffer.bits(), "r13" by "rsi" = bytes],
                after ["xor r11d, r11d"], inlateout("r11") function::GET_QUOTE => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}

/// SetupEventNotifyInterrupt: the vector by which the VMM tells this vCPU of events.
/// [TDVF 4.4]
///
/// In R12 vector.
///
/// # Errors
/// See [`VmcallError`].
pub fn setup_event_notify_interrupt(vector: NotifyVector) -> Result<(), VmcallError> {
    const MASK: u64 = mask::SETUP_EVENT_NOTIFY_INTERRUPT;
    const FUNCTION: u64 = function::SETUP_EVENT_NOTIFY_INTERRUPT;
    one_argument::<MASK, FUNCTION>(u64::from(vector.0))
}

/// Service: sends the command in one shared buffer to a service of the host, which answers
/// in another. Both are 4 KiB aligned and say their length. [TDVF 4.6]
///
/// In R12 command, R13 response (both with their SHARED bit), R14 vector or 0 (wait for the
/// response), R15 the longest wait in milliseconds (0: no limit).
///
/// With a vector, the response may come after the call returned.
///
/// # Errors
/// See [`VmcallError`]; KVM says SUBFUNC_UNSUPPORTED.
pub fn service(
    command: SharedGpa,
    response: SharedGpa,
    notify: Option<NotifyVector>,
    timeout_ms: u64,
) -> Result<(), VmcallError> {
    let vector = notify.map_or(0, |notify| u64::from(notify.0));
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::SERVICE,
                lend ["r12" by "rdi" = command.bits(), "r13" by "rsi" = response.bits(),
                      "r14" by "rdx" = vector, "r15" by "r8" = timeout_ms],
                after ["xor r11d, r11d"],
                inlateout("r11") function::SERVICE => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exceptions_vector_is_not_for_events() {
        assert_eq!(NotifyVector::try_new(31), None);
        assert_eq!(NotifyVector::try_new(32).map(NotifyVector::vector), Some(32));
    }
}
