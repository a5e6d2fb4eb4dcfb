//! A file of QEMU's fw_cfg, by ports.

use abi::IoWidth;
use tdcall::ghci;

use crate::run::Plan;

const NAME: &[u8] = b"opt/tdlet/differ";
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const DIRECTORY: u16 = 0x19;
/// Bytes of a file's name, padded with zeros.
const NAME_BYTES: usize = 56;

/// The cases that `opt/tdlet/differ` names: `<seed>:<first>:<count>`.
pub(crate) fn plan() -> Option<Plan> {
    let (selector, size) = find()?;
    select(selector)?;
    let mut text = [0; 64];
    let text = text.get_mut(..size)?;
    for byte in text.iter_mut() {
        *byte = read()?;
    }
    let mut numbers = core::str::from_utf8(text).ok()?.trim().split(':').map(|n| n.parse().ok());
    let mut number = || numbers.next().flatten();
    Some(Plan { seed: number()?, first: number()?, count: number()? })
}

/// Selector and size of the file.
fn find() -> Option<(u16, usize)> {
    select(DIRECTORY)?;
    for _ in 0..number(4)? {
        let (size, selector) = (number(4)?, number(2)?);
        let _reserved = number(2)?;
        let mut name = [0; NAME_BYTES];
        for byte in &mut name {
            *byte = read()?;
        }
        if name.strip_prefix(NAME).is_some_and(|rest| rest[0] == 0) {
            return Some((selector as u16, size as usize));
        }
    }
    None
}

/// A big-endian number.
fn number(bytes: usize) -> Option<u32> {
    (0..bytes).try_fold(0, |number, _| Some(number << 8 | u32::from(read()?)))
}

fn select(selector: u16) -> Option<()> {
    ghci::io_write(SELECTOR, IoWidth::Word, selector.into()).ok()
}

fn read() -> Option<u8> {
    Some(ghci::io_read(DATA, IoWidth::Byte).ok()? as u8)
}
