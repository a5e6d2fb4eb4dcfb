//! Checks as data: a file for a leaf or a group of leaves, a table for a state.
//!
//! A row is: what, the leaf and its input registers, the status, and the registers that the
//! leaf writes. Every other register must be as it was.
//!
//! ```text
//! "the HKID is a shared one": MNG_CREATE
//!     => (Rcx: At(Tdr), Rdx: Is(1)) -> invalid(Rdx);
//! ```

use abi::{Gpr, Operand, Status};
use conformance::Value::{self, Is};

use crate::place::Place;

pub mod build;
pub mod debug;
pub mod enter;
pub mod entry;
pub mod fields;
pub mod operands;
pub mod pages;
pub mod params;
pub mod ranges;
pub mod sept;
pub mod shutdown;
pub mod system;
pub mod tdmrs;
pub mod teardown;
pub mod tracking;
pub mod wide;

/// Tables of rows with a common citation.
macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident [$source:literal] {
        $($name:literal: $leaf:ident $(+ $more:expr)?
            => ($($in:ident: $value:expr),*) -> $status:expr $(, ($($out:ident: $result:expr),*))?;)*
    })*) => {
        $($(#[$doc])* pub const $table: &[$crate::run::Row<'static>] = &[
            $($crate::run::Row {
                name: $name,
                rax: abi::leaf::tdh::$leaf $(+ $more)?,
                source: $source,
                input: &[$((abi::Gpr::$in, $value)),*],
                status: $status,
                output: &[$($((abi::Gpr::$out, $result)),*)?],
            },)*
        ];)*
    };
}
use tables;

/// OPERAND_INVALID with this operand.
const fn invalid(operand: Operand) -> Status {
    Status::OPERAND_INVALID.with_operand(operand)
}

/// OPERAND_ADDR_RANGE_ERROR with this operand.
const fn out_of_range(operand: Operand) -> Status {
    Status::OPERAND_ADDR_RANGE_ERROR.with_operand(operand)
}

/// Added to an address: the top bit of its HKID, so that the HKID is a private one.
const KEY: u64 = 1 << 51;
/// Added to an address: the first bit that no physical address has.
const BEYOND: u64 = 1 << 52;

/// PAGE_METADATA_INCORRECT with this operand.
const fn wrong_page(operand: Operand) -> Status {
    Status::PAGE_METADATA_INCORRECT.with_operand(operand)
}

/// RCX and RDX of a leaf that walks the secure EPT and failed before. [ABI-H 3.2]
const INFO: &[(Gpr, Value<Place>)] = &[(Gpr::Rcx, Is(0)), (Gpr::Rdx, Is(0))];
