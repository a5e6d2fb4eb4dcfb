//! The rows of the bench, called by crate `tdx-tdcall`.

use std::hint::black_box;

use marker::warm_row;
use tdx_tdcall::tdx::{
    CpuIdInfo, TdInfo, TdVeInfo, tdcall_accept_page, tdcall_get_td_info, tdcall_get_ve_info,
    tdvmcall_cpuid, tdvmcall_io_write_8, tdvmcall_mapgpa, tdvmcall_mmio_read,
};
use tdx_tdcall::{TdCallError, TdVmcallError};

fn main() {
    let f: fn() -> Result<TdInfo, TdCallError> = black_box(tdcall_get_td_info);
    warm_row("vp_info", f as usize, || f().is_ok());

    let f: fn(u16, u8) = black_box(tdvmcall_io_write_8);
    warm_row("io_write_1", f as usize, || f(0x3F8, 0x41));

    // The first call asks for the shared bit and keeps it.
    let f: fn(usize) -> u32 = black_box(tdvmcall_mmio_read::<u32>);
    warm_row("mmio_read_4", f as usize, || f(0xFEC0_0000));

    let f: fn(u32, u32) -> CpuIdInfo = black_box(tdvmcall_cpuid);
    warm_row("cpuid", f as usize, || f(0x4000_0000, 0));

    let f: fn(bool, u64, usize) -> Result<(), TdVmcallError> = black_box(tdvmcall_mapgpa);
    warm_row("map_gpa", f as usize, || f(true, 0x20_0000, 0x20_0000));

    let f: fn(u64) -> Result<(), TdCallError> = black_box(tdcall_accept_page);
    warm_row("page_accept", f as usize, || f(0x20_0000));

    let f: fn() -> Result<TdVeInfo, TdCallError> = black_box(tdcall_get_ve_info);
    warm_row("veinfo_get", f as usize, || f().is_ok());
}
