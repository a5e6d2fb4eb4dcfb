//! A look from the VMM's side, for tests: what it finds of a TD's data, asked for by port.
//!
//! | port | read | write, 32 bits |
//! |---|---|---|
//! | 0x5B0, 0x5B4 | ones | lower and upper half of the operand |
//! | 0x5B8 | how the last command ended: 1 done, 2 refused | 1: reads the dword of shared memory at the address in the operand (without SHARED bit). 2: counts the operand, as an aligned word, in all memory that is the VMM's |
//! | 0x5BC | the dword, or how many | nothing |
//!
//! A VMM with this device is a curious one: it leaves in removed pages what it finds there. Its memory is
//! that of its pool: free pages, shared ones, tables. Where a page is the module's or a TD's is
//! known by TDH.PHYMEM.PAGE.RDMD.

use abi::{Hpa, IoWidth, PAGE_SIZE, SharedGpa};

use crate::failure::Failure;
use crate::shared_ept::SharedEpt;
use crate::td::{Td, Vmm};

const OPERAND_LOW: u16 = 0x5B0;
const OPERAND_HIGH: u16 = 0x5B4;
const COMMAND: u16 = 0x5B8;
const RESULT: u16 = 0x5BC;

const READ: u32 = 1;
const COUNT: u32 = 2;
const DONE: u32 = 1;
const REFUSED: u32 = 2;

/// PAMT type of a page that nobody owns. [ABI-H 8]
const NOT_ASSIGNED: u64 = 0;

/// The device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    operand: u64,
    status: u32,
    result: u32,
}

impl Look {
    /// IN. None: not a port of this device.
    pub fn read(&self, port: u16, width: IoWidth) -> Option<u32> {
        match port {
            COMMAND if width == IoWidth::Dword => Some(self.status),
            RESULT if width == IoWidth::Dword => Some(self.result),
            _ => None,
        }
    }

    /// OUT. True: a command has to be carried out by [`Self::carry_out`].
    pub fn write(&mut self, port: u16, width: IoWidth, value: u32) -> bool {
        let low = self.operand as u32;
        match port {
            _ if width != IoWidth::Dword => return false,
            OPERAND_LOW => self.operand = self.operand >> 32 << 32 | u64::from(value),
            OPERAND_HIGH => self.operand = u64::from(value) << 32 | u64::from(low),
            _ => return port == COMMAND,
        }
        false
    }

    /// Does what was written to the command register.
    ///
    /// # Errors
    /// The module does not say whose a page is.
    pub fn carry_out(
        &mut self,
        vmm: &mut Vmm<'_>,
        td: &Td,
        shared: &SharedEpt,
        command: u32,
    ) -> Result<(), Failure> {
        let result = match command {
            READ => self.dword(vmm, td, shared),
            COUNT => Some(count(vmm, self.operand)?.try_into().unwrap_or(u32::MAX)),
            _ => None,
        };
        self.status = if result.is_some() { DONE } else { REFUSED };
        self.result = result.unwrap_or(u32::MAX);
        Ok(())
    }

    fn dword(&self, vmm: &Vmm<'_>, td: &Td, shared: &SharedEpt) -> Option<u32> {
        let gpa = SharedGpa::try_new(self.operand & !3, td.width).ok()?;
        let page = shared.backing(vmm.memory, gpa)?;
        let at = Hpa::try_new(page.bits() + (self.operand & !3) % PAGE_SIZE).ok()?;
        let mut bytes = [0; 4];
        vmm.memory.read(at, &mut bytes);
        Some(u32::from_le_bytes(bytes))
    }
}

/// How many words of the VMM's memory are `word`.
fn count(vmm: &mut Vmm<'_>, word: u64) -> Result<u64, Failure> {
    let pool = vmm.pool.clone();
    let mut found = 0;
    for (start, level) in pool.taken() {
        let pages = (start.bits()..start.bits() + level.bytes()).step_by(PAGE_SIZE as usize);
        for page in pages.filter_map(|at| Hpa::try_new(at).ok()) {
            let metadata = vmm.module.phymem_page_rdmd(page);
            let metadata = metadata.map_err(Failure::leaf("TDH.PHYMEM.PAGE.RDMD"))?;
            if metadata.page_type == NOT_ASSIGNED {
                found += vmm.memory.count(page, PAGE_SIZE, word);
            }
        }
    }
    for range in pool.never_taken() {
        if let Ok(start) = Hpa::try_new(range.start) {
            found += vmm.memory.count(start, range.len(), word);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use crate::seam::Memory as _;

    fn command(bench: &mut Bench, operand: u64, command: u32) -> (u32, u32) {
        let mut look = Look::default();
        assert!(!look.write(OPERAND_LOW, IoWidth::Dword, operand as u32));
        assert!(!look.write(OPERAND_HIGH, IoWidth::Dword, (operand >> 32) as u32));
        assert!(look.write(COMMAND, IoWidth::Dword, command));
        let shared = bench.vcpu.shared;
        bench.with(|vmm, td| look.carry_out(vmm, td, &shared, command)).unwrap();
        let read = |port| look.read(port, IoWidth::Dword).unwrap();
        (read(COMMAND), read(RESULT))
    }

    #[test]
    fn shared_memory_is_read_where_there_is_some() {
        let mut bench = Bench::new();
        assert_eq!(command(&mut bench, 0x5004, READ), (REFUSED, u32::MAX));
        let (shared, gpa) =
            (bench.vcpu.shared, SharedGpa::try_new(0x5000, bench.td.width).unwrap());
        let page = bench.with(|vmm, _| shared.map(vmm.memory, &mut vmm.pool, gpa)).unwrap();
        bench.memory.write_u64(page, 0x1122_3344_5566_7788);
        assert_eq!(command(&mut bench, 0x5004, READ), (DONE, 0x1122_3344));
        assert_eq!(command(&mut bench, 1 << 60, READ), (REFUSED, u32::MAX));
        assert_eq!(command(&mut bench, 0, 3), (REFUSED, u32::MAX));
    }

    #[test]
    fn words_are_counted_in_pages_that_are_the_vmms() {
        const WORD: u64 = 0x0123_4567_89AB_CDEF;
        let mut bench = Bench::new();
        assert_eq!(command(&mut bench, WORD, COUNT), (DONE, 0));
        let page = bench.with(|vmm, _| vmm.pool.own(vmm.memory)).unwrap();
        bench.memory.write_u64(page, WORD);
        bench.memory.write_u64(Hpa::new(page.bits() + 4088), WORD);
        // Far into what was never taken.
        bench.memory.write_u64(Hpa::new(page.bits() + (20 << 20)), WORD);
        assert_eq!(command(&mut bench, WORD, COUNT), (DONE, 3));
        bench.module.owned.insert(page.bits(), PAGE_SIZE);
        assert_eq!(command(&mut bench, WORD, COUNT), (DONE, 1));
    }
}
