//! The VMM's ELF file: where its segments go and where it starts.
//!
//! The file comes from the command line, so it is checked, but a bad one is a
//! mistake of whoever built the run, not an attack: the answer is one clear line.

use core::fmt;

/// Lowest address of the VMM's memory.
pub(super) const VMM_BASE: u64 = 0x200_0000;
/// End of the VMM's memory.
pub(super) const VMM_END: u64 = 0x300_0000;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// Type of the PVH entry note.
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// What is wrong with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElfError {
    /// Not a 64-bit little-endian x86 ELF file.
    NotElf,
    /// A header or segment reaches beyond the file.
    Truncated,
    /// A segment lies outside the VMM's memory.
    Misplaced(u64),
    /// There is no PVH note, or its entry is outside the VMM's memory.
    NoEntry,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an x86-64 ELF file"),
            Self::Truncated => f.write_str("the file is truncated"),
            Self::Misplaced(at) => {
                write!(f, "a segment at {at:#x} is outside [{VMM_BASE:#x}, {VMM_END:#x})")
            }
            Self::NoEntry => f.write_str("no PVH entry note"),
        }
    }
}

/// A PT_LOAD segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Where it goes.
    pub address: u64,
    /// Offset of its bytes in the file.
    pub offset: usize,
    /// Bytes in the file.
    pub file_bytes: usize,
    /// Bytes in memory; the rest is zeros.
    pub memory_bytes: u64,
}

/// A checked file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elf<'a> {
    file: &'a [u8],
    headers: usize,
    count: usize,
}

impl<'a> Elf<'a> {
    /// Checks the headers and every segment.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        const X86_64_LSB64: [u8; 6] = [0x7F, b'E', b'L', b'F', 2, 1];
        if file.get(..6) != Some(&X86_64_LSB64) || half(file, 18)? != 62 || half(file, 54)? != 56 {
            return Err(ElfError::NotElf);
        }
        let headers = index(quad(file, 32)?)?;
        let elf = Self { file, headers, count: usize::from(half(file, 56)?) };
        for header in 0..elf.count {
            elf.segment(header, PT_LOAD)?;
        }
        Ok(elf)
    }

    /// The segments to load.
    pub(super) fn loads(&self) -> impl Iterator<Item = Load> + use<'a> {
        let elf = *self;
        (0..elf.count).filter_map(move |header| elf.segment(header, PT_LOAD).ok().flatten())
    }

    /// Bytes of a segment in the file.
    #[must_use]
    pub(super) fn bytes(&self, load: &Load) -> &'a [u8] {
        self.file.get(load.offset..load.offset + load.file_bytes).unwrap_or(&[])
    }

    /// The PVH entry point.
    pub(super) fn entry(&self) -> Result<u32, ElfError> {
        for header in 0..self.count {
            let Some(note) = self.segment(header, PT_NOTE)? else { continue };
            if let Some(entry) = pvh_entry(self.bytes(&note)) {
                let inside = (VMM_BASE..VMM_END).contains(&u64::from(entry));
                return if inside { Ok(entry) } else { Err(ElfError::NoEntry) };
            }
        }
        Err(ElfError::NoEntry)
    }

    /// Program header number `header`, if it is of type `kind`.
    fn segment(&self, header: usize, kind: u32) -> Result<Option<Load>, ElfError> {
        let at = self.headers.checked_add(header * 56).ok_or(ElfError::Truncated)?;
        let header =
            self.file.get(at..).and_then(|rest| rest.get(..56)).ok_or(ElfError::Truncated)?;
        if word(header, 0)? != kind {
            return Ok(None);
        }
        let load = Load {
            address: quad(header, 24)?,
            offset: index(quad(header, 8)?)?,
            file_bytes: index(quad(header, 32)?)?,
            memory_bytes: quad(header, 40)?,
        };
        let end = load.offset.checked_add(load.file_bytes).ok_or(ElfError::Truncated)?;
        if end > self.file.len() || load.memory_bytes < load.file_bytes as u64 {
            return Err(ElfError::Truncated);
        }
        let memory_end = load.address.checked_add(load.memory_bytes);
        let inside = load.address >= VMM_BASE && memory_end.is_some_and(|end| end <= VMM_END);
        if kind == PT_LOAD && load.memory_bytes > 0 && !inside {
            return Err(ElfError::Misplaced(load.address));
        }
        Ok(Some(load))
    }
}

