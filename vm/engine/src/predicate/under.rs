//! Paths below a path, component by component.
//!
//! `/` and `\` both separate and a run of them counts as one, so `C:/Windows` and `c:\\windows\` are one path (given
//! folding) and an odd spelling does not hide a file. A path that begins with a separator is never under one that does
//! not, nor the other way round. `.` and `..` are components like any other: the test is on the text, not on the disk.

#[derive(Debug)]
pub(super) struct Under {
    /// The path with `/` for each run of separators, none at the end, unless it is the root alone.
    path: Box<[u8]>,
}

impl Under {
    pub(super) fn new(literal: &[u8]) -> Self {
        let mut path: Vec<u8> = Normalized::new(literal).collect();
        if path.len() > 1 && path.last() == Some(&b'/') {
            path.pop();
        }
        Self { path: path.into() }
    }

    pub(super) fn decide(&self, kept: &[u8], complete: bool) -> Option<bool> {
        let mut value = Normalized::new(kept);
        for expected in &self.path {
            match value.next() {
                Some(byte) if byte == *expected => {}
                Some(_) => return Some(false),
                None => return complete.then_some(false),
            }
        }
        match (self.path.as_ref(), value.next()) {
            // Everything absolute is under the root.
            (b"/", _) => Some(true),
            // And everything relative under the empty path, should anybody ask.
            ([], Some(next)) => Some(next != b'/'),
            (_, Some(next)) => Some(next == b'/'),
            (_, None) => complete.then_some(true),
        }
    }
}

/// The bytes of a path with each run of separators as one `/`.
struct Normalized<'a> {
    bytes: std::slice::Iter<'a, u8>,
    after_separator: bool,
}

impl<'a> Normalized<'a> {
    fn new(path: &'a [u8]) -> Self {
        Self { bytes: path.iter(), after_separator: false }
    }
}

impl Iterator for Normalized<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.next()?;
            let separator = matches!(byte, b'/' | b'\\');
            let again = separator && self.after_separator;
            self.after_separator = separator;
            if !again {
                return Some(if separator { b'/' } else { byte });
            }
        }
    }
}
