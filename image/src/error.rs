//! What can be wrong with an image, and what to do about it.

use core::error::Error;
use core::fmt;

use crate::layout::MAX_IMAGE_SIZE;
use crate::metadata::{MAX_BUILD_MEMORY, MAX_SECTIONS};
use crate::options::OptionsError;
use crate::ram::RamRange;
use crate::section::SectionKind;

/// Why an image is refused. The image's maker is at fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum ImageError {
    BadSize { size: usize },
    TooLarge { size: usize },
    NoGuidTable,
    BadGuidTableLength { length: u16, image: usize },
    BadGuidEntry { length: u16, left: usize },
    NoTdxEntry,
    ShortGuidPayload { found: usize, wanted: usize },
    DescriptorOutside { from_end: u32, length: u32, image: usize },
    BadSignature { found: u32 },
    BadVersion { version: u32 },
    TooFewSections { count: u32 },
    TooManySections { count: u32 },
    BadDescriptorLength { length: u32, count: u32 },
    Section { index: usize, fault: SectionFault },
    Overlap { first: (usize, RamRange), second: (usize, RamRange) },
    TooMuchMemory { bytes: u64 },
    NoTdHob,
    NoBfv,
    ResetVectorNotCovered,
    NoKernelEntry,
    KernelOutside { from_end: u32, length: u32 },
    Options(OptionsError),
    MeasuredTdHob { index: usize },
}

/// Why one section of an image is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum SectionFault {
    MemoryTooSmall { raw: u32, memory: u64 },
    UnalignedAddress { address: u64 },
    UnalignedSize { size: u64 },
    UnknownKind { kind: u32 },
    NoData { kind: SectionKind },
    UnexpectedData { kind: SectionKind, raw: u32 },
    Empty { kind: SectionKind },
    OutOfReach { address: u64, size: u64 },
    UnalignedData { offset: u32 },
    DataOutside { offset: u32, size: u64, image: usize },
}

