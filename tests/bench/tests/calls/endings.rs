//! The ways in which a SEAMCALL ends, and RBP.

use abi::{Gpr, Regs, Status};
use bench::seam::Ending;
use bench::subject::Profile;

use crate::expect::{kept, module, run, run_as};

/// Rows of all variants: plain, with outputs, with all registers.
const VARIANTS: [&str; 7] = [
    "tdh_mng_key_config",
    "tdh_sys_rd",
    "tdh_mem_page_add",
    "tdh_phymem_page_reclaim",
    "vp_enter",
    "vp_enter_with_xmm",
    "host_call",
];

#[test]
fn vmfailinvalid_ud_and_gp_are_told_apart() {
    let endings = [
        (Ending::Invalid, "8000ff00ffff0000"),
        (Ending::Fault(6), "8000ff0000000006"),
        (Ending::Fault(13), "8000ff000000000d"),
    ];
    for (ending, status) in endings {
        let run = run(&mut module(|_: &mut Regs| ending));
        for name in VARIANTS {
            let row = run.row(name).unwrap();
            assert_eq!(row.calls.len(), 1, "{name}");
            kept(row);
            let result = run.result(name).unwrap();
            assert!(result.contains(status), "{name}: {result}");
        }
    }
}

#[test]
fn a_call_without_a_module_changes_no_register_image() {
    let run = run(&mut module(|_: &mut Regs| Ending::Invalid));
    let image = run.result("host_call registers").unwrap();
    assert!(image.contains("rcx: 101,") && image.contains("r15: 10f"), "{image}");
    assert!(image.contains("rax: 8000ff00ffff0000"), "{image}");
}

#[test]
fn a_td_exit_gives_all_registers_and_leaves_none_behind() {
    for profile in [Profile::Release, Profile::Shipped] {
        // The module of 1.5.01 clears RBP, a later one keeps it; a hostile TD fills it.
        for rbp in [Some(0), None, Some(0xBADF_00D0_0000_0005)] {
            let run = run_as(
                profile,
                &mut module(|regs: &mut Regs| {
                    if regs.rax != 0 {
                        regs.rax = Status::OPERAND_INVALID.0;
                        return Ending::Done;
                    }
                    let own = *regs;
                    for gpr in Gpr::ALL {
                        regs[gpr] = 0xBADF_00D0_0000_0000 | gpr as u64;
                    }
                    (regs.rax, regs.rsp, regs.rbp) = (77, own.rsp, rbp.unwrap_or(own.rbp));
                    Ending::Done
                }),
            );
            let with_xmm = std::format!("rbp: {:x}", rbp.unwrap_or(0x105));
            for (name, rbp) in [("vp_enter", "rbp: 105"), ("vp_enter_with_xmm", &with_xmm)] {
                let row = run.row(name).unwrap();
                kept(row);
                for gpr in Gpr::ALL {
                    assert_ne!(row.exit[gpr] >> 32, 0xBADF_00D0, "{gpr:?}");
                }
                let image = run.result(&std::format!("{name} registers")).unwrap();
                for part in ["rax: 4d", "rbx: badf00d000000003", "rdi: badf00d000000007", rbp] {
                    assert!(image.contains(part), "{image}");
                }
            }
        }
    }
}

#[test]
fn vp_enter_passes_every_register_and_the_vcpu_in_rcx() {
    let run = run(&mut module(|regs: &mut Regs| {
        regs.rax = Status::OP_STATE_INCORRECT.0;
        Ending::Done
    }));
    for name in ["vp_enter", "vp_enter_with_xmm"] {
        let passed = run.row(name).unwrap().calls[0].regs;
        assert_eq!((passed.rax, passed.rcx), (0, 0x9A_6000));
        for gpr in Gpr::ALL {
            let passes_rbp = name == "vp_enter_with_xmm";
            if !matches!(gpr, Gpr::Rax | Gpr::Rcx | Gpr::Rsp) && (gpr != Gpr::Rbp || passes_rbp) {
                assert_eq!(passed[gpr], 0x100 + gpr as u64, "{name}: {gpr:?}");
            }
        }
        assert!(run.result(name).unwrap().contains("c000060800000000"));
    }
}

#[test]
fn xmm_registers_go_in_and_come_out() {
    let run = run(&mut module(|regs: &mut Regs| {
        regs.rax = 77;
        Ending::Done
    }));
    let image = run.result("vp_enter_with_xmm registers").unwrap();
    let xmm: Vec<String> =
        (0x500..0x510).map(|n| std::format!("{n:x}0000000000000{n:x}")).collect();
    assert!(image.contains(&xmm.join(", ")), "{image}");
}
