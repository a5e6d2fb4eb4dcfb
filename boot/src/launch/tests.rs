//! Tests of the whole way from a kernel's file to its address space.

use std::vec::Vec;

use abi::{GpaWidth, PrivateGpa, Status};
use bootloader_api::BootInfo;
use proptest::prelude::*;
use tdcall::accept::{Accept, AcceptError};
use x86_64::structures::paging::PageTableFlags as Flags;

use super::*;
use crate::accept::Acceptor;
use crate::elf::ElfError;
use crate::frame::FRAMES_START;
use crate::ram::{RamList, State};
use crate::testing::{Arena, Load, Module, OWN, TestKernel, View, accepted, unaccepted};

const BASE: u64 = 0xFFFF_FFFF_8000_0000;
const MEMORY: u64 = 0x40_0000;
const LAST_PAGE: u64 = 0xFFFF_F000;
const DATA: u64 = 0x4800;

/// What the kernel finds, or why it does not start.
fn launch(file: &[u8]) -> Result<(Entry, View<'_>), BootError> {
    launch_with(file, &mut accepted(&[(0, FRAMES_START + MEMORY)]), "")
}

/// The same with this memory, accepted as it is needed, and these options.
fn launch_with<'a>(
    file: &'a [u8],
    ram: &mut RamList,
    options: &str,
) -> Result<(Entry, View<'a>), BootError> {
    let mut module = Module::default();
    let mut arena = Arena::new(MEMORY);
    let kernel_frame = Frame::containing(OWN.image.start);
    let last_page = Frame::containing(LAST_PAGE);
    let options_address = LAST_PAGE + 0xF00;
    let image = Image { kernel: file, kernel_frame, last_page, options, options_address };
    let frames = Frames::new(ram, Acceptor::new(&mut module, GpaWidth::Bits48));
    let (entry, _) = prepare(&image, frames, &mut arena)?;
    Ok((entry, View { arena, root: entry.page_table, file, file_frame: kernel_frame }))
}

/// The boot information's map of memory: start, end, and the number of the kind.
fn regions(view: &mut View<'_>, boot_info: u64) -> Vec<(u64, u64, u8)> {
    let word = |view: &mut View<'_>, at| u64::from_le_bytes(view.read(at, 8).try_into().unwrap());
    let field = boot_info + core::mem::offset_of!(BootInfo, memory_regions) as u64;
    let (list, count) = (word(view, field), word(view, field + 8));
    (0..count)
        .map(|index| list + index * 24)
        .map(|at| (word(view, at), word(view, at + 8), view.read(at + 16, 1)[0]))
        .collect()
}

fn exec() -> TestKernel {
    TestKernel::new(2, BASE)
}

fn with_config(kernel: TestKernel, set: impl FnOnce(&mut BootloaderConfig)) -> Vec<u8> {
    let mut config = BootloaderConfig::new_default();
    set(&mut config);
    TestKernel { config: Some(config), ..kernel }.build()
}

fn check_segments(view: &mut View<'_>, kernel: &TestKernel, offset: u64) {
    for load in &kernel.loads {
        let start = load.address.wrapping_add(offset);
        let expected = [&load.data[..], &std::vec![0; load.zeros as usize]].concat();
        assert!(view.read(start, expected.len() as u64) == expected, "{start:#x}");
        for at in (0..expected.len() as u64).step_by(64) {
            let (_, flags) = view.translate(start + at).unwrap();
            assert_eq!(flags.contains(Flags::WRITABLE), load.flags & 2 != 0);
            assert_eq!(flags.contains(Flags::NO_EXECUTE), load.flags & 1 == 0);
        }
    }
}

#[test]
fn a_kernel_is_mapped_where_it_is_linked() {
    let kernel = exec();
    let file = kernel.build();
    let (entry, mut view) = launch(&file).unwrap();
    assert_eq!(entry.start, BASE + 0x10);
    check_segments(&mut view, &kernel, 0);
    assert_eq!(view.translate(BASE + 0xA000), None);
    assert_eq!(view.translate(BASE - 1), None);
}

