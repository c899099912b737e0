//! Cuts text into JSON objects without knowing how the writer laid them out.
//!
//! One framer reads JSON lines, objects one after the other or spread over lines, and arrays of objects, in any
//! mixture. It keeps at most one object in memory ([`EVENT_BYTES_MAX`]); a longer one is an error and is skipped.
//!
//! The promise is that a broken piece costs only itself. A scanner follows brackets and strings, and also the
//! grammar, as far as structure goes. What closes is handed on even when the grammar was broken: the parser says
//! best what is wrong with it. What does not close must not swallow what follows:
//!
//! * A line break inside a string is never valid. An object that is broken by the end of its first line ends there.
//! * A line whose first byte is `{`, not further right than the open object's own `{`, begins a new object if the
//!   grammar does not allow one here, or if the open object's other lines are indented.
//! * Where the grammar does allow it (a line was cut off behind `[`, `,` or `:`) the framer reads on. If the object
//!   never closes, the lines inside it that are complete objects by themselves are handed on after all.
//!
//! Text between objects is an error, one a line; an object behind it on the same line is found.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::Bytes;

use super::EVENT_BYTES_MAX;
use crate::source::ErrorKind;

/// Bytes asked for in one read.
const READ_LEN: usize = 64 * 1024;
/// Bytes of stray text kept for its error.
const STRAY_TEXT_MAX: usize = 40;
/// Brackets whose kind is remembered; deeper ones are only counted. The parser refuses 128 already.
const KINDS_MAX: usize = 256;

/// Mark that some writers put at the head of UTF-8 files.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the framer finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Line (from 1) where it begins.
    pub(crate) line: u64,
    /// An object from `{` to `}`, or what is wrong.
    pub(crate) content: Result<Bytes, ErrorKind>,
}

/// Cuts what a reader gives into objects.
#[derive(Debug)]
pub(crate) struct Framer<R> {
    reader: R,
    /// Where reads go.
    piece: Box<[u8]>,
    /// A window on the input: the open object, and what was read beyond.
    window: Vec<u8>,
    /// The next byte to look at, in the window.
    at: usize,
    /// Everything was read.
    ended: bool,
    line: u64,
    /// Bytes since the last line break.
    column: usize,
    state: State,
    /// An error for stray text was given for this line.
    stray_reported: bool,
    /// Stray text that is being collected.
    stray: Vec<u8>,
    in_array: bool,
    found: VecDeque<Frame>,
    limit: usize,
}

#[derive(Debug)]
enum State {
    /// Between objects.
    Between,
    /// Behind a `[` between objects: an array of objects, or text.
    ArrayOpened,
    /// In text between objects.
    Stray,
    /// In an object.
    Open(Open),
}

#[derive(Debug)]
struct Open {
    /// Where it begins in the window. None: it is too long, was reported, and is skipped.
    start: Option<usize>,
    line: u64,
    column: usize,
    /// Stray text stands before it on its line: it counts only if it is closed on this line, grammatical and not
    /// empty, and goes without an error otherwise.
    behind_stray: bool,
    /// Something but blanks follows `{` on the first line.
    first_line_has_content: bool,
    /// One of the other lines begins further right than the object.
    indented: bool,
    /// Only blanks so far on this line.
    at_line_start: bool,
    structure: Structure,
}

impl Open {
    /// A line begins with `{`, not further right than this object's own: whether it is a new object.
    fn ends_before_this_line(&self) -> bool {
        let skipped_line = self.start.is_none() && self.first_line_has_content;
        self.structure.broken || !self.structure.allows_value() || self.indented || skipped_line
    }
}

