//! The TDVF metadata of an image: found, checked, and typed [TDVF 1.2-1.6].
//!
//! [`Metadata::parse`] takes any bytes. What it returns an image for is what QEMU and KVM would
//! build a trust domain from, and more: QEMU reads past the end of the file, lets sections
//! overlap, and does not care whether the first instruction is there at all.

use core::fmt;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ImageError;
use crate::guid_table;
use crate::layout::{IMAGE_ALIGN, IMAGE_END, MAX_IMAGE_SIZE, PAGE_SIZE};
use crate::ram::RamRange;
use crate::section::{RawSection, Section, SectionKind};

/// The most sections taken. QEMU has no bound; OVMF has 6.
pub const MAX_SECTIONS: usize = 32;

/// The most guest memory that all sections together may add: 1 GiB. QEMU has no bound.
pub const MAX_BUILD_MEMORY: u64 = 1 << 30;

/// "TDVF".
pub(crate) const SIGNATURE: u32 = 0x4656_4454;
pub(crate) const VERSION: u32 = 1;
/// QEMU's bound.
const MIN_SECTIONS: u32 = 2;

/// The descriptor as the file has it; the sections follow [TDVF 1.3].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawDescriptor {
    pub(crate) signature: U32,
    pub(crate) length: U32,
    pub(crate) version: U32,
    pub(crate) count: U32,
}

const _: () = {
    assert!(size_of::<RawDescriptor>() == 16);
    assert!(core::mem::offset_of!(RawDescriptor, length) == 4);
    assert!(core::mem::offset_of!(RawDescriptor, version) == 8);
    assert!(core::mem::offset_of!(RawDescriptor, count) == 12);
};

/// The checked metadata of an image.
#[derive(Clone)]
pub struct Metadata<'a> {
    image: &'a [u8],
    sections: [Section; MAX_SECTIONS],
    count: usize,
    td_hob: Section,
}

impl<'a> Metadata<'a> {
    /// Reads and checks the metadata of `image`, which is the whole file.
    pub fn parse(image: &'a [u8]) -> Result<Self, ImageError> {
        let size = image.len();
        if size == 0 || !size.is_multiple_of(IMAGE_ALIGN) {
            return Err(ImageError::BadSize { size });
        }
        if size > MAX_IMAGE_SIZE {
            return Err(ImageError::TooLarge { size });
        }
        let raw = raw_sections(image)?;
        let mut sections = [UNUSED; MAX_SECTIONS];
        for (index, (section, raw)) in sections.iter_mut().zip(raw).enumerate() {
            *section =
                Section::check(raw, size).map_err(|fault| ImageError::Section { index, fault })?;
        }
        let count = raw.len().min(MAX_SECTIONS);
        let td_hob = check_together(&sections[..count])?;
        Ok(Self { image, sections, count, td_hob })
    }

    /// The sections in the order of the file, which is the order of the build.
    pub fn sections(&self) -> &[Section] {
        &self.sections[..self.count]
    }

    /// The section into which the VMM writes the TD HOB. Of several the last one is meant, as
    /// with QEMU; the others are added as zeros.
    pub const fn td_hob(&self) -> Section {
        self.td_hob
    }

    /// Where the image starts in guest memory; it ends at 4 GiB.
    pub const fn image_address(&self) -> u64 {
        IMAGE_END - self.image.len() as u64
    }

    /// What the file holds for `section`: as many bytes as it has memory, not raw size, as with
    /// QEMU. Empty for a section without data, and for one that is not of this image.
    pub fn data(&self, section: &Section) -> &'a [u8] {
        let bytes = || {
            let start = usize::try_from(section.data_offset).ok()?;
            let len = usize::try_from(section.memory_size).ok()?;
            self.image.get(start..start.checked_add(len)?)
        };
        if section.kind.has_data() { bytes().unwrap_or(&[]) } else { &[] }
    }

    /// The RAM that is added at build: TD_HOB and TempMem. The TD HOB lists it as accepted.
    pub fn added_ram(&self) -> impl Iterator<Item = RamRange> + Clone + '_ {
        self.sections().iter().filter(|s| !s.kind.has_data()).map(Section::memory)
    }
}

