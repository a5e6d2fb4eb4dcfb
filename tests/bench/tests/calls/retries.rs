//! Busy answers, from both sides.

use abi::leaf::{tdg, tdh};
use abi::{Regs, Status};
use bench::seam::Ending;
use bench::trace::Run;

use crate::expect::{module, run, td};

const BUSY: [Status; 3] =
    [Status::OPERAND_BUSY, Status::OPERAND_BUSY_HOST_PRIORITY, Status::RND_NO_ENTROPY];

fn calls(run: &Run, name: &str) -> usize {
    run.row(name).expect("a row of the subject").calls.len()
}

#[test]
fn a_guest_leaf_is_repeated_while_it_is_busy() {
    for busy in BUSY {
        let mut left = 3;
        let run = run(&mut td(|regs: &mut Regs| {
            let again = regs.rax == tdg::MEM_PAGE_ACCEPT && left > 0;
            left -= i32::from(again);
            regs.rax = if again { busy.with_detail(1).0 } else { 0 };
        }));
        assert_eq!(calls(&run, "page_accept"), 4);
        assert_eq!(run.result("page_accept"), Some("0x0000000000000000 (SUCCESS)"));
    }
}

#[test]
fn a_guest_leaf_that_stays_busy_says_so() {
    let run = run(&mut td(|regs: &mut Regs| regs.rax = Status::OPERAND_BUSY.with_detail(1).0));
    for name in ["page_accept", "vm_wr", "vp_wr", "mr_rtmr_extend", "mr_report", "servtd_wr"] {
        assert_eq!(calls(&run, name), 32, "{name}");
        assert!(run.result(name).unwrap().contains("OPERAND_BUSY|0x1"), "{name}");
    }
    // These have no lock to wait for, and a VMCALL is never busy.
    for name in ["vp_info", "vm_rd", "veinfo_get", "hlt"] {
        assert_eq!(calls(&run, name), 1, "{name}");
    }
}

#[test]
fn a_host_leaf_is_repeated_while_it_is_busy() {
    for busy in BUSY.into_iter().chain([Status::SYS_BUSY]) {
        let mut left = 5;
        let run = run(&mut module(|regs: &mut Regs| {
            let again = regs.rax == tdh::SYS_INIT && left > 0;
            left -= i32::from(again);
            regs.rax = if again { busy.0 } else { 0 };
            Ending::Done
        }));
        assert_eq!(calls(&run, "tdh_sys_init"), 6);
        assert_eq!(run.result("tdh_sys_init"), Some("Ok(())"));
    }
}

#[test]
fn keys_are_tried_again() {
    let mut left = [2; 64];
    let run = run(&mut module(|regs: &mut Regs| {
        let left = &mut left[regs.rax as usize % 64];
        *left -= 1;
        regs.rax = if *left >= 0 { Status::KEY_GENERATION_FAILED.0 } else { 0 };
        Ending::Done
    }));
    for name in ["tdh_mng_key_config", "tdh_sys_key_config"] {
        assert_eq!(calls(&run, name), 3, "{name}");
    }
    assert_eq!(calls(&run, "tdh_mng_create"), 1);
}

#[test]
fn a_host_leaf_that_stays_busy_says_so_and_vp_enter_is_never_repeated() {
    let run = run(&mut module(|regs: &mut Regs| {
        regs.rax = Status::OPERAND_BUSY.with_detail(172).0;
        Ending::Done
    }));
    for name in ["tdh_mng_create", "tdh_mem_page_add", "tdh_vp_wr", "tdh_phymem_page_reclaim"] {
        assert_eq!(calls(&run, name), 32, "{name}");
        assert!(run.result(name).unwrap().contains("OPERAND_BUSY|0xac"), "{name}");
    }
    assert_eq!(calls(&run, "vp_enter"), 1);
    assert_eq!(calls(&run, "host_call"), 1);
}

#[test]
fn interrupted_leaves_go_on_with_a_bound() {
    let mut interrupts = 4;
    let run = run(&mut module(|regs: &mut Regs| {
        let status = match regs.rax {
            tdh::PHYMEM_CACHE_WB => Status::INTERRUPTED_RESUMABLE,
            tdh::MEM_PAGE_PROMOTE => Status::INTERRUPTED_RESTARTABLE,
            _ => Status::SUCCESS,
        };
        interrupts -= i32::from(status != Status::SUCCESS && interrupts > 0);
        regs.rax = if interrupts > 0 { status.0 } else { 0 };
        Ending::Done
    }));
    // PROMOTE comes first in the subject and takes all interrupts.
    assert_eq!(calls(&run, "tdh_mem_page_promote"), 4);
    assert_eq!(calls(&run, "tdh_phymem_cache_wb"), 1);
}

#[test]
fn cache_wb_starts_and_then_resumes() {
    let mut interrupts = 3;
    let run = run(&mut module(|regs: &mut Regs| {
        let interrupted = regs.rax == tdh::PHYMEM_CACHE_WB && interrupts > 0;
        interrupts -= i32::from(interrupted);
        regs.rax = if interrupted { Status::INTERRUPTED_RESUMABLE.0 } else { 0 };
        Ending::Done
    }));
    let row = run.row("tdh_phymem_cache_wb").unwrap();
    let resume: Vec<_> = row.calls.iter().map(|call| call.regs.rcx).collect();
    assert_eq!(resume, [0, 1, 1, 1]);
}
