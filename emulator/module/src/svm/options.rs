//! The module's options: words of the command line, separated by spaces.
//!
//! | word | meaning |
//! |---|---|
//! | `seed=<number>` | where the module's random numbers start |
//! | `rbp=clobber` | an asynchronous TD exit zeroes RBP as module 1.5.01 does [ABI-H 5.6] |
//! | `seamcall=fail` | TDX is on, but no module is loaded: SEAMCALL is VMfailInvalid [ABI-H 1.1] |
//! | `seamcall=gp` | TDX is off in the firmware: SEAMCALL is #GP, and no key is private |
//! | `vmx=off` | VMX is off in the firmware: VMXON is #GP, SEAMCALL #UD |
//! | `inject=<rule>` | calls that end with a status which needs another processor: see [`crate::injection`]; up to eight |
//! | `fault=<rule>` | what the module or the CPU does wrong: see [`crate::faults`]; up to eight |
//!
//! Of `seamcall` and `vmx` the last one on the line counts.

use core::fmt;

use super::vmx::Platform;
use crate::faults::{self, Faults};
use crate::injection::{self, Injections};

/// Parsed options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `seed`.
    pub seed: Option<u64>,
    /// `rbp=clobber`.
    pub clobber_rbp: bool,
    /// `seamcall` and `vmx`.
    pub platform: Platform,
    /// `inject`.
    pub injections: Injections,
    /// `fault`.
    pub faults: Faults,
}

/// A word that is no option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadWord<'a> {
    /// The line is not text.
    NotUtf8,
    /// There is no such option, or not with this value.
    Unknown(&'a str),
    /// The injection can not be.
    Injection(&'a str, injection::Refused),
    /// The fault can not be.
    Fault(&'a str, faults::Refused),
}

impl fmt::Display for BadWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the options are not UTF-8"),
            Self::Unknown(word) => write!(f, "no such option: {word}"),
            Self::Injection(word, why) => write!(f, "option {word} {why}"),
            Self::Fault(word, why) => write!(f, "option {word} {why}"),
        }
    }
}

impl Options {
    /// Parses the command line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, BadWord<'_>> {
        let mut options = Self::default();
        let line = core::str::from_utf8(line).map_err(|_| BadWord::NotUtf8)?;
        for word in line.split_ascii_whitespace() {
            options.add(word)?;
        }
        Ok(options)
    }

    fn add<'a>(&mut self, word: &'a str) -> Result<(), BadWord<'a>> {
        let unknown = BadWord::Unknown(word);
        match word.split_once('=').ok_or(unknown)? {
            ("seed", number) => self.seed = Some(parse_number(number).ok_or(unknown)?),
            ("rbp", "clobber") => self.clobber_rbp = true,
            ("seamcall", "fail") => self.platform = Platform::NotLoaded,
            ("seamcall", "gp") => self.platform = Platform::TdxOff,
            ("vmx", "off") => self.platform = Platform::VmxOff,
            ("inject", rule) => {
                self.injections.add(rule).map_err(|why| BadWord::Injection(word, why))?;
            }
            ("fault", rule) => {
                self.faults.add(rule).map_err(|why| BadWord::Fault(word, why))?;
            }
            _ => return Err(unknown),
        }
        Ok(())
    }
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::injection::Refused;
    use std::format;

    #[test]
    fn words_become_options_and_others_are_named() {
        assert_eq!(Options::parse(b""), Ok(Options::default()));
        let both = Options { seed: Some(0x1F), clobber_rbp: true, ..Options::default() };
        assert_eq!(Options::parse(b" seed=0x1f  rbp=clobber "), Ok(both));
        for word in ["seed=x", "quiet", "vmx=on", "seamcall=", "rbp=kept"] {
            assert_eq!(Options::parse(word.as_bytes()), Err(BadWord::Unknown(word)));
        }
        assert_eq!(Options::parse(&[0xFF]), Err(BadWord::NotUtf8));
    }

    #[test]
    fn the_platform_has_one_word_for_each_state() {
        for (words, platform) in [
            ("seamcall=fail", Platform::NotLoaded),
            ("seamcall=gp", Platform::TdxOff),
            ("seamcall=gp vmx=off", Platform::VmxOff),
        ] {
            let parsed = Options::parse(words.as_bytes());
            assert_eq!(parsed.map(|options| options.platform), Ok(platform));
        }
    }

    #[test]
    fn injections_are_collected_and_bad_ones_say_why() {
        let two =
            Options::parse(b"inject=tdh.6:8000020000000001:2 inject=tdg.6:8000020000000001:3");
        let mut injections = Injections::NONE;
        for rule in ["tdh.6:8000020000000001:2", "tdg.6:8000020000000001:3"] {
            assert_eq!(injections.add(rule), Ok(()));
        }
        assert_eq!(two.map(|options| options.injections), Ok(injections));
        let word = "inject=tdh.6:0:1";
        let error = Options::parse(word.as_bytes()).unwrap_err();
        assert_eq!(error, BadWord::Injection(word, Refused::NotSpontaneous));
        let text = "option inject=tdh.6:0:1 names a status that this leaf does not give by itself";
        assert_eq!(format!("{error}"), text);
    }

    #[test]
    fn faults_are_collected_and_bad_ones_say_why() {
        let mut faults = Faults::NONE;
        assert_eq!(faults.add("ve.30:1:1"), Ok(()));
        let parsed = Options::parse(b"fault=ve.30:1:1");
        assert_eq!(parsed.map(|options| options.faults), Ok(faults));
        assert_eq!(Options::parse(b"").map(|options| options.faults), Ok(Faults::NONE));
        let error = Options::parse(b"fault=ve.30:1").unwrap_err();
        let text =
            "option fault=ve.30:1 is no ve, out, cpuid, report, drop or keep with its numbers";
        assert_eq!(format!("{error}"), text);
    }
}