impl fmt::Debug for Metadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("image_size", &self.image.len())
            .field("sections", &self.sections())
            .finish_non_exhaustive()
    }
}

/// Stands in the array behind the last section; never seen.
const UNUSED: Section = Section {
    kind: SectionKind::TempMem,
    data_offset: 0,
    raw_size: 0,
    memory_address: 0,
    memory_size: 0,
    attributes: 0,
};

/// Finds the descriptor and checks it, in QEMU's order.
fn raw_sections(image: &[u8]) -> Result<&[RawSection], ImageError> {
    let payload =
        guid_table::find(image, guid_table::TDX_METADATA)?.ok_or(ImageError::NoTdxEntry)?;
    let (from_end, _) = U32::read_from_prefix(payload)
        .map_err(|_| ImageError::ShortGuidPayload { found: payload.len(), wanted: 4 })?;
    let from_end = from_end.get();
    let outside = |length| ImageError::DescriptorOutside { from_end, length, image: image.len() };

    let at_descriptor = usize::try_from(from_end)
        .ok()
        .and_then(|back| image.len().checked_sub(back))
        .and_then(|start| image.get(start..))
        .ok_or(outside(16))?;
    let (descriptor, behind) =
        RawDescriptor::ref_from_prefix(at_descriptor).map_err(|_| outside(16))?;
    if descriptor.signature.get() != SIGNATURE {
        return Err(ImageError::BadSignature { found: descriptor.signature.get() });
    }
    let (length, count) = (descriptor.length.get(), descriptor.count.get());
    if u64::from(length) > at_descriptor.len() as u64 {
        return Err(outside(length));
    }
    if descriptor.version.get() != VERSION {
        return Err(ImageError::BadVersion { version: descriptor.version.get() });
    }
    if count < MIN_SECTIONS {
        return Err(ImageError::TooFewSections { count });
    }
    if u64::from(length) != 16 + 32 * u64::from(count) {
        return Err(ImageError::BadDescriptorLength { length, count });
    }
    let entries = usize::try_from(count).unwrap_or(usize::MAX);
    if entries > MAX_SECTIONS {
        return Err(ImageError::TooManySections { count });
    }
    let (sections, _) =
        <[RawSection]>::ref_from_prefix_with_elems(behind, entries).map_err(|_| outside(length))?;
    Ok(sections)
}

