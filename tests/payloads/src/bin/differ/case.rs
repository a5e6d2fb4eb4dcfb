//! One case: an instruction, registers, flags; and the two runs of it.

use core::fmt;

use abi::Gpr;

use crate::encode::{Code, Memory};
use crate::forms::{FLAGS, Form, Operands, Sizes};
use crate::machine::{Machine, State};
use crate::random::Random;
use crate::windows::Windows;

/// How the two runs differ.
#[derive(Clone, Copy)]
pub(crate) enum Difference {
    Register { gpr: Gpr, native: u64, device: u64 },
    Flags { native: u64, device: u64 },
    Memory { offset: usize, native: u64, device: u64 },
    Other { offset: usize, native: u64, device: u64 },
    NoAnswer,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { gpr, native, device } => {
                write!(f, "{gpr:?} native {native:#x} emulated {device:#x}")
            }
            Self::Flags { native, device } => {
                write!(f, "RFLAGS native {native:#x} emulated {device:#x}")
            }
            Self::Memory { offset, native, device } => {
                write!(f, "device memory +{offset:#x} native {native:#x} emulated {device:#x}")
            }
            Self::Other { offset, native, device } => {
                write!(f, "private memory +{offset:#x} native {native:#x} emulated {device:#x}")
            }
            Self::NoAnswer => f.write_str("the host does not answer"),
        }
    }
}

/// Which page an address register points into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Device,
    Other,
}

/// A register that holds an address, and the page and offset that it leads to.
#[derive(Clone, Copy)]
struct Pointer {
    gpr: Gpr,
    side: Side,
    offset: u64,
    memory: Option<Memory>,
}

/// An instruction and its start.
pub(crate) struct Case {
    form: &'static Form,
    code: Code,
    /// The instruction ends with the address of this offset in the device's page.
    address: Option<u64>,
    /// Where in the code pages it begins.
    place: usize,
    state: State,
    pointers: [Option<Pointer>; 2],
    /// Around this offset, within so many bytes, the device may change.
    around: (usize, usize),
}

impl Case {
    /// The case that these numbers give.
    pub(crate) fn new(form: &'static Form, random: &mut Random) -> Self {
        let mut state = State::default();
        for gpr in Gpr::ALL {
            state.regs[gpr] = random.operand();
        }
        state.rflags = Machine::rflags(random.next() & FLAGS);
        let place = if random.flip() { 64 } else { 4096 - 1 - random.below(14) as usize };
        let mut case = Self {
            form,
            code: Code::default(),
            address: None,
            place,
            state,
            pointers: [None; 2],
            around: (0, 0),
        };
        let size = case.size(random);
        match form.operands {
            Operands::Offset => case.offset_form(size, random),
            Operands::Store | Operands::LoadString | Operands::Move => case.string(size, random),
            _ => case.mod_rm(size, random),
        }
        case
    }

    fn size(&self, random: &mut Random) -> usize {
        match (self.form.sizes, self.form.operands) {
            (Sizes::Byte, _) => 1,
            // MOVSXD with a 16-bit register is not emulated: processors differ.
            (Sizes::Wide, Operands::Load(4)) => random.one_of(&[4, 8]),
            (Sizes::Wide, _) => random.one_of(&[2, 4, 8]),
        }
    }

    fn prefixes(&mut self, size: usize, random: &mut Random) {
        // Segment prefixes without meaning.
        match random.below(16) {
            0 => self.code.put(&[0x3E]),
            1 => self.code.put(&[0x26, 0x2E]),
            _ => {}
        }
        if size == 2 || size == 8 && random.below(16) == 0 {
            self.code.put(&[0x66]);
        }
    }

    fn offset_form(&mut self, size: usize, random: &mut Random) {
        self.prefixes(size, random);
        if size == 8 {
            self.code.put(&[0x48]);
        }
        self.code.put(self.form.opcode);
        let offset = 64 + random.below(3900);
        self.address = Some(offset);
        self.around = (offset as usize, 16);
    }

    fn string(&mut self, size: usize, random: &mut Random) {
        self.prefixes(size, random);
        if random.flip() {
            self.code.put(&[0xF3]);
            self.state.regs.rcx = random.below(6);
        }
        if size == 8 {
            self.code.put(&[0x48]);
        }
        self.code.put(self.form.opcode);
        let sides = match self.form.operands {
            Operands::Move => random.one_of(&[
                (Side::Device, Side::Other),
                (Side::Other, Side::Device),
                (Side::Device, Side::Device),
            ]),
            _ => (Side::Device, Side::Device),
        };
        let source = 256 + random.below(1500);
        let target = 2048 + random.below(1500);
        let pointer = |gpr, side, offset| Some(Pointer { gpr, side, offset, memory: None });
        if self.form.operands != Operands::Store {
            self.pointers[0] = pointer(Gpr::Rsi, sides.0, source);
        }
        if self.form.operands != Operands::LoadString {
            self.pointers[1] = pointer(Gpr::Rdi, sides.1, target);
            self.around = (target as usize, 64);
        }
    }

