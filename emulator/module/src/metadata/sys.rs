//! Values of the system's fields. [ABI-H 4.5], [ABI-G 12]
//!
//! Limits of what this emulator leaves out (migration, service TDs, nested VMs) are
//! those of 1.5.01, as TDX_FEATURES0 is. Handoff data and module attributes are zero.

use abi::field::FieldId;
use abi::field::sys::{
    ATTRIBUTES_FIXED0, BUILD_DATE, CMR_BASE, CMR_SIZE, CONFIG_FLAGS_FIXED0, CPUID_CONFIG_LEAVES,
    CPUID_CONFIG_VALUES, MAJOR_VERSION, MAX_RESERVED_PER_TDMR, MAX_TDMRS, MAX_VCPUS_PER_TD,
    MINOR_VERSION, NUM_CMRS, NUM_CPUID_CONFIG, PAMT_1G_ENTRY_SIZE, PAMT_2M_ENTRY_SIZE,
    PAMT_4K_ENTRY_SIZE, TDCS_BASE_SIZE, TDR_BASE_SIZE, TDVPS_BASE_SIZE, TDX_FEATURES0,
    UPDATE_VERSION, VENDOR_ID, XFAM_FIXED0, XFAM_FIXED1,
};
use abi::td_params::CPUID_CONFIG_LEAVES as LEAVES;
use abi::tdmr::{MAX_RESERVED, MAX_TDMRS as TDMRS, PAMT_ENTRY_BYTES};

use super::Element;
pub(crate) use super::sys_fields::FIELDS;
use super::sys_fields::{
    ALLOWED_FMS, ARCH_CAPABILITIES_CONFIG_MASK, GUEST_L2_GPA_ATTR_MASK, MAX_MIGS, MAX_SERV_TDS,
    NUM_ALLOWED_FMS, NUM_IMMUTABLE_STATE_PAGES, NUM_PKGS, NUM_TD_STATE_PAGES, NUM_TDX_FEATURES,
    NUM_VP_STATE_PAGES, PKG_FMS, SERVTD_ATTR_FIXED0, TDCS_SIZE_PER_L2_VM, TDVPS_SIZE_PER_L2_VM,
    VCPU_L2_CTLS_FIXED0, VCPU_L2_DEBUG_CTLS_FIXED0, VM_CTLS_FIXED0,
};
use crate::machine::TDVPS_PAGES;
use crate::module::{MAX_CMRS, Module};
use crate::phys::PAGE;
use crate::sys::{
    ATTRIBUTES_FIXED0 as ATTRIBUTES, CONFIG_FLAGS_FIXED0 as CONFIG_FLAGS, FEATURES0,
    MAX_VCPUS_PER_TD as VCPUS, TDCS_PAGES, XFAM_FIXED1 as XFAM_MUST, XFAM_KNOWN,
};
use crate::virt::cpuid_table::CONFIGURABLE;

const VENDOR_INTEL: u64 = 0x8086;
/// The day of module 1.5.01's sources.
const BUILD_DATE_BCD: u64 = 0x2024_0222;
/// SSB_NO, RRSBA, BHI_NO and PBRSB_NO.
const CONFIGURABLE_ARCH_CAPABILITIES: u64 = 1 << 4 | 1 << 19 | 1 << 20 | 1 << 24;
/// Attribute bits 6:0 and VALID.
const L2_GPA_ATTRIBUTES: u64 = 0x807F;
/// INSTANCE_BINDING and the bitmap of TDINFO fields to ignore.
const SERVTD_ATTRIBUTES: u64 = 0x07FF_0000_0001;
/// TDCS pages of a nested VM.
const TDCS_PAGES_PER_L2_VM: u64 = 1;
/// TDVPS pages of a nested VM.
const TDVPS_PAGES_PER_L2_VM: u64 = 3;

