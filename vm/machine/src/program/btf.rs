//! BTF as far as we need it: the strings, and which instruction comes from which source line.
//!
//! Compilers for BPF put types into a section `.BTF` and what belongs to code into `.BTF.ext` (the kernel's
//! `Documentation/bpf/btf.rst` has the format, `include/uapi/linux/btf.h` the numbers). We read the strings, the
//! `line_info` table, and of the types what declares maps (`elf/typed.rs`); what we write has, beside these, one type for each function, so that tools that
//! show BPF with its source lines show ours.
//!
//! ```text
//! .BTF      u16 magic 0xeb9f, u8 version 1, u8 flags, u32 header length,
//!           u32 types at, u32 types length, u32 strings at, u32 strings length     offsets count from the header's end
//! .BTF.ext  u16 magic, u8 version, u8 flags, u32 header length,
//!           u32 func_info at, length, u32 line_info at, length, u32 core_relo at, length (newer headers)
//! line_info u32 record length, then for each section: u32 its name, u32 number of records, the records:
//!           u32 byte offset in the section, u32 file name, u32 text of the line, u32 line << 10 | column
//! ```
//!
//! Readers are total: whatever the bytes, they end after one pass with a result or a [`BtfError`], and no string is
//! read further than `STRING_LEN_MAX`.

/// The longest string that is read.
pub(super) const STRING_LEN_MAX: usize = 4096;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const HEADER_LEN: u32 = 24;
/// `.BTF.ext` headers that have a table of CO-RE relocations.
const EXT_HEADER_CORE_LEN: u32 = 32;
const LINE_INFO_LEN: u32 = 16;
const FUNC_INFO_LEN: u32 = 8;
/// Lines lie above ten bits of column.
const LINE_SHIFT: u32 = 10;
/// The last line that a record can say.
const LINE_MAX: u32 = u32::MAX >> LINE_SHIFT;

const KIND_INT: u32 = 1 << 24;
const KIND_FUNC: u32 = 12 << 24;
const KIND_FUNC_PROTO: u32 = 13 << 24;
const LINKAGE_GLOBAL: u32 = 1;
const INT_SIGNED_32: u32 = 1 << 24 | 32;

/// Why bytes are not BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// No header, or one of another format.
    #[error("the header is not that of BTF, version 1, little-endian")]
    Header,
    /// A table does not lie within the section.
    #[error("the {0} do not lie within the section")]
    Outside(&'static str),
    /// Records are too short to hold what they must.
    #[error("records of {0} bytes are shorter than line information is")]
    RecordLen(u32),
}

/// One record of line information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineInfo {
    /// Offset in its section, in bytes.
    pub(super) offset: u32,
    /// Name of the file, in the strings.
    pub(super) file: u32,
    /// Text of the line, in the strings.
    pub(super) text: u32,
    /// Line, from 1; 0 for code that comes from no line.
    pub(super) line: u32,
}

/// What `.BTF.ext` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ext {
    /// By section (its name in the strings).
    pub(super) lines: Vec<(u32, Vec<LineInfo>)>,
    /// Whether there are CO-RE relocations.
    pub(super) has_core_relocations: bool,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

/// The length of a header that is one of ours.
fn header_len(bytes: &[u8], least: u32) -> Result<u32, BtfError> {
    let magic = bytes.first_chunk().map(|field| u16::from_le_bytes(*field));
    let len = u32_at(bytes, 4).ok_or(BtfError::Header)?;
    let good = magic == Some(MAGIC) && bytes.get(2) == Some(&VERSION) && len >= least && len as usize <= bytes.len();
    if good { Ok(len) } else { Err(BtfError::Header) }
}

fn part<'b>(bytes: &'b [u8], header: u32, at: usize, what: &'static str) -> Result<&'b [u8], BtfError> {
    let outside = BtfError::Outside(what);
    let (start, len) = (u32_at(bytes, at).ok_or(outside)?, u32_at(bytes, at + 4).ok_or(outside)?);
    let start = header as usize + start as usize;
    bytes.get(start..).and_then(|rest| rest.get(..len as usize)).ok_or(outside)
}