/// Checks what only the whole set of sections shows; returns the TD_HOB.
fn check_together(sections: &[Section]) -> Result<Section, ImageError> {
    let reset_page = RamRange { start: IMAGE_END - PAGE_SIZE as u64, len: PAGE_SIZE as u64 };
    for (j, b) in sections.iter().enumerate() {
        let earlier = sections[..j].iter().enumerate();
        if let Some((i, a)) = earlier.clone().find(|(_, a)| a.memory().overlaps(b.memory())) {
            return Err(ImageError::Overlap { first: (i, a.memory()), second: (j, b.memory()) });
        }
    }
    let bytes = sections.iter().fold(0_u64, |sum, s| sum.saturating_add(s.memory_size));
    if bytes > MAX_BUILD_MEMORY {
        return Err(ImageError::TooMuchMemory { bytes });
    }
    let of_kind = |kind| sections.iter().filter(move |s| s.kind == kind);
    let td_hob = of_kind(SectionKind::TdHob).next_back().ok_or(ImageError::NoTdHob)?;
    if of_kind(SectionKind::Bfv).next().is_none() {
        return Err(ImageError::NoBfv);
    }
    if !of_kind(SectionKind::Bfv).any(|s| s.memory().contains(reset_page)) {
        return Err(ImageError::ResetVectorNotCovered);
    }
    Ok(*td_hob)
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::SectionFault;
    use crate::testing::{
        DESCRIPTOR, OVMF, OVMF_SIZE, assembled, image_with, section, small_sections,
    };

    fn refused(image: &[u8]) -> ImageError {
        Metadata::parse(image).expect_err("this image should be refused")
    }

    /// A good 64 KiB image with `bytes` written `from_end` bytes before its end.
    fn small_with(from_end: usize, bytes: &[u8]) -> Vec<u8> {
        let mut image = image_with(0x1_0000, &small_sections());
        let at = image.len() - from_end;
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    }

    #[test]
    fn the_sections_of_ovmf_are_read_in_order() {
        let mut image = image_with(OVMF_SIZE, &OVMF);
        image[0x8_4000] = 7;
        let metadata = Metadata::parse(&image).unwrap();
        assert_eq!(metadata.sections(), OVMF);
        assert_eq!(metadata.td_hob(), OVMF[4]);
        assert_eq!(metadata.image_address(), 0xFFC0_0000);
        assert_eq!(metadata.data(&OVMF[0]).len(), 0x37_C000);
        assert_eq!(metadata.data(&OVMF[0])[0], 7);
        assert_eq!(metadata.data(&OVMF[2]), []);
        let added: Vec<u64> = metadata.added_ram().map(|ram| ram.start).collect();
        assert_eq!(added, [0x81_0000, 0x80_B000, 0x80_9000, 0x80_0000]);
    }

    #[test]
    fn a_size_that_qemu_would_not_load_is_refused() {
        let good = image_with(0x1_0000, &small_sections());
        assert!(Metadata::parse(&good).is_ok());
        assert_eq!(refused(&[]), ImageError::BadSize { size: 0 });
        assert_eq!(refused(&good[1..]), ImageError::BadSize { size: 0xFFFF });
        let large = image_with(MAX_IMAGE_SIZE + IMAGE_ALIGN, &small_sections());
        assert_eq!(refused(&large), ImageError::TooLarge { size: 0x101_0000 });
        let cut = assembled(&vec![1; 0x1_0000]);
        assert_eq!(refused(&cut[..0x1_0000]), ImageError::NoGuidTable);
    }

    #[test]
    fn a_descriptor_that_cannot_be_found_is_refused() {
        assert_eq!(refused(&small_with(48, &[0])), ImageError::NoGuidTable);
        assert_eq!(refused(&small_with(66, &[0])), ImageError::NoTdxEntry);
        assert_eq!(
            refused(&small_with(68, &[18])),
            ImageError::ShortGuidPayload { found: 0, wanted: 4 }
        );
        for from_end in [0, 15, 0x1_0001, u32::MAX] {
            let outside = ImageError::DescriptorOutside { from_end, length: 16, image: 0x1_0000 };
            assert_eq!(refused(&small_with(72, &from_end.to_le_bytes())), outside);
        }
    }

    #[test]
    fn a_descriptor_that_is_wrong_is_refused() {
        let at = |field: usize, value: u32| small_with(DESCRIPTOR - field, &value.to_le_bytes());
        let rows = [
            (at(0, 0x4656_4455), ImageError::BadSignature { found: 0x4656_4455 }),
            (
                at(4, 0xA01),
                ImageError::DescriptorOutside { from_end: 0xA00, length: 0xA01, image: 0x1_0000 },
            ),
            (at(4, 81), ImageError::BadDescriptorLength { length: 81, count: 2 }),
            (at(8, 2), ImageError::BadVersion { version: 2 }),
            (at(12, 0), ImageError::TooFewSections { count: 0 }),
            (at(12, 1), ImageError::TooFewSections { count: 1 }),
            (at(12, 3), ImageError::BadDescriptorLength { length: 80, count: 3 }),
            // 80 = 16 + 32 * count in 32 bits.
            (
                at(12, 0x0800_0002),
                ImageError::BadDescriptorLength { length: 80, count: 0x0800_0002 },
            ),
        ];
        for (image, error) in rows {
            assert_eq!(refused(&image), error);
        }
        let many = image_with(0x1_0000, &[small_sections()[1]; MAX_SECTIONS + 1]);
        assert_eq!(refused(&many), ImageError::TooManySections { count: 33 });
    }

    #[test]
    fn sections_that_do_not_go_together_are_refused() {
        let [bfv, hob] = small_sections();
        let temp = |address, size| section(SectionKind::TempMem, 0, address, size);
        let refused = |sections: &[Section]| refused(&image_with(0x1_0000, sections));

        let second = (1, hob.memory());
        let twice = RamRange { start: 0x81_1000, len: 0x1000 };
        assert_eq!(
            refused(&[bfv, hob, temp(0x81_1000, 0x1000)]),
            ImageError::Overlap { first: second, second: (2, twice) }
        );
        assert_eq!(refused(&[bfv, temp(0, 0x1000)]), ImageError::NoTdHob);
        assert_eq!(refused(&[hob, temp(0, 0x1000)]), ImageError::NoBfv);
        let low = Section { memory_address: 0x10_0000, ..bfv };
        assert_eq!(refused(&[low, hob]), ImageError::ResetVectorNotCovered);
        let one = temp(0x100_0000, 0x4000_0000);
        assert_eq!(refused(&[bfv, hob, one]), ImageError::TooMuchMemory { bytes: 0x4001_2000 });
        let cfv = Section { data_offset: 0x1_0000, ..low };
        let fault = SectionFault::DataOutside { offset: 0x1_0000, size: 0x1_0000, image: 0x1_0000 };
        assert_eq!(refused(&[bfv, hob, cfv]), ImageError::Section { index: 2, fault });
    }

    #[test]
    fn the_data_of_a_section_is_as_long_as_its_memory() {
        let [bfv, hob] = small_sections();
        let image = image_with(0x1_0000, &[Section { raw_size: 1, ..bfv }, hob]);
        let metadata = Metadata::parse(&image).unwrap();
        assert_eq!(metadata.data(&metadata.sections()[0]), image);
        let foreign = Section { data_offset: 0x1000, ..bfv };
        assert_eq!(metadata.data(&foreign), []);
    }

    #[test]
    fn of_two_td_hobs_the_last_one_is_meant() {
        let [bfv, hob] = small_sections();
        let other = Section { memory_address: 0x10_0000, ..hob };
        let image = image_with(0x1_0000, &[bfv, hob, other]);
        let metadata = Metadata::parse(&image).unwrap();
        assert_eq!(metadata.td_hob(), other);
        assert_eq!(metadata.sections().len(), 3);
    }

    #[test]
    fn the_text_of_an_error_has_its_numbers() {
        let error = refused(&small_with(DESCRIPTOR - 16 - 8, &[1]));
        assert_eq!(
            error.to_string(),
            "section 0: MemoryAddress 0xffff0001 is not a multiple of 4 KiB: move it"
        );
    }

    /// Where the fields are: from the descriptor to the end of the sections, and the table.
    fn place() -> impl Strategy<Value = usize> {
        prop_oneof![1_usize..=100, (DESCRIPTOR - 80)..=DESCRIPTOR]
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(Metadata::parse(&bytes).is_err());
            let mut image = image_with(0x1_0000, &small_sections());
            let at = image.len() - DESCRIPTOR + 16;
            image[at..at + bytes.len()].copy_from_slice(&bytes);
            let _ = Metadata::parse(&image);
        }

        #[test]
        fn whatever_mutation_passes_still_keeps_every_rule(
            changes in prop::collection::vec((place(), prop_oneof![Just(0_u8), Just(0x10), Just(0xFF), any::<u8>()]), 1..6),
        ) {
            let mut image = image_with(0x1_0000, &small_sections());
            let size = image.len();
            for (from_end, byte) in changes {
                image[size - from_end] = byte;
            }
            if let Ok(metadata) = Metadata::parse(&image) {
                let sections = metadata.sections();
                prop_assert!((2..=MAX_SECTIONS).contains(&sections.len()));
                for (i, section) in sections.iter().enumerate() {
                    let data = metadata.data(section).len() as u64;
                    prop_assert_eq!(data, if section.kind.has_data() { section.memory_size } else { 0 });
                    prop_assert!(sections[..i].iter().all(|s| !s.memory().overlaps(section.memory())));
                }
            }
        }
    }
}
