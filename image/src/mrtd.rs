//! The measurement of a trust domain's build, MRTD [ABI-H 6], [TDVF 11].
//!
//! MRTD is one SHA-384 stream over what the VMM did, in the order it did it: a record for each
//! page added, and a record with 256 bytes of content for each MR.EXTEND. [`Mrtd`] is the
//! stream, [`measure`] runs it over an image.

use sha2::{Digest, Sha384};

use crate::layout::PAGE_SIZE;
use crate::{ImageError, Metadata, Section, SectionKind};

/// What one MR.EXTEND takes.
pub const CHUNK: usize = 256;

const PAGE_ADD: &[u8; 12] = b"MEM.PAGE.ADD";
const EXTEND: &[u8; 9] = b"MR.EXTEND";
const RECORD: usize = 128;
const GPA_OFFSET: usize = 16;

/// A measurement that is still being taken.
#[derive(Clone, Debug, Default)]
pub struct Mrtd(Sha384);

impl Mrtd {
    /// As TDH.MNG.INIT leaves it: of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records TDH.MEM.PAGE.ADD of the page at `gpa`. Its content is not recorded.
    pub fn page_add(&mut self, gpa: u64) {
        self.record(PAGE_ADD, gpa);
    }

    /// Records TDH.MR.EXTEND of the 256 bytes at `gpa`.
    pub fn extend(&mut self, gpa: u64, chunk: &[u8; CHUNK]) {
        self.record(EXTEND, gpa);
        self.0.update(chunk);
    }

    /// Ends the measurement, as TDH.MR.FINALIZE does.
    pub fn finish(self) -> [u8; 48] {
        self.0.finalize().into()
    }

    /// A name, padded with zeros, and the address, padded with zeros.
    fn record(&mut self, name: &[u8], gpa: u64) {
        let mut record = [0; RECORD];
        record[..name.len()].copy_from_slice(name);
        record[GPA_OFFSET..GPA_OFFSET + 8].copy_from_slice(&gpa.to_le_bytes());
        self.0.update(record);
    }
}

/// In which order a VMM adds and extends the pages of a section. MRTD tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrder {
    /// Each page is added and then extended, before the next: KVM from 6.16 on.
    Interleaved,
    /// All pages of the section are added, then all are extended: KVM before it was upstream.
    TwoPass,
}

/// The MRTD that the build of `image` gives, its sections in the order of the file.
pub fn measure(image: &[u8], order: PageOrder) -> Result<[u8; 48], ImageError> {
    let metadata = Metadata::parse(image)?;
    let mut mrtd = Mrtd::new();
    for (index, section) in metadata.sections().iter().enumerate() {
        if section.kind == SectionKind::TdHob && section.is_measured() {
            return Err(ImageError::MeasuredTdHob { index });
        }
        measure_section(&mut mrtd, section, metadata.data(section), order);
    }
    Ok(mrtd.finish())
}

fn measure_section(mrtd: &mut Mrtd, section: &Section, data: &[u8], order: PageOrder) {
    const ZEROS: &[u8; PAGE_SIZE] = &[0; PAGE_SIZE];
    let data = data.as_chunks::<PAGE_SIZE>().0;
    let addresses = || section.page_addresses();
    let contents = || data.iter().chain(core::iter::repeat(ZEROS));

    if !section.is_measured() {
        addresses().for_each(|gpa| mrtd.page_add(gpa));
        return;
    }
    match order {
        PageOrder::Interleaved => addresses().zip(contents()).for_each(|(gpa, page)| {
            mrtd.page_add(gpa);
            extend_page(mrtd, gpa, page);
        }),
        PageOrder::TwoPass => {
            addresses().for_each(|gpa| mrtd.page_add(gpa));
            addresses().zip(contents()).for_each(|(gpa, page)| extend_page(mrtd, gpa, page));
        }
    }
}

