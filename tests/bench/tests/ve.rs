//! The cost of a #VE has a ceiling.

use std::env;

use bench::ve::{self, Cost};
use harness::fixture;
use harness::qemu::DEFAULT;

#[test]
fn no_row_costs_more_than_it_may() {
    fixture::xtask();
    let qemu = env::var(fixture::QEMU).unwrap_or_else(|_| DEFAULT.to_owned());
    let costs = ve::measure(&qemu).unwrap();
    assert!(costs.len() >= 9, "{costs:?}");
    for Cost { name, instructions, tdcalls } in &costs {
        let (most, most_tdcalls) = ve::most(name);
        assert!(*instructions <= most && *tdcalls <= most_tdcalls, "{costs:#?}");
    }
}
