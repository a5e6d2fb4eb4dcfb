//! From a guest-physical address to a host-physical one. [ABI-G 10]

use crate::machine::{Machine, VcpuId};
use crate::module::Module;
use crate::sept::{self, SeptState, size_of_level};
use crate::shared_ept::Walker;
use crate::td::Td;
use crate::td::tdvps::Tdvps;

/// What an access wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Data read.
    pub read: bool,
    /// Data write, or a page walk that sets an accessed or dirty bit.
    pub write: bool,
    /// Instruction fetch.
    pub execute: bool,
}

impl Access {
    /// The module reads an operand in the guest's name.
    pub(crate) const READ: Self = Self { read: true, write: false, execute: false };
    /// The module reads and writes an operand in the guest's name.
    pub(crate) const READ_WRITE: Self = Self { read: true, write: true, execute: false };
}

/// What the entries on the way allow together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

impl Permissions {
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { read: bits & 1 != 0, write: bits & 2 != 0, execute: bits & 4 != 0 }
    }

    /// Bits 5:3 of an EPT violation's qualification, shifted down.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.read) | u64::from(self.write) << 1 | u64::from(self.execute) << 2
    }

    pub(crate) fn allow(self, access: Access) -> bool {
        (self.read || !access.read)
            && (self.write || !access.write)
            && (self.execute || !access.execute)
    }
}

/// Result of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// The access is allowed.
    Mapped {
        /// Host-physical address of the byte.
        hpa: u64,
        /// Size of the mapping that may be cached: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB.
        level: u8,
        /// The mapping allows writes.
        writable: bool,
        /// The mapping allows fetches.
        executable: bool,
    },
    /// The access is not allowed: [`Module::ept_violation`] says what follows.
    Violation(Violation),
}

/// Why an access is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The cause.
    pub kind: ViolationKind,
    /// What the entries on the way allow.
    pub permissions: Permissions,
    /// Level of the entry that ended the walk.
    pub level: u8,
}

/// The cause of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// Bits above the GPA width are set.
    BeyondWidth,
    /// Private half: the state of the entry.
    Private(SeptState),
    /// Shared half: nothing mapped, or not with these rights.
    Shared {
        /// Bit 63 of the entry: exit instead of #VE.
        suppress_ve: bool,
    },
    /// Shared half: an entry that no CPU accepts, or that leads to memory that is
    /// not the VMM's.
    SharedMisconfigured,
}

impl Module {
    /// Translates `gpa`, which carries the SHARED bit, for the vCPU's TD: the private
    /// half by the secure EPT, the shared half by the VMM's EPT.
    #[must_use]
    pub fn translate(&self, m: &dyn Machine, v: VcpuId, gpa: u64, access: Access) -> Translation {
        let td = Td::load(m, v.tdr);
        let mask = td.tdcs.shared_mask();
        if gpa & !(mask << 1).wrapping_sub(1) != 0 {
            return Translation::Violation(Violation {
                kind: ViolationKind::BeyondWidth,
                permissions: Permissions::default(),
                level: td.tdcs.root_level(),
            });
        }
        if gpa & mask != 0 {
            let root = Tdvps::load(m, v.tdvpr).shared_eptp;
            let root = (root, td.tdcs.root_level());
            return self.translate_shared(m, Walker::Cpu, root, gpa, access);
        }
        translate_private(m, &td, gpa, access)
    }
}

/// Walks the secure EPT. An operand of a TDCALL goes the same way as an access.
pub(crate) fn translate_private(m: &dyn Machine, td: &Td, gpa: u64, access: Access) -> Translation {
    let walk = sept::walk(m, td, gpa, 0);
    let permissions = match walk.state() {
        SeptState::Mapped => Permissions::from_bits(walk.entry.rights()),
        _ => Permissions::default(),
    };
    if walk.state() == SeptState::Mapped && permissions.allow(access) {
        let offset = gpa % size_of_level(walk.level);
        return Translation::Mapped {
            hpa: walk.entry.page() + offset,
            level: walk.level,
            writable: permissions.write,
            executable: permissions.execute,
        };
    }
    Translation::Violation(Violation {
        kind: ViolationKind::Private(walk.state()),
        permissions,
        level: walk.level,
    })
}
