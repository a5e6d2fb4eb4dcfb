//! The configuration: QEMU's fw_cfg file `opt/tdlet/config`, read through the port.
//! [TDVF 7.2]
#![expect(unsafe_code, reason = "the ports of fw_cfg")]

use arch::port;

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const DIRECTORY: u16 = 0x19;
/// Files that QEMU can have; a bound for a directory that is not one.
const MAX_FILES: u32 = 0x4000;
const NAME: &[u8] = b"opt/tdlet/config";
const LONGEST: usize = 512;

/// The number in the word `key=<number>` of the configuration.
#[must_use]
pub fn number(key: &str) -> Option<usize> {
    let (text, len) = text()?;
    let text = core::str::from_utf8(text.get(..len)?).ok()?;
    let mut words = text.split(',').filter_map(|word| word.split_once('='));
    words.find(|(name, _)| *name == key)?.1.parse().ok()
}

/// The file and its length, at most [`LONGEST`].
fn text() -> Option<([u8; LONGEST], usize)> {
    select(DIRECTORY);
    let count = u32::from_be_bytes(bytes());
    for _ in 0..count.min(MAX_FILES) {
        let size = u32::from_be_bytes(bytes());
        let item = u16::from_be_bytes(bytes());
        let _reserved = bytes::<2>();
        let name = bytes::<56>();
        if name.starts_with(NAME) && name[NAME.len()] == 0 {
            select(item);
            return Some((bytes(), (size as usize).min(LONGEST)));
        }
    }
    None
}

fn select(item: u16) {
    // SAFETY: selects an item; changes no memory.
    unsafe { port::outw(SELECTOR, item) };
}

fn bytes<const N: usize>() -> [u8; N] {
    // SAFETY: reads the selected item's next byte; behind its end there are zeros.
    core::array::from_fn(|_| unsafe { port::inb(DATA) })
}
