//! Encodes one event into a record, in place, without allocation.
//!
//! A value that does not fit (a string over its cap, a list over [`LIST_LEN_MAX`], a full record) is kept as far as
//! it fits and marked truncated, or marked lost when nothing fits: never an error, never silent.

use std::net::IpAddr;

use super::{
    ENUM_OTHER, HEADER_LEN, LIST_LEN_MAX, Os, RECORD_LEN_MAX, Slot, flags, groups_len, header, slot_offset, slots_len,
    state, state_offset,
};

/// A value as a decoder hands it over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Millionths.
    Decimal(i64),
    /// Text (also paths).
    Str(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// An address.
    Ip(IpAddr),
    /// Nanoseconds since 1970.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    /// Index of an enum variant; None for a value outside the enumeration.
    Enum(Option<u32>),
    /// A list of scalars.
    List(&'a [Cell<'a>]),
    /// A list of records: per element its members in order.
    Records(&'a [&'a [Cell<'a>]]),
}

/// The state of a field together with its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Not in this event.
    Absent,
    /// It existed and did not reach us.
    Lost,
    /// All of it.
    Present(Value<'a>),
    /// The beginning of it (strings and lists).
    Truncated(Value<'a>),
}

/// What the header of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// First eight bytes of the catalogue digest.
    pub digest: u64,
    /// Class index.
    pub class: u32,
    /// Operating system, if known.
    pub os: Option<Os>,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// Number of the event in its stream.
    pub sequence: u64,
}

/// Writes one record into a buffer.
#[derive(Debug)]
pub struct RecordWriter<'m> {
    bytes: &'m mut [u8],
    slot_count: u32,
    end: u32,
    flags: u32,
}

impl<'m> RecordWriter<'m> {
    /// Starts a record with `slot_count` slots, all absent. The buffer must hold header and slots
    /// ([`super::Layouts::slots_len`]); what lies beyond is heap, up to [`RECORD_LEN_MAX`].
    /// None if the buffer is too small.
    pub fn new(bytes: &'m mut [u8], slot_count: u16, header: &RecordHeader) -> Option<Self> {
        let slot_count = u32::from(slot_count);
        let heap = HEADER_LEN + groups_len(slot_count);
        let limit = bytes.len().min(RECORD_LEN_MAX as usize);
        let bytes = &mut bytes[..limit];
        bytes.get_mut(..heap as usize)?.fill(0);
        let os = header.os.map_or(0, |os| os as u32) << flags::OS_SHIFT;
        let mut writer = Self { bytes, slot_count, end: heap, flags: os };
        writer.put(header::DIGEST, &header.digest.to_le_bytes());
        writer.put(header::CLASS, &header.class.to_le_bytes());
        writer.put(header::TIME, &header.time_ns.to_le_bytes());
        writer.put(header::SEQUENCE, &header.sequence.to_le_bytes());
        writer.put(header::SLOTS_LEN, &slots_len(slot_count).to_le_bytes());
        Some(writer)
    }

    /// Fills a slot. `bytes_max` caps strings and bytes. A slot the record does not have is ignored; a slot already
    /// filled is overwritten (its heap bytes stay used).
    pub fn set(&mut self, slot: Slot, bytes_max: u32, cell: &Cell<'_>) {
        if u32::from(slot.0) < self.slot_count {
            self.set_at(HEADER_LEN, u32::from(slot.0), bytes_max, cell);
        }
    }

    /// Closes the record and returns its total length in bytes.
    pub fn finish(mut self) -> u32 {
        let end = self.end;
        let flags = self.flags;
        self.put(header::TOTAL_LEN, &end.to_le_bytes());
        self.put(header::FLAGS, &flags.to_le_bytes());
        end
    }

    fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_cell(&mut self, base: u32, index: u32, state: u8, value: u64) {
        if state & (state::LOST | state::TRUNCATED) != 0 {
            self.flags |= flags::IMPAIRED;
        }
        self.put(base + state_offset(index), &[state]);
        self.put(base + slot_offset(index), &value.to_le_bytes());
    }

