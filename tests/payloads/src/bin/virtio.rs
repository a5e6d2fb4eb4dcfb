//! Uses each virtio device that it finds: a disk, a source of random bytes, a console.
//!
//! Block 1 of the disk becomes what block 0 makes of it; the other side computes the same.
#![no_std]
#![no_main]

extern crate alloc;

use kernel::virtio::{BLOCK_BYTES, Disk, Entropy, Port, VirtioError};
use kernel::{Kernel, Memory, Verdict, checks, memory, println};

kernel::main!(virtio);

/// The longest line that is read from the console.
const LINE: usize = 64;
/// Looks at the console before the other side counts as silent.
const PATIENCE: u32 = 2_000_000;

fn virtio(kernel: &mut Kernel) -> Verdict {
    let memory = &mut kernel.memory;
    let results = [("disk", disk(memory)), ("entropy", entropy(memory)), ("console", port(memory))];
    let mut passed = true;
    for (device, result) in results {
        match result {
            Ok(Some(true)) => println!("ok   {device}"),
            Ok(None) => println!("none {device}"),
            Ok(Some(false)) => println!("FAIL {device}"),
            Err(error) => println!("FAIL {device}: {error}"),
        }
        passed &= matches!(result, Ok(Some(true) | None));
    }
    let numbers = memory::shared::numbers();
    println!("shared {} bytes, lost {} bytes", numbers.shared_bytes, numbers.lost_bytes);
    checks::print_counts();
    if passed { Verdict::Passed } else { Verdict::CheckFailed }
}

/// Reads block 0, writes block 1, reads it back; then all of the disk at once.
fn disk(memory: &mut Memory) -> Result<Option<bool>, VirtioError> {
    let Some(mut disk) = Disk::open(memory)? else { return Ok(None) };
    let is_alone = Disk::open(memory).is_err();
    let mut block = [0; BLOCK_BYTES];
    disk.read(0, &mut block)?;
    println!("disk: {} blocks, block 0 starts with {:02x?}", disk.blocks(), &block[..8]);
    for (byte, place) in block.iter_mut().zip(1_u8..=u8::MAX) {
        *byte = byte.wrapping_mul(3) ^ place;
    }
    disk.write(1, &block)?;
    let mut all = alloc::vec![0; BLOCK_BYTES * 24];
    disk.read(0, &mut all)?;
    let is_kept = all[BLOCK_BYTES..2 * BLOCK_BYTES] == block;
    let end = disk.blocks();
    let is_bounded = disk.read(end, &mut block).is_err() && disk.read(0, &mut block[1..]).is_err();
    drop(disk);
    // It can be had again.
    let mut again = [0; BLOCK_BYTES];
    let Some(mut disk) = Disk::open(memory)? else { return Ok(Some(false)) };
    disk.read(1, &mut again)?;
    Ok(Some(is_alone && is_kept && is_bounded && again == block))
}

/// Two reads that differ.
fn entropy(memory: &mut Memory) -> Result<Option<bool>, VirtioError> {
    let Some(mut source) = Entropy::open(memory)? else { return Ok(None) };
    let mut reads = [[0; 32]; 2];
    for read in &mut reads {
        let mut filled = 0;
        while filled < read.len() {
            filled += source.read(&mut read[filled..])?;
        }
        println!("entropy: {read:02x?}");
    }
    Ok(Some(reads[0] != reads[1] && reads.iter().all(|read| *read != [0; 32])))
}

/// A line to the other side, and its answer.
fn port(memory: &mut Memory) -> Result<Option<bool>, VirtioError> {
    let Some(mut port) = Port::open(memory)? else { return Ok(None) };
    port.send(b"hello from the trust domain\n")?;
    let (mut line, mut length) = ([0; LINE], 0);
    for _ in 0..PATIENCE {
        match port.receive()? {
            Some(b'\n') => {
                println!("console: {}", line[..length].escape_ascii());
                return Ok(Some(line[..length] == *b"hello from the host"));
            }
            Some(byte) if length < LINE => {
                line[length] = byte;
                length += 1;
            }
            Some(_) => return Ok(Some(false)),
            None => core::hint::spin_loop(),
        }
    }
    println!("console: silence after {length} bytes");
    Ok(Some(false))
}
