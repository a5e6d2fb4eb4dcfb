//! Register hygiene under a hostile VMM: it poisons every register that it may write and
//! looks at every register that it sees.

use harness::registers::{self, Seen};
use harness::{Exit, Options, fixture};

/// A function, and the registers that it exposes at least, by what GHCI passes in them.
/// [TDVF 4.4]
///
/// R10 and R11 are in every mask: type and function go in them, and the status comes back in
/// R10. The numbers behind `R` below are the other registers, arguments and results together.
const TABLE: [(&str, u64); 18] = [
    // CPUID: leaf R12, sub-leaf R13; results R12-R15.
    ("vmcall 0xa", r(&[12, 13, 14, 15])),
    // HLT: interrupts blocked R12.
    ("vmcall 0xc", r(&[12])),
    // IO: size R12, direction R13, port R14; a write's value R15, a read's R11.
    ("vmcall 0x1e read", r(&[12, 13, 14])),
    ("vmcall 0x1e write", r(&[12, 13, 14, 15])),
    // RDMSR: index R12; value R11.
    ("vmcall 0x1f", r(&[12])),
    // WRMSR: index R12, value R13.
    ("vmcall 0x20", r(&[12, 13])),
    // MMIO: as IO, with the address in R14.
    ("vmcall 0x30 read", r(&[12, 13, 14])),
    ("vmcall 0x30 write", r(&[12, 13, 14, 15])),
    // WBINVD: operation R12.
    ("vmcall 0x36", r(&[12])),
    // PCONFIG: leaf R12, operands R13-R15; value R11.
    ("vmcall 0x41", r(&[12, 13, 14, 15])),
    // GetTdVmCallInfo: leaf R12; results R11-R14.
    ("vmcall 0x10000", r(&[12, 13, 14])),
    // MapGPA: address R12, size R13; where to go on R11.
    ("vmcall 0x10001", r(&[12, 13])),
    // GetQuote: address R12, size R13.
    ("vmcall 0x10002", r(&[12, 13])),
    // ReportFatalError: code R12, page R13; text R14, R15, RBX, RDI, RSI, R8, R9, RDX.
    ("vmcall 0x10003", r(&[12, 13, 14, 15, 3, 7, 6, 8, 9, 2])),
    // SetupEventNotifyInterrupt: vector R12.
    ("vmcall 0x10004", r(&[12])),
    // Service: command R12, response R13, vector R14, time R15.
    ("vmcall 0x10005", r(&[12, 13, 14, 15])),
    // The script of the test: status R11, seed R12.
    ("vmcall vendor", r(&[12])),
    // The test's call with all that can be exposed: all but RAX, RCX, RSP and RBP.
    ("vmcall vendor", r(&[2, 3, 6, 7, 8, 9, 12, 13, 14, 15]) | 0xFFFF << 16),
];

/// The kernel's check of registers shows nothing but type and function, on purpose: the host has
/// to find zeros in the others.
const CHECKED: (&str, u64) = ("vmcall 0x10000", r(&[]));

/// The typed functions, by the answers under which each is tried.
const FUNCTIONS: [(&[&str], &[&str]); 3] = [
    (
        &[
            "io_read_1",
            "io_read_2",
            "io_read_4",
            "io_write_1",
            "io_write_2",
            "io_write_4",
            "mmio_read_1",
            "mmio_read_2",
            "mmio_read_4",
            "mmio_read_8",
            "mmio_write_1",
            "mmio_write_2",
            "mmio_write_4",
            "mmio_write_8",
            "cpuid",
            "rdmsr",
            "wrmsr",
            "wbinvd",
            "pconfig",
            "get_td_vmcall_info",
            "map_gpa",
            "get_quote",
            "setup_event_notify_interrupt",
            "service",
        ],
        &["SUCCESS", "INVALID_OPERAND", "RETRY", "served"],
    ),
    (
        &["hlt", "report_fatal_error", "report_fatal_error_with_page"],
        &["SUCCESS", "INVALID_OPERAND", "RETRY"],
    ),
    (&["every_register"], &["served"]),
];

