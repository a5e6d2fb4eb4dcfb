//! Calls that need another try: with a few such answers the run passes, with endless ones it
//! ends, and says which leaf answered what. The module gives them on demand.

use std::time::Duration;

use harness::{Exit, Options, Report, fixture};

/// Boots on a module that follows `rules`.
fn boot(test: &str, rules: &[&str]) -> Report {
    let words: Vec<_> = rules.iter().map(|rule| format!("inject={rule}")).collect();
    let options = fixture::options(test, "td");
    let timeout = Duration::from_secs(30);
    fixture::boot(&Options { module_options: words.join(" "), timeout, ..options })
}

/// Every rule is used up, and nobody minds.
fn passes(test: &str, rules: &[&str]) {
    let report = boot(test, rules);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
    let used = report.module_log.lines().filter(|line| line.starts_with("module: injected "));
    assert_eq!(used.count(), rules.len(), "{}", report.module_log);
}

#[test]
fn the_module_comes_up_past_busy_systems_and_missing_entropy() {
    passes(
        "retry-system",
        &[
            "tdh.33:8000020200000000:3", // SYS.INIT SYS_BUSY
            "tdh.33:8000020300000000:3", // SYS.INIT RND_NO_ENTROPY
            "tdh.35:8000020300000000:3", // SYS.LP.INIT RND_NO_ENTROPY
            "tdh.45:8000020200000000:3", // SYS.CONFIG SYS_BUSY
            "tdh.31:80000200000000bb:3", // SYS.KEY.CONFIG OPERAND_BUSY|KET
            "tdh.31:8000080000000000:3", // SYS.KEY.CONFIG KEY_GENERATION_FAILED
            "tdh.36:8000020000000001:3", // SYS.TDMR.INIT OPERAND_BUSY|RCX
        ],
    );
}

#[test]
fn a_td_is_built_past_locks_and_missing_entropy() {
    passes(
        "retry-create",
        &[
            "tdh.9:80000200000000ba:3",  // MNG.CREATE OPERAND_BUSY|KOT
            "tdh.9:8000020300000000:3",  // MNG.CREATE RND_NO_ENTROPY
            "tdh.8:8000080000000000:3",  // MNG.KEY.CONFIG KEY_GENERATION_FAILED
            "tdh.1:8000020300000000:3",  // MNG.ADDCX RND_NO_ENTROPY
            "tdh.21:80000200000000ac:3", // MNG.INIT OPERAND_BUSY|OP_STATE
            "tdh.10:8000020000000001:3", // VP.CREATE OPERAND_BUSY|RCX
            "tdh.4:8000020000000080:3",  // VP.ADDCX OPERAND_BUSY|TDR
            "tdh.22:80000200000000ac:3", // VP.INIT OPERAND_BUSY|OP_STATE
        ],
    );
}

#[test]
fn its_memory_is_added_and_measured_past_locks() {
    passes(
        "retry-memory",
        &[
            "tdh.3:8000020000000092:5",  // MEM.SEPT.ADD OPERAND_BUSY|SEPT_TREE
            "tdh.2:8000020000000001:5",  // MEM.PAGE.ADD OPERAND_BUSY|RCX
            "tdh.16:8000020000000001:5", // MR.EXTEND OPERAND_BUSY|RCX
            "tdh.17:80000200000000ac:5", // MR.FINALIZE OPERAND_BUSY|OP_STATE
            "tdh.11:80000200000000ac:5", // MNG.RD OPERAND_BUSY|OP_STATE
            "tdh.43:8000020000000001:5", // VP.WR OPERAND_BUSY|RCX
        ],
    );
}

#[test]
fn a_running_td_and_its_vmm_wait_for_each_other() {
    passes(
        "retry-run",
        &[
            "tdh.0:80000200000000a9:5",        // VP.ENTER OPERAND_BUSY|TD_EPOCH
            "tdh.0:8000020000000092:40",       // VP.ENTER OPERAND_BUSY|SEPT_TREE
            "tdh.6:8000020000000001:5",        // MEM.PAGE.AUG OPERAND_BUSY|RCX
            "tdg.6:8000020000000001:5:180000", // MEM.PAGE.ACCEPT OPERAND_BUSY|RCX, one page
            "tdg.6:8000020400000001:5",        // MEM.PAGE.ACCEPT OPERAND_BUSY_HOST_PRIORITY|RCX
            "tdg.6:8000020000000001:100",      // MEM.PAGE.ACCEPT OPERAND_BUSY|RCX
        ],
    );
}