/// The entry in a note segment with a Xen note of type 18.
fn pvh_entry(mut notes: &[u8]) -> Option<u32> {
    while notes.len() >= 12 {
        let name_bytes = word(notes, 0).ok()? as usize;
        let descriptor_bytes = word(notes, 4).ok()? as usize;
        let kind = word(notes, 8).ok()?;
        let descriptor = 12usize.checked_add(name_bytes.checked_next_multiple_of(4)?)?;
        let next = descriptor.checked_add(descriptor_bytes.checked_next_multiple_of(4)?)?;
        if kind == XEN_ELFNOTE_PHYS32_ENTRY && notes.get(12..16) == Some(b"Xen\0") {
            return word(notes, descriptor).ok();
        }
        notes = notes.get(next..)?;
    }
    None
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let range = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    range.copied().ok_or(ElfError::Truncated)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, ElfError> {
    Ok(u16::from_le_bytes(array(bytes, at)?))
}

fn word(bytes: &[u8], at: usize) -> Result<u32, ElfError> {
    Ok(u32::from_le_bytes(array(bytes, at)?))
}

fn quad(bytes: &[u8], at: usize) -> Result<u64, ElfError> {
    Ok(u64::from_le_bytes(array(bytes, at)?))
}

fn index(value: u64) -> Result<usize, ElfError> {
    usize::try_from(value).map_err(|_| ElfError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn file(address: u64) -> Vec<u8> {
        let mut file = std::vec![0u8; 0x200];
        file[..6].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1]);
        file[18] = 62;
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        let mut header = |at: usize, kind: u8, fields: [u64; 4]| {
            file[at] = kind;
            for (field, value) in [8, 24, 32, 40].into_iter().zip(fields) {
                file[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
            }
        };
        header(64, 1, [0x100, address, 0x20, 0x2000]);
        header(120, 4, [0x180, 0, 0x14, 0x14]);
        file[0x180..0x194].copy_from_slice(&[
            4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, b'X', b'e', b'n', 0, 0x10, 0, 0, 2,
        ]);
        file
    }

    #[test]
    fn a_good_file_gives_its_segment_and_entry() {
        let file = file(VMM_BASE);
        let elf = Elf::parse(&file).expect("a good file");
        let loads: Vec<Load> = elf.loads().collect();
        assert_eq!(loads.len(), 1);
        assert_eq!((loads[0].address, loads[0].memory_bytes), (VMM_BASE, 0x2000));
        assert_eq!(elf.bytes(&loads[0]).len(), 0x20);
        assert_eq!(elf.entry(), Ok(0x0200_0010));
    }

    #[test]
    fn a_segment_must_stay_in_the_vmms_memory() {
        assert_eq!(Elf::parse(&file(0x10_0000)).err(), Some(ElfError::Misplaced(0x10_0000)));
        let high = VMM_END - 0x1000;
        assert_eq!(Elf::parse(&file(high)).err(), Some(ElfError::Misplaced(high)));
        assert!(Elf::parse(&file(u64::MAX - 4)).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_an_error_never_a_panic(
            at in 0usize..0x200,
            byte in any::<u8>(),
            length in 0usize..0x200,
        ) {
            let mut file = file(VMM_BASE);
            file[at] = byte;
            file.truncate(length);
            if let Ok(elf) = Elf::parse(&file) {
                for load in elf.loads() {
                    prop_assert!(load.memory_bytes == 0 || load.address >= VMM_BASE);
                    prop_assert_eq!(elf.bytes(&load).len(), load.file_bytes);
                }
                let _ = elf.entry();
            }
        }
    }
}
