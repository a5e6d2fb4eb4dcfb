//! One section of a TDVF image: which guest pages the VMM adds, and from where [TDVF 1.4-1.6].

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::SectionFault;
use crate::layout::PAGE_SIZE;
use crate::ram::RamRange;

/// Attribute bit 0: every page of the section is measured with MR.EXTEND.
pub const MR_EXTEND: u32 = 1;

/// No private memory lies above: bit 47 is the shared bit of the narrower guest address width.
pub(crate) const PRIVATE_END: u64 = 1 << 47;

/// What a section is for. These four are the ones QEMU takes; their numbers are the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SectionKind {
    /// Boot firmware volume: code, from the file.
    Bfv = 0,
    /// Configuration firmware volume: data, from the file.
    Cfv = 1,
    /// The page or pages in which the VMM describes memory.
    TdHob = 2,
    /// Memory that is there from the start, zero if the VMM is honest.
    TempMem = 3,
}

impl SectionKind {
    /// Whether the section's pages come from the file.
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Bfv | Self::Cfv)
    }
}

impl TryFrom<u32> for SectionKind {
    type Error = SectionFault;

    fn try_from(kind: u32) -> Result<Self, SectionFault> {
        match kind {
            0 => Ok(Self::Bfv),
            1 => Ok(Self::Cfv),
            2 => Ok(Self::TdHob),
            3 => Ok(Self::TempMem),
            _ => Err(SectionFault::UnknownKind { kind }),
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bfv => "BFV",
            Self::Cfv => "CFV",
            Self::TdHob => "TD_HOB",
            Self::TempMem => "TempMem",
        })
    }
}

/// A section entry as the file has it [TDVF 1.4].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawSection {
    pub(crate) data_offset: U32,
    pub(crate) raw_size: U32,
    pub(crate) memory_address: U64,
    pub(crate) memory_size: U64,
    pub(crate) kind: U32,
    pub(crate) attributes: U32,
}

const _: () = {
    assert!(size_of::<RawSection>() == 32);
    assert!(core::mem::offset_of!(RawSection, data_offset) == 0);
    assert!(core::mem::offset_of!(RawSection, raw_size) == 4);
    assert!(core::mem::offset_of!(RawSection, memory_address) == 8);
    assert!(core::mem::offset_of!(RawSection, memory_size) == 16);
    assert!(core::mem::offset_of!(RawSection, kind) == 24);
    assert!(core::mem::offset_of!(RawSection, attributes) == 28);
};

/// A section that [`crate::Metadata::parse`] has checked, if it comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is for.
    pub kind: SectionKind,
    /// Where its data starts in the file; page-aligned.
    pub data_offset: u32,
    /// How many bytes the file claims to hold for it.
    pub raw_size: u32,
    /// Its first guest-physical address; page-aligned.
    pub memory_address: u64,
    /// Its bytes in guest memory: pages, at least one.
    pub memory_size: u64,
    /// [`MR_EXTEND`]; every other bit is carried and ignored, as QEMU does.
    pub attributes: u32,
}

impl Section {
    /// The guest memory it fills.
    pub const fn memory(&self) -> RamRange {
        RamRange { start: self.memory_address, len: self.memory_size }
    }

    /// The addresses of its pages, ascending: the order in which they are added.
    pub fn page_addresses(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        let (first, pages) = (self.memory_address, self.memory_size / PAGE_SIZE as u64);
        (0..pages).map_while(move |page| first.checked_add(page.checked_mul(PAGE_SIZE as u64)?))
    }

    /// Whether its content goes into the MRTD. That its pages were added always does.
    pub const fn is_measured(&self) -> bool {
        self.attributes & MR_EXTEND != 0
    }

    /// Checks one entry by itself, in an image of `image` bytes: what QEMU checks in QEMU's
    /// order, then what KVM checks, then what neither does [TDVF 1.6].
    pub(crate) fn check(raw: &RawSection, image: usize) -> Result<Self, SectionFault> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let (raw_size, memory_size) = (raw.raw_size.get(), raw.memory_size.get());
        let (address, offset) = (raw.memory_address.get(), raw.data_offset.get());
        if memory_size < u64::from(raw_size) {
            return Err(SectionFault::MemoryTooSmall { raw: raw_size, memory: memory_size });
        }
        if !address.is_multiple_of(PAGE) {
            return Err(SectionFault::UnalignedAddress { address });
        }
        if !memory_size.is_multiple_of(PAGE) {
            return Err(SectionFault::UnalignedSize { size: memory_size });
        }
        let kind = SectionKind::try_from(raw.kind.get())?;
        if kind.has_data() && raw_size == 0 {
            return Err(SectionFault::NoData { kind });
        }
        if !kind.has_data() && raw_size != 0 {
            return Err(SectionFault::UnexpectedData { kind, raw: raw_size });
        }
        if memory_size == 0 {
            return Err(SectionFault::Empty { kind });
        }
        if address.checked_add(memory_size).is_none_or(|end| end > PRIVATE_END) {
            return Err(SectionFault::OutOfReach { address, size: memory_size });
        }
        if kind.has_data() {
            check_data(offset, memory_size, image)?;
        }
        let attributes = raw.attributes.get();
        Ok(Self {
            kind,
            data_offset: offset,
            raw_size,
            memory_address: address,
            memory_size,
            attributes,
        })
    }

    pub(crate) fn to_raw(self) -> RawSection {
        RawSection {
            data_offset: self.data_offset.into(),
            raw_size: self.raw_size.into(),
            memory_address: self.memory_address.into(),
            memory_size: self.memory_size.into(),
            kind: (self.kind as u32).into(),
            attributes: self.attributes.into(),
        }
    }
}

