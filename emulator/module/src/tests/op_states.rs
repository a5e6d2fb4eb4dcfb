//! The state sequence of every leaf that names a TD. [ABI-H 3.2, 3.4]

use abi::leaf::tdh;
use abi::{Operand, Status};
use std::vec::Vec;

use super::host::{HKID, Host, Shape};
use crate::phys::{load, store};
use crate::td::tdr::Tdr;

/// A leaf, the register that names the TD, and whether it works in op_states UNINITIALIZED,
/// INITIALIZED and RUNNABLE.
const TD_LEAVES: [(u64, Operand, [bool; 3]); 24] = [
    (tdh::MEM_PAGE_ADD, Operand::Rdx, [false, true, false]),
    (tdh::MEM_SEPT_ADD, Operand::Rdx, [false, true, true]),
    (tdh::MEM_PAGE_RELOCATE, Operand::Rdx, [false, true, true]),
    (tdh::MEM_PAGE_AUG, Operand::Rdx, [false, true, true]),
    (tdh::MEM_RANGE_BLOCK, Operand::Rdx, [false, true, true]),
    (tdh::VP_CREATE, Operand::Rdx, [false, true, false]),
    (tdh::MNG_RD, Operand::Rcx, [false, true, true]),
    (tdh::MEM_RD, Operand::Rdx, [false, true, true]),
    (tdh::MNG_WR, Operand::Rcx, [false, true, true]),
    (tdh::MEM_WR, Operand::Rdx, [false, true, true]),
    (tdh::MEM_PAGE_DEMOTE, Operand::Rdx, [false, true, true]),
    (tdh::MR_EXTEND, Operand::Rdx, [false, true, false]),
    (tdh::MR_FINALIZE, Operand::Rcx, [false, true, false]),
    (tdh::MNG_INIT, Operand::Rcx, [true, false, false]),
    (tdh::MEM_PAGE_PROMOTE, Operand::Rdx, [false, true, true]),
    (tdh::MEM_SEPT_RD, Operand::Rdx, [false, true, true]),
    (tdh::MEM_PAGE_REMOVE, Operand::Rdx, [false, true, true]),
    (tdh::MEM_SEPT_REMOVE, Operand::Rdx, [false, true, true]),
    (tdh::MEM_TRACK, Operand::Rcx, [false, true, true]),
    (tdh::MEM_RANGE_UNBLOCK, Operand::Rdx, [false, true, true]),
    // Leaves that name a vCPU, of which UNINITIALIZED has none.
    (tdh::VP_ADDCX, Operand::Rdx, [false, true, false]),
    (tdh::VP_RD, Operand::Rcx, [false, true, true]),
    (tdh::VP_WR, Operand::Rcx, [false, true, true]),
    (tdh::VP_ENTER, Operand::Rcx, [false, false, true]),
];

fn names_vcpu(leaf: u64) -> bool {
    matches!(leaf, tdh::VP_ADDCX | tdh::VP_RD | tdh::VP_WR | tdh::VP_ENTER | tdh::VP_INIT)
}

/// The leaf on this TD, all other operands zero.
fn call(host: &Host, leaf: u64, operand: Operand) -> Status {
    let mut host = host.clone();
    let handle = if names_vcpu(leaf) { host.tdvpr } else { host.tdr };
    let mut regs = abi::Regs { rax: leaf, rcx: handle, rdx: handle, ..abi::Regs::default() };
    match operand {
        Operand::Rcx => regs.rdx = 0,
        _ => regs.rcx = 0,
    }
    match host.seamcall(&mut regs) {
        crate::machine::AfterSeamcall::Return => Status(regs.rax),
        crate::machine::AfterSeamcall::EnterTd(_) => Status::SUCCESS,
    }
}

fn change_tdr(host: &mut Host, change: impl FnOnce(&mut Tdr)) {
    let mut tdr: Tdr = load(&host.m, host.tdr);
    change(&mut tdr);
    store(&mut host.m, host.tdr, &tdr);
}

#[test]
fn each_leaf_works_in_the_op_states_of_the_reference() {
    let (uninitialized, initialized, runnable) =
        (Host::with_tdcs(), Host::built(Shape::default()), Host::runnable(Shape::default()));
    let states = [&uninitialized, &initialized, &runnable];
    for (leaf, operand, allowed) in TD_LEAVES {
        for (state, (host, allowed)) in states.into_iter().zip(allowed).enumerate() {
            if names_vcpu(leaf) && state == 0 {
                continue;
            }
            let refused = call(host, leaf, operand) == Status::OP_STATE_INCORRECT;
            assert_eq!(refused, !allowed, "leaf {leaf} in op_state {state}");
        }
    }
    // VP.INIT needs a vCPU that is not initialised to get far.
    let init = |host: &Host| call(host, tdh::VP_INIT, Operand::Rcx);
    assert_eq!(init(&initialized), Status::VCPU_STATE_INCORRECT);
    assert_eq!(init(&runnable), Status::OP_STATE_INCORRECT);
}

