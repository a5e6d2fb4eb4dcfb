//! The guest of the TDs: a page of code at the reset vector and two of page tables.
//!
//! It goes to 64-bit mode, where it calls the VMM for commands by VP.VMCALL, and never
//! loads an IDT, so that an exception ends the vCPU. The first VMCALL exposes everything that
//! may be, the others R10-R15:
//!
//! | R10 | what it does | then |
//! |---|---|---|
//! | 1 | R12 = the quadword at R11 | VMCALL |
//! | 2 | the quadword at R11 = R12 | VMCALL |
//! | 3 | R12 = TDG.MEM.PAGE.ACCEPT of R11 | VMCALL |
//! | 4 | counts R12 down to 0 | VMCALL |
//! | 5 | nothing | VMCALL that exposes R11 |
//! | 6 | far jump through the 32-bit offset and the selector at R11 | VMCALL as the last one |
//! | other | UD2 | |
//!
//! Linear addresses below 4 GiB are GPAs; above, they are shared GPAs, from 0 on.

use crate::bare;
use crate::place::{Buffer, Place, Pool};
use crate::tables::entry::CODE;

/// GPA of the PDPT.
pub const PDPT: u64 = CODE - 0x1000;
/// GPA of the PML4.
pub const PML4: u64 = CODE - 0x2000;
/// Linear address of shared GPA 0.
pub const SHARED: u64 = 1 << 32;
/// The SHARED bit of a GPA.
pub const SHARED_BIT: u64 = 1 << 47;
/// Linear address of a far pointer that [`JUMP`] can take: to a code segment that is 64-bit
/// and 32-bit at once.
pub const BOTH_MODES: u64 = CODE + 0x840;

/// Commands, in R10.
pub const LOAD: u64 = 1;
/// As above.
pub const STORE: u64 = 2;
/// As above.
pub const ACCEPT: u64 = 3;
/// As above.
pub const COUNT: u64 = 4;
/// As above.
pub const EXPOSE: u64 = 5;
/// As above.
pub const JUMP: u64 = 6;
/// As above: anything else.
pub const DIE: u64 = 7;

const PRESENT_WRITABLE_ACCESSED: u64 = 0x23;
const LARGE_DIRTY: u64 = 0xC0;

#[rustfmt::skip]
const TO_64_BITS: [u8; 48] = [
    0x0F, 0x20, 0xE0,                         // mov eax, cr4
    0x83, 0xC8, 0x20,                         // or eax, 0x20        PAE
    0x0F, 0x22, 0xE0,                         // mov cr4, eax
    0xB8, 0x00, 0xD0, 0xFF, 0xFF,             // mov eax, 0xFFFFD000 PML4
    0x0F, 0x22, 0xD8,                         // mov cr3, eax
    0x0F, 0x20, 0xC0,                         // mov eax, cr0
    0x0F, 0xBA, 0xE8, 0x1F,                   // bts eax, 31         PG
    0x0F, 0x22, 0xC0,                         // mov cr0, eax
    0x0F, 0x01, 0x15, 0x00, 0xF8, 0xFF, 0xFF, // lgdt [0xFFFFF800]
    0xEA, 0x30, 0xF0, 0xFF, 0xFF, 0x08, 0x00, // jmp 8:0xFFFFF030
    0, 0, 0, 0, 0, 0, 0,
];

#[rustfmt::skip]
const COMMANDS: [u8; 96] = [
    0xB9, 0xCC, 0xFF, 0x00, 0x00, //          mov ecx, 0xFFCC
    // next:
    0x31, 0xC0,                   //          xor eax, eax
    0x66, 0x0F, 0x01, 0xCC,       //          tdcall              VP.VMCALL
    0x41, 0x83, 0xFA, 0x01,       //          cmp r10d, 1
    0x74, 0x20,                   //          je load
    0x41, 0x83, 0xFA, 0x02,       //          cmp r10d, 2
    0x74, 0x1F,                   //          je store
    0x41, 0x83, 0xFA, 0x03,       //          cmp r10d, 3
    0x74, 0x1E,                   //          je accept
    0x41, 0x83, 0xFA, 0x04,       //          cmp r10d, 4
    0x74, 0x29,                   //          je count
    0x41, 0x83, 0xFA, 0x05,       //          cmp r10d, 5
    0x74, 0x2F,                   //          je expose
    0x41, 0x83, 0xFA, 0x06,       //          cmp r10d, 6
    0x74, 0x2E,                   //          je jump
    0x0F, 0x0B,                   //          ud2
    0x4D, 0x8B, 0x23,             // load:    mov r12, [r11]
    0xEB, 0x1B,                   //          jmp done
    0x4D, 0x89, 0x23,             // store:   mov [r11], r12
    0xEB, 0x16,                   //          jmp done
    0x4C, 0x89, 0xD9,             // accept:  mov rcx, r11
    0xB8, 0x06, 0x00, 0x00, 0x00, //          mov eax, 6
    0x66, 0x0F, 0x01, 0xCC,       //          tdcall              MEM.PAGE.ACCEPT
    0x49, 0x89, 0xC4,             //          mov r12, rax
    0xEB, 0x05,                   //          jmp done
    0x49, 0xFF, 0xCC,             // count:   dec r12
    0x75, 0xFB,                   //          jnz count
    0xB9, 0x00, 0xFC, 0x00, 0x00, // done:    mov ecx, 0xFC00
    0xEB, 0xAD,                   //          jmp next
    0x44, 0x89, 0xD9,             // expose:  mov ecx, r11d
    0xEB, 0xA8,                   //          jmp next
    0x41, 0xFF, 0x2B,             // jump:    jmp fword ptr [r11]
];

/// The quadword at the reset vector, to the first instruction: `jmp 0xFFFFF000`, 32-bit.
pub const RESET: u64 = 0xFF_FFF0_0BE9;
/// GDTR: limit, base.
const GDTR: u64 = 0xFFFF_F810_0027;
/// A null descriptor, a 64-bit code segment, one more, one that is of both sizes, and a task.
const GDT: [u64; 5] =
    [0, 0x00AF_9B00_0000_FFFF, 0x00AF_9B00_0000_FFFF, 0x00EF_9B00_0000_FFFF, 0xFF00_89FF_FA00_0067];

/// GPA of the instruction at the reset vector.
pub const RESET_VECTOR: u64 = CODE + 0xFF0;

/// A page of the guest, by its GPA, in the source buffer.
pub fn write_source(pool: &Pool, gpa: u64) {
    let source = pool.resolve(Place::Buffer(Buffer::Source));
    bare::zero(source);
    match gpa {
        CODE => {
            bare::write_bytes(source, &TO_64_BITS);
            bare::write_bytes(source + 0x30, &COMMANDS);
            bare::write(source + 0x800, &[GDTR]);
            bare::write(source + 0x810, &GDT);
            bare::write(source + 0x840, &[0x18 << 32 | (CODE + 0x35)]);
            bare::write(source + 0xFF0, &[RESET]);
        }
        PDPT => {
            for gib in 0..4 {
                let entry = gib << 30 | PRESENT_WRITABLE_ACCESSED | LARGE_DIRTY;
                bare::write(source + gib * 8, &[entry]);
            }
            let shared = SHARED_BIT | PRESENT_WRITABLE_ACCESSED | LARGE_DIRTY;
            bare::write(source + 4 * 8, &[shared]);
        }
        PML4 => bare::write(source, &[PDPT | PRESENT_WRITABLE_ACCESSED]),
        _ => {}
    }
}
