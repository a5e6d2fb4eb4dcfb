//! A virtio disk, if there is one: its first block, read through shared memory.

use super::step::Steps;
use crate::virtio::{BLOCK_BYTES, Disk, VirtioError};
use crate::{Kernel, println};

type Block = [u8; BLOCK_BYTES];

/// Bytes that are shown.
const SHOWN: usize = 16;

pub(super) fn first_block(steps: &mut Steps, kernel: &mut Kernel) {
    match read(kernel) {
        Ok(Some((blocks, [block, again]))) => {
            println!("# disk of {blocks} blocks of {BLOCK_BYTES} bytes");
            let shown = &block[..SHOWN];
            println!("# block 0: {shown:02x?} \"{}\"", shown.escape_ascii());
            steps.holds("two reads of block 0 agree", block == again);
        }
        Ok(None) => steps.holds("there is a disk", false),
        Err(error) => {
            println!("# {error}");
            steps.holds("two reads of block 0 agree", false);
        }
    }
}

/// How many blocks there are, and the first one, twice.
fn read(kernel: &mut Kernel) -> Result<Option<(u64, [Block; 2])>, VirtioError> {
    let Some(mut disk) = Disk::open(&mut kernel.memory)? else { return Ok(None) };
    // Filled differently: reads that do nothing are seen.
    let mut reads = [[0xA5; BLOCK_BYTES], [0x5A; BLOCK_BYTES]];
    for block in &mut reads {
        disk.read(0, block)?;
    }
    Ok(Some((disk.blocks(), reads)))
}