#[test]
fn whole_pages_of_the_file_are_mapped_and_others_copied() {
    let file = exec().build();
    let (_, mut view) = launch(&file).unwrap();
    let mut is_image = |offset| view.translate(BASE + offset).unwrap().0 >= OWN.image.start;
    // Code: two pages, though the second has constants behind it.
    assert!(is_image(0) && is_image(0x17FF));
    // Data: starts and ends within a page, and goes on with zeros.
    assert!(!is_image(DATA) && is_image(0x5000) && is_image(0x6000) && !is_image(0x7000));
}

#[test]
fn no_frame_is_writable_and_executable() {
    let file = exec().build();
    let (_, mut view) = launch(&file).unwrap();
    let mut frames = |range: core::ops::Range<u64>| -> Vec<u64> {
        range.step_by(4096).filter_map(|at| view.translate(BASE + at)).map(|(f, _)| f).collect()
    };
    let (code, data) = (frames(0..0x2000), frames(0x4000..0x9000));
    assert!(!code.is_empty() && !data.is_empty());
    assert!(code.iter().all(|frame| !data.contains(frame)));
}

#[test]
fn the_stack_has_a_hole_below_it() {
    let file = with_config(exec(), |config| config.kernel_stack_size = 0x3008);
    let (entry, mut view) = launch(&file).unwrap();
    let info = view.boot_info(entry.boot_info);
    let bottom = info.kernel_stack_bottom;
    assert_eq!((info.kernel_stack_len, entry.stack_top), (0x3008, bottom + 0x3000));
    assert_eq!(view.translate(bottom - 1), None);
    let (_, flags) = view.translate(bottom).unwrap();
    assert!(flags.contains(Flags::WRITABLE | Flags::NO_EXECUTE));
    assert!(view.translate(entry.stack_top + 7).is_some());
    assert_eq!(view.read(entry.stack_top - 8, 8), [0; 8]);
}

#[test]
fn the_page_with_the_last_code_stays_where_it_is() {
    let file = exec().build();
    let (_, mut view) = launch(&file).unwrap();
    let (physical, flags) = view.translate(LAST_PAGE).unwrap();
    assert_eq!((physical, flags), (LAST_PAGE, Flags::PRESENT));
    assert_eq!(view.translate(LAST_PAGE - 1), None);
}

#[test]
fn boot_information_tells_what_was_done() {
    let file = with_config(exec(), |config| {
        config.mappings.physical_memory = Some(Mapping::Dynamic);
        config.mappings.page_table_recursive = Some(Mapping::Dynamic);
    });
    let (entry, mut view) = launch(&file).unwrap();
    let info = view.boot_info(entry.boot_info);
    assert_eq!((info.kernel_addr, info.kernel_len), (OWN.image.start, file.len() as u64));
    assert_eq!(info.kernel_image_offset, 0);
    assert!(info.framebuffer.as_ref().is_none());
    assert_eq!(info.rsdp_addr.into_option(), None);
    assert_eq!((info.ramdisk_addr.into_option(), info.ramdisk_len), (None, 0));

    let physical = info.physical_memory_offset.into_option().unwrap();
    assert_eq!(physical % (1 << 39), 0);
    for at in [0, 0x1234, 0x80_0000, 0xFEC0_0000, 0xFFFF_FFFF] {
        let (found, flags) = view.translate(physical + at).unwrap();
        assert_eq!(found, at);
        assert!(flags.contains(Flags::WRITABLE | Flags::NO_EXECUTE | Flags::HUGE_PAGE));
    }
    assert_eq!(view.translate(physical + (4 << 30)), None);

    let index = u64::from(info.recursive_index.into_option().unwrap());
    let root = VirtAddr::new_truncate(index << 39 | index << 30 | index << 21 | index << 12);
    assert_eq!(view.translate(root.as_u64()).unwrap().0, entry.page_table.address());
    assert_eq!(info.tls_template.into_option(), None);
}

