//! Device memory: the IOAPIC, by volatile accesses and by single MOV forms.
#![expect(unsafe_code, reason = "volatile accesses to the IOAPIC")]

use core::arch::asm;

use abi::ExitReason;
use abi::ghci::function;
use spin::Once;
use tdcall::ghci::mask;

use super::step::{Expected, PATTERN, Steps, watch};
use crate::Kernel;
use crate::memory::Device;

/// Where every PC has its IOAPIC.
const IOAPIC: u64 = 0xFEC0_0000;
/// Register window: data.
const WINDOW: u16 = 0x10;
/// Register: version 0x20, 24 entries.
const VERSION: u32 = 1;
const VERSION_VALUE: u64 = 0x17_0020;
/// Register: lower half of the last redirection entry.
const LAST_ENTRY: u32 = 0x10 + 2 * 23;
/// Masked, with some vector: nothing is delivered.
const MASKED_ENTRY: u64 = 1 << 16 | 0xEE;
/// A register number without a register, whose top bit is set.
const NEGATIVE: u32 = 0xBE;
/// The same, with a byte above it.
const WORD: u64 = 0xA5BE;

/// Qualification bits 1:0: what the access was.
const READ: u64 = 1;
const WRITE: u64 = 2;

/// Whole registers.
pub(super) fn dword(steps: &mut Steps, kernel: &mut Kernel) {
    let mut ioapic = Ioapic::new(steps, kernel);
    let (page, window) = (ioapic.page(), ioapic.window());
    ioapic.write("MMIO W", 0, VERSION.into(), || store(page, VERSION));
    ioapic.read("MMIO R", WINDOW, VERSION_VALUE, || load(window));
    ioapic.write("MMIO W", 0, LAST_ENTRY.into(), || store_immediate(page));
    ioapic.write("MMIO W", WINDOW, MASKED_ENTRY, || store(window, MASKED_ENTRY as u32));
    ioapic.read("MMIO R", WINDOW, MASKED_ENTRY, || load(window));
}

/// Words of the selector, which keeps a byte of each.
pub(super) fn word(steps: &mut Steps, kernel: &mut Kernel) {
    let mut ioapic = Ioapic::new(steps, kernel);
    let page = ioapic.page();
    ioapic.write("MOV AX", 0, WORD, || store_word(page));
    ioapic.read("MOV AX", 0, PATTERN & !0xFFFF | WORD & 0xFF, || load_word(page));
}

/// Bytes, of AH and of AL.
pub(super) fn byte(steps: &mut Steps, kernel: &mut Kernel) {
    let mut ioapic = Ioapic::new(steps, kernel);
    let page = ioapic.page();
    ioapic.write("MOV AH", 0, NEGATIVE.into(), || store_high_byte(page));
    ioapic.read("MOV AL", 0, PATTERN & !0xFF | u64::from(NEGATIVE), || load_byte(page));
}

/// Bytes that fill a register.
pub(super) fn extended(steps: &mut Steps, kernel: &mut Kernel) {
    let mut ioapic = Ioapic::new(steps, kernel);
    let page = ioapic.page();
    ioapic.write("MOV AH", 0, NEGATIVE.into(), || store_high_byte(page));
    ioapic.read("MOVZX", 0, NEGATIVE.into(), || load_zero_extended(page));
    ioapic.read("MOVSX", 0, u64::from(NEGATIVE) | !0xFF, || load_sign_extended(page));
}

/// The IOAPIC, and where what happens there is noted.
struct Ioapic<'a> {
    steps: &'a mut Steps,
    device: Device,
}

impl<'a> Ioapic<'a> {
    fn new(steps: &'a mut Steps, kernel: &mut Kernel) -> Self {
        // Once: a shell makes the checks as often as somebody wants.
        static DEVICE: Once<Device> = Once::new();
        let device = *DEVICE.call_once(|| kernel.memory.map_device(IOAPIC));
        Self { steps, device }
    }

    fn page(&self) -> *mut u32 {
        self.device.register(0)
    }

