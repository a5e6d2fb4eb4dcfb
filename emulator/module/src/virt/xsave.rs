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

#[cfg(test)]
mod tests {
    use super::*;

    /// Component 2: 70 bytes at 576; 5: 100 aligned bytes at 1000, with XFD; 9: 8 at 900.
    fn cpu(leaf: u32, component: u32) -> [u32; 4] {
        match (leaf, component) {
            (0, _) => [0xd, 0, 0, 0],
            (0xd, 2) => [70, 576, 0, 0],
            (0xd, 5) => [100, 1000, 2 | 4, 0],
            (0xd, 9) => [8, 900, 0, 0],
            _ => [0; 4],
        }
    }

    #[test]
    fn the_standard_form_ends_with_the_last_component_in_memory() {
        let sizes =
            [0, 3, 1 << 2, 1 << 9, 1 << 2 | 1 << 5 | 1 << 9].map(|s| standard_size(s, &cpu));
        assert_eq!(sizes, [576, 576, 646, 908, 1100]);
    }

    #[test]
    fn the_compacted_form_packs_and_aligns() {
        let sizes = [3, 1 << 9, 1 << 2 | 1 << 5, 1 << 2 | 1 << 5 | 1 << 9, !0]
            .map(|state| compacted_size(state, &cpu));
        assert_eq!(sizes, [576, 584, 804, 812, 812]);
    }

    #[test]
    fn xfd_counts_only_for_components_in_use() {
        assert!(any_supports_xfd(1 << 5, &cpu) && !any_supports_xfd(1 << 2 | 1 << 9, &cpu));
    }

    #[test]
    fn sizes_of_a_boasting_cpu_saturate() {
        let all = |_: u32, _: u32| [u32::MAX; 4];
        assert_eq!((standard_size(!0, &all), compacted_size(!0, &all)), (u32::MAX, u32::MAX));
    }
}
