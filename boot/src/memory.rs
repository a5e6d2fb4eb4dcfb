//! Physical memory by its address: the image, the TD HOB, and frames.
//!
//! `entry.S` maps the first 4 GiB where they are, but for the 2 MiB around boot's data.
#![expect(unsafe_code, reason = "makes references from fixed addresses")]

use core::ptr::with_exposed_provenance;
use core::ptr::with_exposed_provenance_mut;
use core::slice;

use abi::{GpaWidth, PAGE_SIZE};
use arch::BootCell;
use boot::BootError;
use boot::frame::{Frame, FrameMemory};
use boot::launch::Image;
use boot::ram::{Own, RamList};
use image::hob::{self, Limit};
use image::layout::{IMAGE_END, TD_HOB, TEMP_MEM};
use image::ram::RamRange;
use image::{KernelPlace, find_options};

static RAM: BootCell<RamList> = BootCell::new(RamList::new());

/// Finds the kernel and its options in the image.
pub(crate) fn image() -> Result<Image<'static>, BootError> {
    let last_page = Frame::containing(IMAGE_END - PAGE_SIZE);
    let tail = bytes(last_page.address(), PAGE_SIZE);
    let place = KernelPlace::locate(tail)?;
    let options = find_options(tail)?;
    Ok(Image {
        kernel: bytes(place.address(), place.length() as u64),
        kernel_frame: Frame::containing(place.address()),
        last_page,
        options,
        options_address: options.as_ptr().addr() as u64,
    })
}

/// The memory that the VMM lists, checked.
///
/// The TD HOB is read where it is: its pages are private since the trust domain was built,
/// so the VMM cannot change them now, and what is taken from it is a copy.
pub(crate) fn list(image: &Image<'_>, width: GpaWidth) -> Result<&'static mut RamList, BootError> {
    let hob = hob::parse(bytes(TD_HOB.start, TD_HOB.len), Limit::Refuse(width.shared_mask()))?;
    // The kernel is what the image starts with.
    let start = image.kernel_frame.address();
    let image = RamRange { start, len: IMAGE_END - start };
    let own = Own { image, temp_mem: TEMP_MEM, td_hob: TD_HOB };
    let ram = RAM.take().expect("boot runs once");
    ram.fill(&hob, &own)?;
    Ok(ram)
}

/// The memory of frames.
pub(crate) const fn ram() -> impl FrameMemory {
    IdentityMapped(())
}

struct IdentityMapped(());

impl FrameMemory for IdentityMapped {
    fn words(&mut self, first: Frame, count: usize) -> &mut [u64] {
        let start = with_exposed_provenance_mut(first.address() as usize);
        let words = count * PAGE_SIZE as usize / size_of::<u64>();
        // SAFETY: `Frames` gave out these frames: accepted RAM above boot's own and below
        // 3 GiB, mapped at its address, initialized by acceptance. The borrow of the only
        // value of this type keeps references apart.
        unsafe { slice::from_raw_parts_mut(start, words) }
    }
}

/// Bytes of the image or of the TD HOB.
fn bytes(start: u64, len: u64) -> &'static [u8] {
    // SAFETY: both are private pages, added before the trust domain ran and mapped at
    // their addresses; boot writes neither, and `KernelPlace` lies within the 16 MiB below
    // 4 GiB.
    unsafe { slice::from_raw_parts(with_exposed_provenance(start as usize), len as usize) }
}
