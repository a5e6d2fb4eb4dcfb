//! Rows of the host leaves.
#![expect(unsafe_code, reason = "leaves that take pages are unsafe")]

use abi::exit::TdExitStatus;
use abi::field::{FieldId, sys, td, vp};
use abi::{Hpa, PageLevel, PrivateGpa, RegisterFile, Regs, Status};
use tdcall::host::{
    self, FieldRead, Leaf, LeafError, PageMetadata, Removed, SeptEntry, SysInfoSizes,
};

use crate::guest::every_register;
use crate::private;

type Done = Result<(), Status>;
type DoneOr = Result<(), LeafError>;
type Read = Result<u64, Status>;
type Next = Result<FieldRead, Status>;
type Took = Result<Removed, LeafError>;

const TDR: Hpa = Hpa::new(0x7D_1000);
const PAGE: Hpa = Hpa::new(0x9A_6000);
const OTHER: Hpa = Hpa::new(0x07_E000);

pub(crate) fn rows() {
    system();
    trust_domain();
    memory();
    sizes();
    teardown();
    vcpu();
    let mut regs = every_register();
    call_unsafe!(
        "vp_enter",
        host::vp_enter as unsafe fn(Hpa, &mut Regs) -> TdExitStatus,
        PAGE,
        &mut regs
    );
    println!("vp_enter registers: {regs:x?}");
    let mut file = RegisterFile { gprs: every_register(), ..RegisterFile::default() };
    (0x500..).zip(&mut file.xmm).for_each(|(value, xmm)| *xmm = value << 64 | value);
    call_unsafe!(
        "vp_enter_with_xmm",
        host::vp_enter_with_xmm as unsafe fn(Hpa, &mut RegisterFile) -> TdExitStatus,
        PAGE,
        &mut file
    );
    println!("vp_enter_with_xmm registers: {file:x?}");
    let mut regs = every_register();
    let leaf = Leaf::from_rax(0x8000_0000_0000_0000);
    call_unsafe!("host_call", host::call as unsafe fn(Leaf, &mut Regs) -> Status, leaf, &mut regs);
    println!("host_call registers: {regs:x?}");
}

fn system() {
    call!("tdh_sys_init", host::sys_init as fn() -> DoneOr);
    call!("tdh_sys_lp_init", host::sys_lp_init as fn() -> DoneOr);
    call!("tdh_sys_rd", host::sys_rd as fn(FieldId) -> Read, sys::NUM_CMRS);
    call!("tdh_sys_rd_next", host::sys_rd_next as fn(FieldId) -> Next, sys::NUM_CMRS);
    call_unsafe!(
        "tdh_sys_rdall",
        host::sys_rdall as unsafe fn(Hpa, FieldId) -> Result<Option<FieldId>, Status>,
        PAGE,
        sys::NUM_CMRS
    );
    call_unsafe!(
        "tdh_sys_info",
        host::sys_info as unsafe fn(Hpa, Hpa) -> Result<SysInfoSizes, Status>,
        PAGE,
        OTHER
    );
    call_unsafe!(
        "tdh_sys_config",
        host::sys_config as unsafe fn(Hpa, usize, u16) -> Done,
        PAGE,
        2,
        33
    );
    call!("tdh_sys_key_config", host::sys_key_config as fn() -> Done);
    call!("tdh_sys_tdmr_init", host::sys_tdmr_init as fn(Hpa) -> Read, Hpa::new(1 << 30));
    call!("tdh_sys_lp_shutdown", host::sys_lp_shutdown as fn() -> Done);
    call!("tdh_sys_shutdown", host::sys_shutdown as fn(u16) -> Done, 2);
    call!("tdh_sys_update", host::sys_update as fn() -> Done);
}

fn trust_domain() {
    call_unsafe!("tdh_mng_create", host::mng_create as unsafe fn(Hpa, u16) -> Done, TDR, 34);
    call!("tdh_mng_key_config", host::mng_key_config as fn(Hpa) -> Done, TDR);
    call_unsafe!("tdh_mng_addcx", host::mng_addcx as unsafe fn(Hpa, Hpa) -> Done, PAGE, TDR);
    call!("tdh_mng_init", host::mng_init as fn(Hpa, Hpa) -> DoneOr, TDR, OTHER);
    call!("tdh_mng_rd", host::mng_rd as fn(Hpa, FieldId) -> Read, TDR, td::HKID);
    call!("tdh_mng_rd_next", host::mng_rd_next as fn(Hpa, FieldId) -> Next, TDR, td::HKID);
    call!(
        "tdh_mng_wr",
        host::mng_wr as fn(Hpa, FieldId, u64, u64) -> Read,
        TDR,
        td::HP_LOCK_TIMEOUT,
        7,
        8
    );
    call!("tdh_mng_key_reclaimid", host::mng_key_reclaimid as fn(Hpa) -> Done, TDR);
    call!("tdh_mr_finalize", host::mr_finalize as fn(Hpa) -> Done, TDR);
}

