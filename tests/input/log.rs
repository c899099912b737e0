//! Makes a Windows event log of the Windows events in our own recording, so that reading such logs is tested where no
//! recorded one is at hand.
//!
//! The log has one chunk. As in those that Windows writes, a name stands where it is first used, and in the table of
//! the chunk's header. The records are spelled out, without templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::evtx::{CHUNK_HEADER_LEN, CHUNK_LEN, FILE_HEADER_LEN};

/// Where [`write`] puts the log. `.ci/windows` replays it from there.
pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("intrusion.evtx")
}

/// Writes the log.
pub(crate) fn write() -> PathBuf {
    std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Another test may be reading it.
    let fresh = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(&fresh, log()).unwrap();
    fresh.persist(path()).unwrap();
    path()
}

/// The lines of the recording that are Windows events in winlogbeat's shape.
pub(crate) fn recorded() -> Vec<String> {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/intrusion.jsonl");
    let text = std::fs::read_to_string(recording).unwrap();
    text.lines().filter(|line| line.contains("\"winlog\"")).map(str::to_owned).collect()
}

/// The recorded events as a log.
pub(crate) fn log() -> Vec<u8> {
    let mut chunk = Chunk::default();
    let (mut ids, mut last_at) = (Vec::new(), 0);
    for line in recorded() {
        last_at = chunk.bytes.len();
        ids.push(chunk.record(&serde_json::from_str(&line).unwrap()));
    }
    let Chunk { bytes: mut chunk, buckets, .. } = chunk;
    let (first, last, free_space) = (ids[0], ids[ids.len() - 1], chunk.len());
    assert!(ids.is_sorted() && free_space <= CHUNK_LEN, "{ids:?} in {free_space} bytes");
    chunk.resize(CHUNK_LEN, 0);

    put(&mut chunk, 0, b"ElfChnk\0");
    for (at, id) in [(8, first), (16, last), (24, first), (32, last)] {
        put(&mut chunk, at, &id.to_le_bytes());
    }
    let records_sum = evtx::checksum_ieee(&chunk[CHUNK_HEADER_LEN..free_space]);
    for (at, number) in [(40, TABLES_AT), (44, last_at), (48, free_space)] {
        put(&mut chunk, at, &(number as u32).to_le_bytes());
    }
    put(&mut chunk, 52, &records_sum.to_le_bytes());
    for (position, offset) in buckets.into_iter().enumerate() {
        put(&mut chunk, TABLES_AT + 4 * position, &offset.to_le_bytes());
    }
    let header_sum = evtx::checksum_ieee(&[&chunk[..120], &chunk[TABLES_AT..CHUNK_HEADER_LEN]].concat());
    put(&mut chunk, 124, &header_sum.to_le_bytes());

    let mut file = vec![0; FILE_HEADER_LEN];
    put(&mut file, 0, b"ElfFile\0");
    put(&mut file, 24, &(last + 1).to_le_bytes());
    // Length of the header itself, version 3.1, length of its block, one chunk.
    put(&mut file, 32, &128u32.to_le_bytes());
    for (at, number) in [(36, 1u16), (38, 3), (40, FILE_HEADER_LEN as u16), (42, 1)] {
        put(&mut file, at, &number.to_le_bytes());
    }
    let sum = evtx::checksum_ieee(&file[..120]);
    put(&mut file, 124, &sum.to_le_bytes());
    file.extend(chunk);
    file
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn event_element(event: &Value) -> Element {
    let winlog = &event["winlog"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let data = winlog["event_data"].as_object().unwrap();
    let data = data.iter().map(|(name, value)| Element::new("Data").with("Name", name).text(&text(value)));
    Element::new("Event").children(vec![
        Element::new("System").children(vec![
            Element::new("Provider").with("Name", &text(&winlog["provider_name"])),
            Element::new("EventID").text(&text(&winlog["event_id"])),
            Element::new("TimeCreated").with("SystemTime", &text(&event["@timestamp"])),
            Element::new("EventRecordID").text(&text(&winlog["record_id"])),
            Element::new("Channel").text(&text(&winlog["channel"])),
            Element::new("Computer").text(&text(&winlog["computer_name"])),
        ]),
        Element::new("EventData").children(data.collect()),
    ])
}

/// What the bytes of binary XML begin with.
mod token {
    pub(super) const END: u8 = 0x00;
    pub(super) const OPEN: u8 = 0x01;
    pub(super) const CLOSE_START: u8 = 0x02;
    pub(super) const CLOSE_EMPTY: u8 = 0x03;
    pub(super) const CLOSE: u8 = 0x04;
    pub(super) const VALUE: u8 = 0x05;
    pub(super) const ATTRIBUTE: u8 = 0x06;
    pub(super) const FRAGMENT: u8 = 0x0f;
    /// Added to [`OPEN`]: attributes follow.
    pub(super) const WITH_ATTRIBUTES: u8 = 0x40;
}

#[derive(Default)]
struct Element {
    name: &'static str,
    attribute: Option<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Element>,
}

impl Element {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        Self { attribute: Some((name, value.to_owned())), ..self }
    }

    fn text(self, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..self }
    }

    fn children(self, children: Vec<Element>) -> Self {
        Self { children, ..self }
    }
}

