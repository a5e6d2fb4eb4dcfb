//! Faults on demand: what a TDX module, or the CPU under it, that is broken would do. So each
//! check of a trust domain is seen to fail when what it checks is not so.
//!
//! | rule | what goes wrong |
//! |---|---|
//! | `ve.<reason>:<nth>:<xor>[:<operand>]` | the exit qualification of a #VE; operand: the right one |
//! | `out.<leaf>.<register>:<nth>:<xor>[:<operand>]` | a register after a TDCALL; operand: RCX or RDX before it |
//! | `cpuid.<leaf>.<register>:<nth>:<xor>[:<operand>]` | an answer of CPUID; operand: the sub-leaf. A leaf that raises #VE answers, too, as if it were zero |
//! | `report.<offset>:<nth>:<xor>` | a byte of a finished TDREPORT |
//! | `drop.<leaf>:<nth>[:<operand>]` | a TDCALL succeeds without having done anything; operand as for `out` |
//! | `keep:<nth>[:<operand>]` | TDG.MEM.PAGE.ACCEPT leaves in the page what was there; operand as for `out` |
//!
//! Reasons, leaves of TDCALL, offsets and `nth` are decimal; leaves of CPUID, `xor` and operands
//! are hexadecimal. `nth` counts the events that fit, from 1; 0 is each of them. The bits of
//! `xor` are wrong, all others right. Registers are named in lower case.
//!
//! Rules come with the module's command line alone: neither VMM nor TD can make one.

use core::fmt;

use abi::Gpr;

/// Rules that there can be.
pub const MAX_RULES: usize = 8;

/// Bytes of a TDREPORT.
const REPORT_BYTES: usize = size_of::<abi::report::TdReport>();
/// EAX, EBX, ECX, EDX.
const CPUID_REGISTERS: [&str; 4] = ["eax", "ebx", "ecx", "edx"];

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none of the table's.
    Malformed,
    /// There are [`MAX_RULES`] already.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is no ve, out, cpuid, report, drop or keep with its numbers",
            Self::TooMany => "is one fault too many",
        })
    }
}

impl core::error::Error for Refused {}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The qualification of a #VE with this exit reason.
    Ve(u16),
    /// A register after this leaf of TDCALL.
    Output(u64, Gpr),
    /// A register of this leaf of CPUID: 0 is EAX, 3 is EDX.
    Cpuid(u32, usize),
    /// The byte of a TDREPORT at this offset.
    Report(usize),
    /// All that this leaf of TDCALL does.
    Drop(u64),
    /// The zeros of TDG.MEM.PAGE.ACCEPT.
    Keep,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    place: Place,
    nth: u64,
    xor: u64,
    operand: Option<u64>,
    /// Events that fitted.
    seen: u64,
}

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    rules: [Option<Rule>; MAX_RULES],
}

impl Faults {
    /// No rule.
    pub const NONE: Self = Self { rules: [None; MAX_RULES] };

    /// Whether no rule was ever added.
    pub(crate) const fn are_none(&self) -> bool {
        self.rules[0].is_none()
    }

