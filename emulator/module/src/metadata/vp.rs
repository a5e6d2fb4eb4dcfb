//! Values of a vCPU's fields. [ABI-G 12], [ABI-H 4.7]

use abi::field::vp::{
    ASSOC_LPID, CPUID_CONTROL, CPUID_SUPERVISOR_VE, CPUID_USER_VE, NOTIFY_WINDOW, PEND_NMI,
    PIN_BASED_CONTROLS, POSTED_INTR_DESC, POSTED_INTR_NV, SECONDARY_CONTROLS, SHARED_EPTP,
    TDVPS_PAGE_PA, VCPU_EPOCH, VCPU_INDEX, VCPU_STATE_DETAILS,
};
use abi::{Gpr, Operand, Status};

pub(crate) use super::vp_fields::FIELDS;
use super::vp_fields::{
    L2_CTLS, NUM_TDVPS_PAGES, PIN, RAX_TO_RBX, RBP_TO_R15, TSC_DEADLINE, VAPIC, VE_ADDRESSES,
    VE_EPTP_INDEX, VE_EXIT_REASON, VE_INSTRUCTION, VE_VALID,
};
use super::{Element, Side};
use crate::machine::{Machine, TDVPS_VAPIC};
use crate::module::{Module, POSTED_DESCRIPTOR_BYTES};
use crate::phys::PAGE;
use crate::td::tdvps::Tdvps;
use crate::virt::apic::{Vapic, VapicPage};

const VECTOR_MAX: u64 = 255;

/// VMCS encodings of the fields that posted interrupts need.
const VECTOR_ENCODING: u32 = 0x0002;
const DESCRIPTOR_ENCODING: u32 = 0x2016;

pub(crate) fn value(m: &dyn Machine, tdvps: &Tdvps, element: &Element) -> u64 {
    let index = element.index as usize;
    let ve = &tdvps.ve_info;
    match element.field() {
        VE_EXIT_REASON => u64::from(ve.reason),
        VE_VALID => u64::from(ve.valid),
        VE_ADDRESSES => [ve.qualification, ve.gla, ve.gpa].get(index).copied().unwrap_or(0),
        VE_EPTP_INDEX => u64::from(ve.eptp_index),
        VE_INSTRUCTION => u64::from(if index == 0 { ve.length } else { ve.info }),
        RAX_TO_RBX | RBP_TO_R15 => gpr(element).map_or(0, |gpr| tdvps.gprs[gpr]),
        VAPIC => m.read_u64(tdvps.pages[TDVPS_VAPIC] + u64::from(element.index) * 8),
        L2_CTLS => tdvps.l2_ctls.get(index).copied().unwrap_or(0),
        TSC_DEADLINE => tdvps.tsc_deadline.get(index).copied().unwrap_or(0),
        POSTED_INTR_NV => u64::from(tdvps.posted_vector),
        POSTED_INTR_DESC => tdvps.posted_descriptor,
        SHARED_EPTP => tdvps.shared_eptp,
        PIN_BASED_CONTROLS => u64::from(tdvps.pin_controls),
        SECONDARY_CONTROLS => u64::from(tdvps.secondary_controls),
        NOTIFY_WINDOW => u64::from(tdvps.notify_window),
        VCPU_STATE_DETAILS => u64::from(interrupt_is_pending(m, tdvps.pages[TDVPS_VAPIC])),
        VCPU_INDEX => u64::from(tdvps.index),
        NUM_TDVPS_PAGES => u64::from(tdvps.num_pages),
        ASSOC_LPID => u64::from(tdvps.assoc_lpid),
        VCPU_EPOCH => tdvps.epoch,
        CPUID_SUPERVISOR_VE => u64::from(tdvps.cpuid_supervisor_ve),
        CPUID_USER_VE => u64::from(tdvps.cpuid_user_ve),
        PEND_NMI => u64::from(tdvps.pend_nmi),
        TDVPS_PAGE_PA => tdvps.pages.get(index).copied().unwrap_or(0),
        CPUID_CONTROL => tdvps.cpuid_control.get(index).copied().map_or(0, u64::from),
        _ => 0,
    }
}

