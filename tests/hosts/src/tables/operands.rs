//! Operands that many leaves have, and what is wrong with them. [ABI-H 3.2]
//!
//! A leaf that takes a TDR page, a TDVPR page, a free page or a private GPA finds the same
//! faults in it, in the same order, whatever the rest of its operands is.

use abi::Gpr::{self, R8, R9, R10, R11, Rcx, Rdx};
use abi::leaf::tdh;
use abi::{Operand, Status};
use conformance::Value::{self, At, Is, Past};

use super::{BEYOND, INFO, KEY};
use crate::place::Place::{self, Outside, Page, Reserved, Second, Tdr, Tdvpr};

/// What registers hold.
pub type Registers = &'static [(Gpr, Value<Place>)];

/// A leaf that takes a page of a TD.
#[derive(Clone, Copy, Debug)]
pub struct Taker {
    /// The leaf.
    pub leaf: u64,
    /// Which register names the page.
    pub register: Gpr,
    /// What else the leaf writes when it fails early.
    pub zeroed: Registers,
    /// It goes through the TD state sequence, and works in these op_states.
    pub states: Option<u8>,
}

/// An op_state, as a bit of [`Taker::states`].
pub const UNINITIALIZED: u8 = 1;
/// As above.
pub const INITIALIZED: u8 = 2;
/// As above.
pub const RUNNABLE: u8 = 4;

const NOTHING: Registers = &[];
const VALUE: Registers = &[(R8, Is(0))];
const INFO_AND_VALUE: Registers = &[(Rcx, Is(0)), (Rdx, Is(0)), (R8, Is(0))];
const CPUID: Registers = &[(Rcx, Is(0))];
const BUILT: u8 = INITIALIZED | RUNNABLE;

const fn taker(leaf: u64, register: Gpr, zeroed: Registers, states: u8) -> Taker {
    Taker { leaf, register, zeroed, states: if states == 0 { None } else { Some(states) } }
}

/// Leaves that take a TDR page.
pub const TDR: &[Taker] = &[
    taker(tdh::MNG_ADDCX, Rdx, NOTHING, 0),
    taker(tdh::MEM_PAGE_ADD, Rdx, INFO, INITIALIZED),
    taker(tdh::MEM_SEPT_ADD, Rdx, INFO, BUILT),
    taker(tdh::MEM_PAGE_RELOCATE, Rdx, INFO, BUILT),
    taker(tdh::MEM_PAGE_AUG, Rdx, INFO, BUILT),
    taker(tdh::MEM_RANGE_BLOCK, Rdx, INFO, BUILT),
    taker(tdh::MNG_KEY_CONFIG, Rcx, NOTHING, 0),
    taker(tdh::VP_CREATE, Rdx, NOTHING, INITIALIZED),
    taker(tdh::MNG_RD, Rcx, VALUE, BUILT),
    taker(tdh::MEM_RD, Rdx, INFO_AND_VALUE, BUILT),
    taker(tdh::MNG_WR, Rcx, VALUE, BUILT),
    taker(tdh::MEM_WR, Rdx, INFO_AND_VALUE, BUILT),
    taker(tdh::MEM_PAGE_DEMOTE, Rdx, INFO, BUILT),
    taker(tdh::MR_EXTEND, Rdx, INFO, INITIALIZED),
    taker(tdh::MR_FINALIZE, Rcx, NOTHING, INITIALIZED),
    taker(tdh::MNG_VPFLUSHDONE, Rcx, NOTHING, 0),
    taker(tdh::MNG_KEY_FREEID, Rcx, NOTHING, 0),
    taker(tdh::MNG_INIT, Rcx, CPUID, UNINITIALIZED),
    taker(tdh::MEM_PAGE_PROMOTE, Rdx, INFO, BUILT),
    taker(tdh::MEM_SEPT_RD, Rdx, INFO, BUILT),
    taker(tdh::MEM_PAGE_REMOVE, Rdx, INFO, BUILT),
    taker(tdh::MEM_SEPT_REMOVE, Rdx, INFO, BUILT),
    taker(tdh::MEM_TRACK, Rcx, NOTHING, BUILT),
    taker(tdh::MEM_RANGE_UNBLOCK, Rdx, INFO, BUILT),
];

/// Leaves that take a TDVPR page.
pub const TDVPR: &[Taker] = &[
    taker(tdh::VP_ENTER, Rcx, NOTHING, RUNNABLE),
    taker(tdh::VP_ADDCX, Rdx, NOTHING, INITIALIZED),
    taker(tdh::VP_FLUSH, Rcx, NOTHING, 0),
    taker(tdh::VP_INIT, Rcx, NOTHING, INITIALIZED),
    taker(tdh::VP_RD, Rcx, VALUE, BUILT),
    taker(tdh::VP_WR, Rcx, VALUE, BUILT),
];

/// A wrong page.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What is wrong with it.
    pub name: &'static str,
    /// Itself.
    pub page: Value<Place>,
    /// What the leaf says, with the operand.
    pub status: Status,
}

const fn fault(name: &'static str, page: Value<Place>, status: Status) -> Fault {
    Fault { name, page, status }
}

/// Whatever the page is for.
pub const ANY_PAGE: &[Fault] = &[
    fault("the page is not aligned to 4 KiB", Past(Tdr, 0x800), Status::OPERAND_INVALID),
    fault("the page has an HKID", Past(Tdr, KEY), Status::OPERAND_INVALID),
    fault("the page is in no TDMR", At(Outside), Status::OPERAND_ADDR_RANGE_ERROR),
    fault("the page's GiB has no PAMT yet", At(Second), Status::OPERAND_ADDR_RANGE_ERROR),
];
/// Wherever the page's type counts.
pub const RESERVED_PAGE: Fault =
    fault("the page is reserved", At(Reserved), Status::PAGE_METADATA_INCORRECT);
