//! From MNG.CREATE to reclaimed pages, and the assertions of [ABI-H 10].

use abi::field::{td as td_field, vp};
use abi::leaf::{tdh, versioned};
use abi::{Operand, Regs, Status};
use zerocopy::IntoBytes;

use super::fake::PAGE;
use super::host::{BUFFER, HKID, Host, POOL, SIGNATURE, Shape, ok};
use crate::machine::{AfterSeamcall, TdExit};
use crate::pamt::PageType;
use crate::triple_fault;

fn with(status: Status, operand: Operand) -> Status {
    status.with_operand(operand)
}

/// The example of [ABI-H 10], from nothing to a first entry and back to nothing.
#[test]
fn a_td_is_built_entered_and_torn_down_to_the_last_page() {
    let mut host = Host::runnable(Shape::default());
    host.assert_ownership();
    assert_eq!(host.m.resets, 1);
    let gprs = host.gprs();
    assert_eq!((gprs.rbx, gprs.rcx, gprs.r8, gprs.rsi), (48, 0x1234_5678, 0x1234_5678, 0));
    assert_eq!(gprs.rdx, u64::from(SIGNATURE));
    host.enter(Regs::default());
    let exit = host.exit(triple_fault(), Regs::default());
    assert_eq!(exit.rax, 0x4000_0001_0000_0002);
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::VCPU_STATE_INCORRECT);

    assert_eq!(host.status(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]), Status::FLUSHVP_NOT_DONE);
    assert_eq!(host.status(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]), Status::LIFECYCLE_STATE_INCORRECT);
    let idle = Status::NO_HKID_READY_TO_WBCACHE;
    assert_eq!(host.status(tdh::PHYMEM_CACHE_WB, [0; 4]), idle);
    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]);
    assert_eq!(host.status(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]), Status::VCPU_NOT_ASSOCIATED);
    host.must(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]);
    assert_eq!(host.status(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]), Status::WBCACHE_NOT_COMPLETE);
    let resume = host.status(tdh::PHYMEM_CACHE_WB, [1, 0, 0, 0]);
    assert_eq!(resume, Status::WBCACHE_RESUME_ERROR);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]);
    host.must(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]);
    let full = host.call(tdh::PHYMEM_PAGE_RECLAIM, |regs| regs.rcx = tdr);
    assert_eq!(Status(full.rax), Status::TD_ASSOCIATED_PAGES_EXIST);
    assert_eq!(full.rcx, u64::from(PageType::TDR.0));

    let mut reclaimed = 0;
    let pages = (host.fresh_page() - POOL) / PAGE;
    for page in (0..pages).rev().map(|number| POOL + number * PAGE) {
        ok(&host.call(tdh::PHYMEM_PAGE_RECLAIM, |regs| regs.rcx = page));
        let write_back = page | HKID << 46;
        host.must(tdh::PHYMEM_PAGE_WBINVD, [write_back, 0, 0, 0]);
        reclaimed += 1;
        // The TDR is the first page of the pool: the last one here.
        assert_eq!(
            host.status(tdh::PHYMEM_PAGE_RECLAIM, [page, 0, 0, 0]),
            with(Status::PAGE_METADATA_INCORRECT, Operand::Rcx)
        );
    }
    assert_eq!(reclaimed, 17, "[ABI-H 10]: 17 donated pages");
    host.assert_ownership();
    host.must(tdh::MNG_CREATE, [tdr, HKID, 0, 0]);
}

