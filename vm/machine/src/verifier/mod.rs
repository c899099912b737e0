//! The verifier: proves, before a program runs, what the machine promises of it.
//!
//! # What it promises
//!
//! Of a [`Verified`] program, whatever the event and whatever the buffer holds:
//!
//! - every access lies in one region, in a range that is known in advance ([`Verified::access`]), within what the
//!   program's manifest grants; nothing but its stack (and the buffer of a raw program) is written;
//! - registers and stack bytes are written before they are read; addresses stay addresses: they are copied, moved by
//!   bounded amounts, saved whole on the stack, and otherwise left alone;
//! - helpers are called with arguments they take;
//! - it ends, within [`Report::worst_fuel`]; a rule ends with a verdict in `r0`.
//!
//! It is sound for what it accepts and refuses all else, with the instruction, what would have to hold there, what is
//! known, a path, and what would help ([`Rejection`]). There is no warning mode. What it refuses although it is
//! harmless is a loss of convenience; what it accepts although it is harmful is a bug that must not ship.
//!
//! # What it is not
//!
//! It does not say that a rule is *right*, and it is not the only line of defence: executors check every access
//! against the predicted range again.
//!
//! # How it works
//!
//! ```text
//! Loaded ─ flow ─────── functions, their blocks and loops in weak topological order
//!            │          (recursion, code that nothing leads to, shared code: refused)
//!          explore ──── block after block; states meet where paths meet, and carry what they cost
//!            │  calls       local calls, each with the state of its caller
//!            │  loops       iteration by iteration; long ones as a whole: guess, check, count (`induction`)
//!            │  notes       accesses, what is reached and used
//!          instruction  each one on the way
//!            │  assertion   what must hold before it, as data
//!            │  check       does the state entail it? never changes the state
//!            │  transfer    the state afterwards; never judges
//!          state ────── registers and frames: a number, or a pointer into one object; copies, joins, widening
//!          number ───── sets of numbers: known bits and bounds, and what arithmetic and comparisons make of them
//!            ▼
//!        Verified, Report        or Rejection (reason, report)
//! ```
//!
//! Work is linear in the size of a program without loops and calls, and bounded by [`Limits`] in steps and bytes,
//! never in time: the same program gets the same answer everywhere. Invariants of the domains are checked after every
//! step, in release builds too; a violation refuses the program and says that the bug is ours.
//!
//! ```
//! use trapline_vm::helper::RAW_HELPERS;
//! use trapline_vm::isa::assemble;
//! use trapline_vm::program::{Loaded, Program, ProgramKind};
//! use trapline_vm::verifier::verify;
//!
//! let program = |text: &str| Program {
//!     name: "example".to_owned(),
//!     kind: ProgramKind::Raw { memory_len: 16 },
//!     code: assemble(text).unwrap().code,
//!     lines: Vec::new(),
//!     maps: Vec::new(),
//!     fuel_limit: 100,
//! };
//! let good = Loaded::new(program("ldxdw r0, [r1+8]\nexit"), &RAW_HELPERS).unwrap();
//! assert_eq!(verify(good).unwrap().report().worst_fuel, 2);
//! let bad = Loaded::new(program("ldxdw r0, [r1+9]\nexit"), &RAW_HELPERS).unwrap();
//! assert_eq!(verify(bad).unwrap_err().code(), "out-of-bounds");
//! ```

mod explore;
mod fault;
mod flow;
mod instruction;
mod number;
mod reason;
mod report;
mod state;

#[cfg(feature = "planted-faults")]
pub use fault::{Fault, plant};
pub use flow::LOOP_NESTING_MAX;
pub use instruction::{Assertion, Mode, POINTER_OFFSET_MAX, Place};
pub use number::{Bits, Scalar, Signed, Tnum, Unsigned};
pub use reason::{Granted, Reason};
pub use report::{Cause, Counter, Decision, LoopProof, ProvedLoop, Rejection, Report, Turn};
pub use state::{AbstractState, Bytes, Held, Pointer, RegType, Stack, Why};

use crate::helper::HelperTable;
use crate::memory::Access;
use crate::program::{Loaded, Program};

/// Which programs are accepted: raised whenever some program may be accepted that was refused before, or refused that was
/// accepted. `tests/verifier.rs` reminds of it.
pub const VERIFIER_VERSION: u32 = 2;
/// Steps of a proof: instructions looked at, and states handed on; more for states that hold much. A program without
/// loops and calls takes less than four per instruction slot, so the longest one fits.
pub const STEPS_MAX: u64 = 1_000_000;
/// Steps for which a loop is followed iteration by iteration each time that it is entered, before it is tried to
/// prove something of all iterations that are left at once.
pub const LOOP_STEPS_MAX: u64 = 32_768;
/// Bytes of states that a proof holds at a time.
pub const BYTES_MAX: usize = 32 << 20;

/// The verifier's own budget. Using it up refuses the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps, see [`STEPS_MAX`].
    pub steps_max: u64,
    /// Bytes, see [`BYTES_MAX`].
    pub bytes_max: usize,
    /// Steps for which a loop is followed before it is looked at as a whole, see [`LOOP_STEPS_MAX`].
    pub loop_steps_max: u64,
    /// Whether what a call of a function came to is used for other calls in exactly the same state. Nothing that is
    /// proved depends on it.
    pub reuse_calls: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps_max: STEPS_MAX, bytes_max: BYTES_MAX, loop_steps_max: LOOP_STEPS_MAX, reuse_calls: true }
    }
}

/// Is shown the state before each instruction, in the order in which they are looked at: of one in a loop or function
/// as often as it is followed, never while guessing. Every state that a run can have is in one of those shown.
pub type Observer<'o> = &'o mut dyn FnMut(u32, &AbstractState);

/// A program of which all of this module's promises are proved. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    loaded: Loaded,
    accesses: Vec<Access>,
    report: Report,
}

impl Verified {
    /// The program, loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.loaded.program()
    }

    /// What was proved of the memory access of the instruction at a slot; [`Access::NEVER`] if it makes none, or is
    /// never reached.
    pub fn access(&self, pc: u32) -> Access {
        self.accesses.get(pc as usize).copied().unwrap_or(Access::NEVER)
    }

    /// The accesses of all instructions, by slot.
    pub fn accesses(&self) -> &[Access] {
        &self.accesses
    }

    /// What was proved, in numbers.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// Proves a program.
pub fn verify(loaded: Loaded) -> Result<Verified, Box<Rejection>> {
    verify_observed(loaded, Limits::default(), &mut |_, _| {})
}

/// Loads and proves a program; what is wrong with its code is a [`Rejection`] as well.
pub fn load_and_verify(program: Program, helpers: &'static HelperTable) -> Result<Verified, Box<Rejection>> {
    let name = program.name.clone();
    let code = program.code.clone();
    let loaded = Loaded::new(program, helpers).map_err(|error| {
        Box::new(Rejection {
            program: name,
            pc: error.pc,
            instruction: error.pc.map_or(String::new(), |pc| crate::isa::disassemble_at(&code, pc as usize)),
            line: error.line,
            assertion: None,
            cause: Cause::Load(error),
            registers: Vec::new(),
            path: Vec::new(),
        })
    })?;
    verify(loaded)
}

/// Proves a program within a budget and shows the state before each instruction that a run can reach, also of a
/// program that is then refused.
pub fn verify_observed(loaded: Loaded, limits: Limits, observe: Observer<'_>) -> Result<Verified, Box<Rejection>> {
    let (accesses, report) = explore::prove(&loaded, limits, observe)?;
    Ok(Verified { loaded, accesses, report })
}
