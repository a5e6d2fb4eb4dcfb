//! Tests that boot nothing: the command line over a fake QEMU, and the documents.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests may")]

mod command_line;
mod deploy;
mod documents;
mod fake;
mod hardware;
mod harness_over_fake;
mod missing_qemu;
mod one_place;
mod refused_images;
mod smoke_script;
