//! RBP over TDH.VP.ENTER: the VMM keeps its own with every module. [ABI-H 5.6]

use harness::{Exit, Options, fixture};

/// Boots on a module with these options; gives the numbers of
/// `vmm: rbp over N entries: lost in N, cleared by the module in N`.
fn entries_lost_cleared(test: &str, module_options: &str) -> [u64; 3] {
    let options = fixture::options(test, "td");
    let report = fixture::boot(&Options { module_options: module_options.to_owned(), ..options });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    let line = report.vmm_log.lines().find_map(|line| line.strip_prefix("vmm: rbp over "));
    let words = line.unwrap_or_default().split([' ', ':', ',']);
    let numbers: Vec<_> = words.filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn a_module_that_clears_rbp_does_not_take_it_from_the_vmm() {
    let [entries, lost, cleared] = entries_lost_cleared("rbp-cleared", "rbp=clobber");
    assert_eq!(lost, 0);
    // Asynchronous exits, at least one for each page that boot accepted.
    assert!(cleared > 512 && cleared < entries, "{cleared} of {entries}");
}

#[test]
fn a_module_that_keeps_rbp_never_changes_it() {
    let [entries, lost, cleared] = entries_lost_cleared("rbp-kept", "");
    assert_eq!((lost, cleared), (0, 0));
    assert!(entries > 2000, "{entries}");
}
