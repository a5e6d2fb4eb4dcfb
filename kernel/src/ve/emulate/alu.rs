//! Arithmetic with flags, as the processor does it. [SDM1 3.4.3.1, A]
//!
//! Flags that the manual calls undefined: AF is cleared by AND, OR, XOR and TEST; OF, SF, AF
//! and PF stay as they were in BT, BTS, BTR and BTC. Both is what processors are seen to do.

use tdcall::ghci::MmioWidth;

use super::super::decode::Arithmetic;

/// RFLAGS.CF.
const CARRY: u64 = 1 << 0;
/// RFLAGS.PF.
const PARITY: u64 = 1 << 2;
/// RFLAGS.AF.
const ADJUST: u64 = 1 << 4;
/// RFLAGS.ZF.
const ZERO: u64 = 1 << 6;
/// RFLAGS.SF.
const SIGN: u64 = 1 << 7;
/// RFLAGS.OF.
const OVERFLOW: u64 = 1 << 11;
/// All of them.
const STATUS: u64 = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;

/// `first` op `second`, both of this width: the result and RFLAGS afterwards. Bits of the
/// numbers beyond the width are dropped.
#[must_use]
pub fn compute(
    arithmetic: Arithmetic,
    width: MmioWidth,
    first: u64,
    second: u64,
    rflags: u64,
) -> (u64, u64) {
    let mask = width.mask();
    let (first, second) = (first & mask, second & mask);
    let carry = rflags & CARRY;
    let sum = |carry, changed| add(width, first, second, carry, rflags, changed);
    let difference = |carry, changed| subtract(width, first, second, carry, rflags, changed);
    match arithmetic {
        Arithmetic::Add => sum(0, STATUS),
        Arithmetic::Adc => sum(carry, STATUS),
        Arithmetic::Inc => sum(0, STATUS & !CARRY),
        Arithmetic::Sub | Arithmetic::Cmp => difference(0, STATUS),
        Arithmetic::Sbb => difference(carry, STATUS),
        Arithmetic::Dec => difference(0, STATUS & !CARRY),
        Arithmetic::Neg => subtract(width, 0, first, 0, rflags, STATUS),
        Arithmetic::And | Arithmetic::Test => logic(width, first & second, rflags),
        Arithmetic::Or => logic(width, first | second, rflags),
        Arithmetic::Xor => logic(width, first ^ second, rflags),
        Arithmetic::Not => (!first & mask, rflags),
        Arithmetic::Bt | Arithmetic::Bts | Arithmetic::Btr | Arithmetic::Btc => {
            bit_test(arithmetic, width, first, second, rflags)
        }
    }
}

fn add(
    width: MmioWidth,
    first: u64,
    second: u64,
    carry: u64,
    rflags: u64,
    changed: u64,
) -> (u64, u64) {
    let result = first.wrapping_add(second).wrapping_add(carry) & width.mask();
    // The carry out of each bit, and where two numbers of one sign made one of the other.
    let carries = first & second | (first | second) & !result;
    let overflows = (first ^ result) & (second ^ result);
    (result, rflags & !changed | flags(width, result, carries, overflows) & changed)
}

fn subtract(
    width: MmioWidth,
    first: u64,
    second: u64,
    borrow: u64,
    rflags: u64,
    changed: u64,
) -> (u64, u64) {
    let result = first.wrapping_sub(second).wrapping_sub(borrow) & width.mask();
    // The borrow into each bit, and where numbers of two signs changed the first's.
    let borrows = !first & second | (!first | second) & result;
    let overflows = (first ^ second) & (first ^ result);
    (result, rflags & !changed | flags(width, result, borrows, overflows) & changed)
}

fn logic(width: MmioWidth, result: u64, rflags: u64) -> (u64, u64) {
    (result, rflags & !STATUS | flags(width, result, 0, 0))
}

/// CF stands for the bit that `second` numbers, modulo the width.
fn bit_test(
    arithmetic: Arithmetic,
    width: MmioWidth,
    first: u64,
    second: u64,
    rflags: u64,
) -> (u64, u64) {
    let number = second & (8 * width as u64 - 1);
    let bit = 1 << number;
    let result = match arithmetic {
        Arithmetic::Bts => first | bit,
        Arithmetic::Btr => first & !bit,
        Arithmetic::Btc => first ^ bit,
        _ => first,
    };
    (result, rflags & !CARRY | first >> number & CARRY)
}

/// The status flags of a result; of `carries` and `overflows` only the sign's bit counts,
/// and bit 3 of `carries` for AF.
fn flags(width: MmioWidth, result: u64, carries: u64, overflows: u64) -> u64 {
    let sign = 8 * width as u32 - 1;
    let when = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    when(carries >> sign & 1 != 0, CARRY)
        | when((result as u8).count_ones().is_multiple_of(2), PARITY)
        | when(carries & 1 << 3 != 0, ADJUST)
        | when(result == 0, ZERO)
        | when(result >> sign & 1 != 0, SIGN)
        | when(overflows >> sign & 1 != 0, OVERFLOW)
}
