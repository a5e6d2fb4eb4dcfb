//! What memory costs the trust domain: until all of it is its own, per GiB, and until its first
//! line on the console.
//!
//! The payload `bench_memory` takes all memory in a small TD and in a larger one; what the second
//! costs more, times what makes a GiB of it, is the cost of a GiB. For the first line the payload
//! `hello` boots in 64 MiB; for the start it boots lazily in 64 MiB and in 6 GiB. TDCALLs are the module's count, TD exits the VMM's, without external
//! interrupts, which depend on the host's time. Instructions are those that QEMU executes one at
//! a time at the addresses of boot and of the kernel.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::qemu::Qemu;
use harness::{Exit, Options, Report, boot_to, fixture, paths};

use crate::ve::{KERNEL, KERNEL_SIZE, traced};

/// Where boot is executed: the end of the image, see layout.rs.
const BOOT: &str = "0xff000000+0xffff00";
const MIB: u64 = 1 << 20;
/// Host pages, their bytes, and the sizes whose difference is measured, in MiB: small pages
/// cost so much, one instruction at a time, that a little of them has to do.
const PAGES: [(&str, u64, [u64; 2]); 2] = [("4k", 4096, [12, 16]), ("2m", 2 * MIB, [16, 48])];
/// The start in these sizes is compared, in MiB.
const STARTS: [u64; 2] = [64, 6 << 10];
/// Calls may be this many percent of the floor, and a large start of a small one.
const MOST_CALLS: u64 = 105;
const MOST_START: u64 = 110;

/// What one boot costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// All TDCALLs.
    pub tdcalls: u64,
    /// TDG.MEM.PAGE.ACCEPT among them.
    pub accepts: u64,
    /// TD exits.
    pub exits: u64,
    /// Instructions of boot and kernel.
    pub instructions: u64,
    /// Milliseconds from QEMU's start to the first line on the console, when it does not count
    /// instructions.
    pub first_line_ms: u64,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name in JSON.
    pub name: String,
    /// ACCEPTs that cannot be spared: one for each page that the host maps.
    pub floor: u64,
    /// A GiB.
    pub cost: Cost,
}

/// The measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Host pages of 4 KiB and 2 MiB, eager and lazy.
    pub rows: Vec<Row>,
    /// Lazy starts, the small one first.
    pub starts: [Cost; 2],
}

impl Table {
    /// What costs more than it may.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for Row { name, floor, cost } in &self.rows {
            if cost.accepts * 100 > floor * MOST_CALLS {
                missed.push(format!("{name}: {} calls a GiB, floor {floor}", cost.accepts));
            }
        }
        let [small, large] = self.starts;
        for (what, small, large) in [
            ("TDCALLs", small.tdcalls, large.tdcalls),
            ("TD exits", small.exits, large.exits),
            ("instructions", small.instructions, large.instructions),
        ] {
            if small == 0 || large * 100 > small * MOST_START {
                missed.push(format!("lazy start: {large} {what} in 6 GiB, {small} in 64 MiB"));
            }
        }
        missed
    }

    /// `{"memory": {"eager_4k": {"floor": 262144, "accepts": …}, …, "lazy_start_6g": {…}}}`
    #[must_use]
    pub fn json(&self) -> String {
        let cells = |cost: &Cost| {
            let Cost { tdcalls, accepts, exits, instructions, first_line_ms } = cost;
            format!(
                "\"tdcalls\": {tdcalls}, \"accepts\": {accepts}, \"exits\": {exits}, \
                 \"instructions\": {instructions}, \"first_line_ms\": {first_line_ms}"
            )
        };
        let rows = self.rows.iter().map(|Row { name, floor, cost }| {
            format!("    \"{name}\": {{\"floor\": {floor}, {}}}", cells(cost))
        });
        let names = ["lazy_start_64m", "lazy_start_6g"].into_iter().zip(&self.starts);
        let starts = names.map(|(name, cost)| format!("    \"{name}\": {{{}}}", cells(cost)));
        let all: Vec<_> = rows.chain(starts).collect();
        format!("{{\n  \"memory\": {{\n{}\n  }}\n}}\n", all.join(",\n"))
    }
}

/// Boots and counts. Everything must have been built.
pub fn measure(qemu: &str) -> Result<Table> {
    let mut rows = Vec::new();
    for (pages, bytes, sizes) in PAGES {
        for accept in ["eager", "lazy"] {
            let of = |mib| one(qemu, "bench_memory", mib, pages, accept);
            let first_line_ms = first_line(qemu, "hello", STARTS[0], pages, accept)?;
            let cost = Cost { first_line_ms, ..per_gib(sizes, of(sizes[0])?, of(sizes[1])?) };
            let name = format!("{accept}_{pages}");
            rows.push(Row { name, floor: 1024 * MIB / bytes, cost });
        }
    }
    let start = |mib| one(qemu, "hello", mib, "2m", "lazy");
    Ok(Table { rows, starts: [start(STARTS[0])?, start(STARTS[1])?] })
}

/// `sizes` are in MiB.
fn per_gib(sizes: [u64; 2], small: Cost, large: Cost) -> Cost {
    let times = 1024 / (sizes[1] - sizes[0]);
    let more = |of: fn(&Cost) -> u64| of(&large).saturating_sub(of(&small)) * times;
    Cost {
        tdcalls: more(|cost| cost.tdcalls),
        accepts: more(|cost| cost.accepts),
        exits: more(|cost| cost.exits),
        instructions: more(|cost| cost.instructions),
        // The difference of two times is the machine's noise.
        first_line_ms: 0,
    }
}