/// KVM wants the data page-aligned; QEMU copies as many bytes as the section has *memory*, and
/// would read past the end of the file.
fn check_data(offset: u32, memory_size: u64, image: usize) -> Result<(), SectionFault> {
    if !offset.is_multiple_of(PAGE_SIZE as u32) {
        return Err(SectionFault::UnalignedData { offset });
    }
    if u64::from(offset).saturating_add(memory_size) > image as u64 {
        return Err(SectionFault::DataOutside { offset, size: memory_size, image });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMAGE: usize = 0x20_0000;

    fn bfv() -> RawSection {
        Section {
            kind: SectionKind::Bfv,
            data_offset: 0x1000,
            raw_size: 0x2000,
            memory_address: 0xFFFF_E000,
            memory_size: 0x2000,
            attributes: 1,
        }
        .to_raw()
    }

    fn temp_mem() -> RawSection {
        RawSection { kind: 3.into(), raw_size: 0.into(), ..bfv() }
    }

    #[test]
    fn a_good_section_survives_the_way_through_the_file() {
        let section = Section::check(&bfv(), IMAGE).unwrap();
        assert!(section.is_measured());
        assert_eq!(section.memory(), RamRange { start: 0xFFFF_E000, len: 0x2000 });
        assert_eq!(section.to_raw().as_bytes(), bfv().as_bytes());
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        let rows = [
            (
                RawSection { raw_size: 0x2001.into(), ..bfv() },
                SectionFault::MemoryTooSmall { raw: 0x2001, memory: 0x2000 },
            ),
            (
                RawSection { memory_address: 0x800.into(), ..bfv() },
                SectionFault::UnalignedAddress { address: 0x800 },
            ),
            (
                RawSection { memory_size: 0x2800.into(), ..bfv() },
                SectionFault::UnalignedSize { size: 0x2800 },
            ),
            (RawSection { kind: 4.into(), ..bfv() }, SectionFault::UnknownKind { kind: 4 }),
            (
                RawSection { raw_size: 0.into(), ..bfv() },
                SectionFault::NoData { kind: SectionKind::Bfv },
            ),
            (
                RawSection { kind: 2.into(), ..bfv() },
                SectionFault::UnexpectedData { kind: SectionKind::TdHob, raw: 0x2000 },
            ),
            (
                RawSection { memory_size: 0.into(), ..temp_mem() },
                SectionFault::Empty { kind: SectionKind::TempMem },
            ),
            (
                RawSection { memory_address: (u64::MAX - 0xFFF).into(), ..temp_mem() },
                SectionFault::OutOfReach { address: u64::MAX - 0xFFF, size: 0x2000 },
            ),
            (
                RawSection { memory_address: (PRIVATE_END - 0x1000).into(), ..temp_mem() },
                SectionFault::OutOfReach { address: PRIVATE_END - 0x1000, size: 0x2000 },
            ),
            (
                RawSection { data_offset: 0x800.into(), ..bfv() },
                SectionFault::UnalignedData { offset: 0x800 },
            ),
            (
                RawSection { data_offset: 0x1F_F000.into(), ..bfv() },
                SectionFault::DataOutside { offset: 0x1F_F000, size: 0x2000, image: IMAGE },
            ),
        ];
        for (raw, fault) in rows {
            assert_eq!(Section::check(&raw, IMAGE), Err(fault));
        }
    }

    #[test]
    fn data_outside_counts_memory_and_not_raw_size() {
        let raw = RawSection { memory_size: 0x20_0000.into(), ..bfv() };
        let fault = SectionFault::DataOutside { offset: 0x1000, size: 0x20_0000, image: IMAGE };
        assert_eq!(Section::check(&raw, IMAGE), Err(fault));
    }

    #[test]
    fn the_offset_of_a_section_without_data_does_not_matter() {
        let raw = RawSection { data_offset: 0xFFFF_FFFF.into(), ..temp_mem() };
        assert!(Section::check(&raw, IMAGE).is_ok());
    }

    proptest! {
        #[test]
        fn a_section_that_passes_lies_where_it_may(bytes: [u8; 32], kind in 0_u32..5, pages: u32) {
            let mut raw = RawSection::read_from_bytes(&bytes).unwrap();
            let _ = Section::check(&raw, IMAGE);
            raw.kind = kind.into();
            raw.raw_size = 0.into();
            raw.memory_address = (raw.memory_address.get() & !0xFFF).into();
            raw.memory_size = (u64::from(pages) << 12).into();
            if let Ok(section) = Section::check(&raw, IMAGE) {
                prop_assert!(section.memory().end().unwrap() <= PRIVATE_END);
                prop_assert!(section.memory_size > 0 && !section.kind.has_data());
            }
        }
    }
}
