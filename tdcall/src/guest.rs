//! Guest leaves: TDCALL, answered by the TDX module. [ABI-G 2]
//!
//! A TDCALL outside a TD, outside 64-bit mode or at CPL > 0 raises #UD or #GP: these
//! functions are for code that knows that it runs in a TD. [ABI-G 1]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::attributes::Attributes;
use abi::field::FieldId;
use abi::leaf::tdg;
use abi::{GpaWidth, PageLevel, PrivateGpa, Status, VeInfo};

use crate::retry::while_busy;

/// What TDG.VP.INFO tells. [ABI-G 2.2]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpInfo {
    /// RCX bits 5:0: GPA width in bits, 48 or 52.
    pub gpa_width_bits: u64,
    /// RDX.
    pub attributes: Attributes,
    /// R8 bits 31:0: vCPUs that TDH.VP.INIT made.
    pub num_vcpus: u32,
    /// R8 bits 63:32.
    pub max_vcpus: u32,
    /// R9: index of this vCPU.
    pub vcpu_index: u32,
    /// R10 bit 0: TDG.SYS.RD exists.
    pub has_sys_rd: bool,
}

impl VpInfo {
    /// The GPA width, unless it is one that no module of today reports.
    #[must_use]
    pub const fn gpa_width(&self) -> Option<GpaWidth> {
        GpaWidth::from_bits(self.gpa_width_bits)
    }
}

/// TDG.VP.INFO: who this TD and vCPU are. No inputs; out RCX, RDX, R8-R11. [ABI-G 2.2]
///
/// # Errors
/// None is defined; a status that is not success is handed on.
pub fn vp_info() -> Result<VpInfo, Status> {
    let (rcx, rdx, r8, r9, r10): (u64, u64, u64, u64, u64);
    // SAFETY: the leaf reads nothing and writes the six output registers alone.
    let status = unsafe {
        tdcall!(tdg::VP_INFO, [], lateout("rcx") rcx, lateout("rdx") rdx, lateout("r8") r8,
                lateout("r9") r9, lateout("r10") r10, lateout("r11") _,)
    };
    if !status.is_success() {
        return Err(status);
    }
    Ok(VpInfo {
        gpa_width_bits: rcx & 0x3F,
        attributes: Attributes::from_bits_retain(rdx),
        num_vcpus: r8 as u32,
        max_vcpus: (r8 >> 32) as u32,
        vcpu_index: r9 as u32,
        has_sys_rd: r10 & 1 == 1,
    })
}

/// TDG.VP.VEINFO.GET: takes the information of the last #VE; until then another #VE
/// becomes #DF. No inputs; out RCX, RDX, R8-R10. [ABI-G 2.4]
///
/// # Errors
/// NO_VALID_VE_INFO: there is none.
#[inline]
pub fn vp_veinfo_get() -> Result<VeInfo, Status> {
    let (rcx, rdx, r8, r9, r10): (u64, u64, u64, u64, u64);
    // SAFETY: the leaf reads nothing and writes the five output registers alone.
    let status = unsafe {
        tdcall!(tdg::VP_VEINFO_GET, [], lateout("rcx") rcx, lateout("rdx") rdx, lateout("r8") r8,
                lateout("r9") r9, lateout("r10") r10,)
    };
    if status.is_success() { Ok(VeInfo::from_regs(rcx, rdx, r8, r9, r10)) } else { Err(status) }
}

/// TDG.MEM.PAGE.ACCEPT: makes a pending page of the TD usable, filled with zeros. In RCX:
/// address and level. Busy answers are retried with a bound. [ABI-G 11]
///
/// Returns SUCCESS; PAGE_ALREADY_ACCEPTED (not an error class; detail: level found);
/// PAGE_SIZE_MISMATCH (the page is mapped in smaller pieces: accept those);
/// OPERAND_INVALID (unaligned, or too large a level); OPERAND_BUSY if it stays so.
///
/// # Safety
/// No Rust object lies in the page: its bytes become zero, and if the VMM never gave the
/// page this call never returns.
pub unsafe fn mem_page_accept(gpa: PrivateGpa, level: PageLevel) -> Status {
    while_busy(|| {
        // SAFETY: the leaf changes RAX and the page, which is the caller's to give.
        let status =
            unsafe { tdcall!(tdg::MEM_PAGE_ACCEPT, [], in("rcx") gpa.bits() | level as u64,) };
        (status, ())
    })
    .0
}

/// TDG.VM.RD version 0: reads a field of this TD. In RCX = 0, RDX field; out R8.
/// [ABI-G 2.8]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE.
pub fn vm_rd(field: FieldId) -> Result<u64, Status> {
    let value: u64;
    // SAFETY: the leaf reads TD metadata and writes R8 alone.
    let status = unsafe {
        tdcall!(tdg::VM_RD, [], in("rcx") 0_u64, in("rdx") field.0, lateout("r8") value,)
    };
    if status.is_success() { Ok(value) } else { Err(status) }
}

/// TDG.VM.WR: writes the bits `mask` of a field of this TD. In RCX = 0, RDX field, R8
/// value, R9 mask; out R8, the old value. [ABI-G 2.8]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID;
/// OPERAND_BUSY if it stays so.
pub fn vm_wr(field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
    let (status, old) = while_busy(|| {
        let old: u64;
        // SAFETY: the leaf writes TD metadata, which is not memory, and R8.
        let status = unsafe {
            tdcall!(tdg::VM_WR, [], in("rcx") 0_u64, in("rdx") field.0,
                    inlateout("r8") value => old, in("r9") mask,)
        };
        (status, old)
    });
    if status.is_success() { Ok(old) } else { Err(status) }
}
