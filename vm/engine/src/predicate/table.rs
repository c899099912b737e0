//! Each distinct predicate of a domain once, with a number that never changes.

use std::collections::HashMap;
use std::sync::Arc;

use trapline_vm::predicate::{MASKS_MAX, PREDICATES_MAX, StrOp, Test};
use trapline_vm::record::{FamilyId, FieldType, Slot};

use super::number::Number;
use super::{Matcher, Shape, TestError, text};

/// Number of a two-bit predicate in its domain: the place of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PredicateId(pub u32);

/// Number of a mask predicate in its domain: the place of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskId(pub u16);

/// The number of a predicate. Two-bit predicates and masks are numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interned {
    /// Two bits.
    Bits(PredicateId),
    /// A mask entry.
    Mask(MaskId),
}

/// How many predicates a table takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredicateLimits {
    /// Two-bit predicates, at most [`PREDICATES_MAX`].
    pub predicates: u32,
    /// Masks, at most [`MASKS_MAX`].
    pub masks: u32,
}

impl Default for PredicateLimits {
    fn default() -> Self {
        Self { predicates: PREDICATES_MAX, masks: MASKS_MAX }
    }
}

/// Why a predicate gets no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InternError {
    /// The test itself is refused.
    #[error(transparent)]
    Test(#[from] TestError),
    /// All two-bit numbers are taken.
    #[error("the domain has {0} distinct predicates, all it can hold")]
    PredicatesFull(u32),
    /// All mask numbers are taken.
    #[error("the domain has {0} distinct predicates on list elements, all it can hold")]
    MasksFull(u32),
}

/// All predicates of a domain. Numbers are given in order and never taken back once an object is linked.
#[derive(Debug, Default)]
pub struct PredicateTable {
    limits: PredicateLimits,
    numbers: HashMap<Key, Interned>,
    bits: Vec<Arc<Matcher>>,
    masks: Vec<Arc<Matcher>>,
}

/// What makes two predicates one: the place, and the test in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    family: FamilyId,
    slot: Slot,
    shape: Shape,
    test: Test,
}

/// A state of the table to return to.
#[derive(Clone, Copy, Debug)]
pub struct TableMark {
    bits: usize,
    masks: usize,
}

impl PredicateTable {
    /// An empty table with these limits (those above what instructions can address are cut to that).
    pub fn new(limits: PredicateLimits) -> Self {
        let limits =
            PredicateLimits { predicates: limits.predicates.min(PREDICATES_MAX), masks: limits.masks.min(MASKS_MAX) };
        Self { limits, ..Self::default() }
    }

    /// The number of a predicate, new or known, on values of type `ty`.
    pub fn intern(
        &mut self,
        family: FamilyId,
        slot: Slot,
        (shape, ty): (Shape, FieldType),
        test: &Test,
    ) -> Result<Interned, InternError> {
        let key = Key { family, slot, shape, test: canonical(test) };
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let matcher = Arc::new(Matcher::new(slot, shape, ty, &key.test)?);
        let number = match shape {
            Shape::Value | Shape::AnyElement => {
                let next = u32::try_from(self.bits.len()).unwrap_or(u32::MAX);
                if next >= self.limits.predicates {
                    return Err(InternError::PredicatesFull(next));
                }
                self.bits.push(matcher);
                Interned::Bits(PredicateId(next))
            }
            Shape::Elements | Shape::Member { .. } => {
                let next = u16::try_from(self.masks.len()).unwrap_or(u16::MAX);
                if u32::from(next) >= self.limits.masks {
                    return Err(InternError::MasksFull(u32::from(next)));
                }
                self.masks.push(matcher);
                Interned::Mask(MaskId(next))
            }
        };
        self.numbers.insert(key, number);
        Ok(number)
    }

    /// The predicate with this number.
    pub fn matcher(&self, number: Interned) -> Option<&Arc<Matcher>> {
        match number {
            Interned::Bits(id) => self.bits.get(id.0 as usize),
            Interned::Mask(id) => self.masks.get(usize::from(id.0)),
        }
    }

    /// How many two-bit predicates there are.
    pub fn predicate_count(&self) -> usize {
        self.bits.len()
    }

    /// How many masks there are.
    pub fn mask_count(&self) -> usize {
        self.masks.len()
    }

    /// The present state.
    pub fn mark(&self) -> TableMark {
        TableMark { bits: self.bits.len(), masks: self.masks.len() }
    }

    /// Forgets what was added since: for an object that turned out not to link. Numbers of objects that did are
    /// never given back.
    pub fn forget_since(&mut self, mark: TableMark) {
        if (self.bits.len(), self.masks.len()) == (mark.bits, mark.masks) {
            return;
        }
        self.bits.truncate(mark.bits);
        self.masks.truncate(mark.masks);
        self.numbers.retain(|_, number| match number {
            Interned::Bits(id) => (id.0 as usize) < mark.bits,
            Interned::Mask(id) => usize::from(id.0) < mark.masks,
        });
    }
}

/// One form for all spellings of a test: any order and case of its literals, if they do not matter.
fn canonical(test: &Test) -> Test {
    let mut test = test.clone();
    match &mut test {
        Test::Str { op: StrOp::Regex, literals, .. } => {
            literals.sort_unstable();
            literals.dedup();
        }
        Test::Str { literals, fold, .. } => *literals = text::canonical(literals, *fold),
        Test::Bytes(literals) => {
            literals.sort_unstable();
            literals.dedup();
        }
        Test::Cidr(ranges) => {
            ranges.sort_unstable_by_key(|range| (range.address, range.prefix));
            ranges.dedup();
        }
        Test::Int { values, .. } | Test::Time { values, .. } => {
            values.sort_unstable();
            values.dedup();
        }
        Test::Number { value, .. } => {
            if let Some(number) = Number::new(value) {
                *value = number.to_string();
            }
        }
        Test::Exists => {}
    }
    test
}
