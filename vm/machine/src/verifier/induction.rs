//! How often a loop can be repeated: something is counted that every iteration moves on, and that has a bound.
//!
//! # The argument
//!
//! A *delta* says of a place, at some point of the loop: it holds what another place (its *origin*) held at the head
//! in the same iteration, plus a number in known bounds, without having wrapped around, in some *readings* (as an
//! unsigned or a signed number of 64 or 32 bits). Deltas follow moves, sums and differences, spills and reloads; what
//! is known of the operands at an instruction must exclude that it wraps.
//!
//! A place that came back to the head as itself plus at least `step > 0` counts up. If, where the loop leads back, any
//! place that is the counter at the head plus something has a bound, so has the counter at the head of each iteration
//! that leads back. The first began with at least `least`, and each adds at least `step`:
//!
//! ```text
//! least + (trips - 1) * step  <=  the counter at the head of the last iteration that leads back  <=  most
//! ```
//!
//! so `trips <= (most - least) / step + 1`. Counting down is the same, mirrored.
//!
//! # What it rests on
//!
//! The checking pass saw the loop from a state that holds at its head in every iteration ([`Facts`]): of each
//! instruction, what its operands can be, over all iterations of inner loops; of each block, where it really leads.
//! The deltas themselves are found apart from the states, on the blocks of the loop alone.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::cfg::Cfg;
use super::explore::{Explorer, Refusal};
use super::report::Counter;
use super::scalar::Scalar;
use super::state::{AbstractState, Bytes, RegType};
use super::wto::Component;
use crate::isa::{AluOp, Decoded, Extension, Kind, Operand, Rmw, Size, Width};
use crate::memory::{Access, FRAME_LEN, Region};
use crate::program::Loaded;

const B32: Bits = Bits::B32;

/// Passes over the blocks of a loop until its deltas no longer change. Each can only lose some; loops that lose more
/// are not counted.
const PASSES_MAX: u32 = 64;

/// Registers that deltas follow: all but the frame pointer.
const REGISTERS: u8 = 10;
/// Slots of a frame come behind the registers.
const FIRST_SLOT: u8 = 16;
/// Bytes of a slot.
const SLOT_LEN: u32 = 8;

/// How often a loop can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trips {
    /// The most times that it leads back to its head.
    pub count: u128,
    /// What counts them; None if it never does.
    pub counter: Option<Counter>,
}

impl Trips {
    pub(super) const NONE: Self = Self { count: 0, counter: None };
}

/// What was seen at one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fact {
    /// The operands, of arithmetic.
    operands: Option<(RegType, RegType)>,
    /// The memory that was accessed, if it was one range in one region.
    access: Option<Access>,
    /// Whether the called function wrote to the frame.
    frame_written: bool,
}

/// What was seen in a loop while it was checked.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By slot.
    seen: BTreeMap<u32, Fact>,
    /// From and to which positions a run can go.
    ways: BTreeMap<(u32, u32), ()>,
}

impl Facts {
    /// Bytes counted for each thing seen.
    pub(super) const ENTRY_LEN: usize = size_of::<Fact>() + 16;

    pub(super) fn bytes(&self) -> usize {
        (self.seen.len() + self.ways.len()) * Self::ENTRY_LEN
    }

    /// Notes an instruction, before it is done. Whether it was seen for the first time.
    pub(super) fn note(
        &mut self,
        pc: u32,
        instruction: &Decoded,
        state: &AbstractState,
        access: Option<&Access>,
    ) -> bool {
        let operands = match instruction.kind() {
            Kind::Alu(op, _, operand) if follows(op) => {
                let b = match operand {
                    Operand::Imm => RegType::exact(instruction.imm.cast_unsigned()),
                    Operand::Reg => state.get(instruction.src),
                };
                Some((state.get(instruction.dst), b))
            }
            Kind::Load(..) | Kind::Store(..) | Kind::Atomic(..) | Kind::CallLocal => None,
            _ => return false,
        };
        self.add(pc, Fact { operands, access: access.copied(), frame_written: false })
    }

    /// Notes that a local call wrote to the frame of its caller.
    pub(super) fn note_written_frame(&mut self, pc: u32) {
        if let Some(fact) = self.seen.get_mut(&pc) {
            fact.frame_written = true;
        }
    }

    /// Notes a way from block to block. Whether it was seen for the first time.
    pub(super) fn note_way(&mut self, from: u32, to: u32) -> bool {
        self.ways.insert((from, to), ()).is_none()
    }

