//! Leaving a TD: what the VMM sees in its registers. [ABI-H 5.4-5.7], [ABI-G 4, 15]

use abi::exit::VmcallMask;
use abi::{ExitReason, Regs, Status};

use crate::machine::{HostRegs, Machine, TDVPS_XSAVE, TdExit, VcpuId};
use crate::module::ModuleConfig;
use crate::td::Td;
use crate::td::tdvps::{LastExit, Tdvps, VcpuState};
use crate::zero_step;

pub(crate) fn run(
    config: &ModuleConfig,
    m: &mut dyn Machine,
    v: VcpuId,
    exit: TdExit,
    HostRegs { gpr, xmm }: HostRegs<'_>,
) {
    zero_step::note_td_exit(m, v.tdvpr);
    let mut td = Td::load(m, v.tdr);
    let mut tdvps = Tdvps::load(m, v.tdvpr);
    let kept = Regs { rsp: gpr.rsp, rbp: gpr.rbp, ..Regs::default() };
    let keeps_rbp = td.tdcs.keeps_rbp();
    tdvps.state = VcpuState::Ready as u32;
    tdvps.last_exit_tsc = m.tsc();
    *xmm = [[0; 16]; 16];
    let class = match exit {
        TdExit::Vmcall => {
            let mask = VmcallMask(tdvps.gprs.rcx as u32);
            *gpr = vmcall_registers(&tdvps.gprs, mask, kept, keeps_rbp);
            crate::xmm::read(m, tdvps.pages[TDVPS_XSAVE], mask, xmm);
            tdvps.last_exit = LastExit::Tdvmcall as u32;
            Status::SUCCESS
        }
        TdExit::Async { class, .. } => {
            let keeps_rbp = keeps_rbp && !config.rbp_clobbered_on_async_exit;
            *gpr = async_registers(exit, kept, keeps_rbp);
            tdvps.last_exit = LastExit::AsyncFault as u32;
            Status(u64::from(class) << 32)
        }
        TdExit::CrossTdTrap { status, target } => {
            let rbp = if keeps_rbp && !config.rbp_clobbered_on_async_exit { kept.rbp } else { 0 };
            let rax = Status::CROSS_TD_TRAP.0;
            *gpr = Regs { rax, rdx: status.0, r8: target, rbp, rsp: kept.rsp, ..Regs::default() };
            tdvps.last_exit = LastExit::AsyncTrap as u32;
            Status::CROSS_TD_TRAP
        }
        TdExit::HostPriorityTimeout => {
            let rbp = if keeps_rbp && !config.rbp_clobbered_on_async_exit { kept.rbp } else { 0 };
            let rax = Status::HOST_PRIORITY_BUSY_TIMEOUT.0;
            *gpr = Regs { rax, rbp, rsp: kept.rsp, ..Regs::default() };
            tdvps.last_exit = LastExit::AsyncTrap as u32;
            Status::HOST_PRIORITY_BUSY_TIMEOUT
        }
    };
    if class.is(Status::NON_RECOVERABLE_VCPU) {
        tdvps.state = VcpuState::Disabled as u32;
    }
    if is_fatal_for_td(class) {
        td.tdr.fatal = 1;
    }
    if !class.is(Status::NON_RECOVERABLE_TD_NON_ACCESSIBLE) {
        let count = &mut td.tdcs.refcount[(tdvps.epoch & 1) as usize];
        *count = count.saturating_sub(1);
    }
    tdvps.store(m, v.tdvpr);
    td.store(m);
}

fn vmcall_registers(guest: &Regs, mask: VmcallMask, kept: Regs, keeps_rbp: bool) -> Regs {
    let mut seen = mask.expose(guest);
    seen.rax = u64::from(ExitReason::TDCALL.0);
    seen.rcx = u64::from(mask.0);
    seen.rsp = kept.rsp;
    if keeps_rbp {
        seen.rbp = kept.rbp;
    }
    seen
}

fn async_registers(exit: TdExit, kept: Regs, keeps_rbp: bool) -> Regs {
    let TdExit::Async { class, reason, qualification, extended, gpa, interruption } = exit else {
        return kept;
    };
    Regs {
        rax: u64::from(class) << 32 | u64::from(reason),
        rcx: qualification & 0xFFFF_FFFF,
        rdx: extended,
        r8: gpa & !0xFFF,
        r9: interruption,
        rsp: kept.rsp,
        rbp: if keeps_rbp { kept.rbp } else { 0 },
        ..Regs::default()
    }
}

fn is_fatal_for_td(class: Status) -> bool {
    class.0 >> 61 & 1 == 1
}
