//! A proof and all that it says of each instruction.

use crate::generator;
use std::cell::Cell;
use trapline_vm::isa::{Kind, disassemble};
use trapline_vm::memory::{FRAME_LEN, Region};
use trapline_vm::program::{Loaded, Program};
use trapline_vm::verifier::{
    AbstractState, Bits, Held, Limits, Pointer, RegType, Rejection, Report, Verified, verify_observed,
};

/// States kept of one program. Of a proof with more (one in some thousands, with long loops), the rest is not kept,
/// and embedding is not judged at instructions that lack some.
const STATES_MAX: usize = 20_000;

/// A verified program with the states before each instruction that a run can reach.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) verified: Verified,
    points: Vec<Point>,
}

/// What the proof says of one instruction.
#[derive(Debug, Default)]
struct Point {
    states: Vec<AbstractState>,
    /// Whether there were more.
    cut: bool,
    /// The state that held last: the next run to come here is most often in it or in the one after.
    last: Cell<usize>,
    /// The register that last told a state from another.
    telling: Cell<u8>,
}

/// What the verifier says of a program.
#[derive(Debug)]
pub(crate) enum Answer {
    Accepted(Box<Proof>),
    /// And the stable name of why.
    Refused(&'static str),
    /// It finds a contradiction in itself.
    Inconsistent(String),
    /// It says something else when it uses no result of an earlier call again.
    Disagrees(String),
}

/// Whether the proof is the same if no result of an earlier call is used again.
fn agrees_without_reuse(program: &Program, proof: &Result<Verified, Box<Rejection>>) -> Result<(), String> {
    let loaded = Loaded::new(program.clone(), generator::helpers(&program.kind)).expect("it was loaded before");
    let limits = Limits { reuse_calls: false, ..Limits::default() };
    let other = verify_observed(loaded, limits, &mut |_, _| {});
    match (proof, other) {
        (Ok(proof), Ok(other)) => {
            // What a proof holds at a time is its own matter.
            let report = |verified: &Verified| Report { bytes: 0, ..verified.report().clone() };
            if report(proof) != report(&other) {
                return Err(format!("reuse: {}\nwithout: {}", proof.report(), other.report()));
            }
            if proof.accesses() != other.accesses() {
                return Err("other ranges of accesses without reuse".to_owned());
            }
            Ok(())
        }
        (Err(proof), Err(other)) if proof.to_string() == other.to_string() => Ok(()),
        (Err(proof), Err(other)) => Err(format!("reuse: {proof}\nwithout: {other}")),
        (Ok(_), Err(other)) => Err(format!("refused only without reuse: {other}")),
        (Err(proof), Ok(_)) => Err(format!("refused only with reuse: {proof}")),
    }
}

/// Proves a program.
pub(crate) fn prove(program: &Program) -> Answer {
    let loaded = match Loaded::new(program.clone(), generator::helpers(&program.kind)) {
        Ok(loaded) => loaded,
        Err(_) => return Answer::Refused("malformed"),
    };
    let calls = loaded.instructions().any(|(_, instruction)| instruction.kind() == Kind::CallLocal);
    let mut points = Vec::new();
    points.resize_with(program.code.len(), Point::default);
    let mut count = 0;
    let observed = verify_observed(loaded, Limits::default(), &mut |pc, state| {
        let point = &mut points[pc as usize];
        if count == STATES_MAX {
            point.cut = true;
        } else {
            count += 1;
            point.states.push(state.clone());
        }
    });
    if calls && let Err(what) = agrees_without_reuse(program, &observed) {
        return Answer::Disagrees(what);
    }
    match observed {
        Ok(verified) => Answer::Accepted(Box::new(Proof { verified, points })),
        Err(rejection) if rejection.code() == "inconsistent" => {
            Answer::Inconsistent(format!("{rejection}\n{}", disassemble(&program.code)))
        }
        Err(rejection) => Answer::Refused(rejection.code()),
    }
}

/// A concrete state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concrete<'a> {
    pub(crate) registers: &'a [u64; 11],
    pub(crate) stack: &'a [u8],
    /// Of each call under way: where it returns to, and `r6` to `r9` of the caller.
    pub(crate) frames: &'a [(usize, [u64; 4])],
}

impl Proof {
    /// A new run begins: the first states are looked at first.
    pub(crate) fn rewind(&self) {
        self.points.iter().for_each(|point| point.last.set(0));
    }

    /// The states before an instruction; none if no run reaches it.
    pub(crate) fn states(&self, pc: usize) -> &[AbstractState] {
        &self.points[pc].states
    }

