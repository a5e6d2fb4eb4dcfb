//! The guest linear address of an EPT violation, which SVM does not report.
//!
//! The faulting instruction is decoded and every address that it may have touched
//! is translated by the guest's own page tables, the likely ones first; the address
//! that leads to the faulting guest-physical address is the one. Left out: gathers
//! and EVEX operands, which give none.

use abi::{Gpr, Regs};

use super::decode::{Base, Instruction, Map, MemoryOperand, SegmentName};
use super::memory::GuestPhysical;
use super::vmcb::{Save, Segment};
use super::walk::{Paging, walk};

/// Where the access that faulted came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The instruction's fetch.
    Fetch,
    /// Its execution.
    Execution,
    /// The delivery of an event with this vector: IDT, GDT, TSS and stacks.
    Delivery(u8),
}

/// A fault whose linear address is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    /// The faulting guest-physical address.
    pub gpa: u64,
    /// The access was to a paging structure.
    pub in_walk: bool,
    /// What was going on.
    pub cause: Cause,
    /// The instruction at RIP, if its bytes could be read.
    pub instruction: Option<&'a Instruction>,
    /// GPRs, with RSP.
    pub regs: &'a Regs,
    /// The rest of the CPU.
    pub save: &'a Save,
}

/// The linear address of `fault`.
pub(super) fn find<G: GuestPhysical + ?Sized>(guest: &G, fault: &Fault<'_>) -> Option<u64> {
    let mut search = Search { guest, fault, paging: Paging::of(fault.save)?, found: None };
    match fault.cause {
        Cause::Fetch => {}
        Cause::Execution => search.execution(),
        Cause::Delivery(vector) => search.delivery(vector),
    }
    search.fetch();
    search.tables();
    search.found
}

/// The linear address of `offset` in a segment.
#[must_use]
pub(super) fn linear(save: &Save, segment: SegmentName, offset: u64) -> u64 {
    let Segment { base, .. } = *segment_of(save, segment);
    match (save.is_long64(), segment) {
        (true, SegmentName::Fs | SegmentName::Gs) => base.wrapping_add(offset),
        (true, _) => offset,
        (false, _) => base.wrapping_add(offset) & 0xFFFF_FFFF,
    }
}

const fn segment_of(save: &Save, segment: SegmentName) -> &Segment {
    match segment {
        SegmentName::Es => &save.es,
        SegmentName::Cs => &save.cs,
        SegmentName::Ss => &save.ss,
        SegmentName::Ds => &save.ds,
        SegmentName::Fs => &save.fs,
        SegmentName::Gs => &save.gs,
    }
}

struct Search<'a, G: ?Sized> {
    guest: &'a G,
    fault: &'a Fault<'a>,
    paging: Paging,
    found: Option<u64>,
}