    fn add(&mut self, pc: u32, fact: Fact) -> bool {
        let Some(there) = self.seen.get_mut(&pc) else {
            self.seen.insert(pc, fact);
            return true;
        };
        there.operands = there.operands.zip(fact.operands).map(|((a, b), (c, d))| (a.join(c), b.join(d)));
        there.access = there
            .access
            .zip(fact.access)
            .filter(|(a, b)| (a.region, a.size) == (b.region, b.size))
            .map(|(a, b)| Access { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi), ..a });
        there.frame_written |= fact.frame_written;
        false
    }

    /// Takes in what was seen elsewhere.
    pub(super) fn merge(&mut self, other: Self) {
        for (pc, fact) in other.seen {
            self.add(pc, fact);
        }
        self.ways.extend(other.ways);
    }
}

/// Operations that deltas follow.
const fn follows(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::Sub | AluOp::Mov | AluOp::Movsx32 | AluOp::Lsh | AluOp::Rsh | AluOp::Arsh)
}

/// How 64 bits are read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    U64,
    S64,
    U32,
    S32,
}

/// A set of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Readings(u8);

impl Readings {
    const ALL: [Reading; 4] = [Reading::U64, Reading::S64, Reading::U32, Reading::S32];

    const fn bit(reading: Reading) -> u8 {
        1 << reading as u8
    }

    fn of(keep: impl Fn(Reading) -> bool) -> Self {
        Self(Self::ALL.into_iter().filter(|reading| keep(*reading)).fold(0, |bits, reading| bits | Self::bit(reading)))
    }

    const fn contains(self, reading: Reading) -> bool {
        self.0 & Self::bit(reading) != 0
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Reading {
    /// Least and greatest number that it can be.
    const fn limits(self) -> (i128, i128) {
        match self {
            Self::U64 => (0, u64::MAX as i128),
            Self::S64 => (i64::MIN as i128, i64::MAX as i128),
            Self::U32 => (0, u32::MAX as i128),
            Self::S32 => (i32::MIN as i128, i32::MAX as i128),
        }
    }

    const fn is_narrow(self) -> bool {
        matches!(self, Self::U32 | Self::S32)
    }

    /// Least and greatest number that a value can be. An address is read as its signed offset.
    fn range(self, value: RegType) -> Option<(i128, i128)> {
        let scalar = match (self, value) {
            (_, RegType::Scalar(scalar)) => scalar,
            (Self::S64, RegType::Pointer(pointer)) => pointer.offset,
            _ => return None,
        };
        let unsigned = |scalar: Scalar| (i128::from(scalar.unsigned().min), i128::from(scalar.unsigned().max));
        let signed = |scalar: Scalar| (i128::from(scalar.signed().min), i128::from(scalar.signed().max));
        Some(match self {
            Self::U64 => unsigned(scalar),
            Self::S64 => signed(scalar),
            Self::U32 => unsigned(scalar.truncate(B32, Bits::B64)),
            Self::S32 => signed(scalar.truncate(B32, Bits::B64)),
        })
    }
}

/// Of a place: it holds what `origin` held at the head, plus `lo..=hi`, in each of the readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delta {
    origin: u8,
    lo: i64,
    hi: i64,
    readings: Readings,
    /// The number, of 32 bits, stands in the upper half: half-way of an extension by two shifts.
    shifted: bool,
}

impl Delta {
    fn join(self, other: Self) -> Option<Self> {
        let same = (self.origin, self.shifted) == (other.origin, other.shifted);
        let readings = Readings(self.readings.0 & other.readings.0);
        (same && !readings.is_empty()).then(|| Self {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
            readings,
            ..self
        })
    }

    fn keep(self, readings: impl Fn(Reading) -> bool) -> Option<Self> {
        let readings = Readings::of(|reading| self.readings.contains(reading) && readings(reading));
        (!readings.is_empty()).then_some(Self { readings, ..self })
    }
}

/// What is known of all places at one point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deltas {
    /// By place, ascending.
    list: Vec<(u8, Delta)>,
}

impl Deltas {
    /// At the head: every place is its own origin.
    fn at_head(head: &AbstractState, frame: u16) -> Self {
        let own = |place: u8, value: RegType| {
            let delta = Delta { origin: place, lo: 0, hi: 0, readings: Readings::of(|_| true), shifted: false };
            let readable = delta.keep(|reading| reading.range(value).is_some())?;
            Some((place, readable))
        };
        let places = (0..REGISTERS).chain(FIRST_SLOT..FIRST_SLOT + (FRAME_LEN / SLOT_LEN) as u8);
        let list = places.filter_map(|place| own(place, value_of(head, frame, place)?)).collect();
        Self { list }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.list.len() * size_of::<(u8, Delta)>()
    }

