//! Images and hex for the tests of this crate.

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use zerocopy::IntoBytes;

use crate::guid_table::{FOOTER, TDX_METADATA};
use crate::layout::{IMAGE_END, TD_HOB, TEMP_MEM, TRAILER_SIZE};
use crate::section::{Section, SectionKind};
use crate::{Parts, assemble, image_size};

/// Where [`image_with`] puts the descriptor, from the end.
pub(crate) const DESCRIPTOR: usize = 0xA00;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A section whose raw size equals its memory size if it has data, and is 0 if not.
pub(crate) const fn section(kind: SectionKind, data: u32, address: u64, size: u32) -> Section {
    Section {
        kind,
        data_offset: data,
        raw_size: if kind.has_data() { size } else { 0 },
        memory_address: address,
        memory_size: size as u64,
        attributes: if matches!(kind, SectionKind::Bfv) { 1 } else { 0 },
    }
}

/// The sections of a real OVMF [TDVF 1.13]; its image is 4 MiB.
pub(crate) const OVMF: [Section; 6] = [
    section(SectionKind::Bfv, 0x8_4000, 0xFFC8_4000, 0x37_C000),
    section(SectionKind::Cfv, 0, 0xFFC0_0000, 0x8_4000),
    section(SectionKind::TempMem, 0, 0x81_0000, 0x1_0000),
    section(SectionKind::TempMem, 0, 0x80_B000, 0x2000),
    section(SectionKind::TdHob, 0, 0x80_9000, 0x2000),
    section(SectionKind::TempMem, 0, 0x80_0000, 0x6000),
];
pub(crate) const OVMF_SIZE: usize = 0x40_0000;

/// An image of zeros with the smallest trailer of [TDVF 1.2], made without the assembler.
pub(crate) fn image_with(size: usize, sections: &[Section]) -> Vec<u8> {
    let mut end = vec![];
    end.extend_from_slice(b"TDVF");
    let count = u32::try_from(sections.len()).unwrap();
    for word in [16 + 32 * count, 1, count] {
        end.extend_from_slice(&word.to_le_bytes());
    }
    for section in sections {
        end.extend_from_slice(section.to_raw().as_bytes());
    }
    end.resize(DESCRIPTOR - 72, 0);
    end.extend_from_slice(&u32::try_from(DESCRIPTOR).unwrap().to_le_bytes());
    end.extend_from_slice(&[0x16, 0]);
    end.extend_from_slice(&TDX_METADATA.bytes());
    end.extend_from_slice(&[0x28, 0]);
    end.extend_from_slice(&FOOTER.bytes());
    end.resize(DESCRIPTOR, 0);

    let mut image = vec![0; size];
    image[size - DESCRIPTOR..].copy_from_slice(&end);
    image
}

/// A 64 KiB image of one BFV and one TD_HOB.
pub(crate) fn small_sections() -> [Section; 2] {
    [
        section(SectionKind::Bfv, 0, IMAGE_END - 0x1_0000, 0x1_0000),
        section(SectionKind::TdHob, 0, TD_HOB.start, 0x2000),
    ]
}

/// Flat bytes that pass for boot: `len` of code, the reserved area, a reset vector.
pub(crate) fn boot(len: usize) -> Vec<u8> {
    let mut boot = vec![0xB0; len];
    boot.resize(len + TRAILER_SIZE - 16, 0);
    boot.extend_from_slice(&[0xF4; 16]);
    boot
}

/// The image of this kernel and a small boot, laid out as ours is.
pub(crate) fn assembled(kernel_elf: &[u8]) -> Vec<u8> {
    assembled_with(kernel_elf, "")
}

/// The same with options.
pub(crate) fn assembled_with(kernel_elf: &[u8], options: &str) -> Vec<u8> {
    let boot = boot(5000);
    let parts = Parts { kernel_elf, boot: &boot, td_hob: TD_HOB, temp_mem: &[TEMP_MEM], options };
    let mut image = vec![0xCC; image_size(&parts).unwrap()];
    assert_eq!(assemble(&parts, &mut image), Ok(image.len()));
    image
}
