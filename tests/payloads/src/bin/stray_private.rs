//! Touches the private half of a shared page, which it used just before: a page fault, and not
//! the end of the TD by an access to memory that is not there.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "reads where nothing is")]

use kernel::memory::shared::SharedPages;
use kernel::{Kernel, Verdict, println};

kernel::main!(touch);

fn touch(kernel: &mut Kernel) -> Verdict {
    let pages = match SharedPages::new(1) {
        Ok(pages) => pages,
        Err(error) => {
            println!("FAIL {error}");
            return Verdict::CheckFailed;
        }
    };
    let private = kernel.memory.physical(pages.address());
    println!("touching {:#x}", private.addr());
    // SAFETY: no Rust object lies there; the read does not come back.
    let value = unsafe { private.read_volatile() };
    println!("FAIL it is {value:#x}");
    Verdict::CheckFailed
}
