//! Why boot stops. Each part has its own reasons; this joins them.

use core::fmt;

use image::ImageError;
use image::hob::HobError;
use tdcall::accept::AcceptError;

use crate::config::ConfigError;
use crate::elf::ElfError;
use crate::options::OptionError;
use crate::paging::MapError;
use crate::ram::RamError;
use crate::start::StartError;

/// Why boot stops, and by that who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The VMM or the module: the initial state makes no sense.
    Start(StartError),
    /// The VMM: the TD HOB is no list.
    Hob(HobError),
    /// The VMM: the TD HOB lists memory that cannot be.
    Ram(RamError),
    /// The VMM or the module: memory cannot be accepted.
    Accept(AcceptError),
    /// The image's maker: the kernel is not there.
    Image(ImageError),
    /// The image's maker: options that cannot be.
    Option(OptionError<'static>),
    /// The kernel's maker: not a usable ELF file.
    Elf(ElfError),
    /// The kernel's maker: asks for what cannot be given.
    Config(ConfigError),
    /// The kernel's maker: addresses that collide, or more memory than there is.
    Map(MapError),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Hob(error) => error.fmt(f),
            Self::Ram(error) => write!(f, "TD HOB: {error}"),
            Self::Accept(error) => error.fmt(f),
            Self::Image(error) => write!(f, "image: {error}"),
            Self::Option(error) => write!(f, "options: {error}"),
            Self::Elf(error) => write!(f, "kernel: {error}"),
            Self::Config(error) => write!(f, "kernel configuration: {error}"),
            Self::Map(error) => write!(f, "kernel mapping: {error}"),
        }
    }
}

impl core::error::Error for BootError {}

macro_rules! from {
    ($($variant:ident($error:ty),)*) => {
        $(impl From<$error> for BootError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    Start(StartError),
    Hob(HobError),
    Ram(RamError),
    Accept(AcceptError),
    Image(ImageError),
    Option(OptionError<'static>),
    Elf(ElfError),
    Config(ConfigError),
}

impl From<MapError> for BootError {
    fn from(error: MapError) -> Self {
        match error {
            // Not the kernel's maker: it is the VMM's memory.
            MapError::Accept(error) => Self::Accept(error),
            error => Self::Map(error),
        }
    }
}
