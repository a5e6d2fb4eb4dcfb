//! The terminal that a shell runs on.
//!
//! QEMU makes it raw for the serial port and puts it back at its end, but not when it is killed.

use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

/// Whether somebody can type.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Puts the terminal's settings back when it goes.
#[derive(Debug)]
pub(crate) struct Settings(Option<String>);

impl Settings {
    /// Keeps the settings of now. Without `stty` there is nothing to keep.
    pub(crate) fn keep() -> Self {
        let output = Command::new("stty").arg("-g").stdin(Stdio::inherit()).output();
        let text = output.ok().filter(|output| output.status.success());
        Self(text.and_then(|output| String::from_utf8(output.stdout).ok()))
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // Fails only if the terminal is gone.
            drop(Command::new("stty").arg(settings.trim()).stdin(Stdio::inherit()).status());
        }
    }
}
