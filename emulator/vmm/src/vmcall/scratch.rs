//! The scratch port: a device for tests of port I/O, which nothing real has.
//!
//! | port | read | write |
//! |---|---|---|
//! | 0x5A0-0x5A7 | the bytes last written there | kept |
//! | 0x5A8 | takes bytes out of the queue; ones when it is empty | puts bytes in; lost when it is full |
//! | 0x5AC | bytes in the queue | empties it |
//!
//! The queue's first byte in is its first byte out, whatever the widths. The memory shows that
//! an access has its width and its place, the queue shows every element of INS and OUTS.

use abi::IoWidth;

const MEMORY: u16 = 0x5A0;
const MEMORY_BYTES: usize = 8;
const QUEUE: u16 = 0x5A8;
const LENGTH: u16 = 0x5AC;
const QUEUE_BYTES: usize = 1024;

/// The device.
#[derive(Clone, Debug)]
pub struct Scratch {
    memory: [u8; MEMORY_BYTES],
    queue: [u8; QUEUE_BYTES],
    first: usize,
    length: usize,
}

impl Scratch {
    /// Zeros, and an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { memory: [0; MEMORY_BYTES], queue: [0; QUEUE_BYTES], first: 0, length: 0 }
    }

    /// IN. None: not a port of this device.
    pub fn read(&mut self, port: u16, width: IoWidth) -> Option<u32> {
        let bytes = usize::from(width.bytes());
        let mut value = [0xFF; 4];
        match port {
            QUEUE => value.iter_mut().take(bytes).for_each(|byte| *byte = self.take()),
            LENGTH => return u32::try_from(self.length).ok(),
            _ => value.get_mut(..bytes)?.copy_from_slice(self.at(port, bytes)?),
        }
        Some(u32::from_le_bytes(value))
    }

    /// OUT. False: not a port of this device.
    pub fn write(&mut self, port: u16, width: IoWidth, value: u32) -> bool {
        let value = value.to_le_bytes();
        let bytes = value.iter().copied().take(width.bytes().into());
        match port {
            QUEUE => bytes.for_each(|byte| self.put(byte)),
            LENGTH => self.length = 0,
            _ => {
                let Some(at) = self.at(port, bytes.len()) else { return false };
                at.iter_mut().zip(bytes).for_each(|(at, byte)| *at = byte);
            }
        }
        true
    }

    /// The memory at a port.
    fn at(&mut self, port: u16, bytes: usize) -> Option<&mut [u8]> {
        let start = usize::from(port.checked_sub(MEMORY)?);
        self.memory.get_mut(start..start + bytes)
    }

    fn take(&mut self) -> u8 {
        if self.length == 0 {
            return 0xFF;
        }
        let byte = self.queue[self.first];
        self.first = (self.first + 1) % QUEUE_BYTES;
        self.length -= 1;
        byte
    }

    fn put(&mut self, byte: u8) {
        if self.length < QUEUE_BYTES {
            self.queue[(self.first + self.length) % QUEUE_BYTES] = byte;
            self.length += 1;
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYTE: IoWidth = IoWidth::Byte;
    const WORD: IoWidth = IoWidth::Word;
    const DWORD: IoWidth = IoWidth::Dword;

    #[test]
    fn the_memory_keeps_what_an_access_covers() {
        let mut scratch = Scratch::new();
        assert!(scratch.write(0x5A0, DWORD, 0x4433_2211));
        assert!(scratch.write(0x5A1, WORD, 0xFFFF_BBAA));
        assert!(scratch.write(0x5A4, BYTE, 0x55));
        assert_eq!(scratch.read(0x5A0, DWORD), Some(0x44BB_AA11));
        assert_eq!(scratch.read(0x5A3, WORD), Some(0xFFFF_5544));
        for (port, width) in [(0x59F, BYTE), (0x5A7, WORD), (0x5A5, DWORD), (0x5A9, BYTE)] {
            assert_eq!(scratch.read(port, width), None, "{port:#x}");
            assert!(!scratch.write(port, width, 0), "{port:#x}");
        }
    }

    #[test]
    fn the_queue_gives_bytes_in_the_order_they_came() {
        let mut scratch = Scratch::new();
        scratch.write(QUEUE, DWORD, 0x4433_2211);
        scratch.write(QUEUE, BYTE, 0x55);
        assert_eq!(scratch.read(LENGTH, DWORD), Some(5));
        assert_eq!(scratch.read(QUEUE, BYTE), Some(0xFFFF_FF11));
        assert_eq!(scratch.read(QUEUE, DWORD), Some(0x5544_3322));
        assert_eq!(scratch.read(QUEUE, WORD), Some(0xFFFF_FFFF));
        scratch.write(QUEUE, DWORD, 0);
        scratch.write(LENGTH, BYTE, 0);
        assert_eq!(scratch.read(LENGTH, BYTE), Some(0));
    }

    #[test]
    fn a_full_queue_loses_what_does_not_fit() {
        let mut scratch = Scratch::new();
        (0..300).for_each(|value| {
            scratch.write(QUEUE, DWORD, value);
        });
        assert_eq!(scratch.read(LENGTH, DWORD), Some(1024));
        (0..256).for_each(|value| assert_eq!(scratch.read(QUEUE, DWORD), Some(value)));
        assert_eq!(scratch.read(LENGTH, DWORD), Some(0));
    }

    proptest! {
        #[test]
        fn no_access_panics(accesses in prop::collection::vec((0x590..0x5B8_u16, 0..3_usize, any::<u32>(), any::<bool>()), 0..200)) {
            let mut scratch = Scratch::new();
            for (port, width, value, is_write) in accesses {
                let width = [BYTE, WORD, DWORD][width];
                if is_write {
                    scratch.write(port, width, value);
                } else {
                    let _ = scratch.read(port, width);
                }
            }
        }
    }
}
