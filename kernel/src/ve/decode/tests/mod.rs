//! The decoder against `iced-x86`: whatever iced calls an instruction of the documented
//! table is decoded to the same length and meaning, everything else is refused, nothing
//! panics.

pub(crate) mod bytes;
mod forms;
pub(crate) mod oracle;

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;
use std::{format, println};

use abi::{Gpr, Regs};

use self::oracle::{Site, meaning, oracle};
use super::*;
use crate::ve::random::Random;

/// Byte strings a run.
const CASES: u32 = 1_000_000;
/// Forms that iced tells apart, of those that are accepted: MOV, its extending kin, XCHG,
/// TEST; eight operations in 15 forms; NOT, NEG, INC, DEC; four bit tests in six forms;
/// strings.
const FORMS: usize = 20 + 14 + 4 + 8 + 8 * 15 + 4 * 4 + 4 * 6 + 12;
/// Each of them must be met this often.
const TIMES: u32 = 100;

pub(crate) fn registers(random: &mut Random) -> Regs {
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = random.next();
    }
    regs
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn a_million_byte_strings_mean_what_iced_says_or_are_refused() {
    let mut random = Random::seeded("decode");
    let mut regs = registers(&mut random);
    let mut forms = BTreeMap::new();
    for case in 0..CASES {
        if case % 256 == 0 {
            regs = registers(&mut random);
        }
        let bytes = bytes::any(&mut random);
        let bytes = bytes.as_slice();
        let ours = decode(bytes);
        let theirs = oracle(bytes, &Site::KERNEL, &regs);
        let ours_means = ours.ok().map(|instruction| meaning(&instruction, &Site::KERNEL, &regs));
        if let Some((code, _)) = &theirs {
            *forms.entry(format!("{code:?}")).or_insert(0) += 1;
        }
        let theirs = theirs.map(|(_, meaning)| meaning);
        assert_eq!(ours_means, theirs, "bytes {}, we say {ours:?}, {regs:x?}", hex(bytes));
        if let Ok(instruction) = ours {
            depends_on_its_own_bytes(bytes, &instruction);
        }
    }
    let rare: Vec<_> = forms.iter().filter(|(_, times)| **times < TIMES).collect();
    assert!(rare.is_empty(), "hardly ever accepted: {rare:?}");
    assert_eq!(forms.len(), FORMS, "{forms:?}");
    println!("{} accepted in {} forms", forms.values().sum::<u32>(), forms.len());
}

/// Cut short it is truncated; cut at its end it is the same.
fn depends_on_its_own_bytes(bytes: &[u8], instruction: &Instruction) {
    let length = usize::from(instruction.length);
    for end in 0..length {
        let cut = &bytes[..end];
        assert_eq!(decode(cut), Err(DecodeError::Truncated), "bytes {}", hex(cut));
    }
    assert_eq!(decode(&bytes[..length]).as_ref(), Ok(instruction), "bytes {}", hex(bytes));
}
