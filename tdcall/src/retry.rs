//! Bounded retries.

use abi::Status;

/// Tries of a call that answers BUSY or NO_ENTROPY. Linux uses 10 for entropy
/// [ABI-H 2.5]; locks are held for the length of another leaf, so a few more.
const TRIES: u32 = 32;

/// Repeats `call` while its status says busy, at most [`TRIES`] times; the last answer
/// stands. [ABI-G 16.24]
#[inline(always)]
pub(crate) fn while_busy<T>(call: impl FnMut() -> (Status, T)) -> (Status, T) {
    repeat(Status::is_busy, call)
}

/// The same for leaves that work on the whole system or make keys. [ABI-H 3.5, 3.6]
#[inline(always)]
pub(crate) fn while_system_busy<T>(call: impl FnMut() -> (Status, T)) -> (Status, T) {
    repeat(Status::is_system_busy, call)
}

#[inline(always)]
fn repeat<T>(
    is_busy: impl Fn(Status) -> bool,
    mut call: impl FnMut() -> (Status, T),
) -> (Status, T) {
    let mut left = TRIES;
    loop {
        let answer = call();
        if answer.0.is_success() {
            return answer;
        }
        left = left.saturating_sub(1);
        if left == 0 || !is_busy(answer.0) {
            return answer;
        }
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_busy_status_is_repeated_until_it_is_gone() {
        for busy in [
            Status::OPERAND_BUSY.with_detail(1),
            Status::OPERAND_BUSY_HOST_PRIORITY,
            Status::RND_NO_ENTROPY,
        ] {
            let mut calls = 0;
            let (status, value) = while_busy(|| {
                calls += 1;
                (if calls < 5 { busy } else { Status::SUCCESS }, calls)
            });
            assert_eq!((status, value), (Status::SUCCESS, 5));
        }
    }

    #[test]
    fn a_busy_system_is_waited_for_too() {
        for busy in
            [Status::OPERAND_BUSY.with_detail(187), Status::SYS_BUSY, Status::KEY_GENERATION_FAILED]
        {
            let mut calls = 0;
            let (status, ()) = while_system_busy(|| {
                calls += 1;
                (if calls < 5 { busy } else { Status::SUCCESS }, ())
            });
            assert_eq!((status, calls), (Status::SUCCESS, 5));
            let mut calls = 0;
            let (status, ()) = while_system_busy(|| {
                calls += 1;
                (busy, ())
            });
            assert_eq!((status, calls), (busy, TRIES));
        }
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
    fn an_answer_that_is_not_busy_is_not_repeated() {
        for other in [
            Status::OPERAND_INVALID,
            Status::PAGE_ALREADY_ACCEPTED,
            Status::PREVIOUS_TLB_EPOCH_BUSY,
            Status::SYS_BUSY,
        ] {
            let mut calls = 0;
            let (status, ()) = while_busy(|| {
                calls += 1;
                (other, ())
            });
            assert_eq!((status, calls), (other, 1));
        }
    }
}
