//! RBP over TDH.VP.ENTER. Module 1.5.01 clears it on asynchronous exits, later ones keep it,
//! and the wrapper has to give it back either way. [ABI-H 5.6]
//!
//! So each entry is made by a call that starts with a certain RBP, which the calling
//! convention says it ends with.
#![expect(unsafe_code, reason = "RBP has no name in Rust")]

use core::arch::asm;

/// What nobody has in RBP by chance.
const MARK: u64 = 0x5242_505F_6F77_6E00;

/// What was seen of RBP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rbp {
    entries: u64,
    lost: u64,
    cleared: u64,
}

impl Rbp {
    /// Makes an entry by `enter`.
    pub(super) fn watch(&mut self, mut enter: impl FnMut()) {
        self.entries += 1;
        self.lost += u64::from(over(&mut enter) != MARK);
    }

    /// The module left this in RBP.
    pub(super) fn left(&mut self, rbp: u64) {
        self.cleared += u64::from(rbp == 0);
    }

    /// Whether every entry gave RBP back.
    pub(super) const fn is_kept(&self) -> bool {
        self.lost == 0
    }

    /// Writes it down.
    pub(super) fn log(&self) {
        let Self { entries, lost, cleared } = self;
        log::info!(
            "rbp over {entries} entries: lost in {lost}, cleared by the module in {cleared}"
        );
    }
}

/// Calls `f` with [`MARK`] in RBP; gives what is in it then.
fn over<F: FnMut()>(f: &mut F) -> u64 {
    let after;
    // SAFETY: an ordinary call on an aligned stack, and RBP is back at the end.
    unsafe {
        asm!("push rbp", "sub rsp, 8", "movabs rbp, {mark}", "call {f}", "mov rax, rbp",
             "add rsp, 8", "pop rbp",
             mark = const MARK, f = sym call::<F>, in("rdi") &raw mut *f, lateout("rax") after,
             clobber_abi("C"));
    }
    after
}

extern "C" fn call<F: FnMut()>(f: *mut F) {
    // SAFETY: `over` borrows it for the length of the call.
    unsafe { (*f)() }
}
