//! What `deploy/` holds is what its readers expect: libvirt, systemd, GitHub, Kubernetes,
//! builders of containers, shells. Each judge is also seen to refuse something broken.

pub(crate) mod judges;

use std::fs;
use std::path::PathBuf;

use harness::{fixture, paths};

use crate::command_line::outcome;
use judges::Judge;

const SCRIPT: &str = "scripts/tdlet-smoke";
const LIBVIRT: &str = "deploy/libvirt/tdlet.xml";
const SERVICE: &str = "deploy/systemd/tdlet-smoke.service";
const TIMER: &str = "deploy/systemd/tdlet-smoke.timer";
const GITHUB: &str = "deploy/github/tdx-smoke.yml";
const KUBERNETES: &str = "deploy/kubernetes/tdlet-smoke.yaml";
const CONTAINER: &str = "deploy/container/Containerfile";

fn text(artefact: &str) -> String {
    fs::read_to_string(paths::root().join(artefact)).expect(artefact)
}

/// A copy of an artefact with `from` in place of `to`.
fn changed(test: &str, artefact: &str, from: &str, to: &str) -> PathBuf {
    let text = text(artefact);
    assert!(text.contains(from), "{artefact} has no {from}");
    let name = paths::root().join(artefact);
    let copy = fixture::scratch(test).join(name.file_name().unwrap());
    fs::write(&copy, text.replacen(from, to, 1)).unwrap();
    copy
}

/// The artefact passes, and each change of it (`from`, `to`) is refused with some word.
fn judged(judge: Judge, artefact: &str, broken: &[(&str, &str, &str)]) {
    let test = format!("deploy-{}", artefact.replace(['/', '.'], "-"));
    let complaint = judge(&changed(&test, artefact, "", ""));
    assert_eq!(complaint, None, "{artefact}");
    for (from, to, word) in broken {
        let complaint = judge(&changed(&test, artefact, from, to));
        let complaint = complaint.unwrap_or_else(|| panic!("{artefact} may have {to:?}"));
        assert!(complaint.contains(word), "{to:?} is refused otherwise: {complaint}");
    }
}

#[test]
fn the_libvirt_domain_follows_libvirts_schema() {
    let broken = [
        ("type='tdx'", "type='tdy'", "launchSecurity"),
        ("<policy>0x10000000", "<policy>sept-ve-disable", "launchSecurity"),
        ("<ioapic driver='qemu'/>", "<ioapic driver='split'/>", "features"),
        ("stateless='yes'", "stateless='perhaps'", "os"),
    ];
    judged(judges::libvirt, LIBVIRT, &broken);
}

#[test]
fn the_units_are_what_systemd_reads() {
    let broken = [
        ("DynamicUser=", "DynamicUsr=", "DynamicUsr"),
        ("Type=oneshot", "Type=once", "once"),
        ("ExecStart=/usr/local/bin/", "ExecStart=bin/", "bin/tdlet-smoke"),
        ("DeviceAllow=/dev/kvm rw", "DeviceAllow=/dev/kvm rx", "rx"),
    ];
    judged(judges::systemd, SERVICE, &broken);
    let broken = [
        ("OnCalendar=*-*-* 03", "OnCalendar=*-*-* 25", "25:00:00"),
        ("RandomizedDelaySec=30min", "RandomizedDelaySec=30mims", "30mims"),
    ];
    judged(judges::systemd, TIMER, &broken);
}

#[test]
fn the_unit_shows_qemu_little_of_the_machine() {
    let broken = [
        ("CapabilityBoundingSet=\n", "", "exposure"),
        ("SystemCallFilter=@system-service\n", "", "exposure"),
    ];
    judged(judges::exposure, SERVICE, &broken);
}

#[test]
fn the_workflow_follows_githubs_schema() {
    let broken = [
        ("runs-on:", "run-on:", "runs-on"),
        ("timeout-minutes: 5", "timeout-minutes: soon", "timeout-minutes"),
        ("cron: \"0 3 * * *\"", "corn: \"0 3 * * *\"", "schedule"),
    ];
    judged(judges::workflow, GITHUB, &broken);
}

#[test]
fn the_kubernetes_objects_follow_their_schemas() {
    let broken = [
        ("initContainers:", "initContainer:", "initContainer"),
        ("type: CharDevice", "typ: CharDevice", "typ"),
        ("kind: DaemonSet", "kind: DemonSet", "DemonSet"),
        ("cpu: 100m", "cpu: [100m]", "cpu"),
    ];
    judged(judges::kubernetes, KUBERNETES, &broken);
}

#[test]
fn the_container_recipe_is_one() {
    let broken = [
        ("RUN apt-get", "RUNN apt-get", "missing whitespace"),
        ("ENTRYPOINT [\"/usr/local/bin/tdlet-smoke\"]", "ENTRYPOINT tdlet-smoke", "DL3025"),
        ("FROM docker.io/library/debian:forky-slim", "FROM docker.io/library/debian", "DL3006"),
    ];
    judged(judges::container, CONTAINER, &broken);
}

#[test]
fn the_script_is_one_for_any_posix_shell() {
    let broken = [
        ("[ $action = show ]", "[[ $action == show ]]", "SC3010"),
        ("rm -rf \"$work\"", "rm -rf $work", "SC2086"),
    ];
    judged(judges::shellcheck, SCRIPT, &broken);
    judged(judges::dash, SCRIPT, &[("    done\n", "    do\n", "yntax")]);
    judged(judges::busybox, SCRIPT, &[("    done\n", "    do\n", "yntax")]);
}

#[test]
fn all_artefacts_call_the_script_as_it_is_called() {
    let help = outcome(judges::script(&["--help"]).output().unwrap()).1;
    for artefact in [SERVICE, GITHUB, KUBERNETES] {
        let text = text(artefact);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let calls = lines.filter(|line| line.contains("tdlet-smoke -") || line.contains("args:"));
        let words: Vec<&str> = calls
            .flat_map(|line| line.split([' ', '"', ',', '[', ']']))
            .filter(|word| word.starts_with("--"))
            .collect();
        assert!(!words.is_empty(), "{artefact} passes no option");
        assert!(words.iter().all(|word| help.contains(&format!("  {word} "))), "{words:?}");
    }
    for artefact in [LIBVIRT, SERVICE, KUBERNETES, CONTAINER] {
        assert!(text(artefact).contains("/usr/local/share/tdlet/td.fd"), "{artefact}");
    }
}
