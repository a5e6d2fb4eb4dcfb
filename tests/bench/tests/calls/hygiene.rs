//! A VMM that fills every register it may write with poison, and keeps what it sees.

use abi::exit::VmcallMask;
use abi::ghci::function;
use abi::{GhciStatus, Gpr, Regs, Status};
use bench::seam::vmcall;
use bench::subject::Profile;
use bench::trace::Row;
use tdcall::ghci::mask;

use crate::expect::{kept, run_as, td};

const POISON: u64 = 0xBADF_00D0_C0DE_0000;

/// What a read gives when the VMM poisons R11: all of it, and four bytes of it.
const R11: &[u64] = &[POISON | 11];
const R11_4: &[u64] = &[POISON as u32 as u64 | 11];

/// A GHCI function: row, mask, R11, R12-R15 as the VMM is to see them, and its results when
/// the VMM answers with poison, if poison is recognisable in them.
struct Function(&'static str, u64, u64, [u64; 4], &'static [u64]);

/// The shared bit of the subject's TD.
const S: u64 = 1 << 47;

/// Every function that returns. [TDVF 4.4]
const FUNCTIONS: [Function; 27] = [
    Function("io_write_1", mask::IO_WRITE, function::IO, [1, 1, 0x3F8, 0x41], &[]),
    Function("mmio_read_4", mask::MMIO_READ, function::MMIO, [4, 0, S | 0xFEC0_0000, 0], R11_4),
    Function(
        "cpuid",
        mask::CPUID,
        function::CPUID,
        [0x4000_0000, 7, 0, 0],
        &[0xC0DE_000C, 0xC0DE_000D, 0xC0DE_000E, 0xC0DE_000F],
    ),
    Function("map_gpa", mask::MAP_GPA, function::MAP_GPA, [S | 0x20_0000, 0x20_0000, 0, 0], &[]),
    Function("in_1", mask::IO_READ, function::IO, [1, 0, 0xCF8, 0], &[]),
    Function("in_2", mask::IO_READ, function::IO, [2, 0, 0xCF8, 0], &[]),
    Function("in_4", mask::IO_READ, function::IO, [4, 0, 0xCF8, 0], R11_4),
    Function("out_1", mask::IO_WRITE, function::IO, [1, 1, 0xCF8, 0x88], &[]),
    Function("out_2", mask::IO_WRITE, function::IO, [2, 1, 0xCF8, 0x7788], &[]),
    Function("out_4", mask::IO_WRITE, function::IO, [4, 1, 0xCF8, 0x5566_7788], &[]),
    Function("load_1", mask::MMIO_READ, function::MMIO, [1, 0, S | 0xFEE0_0000, 0], &[]),
    Function("load_2", mask::MMIO_READ, function::MMIO, [2, 0, S | 0xFEE0_0000, 0], &[]),
    Function("load_4", mask::MMIO_READ, function::MMIO, [4, 0, S | 0xFEE0_0000, 0], R11_4),
    Function("load_8", mask::MMIO_READ, function::MMIO, [8, 0, S | 0xFEE0_0000, 0], R11),
    Function("store_1", mask::MMIO_WRITE, function::MMIO, [1, 1, S | 0xFEE0_0000, 0x88], &[]),
    Function("store_2", mask::MMIO_WRITE, function::MMIO, [2, 1, S | 0xFEE0_0000, 0x7788], &[]),
    Function(
        "store_4",
        mask::MMIO_WRITE,
        function::MMIO,
        [4, 1, S | 0xFEE0_0000, 0x5566_7788],
        &[],
    ),
    Function(
        "store_8",
        mask::MMIO_WRITE,
        function::MMIO,
        [8, 1, S | 0xFEE0_0000, 0x1122_3344_5566_7788],
        &[],
    ),
    Function("hlt", mask::HLT, function::HLT, [1, 0, 0, 0], &[]),
    Function("rdmsr", mask::RDMSR, function::RDMSR, [0x1B, 0, 0, 0], R11),
    Function("wrmsr", mask::WRMSR, function::WRMSR, [0x1B, 0x1122_3344_5566_7788, 0, 0], &[]),
    Function("wbinvd", mask::WBINVD, function::WBINVD, [1, 0, 0, 0], &[]),
    Function("pconfig", mask::PCONFIG, function::PCONFIG, [1, 2, 3, 4], R11),
    Function(
        "info",
        mask::GET_TD_VMCALL_INFO,
        function::GET_TD_VMCALL_INFO,
        [1, 0, 0, 0],
        &[POISON | 11, POISON | 12, POISON | 13, POISON | 14],
    ),
    Function("get_quote", mask::GET_QUOTE, function::GET_QUOTE, [S | 0x40_0000, 0x2000, 0, 0], &[]),
    Function(
        "setup_event_notify_interrupt",
        mask::SETUP_EVENT_NOTIFY_INTERRUPT,
        function::SETUP_EVENT_NOTIFY_INTERRUPT,
        [0x50, 0, 0, 0],
        &[],
    ),
    Function(
        "service",
        mask::SERVICE,
        function::SERVICE,
        [S | 0x40_0000, S | 0x50_0000, 0x50, 250],
        &[],
    ),
];

