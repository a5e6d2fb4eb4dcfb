//! Every state of a host, and what is said about it.

use std::fs;

use harness::qemu::Version;

use super::super::host::Launcher;
use super::*;

/// A host on which a trust domain can be started.
fn ready() -> Host {
    Host {
        cpuinfo: Some(cpuinfo("GenuineIntel", "fpu vmx tdx_host_platform movdir64b")),
        release: Some("6.16.0-1-amd64\n".to_owned()),
        cmdline: Some("BOOT_IMAGE=/vmlinuz ro nohibernate kvm_intel.tdx=1\n".to_owned()),
        hibernation: Some("[disabled]\n".to_owned()),
        kvm_intel: true,
        parameter: Some("Y\n".to_owned()),
        device: Device::Opens,
        qemu: Ok(Launcher { version: OLDEST_WITH_TDX, object: true }),
    }
}

/// The same host before anybody set it up: everything but the hardware is missing.
fn fresh() -> Host {
    Host {
        cpuinfo: Some(cpuinfo("GenuineIntel", "fpu vmx")),
        cmdline: Some("BOOT_IMAGE=/vmlinuz ro\n".to_owned()),
        parameter: Some("N\n".to_owned()),
        ..ready()
    }
}

fn cpuinfo(vendor: &str, flags: &str) -> String {
    format!("processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: A Xeon\nflags\t\t: {flags}\n")
}

/// The line of one need.
fn line(host: &Host, name: &str) -> Check {
    checks(host).into_iter().find(|check| check.name == name).unwrap()
}

fn assert_line(host: &Host, name: &str, state: State, words: &[&str]) {
    let check = line(host, name);
    assert_eq!(check.state, state, "{check}");
    for word in words {
        assert!(check.to_string().contains(word), "{word} in: {check}");
    }
    assert_eq!(check.advice.is_empty(), state == State::Ok, "{check}");
}

#[test]
fn a_ready_host_has_no_obstacle() {
    let checks = checks(&ready());
    assert_eq!(obstacle(&checks), None);
    assert!(checks.iter().all(|check| check.state == State::Ok), "{checks:#?}");
}

/// The line that complains, how, in which words, and the host that it is about.
fn unready() -> [(&'static str, State, &'static str, Host); 18] {
    use State::{CannotTell, Missing};
    let missing_qemu = || Err("there is no qemu-system-x86_64".to_owned());
    let old: Result<_, String> = Ok(Launcher { version: Version(10, 0, 9), object: false });
    let bare = Ok(Launcher { version: Version(11, 0, 0), object: false });
    [
        ("CPU", CannotTell, "no vendor", Host { cpuinfo: None, ..ready() }),
        (
            "CPU",
            Missing,
            "AuthenticAMD processors have no TDX",
            Host { cpuinfo: Some(cpuinfo("AuthenticAMD", "svm")), ..fresh() },
        ),
        (
            "CPU",
            Missing,
            "virtual machine",
            Host { cpuinfo: Some(cpuinfo("GenuineIntel", "vmx hypervisor")), ..fresh() },
        ),
        ("BIOS", Missing, "turn on TME", fresh()),
        (
            "kernel",
            Missing,
            "install Linux 6.16",
            Host { release: Some("6.15.9".to_owned()), ..ready() },
        ),
        ("kernel", Missing, "Linux Plan9", Host { release: Some("Plan9".to_owned()), ..ready() }),
        ("kernel", CannotTell, "osrelease", Host { release: None, ..ready() }),
        (
            "hibernation",
            Missing,
            "nohibernate",
            Host { hibernation: Some("[platform] shutdown reboot\n".to_owned()), ..fresh() },
        ),
        (
            "kvm_intel.tdx",
            Missing,
            "modprobe kvm_intel tdx=1",
            Host { kvm_intel: false, parameter: None, ..ready() },
        ),
        ("kvm_intel.tdx", Missing, "CONFIG_KVM_INTEL_TDX", Host { parameter: None, ..ready() }),
        (
            "kvm_intel.tdx",
            Missing,
            "kvm_intel.tdx=1",
            Host {
                parameter: Some("N\n".to_owned()),
                cmdline: Some("ro kvm_intel.tdx=0".to_owned()),
                ..ready()
            },
        ),
        ("TDX module", Missing, "dmesg", Host { parameter: Some("N\n".to_owned()), ..ready() }),
        ("/dev/kvm", Missing, "--device /dev/kvm", Host { device: Device::Missing, ..ready() }),
        ("/dev/kvm", Missing, "usermod -aG kvm", Host { device: Device::Forbidden, ..ready() }),
        ("QEMU", Missing, "install QEMU 10.1.0", Host { qemu: missing_qemu(), ..ready() }),
        ("QEMU", Missing, "10.0.9 cannot", Host { qemu: old.clone(), ..ready() }),
        ("tdx-guest", CannotTell, "too old", Host { qemu: old.clone(), ..ready() }),
        ("tdx-guest", Missing, "no such object", Host { qemu: bare, ..ready() }),
    ]
}

