//! How a subject tells the tracer what to count.
//!
//! A mark is `int3` with the row's name in RDI (address) and RSI (bytes) and the address of
//! the function in RDX. The tracer counts the next call of that function.
#![expect(unsafe_code, reason = "int3")]

use core::arch::asm;
use core::fmt::Debug;

/// Marks a row, makes its call, and prints `<name>: <result>`. `call` calls `function` by an
/// opaque pointer, so that there is a call and a return to count.
pub fn row<R: Debug>(name: &str, function: usize, call: impl FnOnce() -> R) {
    // SAFETY: the tracer reads the name and goes on behind the instruction.
    unsafe { asm!("int3", in("rdi") name.as_ptr(), in("rsi") name.len(), in("rdx") function) };
    let result = call();
    println!("{name}: {result:x?}");
}

/// The same after a first call that is not counted, for functions that fill a cache.
pub fn warm_row<R: Debug>(name: &str, function: usize, mut call: impl FnMut() -> R) {
    std::hint::black_box(call());
    row(name, function, call);
}
