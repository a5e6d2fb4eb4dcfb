//! CPUID_VALUES: fields whose code names a CPUID leaf. [ABI-G 12]
//!
//! | bits of the code | meaning |
//! |---|---|
//! | 0 | 0: EAX and EBX, 1: ECX and EDX |
//! | 7:1 | sub-leaf |
//! | 8 | the leaf has no sub-leaves |
//! | 15:9 | leaf |
//! | 16 | bit 31 of the leaf |
//! | 23:17 | 0 |

use abi::Status;
use abi::field::FieldId;

use super::{CLASS, CODE, CONTEXT};
use crate::virt::cpuid_table::TABLE;

const CPUID_CLASS: u64 = 0x14 << 56;
const TD_CONTEXT: u64 = 1 << 52;

/// Whether an id is of this class of the TD context.
pub(super) fn is_value(id: FieldId) -> bool {
    id.0 & CLASS == CPUID_CLASS && id.0 & CONTEXT == TD_CONTEXT
}

/// Checks that the id names a row of the CPUID table that has values, and gives the id
/// of the element alone. A row that gives #VE has no values, for a write neither.
pub(super) fn check(id: FieldId) -> Result<FieldId, Status> {
    let code = id.0 & CODE;
    let leaf = (code >> 9 & 0x7F | (code >> 16 & 1) << 31) as u32;
    let subleaf = if code >> 8 & 1 == 1 { u32::MAX } else { (code >> 1 & 0x7F) as u32 };
    let row = TABLE
        .iter()
        .find(|row| row.leaf == leaf && row.subleaf.is_none_or(|of_row| of_row == subleaf));
    match row {
        Some(row) if code >> 17 == 0 => match row.native {
            Some(_) => Ok(FieldId(id.0 & !CODE | code & 1)),
            None => Err(Status::METADATA_FIELD_NOT_READABLE),
        },
        _ => Err(Status::METADATA_FIELD_ID_INCORRECT),
    }
}
