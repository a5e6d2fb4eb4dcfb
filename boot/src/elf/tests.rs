//! Tests of the ELF reader.

use std::vec::Vec;

use proptest::prelude::*;

use super::raw::{EXECUTABLE, SHARED_OBJECT};
use super::*;
use crate::testing::{Load, TestKernel};

const BASE: u64 = 0xFFFF_FFFF_8000_0000;

fn kernel() -> TestKernel {
    TestKernel::new(EXECUTABLE, BASE)
}

fn refusal(kernel: &TestKernel) -> ElfError {
    Elf::parse(&kernel.build()).unwrap_err()
}

/// A shared object whose data segment has a dynamic segment and this relocation table.
fn relocatable(tags: &[(u64, u64)], table: &[(u64, u64, u64)]) -> TestKernel {
    let mut kernel = TestKernel::new(SHARED_OBJECT, 0x1000);
    let words = tags.iter().flat_map(|(tag, value)| [*tag, *value]);
    let dynamic: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let rows = table.iter().flat_map(|(offset, kind, addend)| [*offset, *kind, *addend]);
    let rows: Vec<u8> = rows.flat_map(u64::to_le_bytes).collect();
    let data = &mut kernel.loads[2];
    data.data[..dynamic.len()].copy_from_slice(&dynamic);
    data.data[0x100..0x100 + rows.len()].copy_from_slice(&rows);
    kernel.others.push((kind::DYNAMIC, data.address, dynamic.len() as u64));
    kernel
}

const TABLE: u64 = 0x1000 + 0x4800 + 0x100;

#[test]
fn a_kernel_is_read_as_it_was_built() {
    let built = kernel();
    let file = built.build();
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.entry(), BASE + 0x10);
    assert!(!elf.is_relocatable());
    assert_eq!(elf.alignment(), 4096);
    for (segment, load) in elf.segments().zip(&built.loads) {
        assert_eq!(segment.address, load.address);
        let data = &file[segment.file.start as usize..segment.file.end as usize];
        assert_eq!(data, load.data);
        assert_eq!(segment.memory_size, load.data.len() as u64 + load.zeros);
    }
    assert_eq!(elf.segments().count(), 3);
    assert_eq!(elf.relocations().unwrap().count(), 0);
    let config = elf.section(".bootloader-config").unwrap();
    assert_eq!(config, built.config.unwrap().serialize());
    assert_eq!(elf.section(".bootloader-confi"), None);
}

#[test]
fn what_is_no_kernel_is_refused() {
    let good = kernel();
    let file = good.build();
    for (at, byte) in [(0, 0), (4, 1), (5, 2), (6, 0), (18, 3)] {
        let mut bad = file.clone();
        bad[at] = byte;
        assert_eq!(Elf::parse(&bad).unwrap_err(), ElfError::NotElf, "byte {at}");
    }
    assert_eq!(Elf::parse(&file[..63]).unwrap_err(), ElfError::NotElf);
    assert_eq!(Elf::parse(&file[..80]).unwrap_err(), ElfError::Cut("program headers"));
    assert_eq!(Elf::parse(&file[..0x3000]).unwrap_err(), ElfError::Cut("a segment"));
    assert_eq!(refusal(&TestKernel { kind: 1, ..good }), ElfError::Kind(1));
}

#[test]
fn each_rule_for_segments_has_its_own_refusal() {
    let with = |change: &dyn Fn(&mut TestKernel)| {
        let mut kernel = kernel();
        change(&mut kernel);
        refusal(&kernel)
    };
    assert_eq!(with(&|k| k.loads[2].flags = 7), ElfError::WritableCode(BASE + 0x4800));
    assert_eq!(with(&|k| k.loads[2].zeros = u64::MAX / 2), ElfError::Wraps(BASE + 0x4800));
    assert_eq!(with(&|k| k.entry = BASE + 0x1800), ElfError::EntryOutside(BASE + 0x1800));
    assert_eq!(with(&|k| k.entry = BASE + 0x2800), ElfError::EntryOutside(BASE + 0x2800));
    assert_eq!(
        with(&|k| k.others = std::vec![(kind::TLS, BASE, 8), (kind::TLS, BASE, 8)]),
        ElfError::SecondTls
    );
    assert_eq!(with(&|k| k.others = std::vec![(kind::TLS, BASE, BASE)]), ElfError::Wraps(BASE));

    let mut file = kernel().build();
    let (address, offset) = (BASE + 1, u64::from_le_bytes(file[72..80].try_into().unwrap()));
    file[80..88].copy_from_slice(&address.to_le_bytes());
    assert_eq!(Elf::parse(&file).unwrap_err(), ElfError::Unaligned { address, offset });
}

