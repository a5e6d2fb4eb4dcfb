//! What the host tells of itself. All of it may be a lie; it only has to be well formed.

use abi::field::sys;
use abi::ghci::function;
use abi::leaf::tdg;
use tdcall::{ghci, guest};

use super::step::Steps;
use crate::td::{Td, Tdcall};
use crate::{Kernel, counts, println};

/// The hypervisor's signature, by a call: printable, or the leaf is not there.
const HYPERVISOR: u32 = 0x4000_0000;

pub(super) fn info(steps: &mut Steps, kernel: &mut Kernel) {
    counts::vmcall(function::GET_TD_VMCALL_INFO);
    let base = ghci::get_td_vmcall_info(0);
    steps.holds("GetTdVmCallInfo: the base functions are there", base.is_ok());
    if let Ok([_, b, c, d]) = Td.cpuid(HYPERVISOR, 0) {
        let name = [b, c, d].map(u32::to_le_bytes);
        println!("# hypervisor: {}", text(name.as_flattened()).escape_ascii());
    }
    if !kernel.vp.has_sys_rd {
        return;
    }
    let version = [sys::MAJOR_VERSION, sys::MINOR_VERSION].map(|field| {
        counts::tdcall(tdg::SYS_RD);
        guest::sys_rd(field)
    });
    match version {
        [Ok(major), Ok(minor)] => println!("# TDX module {major}.{minor}"),
        [Err(status), _] | [_, Err(status)] => println!("# TDX module: no version ({status})"),
    }
}

/// The bytes without the zeros at their end.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}
