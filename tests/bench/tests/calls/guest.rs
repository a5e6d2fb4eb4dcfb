//! The registers of the guest leaves: what each loads, and what it makes of the answer.

use abi::field::{sys, td, vp};
use abi::leaf::tdg;
use abi::{Gpr, Regs, Status};

use crate::expect::{kept, loads, run, td as seam};

/// A version in RAX.
const V1: u64 = 1 << 16;
const MASK2: u64 = 0x8001 << 32;

/// Leaf by leaf, the inputs that the specification names. [ABI-G 2]
const INPUTS: [(&str, &[(Gpr, u64)]); 25] = [
    ("vp_info", &[(Gpr::Rax, tdg::VP_INFO)]),
    ("veinfo_get", &[(Gpr::Rax, tdg::VP_VEINFO_GET)]),
    ("page_accept", &[(Gpr::Rax, tdg::MEM_PAGE_ACCEPT), (Gpr::Rcx, 0x20_0001)]),
    ("vp_cpuidve_set", &[(Gpr::Rax, tdg::VP_CPUIDVE_SET), (Gpr::Rcx, 3)]),
    ("vm_rd", &[(Gpr::Rax, tdg::VM_RD), (Gpr::Rcx, 0), (Gpr::Rdx, td::ATTRIBUTES.0)]),
    ("vm_rd_next", &[(Gpr::Rax, tdg::VM_RD | V1), (Gpr::Rcx, 0), (Gpr::Rdx, td::XFAM.0)]),
    (
        "vm_wr",
        &[
            (Gpr::Rax, tdg::VM_WR),
            (Gpr::Rcx, 0),
            (Gpr::Rdx, td::TD_CTLS.0),
            (Gpr::R8, 1),
            (Gpr::R9, 3),
        ],
    ),
    ("vp_rd", &[(Gpr::Rax, tdg::VP_RD), (Gpr::Rcx, 0), (Gpr::Rdx, vp::VCPU_INDEX.0)]),
    ("vp_rd_next", &[(Gpr::Rax, tdg::VP_RD), (Gpr::Rcx, 0), (Gpr::Rdx, vp::CPUID_USER_VE.0)]),
    (
        "vp_wr",
        &[
            (Gpr::Rax, tdg::VP_WR),
            (Gpr::Rcx, 0),
            (Gpr::Rdx, vp::CPUID_USER_VE.0),
            (Gpr::R8, 2),
            (Gpr::R9, 4),
        ],
    ),
    ("sys_rd", &[(Gpr::Rax, tdg::SYS_RD), (Gpr::Rdx, sys::VENDOR_ID.0)]),
    ("sys_rd_next", &[(Gpr::Rax, tdg::SYS_RD), (Gpr::Rdx, u64::MAX)]),
    ("sys_rdall", &[(Gpr::Rax, tdg::SYS_RDALL), (Gpr::Rdx, 0x6000), (Gpr::R8, u64::MAX)]),
    ("mem_page_attr_rd", &[(Gpr::Rax, tdg::MEM_PAGE_ATTR_RD), (Gpr::Rcx, 0x40_0000)]),
    (
        "mem_page_attr_wr",
        &[
            (Gpr::Rax, tdg::MEM_PAGE_ATTR_WR),
            (Gpr::Rcx, 0x40_0001),
            (Gpr::Rdx, 0x8001 << 16),
            (Gpr::R8, MASK2),
        ],
    ),
    ("mr_rtmr_extend", &[(Gpr::Rax, tdg::MR_RTMR_EXTEND), (Gpr::Rcx, 0x7040), (Gpr::Rdx, 3)]),
    (
        "mr_report",
        &[
            (Gpr::Rax, tdg::MR_REPORT),
            (Gpr::Rcx, 0x8400),
            (Gpr::Rdx, 1 << 47 | 0x9040),
            (Gpr::R8, 0),
        ],
    ),
    ("mr_verifyreport", &[(Gpr::Rax, tdg::MR_VERIFYREPORT), (Gpr::Rcx, 0x8400)]),
    (
        "servtd_rd",
        &[
            (Gpr::Rax, tdg::SERVTD_RD),
            (Gpr::Rcx, 0xB1D),
            (Gpr::Rdx, td::MRTD.0),
            (Gpr::R10, 1),
            (Gpr::R11, 2),
            (Gpr::R12, 3),
            (Gpr::R13, 4),
        ],
    ),
    (
        "servtd_wr",
        &[
            (Gpr::Rax, tdg::SERVTD_WR),
            (Gpr::Rcx, 0xB1D),
            (Gpr::R8, 5),
            (Gpr::R9, 6),
            (Gpr::R10, 1),
            (Gpr::R13, 4),
        ],
    ),
    ("l2_vp_enter", &[(Gpr::Rax, tdg::VP_ENTER), (Gpr::Rcx, 2 << 52 | 2), (Gpr::Rdx, 0x8500)]),
    ("vp_invept", &[(Gpr::Rax, tdg::VP_INVEPT), (Gpr::Rcx, 0b1010)]),
    (
        "vp_invvpid",
        &[(Gpr::Rax, tdg::VP_INVVPID), (Gpr::Rcx, 1 << 52 | 1), (Gpr::Rdx, 2 << 52 | 0x5001)],
    ),
    ("guest_call", &[(Gpr::Rax, 0x0123_4567_89AB_CDEF), (Gpr::Rcx, 0x101), (Gpr::R15, 0x10F)]),
    (
        "setup_event_notify_interrupt",
        &[(Gpr::Rax, 0), (Gpr::Rcx, 0x1C00), (Gpr::R11, 0x1_0004), (Gpr::R12, 0x50)],
    ),
];

