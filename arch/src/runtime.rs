//! The symbols that prebuilt `core` expects from a C library.

/// Defines `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp` and `rust_eh_personality`.
///
/// Invoked once by each bare binary. They are not in the library itself, where they
/// would collide with the host's own in tests. Quadword string moves, because an
/// emulated CPU pays per iteration.
#[macro_export]
macro_rules! runtime {
    () => {
        mod arch_runtime {
            #![expect(unsafe_code, reason = "the C memory functions, by string instructions")]
            use core::arch::asm;

            /// # Safety
            /// As C's `memcpy`.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
                // SAFETY: the ABI gives DF = 0; both ranges are valid by C's contract.
                unsafe {
                    asm!("rep movsq", "mov ecx, edx", "rep movsb",
                         inout("rcx") len >> 3 => _, in("edx") (len & 7) as u32,
                         inout("rdi") to => _, inout("rsi") from => _,
                         options(nostack, preserves_flags));
                }
                to
            }

            /// # Safety
            /// As C's `memmove`.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
                if to.addr().wrapping_sub(from.addr()) >= len {
                    // SAFETY: going up never overwrites a byte that is still to be read.
                    return unsafe { memcpy(to, from, len) };
                }
                // SAFETY: the overlap has `to` above `from`, so going down is right, and
                // `len` is not 0; DF is put back.
                unsafe {
                    asm!("std", "rep movsb", "cld",
                         inout("rcx") len => _,
                         inout("rdi") to.add(len - 1) => _,
                         inout("rsi") from.add(len - 1) => _,
                         options(nostack));
                }
                to
            }

            /// # Safety
            /// As C's `memset`.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
                let word = u64::from(value as u8) * 0x0101_0101_0101_0101;
                // SAFETY: the ABI gives DF = 0; the range is valid by C's contract.
                unsafe {
                    asm!("rep stosq", "mov ecx, edx", "rep stosb",
                         inout("rcx") len >> 3 => _, in("edx") (len & 7) as u32,
                         inout("rdi") to => _, in("rax") word,
                         options(nostack, preserves_flags));
                }
                to
            }

            /// # Safety
            /// As C's `memcmp`.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
                let mut index = 0;
                while index < len {
                    // SAFETY: `index < len`, inside both ranges by C's contract. Volatile,
                    // so that the compiler does not turn the loop into a call of memcmp.
                    let left = unsafe { a.add(index).read_volatile() };
                    // SAFETY: as above.
                    let right = unsafe { b.add(index).read_volatile() };
                    if left != right {
                        return i32::from(left) - i32::from(right);
                    }
                    index += 1;
                }
                0
            }

            /// # Safety
            /// As C's `bcmp`.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
                // SAFETY: the same contract.
                unsafe { memcmp(a, b, len) }
            }

            /// Named by prebuilt code; never called, because panics abort.
            #[unsafe(no_mangle)]
            extern "C" fn rust_eh_personality() {}
        }
    };
}
