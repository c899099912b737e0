//! What the verifier says: a [`Rejection`] that a person can act on, or a [`Report`] of what was proved.

use std::fmt;

use super::instruction::Assertion;
use super::reason::Reason;
use super::state::RegType;
use crate::program::LoadError;

/// Why a program was refused: the instruction, what must hold there, what is known, how it is reached, what helps.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Name of the program.
    pub program: String,
    /// The instruction's slot; None if it is the program as a whole.
    pub pc: Option<u32>,
    /// The instruction, as assembly.
    pub instruction: String,
    /// The source line it comes from, if known.
    pub line: Option<u32>,
    /// What must hold before it and could not be proved. None for what is wrong with the program's shape.
    pub assertion: Option<Assertion>,
    /// What is wrong.
    pub cause: Cause,
    /// What is known of the registers involved.
    pub registers: Vec<(u8, RegType)>,
    /// The decisions on one shortest way from the entry to here.
    pub path: Vec<Decision>,
}

/// What is wrong with a program, and who found it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// It could not be loaded: the code is malformed.
    Load(LoadError),
    /// It could not be proved.
    Proof(Reason),
}

/// A jump, branch or call on a path. Stretches that are repeated are listed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its slot.
    pub pc: u32,
    /// Which way it goes.
    pub turn: Turn,
    /// How often, together with its neighbours that are repeated as often, one after the other.
    pub times: u32,
}

/// Which way a path goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The jump or branch is taken.
    Taken,
    /// The branch is not taken.
    NotTaken,
    /// The function of the program is called.
    Called,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "taken",
            Self::NotTaken => "not taken",
            Self::Called => "called",
        })
    }
}

/// Decisions shown of a path; of a longer one the last are shown.
pub(super) const PATH_SHOWN: usize = 12;

impl Rejection {
    /// A stable name of what is wrong: `malformed`, or that of the [`Reason`].
    pub const fn code(&self) -> &'static str {
        match &self.cause {
            Cause::Load(_) => "malformed",
            Cause::Proof(reason) => reason.code(),
        }
    }

    /// What would make the program acceptable.
    pub const fn help(&self) -> &'static str {
        match &self.cause {
            Cause::Load(error) => error.reason.help(),
            Cause::Proof(reason) => reason.help(),
        }
    }

    /// What is wrong, in one line and without the place.
    pub fn message(&self) -> String {
        match &self.cause {
            Cause::Load(error) => error.reason.to_string(),
            Cause::Proof(reason) => reason.to_string(),
        }
    }
}

impl From<LoadError> for Cause {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// As rustc would print it, without colours:
///
/// ```text
/// error[unusable-register]: r3 is never written
///   --> example, line 12, instruction 7
///    |
///  7 | add %r0, %r3
///    |
///    = must hold: r3 holds a value
///    = known: r0 = 0..=2, r3 = never written
///    = path: 2 taken, 5 not taken
///    = help: write the register before it is read
/// ```
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code(), self.message())?;
        write!(f, "  --> {}", self.program)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        let margin = self.pc.map_or(1, |pc| pc.to_string().len());
        if let Some(pc) = self.pc {
            writeln!(f, ", instruction {pc}")?;
            writeln!(f, " {:margin$} |", "")?;
            writeln!(f, " {pc} | {}", self.instruction)?;
            writeln!(f, " {:margin$} |", "")?;
        } else {
            writeln!(f)?;
        }
        let mut note = |label: &str, text: String| writeln!(f, " {:margin$} = {label}: {text}", "");
        if let Some(assertion) = &self.assertion {
            note("must hold", assertion.to_string())?;
        }
        if !self.registers.is_empty() {
            let known = self.registers.iter().map(|(register, value)| format!("r{register} = {value}"));
            note("known", known.collect::<Vec<_>>().join(", "))?;
        }
        if !self.path.is_empty() {
            let skipped = self.path.len().saturating_sub(PATH_SHOWN);
            let mut shown = Vec::new();
            if skipped > 0 {
                shown.push(format!("{skipped} earlier"));
            }
            shown.extend(self.path.iter().skip(skipped).map(Decision::to_string));
            note("path", shown.join(", "))?;
        }
        write!(f, " {:margin$} = help: {}", "", self.help())
    }
}

