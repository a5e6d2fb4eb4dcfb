//! Why the VMM gives up, whose fault it is, and which verdict that is.

use core::fmt;

use abi::{Status, verdict};
use arch::vmx::NotEntered;
use image::ImageError;
use image::hob::BuildError;
use tdcall::host::LeafError;

use crate::config::ConfigError;

/// A failure that is not the TD's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// SEAMCALL raised #UD: the CPU has no SEAM, and so no module.
    NoModule,
    /// SEAMCALL raised #UD, because the CPU is not in VMX operation.
    NotInVmxOperation(NotEntered),
    /// SEAMCALL raised #GP: TDX is off.
    TdxOff,
    /// SEAMCALL ended with VMfailInvalid: TDX is on, but there is no module.
    NotLoaded,
    /// A leaf answered what it should not have.
    Module {
        /// The leaf's name.
        leaf: &'static str,
        /// Its answer.
        error: LeafError,
    },
    /// The module works, but not as this VMM (and KVM) needs it.
    Unsuitable(&'static str),
    /// QEMU's IOMMU cannot do what it is there for.
    Iommu(&'static str),
    /// The image is not one that QEMU would start, or would start safely.
    Image(ImageError),
    /// The image and the memory do not fit together.
    Hob(BuildError),
    /// The configuration cannot be read, or asks for what there is not.
    Config(ConfigError),
    /// The module does not offer the ATTRIBUTES that the configuration asks for.
    Attributes {
        /// Those asked for.
        asked: u64,
        /// Bits that may be 1.
        fixed0: u64,
        /// Bits that must be 1.
        fixed1: u64,
    },
    /// A fw_cfg file is missing or cannot be read.
    FwCfg(&'static str),
    /// No page is left for this.
    OutOfMemory(&'static str),
    /// After the teardown these pages were still not the VMM's.
    Leak {
        /// How many.
        pages: u64,
    },
    /// The VMM's own RBP was another one after TDH.VP.ENTER.
    LostRbp,
    /// The module did not stop the VMM.
    NotStopped {
        /// What the VMM did.
        access: &'static str,
    },
}

impl Failure {
    /// The error of a leaf.
    pub fn module(leaf: &'static str) -> impl Fn(Status) -> Self {
        move |status| Self::leaf(leaf)(LeafError::from(status))
    }

    /// The error of a leaf that gives more than a status.
    pub fn leaf(leaf: &'static str) -> impl Fn(LeafError) -> Self {
        move |error| match error.status {
            Status::SEAMCALL_UD => Self::NoModule,
            Status::SEAMCALL_GP => Self::TdxOff,
            Status::SEAMCALL_VMFAILINVALID => Self::NotLoaded,
            _ => Self::Module { leaf, error },
        }
    }

    /// The verdict of a run that ends with this.
    #[must_use]
    pub const fn verdict(&self) -> u32 {
        match self {
            Self::Image(_) | Self::Hob(_) | Self::Config(_) | Self::Attributes { .. } => {
                verdict::REFUSED
            }
            Self::NoModule | Self::NotInVmxOperation(_) | Self::TdxOff | Self::NotLoaded => {
                verdict::NO_MODULE
            }
            _ => verdict::EMULATOR_FAILED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModule => {
                f.write_str("module: there is none (SEAMCALL raised #UD, the CPU knows no SEAM): start the VMM on the module, by `cargo xtask run`")
            }
            Self::NotInVmxOperation(why) => {
                write!(f, "module: out of reach (SEAMCALL raised #UD outside VMX operation): {why}: switch VMX on there")
            }
            Self::TdxOff => {
                f.write_str("module: out of reach (SEAMCALL raised #GP): TDX is off in the host's firmware: switch it on there")
            }
            Self::NotLoaded => {
                f.write_str("module: not loaded, or shut down (SEAMCALL ended with VMfailInvalid): load one")
            }
            Self::Module { leaf, error } => write!(f, "module: {leaf} answered {error}"),
            Self::Unsuitable(what) => write!(f, "module: {what}"),
            Self::Iommu(what) => write!(f, "QEMU: intel-iommu: {what}"),
            Self::Image(error) => write!(f, "firmware: {error}"),
            Self::Hob(error) => write!(f, "firmware: {error}"),
            Self::Config(error) => write!(f, "VMM: configuration: {error}"),
            Self::Attributes { asked, fixed0, fixed1 } => write!(
                f,
                "VMM: configuration: attributes {asked:#x} are not offered: bits {fixed0:#x} may be 1, bits {fixed1:#x} must be"
            ),
            Self::FwCfg(file) => {
                write!(f, "VMM: QEMU's fw_cfg has no usable file {file}: give it by -fw_cfg name={file},…")
            }
            Self::OutOfMemory(what) => {
                write!(f, "VMM: out of memory for {what}: give QEMU a larger -m")
            }
            Self::Leak { pages } => {
                write!(f, "module: {pages} pages of the TD were not given back")
            }
            Self::LostRbp => f.write_str("VMM: RBP is lost over TDH.VP.ENTER: the wrapper does not save it"),
            Self::NotStopped { access } => {
                write!(f, "module: the VMM was not stopped when it {access} TD-private memory")
            }
        }
    }
}

impl core::error::Error for Failure {}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Hob(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn an_error_names_the_layer_at_fault() {
        let busy = Status::OPERAND_BUSY.with_detail(128);
        for (error, text, verdict) in [
            (Failure::module("SYS.INIT")(Status::SEAMCALL_UD), "module: there is none (", 0x19),
            (
                Failure::NotInVmxOperation(NotEntered::Disabled(1)),
                "module: out of reach (SEAMCALL raised #UD outside VMX operation): VMX is off",
                0x19,
            ),
            (
                Failure::module("SYS.INIT")(Status::SEAMCALL_GP),
                "module: out of reach (SEAMCALL raised #GP): TDX is off",
                0x19,
            ),
            (
                Failure::module("SYS.INIT")(Status::SEAMCALL_VMFAILINVALID),
                "module: not loaded",
                0x19,
            ),
            (
                Failure::module("MNG.ADDCX")(busy),
                "module: MNG.ADDCX answered OPERAND_BUSY|0x80",
                0x17,
            ),
            (ImageError::NoGuidTable.into(), "firmware: ", 0x16),
            (ConfigError::NoMemory.into(), "VMM: configuration: `memory` is missing", 0x16),
            (Failure::Leak { pages: 2 }, "module: 2 pages", 0x17),
        ] {
            let display = format!("{error}");
            assert!(display.starts_with(text), "{display}");
            assert_eq!(error.verdict(), verdict);
        }
    }
}