/// The register that an element of RAX_TO_RBX or RBP_TO_R15 is.
fn gpr(element: &Element) -> Option<Gpr> {
    let first = if element.field() == RBP_TO_R15 { Gpr::Rbp } else { Gpr::Rax };
    Gpr::ALL.get(first as usize + element.index as usize).copied()
}

/// Writes an element of the copy and gives its old value.
pub(crate) fn write(
    module: &Module,
    m: &dyn Machine,
    tdvps: &mut Tdvps,
    element: &Element,
    (side, value_in, request): (Side, u64, u64),
) -> Result<u64, Status> {
    let old = value(m, tdvps, element);
    let new = element.merge(side, old, value_in, request)?;
    let invalid = Status::METADATA_FIELD_VALUE_NOT_VALID;
    match element.field() {
        POSTED_INTR_NV if new > VECTOR_MAX => return Err(invalid),
        POSTED_INTR_NV => {
            tdvps.posted_vector = new as u16;
            tdvps.written |= Tdvps::WROTE_VECTOR;
        }
        POSTED_INTR_DESC => {
            let checked = module.shared_buffer(m, new, POSTED_DESCRIPTOR_BYTES, Operand::R8);
            checked.map_err(|_| invalid)?;
            tdvps.posted_descriptor = new;
            tdvps.written |= Tdvps::WROTE_DESCRIPTOR;
        }
        SHARED_EPTP => {
            let checked = module.shared_buffer(m, new, PAGE, Operand::R8);
            checked.map_err(|_| invalid)?;
            tdvps.shared_eptp = new;
        }
        PIN_BASED_CONTROLS => {
            check_posted_interrupts(tdvps, new)?;
            tdvps.pin_controls = new as u32;
        }
        SECONDARY_CONTROLS => tdvps.secondary_controls = new as u32,
        NOTIFY_WINDOW => tdvps.notify_window = new as u32,
        CPUID_SUPERVISOR_VE => tdvps.cpuid_supervisor_ve = new as u8,
        CPUID_USER_VE => tdvps.cpuid_user_ve = new as u8,
        PEND_NMI => tdvps.pend_nmi = new as u8,
        CPUID_CONTROL => set(&mut tdvps.cpuid_control, element, new as u8),
        RAX_TO_RBX | RBP_TO_R15 => {
            if let Some(gpr) = gpr(element) {
                tdvps.gprs[gpr] = new;
            }
        }
        // No element but those of nested VMs has an effect.
        L2_CTLS => set(&mut tdvps.l2_ctls, element, new),
        TSC_DEADLINE => set(&mut tdvps.tsc_deadline, element, new),
        _ => return Err(invalid),
    }
    Ok(old & element.readable(side).unwrap_or(0))
}

fn set<T>(elements: &mut [T], element: &Element, value: T) {
    if let Some(slot) = elements.get_mut(element.index as usize) {
        *slot = value;
    }
}

fn check_posted_interrupts(tdvps: &Tdvps, controls: u64) -> Result<(), Status> {
    let missing = |bit: u8| controls & PIN != 0 && tdvps.written & bit == 0;
    let not_initialized = Status::TD_VMCS_FIELD_NOT_INITIALIZED;
    if missing(Tdvps::WROTE_VECTOR) {
        return Err(not_initialized.with_detail(VECTOR_ENCODING));
    }
    if missing(Tdvps::WROTE_DESCRIPTOR) {
        return Err(not_initialized.with_detail(DESCRIPTOR_ENCODING));
    }
    Ok(())
}

/// Whether the virtual APIC holds a request above its PPR: VMXIP.
fn interrupt_is_pending(m: &dyn Machine, vapic: u64) -> bool {
    let mut page: VapicPage = [0; PAGE as usize];
    m.read(vapic, &mut page);
    let mut vapic = Vapic::new(&mut page);
    vapic.update_ppr();
    vapic.pending_above_ppr()
}
