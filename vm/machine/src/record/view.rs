//! Reads a record. Total on any bytes: what does not lie inside the record reads as absent.

use super::{GROUP_LEN, HEADER_LEN, Os, RECORD_LEN_MAX, Slot, flags, groups_len, header, slot_offset, state_offset};

/// A record to read from.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    bytes: &'a [u8],
}

fn u32_at(bytes: &[u8], at: u32) -> u32 {
    bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: u32) -> u64 {
    bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn unpack(raw: u64) -> (u32, u32) {
    (raw as u32, (raw >> 32) as u32)
}

impl<'a> RecordView<'a> {
    /// A view of the record at the start of `bytes`; None if there is no header or it claims more than is there.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER_LEN as usize {
            return None;
        }
        let total = u32_at(bytes, header::TOTAL_LEN);
        let slots = u32_at(bytes, header::SLOTS_LEN);
        if total < HEADER_LEN || slots > total || slots < HEADER_LEN {
            return None;
        }
        Some(Self { bytes: bytes.get(..total as usize)? })
    }

    /// The whole record.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// First eight bytes of the digest of the catalogue it was made for.
    pub fn digest(&self) -> u64 {
        u64_at(self.bytes, header::DIGEST)
    }

    /// Class index.
    pub fn class(&self) -> u32 {
        u32_at(self.bytes, header::CLASS)
    }

    /// Event time, nanoseconds since 1970.
    pub fn time_ns(&self) -> i64 {
        u64_at(self.bytes, header::TIME).cast_signed()
    }

    /// Number of the event in its stream.
    pub fn sequence(&self) -> u64 {
        u64_at(self.bytes, header::SEQUENCE)
    }

    /// Length of header and slots.
    pub fn slots_len(&self) -> u32 {
        u32_at(self.bytes, header::SLOTS_LEN)
    }

    /// Whether some field is lost or truncated.
    pub fn impaired(&self) -> bool {
        u32_at(self.bytes, header::FLAGS) & flags::IMPAIRED != 0
    }

    /// The operating system of the event's host.
    pub fn os(&self) -> Option<Os> {
        match u32_at(self.bytes, header::FLAGS) >> flags::OS_SHIFT & flags::OS_MASK {
            1 => Some(Os::Linux),
            2 => Some(Os::Windows),
            3 => Some(Os::MacOs),
            _ => None,
        }
    }

    /// State bits of a slot; 0 (absent) for a slot the record does not have.
    pub fn state(&self, slot: Slot) -> u8 {
        if !self.has(slot) {
            return 0;
        }
        self.bytes.get(slot.state_offset() as usize).copied().unwrap_or(0)
    }

    /// The eight bytes of a slot; 0 for a slot the record does not have.
    pub fn raw(&self, slot: Slot) -> u64 {
        if self.has(slot) { u64_at(self.bytes, slot.offset()) } else { 0 }
    }

    /// The bytes a string, path, bytes or ip slot points to. None if they are not inside the record.
    pub fn bytes(&self, slot: Slot) -> Option<&'a [u8]> {
        self.heap(self.raw(slot))
    }

    /// The list a slot points to. `members` is the number of members of its element type, 0 for a list of scalars.
    /// None if it is not inside the record.
    pub fn list(&self, slot: Slot, members: u32) -> Option<ListView<'a>> {
        let (offset, count) = unpack(self.raw(slot));
        if count > RECORD_LEN_MAX {
            return None;
        }
        let stride = groups_len(members);
        let len = if members == 0 { groups_len(count) } else { count.checked_mul(stride)? };
        let end = offset.checked_add(len)?;
        if end as usize > self.bytes.len() {
            return None;
        }
        Some(ListView { record: *self, offset, count, stride })
    }

    fn has(&self, slot: Slot) -> bool {
        slot.offset().saturating_add(8) <= self.slots_len()
    }

    fn heap(&self, raw: u64) -> Option<&'a [u8]> {
        let (offset, len) = unpack(raw);
        self.bytes.get(offset as usize..offset.checked_add(len)? as usize)
    }
}

/// The elements of a list in a record.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    record: RecordView<'a>,
    offset: u32,
    count: u32,
    /// Bytes of an element; 0 for a list of scalars.
    stride: u32,
}

impl<'a> ListView<'a> {
    /// Number of elements.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn place(&self, element: u32, member: u32) -> Option<(u32, u32)> {
        if element >= self.count {
            return None;
        }
        if self.stride == 0 {
            return Some((self.offset, element));
        }
        if member >= self.stride / GROUP_LEN * super::GROUP_SLOTS {
            return None;
        }
        Some((self.offset + element * self.stride, member))
    }

    /// State bits of a member of an element (`member` is ignored for a list of scalars).
    pub fn state(&self, element: u32, member: u32) -> u8 {
        self.place(element, member)
            .and_then(|(base, index)| self.record.bytes.get((base + state_offset(index)) as usize).copied())
            .unwrap_or(0)
    }

    /// The eight bytes of a member of an element.
    pub fn raw(&self, element: u32, member: u32) -> u64 {
        self.place(element, member).map_or(0, |(base, index)| u64_at(self.record.bytes, base + slot_offset(index)))
    }

    /// The bytes a member of an element points to.
    pub fn bytes(&self, element: u32, member: u32) -> Option<&'a [u8]> {
        self.record.heap(self.raw(element, member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::slots_len;

    #[test]
    fn lists_that_claim_more_elements_than_a_record_has_bytes_are_none() {
        let list = HEADER_LEN + GROUP_LEN;
        let total = list + groups_len(RECORD_LEN_MAX + 1);
        let mut bytes = vec![0; total as usize];
        let mut put = |at: u32, value: u32| bytes[at as usize..][..4].copy_from_slice(&value.to_le_bytes());
        put(header::TOTAL_LEN, total);
        put(header::SLOTS_LEN, slots_len(1));
        put(Slot(0).offset(), list);
        for (count, good) in [(RECORD_LEN_MAX - 1, true), (RECORD_LEN_MAX, true), (RECORD_LEN_MAX + 1, false)] {
            let mut bytes = bytes.clone();
            bytes[Slot(0).offset() as usize + 4..][..4].copy_from_slice(&count.to_le_bytes());
            let view = RecordView::new(&bytes).unwrap();
            assert_eq!(view.list(Slot(0), 0).map(|list| list.len()), good.then_some(count));
        }
    }
}