    fn set_at(&mut self, base: u32, index: u32, bytes_max: u32, cell: &Cell<'_>) {
        let (value, mut bits) = match cell {
            Cell::Absent => return self.put_cell(base, index, 0, 0),
            Cell::Lost => return self.put_cell(base, index, state::LOST, 0),
            Cell::Present(value) => (value, state::PRESENT),
            Cell::Truncated(value) => (value, state::PRESENT | state::TRUNCATED),
        };
        let raw = match *value {
            Value::Bool(value) => u64::from(value),
            Value::Int(value) | Value::Decimal(value) | Value::Time(value) | Value::Duration(value) => {
                value.cast_unsigned()
            }
            Value::Enum(value) => value.map_or(ENUM_OTHER, u64::from),
            Value::Str(text) => {
                let room = self.room().min(bytes_max) as usize;
                let kept = if text.len() <= room { text } else { &text[..text.floor_char_boundary(room)] };
                if kept.len() < text.len() {
                    bits |= state::TRUNCATED;
                }
                self.append(kept.as_bytes())
            }
            Value::Bytes(bytes) => {
                let room = self.room().min(bytes_max) as usize;
                let kept = &bytes[..bytes.len().min(room)];
                if kept.len() < bytes.len() {
                    bits |= state::TRUNCATED;
                }
                self.append(kept)
            }
            Value::Ip(ip) => {
                let (octets, len) = ip_octets(ip);
                if self.room() < len {
                    return self.put_cell(base, index, state::LOST, 0);
                }
                self.append(&octets[..len as usize])
            }
            Value::List(items) => match self.reserve_groups(items.len(), groups_len) {
                None => return self.put_cell(base, index, state::LOST, 0),
                Some((at, count)) => {
                    if (count as usize) < items.len() {
                        bits |= state::TRUNCATED;
                    }
                    for (element, item) in (0..count).zip(items) {
                        self.set_at(at, element, bytes_max, item);
                    }
                    pack(at, count)
                }
            },
            Value::Records(items) => {
                let members = items.first().map_or(0, |item| item.len() as u32);
                let stride = groups_len(members);
                match self.reserve_groups(items.len(), |count| count * stride) {
                    None => return self.put_cell(base, index, state::LOST, 0),
                    Some((at, count)) => {
                        if (count as usize) < items.len() {
                            bits |= state::TRUNCATED;
                        }
                        for (element, item) in (0..count).zip(items) {
                            for (member, cell) in (0..members).zip(item.iter()) {
                                self.set_at(at + element * stride, member, bytes_max, cell);
                            }
                        }
                        pack(at, count)
                    }
                }
            }
        };
        self.put_cell(base, index, bits, raw);
    }

    fn room(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX) - self.end
    }

    /// Appends bytes that fit and returns their slot value.
    fn append(&mut self, bytes: &[u8]) -> u64 {
        let at = self.end;
        self.put(at, bytes);
        let len = bytes.len() as u32;
        self.end += len;
        pack(at, len)
    }

    /// Zeroed, 8-byte aligned room for as many elements as fit; None when not even one of several fits.
    fn reserve_groups(&mut self, wanted: usize, len: impl Fn(u32) -> u32) -> Option<(u32, u32)> {
        let start = self.end.next_multiple_of(8);
        let limit = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let mut count = u32::try_from(wanted).unwrap_or(u32::MAX).min(LIST_LEN_MAX);
        while count > 0 && start.saturating_add(len(count)) > limit {
            count -= 1;
        }
        if start > limit || (count == 0 && wanted > 0) {
            return None;
        }
        let end = start + len(count);
        self.bytes[start as usize..end as usize].fill(0);
        self.end = end;
        Some((start, count))
    }
}

fn pack(offset: u32, len: u32) -> u64 {
    u64::from(offset) | u64::from(len) << 32
}