/// Output registers with a value each: register *n* holds 0xA00 + *n*.
fn outputs(status: Status) -> impl FnMut(&mut Regs) {
    move |regs| {
        for gpr in [Gpr::Rcx, Gpr::Rdx, Gpr::R8, Gpr::R9, Gpr::R10, Gpr::R11] {
            regs[gpr] = 0xA00 + gpr as u64;
        }
        regs.rax = status.0;
    }
}

#[test]
fn each_leaf_loads_the_registers_that_the_specification_names() {
    let run = run(&mut seam(|regs: &mut Regs| regs.rax = Status::OPERAND_INVALID.0));
    for (name, registers) in INPUTS {
        loads(&run, name, registers);
        kept(run.row(name).unwrap());
    }
}

#[test]
fn outputs_are_read_from_their_registers() {
    let run = run(&mut seam(outputs(Status::SUCCESS)));
    let results = [
        ("vm_rd", "Ok(a08)"),
        ("vm_wr", "Ok(a08)"),
        ("vp_rd", "Ok(a08)"),
        ("vp_wr", "Ok(a08)"),
        ("sys_rd", "Ok(a08)"),
        ("vm_rd_next", "Ok(FieldRead { value: Some(a08), next: Some(FieldId(a02)) })"),
        ("sys_rdall", "Ok(Some(FieldId(a08)))"),
        ("vp_invvpid", "Ok(a02)"),
        ("servtd_wr", "Ok(a08)"),
    ];
    for (name, expected) in results {
        assert_eq!(run.result(name), Some(expected), "{name}");
    }
    let info = run.result("vp_info").unwrap();
    // RCX is cut to its field.
    assert!(info.contains("gpa_width_bits: 1,") && info.contains("vcpu_index: a09"), "{info}");
    let info = run.result("veinfo_get").unwrap();
    assert!(info.contains("raw_reason: a01, qualification: a02"), "{info}");
}

#[test]
fn outputs_on_the_error_path_are_handed_on() {
    let run = run(&mut seam(outputs(Status::PAGE_ATTR_INVALID)));
    let error = run.result("mem_page_attr_wr").unwrap();
    assert!(
        error.contains("PAGE_ATTR_INVALID") && error.ends_with("rcx: a01, rdx: a02 })"),
        "{error}"
    );
    let error = run.result("servtd_rd").unwrap();
    assert!(error.contains("TdUuid([a0a, a0b, 3, 4])"), "{error}");
    let image = run.result("guest_call registers").unwrap();
    assert!(image.contains("rdx: a02") && image.contains("r12: 10c"), "{image}");
}

#[test]
fn statuses_that_are_no_errors_are_told_from_errors() {
    let first = Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT;
    let run1 = run(&mut seam(outputs(first)));
    assert_eq!(
        run1.result("sys_rd_next"),
        Some("Ok(FieldRead { value: None, next: Some(FieldId(a02)) })")
    );
    let run2 = run(&mut seam(outputs(Status::METADATA_LIST_OVERFLOW)));
    assert_eq!(run2.result("sys_rdall"), Some("Ok(Some(FieldId(a08)))"));
    let run3 = run(&mut seam(outputs(Status::PAGE_ALREADY_ACCEPTED)));
    assert_eq!(run3.result("page_accept"), Some("0x00000b0a00000000 (PAGE_ALREADY_ACCEPTED)"));
}

#[test]
fn a_nested_vms_rbp_does_not_stay() {
    let run = run(&mut seam(|regs: &mut Regs| {
        (regs.rax, regs.rbp, regs.rbx) = match regs.rax {
            tdg::VP_ENTER => (48, 0xBAD, 0),
            _ => (Status::OPERAND_INVALID.0, regs.rbp, regs.rbx),
        };
    }));
    kept(run.row("l2_vp_enter").unwrap());
    assert!(run.result("l2_vp_enter").unwrap().starts_with("Ok(L2Entry"));
}