impl<R: Read> Framer<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self::with_limit(reader, EVENT_BYTES_MAX)
    }

    fn with_limit(reader: R, limit: usize) -> Self {
        Self {
            reader,
            piece: vec![0; READ_LEN].into_boxed_slice(),
            window: Vec::new(),
            at: 0,
            ended: false,
            line: 1,
            column: 0,
            state: State::Between,
            stray_reported: false,
            stray: Vec::new(),
            in_array: false,
            found: VecDeque::new(),
            limit,
        }
    }

    /// The next object or error; None at the end of the input.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.found.pop_front() {
                return Some(frame);
            }
            if self.at < self.window.len() {
                self.scan();
            } else if self.ended {
                self.finish();
                return self.found.pop_front();
            } else if let Err(error) = self.read() {
                // The window is scanned to its end: what follows cannot be read.
                self.ended = true;
                self.error(self.line, ErrorKind::Read { message: error.to_string() });
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let keep_from = match &self.state {
            State::Open(Open { start: Some(start), .. }) => *start,
            _ => self.at,
        };
        self.window.drain(..keep_from);
        self.at -= keep_from;
        if let State::Open(Open { start: Some(start), .. }) = &mut self.state {
            *start = 0;
        }
        let got = loop {
            match self.reader.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let piece = got.as_ref().ok().and_then(|len| self.piece.get(..*len)).unwrap_or_default();
        self.window.extend_from_slice(piece);
        self.ended = piece.is_empty();
        got.map(|_| ())
    }

    fn error(&mut self, line: u64, kind: ErrorKind) {
        self.found.push_back(Frame { line, content: Err(kind) });
    }

    /// Looks at the window until something is found or its end is reached.
    fn scan(&mut self) {
        while self.found.is_empty() && self.at < self.window.len() {
            match &mut self.state {
                State::Open(_) => self.scan_open(),
                _ => self.scan_between(),
            }
        }
    }

    fn step(&mut self, byte: u8) {
        self.at += 1;
        self.column += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 0;
            self.stray_reported = false;
        }
    }

    fn scan_between(&mut self) {
        let byte = self.window[self.at];
        let in_stray = matches!(self.state, State::Stray);
        match byte {
            b'{' => {
                if matches!(self.state, State::ArrayOpened) {
                    self.in_array = true;
                }
                let behind_stray = in_stray || self.stray_reported;
                self.end_stray();
                self.state = State::Open(Open {
                    start: Some(self.at),
                    line: self.line,
                    column: self.column,
                    behind_stray,
                    first_line_has_content: false,
                    indented: false,
                    at_line_start: false,
                    structure: Structure::default(),
                });
            }
            b'\n' => {
                if matches!(self.state, State::ArrayOpened) {
                    self.in_array = true;
                }
                self.end_stray();
                self.state = State::Between;
                self.step(byte);
            }
            _ if in_stray => {
                if self.stray.len() < STRAY_TEXT_MAX {
                    self.stray.push(byte);
                }
                self.step(byte);
            }
            b' ' | b'\t' | b'\r' => self.step(byte),
            _ if BOM.get(self.column) == Some(&byte) => {
                self.step(byte);
                // It takes no place of its own.
                if self.column == BOM.len() {
                    self.column = 0;
                }
            }
            b',' if matches!(self.state, State::Between) => self.step(byte),
            b'[' if matches!(self.state, State::Between) => {
                self.state = State::ArrayOpened;
                self.step(byte);
            }
            b']' if self.in_array || matches!(self.state, State::ArrayOpened) => {
                self.in_array = false;
                self.state = State::Between;
                self.step(byte);
            }
            _ => {
                if matches!(self.state, State::ArrayOpened) {
                    self.stray.push(b'[');
                }
                self.state = State::Stray;
            }
        }
    }

    /// Reports the stray text collected, once a line.
    fn end_stray(&mut self) {
        if self.stray.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.stray).trim_end().escape_debug().to_string();
        self.stray.clear();
        if !self.stray_reported {
            self.stray_reported = true;
            self.error(self.line, ErrorKind::NotAnObject { text });
        }
    }

    fn scan_open(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        if open.structure.in_plain_string() {
            // The bulk of all input: go to the next byte that matters.
            let rest = &self.window[self.at..];
            let len = memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
            self.at += len;
            self.column += len;
        }
        let Some(&byte) = self.window.get(self.at) else { return self.check_limit() };
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if open.at_line_start && !blank {
            open.at_line_start = false;
            if self.column > open.column {
                open.indented = true;
            } else if byte == b'{' && open.ends_before_this_line() {
                return self.give_up();
            } else if byte == b'}' && open.structure.broken {
                self.give_up();
                return self.step(byte);
            }
        }
        let on_first_line = open.line == self.line;
        let mut closed = false;
        if byte == b'\n' {
            open.at_line_start = true;
            open.structure.end_line();
            if on_first_line && (open.structure.broken || open.behind_stray) {
                self.give_up();
            }
        } else {
            open.first_line_has_content |= on_first_line && !blank && self.column > open.column;
            closed = open.structure.feed(byte);
        }
        self.step(byte);
        self.check_limit();
        if closed {
            self.close();
        }
    }

    /// Reports the open object once it is too long, and keeps no more of it.
    fn check_limit(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        let Some(start) = open.start else { return };
        if self.at - start <= self.limit {
            return;
        }
        let (line, silent, broken) = (open.line, open.behind_stray, open.structure.broken);
        if !silent {
            self.error(line, ErrorKind::TooLong { limit: self.limit });
            if broken {
                self.rescue();
            }
        }
        if let State::Open(open) = &mut self.state {
            open.start = None;
        }
    }

    /// The open object is complete.
    fn close(&mut self) {
        let State::Open(open) = std::mem::replace(&mut self.state, State::Between) else { return };
        let Some(start) = open.start else { return };
        let bytes = &self.window[start..self.at];
        if open.behind_stray && (open.structure.broken || bytes.len() == 2) {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.found.push_back(Frame { line: open.line, content: Ok(bytes) });
    }

    /// The open object does not end: report it, and hand on the complete lines it swallowed.
    fn give_up(&mut self) {
        let State::Open(open) = &self.state else { return };
        if open.start.is_some() && !open.behind_stray {
            let line = open.line;
            self.error(line, ErrorKind::Unterminated);
            self.rescue();
        }
        self.state = State::Between;
    }

    /// Finds lines in the open object that are objects by themselves, or began as such. Only for an object whose
    /// first line has content: in a stream spread over lines these would be parts of it.
    fn rescue(&mut self) {
        let State::Open(open) = &self.state else { return };
        let Some(start) = open.start else { return };
        if !open.first_line_has_content {
            return;
        }
        for (line, text) in (open.line..).zip(self.window[start..self.at].split(|byte| *byte == b'\n')).skip(1) {
            let column = text.len() - text.trim_ascii_start().len();
            if is_object(text) {
                let content = Ok(Bytes::copy_from_slice(text.trim_ascii()));
                self.found.push_back(Frame { line, content });
            } else if column <= open.column && text.get(column) == Some(&b'{') {
                self.found.push_back(Frame { line, content: Err(ErrorKind::Unterminated) });
            }
        }
    }

    /// The input has ended.
    fn finish(&mut self) {
        self.end_stray();
        match std::mem::replace(&mut self.state, State::Between) {
            State::Open(open) => {
                self.state = State::Open(open);
                self.give_up();
            }
            State::ArrayOpened => self.error(self.line, ErrorKind::Unterminated),
            State::Between if self.in_array => self.error(self.line, ErrorKind::Unterminated),
            State::Between | State::Stray => {}
        }
        self.in_array = false;
    }
}

