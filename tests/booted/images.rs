//! Images: corrupt ones are refused by the VMM, and every byte of a good one is measured.

use std::fs;
use std::path::Path;

use harness::{Exit, Options, Report, corrupt, crosscheck, fixture, paths};
use image::PageOrder;

/// Boots `image` past xtask's own check.
fn boot(test: &str, image: &Path) -> Report {
    let options = fixture::options(test, "td");
    fixture::boot(&Options { image: image.to_owned(), ..options })
}

#[test]
fn the_vmm_refuses_corrupt_images() {
    fixture::xtask();
    let folder = fixture::scratch("corrupt-images");
    for corrupt in corrupt::all(&fs::read(paths::image("td")).unwrap()) {
        let path = folder.join(corrupt.name).with_extension("fd");
        fs::write(&path, &corrupt.image).unwrap();
        let report = boot("corrupt-images", &path);
        let name = corrupt.name;
        assert_eq!(report.exit, Exit::Verdict(abi::verdict::REFUSED), "{name}: {report:#?}");
        let error = report.vmm_log.lines().find(|line| line.starts_with("vmm: error: firmware: "));
        assert!(error.is_some_and(|e| e.contains(corrupt.complaint)), "{name}: {report:#?}");
    }
}

#[test]
fn one_changed_byte_in_the_kernel_changes_both_measurements() {
    fixture::xtask();
    let mut image = fs::read(paths::image("td")).unwrap();
    let original = computed(&image);
    let at = unused_byte_of_the_kernel(&image);
    image[at] ^= 1;
    let path = fixture::scratch("changed-byte").join("changed.fd");
    fs::write(&path, &image).unwrap();
    let report = boot("changed-byte", &path);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert_ne!(computed(&image), original);
    assert_eq!(measured(&report), computed(&image));
}

/// The last of the ELF identification's padding bytes, which nobody reads.
fn unused_byte_of_the_kernel(image: &[u8]) -> usize {
    let kernel = image::find_kernel(image).unwrap();
    kernel.as_ptr().addr() - image.as_ptr().addr() + 15
}

fn computed(image: &[u8]) -> String {
    crosscheck::mrtd(image, PageOrder::Interleaved).unwrap()
}

fn measured(report: &Report) -> String {
    let line = report.vmm_log.lines().find_map(|line| line.strip_prefix("vmm: mrtd "));
    line.unwrap_or_default().to_owned()
}
