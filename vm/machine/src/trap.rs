//! Traps: why a program was stopped.
//!
//! A trap is data: a small code that is the same in every executor, the place, and a [`TrapReport`] for people. A
//! *verified* program can only run out of fuel; any other trap of one is a bug of this machine
//! ([`Trap::is_our_bug`]). What a helper cannot do is a return value, not a trap.

use std::fmt;

/// Why a program was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trap {
    /// The next block, or the work of a helper, costs more fuel than is left.
    FuelExhausted,
    /// An access touches a byte outside every region.
    OutOfRegion,
    /// A store into a region that programs may only read.
    ReadOnly,
    /// The record has fewer slots than the program was linked for. It was not entered.
    RecordTooShort {
        /// Bytes of header and slots that it needs.
        needed: u32,
        /// Bytes of header and slots that there are.
        have: u32,
    },
    /// A region other than the record is shorter than the program was proved for. It was not entered.
    RegionTooShort,
    /// An access outside the range that the verifier proved.
    PredictedRange,
    /// Local calls are nested deeper than [`crate::memory::FRAMES_MAX`].
    CallDepth,
    /// An argument that the helper cannot take, such as an address that is not the record's.
    HelperArgument,
    /// The program counter left the code.
    BadPc,
    /// A rule program ended with an `r0` that is no verdict.
    InvalidVerdict,
    /// The memory lacks a map of the program, or has it elsewhere or with another layout. It was not entered.
    MapMismatch,
}

/// One line of the table of traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapInfo {
    /// Stable number, at least 1.
    pub code: u32,
    /// Stable name.
    pub name: &'static str,
    /// What happened, for people.
    pub message: &'static str,
    /// The page on it: what it means, who can meet it, what to do.
    pub explanation: &'static str,
    /// The trap; amounts that it carries are zero here.
    pub trap: Trap,
}

const fn info(code: u32, name: &'static str, message: &'static str, trap: Trap, explanation: &'static str) -> TrapInfo {
    TrapInfo { code, name, message, explanation, trap }
}

/// All traps. Codes and names never change their meaning; new ones are added at the end.
pub const TRAPS: &[TrapInfo] = &[
    info(
        1,
        "fuel-exhausted",
        "the fuel limit was reached",
        Trap::FuelExhausted,
        "\
The program used up its fuel: one unit an instruction, charged block by block before the block runs, and one for every
16 bytes that a helper works through, charged before it does. The place is the first instruction of the block that
could not be paid, or the call whose work could not be; neither was begun. This is the one trap that a proved program
can meet, and only one without state whose proved worst case is above its limit. The event was judged by all other
rules. Simplify the rule, split it, or raise its limit.",
    ),
    info(
        2,
        "out-of-region",
        "memory access outside every region",
        Trap::OutOfRegion,
        "\
The program touched memory outside of every region, or at the end of one with more bytes than are left. A proved
program cannot do that: if this happened to a rule, it is a bug in Trapline, and the trap kept it from doing harm.
Unproved programs (`trapline debug exec`) meet it when they use a bad address, such as 0.",
    ),
    info(
        3,
        "read-only",
        "store into read-only memory",
        Trap::ReadOnly,
        "\
The program stored into memory that programs only read: the event, its predicate bits, or constants. Nothing was
written. A proved program cannot do that.",
    ),
    info(
        4,
        "record-too-short",
        "the record lacks slots that the program was linked for",
        Trap::RecordTooShort { needed: 0, have: 0 },
        "\
The record of the event has fewer fields than the program was linked for, so the program was not entered. This is what
stops content made for 21 fields from reading the 21st of an event that has 20. Loading checks what sources supply, so
that this does not happen in operation.",
    ),
    info(
        5,
        "region-too-short",
        "a region is shorter than the program was proved for",
        Trap::RegionTooShort,
        "\
Memory other than the record is shorter than what the program was proved for: its buffer, its predicate bits, its maps.
The program was not entered. The host prepares this memory, so for a rule it is a bug in Trapline.",
    ),
    info(
        6,
        "predicted-range",
        "memory access outside the range that the verifier proved",
        Trap::PredictedRange,
        "\
A memory access went outside the range that the verifier had proved for it. The interpreter checks each access against
the proof; that they differ is a bug in Trapline. The access was not made. Please report it with the program.",
    ),
    info(
        7,
        "call-depth",
        "local calls nested too deeply",
        Trap::CallDepth,
        "\
Calls of the program's own functions were nested deeper than eight frames, the entry counted. A proved program cannot do
that: its deepest call is part of the proof.",
    ),
    info(
        8,
        "helper-argument",
        "a helper was called with an argument it cannot take",
        Trap::HelperArgument,
        "\
A helper was called with an argument that it cannot take, such as an address that is not the record's, or a map that is
not there. It did nothing. The verifier proves the arguments of each call, so only unproved programs meet this.",
    ),
    info(
        9,
        "bad-pc",
        "the program counter left the code",
        Trap::BadPc,
        "\
Execution left the program. The structural check at load makes this impossible; if it happens, it is a bug in Trapline.",
    ),
    info(
        10,
        "invalid-verdict",
        "a rule program ended with an r0 that is no verdict",
        Trap::InvalidVerdict,
        "\
A rule ended with an r0 that is neither 0 (no match) nor 1 (match) nor 2 (not evaluable). It counts as having said
nothing. A proved program cannot do that: the verdict is proved at every exit.",
    ),
    info(
        11,
        "map-mismatch",
        "the memory does not have the program's maps as they were placed",
        Trap::MapMismatch,
        "\
The memory lacks a map of the program, or has it at another place or with another layout, so the program was not
entered. The host prepares this memory; for a rule it is a bug in Trapline.",
    ),
];