fn ip_octets(ip: IpAddr) -> ([u8; 16], u32) {
    match ip {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            (octets, 4)
        }
        IpAddr::V6(ip) => (ip.octets(), 16),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ListView, RecordView};
    use super::*;

    const HEADER: RecordHeader = RecordHeader { digest: 7, class: 3, os: Some(Os::Linux), time_ns: -5, sequence: 9 };

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = vec![0xaa; 4096];
        let mut writer = RecordWriter::new(&mut bytes, 10, &HEADER).unwrap();
        writer.set(Slot(0), 100, &Cell::Present(Value::Str("hello")));
        writer.set(Slot(9), 3, &Cell::Present(Value::Str("añb")));
        writer.set(Slot(1), 0, &Cell::Present(Value::Int(-1)));
        writer.set(Slot(2), 0, &Cell::Lost);
        let items = [Cell::Present(Value::Str("a")), Cell::Lost, Cell::Truncated(Value::Str("b"))];
        writer.set(Slot(3), 100, &Cell::Present(Value::List(&items)));
        let len = writer.finish();
        let view = RecordView::new(&bytes[..len as usize]).unwrap();
        assert_eq!((view.class(), view.time_ns(), view.sequence()), (3, -5, 9));
        assert_eq!(view.os(), Some(Os::Linux));
        assert!(view.impaired());
        assert_eq!(view.bytes(Slot(0)), Some(&b"hello"[..]));
        assert_eq!(view.bytes(Slot(9)), Some("añ".as_bytes()));
        assert_eq!(view.state(Slot(9)), state::PRESENT | state::TRUNCATED);
        assert_eq!(view.raw(Slot(1)), u64::MAX);
        assert_eq!(view.state(Slot(2)), state::LOST);
        assert_eq!(view.state(Slot(4)), 0);
        let list: ListView<'_> = view.list(Slot(3), 0).unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list.bytes(0, 0), Some(&b"a"[..]));
        assert_eq!(list.state(1, 0), state::LOST);
        assert_eq!(list.state(2, 0), state::PRESENT | state::TRUNCATED);
    }

    #[test]
    fn a_full_record_marks_what_did_not_fit() {
        let slots = HEADER_LEN + groups_len(8);
        for room in 0..12u32 {
            let mut bytes = vec![0; (slots + room) as usize];
            let mut writer = RecordWriter::new(&mut bytes, 8, &HEADER).unwrap();
            writer.set(Slot(0), 100, &Cell::Present(Value::Str("0123456789")));
            let len = writer.finish();
            let view = RecordView::new(&bytes[..len as usize]).unwrap();
            assert_eq!(view.bytes(Slot(0)).unwrap().len(), room.min(10) as usize);
            assert_eq!(view.state(Slot(0)) & state::TRUNCATED != 0, room < 10);
        }
        assert!(RecordWriter::new(&mut vec![0; slots as usize - 1], 8, &HEADER).is_none());
    }

    #[test]
    fn records_at_and_over_their_length() {
        let text = "x".repeat(RECORD_LEN_MAX as usize);
        for (len, want) in [
            (RECORD_LEN_MAX - 1, RECORD_LEN_MAX - 1),
            (RECORD_LEN_MAX, RECORD_LEN_MAX),
            (RECORD_LEN_MAX + 1, RECORD_LEN_MAX),
        ] {
            let mut bytes = vec![0; len as usize];
            let mut writer = RecordWriter::new(&mut bytes, 1, &HEADER).unwrap();
            writer.set(Slot(0), u32::MAX, &Cell::Present(Value::Str(&text)));
            assert_eq!(writer.finish(), want, "{len}");
            assert_eq!(
                RecordView::new(&bytes).unwrap().bytes(Slot(0)).unwrap().len() as u32,
                want - HEADER_LEN - groups_len(1)
            );
        }
    }

    #[test]
    fn a_record_has_the_slots_it_was_given_and_no_more() {
        for count in 1..=17u16 {
            let mut bytes = vec![0; 1024];
            let mut writer = RecordWriter::new(&mut bytes, count, &HEADER).unwrap();
            for slot in 0..32 {
                writer.set(Slot(slot), 0, &Cell::Present(Value::Int(7)));
            }
            let len = writer.finish();
            let view = RecordView::new(&bytes[..len as usize]).unwrap();
            assert_eq!(view.slots_len(), slots_len(u32::from(count)));
            for slot in 0..32 {
                assert_eq!(view.state(Slot(slot)), u8::from(slot < count) * state::PRESENT, "{slot} of {count}");
            }
        }
    }

    #[test]
    fn lists_at_and_over_their_cap() {
        for count in [LIST_LEN_MAX - 1, LIST_LEN_MAX, LIST_LEN_MAX + 1] {
            let mut bytes = vec![0; RECORD_LEN_MAX as usize];
            let items = vec![Cell::Present(Value::Int(1)); count as usize];
            let mut writer = RecordWriter::new(&mut bytes, 1, &HEADER).unwrap();
            writer.set(Slot(0), 0, &Cell::Present(Value::List(&items)));
            let len = writer.finish();
            let view = RecordView::new(&bytes[..len as usize]).unwrap();
            assert_eq!(view.list(Slot(0), 0).unwrap().len(), count.min(LIST_LEN_MAX));
            assert_eq!(view.state(Slot(0)) & state::TRUNCATED != 0, count > LIST_LEN_MAX);
        }
    }
}
