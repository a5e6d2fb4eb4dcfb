//! The dispatcher and the system leaves. [ABI-H 1.5, 3.5]

use abi::field::sys;
use abi::leaf::{tdh, versioned};
use abi::{Operand, Status};
use zerocopy::IntoBytes;

use super::host::{BUFFER, GIB, GLOBAL_HKID, Host};
use crate::pamt::PageType;

fn with(status: Status, operand: Operand) -> Status {
    status.with_operand(operand)
}

#[test]
fn the_dispatcher_checks_rax_then_the_state_then_the_leaf() {
    let mut host = Host::power_on();
    let invalid = Status::OPERAND_INVALID;
    assert_eq!(host.status(1 << 24 | tdh::SYS_INIT, [0; 4]), invalid);
    assert_eq!(host.status(1 << 62 | tdh::SYS_INIT, [0; 4]), invalid);
    assert_eq!(host.status(versioned(tdh::SYS_INIT, 1), [0; 4]), invalid);
    assert_eq!(host.status(tdh::MNG_CREATE, [0; 4]), Status::SYS_NOT_READY);
    assert_eq!(host.status(tdh::SYS_TDMR_INIT, [0; 4]), Status::SYS_NOT_READY);
    assert_eq!(host.status(999, [0; 4]), Status::SYS_NOT_READY);
    let mut host = Host::ready();
    for unknown in (42..43).chain(46..52).chain(54..128).chain([999, 0xFFFF]) {
        assert_eq!(host.status(unknown, [0; 4]), invalid, "leaf {unknown}");
    }
    assert_eq!(host.status(tdh::SYS_LP_SHUTDOWN, [0; 4]), Status::SUCCESS);
}

#[test]
fn the_system_states_follow_each_other() {
    let mut host = Host::power_on();
    assert_eq!(host.status(tdh::SYS_LP_INIT, [0; 4]), Status::SYS_LP_INIT_NOT_PENDING);
    assert_eq!(host.status(tdh::SYS_RD, [0; 4]), Status::SYS_LP_INIT_NOT_DONE);
    let wrong = host.call(tdh::SYS_INIT, |regs| (regs.rcx, regs.r10, regs.r11) = (1, 7, 7));
    assert_eq!(Status(wrong.rax), with(Status::OPERAND_INVALID, Operand::Rcx));
    assert_eq!((wrong.r10, wrong.r11), (0, 7), "outputs are zeroed, other registers kept");
    host.must(tdh::SYS_INIT, [0; 4]);
    assert_eq!(host.status(tdh::SYS_INIT, [0; 4]), Status::SYS_INIT_NOT_PENDING);
    assert_eq!(host.status(tdh::SYS_CONFIG, [0; 4]), Status::SYS_CONFIG_NOT_PENDING);
    host.must(tdh::SYS_LP_INIT, [0; 4]);
    assert_eq!(host.status(tdh::SYS_LP_INIT, [0; 4]), Status::SYS_LP_INIT_DONE);
    assert_eq!(host.status(tdh::SYS_KEY_CONFIG, [0; 4]), Status::SYS_KEY_CONFIG_NOT_PENDING);
}

#[test]
fn sys_config_refuses_each_operand_in_turn() {
    let mut host = Host::power_on();
    host.must(tdh::SYS_INIT, [0; 4]);
    host.must(tdh::SYS_LP_INIT, [0; 4]);
    let bad = |operand| with(Status::OPERAND_INVALID, operand);
    let good = [BUFFER, 1, GLOBAL_HKID, 0];
    host.m.vmm_write(BUFFER, &(BUFFER + 512).to_le_bytes());
    let cases = [
        ([BUFFER + 8, 1, GLOBAL_HKID, 0], Operand::Rcx),
        ([0x10_0000, 1, GLOBAL_HKID, 0], Operand::Rcx),
        ([BUFFER | GLOBAL_HKID << 46, 1, GLOBAL_HKID, 0], Operand::Rcx),
        ([BUFFER, 0, GLOBAL_HKID, 0], Operand::Rdx),
        ([BUFFER, 65, GLOBAL_HKID, 0], Operand::Rdx),
        ([BUFFER, 1, 31, 0], Operand::R8),
        ([BUFFER, 1, 64, 0], Operand::R8),
        ([BUFFER, 1, 1 << 16 | GLOBAL_HKID, 0], Operand::R8),
    ];
    for (operands, blamed) in cases {
        assert_eq!(host.status(tdh::SYS_CONFIG, operands), bad(blamed), "{operands:x?}");
    }
    // An empty TDMR_INFO; then a retry that works.
    assert_eq!(host.status(tdh::SYS_CONFIG, good), Status::INVALID_TDMR);
    assert!(host.m.hidden.is_empty(), "a failed SYS.CONFIG takes nothing");
    host.m.vmm_write(BUFFER + 512, Host::tdmr().as_bytes());
    host.must(tdh::SYS_CONFIG, good);
    assert_eq!(host.m.hidden.len(), 0x403, "the PAMT is the module's");
}