/// The list at the end of [ABI-H 10].
#[test]
fn the_assertions_of_the_checklist_hold() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    let page = host.fresh_page();
    let op_state = Status::OP_STATE_INCORRECT;
    assert_eq!(host.status(tdh::MEM_PAGE_ADD, [0x1000, tdr, page, BUFFER]), op_state);
    assert_eq!(host.status(tdh::MNG_INIT, [tdr, BUFFER, 0, 0]), op_state);
    assert_eq!(
        host.status(tdh::VP_ENTER, [tdr, 0, 0, 0]),
        with(Status::PAGE_METADATA_INCORRECT, Operand::Rcx)
    );
    let remove = |host: &mut Host| host.status(tdh::MEM_PAGE_REMOVE, [0, tdr, 0, 0]);
    assert_eq!(remove(&mut host), with(Status::GPA_RANGE_NOT_BLOCKED, Operand::Rcx));
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    assert_eq!(host.status(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]).0, 0x0000_0B07_0000_0001);
    assert_eq!(remove(&mut host), with(Status::TLB_TRACKING_NOT_DONE, Operand::Rcx));
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    let live = host.call(tdh::PHYMEM_PAGE_RECLAIM, |regs| regs.rcx = tdvpr);
    assert_eq!(Status(live.rax), Status::LIFECYCLE_STATE_INCORRECT);
    assert_eq!((live.rcx, live.rdx, live.r8), (u64::from(PageType::TDVPR.0), tdr, 0));
    ok(&host.call(tdh::MEM_PAGE_REMOVE, |regs| regs.rdx = tdr));
    assert_eq!(host.status(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]), Status::FLUSHVP_NOT_DONE);
    assert_eq!(host.status(tdh::MNG_CREATE, [page, HKID, 0, 0]), Status::HKID_NOT_FREE);

    let mut early = Host::built(Shape::default());
    let (tdr, tdvpr) = (early.tdr, early.tdvpr);
    assert_eq!(early.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), op_state);
    let page = early.fresh_page();
    early.must(tdh::MEM_PAGE_ADD, [0, tdr, page, BUFFER]);
    assert_eq!(
        early.status(tdh::MEM_PAGE_ADD, [0x1000, tdr, page, BUFFER]),
        with(Status::PAGE_METADATA_INCORRECT, Operand::R8)
    );
    early.assert_ownership();
}

#[test]
fn a_half_built_td_can_be_torn_down() {
    let mut host = Host::ready();
    let tdr = host.fresh_page();
    host.must(tdh::MNG_CREATE, [tdr, HKID, 0, 0]);
    let page = host.fresh_page();
    assert_eq!(host.status(tdh::MNG_ADDCX, [page, tdr, 0, 0]), Status::TD_KEYS_NOT_CONFIGURED);
    host.must(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]);
    host.must(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]);
    host.must(tdh::PHYMEM_PAGE_RECLAIM, [tdr, 0, 0, 0]);
    host.assert_ownership();
}

#[test]
fn key_config_with_one_package_moves_on_at_once() {
    let mut host = Host::with_tdcs();
    let tdr = host.tdr;
    let again = host.status(tdh::MNG_KEY_CONFIG, [tdr, 0, 0, 0]);
    assert_eq!(again, Status::LIFECYCLE_STATE_INCORRECT);
    for _ in 6..9 {
        let page = host.fresh_page();
        host.must(tdh::MNG_ADDCX, [page, tdr, 0, 0]);
    }
    let page = host.fresh_page();
    assert_eq!(host.status(tdh::MNG_ADDCX, [page, tdr, 0, 0]), Status::TDCX_NUM_INCORRECT);
}

