//! `cargo xtask tidy`: rules of the house that no compiler knows.
//!
//! * The instructions `tdcall` and `seamcall` stand in one source file.
//! * Only the files listed here may opt in to unsafe code.
//! * No file is longer than 400 lines, tests apart.
//! * There is no mutable static.
//! * A leaf of the module cites the section that it follows, at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use harness::paths;

const MAX_LINES: usize = 400;

/// Where unsafe code may be, folder by folder; its reason stands at its head.
const MAY_BE_UNSAFE: [(&str, &str); 11] = [
    ("arch/src/", "*"),
    ("tdcall/src/", "*"),
    ("boot/src/", "bootinfo enter entry fatal memory td testing/oracle"),
    (
        "kernel/src/",
        "attest checks/io checks/memory checks/mmio checks/msr checks/refused checks/registers \
         checks/time console debug exit interrupts memory/bytes memory/heap memory/live memory/mod memory/shared/copy \
         memory/shared/machine memory/shared/pages memory/store msr shell/commands/raw td traps \
         ve/emulate/tests/native virtio/hal",
    ),
    (
        "emulator/module/src/",
        "main svm/cpu svm/in_place svm/log svm/pages svm/ram svm/start svm/td/vcpu svm/vmm svm/vmm_exit \
         svm/world_switch",
    ),
    ("emulator/vmm/src/", "main"),
    ("emulator/vmm/src/bare/", "*"),
    ("tests/payloads/src/bin/", "*"),
    (
        "tests/payloads/src/conform/",
        "modes run tables/vp_veinfo_get target traps typed typed_busy world",
    ),
    (
        "tests/hosts/src/",
        "bare/apic bare/config bare/memory bare/mod busy/typed run \
         scenarios/build scenarios/enter scenarios/exposed scenarios/memory scenarios/mod \
         scenarios/others scenarios/quick scenarios/running scenarios/system vmx",
    ),
    ("tests/bench/", "*"),
];

/// Folders in which every file is one leaf.
const LEAVES: [&str; 2] = ["emulator/module/src/tdh/", "emulator/module/src/tdg/"];

pub(crate) fn run() -> Result<ExitCode> {
    let problems = problems(paths::root())?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every breach of a rule, as `file: what`.
fn problems(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    sources(root, &mut files)?;
    files.sort();
    let mut problems = Vec::new();
    let mut callers = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file)?;
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        problems.extend(file_problems(&name, &text).into_iter().map(|p| format!("{name}: {p}")));
        if has_instruction(&text) {
            callers.push(name);
        }
    }
    if callers.len() > 1 {
        problems.push(format!("TDCALL or SEAMCALL stand in more than one file: {callers:?}"));
    }
    Ok(problems)
}

/// Source files below `folder`, without what is built and what is hidden.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, files)?;
            }
        } else if [".rs", ".S", ".s", ".ld"].iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
    Ok(())
}

fn file_problems(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().take_while(|line| *line != "mod tests {").count();
    let only_tests = name.contains("/tests/") || name.ends_with("tests.rs");
    if lines > MAX_LINES && !only_tests {
        problems.push(format!("{lines} lines; split it, {MAX_LINES} is the ceiling"));
    }
    let opts_in = code(text).any(|line| {
        line == "unsafe_code," || line.starts_with('#') && line.contains("unsafe_code")
    });
    if opts_in && !may_be_unsafe(name) {
        problems.push("unsafe code outside the list in xtask/src/tidy.rs".to_owned());
    }
    let is_static = |line: &str| {
        line.split("static mut ").next().is_some_and(|before| {
            before.len() < line.len()
                && matches!(before.trim_end(), "" | "pub" | "pub(crate)" | "pub(super)")
        })
    };
    if code(text).any(is_static) {
        problems.push("a mutable static; use a cell of arch".to_owned());
    }
    let leaf = LEAVES.iter().any(|folder| name.starts_with(folder)) && !name.ends_with("/mod.rs");
    if leaf && !cites_at_once(text) {
        problems.push("a leaf starts with its name and a citation such as [ABI-G 4.1]".to_owned());
    }
    problems
}

