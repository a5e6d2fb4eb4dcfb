//! Puts boot and kernel together into an image; `layout` draws the result.

use core::error::Error;
use core::fmt;
use core::mem::offset_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use crate::guid_table::{self, ENTRY_OVERHEAD, Guid};
use crate::kernel_entry::{KERNEL, RawPlace};
use crate::layout::{
    IMAGE_ALIGN, IMAGE_END, MAX_IMAGE_SIZE, METADATA_RESERVED, PAGE_SIZE, RESET_VECTOR_SIZE,
    TRAILER_SIZE,
};
use crate::metadata::{RawDescriptor, SIGNATURE, VERSION};
use crate::options::{OPTIONS, OptionsError, check_options};
use crate::ram::RamRange;
use crate::section::{MR_EXTEND, RawSection, Section, SectionKind};
use crate::{ImageError, Metadata};

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The kernel, an ELF file; here only bytes.
    pub kernel_elf: &'a [u8],
    /// Boot as flat bytes, linked to end at 4 GiB: its last 16 bytes are the reset vector, and
    /// what lies before them down to [`METADATA_RESERVED`] is zero.
    pub boot: &'a [u8],
    /// Where the VMM shall write the TD HOB.
    pub td_hob: RamRange,
    /// Further memory that shall be there from the start.
    pub temp_mem: &'a [RamRange],
    /// The options for the booted image, as [`check_options`] takes them; the empty text is
    /// none.
    pub options: &'a str,
}

/// The first bytes of the reserved area; the section entries follow.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Head {
    tdvf: Guid,
    descriptor: RawDescriptor,
}

/// What follows the text of the options, right before the [`Table`], if there are any.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct OptionsFoot {
    length: U16,
    options: Guid,
}

/// The last bytes of the reserved area, up to the reset vector: the GUID table.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Table {
    kernel_place: RawPlace,
    kernel_length: U16,
    kernel: Guid,
    descriptor_from_end: U32,
    tdx_length: U16,
    tdx: Guid,
    length: U16,
    footer: Guid,
    unused: [u8; 16],
}

const TABLE_FROM_END: usize = size_of::<Table>() + RESET_VECTOR_SIZE;
const DESCRIPTOR_FROM_END: usize = TRAILER_SIZE - offset_of!(Head, descriptor);
const KERNEL_ENTRY_LENGTH: usize = size_of::<RawPlace>() + ENTRY_OVERHEAD;
const TDX_ENTRY_LENGTH: usize = size_of::<U32>() + ENTRY_OVERHEAD;
const TABLE_LENGTH: usize = KERNEL_ENTRY_LENGTH + TDX_ENTRY_LENGTH + ENTRY_OVERHEAD;
/// The sections that are always there: the BFV and the TD_HOB.
const FIXED_SECTIONS: usize = 2;

/// Bytes of the entry with the options.
const fn options_length(options: &str) -> usize {
    if options.is_empty() { 0 } else { options.len() + ENTRY_OVERHEAD }
}

/// How many sections fit between the head and the table: 27, and 19 with the longest options.
const fn section_room(options_length: usize) -> usize {
    (TRAILER_SIZE - TABLE_FROM_END - size_of::<Head>()).saturating_sub(options_length)
        / size_of::<RawSection>()
}

/// The most TempMem sections an image of ours can have: 25, and 17 with the longest options.
pub const fn max_temp_mem(options: &str) -> usize {
    section_room(options_length(options)).saturating_sub(FIXED_SECTIONS)
}

// Offsets from the end of the image, as TDVF readers expect them [TDVF 1.2].
const _: () = {
    use crate::options::MAX_OPTIONS;
    assert!(TABLE_FROM_END - offset_of!(Table, footer) == 48);
    assert!(TABLE_FROM_END - offset_of!(Table, length) == 50);
    assert!(TABLE_FROM_END - offset_of!(Table, tdx) == 66);
    assert!(TABLE_FROM_END - offset_of!(Table, descriptor_from_end) == 72);
    assert!(TABLE_FROM_END - offset_of!(Table, kernel_place) == 98);
    assert!(DESCRIPTOR_FROM_END == 0x3F0 && size_of::<Head>() == 32);
    assert!(section_room(0) == 27);
    assert!(section_room(MAX_OPTIONS + ENTRY_OVERHEAD) == 19);
    assert!(size_of::<OptionsFoot>() == ENTRY_OVERHEAD);
};

