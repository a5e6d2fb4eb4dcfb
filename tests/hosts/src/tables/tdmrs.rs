//! What TDH.SYS.CONFIG finds wrong with TDMR_INFOs. [ABI-H 3.5]
//!
//! The detail of the status: byte 0 the TDMR, byte 1 the PAMT's page size or the number of
//! the reserved area, byte 2 another TDMR.

use abi::Status;
use abi::tdmr::{ReservedArea, TdmrInfo};

use crate::place::{PAMT_1G_BYTES, PAMT_2M_BYTES, PAMT_4K_BYTES, Place, Pool};

const GIB: u64 = 1 << 30;

/// A pair of TDMR_INFOs with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What is wrong.
    pub name: &'static str,
    /// Makes it wrong.
    pub change: fn(&mut [TdmrInfo; 2], &Pool),
    /// What SYS.CONFIG says.
    pub status: Status,
}

/// The two TDMRs, without fault.
#[must_use]
pub fn good(pool: &Pool) -> [TdmrInfo; 2] {
    let (start, end) = pool.convertible();
    let mut tdmrs = [with_pamts(0, pool), with_pamts(1, pool)];
    tdmrs[0].reserved[0] = ReservedArea { offset: 0, size: start };
    tdmrs[0].reserved[1] = ReservedArea { offset: end, size: GIB - end };
    tdmrs[1].reserved[0] = ReservedArea { offset: 0, size: GIB };
    tdmrs
}

fn with_pamts(index: u64, pool: &Pool) -> TdmrInfo {
    let [pamt_4k_base, pamt_2m_base, pamt_1g_base] = pool.pamts(index);
    TdmrInfo {
        base: index * GIB,
        size: GIB,
        pamt_1g_base,
        pamt_1g_size: PAMT_1G_BYTES,
        pamt_2m_base,
        pamt_2m_size: PAMT_2M_BYTES,
        pamt_4k_base,
        pamt_4k_size: PAMT_4K_BYTES,
        ..TdmrInfo::EMPTY
    }
}

const fn fault(
    name: &'static str,
    status: Status,
    detail: u32,
    change: fn(&mut [TdmrInfo; 2], &Pool),
) -> Fault {
    Fault { name, change, status: status.with_detail(detail) }
}

/// In the order of the checks.
pub const FAULTS: &[Fault] = &[
    fault("base and size overflow", Status::INVALID_TDMR, 0, |tdmrs, _| {
        tdmrs[0].base = GIB;
        tdmrs[0].size = u64::MAX;
    }),
    fault("a lower TDMR comes second", Status::NON_ORDERED_TDMR, 1, |tdmrs, _| tdmrs.swap(0, 1)),
    fault("the second TDMR overlaps the first", Status::NON_ORDERED_TDMR, 1, |tdmrs, _| {
        tdmrs[1].base = GIB - 4096;
    }),
    fault("a base is not aligned to 1 GiB", Status::INVALID_TDMR, 1, |tdmrs, _| {
        tdmrs[1].base = GIB + 4096;
    }),
    fault("a size is no multiple of 1 GiB", Status::INVALID_TDMR, 0, |tdmrs, _| {
        tdmrs[0].size = GIB / 2;
    }),
    fault("a size is 0", Status::INVALID_TDMR, 0, |tdmrs, _| tdmrs[0].size = 0),
    fault("a base is beyond the physical addresses", Status::INVALID_TDMR, 1, |tdmrs, _| {
        tdmrs[1].base = 1 << 52;
    }),
    fault("a base has an HKID", Status::INVALID_TDMR, 1, |tdmrs, _| tdmrs[1].base = 1 << 51),
    fault("an area follows a null area", Status::NON_ORDERED_RESERVED_IN_TDMR, 0, |tdmrs, _| {
        tdmrs[0].reserved[0].size = 0;
    }),
    fault("an area overflows", Status::INVALID_RESERVED_IN_TDMR, 0x100, |tdmrs, _| {
        tdmrs[0].reserved[1].size = u64::MAX;
    }),
    fault("areas are not in order", Status::NON_ORDERED_RESERVED_IN_TDMR, 0x100, |tdmrs, _| {
        tdmrs[0].reserved.swap(0, 1);
    }),
    fault("areas overlap", Status::NON_ORDERED_RESERVED_IN_TDMR, 0x100, |tdmrs, _| {
        tdmrs[0].reserved[1].offset = tdmrs[0].reserved[0].size - 4096;
    }),
    fault(
        "an area is not aligned to 4 KiB",
        Status::INVALID_RESERVED_IN_TDMR,
        0x100,
        |tdmrs, _| {
            tdmrs[0].reserved[1].offset += 2048;
        },
    ),
    fault("an area ends behind its TDMR", Status::INVALID_RESERVED_IN_TDMR, 0x100, |tdmrs, _| {
        tdmrs[0].reserved[1].size += 4096;
    }),
    fault("a 1 GiB PAMT is not aligned", Status::INVALID_PAMT, 0x200, |tdmrs, _| {
        tdmrs[0].pamt_1g_base += 2048;
    }),
    fault("a 2 MiB PAMT is too small", Status::INVALID_PAMT, 0x100, |tdmrs, _| {
        tdmrs[0].pamt_2m_size -= 4096;
    }),
    fault("a 4 KiB PAMT has an HKID", Status::INVALID_PAMT, 1, |tdmrs, _| {
        tdmrs[1].pamt_4k_base |= 1 << 51;
    }),
    fault("a PAMT's size overflows", Status::INVALID_PAMT, 0x200, |tdmrs, _| {
        tdmrs[0].pamt_1g_size = 0u64.wrapping_sub(4096);
    }),
    fault("the PAMTs of two TDMRs overlap", Status::PAMT_OVERLAP, 1, |tdmrs, _| {
        tdmrs[1].pamt_4k_base = tdmrs[0].pamt_4k_base;
    }),
    fault("two PAMTs of a TDMR overlap", Status::PAMT_OVERLAP, 0x1_0101, |tdmrs, _| {
        tdmrs[1].pamt_2m_base = tdmrs[1].pamt_1g_base;
    }),
    fault("a PAMT is in memory for TDs", Status::PAMT_OVERLAP, 0x200, |tdmrs, pool| {
        tdmrs[0].pamt_1g_base = pool.resolve(Place::Page(0));
    }),
    fault("a PAMT is in memory of another TDMR", Status::PAMT_OVERLAP, 0x201, |tdmrs, pool| {
        tdmrs[1].pamt_1g_base = pool.resolve(Place::Page(0));
    }),
    fault("a PAMT is where no memory is", Status::PAMT_OUTSIDE_CMRS, 0x200, |tdmrs, pool| {
        tdmrs[0].pamt_1g_base = pool.resolve(Place::Outside);
    }),
    fault("a TDMR is where no memory is", Status::TDMR_OUTSIDE_CMRS, 1, |tdmrs, _| {
        tdmrs[1].reserved[0].size -= 4096;
    }),
];
