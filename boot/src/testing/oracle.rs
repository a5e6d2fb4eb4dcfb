//! Page tables as the x86_64 crate reads them: an oracle for those we write.
#![expect(unsafe_code, reason = "the crate reads tables through pointers")]

use std::vec::Vec;

use bootloader_api::BootInfo;
use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::{MappedPageTable, PageTableFrameMapping, TranslateResult};
use x86_64::structures::paging::{PageTable, PageTableFlags, PhysFrame, Translate};

use super::Arena;
use crate::frame::{Frame, FrameMemory};

/// An address space that is done, with the kernel's file where the image would be.
pub(crate) struct View<'a> {
    pub(crate) arena: Arena,
    pub(crate) root: Frame,
    pub(crate) file: &'a [u8],
    pub(crate) file_frame: Frame,
}

struct Mapping(*mut u64);

// SAFETY: the frames of tables are frames of the arena, which starts at the pointer.
unsafe impl PageTableFrameMapping for Mapping {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        let offset = frame.start_address().as_u64() - crate::frame::FRAMES_START;
        self.0.wrapping_byte_add(offset as usize).cast()
    }
}

impl View<'_> {
    /// Physical address and flags of a byte.
    pub(crate) fn translate(&mut self, address: u64) -> Option<(u64, PageTableFlags)> {
        let pages = self.arena.0.len();
        let first = Frame::containing(crate::frame::FRAMES_START);
        let base = self.arena.words(first, pages).as_mut_ptr();
        let mapping = Mapping(base);
        let root = PhysFrame::containing_address(x86_64::PhysAddr::new(self.root.address()));
        let table = mapping.frame_to_pointer(root);
        // SAFETY: a frame of the arena, aligned, and borrowed by nobody else.
        let table = unsafe { &mut *table };
        // SAFETY: the table and those below are in the arena.
        let tables = unsafe { MappedPageTable::new(table, mapping) };
        match tables.translate(VirtAddr::new(address)) {
            TranslateResult::Mapped { frame, offset, flags } => {
                Some((frame.start_address().as_u64() + offset, flags))
            }
            _ => None,
        }
    }

    /// `len` bytes as the kernel sees them, from memory or from the file.
    pub(crate) fn read(&mut self, address: u64, len: u64) -> Vec<u8> {
        (address..address + len).map(|at| self.byte(at)).collect()
    }

    /// The boot information without its regions, which are behind the kernel's pointer.
    pub(crate) fn boot_info(&mut self, at: u64) -> BootInfo {
        let bytes = self.read(at, size_of::<BootInfo>() as u64);
        // SAFETY: all bytes of a BootInfo, as boot wrote it; callers look at plain fields.
        unsafe { bytes.as_ptr().cast::<BootInfo>().read_unaligned() }
    }

    fn byte(&mut self, address: u64) -> u8 {
        let (physical, _) = self.translate(address).expect("mapped");
        if physical >= self.file_frame.address() {
            return self.file[(physical - self.file_frame.address()) as usize];
        }
        let frame = Frame::containing(physical);
        let word = self.arena.words(frame, 1)[(physical % 4096 / 8) as usize];
        word.to_le_bytes()[(physical % 8) as usize]
    }
}