/// The size of the image that [`assemble`] makes of `parts`.
pub fn image_size(parts: &Parts<'_>) -> Result<usize, AssembleError> {
    let kernel = parts.kernel_elf.len().checked_next_multiple_of(PAGE_SIZE);
    let boot = parts.boot.len().checked_next_multiple_of(PAGE_SIZE);
    let size = kernel
        .zip(boot)
        .and_then(|(kernel, boot)| kernel.checked_add(boot))
        .and_then(|size| size.checked_next_multiple_of(IMAGE_ALIGN))
        .unwrap_or(usize::MAX);
    if size > MAX_IMAGE_SIZE { Err(AssembleError::TooLarge { size }) } else { Ok(size) }
}

/// Writes the image made of `parts` to the start of `out` and returns its size. The image is
/// read back and checked before it is returned.
pub fn assemble(parts: &Parts<'_>, out: &mut [u8]) -> Result<usize, AssembleError> {
    check(parts)?;
    let size = image_size(parts)?;
    let given = out.len();
    let image = out.get_mut(..size).ok_or(AssembleError::OutTooSmall { needed: size, given })?;

    image.fill(0);
    image[..parts.kernel_elf.len()].copy_from_slice(parts.kernel_elf);
    image[size - parts.boot.len()..].copy_from_slice(parts.boot);
    write_trailer(parts, image).ok_or(AssembleError::TooLarge { size })?;

    Metadata::parse(image).map_err(AssembleError::Image)?;
    Ok(size)
}

fn check(parts: &Parts<'_>) -> Result<(), AssembleError> {
    if parts.kernel_elf.is_empty() {
        return Err(AssembleError::NoKernel);
    }
    check_options(parts.options.as_bytes()).map_err(AssembleError::Options)?;
    let (count, most) = (parts.temp_mem.len(), max_temp_mem(parts.options));
    if count > most {
        return Err(AssembleError::TooManyTempMem { count, most });
    }
    let len = parts.boot.len();
    let Some((_, trailer)) = parts.boot.split_last_chunk::<TRAILER_SIZE>() else {
        return Err(AssembleError::BootTooShort { len });
    };
    let (reserved, reset_vector) = trailer.split_at(TRAILER_SIZE - RESET_VECTOR_SIZE);
    if let Some(offset) = reserved.iter().position(|&byte| byte != 0) {
        let address = METADATA_RESERVED + offset as u64;
        return Err(AssembleError::ReservedNotZero { address });
    }
    if reset_vector.iter().all(|&byte| byte == 0) {
        return Err(AssembleError::NoResetVector);
    }
    Ok(())
}

/// Fills the reserved area. `None` if a number does not fit its field; sizes checked before
/// rule that out.
fn write_trailer(parts: &Parts<'_>, image: &mut [u8]) -> Option<()> {
    let size = u32::try_from(image.len()).ok()?;
    let count = FIXED_SECTIONS + parts.temp_mem.len();
    let length = size_of::<RawDescriptor>() + count * size_of::<RawSection>();
    let head = Head {
        tdvf: guid_table::TDVF,
        descriptor: RawDescriptor {
            signature: SIGNATURE.into(),
            length: u32::try_from(length).ok()?.into(),
            version: VERSION.into(),
            count: u32::try_from(count).ok()?.into(),
        },
    };
    let table = Table {
        kernel_place: RawPlace {
            from_end: size.into(),
            length: u32::try_from(parts.kernel_elf.len()).ok()?.into(),
        },
        kernel_length: u16::try_from(KERNEL_ENTRY_LENGTH).ok()?.into(),
        kernel: KERNEL,
        descriptor_from_end: u32::try_from(DESCRIPTOR_FROM_END).ok()?.into(),
        tdx_length: u16::try_from(TDX_ENTRY_LENGTH).ok()?.into(),
        tdx: guid_table::TDX_METADATA,
        length: u16::try_from(TABLE_LENGTH + options_length(parts.options)).ok()?.into(),
        footer: guid_table::FOOTER,
        unused: [0; 16],
    };
    let trailer = image.last_chunk_mut::<TRAILER_SIZE>()?;
    let (reserved, _reset_vector) = trailer.split_at_mut(TRAILER_SIZE - RESET_VECTOR_SIZE);
    head.write_to_prefix(reserved).ok()?;
    table.write_to_suffix(reserved).ok()?;
    write_options(parts.options, reserved)?;
    let entries = reserved.get_mut(size_of::<Head>()..)?;
    let entries = entries.chunks_exact_mut(size_of::<RawSection>());
    for (entry, section) in entries.zip(sections(parts, size)) {
        section.to_raw().write_to(entry).ok()?;
    }
    Some(())
}

