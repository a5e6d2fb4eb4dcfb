//! The module as a whole: its state, and the doors through which `svm` calls it.
//!
//! Nothing that comes in through a door is trusted: registers of the VMM and of a
//! TD, every address in them, and every byte of the VMM's memory. The module answers
//! with a status, an exception or a TD exit, and never panics.

use core::mem;

use abi::leaf::{tdg as tdg_leaf, tdh as tdh_leaf};
use abi::tdmr::{MAX_TDMRS, TdmrInfo};
use abi::{Counts, Operand, Regs, Status};

use crate::faults::Faults;
use crate::host_priority;
use crate::injection::{self, Injections, Side};
use crate::kot::Kot;
use crate::machine::{
    AfterSeamcall, CpuMode, Exception, HostRegs, Machine, Outcome, TdExit, VcpuId,
};
use crate::report;
use crate::sys::SysState;
use crate::td::tdvps::{LastExit, Tdvps};
use crate::td::{Td, TdInfo};
use crate::td_exit;
use crate::tdg::{self, Call};
use crate::tdh;
use crate::tdmr::{Convertible, Tdmr};
use crate::zero_step;

/// Bytes and alignment of a posted-interrupt descriptor.
pub(crate) const POSTED_DESCRIPTOR_BYTES: u64 = 64;
/// Pin-based control: process posted interrupts.
pub(crate) const PIN_POSTED_INTERRUPTS: u32 = 1 << 7;

/// Convertible memory regions that the platform can describe.
pub const MAX_CMRS: usize = 32;

/// What the module finds when it starts.
#[derive(Clone, Debug)]
pub struct ModuleConfig {
    /// Memory that may be used for TDs: (base, size) in ascending order, unused
    /// entries of size 0.
    pub cmrs: [(u64, u64); MAX_CMRS],
    /// The module's own memory: (base, size).
    pub seamrr: (u64, u64),
    /// Family, model, stepping: CPUID(1).EAX without its reserved bits.
    pub processor_signature: u32,
    /// Extended states that the CPU can run a TD with, in XFAM's layout.
    pub xfam: u64,
    /// Native {eax, ebx, ecx, edx} in the order of
    /// [`abi::td_params::CPUID_CONFIG_LEAVES`].
    pub cpuid_config: [[u32; 4]; 12],
    /// Zero the VMM's RBP on an asynchronous exit even under NO_RBP_MOD, as module
    /// 1.5.01 does; from 1.5.06 on it is preserved. [ABI-H 5.6]
    pub rbp_clobbered_on_async_exit: bool,
    /// Statuses to end calls with.
    pub injections: Injections,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for ModuleConfig {
    /// No convertible memory, no module memory, x87 and SSE.
    fn default() -> Self {
        Self {
            cmrs: [(0, 0); MAX_CMRS],
            seamrr: (0, 0),
            processor_signature: 0,
            xfam: crate::sys::XFAM_FIXED1,
            cpuid_config: [[0; 4]; 12],
            rbp_clobbered_on_async_exit: false,
            injections: Injections::NONE,
            faults: Faults::NONE,
        }
    }
}

/// The module's global state. Everything that belongs to one TD stands in the pages
/// that the VMM donated for it.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) config: ModuleConfig,
    pub(crate) state: SysState,
    pub(crate) lp_is_initialized: bool,
    /// IA32_TSC_ADJUST at SYS.INIT.
    pub(crate) tsc_adjust: u64,
    pub(crate) kot: Kot,
    tdmrs: [Tdmr; MAX_TDMRS],
    num_tdmrs: usize,
    /// Of TDREPORTs, from the first TDCALL on.
    report_key: Option<report::Key>,
}

impl Module {
    #[expect(clippy::large_stack_arrays, reason = "a constant, copied once at the start")]
    const NO_TDMRS: [Tdmr; MAX_TDMRS] = [Tdmr::EMPTY; MAX_TDMRS];

    /// A module that no SEAMCALL has reached yet.
    #[must_use]
    pub fn new(config: ModuleConfig) -> Self {
        Self {
            config,
            state: SysState::Pending,
            lp_is_initialized: false,
            tsc_adjust: 0,
            kot: Kot::new(),
            tdmrs: Self::NO_TDMRS,
            num_tdmrs: 0,
            report_key: None,
        }
    }

