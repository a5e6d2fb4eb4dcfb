//! The run loop: the VMM runs until it makes a SEAMCALL; a TD runs inside one.

use super::hardware::Hardware;
use super::inject;
use super::log;
use super::td;
use super::vmcb::rflags;
use super::vmm::Vmm;
use super::vmm_exit::{self, Next};
use super::world_switch::Host;
use crate::Module;
use crate::machine::AfterSeamcall;
use abi::leaf::tdh;

/// Runs the VMM for ever.
pub(super) fn forever(mut vmm: Vmm, mut module: Module, mut hardware: Hardware, host: &Host) -> ! {
    loop {
        let flush = hardware.take_tlb_is_stale();
        vmm.run(host, hardware.vmm_root(), flush);
        if let Next::Seamcall(length) = vmm_exit::handle(&mut vmm, &module, &mut hardware) {
            seamcall(&mut vmm, &mut module, &mut hardware, host);
            inject::finish_instruction(vmm.vmcb.get(), length);
        }
    }
}

/// Serves a SEAMCALL that reaches the module: CF := 0.
fn seamcall(vmm: &mut Vmm, module: &mut Module, hardware: &mut Hardware, host: &Host) {
    let call = *vmm.gprs.get();
    vmm.vmcb.get().save.rflags &= !rflags::CF;
    let after = module.seamcall(hardware, vmm.registers());
    log::injection(module);
    match after {
        AfterSeamcall::EnterTd(vcpu) => td::until_exit(vmm, module, hardware, host, vcpu),
        AfterSeamcall::Return => {
            let has_succeeded = vmm.gprs.get().rax == 0;
            let is_teardown = call.rax & 0xFFFF == tdh::MNG_VPFLUSHDONE && has_succeeded;
            if is_teardown && hardware.has_run(call.rcx) {
                log::counts_at_end(&module.counts(hardware, call.rcx));
            }
        }
    }
}
