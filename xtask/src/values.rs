//! The values of the command line, each checked where it is read.

use std::str::FromStr;

use anyhow::{Context, bail};

/// Bytes, written with a unit: `64M`, `1G`, `65536K`; a bare number is MiB, as in QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A hexadecimal number, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) u64);

/// A guest-physical address width that TDX knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gpaw(pub(crate) u8);

/// Options for the image: one short line of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptionText(pub(crate) String);

/// Less than this cannot hold the kernel and its tables; more than that is more than the
/// emulated module has nested page tables for.
const SIZES: std::ops::RangeInclusive<u64> = 12 << 20..=8 << 30;

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "K" | "k" => 10,
            "" | "M" | "m" => 20,
            "G" | "g" => 30,
            unit => bail!("unknown unit {unit}: use K, M or G"),
        };
        let number: u64 = digits.parse().context("a size is a number and K, M or G")?;
        match number.checked_mul(1 << shift) {
            Some(bytes) if SIZES.contains(&bytes) && bytes.is_multiple_of(1 << 20) => {
                Ok(Self(bytes))
            }
            _ => bail!("{text} is not a whole number of MiB between 12M and 8G"),
        }
    }
}

impl FromStr for OptionText {
    type Err = image::OptionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        image::check_options(text.as_bytes()).map(|text| Self(text.to_owned()))
    }
}

impl FromStr for Hex {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).map(Self)
    }
}

impl FromStr for Gpaw {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "48" => Ok(Self(48)),
            "52" => Ok(Self(52)),
            _ => bail!("{text} is neither 48 nor 52"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_bounds() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0 >> 20).ok();
        assert_eq!(size("64M"), Some(64));
        assert_eq!(size("64"), Some(64));
        assert_eq!(size("1G"), Some(1024));
        assert_eq!(size("65536k"), Some(64));
        for wrong in ["", "M", "64T", "64MB", "-1M", "11M", "9G", "65537K", "99999999999999999999"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn attributes_are_hexadecimal() {
        assert_eq!("10000000".parse(), Ok(Hex(1 << 28)));
        assert_eq!("0x10000001".parse(), Ok(Hex(1 << 28 | 1)));
        assert!("debug".parse::<Hex>().is_err());
    }

    #[test]
    fn options_are_one_short_line_of_ascii() {
        let text = |text: &str| text.parse::<OptionText>().map(|text| text.0).ok();
        assert_eq!(text("accept=lazy log=debug").as_deref(), Some("accept=lazy log=debug"));
        assert_eq!(text("").as_deref(), Some(""));
        assert!(text(&"x".repeat(256)).is_some());
        for wrong in ["a\nb", "a\tb", "ä", &"x".repeat(257)] {
            assert_eq!(text(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_two_address_widths_exist() {
        assert_eq!("52".parse::<Gpaw>().unwrap(), Gpaw(52));
        assert!("49".parse::<Gpaw>().is_err());
    }
}