#[test]
fn tdmr_init_shows_progress_by_whole_gib_only() {
    let mut host = Host::power_on();
    host.must(tdh::SYS_INIT, [0; 4]);
    host.must(tdh::SYS_LP_INIT, [0; 4]);
    host.m.vmm_write(BUFFER, &(BUFFER + 512).to_le_bytes());
    host.m.vmm_write(BUFFER + 512, Host::tdmr().as_bytes());
    host.must(tdh::SYS_CONFIG, [BUFFER, 1, GLOBAL_HKID, 0]);
    host.must(tdh::SYS_KEY_CONFIG, [0; 4]);
    assert_eq!(
        host.status(tdh::SYS_TDMR_INIT, [GIB, 0, 0, 0]),
        with(Status::OPERAND_INVALID, Operand::Rcx)
    );
    for call in 1..=256 {
        let early = host.status(tdh::PHYMEM_PAGE_RDMD, [0x300_0000, 0, 0, 0]);
        assert_eq!(early, with(Status::OPERAND_ADDR_RANGE_ERROR, Operand::Rcx));
        let regs = host.must(tdh::SYS_TDMR_INIT, [0; 4]);
        assert_eq!(regs.rdx, if call == 256 { GIB } else { 0 });
    }
    let after = host.call(tdh::SYS_TDMR_INIT, |regs| regs.rdx = 5);
    assert_eq!((Status(after.rax), after.rdx), (Status::TDMR_ALREADY_INITIALIZED, 0));
    let hole = host.must(tdh::PHYMEM_PAGE_RDMD, [0x200_0000, 0, 0, 0]);
    assert_eq!(hole.rcx, u64::from(PageType::RSVD.0));
    host.assert_ownership();
}

#[test]
fn sys_rd_reads_what_linux_reads() {
    let mut host = Host::ready();
    let mut read = |id: abi::field::FieldId| host.must(tdh::SYS_RD, [0, id.0, 0, 0]).r8;
    assert_eq!(read(sys::MAX_TDMRS), 64);
    assert_eq!(read(sys::TDCS_BASE_SIZE), 6 * 4096);
    assert_eq!(read(sys::TDVPS_BASE_SIZE), 6 * 4096);
    assert_eq!(read(sys::XFAM_FIXED0), 7);
    assert_eq!(read(sys::XFAM_FIXED1), 3);
    assert_eq!(read(sys::NUM_CPUID_CONFIG), 12);
    assert_eq!(read(sys::CPUID_CONFIG_LEAVES), 0xFFFF_FFFF_0000_0001);
    assert_eq!(read(sys::CPUID_CONFIG_LEAVES.element(2)), 0x1_0000_0004);
    assert_eq!(read(sys::CPUID_CONFIG_VALUES), 0x00FF_0000_0FFF_3FFF);
    assert_ne!(read(sys::TDX_FEATURES0) >> 18 & 1, 0, "NO_RBP_MOD");
    let first = host.call(tdh::SYS_RD, |regs| regs.rdx = u64::MAX);
    assert_eq!(Status(first.rax), Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    assert_eq!(first.rdx, 0x0000_0002_0000_0000, "NUM_PKGS");
    let unknown = host.call(tdh::SYS_RD, |regs| (regs.rdx, regs.r8) = (0x77, 7));
    assert_eq!(Status(unknown.rax), Status::METADATA_FIELD_ID_INCORRECT);
    assert_eq!((unknown.rdx, unknown.r8), (u64::MAX, 0));
}

#[test]
fn sys_info_fills_both_buffers() {
    let mut host = Host::ready();
    let short = host.status(tdh::SYS_INFO, [BUFFER, 1023, BUFFER + 1024, 32]);
    assert_eq!(short, with(Status::OPERAND_INVALID, Operand::Rdx));
    let regs = host.must(tdh::SYS_INFO, [BUFFER, 1024, BUFFER + 1024, 32]);
    assert_eq!((regs.rdx, regs.r9), (1024, 32));
    assert_eq!(host.m.vmm_read_u64(BUFFER) >> 32, 0x8086);
    assert_eq!(host.m.vmm_read_u64(BUFFER + 128) & 0xFFFF_FFFF, 12);
    assert_eq!(host.m.vmm_read_u64(BUFFER + 1024), 0x200_0000);
}
