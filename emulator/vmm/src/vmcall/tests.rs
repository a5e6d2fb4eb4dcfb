//! The calls as a TD sees them: registers in, registers out.

use std::vec;
use std::vec::Vec;

use abi::exit::VmcallMask;
use abi::ghci::function;
use abi::{GpaWidth, Gpr, Hpa, PageLevel};
use proptest::prelude::*;

use super::*;
use crate::conversion::{Conversion, MapGpaMode};
use crate::end::Hang;
use crate::fakes::{FakeCpu, FakeDevices, FakeMemory, FakeModule, Seen, pool};
use crate::guest_memory::GuestMemory;
use crate::lapic::Lapic;
use crate::shared_ept::SharedEpt;
use crate::td::{PostedInterrupts, TdClock};

pub(super) const SHARED: u64 = 1 << 47;
const IOAPIC: u64 = 0xFEC0_0000;

/// A TD of 16 MiB that has just called.
pub(super) struct Bench {
    pub(super) module: FakeModule,
    pub(super) memory: FakeMemory,
    devices: FakeDevices,
    pub(super) cpu: FakeCpu,
    pool: crate::pool::Pool,
    pub(super) vcpu: Vcpu,
    pub(super) td: Td,
    pub(super) limit_ms: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let shared = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
        let descriptor = pool.own(&mut memory).unwrap();
        crate::seam::Memory::zero(&mut memory, descriptor, 4096);
        let page = Hpa::new(0x1000);
        let vcpu = Vcpu {
            tdvpr: page,
            shared,
            lapic: Lapic::new(0),
            msrs: Msrs::new(),
            ports: Ports::new(Features::empty()),
            features: Features::empty(),
            ioapic: Ioapic::default(),
            posted: PostedInterrupts::new(descriptor),
            clock: TdClock { offset: 0, multiplier: 1 << 48 },
            wrong: WrongAnswers::NONE,
        };
        let td = Td {
            tdr: page,
            key_bits: 33 << 46,
            tdvpr: Some(page),
            width: GpaWidth::Bits48,
            guest: GuestMemory::new(16 << 20, 0x1_0000),
            page_level: PageLevel::Size4K,
            dirty_pages: false,
            is_curious: false,
            conversion: Conversion::new(MapGpaMode::Honest),
        };
        Self {
            module: FakeModule::new(),
            memory,
            devices: FakeDevices::default(),
            cpu: FakeCpu::default(),
            pool,
            vcpu,
            td,
            limit_ms: 0,
        }
    }

    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Vmm<'_>, &mut Td) -> T) -> T {
        let mut vmm = Vmm {
            module: &mut self.module,
            memory: &mut self.memory,
            devices: &mut self.devices,
            cpu: &mut self.cpu,
            pool: self.pool.clone(),
        };
        let result = work(&mut vmm, &mut self.td);
        self.pool = vmm.pool;
        result
    }

    pub(super) fn serve(&mut self, regs: &mut Regs) -> Result<(), End> {
        let mut vmm = Vmm {
            module: &mut self.module,
            memory: &mut self.memory,
            devices: &mut self.devices,
            cpu: &mut self.cpu,
            pool: self.pool.clone(),
        };
        let watchdog = Watchdog::start(vmm.cpu, self.limit_ms);
        let served = serve(&mut vmm, &mut self.td, &mut self.vcpu, watchdog, regs);
        self.pool = vmm.pool;
        served
    }

    /// R11-R15 of a standard call in, R10 and R11 out.
    pub(super) fn call(&mut self, arguments: [u64; 5]) -> (GhciStatus, u64) {
        let mut regs = registers(arguments);
        self.serve(&mut regs).unwrap();
        (GhciStatus(regs.r10), regs.r11)
    }

    pub(super) fn end(&mut self, arguments: [u64; 5]) -> End {
        self.serve(&mut registers(arguments)).unwrap_err()
    }
}

fn registers([r11, r12, r13, r14, r15]: [u64; 5]) -> Regs {
    Regs { rcx: 0xFFCC, r11, r12, r13, r14, r15, ..Regs::default() }
}