/// [ABI-H 4.1], in the order of the checks.
#[test]
fn td_params_are_refused_by_field() {
    type Change = fn(&mut abi::td_params::TdParams);
    let rows: [(Change, Operand, u64); 22] = [
        (|p| p.attributes = 1 << 29, Operand::Attributes, 0),
        (|p| p.attributes = 1 << 63, Operand::Attributes, 0),
        (|p| p.xfam = 1, Operand::Xfam, 0),
        (|p| p.xfam = 0xE7, Operand::Xfam, 0),
        (|p| p.max_vcpus = 0, Operand::MaxVcpus, 0),
        (|p| p.num_l2_vms = 1, Operand::NumL2Vms, 0),
        (|p| p._rsvd_014[3] = 1, Operand::Rdx, 0),
        (|p| p.config_flags = 8, Operand::ConfigFlags, 0),
        (|p| p.config_flags = 1, Operand::EptpControls, 0),
        (|p| p.eptp_controls = 0x1F, Operand::EptpControls, 0),
        (|p| p.tsc_frequency_25mhz = 3, Operand::TscFrequency, 0),
        (|p| p.tsc_frequency_25mhz = 401, Operand::TscFrequency, 0),
        (|p| p._rsvd_02a[0] = 1, Operand::Rdx, 0),
        (|p| p.msr_config_ctls = 2, Operand::Rdx, 0),
        (|p| p._rsvd_0e8[23] = 1, Operand::Rdx, 0),
        (|p| p.cpuid_config[0][0] = 0x1234, Operand::CpuidConfig, 0xFFFF_FFFF_0000_0001),
        (|p| p.cpuid_config[2][3] = 4, Operand::CpuidConfig, 0x1_0000_0004),
        (|p| p.cpuid_config[10][0] = 1, Operand::CpuidConfig, 0x2_0000_0007),
        (|p| p._rsvd_1c0[575] = 1, Operand::Rdx, 0),
        (
            |p| (p.msr_config_ctls, p.ia32_arch_capabilities_config) = (1, 1),
            Operand::ArchCapabilitiesConfig,
            0,
        ),
        // Two faults: the earlier check wins.
        (|p| (p.xfam, p.max_vcpus) = (0, 0), Operand::Xfam, 0),
        (|p| (p.cpuid_config[0][1], p._rsvd_0e8[0]) = (1, 1), Operand::Rdx, 0),
    ];
    let mut host = Host::with_tdcs();
    let tdr = host.tdr;
    for (row, (change, operand, rcx)) in rows.into_iter().enumerate() {
        let mut params = Host::params(Shape::default());
        change(&mut params);
        host.m.vmm_write(BUFFER, params.as_bytes());
        let regs = host.call(tdh::MNG_INIT, |regs| (regs.rcx, regs.rdx) = (tdr, BUFFER));
        assert_eq!(Status(regs.rax), with(Status::OPERAND_INVALID, operand), "row {row}");
        assert_eq!(regs.rcx, rcx, "row {row}");
    }
    let mut params = Host::params(Shape::default());
    params.cpuid_config[0][0] = SIGNATURE;
    params.xfam = 7;
    host.m.vmm_write(BUFFER, params.as_bytes());
    let unaligned = host.status(tdh::MNG_INIT, [tdr, BUFFER + 8, 0, 0]);
    assert_eq!(unaligned, with(Status::OPERAND_INVALID, Operand::Rdx));
    host.must(tdh::MNG_INIT, [tdr, BUFFER, 0, 0]);
}

#[test]
fn vp_init_needs_all_pages_and_a_free_index() {
    let mut host = Host::initialized(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.fresh_page());
    host.must(tdh::VP_CREATE, [tdvpr, tdr, 0, 0]);
    assert_eq!(host.status(tdh::VP_INIT, [tdvpr, 0, 0, 0]), Status::TDCX_NUM_INCORRECT);
    for _ in 0..5 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, tdvpr, 0, 0]);
    }
    host.must(versioned(tdh::VP_INIT, 1), [tdvpr, 0, 77, 0]);
    assert_eq!(host.status(tdh::VP_INIT, [tdvpr, 0, 0, 0]), Status::VCPU_STATE_INCORRECT);
    let page = host.fresh_page();
    assert_eq!(host.status(tdh::VP_ADDCX, [page, tdvpr, 0, 0]), Status::VCPU_STATE_INCORRECT);
    let tdvpr2 = host.fresh_page();
    host.must(tdh::VP_CREATE, [tdvpr2, tdr, 0, 0]);
    for _ in 0..5 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, tdvpr2, 0, 0]);
    }
    assert_eq!(host.status(tdh::VP_INIT, [tdvpr2, 0, 0, 0]), Status::MAX_VCPUS_EXCEEDED);
    assert_eq!(host.status(versioned(tdh::VP_INIT, 2), [tdvpr2, 0, 0, 0]), Status::OPERAND_INVALID);
}

#[test]
fn finalize_needs_a_vcpu() {
    let mut host = Host::initialized(Shape::default());
    let tdr = host.tdr;
    assert_eq!(host.status(tdh::MR_FINALIZE, [tdr, 0, 0, 0]), Status::NO_VCPUS);
}

