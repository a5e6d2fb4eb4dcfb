//! Rows of the GHCI functions.

use abi::ghci::FATAL_TEXT_BYTES;
use abi::{IoWidth, SharedGpa};
use tdcall::ghci::{self, CacheOperation, MmioWidth, NotifyVector, VmcallError, VmcallInfo};

use crate::shared;

type Vmcall<T> = Result<T, VmcallError>;
type Text = [u8; FATAL_TEXT_BYTES];

/// A value whose every byte is another.
const VALUE: u64 = 0x1122_3344_5566_7788;

pub(crate) fn rows() {
    ports();
    devices();
    call!("hlt", ghci::hlt as fn(bool) -> Vmcall<()>, true);
    call!("rdmsr", ghci::rdmsr as fn(u32) -> Vmcall<u64>, 0x1B);
    call!("wrmsr", ghci::wrmsr as fn(u32, u64) -> Vmcall<()>, 0x1B, VALUE);
    let flush = CacheOperation::WriteBack;
    call!("wbinvd", ghci::wbinvd as fn(CacheOperation) -> Vmcall<()>, flush);
    call!("pconfig", ghci::pconfig as fn(u32, [u64; 3]) -> Vmcall<u64>, 1, [2, 3, 4]);
    call!("info", ghci::get_td_vmcall_info as fn(u64) -> Vmcall<VmcallInfo>, 1);
    let buffer = shared(0x40_0000);
    call!("get_quote", ghci::get_quote as fn(SharedGpa, u64) -> Vmcall<()>, buffer, 0x2000);
    let vector = NotifyVector::try_new(0x50).expect("not an exception's");
    call!(
        "setup_event_notify_interrupt",
        ghci::setup_event_notify_interrupt as fn(NotifyVector) -> Vmcall<()>,
        vector
    );
    call!(
        "service",
        ghci::service as fn(SharedGpa, SharedGpa, Option<NotifyVector>, u64) -> Vmcall<()>,
        buffer,
        shared(0x50_0000),
        Some(vector),
        250
    );
    let mut text = [0; FATAL_TEXT_BYTES];
    text.copy_from_slice(b"r14 text|r15 text|rbx text|rdi text|rsi text|r8 text|r9 text|rdx");
    call!("fatal", ghci::report_fatal_error as fn(u64, &Text) -> VmcallError, 0x77_0000, &text);
    call!(
        "fatal_page",
        ghci::report_fatal_error_with_page as fn(u64, SharedGpa, &Text) -> VmcallError,
        0,
        buffer,
        &text
    );
}

fn ports() {
    let widths = [(IoWidth::Byte, 1), (IoWidth::Word, 2), (IoWidth::Dword, 4)];
    for (width, bytes) in widths {
        call!(
            &format!("in_{bytes}"),
            ghci::io_read as fn(u16, IoWidth) -> Vmcall<u32>,
            0xCF8,
            width
        );
        call!(
            &format!("out_{bytes}"),
            ghci::io_write as fn(u16, IoWidth, u32) -> Vmcall<()>,
            0xCF8,
            width,
            VALUE as u32
        );
    }
}

fn devices() {
    let widths =
        [(MmioWidth::Byte, 1), (MmioWidth::Word, 2), (MmioWidth::Dword, 4), (MmioWidth::Qword, 8)];
    let device = shared(0xFEE0_0000);
    for (width, bytes) in widths {
        call!(
            &format!("load_{bytes}"),
            ghci::mmio_read as fn(SharedGpa, MmioWidth) -> Vmcall<u64>,
            device,
            width
        );
        call!(
            &format!("store_{bytes}"),
            ghci::mmio_write as fn(SharedGpa, MmioWidth, u64) -> Vmcall<()>,
            device,
            width,
            VALUE
        );
    }
}
