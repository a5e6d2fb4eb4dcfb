//! One run from start to end: module, TD, teardown, verdict.

use image::Metadata;

use crate::config::{Config, Probe};
use crate::construct::{self, HOB_BYTES, Image};
use crate::end::End;
use crate::failure::Failure;
use crate::idle::Watchdog;
use crate::ram::Ranges;
use crate::registers::Registers;
use crate::run::{self, Exits};
use crate::seam::{Cpu, Devices, Memory, Seamcall};
use crate::system;
use crate::td::{Td, Vmm};
use crate::tdmr::MAX_RANGES;
use crate::teardown::{self, Keys};

/// The four seams.
pub struct Seams<'a> {
    /// The TDX module.
    pub module: &'a mut dyn Seamcall,
    /// The VMM's memory.
    pub memory: &'a mut dyn Memory,
    /// QEMU's devices.
    pub devices: &'a mut dyn Devices,
    /// The processor.
    pub cpu: &'a mut dyn Cpu,
}

impl core::fmt::Debug for Seams<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Seams").finish_non_exhaustive()
    }
}

/// Builds the TD that `config` and `image` describe, runs it, and takes it apart. The module
/// is initialised (`system::init`); `free` is RAM that it can have. Returns the verdict.
pub fn session(
    seams: Seams<'_>,
    free: Ranges<MAX_RANGES>,
    config: &Config,
    image: Image<'_>,
    hob: &mut [u8; HOB_BYTES],
) -> u32 {
    let end = match prepare(seams, free, config, image) {
        Ok(prepared) => return prepared.live(config, image, hob),
        Err(error) => End::Failed(error),
    };
    log::info!("{end}");
    end.verdict()
}

/// A TD that has been created, and what goes with it.
struct Prepared<'a, 'b> {
    vmm: Vmm<'a>,
    td: Td,
    metadata: Metadata<'b>,
    capabilities: system::Capabilities,
    keys: Keys,
}

/// Everything up to TDH.MNG.CREATE. The image is checked first: a bad one costs nothing.
fn prepare<'a, 'b>(
    seams: Seams<'a>,
    free: Ranges<MAX_RANGES>,
    config: &Config,
    image: Image<'b>,
) -> Result<Prepared<'a, 'b>, Failure> {
    let metadata = Metadata::parse(image.bytes)?;
    let Seams { module, memory, devices, cpu } = seams;
    let system = system::configure(module, memory, cpu, free)?;
    let (keys, capabilities) = (Keys::from(&system), system.capabilities);
    let mut vmm = Vmm { module, memory, devices, cpu, pool: system.pool };
    let hkid = keys.global_hkid + 1;
    let td = construct::create(&mut vmm, config, image.bytes.len() as u64, hkid, &keys)?;
    Ok(Prepared { vmm, td, metadata, capabilities, keys })
}

impl Prepared<'_, '_> {
    /// Runs the TD and takes it apart, whatever came of it.
    fn live(mut self, config: &Config, image: Image<'_>, hob: &mut [u8; HOB_BYTES]) -> u32 {
        let (mut exits, mut registers) = (Exits::new(), Registers::new(config.registers));
        let end = self.build_and_run(config, image, hob, (&mut exits, &mut registers));
        let end = end.unwrap_or_else(End::Failed);
        if let End::Died(crate::end::Death::Fatal { code, .. }) = end
            && code != 0
        {
            log::info!("fatal error code {code:#x}");
        }
        log::info!("{end}");
        log::info!("td exits {exits}");
        registers.log();
        self.td.conversion.log();
        match teardown::teardown(&mut self.vmm, &self.td, &self.keys) {
            Ok(pages) => {
                log::info!("reclaimed {pages} pages, none left");
                end.verdict()
            }
            Err(error) => {
                log::error!("{error}");
                error.verdict()
            }
        }
    }

    fn build_and_run(
        &mut self,
        config: &Config,
        image: Image<'_>,
        hob: &mut [u8; HOB_BYTES],
        (exits, registers): (&mut Exits, &mut Registers),
    ) -> Result<End, Failure> {
        let Self { vmm, td, metadata, capabilities, .. } = self;
        construct::configure(vmm, td, config, capabilities)?;
        let td_hob = metadata.td_hob().memory_address;
        let mut vcpu = construct::vcpu(vmm, td, config, capabilities, td_hob)?;
        let private_page = construct::load(vmm, td, image, metadata, hob)?;
        log::info!("mrtd {}", Hex(&construct::mrtd(vmm, td)?));
        probe(vmm, config.probe, private_page)?;
        let watchdog = Watchdog::start(vmm.cpu, config.timeout_ms);
        let end = run::run(vmm, td, &mut vcpu, watchdog, exits, registers);
        vcpu.ports.pci.quiesce(vmm.devices);
        Ok(end)
    }
}

/// Touches a private page. The module must stop the VMM, so that this does not return.
fn probe(vmm: &mut Vmm<'_>, probe: Probe, page: abi::Hpa) -> Result<(), Failure> {
    let access = match probe {
        Probe::None => return Ok(()),
        Probe::ReadPrivate => {
            log::info!("reading TD-private {page:?}");
            let _: u64 = vmm.memory.read_u64(page);
            "read"
        }
        Probe::WritePrivate => {
            log::info!("writing TD-private {page:?}");
            vmm.memory.write_u64(page, 0);
            "wrote"
        }
    };
    Err(Failure::NotStopped { access })
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;
