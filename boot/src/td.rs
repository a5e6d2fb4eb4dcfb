//! The TDX module, as the library wants it.
#![expect(unsafe_code, reason = "gives memory to TDG.MEM.PAGE.ACCEPT")]

use abi::{GpaWidth, PageLevel, PrivateGpa, Status};
use boot::BootError;
use boot::start::{Registers, StartError};
use image::layout::TD_HOB;
use tdcall::accept::Accept;
use tdcall::guest;

/// The module below this trust domain.
#[derive(Debug)]
pub(crate) struct Td;

impl Accept for Td {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        // SAFETY: acceptance asks for memory that `RamList` holds as unaccepted: not the
        // image, not boot's own, and no frame was given out of it, so no Rust object is in it.
        unsafe { guest::mem_page_accept(gpa, level) }
    }
}

/// Holds the initial registers against what the module says.
pub(crate) fn check(registers: Registers) -> Result<GpaWidth, BootError> {
    let info = guest::vp_info().map_err(StartError::VpInfo)?;
    Ok(registers.check(info.gpa_width_bits, TD_HOB.start)?)
}