/// Instructions that raise #VE, one of each that the kernel routes.
const INSTRUCTIONS: [&str; 9] = [
    "mov eax, [rdi]",
    "mov [rdi], eax",
    "movzx r15, byte ptr [rdi]",
    "in al, dx",
    "out dx, al",
    "cpuid",
    "rdmsr",
    "wrmsr",
    "hlt",
];

/// RBP's bit in a mask.
const RBP: u64 = 1 << 5;

/// The mask of R10, R11 and these registers.
const fn r(numbers: &[u32]) -> u64 {
    let mut mask = 1 << 10 | 1 << 11;
    let mut index = 0;
    while index < numbers.len() {
        mask |= 1 << numbers[index];
        index += 1;
    }
    mask
}

/// Boots an image under the hostile VMM, which it has to live with; what it printed, and
/// what the VMM saw.
fn boot(test: &str, image: &str, gpaw: u8, config: &str) -> (String, Vec<Seen>) {
    let options = fixture::options(&format!("hygiene-{test}"), image);
    let config = format!("registers=poison{config}");
    let report = fixture::boot(&Options { config, gpaw, ..options });
    let is_failure = |line: &&str| line.starts_with("FAIL") || line.starts_with("not ok");
    let failures: Vec<_> = report.console.lines().filter(is_failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let book = registers::book(&report.vmm_log);
    is_clean(&book, image == "td");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    (report.console, book)
}

/// Every mask is the least of its function, and nothing leaked.
fn is_clean(book: &[Seen], makes_checks: bool) {
    for (seen, mask) in book.iter().filter_map(|seen| Some((seen, seen.mask?))) {
        let table = TABLE.iter().chain(Some(&CHECKED).filter(|_| makes_checks));
        let least = table.filter(|row| row.0 == seen.exit).map(|row| row.1);
        let least: Vec<u64> = least.collect();
        assert!(least.contains(&mask), "{} exposes {mask:#x}, not {least:x?}", seen.exit);
        assert_eq!(mask & RBP, 0, "{} exposes RBP", seen.exit);
    }
    for seen in book {
        assert_eq!(seen.leaked, 0, "{} shows the registers {:#x}", seen.exit, seen.leaked);
    }
}

#[test]
fn the_kernel_lives_with_a_poisoning_vmm() {
    for gpaw in [48, 52] {
        let (console, book) = boot(&format!("td-{gpaw}"), "td", gpaw, "");
        for exit in ["vmcall 0x1e read", "vmcall 0x1e write", "vmcall 0x30 read", "exit 48"] {
            assert!(book.iter().any(|seen| seen.exit == exit), "no {exit}: {console}");
        }
    }
}

#[test]
fn a_payload_lives_with_a_poisoning_vmm() {
    let (console, _) = boot("hello", "hello", 48, "");
    assert!(console.contains("hello from a trust domain"), "{console}");
}

/// What the payload says of each function in each round, and of each instruction.
fn expected_lines() -> Vec<String> {
    let mut lines: Vec<_> = INSTRUCTIONS.map(|code| format!("ok   {code}: instruction")).into();
    for (functions, rounds) in FUNCTIONS {
        for round in rounds {
            lines.extend(functions.iter().map(|name| format!("ok   {name}: {round}")));
        }
    }
    lines
}

#[test]
fn no_call_and_no_instruction_keeps_what_a_hostile_vmm_left() {
    // Without NO_RBP_MOD the module lets RBP be exposed: a mask that has it is seen.
    for (test, gpaw, config) in [("rbp", 48, ",flags=0x0"), ("48", 48, ""), ("52", 52, "")] {
        let (console, book) = boot(&format!("calls-{test}"), "hygiene", gpaw, config);
        for expected in expected_lines() {
            let is_there = console.lines().any(|line| line == expected);
            assert!(is_there, "no line `{expected}`: {console}");
        }
        for (exit, mask) in TABLE {
            let is_it = |seen: &Seen| seen.exit == exit && seen.mask == Some(mask);
            assert!(book.iter().any(is_it), "no {exit} with {mask:#x}: {book:#x?}");
        }
    }
}
