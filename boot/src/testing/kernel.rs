//! A kernel in the making: an ELF file that a test can bend.

use std::vec::Vec;

use abi::PAGE_SIZE;
use bootloader_api::BootloaderConfig;

/// A segment to load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: u64,
    /// 1 executable, 2 writable, 4 readable.
    pub(crate) flags: u32,
    pub(crate) data: Vec<u8>,
    /// Zero bytes after the data.
    pub(crate) zeros: u64,
}

/// An ELF file.
#[derive(Clone, Debug)]
pub(crate) struct TestKernel {
    /// 2 executable, 3 shared object.
    pub(crate) kind: u16,
    pub(crate) entry: u64,
    pub(crate) loads: Vec<Load>,
    /// Other segments: kind, address, bytes. The data is where a load has that address.
    pub(crate) others: Vec<(u32, u64, u64)>,
    pub(crate) config: Option<BootloaderConfig>,
}

const HEADER: usize = 64;
const SEGMENT: usize = 56;

fn words(words: &[u64]) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.to_le_bytes())
}

fn halves(words: &[u32]) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.to_le_bytes())
}

impl TestKernel {
    /// Code, constants, and data with zeros at its end, from `base` on; the file has them
    /// packed, so that segments share pages of the file.
    pub(crate) fn new(kind: u16, base: u64) -> Self {
        let pattern = |seed: usize, len: usize| (0..len).map(|i| (i * 7 + seed) as u8).collect();
        let load =
            |offset: u64, flags, data, zeros| Load { address: base + offset, flags, data, zeros };
        Self {
            kind,
            entry: base + 0x10,
            loads: std::vec![
                load(0, 5, pattern(1, 0x1800), 0),
                load(0x2800, 4, pattern(2, 0x1000), 0),
                load(0x4800, 6, pattern(3, 0x2900), 0x2000),
            ],
            others: Vec::new(),
            config: Some(BootloaderConfig::new_default()),
        }
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let count = self.loads.len() + self.others.len();
        let mut file = std::vec![0; HEADER + count * SEGMENT];
        let mut segments = Vec::new();
        for load in &self.loads {
            let ahead = (load.address.wrapping_sub(file.len() as u64) % PAGE_SIZE) as usize;
            file.resize(file.len() + ahead, 0xEE);
            let (offset, size) = (file.len() as u64, load.data.len() as u64);
            segments.push((1, load.flags, offset, load.address, size, size + load.zeros));
            file.extend(&load.data);
        }
        for &(kind, address, size) in &self.others {
            let near = segments.iter().find(|s| s.0 == 1 && s.3 <= address && address < s.3 + s.5);
            let offset = near.map_or(0, |s| s.2 + (address - s.3));
            segments.push((kind, 4, offset, address, size, size));
        }
        let mut headers = Vec::new();
        for (kind, flags, offset, address, size, memory) in segments {
            headers.extend(halves(&[kind, flags]));
            headers.extend(words(&[offset, address, address, size, memory, PAGE_SIZE]));
        }
        file[HEADER..HEADER + count * SEGMENT].copy_from_slice(&headers);
        let sections = self.add_sections(&mut file);
        let mut header = b"\x7FELF\x02\x01\x01".to_vec();
        header.resize(16, 0);
        header.extend(halves(&[u32::from(self.kind) | 62 << 16, 1]));
        header.extend(words(&[self.entry, HEADER as u64, sections.0]));
        header.extend(halves(&[0, 64 | 56 << 16, count as u32 | 64 << 16, sections.1 | 1 << 16]));
        file[..HEADER].copy_from_slice(&header);
        file
    }

    /// Appends section headers; their offset and number. Number 1 has the names.
    fn add_sections(&self, file: &mut Vec<u8>) -> (u64, u32) {
        const NAMES: &[u8] = b"\0.bootloader-config-not\0.shstrtab\0.bootloader-config\0";
        let mut sections = std::vec![(0, 0, 0), (24, file.len(), NAMES.len())];
        file.extend(NAMES);
        if let Some(config) = &self.config {
            let bytes = config.serialize();
            sections.push((1, 0, 0));
            sections.push((34, file.len(), bytes.len()));
            file.extend(bytes);
        }
        let offset = file.len() as u64;
        for (name, at, len) in &sections {
            file.extend(halves(&[*name, 1]));
            file.extend(words(&[0, 0, *at as u64, *len as u64, 0, 1, 0]));
        }
        (offset, sections.len() as u32)
    }
}