#[test]
fn a_port_is_written_and_read() {
    let mut bench = Bench::new();
    bench.devices.answer = 0x60;
    let write = bench.call([function::IO, 1, 1, 0x3F8, 0x4141]);
    assert_eq!(write.0, GhciStatus::SUCCESS);
    assert_eq!(bench.call([function::IO, 1, 0, 0x3FD, 0]), (GhciStatus::SUCCESS, 0x60));
    let seen =
        vec![Seen::PortWrite(0x3F8, IoWidth::Byte, 0x41), Seen::PortRead(0x3FD, IoWidth::Byte)];
    assert_eq!(bench.devices.seen, seen);
}

#[test]
fn an_access_of_no_size_or_direction_is_refused() {
    let mut bench = Bench::new();
    for (size, direction) in [(0, 0), (3, 0), (8, 0), (1, 2), (1 << 32 | 1, 0), (1, u64::MAX)] {
        let (status, _) = bench.call([function::IO, size, direction, 0x3F8, 0]);
        assert_eq!(status, GhciStatus::INVALID_OPERAND);
    }
    for (size, direction) in [(0, 0), (3, 1), (16, 0), (4, 2)] {
        let (status, _) = bench.call([function::MMIO, size, direction, SHARED | IOAPIC, 0]);
        assert_eq!(status, GhciStatus::INVALID_OPERAND);
    }
    assert_eq!(bench.devices.seen, []);
}

#[test]
fn mmio_needs_a_shared_address() {
    let mut bench = Bench::new();
    for gpa in [IOAPIC, 1 << 48 | IOAPIC, 1 << 63, u64::MAX] {
        let (status, _) = bench.call([function::MMIO, 4, 0, gpa, 0]);
        assert_eq!(status, GhciStatus::INVALID_OPERAND, "{gpa:#x}");
    }
    assert_eq!(bench.devices.seen, []);
}

#[test]
fn the_ioapic_is_reached_with_any_width() {
    let mut bench = Bench::new();
    bench.devices.answer = 0x17_0020;
    assert_eq!(bench.call([function::MMIO, 4, 1, SHARED | IOAPIC, 1]).0, GhciStatus::SUCCESS);
    let read = bench.call([function::MMIO, 4, 0, SHARED | IOAPIC | 0x10, 0]);
    assert_eq!(read, (GhciStatus::SUCCESS, 0x17_0020));
    assert_eq!(bench.call([function::MMIO, 1, 0, SHARED | IOAPIC, 0]).1, 0x20);
    let read = bench.call([function::MMIO, 8, 0, SHARED | IOAPIC | 0x10, 0]);
    assert_eq!(read.1, 0xFFFF_FFFF_0017_0020);
    assert_eq!(bench.devices.seen.len(), 4);
}

#[test]
fn an_empty_place_reads_as_ones_of_its_width() {
    let mut bench = Bench::new();
    for (size, ones) in [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF), (8, u64::MAX)] {
        for gpa in [0xFEE0_0020, 0xFED0_0000, 0xB000_0000, IOAPIC + 0xFFF, IOAPIC + 0x1000] {
            let gpa = SHARED | gpa & !(size - 1);
            assert_eq!(bench.call([function::MMIO, size, 0, gpa, 0]).1, ones, "{gpa:#x}");
            let (status, _) = bench.call([function::MMIO, size, 1, gpa, 5]);
            assert_eq!(status, GhciStatus::SUCCESS);
        }
    }
    assert_eq!(bench.devices.seen, []);
}

#[test]
fn mmio_on_memory_is_the_shared_page() {
    let mut bench = Bench::new();
    let at = SHARED | 0x2FFC;
    let _ = bench.call([function::MMIO, 8, 1, at, 0x1122_3344_5566_7788]);
    assert_eq!(bench.call([function::MMIO, 8, 0, at, 0]).1, 0x1122_3344_5566_7788);
    assert_eq!(bench.call([function::MMIO, 4, 0, SHARED | 0x3000, 0]).1, 0x1122_3344);
    // The last bytes of RAM: what reaches over them is not there.
    let end = SHARED | 0xFF_FFFE;
    let _ = bench.call([function::MMIO, 4, 1, end, 0]);
    assert_eq!(bench.call([function::MMIO, 4, 0, end, 0]).1, 0xFFFF_0000);
}

