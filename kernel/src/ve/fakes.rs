//! A scripted module with a hostile host, and memory that is an array. The fuzz target uses
//! this file, too.

use core::cell::RefCell;
use core::ops::Range;
use std::vec::Vec;

use abi::ghci::FATAL_TEXT_BYTES;
use abi::{GhciStatus, GpaWidth, IoWidth, SharedGpa, Status, VeInfo};
use kernel::td::Tdcall;
use kernel::ve::{Memory, Segment};
use tdcall::ghci::{CacheOperation, MmioWidth, VmcallError};
use tdcall::guest::VpInfo;

/// What the host was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Cpuid(u32, u32),
    Hlt(bool),
    IoRead(u16, IoWidth),
    IoWrite(u16, IoWidth, u32),
    Rdmsr(u32),
    Wrmsr(u32, u64),
    MmioRead(u64, MmioWidth),
    MmioWrite(u64, MmioWidth, u64),
    Wbinvd(CacheOperation),
    Pconfig(u32, [u64; 3]),
}

/// A host that puts `answer` into every register it can reach, or refuses everything.
/// Unlike `tdcall`, the fake does not cut the answer to the access's width.
pub(crate) struct Host {
    pub(crate) answer: u64,
    /// Added to the answer each time.
    pub(crate) step: u64,
    pub(crate) refuses: bool,
    /// Refuses writes to device memory alone.
    pub(crate) refuses_mmio_writes: bool,
    pub(crate) asked: Vec<Asked>,
}

impl Host {
    pub(crate) fn answering(answer: u64) -> Self {
        Self { answer, step: 0, refuses: false, refuses_mmio_writes: false, asked: Vec::new() }
    }

    pub(crate) fn refusing() -> Self {
        Self { refuses: true, ..Self::answering(0xBAD) }
    }

    fn ask(&mut self, asked: Asked) -> Result<u64, VmcallError> {
        self.asked.push(asked);
        let is_mmio_write = matches!(asked, Asked::MmioWrite(..));
        if self.refuses || self.refuses_mmio_writes && is_mmio_write {
            return Err(VmcallError::Vmm(GhciStatus::INVALID_OPERAND));
        }
        let answer = self.answer;
        self.answer = answer.wrapping_add(self.step);
        Ok(answer)
    }
}

impl Tdcall for Host {
    fn vp_info(&mut self) -> Result<VpInfo, Status> {
        Err(Status::OPERAND_INVALID)
    }

    fn vp_veinfo_get(&mut self) -> Result<VeInfo, Status> {
        Err(Status::NO_VALID_VE_INFO)
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], VmcallError> {
        let answer = self.ask(Asked::Cpuid(leaf, subleaf))? as u32;
        Ok([0, 1, 2, 3].map(|register| answer.wrapping_add(register)))
    }

    fn hlt(&mut self, interrupts_blocked: bool) -> Result<(), VmcallError> {
        self.ask(Asked::Hlt(interrupts_blocked)).map(drop)
    }

    fn io_read(&mut self, port: u16, width: IoWidth) -> Result<u32, VmcallError> {
        self.ask(Asked::IoRead(port, width)).map(|value| value as u32)
    }

    fn io_write(&mut self, port: u16, width: IoWidth, value: u32) -> Result<(), VmcallError> {
        self.ask(Asked::IoWrite(port, width, value)).map(drop)
    }

    fn rdmsr(&mut self, index: u32) -> Result<u64, VmcallError> {
        self.ask(Asked::Rdmsr(index))
    }

    fn wrmsr(&mut self, index: u32, value: u64) -> Result<(), VmcallError> {
        self.ask(Asked::Wrmsr(index, value)).map(drop)
    }

    fn mmio_read(&mut self, gpa: SharedGpa, width: MmioWidth) -> Result<u64, VmcallError> {
        self.ask(Asked::MmioRead(gpa.address(), width))
    }

    fn mmio_write(
        &mut self,
        gpa: SharedGpa,
        width: MmioWidth,
        value: u64,
    ) -> Result<(), VmcallError> {
        self.ask(Asked::MmioWrite(gpa.address(), width, value)).map(drop)
    }

    fn wbinvd(&mut self, operation: CacheOperation) -> Result<(), VmcallError> {
        self.ask(Asked::Wbinvd(operation)).map(drop)
    }

