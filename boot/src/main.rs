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

use boot::BootError;
use boot::accept::Acceptor;
use boot::frame::Frames;
use boot::launch::{self, Entry};
use boot::options::{self, Acceptance};
use boot::start::Registers;

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
    let acceptance = options::acceptance(image.options)?;
    let ram = memory::list(&image, width)?;
    let mut td = td::Td;
    let mut acceptor = Acceptor::new(&mut td, width);
    if acceptance == Acceptance::All {
        acceptor.accept_all(ram)?;
    }
    let mut memory = memory::ram();
    let (entry, frames) = launch::prepare(&image, Frames::new(ram, acceptor), &mut memory)?;
    let accepted = frames.accepted();
    console::say(format_args!(
        "{} KiB accepted ({} pages of 2 MiB, {} of 4 KiB), {} KiB left",
        accepted.bytes() / 1024,
        accepted.large,
        accepted.small,
        frames.ram().unaccepted_bytes() / 1024
    ));
    Ok(entry)
}
