//! Finding a QEMU that can carry the emulated module.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// The QEMU looked for on `PATH` when none is named.
pub const DEFAULT: &str = "qemu-system-x86_64";

/// The oldest QEMU whose SVM the module is written for. [SVM B1]
pub const OLDEST: Version = Version(7, 2, 15);

/// The oldest QEMU that launches a trust domain on KVM. [TDVF 3.1]
pub const OLDEST_WITH_TDX: Version = Version(10, 1, 0);

/// A QEMU version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

/// A QEMU that runs here and is new enough.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: String,
    arguments: Vec<String>,
    /// What `--version` said.
    pub version: Version,
}

/// Why a QEMU cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QemuError {
    /// There is no such program.
    Missing(String),
    /// It ran, and is too old.
    TooOld(String, Version),
    /// It is there and `--version` does not say which QEMU it is.
    Unusable(String, String),
}

impl Qemu {
    /// Finds the QEMU that `command` names: a path, a name on `PATH`, or either
    /// followed by arguments of its own (`-L FOLDER` for one outside `/usr`).
    pub fn find(command: &str) -> Result<Self, QemuError> {
        let mut words: Vec<String> = if Path::new(command).is_file() {
            vec![command.to_owned()]
        } else {
            command.split_whitespace().map(str::to_owned).collect()
        };
        if words.is_empty() {
            return Err(QemuError::Missing(command.to_owned()));
        }
        let arguments = words.split_off(1);
        let mut qemu = Self { program: words.remove(0), arguments, version: OLDEST };
        qemu.version = match qemu.command().arg("--version").output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                Version::parse(&text)
                    .ok_or_else(|| QemuError::Unusable(command.to_owned(), text))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(QemuError::Missing(command.to_owned()));
            }
            Err(error) => return Err(QemuError::Unusable(command.to_owned(), error.to_string())),
        };
        if qemu.version < OLDEST {
            return Err(QemuError::TooOld(command.to_owned(), qemu.version));
        }
        Ok(qemu)
    }

    /// A child process of this QEMU, without any machine yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

impl Version {
    /// Reads the first line of `qemu-system-x86_64 --version`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix("QEMU emulator version ")?;
        let number = number.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut parts = number.split('.').map(|part| part.parse().ok());
        Some(Self(parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl fmt::Display for QemuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(command) => write!(f, "there is no {command}"),
            Self::TooOld(command, version) => {
                write!(f, "{command} is QEMU {version}; tdlet needs {OLDEST} or newer")
            }
            Self::Unusable(command, said) => {
                write!(f, "{command} --version is not that of a QEMU: {}", said.trim())
            }
        }
    }
}

impl std::error::Error for QemuError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_read() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
        assert_eq!(Version::parse(debian), Some(Version(7, 2, 22)));
        assert_eq!(Version::parse("QEMU emulator version 10.0.2\n"), Some(Version(10, 0, 2)));
        assert_eq!(Version::parse("QEMU emulator version 9.1-rc1"), Some(Version(9, 1, 0)));
        assert_eq!(Version::parse("qemu-img version 7.2.22"), None);
        assert_eq!(Version::parse(""), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(Version(10, 0, 0) > Version(7, 2, 22));
        assert!(Version(7, 2, 9) < OLDEST);
    }

    #[test]
    fn a_missing_qemu_is_told_from_a_strange_one() {
        assert_eq!(
            Qemu::find("/nonexistent").unwrap_err(),
            QemuError::Missing("/nonexistent".into())
        );
        assert_eq!(Qemu::find("").unwrap_err(), QemuError::Missing(String::new()));
        assert!(matches!(Qemu::find("true"), Err(QemuError::Unusable(..))));
    }

    #[test]
    fn an_old_qemu_is_refused_with_both_versions() {
        let error = Qemu::find("echo QEMU emulator version 6.2.0").unwrap_err();
        assert!(error.to_string().contains("QEMU 6.2.0; tdlet needs 7.2.15"), "{error}");
    }
}
