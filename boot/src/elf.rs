//! The kernel as an ELF file: checked once, then read without doubt.
//!
//! [`Elf::parse`] checks what the loader relies on, before anything is mapped: every table
//! and every segment's data lie in the file, file offsets and addresses agree within a
//! page, no segment is writable and executable, nothing wraps, the entry point is code.
//! What it hands out needs no further check. Not checked: whether segments share pages;
//! mapping them finds out.

mod error;
mod raw;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

use abi::PAGE_SIZE;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

pub use error::ElfError;
use raw::{Header, RawRelocation, SectionHeader, SegmentHeader, kind, tag};

/// Program headers that are taken. Linkers write about ten.
const MAX_SEGMENTS: u16 = 64;

/// A checked ELF file.
#[derive(Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    header: Header,
    segments: &'a [SegmentHeader],
}

/// A part of the kernel's memory. Addresses are those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub address: u64,
    /// Bytes, at least one; the sum with the address is one too.
    pub memory_size: u64,
    /// The bytes of the file that it starts with; the rest is zero.
    pub file: Range<u64>,
    /// May be written.
    pub is_writable: bool,
    /// May be executed; never together with writable.
    pub is_executable: bool,
}

impl Segment {
    /// First address after the segment.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address + self.memory_size
    }

    /// Whether the `len` bytes at `address` lie in the segment.
    #[must_use]
    pub fn contains(&self, address: u64, len: u64) -> bool {
        address >= self.address && address.checked_add(len).is_some_and(|end| end <= self.end())
    }
}

/// A word of the kernel that holds an address: `offset` gets `addend` plus the kernel's
/// displacement. [System V ABI, R_X86_64_RELATIVE]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Where, as an address of the file.
    pub offset: u64,
    /// What, as an address of the file.
    pub addend: u64,
}

