//! Trust-domain memory regions and the checks of TDH.SYS.CONFIG. [ABI-H 3.5]
//!
//! A status carries the TDMR's index in byte 0 of its detail, the PAMT size or the
//! index of the reserved area in byte 1, and another TDMR in byte 2. The order of
//! the checks is that of module 1.5.01.

use core::array;

use abi::Status;
use abi::tdmr::{PAMT_ENTRY_BYTES, TdmrInfo};

use crate::hpa::{is_plain, overlaps};
use crate::phys::PAGE;

/// Bytes of the unit of TDMRs.
pub(crate) const GIB: u64 = 1 << 30;

/// (base, size) of a range.
pub(crate) type Range = (u64, u64);

/// A TDMR that passed the checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tdmr {
    info: TdmrInfo,
    /// First address whose PAMT entries TDMR.INIT has not made yet.
    pub next: u64,
}

impl Tdmr {
    /// No region.
    pub(crate) const EMPTY: Self = Self { info: TdmrInfo::EMPTY, next: 0 };

    pub(crate) fn new(info: &TdmrInfo) -> Self {
        Self { info: *info, next: info.base }
    }

    pub(crate) fn info(&self) -> &TdmrInfo {
        &self.info
    }

    pub(crate) fn end(&self) -> u64 {
        self.info.base.saturating_add(self.info.size)
    }

    /// Every GiB is either fully initialised or not usable at all.
    pub(crate) fn has_pamt_for(&self, hpa: u64) -> bool {
        self.info.base <= hpa && hpa < self.end() && hpa < self.next & !(GIB - 1)
    }

    /// Base of the PAMT for pages of `level`.
    pub(crate) fn pamt_base(&self, level: u8) -> u64 {
        pamts(&self.info)[usize::from(level.min(2))].0
    }

    /// The three PAMT areas, 4 KiB, 2 MiB, 1 GiB.
    pub(crate) fn pamts(&self) -> [Range; 3] {
        pamts(&self.info)
    }

    /// Number of the page of `level` that covers `hpa`, from the TDMR's base.
    pub(crate) fn page_index(&self, hpa: u64, level: u8) -> u64 {
        hpa.saturating_sub(self.info.base) / (PAGE << (9 * u32::from(level)))
    }

    /// Whether `hpa` lies in a hole.
    pub(crate) fn is_reserved(&self, hpa: u64) -> bool {
        let offset = hpa.saturating_sub(self.info.base);
        let holes = self.info.reserved.iter().take_while(|area| area.size != 0);
        holes.into_iter().any(|area| offset >= area.offset && offset - area.offset < area.size)
    }
}

fn pamts(info: &TdmrInfo) -> [Range; 3] {
    [
        (info.pamt_4k_base, info.pamt_4k_size),
        (info.pamt_2m_base, info.pamt_2m_size),
        (info.pamt_1g_base, info.pamt_1g_size),
    ]
}

/// Memory that may become TDMR and PAMT.
pub(crate) struct Convertible<'a> {
    pub cmrs: &'a [Range],
    /// The module's own memory, which no CMR may lend out.
    pub seamrr: Range,
}

impl Convertible<'_> {
    /// Whether `[start, end)` lies in one run of adjacent CMRs.
    fn contains(&self, start: u64, end: u64) -> bool {
        if overlaps((start, end.saturating_sub(start)), self.seamrr) {
            return false;
        }
        let mut run = 0;
        let mut last_end = 0;
        for (base, size) in self.cmrs.iter().copied().filter(|cmr| cmr.1 != 0) {
            if base != last_end {
                run = base;
            }
            last_end = base.saturating_add(size);
            if start >= run && end <= last_end {
                return true;
            }
        }
        false
    }
}

fn failure(status: Status, tdmr: usize, detail: usize, other: usize) -> Status {
    let byte = |value: usize| value as u32 & 0xFF;
    status.with_detail(byte(tdmr) | byte(detail) << 8 | byte(other) << 16)
}

/// Checks `next` as the TDMR that follows `accepted`.
pub(crate) fn check(
    accepted: &[Tdmr],
    next: &TdmrInfo,
    memory: &Convertible<'_>,
) -> Result<(), Status> {
    check_extent(accepted, next)?;
    check_reserved(next, accepted.len())?;
    check_pamts(accepted, next, memory)?;
    let outside = failure(Status::TDMR_OUTSIDE_CMRS, accepted.len(), 0, 0);
    let mut ok = true;
    each_available(next, |start, end| ok &= memory.contains(start, end));
    if ok { Ok(()) } else { Err(outside) }
}

fn check_extent(accepted: &[Tdmr], next: &TdmrInfo) -> Result<(), Status> {
    let index = accepted.len();
    let invalid = failure(Status::INVALID_TDMR, index, 0, 0);
    let end = next.base.checked_add(next.size).ok_or(invalid)?;
    if accepted.last().is_some_and(|previous| next.base < previous.end()) {
        return Err(failure(Status::NON_ORDERED_TDMR, index, 0, 0));
    }
    let aligned = next.base.is_multiple_of(GIB) && next.size.is_multiple_of(GIB) && next.size != 0;
    if aligned && is_plain(next.base, 1) && is_plain(end - 1, 1) { Ok(()) } else { Err(invalid) }
}

