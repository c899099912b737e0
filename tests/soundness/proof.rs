//! A proof and all that it says of each instruction.

use crate::generator;
use std::cell::Cell;
use trapline_vm::isa::{Kind, disassemble};
use trapline_vm::memory::{FRAME_LEN, Region};
use trapline_vm::program::{Loaded, Program};
use trapline_vm::verifier::{
    AbstractState, Bits, Bytes, Held, Limits, Pointer, RegType, Rejection, Report, Verified, verify_observed,
};

/// States kept of one program. Of a proof with more (one in a thousand, with long loops; counted), the rest is not kept,
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
    /// What last told a state from the one looked for.
    telling: Cell<Off>,
}

/// What of a concrete state is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Off {
    /// The number of calls under way.
    #[default]
    Depth,
    /// What a place holds.
    Place(Held),
    /// Two places that should hold the same.
    Copy(Held, Held),
}

/// What an abstract state says of a place; None if it says nothing.
fn known(state: &AbstractState, held: Held) -> Option<RegType> {
    match held {
        Held::Register(register) => Some(state.get(register)),
        Held::Slot(frame, slot) => state.frame(frame)?.saved(Bytes::new(u32::from(slot) * 8, 8)?),
        Held::Kept(frame, register) => state.kept(frame)?.get(usize::from(register) - 6).copied(),
    }
}

fn describe(state: &AbstractState, concrete: Concrete<'_>, off: Off) -> String {
    let word = |held| concrete.word(held).unwrap_or_default();
    match off {
        Off::Depth => format!("{} calls are under way, and should be {}", concrete.frames.len(), state.depth()),
        Off::Place(held) => {
            let known = known(state, held).map_or(String::new(), |value| value.to_string());
            format!("{held:?} is {:#x}, and should be {known}", word(held))
        }
        Off::Copy(a, b) => format!("{a:?} is {:#x}, {b:?} is {:#x}, and they should be the same", word(a), word(b)),
    }
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
fn agrees_without_reuse(
    program: &Program,
    limits: Limits,
    proof: &Result<Verified, Box<Rejection>>,
) -> Result<(), String> {
    let loaded = Loaded::new(program.clone(), generator::helpers(&program.kind)).expect("it was loaded before");
    let limits = Limits { reuse_calls: false, ..limits };
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
        (Err(proof), Err(other)) => {
            // Of several shortest ways to the place, either may be told.
            let mistake = |refused: &Rejection| Rejection { path: Vec::new(), ..refused.clone() };
            if mistake(proof) != mistake(&other) {
                return Err(format!("reuse: {proof}\nwithout: {other}"));
            }
            Ok(())
        }
        (Ok(_), Err(other)) => Err(format!("refused only without reuse: {other}")),
        (Err(proof), Ok(_)) => Err(format!("refused only with reuse: {proof}")),
    }
}

/// Proves a program.
pub(crate) fn prove(program: &Program) -> Answer {
    prove_within(program, Limits::default())
}

/// Proves a program within a budget.
pub(crate) fn prove_within(program: &Program, limits: Limits) -> Answer {
    let loaded = match Loaded::new(program.clone(), generator::helpers(&program.kind)) {
        Ok(loaded) => loaded,
        Err(_) => return Answer::Refused("malformed"),
    };
    let calls = loaded.instructions().any(|(_, instruction)| instruction.kind() == Kind::CallLocal);
    let mut points = Vec::new();
    points.resize_with(program.code.len(), Point::default);
    let mut count = 0;
    let observed = verify_observed(loaded, limits, &mut |pc, state| {
        let point = &mut points[pc as usize];
        if count == STATES_MAX {
            point.cut = true;
        } else {
            count += 1;
            point.states.push(state.clone());
        }
    });
    if calls && let Err(what) = agrees_without_reuse(program, limits, &observed) {
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

impl Concrete<'_> {
    /// What a place holds.
    fn word(&self, held: Held) -> Option<u64> {
        match held {
            Held::Register(register) => self.registers.get(usize::from(register)).copied(),
            Held::Slot(frame, slot) => {
                let at = usize::from(frame) * FRAME_LEN as usize + usize::from(slot) * 8;
                self.stack.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
            }
            Held::Kept(frame, register) => {
                self.frames.get(usize::from(frame))?.1.get(usize::from(register) - 6).copied()
            }
        }
    }
}

impl Proof {
    /// Whether there were more states than are kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.points.iter().any(|point| point.cut)
    }

    /// A new run begins: the first states are looked at first.
    pub(crate) fn rewind(&self) {
        self.points.iter().for_each(|point| point.last.set(0));
    }

    /// The states before an instruction; none if no run reaches it.
    pub(crate) fn states(&self, pc: usize) -> &[AbstractState] {
        &self.points[pc].states
    }

    /// Whether a concrete state lies in one of those before an instruction; else what is not in the last ones tried.
    pub(crate) fn embeds(&self, pc: usize, concrete: Concrete<'_>) -> Result<(), String> {
        let Point { states, cut, last, telling } = &self.points[pc];
        let (count, from) = (states.len(), last.get());
        for index in (from..count).chain(0..from) {
            // Most states of a list are not the right one, and one place tells.
            if self.is_off(&states[index], concrete, telling.get()) {
                continue;
            }
            match self.first_off(&states[index], concrete) {
                Some(off) => telling.set(off),
                None => {
                    last.set(index);
                    return Ok(());
                }
            }
        }
        match states.get(from) {
            _ if *cut => Ok(()),
            None => Err("reached, and thought unreachable".to_owned()),
            Some(state) => {
                let what = self.first_off(state, concrete).map(|off| describe(state, concrete, off));
                Err(format!("{} (and in none of {count} states)", what.unwrap_or_default()))
            }
        }
    }

    /// Whether this is not as the abstract state says.
    fn is_off(&self, state: &AbstractState, concrete: Concrete<'_>, off: Off) -> bool {
        match off {
            Off::Depth => state.depth() != concrete.frames.len(),
            Off::Place(held) => {
                let known = known(state, held).zip(concrete.word(held));
                known.is_some_and(|(value, word)| !self.contains(value, word))
            }
            Off::Copy(a, b) => state.links().any(|link| link == (a, b)) && concrete.word(a) != concrete.word(b),
        }
    }

    /// The first thing of a concrete state that is not in an abstract one.
    fn first_off(&self, state: &AbstractState, concrete: Concrete<'_>) -> Option<Off> {
        let is_off = |off: &Off| self.is_off(state, concrete, *off);
        if is_off(&Off::Depth) {
            return Some(Off::Depth);
        }
        let frames = 0..=state.depth() as u16;
        let registers = (0..11).map(Held::Register);
        let slots = frames.clone().flat_map(|frame| {
            let saved = state.frame(frame).into_iter().flat_map(|stack| stack.saved_slots());
            saved.map(move |(offset, _)| Held::Slot(frame, (offset / 8) as u8))
        });
        let kept = frames.filter(|frame| state.kept(*frame).is_some());
        let kept = kept.flat_map(|frame| (6..10).map(move |register| Held::Kept(frame, register)));
        let mut places = registers.chain(slots).chain(kept).map(Off::Place);
        places.find(is_off).or_else(|| state.links().map(|(a, b)| Off::Copy(a, b)).find(is_off))
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
