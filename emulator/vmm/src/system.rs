//! The module brought up, in Linux's order. [ABI-H 3.10]
//!
//! SYS.INIT, SYS.LP.INIT, the global fields, SYS.CONFIG with all memory that is free to
//! give, SYS.KEY.CONFIG, SYS.TDMR.INIT until every TDMR is done.

use abi::attributes::Xfam;
use abi::field::{FieldId, sys};
use abi::td_params::CPUID_CONFIG_LEAVES;
use abi::tdmr::PAMT_ENTRY_BYTES;
use abi::{Hpa, PAGE_SIZE};
use arch::vmx::NotEntered;
use zerocopy::IntoBytes;

use crate::failure::Failure;
use crate::pool::Pool;
use crate::ram::Ranges;
use crate::seam::{Cpu, Memory, Seamcall};
use crate::tdmr::{Limits, MAX_RANGES, MAX_TDMRS, Plan};

/// TDX_FEATURES0: VP.ENTER leaves RBP alone. KVM does without no such module.
const NO_RBP_MOD: u64 = 1 << 18;
/// TDX_FEATURES0: VP.INIT takes an x2APIC id.
const TOPOLOGY_ENUM: u64 = 1 << 20;
/// TDMR_INFOs stand at multiples of this.
const TDMR_INFO_STRIDE: u64 = 512;
/// Bound for TDMR.INIT calls: 256 a GiB, for the largest memory there can be.
const TDMR_INIT_CALLS: u32 = 1 << 20;
/// CMRs that a platform can have. [ABI-H 3.5]
const MAX_CMRS: u64 = 32;

/// What the module told about itself, and what it was given.
#[derive(Debug)]
pub struct System {
    /// Pages for trust domains.
    pub pool: Pool,
    /// What a TD can be.
    pub capabilities: Capabilities,
    /// The module's own HKID.
    pub global_hkid: u16,
    /// Lowest bit of the HKID in a host-physical address.
    pub hkid_shift: u32,
}

/// The global fields that KVM configures TDs by. [ABI-H 4.5]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// ATTRIBUTES bits that may be 1.
    pub attributes_fixed0: u64,
    /// ATTRIBUTES bits that must be 1.
    pub attributes_fixed1: u64,
    /// XFAM bits that may be 1.
    pub xfam_fixed0: u64,
    /// XFAM bits that must be 1.
    pub xfam_fixed1: u64,
    /// Bits of each CPUID_CONFIG entry that the VMM chooses.
    pub cpuid: [[u32; 4]; CPUID_CONFIG_LEAVES.len()],
    /// Pages of a TDCS.
    pub tdcs_pages: u64,
    /// Pages of a TDVPS, TDVPR included.
    pub tdvps_pages: u64,
    /// Most vCPUs of a TD.
    pub max_vcpus: u64,
}

/// Wakes the module up on this, the only, processor. `vmx_operation` is what came of entering
/// VMX operation: without it SEAMCALL raises #UD although there may be a module.
///
/// # Errors
/// There is no module, or it does not start.
pub fn init(
    module: &mut dyn Seamcall,
    vmx_operation: Result<(), NotEntered>,
) -> Result<(), Failure> {
    module.sys_init().map_err(|error| {
        match (Failure::leaf("TDH.SYS.INIT")(error), vmx_operation) {
            (Failure::NoModule, Err(why)) => Failure::NotInVmxOperation(why),
            (failure, _) => failure,
        }
    })?;
    module.sys_lp_init().map_err(Failure::leaf("TDH.SYS.LP.INIT"))
}

/// Gives the module its memory: `free` is RAM that the VMM can do without.
///
/// # Errors
/// A leaf fails, the module is not one that KVM would use, or memory is short.
pub fn configure(
    module: &mut dyn Seamcall,
    memory: &mut dyn Memory,
    cpu: &mut dyn Cpu,
    mut free: Ranges<MAX_RANGES>,
) -> Result<System, Failure> {
    let capabilities = capabilities(module)?;
    free.intersect(cmrs(module)?.as_slice());
    let limits = Limits {
        tdmrs: read(module, sys::MAX_TDMRS)? as usize,
        reserved_per_tdmr: read(module, sys::MAX_RESERVED_PER_TDMR)? as usize,
    };
    let plan = Plan::new(free, limits).ok_or(Failure::OutOfMemory("the PAMT"))?;
    let mut pool = Pool::new(plan.pool.clone());

    let partitioning = cpu.keyid_partitioning();
    let (shared, private) = (partitioning & 0xFFFF_FFFF, partitioning >> 32);
    if private < 2 {
        return Err(Failure::Unsuitable("there are no two private HKIDs"));
    }
    let global_hkid = u16::try_from(shared + 1).unwrap_or(u16::MAX);
    let hkid_bits = 64 - (shared + private).leading_zeros();
    give(module, memory, &mut pool, &plan, global_hkid)?;
    Ok(System { pool, capabilities, global_hkid, hkid_shift: 52 - hkid_bits })
}

