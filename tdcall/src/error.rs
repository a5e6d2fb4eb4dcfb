//! What a failed leaf tells, and what a field holds.

use core::fmt;

use abi::Status;
use abi::field::FieldId;

/// A leaf that failed: its status, and the registers that say more, as the leaf left
/// them. Which of them mean something is in the leaf's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafError {
    /// RAX.
    pub status: Status,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
}

impl From<Status> for LeafError {
    fn from(status: Status) -> Self {
        Self { status, rcx: 0, rdx: 0 }
    }
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (RCX {:#x}, RDX {:#x})", self.status, self.rcx, self.rdx)
    }
}

impl core::error::Error for LeafError {}

/// A metadata field that was read, and the way to the next. [ABI-G 2.8], [ABI-H 4.4]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRead {
    /// The value; none if the null id was asked for, which has no value.
    pub value: Option<u64>,
    /// The next field that can be read (for the null id the first), if there is one.
    pub next: Option<FieldId>,
}

impl FieldRead {
    /// From the status, RDX and R8 of a reading leaf.
    pub(crate) const fn from_regs(status: Status, rdx: u64, r8: u64) -> Result<Self, Status> {
        if !status.is_success() {
            return Err(status);
        }
        let first = status.is(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
        Ok(Self { value: if first { None } else { Some(r8) }, next: next_field(rdx) })
    }
}

/// The field that a leaf names as the next one.
pub(crate) const fn next_field(id: u64) -> Option<FieldId> {
    if id == u64::MAX { None } else { Some(FieldId(id)) }
}

/// Success as `Ok`, with statuses such as GPA_RANGE_ALREADY_BLOCKED among the successes.
pub(crate) const fn done(status: Status) -> Result<(), Status> {
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// The same with the registers of [`LeafError`].
pub(crate) const fn done_or(status: Status, rcx: u64, rdx: u64) -> Result<(), LeafError> {
    if status.is_success() { Ok(()) } else { Err(LeafError { status, rcx, rdx }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::field::td;

    #[test]
    fn a_field_comes_with_the_next() {
        let read = FieldRead::from_regs(Status::SUCCESS, td::XFAM.0, 7);
        assert_eq!(read, Ok(FieldRead { value: Some(7), next: Some(td::XFAM) }));
        let last = FieldRead::from_regs(Status::SUCCESS, u64::MAX, 0);
        assert_eq!(last, Ok(FieldRead { value: Some(0), next: None }));
    }

    #[test]
    fn the_null_id_has_no_value_and_is_no_error() {
        let status = Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT;
        let first = FieldRead::from_regs(status, td::TD_UUID.0, 0);
        assert_eq!(first, Ok(FieldRead { value: None, next: Some(td::TD_UUID) }));
        let status = Status::METADATA_FIELD_ID_INCORRECT;
        assert_eq!(FieldRead::from_regs(status, u64::MAX, 0), Err(status));
    }
}