    fn get(&self, place: u8) -> Option<Delta> {
        let at = self.list.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        self.list.get(at).map(|(_, delta)| *delta)
    }

    fn set(&mut self, place: u8, delta: Option<Delta>) {
        match (self.list.binary_search_by_key(&place, |(place, _)| *place), delta) {
            (Ok(at), Some(delta)) => {
                if let Some(entry) = self.list.get_mut(at) {
                    entry.1 = delta;
                }
            }
            (Ok(at), None) => {
                self.list.remove(at);
            }
            (Err(at), Some(delta)) => self.list.insert(at, (place, delta)),
            (Err(_), None) => {}
        }
    }

    /// Keeps what holds of either.
    fn join(&mut self, other: &Self) {
        self.list.retain_mut(|(place, delta)| match other.get(*place).and_then(|other| delta.join(other)) {
            Some(joined) => {
                *delta = joined;
                true
            }
            None => false,
        });
    }

    /// Keeps what is the same in both.
    fn agree(&mut self, other: &Self) {
        self.list.retain(|(place, delta)| other.get(*place).and_then(|other| delta.join(other)) == Some(*delta));
    }

    fn forget_slots(&mut self, touched: impl Fn(u8) -> bool) {
        self.list.retain(|(place, _)| place.checked_sub(FIRST_SLOT).is_none_or(|slot| !touched(slot)));
    }

    /// Follows an instruction.
    fn step(&mut self, instruction: &Decoded, fact: Option<&Fact>, frame: u16) {
        let Decoded { dst, src, .. } = *instruction;
        match instruction.kind() {
            Kind::Alu(op, width, operand) => {
                let after = fact.and_then(|fact| self.alu(op, width, operand, instruction, fact.operands?));
                self.set(dst, after);
            }
            Kind::ByteOrder(..) | Kind::LoadImm | Kind::LoadPseudo(_) => self.set(dst, None),
            Kind::Load(size, extension) => {
                let whole = size == Size::Double && extension == Extension::Zero;
                let slot = fact.and_then(|fact| fact.access).filter(|_| whole).and_then(|a| slot_of(&a, frame));
                self.set(dst, slot.and_then(|slot| self.get(slot)));
            }
            Kind::Store(_, operand) => {
                let stored = if operand == Operand::Reg { self.get(src) } else { None };
                self.store(fact, frame, stored);
            }
            Kind::Atomic(rmw, fetch, _) => {
                self.store(fact, frame, None);
                if fetch {
                    self.set(if rmw == Rmw::Cmpxchg { 0 } else { src }, None);
                }
            }
            Kind::CallHelper | Kind::CallLocal => {
                for register in 0..=5 {
                    self.set(register, None);
                }
                if fact.is_some_and(|fact| fact.frame_written) {
                    self.forget_slots(|_| true);
                }
            }
            Kind::Jump | Kind::Branch(..) | Kind::Exit => {}
            // Never decoded.
            Kind::LegacyPacket | Kind::CallBtf | Kind::CallRegister => {}
        }
    }

    fn store(&mut self, fact: Option<&Fact>, frame: u16, stored: Option<Delta>) {
        let Some(access) = fact.and_then(|fact| fact.access) else {
            self.forget_slots(|_| true);
            return;
        };
        if access.region != Region::Stack {
            return;
        }
        let start = u64::from(frame) * u64::from(FRAME_LEN);
        self.forget_slots(|slot| {
            let slot = start + u64::from(slot) * u64::from(SLOT_LEN);
            u64::from(access.lo) < slot + u64::from(SLOT_LEN) && slot < access.end()
        });
        if access.size == Size::Double
            && let Some(slot) = slot_of(&access, frame)
        {
            self.set(slot, stored);
        }
    }

