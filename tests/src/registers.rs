//! The VMM's book of registers: what it saw of the TD's at each kind of exit
//! (`registers=poison`).

/// A line of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The exit: `vmcall 0x1e write`, `vmcall vendor` or `exit 48`.
    pub exit: String,
    /// VP.VMCALL: the mask of exposed registers.
    pub mask: Option<u64>,
    /// How many there were.
    pub count: u64,
    /// Registers that held something that is neither argument nor exit information.
    pub leaked: u64,
}

/// The book's lines in the VMM's log.
pub fn book(vmm_log: &str) -> Vec<Seen> {
    vmm_log.lines().filter_map(|line| seen(line.strip_prefix("vmm: ")?)).collect()
}

/// `vmcall 0x1e write mask 0xfc00 seen 812 leaked 0x0`, `exit 48 seen 3071 leaked 0x0`.
fn seen(line: &str) -> Option<Seen> {
    let (line, leaked) = line.split_once(" leaked ")?;
    let (line, count) = line.split_once(" seen ")?;
    let (exit, mask) = match line.split_once(" mask ") {
        Some((exit, mask)) => (exit, Some(hexadecimal(mask)?)),
        None => (line, None),
    };
    let is_exit = exit.starts_with(if mask.is_some() { "vmcall " } else { "exit " });
    let count = count.parse().ok()?;
    is_exit.then_some(Seen { exit: exit.into(), mask, count, leaked: hexadecimal(leaked)? })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_is_found_among_other_lines() {
        let log = "vmm: td exits 4 (by reason: 48=1 77=3)\n\
                   vmm: leak: vmcall 0xa mask 0xfc00: 0x4 of Regs { rax: 4d }\n\
                   vmm: vmcall 0x1e write mask 0xfc00 seen 12 leaked 0x0\n\
                   vmm: vmcall vendor mask 0x1c00 seen 3 leaked 0x80000004\n\
                   vmm: exit 48 seen 1 leaked 0x0\n\
                   vmm: reclaimed 5 pages, none left\n";
        let line =
            |exit: &str, mask, count, leaked| Seen { exit: exit.into(), mask, count, leaked };
        let expected = [
            line("vmcall 0x1e write", Some(0xFC00), 12, 0),
            line("vmcall vendor", Some(0x1C00), 3, 0x8000_0004),
            line("exit 48", None, 1, 0),
        ];
        assert_eq!(book(log), expected);
    }

    #[test]
    fn a_line_that_is_cut_is_no_line() {
        for line in ["vmm: vmcall 0x1e mask 0xfc00 seen 12", "vmm: exit 48 seen x leaked 0x0"] {
            assert_eq!(book(line), []);
        }
    }
}