/// The shortest time of three boots to the first line.
fn first_line(qemu: &str, payload: &str, mib: u64, pages: &str, accept: &str) -> Result<u64> {
    let (qemu, options) = (Qemu::find(qemu)?, options(payload, mib, pages, accept)?);
    let times = (0..3).map(|_| Ok(boot(&qemu, &options)?.1));
    let shortest = times.collect::<Result<Vec<_>>>()?.into_iter().min();
    Ok(shortest.unwrap_or_default().as_millis() as u64)
}

/// One boot for the counts and the time, and one for the instructions.
fn one(qemu: &str, payload: &str, mib: u64, pages: &str, accept: &str) -> Result<Cost> {
    let options = options(payload, mib, pages, accept)?;
    let (report, first_line) = boot(&Qemu::find(qemu)?, &options)?;
    let log = options.logs.join("instructions.log");
    let kernel = format!("{KERNEL:#x}+{KERNEL_SIZE:#x}");
    boot(&traced(qemu, &format!("{kernel},{BOOT}"), &log)?, &options)?;
    let instructions = lines(&log)?;
    fs::remove_file(&log)?;
    let first_line_ms = first_line.as_millis() as u64;
    Ok(Cost { instructions, first_line_ms, ..counted(&report)? })
}

/// A boot of `payload` with this much memory, in an image that says when to accept it.
fn options(payload: &str, mib: u64, pages: &str, accept: &str) -> Result<Options> {
    let test = format!("bench-memory-{payload}-{mib}-{pages}-{accept}");
    let mut options = fixture::options(&test, payload);
    options.image = options.logs.join("td.fd");
    let mut image = fixture::xtask();
    image.args(["image", "--append", &format!("accept={accept}"), "--kernel"]);
    let made = image.arg(paths::bare(payload)).arg("--output").arg(&options.image).output()?;
    ensure!(made.status.success(), "{made:?}");
    options.memory_bytes = mib * MIB;
    options.config = format!("pages={pages}");
    options.timeout *= 20;
    Ok(options)
}

/// A boot, and when its first line came.
fn boot(qemu: &Qemu, options: &Options) -> Result<(Report, Duration)> {
    let console = FirstLine { start: Instant::now(), at: None };
    let (report, console) = boot_to(qemu, options, console)?;
    ensure!(report.exit == Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    Ok((report, console.at.context("the console stayed empty")?))
}

/// Takes the time of the first line.
struct FirstLine {
    start: Instant,
    at: Option<Duration>,
}

impl Write for FirstLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at.is_none() && bytes.contains(&b'\n') {
            self.at = Some(self.start.elapsed());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What module and VMM counted.
fn counted(report: &Report) -> Result<Cost> {
    const INTERRUPT: &str = "1";
    let line = |log: &'_ str, with: &str| {
        log.lines().find(|line| line.contains(with)).map(str::to_owned).context("no counts")
    };
    let numbers = |line: &str, prefix: &str, except: &str| {
        let words = line.split([' ', '(', ')']).filter_map(|word| word.strip_prefix(prefix));
        let pairs = words.filter_map(|word| word.split_once('='));
        pairs.filter(|(key, _)| *key != except).filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
    };
    let calls = line(&report.module_log, "counts at end")?;
    let exits = line(&report.vmm_log, "td exits")?;
    let tdcalls: u64 = numbers(&calls, "tdcall.", "");
    let others: u64 = numbers(&calls, "tdcall.", "6");
    let exits = numbers(&exits, "", INTERRUPT);
    Ok(Cost { tdcalls, accepts: tdcalls - others, exits, ..Cost::default() })
}

/// Executed instructions in QEMU's log.
fn lines(log: &Path) -> Result<u64> {
    let file = File::open(log).with_context(|| log.display().to_string())?;
    let mut count = 0;
    for line in BufReader::new(file).lines() {
        count += u64::from(line?.starts_with("Trace "));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(accepts: u64, large: Cost) -> Table {
        let cost = Cost { accepts, ..Cost::default() };
        let small = Cost { tdcalls: 100, exits: 100, instructions: 1000, ..cost };
        let row = Row { name: "eager_2m".into(), floor: 512, cost };
        Table { rows: vec![row], starts: [small, large] }
    }

    #[test]
    fn calls_are_held_against_the_floor_and_starts_against_each_other() {
        let fair = Cost { tdcalls: 110, exits: 110, instructions: 1100, ..Cost::default() };
        assert!(table(537, fair).missed().is_empty());
        assert_eq!(table(538, fair).missed(), ["eager_2m: 538 calls a GiB, floor 512"]);
        let slow = Cost { instructions: 1101, ..fair };
        let line = "lazy start: 1101 instructions in 6 GiB, 1000 in 64 MiB";
        assert_eq!(table(512, slow).missed(), [line]);
        assert_eq!(table(512, Cost { tdcalls: 111, exits: 111, ..fair }).missed().len(), 2);
    }

    #[test]
    fn a_gib_is_what_the_larger_one_costs_more() {
        let of = |accepts| Cost { accepts, ..Cost::default() };
        assert_eq!(per_gib([16, 48], of(10), of(26)), of(16 * 32));
    }

    #[test]
    fn json_has_all_rows() {
        let json = table(512, Cost::default()).json();
        assert!(json.starts_with("{\n  \"memory\": {\n    \"eager_2m\": {\"floor\": 512, "));
        assert!(json.contains("\"lazy_start_6g\": {\"tdcalls\": 0, "), "{json}");
    }
}
