//! Touches the shared half of a page that is private again, which it used just before: a page
//! fault, and not a page for the host.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "writes where nothing is")]

use kernel::memory::shared::{SharedError, SharedPages};
use kernel::{Kernel, Verdict, println};

kernel::main!(touch);

fn touch(_: &mut Kernel) -> Verdict {
    match was_shared() {
        Ok(shared) => {
            println!("touching {:#x}", shared.addr());
            // SAFETY: no Rust object lies there; the write does not come back.
            unsafe { shared.write_volatile(1) };
            println!("FAIL it took a byte");
        }
        Err(error) => println!("FAIL {error}"),
    }
    Verdict::CheckFailed
}

/// Where a page was that is shared no more.
fn was_shared() -> Result<*mut u8, SharedError> {
    let pages = SharedPages::new(1)?;
    let shared = pages.as_ptr();
    // SAFETY: the page's first byte; nobody else uses it.
    unsafe { shared.write_volatile(1) };
    pages.into_private()?;
    Ok(shared)
}