#[test]
fn the_map_of_memory_has_all_that_boot_used() {
    let file = exec().build();
    let (entry, mut view) = launch(&file).unwrap();
    let kinds = regions(&mut view, entry.boot_info);
    let used_end = kinds[1].1;
    assert_eq!(
        kinds,
        [
            (0, FRAMES_START, 0),
            (FRAMES_START, used_end, 1),
            (used_end, FRAMES_START + MEMORY, 0),
            (0x80_0000, 0x81_2000, 1),
            (OWN.image.start, 1 << 32, 1),
        ]
    );
    let last_frame = view.translate(entry.boot_info).unwrap().0;
    assert!((FRAMES_START..used_end).contains(&last_frame));
    assert!((FRAMES_START..used_end).contains(&entry.page_table.address()));
}

#[test]
fn memory_that_boot_did_not_need_is_left_to_the_kernel() {
    let file = with_config(exec(), |config| {
        config.mappings.physical_memory = Some(Mapping::Dynamic);
    });
    let mut ram = unaccepted(&[(0, FRAMES_START + MEMORY), (1 << 32, 2 << 30)]);
    let (entry, mut view) = launch_with(&file, &mut ram, "").unwrap();
    let kinds = regions(&mut view, entry.boot_info);
    let used_end = kinds[1].1;
    assert_eq!(
        kinds,
        [
            (0, FRAMES_START, 0),
            (FRAMES_START, used_end, 1),
            (used_end, 0x20_0000, 0),
            (0x20_0000, FRAMES_START + MEMORY, 2),
            (0x80_0000, 0x81_2000, 1),
            (OWN.image.start, 1 << 32, 1),
            (1 << 32, 6 << 30, 2),
        ]
    );
    assert_eq!(ram.unaccepted_bytes(), FRAMES_START + MEMORY - 0x20_0000 + (2 << 30));
    // The physical mapping has it all.
    let physical = view.boot_info(entry.boot_info).physical_memory_offset.into_option().unwrap();
    let last = (6 << 30) - 1;
    assert_eq!(view.translate(physical + last).unwrap().0, last);
    assert_eq!(view.translate(physical + last + 1), None);
}

#[test]
fn the_map_is_true_for_as_many_ranges_as_a_td_hob_can_list() {
    let file = exec().build();
    let mut list: Vec<_> = (0..165).map(|n| (FRAMES_START + n * 0x2000, 0x1000)).collect();
    // The boot information is in one piece, with its page tables after it.
    list.push((FRAMES_START + 0x20_0000, 0x1_0000));
    let mut ram = unaccepted(&list);
    let (entry, mut view) = launch_with(&file, &mut ram, "").unwrap();
    let kinds = regions(&mut view, entry.boot_info);
    assert!(kinds.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    for range in ram.ranges() {
        for page in (range.start..range.end).step_by(4096) {
            let found = kinds.iter().find(|(start, end, _)| (*start..*end).contains(&page));
            let is_left = found.unwrap().2 == 2;
            let State::Free { accepted_end } = range.state else { continue };
            assert_eq!(is_left, page >= accepted_end, "{page:#x}");
        }
    }
    let left: u64 = kinds.iter().filter(|kind| kind.2 == 2).map(|kind| kind.1 - kind.0).sum();
    assert_eq!(left, ram.unaccepted_bytes());
    assert!(left > 0 && ram.ranges().len() == 169);
}

#[test]
fn the_kernel_finds_its_options() {
    let file = exec().build();
    let mut ram = accepted(&[(0, FRAMES_START + MEMORY)]);
    let (entry, mut view) = launch_with(&file, &mut ram, "accept=eager").unwrap();
    let info = view.boot_info(entry.boot_info);
    let place = (info.ramdisk_addr.into_option(), info.ramdisk_len);
    assert_eq!(place, (Some(LAST_PAGE + 0xF00), 12));
    let (physical, flags) = view.translate(LAST_PAGE + 0xF00).unwrap();
    assert_eq!(physical, LAST_PAGE + 0xF00);
    assert!(!flags.contains(Flags::WRITABLE));
}

#[test]
fn memory_that_cannot_be_accepted_is_the_vmms_fault() {
    struct Refuses;
    impl Accept for Refuses {
        fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
            Status::OPERAND_INVALID
        }
    }
    let file = exec().build();
    let mut ram = unaccepted(&[(0, FRAMES_START + MEMORY)]);
    let (mut module, mut arena) = (Refuses, Arena::new(MEMORY));
    let frame = Frame::containing(OWN.image.start);
    let image = Image {
        kernel: &file,
        kernel_frame: frame,
        last_page: Frame::containing(LAST_PAGE),
        options: "",
        options_address: 0,
    };
    let frames = Frames::new(&mut ram, Acceptor::new(&mut module, GpaWidth::Bits48));
    let error = prepare(&image, frames, &mut arena).map(|_| ()).unwrap_err();
    assert!(matches!(error, BootError::Accept(AcceptError::Refused { .. })), "{error}");
}

