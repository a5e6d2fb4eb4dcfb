//! The tables, a file a leaf, and what their rows share.

pub(super) mod busy;
mod mem_page_accept;
mod mem_page_attr_rd;
mod mem_page_attr_wr;
mod mr_report;
mod mr_rtmr_extend;
mod mr_verifyreport;
mod rax;
mod servtd;
mod sys_rd;
mod sys_rdall;
mod vm_fields;
mod vm_rd;
mod vm_wr;
mod vp_cpuidve_set;
mod vp_enter;
mod vp_info;
mod vp_invept;
mod vp_invvpid;
mod vp_rd;
mod vp_veinfo_get;
mod vp_vmcall;
mod vp_wr;

use abi::field::FieldId;
use abi::{ExitReason, Operand, Status};
use sha2::{Digest, Sha384};
use tdcall::guest::{FieldRead, Rtmr};

use super::{Row, World};

/// A table of rows.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// What it is about: a leaf, or something of all leaves.
    pub name: &'static str,
    /// Its rows, in the order in which they run.
    pub rows: &'static [Row],
}

const fn table(name: &'static str, rows: &'static [Row]) -> Table {
    Table { name, rows }
}

/// Every table, in the order in which they run.
pub const ALL: &[Table] = &[
    table("versions", rax::VERSIONS),
    table("RAX bits 31:24", rax::RESERVED_LOW),
    table("RAX bits 52:32", rax::RESERVED_HIGH),
    table("RAX bits 63:53", rax::RESERVED_TOP),
    table("unknown leaves", rax::UNKNOWN),
    table("TDG.VP.VMCALL", vp_vmcall::ROWS),
    table("TDG.VP.INFO", vp_info::ROWS),
    table("TDG.MR.RTMR.EXTEND", mr_rtmr_extend::ROWS),
    table("TDG.VP.VEINFO.GET", vp_veinfo_get::ROWS),
    table("TDG.MR.REPORT", mr_report::ROWS),
    table("TDG.VP.CPUIDVE.SET", vp_cpuidve_set::ROWS),
    table("TDG.MEM.PAGE.ACCEPT", mem_page_accept::ROWS),
    table("TDG.VM.RD", vm_rd::ROWS),
    table("TDG.VM.RD, fields", vm_fields::ROWS),
    table("TDG.VM.WR", vm_wr::ROWS),
    table("TDG.VP.RD", vp_rd::ROWS),
    table("TDG.VP.WR", vp_wr::ROWS),
    table("TDG.SYS.RD", sys_rd::ROWS),
    table("TDG.SYS.RDALL", sys_rdall::ROWS),
    table("TDG.SERVTD.RD, .WR", servtd::ROWS),
    table("TDG.MR.VERIFYREPORT", mr_verifyreport::ROWS),
    table("TDG.MEM.PAGE.ATTR.RD", mem_page_attr_rd::ROWS),
    table("TDG.MEM.PAGE.ATTR.WR", mem_page_attr_wr::ROWS),
    table("TDG.VP.ENTER", vp_enter::ROWS),
    table("TDG.VP.INVEPT", vp_invept::ROWS),
    table("TDG.VP.INVVPID", vp_invvpid::ROWS),
    CROSS_TD,
    BUSY,
    BUSY_SERVTD,
];

/// TDG.SERVTD leaves on the TD itself, under a VMM that goes on after their traps.
pub const CROSS_TD: Table = table("cross-TD traps", servtd::CROSS_TD);
/// Leaves that the module answers as if something were in use.
pub const BUSY: Table = table("busy", busy::ROWS);
/// TDG.SERVTD leaves, likewise.
pub const BUSY_SERVTD: Table = table("busy service TD", busy::SERVTD);

