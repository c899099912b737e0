//! Programs: compiled ([`Object`]), linked ([`Program`]), proved (`Verified`, made by the verifier alone).

#[cfg(feature = "elf")]
mod btf;
#[cfg(feature = "elf")]
pub mod elf;
mod load;
mod object;

pub(crate) use load::map_operands;
pub use load::{Block, LoadError, LoadReason, Loaded};
pub use object::{Line, Object, Relocation, RelocationKind};

use crate::isa::Instruction;
use crate::map::PlacedMap;

/// What a program is and how it is entered.
///
/// *Rule*: `r1` = record (read-only), `r2` = predicate bits (read-only), `r3` = predicate masks (read-only),
/// `r10` = frame; `r0` at exit is a [`Verdict`].
/// *Raw*: `r1` = a writable buffer, `r2` = its length, `r10` = frame; any initialised `r0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// A detection rule.
    Rule(Manifest),
    /// A bare program, as VM people run them.
    Raw {
        /// Length of the buffer in bytes.
        memory_len: u32,
    },
}

/// What a rule program may touch, and nothing else: its capabilities. Computed by linking, enforced by the verifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Length of header and slots that a record must have before this program may run on it.
    pub record_len: u32,
    /// Slot numbers it may read (value and state), ascending. Every program may read the header.
    pub slots: Vec<u16>,
    /// Bytes of the predicate bits it may read, ascending.
    pub predicate_bytes: Vec<u16>,
    /// Mask entries it may read, ascending.
    pub masks: Vec<u16>,
    /// Helper numbers it may call, ascending.
    pub helpers: Vec<u32>,
}

/// A linked program: decoded, not yet proved.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name of the rule, or of the raw program.
    pub name: String,
    /// What it is and may touch.
    pub kind: ProgramKind,
    /// Instructions, one an eight-byte slot (a wide instruction takes two).
    pub code: Vec<Instruction>,
    /// Source lines.
    pub lines: Vec<Line>,
    /// The maps that its code names by index.
    pub maps: Vec<PlacedMap>,
    /// Fuel for one run.
    pub fuel_limit: u64,
}

impl Program {
    /// A raw program without maps, with a buffer of so many bytes.
    pub fn raw(name: impl Into<String>, code: Vec<Instruction>, memory_len: u32) -> Self {
        Self {
            name: name.into(),
            kind: ProgramKind::Raw { memory_len },
            code,
            lines: Vec::new(),
            maps: Vec::new(),
            fuel_limit: FUEL_LIMIT_DEFAULT,
        }
    }

    /// The source line of an instruction slot.
    pub fn line_of(&self, pc: u32) -> Option<u32> {
        let after = self.lines.partition_point(|line| line.pc <= pc);
        Some(self.lines.get(after.checked_sub(1)?)?.line)
    }
}

/// What a rule program says of an event: its `r0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// 0: the rule does not match.
    NoMatch,
    /// 1: the rule matches.
    Match,
    /// 2: it cannot be told, because a value was lost or truncated.
    NotEvaluable,
}

impl Verdict {
    /// From `r0`; None outside 0..=2.
    pub fn from_r0(r0: u64) -> Option<Self> {
        match r0 {
            0 => Some(Self::NoMatch),
            1 => Some(Self::Match),
            2 => Some(Self::NotEvaluable),
            _ => None,
        }
    }
}

/// Fuel for one run unless the embedder says otherwise.
pub const FUEL_LIMIT_DEFAULT: u64 = 1_000_000;
/// The longest program, in instruction slots.
pub const CODE_LEN_MAX: usize = 65_535;
