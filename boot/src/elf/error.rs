//! What can be wrong with a kernel's file.

use core::fmt;

/// Why the kernel cannot be loaded. Its maker is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum ElfError {
    NotElf,
    Kind(u16),
    Cut(&'static str),
    Wraps(u64),
    Unaligned { address: u64, offset: u64 },
    WritableCode(u64),
    SecondTls,
    EntryOutside(u64),
    RelocationTable(u64),
    Relocation(u32),
    RelocationOutside(u64),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotElf => f.write_str("not a 64-bit ELF file for x86-64"),
            Self::Kind(kind) => write!(f, "ELF type {kind} is neither 2 (EXEC) nor 3 (DYN)"),
            Self::Cut(what) => write!(f, "{what} does not lie in the file"),
            Self::Wraps(address) => write!(f, "segment at {address:#x} wraps around"),
            Self::Unaligned { address, offset } => write!(
                f,
                "segment at {address:#x} has file offset {offset:#x}: not the same within a page"
            ),
            Self::WritableCode(address) => {
                write!(f, "segment at {address:#x} is writable and executable")
            }
            Self::SecondTls => f.write_str("more than one TLS segment"),
            Self::EntryOutside(entry) => write!(f, "entry point {entry:#x} is not code"),
            Self::RelocationTable(tag) => {
                write!(f, "relocations by dynamic tag {tag}; only RELA is known")
            }
            Self::Relocation(kind) => {
                write!(f, "relocation of type {kind}; only 8 (RELATIVE) is known")
            }
            Self::RelocationOutside(address) => {
                write!(f, "relocation of {address:#x}, outside all segments")
            }
        }
    }
}

impl core::error::Error for ElfError {}
