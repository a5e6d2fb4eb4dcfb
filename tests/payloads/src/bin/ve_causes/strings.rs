//! INS and OUTS against the queue of the scratch port, with registers as the processor's own
//! LODS and STOS leave them.

use alloc::vec;
use alloc::vec::Vec;
use core::arch::asm;

use abi::ExitReason;
use kernel::io::Port;

use super::Causes;

const QUEUE: u16 = 0x5A8;
const LENGTH: Port<u32> = Port::new(0x5AC);
const GS_BASE: u32 = 0xC000_0101;
const PAGE: usize = 4096;

/// RCX, RSI, RDI and RFLAGS.
type State = [u64; 4];

/// Executes one string instruction with these RCX and RSI = RDI, in one direction.
macro_rules! string {
    ($instruction:literal, $flag:literal, $rcx:expr, $address:expr) => {{
        let [mut rcx, mut rsi, mut rdi]: [u64; 3] = [$rcx, $address, $address];
        let flags: u64;
        // SAFETY: the memory operand is in a buffer of the caller; the queue is the VMM's.
        unsafe {
            asm!("xor eax, eax", $flag, $instruction, "pushfq", "pop {}", "cld", out(reg) flags,
                 inout("rcx") rcx, inout("rsi") rsi, inout("rdi") rdi, in("rdx") u64::from(QUEUE),
                 inout("rax") 0_u64 => _);
        }
        [rcx, rsi, rdi, flags]
    }};
}

/// A form beside its native counterpart.
macro_rules! form {
    ($name:literal, $native:literal, $flag:literal) => {
        Form {
            name: $name,
            emulated: |rcx, at| string!($name, $flag, rcx, at),
            native: |rcx, at| string!($native, $flag, rcx, at),
        }
    };
}

struct Form {
    name: &'static str,
    emulated: fn(u64, u64) -> State,
    native: fn(u64, u64) -> State,
}

impl Form {
    /// Both leave the same registers. The native one first: it may overwrite the buffer.
    fn is_as_native(&self, elements: usize, at: usize) -> bool {
        let native = (self.native)(elements as u64, at as u64);
        (self.emulated)(elements as u64, at as u64) == native
    }
}

/// Elements, bytes of an element, whether addresses go down, exceptions.
type Run = (usize, usize, bool, u64);

pub(crate) fn run(causes: &mut Causes) {
    let outs: [(Form, Run); 8] = [
        (form!("outsb", "lodsb", "cld"), (1, 1, false, 1)),
        (form!("outsd", "lodsd", "std"), (1, 4, true, 1)),
        (form!("rep outsb", "rep lodsb", "cld"), (0, 1, false, 0)),
        (form!("rep outsb", "rep lodsb", "cld"), (1, 1, false, 1)),
        (form!("rep outsb", "rep lodsb", "cld"), (64, 1, false, 1)),
        (form!("rep outsw", "rep lodsw", "std"), (65, 2, true, 2)),
        (form!("rep outsd", "rep lodsd", "cld"), (200, 4, false, 4)),
        (form!("rep outsd", "rep lodsd", "std"), (200, 4, true, 4)),
    ];
    for (form, run) in outs {
        causes.step(form.name, ExitReason::IO, (run.3, calls(run) + 1), || sends(&form, run));
    }
    let ins: [(Form, Run); 7] = [
        (form!("insw", "stosw", "cld"), (1, 2, false, 1)),
        (form!("insb", "stosb", "std"), (1, 1, true, 1)),
        (form!("rep insb", "rep stosb", "cld"), (0, 1, false, 0)),
        (form!("rep insb", "rep stosb", "cld"), (129, 1, false, 3)),
        (form!("rep insw", "rep stosw", "std"), (128, 2, true, 2)),
        (form!("rep insd", "rep stosd", "cld"), (250, 4, false, 4)),
        (form!("rep insd", "rep stosd", "std"), (250, 4, true, 4)),
    ];
    for (form, run) in ins {
        causes.step(form.name, ExitReason::IO, (run.3, calls(run)), || receives(&form, run));
    }
    causes.step("outsb gs:", ExitReason::IO, (1, 3), sends_from_gs);
}

/// One for each element, whatever the number of exceptions; and of our own one to empty the
/// queue and one for each byte in it.
const fn calls((elements, bytes, ..): Run) -> u64 {
    (elements + 1 + elements * bytes) as u64
}

/// A buffer of three pages, and an address in it from which the elements cross a page, the
/// page's end inside an element.
fn buffer(run: Run) -> (Vec<u8>, usize) {
    let buffer = vec![0_u8; 3 * PAGE];
    let (elements, bytes, goes_down, _) = run;
    let boundary = buffer.as_ptr().addr().next_multiple_of(PAGE) + PAGE;
    let before = elements / 2 * bytes + bytes / 2;
    (buffer, if goes_down { boundary + before } else { boundary - before })
}

/// Where element `index` is in the buffer.
fn place(buffer: &[u8], at: usize, index: usize, (_, bytes, goes_down, _): Run) -> usize {
    let offset = at - buffer.as_ptr().addr();
    if goes_down { offset - index * bytes } else { offset + index * bytes }
}

/// The byte of an element that tells it from others.
const fn mark(index: usize, byte: usize) -> u8 {
    (index * 7 + byte * 61 + 5) as u8
}

fn sends(form: &Form, run: Run) -> bool {
    let (elements, bytes, ..) = run;
    let (mut buffer, at) = buffer(run);
    for index in 0..elements {
        for byte in 0..bytes {
            let place = place(&buffer, at, index, run);
            buffer[place + byte] = mark(index, byte);
        }
    }
    let is_empty = LENGTH.write(0).is_ok();
    let registers = form.is_as_native(elements, at);
    let sent = LENGTH.read() == Ok((elements * bytes) as u32);
    let queue = Port::<u8>::new(QUEUE);
    let in_order =
        (0..elements).all(|index| (0..bytes).all(|byte| queue.read() == Ok(mark(index, byte))));
    is_empty && registers && sent && in_order
}

fn receives(form: &Form, run: Run) -> bool {
    let (elements, bytes, ..) = run;
    let (buffer, at) = buffer(run);
    let queue = Port::<u8>::new(QUEUE);
    let is_filled = LENGTH.write(0).is_ok()
        && (0..elements).all(|index| (0..bytes).all(|byte| queue.write(mark(index, byte)).is_ok()));
    let registers = form.is_as_native(elements, at);
    let mut expected = vec![0; buffer.len()];
    for index in 0..elements {
        for byte in 0..bytes {
            expected[place(&buffer, at, index, run) + byte] = mark(index, byte);
        }
    }
    is_filled && registers && core::hint::black_box(&buffer) == &expected
}

fn sends_from_gs() -> bool {
    let buffer = [0x5A_u8; 1];
    let is_empty = LENGTH.write(0).is_ok();
    let set_base = |base| {
        // SAFETY: nothing here uses GS.
        unsafe { arch::msr::write(GS_BASE, base) };
    };
    set_base((&raw const buffer).addr() as u64 - 8);
    let [_, rsi, ..] = string!("outsb dx, gs:[rsi]", "cld", 0, 8);
    set_base(0);
    is_empty && rsi == 9 && Port::<u8>::new(QUEUE).read() == Ok(0x5A)
}
