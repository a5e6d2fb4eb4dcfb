//! Where things are: in the file, and in the guest's memory.
//!
//! The constants here are shared by the assembler, by the linker script of `boot` (which
//! repeats them, and is checked by the assembler), and by every reader of an image.
//!
//! Guest memory as our own image asks for it:
//!
//! ```text
//! 0x0080_0000 ┌───────────────────────────────┐
//!             │ TempMem, 64 KiB: stack, .data │  added, not measured: holds what the VMM
//!             │ and .bss of boot              │  likes, so boot writes before it reads
//! 0x0081_0000 ├───────────────────────────────┤
//!             │ TD_HOB, 8 KiB                 │  added, not measured, written by the VMM
//! 0x0081_2000 └───────────────────────────────┘
//!                             ⋮
//! 4 GiB-size  ┌───────────────────────────────┐  ┐
//!             │ kernel ELF (file offset 0)    │  │
//!             │ zeros up to a page            │  │ one BFV section: every byte of
//!             │ zeros up to 64 KiB            │  │ the file is added and measured
//!             │ boot, which ends at 4 GiB     │  │
//! 0xFFFF_FC00 │   ┌───────────────────────────┤  │
//!             │   │ metadata and GUID table   │  │ zeros in boot, filled here
//! 0xFFFF_FFF0 │   ├───────────────────────────┤  │
//!             │   │ reset vector, 16 bytes    │  │
//! 4 GiB       └───┴───────────────────────────┘  ┘
//! ```
//!
//! The reserved area in detail; offsets are from the end of the image [TDVF 1.1, 1.2, 1.3]:
//!
//! ```text
//! -0x400  TDVF GUID                        16
//! -0x3F0  descriptor "TDVF"                16
//! -0x3E0  section entries                  32 each, at most 27; 19 beside 256 bytes of options
//!    ⋮    zeros
//!         options entry, if there are options: text, at most 256 bytes of printable ASCII,
//!         u16 18 + length of the text, GUID c834c940-a49b-41bf-b9d7-bee3b356a23c
//! -0x062  kernel entry: u32 offset of the kernel from the image's end, u32 length,
//!         u16 26, GUID 24c12a57-490e-4387-8635-8cb762dcc018
//! -0x048  TDX entry: u32 0x3F0, u16 22, GUID e47a6535-984a-4798-865e-4685a7bf8ec2
//! -0x032  u16 length of the table: 66, and of the options entry; footer GUID
//!         96b582de-1fb2-45f7-baea-a366c55a082d
//! -0x020  zeros
//! -0x010  reset vector
//! ```

use crate::ram::RamRange;

/// The page size of TDH.MEM.PAGE.ADD and of every alignment rule here.
pub const PAGE_SIZE: usize = 0x1000;

/// The guest-physical address at which every image ends.
pub const IMAGE_END: u64 = 0x1_0000_0000;

/// An image is a multiple of this: the rule of QEMU's `-bios` [TDVF 1.1].
pub const IMAGE_ALIGN: usize = 0x1_0000;

/// The largest image taken. Below the last 16 MiB under 4 GiB lie the local APIC and the
/// IOAPIC, which an image would cover.
pub const MAX_IMAGE_SIZE: usize = 0x100_0000;

/// Where every virtual CPU starts, in 32-bit flat protected mode [TDVF 1.9].
pub const RESET_VECTOR: u64 = 0xFFFF_FFF0;

/// Bytes from the reset vector to the end of the image.
pub const RESET_VECTOR_SIZE: usize = 16;

/// Start of the area that boot leaves zero for the metadata. It ends at [`RESET_VECTOR`].
pub const METADATA_RESERVED: u64 = 0xFFFF_FC00;

/// From [`METADATA_RESERVED`] to the end of the image: the least that boot must be.
pub const TRAILER_SIZE: usize = 0x400;

/// Boot's stack, `.data` and `.bss`.
pub const TEMP_MEM: RamRange = RamRange { start: 0x80_0000, len: 0x1_0000 };

/// Where the VMM writes the TD HOB.
pub const TD_HOB: RamRange = RamRange { start: 0x81_0000, len: 0x2000 };

const _: () = assert!(IMAGE_END - METADATA_RESERVED == TRAILER_SIZE as u64);
const _: () = assert!(IMAGE_END - RESET_VECTOR == RESET_VECTOR_SIZE as u64);
const _: () = assert!(TEMP_MEM.start + TEMP_MEM.len <= TD_HOB.start);
