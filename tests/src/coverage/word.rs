//! Statuses in words. [ABI-G 3]

use abi::{Operand, Status};
use conformance::Side;

/// A status for people: name and detail in words, then the number.
pub(super) fn word(side: Side, status: Status) -> String {
    const EXCEPTION: u64 = 0x8000_FF00_0000_0000;
    if status == Status::SEAMCALL_VMFAILINVALID {
        return "VMfailInvalid".to_owned();
    }
    if status.0 & !0xFF == EXCEPTION {
        return match status.0 as u8 {
            6 => "#UD".to_owned(),
            8 => "#DF".to_owned(),
            13 => "#GP".to_owned(),
            20 => "#VE".to_owned(),
            vector => format!("exception {vector}"),
        };
    }
    let detail = status.detail();
    let name = status.name().unwrap_or("?");
    let is_level = status.is(Status::PAGE_SIZE_MISMATCH)
        || side == Side::Guest && status.is(Status::PAGE_ALREADY_ACCEPTED);
    let detail = match (kind(status), detail) {
        _ if is_level => format!(", level {detail}"),
        (Detail::Operand, id) => {
            operand(id).map_or(format!(", {id:#x}"), |operand| format!(", {operand}"))
        }
        (_, 0) => String::new(),
        (Detail::Reason, reason) => format!(", exit reason {}", reason as u16),
        (Detail::Number, number) => format!(", {number:#x}"),
    };
    format!("{name}{detail} `{:#018x}`", status.0)
}

/// What the detail of a status is. [ABI-G 3]
enum Detail {
    /// An operand id, 0 being RAX.
    Operand,
    /// An exit reason, if it is not 0.
    Reason,
    /// An MSR or another number, if it is not 0.
    Number,
}

fn kind(status: Status) -> Detail {
    const GENERAL: u8 = 0x00;
    const OPERAND: u8 = 0x01;
    const BUSY: u8 = 0x02;
    const PLATFORM: u8 = 0x09;
    const SERVICE_TD: u8 = 0x0D;
    match status.class() {
        GENERAL => Detail::Reason,
        // What is busy is the whole module, or there is no entropy: no operand.
        BUSY if !status.is(Status::OPERAND_BUSY) => Detail::Number,
        OPERAND | BUSY => Detail::Operand,
        PLATFORM | SERVICE_TD => Detail::Number,
        _ if status.detail() == 0 => Detail::Number,
        _ => Detail::Operand,
    }
}

/// The operand's name in capitals.
fn operand(id: u32) -> Option<String> {
    let operand = Operand::from_id(id)?;
    let mut name = String::new();
    for letter in format!("{operand:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conformance::raised;

    #[test]
    fn a_status_is_named_with_its_detail() {
        let word = |status| word(Side::Host, Status(status));
        for (status, name) in [
            (0xC000_0100_0000_0000, "OPERAND_INVALID, RAX"),
            (0xC000_0300_0000_0080, "PAGE_METADATA_INCORRECT, TDR"),
            (0x8000_0200_0000_00B0, "OPERAND_BUSY, METADATA_FIELD"),
            (0xC000_0B0B_0000_0001, "PAGE_SIZE_MISMATCH, level 1"),
            (0x4000_0001_0000_0002, "NON_RECOVERABLE_VCPU, exit reason 2"),
            (0xC000_0920_0000_003B, "INCONSISTENT_MSR, 0x3b"),
            (0x8000_0202_0000_0000, "SYS_BUSY"),
            (0, "SUCCESS"),
        ] {
            assert_eq!(word(status), format!("{name} `{status:#018x}`"));
        }
        assert_eq!(word(raised(13).0), "#GP");
    }
}