impl Trap {
    /// Its line of the table.
    pub fn info(self) -> &'static TrapInfo {
        let kind = std::mem::discriminant(&self);
        TRAPS.iter().find(|info| std::mem::discriminant(&info.trap) == kind).unwrap_or(&TRAPS[0])
    }

    /// Its stable number.
    pub fn code(self) -> u32 {
        self.info().code
    }

    /// The trap with this number; amounts that it carries are zero.
    pub fn from_code(code: u32) -> Option<Self> {
        TRAPS.iter().find(|info| info.code == code).map(|info| info.trap)
    }

    /// Whether the program was not entered: it has done nothing.
    pub fn is_before_entry(self) -> bool {
        matches!(self, Self::RecordTooShort { .. } | Self::RegionTooShort | Self::MapMismatch)
    }

    /// Whether a verified program that stops so shows a bug of this machine, or of the host that prepared the memory.
    pub fn is_our_bug(self) -> bool {
        self != Self::FuelExhausted
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().message)?;
        if let Self::RecordTooShort { needed, have } = self {
            write!(f, " (needs {needed} bytes, has {have})")?;
        }
        Ok(())
    }
}

/// A trap and the instruction it is charged to: the one that could not be done, or for [`Trap::FuelExhausted`] the
/// leader of the block that could not be paid, or the call whose work could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{trap} at pc {pc}")]
pub struct Stop {
    /// Why.
    pub trap: Trap,
    /// Where, in slots.
    pub pc: u32,
}

/// A trap with all that a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrapReport {
    /// Why.
    pub trap: Trap,
    /// Where, in slots.
    pub pc: u32,
    /// The instruction there, as assembly.
    pub instruction: String,
    /// The source line it comes from, if known.
    pub line: Option<u32>,
    /// Registers `r0` to `r10` at that moment.
    pub registers: [u64; 11],
    /// Name of the program.
    pub program: String,
}

impl fmt::Display for TrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}] at pc {}", self.program, self.trap, self.trap.info().name, self.pc)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.instruction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_distinct_and_round_trip() {
        for (code, info) in (1..).zip(TRAPS) {
            assert_eq!(info.code, code);
            assert_eq!(info.trap.info(), info);
            assert_eq!(Trap::from_code(code), Some(info.trap));
            assert_eq!(TRAPS.iter().filter(|other| other.name == info.name).count(), 1);
            assert!(info.explanation.len() > 80 && info.explanation.ends_with('.'), "{}", info.name);
            assert!(info.explanation.lines().all(|line| line.len() <= 120), "{}", info.name);
        }
        assert_eq!(Trap::from_code(0), None);
        assert_eq!(Trap::from_code(TRAPS.len() as u32 + 1), None);
        assert_eq!(
            Trap::RecordTooShort { needed: 9, have: 8 }.to_string(),
            "the record lacks slots that the program was linked for (needs 9 bytes, has 8)"
        );
    }
}
