//! The state of a vCPU after TDH.VP.INIT. [ABI-G 6]

use zerocopy::{FromZeros, IntoBytes};

use super::pages::XsaveArea;
use super::td_state::{self, TdState};
use super::vmcb::{Save, Segment, Vmcb, cr0, cr4, efer, rflags};
use crate::machine::{Machine, TDVPS_FIELDS, TDVPS_PAGES, TDVPS_VAPIC, TDVPS_VMCB, TDVPS_XSAVE};

/// Where a vCPU starts.
const RESET_VECTOR: u64 = 0xFFFF_FFF0;

/// Writes the reset state to the pages of a TDVPS, all but the GPRs.
pub fn reset(machine: &mut dyn Machine, pages: &[u64; TDVPS_PAGES]) {
    let mut vmcb = Vmcb::new_zeroed();
    set_initial(&mut vmcb.save);
    machine.write(pages[TDVPS_VMCB], vmcb.as_bytes());
    let mut xsave = XsaveArea::new_zeroed();
    xsave.reset();
    machine.write(pages[TDVPS_XSAVE], xsave.as_bytes());
    machine.zero(pages[TDVPS_VAPIC], 4096);
    let state = TdState { xcr0: 1, ..TdState::new_zeroed() };
    machine.write(td_state::address(pages[TDVPS_FIELDS]), state.as_bytes());
}

fn set_initial(save: &mut Save) {
    const CODE_32: u16 = 0xC9B;
    const DATA_32: u16 = 0xC93;
    const BUSY_TSS_32: u16 = 0x8B;
    const LDT: u16 = 0x82;
    let data = Segment::flat(DATA_32, u32::MAX);
    (save.es, save.ss, save.ds, save.fs, save.gs) = (data, data, data, data, data);
    save.cs = Segment::flat(CODE_32, u32::MAX);
    save.ldtr = Segment::flat(LDT, 0xFFFF);
    save.tr = Segment::flat(BUSY_TSS_32, 0xFFFF);
    save.gdtr = Segment::flat(0, 0xFFFF);
    save.idtr = Segment::flat(0, 0);
    save.cr0 = cr0::PE | cr0::NE | cr0::ET;
    save.cr4 = cr4::MCE;
    save.efer = efer::SCE | efer::LME | efer::NXE | efer::SVME;
    save.rip = RESET_VECTOR;
    save.rflags = rflags::RESERVED_1;
    (save.dr6, save.dr7) = (0xFFFF_0FF0, 0x400);
    save.g_pat = 0x0007_0406_0007_0406;
    save.sfmask = 0x2_0200;
}