/// SYS.CONFIG, SYS.KEY.CONFIG and SYS.TDMR.INIT.
fn give(
    module: &mut dyn Seamcall,
    memory: &mut dyn Memory,
    pool: &mut Pool,
    plan: &Plan,
    hkid: u16,
) -> Result<(), Failure> {
    const PER_PAGE: usize = (PAGE_SIZE / TDMR_INFO_STRIDE) as usize;
    const { assert!(MAX_TDMRS <= PER_PAGE) };
    let short = Failure::OutOfMemory("TDMR_INFO");
    let (array, infos) = (pool.own(memory).ok_or(short)?, pool.own(memory).ok_or(short)?);
    for (index, tdmr) in plan.tdmrs().iter().enumerate() {
        let index = index as u64;
        let info = at(infos, index * TDMR_INFO_STRIDE);
        memory.write(info, tdmr.as_bytes());
        memory.write_u64(at(array, index * 8), info.bits());
    }
    let count = plan.tdmrs().len();
    module.sys_config(array, count, hkid).map_err(Failure::module("TDH.SYS.CONFIG"))?;
    module.sys_key_config().map_err(Failure::module("TDH.SYS.KEY.CONFIG"))?;
    for tdmr in plan.tdmrs() {
        let base = Hpa::try_new(tdmr.base).unwrap_or(array);
        let mut next = 0;
        for _ in 0..TDMR_INIT_CALLS {
            next = module.sys_tdmr_init(base).map_err(Failure::module("TDH.SYS.TDMR.INIT"))?;
            if next >= tdmr.base + tdmr.size {
                break;
            }
        }
        if next < tdmr.base + tdmr.size {
            return Err(Failure::Unsuitable("TDH.SYS.TDMR.INIT does not come to an end"));
        }
    }
    Ok(())
}

fn capabilities(module: &mut dyn Seamcall) -> Result<Capabilities, Failure> {
    let (major, minor) = (read(module, sys::MAJOR_VERSION)?, read(module, sys::MINOR_VERSION)?);
    let update = read(module, sys::UPDATE_VERSION)?;
    log::info!("module {major}.{minor}.{update:02}");
    let features = read(module, sys::TDX_FEATURES0)?;
    if features & NO_RBP_MOD == 0 {
        return Err(Failure::Unsuitable("it lacks NO_RBP_MOD (TDX_FEATURES0 bit 18)"));
    }
    if features & TOPOLOGY_ENUM == 0 {
        return Err(Failure::Unsuitable("it lacks TOPOLOGY_ENUM (TDX_FEATURES0 bit 20)"));
    }
    for field in [sys::PAMT_4K_ENTRY_SIZE, sys::PAMT_2M_ENTRY_SIZE, sys::PAMT_1G_ENTRY_SIZE] {
        if read(module, field)? != PAMT_ENTRY_BYTES {
            return Err(Failure::Unsuitable("its PAMT entries are not 16 bytes"));
        }
    }
    Ok(Capabilities {
        attributes_fixed0: read(module, sys::ATTRIBUTES_FIXED0)?,
        attributes_fixed1: read(module, sys::ATTRIBUTES_FIXED1)?,
        xfam_fixed0: read(module, sys::XFAM_FIXED0)?,
        xfam_fixed1: read(module, sys::XFAM_FIXED1)?,
        cpuid: cpuid_config(module)?,
        tdcs_pages: read(module, sys::TDCS_BASE_SIZE)? / PAGE_SIZE,
        tdvps_pages: read(module, sys::TDVPS_BASE_SIZE)? / PAGE_SIZE,
        max_vcpus: read(module, sys::MAX_VCPUS_PER_TD)?,
    })
}

/// The bits of CPUID that the VMM chooses, in the order of TD_PARAMS. The list itself is
/// checked against the one that TD_PARAMS is laid out by.
fn cpuid_config(
    module: &mut dyn Seamcall,
) -> Result<[[u32; 4]; CPUID_CONFIG_LEAVES.len()], Failure> {
    let mut config = [[0; 4]; CPUID_CONFIG_LEAVES.len()];
    let count = read(module, sys::NUM_CPUID_CONFIG)?;
    if count != CPUID_CONFIG_LEAVES.len() as u64 {
        return Err(Failure::Unsuitable("its CPUID_CONFIG list is not that of module 1.5.01"));
    }
    for (index, values) in (0_u32..).zip(&mut config) {
        let low = read(module, sys::CPUID_CONFIG_VALUES.element(2 * index))?;
        let high = read(module, sys::CPUID_CONFIG_VALUES.element(2 * index + 1))?;
        *values = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
    }
    Ok(config)
}

