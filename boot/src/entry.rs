//! The first code: `entry.S`, with the numbers it shares with Rust.
#![expect(unsafe_code, reason = "16-bit and 32-bit code")]

use core::arch::global_asm;

use abi::{PAGE_SIZE, verdict};
use image::layout::TEMP_MEM;

global_asm!(
    include_str!("entry.S"),
    entry = sym crate::main,
    verdict = const verdict::NOT_A_TRUST_DOMAIN,
    verdict_port = const verdict::PORT,
    temp_mem = const TEMP_MEM.start,
    temp_mem_pages = const TEMP_MEM.len / PAGE_SIZE,
);
