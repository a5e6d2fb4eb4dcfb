//! Metadata lists: what TDG.SYS.RDALL and TDH.SYS.RDALL write. [ABI-G 2.10], [ABI-H 4.4]
//!
//! | bytes | field |
//! |---|---|
//! | 0-1 | bytes used, these 8 included |
//! | 2-3 | number of sequences |
//! | 4-7 | 0 |
//! | 8... | the sequences |
//!
//! A sequence is a header and 8 bytes for each element. The header is the id of the
//! first field, with the number of the last element of a field in bits 37:34 and the
//! number of the last field in bits 46:38. Fields stand in one sequence as long as
//! their codes follow each other and their classes and sizes are equal; whether they are
//! architectural (bit 63) does not count.

use abi::Status;
use abi::field::FieldId;
use zerocopy::IntoBytes;

use super::{CLASS, CODE, Context, Element, Field, Side};

const WORDS: usize = 512;
const LAST_ELEMENT_SHIFT: u32 = 34;
const LAST_FIELD_ONE: u64 = 1 << 38;

/// A page with a list.
pub(crate) struct List {
    words: [u64; WORDS],
    used: usize,
    sequences: u64,
    /// The field that did not fit, or all ones.
    pub next: u64,
}

/// A field inside its row.
#[derive(Clone, Copy)]
struct Cursor {
    row: usize,
    field: &'static Field,
    index: u32,
}

impl Cursor {
    fn id(&self) -> FieldId {
        self.field.id.element(self.index * self.field.elements * self.field.stride())
    }

    fn words(&self) -> usize {
        self.field.elements as usize
    }

    fn next(self, context: Context, side: Side) -> Option<Self> {
        if self.index + 1 < self.field.fields && self.field.masks(side).0 != 0 {
            return Some(Self { index: self.index + 1, ..self });
        }
        let next = context.readable_from(self.row + 1, side);
        next.map(|(row, field)| Self { row, field, index: 0 })
    }

    /// Whether `next` continues the sequence of `self`.
    fn is_followed_by(&self, next: &Self) -> bool {
        let (id, other) = (self.id().0, next.id().0);
        let step = u64::from(self.field.elements * self.field.stride());
        id & CLASS == other & CLASS
            && (id & CODE) + step == other & CODE
            && self.field.elements == next.field.elements
            && self.field.size_code() == next.field.size_code()
    }
}

impl List {
    /// Lists what `side` may read, from the field `first` on, or from the first one
    /// if that is the null id. `value` gives the elements.
    ///
    /// `first` must be the first element of a field and name its element size; its
    /// other bits do not count.
    pub(crate) fn new(
        context: Context,
        side: Side,
        first: FieldId,
        value: impl Fn(&Element) -> u64,
    ) -> Result<Self, Status> {
        let mut list = Self { words: [0; WORDS], used: 1, sequences: 0, next: FieldId::NULL.0 };
        let mut at = start(context, side, first)?;
        while let Some(cursor) = at
            && list.used + 1 + cursor.words() <= WORDS
        {
            at = list.push_sequence(context, side, cursor, &value);
        }
        list.next = at.map_or(FieldId::NULL.0, |cursor| cursor.id().0);
        list.words[0] = (list.used * 8) as u64 | list.sequences << 16;
        Ok(list)
    }

    /// The bytes to write: the header and the sequences, not the rest of the page.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.words.get(..self.used).unwrap_or_default().as_bytes()
    }

    /// SUCCESS, or METADATA_LIST_OVERFLOW if fields are left.
    pub(crate) fn status(&self) -> Status {
        match self.next {
            id if id == FieldId::NULL.0 => Status::SUCCESS,
            _ => Status::METADATA_LIST_OVERFLOW,
        }
    }

    /// Appends one sequence and gives the field after it. Nothing is appended for a
    /// field that `side` may not read.
    fn push_sequence(
        &mut self,
        context: Context,
        side: Side,
        mut cursor: Cursor,
        value: &impl Fn(&Element) -> u64,
    ) -> Option<Cursor> {
        let mask = cursor.field.masks(side).0;
        if mask == 0 {
            return cursor.next(context, side);
        }
        let header = self.used;
        let last_element = u64::from(cursor.field.elements - 1) << LAST_ELEMENT_SHIFT;
        self.words[header] = cursor.id().0 | last_element;
        self.used += 1;
        self.sequences += 1;
        loop {
            let Cursor { row, field, index } = cursor;
            for element in 0..field.elements {
                let id = cursor.id().element(element * field.stride());
                let index = index * field.elements + element;
                let element = Element { context, row, field, id, index };
                self.words[self.used] = value(&element) & field.masks(side).0;
                self.used += 1;
            }
            let next = cursor.next(context, side)?;
            if !cursor.is_followed_by(&next) || self.used + next.words() > WORDS {
                return Some(next);
            }
            self.words[header] += LAST_FIELD_ONE;
            cursor = next;
        }
    }
}

fn start(context: Context, side: Side, first: FieldId) -> Result<Option<Cursor>, Status> {
    if first.is_null() {
        let found = context.readable_from(0, side);
        return Ok(found.map(|(row, field)| Cursor { row, field, index: 0 }));
    }
    let incorrect = Status::METADATA_FIELD_ID_INCORRECT;
    let (row, field, element) = context.find(first).ok_or(incorrect)?;
    let is_start = element.is_multiple_of(field.elements);
    if !is_start || first.0 >> 32 & 3 != field.size_code() {
        return Err(incorrect);
    }
    Ok(Some(Cursor { row, field, index: element / field.elements }))
}
