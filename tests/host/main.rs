//! Tests that boot nothing: the command line over a fake QEMU, and the documents.

mod command_line;
mod documents;
mod fake;
mod harness_over_fake;
mod refused_images;