/// Writes the entry with the options, which ends where the [`Table`] starts.
fn write_options(options: &str, reserved: &mut [u8]) -> Option<()> {
    let length = options_length(options);
    if length == 0 {
        return Some(());
    }
    let end = reserved.len().checked_sub(size_of::<Table>())?;
    let entry = reserved.get_mut(end.checked_sub(length)?..end)?;
    entry.get_mut(..options.len())?.copy_from_slice(options.as_bytes());
    let foot = OptionsFoot { length: u16::try_from(length).ok()?.into(), options: OPTIONS };
    foot.write_to_suffix(entry).ok()
}

/// The whole image as one measured BFV, then the memory around it.
fn sections(parts: &Parts<'_>, size: u32) -> impl Iterator<Item = Section> {
    let bfv = Section {
        kind: SectionKind::Bfv,
        data_offset: 0,
        raw_size: size,
        memory_address: IMAGE_END - u64::from(size),
        memory_size: u64::from(size),
        attributes: MR_EXTEND,
    };
    let without_data = |kind, memory: RamRange| Section {
        kind,
        data_offset: 0,
        raw_size: 0,
        memory_address: memory.start,
        memory_size: memory.len,
        attributes: 0,
    };
    [bfv, without_data(SectionKind::TdHob, parts.td_hob)]
        .into_iter()
        .chain(parts.temp_mem.iter().map(move |&m| without_data(SectionKind::TempMem, m)))
}

/// Why parts do not make an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum AssembleError {
    NoKernel,
    Options(OptionsError),
    TooManyTempMem { count: usize, most: usize },
    BootTooShort { len: usize },
    ReservedNotZero { address: u64 },
    NoResetVector,
    TooLarge { size: usize },
    OutTooSmall { needed: usize, given: usize },
    Image(ImageError),
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoKernel => f.write_str("the kernel is empty: build it first"),
            Self::Options(error) => error.fmt(f),
            Self::TooManyTempMem { count, most } => {
                write!(f, "{count} TempMem ranges; there is room for {most}: join some")
            }
            Self::BootTooShort { len } => write!(
                f,
                "boot is {len} bytes; its last {TRAILER_SIZE} must be the reserved area and the reset vector: see boot's linker script"
            ),
            Self::ReservedNotZero { address } => write!(
                f,
                "boot has a byte at {address:#x}, inside [{METADATA_RESERVED:#x}, 0xfffffff0), which its linker script must leave zero for the metadata"
            ),
            Self::NoResetVector => f.write_str(
                "boot has no code at 0xfffffff0: its linker script must place the reset vector there",
            ),
            Self::TooLarge { size } => write!(
                f,
                "the image would be {size} bytes, more than {MAX_IMAGE_SIZE}: strip the kernel of its debug sections"
            ),
            Self::OutTooSmall { needed, given } => {
                write!(f, "the image needs {needed} bytes, but only {given} were given")
            }
            Self::Image(error) => write!(f, "the assembled image is not valid: {error}"),
        }
    }
}