/// Where the table of names stands in a chunk's header.
const TABLES_AT: usize = 128;
/// Entries of that table: each begins a chain of names.
const BUCKETS: usize = 64;

/// A chunk that is being written.
struct Chunk {
    bytes: Vec<u8>,
    names: BTreeMap<&'static str, u32>,
    buckets: [u32; BUCKETS],
}

impl Default for Chunk {
    fn default() -> Self {
        Self { bytes: vec![0; CHUNK_HEADER_LEN], names: BTreeMap::new(), buckets: [0; BUCKETS] }
    }
}

impl Chunk {
    /// Appends one record; returns its id.
    fn record(&mut self, event: &Value) -> u64 {
        let start = self.bytes.len();
        let id = event["winlog"]["record_id"].as_u64().unwrap();
        self.bytes.extend(b"\x2a\x2a\0\0");
        self.bytes.extend([0; 4]);
        self.bytes.extend(id.to_le_bytes());
        // When it was written; the event itself says when it was.
        self.bytes.extend([0; 8]);
        self.bytes.extend([token::FRAGMENT, 1, 1, 0]);
        self.element(&event_element(event));
        self.bytes.push(token::END);
        self.bytes.resize((self.bytes.len() + 4).next_multiple_of(8) - 4, 0);
        let len = ((self.bytes.len() + 4 - start) as u32).to_le_bytes();
        put(&mut self.bytes, start + 4, &len);
        self.bytes.extend(len);
        id
    }

    fn element(&mut self, element: &Element) {
        let Element { name, attribute, text, children } = element;
        self.bytes.push(token::OPEN | if attribute.is_some() { token::WITH_ATTRIBUTES } else { 0 });
        let whole = self.begin();
        self.name(name);
        if let Some((name, value)) = attribute {
            let list = self.begin();
            self.bytes.push(token::ATTRIBUTE);
            self.name(name);
            self.text(value);
            self.end(list);
        }
        if text.is_none() && children.is_empty() {
            self.bytes.push(token::CLOSE_EMPTY);
        } else {
            self.bytes.push(token::CLOSE_START);
            if let Some(text) = text {
                self.text(text);
            }
            for child in children {
                self.element(child);
            }
            self.bytes.push(token::CLOSE);
        }
        self.end(whole);
    }

    /// Leaves room for the length of what follows.
    fn begin(&mut self) -> usize {
        self.bytes.extend([0; 4]);
        self.bytes.len()
    }

    fn end(&mut self, start: usize) {
        let len = (self.bytes.len() - start) as u32;
        put(&mut self.bytes, start - 4, &len.to_le_bytes());
    }

    /// A name, as the offset of its entry: link to the next entry of the chain, hash, length, text, end. Where it is
    /// new, the entry follows at once.
    fn name(&mut self, name: &'static str) {
        if let Some(offset) = self.names.get(name) {
            self.bytes.extend(offset.to_le_bytes());
            return;
        }
        let offset = self.bytes.len() as u32 + 4;
        self.names.insert(name, offset);
        let hash = name.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(65_599).wrapping_add(unit.into()));
        let hash = hash as u16;
        let next = std::mem::replace(&mut self.buckets[usize::from(hash) % BUCKETS], offset);
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend(next.to_le_bytes());
        self.bytes.extend(hash.to_le_bytes());
        self.units(name);
        self.bytes.extend([0; 2]);
    }

    fn text(&mut self, text: &str) {
        const STRING: u8 = 1;
        self.bytes.extend([token::VALUE, STRING]);
        self.units(text);
    }

    fn units(&mut self, text: &str) {
        self.bytes.extend((text.encode_utf16().count() as u16).to_le_bytes());
        self.bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    }
}
