//! The linker script repeats what `image::layout` says; here the two are compared.

use image::layout;

/// The number that `boot.ld` gives to `name`.
fn constant(name: &str) -> u64 {
    let value = include_str!("../boot.ld").lines().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        (left.trim() == name).then(|| right.trim().trim_end_matches(';'))
    });
    let digits = value.unwrap_or_else(|| panic!("no {name}")).trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap()
}

#[test]
fn the_linker_script_and_the_image_agree() {
    assert_eq!(constant("TEMP_MEM"), layout::TEMP_MEM.start);
    assert_eq!(constant("TEMP_MEM_SIZE"), layout::TEMP_MEM.len);
    assert_eq!(constant("METADATA"), layout::METADATA_RESERVED);
    assert_eq!(constant("RESET_VECTOR"), layout::RESET_VECTOR);
    assert_eq!(constant("IMAGE_END"), layout::IMAGE_END);
}

#[test]
fn no_image_reaches_down_to_where_boots_data_appears() {
    // entry.S maps TempMem in the 2 MiB from here on, after an unmapped page.
    let window = constant("DATA") - 0x1000;
    assert_eq!(window, 0xFE00_0000);
    assert!(window + 0x20_0000 <= layout::IMAGE_END - layout::MAX_IMAGE_SIZE as u64);
    assert!(window >= crate::frame::FRAMES_END);
    assert!(constant("TEMP_MEM_SIZE") + 0x1000 <= 0x20_0000);
    // The last 2 MiB are mapped as code: all of boot is in them.
    assert!(constant("IMAGE") >= layout::IMAGE_END - 0x20_0000);
}
