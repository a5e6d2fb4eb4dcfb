//! Every TDCALL of the kernel: typed, counted, and behind a trait, so that tests can put
//! a scripted module and a hostile host in its place.
#![expect(unsafe_code, reason = "calls that change pages")]

use abi::ghci::{FATAL_TEXT_BYTES, function};
use abi::leaf::tdg;
use abi::{GpaRange, IoWidth, PageLevel, PrivateGpa, SharedGpa, Status, VeInfo};
use tdcall::ghci::{self, CacheOperation, MapGpaError, MmioWidth, VmcallError};
use tdcall::guest::{self, VpInfo};

use crate::counts;

/// What the kernel asks of the TDX module and, through it, of the host. Each function is
/// one TDCALL; errors are the callee's.
pub trait Tdcall {
    /// TDG.VP.INFO.
    fn vp_info(&mut self) -> Result<VpInfo, Status>;
    /// TDG.VP.VEINFO.GET.
    fn vp_veinfo_get(&mut self) -> Result<VeInfo, Status>;
    /// `[eax, ebx, ecx, edx]` of a CPUID leaf, as the host wants it.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], VmcallError>;
    /// Idles until an interrupt is pending.
    fn hlt(&mut self, interrupts_blocked: bool) -> Result<(), VmcallError>;
    /// Reads a port; bits above the width are zero.
    fn io_read(&mut self, port: u16, width: IoWidth) -> Result<u32, VmcallError>;
    /// Writes the low bytes of `value` to a port.
    fn io_write(&mut self, port: u16, width: IoWidth, value: u32) -> Result<(), VmcallError>;
    /// Reads an MSR of the host's making.
    fn rdmsr(&mut self, index: u32) -> Result<u64, VmcallError>;
    /// Writes an MSR of the host's making.
    fn wrmsr(&mut self, index: u32, value: u64) -> Result<(), VmcallError>;
    /// Reads device memory; bits above the width are zero.
    fn mmio_read(&mut self, gpa: SharedGpa, width: MmioWidth) -> Result<u64, VmcallError>;
    /// Writes the low bytes of `value` to device memory.
    fn mmio_write(
        &mut self,
        gpa: SharedGpa,
        width: MmioWidth,
        value: u64,
    ) -> Result<(), VmcallError>;
    /// Writes caches back.
    fn wbinvd(&mut self, operation: CacheOperation) -> Result<(), VmcallError>;
    /// PCONFIG with EAX, and RBX, RCX, RDX; what the leaf gives.
    fn pconfig(&mut self, leaf: u32, operands: [u64; 3]) -> Result<u64, VmcallError>;
    /// Reports the TD's end; comes back only if the host does not do its part.
    fn report_fatal_error(&mut self, code: u64, text: &[u8; FATAL_TEXT_BYTES]) -> VmcallError;
}

/// The real thing: the TDCALL instruction. Only for code that runs in a TD.
#[derive(Clone, Copy, Debug)]
pub struct Td;

/// Calls that take pages away or bring them, which only their owner may do: not in the trait.
#[expect(clippy::unused_self, reason = "like the functions of the trait")]
impl Td {
    /// MapGPA. [TDVF 4.4]
    ///
    /// # Errors
    /// See [`MapGpaError`].
    ///
    /// # Safety
    /// That of [`ghci::map_gpa`].
    pub(crate) unsafe fn map_gpa(&mut self, range: GpaRange) -> Result<(), MapGpaError> {
        counts::vmcall(function::MAP_GPA);
        // SAFETY: the caller's promise.
        unsafe { ghci::map_gpa(range) }
    }

    /// TDG.MEM.PAGE.ACCEPT. [ABI-G 11]
    ///
    /// # Safety
    /// That of [`guest::mem_page_accept`].
    pub(crate) unsafe fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        counts::tdcall(tdg::MEM_PAGE_ACCEPT);
        // SAFETY: the caller's promise.
        unsafe { guest::mem_page_accept(gpa, level) }
    }
}

impl Tdcall for Td {
    fn vp_info(&mut self) -> Result<VpInfo, Status> {
        counts::tdcall(tdg::VP_INFO);
        let info = guest::vp_info()?;
        counts::start();
        Ok(info)
    }

    fn vp_veinfo_get(&mut self) -> Result<VeInfo, Status> {
        counts::tdcall(tdg::VP_VEINFO_GET);
        guest::vp_veinfo_get()
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], VmcallError> {
        counts::vmcall(function::CPUID);
        ghci::cpuid(leaf, subleaf)
    }

    fn hlt(&mut self, interrupts_blocked: bool) -> Result<(), VmcallError> {
        counts::vmcall(function::HLT);
        ghci::hlt(interrupts_blocked)
    }

    #[inline(always)]
    fn io_read(&mut self, port: u16, width: IoWidth) -> Result<u32, VmcallError> {
        counts::vmcall(function::IO);
        ghci::io_read(port, width)
    }

    #[inline(always)]
    fn io_write(&mut self, port: u16, width: IoWidth, value: u32) -> Result<(), VmcallError> {
        counts::vmcall(function::IO);
        ghci::io_write(port, width, value)
    }

    fn rdmsr(&mut self, index: u32) -> Result<u64, VmcallError> {
        counts::vmcall(function::RDMSR);
        ghci::rdmsr(index)
    }

    fn wrmsr(&mut self, index: u32, value: u64) -> Result<(), VmcallError> {
        counts::vmcall(function::WRMSR);
        ghci::wrmsr(index, value)
    }

    #[inline(always)]
    fn mmio_read(&mut self, gpa: SharedGpa, width: MmioWidth) -> Result<u64, VmcallError> {
        counts::vmcall(function::MMIO);
        ghci::mmio_read(gpa, width)
    }

    #[inline(always)]
    fn mmio_write(
        &mut self,
        gpa: SharedGpa,
        width: MmioWidth,
        value: u64,
    ) -> Result<(), VmcallError> {
        counts::vmcall(function::MMIO);
        ghci::mmio_write(gpa, width, value)
    }

    fn wbinvd(&mut self, operation: CacheOperation) -> Result<(), VmcallError> {
        counts::vmcall(function::WBINVD);
        ghci::wbinvd(operation)
    }

    fn pconfig(&mut self, leaf: u32, operands: [u64; 3]) -> Result<u64, VmcallError> {
        counts::vmcall(function::PCONFIG);
        ghci::pconfig(leaf, operands)
    }

    fn report_fatal_error(&mut self, code: u64, text: &[u8; FATAL_TEXT_BYTES]) -> VmcallError {
        counts::vmcall(function::REPORT_FATAL_ERROR);
        ghci::report_fatal_error(code, text)
    }
}
