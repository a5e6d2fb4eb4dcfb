//! The virtual x2APIC over the vCPU's virtual-APIC page. [ABI-G 8, 14]
//!
//! A TD's x2APIC is what VMX virtualises with virtual-interrupt delivery: TPR, PPR,
//! EOI, ISR, IRR, TMR and SELF_IPI, and nothing else. Interrupts come as posted
//! vectors. RVI and SVI, which VMX keeps apart, are here the highest bits of IRR and
//! ISR, as they always are there. [SDM3 30.1-30.6]
//!
//! Older TCG has no x2APIC at all [SVM B1.9], and its V_IRQ can abort QEMU [SVM B1.1]:
//! `svm/` intercepts the MSRs and CR8, and injects [`Vapic::deliverable`] itself.

use crate::machine::Exception;

/// A virtual-APIC page.
pub type VapicPage = [u8; 4096];

/// What RDMSR of 0x800-0x8FF does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApicRead {
    /// EDX:EAX take this value.
    Value(u64),
    /// #VE with reason 31, qualification 0.
    Ve,
    /// #GP(0).
    Gp,
}

/// What WRMSR to 0x800-0x8FF does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApicWrite {
    /// The instruction is done; an interrupt may have become deliverable.
    Done,
    /// #VE with reason 32, qualification 0.
    Ve,
    /// The instruction is done, so RIP moves past it; then #VE with reason 56 and this
    /// qualification.
    DoneThenVe(u64),
    /// #GP(0).
    Gp,
}

const TPR: usize = 0x080;
const PPR: usize = 0x0a0;
const ISR: usize = 0x100;
const IRR: usize = 0x200;
const SELF_IPI: usize = 0x3f0;
/// Vectors below this are illegal for an APIC.
const FIRST_VECTOR: u64 = 16;

/// The virtual x2APIC of one vCPU. The page is all zero after TDH.VP.INIT.
#[derive(Debug)]
pub struct Vapic<'a> {
    page: &'a mut VapicPage,
}

impl<'a> Vapic<'a> {
    /// The x2APIC whose registers stand in `page`.
    pub const fn new(page: &'a mut VapicPage) -> Self {
        Self { page }
    }

    /// RDMSR of `index`, 0x800-0x8FF, at CPL 0.
    pub fn read_msr(&self, index: u32) -> ApicRead {
        match register(index) {
            Register::Virtual(offset) => ApicRead::Value(
                u64::from(self.word(offset)) | u64::from(self.word(offset + 4)) << 32,
            ),
            Register::Hypercall => ApicRead::Ve,
            Register::Reserved => ApicRead::Gp,
        }
    }

    /// WRMSR of `value` to `index`, 0x800-0x8FF, at CPL 0.
    pub fn write_msr(&mut self, index: u32, value: u64) -> ApicWrite {
        match register(index) {
            Register::Virtual(_) => {}
            Register::Hypercall => return ApicWrite::Ve,
            Register::Reserved => return ApicWrite::Gp,
        }
        match (index, u8::try_from(value)) {
            (0x808, Ok(tpr)) => self.set_tpr(tpr),
            (0x80b, Ok(0)) => self.end_of_interrupt(),
            (0x83f, Ok(vector)) => {
                self.set_word(SELF_IPI, u32::from(vector));
                if u64::from(vector) < FIRST_VECTOR {
                    return ApicWrite::DoneThenVe(SELF_IPI as u64);
                }
                self.post(vector);
            }
            _ => return ApicWrite::Gp,
        }
        ApicWrite::Done
    }

    /// MOV from CR8: the class of TPR.
    pub fn read_cr8(&self) -> u64 {
        u64::from(self.word(TPR) >> 4 & 0xf)
    }

    /// MOV of `value` to CR8. An interrupt may become deliverable.
    pub fn write_cr8(&mut self, value: u64) -> Result<(), Exception> {
        match u8::try_from(value) {
            Ok(class @ 0..=0xf) => self.set_tpr(class << 4),
            _ => return Err(Exception::Gp),
        }
        Ok(())
    }

