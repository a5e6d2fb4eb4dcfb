//! MapGPA against VMMs that answer RETRY.

use abi::{GhciStatus, Regs};
use bench::seam::vmcall;
use bench::trace::Row;

use crate::expect::{kept, run, td};

const START: u64 = 1 << 47 | 0x20_0000;
const BYTES: u64 = 0x20_0000;
const END: u64 = START + BYTES;

/// The row with a VMM that answers RETRY with these resume addresses, then success; and what
/// it printed.
fn with(resume: &[u64]) -> (Row, String) {
    let mut left = resume.iter();
    let mut vmm = td(|regs: &mut Regs| {
        vmcall(regs, |seen| {
            let mapping = seen.r11 == abi::ghci::function::MAP_GPA;
            // Rows before this one make VMCALLs too.
            let address = if mapping { left.next() } else { None };
            (seen.r10, seen.r11) = match address {
                Some(address) => (GhciStatus::RETRY.0, *address),
                None => (0, 0xBAD),
            };
        });
    });
    let run = run(&mut vmm);
    let row = run.row("map_gpa").expect("a row of the subject").clone();
    kept(&row);
    assert_ne!(row.exit.r11, 0xBAD);
    (row, run.result("map_gpa").expect("a printed result").to_owned())
}

/// Start and size of each call.
fn calls(row: &Row) -> Vec<(u64, u64)> {
    row.calls.iter().map(|call| (call.regs.r12, call.regs.r13)).collect()
}

#[test]
fn it_goes_on_where_the_vmm_says() {
    let (row, result) = with(&[START + 0x1000, START + 0x1F_F000]);
    assert_eq!(
        calls(&row),
        [(START, BYTES), (START + 0x1000, BYTES - 0x1000), (START + 0x1F_F000, 0x1000)]
    );
    assert_eq!(result, "Ok(())");
}

#[test]
fn it_bears_a_vmm_without_progress_three_times() {
    let (row, result) = with(&[START, START]);
    assert_eq!((calls(&row).len(), result.as_str()), (3, "Ok(())"));
    let (row, result) = with(&[START; 9]);
    assert_eq!(calls(&row), [(START, BYTES); 3]);
    assert!(result.contains("RETRY") && result.contains("done_to: 800000200000"), "{result}");
}

#[test]
fn it_is_not_led_astray() {
    for address in [0, START - 0x1000, START + 1, START & !(1 << 47), END, END + 0x1000, u64::MAX] {
        let (row, result) = with(&[address]);
        assert_eq!(calls(&row).len(), 1, "{address:#x}");
        assert!(result.contains("RETRY"), "{result}");
        // Nor backwards after it made progress.
        let (row, result) = with(&[START + 0x10_0000, START + 0xF_F000]);
        assert_eq!(calls(&row).len(), 2, "{address:#x}");
        assert!(result.contains("done_to: 800000300000"), "{result}");
    }
}
