//! The last code: into the kernel. [TDVF 8.3]
//!
//! It lies in the image's last page together with the GDT; the kernel's address space maps
//! that page where it is, so that the instruction after the change of CR3 is there.
#![expect(unsafe_code, reason = "leaves this address space")]

use core::arch::naked_asm;

use boot::launch::Entry;

/// Starts the kernel.
pub(crate) fn kernel(entry: Entry) -> ! {
    let Entry { page_table, stack_top, start, boot_info } = entry;
    // SAFETY: `prepare` built the tables, with the stack and the boot information in them,
    // `start` as code, and the image's last page, where `boot.ld` puts `switch`, mapped at its
    // own address. Nothing of this address space is used again.
    unsafe { switch(boot_info, page_table.address(), stack_top, start) }
}

/// RDI boot information, RSI page table, RDX stack top, RCX first instruction.
///
/// Gives the kernel a GDT with code 0x08 and data 0x10, no IDT (our own would be in memory
/// that it does not map), RBP 0, and a zero return address.
///
/// # Safety
/// RSI maps the image's last page at its own address and executable, RDX as the end of a
/// stack, RCX as code that takes RDI and does not return.
#[unsafe(naked)]
#[unsafe(link_section = ".start.enter")]
unsafe extern "sysv64" fn switch(info: u64, table: u64, stack_top: u64, start: u64) -> ! {
    naked_asm!(
        "cli",
        "cld",
        "lgdt [rip + start_kernel_gdt_register]",
        "lidt [rip + start_no_idt_register]",
        "mov eax, {data}",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "xor eax, eax",
        "mov fs, eax",
        "mov gs, eax",
        "push {code}",
        "lea rax, [rip + 2f]",
        "push rax",
        "retfq",
        "2: mov cr3, rsi",
        "mov rsp, rdx",
        "xor ebp, ebp",
        "push 0",
        "jmp rcx",
        code = const 0x08,
        data = const 0x10,
    )
}
