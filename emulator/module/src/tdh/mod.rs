//! SEAMCALL: one file a leaf, named as the specification names it. [ABI-H 3]
//!
//! Each leaf first decodes and checks, then acts; an error leaves the machine as it
//! was, except where the specification says otherwise. Outputs go to the registers
//! at once, because leaves that fail report through them too.
//!
//! Leaves 48, 49, 64-75, 80-87 and 96 (service TDs, export, import) are unknown. 1.5.01 has
//! them for every TD; a module that does not have them answers as its dispatcher answers
//! every number without a case: OPERAND_INVALID with operand RAX.

mod mem_page_add;
mod mem_page_aug;
mod mem_page_demote;
mod mem_page_promote;
mod mem_page_relocate;
mod mem_page_remove;
mod mem_range_block;
mod mem_range_unblock;
mod mem_rd;
mod mem_sept_add;
mod mem_sept_rd;
mod mem_sept_remove;
mod mem_track;
mod mem_wr;
mod mng_addcx;
mod mng_create;
mod mng_init;
mod mng_key_config;
mod mng_key_freeid;
mod mng_key_reclaimid;
mod mng_rd;
mod mng_vpflushdone;
mod mng_wr;
mod mr_extend;
mod mr_finalize;
mod phymem_cache_wb;
mod phymem_page_rdmd;
mod phymem_page_reclaim;
mod phymem_page_wbinvd;
mod sys_config;
mod sys_info;
mod sys_init;
mod sys_key_config;
mod sys_lp_init;
mod sys_lp_shutdown;
mod sys_rd;
mod sys_rdall;
mod sys_shutdown;
mod sys_tdmr_init;
mod sys_update;
mod td_params;
mod vp_addcx;
mod vp_create;
pub(crate) mod vp_enter;
mod vp_flush;
mod vp_init;
mod vp_rd;
mod vp_wr;

use abi::leaf::tdh;
use abi::{Operand, Regs, Status};

use crate::machine::{Machine, TDVPS_PAGES};
use crate::module::Module;
use crate::pamt::{PageType, Slot};
use crate::phys::{PAGE, load, store};
use crate::sys::{LP, MISC_ENABLE_BOOT_NT4, MSR_MISC_ENABLE, MSR_TSC_ADJUST, TDVPS_PAGES_MAX};
use crate::td::Td;
use crate::td::tdcs::OpState;
use crate::td::tdr::Tdr;
use crate::td::tdvps::Tdvps;

/// Ok is SUCCESS; every other status, the success-class ones too, is an error here.
pub(crate) type Leaf = Result<(), Status>;

/// Whether versions other than 0 reach the leaf. VP.INIT version 1 is newer than
/// 1.5.01. [ABI-H 1.5]
pub(crate) fn is_versioned(leaf: u64) -> bool {
    matches!(
        leaf,
        tdh::MEM_SEPT_ADD
            | tdh::MNG_RD
            | tdh::VP_INIT
            | tdh::MEM_PAGE_PROMOTE
            | tdh::VP_RD
            | tdh::MEM_SEPT_REMOVE
    )
}

/// Whether the leaf works before the system is READY. [ABI-H 1.5]
pub(crate) fn works_before_ready(leaf: u64) -> bool {
    matches!(
        leaf,
        tdh::SYS_KEY_CONFIG
            | tdh::SYS_INFO
            | tdh::SYS_INIT
            | tdh::SYS_RD
            | tdh::SYS_LP_INIT
            | tdh::SYS_RDALL
            | tdh::SYS_LP_SHUTDOWN
            | tdh::SYS_CONFIG
            | tdh::SYS_UPDATE
    )
}

