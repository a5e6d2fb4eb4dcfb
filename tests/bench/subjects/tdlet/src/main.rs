//! The rows of the bench, called by crate `tdcall`, and a row for every other function of the
//! crate, for the tests.

/// `call!("row", function as fn(…) -> …, arguments)`: a row, called by an opaque pointer.
macro_rules! call {
    ($name:expr, $function:path as $type:ty $(, $argument:expr)*) => {{
        let function: $type = std::hint::black_box($function);
        marker::row($name, function as usize, || function($($argument),*))
    }};
}

/// The same for a function that is unsafe because its leaf changes memory.
macro_rules! call_unsafe {
    ($name:expr, $function:path as $type:ty $(, $argument:expr)*) => {{
        let function: $type = std::hint::black_box($function);
        // SAFETY: the tracer answers and leaves memory alone.
        marker::row($name, function as usize, || unsafe { function($($argument),*) })
    }};
}

mod ghci;
mod guest;
mod host;

use abi::{GpaWidth, PrivateGpa, SharedGpa};

fn main() {
    bench::rows();
    ghci::rows();
    guest::rows();
    host::rows();
}

/// The rows of the table.
mod bench {
    #![expect(unsafe_code, reason = "leaves that change memory are unsafe")]

    use abi::{Gpa, GpaRange, IoWidth, PageLevel, PrivateGpa, SharedGpa, Status, VeInfo};
    use tdcall::ghci::{self, MapGpaError, MmioWidth, VmcallError};
    use tdcall::guest::{self, VpInfo};

    use super::{WIDTH, private, shared};

    type Vmcall<T> = Result<T, VmcallError>;

    pub(super) fn rows() {
        call!("vp_info", guest::vp_info as fn() -> Result<VpInfo, Status>);
        call!(
            "io_write_1",
            ghci::io_write as fn(u16, IoWidth, u32) -> Vmcall<()>,
            0x3F8,
            IoWidth::Byte,
            0x1234_5641
        );
        call!(
            "mmio_read_4",
            ghci::mmio_read as fn(SharedGpa, MmioWidth) -> Vmcall<u64>,
            shared(0xFEC0_0000),
            MmioWidth::Dword
        );
        call!("cpuid", ghci::cpuid as fn(u32, u32) -> Vmcall<[u32; 4]>, 0x4000_0000, 7);
        let range = GpaRange::try_new(Gpa::Shared(shared(0x20_0000)), 0x20_0000, WIDTH);
        call_unsafe!(
            "map_gpa",
            ghci::map_gpa as unsafe fn(GpaRange) -> Result<(), MapGpaError>,
            range.expect("whole pages")
        );
        call_unsafe!(
            "page_accept",
            guest::mem_page_accept as unsafe fn(PrivateGpa, PageLevel) -> Status,
            private(0x20_0000),
            PageLevel::Size2M
        );
        call!("veinfo_get", guest::vp_veinfo_get as fn() -> Result<VeInfo, Status>);
    }
}

const WIDTH: GpaWidth = GpaWidth::Bits48;

/// A shared address.
fn shared(address: u64) -> SharedGpa {
    SharedGpa::try_new(address, WIDTH).expect("an address of that width")
}

/// A private address.
fn private(address: u64) -> PrivateGpa {
    PrivateGpa::try_new(address, WIDTH).expect("an address of that width")
}
