//! TDG.SYS.RDALL. [ABI-G 2.10]

use abi::Gpr::{R8, Rdx};
use abi::field::{FieldId, sys};
use abi::leaf::tdg;
use abi::{PageLevel, Regs};
use conformance::Value::{At, Is, Past};
use tdcall::guest::sys_rd;

use super::sys_rd::FIELDS;
use super::{BAD_ID, BAD_RDX, NONE, OK, READ_WRITE, VE, is, operand_ve};
use crate::conform::Place::{Device, Missing, Output, PageShared, Shared};
use crate::conform::layout::{page_of, small};
use crate::conform::world::accept;
use crate::conform::{Row, When, World};

const LEAF: (&str, u64) = ("ABI-G 2.10", tdg::SYS_RDALL);
const PENDING: u16 = page_of(tdg::SYS_RDALL, 0);

macro_rules! row {
    ($name:expr, $page:expr, $first:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rdx, $page), (R8, Is($first))], $status, &[(R8, Is(NONE))])
    };
}

macro_rules! bit {
    ($bit:literal) => {
        row!(concat!("RDX bit ", $bit), Past(Output, 1 << $bit), NONE, BAD_RDX)
    };
}

/// The list is refused, and no byte of the page is touched.
macro_rules! bad_id {
    ($name:literal, $first:expr) => {
        row!($name, At(Output), $first, BAD_ID)
            .after(|world| world.output.fill(0xEE))
            .then(|world, _| is(world.output.is_all(0xEE), "the page was written"))
    };
}

/// The list has every field from this one of the table on.
macro_rules! list {
    ($name:literal, $id:expr, $from:literal) => {
        row!($name, At(Output), $id, OK)
            .after(|world| world.output.fill(0xEE))
            .then(holds_all::<$from>)
    };
}

pub(super) const ROWS: &[Row] = &[
    bit!(0),
    bit!(1),
    bit!(2),
    bit!(3),
    bit!(4),
    bit!(5),
    bit!(6),
    bit!(7),
    bit!(8),
    bit!(9),
    bit!(10),
    bit!(11),
    bit!(52),
    bit!(63),
    row!("RDX bit 48", Past(Output, 1 << 48), NONE, BAD_RDX).when(When::Width48),
    row!("shared, where private memory is", At(PageShared), NONE, BAD_RDX),
    row!("shared memory", At(Shared), NONE, BAD_RDX),
    row!("a shared device", At(Device), NONE, BAD_RDX),
    row!("unaligned RDX comes before R8", Past(Output, 1), 1 << 24, BAD_RDX),
    row!("shared RDX comes before R8", At(Shared), 0x3F00_0003_0000_0000, BAD_RDX),
    bad_id!("a class that does not exist", 0x3F00_0003_0000_0000),
    bad_id!("a code that does not exist", sys::VENDOR_ID.0 | 0xFF_FFFF),
    bad_id!("a field of the TD", abi::field::td::MRTD.0),
    bad_id!("another element size", sys::VENDOR_ID.0 | 3 << 32),
    bad_id!("the second element of a field", sys::CPUID_CONFIG_VALUES.0 + 1),
    list!("from the null id, every readable field", NONE, 0),
    list!("from the null id with another context", NONE & !(1 << 53), 0),
    list!("from the first field", sys::VENDOR_ID.0, 0),
    list!("from another field", sys::MAJOR_VERSION.0, 2),
    list!("from a field that is not readable, what follows", sys::BUILD_DATE.0, 1),
    list!("the context does not count", sys::MAJOR_VERSION.0 | 1 << 52, 2),
    row!("a missing page, R8 is lost", At(Missing(PENDING)), sys::MAJOR_VERSION.0, VE)
        .when(When::PendingVe)
        .then(|world, _| operand_ve(world, small(PENDING), READ_WRITE)),
    row!("a page accepted after its #VE", At(Missing(PENDING)), NONE, OK)
        .when(When::PendingVe)
        .after(|_| {
            accept(small(PENDING), PageLevel::Size4K);
        }),
];

/// Bytes that a list of all fields has at most: a header, and two quadwords a field.
const MAX_BYTES: usize = 8 + 16 * 12;

/// Reads the page as a list: each field of the table from index `FROM` on is in it, once, in
/// order, with the value that TDG.SYS.RD gives.
fn holds_all<const FROM: usize>(world: &mut World<'_>, _: &Regs) -> Result<(), &'static str> {
    let page: [u8; 4096] = world.output.read(0);
    let (quadwords, _) = page.as_chunks::<8>();
    let mut words = quadwords.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let header = words.next().unwrap_or_default();
    let (bytes, sequences) = ((header & 0xFFFF) as usize, header >> 16 & 0xFFFF);
    is(header >> 32 == 0, "the header's upper half is not zero")?;
    is(bytes <= MAX_BYTES, "the list is too long")?;
    is(page[bytes..].iter().all(|byte| *byte == 0xEE), "bytes behind the list were written")?;
    let elements = FIELDS.iter().flat_map(|(id, count)| (0..*count).map(|at| id.element(at)));
    let mut expected = elements.skip(FROM);
    let mut used = 8;
    for _ in 0..sequences {
        let head = words.next().unwrap_or_default();
        let count = 1 + (head >> 38 & 0x1FF);
        is((head >> 34).trailing_zeros() >= 4, "a field has more than one element")?;
        let first = FieldId(head & !(0x1FF << 38));
        for field in 0..count {
            let id = first.element(field as u32);
            is(expected.next() == Some(id), "a field is out of order")?;
            is(words.next() == sys_rd(id).ok(), "SYS.RD gives another value")?;
        }
        used += 8 + 8 * count as usize;
    }
    is(expected.next().is_none(), "a field is missing")?;
    is(used == bytes, "the header has another length")
}
