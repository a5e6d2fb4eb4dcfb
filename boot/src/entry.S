// From the reset vector to 64-bit Rust. [TDVF 1.9, 1.10, 1.12, 12.2]
//
// In: every CPU at once, at 0xFFFFFFF0, with no stack, no IDT and no RAM to rely on;
// either in 16-bit real mode (no trust domain) or in flat 32-bit protected mode with
// EBX = width of addresses, ECX = R8 = address of the TD HOB, ESI = index of the CPU.
// Out: CPU 0 of a trust domain calls `entry(width, hob, hob)` in 64-bit mode on the
// tables below, .data and .bss in place, on a stack. Other CPUs of a trust domain spin
// for ever and write nothing. Outside a trust domain: a line on COM1, then the end.
//
// Nothing here may raise an exception, #VE included, in a trust domain: there is no IDT.

.set CR0_PE, 1 << 0
.set CR0_MP, 1 << 1
.set CR0_EM, 1 << 2
.set CR0_TS, 1 << 3
.set CR0_WP, 1 << 16
.set CR0_PG, 1 << 31
.set CR4_PAE, 1 << 5
.set CR4_OSFXSR, 1 << 9
.set CR4_OSXMMEXCPT, 1 << 10

.set CODE64, 0x08
.set DATA, 0x10
.set CODE32, 0x18

.set CPUID_HYPERVISOR_BIT, 31           // of leaf 1, ECX
.set CPUID_TDX, 0x21                    // answers "IntelTDX    "
.set INTE, 0x65746E49
.set LTDX, 0x5844546C
.set SPACES, 0x20202020

.set COM1, 0x3F8
.set UART_DIVISOR_LATCH, 0x80           // of the line control register, COM1 + 3
.set UART_8N1, 0x03
.set UART_ROOM, 0x20                    // of the line status register, COM1 + 5
.set UART_EMPTY, 0x40
.set UART_POLLS, 0x10000

.set PCI_ADDRESS, 0xCF8
.set PCI_DATA, 0xCFC
.set ICH9_LPC, 0x8000F800               // bus 0, device 31, function 0
.set ICH9_LPC_ID, 0x29188086
.set LPC_PMBASE, 0x40
.set LPC_ACPI_CONTROL, 0x44
.set LPC_ACPI_ENABLE, 0x80
.set PM_BASE, 0x600
.set PM1A_CONTROL, PM_BASE + 4
.set PM1_SLEEP, 0x2000                  // SLP_EN, SLP_TYP 0: soft off on QEMU

// Page-table flags; A and D are set, so that the CPU never writes a table.
.set TABLE, 0x23                        // P W A
.set CODE, 0xA1                         // P A, large
.set LARGE, 0x80000000000000E3          // P W A D, large, NX
.set SMALL, 0x8000000000000063          // P W A D, NX

// --- 0xFFFFFFF0: the same bytes in 16-bit and in 32-bit mode ---------------------------
.section .reset, "ax"
.globl reset_vector
.code32
reset_vector:
    mov eax, cr0
    test al, CR0_PE
    .byte 0x74, 5                       // jz start16_jump
    .byte 0xE9                          // jmp start32
    .long start32 - . - 4
    .byte 0xE9                          // 16 bits wide, executed in real mode
    .word start16 - . - 2
    nop

// --- 0xFFFFF000 ------------------------------------------------------------------------
.section .start.first, "ax"
start_page:

// Real mode: CS reaches the last 64 KiB below 4 GiB. Goes to flat 32-bit mode to tell.
.code16
start16:
    cli
    mov bx, offset start_gdt_register_16
    lgdtd cs:[bx]
    mov eax, cr0
    or al, CR0_PE
    mov cr0, eax
    .byte 0x66, 0xEA                    // far jump, 32-bit offset
    .long start16_flat
    .word CODE32

.code32
start16_flat:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esi, offset start_real_mode_text
    jmp start_not_td

// Protected mode: a trust domain, or somebody who starts like one.
start32:
    cld
    mov ebp, ebx                        // CPUID overwrites EBX and ECX
    mov edi, ecx
    xor eax, eax
    cpuid
    cmp eax, CPUID_TDX
    jb start32_not_td
    mov eax, 1
    cpuid
    bt ecx, CPUID_HYPERVISOR_BIT
    jnc start32_not_td
    mov eax, CPUID_TDX
    xor ecx, ecx
    cpuid
    cmp ebx, INTE
    jne start32_not_td
    cmp edx, LTDX
    jne start32_not_td
    cmp ecx, SPACES
    jne start32_not_td
    test esi, esi
    jz start32_td
start32_park:
    pause
    jmp start32_park

start32_not_td:
    mov esi, offset start_no_leaf_text
    jmp start_not_td

