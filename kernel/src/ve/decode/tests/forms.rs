//! Forms and refusals by hand, from the manual's tables.

use super::super::*;

#[test]
fn each_family_is_decoded() {
    let forms: [(&[u8], u8, MmioWidth); 26] = [
        (&[0x88, 0x27], 2, MmioWidth::Byte),              // mov [rdi], ah
        (&[0x66, 0x89, 0x07], 3, MmioWidth::Word),        // mov [rdi], ax
        (&[0x8A, 0x07], 2, MmioWidth::Byte),              // mov al, [rdi]
        (&[0x48, 0x8B, 0x04, 0x8F], 4, MmioWidth::Qword), // mov rax, [rdi+rcx*4]
        (&[0x65, 0x8B, 0x07], 3, MmioWidth::Dword),       // mov eax, gs:[rdi]
        (&[0xA1, 1, 2, 3, 4, 5, 6, 7, 8], 9, MmioWidth::Dword), // mov eax, moffs
        (&[0x67, 0xA2, 1, 2, 3, 4], 6, MmioWidth::Byte),  // mov moffs32, al
        (&[0xC6, 0x07, 0x80], 3, MmioWidth::Byte),        // mov byte [rdi], 0x80
        (&[0x48, 0xC7, 0x47, 1, 0, 0, 0, 0x80], 8, MmioWidth::Qword), // mov qword [rdi+1], imm
        (&[0xC7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4], 10, MmioWidth::Dword), // mov [rip], imm32
        (&[0x66, 0xC7, 0x07, 1, 2], 5, MmioWidth::Word),  // mov word [rdi], imm16
        (&[0x48, 0x63, 0x07], 3, MmioWidth::Dword),       // movsxd rax, [rdi]
        (&[0x0F, 0xB6, 0x07], 3, MmioWidth::Byte),        // movzx eax, byte [rdi]
        (&[0x4C, 0x0F, 0xBF, 0x07], 4, MmioWidth::Word),  // movsx r8, word [rdi]
        (&[0x87, 0x07], 2, MmioWidth::Dword),             // xchg [rdi], eax
        (&[0x09, 0x07], 2, MmioWidth::Dword),             // or [rdi], eax
        (&[0x3A, 0x07], 2, MmioWidth::Byte),              // cmp al, [rdi]
        (&[0x48, 0x83, 0x0F, 0x80], 4, MmioWidth::Qword), // or qword [rdi], -128
        (&[0x66, 0x81, 0x3F, 1, 2], 5, MmioWidth::Word),  // cmp word [rdi], imm16
        (&[0xF6, 0x07, 1], 3, MmioWidth::Byte),           // test byte [rdi], 1
        (&[0xF7, 0x17], 2, MmioWidth::Dword),             // not dword [rdi]
        (&[0xFE, 0x0F], 2, MmioWidth::Byte),              // dec byte [rdi]
        (&[0x0F, 0xBA, 0x2F, 31], 4, MmioWidth::Dword),   // bts dword [rdi], 31
        (&[0x48, 0x0F, 0xA3, 0x07], 4, MmioWidth::Qword), // bt [rdi], rax
        (&[0xF3, 0x66, 0xA5], 3, MmioWidth::Word),        // rep movsw
        (&[0xF3, 0x48, 0xAB], 3, MmioWidth::Qword),       // rep stosq
    ];
    for (bytes, length, width) in forms {
        let instruction = decode(bytes).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
        assert_eq!((instruction.length, instruction.width), (length, width), "{bytes:02x?}");
    }
}

#[test]
fn a_refusal_says_why() {
    let refusals: [(&[u8], DecodeError); 19] = [
        (&[], DecodeError::Truncated),
        (&[0x66; 16], DecodeError::TooLong),
        (&[0x48; 15], DecodeError::TooLong),
        (&[0xF0, 0x09, 0x07], DecodeError::Lock),
        (&[0xF0, 0x87, 0x07], DecodeError::Lock), // lock xchg
        (&[0xF2, 0x87, 0x07], DecodeError::Repeat), // xacquire xchg
        (&[0xF3, 0x89, 0x07], DecodeError::Repeat),
        (&[0x66, 0x63, 0x07], DecodeError::NarrowMovsxd),
        (&[0x89, 0xC0], DecodeError::NoMemory),
        (&[0xC7, 0x0F], DecodeError::Extension(1)),
        (&[0xF6, 0x0F, 1], DecodeError::Extension(1)), // the undocumented TEST
        (&[0xF7, 0x27], DecodeError::Extension(4)),    // mul
        (&[0xFF, 0x17], DecodeError::Extension(2)),    // call
        (&[0x0F, 0xBA, 0x07, 1], DecodeError::Extension(0)),
        (&[0x8F, 0x07], DecodeError::Opcode(0x8F)), // pop
        (&[0xC4, 0xE1], DecodeError::Opcode(0xC4)), // VEX
        (&[0xA6], DecodeError::Opcode(0xA6)),       // cmpsb
        (&[0x0F, 0xB1, 0x07], DecodeError::TwoByteOpcode(0xB1)), // cmpxchg
        (&[0x0F, 0x10, 0x07], DecodeError::TwoByteOpcode(0x10)), // movups
    ];
    for (bytes, error) in refusals {
        assert_eq!(decode(bytes), Err(error), "{bytes:02x?}");
    }
}