impl Error for AssembleError {}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::layout::{TD_HOB, TEMP_MEM};
    use crate::testing::boot;
    use crate::{find_kernel, find_options};

    fn refused(parts: &Parts<'_>) -> AssembleError {
        let mut out = vec![0; 0x2_0000];
        assemble(parts, &mut out).expect_err("these parts should be refused")
    }

    #[test]
    fn parts_that_make_no_image_are_refused() {
        let boot_code = boot(100);
        let good = Parts {
            kernel_elf: b"k",
            boot: &boot_code,
            td_hob: TD_HOB,
            temp_mem: &[TEMP_MEM],
            options: "",
        };
        assert_eq!(assemble(&good, &mut vec![0; 0x2_0000]), Ok(0x1_0000));

        assert_eq!(refused(&Parts { kernel_elf: b"", ..good }), AssembleError::NoKernel);
        let short = AssembleError::BootTooShort { len: 0x3FF };
        assert_eq!(refused(&Parts { boot: &boot_code[101..], ..good }), short);
        let mut dirty = boot_code.clone();
        dirty[100 + 0x3EF] = 1;
        let address = AssembleError::ReservedNotZero { address: 0xFFFF_FFEF };
        assert_eq!(refused(&Parts { boot: &dirty, ..good }), address);
        let mut no_reset = boot_code.clone();
        no_reset[100 + 0x3F0..].fill(0);
        assert_eq!(refused(&Parts { boot: &no_reset, ..good }), AssembleError::NoResetVector);
        let many = AssembleError::TooManyTempMem { count: 26, most: 25 };
        assert_eq!(refused(&Parts { temp_mem: &[TEMP_MEM; 26], ..good }), many);
        let many = AssembleError::TooManyTempMem { count: 18, most: 17 };
        let options = &*"o".repeat(256);
        assert_eq!(refused(&Parts { temp_mem: &[TEMP_MEM; 18], options, ..good }), many);
        let broken = AssembleError::Options(OptionsError::NotPrintable { at: 1, byte: b'\n' });
        assert_eq!(refused(&Parts { options: "a\n", ..good }), broken);
        let huge = vec![1; MAX_IMAGE_SIZE];
        let too_large = AssembleError::TooLarge { size: 0x101_0000 };
        assert_eq!(refused(&Parts { kernel_elf: &huge, ..good }), too_large);
        let overlap = refused(&Parts { td_hob: TEMP_MEM, ..good });
        assert!(matches!(overlap, AssembleError::Image(ImageError::Overlap { .. })));
        let small = AssembleError::OutTooSmall { needed: 0x1_0000, given: 9 };
        assert_eq!(assemble(&good, &mut [0; 9]), Err(small));
    }

    #[test]
    fn as_many_temp_mems_as_there_is_room_for_are_taken() {
        let boot = boot(0);
        for (options, count) in [("", 25), (&*"accept=lazy ".repeat(21), 17)] {
            let temp_mem: vec::Vec<_> =
                (0..count).map(|i| RamRange { start: i << 12, len: 4096 }).collect();
            let temp_mem = &*temp_mem;
            let parts = Parts { kernel_elf: b"k", boot: &boot, td_hob: TD_HOB, temp_mem, options };
            let mut image = vec![0; 0x1_0000];
            assemble(&parts, &mut image).unwrap();
            let metadata = Metadata::parse(&image).unwrap();
            assert_eq!(metadata.sections().len(), temp_mem.len() + 2);
            assert_eq!(find_kernel(&image), Ok(&b"k"[..]));
            assert_eq!(find_options(&image), Ok(options));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_assembled_is_read_back(
            kernel in prop::collection::vec(any::<u8>(), 1..100_000),
            boot_len in 0_usize..70_000,
            hob_pages in 1_u64..4,
            temp_pages in prop::collection::vec(1_u64..5, 0..6),
            options in "[ -~]{0,256}",
        ) {
            let boot = boot(boot_len);
            let td_hob = RamRange { start: 0x10_0000, len: hob_pages << 12 };
            let temp_mem: vec::Vec<_> = (0x20_0000..)
                .step_by(0x1_0000)
                .zip(&temp_pages)
                .map(|(start, pages)| RamRange { start, len: pages << 12 })
                .collect();
            let parts =
                Parts { kernel_elf: &kernel, boot: &boot, td_hob, temp_mem: &temp_mem, options: &options };
            let size = image_size(&parts).unwrap();
            let mut out = vec![0xCC; size + 10];
            prop_assert_eq!(assemble(&parts, &mut out), Ok(size));
            prop_assert!(out[size..].iter().all(|&byte| byte == 0xCC));
            let image = &out[..size];

            let metadata = Metadata::parse(image).unwrap();
            let [bfv, rest @ ..] = metadata.sections() else { panic!("no section") };
            prop_assert!(bfv.is_measured() && bfv.kind == SectionKind::Bfv);
            prop_assert_eq!(metadata.data(bfv), image);
            prop_assert_eq!(metadata.image_address(), bfv.memory_address);
            prop_assert_eq!(metadata.td_hob().memory(), td_hob);
            let memory: vec::Vec<_> = rest[1..].iter().map(Section::memory).collect();
            prop_assert_eq!(memory, temp_mem);
            prop_assert_eq!(find_kernel(image), Ok(&kernel[..]));
            prop_assert!(image[size - boot.len()..].starts_with(&boot[..boot_len]));
            prop_assert!(image[kernel.len()..size - boot.len()].iter().all(|&byte| byte == 0));
            prop_assert_eq!(&image[size - 16..], &boot[boot.len() - 16..]);
        }
    }
}