/// Poisons what is exposed; answers with this R10.
fn hostile(answer: u64) -> impl FnMut(&mut Regs) {
    move |regs| {
        if regs.rax != 0 {
            regs.rax = Status::OPERAND_INVALID.0;
            return;
        }
        vmcall(regs, |seen| {
            for gpr in Gpr::ALL {
                seen[gpr] = POISON | gpr as u64;
            }
            seen.r10 = answer;
        });
    }
}

/// No register holds a half of a poison, unless it is one of these results.
fn clean(row: &Row, results: &[u64]) {
    for (gpr, value) in Gpr::ALL.map(|gpr| (gpr, row.exit[gpr])) {
        if results.contains(&value) {
            continue;
        }
        let poisoned = value >> 32 == POISON >> 32 || value as u32 >> 16 == POISON as u32 >> 16;
        assert!(!poisoned, "{}: {gpr:?} is {value:#x}", row.name);
    }
}

/// The VMM sees the arguments, the rest as zero, and nothing of the caller.
fn sees(row: &Row, Function(_, mask, function, arguments, _): &Function) {
    for call in &row.calls {
        assert_eq!(call.regs.rcx, *mask, "{}", row.name);
        let mut expected = Regs { r11: *function, ..Regs::default() };
        [expected.r12, expected.r13, expected.r14, expected.r15] = *arguments;
        assert_eq!(VmcallMask(*mask as u32).expose(&call.regs), expected, "{}", row.name);
    }
}

#[test]
fn a_hostile_vmm_sees_the_arguments_alone_and_leaves_nothing_behind() {
    for profile in [Profile::Release, Profile::Shipped] {
        let run = run_as(profile, &mut td(hostile(0)));
        for function in &FUNCTIONS {
            let row = run.row(function.0).unwrap();
            sees(row, function);
            kept(row);
            clean(row, function.4);
        }
    }
}

#[test]
fn after_an_error_no_result_is_left_behind() {
    for profile in [Profile::Release, Profile::Shipped] {
        let run = run_as(profile, &mut td(hostile(GhciStatus::INVALID_OPERAND.0)));
        for function in &FUNCTIONS {
            let row = run.row(function.0).unwrap();
            kept(row);
            clean(row, &[]);
            let result = run.result(function.0).unwrap();
            assert!(result.contains("INVALID_OPERAND"), "{}: {result}", row.name);
        }
    }
}

#[test]
fn the_modules_refusal_is_told_from_the_vmms() {
    let refuse = |regs: &mut Regs| regs.rax = Status::OPERAND_INVALID.with_detail(1).0;
    let run = run_as(Profile::Release, &mut td(refuse));
    for Function(name, ..) in FUNCTIONS {
        kept(run.row(name).unwrap());
        let result = run.result(name).unwrap();
        assert!(result.contains("Module(0xc000010000000001"), "{name}: {result}");
    }
}

#[test]
fn what_comes_back_is_cut_to_its_width() {
    let run = run_as(Profile::Release, &mut td(hostile(0)));
    let widths = [
        ("in_1", "Ok(b)"),
        ("in_2", "Ok(b)"),
        ("in_4", "Ok(c0de000b)"),
        ("load_1", "Ok(b)"),
        ("load_2", "Ok(b)"),
        ("load_4", "Ok(c0de000b)"),
        ("load_8", "Ok(badf00d0c0de000b)"),
        ("rdmsr", "Ok(badf00d0c0de000b)"),
        ("cpuid", "Ok([c0de000c, c0de000d, c0de000e, c0de000f])"),
    ];
    for (name, expected) in widths {
        assert_eq!(run.result(name), Some(expected), "{name}");
    }
}

#[test]
fn the_last_words_are_in_their_registers_and_rbx_comes_back() {
    for profile in [Profile::Release, Profile::Shipped] {
        let run = run_as(profile, &mut td(hostile(0)));
        let word = |text: &[u8; 8]| u64::from_le_bytes(*text);
        for (name, r12, r13) in [("fatal", 0x77_0000, 0), ("fatal_page", 1 << 63, S | 0x40_0000)] {
            let row = run.row(name).unwrap();
            let expected = Regs {
                rcx: mask::REPORT_FATAL_ERROR,
                r11: function::REPORT_FATAL_ERROR,
                r12,
                r13,
                r14: word(b"r14 text"),
                r15: word(b"|r15 tex"),
                rbx: word(b"t|rbx te"),
                rdi: word(b"xt|rdi t"),
                rsi: word(b"ext|rsi "),
                r8: word(b"text|r8 "),
                r9: word(b"text|r9 "),
                rdx: word(b"text|rdx"),
                // Neither is exposed.
                rsp: row.calls[0].regs.rsp,
                rbp: row.calls[0].regs.rbp,
                ..Regs::default()
            };
            assert_eq!(row.calls[0].regs, expected, "{name}");
            kept(row);
            clean(row, &[]);
        }
    }
}
