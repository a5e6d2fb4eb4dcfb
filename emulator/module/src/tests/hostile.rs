//! A hostile VMM and a hostile TD: any registers, any memory of the VMM's. The
//! module never panics and never gives the VMM a page that somebody owns.

use abi::Regs;
use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::fake::PAGE;
use super::host::{BUFFER, GLOBAL_HKID, Host, KERNEL, POOL};
use super::model::template;
use crate::machine::{AfterSeamcall, HostRegs, Outcome};
use crate::tdvps::Tdvps;
use crate::{Access, EptFault, Translation};

/// Numbers that mean something to some leaf, and any number.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..48_u64).prop_map(|page| POOL + page * PAGE),
        2 => (0..8_u64, 0..5_u64).prop_map(|(page, level)| (page * PAGE) | level),
        1 => (0..4_u64, 0..3_u64).prop_map(|(page, level)| (page * PAGE) << 9 | level),
        2 => Just(BUFFER),
        1 => 0..70_u64,
        1 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => (0..48_u64, 0..64_u64).prop_map(|(page, key)| (POOL + page * PAGE) | key << 46),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

/// A leaf number, now and then with a version or with noise.
fn leaf() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..64_u64,
        1 => (0..64_u64, 0..3_u64).prop_map(|(leaf, version)| leaf | version << 16),
        1 => any::<u64>(),
    ]
}

fn registers() -> impl Strategy<Value = Regs> {
    (leaf(), [word(), word(), word(), word(), word(), word()]).prop_map(|(rax, words)| {
        let [rcx, rdx, r8, r9, r10, r11] = words;
        Regs { rax, rcx, rdx, r8, r9, r10, r11, ..Regs::default() }
    })
}

fn buffer() -> impl Strategy<Value = [u64; 128]> {
    proptest::collection::vec(word(), 128)
        .prop_map(|words| words.try_into().expect("as many as asked for"))
}

/// What the CPU would do next with a TD that was entered: leave it again.
fn leave(host: &mut Host, v: crate::machine::VcpuId, exit: crate::machine::TdExit) {
    let mut regs = Regs::default();
    let target = HostRegs { gpr: &mut regs, xmm: &mut host.xmm };
    host.module.td_exit(&mut host.m, v, exit, target);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_seamcall_hurts(
        calls in proptest::collection::vec(registers(), 1..80),
        noise in buffer(),
    ) {
        let mut host = template();
        host.m.vmm_write(BUFFER, noise.as_bytes());
        for mut regs in calls {
            if let AfterSeamcall::EnterTd(v) = host.seamcall(&mut regs) {
                leave(&mut host, v, crate::triple_fault());
            }
        }
        host.assert_ownership();
    }

    #[test]
    fn no_configuration_hurts(
        first in buffer(),
        calls in proptest::collection::vec(registers(), 1..40),
    ) {
        use abi::leaf::tdh;
        let mut host = Host::power_on();
        host.must(tdh::SYS_INIT, [0; 4]);
        host.must(tdh::SYS_LP_INIT, [0; 4]);
        host.m.vmm_write(BUFFER, &(BUFFER + 512).to_le_bytes());
        host.m.vmm_write(BUFFER + 512, first.as_bytes());
        host.status(tdh::SYS_CONFIG, [BUFFER, 1, GLOBAL_HKID, 0]);
        for mut regs in calls {
            host.seamcall(&mut regs);
        }
    }

    #[test]
    fn no_tdcall_hurts(
        calls in proptest::collection::vec(registers(), 1..60),
        gpas in proptest::collection::vec(word(), 1..20),
        tables in buffer(),
    ) {
        let mut host = template();
        host.m.vmm_write(BUFFER, tables.as_bytes());
        let v = host.vcpu();
        let mut tdvps = Tdvps::load(&host.m, v.tdvpr);
        tdvps.shared_eptp = BUFFER;
        tdvps.store(&mut host.m, v.tdvpr);
        for regs in calls {
            host.enter(regs);
            Tdvps::store_gprs(&mut host.m, v.tdvpr, &regs);
            let outcome = host.module.tdcall(&mut host.m, v, &KERNEL);
            let exit = match outcome {
                Outcome::Exit(exit) => exit,
                _ => crate::machine::TdExit::Vmcall,
            };
            leave(&mut host, v, exit);
        }
        for gpa in gpas.into_iter().flat_map(|gpa| [gpa, gpa | 1 << 47]) {
            let access = Access { read: true, ..Access::default() };
            match host.module.translate(&host.m, v, gpa, access) {
                Translation::Mapped { hpa, .. } => {
                    let is_private = gpa >> 47 & 1 == 0;
                    prop_assert_eq!(host.m.hidden.contains(&(hpa & !(PAGE - 1))), is_private);
                }
                Translation::Violation(violation) => {
                    let fault = EptFault { gpa, access, ..EptFault::default() };
                    host.module.ept_violation(&mut host.m, v, fault, violation);
                }
            }
        }
        host.assert_ownership();
    }
}
