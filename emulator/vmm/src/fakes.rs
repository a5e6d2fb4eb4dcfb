//! Stand-ins for the hardware in host tests.

mod module;

use std::collections::BTreeMap;
use std::vec::Vec;

use abi::{Hpa, IoWidth, PAGE_SIZE};

pub(crate) use module::FakeModule;

use crate::pool::Pool;
use crate::ram::Ranges;
use crate::seam::{Cpu, Devices, Memory};

/// Sparse memory: what was never written holds garbage.
#[derive(Default)]
pub(crate) struct FakeMemory {
    pages: BTreeMap<u64, Vec<u8>>,
}

impl FakeMemory {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Memory for FakeMemory {
    fn read(&self, at: Hpa, buf: &mut [u8]) {
        for (offset, byte) in buf.iter_mut().enumerate() {
            let at = at.bits() + offset as u64;
            let page = self.pages.get(&(at / PAGE_SIZE));
            *byte = page.map_or(0xA5, |page| page[(at % PAGE_SIZE) as usize]);
        }
    }

    fn write(&mut self, at: Hpa, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            let at = at.bits() + offset as u64;
            let fresh = || std::vec![0xA5; PAGE_SIZE as usize];
            self.pages.entry(at / PAGE_SIZE).or_insert_with(fresh)[(at % PAGE_SIZE) as usize] =
                *byte;
        }
    }

    fn zero(&mut self, at: Hpa, len: u64) {
        for page in 0..len / PAGE_SIZE {
            let zeros = std::vec![0; PAGE_SIZE as usize];
            self.pages.insert(at.bits() / PAGE_SIZE + page, zeros);
        }
    }
}

/// Free memory of 64 MiB at 1 GiB.
pub(crate) fn pool() -> Pool {
    let mut memory = Ranges::new();
    memory.insert(1 << 30, 64 << 20);
    Pool::new(memory)
}

/// What a device saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    PortRead(u16, IoWidth),
    PortWrite(u16, IoWidth, u32),
    RegisterRead(u64, IoWidth),
    RegisterWrite(u64, IoWidth, u32),
}

/// Devices that answer `answer` and write down what reached them.
#[derive(Default)]
pub(crate) struct FakeDevices {
    pub(crate) seen: Vec<Seen>,
    pub(crate) answer: u32,
}

impl Devices for FakeDevices {
    fn port_read(&mut self, port: u16, width: IoWidth) -> u32 {
        self.seen.push(Seen::PortRead(port, width));
        self.answer
    }
    fn port_write(&mut self, port: u16, width: IoWidth, value: u32) {
        self.seen.push(Seen::PortWrite(port, width, value));
    }
    fn register_read(&mut self, address: u64, width: IoWidth) -> u32 {
        self.seen.push(Seen::RegisterRead(address, width));
        self.answer
    }
    fn register_write(&mut self, address: u64, width: IoWidth, value: u32) {
        self.seen.push(Seen::RegisterWrite(address, width, value));
    }
}

/// A processor whose time passes by 10 ms with each wait.
#[derive(Default)]
pub(crate) struct FakeCpu {
    pub(crate) now_ns: u64,
    /// Time that passes with each look at the clock.
    pub(crate) step_ns: u64,
    pub(crate) interrupts: Vec<u8>,
    pub(crate) self_interrupts: Vec<u8>,
    pub(crate) flushes: u32,
    pub(crate) invepts: u32,
}

impl Cpu for FakeCpu {
    fn now_ns(&mut self) -> u64 {
        self.now_ns += self.step_ns;
        self.now_ns
    }
    fn tsc(&mut self) -> u64 {
        self.now_ns
    }
    fn keyid_partitioning(&mut self) -> u64 {
        31 | 32 << 32
    }
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        [leaf, subleaf, 0x11, 0x22]
    }
    fn wbinvd(&mut self) {
        self.flushes += 1;
    }
    fn invept(&mut self) -> bool {
        self.invepts += 1;
        true
    }
    fn interrupt(&mut self, vector: u8) {
        self.interrupts.push(vector);
    }
    fn interrupt_self(&mut self, vector: u8) {
        self.self_interrupts.push(vector);
    }
    fn wait(&mut self) {
        self.now_ns += 10_000_000;
    }
}
