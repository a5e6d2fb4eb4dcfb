//! MapGPA, as KVM and QEMU serve it. [TDVF 4.5]
//!
//! | the range | answer |
//! |---|---|
//! | empty, over the end of addresses, or in both halves | INVALID_OPERAND, R11 = start |
//! | not of whole pages | ALIGN_ERROR, R11 = start |
//! | memory | converted, 2 MiB at a time |
//! | no memory, to shared | success: devices are shared anyway |
//! | no memory, to private | QEMU stops: the TD is dead |
//!
//! Between two pieces RETRY with R11 = the next one, if an interrupt is waiting for the TD; also
//! in the middle of one if the module is busy. The configuration can make it hostile:
//! [`MapGpaMode`].

use abi::{GhciStatus, PAGE_SIZE, PageLevel, Regs};

use crate::conversion::{self, MapGpaMode, Stop};
use crate::end::{Death, End};
use crate::idle::Watchdog;
use crate::interrupts;
use crate::ram::Range;
use crate::td::{Td, Vcpu, Vmm};

/// KVM's TDX_MAP_GPA_MAX_LEN.
const PIECE: u64 = PageLevel::Size2M.bytes();
/// MAXPHYADDR that the TD sees: what is above is no address.
const ADDRESS_END: u64 = 1 << 52;

/// Serves the call in `regs`; R11 is where to go on, or the culprit, unless it is a success.
pub(super) fn serve(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    regs: &mut Regs,
) -> Result<GhciStatus, End> {
    let (start, bytes) = (regs.r12, regs.r13);
    let range = match check(start, bytes, td.width.shared_mask()) {
        Ok(range) => range,
        Err(status) => {
            regs.r11 = start;
            return Ok(status);
        }
    };
    let (status, r11) = match td.conversion.mode {
        MapGpaMode::Honest | MapGpaMode::NoFlush => map(vmm, td, vcpu, watchdog, range)?,
        MapGpaMode::RetryEach => one_page(vmm, td, vcpu, watchdog, range)?,
        MapGpaMode::RetryForEver => (GhciStatus::RETRY, start),
        MapGpaMode::RetryOutside => (GhciStatus::RETRY, range.end),
        MapGpaMode::RetryBackwards => match td.conversion.resume.take() {
            Some(resume) if resume == start => (GhciStatus::RETRY, start - PAGE_SIZE),
            _ => {
                let answer = one_page(vmm, td, vcpu, watchdog, range)?;
                td.conversion.resume = Some(answer.1).filter(|_| answer.0 == GhciStatus::RETRY);
                answer
            }
        },
        MapGpaMode::Lie | MapGpaMode::LieMmio => (GhciStatus::SUCCESS, regs.r11),
        MapGpaMode::Error(status) => (status, start),
    };
    if status != GhciStatus::SUCCESS {
        regs.r11 = r11;
    }
    Ok(status)
}

/// KVM's checks, in its order.
fn check(start: u64, bytes: u64, shared_mask: u64) -> Result<Range, GhciStatus> {
    let end = start.checked_add(bytes).filter(|end| *end > start && *end <= ADDRESS_END);
    let end = end.ok_or(GhciStatus::INVALID_OPERAND)?;
    if start & shared_mask != (end - 1) & shared_mask {
        return Err(GhciStatus::INVALID_OPERAND);
    }
    if !start.is_multiple_of(PAGE_SIZE) || !bytes.is_multiple_of(PAGE_SIZE) {
        return Err(GhciStatus::ALIGN_ERROR);
    }
    Ok(Range::new(start, end))
}

/// Converts the range until something comes between; the status and where to go on.
fn map(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    range: Range,
) -> Result<(GhciStatus, u64), End> {
    let mut at = range.start;
    loop {
        let piece = Range::new(at, at.saturating_add(PIECE).min(range.end));
        if let Some(resume) = convert(vmm, td, vcpu, piece)? {
            return Ok((GhciStatus::RETRY, resume));
        }
        at = over_nothing(td, piece.end);
        if at >= range.end {
            return Ok((GhciStatus::SUCCESS, range.end));
        }
        watchdog.check(vmm.cpu)?;
        interrupts::timer(vmm, vcpu);
        if vcpu.posted.are_pending(vmm.memory) {
            return Ok((GhciStatus::RETRY, at));
        }
    }
}

/// Converts the first page alone.
fn one_page(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    range: Range,
) -> Result<(GhciStatus, u64), End> {
    let page = Range::new(range.start, range.start + PAGE_SIZE);
    let (status, at) = map(vmm, td, vcpu, watchdog, page)?;
    let is_done = status == GhciStatus::SUCCESS && at < range.end;
    Ok((if is_done { GhciStatus::RETRY } else { status }, at))
}

/// Shared pieces without memory cost no time: where the first one from `at` on starts that has
/// some, or where the half ends.
fn over_nothing(td: &Td, at: u64) -> u64 {
    let mask = td.width.shared_mask();
    if at & mask == 0 {
        return at;
    }
    let half_end = (at | (mask - 1)).saturating_add(1);
    let address = at & !mask;
    match td.guest.memory_from(address) {
        Some(memory) if memory.start < address + PIECE => at,
        Some(memory) => (at + (memory.start - address) / PIECE * PIECE).min(half_end),
        None => half_end,
    }
}

/// Converts one piece; where it stopped, if it did.
fn convert(vmm: &mut Vmm<'_>, td: &mut Td, vcpu: &Vcpu, piece: Range) -> Result<Option<u64>, End> {
    let half = piece.start & td.width.shared_mask();
    let (mut at, end) = (piece.start - half, piece.end - half);
    while at < end {
        let memory =
            td.guest.memory_from(at).map(|memory| memory.intersection(Range::new(at, end)));
        let Some(memory) = memory.filter(|memory| !memory.is_empty()) else {
            return if half == 0 { Err(Death::Unconvertible(at).into()) } else { Ok(None) };
        };
        if half == 0 {
            if memory.start > at {
                return Err(Death::Unconvertible(at).into());
            }
            conversion::to_private(vmm, td, &vcpu.shared, memory)?;
        } else {
            match conversion::to_shared(vmm, td, &vcpu.shared, memory) {
                Ok(()) => {}
                Err(Stop::Busy(at)) => return Ok(Some(at | half)),
                Err(Stop::Failed(failure)) => return Err(failure.into()),
            }
        }
        at = memory.end;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