/// Runs a leaf other than VP.ENTER.
pub(crate) fn run(
    module: &mut Module,
    m: &mut dyn Machine,
    leaf: u64,
    version: u8,
    regs: &mut Regs,
) -> Leaf {
    match leaf {
        tdh::MNG_ADDCX => mng_addcx::run(module, m, regs),
        tdh::MEM_PAGE_ADD => mem_page_add::run(module, m, regs),
        tdh::MEM_SEPT_ADD => mem_sept_add::run(module, m, version, regs),
        tdh::VP_ADDCX => vp_addcx::run(module, m, regs),
        tdh::MEM_PAGE_RELOCATE => mem_page_relocate::run(module, m, regs),
        tdh::MEM_PAGE_AUG => mem_page_aug::run(module, m, regs),
        tdh::MEM_RANGE_BLOCK => mem_range_block::run(module, m, regs),
        tdh::MNG_KEY_CONFIG => mng_key_config::run(module, m, regs),
        tdh::MNG_CREATE => mng_create::run(module, m, regs),
        tdh::VP_CREATE => vp_create::run(module, m, regs),
        tdh::MNG_RD => mng_rd::run(module, m, version, regs),
        tdh::MEM_RD => mem_rd::run(module, m, regs),
        tdh::MNG_WR => mng_wr::run(module, m, regs),
        tdh::MEM_WR => mem_wr::run(module, m, regs),
        tdh::MEM_PAGE_DEMOTE => mem_page_demote::run(module, m, regs),
        tdh::MR_EXTEND => mr_extend::run(module, m, regs),
        tdh::MR_FINALIZE => mr_finalize::run(module, m, regs),
        tdh::VP_FLUSH => vp_flush::run(module, m, regs),
        tdh::MNG_VPFLUSHDONE => mng_vpflushdone::run(module, m, regs),
        tdh::MNG_KEY_FREEID => mng_key_freeid::run(module, m, regs),
        tdh::MNG_INIT => mng_init::run(module, m, regs),
        tdh::VP_INIT => vp_init::run(module, m, version, regs),
        tdh::MEM_PAGE_PROMOTE => mem_page_promote::run(module, m, version, regs),
        tdh::PHYMEM_PAGE_RDMD => phymem_page_rdmd::run(module, m, regs),
        tdh::MEM_SEPT_RD => mem_sept_rd::run(module, m, regs),
        tdh::VP_RD => vp_rd::run(module, m, version, regs),
        tdh::MNG_KEY_RECLAIMID => mng_key_reclaimid::run(),
        tdh::PHYMEM_PAGE_RECLAIM => phymem_page_reclaim::run(module, m, regs),
        tdh::MEM_PAGE_REMOVE => mem_page_remove::run(module, m, regs),
        tdh::MEM_SEPT_REMOVE => mem_sept_remove::run(module, m, version, regs),
        tdh::SYS_KEY_CONFIG => sys_key_config::run(module),
        tdh::SYS_INFO => sys_info::run(module, m, regs),
        tdh::SYS_INIT => sys_init::run(module, m, regs),
        tdh::SYS_RD => sys_rd::run(module, regs),
        tdh::SYS_RDALL => sys_rdall::run(module, m, regs),
        tdh::SYS_LP_INIT => sys_lp_init::run(module, regs),
        tdh::SYS_TDMR_INIT => sys_tdmr_init::run(module, m, regs),
        tdh::MEM_TRACK => mem_track::run(module, m, regs),
        tdh::MEM_RANGE_UNBLOCK => mem_range_unblock::run(module, m, regs),
        tdh::PHYMEM_CACHE_WB => phymem_cache_wb::run(module, regs),
        tdh::PHYMEM_PAGE_WBINVD => phymem_page_wbinvd::run(module, m, regs),
        tdh::VP_WR => vp_wr::run(module, m, regs),
        tdh::SYS_LP_SHUTDOWN => sys_lp_shutdown::run(),
        tdh::SYS_CONFIG => sys_config::run(module, m, regs),
        tdh::SYS_SHUTDOWN => sys_shutdown::run(module, regs),
        tdh::SYS_UPDATE => sys_update::run(module),
        _ => Err(Status::OPERAND_INVALID.with_operand(Operand::Rax)),
    }
}

/// The TD that an operand names, in one of the op_states `allowed`.
pub(crate) fn td_operand(
    module: &Module,
    m: &dyn Machine,
    tdr: u64,
    operand: Operand,
    allowed: &[OpState],
) -> Result<Td, Status> {
    module.private_page(m, tdr, operand, PageType::TDR)?;
    Td::load_in(m, tdr, allowed)
}

/// The vCPU whose TDVPR page an operand names, and the TDR of its TD.
pub(crate) fn vcpu_operand(
    module: &Module,
    m: &dyn Machine,
    tdvpr: u64,
    operand: Operand,
) -> Result<(Tdvps, u64), Status> {
    let slot = module.private_page(m, tdvpr, operand, PageType::TDVPR)?;
    Ok((Tdvps::load(m, tdvpr), slot.owner()))
}

/// Gives a page of the VMM to the TD at `owner`, whose `chldcnt` grows.
pub(crate) fn donate(m: &mut dyn Machine, slot: &Slot, page: u64, kind: PageType, owner: u64) {
    m.hide_from_vmm(page, slot.pages() * PAGE);
    slot.assign(m, kind, owner);
    add_children(m, owner, slot.pages());
}

/// Gives a page of the TD at `owner` back to the VMM. Its content is gone: on
/// hardware the VMM would find ciphertext.
pub(crate) fn take_back(m: &mut dyn Machine, slot: &Slot, page: u64, owner: u64) {
    let bytes = slot.pages() * PAGE;
    m.zero(page, bytes);
    slot.free(m);
    add_children(m, owner, slot.pages().wrapping_neg());
    m.show_to_vmm(page, bytes);
}

fn add_children(m: &mut dyn Machine, owner: u64, pages: u64) {
    let mut tdr: Tdr = load(m, owner);
    tdr.chldcnt = tdr.chldcnt.wrapping_add(pages);
    store(m, owner, &tdr);
}

/// Puts a vCPU onto the one logical processor. It can be on no other one.
pub(crate) fn associate(tdvps: &mut Tdvps, td: &mut Td) {
    if !tdvps.is_associated() {
        tdvps.assoc_lpid = LP;
        td.tdcs.num_assoc_vcpus = td.tdcs.num_assoc_vcpus.saturating_add(1);
    }
}

/// CPUID is whole: leaves that look at it for a TD want that first.
pub(crate) fn check_cpuid_is_whole(m: &dyn Machine) -> Leaf {
    let is_cut = m.vmm_msr(MSR_MISC_ENABLE) & MISC_ENABLE_BOOT_NT4 != 0;
    if is_cut { Err(Status::LIMIT_CPUID_MAXVAL_SET) } else { Ok(()) }
}

/// Nobody moved the time stamp counter since SYS.INIT.
pub(crate) fn check_tsc_adjust(module: &Module, m: &dyn Machine) -> Leaf {
    if m.vmm_msr(MSR_TSC_ADJUST) == module.tsc_adjust {
        Ok(())
    } else {
        Err(Status::INCONSISTENT_MSR.with_detail(MSR_TSC_ADJUST))
    }
}

/// Whether all pages are there that a vCPU without nested guests needs.
pub(crate) fn check_vcpu_pages(tdvps: &Tdvps) -> Leaf {
    let enough = TDVPS_PAGES as u32..=TDVPS_PAGES_MAX;
    if enough.contains(&tdvps.num_pages) { Ok(()) } else { Err(Status::TDCX_NUM_INCORRECT) }
}