    fn mod_rm(&mut self, size: usize, random: &mut Random) {
        let is_bit = self.form.operands == Operands::BitRegister;
        let base = random.one_of(&ADDRESSING);
        let index = random.flip().then(|| random.one_of(&ADDRESSING)).filter(|i| *i != base);
        let index = index.map(|index| (index, random.below(4) as u8));
        let displacement_bytes = match random.below(3) {
            0 if base as u8 & 7 != 5 => 0,
            1 => 4,
            _ => 1,
        };
        let displacement = match displacement_bytes {
            0 => 0,
            1 => i32::from(random.next() as i8),
            _ => random.next() as i32,
        };
        let memory = Memory { base, index, displacement_bytes, displacement };
        let (reg, needs_rex) = self.reg(size, &memory, random);
        if is_bit {
            let bit = random.below(256) as i64 - 128;
            self.state.regs[Gpr::from_number(reg)] = bit as u64;
        }
        self.prefixes(size, random);
        let rex = memory.rex(size == 8, if self.is_digit() { 0 } else { reg });
        if rex != 0 || needs_rex {
            self.code.put(&[0x40 | rex]);
        }
        self.code.put(self.form.opcode);
        memory.put(&mut self.code, reg);
        match self.form.operands {
            Operands::Digit(_, bytes) if bytes > 0 => {
                let bytes = usize::from(bytes).min(size.max(usize::from(bytes == 1)));
                self.code.put_number(random.operand(), bytes);
            }
            Operands::BitImmediate(_) => self.code.put(&[random.next() as u8]),
            _ => {}
        }
        let offset = 64 + random.below(3900);
        self.around = (offset as usize, if is_bit { 40 } else { 16 });
        let side = Side::Device;
        self.pointers[0] = Some(Pointer { gpr: base, side, offset, memory: Some(memory) });
    }

    fn is_digit(&self) -> bool {
        matches!(self.form.operands, Operands::Digit(..) | Operands::BitImmediate(_))
    }

    /// The number in ModRM.reg, and whether only REX makes it what is meant.
    fn reg(&self, size: usize, memory: &Memory, random: &mut Random) -> (u8, bool) {
        if let Operands::Digit(digit, _) | Operands::BitImmediate(digit) = self.form.operands {
            return (digit, false);
        }
        let is_byte = size == 1 && self.form.sizes == Sizes::Byte;
        let base = memory.base as u8;
        if is_byte {
            // AH, CH, DH, BH; only without REX, and not a part of the address.
            let high = 4 + random.below(4) as u8;
            let has_rex = memory.rex(false, 0) != 0;
            let address =
                |gpr: u8| gpr == base || memory.index.is_some_and(|(i, _)| i as u8 == gpr);
            if random.flip() && !has_rex && !address(high - 4) {
                return (high, false);
            }
        }
        let is_whole_load = matches!(self.form.operands, Operands::Load(_)) && size >= 4;
        loop {
            let gpr = random.one_of(&ADDRESSING);
            let is_index = memory.index.is_some_and(|(index, _)| index == gpr);
            let is_usable = match self.form.operands {
                // The index is read after the bit's number was put there.
                Operands::BitRegister => gpr as u8 != base && !is_index,
                _ => gpr as u8 != base || is_whole_load,
            };
            if is_usable {
                return (gpr as u8, is_byte && matches!(gpr as u8, 5..=7));
            }
        }
    }

    /// Runs it natively, then on the device, and compares registers, flags and memory.
    pub(crate) fn run(
        &self,
        machine: &mut Machine,
        windows: &mut Windows,
    ) -> Result<(), Difference> {
        let native = self.run_on(machine, windows.native, windows.native_other);
        let device = self.run_on(machine, windows.device, windows.device_other);
        for gpr in Gpr::ALL {
            let pointer = self.pointers.iter().flatten().find(|pointer| pointer.gpr == gpr);
            let apart = match pointer.map(|pointer| pointer.side) {
                Some(Side::Device) => windows.device.wrapping_sub(windows.native),
                Some(Side::Other) => windows.device_other.wrapping_sub(windows.native_other),
                None => 0,
            };
            let (native, device) = (native.regs[gpr], device.regs[gpr]);
            let is_overwritten = pointer.is_some() && native == device;
            if device.wrapping_sub(native) != apart && !is_overwritten {
                return Err(Difference::Register { gpr, native, device });
            }
        }
        let (native, device) = (native.rflags, device.rflags);
        if (native ^ device) & !self.form.undefined != 0 {
            return Err(Difference::Flags { native, device });
        }
        windows.compare(self.around.0, self.around.1)
    }

    fn run_on(&self, machine: &mut Machine, device: u64, other: u64) -> State {
        let mut state = self.state;
        for Pointer { gpr, side, offset, memory } in self.pointers.iter().flatten() {
            let page = if *side == Side::Device { device } else { other };
            let address = page + offset;
            state.regs[*gpr] = match memory {
                Some(memory) => {
                    let index = memory.index.map_or(0, |(index, _)| state.regs[index]);
                    memory.base_for(address, index)
                }
                None => address,
            };
        }
        let mut code = self.code;
        if let Some(offset) = self.address {
            code.put_number(device + offset, 8);
        }
        machine.run(&code, self.place, &mut state);
        state
    }
}

/// Registers that generated code may use: not RSP.
const ADDRESSING: [Gpr; 15] = [
    Gpr::Rax,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rbx,
    Gpr::Rbp,
    Gpr::Rsi,
    Gpr::Rdi,
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [", self.form.name)?;
        for (index, byte) in self.code.bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        write!(f, "] rflags {:#x}", self.state.rflags)?;
        for gpr in Gpr::ALL {
            write!(f, " {gpr:?} {:#x}", self.state.regs[gpr])?;
        }
        for pointer in self.pointers.iter().flatten() {
            write!(f, "; {:?} leads to +{:#x}", pointer.gpr, pointer.offset)?;
        }
        Ok(())
    }
}
