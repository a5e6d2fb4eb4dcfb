//! `cargo xtask image`: the trust domain's image and what it measures to.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use harness::crosscheck::{hex, mrtd};
use harness::paths;
use image::{Metadata, PageOrder, Parts, layout};
use sha2::{Digest, Sha256};
use xshell::Shell;

use crate::strip::strip;
use crate::{bare, flags};

/// The options that our own kernel gets if nobody says otherwise.
pub(crate) const OPTIONS: &str = "accept=lazy";

pub(crate) fn run(sh: &Shell, flags: &flags::Image) -> Result<ExitCode> {
    let packages = if flags.kernel.is_some() { &bare::TD[..1] } else { &bare::TD[..] };
    bare::build(sh, packages)?;
    let kernel = flags.kernel.clone().unwrap_or_else(|| paths::bare("kernel"));
    let output = flags.output.clone().unwrap_or_else(|| paths::image("td"));
    let default = if flags.kernel.is_some() { "" } else { OPTIONS };
    let options = flags.append.as_ref().map_or(default, |text| &*text.0);
    let image = write(&kernel, options, &output)?;
    println!("image              {}", output.display());
    println!("size               {} bytes", image.len());
    println!("sha256             {}", hex(&Sha256::digest(&image)));
    println!("MRTD, KVM >= 6.16  {}", mrtd(&image, PageOrder::Interleaved)?);
    println!("MRTD, older KVM    {}", mrtd(&image, PageOrder::TwoPass)?);
    Ok(ExitCode::SUCCESS)
}

/// Puts boot, `kernel` and the text of its options together into the image `output`.
pub(crate) fn write(kernel: &Path, options: &str, output: &Path) -> Result<Vec<u8>> {
    let boot = bare::flatten(&read(&paths::bare("boot"))?)?;
    let kernel_elf = strip(&read(kernel)?).with_context(|| kernel.display().to_string())?;
    let parts = Parts {
        kernel_elf: &kernel_elf,
        boot: &boot,
        td_hob: layout::TD_HOB,
        temp_mem: &[layout::TEMP_MEM],
        options,
    };
    let mut image = vec![0; image::image_size(&parts)?];
    image::assemble(&parts, &mut image)?;
    // A QEMU may be reading the same image: never cut it short under its eyes.
    if fs::read(output).is_ok_and(|old| old == image) {
        return Ok(image);
    }
    replace(output, &image).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(image)
}

/// Writes a file under another name and moves it into place.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Reads an image and checks it as every VMM would: a bad one is never booted.
pub(crate) fn checked(path: &Path) -> Result<Vec<u8>> {
    let image = read(path)?;
    Metadata::parse(&image).with_context(|| format!("{} is refused", path.display()))?;
    Ok(image)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
