//! The VMM's configuration: `key=value` pairs with commas between them.
//!
//! | key | value | default |
//! |---|---|---|
//! | `memory` | bytes of RAM of the TD, a multiple of 4 KiB | must be given |
//! | `attributes` | TD ATTRIBUTES, hexadecimal with `0x` | SEPT_VE_DISABLE |
//! | `gpaw` | 48 or 52 | 48 |
//! | `vcpus` | 1 | 1 |
//! | `pages` | `4k` as KVM, or `2m` | `4k` |
//! | `timeout` | milliseconds until a running TD counts as hung, 0 = never | 0 |
//! | `probe` | `none`, `read-private`, `write-private` | `none` |
//! | `flags` | CONFIG_FLAGS without GPAW, hexadecimal with `0x` | NO_RBP_MOD |
//! | `unlisted` | bytes at the end of RAM that the TD HOB does not list | 0 |
//! | `features` | `monitor`, `pconfig`, `wbinvd`, `scratch-port`, `cross-td`, `dirty-pages`, `no-debug-exit`, `no-acpi`, `look`, with `+` between: see [`crate::features`] | none of them |
//! | `map-gpa` | `honest`, or a way to be hostile: see [`MapGpaMode`] | `honest` |
//! | `registers` | `plain`, or `poison`: see [`crate::registers`] | `plain` |
//! | `answer`, `status` | bits of VP.VMCALL's answers that are wrong: see [`crate::vmcall::WrongAnswers`] | none |
//!
//! Anything else is refused: a misspelt key must not run another test than was meant.

use core::fmt;
use core::str;

use abi::attributes::{Attributes, ConfigFlags};
use abi::{GpaWidth, PAGE_SIZE, PageLevel};

use crate::conversion::MapGpaMode;
use crate::features::Features;
use crate::registers::Treatment;
use crate::vmcall::{Part, WrongAnswers};

/// The most memory that a TD can have: a bound for arithmetic, not for taste.
const MAX_MEMORY: u64 = 1 << 40;

/// What the VMM tries after the build, to be stopped by the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nothing.
    None,
    /// Reads a page of TD-private memory.
    ReadPrivate,
    /// Writes a page of TD-private memory.
    WritePrivate,
}

/// The configuration of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// RAM of the TD in bytes.
    pub memory: u64,
    /// ATTRIBUTES.
    pub attributes: u64,
    /// Width of guest-physical addresses.
    pub gpa_width: GpaWidth,
    /// Largest private page that the VMM adds at run time.
    pub page_level: PageLevel,
    /// Milliseconds until a running TD counts as hung; 0 = never.
    pub timeout_ms: u64,
    /// See [`Probe`].
    pub probe: Probe,
    /// CONFIG_FLAGS without GPAW, which `gpa_width` gives.
    pub flags: ConfigFlags,
    /// Bytes at the end of RAM that the TD HOB does not list: nobody accepts them unasked,
    /// and the VMM adds pages there when the TD comes for them.
    pub unlisted: u64,
    /// What the TD has beyond KVM's defaults.
    pub features: Features,
    /// What MapGPA does.
    pub map_gpa: MapGpaMode,
    /// How the TD's registers are treated.
    pub registers: Treatment,
    /// What the TD is answered wrong.
    pub wrong: WrongAnswers,
}

