//! Images that nobody may start, made from a good one.
//!
//! The bytes are edited by the tables of [TDVF 1.2-1.4] and not by the crate `image`:
//! it is the one that must notice.

/// Size of one section entry.
const SECTION: usize = 32;

/// A broken image.
#[derive(Clone, Debug)]
pub struct Corrupt {
    /// What was done to it, as a file name.
    pub name: &'static str,
    /// The file.
    pub image: Vec<u8>,
    /// Words that the error must have.
    pub complaint: &'static str,
}

/// Every kind of corruption, applied to `good`, which is an image of ours: its first
/// section is the BFV, its second the TD_HOB, its third TempMem.
pub fn all(good: &[u8]) -> Vec<Corrupt> {
    let end = good.len();
    let descriptor = end - u32_at(good, end - 72) as usize;
    let section = |index: usize| descriptor + 16 + index * SECTION;
    let edited = |name, complaint, edits: &[(usize, &[u8])]| {
        let mut image = good.to_vec();
        for (at, bytes) in edits {
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Corrupt { name, image, complaint }
    };
    let hob_address = good[section(1) + 8..section(1) + 16].to_vec();
    let size = u32::try_from(end).expect("an image is small").to_le_bytes();
    let cut =
        |name, complaint, len: usize| Corrupt { name, image: good[..len].to_vec(), complaint };
    vec![
        edited("bad-footer-guid", "no GUID table", &[(end - 48, &[0])]),
        edited("bad-tdx-guid", "no TDX metadata entry", &[(end - 66, &[0])]),
        cut("truncated", "truncated", end - 100),
        cut("half", "no GUID table", (end / 2).next_multiple_of(1 << 16)),
        cut("empty", "0 bytes", 0),
        edited("offset-past-end", "past the end", &[(section(0), &size)]),
        edited("overlapping", "overlap", &[(section(2) + 8, &hob_address)]),
        edited("wrong-type", "type 9", &[(section(2) + 24, &[9])]),
        edited(
            "zero-sections",
            "0 sections",
            &[(descriptor + 12, &[0]), (descriptor + 4, &[16, 0])],
        ),
        edited("bad-signature", "TDVF", &[(descriptor, b"TDVX")]),
    ]
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
