//! TDH.SYS.SHUTDOWN, TDH.SYS.UPDATE and what a module that has ended answers.
//! [ABI-H 1.5, 3.3]

use abi::leaf::{tdh, versioned};
use abi::{Operand, Status};

use super::host::{GLOBAL_HKID, Host, Shape};

#[test]
fn shutdown_takes_the_one_version_of_handoff_data() {
    let mut host = Host::power_on();
    assert_eq!(host.status(tdh::SYS_SHUTDOWN, [0; 4]), Status::SYS_NOT_READY);
    let mut host = Host::ready();
    for version in [1, 1 << 16, u64::MAX] {
        let refused = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
        assert_eq!(host.status(tdh::SYS_SHUTDOWN, [version, 0, 0, 0]), refused, "{version:#x}");
    }
    host.must(tdh::SYS_SHUTDOWN, [0; 4]);
}

#[test]
fn a_module_that_has_ended_answers_so_to_every_leaf_but_one() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    host.must(tdh::SYS_SHUTDOWN, [0; 4]);
    for leaf in (0..128).filter(|leaf| *leaf != tdh::SYS_LP_SHUTDOWN) {
        assert_eq!(host.status(leaf, [tdr, tdr, 0, 0]), Status::SYS_SHUTDOWN, "leaf {leaf}");
    }
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::SYS_SHUTDOWN);
    assert_eq!(host.status(tdh::SYS_LP_SHUTDOWN, [0; 4]), Status::SUCCESS);
    // RAX is looked at first.
    let invalid = Status::OPERAND_INVALID;
    assert_eq!(host.status(versioned(tdh::SYS_UPDATE, 1), [0; 4]), invalid);
    assert_eq!(host.status(1 << 24 | tdh::SYS_SHUTDOWN, [0; 4]), invalid);
    host.assert_ownership();
}

#[test]
fn update_wants_an_initialized_module_and_finds_nothing_handed_over() {
    let mut host = Host::power_on();
    let mut update = |steps: &[(u64, [u64; 4])]| {
        for (leaf, operands) in steps {
            host.must(*leaf, *operands);
        }
        host.status(tdh::SYS_UPDATE, [0; 4])
    };
    let wrong = Status::SYS_STATE_INCORRECT;
    assert_eq!(update(&[]), wrong);
    assert_eq!(update(&[(tdh::SYS_INIT, [0; 4])]), wrong, "the processor has not joined");
    assert_eq!(update(&[(tdh::SYS_LP_INIT, [0; 4])]), Status::SYS_INVALID_HANDOFF);
    assert_eq!(Host::ready().status(tdh::SYS_UPDATE, [0, 0, GLOBAL_HKID, 0]), wrong);
}
