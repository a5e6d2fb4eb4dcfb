use super::*;
use abi::field::{td as td_field, vp as vp_field};

fn assert_walkable(table: Context, side: Side) {
    let mut id = first_readable(table, side);
    let mut seen = 0;
    while id != FieldId::NULL.0 {
        let element = Element::find(table, FieldId(id)).expect("iteration names fields");
        element.readable(side).expect("iteration gives readable fields");
        id = element.next(side);
        seen += 1;
    }
    let readable = table.rows().filter(|field| field.masks(side).0 != 0);
    assert_eq!(seen, readable.map(Field::total).sum::<u32>());
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
        // An id of CPUID_VALUES names a leaf.
        let rows = table.rows().enumerate().filter(|(_, field)| !cpuid::is_value(field.id));
        for (row, field) in rows {
            for index in 0..field.total() {
                let id = field.id.element(index * field.stride());
                let found = Element::find(table, id).expect("listed");
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
