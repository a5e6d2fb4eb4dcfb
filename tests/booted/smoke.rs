//! The smoke test: it passes, and each of its checks fails when what it checks is not so.
//!
//! A fault is one of the emulated module's (`fault=…`), or of the VMM's configuration. It spoils
//! one thing, and so one check fails, and the boot ends with exit code 1. Ordinal numbers in the
//! faults count what the kernel does before: of the fourth read of a port, three were others'.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use harness::tap::{Outcome, Results, Stream};
use harness::{Options, Report, Virtio, fixture, verdict};

/// The image of `cargo xtask smoke`.
pub(crate) fn image() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let image = fixture::scratch("smoke-image").join("quiet.fd");
        let mut command = fixture::xtask();
        command.args(["image", "--append", "accept=lazy quiet", "--output"]).arg(&image);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        image
    });
    made.clone()
}

fn results(report: &Report) -> Results {
    let mut stream = Stream::new(io::sink());
    stream.write_all(report.console.as_bytes()).unwrap();
    stream.finish(None).unwrap()
}

pub(crate) fn boot(name: &str, module: &str, vmm: &str) -> Report {
    let options = fixture::options(&format!("smoke-{name}"), "td");
    let (module_options, config) = (module.to_owned(), vmm.to_owned());
    fixture::boot(&Options { image: image(), module_options, config, ..options })
}

/// Boots with a fault: the check alone fails.
fn fails_alone(name: &str, module: &str, vmm: &str) {
    is_alone(name, &boot(name, module, vmm));
}

/// The check alone fails, all others are made, and the exit code is 1.
fn is_alone(name: &str, report: &Report) {
    let results = results(report);
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    let failed = results.checks.iter().filter(|check| failed(&check.outcome));
    let failed: Vec<&str> = failed.map(|check| &*check.name).collect();
    assert_eq!(failed, [name], "{report:#?}");
    assert!(results.is_complete(), "{report:#?}");
    assert_eq!(verdict::judge(report).code, verdict::FAILED, "{report:#?}");
}

/// Boots with a disk of zeros.
fn boot_with_disk(test: &str, vmm: &str) -> Report {
    let options = fixture::options(test, "td");
    let disk = options.logs.join("disk.img");
    fs::write(&disk, [0; 4096]).unwrap();
    let (devices, config) = (vec![Virtio::Disk(disk)], vmm.to_owned());
    fixture::boot(&Options { image: image(), devices, config, ..options })
}

/// The check that is made only where there is a disk.
#[test]
fn disk() {
    let report = boot_with_disk("smoke-disk-passes", "");
    assert_eq!(verdict::judge(&report).code, verdict::PASSED, "{report:#?}");
    assert!(results(&report).checks.iter().any(|check| check.name == "disk"), "{report:#?}");
    // A bit of the features that the first device offers: it is not one of virtio 1.
    is_alone("disk", &boot_with_disk("smoke-disk", "answer=mmio@c0004004^1"));
}

/// Each check, the module's options and the VMM's configuration with which it fails.
macro_rules! faults {
    ($($test:ident $name:literal $module:literal $vmm:literal)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                fails_alone($name, $module, $vmm);
            }
        )*
    };
}

faults! {
    // Boot and the kernel have asked before.
    detection "detection" "fault=cpuid.21.ebx:3:1" ""
    vp_info "vp-info" "fault=out.1.r8:0:1" ""
    attributes "attributes" "fault=out.7.r8:1:40000000:1110000300000000" ""
    // The check compares two answers of the host's.
    cpuid_host "cpuid-host" "" "answer=cpuid@40000000#2^1"
    cpuid_local "cpuid-local" "fault=cpuid.6.eax:0:4" ""
    // The console's driver looks for its UART by this register.
    io_8 "io-8" "" "answer=io@3ff#4^1"
    // The width of its IN.
    io_16 "io-16" "fault=ve.30:1:1:cfc0009" ""
    // A bit that reads of 16 bits do not have, and that is not the vendor's.
    io_32 "io-32" "" "answer=io@cfc^80000000"
    io_immediate "io-immediate" "fault=ve.30:1:1:800040" ""
    io_string "io-string" "" "answer=io@3ff#5^1"
    rdmsr "rdmsr" "" "answer=rdmsr@1b^1000"
    wrmsr "wrmsr" "" "answer=rdmsr@832^1"
    hlt "hlt" "fault=ve.12:1:1" ""
    invd "invd" "fault=ve.13:1:1" ""
    vmcall "vmcall" "fault=ve.18:1:1" ""
    monitor "monitor" "fault=ve.39:1:1" ""
    mwait "mwait" "fault=ve.36:1:1" ""
    mov_cr4 "mov-cr4" "fault=ve.28:1:1" ""
    wbinvd "wbinvd" "fault=ve.54:1:1" ""
    apic_write "apic-write" "fault=ve.56:1:1000" ""
    mmio_32 "mmio-32" "" "answer=mmio@fec00010#1^1"
    mmio_16 "mmio-16" "" "answer=mmio@fec00000#1^100"
    mmio_8 "mmio-8" "" "answer=mmio@fec00000#2^1"
    mmio_extend "mmio-extend" "" "answer=mmio@fec00000#3^1"
    registers "registers" "fault=out.0.r15:0:1:c00" ""
    no_rbp_mod "no-rbp-mod" "" "flags=0x0"
    // Pages of the first unit that the heap accepts, and of the one behind it.
    accept "accept" "fault=keep:0:202000 fault=keep:0:402000" "features=dirty-pages"
    convert "convert" "" "status=map-gpa^8000000000000000"
    report "report" "fault=report.520:1:1" ""
    report_verify "report-verify" "fault=drop.22:0" ""
    rtmr "rtmr" "fault=drop.2:0" ""
    tsc_frequency "tsc-frequency" "fault=out.7.r8:1:1:111000010000000c" ""
    // The module says the same wrong frequency twice.
    time "time" "fault=out.7.r8:1:40:111000010000000c fault=cpuid.15.ebx:0:40" ""
    // The check of registers has asked before.
    host_info "host-info" "" "status=info#2^8000000000000000"
}

#[test]
fn without_a_fault_every_check_passes_and_every_check_has_a_fault() {
    let report = boot("passes", "", "");
    assert_eq!(verdict::judge(&report).code, verdict::PASSED, "{report:#?}");
    let results = results(&report);
    assert!(results.passed(), "{report:#?}");
    let skipped = results.checks.iter().filter(|check| check.outcome != Outcome::Passed);
    assert_eq!(skipped.count(), 0, "{report:#?}");
    let made: BTreeSet<&str> = results.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(made, NAMES.iter().copied().collect());
    assert_eq!(made.len(), results.checks.len(), "two checks have one name");
    println!("{} checks in {:.2} s", made.len(), report.elapsed.as_secs_f64());
}

#[test]
fn a_fault_that_is_none_stops_the_module() {
    let report = boot("no-fault", "fault=ve.30:1", "");
    assert!(report.module_log.contains("option fault=ve.30:1 is no ve, out"), "{report:#?}");
    assert_ne!(verdict::judge(&report).code, verdict::PASSED);
    let report = boot("no-answer", "", "answer=hlt^1");
    assert_eq!(verdict::judge(&report).code, verdict::REFUSED, "{report:#?}");
}
