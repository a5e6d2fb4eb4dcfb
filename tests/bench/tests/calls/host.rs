//! The registers of the host leaves: what each loads, and what it makes of the answer.

use abi::field::{sys, td, vp};
use abi::leaf::tdh;
use abi::{Gpr, Regs, Status};
use bench::seam::Ending;

use crate::expect::{kept, loads, module, run};

const V1: u64 = 1 << 16;
const TDR: u64 = 0x7D_1000;
const PAGE: u64 = 0x9A_6000;
const OTHER: u64 = 0x07_E000;
const GPA: u64 = 0x20_0000;

const N: Option<u64> = None;

/// Row and RAX of each leaf; RCX, RDX, R8, R9, or that they are no input. [ABI-H 3.5-3.9]
#[rustfmt::skip]
static INPUTS: [(&str, u64, [Option<u64>; 4]); 47] = [
    ("tdh_sys_init", tdh::SYS_INIT, [Some(0), N, N, N]),
    ("tdh_sys_lp_init", tdh::SYS_LP_INIT, [N, N, N, N]),
    ("tdh_sys_rd", tdh::SYS_RD, [N, Some(sys::NUM_CMRS.0), N, N]),
    ("tdh_sys_rd_next", tdh::SYS_RD, [N, Some(sys::NUM_CMRS.0), N, N]),
    ("tdh_sys_rdall", tdh::SYS_RDALL, [N, Some(PAGE), Some(sys::NUM_CMRS.0), N]),
    ("tdh_sys_info", tdh::SYS_INFO, [Some(PAGE), Some(1024), Some(OTHER), Some(32)]),
    ("tdh_sys_config", tdh::SYS_CONFIG, [Some(PAGE), Some(2), Some(33), N]),
    ("tdh_sys_key_config", tdh::SYS_KEY_CONFIG, [N, N, N, N]),
    ("tdh_sys_tdmr_init", tdh::SYS_TDMR_INIT, [Some(1 << 30), N, N, N]),
    ("tdh_sys_lp_shutdown", tdh::SYS_LP_SHUTDOWN, [N, N, N, N]),
    ("tdh_sys_shutdown", tdh::SYS_SHUTDOWN, [Some(2), N, N, N]),
    ("tdh_sys_update", tdh::SYS_UPDATE, [N, N, N, N]),
    ("tdh_mng_create", tdh::MNG_CREATE, [Some(TDR), Some(34), N, N]),
    ("tdh_mng_key_config", tdh::MNG_KEY_CONFIG, [Some(TDR), N, N, N]),
    ("tdh_mng_addcx", tdh::MNG_ADDCX, [Some(PAGE), Some(TDR), N, N]),
    ("tdh_mng_init", tdh::MNG_INIT, [Some(TDR), Some(OTHER), N, N]),
    ("tdh_mng_rd", tdh::MNG_RD, [Some(TDR), Some(td::HKID.0), N, N]),
    ("tdh_mng_rd_next", tdh::MNG_RD | V1, [Some(TDR), Some(td::HKID.0), N, N]),
    ("tdh_mng_wr", tdh::MNG_WR, [Some(TDR), Some(td::HP_LOCK_TIMEOUT.0), Some(7), Some(8)]),
    ("tdh_mng_key_reclaimid", tdh::MNG_KEY_RECLAIMID, [Some(TDR), N, N, N]),
    ("tdh_mr_finalize", tdh::MR_FINALIZE, [Some(TDR), N, N, N]),
    ("tdh_mem_sept_add", tdh::MEM_SEPT_ADD, [Some(GPA | 1), Some(TDR), Some(PAGE), N]),
    ("tdh_mem_page_add", tdh::MEM_PAGE_ADD, [Some(GPA), Some(TDR), Some(PAGE), Some(OTHER)]),
    ("tdh_mem_page_aug", tdh::MEM_PAGE_AUG, [Some(GPA | 1), Some(TDR), Some(PAGE), N]),
    ("tdh_mr_extend", tdh::MR_EXTEND, [Some(GPA), Some(TDR), N, N]),
    ("tdh_mem_range_block", tdh::MEM_RANGE_BLOCK, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_mem_track", tdh::MEM_TRACK, [Some(TDR), N, N, N]),
    ("tdh_mem_range_unblock", tdh::MEM_RANGE_UNBLOCK, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_mem_sept_rd", tdh::MEM_SEPT_RD, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_mem_rd", tdh::MEM_RD, [Some(GPA), Some(TDR), N, N]),
    ("tdh_mem_wr", tdh::MEM_WR, [Some(GPA), Some(TDR), Some(9), N]),
    ("tdh_mem_page_demote", tdh::MEM_PAGE_DEMOTE, [Some(GPA | 1), Some(TDR), Some(PAGE), Some(0)]),
    ("tdh_mem_page_promote", tdh::MEM_PAGE_PROMOTE, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_mem_page_relocate", tdh::MEM_PAGE_RELOCATE, [Some(GPA), Some(TDR), Some(PAGE), N]),
    ("tdh_mem_page_remove", tdh::MEM_PAGE_REMOVE, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_mem_sept_remove", tdh::MEM_SEPT_REMOVE, [Some(GPA | 1), Some(TDR), N, N]),
    ("tdh_vp_flush", tdh::VP_FLUSH, [Some(PAGE), N, N, N]),
    ("tdh_mng_vpflushdone", tdh::MNG_VPFLUSHDONE, [Some(TDR), N, N, N]),
    ("tdh_phymem_cache_wb", tdh::PHYMEM_CACHE_WB, [Some(0), N, N, N]),
    ("tdh_mng_key_freeid", tdh::MNG_KEY_FREEID, [Some(TDR), N, N, N]),
    ("tdh_phymem_page_reclaim", tdh::PHYMEM_PAGE_RECLAIM, [Some(PAGE), N, N, N]),
    ("tdh_phymem_page_rdmd", tdh::PHYMEM_PAGE_RDMD, [Some(PAGE), N, N, N]),
    ("tdh_phymem_page_wbinvd", tdh::PHYMEM_PAGE_WBINVD, [Some(34 << 46 | PAGE), N, N, N]),
    ("tdh_vp_create", tdh::VP_CREATE, [Some(PAGE), Some(TDR), N, N]),
    ("tdh_vp_addcx", tdh::VP_ADDCX, [Some(OTHER), Some(PAGE), N, N]),
    ("tdh_vp_init", tdh::VP_INIT | V1, [Some(PAGE), Some(0x80_9000), Some(3), N]),
    ("tdh_vp_wr", tdh::VP_WR, [Some(PAGE), Some(vp::PEND_NMI.0), Some(1), Some(1)]),
];

/// Every output register that a leaf may have holds 0xA00 and its number.
fn outputs(status: Status) -> impl FnMut(&mut Regs) -> Ending {
    move |regs| {
        if regs.rax != tdh::VP_ENTER {
            for gpr in [Gpr::Rcx, Gpr::Rdx, Gpr::R8, Gpr::R9, Gpr::R10, Gpr::R11] {
                regs[gpr] = 0xA00 + gpr as u64;
            }
        }
        regs.rax = status.0;
        Ending::Done
    }
}

#[test]
fn each_leaf_loads_the_registers_that_the_specification_names() {
    let run = run(&mut module(|regs: &mut Regs| {
        regs.rax = Status::OPERAND_INVALID.0;
        Ending::Done
    }));
    for (name, rax, inputs) in &INPUTS {
        let registers: Vec<_> = [Gpr::Rcx, Gpr::Rdx, Gpr::R8, Gpr::R9]
            .into_iter()
            .zip(inputs)
            .filter_map(|(gpr, value)| Some((gpr, (*value)?)))
            .chain([(Gpr::Rax, *rax)])
            .collect();
        loads(&run, name, &registers);
        kept(run.row(name).unwrap());
    }
    loads(&run, "tdh_vp_init_v0", &[(Gpr::Rax, tdh::VP_INIT), (Gpr::Rdx, 0x80_9000)]);
    loads(&run, "tdh_vp_rd", &[(Gpr::Rax, tdh::VP_RD), (Gpr::Rcx, PAGE)]);
    loads(&run, "tdh_vp_rd_next", &[(Gpr::Rax, tdh::VP_RD | V1), (Gpr::Rcx, PAGE)]);
    loads(&run, "host_call", &[(Gpr::Rax, 1 << 63), (Gpr::Rbx, 0x103)]);
}

#[test]
fn outputs_are_read_from_their_registers() {
    let run = run(&mut module(outputs(Status::SUCCESS)));
    let results = [
        ("tdh_sys_rd", "Ok(a08)"),
        ("tdh_mng_rd", "Ok(a08)"),
        ("tdh_mng_wr", "Ok(a08)"),
        ("tdh_vp_rd", "Ok(a08)"),
        ("tdh_vp_wr", "Ok(a08)"),
        ("tdh_mem_rd", "Ok(a08)"),
        ("tdh_mem_wr", "Ok(a08)"),
        ("tdh_sys_tdmr_init", "Ok(a02)"),
        ("tdh_mng_rd_next", "Ok(FieldRead { value: Some(a08), next: Some(FieldId(a02)) })"),
        ("tdh_sys_info", "Ok(SysInfoSizes { info_bytes: a02, cmrs: a09 })"),
        ("tdh_mem_page_remove", "Ok(Removed { page: a01 })"),
        ("tdh_mem_page_relocate", "Ok(Removed { page: a01 })"),
        ("tdh_mem_sept_rd", "Ok(SeptEntry { entry: a01, level: 2, state: a })"),
    ];
    for (name, expected) in results {
        assert_eq!(run.result(name), Some(expected), "{name}");
    }
    let page = run.result("tdh_phymem_page_reclaim").unwrap();
    assert!(page.contains("page_type: a01, owner: a02, level: a08"), "{page}");
}

#[test]
fn outputs_on_the_error_path_are_handed_on() {
    let run = run(&mut module(outputs(Status::EPT_WALK_FAILED)));
    for name in [
        "tdh_sys_init",
        "tdh_sys_lp_init",
        "tdh_mem_sept_add",
        "tdh_mem_page_add",
        "tdh_mem_page_aug",
        "tdh_mr_extend",
        "tdh_mem_range_block",
        "tdh_mem_range_unblock",
        "tdh_mem_sept_rd",
        "tdh_mem_rd",
        "tdh_mem_page_demote",
        "tdh_mem_page_promote",
        "tdh_mem_page_remove",
        "tdh_phymem_page_reclaim",
    ] {
        let error = run.result(name).unwrap();
        assert!(error.ends_with("rcx: a01, rdx: a02 })"), "{name}: {error}");
        assert!(error.contains("EPT_WALK_FAILED"), "{name}: {error}");
    }
    assert!(run.result("tdh_mng_init").unwrap().contains("rcx: a01"));
}

#[test]
fn successes_that_are_not_zero_are_successes() {
    let run = run(&mut module(outputs(Status::GPA_RANGE_ALREADY_BLOCKED)));
    assert_eq!(run.result("tdh_mem_range_block"), Some("Ok(())"));
}
