//! The shell: commands typed on the console.
//!
//! Whatever is typed, the kernel goes on: words are checked before they mean something, what
//! an instruction may be refused is caught, and memory that can not be touched is not. What
//! asks for the end gets it: `panic`, `poweroff`, and a write to a port that ends the machine.

mod commands;
mod line;
mod words;

use alloc::vec::Vec;
use core::fmt;

use self::commands::{COMMANDS, Next};
use self::line::{Editor, Event, MAX_LINE};
use self::words::Words;
use crate::{Kernel, Verdict, checks, console, print, println, time, ve};

const PROMPT: &str = "td> ";
/// How long the processor rests when nothing is typed.
const REST_NS: u64 = 10_000_000;

/// Takes commands until one ends it.
pub fn run(kernel: &mut Kernel) -> Verdict {
    ve::start_timing();
    println!("tdlet shell: help lists the commands, Tab completes them");
    let mut editor = Editor::new(PROMPT);
    loop {
        editor.begin(&mut Console);
        match read(&mut editor) {
            Event::Line(line) => {
                if let Next::End(verdict) = execute(kernel, &line, editor.history()) {
                    return verdict;
                }
            }
            Event::TooLong => println!("a line has at most {MAX_LINE} characters"),
            Event::End => {
                println!("poweroff");
                return Verdict::Passed;
            }
            Event::Interrupt | Event::None => {}
        }
    }
}

/// The next event of the line.
fn read(editor: &mut Editor) -> Event {
    loop {
        let Some(byte) = console::read_byte() else {
            time::rest(REST_NS);
            continue;
        };
        match editor.feed(byte, completions, &mut Console) {
            Event::None => {}
            event => return event,
        }
    }
}

/// The words that can stand for the last word of `before`.
fn completions(before: &str) -> Vec<&'static str> {
    let (first, word) = before.rsplit_once(' ').unwrap_or(("", before));
    let begins = |name: &&str| name.starts_with(word);
    let commands = COMMANDS.iter().map(|command| command.name);
    match first.trim() {
        "" | "help" => commands.filter(begins).collect(),
        "test" => checks::names().filter(begins).collect(),
        _ => Vec::new(),
    }
}

fn execute(kernel: &mut Kernel, line: &str, history: &[alloc::string::String]) -> Next {
    let Some((name, words)) = Words::of(line) else { return Next::Line };
    if name == "history" {
        for line in history {
            println!("  {line}");
        }
        return Next::Line;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        println!("{name} is no command; help lists them");
        return Next::Line;
    };
    (command.run)(kernel, words).unwrap_or_else(|complaint| {
        println!("{complaint}; it is: {} {}", command.name, command.usage);
        Next::Line
    })
}

/// The console, as the editor wants it.
struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        print!("{text}");
        Ok(())
    }
}