fn memory() {
    let gpa = private(0x20_0000);
    call_unsafe!(
        "tdh_mem_sept_add",
        host::mem_sept_add as unsafe fn(PrivateGpa, u8, Hpa, Hpa) -> DoneOr,
        gpa,
        1,
        TDR,
        PAGE
    );
    call_unsafe!(
        "tdh_mem_page_add",
        host::mem_page_add as unsafe fn(PrivateGpa, Hpa, Hpa, Hpa) -> DoneOr,
        gpa,
        TDR,
        PAGE,
        OTHER
    );
    call_unsafe!(
        "tdh_mem_page_aug",
        host::mem_page_aug as unsafe fn(PrivateGpa, PageLevel, Hpa, Hpa) -> DoneOr,
        gpa,
        PageLevel::Size2M,
        TDR,
        PAGE
    );
    call!("tdh_mr_extend", host::mr_extend as fn(PrivateGpa, Hpa) -> DoneOr, gpa, TDR);
    call!(
        "tdh_mem_range_block",
        host::mem_range_block as fn(PrivateGpa, u8, Hpa) -> DoneOr,
        gpa,
        1,
        TDR
    );
    call!("tdh_mem_track", host::mem_track as fn(Hpa) -> Done, TDR);
    call!(
        "tdh_mem_range_unblock",
        host::mem_range_unblock as fn(PrivateGpa, u8, Hpa) -> DoneOr,
        gpa,
        1,
        TDR
    );
    call!(
        "tdh_mem_sept_rd",
        host::mem_sept_rd as fn(PrivateGpa, u8, Hpa) -> Result<SeptEntry, LeafError>,
        gpa,
        1,
        TDR
    );
    call!("tdh_mem_rd", host::mem_rd as fn(PrivateGpa, Hpa) -> Result<u64, LeafError>, gpa, TDR);
    call!(
        "tdh_mem_wr",
        host::mem_wr as fn(PrivateGpa, Hpa, u64) -> Result<u64, LeafError>,
        gpa,
        TDR,
        9
    );
}

fn sizes() {
    let gpa = private(0x20_0000);
    call_unsafe!(
        "tdh_mem_page_demote",
        host::mem_page_demote as unsafe fn(PrivateGpa, PageLevel, Hpa, Hpa) -> DoneOr,
        gpa,
        PageLevel::Size2M,
        TDR,
        PAGE
    );
    call!(
        "tdh_mem_page_promote",
        host::mem_page_promote as fn(PrivateGpa, PageLevel, Hpa) -> Took,
        gpa,
        PageLevel::Size2M,
        TDR
    );
    call_unsafe!(
        "tdh_mem_page_relocate",
        host::mem_page_relocate as unsafe fn(PrivateGpa, Hpa, Hpa) -> Took,
        gpa,
        TDR,
        PAGE
    );
    call!(
        "tdh_mem_page_remove",
        host::mem_page_remove as fn(PrivateGpa, PageLevel, Hpa) -> Took,
        gpa,
        PageLevel::Size2M,
        TDR
    );
    call!(
        "tdh_mem_sept_remove",
        host::mem_sept_remove as fn(PrivateGpa, u8, Hpa) -> Took,
        gpa,
        1,
        TDR
    );
}

fn teardown() {
    type Metadata = Result<PageMetadata, LeafError>;
    call!("tdh_vp_flush", host::vp_flush as fn(Hpa) -> Done, PAGE);
    call!("tdh_mng_vpflushdone", host::mng_vpflushdone as fn(Hpa) -> Done, TDR);
    call!("tdh_phymem_cache_wb", host::phymem_cache_wb as fn() -> Done);
    call!("tdh_mng_key_freeid", host::mng_key_freeid as fn(Hpa) -> Done, TDR);
    call!("tdh_phymem_page_reclaim", host::phymem_page_reclaim as fn(Hpa) -> Metadata, PAGE);
    call!("tdh_phymem_page_rdmd", host::phymem_page_rdmd as fn(Hpa) -> Metadata, PAGE);
    call!(
        "tdh_phymem_page_wbinvd",
        host::phymem_page_wbinvd as fn(u64) -> Done,
        34 << 46 | PAGE.bits()
    );
}

fn vcpu() {
    call_unsafe!("tdh_vp_create", host::vp_create as unsafe fn(Hpa, Hpa) -> Done, PAGE, TDR);
    call_unsafe!("tdh_vp_addcx", host::vp_addcx as unsafe fn(Hpa, Hpa) -> Done, OTHER, PAGE);
    call!("tdh_vp_init", host::vp_init as fn(Hpa, u64, u32) -> Done, PAGE, 0x80_9000, 3);
    call!("tdh_vp_init_v0", host::vp_init_v0 as fn(Hpa, u64) -> Done, PAGE, 0x80_9000);
    call!("tdh_vp_rd", host::vp_rd as fn(Hpa, FieldId) -> Read, PAGE, vp::VCPU_INDEX);
    call!("tdh_vp_rd_next", host::vp_rd_next as fn(Hpa, FieldId) -> Next, PAGE, vp::VCPU_INDEX);
    call!("tdh_vp_wr", host::vp_wr as fn(Hpa, FieldId, u64, u64) -> Read, PAGE, vp::PEND_NMI, 1, 1);
}