#[test]
fn fatality_keys_and_pages_come_before_the_op_state_and_the_operands() {
    let mut no_key = Host::ready();
    no_key.tdr = no_key.fresh_page();
    let tdr = no_key.tdr;
    no_key.must(tdh::MNG_CREATE, [tdr, HKID, 0, 0]);
    let mut no_pages = no_key.clone();
    no_pages.must(tdh::MNG_KEY_CONFIG, [tdr, 0, 0, 0]);
    for _ in 0..5 {
        let page = no_pages.fresh_page();
        no_pages.must(tdh::MNG_ADDCX, [page, tdr, 0, 0]);
    }
    let mut fatal = no_pages.clone();
    change_tdr(&mut fatal, |tdr| tdr.fatal = 1);
    let mut fatal_without_key = no_key.clone();
    change_tdr(&mut fatal_without_key, |tdr| tdr.fatal = 1);
    let rows = [
        (&no_key, Status::TD_KEYS_NOT_CONFIGURED),
        (&no_pages, Status::TDCS_NOT_ALLOCATED),
        (&fatal, Status::TD_FATAL),
        (&fatal_without_key, Status::TD_FATAL),
    ];
    for (leaf, operand, _) in TD_LEAVES.into_iter().filter(|(leaf, ..)| !names_vcpu(*leaf)) {
        for (row, (host, status)) in rows.into_iter().enumerate() {
            assert_eq!(call(host, leaf, operand), status, "leaf {leaf}, row {row}");
        }
    }
    // ADDCX has the sequence without the pages and the op_state.
    assert_eq!(call(&no_key, tdh::MNG_ADDCX, Operand::Rdx), Status::TD_KEYS_NOT_CONFIGURED);
    assert_eq!(call(&fatal, tdh::MNG_ADDCX, Operand::Rdx), Status::TD_FATAL);

    let mut host = Host::runnable(Shape::default());
    let keyless = |host: &mut Host, lifecycle| {
        change_tdr(host, |tdr| tdr.set_lifecycle(lifecycle));
    };
    keyless(&mut host, crate::td::tdr::Lifecycle::Blocked);
    let mut dead = host.clone();
    change_tdr(&mut dead, |tdr| tdr.fatal = 1);
    for leaf in [tdh::VP_ADDCX, tdh::VP_RD, tdh::VP_WR, tdh::VP_ENTER, tdh::VP_INIT] {
        let operand = if leaf == tdh::VP_ADDCX { Operand::Rdx } else { Operand::Rcx };
        assert_eq!(call(&host, leaf, operand), Status::TD_KEYS_NOT_CONFIGURED, "leaf {leaf}");
        assert_eq!(call(&dead, leaf, operand), Status::TD_FATAL, "leaf {leaf}");
    }
    // VP.FLUSH looks at the keys alone.
    let flush = |host: &Host| {
        let mut host = host.clone();
        let tdvpr = host.tdvpr;
        host.status(tdh::VP_FLUSH, [tdvpr, 0, 0, 0])
    };
    assert_eq!(flush(&dead), Status::TD_KEYS_NOT_CONFIGURED);
}

/// A handle that is no handle, in the five ways of [ABI-H 3.2].
#[test]
fn a_wrong_handle_is_told_by_its_register() {
    let mut host = Host::runnable(Shape::default());
    let page = host.fresh_page();
    let wrong: Vec<(u64, Status)> = [page, host.tdvpr, 0x200_0000]
        .map(|page| (page, Status::PAGE_METADATA_INCORRECT))
        .into_iter()
        .chain([page + 8, page | 32 << 46, page | 1 << 52].map(|p| (p, Status::OPERAND_INVALID)))
        .chain([(super::host::GIB, Status::OPERAND_ADDR_RANGE_ERROR)])
        .collect();
    for (leaf, operand, _) in TD_LEAVES.into_iter().filter(|(leaf, ..)| !names_vcpu(*leaf)) {
        for (handle, status) in &wrong {
            let mut host = host.clone();
            host.tdr = *handle;
            let expected = match leaf {
                // Their handle is a part of the operand, whose other bits are checked first.
                tdh::MEM_SEPT_ADD | tdh::MEM_PAGE_DEMOTE if handle & 0xFFF != 0 => continue,
                _ => status.with_operand(operand),
            };
            assert_eq!(call(&host, leaf, operand), expected, "leaf {leaf}, {handle:#x}");
        }
    }
    let not_a_vcpu = Status::PAGE_METADATA_INCORRECT;
    for (leaf, operand, _) in TD_LEAVES.into_iter().filter(|(leaf, ..)| names_vcpu(*leaf)) {
        let mut host = host.clone();
        host.tdvpr = host.tdr;
        assert_eq!(call(&host, leaf, operand), not_a_vcpu.with_operand(operand), "leaf {leaf}");
    }
}
