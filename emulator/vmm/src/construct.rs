//! A TD built from an image, in the order of QEMU and KVM. [TDVF 1.7], [ABI-H 3.10]
//!
//! MNG.CREATE, KEY.CONFIG, ADDCX, INIT; VP.CREATE, ADDCX, INIT and the fields KVM writes;
//! then the sections in the order of the image, page by page: SEPT.ADD where a table is
//! missing, PAGE.ADD, and 16 MR.EXTENDs if the section is measured; MR.FINALIZE.

use abi::field::{td as td_field, vp};
use abi::{Hpa, PAGE_SIZE, PageLevel, PrivateGpa};
use image::{Metadata, Section, SectionKind, hob};
use zerocopy::IntoBytes;

use crate::config::Config;
use crate::conversion::Conversion;
use crate::failure::Failure;
use crate::fault;
use crate::features::Features;
use crate::guest_memory::GuestMemory;
use crate::iommu::Iommu;
use crate::lapic::Lapic;
use crate::pci::Pci;
use crate::shared_ept::SharedEpt;
use crate::system::Capabilities;
use crate::td::{NOTIFICATION_VECTOR, PostedInterrupts, Td, TdClock, Vcpu, Vmm};
use crate::td_params::td_params;
use crate::teardown::Keys;
use crate::vmcall::{Ioapic, Msrs, Ports};

/// PIN_BASED controls: process posted interrupts.
const PROCESS_POSTED_INTERRUPTS: u64 = 1 << 7;
/// Bytes of one MR.EXTEND.
const EXTEND_BYTES: usize = 256;
/// The longest list: PHIT, two RAM ranges, two items for each section, END.
pub const HOB_BYTES: usize = 2 * PAGE_SIZE as usize;

/// A file in the VMM's memory.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where they are; a page boundary.
    pub at: Hpa,
}

/// TDH.MNG.CREATE: from here on there is something to tear down.
///
/// # Errors
/// The leaf fails, or there is no page.
pub fn create(
    vmm: &mut Vmm<'_>,
    config: &Config,
    image_bytes: u64,
    hkid: u16,
    keys: &Keys,
) -> Result<Td, Failure> {
    let tdr = give(vmm, |vmm, page| {
        vmm.module.mng_create(page, hkid).map_err(Failure::module("TDH.MNG.CREATE"))
    })?;
    Ok(Td {
        tdr,
        key_bits: keys.in_address(hkid),
        tdvpr: None,
        width: config.gpa_width,
        guest: GuestMemory::new(config.memory, image_bytes)
            .listing(config.memory - config.unlisted),
        page_level: config.page_level,
        dirty_pages: config.features.contains(Features::DIRTY_PAGES),
        is_curious: config.features.contains(Features::LOOK),
        conversion: Conversion::new(config.map_gpa),
    })
}

/// The TD's control structure.
///
/// # Errors
/// A leaf fails, there is no page, or the configuration asks for what there is not.
pub fn configure(
    vmm: &mut Vmm<'_>,
    td: &Td,
    config: &Config,
    capabilities: &Capabilities,
) -> Result<(), Failure> {
    vmm.module.mng_key_config(td.tdr).map_err(Failure::module("TDH.MNG.KEY.CONFIG"))?;
    for _ in 0..capabilities.tdcs_pages {
        give(vmm, |vmm, page| {
            vmm.module.mng_addcx(page, td.tdr).map_err(Failure::module("TDH.MNG.ADDCX"))
        })?;
    }
    let params = td_params(config, capabilities, vmm.cpu)?;
    let buffer = own(vmm)?;
    vmm.memory.write(buffer, params.as_bytes());
    vmm.module.mng_init(td.tdr, buffer).map_err(Failure::leaf("TDH.MNG.INIT"))
}

/// The vCPU, which starts with the address of the TD HOB in RCX and R8.
///
/// # Errors
/// A leaf fails, or there is no page.
pub fn vcpu(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    config: &Config,
    capabilities: &Capabilities,
    td_hob: u64,
) -> Result<Vcpu, Failure> {
    let tdvpr = give(vmm, |vmm, page| {
        vmm.module.vp_create(page, td.tdr).map_err(Failure::module("TDH.VP.CREATE"))
    })?;
    td.tdvpr = Some(tdvpr);
    for _ in 1..capabilities.tdvps_pages {
        give(vmm, |vmm, page| {
            vmm.module.vp_addcx(page, tdvpr).map_err(Failure::module("TDH.VP.ADDCX"))
        })?;
    }
    let init = vmm.module.vp_init(tdvpr, td_hob, crate::X2APIC_ID);
    init.map_err(Failure::module("TDH.VP.INIT"))?;

    let mut shared = SharedEpt::new(vmm.memory, &mut vmm.pool, td.width)?;
    let descriptor = own(vmm)?;
    vmm.memory.zero(descriptor, PAGE_SIZE);
    for (field, value) in [
        (vp::POSTED_INTR_NV, NOTIFICATION_VECTOR.into()),
        (vp::POSTED_INTR_DESC, descriptor.bits()),
        (vp::PIN_BASED_CONTROLS, PROCESS_POSTED_INTERRUPTS),
        (vp::SHARED_EPTP, shared.root().bits()),
    ] {
        let written = vmm.module.vp_wr(tdvpr, field, value, u64::MAX);
        written.map_err(Failure::module("TDH.VP.WR"))?;
    }
    let clock = TdClock {
        offset: mng_rd(vmm, td, td_field::TSC_OFFSET)?,
        multiplier: mng_rd(vmm, td, td_field::TSC_MULTIPLIER)?,
    };
    let mut ports = Ports::new(config.features);
    ports.pci = devices(vmm, &mut shared)?;
    Ok(Vcpu {
        tdvpr,
        shared,
        lapic: Lapic::new(crate::X2APIC_ID),
        msrs: Msrs::new(),
        ports,
        features: config.features,
        ioapic: Ioapic::default(),
        posted: PostedInterrupts::new(descriptor),
        clock,
        wrong: config.wrong,
    })
}

