//! The state of a vCPU after TDH.VP.INIT. [ABI-G 6]

use zerocopy::{FromZeros, IntoBytes};

use super::super::pages::XsaveArea;
use super::super::vmcb::{Save, Segment, Vmcb, cr0, cr4, efer, rflags};
use super::state::{self, TdState};
use crate::machine::{Machine, TDVPS_FIELDS, TDVPS_PAGES, TDVPS_VAPIC, TDVPS_VMCB, TDVPS_XSAVE};

/// Where a vCPU starts.
const RESET_VECTOR: u64 = 0xFFFF_FFF0;

/// Writes the reset state to the pages of a TDVPS, all but the GPRs.
pub(crate) fn reset(machine: &mut dyn Machine, pages: &[u64; TDVPS_PAGES]) {
    let mut vmcb = Vmcb::new_zeroed();
    set_initial(&mut vmcb.save);
    machine.write(pages[TDVPS_VMCB], vmcb.as_bytes());
    let mut xsave = XsaveArea::new_zeroed();
    xsave.reset();
    machine.write(pages[TDVPS_XSAVE], xsave.as_bytes());
    machine.zero(pages[TDVPS_VAPIC], 4096);
    let mut kept = TdState::new_zeroed();
    kept.xcr0 = 1;
    machine.write(state::address(pages[TDVPS_FIELDS]), kept.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::super::super::memory::Memory;
    use super::super::super::memory::fake::Sparse;
    use super::*;
    use zerocopy::FromBytes;

    /// A machine that is memory and nothing else.
    #[derive(Default)]
    struct Plain(Sparse);

    impl Machine for Plain {
        fn read(&self, hpa: u64, buf: &mut [u8]) {
            Memory::read(&self.0, hpa, buf);
        }
        fn write(&mut self, hpa: u64, bytes: &[u8]) {
            Memory::write(&mut self.0, hpa, bytes);
        }
        fn zero(&mut self, hpa: u64, len: u64) {
            (0..len / 8).for_each(|n| Memory::write_u64(&mut self.0, hpa + n * 8, 0));
        }
        fn hide_from_vmm(&mut self, _: u64, _: u64) {}
        fn show_to_vmm(&mut self, _: u64, _: u64) {}
        fn flush_td(&mut self, _: u64) {}
        fn reset_vcpu(&mut self, _: &[u64; TDVPS_PAGES]) {}
        fn guest_rip(&self, _: u64) -> u64 {
            0
        }
        fn vmm_msr(&self, _: u32) -> u64 {
            0
        }
        fn random(&mut self) -> u64 {
            0
        }
        fn tsc(&self) -> u64 {
            0
        }
    }

    #[test]
    fn the_reset_state_is_the_references_table() {
        let mut machine = Plain::default();
        let pages = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000];
        machine.write(0x1000, &[7; 8]);
        reset(&mut machine, &pages);
        let mut bytes = [0; 4096];
        machine.read(0x2000, &mut bytes);
        let Save { cs, ss, ldtr, tr, gdtr, idtr, cr0, cr4, efer, rip, rflags, .. } =
            Vmcb::read_from_bytes(&bytes).expect("a page").save;
        assert_eq!((rip, rflags, cr0, cr4), (0xFFFF_FFF0, 2, 0x31, 0x40));
        assert_eq!(crate::virt::cr::read_efer(efer), 0x901);
        // Access rights as VMX has them: 0xC09B, 0xC093, 0x8B; SVM packs bits 15:12 to 11:8.
        assert_eq!((cs.attributes, cs.limit, cs.selector), (0xC9B, u32::MAX, 0));
        assert_eq!((ss.attributes, ss.limit), (0xC93, u32::MAX));
        assert_eq!((ldtr.limit, tr.attributes, tr.limit), (0xFFFF, 0x8B, 0xFFFF));
        assert_eq!((gdtr.limit, idtr.limit), (0xFFFF, 0));
        machine.read(0x4000, &mut bytes);
        assert_eq!(
            (bytes[..2].to_vec(), bytes[24..28].to_vec()),
            (std::vec![0x7F, 3], std::vec![0x80, 0x1F, 0, 0])
        );
        assert_eq!(machine.read_u64(state::address(0x1000)), 1);
        assert_eq!(machine.read_u64(0x1000), 0x0707_0707_0707_0707, "the registers are the leaf's");
    }
}
