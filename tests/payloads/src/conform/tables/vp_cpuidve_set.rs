//! TDG.VP.CPUIDVE.SET. [ABI-G 2.6]

use core::arch::x86_64::__cpuid;

use abi::Gpr::Rcx;
use abi::field::vp;
use abi::leaf::tdg;
use conformance::Value::Is;
use tdcall::guest::{vp_rd, vp_veinfo_get};

use super::{BAD_RCX, OK, is};
use crate::conform::Row;
use crate::conform::traps::leaving_ve_info;

const LEAF: (&str, u64) = ("ABI-G 2.6", tdg::VP_CPUIDVE_SET);

macro_rules! refused {
    ($name:literal, $bits:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is($bits))], BAD_RCX, &[]).then(|_, _| is_set(0, 0))
    };
}

macro_rules! set {
    ($name:literal, $bits:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is($bits))], OK, &[])
            .then(|_, _| is_set($bits & 1, $bits >> 1))
    };
}

/// Both flags, as TDG.VP.RD gives them, and whether CPUID raises #VE at CPL 0.
fn is_set(supervisor: u64, user: u64) -> Result<(), &'static str> {
    let flags = (vp_rd(vp::CPUID_SUPERVISOR_VE), vp_rd(vp::CPUID_USER_VE));
    if flags != (Ok(supervisor), Ok(user)) {
        return Err("VP.RD gives other flags");
    }
    // A leaf that the module answers itself, unless it is told not to. [ABI-G 9]
    leaving_ve_info(2, || {
        let _maximum = __cpuid(0);
    });
    let raised = u64::from(vp_veinfo_get().is_ok());
    is(raised == supervisor, "CPUID raises #VE against the flag")
}

pub(super) const ROWS: &[Row] = &[
    refused!("RCX bit 2", 1 << 2),
    refused!("RCX bit 3", 1 << 3),
    refused!("RCX bit 8", 1 << 8),
    refused!("RCX bit 31", 1 << 31),
    refused!("RCX bit 32", 1 << 32),
    refused!("RCX bit 63", 1 << 63),
    refused!("a reserved bit with a legal one", 1 << 2 | 1),
    set!("user mode", 2),
    set!("supervisor mode", 1),
    set!("both", 3),
    set!("neither", 0),
];
