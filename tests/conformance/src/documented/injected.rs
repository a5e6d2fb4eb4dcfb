//! Statuses that a host leaf gives only while another processor or a device is in its way.
//!
//! With one processor none of them comes by itself, so the module is told to give them: its
//! option `inject`, a few rules a boot. A program of `tests/hosts` checks part after part, and
//! the tests on the host make the rules.

use abi::Status;
use abi::leaf::tdh;

use super::HOST;

/// Rules of one boot; the module takes no more.
pub const PART: usize = 8;

/// Every such status with its leaf, by RAX.
pub fn injected() -> impl Iterator<Item = (u64, Status)> {
    HOST.iter().flat_map(|leaf| {
        let number = u64::from(leaf.number);
        let reached = leaf.statuses.iter().filter(|listed| listed.unreachable.is_none());
        let statuses = reached.map(|listed| listed.status).filter(|status| is_injected(*status));
        statuses.map(move |status| (number, status))
    })
}

/// Those of boot `index`.
pub fn part(index: usize) -> impl Iterator<Item = (u64, Status)> {
    injected().skip(index * PART).take(PART)
}

/// Boots that it takes to see all of them.
#[must_use]
pub fn parts() -> usize {
    injected().count().div_ceil(PART)
}

/// How often the module gives this status: more than a caller will ever try.
#[must_use]
pub fn times(leaf: u64, status: Status) -> u32 {
    let interrupted =
        status.is(Status::INTERRUPTED_RESUMABLE) || status.is(Status::INTERRUPTED_RESTARTABLE);
    if interrupted && leaf == tdh::PHYMEM_CACHE_WB {
        10_100
    } else if interrupted {
        1_100
    } else {
        100
    }
}

/// Whether only the module's option makes this status.
fn is_injected(status: Status) -> bool {
    const CODES: [Status; 7] = [
        Status::OPERAND_BUSY,
        Status::SYS_BUSY,
        Status::RND_NO_ENTROPY,
        Status::KEY_GENERATION_FAILED,
        Status::PREVIOUS_TLB_EPOCH_BUSY,
        Status::INTERRUPTED_RESUMABLE,
        Status::INTERRUPTED_RESTARTABLE,
    ];
    CODES.iter().any(|code| status.is(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole() {
        let all = (0..parts()).map(|index| part(index).count()).sum::<usize>();
        assert_eq!(all, injected().count());
        assert!(all > 50, "{all}");
        assert_eq!(part(parts()).count(), 0);
    }
}
