//! The VMM's EPT for the shared half: ordinary EPT entries in the VMM's memory.
//! [ABI-G 10], [SDM3 29.3]
//!
//! | bits | field |
//! |---|---|
//! | 2:0 | R W X; all zero: not present |
//! | 5:3 | memory type (leaf) |
//! | 7 | leaf (levels 1 and 2) |
//! | 51:12 | host-physical page |
//! | 63 | suppress #VE |
//!
//! The VMM may change an entry at any time, so each is read once. Nothing an entry
//! says is trusted: an address with a private HKID, in the module or in a page that
//! a TD owns is a misconfiguration. Mappings are handed out 4 KiB at a time, because
//! the pages under a large entry may have different owners.

use crate::hpa::{hkid, without_hkid};
use crate::machine::Machine;
use crate::module::Module;
use crate::phys::PAGE;
use crate::sept::size_of_level;
use crate::sys::FIRST_PRIVATE_HKID;
use crate::translate::{Access, Permissions, Translation, Violation, ViolationKind};

const RWX: u64 = 7;
const LEAF: u64 = 1 << 7;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const SUPPRESS_VE: u64 = 1 << 63;
/// Bits 6:3 of an entry that points to a table.
const NON_LEAF_RESERVED: u64 = 0xF << 3;

/// Who walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walker {
    /// The CPU: the entry that maps the page decides whether a violation is
    /// convertible, whichever entry forbids the access.
    Cpu,
    /// The module, for an operand of a TDCALL: it stops at the first entry that forbids
    /// the access, and a violation by an entry that points to a table exits. [ABI-G 2.0]
    Module,
}

impl Module {
    pub(crate) fn translate_shared(
        &self,
        m: &dyn Machine,
        walker: Walker,
        (root, root_level): (u64, u8),
        gpa: u64,
        access: Access,
    ) -> Translation {
        let mut rights = RWX;
        let mut table = root & ADDRESS;
        let mut level = root_level.min(4);
        loop {
            let violation = |kind, rights| {
                let permissions = Permissions::from_bits(rights);
                Translation::Violation(Violation { kind, permissions, level })
            };
            let misconfigured = violation(ViolationKind::SharedMisconfigured, 0);
            if !self.is_shared_page(m, table) {
                return misconfigured;
            }
            let index = (gpa / size_of_level(level)) & 511;
            let entry = m.read_u64(without_hkid(table) + index * 8);
            let suppress_ve = entry & SUPPRESS_VE != 0;
            if entry & RWX == 0 {
                return violation(ViolationKind::Shared { suppress_ve }, 0);
            }
            if is_misconfigured(entry, level) {
                return misconfigured;
            }
            rights &= entry;
            if is_leaf(entry, level) {
                let offset = gpa % size_of_level(level);
                let page = (entry & ADDRESS) + (offset & !(PAGE - 1));
                if !self.is_shared_page(m, page) {
                    return misconfigured;
                }
                let permissions = Permissions::from_bits(rights);
                if !permissions.allow(access) {
                    return violation(ViolationKind::Shared { suppress_ve }, rights);
                }
                return Translation::Mapped {
                    hpa: without_hkid(page) + gpa % PAGE,
                    level: 0,
                    writable: permissions.write,
                    executable: permissions.execute,
                };
            }
            if walker == Walker::Module && !Permissions::from_bits(entry).allow(access) {
                return violation(ViolationKind::Shared { suppress_ve: true }, rights);
            }
            table = entry & ADDRESS;
            level -= 1;
        }
    }

    fn is_shared_page(&self, m: &dyn Machine, page: u64) -> bool {
        hkid(page) < u64::from(FIRST_PRIVATE_HKID)
            && self.is_vmm_memory(m, without_hkid(page), PAGE)
    }
}

fn is_leaf(entry: u64, level: u8) -> bool {
    level == 0 || entry & LEAF != 0
}

/// Rights that cannot be, or reserved bits set. [SDM3 29.3.3.1]
fn is_misconfigured(entry: u64, level: u8) -> bool {
    // Not readable but writable or executable: execute-only is not supported.
    if entry & 1 == 0 {
        return true;
    }
    if !is_leaf(entry, level) {
        return entry & NON_LEAF_RESERVED != 0;
    }
    let memory_type = entry >> 3 & 7;
    let low_address = entry & ADDRESS & (size_of_level(level) - 1);
    level > 2 || matches!(memory_type, 2 | 3 | 7) || low_address != 0
}