#[test]
fn a_segment_without_file_bytes_may_have_any_offset() {
    let mut kernel = kernel();
    kernel.loads.push(Load { address: BASE + 0x1_0123, flags: 6, data: Vec::new(), zeros: 9 });
    let mut file = kernel.build();
    file[64 + 3 * 56 + 8..][..8].copy_from_slice(&1_u64.to_le_bytes());
    assert_eq!(Elf::parse(&file).unwrap().segments().count(), 4);
}

#[test]
fn relative_relocations_are_read() {
    let tags = [(tag::RELA, TABLE), (tag::RELA_SIZE, 48), (tag::RELA_ENTRY_SIZE, 24), (0, 0)];
    let file = relocatable(&tags, &[(0x6000, 8, 0x1234), (0x6008, 8, 0x1000)]).build();
    let elf = Elf::parse(&file).unwrap();
    let read: Vec<_> = elf.relocations().unwrap().map(Result::unwrap).collect();
    let expected = [(0x6000, 0x1234), (0x6008, 0x1000)];
    assert_eq!(read, expected.map(|(offset, addend)| Relocation { offset, addend }));
}

#[test]
fn other_relocations_are_refused() {
    let tags = [(tag::RELA, TABLE), (tag::RELA_SIZE, 24), (0, 0)];
    let file = relocatable(&tags, &[(0x6000, 1 << 32 | 6, 0)]).build();
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.relocations().unwrap().next(), Some(Err(ElfError::Relocation(6))));

    for tag in [tag::REL, tag::RELR, tag::JUMP_RELOCATIONS] {
        let file = relocatable(&[(tag, TABLE), (0, 0)], &[]).build();
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.relocations().err(), Some(ElfError::RelocationTable(tag)));
    }
}

#[test]
fn a_relocation_table_outside_the_file_is_refused() {
    let cut = ElfError::Cut("the dynamic segment or its relocations");
    for tags in [
        [(tag::RELA, TABLE), (tag::RELA_SIZE, 25)],
        [(tag::RELA, TABLE), (tag::RELA_SIZE, 24 << 32)],
        [(tag::RELA, TABLE), (tag::RELA_SIZE, u64::MAX - 15)],
        [(tag::RELA, 0x10), (tag::RELA_SIZE, 24)],
        [(tag::RELA, 0x1000 + 0x4800 + 0x2900), (tag::RELA_SIZE, 24)],
        [(tag::RELA_ENTRY_SIZE, 16), (tag::RELA_SIZE, 0)],
    ] {
        let file = relocatable(&tags, &[]).build();
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.relocations().err(), Some(cut), "{tags:x?}");
    }
}

fn read_everything(bytes: &[u8]) {
    if let Ok(elf) = Elf::parse(bytes) {
        for segment in elf.segments() {
            assert!(segment.file.end <= bytes.len() as u64);
            assert!(segment.file.end - segment.file.start <= segment.memory_size);
            assert!(!(segment.is_writable && segment.is_executable));
        }
        let _ = (elf.tls(), elf.section(".bootloader-config"));
        let _ = elf.read_only_after_relocation().count();
        let _ = elf.relocations().map(Iterator::count);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        mut noise in prop::collection::vec(any::<u8>(), 0..600),
        edits in prop::collection::vec((0_usize..400, any::<u8>()), 1..12),
        cut: prop::sample::Index,
    ) {
        let tags = [(tag::RELA, TABLE), (tag::RELA_SIZE, 48), (0, 0)];
        let mut edited = relocatable(&tags, &[(0x6000, 8, 0), (0x6008, 8, 0)]).build();
        let headers = edited.len() - 64 * 4;
        for (at, byte) in edits {
            // The headers are at both ends of the file.
            let at = if at < 288 { at } else { headers + (at - 288) };
            edited[at] = byte;
        }
        read_everything(&edited);
        read_everything(&edited[..cut.index(edited.len())]);
        noise.splice(..0, *b"\x7FELF\x02\x01\x01");
        read_everything(&noise);
    }
}
