//! The module's options: words of the command line, separated by spaces.
//!
//! | word | meaning |
//! |---|---|
//! | `seed=<number>` | where the module's random numbers start |
//! | `rbp=clobber` | an asynchronous TD exit zeroes RBP as module 1.5.01 does [ABI-H 5.6] |
//! | `seamcall=fail` | TDX is on, but no module is loaded: SEAMCALL is VMfailInvalid [ABI-H 1.1] |
//! | `seamcall=gp` | TDX is off in the firmware: SEAMCALL is #GP, and no key is private |
//! | `vmx=off` | VMX is off in the firmware: VMXON is #GP, SEAMCALL #UD |
//!
//! Of the last three the last one on the line counts.

use super::vmx::Platform;

/// Parsed options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `seed`.
    pub seed: Option<u64>,
    /// `rbp=clobber`.
    pub clobber_rbp: bool,
    /// `seamcall` and `vmx`.
    pub platform: Platform,
}

impl Options {
    /// Parses the command line, or gives the word that is no option.
    pub(super) fn parse(line: &[u8]) -> Result<Self, &str> {
        let mut options = Self::default();
        let line = core::str::from_utf8(line).map_err(|_| "(not UTF-8)")?;
        for word in line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("seed", number)) => options.seed = Some(parse_number(number).ok_or(word)?),
                Some(("rbp", "clobber")) => options.clobber_rbp = true,
                Some(("seamcall", "fail")) => options.platform = Platform::NotLoaded,
                Some(("seamcall", "gp")) => options.platform = Platform::TdxOff,
                Some(("vmx", "off")) => options.platform = Platform::VmxOff,
                _ => return Err(word),
            }
        }
        Ok(options)
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

    #[test]
    fn words_become_options_and_others_are_named() {
        assert_eq!(Options::parse(b""), Ok(Options::default()));
        let both = Options { seed: Some(0x1F), clobber_rbp: true, ..Options::default() };
        assert_eq!(Options::parse(b" seed=0x1f  rbp=clobber "), Ok(both));
        for (word, platform) in [
            (&b"seamcall=fail"[..], Platform::NotLoaded),
            (b"seamcall=gp", Platform::TdxOff),
            (b"vmx=off", Platform::VmxOff),
        ] {
            assert_eq!(Options::parse(word).map(|options| options.platform), Ok(platform));
        }
        assert_eq!(Options::parse(b"vmx=on"), Err("vmx=on"));
        assert_eq!(Options::parse(b"seed=x"), Err("seed=x"));
        assert_eq!(Options::parse(b"quiet"), Err("quiet"));
        assert!(Options::parse(&[0xFF]).is_err());
    }
}
