//! Sizes of XSAVE areas, from the sub-leaves of CPUID leaf 0xD. [SDM1 13.2, 13.4]

use super::{NativeCpuid, platform};

/// Legacy region and header.
const HEADER_END: u32 = 576;
/// The highest state component that a TD can have.
const LAST: u32 = 18;

/// Bytes of an area in standard form with the components of `state`.
pub(super) fn standard_size(state: u64, native: &NativeCpuid<'_>) -> u32 {
    components(state)
        .map(|component| {
            let [size, offset, ..] = platform::cpuid(0xd, component, native);
            offset.saturating_add(size)
        })
        .fold(HEADER_END, u32::max)
}

/// Bytes of an area in compacted form with the components of `state`.
pub(super) fn compacted_size(state: u64, native: &NativeCpuid<'_>) -> u32 {
    components(state).fold(HEADER_END, |end, component| {
        let [size, _, flags, _] = platform::cpuid(0xd, component, native);
        let start = if flags & 2 != 0 { end.saturating_add(63) & !63 } else { end };
        start.saturating_add(size)
    })
}

/// True if XFD can disable a component of `state`.
pub(super) fn any_supports_xfd(state: u64, native: &NativeCpuid<'_>) -> bool {
    components(state).any(|component| platform::cpuid(0xd, component, native)[2] & 4 != 0)
}

fn components(state: u64) -> impl Iterator<Item = u32> {
    (2..=LAST).filter(move |component| state >> component & 1 != 0)
}