// EFER.LME and NXE are preset; CR4.MCE is kept, because clearing it is a #VE.
start32_td:
    lgdt [start_gdt_register]
    mov eax, cr4
    or eax, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT
    mov cr4, eax
    mov eax, offset start_pml4
    mov cr3, eax
    mov eax, cr0
    and eax, ~(CR0_EM | CR0_TS)
    or eax, CR0_PG | CR0_WP | CR0_MP
    mov cr0, eax
    .byte 0xEA                          // far jump to the 64-bit segment
    .long start64
    .word CODE64

// TempMem holds what the VMM likes: .data and .bss are written before they are read.
.code64
start64:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov esp, offset stack_top
    mov r9d, edi
    mov edi, offset data_start
    mov esi, offset DATA_LOAD
    mov ecx, offset data_size
    rep movsb
    mov edi, offset bss_start
    mov ecx, offset bss_words
    rep stosq
    mov edi, ebp
    mov esi, r9d
    mov rdx, r8
    xor ebp, ebp
    call {entry}
    ud2

// --- Not in a trust domain: ESI = text -------------------------------------------------
.code32
start_not_td:
    cld
    mov dx, COM1 + 3
    mov al, UART_DIVISOR_LATCH | UART_8N1
    out dx, al
    mov dx, COM1                        // 115200 baud: divisor 1
    mov al, 1
    out dx, al
    inc edx
    xor al, al
    out dx, al
    mov dx, COM1 + 3
    mov al, UART_8N1
    out dx, al
2:  lodsb
    test al, al
    jz 4f
    mov ah, al
    mov dx, COM1 + 5
    mov ecx, UART_POLLS                 // a missing UART reads as ready
3:  in al, dx
    test al, UART_ROOM
    loopz 3b
    mov al, ah
    mov dx, COM1
    out dx, al
    jmp 2b
4:  mov dx, COM1 + 5
    mov ecx, UART_POLLS
5:  in al, dx
    test al, UART_EMPTY
    loopz 5b

    mov eax, {verdict}                  // isa-debug-exit, where there is one
    mov dx, {verdict_port}
    out dx, eax

    mov eax, ICH9_LPC                   // else soft-off through ACPI, where that is known
    mov dx, PCI_ADDRESS
    out dx, eax
    mov dx, PCI_DATA
    in eax, dx
    cmp eax, ICH9_LPC_ID
    jne 6f
    mov eax, ICH9_LPC | LPC_PMBASE
    mov dx, PCI_ADDRESS
    out dx, eax
    mov eax, PM_BASE | 1
    mov dx, PCI_DATA
    out dx, eax
    mov eax, ICH9_LPC | LPC_ACPI_CONTROL
    mov dx, PCI_ADDRESS
    out dx, eax
    mov al, LPC_ACPI_ENABLE
    mov dx, PCI_DATA
    out dx, al
    mov ax, PM1_SLEEP
    mov dx, PM1A_CONTROL
    out dx, ax
6:  cli
    hlt
    jmp 6b

start_real_mode_text:
    .ascii "tdlet: not in a trust domain: this CPU started in real mode. "
    .asciz "Boot this image as a TD (see README).\n"
start_no_leaf_text:
    .ascii "tdlet: not in a trust domain: CPUID has no IntelTDX leaf. "
    .asciz "Boot this image as a TD (see README).\n"

// The accessed bits are set, so that the CPU never writes the table. The kernel gets the
// first three entries. [TDVF 8.3]
.balign 8
start_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
    .quad 0x00CF9B000000FFFF
.set start_gdt_register_16, 0xF000 + (start_gdt_register - start_page)
start_gdt_register:
    .word 31
    .quad start_gdt
.globl start_kernel_gdt_register
start_kernel_gdt_register:
    .word 23
    .quad start_gdt
.globl start_no_idt_register
start_no_idt_register:
    .word 0
    .quad 0

// --- Boot's address space: [0, 4 GiB) identity-mapped, writable and not executable, but
// for the last 2 MiB, which are code and not writable, and for the 2 MiB at 0xFE000000,
// where TempMem appears after an unmapped page (see boot.ld).
.section .tables, "a"
.balign 4096
start_pml4:
    .quad start_pdpt + TABLE
    .fill 511, 8, 0
start_pdpt:
    .quad LARGE
    .quad LARGE + (1 << 30)
    .quad LARGE + (2 << 30)
    .quad start_pd + TABLE
    .fill 508, 8, 0
start_pd:
    .set start_address, 3 << 30
    .rept 496
    .quad LARGE + start_address
    .set start_address, start_address + (2 << 20)
    .endr
    .quad start_pt + TABLE
    .set start_address, start_address + (2 << 20)
    .rept 14
    .quad LARGE + start_address
    .set start_address, start_address + (2 << 20)
    .endr
    .quad CODE + start_address
start_pt:
    .quad 0
    .set start_address, {temp_mem}
    .rept {temp_mem_pages}
    .quad SMALL + start_address
    .set start_address, start_address + 4096
    .endr
    .fill 511 - {temp_mem_pages}, 8, 0

// What follows in the same file of assembly expects this.
.text
.code64
