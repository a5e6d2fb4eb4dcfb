//! Bounded retries.

use abi::Status;

/// Tries of a call that answers BUSY or NO_ENTROPY. Linux uses 10 for entropy
/// [ABI-H 2.5]; locks are held for the length of another leaf, so a few more.
const TRIES: u32 = 32;

/// Repeats `call` while its status says busy, at most [`TRIES`] times; the last answer
/// stands. [ABI-G 16.24]
#[inline]
pub(crate) fn while_busy<T>(mut call: impl FnMut() -> (Status, T)) -> (Status, T) {
    let mut answer = call();
    for _ in 1..TRIES {
        if !answer.0.is_busy() {
            break;
        }
        core::hint::spin_loop();
        answer = call();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_call_is_repeated_until_it_is_not() {
        let mut calls = 0;
        let (status, value) = while_busy(|| {
            calls += 1;
            (if calls < 5 { Status::OPERAND_BUSY.with_detail(1) } else { Status::SUCCESS }, calls)
        });
        assert_eq!((status, value), (Status::SUCCESS, 5));
    }

    #[test]
    fn a_call_that_stays_busy_ends() {
        let mut calls = 0;
        let (status, ()) = while_busy(|| {
            calls += 1;
            (Status::RND_NO_ENTROPY, ())
        });
        assert_eq!((status, calls), (Status::RND_NO_ENTROPY, TRIES));
    }

    #[test]
    fn an_error_that_is_not_busy_is_not_repeated() {
        let mut calls = 0;
        let (status, ()) = while_busy(|| {
            calls += 1;
            (Status::OPERAND_INVALID, ())
        });
        assert_eq!((status, calls), (Status::OPERAND_INVALID, 1));
    }
}
