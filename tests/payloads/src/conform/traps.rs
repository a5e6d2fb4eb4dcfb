//! Traps at a TDCALL become statuses.
//!
//! While a row runs, #GP, #VE, #DF and #UD at a TDCALL are answered here: RAX becomes
//! [`conformance::raised`], and the call is stepped over. VE_INFO is not touched: rows look
//! at it. Or the page of a #VE is accepted ([`accept_pending`]). All other traps go to the
//! kernel.
#![expect(unsafe_code, reason = "reads code at RIP, executes CPUID, accepts pages")]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use abi::{PAGE_SIZE, PageLevel, PrivateGpa, VeInfo};
use arch::trap::{self, Handler, TrapFrame};
use conformance::raised;
use spin::{Mutex, Once};
use tdcall::guest;

/// 66 0F 01 CC. [ABI-G 1]
const TDCALL: [u8; 4] = [0x66, 0x0F, 0x01, 0xCC];
/// The kernel's segments.
const CODE: u64 = 0x08;
const DATA: u64 = 0x10;
/// RFLAGS.RF.
const RESUME_FLAG: u64 = 1 << 16;
const UD: u64 = 6;
const DF: u64 = 8;
const GP: u64 = 13;
const VE: u64 = 20;

/// The kernel's handler.
static KERNEL: Once<Handler> = Once::new();
static LAST: Mutex<Option<Trap>> = Mutex::new(None);
static MODE: AtomicU8 = AtomicU8::new(Mode::Kernel as u8);
/// In [`Mode::Report`], a #VE for a pending page is answered by accepting it.
static ACCEPTING: AtomicBool = AtomicBool::new(false);
/// VE_INFO of the last #VE that was answered so.
static TAKEN: Mutex<Option<VeInfo>> = Mutex::new(None);
/// Where to go on in [`Mode::Land`].
static LANDING: Landing = Landing { rsp: AtomicU64::new(0), rip: AtomicU64::new(0) };
/// Bytes to step over in [`Mode::Skip`].
static SKIP: AtomicU8 = AtomicU8::new(0);

#[repr(u8)]
enum Mode {
    /// The kernel handles every trap.
    Kernel = 0,
    /// A trap at a TDCALL becomes a status.
    Report = 1,
    /// A #VE is stepped over, and VE_INFO stays.
    Skip = 2,
    /// A trap goes on at the [`Landing`].
    Land = 3,
}

/// Where [`landing`] comes back to.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Landing {
    rsp: AtomicU64,
    rip: AtomicU64,
}

/// A trap that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    /// Its vector.
    pub(crate) vector: u64,
    /// Its error code, or 0.
    pub(crate) error: u64,
    /// RFLAGS.RF was set in the pushed image.
    pub(crate) resume_flag: bool,
}

/// From here on traps come here first.
pub(crate) fn install() {
    if let Some(kernel) = trap::replace_handler(on_trap) {
        KERNEL.call_once(|| kernel);
    }
}

/// Runs `call` with traps at its TDCALL made statuses; gives the trap, if there was one.
pub(crate) fn reported<T>(call: impl FnOnce() -> T) -> (T, Option<Trap>) {
    *LAST.lock() = None;
    *TAKEN.lock() = None;
    MODE.store(Mode::Report as u8, Ordering::Release);
    let result = call();
    MODE.store(Mode::Kernel as u8, Ordering::Release);
    ACCEPTING.store(false, Ordering::Relaxed);
    (result, LAST.lock().take())
}

/// In the next [`reported`] call, each #VE for a pending page of the unlisted memory is
/// answered by accepting it, so that the TDCALL runs again.
pub(crate) fn accept_pending() {
    ACCEPTING.store(true, Ordering::Relaxed);
}

/// VE_INFO that was taken for that, the last one.
pub(crate) fn taken() -> Option<VeInfo> {
    TAKEN.lock().take()
}

/// Takes VE_INFO and accepts its page.
fn accept(frame: &TrapFrame) {
    note(frame);
    let Ok(info) = guest::vp_veinfo_get() else { return };
    let page = PrivateGpa::new(info.guest_physical_address & !(PAGE_SIZE - 1));
    // SAFETY: rows name pages of the unlisted memory here, where no Rust object is.
    let _status = unsafe { guest::mem_page_accept(page, PageLevel::Size4K) };
    // As for `LAST`.
    if let Some(mut taken) = TAKEN.try_lock() {
        *taken = Some(info);
    }
}

/// Runs `instruction`. If that raises #VE, it is stepped over as `length` bytes and VE_INFO
/// stays: nothing may cause another #VE before that is taken.
pub(crate) fn leaving_ve_info(length: u8, instruction: impl FnOnce()) {
    SKIP.store(length, Ordering::Relaxed);
    MODE.store(Mode::Skip as u8, Ordering::Release);
    instruction();
    MODE.store(Mode::Kernel as u8, Ordering::Release);
}

/// Runs `leave`, which fills in where to land and goes away; gives the trap that brought it
/// back there, at CPL 0 in 64-bit mode.
pub(crate) fn landing(leave: impl FnOnce(&'static Landing)) -> Option<Trap> {
    *LAST.lock() = None;
    MODE.store(Mode::Land as u8, Ordering::Release);
    leave(&LANDING);
    MODE.store(Mode::Kernel as u8, Ordering::Release);
    LAST.lock().take()
}

/// Leaves VE_INFO valid, by a CPUID.
pub(crate) fn leave_ve_info() {
    // SAFETY: CPUID changes four registers; and it is stepped over.
    leaving_ve_info(2, || unsafe {
        asm!("push rbx", "cpuid", "pop rbx", inout("eax") 2 => _, out("ecx") _, out("edx") _);
    });
}

fn on_trap(frame: &mut TrapFrame) {
    let mode = MODE.load(Ordering::Acquire);
    if mode == Mode::Report as u8 && is_at_tdcall(frame) {
        if frame.vector == VE && ACCEPTING.load(Ordering::Relaxed) {
            return accept(frame);
        }
        note(frame);
        frame.regs.rax = raised(frame.vector as u8).0;
        frame.rip += TDCALL.len() as u64;
    } else if mode == Mode::Skip as u8 && frame.vector == VE {
        frame.rip += u64::from(SKIP.load(Ordering::Relaxed));
    } else if mode == Mode::Land as u8 && matches!(frame.vector, UD | GP) {
        note(frame);
        (frame.cs, frame.ss) = (CODE, DATA);
        frame.rsp = LANDING.rsp.load(Ordering::Relaxed);
        frame.rip = LANDING.rip.load(Ordering::Relaxed);
    } else if let Some(kernel) = KERNEL.get() {
        kernel(frame);
    }
}

fn is_at_tdcall(frame: &TrapFrame) -> bool {
    let at = core::ptr::with_exposed_provenance::<[u8; 4]>(frame.rip as usize);
    // SAFETY: the processor fetched an instruction here; three bytes more are code of this
    // kernel, whose text does not end in the trapping instruction.
    matches!(frame.vector, UD | DF | GP | VE) && unsafe { at.read_unaligned() } == TDCALL
}

fn note(frame: &TrapFrame) {
    let trap = Trap {
        vector: frame.vector,
        error: frame.error,
        resume_flag: frame.rflags & RESUME_FLAG != 0,
    };
    // Held only around a call, never while one runs.
    if let Some(mut last) = LAST.try_lock() {
        *last = Some(trap);
    }
}
