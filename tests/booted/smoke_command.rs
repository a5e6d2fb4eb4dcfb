//! `cargo xtask smoke` as a user types it: each exit code, and the last line on standard error.
//! What it prints and writes is given to parsers of others, which take nothing lightly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::{fixture, junit, paths, verdict};

/// What is wrong with a TAP stream, and what it says. [TAP14]
const TAP: &str = "
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const [tools, file] = process.argv.slice(-2);
const { Parser } = createRequire(`${tools}/node/`)('tap-parser');
let skipped = 0;
const parser = new Parser({ strict: true }, results => {
  const errors = results.failures.filter(one => one.tapError).map(one => one.tapError);
  const { count, pass, fail, bailout } = results;
  if (errors.length) throw new Error(errors.join('; '));
  console.log(`${count} points, ${pass} ok, ${fail} not ok, ${skipped} skipped, bail out ${!!bailout}`);
});
parser.on('assert', point => { if (point.skip) skipped += 1; });
parser.end(readFileSync(file));
";

/// What is wrong with a document by its XML schema.
const XSD: &str = "
import sys
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.argv[1]))
if not schema.validate(etree.parse(sys.argv[2])):
    sys.exit(str(schema.error_log))
";

/// The folder of the tools, which are there.
fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let output = fixture::xtask().arg("tools").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo xtask tools` needs the network: {stderr}");
        paths::tools()
    })
}

/// What a judge says about a file; `Err` if it refuses it.
fn judged(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn tap(file: &Path) -> Result<String, String> {
    let mut node = Command::new("node");
    judged(node.args(["--input-type=module", "-e", TAP, "--"]).arg(tools()).arg(file))
}

fn xsd(file: &Path) -> Result<String, String> {
    let mut python = Command::new(tools().join("venv/bin/python"));
    judged(python.args(["-c", XSD]).arg(tools().join("junit-10.xsd")).arg(file))
}

/// One run of the command.
struct Smoke {
    code: Option<i32>,
    stdout: String,
    /// The last line on standard error.
    last: String,
    folder: PathBuf,
}

fn smoke(test: &str, more: &[&str]) -> Smoke {
    let folder = fixture::scratch(&format!("command-{test}"));
    let mut command = fixture::xtask();
    command.args(["smoke", "--emulator", "--logs"]).arg(&folder);
    command.arg("--junit").arg(folder.join("junit.xml")).args(more);
    if let Ok(qemu) = std::env::var(fixture::QEMU)
        && !more.contains(&"--qemu")
    {
        command.args(["--qemu", &qemu]);
    }
    let output = fixture::in_slot(|| command.output().unwrap());
    let stdout = String::from_utf8(output.stdout).unwrap();
    fs::write(folder.join("tap"), &stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default().to_owned();
    Smoke { code: output.status.code(), stdout, last, folder }
}

impl Smoke {
    /// The exit code, the words of the last line, and what the TAP parser says; JUnit's schema
    /// has nothing to say.
    fn is(&self, code: i32, words: &[&str], stream: &str) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.last);
        for word in words {
            assert!(self.last.contains(word), "{word}: {}", self.last);
        }
        let said = tap(&self.folder.join("tap")).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains(stream), "{said}{}", self.stdout);
        let junit = self.folder.join("junit.xml");
        xsd(&junit).unwrap_or_else(|error| panic!("{error}"));
        // The validator that let it pass does not let everything pass.
        let broken = self.folder.join("broken.xml");
        let text = fs::read_to_string(&junit).unwrap();
        fs::write(&broken, text.replacen(" tests=", " test=", 1)).unwrap();
        assert!(xsd(&broken).is_err_and(|error| error.contains("test")), "{}", broken.display());
    }
}

#[test]
fn code_0_all_checks_passed() {
    let smoke = smoke("passes", &[]);
    println!("{}", smoke.last);
    smoke.is(0, &["passed: ", " checks in "], " 0 not ok, 0 skipped, bail out false");
}

#[test]
fn code_1_a_check_failed() {
    let smoke = smoke("fails", &["--module-options", "fault=ve.12:1:1"]);
    let words = ["kernel at fault: a check failed", "see the failed checks", "exit 1"];
    smoke.is(1, &words, " 1 not ok, 0 skipped, bail out false");
    let junit = fs::read_to_string(smoke.folder.join("junit.xml")).unwrap();
    assert!(junit.contains("failures=\"1\"") && junit.contains("name=\"hlt\""), "{junit}");
}

#[test]
fn code_2_nothing_was_started() {
    let smoke = smoke("no-qemu", &["--qemu", "/nonexistent"]);
    assert_eq!((smoke.code, &*smoke.stdout), (Some(2), ""), "{}", smoke.last);
    assert!(smoke.last.contains("apt-get install"), "{}", smoke.last);
    for words in [&["smoke", "--filter"][..], &["smoke", "--image", "a.fd", "--filter", "b"]] {
        let output = fixture::xtask().args(words).output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &[][..]), "{words:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn code_3_the_kernel_finds_no_trust_domain() {
    // Boot has asked before, and believed it.
    let smoke = smoke("hidden", &["--module-options", "fault=cpuid.21.ebx:2:1"]);
    smoke.is(
        3,
        &["at fault: not a trust domain", "boot the image as a trust domain"],
        "bail out true",
    );
}

#[test]
fn code_3_an_ordinary_machine() {
    // A QEMU that takes the image as the firmware of a plain PC, as one does on a host that
    // does not make its guests trust domains.
    let script = fixture::scratch("command-plain").join("qemu.sh");
    let text = "qemu=${TDLET_QEMU:-qemu-system-x86_64}\n\
                case \"$1\" in --version) exec $qemu --version;; esac\n\
                for word; do case \"$word\" in name=opt/tdlet/image,file=*) image=${word#*file=};;\n\
                esac; done\n\
                exec $qemu -M q35 -bios \"$image\" -display none -serial stdio \
                -device isa-debug-exit,iobase=0xf4,iosize=4\n";
    fs::write(&script, text).unwrap();
    let smoke = smoke("plain", &["--qemu", &format!("sh {}", script.display())]);
    smoke.is(
        3,
        &["at fault: not a trust domain", "boot the image as a trust domain"],
        "bail out true",
    );
}

#[test]
fn code_4_the_trust_domain_died() {
    fixture::xtask();
    let image = paths::image("panic");
    let smoke = smoke("dies", &["--image", image.to_str().unwrap()]);
    smoke.is(4, &["kernel at fault: ", "on purpose", "console.log"], "bail out true");
}

#[test]
fn code_5_it_took_too_long() {
    fixture::xtask();
    let image = paths::image("hang");
    let smoke = smoke("hangs", &["--image", image.to_str().unwrap(), "--timeout", "5"]);
    smoke.is(5, &["at fault: ", "--timeout"], "bail out true");
}

#[test]
fn a_skipped_check_is_no_failure() {
    // A host without MapGPA, as KVM was once: SUBFUNC_UNSUPPORTED.
    let config = "status=map-gpa^8000000000000003";
    let report = crate::smoke::boot("skips", "", config);
    let file = fixture::scratch("command-skips").join("tap");
    let mut stream = harness::tap::Stream::new(fs::File::create(&file).unwrap());
    std::io::Write::write_all(&mut stream, report.console.as_bytes()).unwrap();
    let results = stream.finish(None).unwrap();
    let said = tap(&file).unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains(" 0 not ok, 1 skipped, bail out false"), "{said}");
    let document = junit::document(&results, &verdict::judge(&report)).unwrap();
    let file = file.with_extension("xml");
    fs::write(&file, document).unwrap();
    assert_eq!(xsd(&file), Ok(String::new()));
}

#[test]
fn the_parser_refuses_what_is_no_tap() {
    let file = fixture::scratch("command-broken").join("tap");
    for (text, word) in [
        ("TAP version 14\n1..2\nok 1 - a\nhello\nok 2 - b\n", "Non-TAP data"),
        ("TAP version 14\n1..3\nok 1 - a\nok 2 - b\n", "incorrect number of tests"),
        ("TAP version 14\n1..1\nok 2 - a\n", "id greater than plan end"),
        ("TAP version 14\n1..1\nnot ok 1 - a\n  ---\n  step: \"x\n  ...\n", "Non-TAP data"),
    ] {
        fs::write(&file, text).unwrap();
        assert!(tap(&file).is_err_and(|error| error.contains(word)), "{text}");
    }
}
