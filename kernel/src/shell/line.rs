//! The line editor: bytes of a terminal in, a line and what the terminal shows out.
//!
//! | key | does |
//! |---|---|
//! | Enter | ends the line |
//! | Backspace, Delete, Ctrl-D | removes a character; Ctrl-D in an empty line ends the input |
//! | Left, Right, Home, End, Ctrl-A, Ctrl-E | moves |
//! | Up, Down | earlier and later lines |
//! | Tab | completes a word |
//! | Ctrl-U, Ctrl-K, Ctrl-W | removes up to here, from here, a word |
//! | Ctrl-L | clears the screen |
//! | Ctrl-C | drops the line |
//!
//! Any bytes may come, in any number: a line has at most [`MAX_LINE`] characters, of printable
//! ASCII; what is longer is refused as a whole, and bytes that mean nothing are dropped.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// The most characters of a line.
pub(super) const MAX_LINE: usize = 256;
/// The most lines that are remembered.
const MAX_HISTORY: usize = 32;
/// The most bytes of an escape sequence; a longer one is none.
const MAX_ESCAPE: usize = 8;

/// What a byte led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing yet.
    None,
    /// A whole line.
    Line(String),
    /// A line that was too long, and is dropped.
    TooLong,
    /// Ctrl-C: the line is dropped.
    Interrupt,
    /// Ctrl-D in an empty line.
    End,
}

/// The line so far, and the lines before.
#[derive(Debug)]
pub(super) struct Editor {
    prompt: &'static str,
    line: String,
    /// Characters before the cursor.
    cursor: usize,
    is_too_long: bool,
    history: Vec<String>,
    /// The remembered line that is shown; none is a new one.
    shown: Option<usize>,
    escape: Option<Vec<u8>>,
    /// The last byte was a carriage return: a line feed behind it belongs to it.
    was_return: bool,
}

impl Editor {
    /// An empty line.
    #[must_use]
    pub(super) const fn new(prompt: &'static str) -> Self {
        Self {
            prompt,
            line: String::new(),
            cursor: 0,
            is_too_long: false,
            history: Vec::new(),
            shown: None,
            escape: None,
            was_return: false,
        }
    }

    /// Shows an empty line.
    pub(super) fn begin(&mut self, out: &mut impl Write) {
        self.clear();
        show(out, format_args!("{}", self.prompt));
    }

    /// The lines that are remembered, the oldest first.
    #[must_use]
    pub(super) fn history(&self) -> &[String] {
        &self.history
    }

