//! The ELF file that the image holds: what is loaded, without symbols and debug data.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHF_ALLOC;

/// `elf` without the sections that no segment loads. Every byte of the image is measured,
/// and debug data names folders of the machine that built it.
pub(crate) fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(elf).context("the kernel is not an ELF file")?;
    for section in &mut builder.sections {
        let is_kept = matches!(section.data, SectionData::SectionString);
        section.delete = !is_kept && section.sh_flags & u64::from(SHF_ALLOC) == 0;
    }
    for symbol in &mut builder.symbols {
        symbol.delete = true;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("the kernel's ELF file can not be stripped")?;
    Ok(stripped)
}

#[cfg(test)]
mod tests {
    use object::LittleEndian as LE;
    use object::elf::{FileHeader64, PF_W, PT_LOAD};
    use object::read::elf::{FileHeader as _, ProgramHeader as _};

    use super::*;

    /// Address, size in memory and bytes of what is loaded. Writable bytes are left out: a
    /// test program is linked dynamically, and its tables for that are written anew.
    fn loaded(elf: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        let header = FileHeader64::<LE>::parse(elf).unwrap();
        let segments = header.program_headers(LE, elf).unwrap().iter();
        let loaded = segments.filter(|segment| segment.p_type(LE) == PT_LOAD);
        let part = |segment: &object::elf::ProgramHeader64<LE>| {
            let is_written = segment.p_flags(LE) & PF_W != 0;
            let bytes = if is_written { &[][..] } else { segment.data(LE, elf).unwrap() };
            (segment.p_vaddr(LE), segment.p_memsz(LE), bytes.to_vec())
        };
        loaded.map(part).collect()
    }

    #[test]
    fn what_is_loaded_stays_and_the_rest_goes() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let stripped = strip(&own).unwrap();
        let (before, after) = (loaded(&own), loaded(&stripped));
        // The first segment begins with the ELF header, which says where the sections are.
        assert_eq!(before.len(), after.len());
        assert_eq!(before[1..], after[1..]);
        assert!(stripped.len() < own.len());
        assert!(strip(b"MZ").is_err());
    }
}