/// The strings of `.BTF`.
pub(super) fn strings(btf: &[u8]) -> Result<&[u8], BtfError> {
    let header = header_len(btf, HEADER_LEN)?;
    part(btf, header, 16, "strings")
}

/// The types of `.BTF`.
pub(super) fn types(btf: &[u8]) -> Result<&[u8], BtfError> {
    let header = header_len(btf, HEADER_LEN)?;
    part(btf, header, 8, "types")
}

/// The string that begins at an offset; None if it is not there, too long or not UTF-8.
pub(super) fn string(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(offset as usize..)?;
    let rest = rest.get(..STRING_LEN_MAX + 1).unwrap_or(rest);
    let len = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..len)?).ok()
}

/// The line information of `.BTF.ext`.
pub(super) fn read_ext(ext: &[u8]) -> Result<Ext, BtfError> {
    // Length of the header up to the end of the line information.
    let header = header_len(ext, HEADER_LEN)?;
    let has_core_relocations = header >= EXT_HEADER_CORE_LEN && u32_at(ext, 28).is_some_and(|len| len != 0);
    let mut table = part(ext, header, 16, "line records")?;
    let mut lines = Vec::new();
    if table.is_empty() {
        return Ok(Ext { lines, has_core_relocations });
    }
    let outside = BtfError::Outside("line records");
    let mut take = |len: usize| {
        let (taken, rest) = table.split_at_checked(len)?;
        table = rest;
        Some(taken)
    };
    let record_len = take(4).and_then(|field| u32_at(field, 0)).ok_or(outside)?;
    if record_len < LINE_INFO_LEN {
        return Err(BtfError::RecordLen(record_len));
    }
    while let Some(head) = take(8) {
        let (section, count) = (u32_at(head, 0).ok_or(outside)?, u32_at(head, 4).ok_or(outside)?);
        let len = (record_len as usize).checked_mul(count as usize).ok_or(outside)?;
        let records = take(len).ok_or(outside)?;
        let record = |record: &[u8]| {
            Some(LineInfo {
                offset: u32_at(record, 0)?,
                file: u32_at(record, 4)?,
                text: u32_at(record, 8)?,
                line: u32_at(record, 12)? >> LINE_SHIFT,
            })
        };
        lines.push((section, records.chunks_exact(record_len as usize).filter_map(record).collect()));
    }
    Ok(Ext { lines, has_core_relocations })
}

/// A function for [`write`].
#[derive(Clone, Debug)]
pub(super) struct Function<'a> {
    /// The section it is in.
    pub(super) section: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    /// Its offset in the section, in bytes.
    pub(super) offset: u32,
    /// Its lines: byte offset in the section, line.
    pub(super) lines: Vec<(u32, u32)>,
}

#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    known: std::collections::BTreeMap<String, u32>,
}

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.known.insert(text.to_owned(), at);
        at
    }
}