#[test]
fn each_need_alone_is_an_obstacle() {
    for (name, state, words, host) in unready() {
        assert_line(&host, name, state, &[words]);
        let checks = checks(&host);
        assert_eq!(obstacle(&checks).map(|check| check.state == State::Ok), Some(false), "{name}");
    }
}

#[test]
fn the_first_missing_need_is_the_one_that_is_named() {
    let name = |host: &Host| obstacle(&checks(host)).map(|check| check.name);
    assert_eq!(name(&fresh()), Some("BIOS"));
    let on = Host { cpuinfo: ready().cpuinfo, ..fresh() };
    assert_eq!(name(&on), Some("kvm_intel.tdx"));
    let tried = Host { cmdline: ready().cmdline, ..on };
    assert_eq!(name(&tried), Some("TDX module"));
    assert_eq!(name(&Host { device: Device::Forbidden, ..ready() }), Some("/dev/kvm"));
    // What cannot be told yields to what is known to be missing.
    assert_eq!(name(&Host { release: Some("6.8.0".to_owned()), ..fresh() }), Some("kernel"));
}

#[test]
fn the_bios_is_blamed_only_when_it_must_be() {
    let told = |host: &Host| line(host, "BIOS").state;
    assert_eq!(told(&fresh()), State::Missing);
    let old = Host { release: Some("6.8.0".to_owned()), ..fresh() };
    assert_line(&old, "BIOS", State::CannotTell, &["dmesg", "this kernel does not tell"]);
    assert_eq!(told(&Host { parameter: None, ..fresh() }), State::CannotTell);
    let hibernation = Some("[platform]".to_owned());
    assert_eq!(told(&Host { hibernation, ..fresh() }), State::CannotTell);
    // KVM would not have kept the parameter.
    assert_eq!(told(&Host { cpuinfo: fresh().cpuinfo, ..ready() }), State::Ok);
}

#[test]
fn a_module_that_nobody_tried_is_not_judged() {
    assert_line(&fresh(), "TDX module", State::CannotTell, &["kvm_intel.tdx first"]);
    let cmdline = Some("ro kvm_intel.tdx".to_owned());
    let tried = Host { cmdline, ..fresh() };
    assert_line(&tried, "kvm_intel.tdx", State::Ok, &["asked for"]);
    assert_line(&tried, "TDX module", State::Missing, &["turned it off again"]);
}

#[test]
fn versions_of_linux_are_compared_as_numbers() {
    let state = |release: &str| {
        line(&Host { release: Some(release.to_owned()), ..ready() }, "kernel").state
    };
    for newer in ["6.16", "6.16.0-rc1+", "6.100.1", "7.0.13-1-amd64"] {
        assert_eq!(state(newer), State::Ok, "{newer}");
    }
    for older in ["6.9.0", "6.15.99", "5.99.0", "6", ""] {
        assert_eq!(state(older), State::Missing, "{older}");
    }
}

#[test]
fn the_facts_are_read_below_a_root_folder() {
    let root = std::env::temp_dir().join(format!("tdlet-doctor-{}", std::process::id()));
    let empty = Host::read(&root);
    assert!(!empty.kvm_intel && empty.cpuinfo.is_none() && empty.parameter.is_none());
    assert_eq!(empty.device, Device::Missing);
    for (path, text) in [
        ("proc/cpuinfo", &*ready().cpuinfo.unwrap()),
        ("proc/sys/kernel/osrelease", "6.16.0\n"),
        ("proc/cmdline", "quiet kvm_intel.tdx=on\n"),
        ("sys/power/disk", "[disabled]\n"),
        ("sys/module/kvm_intel/parameters/tdx", "Y\n"),
        ("dev/kvm", ""),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let host = Host { qemu: ready().qemu, ..Host::read(&root) };
    fs::remove_dir_all(&root).unwrap();
    assert!(host.asked_for() && host.kvm_has_tdx() && host.kvm_intel);
    assert_eq!(host.device, Device::Opens);
    assert_eq!(obstacle(&checks(&host)), None);
}

#[test]
fn a_line_reads_as_need_finding_and_advice() {
    assert_eq!(
        line(&Host { device: Device::Forbidden, ..ready() }, "/dev/kvm").to_string(),
        "missing      /dev/kvm       this user may not open it; \
         sudo usermod -aG kvm \"$USER\" and log in again"
    );
    let ok = line(&ready(), "CPU").to_string();
    assert_eq!(ok, "ok           CPU            A Xeon");
}