impl Config {
    /// Reads the text of `opt/tdlet/config`.
    ///
    /// # Errors
    /// A key is unknown, given twice or missing, or a value is not one of the table's.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let text = str::from_utf8(text).map_err(|_| ConfigError::NotText)?;
        let text = text.trim_end_matches(['\0', '\n']);
        let mut memory = None;
        let mut config = Self {
            memory: 0,
            attributes: Attributes::SEPT_VE_DISABLE.bits(),
            gpa_width: GpaWidth::Bits48,
            page_level: PageLevel::Size4K,
            timeout_ms: 0,
            probe: Probe::None,
            flags: ConfigFlags::NO_RBP_MOD,
            unlisted: 0,
            features: Features::empty(),
            map_gpa: MapGpaMode::Honest,
            registers: Treatment::Plain,
            wrong: WrongAnswers::NONE,
        };
        let pairs = || text.split(',').filter(|pair| !pair.is_empty());
        for (index, pair) in pairs().enumerate() {
            let (key, value) = pair.split_once('=').ok_or(ConfigError::NotAPair(pair.into()))?;
            let is_key = |other: &str| other.split('=').next() == Some(key);
            if pairs().take(index).any(is_key) {
                return Err(ConfigError::Twice(key.into()));
            }
            match key {
                "memory" => memory = Some(number(value).filter(|bytes| is_memory(*bytes))),
                _ => config.set(key, value)?,
            }
        }
        let memory = memory.ok_or(ConfigError::NoMemory)?;
        config.memory = memory.ok_or(ConfigError::BadValue("memory".into()))?;
        if config.unlisted >= config.memory {
            return Err(ConfigError::BadValue("unlisted".into()));
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let bad = || ConfigError::BadValue(key.into());
        match key {
            "attributes" => self.attributes = hexadecimal(value).ok_or_else(bad)?,
            "gpaw" => {
                let bits = number(value).and_then(GpaWidth::from_bits);
                self.gpa_width = bits.ok_or_else(bad)?;
            }
            "vcpus" => number(value).filter(|count| *count == 1).map(|_| ()).ok_or_else(bad)?,
            "pages" => {
                self.page_level = match value {
                    "4k" => PageLevel::Size4K,
                    "2m" => PageLevel::Size2M,
                    _ => return Err(bad()),
                }
            }
            "timeout" => self.timeout_ms = number(value).ok_or_else(bad)?,
            "probe" => {
                self.probe = match value {
                    "none" => Probe::None,
                    "read-private" => Probe::ReadPrivate,
                    "write-private" => Probe::WritePrivate,
                    _ => return Err(bad()),
                }
            }
            "flags" => {
                let flags = hexadecimal(value).and_then(ConfigFlags::from_bits);
                let flags = flags.filter(|flags| !flags.contains(ConfigFlags::GPAW_52));
                self.flags = flags.ok_or_else(bad)?;
            }
            "unlisted" => {
                let bytes = number(value).filter(|bytes| bytes.is_multiple_of(PAGE_SIZE));
                self.unlisted = bytes.ok_or_else(bad)?;
            }
            "answer" => self.wrong = self.wrong.with(Part::Value, value).ok_or_else(bad)?,
            "status" => self.wrong = self.wrong.with(Part::Status, value).ok_or_else(bad)?,
            "features" => self.features = Features::parse(value).ok_or_else(bad)?,
            "map-gpa" => self.map_gpa = MapGpaMode::parse(value).ok_or_else(bad)?,
            "registers" => {
                self.registers = match value {
                    "plain" => Treatment::Plain,
                    "poison" => Treatment::Poison,
                    _ => return Err(bad()),
                }
            }
            _ => return Err(ConfigError::UnknownKey(key.into())),
        }
        Ok(())
    }
}

fn is_memory(bytes: u64) -> bool {
    bytes != 0 && bytes.is_multiple_of(PAGE_SIZE) && bytes <= MAX_MEMORY
}

/// Decimal digits alone; `str::parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Not UTF-8.
    NotText,
    /// A part without `=`.
    NotAPair(Word),
    /// No such key.
    UnknownKey(Word),
    /// The same key twice.
    Twice(Word),
    /// A value that the key does not take.
    BadValue(Word),
    /// `memory` was not given.
    NoMemory,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is not text"),
            Self::NotAPair(word) => write!(f, "`{word}` is not key=value"),
            Self::UnknownKey(word) => write!(f, "unknown key `{word}`"),
            Self::Twice(word) => write!(f, "`{word}` is given twice"),
            Self::BadValue(word) => write!(f, "bad value for `{word}`"),
            Self::NoMemory => f.write_str("`memory` is missing"),
        }
    }
}

