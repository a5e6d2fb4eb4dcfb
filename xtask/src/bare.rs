//! The bare binaries: how they are compiled, and boot's bytes as the image needs them.

use anyhow::{Context, Result, bail, ensure};
use harness::paths;
use object::LittleEndian as LE;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use xshell::{Shell, cmd};

/// What the emulator needs.
pub(crate) const EMULATOR: [&str; 2] = ["module", "vmm"];
/// What the image needs.
pub(crate) const TD: [&str; 2] = ["boot", KERNEL];
/// The package of the kernel.
pub(crate) const KERNEL: &str = "kernel";
/// Programs in `examples/` are packages of their folder's name behind this.
pub(crate) const APP: &str = "example-";
/// The package of the tests' own kernels.
pub(crate) const PAYLOADS: &str = "payloads";
/// The package of the tests' own VMMs.
pub(crate) const HOSTS: &str = "hosts";

/// Code generation for code without an operating system. They are set on this one
/// child, with a target and a directory of its own, so that build scripts and xtask
/// itself are compiled as usual: target and host are the same triple.
pub(crate) const FLAGS: &str = "-Cno-redzone=yes -Crelocation-model=pic -Cforce-unwind-tables=no \
                         -Ctarget-cpu=x86-64";
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The image ends here and is at most this large. [TDVF 1.1]
const IMAGE_END: u64 = 1 << 32;
const IMAGE_MAX: u64 = 16 << 20;

/// Compiles the binaries of these packages; cargo shows its progress on stderr.
pub(crate) fn build(sh: &Shell, packages: &[&str]) -> Result<()> {
    build_with(sh, paths::RELEASE, packages)
}

/// The same with another profile.
///
/// What the image is made of is compiled by itself: cargo unites the features that all
/// packages of one call want of a dependency, and the image would depend on its company. The
/// payloads are apart, too: with the kernel's dependencies come features that need a heap.
pub(crate) fn build_with(sh: &Shell, profile: &str, packages: &[&str]) -> Result<()> {
    eprintln!("building {}", packages.join(", "));
    let is_alone =
        |package: &&str| TD.contains(package) || *package == PAYLOADS || package.starts_with(APP);
    let (alone, together): (Vec<&str>, Vec<&str>) = packages.iter().copied().partition(is_alone);
    let alone = alone.iter().map(core::slice::from_ref);
    let together = Some(&together[..]).filter(|packages| !packages.is_empty());
    alone.chain(together).try_for_each(|part| cargo(sh, profile, part))
}

fn cargo(sh: &Shell, profile: &str, packages: &[&str]) -> Result<()> {
    let selection = selection(packages);
    let directory = paths::bare_target();
    cmd!(
        sh,
        "cargo build --profile {profile} --target {TARGET} --target-dir {directory} {selection...}"
    )
    .env("RUSTFLAGS", FLAGS)
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .quiet()
    .run()
    .context("the bare binaries do not build")
}

/// The words that select these packages, with the binaries that only this file compiles.
pub(crate) fn selection(packages: &[&str]) -> Vec<String> {
    let bare = |package: &&&str| TD.contains(package) || EMULATOR.contains(package);
    let features = packages.iter().filter(bare).map(|name| format!("--features={name}/bare"));
    packages.iter().map(|name| format!("--package={name}")).chain(features).collect()
}

/// The package of the program `examples/NAME`.
///
/// # Errors
/// There is no such program; the error names those that there are.
pub(crate) fn app(name: &str) -> Result<String> {
    let folder = paths::root().join("examples");
    let mut names = Vec::new();
    for entry in folder.read_dir().context("no folder examples")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    ensure!(
        names.iter().any(|other| other == name),
        "no program {name}: there is {}",
        names.join(", ")
    );
    Ok(APP.to_owned() + name)
}

/// The bytes of boot from its lowest loaded address up to 4 GiB.
///
/// Segments without bytes in the file (TempMem) are not in the image; the others are
/// placed by their physical address.
pub(crate) fn flatten(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<LE>::parse(elf).context("boot is not an ELF file")?;
    let mut parts = Vec::new();
    for segment in header.program_headers(LE, elf)? {
        if segment.p_type(LE) != PT_LOAD || segment.p_filesz(LE) == 0 {
            continue;
        }
        let address = segment.p_paddr(LE);
        let Ok(bytes) = segment.data(LE, elf) else { bail!("boot's ELF file is cut short") };
        let end = address.checked_add(bytes.len() as u64);
        ensure!(
            address >= IMAGE_END - IMAGE_MAX && end.is_some_and(|end| end <= IMAGE_END),
            "boot has bytes at {address:#x}, outside the image",
        );
        parts.push((address, bytes));
    }
    let start = parts.iter().map(|(address, _)| *address).min().context("boot is empty")?;
    let mut flat = vec![0; usize::try_from(IMAGE_END - start)?];
    for (address, bytes) in parts {
        let at = usize::try_from(address - start)?;
        flat[at..at + bytes.len()].copy_from_slice(bytes);
    }
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one 16-byte PT_LOAD a row: physical address, bytes in the file.
    fn elf(segments: &[(u64, u64)]) -> Vec<u8> {
        let count = u16::try_from(segments.len()).unwrap();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([2_u16, 62].iter().flat_map(|half| half.to_le_bytes()));
        file.extend(1_u32.to_le_bytes());
        file.extend([0_u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        file.extend([64, 56, count, 64, 0, 0].iter().flat_map(|half: &u16| half.to_le_bytes()));
        let data = 64 + 56 * u64::from(count);
        for (address, bytes) in segments {
            file.extend([1_u32, 5].iter().flat_map(|half| half.to_le_bytes()));
            let words = [data, *address, *address, *bytes, 16, 1];
            file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        file.extend(1..=16);
        file
    }

    #[test]
    fn boot_is_laid_out_up_to_four_gibibytes() {
        let flat = flatten(&elf(&[(0xffff_fff0, 16), (0x80_0000, 0), (0xffff_f000, 2)])).unwrap();
        assert_eq!(flat.len(), 4096);
        assert_eq!((&flat[..3], flat[4095]), (&[1, 2, 0][..], 16));
    }

    #[test]
    fn bytes_outside_the_image_are_refused() {
        for address in [0x80_0000, 0xfeff_fff0, 0xffff_fff1, u64::MAX] {
            assert!(flatten(&elf(&[(address, 16)])).is_err(), "{address:#x}");
        }
    }

    #[test]
    fn what_is_no_boot_is_refused() {
        let whole = elf(&[(0xffff_fff0, 16)]);
        assert!(flatten(&whole[..whole.len() - 1]).is_err());
        assert!(flatten(&elf(&[])).is_err());
        assert!(flatten(b"MZ").is_err());
    }
}