    /// Adds the rule that `text` describes.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn add(&mut self, text: &str) -> Result<(), Refused> {
        let rule = Rule::parse(text).ok_or(Refused::Malformed)?;
        let slot = self.rules.iter_mut().find(|slot| slot.is_none());
        *slot.ok_or(Refused::TooMany)? = Some(rule);
        Ok(())
    }

    /// An event at the places that `is_here` names, with these operands: calls `spoil` with the
    /// place and the wrong bits of each rule that applies.
    pub(crate) fn on(
        &mut self,
        operands: &[u64],
        is_here: impl Fn(Place) -> bool,
        mut spoil: impl FnMut(Place, u64),
    ) {
        for rule in self.rules.iter_mut().flatten() {
            let fits = rule.operand.is_none_or(|wanted| operands.contains(&wanted));
            if !fits || !is_here(rule.place) {
                continue;
            }
            rule.seen += 1;
            if rule.nth == 0 || rule.seen == rule.nth {
                spoil(rule.place, rule.xor);
            }
        }
    }

    /// [`Faults::on`] for one place: its wrong bits, if there is a fault.
    pub(crate) fn at(&mut self, place: Place, operands: &[u64]) -> Option<u64> {
        let mut wrong = None;
        self.on(operands, |here| here == place, |_, xor| *wrong.get_or_insert(0) ^= xor);
        wrong
    }

    /// The answer of CPUID with what is wrong about it; `None` is #VE.
    pub fn cpuid(&mut self, leaf: u32, subleaf: u32, right: Option<[u32; 4]>) -> Option<[u32; 4]> {
        let mut values = right;
        let is_here = |place: Place| matches!(place, Place::Cpuid(of, _) if of == leaf);
        self.on(&[subleaf.into()], is_here, |place, xor| {
            if let Place::Cpuid(_, register) = place
                && let Some(value) = values.get_or_insert([0; 4]).get_mut(register)
            {
                *value ^= low(xor);
            }
        });
        values
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let place = Place::parse(parts.next()?)?;
        let nth = decimal(parts.next()?)?;
        let xor = if place.has_bits() { hexadecimal(parts.next()?)? } else { 0 };
        let operand = match parts.next() {
            Some(operand) if place.has_operand() => Some(hexadecimal(operand)?),
            Some(_) => return None,
            None => None,
        };
        let is_fault = place.has_bits() == (xor != 0) && place.takes(xor);
        (is_fault && parts.next().is_none()).then_some(Self { place, nth, xor, operand, seen: 0 })
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('.');
        let kind = words.next()?;
        let (key, register) = (words.next(), words.next());
        if words.next().is_some() {
            return None;
        }
        Some(match (kind, key, register) {
            ("ve", Some(reason), None) => Self::Ve(decimal(reason)?.try_into().ok()?),
            ("out", Some(leaf), Some(register)) => Self::Output(decimal(leaf)?, gpr(register)?),
            ("cpuid", Some(leaf), Some(register)) => {
                let register = CPUID_REGISTERS.iter().position(|name| *name == register)?;
                Self::Cpuid(hexadecimal(leaf)?.try_into().ok()?, register)
            }
            ("report", Some(offset), None) => {
                let offset = usize::try_from(decimal(offset)?).ok()?;
                Self::Report(Some(offset).filter(|offset| *offset < REPORT_BYTES)?)
            }
            ("drop", Some(leaf), None) => Self::Drop(decimal(leaf)?),
            ("keep", None, None) => Self::Keep,
            _ => return None,
        })
    }

    const fn has_bits(self) -> bool {
        !matches!(self, Self::Drop(_) | Self::Keep)
    }

    const fn has_operand(self) -> bool {
        !matches!(self, Self::Report(_))
    }

    /// Whether what goes wrong there is wide enough for these bits.
    const fn takes(self, xor: u64) -> bool {
        match self {
            Self::Cpuid(..) => xor <= u32::MAX as u64,
            Self::Report(_) => xor <= u8::MAX as u64,
            _ => true,
        }
    }
}

/// What is wrong with one TDCALL.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallFaults {
    /// It does nothing.
    pub is_dropped: bool,
    /// A page that is accepted keeps its content.
    pub keeps_content: bool,
    /// Byte of the TDREPORT, and its wrong bits.
    pub report: Option<(usize, u8)>,
}

impl Faults {
    /// What is wrong with a TDCALL of `leaf` with these operands that begins.
    pub(crate) fn call(&mut self, leaf: u64, operands: &[u64]) -> CallFaults {
        use abi::leaf::tdg;
        let mut faults = CallFaults::default();
        if self.are_none() {
            return faults;
        }
        faults.is_dropped = self.at(Place::Drop(leaf), operands).is_some();
        faults.keeps_content =
            leaf == tdg::MEM_PAGE_ACCEPT && self.at(Place::Keep, operands).is_some();
        let is_here = |place: Place| leaf == tdg::MR_REPORT && matches!(place, Place::Report(_));
        self.on(operands, is_here, |place, xor| {
            if let Place::Report(offset) = place {
                faults.report = Some((offset, low(xor).to_le_bytes()[0]));
            }
        });
        faults
    }

    /// Spoils the registers of a TDCALL of `leaf` that has ended.
    pub(crate) fn outputs(&mut self, leaf: u64, operands: &[u64], regs: &mut abi::Regs) {
        let is_here = |place: Place| matches!(place, Place::Output(of, _) if of == leaf);
        self.on(operands, is_here, |place, xor| {
            if let Place::Output(_, register) = place {
                regs[register] ^= xor;
            }
        });
    }
}

fn gpr(name: &str) -> Option<Gpr> {
    const NAMES: [&str; 16] = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ];
    let number = NAMES.iter().position(|known| *known == name)?;
    Gpr::ALL.get(number).copied()
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hexadecimal(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u64::from_str_radix(text, 16).ok())?
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests;