impl<G: GuestPhysical + ?Sized> Search<'_, G> {
    /// Tries the page of `address`, then the pages that `reach` more bytes cross into.
    fn try_range(&mut self, address: u64, reach: u64) {
        let last = address.wrapping_add(reach) & !0xFFF;
        let mut at = address;
        loop {
            self.try_address(at);
            if self.found.is_some() || at & !0xFFF == last {
                return;
            }
            at = (at & !0xFFF).wrapping_add(0x1000);
        }
    }

    fn try_address(&mut self, address: u64) {
        if self.found.is_some() {
            return;
        }
        let gpa = self.fault.gpa;
        let mut visited = false;
        let target = walk(self.guest, self.paging, address, |entry| visited |= entry == gpa & !7);
        if self.fault.in_walk {
            self.found = visited.then_some(address);
        } else if target.is_some_and(|target| target & !0xFFF == gpa & !0xFFF) {
            self.found = Some(address & !0xFFF | gpa & 0xFFF);
        }
    }

    fn execution(&mut self) {
        if let Some(instruction) = self.fault.instruction {
            self.operand(instruction);
            self.implicit(instruction);
        }
        let rsp = linear(self.fault.save, SegmentName::Ss, self.fault.regs.rsp);
        self.try_range(rsp.wrapping_sub(64), 128);
    }

    /// The operand that ModRM or a moffs field names.
    fn operand(&mut self, instruction: &Instruction) {
        /// The longest operand that can leave its page: an XSAVE area.
        const REACH: u64 = 0xFFF;
        let Some(operand) = instruction.memory else { return };
        let next = self.fault.save.rip.wrapping_add(u64::from(instruction.length));
        let offset = operand.offset(self.fault.regs, next);
        let address = linear(self.fault.save, operand.segment, offset);
        if let Some(bit) = self.bit_offset(instruction) {
            self.try_range(address.wrapping_add_signed(bit), 8);
        }
        self.try_range(address, REACH);
    }

    /// BT, BTS, BTR and BTC with a register reach up to 2^60 bytes away.
    fn bit_offset(&self, instruction: &Instruction) -> Option<i64> {
        let is_bit_test = matches!(instruction.opcode, 0xA3 | 0xAB | 0xB3 | 0xBB);
        (instruction.map == Map::Two && !instruction.is_vector && is_bit_test).then(|| {
            let index = self.fault.regs[Gpr::from_number(instruction.reg())];
            match (instruction.prefixes.wide(), instruction.prefixes.operand_size) {
                (true, _) => (index as i64) >> 6 << 3,
                (false, false) => i64::from(index as i32) >> 5 << 2,
                (false, true) => i64::from(index as i16) >> 4 << 1,
            }
        })
    }

    /// String instructions, XLAT and MASKMOV. Cheap to try for any instruction.
    fn implicit(&mut self, instruction: &Instruction) {
        let is_xlat = instruction.map == Map::One && instruction.opcode == 0xD7;
        let source = instruction.prefixes.segment.unwrap_or(SegmentName::Ds);
        let al = self.fault.regs.rax & 0xFF;
        let bits = instruction.address_bits;
        let tries = [
            (Gpr::Rbx, source, if is_xlat { al as i64 } else { 0 }, is_xlat),
            (Gpr::Rsi, source, 0, true),
            (Gpr::Rdi, SegmentName::Es, 0, true),
            (Gpr::Rdi, source, 0, true),
        ];
        for (gpr, segment, displacement, applies) in tries {
            let operand = MemoryOperand {
                segment,
                base: Base::Gpr(gpr),
                index: None,
                displacement,
                address_bits: bits,
            };
            if applies {
                let offset = operand.offset(self.fault.regs, 0);
                self.try_range(linear(self.fault.save, segment, offset), 15);
            }
        }
    }

    fn fetch(&mut self) {
        self.try_range(linear(self.fault.save, SegmentName::Cs, self.fault.save.rip), 14);
    }

    /// IDT entry, TSS and the stacks that it names.
    fn delivery(&mut self, vector: u8) {
        let save = self.fault.save;
        let is_long = save.efer & super::vmcb::efer::LMA != 0;
        let entry_bytes = if is_long { 16 } else { 8 };
        self.try_range(
            save.idtr.base.wrapping_add(u64::from(vector) * entry_bytes),
            entry_bytes - 1,
        );
        self.try_range(save.tr.base, 0x67);
        for slot in [0x04, 0x0C, 0x14, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54] {
            if let Some(stack) = self.peek(save.tr.base.wrapping_add(slot)) {
                self.try_range(stack.wrapping_sub(64), 63);
            }
        }
        let rsp = linear(save, SegmentName::Ss, self.fault.regs.rsp);
        self.try_range((rsp & !15).wrapping_sub(64), 79);
    }

    fn peek(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        let read = super::walk::read_linear(self.guest, self.paging, address, &mut bytes);
        (read == bytes.len()).then(|| u64::from_le_bytes(bytes))
    }

    /// Descriptor tables: any instruction that loads a segment reads them.
    fn tables(&mut self) {
        let save = self.fault.save;
        for table in [&save.gdtr, &save.ldtr, &save.idtr, &save.tr] {
            self.try_range(table.base, u64::from(table.limit.min(0xFFFF)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{CodeMode, decode};
    use super::super::memory::Memory;
    use super::super::memory::fake::Sparse;
    use super::super::vmcb::{Vmcb, cr0, efer};
    use super::*;
    use zerocopy::FromZeros;

    const MMIO: u64 = 1 << 51 | 0xFEC0_0000;

    /// A 4-level guest: linear 1 GiB + n pages -> GPA n pages; linear 2 GiB -> MMIO.
    fn guest() -> (Sparse, Save) {
        let mut memory = Sparse::default();
        memory.write_u64(0x1000, 0x2000 | 3);
        memory.write_u64(0x2008, 0x83);
        memory.write_u64(0x2010, 0x3000 | 3);
        memory.write_u64(0x3000, 0x4000 | 3);
        memory.write_u64(0x4000, MMIO | 3);
        memory.write_u64(0x4008, (MMIO + 0x20_0000) | 3);
        let mut save = Vmcb::new_zeroed().save;
        save.cr3 = 0x1000;
        save.cr0 = cr0::PG | cr0::PE;
        save.efer = efer::LMA | efer::LME;
        save.cs.attributes = Segment::LONG;
        save.rip = 0x4000_0000;
        (memory, save)
    }

    fn search(
        bytes: &[u8],
        gpa: u64,
        in_walk: bool,
        cause: Cause,
        change: impl Fn(&mut Regs, &mut Save),
    ) -> Option<u64> {
        let (memory, mut save) = guest();
        let mut regs = Regs { rsp: 0x4010_0000, ..Regs::default() };
        change(&mut regs, &mut save);
        let instruction = decode(bytes, CodeMode::Long64);
        let instruction = instruction.as_ref();
        find(&memory, &Fault { gpa, in_walk, cause, instruction, regs: &regs, save: &save })
    }

    const MOV_FROM_RBX_16: [u8; 3] = [0x8B, 0x43, 0x10];

    #[test]
    fn an_operand_in_mmio_is_found_with_its_offset() {
        let at = |rbx| move |regs: &mut Regs, _: &mut Save| regs.rbx = rbx;
        let found = search(&MOV_FROM_RBX_16, MMIO + 0x10, false, Cause::Execution, at(0x8000_0000));
        assert_eq!(found, Some(0x8000_0010));
        let missed =
            search(&MOV_FROM_RBX_16, MMIO + 0x10, false, Cause::Execution, at(0x4000_0000));
        assert_eq!(missed, None);
    }

    #[test]
    fn an_access_that_crosses_a_page_reports_the_second_one() {
        let at = |regs: &mut Regs, _: &mut Save| regs.rbx = 0x8000_0FFE - 0x10;
        let found = search(&MOV_FROM_RBX_16, MMIO + 0x20_0000, false, Cause::Execution, at);
        assert_eq!(found, Some(0x8000_1000));
    }

    #[test]
    fn a_paging_structure_gives_the_address_whose_walk_met_it() {
        let at = |regs: &mut Regs, _: &mut Save| regs.rbx = 0x8000_1234;
        let found = search(&MOV_FROM_RBX_16, 0x4008, true, Cause::Execution, at);
        assert_eq!(found, Some(0x8000_1244));
    }

    #[test]
    fn pushes_string_moves_fetches_and_segment_bases() {
        let none = |_: &mut Regs, _: &mut Save| ();
        assert_eq!(search(&[0x50], 0xF_FFF8, false, Cause::Execution, none), Some(0x400F_FFF8));
        assert_eq!(search(&[], 0, false, Cause::Fetch, none), Some(0x4000_0000));
        let strings = |regs: &mut Regs, _: &mut Save| {
            (regs.rsi, regs.rdi) = (0x4020_0000, 0x8000_0004);
        };
        assert_eq!(
            search(&[0xF3, 0xA4], MMIO + 4, false, Cause::Execution, strings),
            Some(0x8000_0004)
        );
        let gs = |regs: &mut Regs, save: &mut Save| {
            (regs.rax, save.gs.base) = (8, 0x8000_0000);
        };
        assert_eq!(
            search(&[0x65, 0x8B, 0x00], MMIO + 8, false, Cause::Execution, gs),
            Some(0x8000_0008)
        );
    }

    #[test]
    fn a_bit_test_reaches_beyond_its_operand() {
        let far = |regs: &mut Regs, _: &mut Save| {
            (regs.rbx, regs.rcx) = (0x7FFF_F000, 0x1000 * 8 + 65);
        };
        let bts = [0x48, 0x0F, 0xAB, 0x0B];
        assert_eq!(search(&bts, MMIO + 8, false, Cause::Execution, far), Some(0x8000_0008));
    }

    #[test]
    fn delivery_looks_at_the_idt_the_tss_and_the_stacks() {
        let idt = |_: &mut Regs, save: &mut Save| save.idtr.base = 0x8000_0000;
        assert_eq!(search(&[], MMIO + 0x140, false, Cause::Delivery(20), idt), Some(0x8000_0140));
        let stack = |regs: &mut Regs, _: &mut Save| regs.rsp = 0x8000_0100;
        assert_eq!(search(&[], MMIO + 0xF8, false, Cause::Delivery(20), stack), Some(0x8000_00F8));
    }
}
