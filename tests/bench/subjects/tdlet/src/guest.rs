//! Rows of the guest leaves.
#![expect(unsafe_code, reason = "leaves that change memory are unsafe")]

use abi::attributes::CpuidVe;
use abi::field::{FieldId, sys, td, vp};
use abi::l2::{L2Invalidation, L2Vm, LinearAddresses};
use abi::page_attributes::{PageAttributes, PageMapping, VmAttributes};
use abi::{Gpa, PageLevel, PrivateGpa, Regs, Status};
use tdcall::guest::{
    self, Binding, FieldRead, L2Entry, Leaf, LeafError, Rtmr, ServtdError, ServtdRead, TdUuid,
};

use crate::{private, shared};

type Done = Result<(), Status>;
type Read = Result<u64, Status>;
type Next = Result<FieldRead, Status>;

pub(crate) fn rows() {
    fields();
    memory();
    service_td();
    nested();
    let mut regs = every_register();
    let leaf = Leaf::from_rax(0x0123_4567_89AB_CDEF);
    call_unsafe!(
        "guest_call",
        guest::call as unsafe fn(Leaf, &mut Regs) -> Status,
        leaf,
        &mut regs
    );
    println!("guest_call registers: {regs:x?}");
}

fn fields() {
    let all = CpuidVe::all();
    call!("vp_cpuidve_set", guest::vp_cpuidve_set as fn(CpuidVe) -> Done, all);
    call!("vm_rd", guest::vm_rd as fn(FieldId) -> Read, td::ATTRIBUTES);
    call!("vm_rd_next", guest::vm_rd_next as fn(FieldId) -> Next, td::XFAM);
    call!("vm_wr", guest::vm_wr as fn(FieldId, u64, u64) -> Read, td::TD_CTLS, 1, 3);
    call!("vp_rd", guest::vp_rd as fn(FieldId) -> Read, vp::VCPU_INDEX);
    call!("vp_rd_next", guest::vp_rd_next as fn(FieldId) -> Next, vp::CPUID_USER_VE);
    call!("vp_wr", guest::vp_wr as fn(FieldId, u64, u64) -> Read, vp::CPUID_USER_VE, 2, 4);
    call!("sys_rd", guest::sys_rd as fn(FieldId) -> Read, sys::VENDOR_ID);
    call!("sys_rd_next", guest::sys_rd_next as fn(FieldId) -> Next, FieldId::NULL);
    call_unsafe!(
        "sys_rdall",
        guest::sys_rdall as unsafe fn(PrivateGpa, FieldId) -> Result<Option<FieldId>, Status>,
        private(0x6000),
        FieldId::NULL
    );
}

fn memory() {
    let page = private(0x40_0000);
    call!(
        "mem_page_attr_rd",
        guest::mem_page_attr_rd as fn(PrivateGpa) -> Result<PageMapping, Status>,
        page
    );
    let readable = PageAttributes::VALID | PageAttributes::READ;
    let none = PageAttributes::empty();
    call!(
        "mem_page_attr_wr",
        guest::mem_page_attr_wr
            as fn(
                PrivateGpa,
                PageLevel,
                VmAttributes,
                VmAttributes,
            ) -> Result<PageMapping, LeafError>,
        page,
        PageLevel::Size2M,
        VmAttributes([none, readable, none, none]),
        VmAttributes([none, none, readable, none])
    );
    call!(
        "mr_rtmr_extend",
        guest::mr_rtmr_extend as fn(PrivateGpa, Rtmr) -> Done,
        private(0x7040),
        Rtmr::Rtmr3
    );
    call_unsafe!(
        "mr_report",
        guest::mr_report as unsafe fn(Gpa, Gpa) -> Done,
        Gpa::Private(private(0x8400)),
        Gpa::Shared(shared(0x9040))
    );
    call!("mr_verifyreport", guest::mr_verifyreport as fn(PrivateGpa) -> Done, private(0x8400));
}

fn service_td() {
    let (binding, uuid) = (Binding(0xB1D), TdUuid([1, 2, 3, 4]));
    call!(
        "servtd_rd",
        guest::servtd_rd as fn(Binding, FieldId, TdUuid) -> Result<ServtdRead, ServtdError>,
        binding,
        td::MRTD,
        uuid
    );
    call!(
        "servtd_wr",
        guest::servtd_wr as fn(Binding, FieldId, u64, u64, TdUuid) -> Result<u64, ServtdError>,
        binding,
        td::MRTD,
        5,
        6,
        uuid
    );
}

fn nested() {
    call_unsafe!(
        "l2_vp_enter",
        guest::vp_enter as unsafe fn(L2Vm, L2Invalidation, PrivateGpa) -> Result<L2Entry, Status>,
        L2Vm::Vm2,
        L2Invalidation::Tlb,
        private(0x8500)
    );
    call!("vp_invept", guest::vp_invept as fn(&[L2Vm]) -> Done, &[L2Vm::Vm1, L2Vm::Vm3]);
    call!(
        "vp_invvpid",
        guest::vp_invvpid as fn(L2Vm, LinearAddresses) -> Read,
        L2Vm::Vm1,
        LinearAddresses::List { list: private(0x5000), first: 1, entries: 2 }
    );
}

/// Register *n* holds 0x100 + *n*.
pub(crate) fn every_register() -> Regs {
    let mut regs = Regs::default();
    for gpr in abi::Gpr::ALL {
        regs[gpr] = 0x100 + gpr as u64;
    }
    regs
}
