//! Why an exception can not be routed, and what the instruction gets instead.

use core::fmt;

use abi::{AddressError, PAGE_SIZE, SharedGpa};
use tdcall::ghci::VmcallError;

use super::DecodeError;
use crate::fault::Fault;

/// Why an exception can not be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It came from user mode.
    UserMode,
    /// No policy for this cause.
    Cause,
    /// An instruction of 0 or of more than 15 bytes.
    Length(u32),
    /// VMCALL, MONITOR or MWAIT: not there.
    Undefined,
    /// INVD: it would throw away what caches hold of private memory.
    Invd,
    /// A value that a TD can not have in this control register.
    ControlRegister {
        /// Which.
        number: u8,
        /// The value; none if the instruction is not MOV.
        value: Option<u64>,
    },
    /// A leaf of PCONFIG that is not asked of the host.
    PconfigLeaf(u32),
    /// An APIC page offset that no illegal self-IPI writes.
    ApicRegister(u64),
    /// A CPUID leaf that the module answers, unless it was told not to.
    CpuidLeaf(u32),
    /// The qualification, or the instruction information, of a port access is not one.
    PortQualification,
    /// A port access of a size that does not exist.
    PortSize,
    /// The memory operand of INS or OUTS, at this linear address: not mapped, not private,
    /// or for INS not writable.
    PortBuffer(u64),
    /// An MSR access that is not on the list: its index.
    Msr(u32),
    /// The host's answer, or the module's in its place.
    Refused(VmcallError),
    /// An access to private memory that is not there: the host took it away, or the
    /// address never had any.
    PrivateMemory,
    /// The GPA has bits above its width.
    Address(AddressError),
    /// The GPA is shared, but no device of the kernel's.
    UnknownDevice,
    /// The page was made shared memory, but the host did not do it.
    NotShared(SharedGpa),
    /// The processor fetched code or walked page tables in device memory.
    NotAnAccess,
    /// The code at RIP is not private memory.
    Code,
    /// An instruction that accesses device memory in a way that is not emulated.
    Decode(DecodeError),
    /// The instruction does not do what VE_INFO says of it: another direction or address.
    Mismatch,
    /// The access crosses a page boundary.
    CrossesPage,
    /// The other operand of a string instruction, at this linear address: no device, and no
    /// private memory that can be read or written as the instruction does.
    OtherOperand(u64),
    /// The other operand of a string instruction, at this linear address, is below the
    /// interrupted code's stack, where the exception is being handled.
    OtherOperandInStack(u64),
}

impl Unroutable {
    /// The exception of an instruction that is prepared for one ([`crate::fault`]): what a
    /// processor without the feature, or with the register locked, would raise. None: the
    /// kernel stops in any case.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Undefined => Some(Fault::InvalidOpcode),
            Self::Invd
            | Self::ControlRegister { .. }
            | Self::PconfigLeaf(_)
            | Self::Msr(_)
            | Self::Refused(VmcallError::Vmm(_)) => Some(Fault::GeneralProtection),
            _ => None,
        }
    }
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserMode => f.write_str("it came from user mode"),
            Self::Cause => f.write_str("no policy for this cause"),
            Self::Length(length) => write!(f, "an instruction of {length} bytes"),
            Self::Undefined => f.write_str("a TD does not have this instruction"),
            Self::Invd => f.write_str("INVD would lose data"),
            Self::ControlRegister { number, value: Some(value) } => {
                write!(f, "CR{number} can not be {value:#x}")
            }
            Self::ControlRegister { number, value: None } => write!(f, "CR{number} not by MOV"),
            Self::PconfigLeaf(leaf) => write!(f, "PCONFIG leaf {leaf:#x} is not one to ask for"),
            Self::ApicRegister(offset) => write!(f, "a write to APIC offset {offset:#x}"),
            Self::CpuidLeaf(leaf) => write!(f, "CPUID leaf {leaf:#x} is the module's to answer"),
            Self::PortQualification => f.write_str("no port access has this qualification"),
            Self::PortSize => f.write_str("no port access has this size"),
            Self::PortBuffer(address) => write!(f, "no private memory at {address:#x}"),
            Self::Msr(index) => write!(f, "MSR {index:#x} is not one to access so"),
            Self::Refused(error) => write!(f, "{error}"),
            Self::PrivateMemory => f.write_str("private memory is missing"),
            Self::Address(error) => write!(f, "{error}"),
            Self::UnknownDevice => f.write_str("no device is mapped there"),
            Self::NotShared(gpa) => write!(
                f,
                "the host answered MapGPA with success, but page {:#x} is not shared memory",
                gpa.address() & !(PAGE_SIZE - 1)
            ),
            Self::NotAnAccess => f.write_str("code or page tables in device memory"),
            Self::Code => f.write_str("the instruction is not in private memory"),
            Self::Decode(error) => write!(f, "{error}"),
            Self::Mismatch => f.write_str("the instruction is not the one that faulted"),
            Self::CrossesPage => f.write_str("the access crosses a page"),
            Self::OtherOperand(address) => {
                write!(f, "the other operand, at {address:#x}, can not be accessed")
            }
            Self::OtherOperandInStack(address) => {
                write!(f, "the other operand, at {address:#x}, is below the stack pointer")
            }
        }
    }
}
