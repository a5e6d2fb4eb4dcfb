//! The measurement of what a TD is built from. [ABI-H 6]
//!
//! One SHA-384 stream of whole 128-byte blocks in call order; its running state
//! stands in the TDCS between calls. Pages that AUG brings are not measured.

use core::array;

use sha2::block_api::compress512;
use sha2::{Digest, Sha384};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes that one MR.EXTEND measures.
pub(crate) const CHUNK_BYTES: usize = 256;

const BLOCK_BYTES: usize = 128;

/// The initial hash value of SHA-384. [FIPS 180-4 5.3.4]
const INITIAL: [u64; 8] = [
    0xCBBB_9D5D_C105_9ED8,
    0x629A_292A_367C_D507,
    0x9159_015A_3070_DD17,
    0x152F_ECD8_F70E_5939,
    0x6733_2667_FFC0_0B31,
    0x8EB4_4A87_6858_1511,
    0xDB0C_2E0D_64F9_8FA7,
    0x47B5_481D_BEFA_4FA4,
];

/// A running measurement.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Stream {
    state: [u64; 8],
    blocks: u64,
}

impl Stream {
    /// The stream at MNG.INIT.
    pub(crate) fn start() -> Self {
        Self { state: INITIAL, blocks: 0 }
    }

    /// MEM.PAGE.ADD: one block, without the page's content.
    pub(crate) fn page_add(&mut self, gpa: u64) {
        self.update(&[header(b"MEM.PAGE.ADD", gpa)]);
    }

    /// MR.EXTEND: a header and two blocks of content.
    pub(crate) fn extend(&mut self, gpa: u64, chunk: &[u8; CHUNK_BYTES]) {
        let half = |first: usize| array::from_fn(|i| chunk[first + i]);
        self.update(&[header(b"MR.EXTEND", gpa), half(0), half(BLOCK_BYTES)]);
    }

    /// MR.FINALIZE: padding and the 128-bit length in bits. The stream ends.
    pub(crate) fn finish(mut self) -> [u8; 48] {
        let bits = u128::from(self.blocks) * (BLOCK_BYTES as u128 * 8);
        let mut last = [0; BLOCK_BYTES];
        last[0] = 0x80;
        last[BLOCK_BYTES - 16..].copy_from_slice(&bits.to_be_bytes());
        self.update(&[last]);
        array::from_fn(|i| self.state[i / 8].to_be_bytes()[i % 8])
    }

    fn update(&mut self, blocks: &[[u8; BLOCK_BYTES]]) {
        compress512(&mut self.state, blocks);
        self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
    }
}

fn header(name: &[u8], gpa: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..name.len()].copy_from_slice(name);
    block[16..24].copy_from_slice(&gpa.to_le_bytes());
    block
}

/// The value of an RTMR after it was extended. [ABI-G 2.3]
pub(crate) fn extend_rtmr(old: &[u8; 48], data: &[u8; 48]) -> [u8; 48] {
    Sha384::new().chain_update(old).chain_update(data).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn hex(digest: [u8; 48]) -> String {
        digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
    }

    fn digit(nibble: u8) -> char {
        char::from(b"0123456789abcdef"[usize::from(nibble)])
    }

    fn extend_page(stream: &mut Stream, gpa: u64, page: &[u8; 4096]) {
        for (index, chunk) in page.as_chunks::<CHUNK_BYTES>().0.iter().enumerate() {
            stream.extend(gpa + (index * CHUNK_BYTES) as u64, chunk);
        }
    }

    fn measured(build: impl FnOnce(&mut Stream)) -> String {
        let mut stream = Stream::start();
        build(&mut stream);
        hex(stream.finish())
    }

    /// The table of [ABI-H 6].
    #[test]
    fn the_reference_streams_have_the_reference_digests() {
        let zeros = [0; 4096];
        let counting: [u8; 4096] = array::from_fn(|i| i as u8);
        let rows: [(String, &str); 8] = [
            (
                measured(|_| ()),
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
            ),
            (
                measured(|s| s.page_add(0)),
                "8f3e9a8aca6784eab874f7aa4dda5d49104a88047f1f86695ef2a88f5691a90e34aac48ce45ffa1f5a23c7d62980d570",
            ),
            (
                measured(|s| {
                    s.page_add(0);
                    s.extend(0x100, &[0; 256]);
                }),
                "ae71a151590d46af65391ab8f670eea5682c8a2924380491a69917b63129f87ec271c9ade5a98e0b4967e79b1fdf665b",
            ),
            (
                measured(|s| {
                    s.page_add(0);
                    extend_page(s, 0, &zeros);
                }),
                "236f0efa607ff8843f1855d7ef80dc3dda8fb455787a186b8787212951eab0096e3193bb26f817c2b63c21f5e10f9938",
            ),
            (
                measured(|s| s.page_add(0x1000)),
                "fcdabf6fdf38b87d2e3a89b1ab68c242abb261dffa70ef6f1dc2220c2752d2729cdf1be92afc2e0e4297f04e2b629552",
            ),
            (
                measured(|s| {
                    s.page_add(0x1000);
                    extend_page(s, 0x1000, &counting);
                }),
                "15a8464628b6214951c4a1b57775507dd950263654e8790e257995b45013c84aba1d87a3bcbc1929b5f7db6d3e92cad6",
            ),
            (
                measured(|s| {
                    s.page_add(0);
                    s.page_add(0x1000);
                    extend_page(s, 0, &zeros);
                }),
                "507ee79f481b6d1febfbd07dfd779a7eed9b221b8833882d66b18167c4d3e0d9543dbd9239e37f17467fecde72baafe0",
            ),
            (
                measured(|s| {
                    s.page_add(0);
                    extend_page(s, 0, &zeros);
                    s.page_add(0x1000);
                }),
                "d03a539dc3a0b2fb053f4cc5c368519420a46a576ead3e2e2bd12ac0abec28c015b65b22fc4a5853292c687ff5ccdf56",
            ),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_rtmr_is_the_digest_of_old_and_new() {
        let expected: [u8; 48] = Sha384::digest([0; 96]).into();
        assert_eq!(extend_rtmr(&[0; 48], &[0; 48]), expected);
    }
}