/// Memory that can be converted.
fn cmrs(module: &mut dyn Seamcall) -> Result<Ranges<MAX_RANGES>, Failure> {
    let mut cmrs = Ranges::new();
    for index in 0..read(module, sys::NUM_CMRS)?.min(MAX_CMRS) as u32 {
        let base = read(module, sys::CMR_BASE.element(index))?;
        cmrs.insert(base, read(module, sys::CMR_SIZE.element(index))?);
    }
    Ok(cmrs)
}

fn read(module: &mut dyn Seamcall, field: FieldId) -> Result<u64, Failure> {
    module.sys_rd(field).map_err(Failure::module("TDH.SYS.RD"))
}

/// `offset` bytes into a page.
fn at(page: Hpa, offset: u64) -> Hpa {
    Hpa::try_new(page.bits() + offset % PAGE_SIZE).unwrap_or(page)
}

impl Capabilities {
    /// XFAM as KVM has it: what the processor has of what the module lets a TD have.
    pub(crate) fn xfam(&self, cpu: &mut dyn Cpu) -> u64 {
        /// CPUID leaf of the extended states. [SDM1 13.2]
        const XSAVE: u32 = 0xD;
        let [low, _, _, high] = cpu.cpuid(XSAVE, 0);
        let native = u64::from(low) | u64::from(high) << 32;
        let always = Xfam::X87.bits() | Xfam::SSE.bits();
        native & self.xfam_fixed0 | self.xfam_fixed1 | always
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeCpu, FakeMemory, FakeModule};
    use abi::Status;

    fn free() -> Ranges<MAX_RANGES> {
        let mut free = Ranges::new();
        free.insert(0x300_0000, 0x1000_0000);
        free
    }

    fn configured(module: &mut FakeModule) -> Result<System, Failure> {
        init(module, Ok(()))?;
        configure(module, &mut FakeMemory::new(), &mut FakeCpu::default(), free())
    }

    #[test]
    fn the_module_comes_up_in_the_order_of_linux() {
        let mut module = FakeModule::new();
        let system = configured(&mut module).unwrap();
        assert_eq!((system.global_hkid, system.hkid_shift), (32, 46));
        let expected = ["SYS.INIT", "SYS.LP.INIT", "SYS.CONFIG", "SYS.KEY.CONFIG"];
        assert_eq!(module.calls[..4], expected);
        assert_eq!(module.calls[4..], ["SYS.TDMR.INIT"; 256]);
    }

    #[test]
    fn only_convertible_memory_is_given() {
        let mut module = FakeModule::new();
        let (mut pool, mut memory) = (configured(&mut module).unwrap().pool, FakeMemory::new());
        while let Some(page) = pool.small(&mut memory) {
            assert!((0x300_0000..0x1010_0000).contains(&page.bits()));
        }
    }

    #[test]
    fn without_a_module_the_first_leaf_says_so() {
        let mut module = FakeModule::new();
        module.refusals.push(("SYS.INIT", Status::SEAMCALL_UD));
        assert_eq!(configured(&mut module).unwrap_err(), Failure::NoModule);
        assert_eq!(module.calls, ["SYS.INIT"]);
    }

    #[test]
    fn outside_vmx_operation_the_first_leaf_says_why() {
        let mut module = FakeModule::new();
        module.refusals.push(("SYS.INIT", Status::SEAMCALL_UD));
        let why = NotEntered::Disabled(1);
        let error = init(&mut module, Err(why)).unwrap_err();
        assert_eq!(error, Failure::NotInVmxOperation(why));
        // What is not #UD has another cause.
        let mut module = FakeModule::new();
        module.refusals.push(("SYS.INIT", Status::SEAMCALL_GP));
        assert_eq!(init(&mut module, Err(why)).unwrap_err(), Failure::TdxOff);
    }

    #[test]
    fn a_refusal_names_the_leaf() {
        for leaf in ["SYS.LP.INIT", "SYS.CONFIG", "SYS.KEY.CONFIG", "SYS.TDMR.INIT"] {
            let mut module = FakeModule::new();
            module.refusals.push((leaf, Status::SYS_BUSY));
            let text = std::format!("{}", configured(&mut module).unwrap_err());
            assert!(text.contains(leaf) && text.contains("SYS_BUSY"), "{text}");
        }
    }

    #[test]
    fn a_module_that_kvm_would_not_use_is_refused() {
        for features in [1 << 18, 1 << 20, 0] {
            let mut module = FakeModule::new();
            module.fields.insert(0x0A00_0000_0000_0008, features);
            assert!(matches!(configured(&mut module), Err(Failure::Unsuitable(_))));
        }
    }
}
