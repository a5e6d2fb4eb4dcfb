//! What the kernel asks its loader for: the section `.bootloader-config`. [TDVF 8.2]

use core::fmt;

use bootloader_api::BootloaderConfig;

use crate::elf::Elf;

const SECTION: &str = ".bootloader-config";

/// Reads and checks the kernel's configuration.
///
/// The frame buffer's mapping and size are not looked at: a trust domain has none, and the
/// contract lets the loader say so. Nor is the RAM disk's: the kernel's options, which are in
/// its place, are where the image has them.
///
/// # Errors
/// There is none, or it asks for what boot does not do.
pub fn read(elf: &Elf<'_>) -> Result<BootloaderConfig, ConfigError> {
    let section = elf.section(SECTION).ok_or(ConfigError::NoSection)?;
    let config = BootloaderConfig::deserialize(section).map_err(ConfigError::Invalid)?;
    if config.mappings.aslr {
        return Err(ConfigError::Aslr);
    }
    if config.kernel_stack_size == 0 {
        return Err(ConfigError::NoStack);
    }
    Ok(config)
}

/// Why the configuration is refused. The kernel's maker is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum ConfigError {
    NoSection,
    Invalid(&'static str),
    Aslr,
    NoStack,
    FixedBase(u64),
    UnalignedAddress { what: &'static str, address: u64, alignment: u64 },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoSection => f.write_str(
                "no section .bootloader-config: the kernel is not built with bootloader_api 0.11",
            ),
            Self::Invalid(what) => write!(
                f,
                "{what}: the kernel is built with another bootloader_api than 0.11.11 to 0.11.17"
            ),
            Self::Aslr => f.write_str("mappings.aslr is set, but boot does not randomize"),
            Self::NoStack => f.write_str("kernel_stack_size is 0"),
            Self::FixedBase(base) => write!(
                f,
                "mappings.kernel_base is {base:#x}, but the kernel is not position-independent"
            ),
            Self::UnalignedAddress { what, address, alignment } => {
                write!(f, "mappings.{what} is {address:#x}, not a multiple of {alignment:#x}")
            }
        }
    }
}

impl core::error::Error for ConfigError {}