    fn pconfig(&mut self, leaf: u32, operands: [u64; 3]) -> Result<u64, VmcallError> {
        self.ask(Asked::Pconfig(leaf, operands))
    }

    fn report_fatal_error(&mut self, _code: u64, _text: &[u8; FATAL_TEXT_BYTES]) -> VmcallError {
        VmcallError::Vmm(GhciStatus::SUCCESS)
    }
}

/// One device page; two pages with code at [`CODE`], the second of which may be missing; and
/// data pages at [`DATA`].
pub(crate) struct Pages {
    pub(crate) code: Vec<u8>,
    pub(crate) has_second_page: bool,
    /// Bytes from `data_start` on; what is behind them is not mapped.
    pub(crate) data: RefCell<Vec<u8>>,
    /// [`DATA`], unless the test puts it elsewhere.
    pub(crate) data_start: u64,
    /// Bytes of `data` that can be written.
    pub(crate) writable_bytes: usize,
}

/// Where the data is.
pub(crate) const DATA: u64 = 0x0000_7FFF_0000_0000;
/// The bases of FS and GS.
pub(crate) const FS_BASE: u64 = 0x1_0000;
pub(crate) const GS_BASE: u64 = 0xFFFF_FFFF_FFFF_0000;

/// Where the code is.
pub(crate) const CODE: u64 = 0xFFFF_FFFF_8000_0000;
/// The device's address.
pub(crate) const DEVICE: u64 = 0xFEC0_0000;
/// The address of a page that the kernel made shared.
pub(crate) const SHARED_PAGE: u64 = DEVICE + 0x2000;
/// Where the device is mapped.
pub(crate) const WINDOW: u64 = 0xFFFF_FF00_0000_0000;

impl Pages {
    /// Pages with `code` at `CODE + offset`.
    pub(crate) fn with(offset: usize, code: &[u8]) -> Self {
        let mut pages = Self {
            code: std::vec![0xCC; 0x2000],
            has_second_page: true,
            data: RefCell::new(Vec::new()),
            data_start: DATA,
            writable_bytes: 0,
        };
        pages.code[offset..offset + code.len()].copy_from_slice(code);
        pages
    }

    /// Pages with data that can be written.
    pub(crate) fn with_data(data: &[u8]) -> Self {
        Self { data: RefCell::new(data.into()), writable_bytes: data.len(), ..Self::with(0, &[]) }
    }

    fn data_range(&self, address: u64, bytes: usize) -> Option<Range<usize>> {
        let start = usize::try_from(address.checked_sub(self.data_start)?).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= self.data.borrow().len()).then_some(start..end)
    }
}

impl Memory for Pages {
    fn gpa_width(&self) -> GpaWidth {
        GpaWidth::Bits48
    }

    fn is_device(&self, gpa: SharedGpa) -> bool {
        gpa.address() & !0xFFF == DEVICE
    }

    fn is_shared(&self, gpa: SharedGpa) -> bool {
        gpa.address() & !0xFFF == SHARED_PAGE
    }

    fn read_code(&self, address: u64, bytes: &mut [u8]) -> bool {
        let start = address.wrapping_sub(CODE) as usize;
        let end = start + bytes.len();
        assert!(bytes.is_empty() || start / 0x1000 == (end - 1) / 0x1000, "read across a page");
        let is_there = start < if self.has_second_page { 0x2000 } else { 0x1000 };
        if is_there {
            bytes.copy_from_slice(&self.code[start..end]);
        }
        is_there
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(range) = self.data_range(address, bytes.len()) else { return false };
        bytes.copy_from_slice(&self.data.borrow()[range]);
        true
    }

    fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let range = self.data_range(address, bytes.len());
        let Some(range) = range.filter(|range| range.end <= self.writable_bytes) else {
            return false;
        };
        self.data.borrow_mut()[range].copy_from_slice(bytes);
        true
    }

    fn can_write(&self, address: u64, bytes: usize) -> bool {
        self.data_range(address, bytes).is_some_and(|range| range.end <= self.writable_bytes)
    }

    fn segment_base(&self, segment: Segment) -> u64 {
        match segment {
            Segment::Fs => FS_BASE,
            Segment::Gs => GS_BASE,
        }
    }

    fn device(&self, address: u64) -> Option<SharedGpa> {
        let offset = address.checked_sub(WINDOW).filter(|offset| *offset < 0x1000)?;
        SharedGpa::try_new(DEVICE + offset, GpaWidth::Bits48).ok()
    }
}
