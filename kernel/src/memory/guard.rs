//! Guard pages: below every stack, mapped nowhere, so that a stack that overflows meets a page
//! fault that says so, instead of somebody's memory.
//!
//! A function's frame cannot step over the page: the compiler touches each page of a large
//! frame.

use abi::PAGE_SIZE;
use arch::trap::{Gap, STACKS};
use bootloader_api::BootInfo;
use spin::Once;

/// The pages: those of the trap stacks, then the main stack's.
static GUARDS: Once<[Gap; STACKS + 1]> = Once::new();

/// From here on [`stack_of`] knows the main stack's guard page, which boot left unmapped, and
/// `gaps`.
pub(super) fn init(boot_info: &BootInfo, gaps: [Gap; STACKS]) {
    let main = Gap { page: boot_info.kernel_stack_bottom - PAGE_SIZE, stack: "main" };
    let mut guards = [main; STACKS + 1];
    guards[..STACKS].copy_from_slice(&gaps);
    GUARDS.call_once(|| guards);
}

/// The stack whose guard page `address` lies in.
pub(crate) fn stack_of(address: u64) -> Option<&'static str> {
    pages().iter().find(|gap| gap.page == address & !(PAGE_SIZE - 1)).map(|gap| gap.stack)
}

/// The guard pages; none before [`crate::init`] has set them up.
#[must_use]
pub fn pages() -> &'static [Gap] {
    GUARDS.get().map_or(&[], |guards| guards)
}

#[cfg(test)]
mod tests {
    use bootloader_api::info::MemoryRegion;

    use super::*;

    #[test]
    fn an_address_in_a_guard_page_names_the_stack() {
        assert_eq!(stack_of(0x7_0000), None);
        let none: &'static mut [MemoryRegion] = &mut [];
        let mut boot_info = BootInfo::new(none.into());
        boot_info.kernel_stack_bottom = 0x8_0000;
        let gap = |page, stack| Gap { page, stack };
        init(
            &boot_info,
            [
                gap(0x1000, "interrupt"),
                gap(0x3000, "#DF"),
                gap(0x6000, "NMI"),
                gap(0x9000, "#MC"),
                gap(0xC000, "#PF"),
            ],
        );
        assert_eq!(stack_of(0x7_FFF8), Some("main"));
        assert_eq!(stack_of(0x7_F000), Some("main"));
        assert_eq!(stack_of(0x8_0000), None);
        assert_eq!(stack_of(0x7_EFFF), None);
        assert_eq!(stack_of(0xCFFF), Some("#PF"));
        assert_eq!(stack_of(0x3008), Some("#DF"));
        assert_eq!(pages().len(), 6);
    }
}
