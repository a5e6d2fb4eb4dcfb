//! The emulation against this machine's processor: the same instruction with the same
//! registers, flags and memory is run natively and emulated, and must leave the same
//! registers, defined flags and memory.

mod arena;
mod case;
mod native;

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use self::arena::Arena;
use self::case::Case;
use self::native::{ARENA_BYTES, Machine};
use super::*;
use crate::ve::decode::tests::oracle::Site;
use crate::ve::decode::{Arithmetic, decode};
use crate::ve::random::Random;
use abi::Regs;

/// Instructions a run.
const CASES: u32 = 120_000;
/// Every form this often; the forms are those of the decoder's test.
const TIMES: u32 = 15;
const FORMS: usize = 218;
/// The flags of the comparison: status flags and DF.
const FLAGS: u64 = 0xCD5;
/// RFLAGS.AF.
const ADJUST: u64 = 1 << 4;
/// PF, AF, SF and OF.
const BUT_CARRY_AND_ZERO: u64 = 0x894;

/// Runs the whole instruction, element by element if it repeats.
fn emulate(
    case: &Case,
    site: Site,
    address: u64,
    bytes: &mut [u8],
) -> Result<(Regs, u64), &'static str> {
    let instruction = decode(&case.code).map_err(|_| "not decoded")?;
    let (mut regs, mut rflags) = (case.regs, case.rflags);
    loop {
        let mut bus = Arena { bytes, address, site, has_begun: false };
        let mut state = State { regs: &mut regs, rflags: &mut rflags, rip: site.rip };
        if execute(&instruction, &mut state, &mut bus)? == Progress::Done {
            return Ok((regs, rflags));
        }
    }
}

/// The flags that the manual calls undefined after this operation.
fn undefined(operation: &Operation) -> u64 {
    use Arithmetic::{And, Bt, Btc, Btr, Bts, Or, Test, Xor};
    match operation {
        Operation::Modify(And | Or | Xor | Test, _) | Operation::Combine(And | Or | Xor, _) => {
            ADJUST
        }
        Operation::Modify(Bt | Bts | Btr | Btc, _) => BUT_CARRY_AND_ZERO,
        _ => 0,
    }
}

#[test]
fn instructions_do_what_this_processor_does() {
    let mut random = Random::seeded("emulate");
    let mut machine = Machine::new();
    let address = machine.arena_address();
    let site = Site { rip: machine.rip, fs_base: 0, gs_base: machine.gs_base };
    let mut ours: Vec<u8> = (0..ARENA_BYTES).map(|_| random.next() as u8).collect();
    machine.arena().copy_from_slice(&ours);
    let mut forms = BTreeMap::new();
    for _ in 0..CASES {
        let case = Case::any(&mut random, &site, address);
        *forms.entry(format!("{:?}", case.form)).or_insert(0) += 1;
        let (mut regs, mut rflags) = (case.regs, case.rflags);
        machine.run(&case.code, &mut regs, &mut rflags);
        let flags = FLAGS & !undefined(&case.operation);
        let emulated = emulate(&case, site, address, &mut ours);
        let emulated = emulated.map(|(regs, rflags)| (regs, rflags & flags));
        assert_eq!(emulated, Ok((regs, rflags & flags)), "{}", case.describe());
        assert!(ours == machine.arena(), "memory after {}", case.describe());
    }
    let rare: Vec<_> = forms.iter().filter(|(_, times)| **times < TIMES).collect();
    assert!(rare.is_empty(), "hardly ever executed: {rare:?}");
    assert_eq!(forms.len(), FORMS);
}