/// Not for VP.ENTER, which has flags there.
pub const FAR_PAGE: Fault =
    fault("the page is beyond the physical addresses", Past(Tdr, BEYOND), Status::OPERAND_INVALID);
/// Of a page of a TD.
pub const FREE_PAGE: Fault =
    fault("the page is nobody's", At(Page(0)), Status::PAGE_METADATA_INCORRECT);
/// Of a page of a TD that must be a TDR.
pub const NO_TDR: Fault =
    fault("the page is a TDVPR", At(Tdvpr(0)), Status::PAGE_METADATA_INCORRECT);
/// Of a page of a TD that must be a TDVPR, and of a page that must be nobody's.
pub const IS_TDR: Fault = fault("the page is a TDR", At(Tdr), Status::PAGE_METADATA_INCORRECT);

/// A leaf that takes a page that is nobody's.
#[derive(Clone, Copy, Debug)]
pub struct Giver {
    /// The leaf.
    pub leaf: u64,
    /// The other operands.
    pub rest: Registers,
    /// Which register names the page.
    pub register: Gpr,
    /// What the leaf writes when the page is wrong.
    pub zeroed: Registers,
}

pub(super) const fn giver(leaf: u64, rest: Registers, register: Gpr, zeroed: Registers) -> Giver {
    Giver { leaf, rest, register, zeroed }
}

/// Before there is a TD.
pub const GIVERS_OF_A_TDR: &[Giver] =
    &[giver(tdh::MNG_CREATE, &[(Rdx, At(Place::Hkid(1)))], Rcx, NOTHING)];
/// To a TD that has its key.
pub const GIVERS_OF_A_TDCX: &[Giver] = &[giver(tdh::MNG_ADDCX, &[(Rdx, At(Tdr))], Rcx, NOTHING)];
/// To a TD that is initialised, without a SEPT.
pub const GIVERS_TO_A_TD: &[Giver] = &[
    giver(tdh::VP_CREATE, &[(Rdx, At(Tdr))], Rcx, NOTHING),
    giver(tdh::MEM_SEPT_ADD, &[(Rcx, Is(3)), (Rdx, At(Tdr))], R8, INFO),
];
/// To a vCPU.
pub const GIVERS_TO_A_VCPU: &[Giver] =
    &[giver(tdh::VP_ADDCX, &[(Rdx, At(Tdvpr(0)))], Rcx, NOTHING)];

/// A leaf that takes a private GPA and a level.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    /// The leaf.
    pub leaf: u64,
    /// Its lowest level.
    pub lowest: u8,
    /// Its highest level in a TD with four.
    pub highest: u8,
}

const fn walker(leaf: u64, lowest: u8, highest: u8) -> Walker {
    Walker { leaf, lowest, highest }
}

/// All of them. [ABI-H 3.7, 3.8]
pub const WALKERS: &[Walker] = &[
    walker(tdh::MEM_PAGE_ADD, 0, 0),
    walker(tdh::MEM_SEPT_ADD, 1, 3),
    walker(tdh::MEM_PAGE_RELOCATE, 0, 0),
    walker(tdh::MEM_PAGE_AUG, 0, 1),
    walker(tdh::MEM_RANGE_BLOCK, 0, 3),
    walker(tdh::MEM_PAGE_DEMOTE, 1, 2),
    walker(tdh::MEM_PAGE_PROMOTE, 1, 2),
    walker(tdh::MEM_SEPT_RD, 0, 3),
    walker(tdh::MEM_PAGE_REMOVE, 0, 2),
    walker(tdh::MEM_SEPT_REMOVE, 1, 3),
    walker(tdh::MEM_RANGE_UNBLOCK, 0, 3),
];

/// Wrong in a GPA operand that has a level in its lowest bits; added to a right one.
pub const GPA_BITS: &[(&str, u64)] = &[
    ("bit 3 of the GPA operand is reserved", 1 << 3),
    ("bit 11 of the GPA operand is reserved", 1 << 11),
    ("bit 52 of the GPA operand is reserved", 1 << 52),
    ("bit 63 of the GPA operand is reserved", 1 << 63),
    ("the GPA is shared", 1 << 47),
    ("the GPA is wider than the TD's", 1 << 48),
];

/// Registers that PHYMEM.PAGE.RDMD and RECLAIM clear.
pub const METADATA: Registers =
    &[(Rcx, Is(0)), (Rdx, Is(0)), (R8, Is(0)), (R9, Is(0)), (R10, Is(0)), (R11, Is(0))];
/// Leaves that ask for any page, and what they write when the page is wrong.
pub const ASKERS: &[Giver] = &[
    giver(tdh::PHYMEM_PAGE_RDMD, NOTHING, Rcx, METADATA),
    giver(tdh::PHYMEM_PAGE_RECLAIM, NOTHING, Rcx, METADATA),
];

/// The operand that a status names for a register.
#[must_use]
pub const fn operand(register: Gpr) -> Operand {
    match register {
        Rcx => Operand::Rcx,
        Rdx => Operand::Rdx,
        R8 => Operand::R8,
        _ => Operand::R9,
    }
}

/// Registers that SYS.INIT clears.
pub const SYS_INIT_OUTPUTS: Registers =
    &[(Rcx, Is(0)), (Rdx, Is(0)), (R8, Is(0)), (R9, Is(0)), (R10, Is(0))];
/// Registers that SYS.LP.INIT clears.
pub const SYS_LP_INIT_OUTPUTS: Registers = &[(Rcx, Is(0)), (Rdx, Is(0)), (R8, Is(0))];
