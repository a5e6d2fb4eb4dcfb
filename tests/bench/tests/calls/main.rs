//! What the calls of crate `tdcall` cost, what they load, and what they leave behind.

mod costs;
mod endings;
mod expect;
mod guest;
mod host;
mod hygiene;
mod map_gpa;
mod retries;
