//! Metadata fields: what the RD and WR leaves of both sides share.
//! [ABI-G 2.8, 12], [ABI-H 4.4]
//!
//! A table lists the fields of one context in iteration order, each with the bits
//! that either side may read and write. A field that 1.5.01 has and this emulator
//! does not stands in no table: METADATA_FIELD_ID_INCORRECT.

pub(crate) mod sys;
pub(crate) mod td;
pub(crate) mod vp;

use abi::Status;
use abi::field::FieldId;

const ALL: u64 = u64::MAX;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    /// The VMM of a TD with ATTRIBUTES.DEBUG.
    DebugHost,
    Guest,
}

/// One field: consecutive elements from `id`.
pub(crate) struct Field {
    pub id: FieldId,
    pub elements: u32,
    /// Bits of each element that the VMM may read and write.
    pub host: (u64, u64),
    /// Bits that the guest may read and write.
    pub guest: (u64, u64),
    /// The VMM reads it only of a debug TD.
    pub debug_only: bool,
}

impl Field {
    const fn new(id: FieldId, elements: u32, host: (u64, u64), guest: (u64, u64)) -> Self {
        Self { id, elements, host, guest, debug_only: false }
    }

    fn masks(&self, side: Side) -> (u64, u64) {
        match side {
            Side::Host if self.debug_only => (0, 0),
            Side::Host | Side::DebugHost => self.host,
            Side::Guest => self.guest,
        }
    }
}

/// A field both sides may read.
const fn common(id: FieldId, elements: u32) -> Field {
    Field::new(id, elements, (ALL, 0), (ALL, 0))
}

/// A field only the VMM may read.
const fn host_only(id: FieldId, elements: u32) -> Field {
    Field::new(id, elements, (ALL, 0), (0, 0))
}

/// An element that an id names.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    table: &'static [Field],
    row: usize,
    /// Index in the field.
    pub index: u32,
}

impl Element {
    /// Finds the element for a single-element access.
    pub(crate) fn find(table: &'static [Field], id: FieldId) -> Result<Self, Status> {
        if !id.is_well_formed() {
            return Err(Status::METADATA_FIELD_ID_INCORRECT);
        }
        let mut rows = table.iter().enumerate();
        rows.find_map(|(row, field)| {
            let index = id.element_of(field.id, field.elements)?;
            Some(Self { table, row, index })
        })
        .ok_or(Status::METADATA_FIELD_ID_INCORRECT)
    }

    /// The field's first id, which names it.
    pub(crate) fn field(&self) -> FieldId {
        self.table[self.row].id
    }

    /// Bits that `side` may read, if any.
    pub(crate) fn readable(&self, side: Side) -> Result<u64, Status> {
        match self.table[self.row].masks(side).0 {
            0 => Err(Status::METADATA_FIELD_NOT_READABLE),
            mask => Ok(mask),
        }
    }

    /// The value after a write of `value` under `request`, given the `old` one.
    pub(crate) fn merge(
        &self,
        side: Side,
        old: u64,
        value: u64,
        request: u64,
    ) -> Result<u64, Status> {
        let writable = self.table[self.row].masks(side).1;
        let mask = writable & request;
        if mask == 0 {
            return Err(Status::METADATA_FIELD_NOT_WRITABLE);
        }
        if (old ^ value) & request & !writable != 0 {
            return Err(Status::METADATA_FIELD_VALUE_NOT_VALID);
        }
        Ok(old & !mask | value & mask)
    }

    /// The id that follows in iteration order, all ones at the end.
    pub(crate) fn next(&self, side: Side) -> u64 {
        let field = &self.table[self.row];
        if self.index + 1 < field.elements {
            return field.id.element(self.index + 1).0;
        }
        first_readable(&self.table[self.row + 1..], side)
    }
}

/// The first id that `side` may read, all ones if there is none.
pub(crate) fn first_readable(table: &[Field], side: Side) -> u64 {
    let field = table.iter().find(|field| field.masks(side).0 != 0);
    field.map_or(FieldId::NULL.0, |field| field.id.0)
}

/// Quadword `index` of a byte array, little-endian.
fn quadword(bytes: &[u8], index: u32) -> u64 {
    let chunk = bytes.as_chunks::<8>().0.get(index as usize);
    chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::field::{td as td_field, vp as vp_field};

    fn assert_walkable(table: &'static [Field], side: Side) {
        let mut id = first_readable(table, side);
        let mut seen = 0;
        while id != FieldId::NULL.0 {
            let element = Element::find(table, FieldId(id)).expect("iteration names fields");
            element.readable(side).expect("iteration gives readable fields");
            id = element.next(side);
            seen += 1;
        }
        let elements = table.iter().filter(|field| field.masks(side).0 != 0);
        assert_eq!(seen, elements.map(|field| field.elements).sum::<u32>());
    }

    #[test]
    fn iteration_visits_every_readable_element_once() {
        for side in [Side::Host, Side::DebugHost, Side::Guest] {
            assert_walkable(sys::FIELDS, side);
            assert_walkable(td::FIELDS, side);
            assert_walkable(vp::FIELDS, side);
        }
    }

    #[test]
    fn no_two_fields_claim_one_id() {
        for table in [sys::FIELDS, td::FIELDS, vp::FIELDS] {
            for (row, field) in table.iter().enumerate() {
                for index in 0..field.elements {
                    let found = Element::find(table, field.id.element(index)).expect("listed");
                    assert_eq!((found.row, found.index), (row, index));
                }
            }
        }
    }

    /// [ABI-G 2.8] and [ABI-G 2.9].
    #[test]
    fn the_guests_iterations_start_where_the_reference_says() {
        assert_eq!(first_readable(td::FIELDS, Side::Guest), td_field::TD_UUID.0);
        assert_eq!(first_readable(vp::FIELDS, Side::Guest), vp_field::VCPU_INDEX.0);
        assert_eq!(first_readable(sys::FIELDS, Side::Guest), 0x0800_0002_0000_0000);
    }

    #[test]
    fn a_write_changes_writable_bits_and_refuses_to_change_others() {
        let element = Element::find(td::FIELDS, td_field::TD_CTLS).expect("listed");
        let merge = |old, value, request| element.merge(Side::Guest, old, value, request);
        assert_eq!(merge(0, 1, u64::MAX), Ok(1));
        assert_eq!(merge(1, 2, 2), Err(Status::METADATA_FIELD_NOT_WRITABLE));
        assert_eq!(merge(1, 3, 3), Err(Status::METADATA_FIELD_VALUE_NOT_VALID));
        assert_eq!(merge(1, 0, 1), Ok(0));
        let host = element.merge(Side::Host, 0, 1, 1);
        assert_eq!(host, Err(Status::METADATA_FIELD_NOT_WRITABLE));
    }
}
