//! Counts the instructions that a TDX call costs.
//!
//! A *subject* is a program that calls the functions of one crate, one after the other
//! ([`subject`] builds it). It runs under ptrace. When it comes to a TDCALL or SEAMCALL, the
//! tracer does what module and VMM would do to its registers ([`seam::Seam`]) and lets it go
//! on behind the instruction, so no TDX is needed. Each call is single-stepped:
//!
//! > The count of a row is the number of instructions executed from the CALL of the public
//! > function to the RET that comes back from it, both included. TDCALL counts as one.
//!
//! The function is called by an opaque pointer, so nothing of it is inlined into the caller
//! and nothing of the caller is counted. Functions that fill a cache are called once before.
//!
//! The same tracing shows what is in the registers when a call returns, which the tests use
//! with a hostile VMM.

pub mod memory;
pub mod ptrace;
pub mod report;
pub mod seam;
pub mod subject;
pub mod trace;
pub mod ve;
