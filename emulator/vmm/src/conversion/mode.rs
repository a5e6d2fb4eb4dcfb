//! What the VMM makes of MapGPA: what it should, or what a hostile one might.

use abi::GhciStatus;

/// The values of the configuration's `map-gpa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapGpaMode {
    /// `honest`: as KVM and QEMU.
    Honest,
    /// `retry-each`: honest, but each call converts one page and says RETRY if it was not the last.
    RetryEach,
    /// `retry-for-ever`: converts nothing and says RETRY from the start.
    RetryForEver,
    /// `retry-outside`: converts nothing and says RETRY from the first address behind the range.
    RetryOutside,
    /// `retry-backwards`: converts the first page and says RETRY behind it; to the call that goes on there
    /// it says RETRY from the page before.
    RetryBackwards,
    /// `lie`: says success and converts nothing; a touch of the shared half is the TD's death.
    Lie,
    /// `lie-mmio`: says success and converts nothing; the shared half is MMIO.
    LieMmio,
    /// `error:STATUS`, hexadecimal: converts nothing and says this.
    Error(GhciStatus),
    /// `no-flush`: honest, but without INVEPT: the TD may go on using a page that is shared no more.
    NoFlush,
}

impl MapGpaMode {
    /// A value of the configuration.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "honest" => Self::Honest,
            "retry-each" => Self::RetryEach,
            "retry-for-ever" => Self::RetryForEver,
            "retry-outside" => Self::RetryOutside,
            "retry-backwards" => Self::RetryBackwards,
            "lie" => Self::Lie,
            "lie-mmio" => Self::LieMmio,
            "no-flush" => Self::NoFlush,
            _ => {
                let digits = text.strip_prefix("error:")?;
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                // `from_str_radix` would take a sign.
                let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let status = u64::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
                Self::Error(GhciStatus(status))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_mode_and_no_other_does() {
        for (text, mode) in [
            ("honest", Some(MapGpaMode::Honest)),
            ("retry-each", Some(MapGpaMode::RetryEach)),
            ("retry-for-ever", Some(MapGpaMode::RetryForEver)),
            ("retry-outside", Some(MapGpaMode::RetryOutside)),
            ("retry-backwards", Some(MapGpaMode::RetryBackwards)),
            ("lie", Some(MapGpaMode::Lie)),
            ("lie-mmio", Some(MapGpaMode::LieMmio)),
            ("no-flush", Some(MapGpaMode::NoFlush)),
            ("error:8000000000000000", Some(MapGpaMode::Error(GhciStatus(1 << 63)))),
            ("error:0x1", Some(MapGpaMode::Error(GhciStatus(1)))),
            ("", None),
            ("Honest", None),
            ("error", None),
            ("error:", None),
            ("error:+1", None),
            ("error:10000000000000000", None),
        ] {
            assert_eq!(MapGpaMode::parse(text), mode, "{text}");
        }
    }
}