#[test]
fn fixed_addresses_are_kept() {
    let file = with_config(exec(), |config| {
        config.mappings.kernel_stack = Mapping::FixedAddress(0xFFFF_9000_0000_0000);
        config.mappings.boot_info = Mapping::FixedAddress(0xFFFF_9800_0000_0FF8);
        config.mappings.physical_memory = Some(Mapping::FixedAddress(0xFFFF_A000_0020_0000));
        config.mappings.page_table_recursive = Some(Mapping::FixedAddress(0xFFFF_B000_0000_0000));
    });
    let (entry, mut view) = launch(&file).unwrap();
    let info = view.boot_info(entry.boot_info);
    assert_eq!(info.kernel_stack_bottom, 0xFFFF_9000_0000_1000);
    assert_eq!(entry.boot_info, 0xFFFF_9800_0000_0FF8);
    assert_eq!(info.physical_memory_offset.into_option(), Some(0xFFFF_A000_0020_0000));
    assert_eq!(info.recursive_index.into_option(), Some(0o540));
    assert_eq!(view.translate(0xFFFF_A000_0020_0000).unwrap().0, 0);
}

#[test]
fn a_relocatable_kernel_is_moved() {
    const TABLE: u64 = 0x100;
    let mut kernel = TestKernel::new(3, 0x1000);
    let data = 0x1000 + DATA;
    let dynamic = [7, data + TABLE, 8, 72, 9, 24, 0, 0_u64];
    // In the data, across a page of the data, and in the constants.
    let targets = [0x5810, 0x5FFC, 0x3810];
    let table: Vec<u64> = targets.iter().flat_map(|at| [*at, 8, 0x1010]).collect();
    let bytes = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    kernel.loads[2].data[..64].copy_from_slice(&bytes(&dynamic));
    kernel.loads[2].data[TABLE as usize..][..72].copy_from_slice(&bytes(&table));
    kernel.others = std::vec![(2, data, 64), (7, data + 0x200, 0x20), (0x6474_E552, data, 0x1900)];

    for (base, offset) in
        [(Mapping::Dynamic, (1 << 39) - 0x1000), (Mapping::FixedAddress(0x40_0000), 0x40_0000)]
    {
        let file = with_config(kernel.clone(), |config| config.mappings.kernel_base = base);
        let (entry, mut view) = launch(&file).unwrap();
        assert_eq!(entry.start, 0x1010 + offset);
        for at in targets {
            let word = u64::from_le_bytes(view.read(at + offset, 8).try_into().unwrap());
            assert_eq!(word, 0x1010 + offset, "{at:#x}");
        }
        let mut relocated = kernel.clone();
        for at in targets {
            let load = relocated.loads.iter_mut().rfind(|load| load.address <= at).unwrap();
            let within = (at - load.address) as usize;
            load.data[within..within + 8].copy_from_slice(&(0x1010 + offset).to_le_bytes());
        }
        let info = view.boot_info(entry.boot_info);
        assert_eq!(info.kernel_image_offset, offset);
        let tls = info.tls_template.into_option().unwrap();
        assert_eq!((tls.start_addr, tls.mem_size), (data + 0x200 + offset, 0x20));
        // The range that is read-only after relocation covers two pages and a bit.
        let writable = |view: &mut View<'_>, at| {
            view.translate(at + offset).unwrap().1.contains(Flags::WRITABLE)
        };
        assert!(!writable(&mut view, data) && !writable(&mut view, 0x6000));
        assert!(writable(&mut view, 0x7000));
        for load in &relocated.loads {
            assert!(view.read(load.address + offset, load.data.len() as u64) == load.data);
        }
    }
}

