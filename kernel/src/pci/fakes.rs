//! A bus whose registers are what a test says.

use std::collections::BTreeMap;
use std::vec::Vec;

use tdcall::ghci::VmcallError;

use super::{Address, Config};

/// Values and writable bits, by device, function and register.
#[derive(Default)]
pub(crate) struct Bus {
    values: BTreeMap<(u8, u8, u8), u32>,
    masks: BTreeMap<(u8, u8, u8), u32>,
    /// What was written, in order.
    pub(crate) written: Vec<(u8, u32)>,
}

impl Bus {
    pub(crate) fn add(&mut self, at: Address, registers: &[(u8, u32)]) {
        for (register, value) in registers {
            self.values.insert((at.device, at.function, *register), *value);
        }
    }

    /// Bits of a register that can be written.
    pub(crate) fn mask(&mut self, at: Address, register: u8, mask: u32) {
        self.masks.insert((at.device, at.function, register), mask);
    }

    pub(crate) fn value(&self, at: Address, register: u8) -> u32 {
        self.values.get(&(at.device, at.function, register)).copied().unwrap_or(0)
    }
}

impl Config for Bus {
    fn read(&mut self, at: Address, register: u8) -> Result<u32, VmcallError> {
        let is_there = self.values.contains_key(&(at.device, at.function, 0));
        Ok(if is_there { self.value(at, register) } else { u32::MAX })
    }

    fn write(&mut self, at: Address, register: u8, value: u32) -> Result<(), VmcallError> {
        self.written.push((register, value));
        let key = (at.device, at.function, register);
        let mask = self.masks.get(&key).copied().unwrap_or(0);
        let old = self.values.entry(key).or_insert(0);
        *old = *old & !mask | value & mask;
        Ok(())
    }
}