#[test]
fn a_td_is_taken_apart_past_locks_and_interrupts() {
    passes(
        "retry-teardown",
        &[
            "tdh.18:8000020000000080:3", // VP.FLUSH OPERAND_BUSY|TDR
            "tdh.19:80000200000000ba:3", // MNG.VPFLUSHDONE OPERAND_BUSY|KOT
            "tdh.40:80000200000000bc:3", // PHYMEM.CACHE.WB OPERAND_BUSY|WBCACHE
            "tdh.40:8000000300000000:3", // PHYMEM.CACHE.WB INTERRUPTED_RESUMABLE
            "tdh.20:80000200000000ba:3", // MNG.KEY.FREEID OPERAND_BUSY|KOT
            "tdh.28:8000020000000001:3", // PHYMEM.PAGE.RECLAIM OPERAND_BUSY|RCX
            "tdh.41:8000020000000001:3", // PHYMEM.PAGE.WBINVD OPERAND_BUSY|RCX
        ],
    );
}

/// Of [`ENDLESS`], those that hold up the building of the TD.
const BUILD: usize = 6;
/// A rule that never ends, the verdict, and what is said by the VMM or, for what boot does, on
/// the console.
const ENDLESS: [(&str, u32, &str); 13] = [
    ("tdh.33:8000020200000000", abi::verdict::EMULATOR_FAILED, "TDH.SYS.INIT answered SYS_BUSY"),
    (
        "tdh.31:8000080000000000",
        abi::verdict::EMULATOR_FAILED,
        "TDH.SYS.KEY.CONFIG answered KEY_GENERATION_FAILED",
    ),
    (
        "tdh.9:8000020300000000",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MNG.CREATE answered RND_NO_ENTROPY",
    ),
    (
        "tdh.8:8000080000000000",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MNG.KEY.CONFIG answered KEY_GENERATION_FAILED",
    ),
    (
        "tdh.1:8000020300000000",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MNG.ADDCX answered RND_NO_ENTROPY",
    ),
    (
        "tdh.2:8000020000000001",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MEM.PAGE.ADD answered OPERAND_BUSY|0x1",
    ),
    (
        "tdh.6:8000020000000001",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MEM.PAGE.AUG answered OPERAND_BUSY|0x1",
    ),
    (
        "tdh.0:80000200000000a9",
        abi::verdict::EMULATOR_FAILED,
        "TDH.VP.ENTER answered OPERAND_BUSY|0xa9",
    ),
    (
        "tdh.40:8000000300000000",
        abi::verdict::EMULATOR_FAILED,
        "TDH.PHYMEM.CACHE.WB answered INTERRUPTED_RESUMABLE",
    ),
    (
        "tdh.20:80000200000000ba",
        abi::verdict::EMULATOR_FAILED,
        "TDH.MNG.KEY.FREEID answered OPERAND_BUSY|0xba",
    ),
    (
        "tdh.28:8000020000000001",
        abi::verdict::EMULATOR_FAILED,
        "TDH.PHYMEM.PAGE.RECLAIM answered OPERAND_BUSY|0x1",
    ),
    (
        "tdg.6:8000020000000001",
        abi::verdict::TD_DIED,
        "TDG.MEM.PAGE.ACCEPT goes on to answer OPERAND_BUSY|0x1",
    ),
    ("tdg.6:8000020400000001", abi::verdict::TD_DIED, "td died: HOST_PRIORITY_BUSY_TIMEOUT"),
];

/// Boots once for each rule, in two tests, which run side by side.
fn ends(test: &str, rules: &[(&str, u32, &str)]) {
    for (rule, verdict, words) in rules {
        let report = boot(test, &[&format!("{rule}:{}", u64::MAX)]);
        assert_eq!(report.exit, Exit::Verdict(*verdict), "{rule}: {report:#?}");
        let said = report.console.contains(words) || report.vmm_log.contains(words);
        assert!(said, "{rule}: {report:#?}");
    }
}

#[test]
fn a_td_that_never_gets_built_ends_with_leaf_and_status() {
    ends("endless-build", &ENDLESS[..BUILD]);
}

#[test]
fn a_td_that_never_gets_on_ends_with_leaf_and_status() {
    ends("endless-run", &ENDLESS[BUILD..]);
}

#[test]
fn a_status_that_no_leaf_gives_by_itself_is_not_injected() {
    let report = boot("retry-refused", &["tdh.6:c000010000000001:1"]);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::EMULATOR_FAILED), "{report:#?}");
    let words =
        "option inject=tdh.6:c000010000000001:1 names a status that this leaf does not give";
    assert!(report.module_log.contains(words), "{}", report.module_log);
}