impl fmt::Display for ImageError {
    #[expect(clippy::too_many_lines, reason = "a table, one arm for each failure")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadSize { size } => write!(
                f,
                "the image is {size} bytes, not a non-zero multiple of 65536: it is truncated, or must be padded at its front"
            ),
            Self::TooLarge { size } => write!(
                f,
                "the image is {size} bytes, more than {MAX_IMAGE_SIZE}: below 4 GiB it would cover the interrupt controllers; make it smaller"
            ),
            Self::NoGuidTable => f.write_str(
                "no GUID table 48 bytes before the end of the image: this is not a TDVF image, or its end is missing",
            ),
            Self::BadGuidTableLength { length, image } => write!(
                f,
                "the GUID table gives its length as {length}, which is less than 18 or does not fit an image of {image} bytes: build the image anew"
            ),
            Self::BadGuidEntry { length, left } => write!(
                f,
                "an entry of the GUID table gives its length as {length}, but must have 18 to {left} bytes: build the image anew"
            ),
            Self::NoTdxEntry => f.write_str(
                "the GUID table has no TDX metadata entry (e47a6535-984a-4798-865e-4685a7bf8ec2): this firmware was built without TDX support",
            ),
            Self::ShortGuidPayload { found, wanted } => write!(
                f,
                "an entry of the GUID table has a payload of {found} bytes, but {wanted} are needed: build the image anew"
            ),
            Self::DescriptorOutside { from_end, length, image } => write!(
                f,
                "the TDVF descriptor, {length} bytes starting {from_end:#x} before the end, lies outside the image of {image:#x} bytes: it is truncated or its TDX entry is wrong"
            ),
            Self::BadSignature { found } => write!(
                f,
                "the TDVF descriptor starts with {found:#010x} instead of \"TDVF\" (0x46564454): the TDX entry of the GUID table points to the wrong place"
            ),
            Self::BadVersion { version } => {
                write!(f, "the TDVF descriptor has version {version}; only version 1 is known")
            }
            Self::TooFewSections { count } => write!(
                f,
                "the TDVF descriptor has {count} sections; at least 2 are needed: a BFV and a TD_HOB"
            ),
            Self::TooManySections { count } => write!(
                f,
                "the TDVF descriptor has {count} sections; at most {MAX_SECTIONS} are taken: join neighbouring sections"
            ),
            Self::BadDescriptorLength { length, count } => write!(
                f,
                "the TDVF descriptor gives its length as {length}, but {count} sections need {}",
                u64::from(count) * 32 + 16
            ),
            Self::Section { index, fault } => write!(f, "section {index}: {fault}"),
            Self::Overlap { first: (index, range), second: (other, second) } => write!(
                f,
                "sections {index} {range} and {other} {second} overlap in guest memory: a page can be added only once, so move one of them"
            ),
            Self::TooMuchMemory { bytes } => write!(
                f,
                "the sections add {bytes:#x} bytes of guest memory before it runs; at most {MAX_BUILD_MEMORY:#x} are taken: leave the rest to be accepted by the guest"
            ),
            Self::NoTdHob => f.write_str(
                "no TD_HOB section: the VMM has no place to describe memory; add one of 8 KiB",
            ),
            Self::NoBfv => {
                f.write_str("no BFV section: there would be no code to run; add one for the code")
            }
            Self::ResetVectorNotCovered => f.write_str(
                "no BFV section covers the reset vector's page 0xfffff000: the first instruction would not be there; let a BFV end at 4 GiB",
            ),
            Self::NoKernelEntry => f.write_str(
                "the GUID table names no tdlet kernel (24c12a57-490e-4387-8635-8cb762dcc018): build the image with `cargo xtask image`",
            ),
            Self::KernelOutside { from_end, length } => write!(
                f,
                "the kernel, {length:#x} bytes starting {from_end:#x} before the end of the image, is empty or not inside it: build the image anew"
            ),
            Self::Options(error) => write!(f, "{error}: build the image anew"),
            Self::MeasuredTdHob { index } => write!(
                f,
                "section {index} is a measured TD_HOB, so the MRTD depends on the VMM's memory map and cannot be computed from the image: clear its attribute bit 0"
            ),
        }
    }
}

impl fmt::Display for SectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MemoryTooSmall { raw, memory } => write!(
                f,
                "MemoryDataSize {memory:#x} is less than RawDataSize {raw:#x}: make them equal"
            ),
            Self::UnalignedAddress { address } => {
                write!(f, "MemoryAddress {address:#x} is not a multiple of 4 KiB: move it")
            }
            Self::UnalignedSize { size } => {
                write!(f, "MemoryDataSize {size:#x} is not a multiple of 4 KiB: round it up")
            }
            Self::UnknownKind { kind } => write!(
                f,
                "type {kind} is not one that QEMU loads; only 0 (BFV), 1 (CFV), 2 (TD_HOB) and 3 (TempMem) are"
            ),
            Self::NoData { kind } => {
                write!(f, "a {kind} has RawDataSize 0, but its data comes from the file: set it")
            }
            Self::UnexpectedData { kind, raw } => write!(
                f,
                "a {kind} has RawDataSize {raw:#x}, but has no data in the file: set it to 0"
            ),
            Self::Empty { kind } => {
                write!(f, "a {kind} has MemoryDataSize 0: give it a page or leave it out")
            }
            Self::OutOfReach { address, size } => write!(
                f,
                "{size:#x} bytes at {address:#x} reach past 2^47, where private memory ends: move it down"
            ),
            Self::UnalignedData { offset } => write!(
                f,
                "DataOffset {offset:#x} is not a multiple of 4 KiB, which KVM refuses: align the data in the file"
            ),
            Self::DataOutside { offset, size, image } => write!(
                f,
                "MemoryDataSize {size:#x} from DataOffset {offset:#x} on reaches past the end of the image of {image:#x} bytes: it is truncated or the section is wrong"
            ),
        }
    }
}

impl Error for ImageError {}
impl Error for SectionFault {}
