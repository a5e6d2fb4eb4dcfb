//! The states of module, TD and vCPU, one after the other, and the tables that hold in each.
//!
//! What brings a state about is a call too, checked by its row.

mod build;
mod enter;
mod exposed;
mod memory;
mod operands;
mod others;
mod quick;
mod running;
pub(crate) mod system;
mod teardown;

use abi::verdict;
use arch::vmx::{self, Region};
use arch::{BootCell, msr};

use crate::bare;
use crate::place::Pool;
use crate::run::Run;

static VMXON: BootCell<Region> = BootCell::new(Region::new());
/// IA32_MKTME_KEYID_PARTITIONING.
const KEYID_PARTITIONING: u32 = 0x87;

/// Runs everything in this RAM; gives the verdict.
pub fn run(ram: (u64, u64)) -> u32 {
    let Some(mut run) = begin(ram) else { return verdict::EMULATOR_FAILED };
    system::run(&mut run);
    build::run(&mut run);
    memory::built(&mut run);
    running::run(&mut run);
    teardown::run(&mut run);
    others::run(&mut run);
    if run.finish() { verdict::PASSED } else { verdict::CHECK_FAILED }
}

/// The first SEAMCALL may come; the run's memory is in this RAM. `None`: the log says why not.
pub(crate) fn begin(ram: (u64, u64)) -> Option<Run> {
    if !enter_vmx() {
        return None;
    }
    let Some(pool) = Pool::new(ram, keys()) else {
        bare::log(format_args!("error: VMM: too little memory"));
        return None;
    };
    bare::apic::init();
    Some(Run::new(pool))
}

/// VMX operation, where the CPU has it.
#[expect(unsafe_code, reason = "VMXON")]
fn enter_vmx() -> bool {
    let Some(region) = VMXON.take().filter(|_| vmx::is_supported()) else { return true };
    // SAFETY: memory is identity-mapped, and this is ring 0.
    match unsafe { vmx::enter(region) } {
        Ok(()) => true,
        Err(error) => {
            bare::log(format_args!("error: VMM: {error}"));
            false
        }
    }
}

#[expect(unsafe_code, reason = "RDMSR")]
fn keys() -> u64 {
    // SAFETY: the platform under the module has the MSR.
    unsafe { msr::read(KEYID_PARTITIONING) }
}
