//! Any bytes: the decoder agrees with `iced-x86` or refuses what its documentation refuses,
//! looks at no byte behind the instruction, and never panics.
#![no_main]

#[path = "../../src/ve/decode/tests/oracle.rs"]
mod oracle;

use abi::{Gpr, Regs};
use kernel::ve::decode::{DecodeError, decode};
use libfuzzer_sys::fuzz_target;

use self::oracle::{Site, meaning, oracle};

fuzz_target!(|bytes: &[u8]| {
    let mut regs = Regs::default();
    for (gpr, number) in Gpr::ALL.into_iter().zip(1_u64..) {
        regs[gpr] = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let ours = decode(bytes);
    let ours_means = ours.ok().map(|instruction| meaning(&instruction, &Site::KERNEL, &regs));
    let theirs = oracle(bytes, &Site::KERNEL, &regs).map(|(_, meaning)| meaning);
    assert_eq!(ours_means, theirs, "we say {ours:?}");
    if let Ok(instruction) = ours {
        let (own, _) = bytes.split_at(usize::from(instruction.length));
        assert_eq!(decode(own), ours);
        assert_eq!(decode(&own[..own.len() - 1]), Err(DecodeError::Truncated));
    }
});
