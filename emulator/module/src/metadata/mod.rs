//! Metadata fields: what the RD, WR and RDALL leaves of both sides share.
//! [ABI-G 2.8, 12], [ABI-H 4.4]
//!
//! A context lists its fields in iteration order, each with the bits that either side
//! may read and write. A field that 1.5.01 has and this emulator has no value for is
//! [`hidden`]: known, so that its id is correct, and nobody may read or write it.

mod cpuid;
pub(crate) mod list;
pub(crate) mod sys;
mod sys_fields;
pub(crate) mod td;
mod td_fields;
pub(crate) mod vp;
mod vp_fields;

use abi::Status;
use abi::field::FieldId;

const ALL: u64 = u64::MAX;

/// Bits 54:52 of an id.
const CONTEXT: u64 = 7 << 52;
/// Bit 50 of an id: the codes of consecutive elements differ by 2.
const INC_SIZE: u64 = 1 << 50;
const CLASS: u64 = 0x3F << 56;
const CODE: u64 = 0xFF_FFFF;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    /// The VMM of a TD with ATTRIBUTES.DEBUG.
    DebugHost,
    Guest,
}

/// Bits of an element that may be read and written.
type Masks = (u64, u64);

const NO_ACCESS: Masks = (0, 0);

/// A row of a context: `fields` consecutive fields of `elements` elements each.
pub(crate) struct Field {
    /// Id of the first element.
    pub id: FieldId,
    fields: u32,
    elements: u32,
    host: Masks,
    debug: Masks,
    guest: Masks,
}

impl Field {
    fn masks(&self, side: Side) -> Masks {
        match side {
            Side::Host => self.host,
            Side::DebugHost => self.debug,
            Side::Guest => self.guest,
        }
    }

    fn stride(&self) -> u32 {
        if self.id.0 & INC_SIZE == 0 { 1 } else { 2 }
    }

    /// Elements of all fields of the row.
    fn total(&self) -> u32 {
        self.fields * self.elements
    }

    /// Index of the element that `id` names. Of a VMCS field the high half has a code
    /// of its own, between two elements, which no leaf takes.
    fn index_of(&self, id: FieldId) -> Option<u32> {
        let (code, first) = (id.0 & CODE, self.id.0 & CODE);
        if id.0 & CLASS != self.id.0 & CLASS || code < first {
            return None;
        }
        let (steps, stride) = ((code - first) as u32, self.stride());
        (steps.is_multiple_of(stride) && steps / stride < self.total()).then_some(steps / stride)
    }

    fn size_code(&self) -> u64 {
        self.id.0 >> 32 & 3
    }
}

/// All bits of an element of the size that `id` says.
const fn whole(id: FieldId) -> u64 {
    ALL >> (64 - (8 << (id.0 >> 32 & 3)))
}

/// A field that the VMM may read, of every TD.
const fn host_only(id: FieldId, fields: u32, elements: u32) -> Field {
    let read = (whole(id), 0);
    Field { id, fields, elements, host: read, debug: read, guest: NO_ACCESS }
}

/// A field that both sides may read.
const fn common(id: FieldId, fields: u32, elements: u32) -> Field {
    Field { guest: (whole(id), 0), ..host_only(id, fields, elements) }
}

/// A field that the VMM may read of a debug TD only.
const fn debug_only(id: FieldId, fields: u32, elements: u32) -> Field {
    Field { host: NO_ACCESS, ..host_only(id, fields, elements) }
}

/// A field that nobody may read or write.
const fn hidden(id: u64, fields: u32, elements: u32) -> Field {
    Field { debug: NO_ACCESS, ..debug_only(FieldId(id), fields, elements) }
}

/// The fields of the system, of a TD or of a vCPU, in iteration order.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    /// Bits 54:52 of its ids.
    code: u64,
    tables: &'static [&'static [Field]],
}

impl Context {
    const fn new(code: u64, tables: &'static [&'static [Field]]) -> Self {
        Self { code, tables }
    }

    fn rows(self) -> impl Iterator<Item = &'static Field> {
        self.tables.iter().flat_map(|table| table.iter())
    }

    /// The row that holds the element `id`, by its number, and the element's index.
    fn find(self, id: FieldId) -> Option<(usize, &'static Field, u32)> {
        let mut rows = self.rows().enumerate();
        rows.find_map(|(row, field)| Some((row, field, field.index_of(id)?)))
    }

    /// The first row from number `row` on that `side` may read.
    fn readable_from(self, row: usize, side: Side) -> Option<(usize, &'static Field)> {
        self.rows().enumerate().skip(row).find(|(_, field)| field.masks(side).0 != 0)
    }
}

/// An element that an id names.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    context: Context,
    row: usize,
    field: &'static Field,
    /// The id as it was given, but for the context.
    id: FieldId,
    /// Index among the elements of its row.
    pub index: u32,
}

impl Element {
    /// Finds the element for a single-element access.
    pub(crate) fn find(context: Context, id: FieldId) -> Result<Self, Status> {
        if !id.is_well_formed() {
            return Err(Status::METADATA_FIELD_ID_INCORRECT);
        }
        let id = FieldId(id.0 & !CONTEXT | context.code << 52);
        let key = if cpuid::is_value(id) { cpuid::check(id)? } else { id };
        let (row, field, index) = context.find(key).ok_or(Status::METADATA_FIELD_ID_INCORRECT)?;
        Ok(Self { context, row, field, id, index })
    }

    /// The id of the row, which names it.
    pub(crate) fn field(&self) -> FieldId {
        self.field.id
    }

    /// Bits that `side` may read, if any.
    pub(crate) fn readable(&self, side: Side) -> Result<u64, Status> {
        match self.field.masks(side).0 {
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
        let writable = self.field.masks(side).1;
        let mask = writable & request;
        if mask == 0 {
            return Err(Status::METADATA_FIELD_NOT_WRITABLE);
        }
        if (old ^ value) & request & !writable != 0 {
            return Err(Status::METADATA_FIELD_VALUE_NOT_VALID);
        }
        Ok(old & !mask | value & mask)
    }

    /// The id that follows in iteration order, all ones at the end. Inside a row it
    /// keeps the bits of the given id that do not count.
    pub(crate) fn next(&self, side: Side) -> u64 {
        if self.index + 1 < self.field.total() {
            return self.id.element(self.field.stride()).0;
        }
        let next = self.context.readable_from(self.row + 1, side);
        next.map_or(FieldId::NULL.0, |(_, field)| field.id.0)
    }
}

/// The first id that `side` may read, all ones if there is none.
pub(crate) fn first_readable(context: Context, side: Side) -> u64 {
    context.readable_from(0, side).map_or(FieldId::NULL.0, |(_, field)| field.id.0)
}

/// Quadword `index` of a byte array, little-endian.
fn quadword(bytes: &[u8], index: u32) -> u64 {
    let chunk = bytes.as_chunks::<8>().0.get(index as usize);
    chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests;