pub(crate) fn value(module: &Module, element: &Element) -> u64 {
    let index = element.index as usize;
    let cmr = module.config.cmrs.get(index).copied().unwrap_or_default();
    match element.field() {
        VENDOR_ID => VENDOR_INTEL,
        BUILD_DATE => BUILD_DATE_BCD,
        MINOR_VERSION => 5,
        MAJOR_VERSION | UPDATE_VERSION | NUM_TDX_FEATURES | NUM_PKGS | NUM_ALLOWED_FMS => 1,
        // One socket, and the VMM may only configure its own family, model, stepping.
        PKG_FMS | ALLOWED_FMS if index == 0 => u64::from(module.config.processor_signature),
        TDX_FEATURES0 => FEATURES0,
        NUM_CMRS => MAX_CMRS as u64,
        CMR_BASE => cmr.0,
        CMR_SIZE => cmr.1,
        MAX_TDMRS => TDMRS as u64,
        MAX_RESERVED_PER_TDMR => MAX_RESERVED as u64,
        PAMT_4K_ENTRY_SIZE | PAMT_2M_ENTRY_SIZE | PAMT_1G_ENTRY_SIZE => PAMT_ENTRY_BYTES,
        TDR_BASE_SIZE => PAGE,
        TDCS_BASE_SIZE => u64::from(TDCS_PAGES) * PAGE,
        TDCS_SIZE_PER_L2_VM => TDCS_PAGES_PER_L2_VM * PAGE,
        TDVPS_BASE_SIZE => TDVPS_PAGES as u64 * PAGE,
        TDVPS_SIZE_PER_L2_VM => TDVPS_PAGES_PER_L2_VM * PAGE,
        ATTRIBUTES_FIXED0 => ATTRIBUTES,
        XFAM_FIXED0 => module.config.xfam & XFAM_KNOWN | XFAM_MUST,
        XFAM_FIXED1 => XFAM_MUST,
        NUM_CPUID_CONFIG => LEAVES.len() as u64,
        CONFIG_FLAGS_FIXED0 => CONFIG_FLAGS,
        MAX_VCPUS_PER_TD => u64::from(VCPUS),
        CPUID_CONFIG_LEAVES if index >= LEAVES.len() => u64::MAX,
        CPUID_CONFIG_LEAVES => cpuid_leaf(index),
        CPUID_CONFIG_VALUES => cpuid_direct(index),
        ARCH_CAPABILITIES_CONFIG_MASK => CONFIGURABLE_ARCH_CAPABILITIES,
        other => limit(other),
    }
}

/// What 1.5.01 says of migration, service TDs and nested VMs.
fn limit(field: FieldId) -> u64 {
    match field {
        MAX_MIGS => 512,
        NUM_IMMUTABLE_STATE_PAGES | VCPU_L2_CTLS_FIXED0 => 3,
        NUM_TD_STATE_PAGES => 2,
        NUM_VP_STATE_PAGES => 5,
        MAX_SERV_TDS | VM_CTLS_FIXED0 => 1,
        SERVTD_ATTR_FIXED0 => SERVTD_ATTRIBUTES,
        GUEST_L2_GPA_ATTR_MASK => L2_GPA_ATTRIBUTES,
        VCPU_L2_DEBUG_CTLS_FIXED0 => 7,
        _ => 0,
    }
}

/// Leaf in the lower half, sub-leaf in the upper; all ones for a leaf without.
pub(crate) fn cpuid_leaf(index: usize) -> u64 {
    let Some((leaf, subleaf)) = LEAVES.get(index) else { return 0 };
    u64::from(*leaf) | u64::from(subleaf.unwrap_or(u32::MAX)) << 32
}

/// The directly configurable bits, as 1.5.01 reports them here: without those that
/// SYS.INFO adds because they may be allowed. [ABI-H 4.3]
fn cpuid_direct(index: usize) -> u64 {
    let Some(config) = CONFIGURABLE.get(index / 2) else { return 0 };
    let [eax, ebx, ecx, edx] = config.direct.map(u64::from);
    if index.is_multiple_of(2) { eax | ebx << 32 } else { ecx | edx << 32 }
}