#[test]
fn what_the_kernel_asks_wrongly_is_told() {
    let refusal = |file: &[u8]| launch(file).err().unwrap();
    let no_config = TestKernel { config: None, ..exec() }.build();
    assert_eq!(refusal(&no_config), ConfigError::NoSection.into());
    let refuse = |set: fn(&mut BootloaderConfig)| refusal(&with_config(exec(), set));
    assert_eq!(refuse(|c| c.mappings.aslr = true), ConfigError::Aslr.into());
    assert_eq!(refuse(|c| c.kernel_stack_size = 0), ConfigError::NoStack.into());
    assert_eq!(refuse(|c| c.kernel_stack_size = u64::MAX), MapError::NoMemory.into());
    assert_eq!(refuse(|c| c.kernel_stack_size = 1 << 30), MapError::NoMemory.into());
    let fixed = Mapping::FixedAddress;
    assert_eq!(
        refuse(|c| c.mappings.kernel_base = Mapping::FixedAddress(0)),
        ConfigError::FixedBase(0).into()
    );
    assert_eq!(
        refuse(|c| c.mappings.physical_memory = Some(Mapping::FixedAddress(0x1000))),
        ConfigError::UnalignedAddress {
            what: "physical_memory",
            address: 0x1000,
            alignment: 0x20_0000
        }
        .into()
    );
    let onto_code = with_config(exec(), |c| c.mappings.kernel_stack = fixed(BASE - 0x1000));
    assert_eq!(refusal(&onto_code), MapError::Taken(BASE).into());
    let mut cut = exec().build();
    cut.truncate(100);
    assert_eq!(refusal(&cut), ElfError::Cut("program headers").into());
}

#[test]
fn segments_that_share_a_page_are_refused() {
    let mut kernel = exec();
    kernel.loads.push(Load { address: BASE + 0x1900, flags: 4, data: Vec::new(), zeros: 1 });
    let file = kernel.build();
    assert_eq!(launch(&file).err(), Some(MapError::Taken(BASE + 0x1000).into()));
}

#[test]
fn a_kernel_larger_than_memory_is_refused() {
    let mut kernel = exec();
    kernel.loads[2].zeros = 1 << 30;
    let file = kernel.build();
    assert_eq!(launch(&file).err(), Some(MapError::NoMemory.into()));
}

proptest! {
    #[test]
    fn no_kernel_makes_boot_panic(
        edits in prop::collection::vec((0_usize..64 + 6 * 56, any::<u8>()), 1..6),
        config in prop::collection::vec((0_usize..133, any::<u8>()), 0..3),
    ) {
        let mut kernel = TestKernel::new(3, 0x1000);
        kernel.others = std::vec![(2, 0x5800, 64), (7, 0x5800, 8), (0x6474_E552, 0x5800, 0x1800)];
        let mut file = kernel.build();
        let section = file.len() - 4 * 64 - 133;
        for (at, byte) in edits {
            file[at] = byte;
        }
        for (at, byte) in config {
            file[section + at] = byte;
        }
        drop(launch(&file));
    }
}
