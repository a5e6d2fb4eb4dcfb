//! Every typed function of `tdcall::guest`, called once against the module.
//!
//! What it gives is compared with something that does not come from it: the raw rows, the
//! processor, another leaf. The functions for nested VMs and service TDs are refused as the
//! specification says, because this TD has neither.
#![expect(unsafe_code, reason = "leaves that write memory")]

use abi::attributes::CpuidVe;
use abi::field::{FieldId, sys, td, vp};
use abi::l2::{L2Invalidation, L2Vm, LinearAddresses};
use abi::leaf::tdg;
use abi::page_attributes::{PageMapping, VmAttributes};
use abi::{Operand, PageLevel, PrivateGpa, Status};
use kernel::{print, println};
use tdcall::guest::{self, Binding, FieldRead, Rtmr, TdUuid};

use super::layout::{page_of, small};
use super::run::What;
use super::tables::{digest, rtmr};
use super::traps::leave_ve_info;
use super::{Place, Run};

const OK: Status = Status::SUCCESS;
const BAD_RCX: Status = Status::OPERAND_INVALID.with_operand(Operand::Rcx);

/// Calls them all.
pub fn all(run: &mut Run<'_>) {
    vp(run);
    vm(run);
    mr(run);
    mem(run);
    sys(run);
    servtd(run);
    l2(run);
}

/// Prints the TD's measurement, as TDG.VM.RD gives it.
pub fn print_mrtd() {
    print!("mrtd ");
    for byte in digest(td::MRTD, 0) {
        print!("{byte:02x}");
    }
    println!();
}

fn vp(run: &mut Run<'_>) {
    let info = guest::vp_info().map(|info| (info.gpa_width_bits, info.num_vcpus, info.has_sys_rd));
    let expected = Ok((run.world.resolve(Place::GpaBits), 1, true));
    run.typed(What(tdg::VP_INFO, "ABI-G 2.2", "typed vp_info", OK), &info, &expected);

    leave_ve_info();
    let taken = guest::vp_veinfo_get().map(|ve| (ve.reason(), ve.instruction_length));
    let what = What(tdg::VP_VEINFO_GET, "ABI-G 2.4", "typed vp_veinfo_get", OK);
    run.typed(what, &taken, &Ok((abi::ExitReason::CPUID, 2)));

    let set = guest::vp_cpuidve_set(CpuidVe::USER);
    let read = guest::vp_rd(vp::CPUID_USER_VE);
    let what = What(tdg::VP_CPUIDVE_SET, "ABI-G 2.6", "typed vp_cpuidve_set", OK);
    run.typed(what, &(set, read), &(Ok(()), Ok(1)));
    let what = What(tdg::VP_RD, "ABI-G 2.9", "typed vp_rd", OK);
    run.typed(what, &guest::vp_rd(vp::VCPU_INDEX), &Ok(0));
    let next = guest::vp_rd_next(vp::CPUID_CONTROL.element(127));
    let what = What(tdg::VP_RD, "ABI-G 2.9", "typed vp_rd_next", OK);
    run.typed(what, &next, &Ok(FieldRead { value: Some(0), next: None }));
    let old = guest::vp_wr(vp::CPUID_USER_VE, 0, 0xFF);
    let what = What(tdg::VP_WR, "ABI-G 2.9", "typed vp_wr", OK);
    run.typed(what, &(old, guest::vp_rd(vp::CPUID_USER_VE)), &(Ok(1), Ok(0)));
}

fn vm(run: &mut Run<'_>) {
    let attributes = run.world.resolve(Place::Attributes);
    let what = What(tdg::VM_RD, "ABI-G 2.8", "typed vm_rd", OK);
    run.typed(what, &guest::vm_rd(td::ATTRIBUTES), &Ok(attributes));
    let next = guest::vm_rd_next(td::ATTRIBUTES);
    let what = What(tdg::VM_RD, "ABI-G 2.8", "typed vm_rd_next", OK);
    run.typed(what, &next, &Ok(FieldRead { value: Some(attributes), next: Some(td::XFAM) }));
    let writes = [1, 0].map(|value| guest::vm_wr(td::NOTIFY_ENABLES, value, 1));
    let what = What(tdg::VM_WR, "ABI-G 2.8", "typed vm_wr", OK);
    run.typed(what, &writes, &[Ok(0), Ok(1)]);
}