#[test]
fn mng_rd_reads_identity_and_measurement() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    let mut read = |id: abi::field::FieldId| host.must(tdh::MNG_RD, [tdr, id.0, 0, 0]).r8;
    // The second vector of [ABI-H 6]: PAGE.ADD 0.
    assert_eq!(
        read(td_field::MRTD).to_le_bytes(),
        [0x8f, 0x3e, 0x9a, 0x8a, 0xca, 0x67, 0x84, 0xea]
    );
    assert_eq!(read(td_field::HKID), HKID);
    assert_eq!(read(td_field::NUM_TDCX), 6);
    assert_eq!(read(td_field::CHLDCNT), 16);
    assert_eq!(read(td_field::OP_STATE), 2);
    assert_eq!(read(td_field::TSC_OFFSET), 1_000_000_u64.wrapping_neg());
    assert_eq!(read(td_field::NUM_ASSOC_VCPUS), 1);
    // Without size and context, as KVM asks.
    assert_eq!(read(abi::field::FieldId(0x1100_0000_0000_000B)), 1 << 48);
    let rtmr = host.call(tdh::MNG_RD, |r| (r.rcx, r.rdx, r.r8) = (tdr, td_field::RTMR.0, 5));
    assert_eq!((Status(rtmr.rax), rtmr.r8), (Status::METADATA_FIELD_NOT_READABLE, 0));
    let first = host.call(versioned(tdh::MNG_RD, 1), |r| (r.rcx, r.rdx) = (tdr, u64::MAX));
    assert_eq!(Status(first.rax), Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    assert_eq!(first.rdx, td_field::FATAL.0);
    let write = [tdr, td_field::HP_LOCK_TIMEOUT.0, 20_000, u64::MAX];
    assert_eq!(host.must(tdh::MNG_WR, write).r8, 1_000_000);
    let small = [tdr, td_field::HP_LOCK_TIMEOUT.0, 1, u64::MAX];
    assert_eq!(host.status(tdh::MNG_WR, small), Status::METADATA_FIELD_VALUE_NOT_VALID);
}

#[test]
fn vp_wr_takes_what_kvm_writes_and_refuses_the_rest() {
    let mut host = Host::runnable(Shape::default());
    let tdvpr = host.tdvpr;
    let mut write =
        |id: u64, value: u64, mask: u64| host.status(tdh::VP_WR, [tdvpr, id, value, mask]);
    let invalid = Status::METADATA_FIELD_VALUE_NOT_VALID;
    let pin = vp::PIN_BASED_CONTROLS.0;
    let missing = Status::TD_VMCS_FIELD_NOT_INITIALIZED;
    assert_eq!(write(pin, 0x80, 0x80), missing.with_detail(2));
    assert_eq!(write(vp::POSTED_INTR_NV.0, 256, 0xFFFF), invalid);
    assert_eq!(write(vp::POSTED_INTR_NV.0, 0xF2, 0xFFFF), Status::SUCCESS);
    assert_eq!(write(pin, 0x80, 0x80), missing.with_detail(0x2016));
    assert_eq!(write(vp::POSTED_INTR_DESC.0, 0x9020, u64::MAX), invalid);
    assert_eq!(write(vp::POSTED_INTR_DESC.0, 0x9040, u64::MAX), Status::SUCCESS);
    assert_eq!(write(pin, 0x80, 0x80), Status::SUCCESS);
    // KVM's id: class and field only.
    assert_eq!(write(0x203C, 0xA000, u64::MAX), Status::SUCCESS);
    assert_eq!(write(0x203C, 0xA01E, u64::MAX), invalid);
    assert_eq!(write(0x203C, 0x10_0000, u64::MAX), invalid);
    assert_eq!(write(0x203C, tdvpr, u64::MAX), invalid);
    assert_eq!(write(vp::VCPU_INDEX.0, 1, 1), Status::METADATA_FIELD_NOT_WRITABLE);
    assert_eq!(write(vp::PEND_NMI.0, 1, 0xFF), Status::SUCCESS);
    let read = host.must(tdh::VP_RD, [tdvpr, vp::PEND_NMI.0, 0, 0]);
    assert_eq!(read.r8, 1);
    let flushes = host.m.flushes;
    host.must(tdh::VP_WR, [tdvpr, vp::SHARED_EPTP.0, 0xB000, u64::MAX]);
    assert!(host.m.flushes > flushes, "translations by the old root are dropped");
    host.must(tdh::VP_WR, [tdvpr, vp::SHARED_EPTP.0, 0xA000, u64::MAX]);
    let eptp = host.must(tdh::VP_RD, [tdvpr, vp::SHARED_EPTP.0, 0, 0]);
    assert_eq!(eptp.r8, 0xA000);
}

