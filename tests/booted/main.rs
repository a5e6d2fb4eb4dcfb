//! Tests that boot: one boot each, with a deadline, judged by the verdict and the logs.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests may")]

mod append;
mod checks;
mod conformance_guest;
mod conformance_host;
mod convert;
mod differ;
mod examples;
mod failures;
mod hygiene;
mod images;
mod isolation;
mod kernel_memory;
mod map_gpa;
mod memory;
mod no_trust_domain;
mod options;
mod power_off;
mod profiles;
mod rbp;
mod release;
mod retries;
mod script;
mod seamcall;
mod shell;
mod smoke;
mod smoke_command;
mod ve;
mod versions;
mod virtio;