fn extend_page(mrtd: &mut Mrtd, gpa: u64, page: &[u8; PAGE_SIZE]) {
    let chunks = page.as_chunks::<CHUNK>().0;
    for (address, chunk) in (gpa..).step_by(CHUNK).zip(chunks) {
        mrtd.extend(address, chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{OVMF, OVMF_SIZE, assembled, hex, image_with, small_sections};

    const ZERO_PAGE: &[u8; PAGE_SIZE] = &[0; PAGE_SIZE];

    fn counting_page() -> [u8; PAGE_SIZE] {
        let mut page = *ZERO_PAGE;
        page.iter_mut().zip((0..=255).cycle()).for_each(|(byte, count)| *byte = count);
        page
    }

    #[derive(Clone, Copy)]
    enum Step<'a> {
        Add(u64),
        Extend(u64, &'a [u8; PAGE_SIZE]),
        Chunk(u64),
    }
    use Step::{Add, Chunk, Extend};

    fn digest(steps: &[Step<'_>]) -> std::string::String {
        let mut mrtd = Mrtd::new();
        for step in steps {
            match step {
                Add(gpa) => mrtd.page_add(*gpa),
                Extend(gpa, page) => extend_page(&mut mrtd, *gpa, page),
                Chunk(gpa) => mrtd.extend(*gpa, &[0; CHUNK]),
            }
        }
        hex(&mrtd.finish())
    }

    /// [TDVF 11]
    #[test]
    fn the_records_of_single_pages_hash_to_the_reference() {
        let counting = counting_page();
        let top = 0xFFFF_F000;
        let below = 0xFFFF_E000;
        let rows: [(&[Step<'_>], &str); 5] = [
            (
                &[Add(top)],
                "8d411e4377a0da03b249acbe9a7939b44b4483b5a6c81341f00d60c1f417257f9a5c1c03f2f223c59f010f4933f238b8",
            ),
            (
                &[Add(top), Extend(top, ZERO_PAGE)],
                "07f08f558c5e2593b33452cf00c12a165c07b027a36424ecfa15ebf39b5415e0ed62418458e4bfd77f16fec0f1568dc9",
            ),
            (
                &[Add(below), Extend(below, ZERO_PAGE), Add(top), Extend(top, ZERO_PAGE)],
                "da27a8c2adaae377d7170841582c1cce16f4350399078c8cd60753736eea0a8cadf3014d5a0a03e86fa21fd392dc0bf2",
            ),
            (
                &[Add(below), Add(top), Extend(below, ZERO_PAGE), Extend(top, ZERO_PAGE)],
                "c5bf7eaa77cb32114dcbce2637c0037628a35699b5d565fb1d19ddb75f4bd5e4607e6a7ce995ae00a4883311c39d5712",
            ),
            (
                &[Add(top), Extend(top, &counting), Add(0x80_0000)],
                "62f802ebfcc5fec7344b1ab23dcdea55dbc11fd076a33c94f0aa2338848165c930cc9f0ef8ebbaf70bfbb193e9e210cf",
            ),
        ];
        for (steps, expected) in rows {
            assert_eq!(digest(steps), expected);
        }
    }

    /// [ABI-H 6]
    #[test]
    fn the_streams_of_the_module_hash_to_the_reference() {
        let counting = counting_page();
        let rows: [(&[Step<'_>], &str); 8] = [
            (
                &[],
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
            ),
            (
                &[Add(0)],
                "8f3e9a8aca6784eab874f7aa4dda5d49104a88047f1f86695ef2a88f5691a90e34aac48ce45ffa1f5a23c7d62980d570",
            ),
            (
                &[Add(0), Chunk(0x100)],
                "ae71a151590d46af65391ab8f670eea5682c8a2924380491a69917b63129f87ec271c9ade5a98e0b4967e79b1fdf665b",
            ),
            (
                &[Add(0), Extend(0, ZERO_PAGE)],
                "236f0efa607ff8843f1855d7ef80dc3dda8fb455787a186b8787212951eab0096e3193bb26f817c2b63c21f5e10f9938",
            ),
            (
                &[Add(0x1000)],
                "fcdabf6fdf38b87d2e3a89b1ab68c242abb261dffa70ef6f1dc2220c2752d2729cdf1be92afc2e0e4297f04e2b629552",
            ),
            (
                &[Add(0x1000), Extend(0x1000, &counting)],
                "15a8464628b6214951c4a1b57775507dd950263654e8790e257995b45013c84aba1d87a3bcbc1929b5f7db6d3e92cad6",
            ),
            (
                &[Add(0), Add(0x1000), Extend(0, ZERO_PAGE)],
                "507ee79f481b6d1febfbd07dfd779a7eed9b221b8833882d66b18167c4d3e0d9543dbd9239e37f17467fecde72baafe0",
            ),
            (
                &[Add(0), Extend(0, ZERO_PAGE), Add(0x1000)],
                "d03a539dc3a0b2fb053f4cc5c368519420a46a576ead3e2e2bd12ac0abec28c015b65b22fc4a5853292c687ff5ccdf56",
            ),
        ];
        for (steps, expected) in rows {
            assert_eq!(digest(steps), expected);
        }
    }

    #[test]
    fn an_image_is_measured_section_by_section_in_both_orders() {
        let mut image = image_with(0x1_0000, &small_sections());
        image[0x1000..0x2000].copy_from_slice(&counting_page());
        let (pages, _) = image.as_chunks::<PAGE_SIZE>();
        let with_address = || (0xFFFF_0000_u64..).step_by(PAGE_SIZE).zip(pages);
        let hob = [Add(0x81_0000), Add(0x81_1000)];

        let interleaved = with_address().flat_map(|(gpa, page)| [Add(gpa), Extend(gpa, page)]);
        let steps: vec::Vec<_> = interleaved.chain(hob).collect();
        assert_eq!(hex(&measure(&image, PageOrder::Interleaved).unwrap()), digest(&steps));

        let adds = with_address().map(|(gpa, _)| Add(gpa));
        let extends = with_address().map(|(gpa, page)| Extend(gpa, page));
        let steps: vec::Vec<_> = adds.chain(extends).chain(hob).collect();
        assert_eq!(hex(&measure(&image, PageOrder::TwoPass).unwrap()), digest(&steps));
    }

    /// [TDVF 1.13]: 1050 pages, 892 of them measured.
    #[test]
    fn ovmf_adds_and_measures_as_many_pages_as_the_reference_counts() {
        let image = image_with(OVMF_SIZE, &OVMF);
        let metadata = Metadata::parse(&image).unwrap();
        let pages = |measured: bool| -> usize {
            let sections = metadata.sections().iter().filter(|s| s.is_measured() || !measured);
            sections.map(|s| s.page_addresses().count()).sum()
        };
        assert_eq!((pages(false), pages(true) * PAGE_SIZE / CHUNK), (1050, 14272));
        let orders = [PageOrder::Interleaved, PageOrder::TwoPass].map(|o| measure(&image, o));
        assert_ne!(orders[0], orders[1]);
    }

    #[test]
    fn a_measured_temp_mem_counts_as_zeros_and_a_measured_hob_is_refused() {
        let mut sections = small_sections();
        sections[1].kind = SectionKind::TempMem;
        sections[1].attributes = 1;
        let hob = Section { attributes: 0, memory_address: 0, ..small_sections()[1] };
        let image = image_with(0x1_0000, &[sections[0], sections[1], hob]);
        let mut unmeasured = sections;
        unmeasured[1].attributes = 0;
        let other = image_with(0x1_0000, &[unmeasured[0], unmeasured[1], hob]);
        assert_ne!(
            measure(&image, PageOrder::Interleaved),
            measure(&other, PageOrder::Interleaved)
        );

        sections[1].kind = SectionKind::TdHob;
        let image = image_with(0x1_0000, &sections);
        let refused = Err(ImageError::MeasuredTdHob { index: 1 });
        assert_eq!(measure(&image, PageOrder::TwoPass), refused);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn one_byte_of_the_kernel_changes_the_mrtd(
            mut kernel in prop::collection::vec(any::<u8>(), 1..20_000),
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let before = measure(&assembled(&kernel), PageOrder::Interleaved);
            *at.get_mut(&mut kernel) ^= flip;
            let after = measure(&assembled(&kernel), PageOrder::Interleaved);
            prop_assert!(before.is_ok() && after.is_ok() && before != after);
        }
    }
}
