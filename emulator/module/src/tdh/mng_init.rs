//! TDH.MNG.INIT: configures the TD. [ABI-H 3.6, 4.1]
//!
//! 1.5.01 leaves the TDCS partly written when a check fails; here it stays as it
//! was, which a VMM cannot see, because op_state stays UNINITIALIZED.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::attributes::{Attributes, TdCtls};
use abi::td_params::TdParams;
use abi::{Operand, Regs};
use zerocopy::FromZeros;

use super::{Leaf, check_cpuid_is_whole, td_operand, td_params};
use crate::machine::Machine;
use crate::metadata::td::DEFAULT_LOCK_TIMEOUT;
use crate::module::Module;
use crate::mrtd::Stream;
use crate::phys::load;
use crate::td::tdcs::{OpState, SEPT_ROOT, Tdcs};

/// TSC_MULTIPLIER of a TSC that is not scaled: 1.0 with 48 fraction bits. SVM under
/// TCG cannot scale it.
const UNSCALED_TSC: u64 = 1 << 48;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (tdr_pa, params) = (regs.rcx, regs.rdx);
    regs.rcx = 0;
    check_cpuid_is_whole(m)?;
    let allowed = [OpState::Uninitialized];
    let mut td = td_operand(module, m, tdr_pa, Operand::Rcx, &allowed)?;
    let size = size_of::<TdParams>() as u64;
    let params = module.shared_buffer(m, params, size, Operand::Rdx)?;
    // One copy: the VMM cannot change what was checked.
    let params: TdParams = load(m, params);
    if let Err(refusal) = td_params::check(module, m, &params) {
        regs.rcx = refusal.cpuid;
        return Err(refusal.status);
    }
    td.tdcs = configure(&params, td.tdr.tdcx_pa[SEPT_ROOT], m.tsc());
    td.store_tdcs(m);
    Ok(())
}

fn configure(params: &TdParams, sept_root: u64, tsc: u64) -> Tdcs {
    let ve_disabled = params.attributes & Attributes::SEPT_VE_DISABLE.bits() != 0;
    let td_ctls = if ve_disabled { TdCtls::PENDING_VE_DISABLE.bits() } else { 0 };
    Tdcs {
        op_state: OpState::Initialized as u32,
        max_vcpus: u32::from(params.max_vcpus),
        attributes: params.attributes,
        xfam: params.xfam,
        config_flags: params.config_flags,
        td_ctls,
        eptp: params.eptp_controls | sept_root,
        tsc_offset: tsc.wrapping_neg(),
        tsc_multiplier: UNSCALED_TSC,
        hp_lock_timeout: DEFAULT_LOCK_TIMEOUT,
        arch_capabilities_config: params.ia32_arch_capabilities_config,
        tsc_frequency_25mhz: params.tsc_frequency_25mhz,
        msr_config_ctls: params.msr_config_ctls,
        td_epoch: 1,
        measurement: Stream::start(),
        mrconfigid: params.mrconfigid,
        mrowner: params.mrowner,
        mrownerconfig: params.mrownerconfig,
        cpuid_config: params.cpuid_config,
        ..Tdcs::new_zeroed()
    }
}