/// Whether a line is one grammatical, non-empty object and nothing else.
fn is_object(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    let mut structure = Structure::default();
    let closed = text.iter().position(|byte| structure.feed(*byte));
    text.first() == Some(&b'{') && text.len() > 2 && closed == Some(text.len() - 1) && !structure.broken
}

/// Follows the structure of an object, byte by byte: brackets, strings, and what may come next. It does not look
/// inside strings, numbers and words.
#[derive(Debug)]
struct Structure {
    depth: usize,
    /// Kinds of the open brackets, a bit each: 1 is an object.
    kinds: [u64; KINDS_MAX / 64],
    expect: Expect,
    in_string: bool,
    escaped: bool,
    in_word: bool,
    /// The grammar was violated.
    broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Key,
    KeyOrEnd,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
}

impl Default for Structure {
    fn default() -> Self {
        let kinds = [0; KINDS_MAX / 64];
        Self { depth: 0, kinds, expect: Expect::Value, in_string: false, escaped: false, in_word: false, broken: false }
    }
}

impl Structure {
    /// Inside a string, not behind a backslash.
    fn in_plain_string(&self) -> bool {
        self.in_string && !self.escaped
    }

    fn allows_value(&self) -> bool {
        matches!(self.expect, Expect::Value | Expect::ValueOrEnd)
    }