    /// Whether a concrete state lies in one of those before an instruction; else why it is not in the first.
    pub(crate) fn embeds(&self, pc: usize, concrete: Concrete<'_>) -> Result<(), String> {
        let Point { states, cut, last, telling } = &self.points[pc];
        let off = |state: &AbstractState, register: u8| {
            !self.contains(state.get(register), concrete.registers[usize::from(register)])
        };
        let count = states.len();
        let from = last.get();
        for index in (from..count).chain(0..from) {
            let state = &states[index];
            // Most states of a list are not the right one, and one register tells.
            if off(state, telling.get()) {
                continue;
            }
            if let Some(register) = (0..11).find(|register| off(state, *register)) {
                telling.set(register);
                continue;
            }
            if self.difference(state, concrete, false).is_none() {
                last.set(index);
                return Ok(());
            }
        }
        match states.first() {
            _ if *cut => Ok(()),
            None => Err("reached, and thought unreachable".to_owned()),
            Some(first) => {
                let what = self.difference(&states[count.min(from + 1) - 1], concrete, true);
                let what = what.or_else(|| self.difference(first, concrete, true)).unwrap_or_default();
                Err(format!("{what} (and in none of {count} states)"))
            }
        }
    }

    /// What of a concrete state is not in an abstract one, in words if they are wanted: most states of a list are not
    /// the right one.
    fn difference(&self, state: &AbstractState, concrete: Concrete<'_>, explain: bool) -> Option<String> {
        let say = |what: &dyn Fn() -> String| Some(if explain { what() } else { String::new() });
        for (register, value) in (0..).zip(concrete.registers) {
            if !self.contains(state.get(register), *value) {
                return say(&|| format!("r{register} is {value:#x}, and should be {}", state.get(register)));
            }
        }
        let depth = concrete.frames.len();
        if state.depth() != depth {
            return say(&|| format!("{depth} calls are under way, and should be {}", state.depth()));
        }
        for frame in 0..=depth as u16 {
            let base = usize::from(frame) * FRAME_LEN as usize;
            for (offset, value) in state.frame(frame)?.saved_slots() {
                let at = base + offset as usize;
                let word = concrete.stack[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
                if !self.contains(value, word) {
                    return say(&|| format!("slot at {offset} of frame {frame} is {word:#x}, and should be {value}"));
                }
            }
            let kept = concrete.frames.get(usize::from(frame)).zip(state.kept(frame));
            for ((register, value), word) in
                (6..).zip(kept.iter().flat_map(|(_, kept)| *kept)).zip(kept.iter().flat_map(|((_, words), _)| words))
            {
                if !self.contains(*value, *word) {
                    return say(&|| format!("r{register} kept of frame {frame} is {word:#x}, and should be {value}"));
                }
            }
        }
        let word = |held: Held| match held {
            Held::Register(register) => concrete.registers[usize::from(register)],
            Held::Slot(frame, slot) => {
                let at = usize::from(frame) * FRAME_LEN as usize + usize::from(slot) * 8;
                concrete.stack[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
            }
            Held::Kept(frame, register) => concrete.frames[usize::from(frame)].1[usize::from(register) - 6],
        };
        let unlike = state.links().find(|(a, b)| word(*a) != word(*b));
        let (a, b) = unlike?;
        say(&|| format!("{a:?} is {:#x} and {b:?} is {:#x}, and they should be the same", word(a), word(b)))
    }

    fn contains(&self, value: RegType, concrete: u64) -> bool {
        match value {
            RegType::Unusable(_) => true,
            RegType::Scalar(scalar) => scalar.contains(concrete, Bits::B64),
            RegType::Pointer(pointer) => self.points_to(pointer, concrete),
            RegType::Map(index) => {
                self.verified.program().maps.get(usize::from(index)).is_some_and(|map| u64::from(map.id.0) == concrete)
            }
            RegType::Nullable(map) => concrete == 0 || self.is_value(map, concrete),
        }
    }

    /// Whether it is the address of the beginning of a value of the map.
    fn is_value(&self, map: u16, concrete: u64) -> bool {
        let Some(map) = self.verified.program().maps.get(usize::from(map)) else { return false };
        let stride = u64::from(map.decl.stride());
        let offset = concrete.wrapping_sub(map.address(0));
        stride > 0 && offset.is_multiple_of(stride) && offset / stride < u64::from(map.decl.entries)
    }

    fn points_to(&self, Pointer { region, object, offset }: Pointer, concrete: u64) -> bool {
        let relative = concrete.wrapping_sub(u64::from(region.base()));
        match region {
            Region::Stack => {
                let frame = u64::from(object) * u64::from(FRAME_LEN);
                offset.contains(relative.wrapping_sub(frame), Bits::B64)
            }
            Region::MapValues | Region::Constants => {
                let Some(map) = self.verified.program().maps.get(usize::from(object)) else { return false };
                (0..map.decl.entries).any(|entry| {
                    let value = u64::from(map.base) + u64::from(entry) * u64::from(map.decl.stride());
                    offset.contains(relative.wrapping_sub(value), Bits::B64)
                })
            }
            _ => offset.contains(relative, Bits::B64),
        }
    }
}
