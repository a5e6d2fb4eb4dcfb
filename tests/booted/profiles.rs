//! The kernel compiled otherwise: without most optimisations, and without link-time
//! optimisation. What holds of the shipped kernel holds of these.

use std::sync::Mutex;

use harness::qemu::{DEFAULT, Qemu};
use harness::{Exit, Options, Report, fixture, paths};

/// Images, the devices that they want of QEMU, and the VMM's configuration.
const RUNS: [(&str, &str, &str); 5] = [
    ("td", "", ""),
    ("td", "", "registers=poison"),
    ("ve_causes", "", "features=pconfig+wbinvd+scratch-port"),
    ("hygiene", "", "registers=poison"),
    ("differ", "-device pc-testdev", ""),
];

/// Boots an image whose kernel was compiled with `profile`.
fn boot(profile: &str, image: &str, devices: &str, config: &str) -> Report {
    let base = std::env::var(fixture::QEMU).unwrap_or_else(|_| DEFAULT.to_owned());
    let options = fixture::options(&format!("profile-{profile}-{image}"), image);
    let options = Options {
        image: paths::image_of(profile, image),
        config: config.to_owned(),
        timeout: options.timeout * 4,
        ..options
    };
    fixture::boot_on(&Qemu::find(&format!("{base} {devices}")).unwrap(), &options)
}

/// Compiles with this profile and runs everything.
fn check(profile: &str) {
    static ONE_BUILD: Mutex<()> = Mutex::new(());
    {
        let _one = ONE_BUILD.lock().unwrap();
        let status = fixture::xtask().args(["build", "--profile", profile]).status().unwrap();
        assert!(status.success(), "the {profile} kernel does not build");
    }
    for (image, devices, config) in RUNS {
        let report = boot(profile, image, devices, config);
        assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{image}: {report:#?}");
    }
}

#[test]
fn a_kernel_without_most_optimisations_works() {
    check(paths::OTHER_PROFILES[0]);
}

#[test]
fn a_kernel_without_link_time_optimisation_works() {
    check(paths::OTHER_PROFILES[1]);
}
