//! Virtio devices in the trust domain: what it does to them is seen from outside.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use harness::{Exit, Options, Report, Virtio, fixture};

const BLOCK: usize = 512;

/// A disk of 32 blocks that hold something.
fn disk(test: &str) -> (PathBuf, Vec<u8>) {
    let content: Vec<u8> = (0..32 * BLOCK).map(|at| (at * 7 + at / BLOCK) as u8).collect();
    let folder = fixture::options(test, "virtio").logs;
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("disk.img");
    fs::write(&path, &content).unwrap();
    (path, content)
}

fn boot(test: &str, image: &str, devices: Vec<Virtio>) -> Report {
    fixture::boot(&Options { devices, ..fixture::options(test, image) })
}

/// What the payload makes of block 0.
fn transformed(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    for (byte, place) in block.iter_mut().zip(1_u8..=u8::MAX) {
        *byte = byte.wrapping_mul(3) ^ place;
    }
    block
}

#[test]
fn disk_entropy_and_console_work_through_shared_memory() {
    let test = "virtio";
    let (path, before) = disk(test);
    let folder = std::env::temp_dir().join(format!("tdlet-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        stream.write_all(b"hello from the host\n").unwrap();
        line
    });
    let devices = vec![Virtio::Rng, Virtio::Disk(path.clone()), Virtio::Console(socket)];
    let report = boot(test, "virtio", devices);
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    for device in ["disk", "entropy", "console"] {
        let line = format!("ok   {device}");
        assert!(report.console.lines().any(|other| other == line), "{}", report.console);
    }
    assert_eq!(host.join().unwrap(), "hello from the trust domain\n");
    assert!(report.vmm_log.contains("3 virtio devices, behind an IOMMU"), "{}", report.vmm_log);
    assert!(!report.vmm_log.contains("blocked"), "{}", report.vmm_log);
    let after = fs::read(&path).unwrap();
    assert_eq!(after[BLOCK..2 * BLOCK], transformed(&before[..BLOCK]));
    assert_eq!((&after[..BLOCK], &after[2 * BLOCK..]), (&before[..BLOCK], &before[2 * BLOCK..]));
}

#[test]
fn without_devices_there_are_none() {
    let report = boot("virtio-none", "virtio", Vec::new());
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.console.contains("none disk"), "{}", report.console);
    assert!(report.console.contains("shared 0 bytes"), "{}", report.console);
}

#[test]
fn the_default_kernel_reads_a_disk() {
    let (path, content) = disk("virtio-disk");
    let output = fixture::run("virtio-disk-run", &["--disk", path.to_str().unwrap()]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(console.contains("# disk of 32 blocks of 512 bytes"), "{console}");
    let first = format!("# block 0: {:02x?}", &content[..16]);
    assert!(console.contains(&first), "{console}");
    assert!(
        console.lines().any(|line| line.starts_with("ok ") && line.ends_with(" - disk")),
        "{console}"
    );
    assert_eq!(fs::read(&path).unwrap(), content);
}
