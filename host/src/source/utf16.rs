//! UTF-16 text as UTF-8: what PowerShell writes when it redirects output into a file.

use std::io::{self, Read};

/// Byte order of UTF-16 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Endian {
    /// The byte order of a text and the length of its mark: told by the mark, or by the first character of JSON.
    pub(super) fn of(head: &[u8]) -> Option<(Self, usize)> {
        match head {
            [0xff, 0xfe, ..] => Some((Self::Little, 2)),
            [0xfe, 0xff, ..] => Some((Self::Big, 2)),
            [b'{' | b'[', 0, ..] => Some((Self::Little, 0)),
            [0, b'{' | b'[', ..] => Some((Self::Big, 0)),
            _ => None,
        }
    }
}

/// Transcodes as it is read. A unit that is no character, or half a unit at the end, becomes the byte 0xff, so that
/// the object it stands in is refused as bad UTF-8 and the others are read.
#[derive(Debug)]
pub(super) struct Utf16<R> {
    reader: R,
    endian: Endian,
    /// Bytes that were read and not yet understood: at most three.
    pending: Vec<u8>,
    /// Text that was not yet given.
    text: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Utf16<R> {
    pub(super) fn new(reader: R, endian: Endian) -> Self {
        Self { reader, endian, pending: Vec::new(), text: Vec::new(), given: 0, ended: false }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 8 * 1024];
        let len = self.reader.read(&mut piece)?;
        self.ended = len == 0;
        self.pending.extend_from_slice(piece.get(..len).unwrap_or_default());
        self.text.clear();
        self.given = 0;
        let unit = |bytes: &[u8]| match (self.endian, bytes) {
            (Endian::Little, [a, b, ..]) => Some(u16::from_le_bytes([*a, *b])),
            (Endian::Big, [a, b, ..]) => Some(u16::from_be_bytes([*a, *b])),
            _ => None,
        };
        let mut used = 0;
        while let Some(first) = self.pending.get(used..).and_then(unit) {
            let is_high = (0xd800..0xdc00).contains(&first);
            let second = self.pending.get(used + 2..).and_then(unit);
            if is_high && second.is_none() && !self.ended {
                break;
            }
            let units = [first, second.filter(|_| is_high).unwrap_or_default()];
            let decoded = char::decode_utf16(units.into_iter().take(if is_high { 2 } else { 1 })).next();
            match decoded {
                Some(Ok(character)) => {
                    self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    used += 2 * character.len_utf16();
                }
                _ => {
                    self.text.push(0xff);
                    used += 2;
                }
            }
        }
        self.pending.drain(..used);
        if self.ended && !self.pending.is_empty() {
            self.pending.clear();
            self.text.push(0xff);
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.text.len() && !self.ended {
            self.more()?;
        }
        let rest = self.text.get(self.given..).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcode(bytes: &[u8], endian: Endian) -> Vec<u8> {
        let mut out = Vec::new();
        Utf16::new(bytes, endian).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn both_orders() {
        let text = "{\"a\":\"añ€😀\"}\n".repeat(3000);
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(transcode(&little, Endian::Little), text.as_bytes());
        assert_eq!(transcode(&big, Endian::Big), text.as_bytes());
    }

    #[test]
    fn what_is_no_character_is_no_utf8() {
        let units = |units: &[u16]| units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();
        assert_eq!(transcode(&units(&[0x41, 0xdc00, 0x42]), Endian::Little), b"A\xffB");
        assert_eq!(transcode(&units(&[0x41, 0xd800, 0x42]), Endian::Little), b"A\xffB");
        assert_eq!(transcode(&units(&[0x41, 0xd800]), Endian::Little), b"A\xff");
        assert_eq!(transcode(b"A\0B", Endian::Little), b"A\xff");
        assert_eq!(transcode(b"", Endian::Little), b"");
    }

    #[test]
    fn told_by_mark_or_first_character() {
        assert_eq!(Endian::of(b"\xff\xfe{\0"), Some((Endian::Little, 2)));
        assert_eq!(Endian::of(b"\xfe\xff\0{"), Some((Endian::Big, 2)));
        assert_eq!(Endian::of(b"[\0{\0"), Some((Endian::Little, 0)));
        assert_eq!(Endian::of(b"\0{"), Some((Endian::Big, 0)));
        assert_eq!(Endian::of(b"{\"a\""), None);
    }
}
