//! Global fields. [ABI-H 4.5], [ABI-G 12]

use abi::field::sys::{
    ATTRIBUTES_FIXED0, ATTRIBUTES_FIXED1, BUILD_DATE, BUILD_NUM, CMR_BASE, CMR_SIZE,
    CONFIG_FLAGS_FIXED0, CONFIG_FLAGS_FIXED1, CPUID_CONFIG_LEAVES, CPUID_CONFIG_VALUES,
    MAJOR_VERSION, MAX_RESERVED_PER_TDMR, MAX_TDMRS, MAX_VCPUS_PER_TD, MINOR_VERSION, NUM_CMRS,
    NUM_CPUID_CONFIG, PAMT_1G_ENTRY_SIZE, PAMT_2M_ENTRY_SIZE, PAMT_4K_ENTRY_SIZE, TDCS_BASE_SIZE,
    TDR_BASE_SIZE, TDVPS_BASE_SIZE, TDX_FEATURES0, UPDATE_VERSION, VENDOR_ID, XFAM_FIXED0,
    XFAM_FIXED1,
};
use abi::td_params::CPUID_CONFIG_LEAVES as LEAVES;
use abi::tdmr::{MAX_RESERVED, MAX_TDMRS as TDMRS, PAMT_ENTRY_BYTES};

use super::{Element, Field, common, host_only};
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
const CONFIGS: u32 = LEAVES.len() as u32;

pub(crate) const FIELDS: &[Field] = &[
    common(VENDOR_ID, 1),
    host_only(BUILD_DATE, 1),
    host_only(BUILD_NUM, 1),
    common(MINOR_VERSION, 1),
    common(MAJOR_VERSION, 1),
    host_only(UPDATE_VERSION, 1),
    common(TDX_FEATURES0, 1),
    host_only(NUM_CMRS, 1),
    host_only(CMR_BASE, MAX_CMRS as u32),
    host_only(CMR_SIZE, MAX_CMRS as u32),
    host_only(MAX_TDMRS, 1),
    host_only(MAX_RESERVED_PER_TDMR, 1),
    host_only(PAMT_4K_ENTRY_SIZE, 1),
    host_only(PAMT_2M_ENTRY_SIZE, 1),
    host_only(PAMT_1G_ENTRY_SIZE, 1),
    host_only(TDR_BASE_SIZE, 1),
    host_only(TDCS_BASE_SIZE, 1),
    host_only(TDVPS_BASE_SIZE, 1),
    host_only(ATTRIBUTES_FIXED0, 1),
    host_only(ATTRIBUTES_FIXED1, 1),
    host_only(XFAM_FIXED0, 1),
    host_only(XFAM_FIXED1, 1),
    host_only(NUM_CPUID_CONFIG, 1),
    host_only(CONFIG_FLAGS_FIXED0, 1),
    host_only(CONFIG_FLAGS_FIXED1, 1),
    host_only(MAX_VCPUS_PER_TD, 1),
    host_only(CPUID_CONFIG_LEAVES, CONFIGS),
    host_only(CPUID_CONFIG_VALUES, 2 * CONFIGS),
];

pub(crate) fn value(module: &Module, element: &Element) -> u64 {
    let index = element.index as usize;
    let cmr = module.config.cmrs.get(index).copied().unwrap_or_default();
    match element.field() {
        VENDOR_ID => VENDOR_INTEL,
        BUILD_DATE => BUILD_DATE_BCD,
        MINOR_VERSION => 5,
        MAJOR_VERSION | UPDATE_VERSION => 1,
        TDX_FEATURES0 => FEATURES0,
        NUM_CMRS => MAX_CMRS as u64,
        CMR_BASE => cmr.0,
        CMR_SIZE => cmr.1,
        MAX_TDMRS => TDMRS as u64,
        MAX_RESERVED_PER_TDMR => MAX_RESERVED as u64,
        PAMT_4K_ENTRY_SIZE | PAMT_2M_ENTRY_SIZE | PAMT_1G_ENTRY_SIZE => PAMT_ENTRY_BYTES,
        TDR_BASE_SIZE => PAGE,
        TDCS_BASE_SIZE => u64::from(TDCS_PAGES) * PAGE,
        TDVPS_BASE_SIZE => TDVPS_PAGES as u64 * PAGE,
        ATTRIBUTES_FIXED0 => ATTRIBUTES,
        XFAM_FIXED0 => module.config.xfam & XFAM_KNOWN | XFAM_MUST,
        XFAM_FIXED1 => XFAM_MUST,
        NUM_CPUID_CONFIG => u64::from(CONFIGS),
        CONFIG_FLAGS_FIXED0 => CONFIG_FLAGS,
        MAX_VCPUS_PER_TD => u64::from(VCPUS),
        CPUID_CONFIG_LEAVES => cpuid_leaf(index),
        CPUID_CONFIG_VALUES => cpuid_direct(index),
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
