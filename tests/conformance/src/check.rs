//! One call with every register known before and after it.

use core::fmt;

use abi::{Gpr, Regs, Status};

/// A register's content: a number, or a place that only the running program knows.
#[derive(Clone, Copy, Debug)]
pub enum Value<P: 'static> {
    /// This number.
    Is(u64),
    /// The number that stands for this place.
    At(P),
    /// The number that stands for this place, plus so much (wrapping).
    Past(P, u64),
    /// Of an output: whatever it is, nobody can know it before.
    Any,
}

/// One call of a leaf and all that must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a, P: 'static> {
    /// What is asked, in words, without `: `.
    pub name: &'a str,
    /// RAX: leaf and version, or what else stands there.
    pub rax: u64,
    /// Where the answer is specified, a citation key such as `ABI-G 2.3`.
    pub source: &'a str,
    /// Registers that are set; every other one holds a pattern of its own.
    pub input: &'a [(Gpr, Value<P>)],
    /// All 64 bits of RAX after the call.
    pub status: Status,
    /// Registers that the leaf writes; every other one must be as it was.
    pub output: &'a [(Gpr, Value<P>)],
}

/// What was not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// RAX is this status.
    Status(Status),
    /// A register has another value.
    Register {
        /// Which one.
        gpr: Gpr,
        /// What it holds.
        is: u64,
        /// What it should hold.
        expected: u64,
    },
    /// Something else, in words: memory, or what a later call says.
    Other(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "gave {status}"),
            Self::Register { gpr, is, expected } => {
                write!(f, "{gpr:?} is {is:#x}, not {expected:#x}")
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Makes the call and compares RAX, then every register but RSP and RBP.
///
/// `call` loads all of the registers, executes the instruction and stores all of them;
/// `resolve` knows the places. Gives the registers, for checks that look further.
pub fn check<P: Copy>(
    check: &Check<'_, P>,
    resolve: impl Fn(P) -> u64,
    call: impl FnOnce(u64, &mut Regs) -> Status,
) -> Result<Regs, Failure> {
    let number = |value: &Value<P>| match *value {
        Value::Is(number) => Some(number),
        Value::At(place) => Some(resolve(place)),
        Value::Past(place, more) => Some(resolve(place).wrapping_add(more)),
        Value::Any => None,
    };
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = pattern(gpr);
    }
    for (gpr, value) in check.input {
        regs[*gpr] = number(value).unwrap_or_default();
    }
    let before = regs;
    let status = call(check.rax, &mut regs);
    if status != check.status {
        return Err(Failure::Status(status));
    }
    for gpr in Gpr::ALL {
        if matches!(gpr, Gpr::Rax | Gpr::Rsp | Gpr::Rbp) {
            continue;
        }
        let output = check.output.iter().find(|(output, _)| *output == gpr);
        let expected = output.map_or(Some(before[gpr]), |(_, value)| number(value));
        let is = regs[gpr];
        match expected {
            Some(expected) if expected != is => {
                return Err(Failure::Register { gpr, is, expected });
            }
            _ => {}
        }
    }
    Ok(regs)
}

/// What stands in RAX for an instruction that raised the exception `vector`, in the way of
/// the software statuses of SEAMCALL. [ABI-H 1.4]
#[must_use]
pub const fn raised(vector: u8) -> Status {
    Status(0x8000_FF00_0000_0000 | vector as u64)
}

/// What a register holds that nobody set: different in each, no address, no operand.
fn pattern(gpr: Gpr) -> u64 {
    0x5EED_0000_0000_0000 + 0x0101_0101_0101 * (gpr as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_the_software_status_of_its_vector() {
        assert_eq!(raised(13), Status::SEAMCALL_GP);
        assert_eq!(raised(6), Status::SEAMCALL_UD);
    }

    const INVALID: Status = Status::OPERAND_INVALID;

    fn row(output: &[(Gpr, Value<()>)]) -> Check<'_, ()> {
        let input = &[(Gpr::Rcx, Value::Past((), 1))];
        Check { name: "a call", rax: 7, source: "ABI-G 1", input, status: INVALID, output }
    }

    #[test]
    fn inputs_are_loaded_and_everything_else_must_stay() {
        let result = check(
            &row(&[]),
            |()| 0x1000,
            |rax, regs| {
                assert_eq!((rax, regs.rcx), (7, 0x1001));
                INVALID
            },
        );
        assert!(result.is_ok());
    }

    #[test]
    fn another_status_a_lost_register_and_a_wrong_output_are_seen() {
        let gave = check(&row(&[]), |()| 0, |_, _| Status::SUCCESS);
        assert_eq!(gave, Err(Failure::Status(Status::SUCCESS)));
        let lost = check(
            &row(&[]),
            |()| 0,
            |_, regs| {
                regs.r15 = 0;
                INVALID
            },
        );
        assert!(matches!(lost, Err(Failure::Register { gpr: Gpr::R15, is: 0, .. })));
        let wrong = check(&row(&[(Gpr::R8, Value::Is(3))]), |()| 0, |_, _| INVALID);
        assert!(matches!(wrong, Err(Failure::Register { gpr: Gpr::R8, expected: 3, .. })));
        assert!(check(&row(&[(Gpr::R8, Value::Any)]), |()| 0, |_, _| INVALID).is_ok());
    }
}