fn may_be_unsafe(name: &str) -> bool {
    MAY_BE_UNSAFE.iter().any(|(folder, files)| {
        let file = name.strip_prefix(folder).and_then(|rest| rest.strip_suffix(".rs"));
        file.is_some_and(|file| *files == "*" || files.split(' ').any(|other| other == file))
    })
}

/// The lines of a file without comments and without its test module.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    lines.map(str::trim_start).filter(|line| !line.starts_with("//"))
}

/// Whether a line of assembly is TDCALL or SEAMCALL, or their bytes.
fn has_instruction(text: &str) -> bool {
    code(text).map(str::to_ascii_lowercase).any(|line| {
        let line = line.trim_start_matches(['"', ' ']);
        let bytes = line.strip_prefix(".byte").map(|bytes| bytes.replace([' ', '\t'], ""));
        let rest = line.strip_prefix("tdcall").or_else(|| line.strip_prefix("seamcall"));
        // Rust that starts with the same word goes on in another way.
        let assembly = |rest: &str| {
            let rest = rest.trim();
            let ends = rest.is_empty() || rest.starts_with(['"', ';', '#', '\\']);
            ends && !rest.contains("=>")
        };
        rest.is_some_and(assembly)
            || bytes.is_some_and(|bytes| bytes.starts_with("0x66,0x0f,0x01,0xc"))
    })
}

/// Whether the first paragraph of the module doc has a `[KEY n.n]`.
fn cites_at_once(text: &str) -> bool {
    let doc = text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: String = doc.take_while(|line| !line.trim().is_empty()).collect();
    let keys = ["[ABI-G ", "[ABI-H ", "[TDVF ", "[SVM ", "[APM", "[SDM"];
    keys.iter().any(|key| paragraph.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        assert_eq!(problems(paths::root()).unwrap(), [""; 0]);
    }

    #[test]
    fn instructions_are_told_from_words() {
        let instructions = [
            "    \"tdcall\",",
            "seamcall",
            "\tTDCALL ; now",
            "\"seamcall\\n\"",
            ".byte 0x66, 0x0f, 0x01, 0xcc",
        ];
        for text in instructions {
            assert!(has_instruction(text), "{text}");
        }
        let words = [
            "// tdcall",
            "use tdcall::raw;",
            "tdcall::accept(gpa)",
            "let tdcall = 1;",
            "tdcall = {}",
            "\"tdcall\" => 1,",
            "[0x66, 0x0f, 0x01, 0xcc]",
            "mod tests {\n\"tdcall\",",
        ];
        for text in words {
            assert!(!has_instruction(text), "{text}");
        }
    }

    #[test]
    fn each_rule_is_seen_failing() {
        let count = |name: &str, text: &str| file_problems(name, text).len();
        assert_eq!(count("abi/src/a.rs", "fn f() {}\n"), 0);
        assert_eq!(count("abi/src/a.rs", &"\n".repeat(401)), 1);
        assert_eq!(count("abi/src/a.rs", &format!("mod other {{\n{}}}", "\n".repeat(401))), 1);
        assert_eq!(count("abi/src/a.rs", &format!("mod tests {{\n{}}}", "\n".repeat(401))), 0);
        assert_eq!(count("abi/src/a.rs", "#![expect(unsafe_code, reason = \"x\")]"), 1);
        assert_eq!(count("abi/src/a.rs", "#![expect(\n    unsafe_code,\n"), 1);
        assert_eq!(count("arch/src/a.rs", "#![expect(unsafe_code, reason = \"x\")]"), 0);
        assert_eq!(count("abi/src/a.rs", "pub static mut X: u8 = 0;"), 1);
        assert_eq!(count("abi/src/a.rs", "fn f(x: &'static mut u8) {}"), 0);
        let leaf = "emulator/module/src/tdh/mng_init.rs";
        assert_eq!(count(leaf, "//! TDH.MNG.INIT\n//!\n//! [ABI-H 4.1]\n"), 1);
        assert_eq!(count(leaf, "//! TDH.MNG.INIT: makes it. [ABI-H 4.1]\n"), 0);
        assert_eq!(count("emulator/module/src/tdh/mod.rs", "//! Leaves.\n"), 0);
    }
}
