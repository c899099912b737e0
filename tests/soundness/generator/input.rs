//! What a program finds in memory.

use super::{BUFFER_LEN_MAX, Entropy, SLOTS};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::program::ProgramKind;
use trapline_vm::record::{Cell, RecordHeader, RecordWriter, Slot, Value};

const RECORD_ROOM: u32 = 4096;
const PREDICATES_LEN: usize = 16;
const MASKS_LEN: usize = 96;

/// What read-only regions and the buffer hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input(pub(crate) Vec<(Region, Vec<u8>)>);

impl Input {
    /// Puts it into a memory, which may have been used before.
    pub(crate) fn load(&self, memory: &mut Memory) {
        for (region, bytes) in &self.0 {
            memory.set_len(*region, bytes.len() as u32).unwrap();
            memory.contents_mut(*region).copy_from_slice(bytes);
        }
    }
}

/// A memory that any input fits.
pub(crate) fn memory(kind: &ProgramKind) -> Memory {
    Memory::new(&match kind {
        ProgramKind::Raw { .. } => Capacities { buffer: BUFFER_LEN_MAX, ..Capacities::default() },
        ProgramKind::Rule(_) => Capacities {
            record: RECORD_ROOM,
            predicates: PREDICATES_LEN as u32,
            masks: MASKS_LEN as u32,
            ..Capacities::default()
        },
    })
    .unwrap()
}

/// An input for programs of a kind.
pub(crate) fn input(entropy: &mut Entropy<'_>, kind: &ProgramKind) -> Input {
    let mut words = |len: usize| {
        let mut bytes = vec![0; len];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&entropy.number().to_le_bytes()[..word.len()]);
        }
        bytes
    };
    if let ProgramKind::Raw { memory_len } = kind {
        return Input(vec![(Region::Buffer, words(*memory_len as usize))]);
    }
    let (predicates, masks) = (words(PREDICATES_LEN), words(MASKS_LEN));
    let header = RecordHeader { digest: 7, class: 1, os: None, time_ns: entropy.next() as i64, sequence: 3 };
    let mut bytes = vec![0; RECORD_ROOM as usize];
    let mut record = RecordWriter::new(&mut bytes, SLOTS, &header).unwrap();
    for slot in 0..SLOTS {
        let text = "abcdefgh".repeat(entropy.below(8));
        let cell = match entropy.below(5) {
            0 => Cell::Lost,
            1 | 2 => Cell::Present(Value::Int(entropy.number() as i64)),
            3 => Cell::Present(Value::Str(&text)),
            _ => continue,
        };
        record.set(Slot(slot), 64, &cell);
    }
    let len = record.finish();
    bytes.truncate(len as usize);
    Input(vec![(Region::Record, bytes), (Region::Predicates, predicates), (Region::Masks, masks)])
}
