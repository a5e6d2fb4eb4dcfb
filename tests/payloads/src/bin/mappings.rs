//! Walks the page tables in use: no page is writable and executable, and below every stack is
//! a hole.
#![no_std]
#![no_main]

use abi::PAGE_SIZE;
use kernel::memory::guard;
use kernel::{Kernel, Verdict, println};
use x86_64::registers::control::{Cr0, Cr0Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};

kernel::main!(walk);

/// An I/O APIC: a page of the shared half.
const DEVICE: u64 = 0xFEC0_0000;

fn walk(kernel: &mut Kernel) -> Verdict {
    kernel.memory.map_device(DEVICE);
    // Pages by [writable][executable].
    let mut pages = [[0_u64; 2]; 2];
    let is_whole = kernel.memory.for_each_mapping(|mapping| {
        let [is_writable, is_executable] = [mapping.is_writable, mapping.is_executable];
        pages[usize::from(is_writable)][usize::from(is_executable)] += 1;
        if is_writable && is_executable {
            println!("FAIL {mapping:x?}");
        }
    });
    let [[r, rx], [rw, rwx]] = pages;
    println!("pages: {r} r--, {rx} r-x, {rw} rw-, {rwx} rwx");
    let is_write_xor_execute = is_whole && r > 0 && rx > 0 && rw > 0 && rwx == 0;
    let is_enforced = Cr0::read().contains(Cr0Flags::WRITE_PROTECT)
        && Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE);

    let mut is_guarded = guard::pages().len() == 6;
    for gap in guard::pages() {
        let hole = kernel.memory.physical_address(gap.page);
        let stack = kernel.memory.physical_address(gap.page + PAGE_SIZE);
        println!("stack {}: guard page {:#x} at {hole:x?}, above {stack:x?}", gap.stack, gap.page);
        is_guarded &= hole.is_none() && stack.is_some();
    }
    println!("W^X {is_write_xor_execute}, enforced {is_enforced}, guarded {is_guarded}");
    let is_right = is_write_xor_execute && is_enforced && is_guarded;
    if is_right { Verdict::Passed } else { Verdict::CheckFailed }
}
