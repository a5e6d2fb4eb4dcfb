//! The programs in `examples/`, as the guide has them run.

use std::fs;

use harness::{fixture, paths};

#[test]
fn hello_runs_and_is_as_short_as_it_says() {
    let output = fixture::run("example-hello", &["--app", "hello"]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for words in ["hello from a trust domain", "MHz", "my heap works", "I was measured as"] {
        assert!(console.contains(words), "{words}: {console}");
    }
    let source = fs::read_to_string(paths::root().join("examples/hello/src/main.rs")).unwrap();
    assert!(source.lines().count() <= 30);
    // The guide shows the program as it is.
    let guide = fs::read_to_string(paths::root().join("docs/write-a-td-program.md")).unwrap();
    assert!(guide.contains(source.trim_end()), "docs/write-a-td-program.md has another program");
}

#[test]
fn a_program_that_is_not_there_is_named_with_those_that_are() {
    let output = fixture::run("example-missing", &["--app", "nothing"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no program nothing: there is hello"), "{told}");
}