impl<'a> Elf<'a> {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// It is no kernel that can be loaded.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| ElfError::NotElf)?;
        if !header.ident.starts_with(&raw::MAGIC_64_LITTLE_1)
            || header.machine != raw::MACHINE_X86_64
        {
            return Err(ElfError::NotElf);
        }
        if ![raw::EXECUTABLE, raw::SHARED_OBJECT].contains(&header.kind.get()) {
            return Err(ElfError::Kind(header.kind.get()));
        }
        let count = header.segment_count.get();
        if header.segment_size != size_of::<SegmentHeader>() as u16 || count > MAX_SEGMENTS {
            return Err(ElfError::Cut("program headers"));
        }
        let segments = table(bytes, header.segments.get(), count.into())
            .ok_or(ElfError::Cut("program headers"))?;
        let elf = Self { bytes, header, segments };
        elf.check_segments()?;
        let code = elf.segments().find(|s| s.is_executable && s.contains(elf.entry(), 1));
        if code.is_none() {
            return Err(ElfError::EntryOutside(elf.entry()));
        }
        Ok(elf)
    }

    fn check_segments(&self) -> Result<(), ElfError> {
        for segment in self.segments {
            let (address, offset) = (segment.address.get(), segment.offset.get());
            let (file, memory) = (segment.file_size.get(), segment.memory_size.get());
            match segment.kind.get() {
                kind::LOAD => {}
                kind::TLS | kind::GNU_RELRO => {
                    address.checked_add(memory).ok_or(ElfError::Wraps(address))?;
                    continue;
                }
                _ => continue,
            }
            address.checked_add(memory).ok_or(ElfError::Wraps(address))?;
            let end = offset.checked_add(file).ok_or(ElfError::Cut("a segment"))?;
            if end > self.bytes.len() as u64 || file > memory {
                return Err(ElfError::Cut("a segment"));
            }
            if file != 0 && !(address ^ offset).is_multiple_of(PAGE_SIZE) {
                return Err(ElfError::Unaligned { address, offset });
            }
            if segment.flags & 0b011 == 0b011 {
                return Err(ElfError::WritableCode(address));
            }
        }
        let tls = self.of_kind(kind::TLS).count();
        if tls > 1 { Err(ElfError::SecondTls) } else { Ok(()) }
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = &'a SegmentHeader> + Clone + use<'a> {
        self.segments.iter().filter(move |segment| segment.kind == kind)
    }

    /// The segments to load that are not empty.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + Clone + use<'a> {
        self.of_kind(kind::LOAD).filter(|raw| raw.memory_size != 0).map(|raw| Segment {
            address: raw.address.get(),
            memory_size: raw.memory_size.get(),
            file: raw.offset.get()..raw.offset.get() + raw.file_size.get(),
            is_writable: raw.flags.get() & 0b010 != 0,
            is_executable: raw.flags.get() & 0b001 != 0,
        })
    }

    /// The largest alignment that a segment asks for.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        self.of_kind(kind::LOAD).map(|raw| raw.align.get()).max().unwrap_or(1).max(PAGE_SIZE)
    }

    /// The whole file.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The address of the first instruction.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.header.entry.get()
    }

    /// The kernel may be loaded anywhere.
    #[must_use]
    pub fn is_relocatable(&self) -> bool {
        self.header.kind == raw::SHARED_OBJECT
    }

    /// The thread-local storage: address, bytes in the file, bytes.
    #[must_use]
    pub fn tls(&self) -> Option<(u64, u64, u64)> {
        let raw = self.of_kind(kind::TLS).next()?;
        Some((raw.address.get(), raw.file_size.get(), raw.memory_size.get()))
    }

    /// Ranges that are read-only once relocated.
    pub fn read_only_after_relocation(&self) -> impl Iterator<Item = Range<u64>> + use<'a> {
        self.of_kind(kind::GNU_RELRO)
            .map(|raw| raw.address.get()..raw.address.get() + raw.memory_size.get())
    }

    /// The content of the section named `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        let (offset, count) = (self.header.sections.get(), self.header.section_count.get());
        if self.header.section_size != size_of::<SectionHeader>() as u16 {
            return None;
        }
        let sections: &[SectionHeader] = table(self.bytes, offset, count.into())?;
        let content = |s: &SectionHeader| slice(self.bytes, s.offset.get(), s.size.get());
        let names = content(sections.get(usize::from(self.header.section_names.get()))?)?;
        let is_named = |section: &&SectionHeader| {
            let rest = names.get(section.name.get() as usize..).unwrap_or(&[]);
            rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        content(sections.iter().find(is_named)?)
    }

    /// The relocations.
    ///
    /// # Errors
    /// There are others than relative ones, or they do not lie in the file.
    pub fn relocations(
        &self,
    ) -> Result<impl Iterator<Item = Result<Relocation, ElfError>> + use<'a>, ElfError> {
        const CUT: ElfError = ElfError::Cut("the dynamic segment or its relocations");
        let (mut address, mut size) = (0, 0);
        if let Some(raw) = self.of_kind(kind::DYNAMIC).next() {
            let dynamic = slice(self.bytes, raw.offset.get(), raw.file_size.get()).ok_or(CUT)?;
            let pairs = <[[U64; 2]]>::ref_from_bytes(dynamic).map_err(|_| CUT)?;
            let pairs = pairs.iter().map(|[tag, value]| (tag.get(), value.get()));
            for (tag, value) in pairs.take_while(|(tag, _)| *tag != tag::NULL) {
                match tag {
                    tag::RELA => address = value,
                    tag::RELA_SIZE => size = value,
                    tag::RELA_ENTRY_SIZE if value != size_of::<RawRelocation>() as u64 => {
                        return Err(CUT);
                    }
                    tag::REL | tag::RELR | tag::JUMP_RELOCATIONS => {
                        return Err(ElfError::RelocationTable(tag));
                    }
                    _ => {}
                }
            }
        }
        let raw = if size == 0 { &[] } else { self.at(address, size).ok_or(CUT)? };
        let raw = <[RawRelocation]>::ref_from_bytes(raw).map_err(|_| CUT)?;
        Ok(raw.iter().map(|raw| match raw.kind.get() {
            raw::RELOCATION_RELATIVE => {
                Ok(Relocation { offset: raw.offset.get(), addend: raw.addend.get() })
            }
            kind => Err(ElfError::Relocation(kind)),
        }))
    }

    /// The `len` bytes of the file that are loaded to `address`.
    fn at(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        let segment = self.segments().find(|segment| segment.contains(address, len))?;
        let offset = segment.file.start + (address - segment.address);
        let end = offset.checked_add(len)?;
        if end <= segment.file.end { slice(self.bytes, offset, len) } else { None }
    }
}

impl fmt::Debug for Elf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elf").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

fn slice(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

fn table<T: FromBytes + Immutable + KnownLayout + Unaligned>(
    bytes: &[u8],
    offset: u64,
    count: u64,
) -> Option<&[T]> {
    let bytes = slice(bytes, offset, count.checked_mul(size_of::<T>() as u64)?)?;
    <[T]>::ref_from_bytes(bytes).ok()
}
