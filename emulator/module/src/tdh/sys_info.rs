//! TDH.SYS.INFO: what the module is, as one structure, and the CMRs. [ABI-H 3.5]

use core::mem::offset_of;

use abi::field::sys as field;
use abi::{Operand, Regs, Status};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::Leaf;
use crate::machine::Machine;
use crate::metadata::{Element, sys};
use crate::module::{MAX_CMRS, Module};
use crate::phys::store;
use crate::virt::cpuid_table::CONFIGURABLE;

const INFO_BYTES: u64 = 1024;
const CMR_BYTES: u64 = 512;

/// TDSYSINFO_STRUCT.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct SysInfo {
    attributes: u32,
    vendor_id: u32,
    build_date: u32,
    build_num: u16,
    minor: u16,
    major: u16,
    sys_rd: u8,
    _rsvd_013: [u8; 13],
    max_tdmrs: u16,
    max_reserved_per_tdmr: u16,
    pamt_entry_size: u16,
    _rsvd_026: [u8; 10],
    tdcs_base_size: u16,
    _rsvd_032: [u8; 2],
    tdvps_base_size: u16,
    tdvps_xfam_dependent_size: u8,
    _rsvd_037: [u8; 9],
    attributes_fixed0: u64,
    attributes_fixed1: u64,
    xfam_fixed0: u64,
    xfam_fixed1: u64,
    _rsvd_060: [u8; 32],
    num_cpuid_config: u32,
    /// {leaf, sub-leaf, eax, ebx, ecx, edx}.
    cpuid_config: [[u32; 6]; CONFIGURABLE.len()],
    _rsvd_1a4: [u8; 604],
}

const _: () = assert!(size_of::<SysInfo>() as u64 == INFO_BYTES);
const _: () = assert!(offset_of!(SysInfo, max_tdmrs) == 32);
const _: () = assert!(offset_of!(SysInfo, tdcs_base_size) == 48);
const _: () = assert!(offset_of!(SysInfo, attributes_fixed0) == 64);
const _: () = assert!(offset_of!(SysInfo, num_cpuid_config) == 128);
const _: () = assert!(offset_of!(SysInfo, cpuid_config) == 132);

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (info, info_bytes, cmrs, num_cmrs) = (regs.rcx, regs.rdx, regs.r8, regs.r9);
    (regs.rdx, regs.r9) = (0, 0);
    let invalid = |operand| Status::OPERAND_INVALID.with_operand(operand);
    if !module.lp_is_initialized {
        return Err(Status::SYS_LP_INIT_NOT_DONE);
    }
    let info = module.shared_buffer(m, info, INFO_BYTES, Operand::Rcx)?;
    if info_bytes < INFO_BYTES {
        return Err(invalid(Operand::Rdx));
    }
    // 1.5.01 clears the first buffer before it looks at the second.
    m.zero(info, INFO_BYTES);
    let cmrs = module.shared_buffer(m, cmrs, CMR_BYTES, Operand::R8)?;
    if num_cmrs < MAX_CMRS as u64 {
        return Err(invalid(Operand::R9));
    }
    store(m, info, &describe(module));
    let table = module.config.cmrs.map(|(base, size)| [base, size]);
    store(m, cmrs, &table);
    (regs.rdx, regs.r9) = (INFO_BYTES, MAX_CMRS as u64);
    Ok(())
}

fn describe(module: &Module) -> SysInfo {
    let value =
        |id| Element::find(sys::FIELDS, id).map_or(0, |element| sys::value(module, &element));
    let mut info = SysInfo::new_zeroed();
    info.vendor_id = value(field::VENDOR_ID) as u32;
    info.build_date = value(field::BUILD_DATE) as u32;
    info.build_num = value(field::BUILD_NUM) as u16;
    info.minor = value(field::MINOR_VERSION) as u16;
    info.major = value(field::MAJOR_VERSION) as u16;
    info.sys_rd = 1;
    info.max_tdmrs = value(field::MAX_TDMRS) as u16;
    info.max_reserved_per_tdmr = value(field::MAX_RESERVED_PER_TDMR) as u16;
    info.pamt_entry_size = value(field::PAMT_4K_ENTRY_SIZE) as u16;
    info.tdcs_base_size = value(field::TDCS_BASE_SIZE) as u16;
    info.tdvps_base_size = value(field::TDVPS_BASE_SIZE) as u16;
    info.attributes_fixed0 = value(field::ATTRIBUTES_FIXED0);
    info.attributes_fixed1 = value(field::ATTRIBUTES_FIXED1);
    info.xfam_fixed0 = value(field::XFAM_FIXED0);
    info.xfam_fixed1 = value(field::XFAM_FIXED1);
    info.num_cpuid_config = CONFIGURABLE.len() as u32;
    for (index, (row, config)) in info.cpuid_config.iter_mut().zip(&CONFIGURABLE).enumerate() {
        let leaf = sys::cpuid_leaf(index);
        let native = module.config.cpuid_config[index];
        let bits = |i: usize| config.direct[i] | config.allow[i] & native[i];
        *row = [leaf as u32, (leaf >> 32) as u32, bits(0), bits(1), bits(2), bits(3)];
    }
    info
}
