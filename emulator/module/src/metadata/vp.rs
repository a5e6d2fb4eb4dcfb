//! Fields of a vCPU. [ABI-G 12], [ABI-H 4.7]

use abi::field::FieldId;
use abi::field::vp::{
    ASSOC_LPID, CPUID_CONTROL, CPUID_SUPERVISOR_VE, CPUID_USER_VE, NOTIFY_WINDOW, PEND_NMI,
    PIN_BASED_CONTROLS, POSTED_INTR_DESC, POSTED_INTR_NV, SECONDARY_CONTROLS, SHARED_EPTP,
    TDVPS_PAGE_PA, VCPU_EPOCH, VCPU_INDEX, VCPU_STATE_DETAILS,
};
use abi::{Operand, Status};

use super::{Element, Field, Side, host_only};
use crate::machine::{Machine, TDVPS_VAPIC};
use crate::module::{Module, PIN_POSTED_INTERRUPTS, POSTED_DESCRIPTOR_BYTES};
use crate::phys::PAGE;
use crate::sys::TDVPS_PAGES_MAX;
use crate::td::tdvps::Tdvps;
use crate::virt::apic::{Vapic, VapicPage};

const NUM_TDVPS_PAGES: FieldId = FieldId(0xA020_0000_0000_0003);

/// Process posted interrupts.
const PIN: u64 = PIN_POSTED_INTERRUPTS as u64;
/// Bus-lock detection and notification exiting.
const SECONDARY_WRITABLE: u64 = 1 << 30 | 1 << 31;
const EPTP_ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const VECTOR_MAX: u64 = 255;

/// VMCS encodings of the fields that posted interrupts need.
const VECTOR_ENCODING: u32 = 0x0002;
const DESCRIPTOR_ENCODING: u32 = 0x2016;

const BYTE: u64 = 0xFF;
const DWORD: u64 = 0xFFFF_FFFF;

pub(crate) const FIELDS: &[Field] = &[
    Field::new(POSTED_INTR_NV, 1, (0xFFFF, 0xFFFF), (0, 0)),
    Field::new(POSTED_INTR_DESC, 1, (u64::MAX, !(POSTED_DESCRIPTOR_BYTES - 1)), (0, 0)),
    Field::new(SHARED_EPTP, 1, (u64::MAX, EPTP_ADDRESS), (0, 0)),
    Field::new(PIN_BASED_CONTROLS, 1, (PIN, PIN), (0, 0)),
    Field::new(SECONDARY_CONTROLS, 1, (SECONDARY_WRITABLE, SECONDARY_WRITABLE), (0, 0)),
    Field::new(NOTIFY_WINDOW, 1, (DWORD, DWORD), (0, 0)),
    host_only(VCPU_STATE_DETAILS, 1),
    Field::new(VCPU_INDEX, 1, (DWORD, 0), (DWORD, 0)),
    host_only(NUM_TDVPS_PAGES, 1),
    host_only(ASSOC_LPID, 1),
    host_only(VCPU_EPOCH, 1),
    Field::new(CPUID_SUPERVISOR_VE, 1, (BYTE, 0), (BYTE, BYTE)),
    Field::new(CPUID_USER_VE, 1, (BYTE, 0), (BYTE, BYTE)),
    Field::new(PEND_NMI, 1, (BYTE, BYTE), (0, 0)),
    host_only(TDVPS_PAGE_PA, TDVPS_PAGES_MAX),
    Field::new(CPUID_CONTROL, 128, (0, 0), (BYTE, 3)),
];

pub(crate) fn value(m: &dyn Machine, tdvps: &Tdvps, element: &Element) -> u64 {
    let index = element.index as usize;
    match element.field() {
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
        CPUID_CONTROL => {
            if let Some(control) = tdvps.cpuid_control.get_mut(element.index as usize) {
                *control = new as u8;
            }
        }
        _ => return Err(invalid),
    }
    Ok(old & element.readable(side).unwrap_or(0))
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