/// The PCI functions that the TD gets, behind the IOMMU if there is one.
fn devices(vmm: &mut Vmm<'_>, shared: &mut SharedEpt) -> Result<Pci, Failure> {
    let mut pci = Pci::find(vmm.devices);
    if pci.functions().next().is_none() {
        return Ok(pci);
    }
    let (tables, functions) = (shared.device_tables(), pci.functions());
    let iommu = Iommu::start(vmm.devices, vmm.memory, &mut vmm.pool, tables, functions)?;
    let count = pci.functions().count();
    log::info!(
        "{count} virtio devices, {} an IOMMU",
        if iommu.is_some() { "behind" } else { "without" }
    );
    if let Some(iommu) = iommu {
        pci.confine(iommu);
        shared.iommu = Some(iommu);
    }
    Ok(pci)
}

/// The image's sections, then TDH.MR.FINALIZE. Returns the first page that was added.
///
/// # Errors
/// A leaf fails, there is no page, or image and memory do not fit together.
pub fn load(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    image: Image<'_>,
    metadata: &Metadata<'_>,
    hob: &mut [u8; HOB_BYTES],
) -> Result<Hpa, Failure> {
    let len = hob::build_for(metadata, td.guest.listed(), hob)?;
    log::info!("TD HOB of {len} bytes at {:#x}", metadata.td_hob().memory_address);
    let staging = own(vmm)?;
    let mut first = None;
    for section in metadata.sections() {
        log::info!(
            "section {} {}{}",
            section.kind,
            section.memory(),
            if section.is_measured() { " measured" } else { "" }
        );
        let is_hob = *section == metadata.td_hob();
        for (index, gpa) in section.page_addresses().enumerate() {
            let source = source(vmm, image, section, index, is_hob.then_some(&hob[..]), staging);
            let page = add(vmm, td, gpa, source, section.is_measured())?;
            first.get_or_insert(page);
        }
    }
    vmm.module.mr_finalize(td.tdr).map_err(Failure::module("TDH.MR.FINALIZE"))?;
    first.ok_or(Failure::OutOfMemory("an image without pages"))
}

/// MRTD, as the module has it.
///
/// # Errors
/// TDH.MNG.RD fails.
pub fn mrtd(vmm: &mut Vmm<'_>, td: &Td) -> Result<[u8; 48], Failure> {
    let mut mrtd = [0; 48];
    for (index, word) in (0..).zip(mrtd.chunks_exact_mut(8)) {
        let value = mng_rd(vmm, td, td_field::MRTD.element(index))?;
        word.copy_from_slice(&value.to_le_bytes());
    }
    Ok(mrtd)
}

/// Where the content of a section's page is: in the image itself, or put into `staging`.
fn source(
    vmm: &mut Vmm<'_>,
    image: Image<'_>,
    section: &Section,
    index: usize,
    hob: Option<&[u8]>,
    staging: Hpa,
) -> Hpa {
    const PAGE: usize = PAGE_SIZE as usize;
    let offset = index * PAGE;
    if matches!(section.kind, SectionKind::Bfv | SectionKind::Cfv) {
        let at = image.at.bits() + u64::from(section.data_offset) + offset as u64;
        return Hpa::try_new(at).unwrap_or(staging);
    }
    vmm.memory.zero(staging, PAGE_SIZE);
    if let Some(bytes) = hob.and_then(|hob| hob.get(offset..offset + PAGE)) {
        vmm.memory.write(staging, bytes);
    }
    staging
}

/// One page: SEPT.ADD as needed, PAGE.ADD, and MR.EXTEND of all of it.
fn add(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    gpa: u64,
    source: Hpa,
    is_measured: bool,
) -> Result<Hpa, Failure> {
    let private = |gpa| {
        PrivateGpa::try_new(gpa, td.width)
            .map_err(|_| Failure::Unsuitable("an image page is shared"))
    };
    let (at, tdr) = (private(gpa)?, td.tdr);
    let page = give(vmm, |vmm, page| {
        fault::with_sept(vmm, td, at, "TDH.MEM.PAGE.ADD", |vmm| {
            vmm.module.mem_page_add(at, tdr, page, source)
        })
    })?;
    if is_measured {
        for chunk in (0..PAGE_SIZE).step_by(EXTEND_BYTES) {
            let extended = vmm.module.mr_extend(private(gpa + chunk)?, tdr);
            extended.map_err(Failure::leaf("TDH.MR.EXTEND"))?;
        }
    }
    Ok(page)
}

/// Gives a page to the module by `leaf`.
fn give(
    vmm: &mut Vmm<'_>,
    leaf: impl FnOnce(&mut Vmm<'_>, Hpa) -> Result<(), Failure>,
) -> Result<Hpa, Failure> {
    vmm.give(PageLevel::Size4K, "the TD", leaf)
}

fn own(vmm: &mut Vmm<'_>) -> Result<Hpa, Failure> {
    vmm.pool.own(vmm.memory).ok_or(Failure::OutOfMemory("the VMM"))
}

fn mng_rd(vmm: &mut Vmm<'_>, td: &Td, field: abi::field::FieldId) -> Result<u64, Failure> {
    vmm.module.mng_rd(td.tdr, field).map_err(Failure::module("TDH.MNG.RD"))
}