#[test]
fn cpuid_has_its_answer_in_four_registers() {
    let mut bench = Bench::new();
    let mut regs = registers([function::CPUID, 0x4000_0000, 0, 0, 0]);
    bench.serve(&mut regs).unwrap();
    assert_eq!((regs.r10, regs.r12, regs.r13), (0, 0x4000_0001, 0x4B4D_564B));
}

#[test]
fn msrs_are_those_of_the_list() {
    let mut bench = Bench::new();
    assert_eq!(bench.call([function::RDMSR, 0x1B, 0, 0, 0]), (GhciStatus::SUCCESS, 0xFEE0_0D00));
    assert_eq!(bench.call([function::RDMSR, 0x10, 0, 0, 0]).0, GhciStatus::INVALID_OPERAND);
    let write = bench.call([function::WRMSR, 0x832, 1 << 16 | 0xE1, 0, 0]);
    assert_eq!(write.0, GhciStatus::SUCCESS);
    assert_eq!(bench.call([function::RDMSR, 0x832, 0, 0, 0]).1, 1 << 16 | 0xE1);
    assert_eq!(bench.call([function::WRMSR, 0x1B, 0, 0, 0]).0, GhciStatus::INVALID_OPERAND);
}

#[test]
fn an_ipi_to_oneself_is_posted_and_ends_a_halt() {
    let mut bench = Bench::new();
    let _ = bench.call([function::WRMSR, 0x80F, 0x1FF, 0, 0]);
    let _ = bench.call([function::WRMSR, 0x830, 0x45, 0, 0]);
    let descriptor = bench.vcpu.posted.descriptor.bits();
    let word = |bench: &Bench, index: u64| {
        let at = Hpa::try_new(descriptor + 8 * index).unwrap();
        crate::seam::Memory::read_u64(&bench.memory, at)
    };
    assert_eq!((word(&bench, 1), word(&bench, 4)), (1 << 5, 1));
    assert_eq!(bench.call([function::HLT, 0, 0, 0, 0]).0, GhciStatus::SUCCESS);
}

#[test]
fn a_halt_ends_when_the_module_has_an_interrupt() {
    let mut bench = Bench::new();
    bench.module.fields.insert(0x1100_0000_0000_0100, 1);
    assert_eq!(bench.call([function::HLT, 0, 0, 0, 0]).0, GhciStatus::SUCCESS);
}

#[test]
fn a_halt_ends_with_the_timer() {
    let mut bench = Bench::new();
    let _ = bench.call([function::WRMSR, 0x80F, 0x1FF, 0, 0]);
    let _ = bench.call([function::WRMSR, 0x832, 0x40, 0, 0]);
    let _ = bench.call([function::WRMSR, 0x838, 1_000_000, 0, 0]);
    assert_eq!(bench.call([function::HLT, 0, 0, 0, 0]).0, GhciStatus::SUCCESS);
    // Divided by two, 40 ns a cycle.
    assert!(bench.cpu.now_ns >= 80_000_000);
}

#[test]
fn a_halt_that_nothing_ends_is_said_to_be_one() {
    assert_eq!(Bench::new().end([function::HLT, 1, 0, 0, 0]), End::Hung(Hang::HaltedForEver));
    assert_eq!(Bench::new().end([function::HLT, 0, 0, 0, 0]), End::Hung(Hang::NothingToWaitFor));
    let mut bench = Bench::new();
    let _ = bench.call([function::WRMSR, 0x80F, 0x1FF, 0, 0]);
    let _ = bench.call([function::WRMSR, 0x832, 0x40, 0, 0]);
    let _ = bench.call([function::WRMSR, 0x838, u64::from(u32::MAX), 0, 0]);
    bench.limit_ms = 50;
    let end = bench.end([function::HLT, 0, 0, 0, 0]);
    assert_eq!(end, End::Hung(Hang::Timeout { limit_ms: 50 }));
}