fn check_reserved(next: &TdmrInfo, index: usize) -> Result<(), Status> {
    let mut previous_end = 0;
    for (number, area) in next.reserved.iter().enumerate() {
        let unordered = failure(Status::NON_ORDERED_RESERVED_IN_TDMR, index, number, 0);
        let invalid = failure(Status::INVALID_RESERVED_IN_TDMR, index, number, 0);
        if area.size == 0 {
            match next.reserved.get(number + 1) {
                Some(following) if following.size != 0 => return Err(unordered),
                _ => continue,
            }
        }
        let end = area.offset.checked_add(area.size).ok_or(invalid)?;
        if number > 0 && area.offset < previous_end {
            return Err(unordered);
        }
        let aligned = area.offset.is_multiple_of(PAGE) && area.size.is_multiple_of(PAGE);
        if !aligned || end > next.size {
            return Err(invalid);
        }
        previous_end = end;
    }
    Ok(())
}

fn check_pamts(accepted: &[Tdmr], next: &TdmrInfo, memory: &Convertible<'_>) -> Result<(), Status> {
    let index = accepted.len();
    let own = pamts(next);
    for level in [2, 1, 0] {
        let pages = next.size / (PAGE << (9 * level));
        if !is_pamt_area(own[level], pages * PAMT_ENTRY_BYTES) {
            return Err(failure(Status::INVALID_PAMT, index, level, 0));
        }
    }
    check_pamt_against_pamts(accepted, own)?;
    check_pamt_against_memory(accepted, next)?;
    for level in [2, 1, 0] {
        let (base, size) = own[level];
        if !memory.contains(base, base.saturating_add(size)) {
            return Err(failure(Status::PAMT_OUTSIDE_CMRS, index, level, 0));
        }
    }
    Ok(())
}

fn is_pamt_area((base, size): Range, needed: u64) -> bool {
    let Some(end) = base.checked_add(size) else { return false };
    let aligned = base.is_multiple_of(PAGE) && size.is_multiple_of(PAGE);
    aligned && is_plain(base, 1) && is_plain(end.wrapping_sub(1), 1) && size >= needed
}

fn check_pamt_against_pamts(accepted: &[Tdmr], own: [Range; 3]) -> Result<(), Status> {
    let index = accepted.len();
    let overlap = |level, other| Err(failure(Status::PAMT_OVERLAP, index, level, other));
    for (other, tdmr) in accepted.iter().enumerate() {
        let theirs = tdmr.pamts();
        for (level, area) in own.into_iter().enumerate() {
            if theirs.into_iter().any(|other| overlaps(area, other)) {
                return overlap(level, other);
            }
        }
    }
    if overlaps(own[0], own[1]) || overlaps(own[0], own[2]) {
        return overlap(0, index);
    }
    if overlaps(own[1], own[2]) {
        return overlap(1, index);
    }
    Ok(())
}

fn check_pamt_against_memory(accepted: &[Tdmr], next: &TdmrInfo) -> Result<(), Status> {
    let index = accepted.len();
    let regions = accepted.iter().map(Tdmr::info).chain([next]);
    for (number, region) in regions.enumerate() {
        if let Some(level) = first_in_available(region, pamts(next)) {
            return Err(failure(Status::PAMT_OVERLAP, index, level, number));
        }
        if number < index
            && let Some(level) = first_in_available(next, pamts(region))
        {
            return Err(failure(Status::PAMT_OVERLAP, number, level, index));
        }
    }
    Ok(())
}

/// The first of `areas` that touches memory of `region` outside its holes.
fn first_in_available(region: &TdmrInfo, areas: [Range; 3]) -> Option<usize> {
    let mut hit = array::from_fn::<bool, 3, _>(|_| false);
    each_available(region, |start, end| {
        for (area, hit) in areas.into_iter().zip(&mut hit) {
            *hit |= overlaps(area, (start, end - start));
        }
    });
    hit.into_iter().position(|hit| hit)
}

