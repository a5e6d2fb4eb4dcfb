//! Memory in numbers, for people to read.

use core::fmt;

/// Bytes of memory by use, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// In boot's map, boot's own and the kernel's included.
    pub total: u64,
    /// For the heap, accepted or not.
    pub usable: u64,
    /// Accepted of all, that is, what can be touched.
    pub accepted: u64,
    /// Still to be accepted.
    pub unaccepted: u64,
    /// In use in the heap.
    pub heap_used: u64,
    /// Of these, shared with the host.
    pub shared: u64,
}

impl Numbers {
    /// Accepted or not, but not in use.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.usable.saturating_sub(self.heap_used)
    }
}

impl fmt::Display for Numbers {
    /// `12288 KiB of memory, 10924 usable, 8192 unaccepted, 16 in use, 4 shared`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let Self { total, usable, unaccepted, heap_used, shared, .. } = *self;
        write!(f, "{} KiB of memory, {} usable, ", kib(total), kib(usable))?;
        write!(f, "{} unaccepted, {} in use, ", kib(unaccepted), kib(heap_used))?;
        write!(f, "{} shared", kib(shared))
    }
}

/// The heap has no room for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub asked: usize,
    /// Memory when it was asked for; `None` if the asker interrupted the heap itself.
    pub numbers: Option<Numbers>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory: {} bytes asked for", self.asked)?;
        let Some(numbers) = self.numbers else { return Ok(()) };
        let (used, free, unaccepted) = (numbers.heap_used, numbers.free(), numbers.unaccepted);
        write!(f, ", {used} used, {free} free, of these {unaccepted} unaccepted")
    }
}

impl core::error::Error for OutOfMemory {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const NUMBERS: Numbers = Numbers {
        total: 12 << 20,
        usable: 10 << 20,
        accepted: 4 << 20,
        unaccepted: 8 << 20,
        heap_used: 3000,
        shared: 4096,
    };

    #[test]
    fn numbers_are_told_in_kib() {
        let text = "12288 KiB of memory, 10240 usable, 8192 unaccepted, 3 in use, 4 shared";
        assert_eq!(NUMBERS.to_string(), text);
        assert_eq!(NUMBERS.free(), (10 << 20) - 3000);
    }

    #[test]
    fn running_out_is_told_with_numbers() {
        let text = "out of memory: 99 bytes asked for, 3000 used, 10482760 free, \
                    of these 8388608 unaccepted";
        assert_eq!(OutOfMemory { asked: 99, numbers: Some(NUMBERS) }.to_string(), text);
        let short = OutOfMemory { asked: 99, numbers: None };
        assert_eq!(short.to_string(), "out of memory: 99 bytes asked for");
    }
}