#[test]
fn the_base_functions_are_there_and_no_other() {
    let mut bench = Bench::new();
    let mut regs = registers([function::GET_TD_VMCALL_INFO, 0, 7, 7, 7]);
    bench.serve(&mut regs).unwrap();
    assert_eq!([regs.r10, regs.r11, regs.r12, regs.r13, regs.r14], [0; 5]);
    let (status, _) = bench.call([function::GET_TD_VMCALL_INFO, 2, 0, 0, 0]);
    assert_eq!(status, GhciStatus::INVALID_OPERAND);
    for function in [
        function::GET_QUOTE,
        function::WBINVD,
        function::PCONFIG,
        function::SETUP_EVENT_NOTIFY_INTERRUPT,
        function::SERVICE,
        function::MIGTD,
        0,
        u64::MAX,
    ] {
        let (status, _) = bench.call([function, 0, 0, 0, 0]);
        assert_eq!(status, GhciStatus::SUBFUNC_UNSUPPORTED, "{function:#x}");
    }
}

#[test]
fn what_the_configuration_adds_is_served() {
    let mut bench = Bench::new();
    bench.vcpu.features = Features::WBINVD | Features::PCONFIG;
    for operation in [0, 1] {
        assert_eq!(bench.call([function::WBINVD, operation, 0, 0, 0]).0, GhciStatus::SUCCESS);
    }
    assert_eq!(bench.call([function::WBINVD, 2, 0, 0, 0]).0, GhciStatus::INVALID_OPERAND);
    assert_eq!(bench.cpu.flushes, 2);
    assert_eq!(bench.call([function::PCONFIG, 0, 7, 8, 9]), (GhciStatus::SUCCESS, 3));
    assert_eq!(bench.call([function::PCONFIG, 1, 0, 0, 0]).0, GhciStatus::INVALID_OPERAND);
}

#[test]
fn a_vendor_call_is_a_hypercall_of_kvm() {
    let mut bench = Bench::new();
    for (number, answer) in [(1, 0), (12, -1000_i64 as u64), (u64::MAX, -1000_i64 as u64)] {
        let mut regs = Regs { r10: number, r11: function::IO, ..Regs::default() };
        bench.serve(&mut regs).unwrap();
        assert_eq!(regs.r10, answer);
    }
    assert_eq!(bench.devices.seen, []);
}

#[test]
fn the_ways_out_end_the_run() {
    let mut bench = Bench::new();
    assert_eq!(bench.end([function::IO, 4, 1, 0xF4, 0x10]), End::Verdict(0x10));
    assert_eq!(bench.end([function::IO, 4, 1, 0xF4, 0x18]).verdict(), 0x14);
    assert_eq!(bench.end([function::IO, 1, 1, 0xCF9, 6]), End::Died(Death::Reset));
    let mut regs = registers([function::REPORT_FATAL_ERROR, 0, 0, 0, 0]);
    regs[Gpr::R14] = u64::from_le_bytes(*b"panic at");
    let end = bench.serve(&mut regs).unwrap_err();
    assert_eq!(std::format!("{end}"), "fatal error from TD: panic at");
    assert_eq!(end.verdict(), 0x14);
}

fn any_regs() -> impl Strategy<Value = Regs> {
    let interesting = prop_oneof![
        any::<u64>(),
        0..64_u64,
        prop::sample::select(vec![
            function::IO,
            function::MMIO,
            function::RDMSR,
            function::WRMSR,
            function::CPUID,
            function::HLT,
            function::MAP_GPA,
            SHARED | IOAPIC,
            SHARED | 0x1000,
            0x830,
            0x838,
            0xCF8,
            0xCFC,
        ]),
    ];
    prop::collection::vec(interesting, 16).prop_map(|values: Vec<u64>| {
        let mut regs = Regs::default();
        for (gpr, value) in Gpr::ALL.into_iter().zip(values) {
            regs[gpr] = value;
        }
        if regs.rcx & 1 == 0 {
            regs.r10 = 0;
        }
        regs
    })
}

proptest! {
    #[test]
    fn no_sequence_of_calls_panics(calls in prop::collection::vec(any_regs(), 1..20)) {
        let mut bench = Bench::new();
        bench.limit_ms = 100;
        for regs in calls {
            // As the module hands it over: what is not exposed is zero.
            let mut seen = VmcallMask(regs.rcx as u32).expose(&regs);
            seen.rcx = regs.rcx & 0xFFFF_FFFF;
            if bench.serve(&mut seen).is_err() {
                break;
            }
        }
    }
}
