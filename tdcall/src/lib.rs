//! The call: TDCALL and SEAMCALL through one template, and the leaves typed over it.
//!
//! VP.VMCALL and VP.ENTER are leaves with more registers, not another kind of call;
//! that is what the mailing-list thread this project starts from argued for.
//!
//! * [`guest`]: leaves of the TDX module, from inside a TD.
//! * [`ghci`]: VP.VMCALL functions, answered by the VMM.
//! * [`host`]: leaves of the TDX module, from the VMM.
//! * [`accept`]: ranges of memory accepted, page by page.
//!
//! Rules that hold at every call site:
//!
//! * Only the registers that the leaf uses are loaded, and a VP.VMCALL exposes only the
//!   registers that its function needs. RBP is never exposed.
//! * The VMM may write every exposed register, so each is an output to the compiler.
//! * After a VP.VMCALL, and after TDH.VP.ENTER, a register that the caller did not ask for
//!   holds zero or what the caller had in it: no value of the other side lingers.
//! * Busy answers are retried with a bound; nothing here loops for ever.
//! * Nothing here panics.
//!
//! The functions document registers as `In` and `Out`, units in names and types, and the
//! statuses beside OPERAND_INVALID that a caller can meet. A leaf that any register image
//! may be needed for, legal or not, is made by [`guest::call`] and [`host::call`].
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
#[cfg(test)]
extern crate std;

#[macro_use]
mod raw;
pub mod accept;
mod error;
pub mod ghci;
pub mod guest;
pub mod host;
mod retry;
