//! Port I/O against the register of QEMU's `pc-testdev`, compared with what the manual says
//! of the instruction: there is no port that could be accessed natively.

use core::fmt;

use abi::{Gpr, IoWidth};
use kernel::println;
use tdcall::ghci;

use crate::case::Difference;
use crate::encode::Code;
use crate::forms::{DF, FLAGS};
use crate::machine::{Machine, State};
use crate::random::Random;
use crate::run::Plan;
use crate::windows::Windows;

/// The register: four ports.
const REGISTER: u16 = 0xE0;
const CASES: u64 = 1500;

/// One access, for the line that says how it failed.
struct Case<'a>(u64, &'a Access, &'a State);

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, access, state) = self;
        write!(f, "port case {number}: [")?;
        for byte in access.code.bytes() {
            write!(f, " {byte:02x}")?;
        }
        write!(f, " ] rflags {:#x}", state.rflags)?;
        let used = [Gpr::Rax, Gpr::Rcx, Gpr::Rdx, Gpr::Rsi, Gpr::Rdi];
        used.iter().try_for_each(|gpr| write!(f, " {gpr:?} {:#x}", state.regs[*gpr]))
    }
}

/// Runs the port accesses; gives their number, or None after saying what failed.
pub(crate) fn run(machine: &mut Machine, windows: &mut Windows, plan: Plan) -> Option<u64> {
    for number in 0..CASES {
        let mut random = Random::new(plan.seed ^ 0x0107, number);
        let mut state = State::default();
        for gpr in Gpr::ALL {
            state.regs[gpr] = random.operand();
        }
        state.rflags = Machine::rflags(random.next() & FLAGS);
        let access = Access::new(&mut random, &mut state, windows);
        if let Err(difference) = access.check(machine, windows, &state, &mut random) {
            let case = Case(number, &access, &state);
            println!("differ: FAILED seed {} {case}: {difference}", plan.seed);
            return None;
        }
    }
    Some(CASES)
}

/// An instruction.
struct Access {
    code: Code,
    width: IoWidth,
    port: u16,
    is_in: bool,
    is_string: bool,
    is_repeated: bool,
    /// Offset in the other page, of a string.
    offset: u64,
}

impl Access {
    fn new(random: &mut Random, state: &mut State, windows: &Windows) -> Self {
        let width = random.one_of(&[IoWidth::Byte, IoWidth::Word, IoWidth::Dword]);
        let bytes = u64::from(width.bytes());
        let port = REGISTER + (random.below(4) & !(bytes - 1)) as u16;
        let is_in = random.flip();
        let is_string = random.flip();
        let is_repeated = is_string && random.flip();
        let offset = 1024 + random.below(1024);
        let mut code = Code::default();
        if width == IoWidth::Word {
            code.put(&[0x66]);
        }
        if is_repeated {
            code.put(&[0xF3]);
            state.regs.rcx = random.below(6);
        }
        let is_wide = u8::from(width != IoWidth::Byte);
        let is_immediate = !is_string && random.flip();
        if !is_immediate {
            state.regs.rdx = state.regs.rdx & !0xFFFF | u64::from(port);
        }
        let direction = if is_in { 0 } else { 2 };
        if is_string {
            code.put(&[0x6C | direction | is_wide]);
            let pointer = if is_in { &mut state.regs.rdi } else { &mut state.regs.rsi };
            *pointer = windows.native_other + offset;
        } else if is_immediate {
            code.put(&[0xE4 | direction | is_wide, port as u8]);
        } else {
            code.put(&[0xEC | direction | is_wide]);
        }
        Self { code, width, port, is_in, is_string, is_repeated, offset }
    }

    /// Runs it and its model.
    fn check(
        &self,
        machine: &mut Machine,
        windows: &mut Windows,
        before: &State,
        random: &mut Random,
    ) -> Result<(), Difference> {
        let register = random.next() as u32;
        let port_write = ghci::io_write(REGISTER, IoWidth::Dword, register);
        port_write.map_err(|_| Difference::NoAnswer)?;
        let (expected, register) = self.model(windows, before, register);
        let mut after = *before;
        machine.run(&self.code, 64, &mut after);
        for gpr in Gpr::ALL.into_iter().filter(|gpr| *gpr != Gpr::Rsp) {
            let (native, device) = (expected.regs[gpr], after.regs[gpr]);
            if native != device {
                return Err(Difference::Register { gpr, native, device });
            }
        }
        if expected.rflags != after.rflags {
            return Err(Difference::Flags { native: expected.rflags, device: after.rflags });
        }
        let read = ghci::io_read(REGISTER, IoWidth::Dword).map_err(|_| Difference::NoAnswer)?;
        if read != register {
            let (native, device) = (register.into(), read.into());
            return Err(Difference::Memory { offset: 0, native, device });
        }
        windows.compare_all(false)
    }

    /// Registers and the port's register afterwards. The page of the emulated side gets what
    /// INS writes here; the instruction itself works on the native side's page.
    fn model(&self, windows: &Windows, before: &State, register: u32) -> (State, u32) {
        let (mut state, mut register) = (*before, register);
        let bits = 8 * u32::from(self.width.bytes());
        let shift = 8 * u32::from(self.port - REGISTER);
        let mask = self.width.mask() as u32;
        let put = |register: u32, value: u32| register & !(mask << shift) | (value & mask) << shift;
        if !self.is_string {
            if self.is_in {
                let value = u64::from(register >> shift & mask);
                let kept = if bits == 32 { 0 } else { state.regs.rax & !u64::from(mask) };
                state.regs.rax = kept | value;
            } else {
                register = put(register, state.regs.rax as u32);
            }
            return (state, register);
        }
        let count = if self.is_repeated { state.regs.rcx } else { 1 };
        let bytes = u64::from(self.width.bytes());
        let step = if state.rflags & DF == 0 { bytes } else { bytes.wrapping_neg() };
        let mut offset = self.offset;
        for _ in 0..count {
            if self.is_in {
                windows.put_other(offset as usize, register >> shift & mask, bytes as usize);
                state.regs.rdi = state.regs.rdi.wrapping_add(step);
            } else {
                register = put(register, windows.other(offset as usize, bytes as usize));
                state.regs.rsi = state.regs.rsi.wrapping_add(step);
            }
            offset = offset.wrapping_add(step);
        }
        if self.is_repeated {
            state.regs.rcx = 0;
        }
        (state, register)
    }
}