/// The first bytes of a word, for an error that outlives the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    bytes: [u8; 24],
    len: usize,
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        let mut word = Self { bytes: [0; 24], len: text.len().min(24) };
        word.bytes[..word.len].copy_from_slice(&text.as_bytes()[..word.len]);
        word
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes[..self.len].escape_ascii())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_said_is_as_kvm_does_it() {
        let config = Config::parse(b"memory=67108864").unwrap();
        let expected = Config {
            memory: 64 << 20,
            attributes: 1 << 28,
            gpa_width: GpaWidth::Bits48,
            page_level: PageLevel::Size4K,
            timeout_ms: 0,
            probe: Probe::None,
            flags: ConfigFlags::NO_RBP_MOD,
            unlisted: 0,
            features: Features::empty(),
            map_gpa: MapGpaMode::Honest,
            registers: Treatment::Plain,
            wrong: WrongAnswers::NONE,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn every_key_is_read() {
        let text =
            b"attributes=0x0,gpaw=52,vcpus=1,pages=2m,timeout=250,probe=read-private,flags=0x2,\
              unlisted=4096,features=pconfig+wbinvd,map-gpa=retry-each,registers=poison,\
              answer=io@80^1,memory=8192\n";
        let expected = Config {
            memory: 8192,
            attributes: 0,
            gpa_width: GpaWidth::Bits52,
            page_level: PageLevel::Size2M,
            timeout_ms: 250,
            probe: Probe::ReadPrivate,
            flags: ConfigFlags::FLEXIBLE_PENDING_VE,
            unlisted: 4096,
            features: Features::PCONFIG | Features::WBINVD,
            map_gpa: MapGpaMode::RetryEach,
            registers: Treatment::Poison,
            wrong: WrongAnswers::NONE.with(Part::Value, "io@80^1").unwrap(),
        };
        assert_eq!(Config::parse(text), Ok(expected));
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        let bad = |key: &str| ConfigError::BadValue(key.into());
        for (text, error) in [
            ("", ConfigError::NoMemory),
            ("memory", ConfigError::NotAPair("memory".into())),
            ("memory=4096,colour=red", ConfigError::UnknownKey("colour".into())),
            ("memory=4096,Memory=4096", ConfigError::UnknownKey("Memory".into())),
            ("memory=4096,gpaw=48,gpaw=52", ConfigError::Twice("gpaw".into())),
            ("memory=0", bad("memory")),
            ("memory=4097", bad("memory")),
            ("memory=+4096", bad("memory")),
            ("memory=0x1000", bad("memory")),
            ("memory=99999999999999999999", bad("memory")),
            ("memory=4096,gpaw=50", bad("gpaw")),
            ("memory=4096,vcpus=2", bad("vcpus")),
            ("memory=4096,pages=1g", bad("pages")),
            ("memory=4096,attributes=1", bad("attributes")),
            ("memory=4096,attributes=0x", bad("attributes")),
            ("memory=4096,timeout=-1", bad("timeout")),
            ("memory=4096,probe=yes", bad("probe")),
            ("memory=4096,features=", bad("features")),
            ("memory=4096,map-gpa=lies", bad("map-gpa")),
            ("memory=4096,flags=0x1", bad("flags")),
            ("memory=4096,flags=0x8", bad("flags")),
            ("memory=8192,unlisted=1", bad("unlisted")),
            ("memory=4096,unlisted=4096", bad("unlisted")),
            ("memory=4096,registers=1", bad("registers")),
            ("memory=4096,answer=hlt^1", bad("answer")),
            ("memory=4096,status=io", bad("status")),
        ] {
            assert_eq!(Config::parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(Config::parse(b"memory=\xFF"), Err(ConfigError::NotText));
    }

    #[test]
    fn an_error_names_the_culprit_and_stays_one_line() {
        let error = Config::parse(b"memory=4096,a\nb\x1B=1").unwrap_err();
        assert_eq!(std::format!("{error}"), "unknown key `a\\nb\\x1b`");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Config::parse(&text);
        }
    }
}
