//! Wrong answers on demand: what a host that is broken, or lies, would say to a trust domain.
//!
//! A rule is `<function>[@<key>][#<nth>]^<xor>`, and several have `+` between them: the call
//! is served as ever, and then those bits of its answer are wrong.
//!
//! | function | key | answer |
//! |---|---|---|
//! | `cpuid` | leaf (R12) | R12, which is EAX |
//! | `io`, `mmio`, reads alone | port, address without the SHARED bit (R14) | R11 |
//! | `rdmsr`, `map-gpa` | index, first address (R12) | R11 |
//! | `hlt`, `wrmsr`, `info`, `wbinvd` | R12 | none, only a status |
//!
//! With `status` the bits are those of R10, whatever the function, writes too. Key and `xor`
//! are hexadecimal, `nth` is decimal: it counts the calls that fit, from 1. Without it each of
//! them is answered wrong. Calls that end the run are answered by nobody.

use abi::Regs;
use abi::ghci::function;

/// Rules that there can be.
const MAX_RULES: usize = 4;

/// Names of the functions.
const FUNCTIONS: [(&str, u64); 9] = [
    ("cpuid", function::CPUID),
    ("hlt", function::HLT),
    ("info", function::GET_TD_VMCALL_INFO),
    ("io", function::IO),
    ("map-gpa", function::MAP_GPA),
    ("mmio", function::MMIO),
    ("rdmsr", function::RDMSR),
    ("wbinvd", function::WBINVD),
    ("wrmsr", function::WRMSR),
];

/// What of an answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The value.
    Value,
    /// R10.
    Status,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    part: Part,
    function: u64,
    key: Option<u64>,
    nth: Option<u64>,
    xor: u64,
    /// Calls that fitted.
    seen: u64,
}

/// The rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrongAnswers {
    rules: [Option<Rule>; MAX_RULES],
}

/// A call that is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    function: u64,
    key: u64,
    is_write: bool,
}

impl Question {
    pub(super) const fn of(regs: &Regs, shared_mask: u64) -> Self {
        let function = regs.r11;
        let is_access = matches!(function, function::IO | function::MMIO);
        let key = if is_access { regs.r14 & !shared_mask } else { regs.r12 };
        Self { function, key, is_write: is_access && regs.r13 != 0 }
    }
}

impl WrongAnswers {
    /// No rule.
    pub const NONE: Self = Self { rules: [None; MAX_RULES] };

    /// Adds the rules in `text`; `None` if one of them is none, or there are too many.
    #[must_use]
    pub fn with(mut self, part: Part, text: &str) -> Option<Self> {
        for word in text.split('+') {
            let rule = Rule::parse(part, word)?;
            *self.rules.iter_mut().find(|slot| slot.is_none())? = Some(rule);
        }
        Some(self)
    }

    /// Spoils the answer to `question` in `regs`.
    pub(super) fn spoil(&mut self, question: Question, regs: &mut Regs) {
        for rule in self.rules.iter_mut().flatten() {
            let is_asked = rule.function == question.function
                && rule.key.is_none_or(|key| key == question.key)
                && !(rule.part == Part::Value && question.is_write);
            if !is_asked {
                continue;
            }
            rule.seen += 1;
            if rule.nth.is_some_and(|nth| nth != rule.seen) {
                continue;
            }
            match (rule.part, rule.function) {
                (Part::Status, _) => regs.r10 ^= rule.xor,
                (Part::Value, function::CPUID) => regs.r12 ^= rule.xor,
                (Part::Value, _) => regs.r11 ^= rule.xor,
            }
        }
    }
}

impl Rule {
    fn parse(part: Part, text: &str) -> Option<Self> {
        let (question, xor) = text.split_once('^')?;
        let (question, nth) = match question.split_once('#') {
            Some((question, nth)) => (question, Some(decimal(nth).filter(|nth| *nth != 0)?)),
            None => (question, None),
        };
        let (name, key) = match question.split_once('@') {
            Some((name, key)) => (name, Some(hexadecimal(key)?)),
            None => (question, None),
        };
        let (_, function) = FUNCTIONS.into_iter().find(|(known, _)| *known == name)?;
        let has_value = !matches!(name, "hlt" | "info" | "wbinvd" | "wrmsr");
        let xor = hexadecimal(xor).filter(|xor| *xor != 0)?;
        (has_value || part == Part::Status).then_some(Self {
            part,
            function,
            key,
            nth,
            xor,
            seen: 0,
        })
    }
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hexadecimal(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: u64 = 1 << 47;

    fn read(port: u64) -> Regs {
        Regs { r11: function::IO, r12: 1, r14: port, ..Regs::default() }
    }

    /// The answer, which is right when it is zero.
    fn answer(wrong: &mut WrongAnswers, asked: Regs) -> (u64, u64, u64) {
        let mut regs = Regs::default();
        wrong.spoil(Question::of(&asked, SHARED), &mut regs);
        (regs.r10, regs.r11, regs.r12)
    }

    #[test]
    fn the_answer_to_the_question_alone_is_wrong() {
        let mut wrong = WrongAnswers::NONE.with(Part::Value, "io@3ff^5a+cpuid@40000000^1").unwrap();
        assert_eq!(answer(&mut wrong, read(0x3FF)), (0, 0x5A, 0));
        assert_eq!(answer(&mut wrong, read(0x3FE)), (0, 0, 0));
        assert_eq!(answer(&mut wrong, Regs { r13: 1, ..read(0x3FF) }), (0, 0, 0), "a write");
        let cpuid = Regs { r11: function::CPUID, r12: 0x4000_0000, ..Regs::default() };
        assert_eq!(answer(&mut wrong, cpuid), (0, 0, 1));
        assert_eq!(answer(&mut wrong, Regs { r12: 6, ..cpuid }), (0, 0, 0));
    }

    #[test]
    fn one_answer_of_several_can_be_wrong() {
        let mut wrong = WrongAnswers::NONE.with(Part::Value, "io@80#2^1").unwrap();
        let all = [(); 3].map(|()| answer(&mut wrong, read(0x80)).1);
        assert_eq!(all, [0, 1, 0]);
        let mut all = WrongAnswers::NONE.with(Part::Value, "io^1").unwrap();
        assert_eq!(answer(&mut all, read(0x80)).1 + answer(&mut all, read(0x81)).1, 2);
    }

    #[test]
    fn a_status_can_be_wrong_for_every_function() {
        let wrong = WrongAnswers::NONE.with(Part::Value, "mmio@fec00000^8").unwrap();
        let mut wrong = wrong.with(Part::Status, "mmio@fec00000#2^8000000000000000").unwrap();
        let write = Regs {
            r11: function::MMIO,
            r12: 4,
            r13: 1,
            r14: SHARED | 0xFEC0_0000,
            ..Regs::default()
        };
        assert_eq!(answer(&mut wrong, write), (0, 0, 0));
        assert_eq!(answer(&mut wrong, write), (1 << 63, 0, 0));
        assert_eq!(answer(&mut wrong, Regs { r13: 0, ..write }), (0, 8, 0));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "+",
            "io",
            "io^",
            "io^0",
            "io^x",
            "io@^1",
            "io@3ff",
            "io#1",
            "io#0^1",
            "io#x^1",
            "IO^1",
            "io^1+",
            "io@3ff@3fe^1",
            "1e^1",
            "hlt^1",
            "io^1+io^1+io^1+io^1+io^1",
        ] {
            assert_eq!(WrongAnswers::NONE.with(Part::Value, text), None, "{text}");
        }
        assert!(WrongAnswers::NONE.with(Part::Status, "hlt^1").is_some());
    }
}
