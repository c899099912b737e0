//! A compiled rule before it is linked: code with symbolic fields and predicates.
//!
//! The compiler writes an [`Object`]; it is the same on every host. `trapline-engine` links it against the layouts
//! and predicate table of a domain, which patches the instructions named by [`Relocation`]s and yields a
//! [`super::Program`] for the verifier. *Compile once, run on any agent that supplies the fields.*

use crate::isa::Instruction;
use crate::map::MapDecl;
use crate::predicate::{FieldRef, Predicate};
use crate::record::OsSet;

/// A compiled rule for one family of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Name of the rule.
    pub name: String,
    /// SHA-256 of the catalogue it was compiled against.
    pub catalogue_digest: [u8; 32],
    /// Name of the family whose records it reads.
    pub family: String,
    /// Names of the classes that wake it; at least one, all of that family.
    pub classes: Vec<String>,
    /// Operating systems whose events wake it.
    pub os: OsSet,
    /// Instructions, one an eight-byte slot.
    pub code: Vec<Instruction>,
    /// Fields it reads; relocations index this.
    pub fields: Vec<FieldRef>,
    /// Predicates it tests; relocations index this.
    pub predicates: Vec<Predicate>,
    /// Maps that its code names by index.
    pub maps: Vec<MapDecl>,
    /// What linking patches.
    pub relocations: Vec<Relocation>,
    /// Source line of each instruction range, ascending by pc.
    pub lines: Vec<Line>,
    /// What each predicate says in the words of the rule, by predicate index: evidence for alerts.
    pub predicate_texts: Vec<String>,
}

/// Code from `pc` on (to the next entry) comes from this line of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// First instruction slot.
    pub pc: u32,
    /// Line, from 1.
    pub line: u32,
}

/// One place that linking patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Instruction slot.
    pub pc: u32,
    /// What to put where.
    pub kind: RelocationKind,
}

/// What linking puts into an instruction. Field and predicate numbers index [`Object::fields`] and
/// [`Object::predicates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationKind {
    /// `offset` = the field's slot offset in the record, plus what `offset` holds (0 to 7).
    Slot(u16),
    /// `offset` = the offset of the field's state byte in the record.
    State(u16),
    /// `imm` = the field's slot number (for helpers).
    SlotNumber(u16),
    /// `offset` = the predicate's byte in the predicate bits.
    PredicateByte(u16),
    /// `imm` = the mask of the predicate's *true* bit in its byte.
    PredicateTrue(u16),
    /// `imm` = the mask of the predicate's *known* bit in its byte.
    PredicateKnown(u16),
    /// `imm` = the mask of both bits.
    PredicateBoth(u16),
    /// `offset` = the mask entry's offset, plus what `offset` holds (0, 8 or 16).
    Mask(u16),
    /// `imm` = the field's slot offset in the record, for code that adds it to an address itself, as compiled C does.
    SlotOffset(u16),
    /// `imm` = the offset of the field's state byte in the record.
    StateOffset(u16),
    /// `imm` = the predicate's byte in the predicate bits.
    PredicateOffset(u16),
    /// `imm` = the mask entry's offset.
    MaskOffset(u16),
}