    /// Serves SEAMCALL. RAX bit 63 selects the P-SEAMLDR, which is not loaded: `svm`
    /// answers that with VMfailInvalid and does not come here. [ABI-H 1.5]
    ///
    /// Registers that the leaf does not write keep the VMM's values.
    pub fn seamcall(
        &mut self,
        m: &mut dyn Machine,
        HostRegs { gpr, xmm }: HostRegs<'_>,
    ) -> AfterSeamcall {
        let rax = gpr.rax;
        let checked = self.check_seamcall(rax);
        let answer = match checked.and_then(|leaf| self.injected_seamcall(leaf, gpr)) {
            Err(status) => status,
            Ok(tdh_leaf::VP_ENTER) => match tdh::vp_enter::run(self, m, gpr, xmm) {
                Ok(vcpu) => {
                    self.spoil_vmcall(m, vcpu);
                    return AfterSeamcall::EnterTd(vcpu);
                }
                Err(status) => status,
            },
            Ok(leaf) => {
                let version = (rax >> 16) as u8;
                tdh::run(self, m, leaf, version, gpr).err().unwrap_or(Status::SUCCESS)
            }
        };
        gpr.rax = answer.0;
        AfterSeamcall::Return
    }

    /// The dispatcher's checks, in order; gives the leaf number. [ABI-H 1.5]
    fn check_seamcall(&self, rax: u64) -> Result<u64, Status> {
        const RESERVED: u64 = 0xFFFF_FFFF_FF00_0000;
        let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rax);
        let (leaf, version) = (rax & 0xFFFF, rax >> 16 & 0xFF);
        if rax & RESERVED != 0 || (version > 0 && !tdh::is_versioned(leaf)) {
            return Err(invalid);
        }
        if self.state == SysState::Shutdown && leaf != tdh_leaf::SYS_LP_SHUTDOWN {
            return Err(Status::SYS_SHUTDOWN);
        }
        if self.state != SysState::Ready && !tdh::works_before_ready(leaf) {
            return Err(Status::SYS_NOT_READY);
        }
        Ok(leaf)
    }

    /// The leaf number again, unless the call is to end with an injected status.
    fn injected_seamcall(&mut self, leaf: u64, gpr: &mut Regs) -> Result<u64, Status> {
        let Some(status) = self.config.injections.take(Side::Tdh, leaf, gpr.rcx) else {
            return Ok(leaf);
        };
        if status.is(Status::INTERRUPTED_RESUMABLE) {
            self.kot.interrupt_write_back();
        }
        injection::clear_outputs(leaf, status, gpr);
        Err(status)
    }

    /// A VP.VMCALL ends at the next TDH.VP.ENTER.
    fn spoil_vmcall(&mut self, m: &mut dyn Machine, v: VcpuId) {
        if self.config.faults.are_none() {
            return;
        }
        let mut tdvps = Tdvps::load(m, v.tdvpr);
        if tdvps.last_exit == LastExit::Tdvmcall as u32 {
            let operands = [tdvps.gprs.rcx, tdvps.gprs.rdx];
            self.config.faults.outputs(tdg_leaf::VP_VMCALL, &operands, &mut tdvps.gprs);
            tdvps.store(m, v.tdvpr);
        }
    }

    /// The status that a TDCALL with these registers is to end with, if one is injected.
    fn injected_tdcall(&mut self, m: &dyn Machine, v: VcpuId) -> Option<Status> {
        if self.config.injections.are_none() {
            return None;
        }
        let Regs { rax, rcx, .. } = Tdvps::load_gprs(m, v.tdvpr);
        let (leaf, _) = tdg::check(rax).ok()?;
        self.config.injections.take(Side::Tdg, leaf, rcx)
    }

    /// Serves TDCALL. The caller's registers stand in its TDVPS page and are changed
    /// there; `mode` is the CPU at the instruction. [ABI-G 1]
    ///
    /// A call that did not finish, because it made #VE or a TD exit, is not counted:
    /// the guest executes it again.
    pub fn tdcall(&mut self, m: &mut dyn Machine, v: VcpuId, mode: &CpuMode) -> Outcome {
        zero_step::note_exit(m, v);
        if mode.cpl != 0 || !mode.long64 {
            return Outcome::Inject(Exception::Gp);
        }
        let report_key = *self.report_key.get_or_insert_with(|| report::new_key(m));
        let injected = self.injected_tdcall(m, v);
        let mut faults = mem::take(&mut self.config.faults);
        let mut call = Call::load(self, m, v, report_key);
        let Regs { rax, rcx, rdx, .. } = call.tdvps.gprs;
        call.faults = faults.call(rax & 0xFFFF, &[rcx, rdx]);
        let answer = if call.faults.is_dropped {
            Ok(Status::SUCCESS)
        } else if let Some(status) = injected {
            injection::clear_guest_outputs(rax & 0xFFFF, &mut call.tdvps.gprs);
            Ok(status)
        } else {
            tdg::run(&mut call, rax)
        };
        let answer = host_priority::settle(&mut call, answer);
        if let Ok(status) = answer {
            faults.outputs(rax & 0xFFFF, &[rcx, rdx], &mut call.tdvps.gprs);
            call.finish(status);
        }
        self.config.faults = faults;
        let outcome = answer.map_or_else(|outcome| outcome, |_| Outcome::Done);
        if outcome.finishes_tdcall() {
            Td::count(m, v.tdr, |counts| counts.record_tdcall(rax & 0xFFFF));
        }
        outcome
    }

    /// Notes an exit of the vCPU that a CPU with TDX would have made too. `svm` calls it
    /// for every one but TDCALLs and nested page faults, which come in by their own doors.
    pub fn vm_exit(&mut self, m: &mut dyn Machine, v: VcpuId) {
        zero_step::note_exit(m, v);
    }

    /// Whether the vCPU that TDH.VP.ENTER let in starts with a #VE; says so once.
    pub fn takes_ve_at_entry(&mut self, m: &mut dyn Machine, v: VcpuId) -> bool {
        zero_step::take_ve(m, v.tdvpr)
    }

    /// The answer of CPUID, with what is to be wrong about it; `None` is #VE.
    pub fn spoiled_cpuid(
        &mut self,
        leaf: u32,
        subleaf: u32,
        right: Option<[u32; 4]>,
    ) -> Option<[u32; 4]> {
        self.config.faults.cpuid(leaf, subleaf, right)
    }

    /// Turns a TD exit into the VMM's registers and the vCPU's state. For a VMCALL
    /// `svm` has advanced RIP before. [ABI-H 5.4-5.7]
    pub fn td_exit(&mut self, m: &mut dyn Machine, v: VcpuId, exit: TdExit, host: HostRegs<'_>) {
        td_exit::run(&self.config, m, v, exit, host);
    }

    /// The injection that the last call used up, for the log.
    pub fn take_used_injection(&mut self) -> Option<injection::Rule> {
        self.config.injections.take_used_up()
    }

    /// Configuration of the TD and of the vCPU.
    #[must_use]
    pub fn td_info(&self, m: &dyn Machine, v: VcpuId) -> TdInfo {
        TdInfo::load(m, v)
    }

    /// What the TD did so far. `counts.tdcall(1)` is the number of its VP.INFO calls.
    #[must_use]
    pub fn counts(&self, m: &dyn Machine, tdr: u64) -> Counts {
        Td::counts(m, tdr)
    }

    /// Address of the vCPU's posted-interrupt descriptor, if the VMM turned posted
    /// interrupts on and the page is still its own. [ABI-H 5.9]
    #[must_use]
    pub fn posted_descriptor(&self, m: &dyn Machine, v: VcpuId) -> Option<u64> {
        let tdvps = Tdvps::load(m, v.tdvpr);
        let descriptor = tdvps.posted_descriptor;
        let address = self.shared_buffer(m, descriptor, POSTED_DESCRIPTOR_BYTES, Operand::R8);
        address.ok().filter(|_| tdvps.takes_posted_interrupts())
    }

    pub(crate) fn tdmrs(&self) -> &[Tdmr] {
        &self.tdmrs[..self.num_tdmrs]
    }

    pub(crate) fn tdmr_mut(&mut self, base: u64) -> Option<&mut Tdmr> {
        self.tdmrs[..self.num_tdmrs].iter_mut().find(|tdmr| tdmr.info().base == base)
    }

    /// Takes a TDMR that passed the checks. The caller bounds their number.
    pub(crate) fn push_tdmr(&mut self, tdmr: &TdmrInfo) {
        if let Some(slot) = self.tdmrs.get_mut(self.num_tdmrs) {
            *slot = Tdmr::new(tdmr);
            self.num_tdmrs += 1;
        }
    }

    pub(crate) fn clear_tdmrs(&mut self) {
        self.num_tdmrs = 0;
    }

    pub(crate) fn convertible(&self) -> Convertible<'_> {
        Convertible { cmrs: &self.config.cmrs, seamrr: self.config.seamrr }
    }
}

/// Whether version 1 of the TDCALL leaf exists.
pub(crate) fn tdcall_is_versioned(leaf: u64) -> bool {
    leaf == tdg_leaf::VM_RD
}