    fn window(&self) -> *mut u32 {
        self.device.register(WINDOW)
    }

    fn read(&mut self, cause: &'static str, at: u16, wanted: u64, act: impl FnOnce() -> u64) {
        let (value, seen) = watch(act);
        let expected = self.expected(cause, at, READ, mask::MMIO_READ);
        self.steps.routed(&expected, seen, value, wanted);
    }

    fn write(&mut self, cause: &'static str, at: u16, wanted: u64, act: impl FnOnce()) {
        let ((), seen) = watch(act);
        let expected = self.expected(cause, at, WRITE, mask::MMIO_WRITE);
        let sent = seen.last.value;
        self.steps.routed(&expected, seen, sent, wanted);
    }

    fn expected(&self, cause: &'static str, at: u16, access: u64, mask: u64) -> Expected {
        Expected {
            cause,
            reason: ExitReason::EPT_VIOLATION,
            qualification: (access, READ | WRITE),
            gpa: Some(self.device.gpa.bits() + u64::from(at)),
            call: Some((function::MMIO, mask)),
        }
    }
}

fn load(register: *mut u32) -> u64 {
    // SAFETY: a register of the mapped IOAPIC.
    u64::from(unsafe { register.read_volatile() })
}

fn store(register: *mut u32, value: u32) {
    // SAFETY: a register of the mapped IOAPIC; no entry that is written delivers anything.
    unsafe { register.write_volatile(value) };
}

/// C7: an immediate, with a SIB byte and a displacement.
fn store_immediate(register: *mut u32) {
    // SAFETY: selects a register of the mapped IOAPIC.
    unsafe {
        asm!("mov dword ptr [{base} + {index} * 4 - 8], {value}", base = in(reg) register,
             index = in(reg) 2_u64, value = const LAST_ENTRY, options(nostack, preserves_flags));
    }
}

/// 88 from AH.
fn store_high_byte(register: *mut u32) {
    // SAFETY: selects a register of the mapped IOAPIC.
    unsafe {
        asm!("mov byte ptr [rdi], ah", in("rdi") register, in("eax") NEGATIVE << 8,
             options(nostack, preserves_flags));
    }
}

/// 66 89: AX; the rest of RAX is not for the host.
fn store_word(register: *mut u32) {
    // SAFETY: selects a register of the mapped IOAPIC.
    unsafe {
        asm!("mov word ptr [rdi], ax", in("rdi") register, in("rax") PATTERN & !0xFFFF | WORD,
             options(nostack, preserves_flags));
    }
}

/// 66 8B: AX, the rest of RAX untouched.
fn load_word(register: *mut u32) -> u64 {
    let mut rax = PATTERN;
    // SAFETY: reads the selector of the mapped IOAPIC.
    unsafe {
        asm!("mov ax, word ptr [rdi]", in("rdi") register, inout("rax") rax,
             options(nostack, preserves_flags));
    }
    rax
}

/// 8A: AL, the rest of RAX untouched.
fn load_byte(register: *mut u32) -> u64 {
    let mut rax = PATTERN;
    // SAFETY: reads the selector of the mapped IOAPIC.
    unsafe {
        asm!("mov al, byte ptr [rdi]", in("rdi") register, inout("rax") rax,
             options(nostack, preserves_flags));
    }
    rax
}

/// 0F B6: R9D, by REX; its upper half becomes 0.
fn load_zero_extended(register: *mut u32) -> u64 {
    let mut r9 = PATTERN;
    // SAFETY: reads the selector of the mapped IOAPIC.
    unsafe {
        asm!("movzx r9d, byte ptr [rdi]", in("rdi") register, inout("r9") r9,
             options(nostack, preserves_flags));
    }
    r9
}

/// 0F BE with REX.W.
fn load_sign_extended(register: *mut u32) -> u64 {
    let mut rdx = PATTERN;
    // SAFETY: reads the selector of the mapped IOAPIC.
    unsafe {
        asm!("movsx rdx, byte ptr [rdi]", in("rdi") register, inout("rdx") rdx,
             options(nostack, preserves_flags));
    }
    rdx
}
