//! TDG.VP.*: this vCPU. [ABI-G 2.2, 2.4, 2.6, 2.9]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::attributes::{Attributes, CpuidVe};
use abi::field::FieldId;
use abi::leaf::tdg;
use abi::{GpaWidth, Status, VeInfo};

use crate::error::{FieldRead, done};
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

/// TDG.VP.INFO: who this TD and vCPU are. [ABI-G 2.2]
///
/// Out RCX, RDX, R8-R11.
///
/// # Errors
/// None is defined; a status that is not success is handed on.
pub fn vp_info() -> Result<VpInfo, Status> {
    let (rcx, rdx, r8, r9, r10): (u64, u64, u64, u64, u64);
    // SAFETY: the leaf reads nothing and writes the six output registers alone.
    let status = unsafe {
        tdcall!(tdg::VP_INFO, lateout("rcx") rcx, lateout("rdx") rdx, lateout("r8") r8,
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
/// becomes #DF. [ABI-G 2.4]
///
/// Out RCX, RDX, R8-R10.
///
/// # Errors
/// NO_VALID_VE_INFO: there is none.
#[inline]
pub fn vp_veinfo_get() -> Result<VeInfo, Status> {
    let (rcx, rdx, r8, r9, r10): (u64, u64, u64, u64, u64);
    // SAFETY: the leaf reads nothing and writes the five output registers alone.
    let status = unsafe {
        tdcall!(tdg::VP_VEINFO_GET, lateout("rcx") rcx, lateout("rdx") rdx, lateout("r8") r8,
                lateout("r9") r9, lateout("r10") r10,)
    };
    if status.is_success() { Ok(VeInfo::from_regs(rcx, rdx, r8, r9, r10)) } else { Err(status) }
}

/// TDG.VP.CPUIDVE.SET: whether every CPUID of this vCPU raises #VE. [ABI-G 2.6]
///
/// In RCX bits 1:0.
///
/// # Errors
/// OPERAND_INVALID for bits that [`CpuidVe`] does not name.
pub fn vp_cpuidve_set(raise: CpuidVe) -> Result<(), Status> {
    // SAFETY: the leaf changes when CPUID traps, and RAX.
    done(unsafe { tdcall!(tdg::VP_CPUIDVE_SET, in("rcx") raise.bits(),) })
}

/// TDG.VP.RD: reads a field of this vCPU. [ABI-G 2.9]
///
/// In RCX = 0, RDX field; out RDX next field, R8 value.
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE. The null id gives 0.
pub fn vp_rd(field: FieldId) -> Result<u64, Status> {
    vp_rd_next(field).map(|read| read.value.unwrap_or(0))
}

/// TDG.VP.RD with the id of the next field. [ABI-G 2.9]
///
/// # Errors
/// As [`vp_rd`]; the null id gives the first field's id.
pub fn vp_rd_next(field: FieldId) -> Result<FieldRead, Status> {
    let (next, value): (u64, u64);
    // SAFETY: the leaf reads vCPU metadata and writes RDX and R8 alone.
    let status = unsafe {
        tdcall!(tdg::VP_RD, in("rcx") 0_u64, inlateout("rdx") field.0 => next,
                lateout("r8") value,)
    };
    FieldRead::from_regs(status, next, value)
}

/// TDG.VP.WR: writes the bits `mask` of a field of this vCPU; `Ok` holds the old value.
/// [ABI-G 2.9]
///
/// In RCX = 0, RDX field, R8 value, R9 mask; out R8.
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID;
/// OPERAND_BUSY if it stays so.
pub fn vp_wr(field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
    let (status, old) = while_busy(|| {
        let old: u64;
        // SAFETY: the leaf writes vCPU metadata, which is not memory, and R8.
        let status = unsafe {
            tdcall!(tdg::VP_WR, in("rcx") 0_u64, in("rdx") field.0,
                    inlateout("r8") value => old, in("r9") mask,)
        };
        (status, old)
    });
    done(status).map(|()| old)
}