#[test]
fn a_descriptor_in_a_page_that_was_given_away_is_not_used() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr, page, v) = (host.tdr, host.tdvpr, host.fresh_page(), host.vcpu());
    host.must(tdh::VP_WR, [tdvpr, vp::POSTED_INTR_NV.0, 0xF2, 0xFFFF]);
    host.must(tdh::VP_WR, [tdvpr, vp::POSTED_INTR_DESC.0, page | 5 << 46, u64::MAX]);
    assert_eq!(host.module.posted_descriptor(&host.m, v), None, "not turned on");
    host.must(tdh::VP_WR, [tdvpr, vp::PIN_BASED_CONTROLS.0, 0x80, 0x80]);
    assert_eq!(host.module.posted_descriptor(&host.m, v), Some(page));
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    assert_eq!(host.module.posted_descriptor(&host.m, v), None);
}

#[test]
fn state_details_say_whether_an_interrupt_beats_the_priority() {
    use crate::machine::{Machine, TDVPS_VAPIC};
    let mut host = Host::runnable(Shape::default());
    let tdvpr = host.tdvpr;
    let vapic = crate::tdvps::Tdvps::load(&host.m, tdvpr).pages[TDVPS_VAPIC];
    let details =
        |host: &mut Host| host.must(tdh::VP_RD, [tdvpr, vp::VCPU_STATE_DETAILS.0, 0, 0]).r8;
    assert_eq!(details(&mut host), 0);
    // Vector 0x41 requested.
    host.m.write(vapic + 0x220, &2_u32.to_le_bytes());
    assert_eq!(details(&mut host), 1);
    host.m.write(vapic + 0x80, &0x4F_u32.to_le_bytes());
    assert_eq!(details(&mut host), 0, "TPR of the same class");
    host.m.write(vapic + 0x80, &0_u32.to_le_bytes());
    // Vector 0x51 in service.
    host.m.write(vapic + 0x120, &(1_u32 << 17).to_le_bytes());
    assert_eq!(details(&mut host), 0);
}

#[test]
fn a_td_without_control_pages_has_no_counts() {
    use crate::machine::Machine;
    let mut host = Host::ready();
    let tdr = host.fresh_page();
    host.must(tdh::MNG_CREATE, [tdr, HKID, 0, 0]);
    host.m.write(0, &[0x53; 4096]);
    assert_eq!(host.module.counts(&host.m, tdr), abi::Counts::default());
}

#[test]
fn a_fatal_td_runs_no_more_but_can_be_torn_down() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    host.enter(Regs::default());
    let fatal = TdExit::Async {
        class: 0x6000_0002,
        reason: 0x7F,
        qualification: 0,
        extended: 0,
        gpa: 0,
        interruption: 0,
    };
    assert_eq!(host.exit(fatal, Regs::default()).rax, 0x6000_0002_0000_007F);
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::TD_FATAL);
    assert_eq!(host.status(tdh::MEM_TRACK, [tdr, 0, 0, 0]), Status::TD_FATAL);
    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]);
    host.must(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]);
    host.must(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]);
    host.must(tdh::PHYMEM_PAGE_RECLAIM, [tdvpr, 0, 0, 0]);
}

#[test]
fn a_refused_entry_changes_rax_alone() {
    let mut host = Host::runnable(Shape::default());
    let tdvpr = host.tdvpr;
    for (rcx, status) in [
        (tdvpr | 1, with(Status::OPERAND_INVALID, Operand::Rcx)),
        (tdvpr | 1 << 54, with(Status::OPERAND_INVALID, Operand::Rcx)),
        (tdvpr | 1 << 52, with(Status::OPERAND_INVALID, Operand::Rcx)),
        (tdvpr | 1 << 53, with(Status::OPERAND_INVALID, Operand::Rcx)),
        (1 << 45, with(Status::OPERAND_ADDR_RANGE_ERROR, Operand::Rcx)),
    ] {
        let mut regs = Regs { rcx, rdx: 2, rbx: 3, rbp: 5, r8: 8, r15: 15, ..Regs::default() };
        let before = regs;
        assert_eq!(host.seamcall(&mut regs), AfterSeamcall::Return);
        assert_eq!(regs, Regs { rax: status.0, ..before });
    }
    host.enter(Regs::default());
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::VCPU_STATE_INCORRECT);
}
