//! Boot: from the reset vector to a `bootloader_api` kernel, in a trust domain.
//!
//! [`entry`] brings the first CPU into 64-bit mode; what is decided after that stands in
//! the library. Everything that goes wrong is one line on COM1 and a ReportFatalError.
#![no_std]
#![no_main]

mod console;
mod enter;
mod entry;
mod fatal;
mod memory;
mod td;

use boot::launch::Entry;
use boot::start::Registers;
use boot::{BootError, accept, launch};

arch::runtime!();

/// Called by `entry.S`.
extern "C" fn main(gpa_width_bits: u32, hob_low: u32, hob: u64) -> ! {
    fatal::catch_exceptions();
    match run(Registers { gpa_width_bits, hob_low, hob }) {
        Ok(kernel) => enter::kernel(kernel),
        Err(error) => fatal::stop(format_args!("error: {error}")),
    }
}

fn run(registers: Registers) -> Result<Entry, BootError> {
    let width = td::check(registers)?;
    let image = memory::image()?;
    let ram = memory::list(&image, width)?;
    let accepted = accept::accept_all(&mut td::Td, ram, width)?;
    console::say(format_args!(
        "{} KiB accepted ({} pages of 2 MiB, {} of 4 KiB)",
        accepted.bytes() / 1024,
        accepted.large,
        accepted.small
    ));
    launch::prepare(image.kernel, image.kernel_frame, enter::page(), ram, &mut memory::ram())
}
