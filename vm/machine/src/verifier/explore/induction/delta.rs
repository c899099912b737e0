//! Deltas: what a place holds, as what a place held at the head of the loop and a number in known bounds.

use super::facts::Fact;
use super::reading::{Reading, Readings};
use crate::isa::{AluOp, Decoded, Extension, Kind, Operand, Rmw, Size, Width};
use crate::memory::{Access, FRAME_LEN, Region};
use crate::verifier::state::{AbstractState, Bytes, RegType};

/// Registers that deltas follow: all but the frame pointer.
const REGISTERS: u8 = 10;
/// Slots of a frame come behind the registers.
pub(super) const FIRST_SLOT: u8 = 16;
/// Bytes of a slot.
pub(super) const SLOT_LEN: u32 = 8;

/// Of a place: it holds what `origin` held at the head, plus `lo..=hi`, in each of the readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    pub origin: u8,
    pub lo: i64,
    pub hi: i64,
    pub readings: Readings,
    /// The number, of 32 bits, stands in the upper half: half-way of an extension by two shifts.
    pub shifted: bool,
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
pub(super) struct Deltas {
    /// By place, ascending.
    pub list: Vec<(u8, Delta)>,
}

impl Deltas {
    /// At the head: every place is its own origin.
    pub(super) fn at_head(head: &AbstractState, frame: u16) -> Self {
        let own = |place: u8, value: RegType| {
            let delta = Delta { origin: place, lo: 0, hi: 0, readings: Readings::of(|_| true), shifted: false };
            let readable = delta.keep(|reading| reading.range(value).is_some())?;
            Some((place, readable))
        };
        let places = (0..REGISTERS).chain(FIRST_SLOT..FIRST_SLOT + (FRAME_LEN / SLOT_LEN) as u8);
        let list = places.filter_map(|place| own(place, value_of(head, frame, place)?)).collect();
        Self { list }
    }

    pub(super) fn bytes(&self) -> usize {
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
    pub(super) fn join(&mut self, other: &Self) {
        self.list.retain_mut(|(place, delta)| match other.get(*place).and_then(|other| delta.join(other)) {
            Some(joined) => {
                *delta = joined;
                true
            }
            None => false,
        });
    }

    /// Keeps what is the same in both.
    pub(super) fn agree(&mut self, other: &Self) {
        self.list.retain(|(place, delta)| other.get(*place).and_then(|other| delta.join(other)) == Some(*delta));
    }

    fn forget_slots(&mut self, touched: impl Fn(u8) -> bool) {
        self.list.retain(|(place, _)| place.checked_sub(FIRST_SLOT).is_none_or(|slot| !touched(slot)));
    }

    /// Follows an instruction.
    pub(super) fn step(&mut self, instruction: &Decoded, fact: Option<&Fact>, frame: u16) {
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
pub(super) fn value_of(state: &AbstractState, frame: u16, place: u8) -> Option<RegType> {
    let value = match place.checked_sub(FIRST_SLOT) {
        None => state.get(place),
        Some(slot) => state.frame(frame)?.saved(Bytes::new(u32::from(slot) * SLOT_LEN, SLOT_LEN)?)?,
    };
    Some(value).filter(|value| !matches!(value, RegType::Unusable(_)))
}