    /// Posts the vectors of a posted-interrupt request bitmap: vector *v* is bit
    /// *v* mod 64 of word *v* / 64.
    pub fn merge_pir(&mut self, pir: &[u64; 4]) {
        for (word, base) in pir.iter().zip((0_usize..).step_by(2)) {
            for (half, shift) in [(base, 0), (base + 1, 32)] {
                let offset = IRR + half * 16;
                #[expect(clippy::cast_possible_truncation, reason = "one half at a time")]
                let bits = (word >> shift) as u32;
                self.set_word(offset, self.word(offset) | bits);
            }
        }
    }

    /// Posts one vector. A vector below 16 is never delivered: its class is 0.
    pub fn post(&mut self, vector: u8) {
        self.set_bit(IRR, vector, true);
    }

    /// True if the highest requested vector has a priority class above PPR's: what the
    /// VMM reads as VCPU_STATE_DETAILS.VMXIP, whatever RFLAGS.IF is. [ABI-G 14]
    pub fn pending_above_ppr(&self) -> bool {
        self.highest(IRR).is_some_and(|vector| u32::from(vector >> 4) > self.word(PPR) >> 4 & 0xf)
    }

    /// The vector that the CPU takes now. `blocked`: an STI or MOV-SS shadow stands.
    pub fn deliverable(&self, rflags_if: bool, blocked: bool) -> Option<u8> {
        if !rflags_if || blocked || !self.pending_above_ppr() {
            return None;
        }
        self.highest(IRR)
    }

    /// `vector`, which [`Self::deliverable`] gave, goes through the IDT: from IRR to
    /// ISR. Once for each vector: if its delivery faults in a nested page table, `svm/`
    /// injects it again without a second call.
    pub fn deliver(&mut self, vector: u8) {
        self.set_bit(IRR, vector, false);
        self.set_bit(ISR, vector, true);
        self.update_ppr();
    }

    fn end_of_interrupt(&mut self) {
        if let Some(vector) = self.highest(ISR) {
            self.set_bit(ISR, vector, false);
        }
        self.update_ppr();
    }

    fn set_tpr(&mut self, tpr: u8) {
        self.set_word(TPR, u32::from(tpr));
        self.update_ppr();
    }

    pub(crate) fn update_ppr(&mut self) {
        let tpr = self.word(TPR) & 0xff;
        let in_service = u32::from(self.highest(ISR).unwrap_or(0));
        let ppr = if tpr >> 4 >= in_service >> 4 { tpr } else { in_service & 0xf0 };
        self.set_word(PPR, ppr);
    }

    /// The highest vector set in the 256 bits at `base`.
    fn highest(&self, base: usize) -> Option<u8> {
        (0..8_u8).rev().find_map(|index| {
            let word = self.word(base + usize::from(index) * 16);
            let top = word.checked_ilog2()?;
            u8::try_from(top).ok().map(|bit| index << 5 | bit)
        })
    }

    fn set_bit(&mut self, base: usize, vector: u8, is_set: bool) {
        let offset = base + usize::from(vector >> 5) * 16;
        let bit = 1 << (vector & 31);
        let word = self.word(offset);
        self.set_word(offset, if is_set { word | bit } else { word & !bit });
    }

    /// The four bytes at `offset`; 0 outside the page, where no register is.
    fn word(&self, offset: usize) -> u32 {
        self.page.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
    }

    fn set_word(&mut self, offset: usize, value: u32) {
        if let Some(bytes) = self.page.get_mut(offset..).and_then(<[u8]>::first_chunk_mut) {
            *bytes = value.to_le_bytes();
        }
    }
}

/// How an x2APIC MSR is virtualised.
enum Register {
    /// By the CPU, from the page at this offset.
    Virtual(usize),
    /// Not: the TD asks its VMM.
    Hypercall,
    /// There is none.
    Reserved,
}

const fn register(index: u32) -> Register {
    match index {
        // TPR, 0x809, PPR, EOI, 0x80C, 0x80E, ISR, TMR, IRR, SELF_IPI.
        0x808..=0x80c | 0x80e | 0x810..=0x827 | 0x83f => {
            Register::Virtual(((index & 0xff) as usize) << 4)
        }
        0x800 | 0x801 | 0x804..=0x807 | 0x829..=0x82e | 0x831 | 0x840..=0x8ff => Register::Reserved,
        _ => Register::Hypercall,
    }
}

#[cfg(test)]
mod tests;