    /// The delta of the destination after an arithmetic instruction.
    fn alu(
        &self,
        op: AluOp,
        width: Width,
        operand: Operand,
        instruction: &Decoded,
        (a, b): (RegType, RegType),
    ) -> Option<Delta> {
        let Decoded { dst, src, .. } = *instruction;
        let within = |value: RegType, limit: Reading| {
            let (min, max) = limit.limits();
            move |reading: Reading| reading.range(value).is_some_and(|(lo, hi)| min <= lo && hi <= max)
        };
        // A number that fits both widths, as the reading of the wide one sees it.
        let fits = |value: RegType| {
            move |reading: Reading| match reading {
                Reading::U32 | Reading::S32 => value.as_scalar().is_some(),
                wide => within(value, Reading::U32)(wide),
            }
        };
        match (op, width) {
            (AluOp::Mov, _) if operand == Operand::Imm => None,
            (AluOp::Mov, Width::W64) => self.get(src),
            // Zeros above: the same number where it fits.
            (AluOp::Mov, Width::W32) => self.get(src).filter(|delta| !delta.shifted)?.keep(fits(b)),
            (AluOp::Movsx32, Width::W64) => {
                let delta = self.get(src).filter(|delta| !delta.shifted)?;
                delta.keep(|reading| {
                    reading == Reading::S32 || reading == Reading::S64 && within(b, Reading::S32)(reading)
                })
            }
            (AluOp::Lsh, Width::W64) if operand == Operand::Imm && instruction.imm == 32 => {
                let delta = self.get(dst).filter(|delta| !delta.shifted)?.keep(Reading::is_narrow)?;
                a.as_scalar().map(|_| Delta { shifted: true, ..delta })
            }
            (AluOp::Rsh | AluOp::Arsh, Width::W64) if operand == Operand::Imm && instruction.imm == 32 => {
                self.get(dst).filter(|delta| delta.shifted).map(|delta| Delta { shifted: false, ..delta })
            }
            (AluOp::Add | AluOp::Sub, _) => {
                let delta = self.get(dst).filter(|delta| !delta.shifted)?;
                let by = b.as_scalar()?;
                let (lo, hi) = match width {
                    Width::W64 => Reading::S64.range(b)?,
                    Width::W32 => Reading::S32.range(RegType::Scalar(by))?,
                };
                let (lo, hi) = if op == AluOp::Add { (lo, hi) } else { (-hi, -lo) };
                let small = Reading::S32.limits();
                let is_small = small.0 <= lo && hi <= small.1;
                let moved = delta.keep(|reading| {
                    let Some((min, max)) = reading.range(a) else { return false };
                    let (least, most) = match width {
                        Width::W64 => reading.limits(),
                        // The result has zeros above.
                        Width::W32 if reading.is_narrow() => reading.limits(),
                        Width::W32 => Reading::U32.limits(),
                    };
                    let started_inside = reading.is_narrow() || width == Width::W64 || fits(a)(reading);
                    (is_small || width == Width::W64 && !reading.is_narrow())
                        && started_inside
                        && least <= min + lo
                        && max + hi <= most
                })?;
                let (lo, hi) = (i64::try_from(lo).ok()?, i64::try_from(hi).ok()?);
                Some(Delta { lo: moved.lo.checked_add(lo)?, hi: moved.hi.checked_add(hi)?, ..moved })
            }
            _ => None,
        }
    }
}

/// The place of a slot of this frame that an access is exactly.
fn slot_of(access: &Access, frame: u16) -> Option<u8> {
    let offset = access.lo.checked_sub(u32::from(frame) * FRAME_LEN).filter(|offset| *offset < FRAME_LEN)?;
    let exact = access.region == Region::Stack && access.lo == access.hi && offset.is_multiple_of(SLOT_LEN);
    u8::try_from(offset / SLOT_LEN).ok().filter(|_| exact).map(|slot| FIRST_SLOT + slot)
}

/// What a place holds.
fn value_of(state: &AbstractState, frame: u16, place: u8) -> Option<RegType> {
    let value = match place.checked_sub(FIRST_SLOT) {
        None => state.get(place),
        Some(slot) => state.frame(frame)?.saved(Bytes::new(u32::from(slot) * SLOT_LEN, SLOT_LEN)?)?,
    };
    Some(value).filter(|value| !matches!(value, RegType::Unusable(_)))
}

/// What is asked: how often does this loop lead back to its head?
pub(super) struct Question<'q> {
    pub component: Component,
    pub facts: &'q Facts,
    /// The frame of the function that the loop is in.
    pub frame: u16,
    /// What holds at the head before its first iteration that counts.
    pub first: &'q AbstractState,
    /// What holds at the head in every iteration.
    pub head: &'q AbstractState,
    /// What holds where it leads back.
    pub back: &'q AbstractState,
}