/// The sections `.BTF` and `.BTF.ext` for functions of one file; those of one section must follow each other.
pub(super) fn write(file: &str, functions: &[Function<'_>]) -> (Vec<u8>, Vec<u8>) {
    let mut strings = Strings::default();
    strings.add("");
    let mut types = Vec::new();
    let mut words = |words: &[u32]| words.iter().for_each(|word| types.extend_from_slice(&word.to_le_bytes()));
    // Type 1 is `int`, type 2 a function without parameters that returns it.
    words(&[strings.add("int"), KIND_INT, 4, INT_SIGNED_32]);
    words(&[0, KIND_FUNC_PROTO, 1]);
    for function in functions {
        words(&[strings.add(function.name), KIND_FUNC | LINKAGE_GLOBAL, 2]);
    }
    let file = strings.add(file);
    let mut infos = Table::new(FUNC_INFO_LEN);
    let mut lines = Table::new(LINE_INFO_LEN);
    for (id, function) in (3u32..).zip(functions) {
        let section = strings.add(function.section);
        infos.add(section, &[function.offset, id]);
        for (offset, line) in &function.lines {
            lines.add(section, &[*offset, file, 0, (*line).min(LINE_MAX) << LINE_SHIFT]);
        }
    }
    let mut btf = header(&[0, types.len() as u32, types.len() as u32, strings.bytes.len() as u32]);
    btf.extend(types);
    btf.extend(strings.bytes);
    let mut ext = header(&[0, infos.bytes.len() as u32, infos.bytes.len() as u32, lines.bytes.len() as u32]);
    ext.extend(infos.bytes);
    ext.extend(lines.bytes);
    (btf, ext)
}

fn header(parts: &[u32; 4]) -> Vec<u8> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[VERSION, 0]);
    bytes.extend_from_slice(&HEADER_LEN.to_le_bytes());
    bytes.extend(parts.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// A table of `.BTF.ext`: records by section.
struct Table {
    bytes: Vec<u8>,
    /// The section of the records at the end, and where their number stands.
    last: Option<(u32, usize, u32)>,
}

impl Table {
    fn new(record_len: u32) -> Self {
        Self { bytes: record_len.to_le_bytes().to_vec(), last: None }
    }

    fn add(&mut self, section: u32, record: &[u32]) {
        let (at, count) = match self.last {
            Some((known, at, count)) if known == section => (at, count + 1),
            _ => {
                self.bytes.extend_from_slice(&section.to_le_bytes());
                self.bytes.extend_from_slice(&0u32.to_le_bytes());
                (self.bytes.len() - 4, 1)
            }
        };
        self.last = Some((section, at, count));
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        self.bytes.extend(record.iter().flat_map(|word| word.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let function = |section, name, offset, lines| Function { section, name, offset, lines };
        write(
            "a.trap",
            &[
                function("rule/file", "a", 0, vec![(0, 3), (16, 4)]),
                function("rule/file", "b", 32, vec![(32, 9)]),
                function("rule/process", "c", 0, vec![(0, LINE_MAX), (8, u32::MAX)]),
            ],
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let (btf, ext) = sample();
        let strings = strings(&btf).unwrap();
        let ext = read_ext(&ext).unwrap();
        let lines: Vec<_> = ext
            .lines
            .iter()
            .map(|(section, lines)| {
                let lines: Vec<_> = lines.iter().map(|line| (line.offset, line.line)).collect();
                (string(strings, *section).unwrap(), lines)
            })
            .collect();
        assert_eq!(
            lines,
            [("rule/file", vec![(0, 3), (16, 4), (32, 9)]), ("rule/process", vec![(0, LINE_MAX), (8, LINE_MAX)])]
        );
        assert_eq!(string(strings, ext.lines[0].1[0].file), Some("a.trap"));
        assert!(!ext.has_core_relocations);
    }

    #[test]
    fn whatever_the_bytes_reading_ends() {
        let (btf, ext) = sample();
        for bytes in [&btf, &ext] {
            for len in 0..bytes.len() {
                _ = (strings(&bytes[..len]), read_ext(&bytes[..len]));
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[len] = value;
                    _ = (strings(&changed), read_ext(&changed));
                }
            }
        }
        assert_eq!(strings(b""), Err(BtfError::Header));
        assert_eq!(strings(&ext[..23]), Err(BtfError::Header));
    }

    #[test]
    fn strings_at_and_over_their_length() {
        for (len, good) in [(STRING_LEN_MAX - 1, true), (STRING_LEN_MAX, true), (STRING_LEN_MAX + 1, false)] {
            let mut bytes = vec![b'x'; len];
            assert_eq!(string(&bytes, 0), None, "it does not end");
            bytes.push(0);
            assert_eq!(string(&bytes, 0).is_some(), good, "{len}");
        }
    }
}
