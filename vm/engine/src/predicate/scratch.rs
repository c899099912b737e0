//! What evaluation writes to: folded values of the current event, each folded once however many predicates read it.

use std::collections::HashMap;
use std::ops::Range;

use trapline_vm::text;

/// The most bytes of folded text kept for one event; beyond it they are forgotten and folded again when asked for.
pub const FOLDED_LEN_MAX: usize = 1 << 20;

/// Reusable working memory of predicate evaluation, one a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    folded: Vec<u8>,
    /// By slot value (offset and length in the record), which names a string of the current event.
    places: HashMap<u64, Range<usize>>,
    last: Option<(u64, Range<usize>)>,
    undecided: bool,
}

impl Scratch {
    /// Forgets the values of the event before. Must be called whenever the record changes.
    pub fn begin_event(&mut self) {
        self.forget_folded();
        self.undecided = false;
    }

    /// Whether some test could not decide a value that is there and complete: one beyond a limit of ours, such as
    /// [`super::REGEX_STEPS_MAX`]. To a program that is a loss like any other.
    pub fn undecided(&self) -> bool {
        self.undecided
    }

    pub(super) fn set_undecided(&mut self) {
        self.undecided = true;
    }

    fn forget_folded(&mut self) {
        self.folded.clear();
        self.places.clear();
        self.last = None;
    }

    /// The folded form of a string of the current event.
    pub(super) fn fold(&mut self, raw: u64, bytes: &[u8]) -> &[u8] {
        let place = match &self.last {
            Some((last, place)) if *last == raw => place.clone(),
            _ => {
                let place = match self.places.get(&raw) {
                    Some(place) => place.clone(),
                    None => self.fold_new(raw, bytes),
                };
                self.last = Some((raw, place.clone()));
                place
            }
        };
        self.folded.get(place).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn folded_len(&self) -> usize {
        self.folded.len()
    }

    fn fold_new(&mut self, raw: u64, bytes: &[u8]) -> Range<usize> {
        // A character's fold is at most half as long again in bytes (`Ⱥ`, two bytes, folds to three).
        let len_max = bytes.len() + bytes.len() / 2;
        if self.folded.len().saturating_add(len_max) > FOLDED_LEN_MAX {
            self.forget_folded();
        }
        let start = self.folded.len();
        fold_into(bytes, &mut self.folded);
        let place = start..self.folded.len();
        self.places.insert(raw, place.clone());
        place
    }
}

/// Appends the text folded character by character; bytes that are not UTF-8 stay as they are.
pub(super) fn fold_into(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii() {
                out.push(c.to_ascii_lowercase() as u8);
            } else {
                out.extend_from_slice(text::fold_char(c).encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
}