impl std::error::Error for Rejection {}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pc, self.turn)?;
        if self.times > 1 { write!(f, " (x{})", self.times) } else { Ok(()) }
    }
}

/// A loop, and why it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedLoop {
    /// The slot of its first instruction, to which its jumps lead back.
    pub head: u32,
    /// The source line of that instruction, if known.
    pub line: Option<u32>,
    /// The most times that it jumps back each time it is entered.
    pub iterations: u64,
    /// Why it ends.
    pub proof: LoopProof,
}

/// Why a loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopProof {
    /// Each of its iterations was looked at by itself.
    Explored,
    /// What holds of every iteration bounds a counter that each one moves on.
    Counted(Counter),
}

/// Where a loop keeps what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A register.
    Register(u8),
    /// Eight bytes of its function's stack frame.
    Stack {
        /// Their offset from the frame pointer.
        offset: i32,
    },
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(register) => write!(f, "r{register}"),
            Self::Stack { offset } => write!(f, "[r10{offset:+}]"),
        }
    }
}

impl fmt::Display for ProvedLoop {
    /// As in `loop at 3 (line 5) at most 10 times, explored`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loop at {}", self.head)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, " at most {} time{}, ", self.iterations, if self.iterations == 1 { "" } else { "s" })?;
        match self.proof {
            LoopProof::Explored => f.write_str("explored"),
            LoopProof::Counted(counter) => write!(f, "counted by {counter}"),
        }
    }
}

/// What was proved of a program, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Instructions; a wide one counts once.
    pub instructions: u32,
    /// Instructions that no run reaches.
    pub dead_instructions: u32,
    /// The most fuel that any run can use.
    pub worst_fuel: u64,
    /// The fuel that a run gets.
    pub fuel_limit: u64,
    /// Bytes of stack that it uses: the deepest sum of what each frame uses.
    pub stack_bytes: u32,
    /// The most calls of its own functions that are in progress at a time.
    pub call_depth: u32,
    /// Bytes that its maps take, values and what is kept beside them.
    pub state_bytes: u64,
    /// Maps that it uses, by index, ascending.
    pub maps: Vec<u16>,
    /// Its loops, by head.
    pub loops: Vec<ProvedLoop>,
    /// Instructions that access memory.
    pub accesses: u32,
    /// Helpers that it calls, ascending.
    pub helpers: Vec<u32>,
    /// Slots of the record that it reads by itself (value or state), ascending.
    pub slots: Vec<u16>,
    /// Steps of the proof.
    pub steps: u64,
    /// The most bytes that the proof held at a time.
    pub bytes: u64,
}

impl Report {
    /// Whether fuel can run out before the program ends. Only programs without state are accepted then.
    pub const fn can_run_out(&self) -> bool {
        self.worst_fuel > self.fuel_limit
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instructions", self.instructions)?;
        if self.dead_instructions > 0 {
            write!(f, " ({} never reached)", self.dead_instructions)?;
        }
        write!(f, ", worst case {} fuel of {}", self.worst_fuel, self.fuel_limit)?;
        if self.can_run_out() {
            f.write_str(" (can run out)")?;
        }
        write!(f, ", {} bytes of stack, {} memory accesses", self.stack_bytes, self.accesses)?;
        let list = |numbers: Vec<String>| if numbers.is_empty() { "none".to_owned() } else { numbers.join(" ") };
        write!(f, ", helpers {}", list(self.helpers.iter().map(u32::to_string).collect()))?;
        write!(f, ", slots {}", list(self.slots.iter().map(u16::to_string).collect()))?;
        // What most programs have none of is said of those that have it.
        if !self.maps.is_empty() {
            write!(f, ", maps {}", list(self.maps.iter().map(u16::to_string).collect()))?;
        }
        if self.state_bytes > 0 {
            write!(f, ", {} bytes of state", self.state_bytes)?;
        }
        if self.call_depth > 0 {
            write!(f, ", calls {} deep", self.call_depth)?;
        }
        self.loops.iter().try_for_each(|proved| write!(f, ", {proved}"))
    }
}
