//! The documents name files and symbols: they must be there.
//!
//! Checked are the words between backticks. `kernel/src/ve/io.rs` is a file, a folder ends
//! with `/`, and `kernel/src/ve/io.rs::route` is a symbol that occurs in a file. Words that
//! begin with `target/` are built, and not checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use harness::paths;

/// Files that documents name are of these kinds.
const KINDS: [&str; 7] = [".rs", ".S", ".s", ".ld", ".toml", ".md", "/"];

/// What `text` names and none of `folders` has; and how many names there were.
fn check(text: &str, folders: &[PathBuf]) -> (Vec<String>, usize) {
    let names: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains(char::is_whitespace) && !word.starts_with("target/"))
        .filter(|word| {
            let file = word.split("::").next().unwrap_or(word);
            file.contains('/') && KINDS.iter().any(|kind| file.ends_with(kind))
        })
        .collect();
    let missing = names.iter().filter_map(|name| {
        let (file, symbol) = name.split_once("::").unwrap_or((name, ""));
        let path = folders.iter().map(|folder| folder.join(file)).find(|path| path.exists());
        let Some(path) = path else { return Some((*name).to_owned()) };
        if symbol.is_empty() {
            return None;
        }
        let last = symbol.rsplit("::").next().unwrap_or(symbol).trim_end_matches("()");
        let found = fs::read_to_string(path).is_ok_and(|text| text.contains(last));
        (!found).then(|| (*name).to_owned())
    });
    (missing.collect(), names.len())
}

/// The repository's root.
fn root() -> Vec<PathBuf> {
    vec![paths::root().to_owned()]
}

/// Every folder of the repository: an overview may leave out the way to a file.
fn anywhere() -> Vec<PathBuf> {
    let mut folders = root();
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let skipped = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "target" || name.starts_with('.')
        };
        folders.extend(entries.filter(|path| path.is_dir() && !skipped(path)));
        next += 1;
    }
    folders
}

fn document(name: &str) -> String {
    fs::read_to_string(paths::root().join(name)).expect(name)
}

#[test]
fn the_life_of_an_out_names_files_and_symbols_that_exist() {
    let (missing, names) = check(&document("docs/life-of-an-out.md"), &root());
    assert_eq!(missing, [""; 0]);
    assert!(names >= 8, "only {names} files are named: hop by hop means more");
}

#[test]
fn overviews_name_files_that_exist() {
    for name in ["README.md", "ARCHITECTURE.md", "docs/memory.md"] {
        assert_eq!(check(&document(name), &anywhere()).0, [""; 0], "{name}");
    }
}

#[test]
fn a_wrong_name_is_noticed() {
    let text =
        "`tests/src/lib.rs` `tests/src/lib.rs::boot` `tests/` `fn no/file()` `target/x/a.rs`";
    assert_eq!(check(text, &root()), (vec![], 3));
    let text = "`tests/src/gone.rs` `tests/src/lib.rs::gone` `gone/`";
    assert_eq!(check(text, &root()).0.len(), 3);
}