    /// Takes one byte; true when it closes the object.
    fn feed(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        let in_word = std::mem::take(&mut self.in_word);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                self.expect = match self.expect {
                    Expect::Key | Expect::KeyOrEnd => Expect::Colon,
                    Expect::Value | Expect::ValueOrEnd => Expect::CommaOrEnd,
                    other => {
                        self.broken = true;
                        other
                    }
                };
                self.in_string = true;
            }
            b'{' | b'[' => {
                self.broken |= !self.allows_value();
                self.open(byte == b'{');
            }
            b'}' => {
                self.broken |= !matches!(self.expect, Expect::KeyOrEnd | Expect::CommaOrEnd);
                return self.close_object();
            }
            b']' => {
                self.broken |= !matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd);
                if self.top_is_object() == Some(true) {
                    self.broken = true;
                } else {
                    self.depth = self.depth.saturating_sub(1);
                    self.expect = Expect::CommaOrEnd;
                }
            }
            b':' => {
                self.broken |= self.expect != Expect::Colon;
                self.expect = Expect::Value;
            }
            b',' => {
                self.broken |= self.expect != Expect::CommaOrEnd;
                self.expect = if self.top_is_object() == Some(true) { Expect::Key } else { Expect::Value };
            }
            _ => {
                self.in_word = true;
                if !in_word {
                    self.broken |= !self.allows_value();
                    self.expect = Expect::CommaOrEnd;
                }
            }
        }
        false
    }

    fn open(&mut self, object: bool) {
        match self.kinds.get_mut(self.depth / 64) {
            Some(word) => *word = *word & !(1 << (self.depth % 64)) | u64::from(object) << (self.depth % 64),
            None => self.broken = true,
        }
        self.depth += 1;
        self.expect = if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
    }

    /// None if nothing is open, or too much to know.
    fn top_is_object(&self) -> Option<bool> {
        let index = self.depth.checked_sub(1)?;
        Some(self.kinds.get(index / 64)? >> (index % 64) & 1 == 1)
    }

    /// Closes the innermost object, and arrays left open in it.
    fn close_object(&mut self) -> bool {
        while self.depth > 0 {
            let object = self.top_is_object() != Some(false);
            self.depth -= 1;
            if object {
                break;
            }
            self.broken = true;
        }
        self.expect = Expect::CommaOrEnd;
        self.depth == 0
    }

    fn end_line(&mut self) {
        self.broken |= self.in_string;
        self.in_string = false;
        self.escaped = false;
        self.in_word = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `piece` bytes a read.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.0.len().min(self.1).min(into.len());
            let (head, tail) = self.0.split_at(len);
            into[..len].copy_from_slice(head);
            self.0 = tail;
            Ok(len)
        }
    }

    fn frames(input: &[u8], piece: usize, limit: usize) -> Vec<Frame> {
        let mut framer = Framer::with_limit(Pieces(input, piece), limit);
        std::iter::from_fn(|| framer.next()).collect()
    }

    /// `3:{…}` for objects, `3!cut`, `3!long`, `3!text` for errors.
    fn show(frames: &[Frame]) -> Vec<String> {
        let one = |frame: &Frame| match &frame.content {
            Ok(bytes) => {
                let text: String = String::from_utf8_lossy(bytes).split_whitespace().collect();
                format!("{}:{text}", frame.line)
            }
            Err(ErrorKind::Unterminated) => format!("{}!cut", frame.line),
            Err(ErrorKind::TooLong { .. }) => format!("{}!long", frame.line),
            Err(ErrorKind::NotAnObject { text }) => format!("{}!{text}", frame.line),
            Err(other) => panic!("{other}"),
        };
        frames.iter().map(one).collect()
    }

    #[track_caller]
    fn check(input: &str, expected: &[&str]) {
        for piece in [1, 2, 3, 7, 64 * 1024] {
            assert_eq!(show(&frames(input.as_bytes(), piece, 1000)), expected, "{input:?} in pieces of {piece}");
        }
    }

    #[test]
    fn layouts() {
        check("", &[]);
        check(" \r\n\n\t", &[]);
        check("{}", &["1:{}"]);
        check("{\"a\":1}\n{\"b\":2}\n", &["1:{\"a\":1}", "2:{\"b\":2}"]);
        check("{\"a\":1}\r\n\r\n{\"b\":2}", &["1:{\"a\":1}", "3:{\"b\":2}"]);
        check("\u{feff}{\"a\":1}\n", &["1:{\"a\":1}"]);
        check("{\"a\":1}{\"b\":2} {\"c\":3}", &["1:{\"a\":1}", "1:{\"b\":2}", "1:{\"c\":3}"]);
        check("{\n  \"a\": [\n    {\"b\": 1}\n  ]\n}\n{\n  \"c\": 2\n}\n", &["1:{\"a\":[{\"b\":1}]}", "6:{\"c\":2}"]);
        check("[{\"a\":1},{\"b\":2}]", &["1:{\"a\":1}", "1:{\"b\":2}"]);
        check("[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": 2\n  }\n]\n", &["2:{\"a\":1}", "5:{\"b\":2}"]);
        check("[{\"a\":1},\n {\"b\":2}]\n[{\"c\":3}]", &["1:{\"a\":1}", "2:{\"b\":2}", "3:{\"c\":3}"]);
        check("[]", &[]);
        check("[\n]\n", &[]);
        check("{\"a\":1},\n{\"b\":2},\n", &["1:{\"a\":1}", "2:{\"b\":2}"]);
        check(r#"{"a":"}{\"[\\"}{"b":"\\\""}"#, &[r#"1:{"a":"}{\"[\\"}"#, r#"1:{"b":"\\\""}"#]);
    }

    #[test]
    fn unindented_objects_spread_over_lines_stay_whole() {
        check(
            "{\n\"a\":[\n{\"b\":1},\n{\"b\":2}\n],\n\"c\":\n{\"d\":3}\n}\n{\n\"e\":4\n}\n",
            &["1:{\"a\":[{\"b\":1},{\"b\":2}],\"c\":{\"d\":3}}", "9:{\"e\":4}"],
        );
        check("{\"a\":[\n{\"b\":1},\n{\"b\":2}\n]}\n", &["1:{\"a\":[{\"b\":1},{\"b\":2}]}"]);
    }

    #[test]
    fn a_broken_line_costs_only_itself() {
        let good = "{\"g\":1}";
        for broken in [
            "{\"a\":1",
            "{\"a\":\"x",
            "{\"a\":\"x\\",
            "{\"a\":{\"b\":[1,2",
            "{\"a\":[",
            "{\"a\":",
            "{\"a\"",
            "{",
            "{\"a\":1,",
            "{\"a\":[1,",
            "{\"a",
            "{a",
        ] {
            check(
                &format!("{good}\n{broken}\n{good}\n{good}"),
                &["1:{\"g\":1}", "2!cut", "3:{\"g\":1}", "4:{\"g\":1}"],
            );
            check(&format!("{broken}\n{good}\n"), &["1!cut", "2:{\"g\":1}"]);
            check(&format!("{broken}\r\n{good}\r\n{good}\r\n"), &["1!cut", "2:{\"g\":1}", "3:{\"g\":1}"]);
            check(&format!("{good}\n{broken}"), &["1:{\"g\":1}", "2!cut"]);
            check(&format!("{broken}\n{broken}\n{good}\n"), &["1!cut", "2!cut", "3:{\"g\":1}"]);
        }
    }

    #[test]
    fn what_closes_is_left_to_the_parser() {
        check("{\"a\":}\n{\"g\":1}", &["1:{\"a\":}", "2:{\"g\":1}"]);
        check("{\"a\":[1}{\"g\":1}", &["1:{\"a\":[1}", "1:{\"g\":1}"]);
        check("{\"a\":1]}{\"g\":1}", &["1:{\"a\":1]}", "1:{\"g\":1}"]);
        check("{\"a\" 1,,}{\"g\":1}", &["1:{\"a\"1,,}", "1:{\"g\":1}"]);
        check("{\"a\":\"\0\"}\n", &["1:{\"a\":\"\0\"}"]);
    }

    #[test]
    fn broken_objects_spread_over_lines() {
        // Cut off in the middle.
        check("{\n  \"a\": 1,\n{\n  \"b\": 2\n}\n", &["1!cut", "3:{\"b\":2}"]);
        check("{\n  \"a\": [\n{\n  \"b\": 2\n}\n", &["1!cut", "3:{\"b\":2}"]);
        check("{\n  \"a\": \"x\n{\n  \"b\": 2\n}\n", &["1!cut", "3:{\"b\":2}"]);
        // Garbled in the middle, with an end.
        check("{\n  \"a\": \"x\n,  \"c\": 1\n}\n{\n  \"b\": 2\n}\n", &["1!cut", "5:{\"b\":2}"]);
        // In an array.
        check("[\n  {\n    \"a\": 1,\n  {\n    \"b\": 2\n  }\n]\n", &["2!cut", "4:{\"b\":2}"]);
        check("[\n  {\"a\": 1\n", &["2!cut"]);
        check("[\n  {\"a\": 1}\n", &["2:{\"a\":1}", "3!cut"]);
        check("[", &["1!cut"]);
    }

    #[test]
    fn stray_text() {
        check("hello\n{\"g\":1}\n", &["1!hello", "2:{\"g\":1}"]);
        check("a\n\nb\n", &["1!a", "3!b"]);
        check("{\"g\":1} trailing\n{\"h\":1}\n", &["1:{\"g\":1}", "1!trailing", "2:{\"h\":1}"]);
        check("{\"g\":1}}\n{\"h\":1}\n", &["1:{\"g\":1}", "1!}", "2:{\"h\":1}"]);
        check("<13>host app: {\"g\":1} tail {\"h\":2} x\n", &["1!<13>host app:", "1:{\"g\":1}", "1:{\"h\":2}"]);
        check("INFO {id=5} {} {\"g\":1}\n{\"h\":1}\n", &["1!INFO", "1:{\"g\":1}", "2:{\"h\":1}"]);
        check("INFO {id=5\n{\"h\":1}\n", &["1!INFO", "2:{\"h\":1}"]);
        check("[2026-01-01] INFO x\n{\"h\":1}\n", &["1![2026-01-01] INFO x", "2:{\"h\":1}"]);
        check("\0\0\0\n{\"h\":1}\0\0\n", &["1!\\0\\0\\0", "2:{\"h\":1}", "2!\\0\\0"]);
        check("[1, {\"a\":1}, null]\n", &["1![1,", "1:{\"a\":1}"]);
        check("\"text\"\n12\ntrue\n{\"h\":1}", &["1!\\\"text\\\"", "2!12", "3!true", "4:{\"h\":1}"]);
        check("]\n", &["1!]"]);
    }

    #[test]
    fn objects_at_and_over_the_limit() {
        let object = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
        for (len, fits) in [(99, true), (100, true), (101, false), (5000, false)] {
            let input = format!("{{\"g\":1}}\n{}\n{{\"h\":1}}\n", object(len));
            for piece in [1, 13, 64 * 1024] {
                let found = frames(input.as_bytes(), piece, 100);
                assert_eq!(found[0].content, Ok(Bytes::from_static(b"{\"g\":1}")));
                assert_eq!(found[1].line, 2);
                assert_eq!(found[1].content.is_ok(), fits, "{len}");
                assert_eq!(found[2], Frame { line: 3, content: Ok(Bytes::from_static(b"{\"h\":1}")) });
                assert_eq!(found.len(), 3);
            }
        }
    }

    #[test]
    fn too_long_and_broken_as_well() {
        let long = "x".repeat(3000);
        let show_limited = |input: &str| show(&frames(input.as_bytes(), 17, 100));
        // Never closed; the line break inside the string ends it.
        assert_eq!(show_limited(&format!("{{\"a\":\"{long}\n{{\"g\":1}}\n")), ["1!long", "2:{\"g\":1}"]);
        assert_eq!(show_limited(&format!("{{\"a\":[{}\n{{\"g\":1}}\n", "1,".repeat(100))), ["1!long", "2:{\"g\":1}"]);
        assert_eq!(show_limited(&format!("{{\"a\":[\n{{\"g\":1}}\n{long}\n")), ["1!long", "2:{\"g\":1}"]);
        assert_eq!(show_limited(&format!("{{\"a\":\"{long}")), ["1!long"]);
        assert_eq!(show_limited(&format!("{long}\n{{\"g\":1}}")), [&format!("1!{}", &long[..40]), "2:{\"g\":1}"]);
        // An object spread over many lines.
        let spread = format!("{{\n{}  \"z\": 1\n}}\n{{\n  \"g\": 1\n}}\n", "  \"a\": 1,\n".repeat(50));
        assert_eq!(show_limited(&spread), ["1!long", "54:{\"g\":1}"]);
    }

    #[test]
    fn memory_is_bounded_by_the_limit() {
        let input = format!("{{\"a\":\"{}\"}}\n{{\"g\":1}}", "x".repeat(10 * 1024 * 1024));
        let mut framer = Framer::new(input.as_bytes());
        assert_eq!(framer.next().map(|frame| frame.line), Some(1));
        assert_eq!(framer.next().map(|frame| frame.line), Some(2));
        assert!(framer.window.capacity() <= 2 * (EVENT_BYTES_MAX + READ_LEN), "{}", framer.window.capacity());
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let found = frames(format!("{deep}\n{{\"g\":1}}").as_bytes(), 64 * 1024, EVENT_BYTES_MAX);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].line, 2);
        let open = "{\"a\":[".repeat(100_000);
        let found = frames(format!("{open}\n{{\"g\":1}}").as_bytes(), 64 * 1024, EVENT_BYTES_MAX);
        assert_eq!(show(&found), ["1!cut", "2:{\"g\":1}"]);
    }

    #[test]
    fn a_read_error_is_located_and_ends_the_input() {
        struct Failing(bool);
        impl Read for Failing {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("disk on fire"));
                }
                let text = b"{\"g\":1}\n{\"a\":";
                into[..text.len()].copy_from_slice(text);
                Ok(text.len())
            }
        }
        let mut framer = Framer::new(Failing(false));
        let found: Vec<Frame> = std::iter::from_fn(|| framer.next()).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], Frame { line: 2, content: Err(ErrorKind::Read { message: "disk on fire".into() }) });
        assert_eq!(found[2], Frame { line: 2, content: Err(ErrorKind::Unterminated) });
    }

    /// Text made of the bytes that matter: the pieces in which it is read change nothing, and objects on lines of
    /// their own survive whatever stands before them.
    #[test]
    fn any_text_in_any_pieces() {
        let alphabet = b"{}[]\",:\\\n\n  a1\r\0\xff";
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound as u64) as usize
        };
        for _ in 0..3000 {
            let mut text: Vec<u8> = (0..next(60)).map(|_| alphabet[next(alphabet.len())]).collect();
            text.extend_from_slice(b"\n{\"good\":1}\n{\"good\":2}\n");
            let whole = frames(&text, 64 * 1024, 50);
            assert_eq!(frames(&text, 1, 50), whole, "{:?}", String::from_utf8_lossy(&text));
            assert_eq!(frames(&text, 1 + next(9), 50), whole, "{:?}", String::from_utf8_lossy(&text));
            let good = whole.iter().filter_map(|frame| frame.content.as_deref().ok());
            let good: Vec<&[u8]> = good.filter(|bytes| bytes.starts_with(b"{\"good\"")).collect();
            assert_eq!(good, [b"{\"good\":1}", b"{\"good\":2}"], "{:?}", String::from_utf8_lossy(&text));
        }
    }
}