impl Explorer<'_, '_> {
    /// The most times that a loop leads back to its head, if there is a proof of it.
    pub(super) fn trips(&mut self, question: &Question<'_>) -> Result<Option<Trips>, Box<Refusal>> {
        let Component { start, end, .. } = question.component;
        let len = (end - start) as usize;
        let mut at: Vec<Option<Deltas>> = (0..len).map(|_| None).collect();
        let mut dirty = vec![false; len];
        let mut ends: Option<Deltas> = None;
        let head = Deltas::at_head(question.head, question.frame);
        let mut held = head.bytes();
        self.hold(held)?;
        if let (Some(first), Some(dirty)) = (at.first_mut(), dirty.first_mut()) {
            (*first, *dirty) = (Some(head), true);
        }
        let mut passes = 0;
        while dirty.contains(&true) {
            passes += 1;
            if passes > PASSES_MAX {
                self.release(held);
                return Ok(None);
            }
            for index in 0..len {
                if !dirty.get_mut(index).is_some_and(std::mem::take) {
                    continue;
                }
                let Some(mut deltas) = at.get(index).cloned().flatten() else { continue };
                let position = start + u32::try_from(index).unwrap_or(u32::MAX);
                let steps = follow(self.program, &self.cfg, position, question, &mut deltas);
                self.count_steps(steps)?;
                let ways = question.facts.ways.range((position, 0)..=(position, u32::MAX));
                for ((_, to), ()) in ways {
                    if *to == start {
                        match &mut ends {
                            Some(ends) => ends.join(&deltas),
                            None => ends = Some(deltas.clone()),
                        }
                        continue;
                    }
                    let Some(target) = to.checked_sub(start).map(|to| to as usize) else { continue };
                    let (Some(entry), Some(dirty)) = (at.get_mut(target), dirty.get_mut(target)) else { continue };
                    match entry {
                        None => {
                            held += deltas.bytes();
                            *entry = Some(deltas.clone());
                            *dirty = true;
                            self.hold(deltas.bytes())?;
                        }
                        Some(there) => {
                            let mut joined = there.clone();
                            // What an inner loop changes from iteration to iteration is given up at once.
                            if *to <= position {
                                joined.agree(&deltas)
                            } else {
                                joined.join(&deltas)
                            }
                            if joined != *there {
                                *there = joined;
                                *dirty = true;
                            }
                        }
                    }
                }
            }
        }
        self.release(held);
        Ok(ends.and_then(|ends| best(&ends, question)))
    }
}

/// Follows the instructions of a block. How many there are.
fn follow(program: &Loaded, cfg: &Cfg<'_>, position: u32, question: &Question<'_>, deltas: &mut Deltas) -> u64 {
    let Some(block) = cfg.at(position).and_then(|id| cfg.block(id)) else { return 0 };
    for pc in block.start..block.end {
        if let Some(instruction) = program.at(pc) {
            deltas.step(instruction, question.facts.seen.get(&pc), question.frame);
        }
    }
    u64::from(block.cost)
}

/// The least bound that any counter gives.
fn best(ends: &Deltas, question: &Question<'_>) -> Option<Trips> {
    let mut best: Option<Trips> = None;
    let counters = ends.list.iter().filter(|(place, delta)| delta.origin == *place && !delta.shifted);
    for (counter, step) in counters.filter(|(_, delta)| delta.lo >= 1 || delta.hi <= -1) {
        let first = value_of(question.first, question.frame, *counter);
        let head = value_of(question.head, question.frame, *counter);
        let (Some(first), Some(head)) = (first, head) else { continue };
        for reading in Readings::ALL.into_iter().filter(|reading| step.readings.contains(*reading)) {
            let (Some(first), Some((mut least, mut most))) = (reading.range(first), reading.range(head)) else {
                continue;
            };
            // What bounds the counter at the head of an iteration that leads back: any place that is it plus something.
            let related = ends
                .list
                .iter()
                .filter(|(_, delta)| delta.origin == *counter && !delta.shifted && delta.readings.contains(reading));
            for (place, delta) in related {
                let value = value_of(question.back, question.frame, *place);
                if let Some((min, max)) = value.and_then(|value| reading.range(value)) {
                    least = least.max(min - i128::from(delta.hi));
                    most = most.min(max - i128::from(delta.lo));
                }
            }
            let (way, step) = match i128::from(step.lo) {
                up @ 1.. => (most - first.0.max(least), up),
                _ => (first.1.min(most) - least, -i128::from(step.hi)),
            };
            // Below 0, no iteration can lead back.
            let count = u128::try_from(way).map_or(0, |way| way / step.unsigned_abs() + 1);
            if best.is_none_or(|best| count < best.count) {
                best = Some(Trips { count, counter: Some(name(*counter)) });
            }
        }
    }
    best
}

fn name(place: u8) -> Counter {
    match place.checked_sub(FIRST_SLOT) {
        None => Counter::Register(place),
        Some(slot) => Counter::Stack { offset: i32::from(slot) * SLOT_LEN.cast_signed() - FRAME_LEN.cast_signed() },
    }
}
