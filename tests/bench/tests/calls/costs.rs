//! The costs do not grow: the ceilings are what was measured last. Lower them when they sink.

use bench::report::ROWS;
use bench::seam::Obliging;
use bench::subject::Profile;

use crate::expect::run_as;

/// Instructions from call to return, by row: stock release profile, and as shipped.
const CEILINGS: [(&str, u64, u64); 7] = [
    ("vp_info", 15, 16),
    ("io_write_1", 26, 26),
    ("mmio_read_4", 25, 26),
    ("cpuid", 33, 33),
    ("map_gpa", 24, 24),
    ("page_accept", 8, 8),
    ("veinfo_get", 15, 16),
];

#[test]
fn no_call_costs_more_than_it_did() {
    let release = run_as(Profile::Release, &mut Obliging);
    let shipped = run_as(Profile::Shipped, &mut Obliging);
    for ((name, most, most_shipped), row) in CEILINGS.iter().zip(ROWS) {
        assert_eq!(*name, row.name);
        let now = [&release, &shipped].map(|run| run.row(name).unwrap().instructions);
        assert!(now[0] <= *most && now[1] <= *most_shipped, "{name} costs {now:?} now");
        assert!(row.target.is_none_or(|target| now[0] <= target), "{name} misses its target");
    }
}

#[test]
fn each_row_of_the_table_is_one_call() {
    let run = run_as(Profile::Release, &mut Obliging);
    for row in ROWS {
        assert_eq!(run.row(row.name).unwrap().calls.len(), 1, "{}", row.name);
    }
}