    /// Takes a byte. `complete` gives the words that can stand for the last word of a text.
    pub(super) fn feed<'a>(
        &mut self,
        byte: u8,
        complete: impl Fn(&str) -> Vec<&'a str>,
        out: &mut impl Write,
    ) -> Event {
        let is_rest_of_return = byte == b'\n' && self.was_return;
        self.was_return = byte == b'\r';
        if self.escape.is_some() {
            self.in_escape(byte, out);
            return Event::None;
        }
        match byte {
            b'\n' if is_rest_of_return => {}
            b'\r' | b'\n' => return self.end_line(out),
            0x03 => {
                show(out, format_args!("^C\n"));
                self.clear();
                return Event::Interrupt;
            }
            0x04 if self.line.is_empty() => return Event::End,
            0x1B => self.escape = Some(Vec::new()),
            b'\t' => self.tab(&complete, out),
            b' '..=b'~' => self.insert(byte as char, out),
            _ => self.edit(byte, out),
        }
        Event::None
    }

    fn end_line(&mut self, out: &mut impl Write) -> Event {
        show(out, format_args!("\n"));
        let is_too_long = self.is_too_long;
        let line = core::mem::take(&mut self.line);
        self.clear();
        if is_too_long {
            return Event::TooLong;
        }
        self.remember(&line);
        Event::Line(line)
    }

    fn clear(&mut self) {
        self.line.clear();
        (self.cursor, self.is_too_long, self.shown) = (0, false, None);
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.last().is_some_and(|last| last == line) {
            return;
        }
        if self.history.len() == MAX_HISTORY {
            self.history.remove(0);
        }
        self.history.push(line.into());
    }

    fn insert(&mut self, character: char, out: &mut impl Write) {
        if self.line.len() >= MAX_LINE {
            self.is_too_long = true;
            return;
        }
        self.line.insert(self.cursor, character);
        self.cursor += 1;
        if self.cursor == self.line.len() {
            show(out, format_args!("{character}"));
        } else {
            self.redraw(out);
        }
    }

    /// Control characters that change the line.
    fn edit(&mut self, byte: u8, out: &mut impl Write) {
        match byte {
            0x01 => self.cursor = 0,
            0x05 => self.cursor = self.line.len(),
            0x08 | 0x7F => self.remove_before(1),
            0x04 => self.remove_at(),
            0x0B => self.line.truncate(self.cursor),
            0x15 => self.remove_before(self.cursor),
            0x17 => {
                let before = self.line[..self.cursor].trim_end();
                let word = before.rfind(' ').map_or(0, |space| space + 1);
                self.remove_before(self.cursor - word);
            }
            0x0C => show(out, format_args!("\x1B[H\x1B[2J")),
            _ => return,
        }
        self.redraw(out);
    }

    fn remove_before(&mut self, count: usize) {
        let start = self.cursor.saturating_sub(count);
        self.line.drain(start..self.cursor);
        self.cursor = start;
    }

    fn remove_at(&mut self) {
        if self.cursor < self.line.len() {
            self.line.remove(self.cursor);
        }
    }

    /// `ESC [ … letter` or `ESC O letter`; anything else is dropped.
    fn in_escape(&mut self, byte: u8, out: &mut impl Write) {
        let Some(sequence) = &mut self.escape else { return };
        sequence.push(byte);
        let is_begun = matches!(sequence[..], [b'[' | b'O', ..]);
        let is_over = sequence.len() > 1 && (0x40..=0x7E).contains(&byte);
        if is_begun && !is_over && sequence.len() < MAX_ESCAPE {
            return;
        }
        let sequence = self.escape.take().unwrap_or_default();
        match &sequence[..] {
            [_, b'A'] => self.older(),
            [_, b'B'] => self.newer(),
            [_, b'C'] => self.cursor = (self.cursor + 1).min(self.line.len()),
            [_, b'D'] => self.cursor = self.cursor.saturating_sub(1),
            [_, b'H'] | [b'[', b'1', b'~'] => self.cursor = 0,
            [_, b'F'] | [b'[', b'4', b'~'] => self.cursor = self.line.len(),
            [b'[', b'3', b'~'] => self.remove_at(),
            _ => return,
        }
        self.redraw(out);
    }

    fn older(&mut self) {
        let older = self.shown.unwrap_or(self.history.len()).checked_sub(1);
        self.recall(older.or(self.shown));
    }

    fn newer(&mut self) {
        let newer = self.shown.map(|shown| shown + 1);
        self.recall(newer.filter(|newer| *newer < self.history.len()));
    }

    fn recall(&mut self, which: Option<usize>) {
        self.shown = which;
        self.line = which.and_then(|n| self.history.get(n).cloned()).unwrap_or_default();
        self.cursor = self.line.len();
    }

    fn tab<'a>(&mut self, complete: &impl Fn(&str) -> Vec<&'a str>, out: &mut impl Write) {
        let before = &self.line[..self.cursor];
        let word = &before[before.rfind(' ').map_or(0, |space| space + 1)..];
        let known = word.len();
        let words = complete(before);
        let Some(common) = common_start(&words).filter(|common| common.len() >= known) else {
            return;
        };
        let mut rest = String::from(&common[known..]);
        match &words[..] {
            [_] => rest.push(' '),
            _ if rest.is_empty() => {
                show(out, format_args!("\n{}\n", words.join("  ")));
                self.redraw(out);
            }
            _ => {}
        }
        for character in rest.chars() {
            self.insert(character, out);
        }
    }

    fn redraw(&self, out: &mut impl Write) {
        show(out, format_args!("\r{}{}\x1B[K", self.prompt, self.line));
        let behind = self.line.len() - self.cursor;
        if behind > 0 {
            show(out, format_args!("\x1B[{behind}D"));
        }
    }
}

/// What all of them begin with; none of none.
fn common_start<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (first, others) = words.split_first()?;
    let same = |other: &&str| first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let length = others.iter().map(same).min().unwrap_or(first.len());
    first.get(..length)
}

