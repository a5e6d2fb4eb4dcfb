//! The commands, one table.

mod access;
mod end;
mod identity;
mod measure;
mod raw;
mod story;

use super::words::{Complaint, Words};
use crate::{Kernel, Verdict, println};

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another line.
    Line,
    /// The end.
    End(Verdict),
}

/// What a command gives.
type Done<'a> = Result<Next, Complaint<'a>>;

/// A command.
pub(super) struct Command {
    /// Its name.
    pub(super) name: &'static str,
    /// The words behind it.
    pub(super) usage: &'static str,
    help: &'static str,
    /// What it does.
    pub(super) run: for<'a> fn(&mut Kernel, Words<'a>) -> Done<'a>,
}

/// All commands, in the order of `help`.
pub(super) const COMMANDS: [Command; 17] = [
    command("help", "[COMMAND]", "what there is", help),
    command("td", "", "who this trust domain is", identity::td),
    command("cpuid", "LEAF [SUBLEAF]", "executes CPUID", identity::cpuid),
    command("msr", "INDEX [VALUE]", "RDMSR; with a value, asks the host to write", access::msr),
    command("in", "PORT [1|2|4]", "IN of so many bytes", access::input),
    command("out", "PORT VALUE [1|2|4]", "OUT of so many bytes", access::output),
    command("peek", "GPA [1|2|4|8]", "reads memory or a device", access::peek),
    command("poke", "GPA VALUE [1|2|4|8]", "writes a device", access::poke),
    command("ve", "", "#VEs by cause, and the last one", story::ve),
    command("calls", "", "TDCALLs by leaf and sub-function, and the slowest #VE", story::calls),
    command("mem", "", "the map of memory, and how much is accepted and shared", story::memory),
    command("report", "", "the TDREPORT, and whether this platform knows it", identity::report),
    command("bench", "[TIMES]", "ticks that calls and exceptions take", measure::bench),
    command("test", "[NAME]", "the checks with NAME in their names", measure::test),
    command("history", "", "the lines before", |_, words| words.end().map(|()| Next::Line)),
    command("panic", "", "panics, on purpose", end::panic),
    command("poweroff", "", "ends the run", end::power_off),
];

const fn command(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    run: for<'a> fn(&mut Kernel, Words<'a>) -> Done<'a>,
) -> Command {
    Command { name, usage, help, run }
}

fn help<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let wanted = words.next();
    words.end()?;
    let is_wanted = |command: &&Command| wanted.is_none_or(|name| command.name == name);
    let mut found = COMMANDS.iter().filter(is_wanted).peekable();
    if found.peek().is_none() {
        return Err(Complaint::Bad(wanted.unwrap_or(""), "a command"));
    }
    for Command { name, usage, help, .. } in found {
        println!("  {name:<8} {usage:<20} {help}");
    }
    Ok(Next::Line)
}
