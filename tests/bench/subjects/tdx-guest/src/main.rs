//! The rows of the bench, called by crate `tdx-guest`.
#![expect(unsafe_code, reason = "accept_page and read_mmio are unsafe")]

use std::hint::black_box;

use marker::warm_row;
use tdx_guest::tdcall::{TdCallError, TdgVeInfo, TdgVpInfo, accept_page, get_tdinfo, get_veinfo};
use tdx_guest::tdvmcall::{CpuIdInfo, IoSize, TdVmcallError, cpuid, io_write, map_gpa, read_mmio};

type Vmcall<T> = Result<T, TdVmcallError>;

fn main() {
    let f: fn() -> Result<TdgVpInfo, TdCallError> = black_box(get_tdinfo);
    warm_row("vp_info", f as usize, || f().is_ok());

    let f: fn(IoSize, u16, u32) -> Vmcall<()> = black_box(io_write);
    warm_row("io_write_1", f as usize, || f(IoSize::Size1, 0x3F8, 0x41));

    let f: unsafe fn(IoSize, u64) -> Vmcall<u64> = black_box(read_mmio);
    // SAFETY: the tracer answers.
    warm_row("mmio_read_4", f as usize, || unsafe { f(IoSize::Size4, 1 << 47 | 0xFEC0_0000) });

    let f: fn(u32, u32) -> Vmcall<CpuIdInfo> = black_box(cpuid);
    warm_row("cpuid", f as usize, || f(0x4000_0000, 0));

    let f: fn(u64, u64) -> Result<(), (u64, TdVmcallError)> = black_box(map_gpa);
    warm_row("map_gpa", f as usize, || f(1 << 47 | 0x20_0000, 0x20_0000));

    let f: unsafe fn(u64, u64) -> Result<(), TdCallError> = black_box(accept_page);
    // SAFETY: the tracer answers and leaves memory alone.
    warm_row("page_accept", f as usize, || unsafe { f(0, 0x20_0000) });

    let f: fn() -> Result<TdgVeInfo, TdCallError> = black_box(get_veinfo);
    warm_row("veinfo_get", f as usize, || f().is_ok());
}