/// A terminal that does not take something can not be told so.
fn show(out: &mut impl Write, text: core::fmt::Arguments<'_>) {
    let _is_shown = out.write_fmt(text).is_ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: [&str; 4] = ["cpuid", "calls", "poke", "poweroff"];

    fn complete(before: &str) -> Vec<&'static str> {
        WORDS.into_iter().filter(|word| word.starts_with(before)).collect()
    }

    /// The events of some bytes, and what the terminal got.
    fn type_in(editor: &mut Editor, bytes: &[u8]) -> (Vec<Event>, String) {
        let mut out = String::new();
        let events = bytes.iter().map(|byte| editor.feed(*byte, complete, &mut out));
        let events = events.filter(|event| *event != Event::None).collect();
        (events, out)
    }

    fn line(bytes: &[u8]) -> String {
        let mut editor = Editor::new("> ");
        match type_in(&mut editor, bytes).0.pop() {
            Some(Event::Line(line)) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_what_was_typed() {
        assert_eq!(line(b"hello td\r"), "hello td");
        let (events, out) = type_in(&mut Editor::new("> "), b"a\r\nb\nc\r");
        let expected = ["a", "b", "c"].map(|text| Event::Line(text.into()));
        assert_eq!(events, expected);
        assert_eq!(out, "a\nb\nc\n");
    }

    #[test]
    fn a_line_can_be_edited() {
        assert_eq!(line(b"abd\x7Fc\r"), "abc");
        assert_eq!(line(b"bc\x1B[D\x1B[Da\r"), "abc");
        assert_eq!(line(b"bc\x01a\x05d\r"), "abcd");
        assert_eq!(line(b"abc\x1B[H\x1B[3~\x04\r"), "c");
        assert_eq!(line(b"one two  \x17three\r"), "one three");
        assert_eq!(line(b"abc\x1BOD\x0B\r"), "ab");
        assert_eq!(line(b"abc\x1B[D\x15\r"), "c");
    }

    #[test]
    fn words_are_completed() {
        assert_eq!(line(b"cp\t1\r"), "cpuid 1");
        assert_eq!(line(b"po\tk\t\r"), "poke ");
        let (_, out) = type_in(&mut Editor::new("> "), b"po\t");
        assert!(out.contains("\npoke  poweroff\n"), "{out:?}");
        assert_eq!(line(b"xyz\t\r"), "xyz");
    }

    #[test]
    fn earlier_lines_come_back() {
        let mut editor = Editor::new("> ");
        type_in(&mut editor, b"one\rtwo\rtwo\r \r");
        assert_eq!(editor.history(), ["one", "two"]);
        for (keys, expected) in [
            (&b"\x1B[A\r"[..], "two"),
            (b"\x1B[A\x1B[A\x1B[A\x1B[A!\r", "one!"),
            (b"\x1B[A\x1B[Bnew\r", "new"),
        ] {
            assert_eq!(type_in(&mut editor, keys).0, [Event::Line(expected.into())]);
        }
    }

    #[test]
    fn interrupt_and_end_are_told() {
        let (events, out) = type_in(&mut Editor::new("> "), b"abc\x03x\r\x04");
        assert_eq!(events, [Event::Interrupt, Event::Line("x".into()), Event::End]);
        assert!(out.contains("^C\n"));
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_whole_and_the_next_one_is_not() {
        let mut bytes = std::vec![b'x'; 10_000];
        bytes.extend(b"\rhelp\r");
        let (events, out) = type_in(&mut Editor::new("> "), &bytes);
        assert_eq!(events, [Event::TooLong, Event::Line("help".into())]);
        assert!(out.len() < 2 * MAX_LINE);
        assert_eq!(line(&[&[b'x'; MAX_LINE][..], b"\r"].concat()).len(), MAX_LINE);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut editor = Editor::new("> ");
            let (events, _) = type_in(&mut editor, &bytes);
            for event in events {
                if let Event::Line(line) = event {
                    prop_assert!(line.len() <= MAX_LINE);
                    prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                }
            }
            prop_assert!(editor.line.len() <= MAX_LINE && editor.cursor <= editor.line.len());
            prop_assert!(editor.history.len() <= MAX_HISTORY);
            prop_assert!(editor.escape.is_none_or(|escape| escape.len() < MAX_ESCAPE));
        }
    }
}
