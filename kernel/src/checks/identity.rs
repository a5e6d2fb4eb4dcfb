//! What the module says that this is: a trust domain, with these properties.

use abi::field::td;
use abi::leaf::tdg;
use tdcall::guest;

use super::step::Steps;
use crate::{Kernel, counts, is_trust_domain};

/// CPUID leaf 0x21, which the module answers without #VE.
pub(super) fn detection(steps: &mut Steps) {
    steps.holds("CPUID leaf 0x21 says IntelTDX", is_trust_domain());
}

/// What TDG.VP.INFO told at the start is possible.
pub(super) fn vp_info(steps: &mut Steps, kernel: &mut Kernel) {
    let vp = &kernel.vp;
    steps.holds("GPA width is 48 or 52", vp.gpa_width().is_some());
    steps.holds("vCPU index is below the number of vCPUs", vp.vcpu_index < vp.num_vcpus);
    steps.holds("vCPUs are at most as many as may be", vp.num_vcpus <= vp.max_vcpus);
}

/// ATTRIBUTES by TDG.VM.RD: another leaf, the same answer.
pub(super) fn attributes(steps: &mut Steps, kernel: &mut Kernel) {
    let vp = &kernel.vp;
    counts::tdcall(tdg::VM_RD);
    match guest::vm_rd(td::ATTRIBUTES) {
        Ok(attributes) => steps.equal("ATTRIBUTES", attributes, vp.attributes.bits()),
        Err(status) => steps.equal("TDG.VM.RD", status.0, 0),
    }
}