fn mr(run: &mut Run<'_>) {
    let data = PrivateGpa::new(run.world.page.gpa);
    let before = rtmr(Rtmr::Rtmr2);
    let extended = guest::mr_rtmr_extend(data, Rtmr::Rtmr2);
    let is_other = rtmr(Rtmr::Rtmr2) != before;
    let what = What(tdg::MR_RTMR_EXTEND, "ABI-G 2.3", "typed mr_rtmr_extend", OK);
    run.typed(what, &(extended, is_other), &(Ok(()), true));

    let report = PrivateGpa::new(run.world.output.gpa);
    run.world.output.fill(0);
    // SAFETY: the page is no Rust object.
    let made = unsafe { guest::mr_report(report.into(), data.into()) };
    let given = run.world.output.read::<64>(128);
    let what = What(tdg::MR_REPORT, "ABI-G 2.5", "typed mr_report", OK);
    run.typed(what, &(made, given), &(Ok(()), run.world.page.read::<64>(0)));
    let what = What(tdg::MR_VERIFYREPORT, "ABI-G 2.12", "typed mr_verifyreport", OK);
    run.typed(what, &guest::mr_verifyreport(report), &Ok(()));
}

fn mem(run: &mut Run<'_>) {
    // The last pages of the leaf, which no row has.
    let page = small(page_of(tdg::MEM_PAGE_ACCEPT, 15));
    let gpa = PrivateGpa::new(page);
    let mapping = |pending| PageMapping {
        address: page,
        level: Some(PageLevel::Size4K),
        pending,
        attributes: VmAttributes::default(),
    };
    let what = What(tdg::MEM_PAGE_ATTR_RD, "ABI-G 2.13", "typed mem_page_attr_rd", OK);
    run.typed(what, &guest::mem_page_attr_rd(gpa), &Ok(mapping(true)));
    // SAFETY: unlisted memory, where no Rust object is.
    let accepted = unsafe { guest::mem_page_accept(gpa, PageLevel::Size4K) };
    let what = What(tdg::MEM_PAGE_ACCEPT, "ABI-G 11", "typed mem_page_accept", OK);
    run.typed(what, &accepted, &OK);
    let none = VmAttributes::default();
    let written = guest::mem_page_attr_wr(gpa, PageLevel::Size4K, none, none);
    let what = What(tdg::MEM_PAGE_ATTR_WR, "ABI-G 2.13", "typed mem_page_attr_wr", OK);
    run.typed(what, &written, &Ok(mapping(false)));
}

fn sys(run: &mut Run<'_>) {
    let what = What(tdg::SYS_RD, "ABI-G 2.10", "typed sys_rd", OK);
    run.typed(what, &guest::sys_rd(sys::VENDOR_ID), &Ok(0x8086));
    let read = FieldRead { value: Some(0x8086), next: Some(sys::MINOR_VERSION) };
    let what = What(tdg::SYS_RD, "ABI-G 2.10", "typed sys_rd_next", OK);
    run.typed(what, &guest::sys_rd_next(sys::VENDOR_ID), &Ok(read));
    let list = PrivateGpa::new(run.world.output.gpa);
    // SAFETY: the page is no Rust object.
    let all = unsafe { guest::sys_rdall(list, FieldId::NULL) };
    let first = u64::from_le_bytes(run.world.output.read(16));
    let what = What(tdg::SYS_RDALL, "ABI-G 2.10", "typed sys_rdall", OK);
    run.typed(what, &(all, first), &(Ok(None), 0x8086));
}

fn servtd(run: &mut Run<'_>) {
    let slot_1 = Binding(run.world.resolve(Place::Uuid(0)).wrapping_add(1));
    let uuid = TdUuid([1, 2, 3, 4]);
    let read = guest::servtd_rd(slot_1, td::ATTRIBUTES, uuid).map_err(|e| (e.status, e.uuid));
    let what = What(tdg::SERVTD_RD, "ABI-G 2.11", "typed servtd_rd", BAD_RCX);
    run.typed(what, &read, &Err((BAD_RCX, uuid)));
    let write = guest::servtd_wr(slot_1, td::TD_CTLS, 0, 1, uuid);
    let what = What(tdg::SERVTD_WR, "ABI-G 2.11", "typed servtd_wr", BAD_RCX);
    run.typed(what, &write.map_err(|e| (e.status, e.uuid)), &Err((BAD_RCX, uuid)));
}

fn l2(run: &mut Run<'_>) {
    let state = PrivateGpa::new(run.world.output.gpa);
    // SAFETY: there is no nested VM that could run, and the page is no Rust object.
    let entered = unsafe { guest::vp_enter(L2Vm::Vm1, L2Invalidation::None, state) };
    let what = What(tdg::VP_ENTER, "ABI-G 2.14", "typed vp_enter", BAD_RCX);
    run.typed(what, &entered, &Err(BAD_RCX));
    let what = What(tdg::VP_INVEPT, "ABI-G 2.14", "typed vp_invept", OK);
    run.typed(what, &guest::vp_invept(&[]), &Ok(()));
    let pages = LinearAddresses::Pages { first: 0, following: 0 };
    let what = What(tdg::VP_INVVPID, "ABI-G 2.14", "typed vp_invvpid", BAD_RCX);
    run.typed(what, &guest::vp_invvpid(L2Vm::Vm1, pages), &Err(BAD_RCX));
}