const OK: Status = Status::SUCCESS;
const BAD_RAX: Status = Status::OPERAND_INVALID.with_operand(Operand::Rax);
const BAD_RCX: Status = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
const BAD_RDX: Status = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
const BAD_R8: Status = Status::OPERAND_INVALID.with_operand(Operand::R8);
const BAD_ID: Status = Status::METADATA_FIELD_ID_INCORRECT;
const NOT_READABLE: Status = Status::METADATA_FIELD_NOT_READABLE;
const NOT_WRITABLE: Status = Status::METADATA_FIELD_NOT_WRITABLE;
const NOT_VALID: Status = Status::METADATA_FIELD_VALUE_NOT_VALID;
const FIRST_ID: Status = Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT;
/// #VE at the TDCALL.
const VE: Status = conformance::raised(20);
/// #DF at the TDCALL.
const DF: Status = conformance::raised(8);

/// No field: all ones.
const NONE: u64 = FieldId::NULL.0;

/// Exit qualification that the module builds for a page without rights: a read.
const READ: u64 = 1 << 0;
/// As above, a read and a write.
const READ_WRITE: u64 = 1 << 0 | 1 << 1;

/// Whether the last #VE is the one of a memory operand at `gpa`. [ABI-G 2.0, 5]
fn operand_ve(world: &World<'_>, gpa: u64, qualification: u64) -> Result<(), &'static str> {
    let Some(ve) = world.ve else { return Err("VE_INFO is not valid") };
    if ve.reason() != ExitReason::EPT_VIOLATION {
        return Err("the #VE is no EPT violation");
    }
    if ve.guest_physical_address != gpa || ve.linear_address != 0 {
        return Err("the #VE has other addresses");
    }
    if ve.qualification != qualification {
        return Err("the #VE has another qualification");
    }
    let flagged = world.trap.is_some_and(|trap| trap.resume_flag && trap.error == 0);
    is(flagged, "RFLAGS.RF is not set in the pushed image")
}

/// The failure `otherwise`, unless it holds.
fn is(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// SHA-384 of the parts in a row.
fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut hash = Sha384::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Six quadwords of a TD field, from element `first` on.
pub(super) fn digest(base: FieldId, first: u32) -> [u8; 48] {
    let mut digest = [0; 48];
    for (element, bytes) in (first..).zip(digest.as_chunks_mut::<8>().0) {
        let value = tdcall::guest::vm_rd(base.element(element));
        *bytes = value.unwrap_or_default().to_le_bytes();
    }
    digest
}

/// A run-time measurement, as TDG.VM.RD gives it.
pub(super) fn rtmr(register: Rtmr) -> [u8; 48] {
    digest(abi::field::td::RTMR, register as u32 * 6)
}

/// A field and its number of elements.
type Elements = (FieldId, u32);

/// Whether walking from the null id visits the elements of `fields`, in this order, and
/// nothing else.
fn walk(
    fields: &[Elements],
    read: impl Fn(FieldId) -> Result<FieldRead, Status>,
) -> Result<(), &'static str> {
    let mut at = read(FieldId::NULL).map_err(|_| "the null id is refused")?.next;
    for (base, elements) in fields {
        for element in 0..*elements {
            if at != Some(base.element(element)) {
                return Err("the walk goes another way");
            }
            let here = base.element(element);
            at = read(here).map_err(|_| "a field on the way is refused")?.next;
        }
    }
    is(at.is_none(), "the walk does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_the_rows_of_a_table_have_names_of_their_own() {
        for (index, table) in ALL.iter().enumerate() {
            assert!(ALL[index + 1..].iter().all(|other| other.name != table.name), "{table:?}");
            for (index, row) in table.rows.iter().enumerate() {
                let is_same = |other: &Row| {
                    (other.check.name, other.check.rax) == (row.check.name, row.check.rax)
                };
                assert!(!table.rows[index + 1..].iter().any(is_same), "{:?}", row.check);
            }
        }
    }

    /// The line of a check has none in its name.
    #[test]
    fn no_name_has_a_colon_before_a_space() {
        for row in ALL.iter().flat_map(|table| table.rows) {
            assert!(!row.check.name.contains(": "), "{}", row.check.name);
        }
    }
}
