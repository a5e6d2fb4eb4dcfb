//! The table: rows, columns, targets, and how they are written.

use std::fmt::{self, Write};

use crate::trace::Run;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name in JSON.
    pub name: &'static str,
    /// What is called.
    pub title: &'static str,
    /// The most that ours may cost; half of the others' is a limit too.
    pub target: Option<u64>,
}

/// The rows.
pub const ROWS: [Row; 7] = [
    Row { name: "vp_info", title: "TDG.VP.INFO", target: Some(18) },
    Row { name: "io_write_1", title: "IO write, 1 byte", target: Some(26) },
    Row { name: "mmio_read_4", title: "MMIO read, 4 bytes", target: Some(26) },
    Row { name: "cpuid", title: "CPUID", target: None },
    Row { name: "map_gpa", title: "MapGPA", target: None },
    Row { name: "page_accept", title: "TDG.MEM.PAGE.ACCEPT", target: None },
    Row { name: "veinfo_get", title: "TDG.VP.VEINFO.GET", target: None },
];

/// The columns: crates, ours first. Each of them has a function for every row.
pub const CRATES: [&str; 3] = ["tdlet", "tdx-guest", "tdx-tdcall"];

/// The counts, row by row, in the order of [`CRATES`]. None: there is no such row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table(pub [[Option<u64>; CRATES.len()]; ROWS.len()]);

impl Table {
    /// The counts of one run for each crate.
    #[must_use]
    pub fn new(runs: &[Run; CRATES.len()]) -> Self {
        let count = |run: &Run, name| run.row(name).ok().map(|row| row.instructions);
        Self(ROWS.map(|row| runs.each_ref().map(|run| count(run, row.name))))
    }

    /// Rows where ours costs more than it may, and what it may.
    pub fn missed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ROWS.iter().zip(&self.0).filter_map(|(row, counts)| {
            let halves = counts[1..].iter().flatten().map(|count| count / 2);
            let most = halves.chain(row.target).min()?;
            (counts[0].is_none_or(|ours| ours > most)).then_some((row.title, most))
        })
    }

    /// `{"calls": {"vp_info": {"tdlet": 15, …}, …}}`
    #[must_use]
    pub fn json(&self) -> String {
        let rows = ROWS.iter().zip(&self.0).map(|(row, counts)| {
            let cells = CRATES.iter().zip(counts).map(|(name, count)| {
                let count = count.map_or_else(|| "null".to_owned(), |count| count.to_string());
                format!("\"{name}\": {count}")
            });
            format!("    \"{}\": {{{}}}", row.name, cells.collect::<Vec<_>>().join(", "))
        });
        format!("{{\n  \"calls\": {{\n{}\n  }}\n}}\n", rows.collect::<Vec<_>>().join(",\n"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20}", "")?;
        for name in CRATES {
            write!(f, "{name:>12}")?;
        }
        writeln!(f, "{:>10}", "target")?;
        for (row, counts) in ROWS.iter().zip(&self.0) {
            write!(f, "{:<20}", row.title)?;
            for count in counts {
                match count {
                    Some(count) => write!(f, "{count:>12}")?,
                    None => write!(f, "{:>12}", "n/a")?,
                }
            }
            let mut target = String::from("half");
            if let Some(most) = row.target {
                write!(target, ", {most}")?;
            }
            writeln!(f, "{target:>10}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(first: [Option<u64>; 3]) -> Table {
        let mut counts = [[Some(10), Some(20), Some(21)]; ROWS.len()];
        counts[0] = first;
        Table(counts)
    }

    #[test]
    fn ours_may_cost_the_target_and_half_of_the_others() {
        assert_eq!(table([Some(18), Some(36), Some(99)]).missed().count(), 0);
        let too_many = table([Some(19), Some(99), Some(99)]);
        assert_eq!(too_many.missed().collect::<Vec<_>>(), [("TDG.VP.INFO", 18)]);
        let not_half = table([Some(16), Some(31), None]);
        assert_eq!(not_half.missed().collect::<Vec<_>>(), [("TDG.VP.INFO", 15)]);
        assert_eq!(table([None, Some(99), Some(99)]).missed().count(), 1);
    }

    #[test]
    fn json_has_every_row_and_null_for_what_is_not_there() {
        let json = table([Some(1), None, Some(3)]).json();
        assert!(json.starts_with("{\n  \"calls\": {\n    \"vp_info\": {"), "{json}");
        assert!(json.contains("{\"tdlet\": 1, \"tdx-guest\": null, \"tdx-tdcall\": 3},"), "{json}");
        assert!(ROWS.iter().all(|row| json.contains(row.name)), "{json}");
        assert!(json.ends_with("}\n  }\n}\n"), "{json}");
    }
}