/// Calls `visit(start, end)` for each part between the holes, which are in order.
fn each_available(region: &TdmrInfo, mut visit: impl FnMut(u64, u64)) {
    let mut start = region.base;
    for area in region.reserved.iter().take_while(|area| area.size != 0) {
        let hole = region.base + area.offset;
        if start < hole {
            visit(start, hole);
        }
        start = hole + area.size;
    }
    let end = region.base + region.size;
    if start < end {
        visit(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::tdmr::ReservedArea;
    use zerocopy::FromZeros;

    const CMRS: [Range; 2] = [(0, GIB), (GIB, GIB)];
    const MEMORY: Convertible<'_> = Convertible { cmrs: &CMRS, seamrr: (0, 0) };

    /// TDMR `[0, 1 GiB)` whose PAMT stands in a hole at 16 MiB.
    fn sample() -> TdmrInfo {
        let mut info = TdmrInfo::new_zeroed();
        info.size = GIB;
        (info.pamt_4k_base, info.pamt_4k_size) = (0x100_0000, 0x40_0000);
        (info.pamt_2m_base, info.pamt_2m_size) = (0x140_0000, 0x2000);
        (info.pamt_1g_base, info.pamt_1g_size) = (0x140_2000, 0x1000);
        info.reserved[0] = ReservedArea { offset: 0x100_0000, size: 0x40_3000 };
        info
    }

    fn with(change: impl FnOnce(&mut TdmrInfo)) -> Result<(), Status> {
        let mut info = sample();
        change(&mut info);
        check(&[], &info, &MEMORY)
    }

    fn status(status: Status, detail: u32) -> Result<(), Status> {
        Err(status.with_detail(detail))
    }

    #[test]
    fn a_region_with_its_pamt_in_a_hole_is_accepted() {
        assert_eq!(with(|_| ()), Ok(()));
    }

    #[test]
    fn each_rule_has_its_status() {
        use Status as S;
        assert_eq!(with(|i| i.base = u64::MAX), status(S::INVALID_TDMR, 0));
        assert_eq!(with(|i| i.base = PAGE), status(S::INVALID_TDMR, 0));
        assert_eq!(with(|i| i.size = 0), status(S::INVALID_TDMR, 0));
        assert_eq!(with(|i| i.base = 1 << 46), status(S::INVALID_TDMR, 0));
        assert_eq!(with(|i| i.size = 2 * GIB), status(S::INVALID_PAMT, 1 << 8));
        assert_eq!(with(|i| i.pamt_4k_size = 0x3F_F000), status(S::INVALID_PAMT, 0));
        assert_eq!(with(|i| i.pamt_1g_base = 0x80), status(S::INVALID_PAMT, 2 << 8));
        assert_eq!(with(|i| i.pamt_2m_base = 0x100_0000), status(S::PAMT_OVERLAP, 0));
        let small = with(|i| i.pamt_2m_base = i.pamt_1g_base);
        assert_eq!(small, status(S::PAMT_OVERLAP, 1 << 8));
        assert_eq!(with(|i| i.pamt_2m_base = 0x200_0000), status(S::PAMT_OVERLAP, 1 << 8));
        assert_eq!(with(|i| i.pamt_2m_base = 4 * GIB), status(S::PAMT_OUTSIDE_CMRS, 1 << 8));
    }

    #[test]
    fn each_rule_of_reserved_areas_has_its_status() {
        use Status as S;
        let area = |offset, size| ReservedArea { offset, size };
        let second = |a| with(|i| i.reserved[1] = a);
        assert_eq!(second(area(0x140_2000, PAGE)), status(S::NON_ORDERED_RESERVED_IN_TDMR, 1 << 8));
        assert_eq!(second(area(0x200_0001, PAGE)), status(S::INVALID_RESERVED_IN_TDMR, 1 << 8));
        assert_eq!(second(area(GIB, PAGE)), status(S::INVALID_RESERVED_IN_TDMR, 1 << 8));
        assert_eq!(second(area(u64::MAX, PAGE)), status(S::INVALID_RESERVED_IN_TDMR, 1 << 8));
        let late = with(|i| i.reserved[2] = area(0x200_0000, PAGE));
        assert_eq!(late, status(S::NON_ORDERED_RESERVED_IN_TDMR, 1 << 8));
        assert_eq!(second(area(GIB - PAGE, PAGE)), Ok(()));
    }

    #[test]
    fn memory_outside_cmrs_or_inside_the_module_is_refused() {
        let cmrs = [(0, GIB - PAGE)];
        let short = Convertible { cmrs: &cmrs, seamrr: (0, 0) };
        let refused = status(Status::TDMR_OUTSIDE_CMRS, 0);
        assert_eq!(check(&[], &sample(), &short), refused);
        let module = Convertible { cmrs: &CMRS, seamrr: (0x10_0000, PAGE) };
        assert_eq!(check(&[], &sample(), &module), refused);
        let mut holed = sample();
        holed.reserved[1] = ReservedArea { offset: GIB - PAGE, size: PAGE };
        assert_eq!(check(&[], &holed, &short), Ok(()));
    }

    #[test]
    fn regions_follow_each_other_and_keep_off_each_others_pamts() {
        let first = [Tdmr::new(&sample())];
        let again = check(&first, &sample(), &MEMORY);
        assert_eq!(again, status(Status::NON_ORDERED_TDMR, 1));
        let mut second = sample();
        second.base = GIB;
        // Its PAMT is the first one's.
        assert_eq!(check(&first, &second, &MEMORY), status(Status::PAMT_OVERLAP, 1));
        // Its PAMT lies in memory of the first one.
        second.pamt_4k_base = 0x200_0000;
        second.pamt_2m_base = 0x240_0000;
        second.pamt_1g_base = 0x240_2000;
        assert_eq!(check(&first, &second, &MEMORY), status(Status::PAMT_OVERLAP, 1));
    }
}
