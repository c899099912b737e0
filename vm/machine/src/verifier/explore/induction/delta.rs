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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::assemble;
    use crate::verifier::number::{Bits, Scalar};

    /// Numbers around every place where a reading turns over, and some small ones.
    const CORNERS: [u64; 22] = [
        0,
        1,
        2,
        7,
        0x7fff_fffe,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0001,
        0x7fff_ffff_ffff_fffe,
        0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        0x8000_0000_0000_0001,
        0xffff_ffff_7fff_ffff,
        0xffff_ffff_8000_0000,
        0xffff_ffff_8000_0001,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
    ];

    fn read(reading: Reading, value: u64) -> i128 {
        match reading {
            Reading::U64 => value.into(),
            Reading::S64 => value.cast_signed().into(),
            Reading::U32 => (value as u32).into(),
            Reading::S32 => (value as i32).into(),
        }
    }

    /// Whether a delta says the truth: of what was held at the head, and what is held now.
    fn is_true(delta: Delta, head: u64, now: u64) -> bool {
        let now = if delta.shifted { now >> 32 } else { now };
        Readings::ALL.into_iter().filter(|reading| delta.readings.contains(*reading)).all(|reading| {
            let moved = read(reading, now) - read(reading, head);
            i128::from(delta.lo) <= moved && moved <= i128::from(delta.hi)
        })
    }

    /// What a place may hold: intervals of both readings between corners, all of them short or nearly everything.
    fn ranges() -> Vec<Scalar> {
        let mut found = vec![Scalar::unknown(Bits::B64), Scalar::low_bits(Bits::B32), Scalar::range(0, 100, Bits::B64)];
        for pair in CORNERS.windows(3) {
            found.push(Scalar::range(pair[0], pair[2], Bits::B64));
            let (least, most) = (pair[0].cast_signed(), pair[2].cast_signed());
            found.push(Scalar::signed_range(least.min(most), least.max(most), Bits::B64));
        }
        found.push(Scalar::signed_range(-7, 7, Bits::B64));
        found.push(Scalar::signed_range(i32::MIN.into(), i32::MAX.into(), Bits::B64));
        found.sort_by_key(|scalar| (scalar.unsigned().min, scalar.unsigned().max, scalar.signed().min));
        found.dedup();
        found
    }

    const STEPS: [(i64, i64); 8] =
        [(0, 0), (1, 1), (-1, -1), (-5, 2), (3, 1 << 31), (-(1 << 32), 0), (i64::MAX - 1, i64::MAX), (i64::MIN, -1)];

    fn readings() -> impl Iterator<Item = Readings> {
        let one = |only: Reading| Readings::of(move |reading| reading == only);
        Readings::ALL.into_iter().map(one).chain([Readings::of(|_| true), Readings::of(Reading::is_narrow)])
    }

    /// Every delta of a place, and what it can be about: each number that the place may hold with one that it may have
    /// been at the head.
    fn each_case(value: Scalar, mut f: impl FnMut(Delta, &[(u64, u64)])) {
        for (lo, hi) in STEPS {
            for readings in readings() {
                let delta = Delta { origin: 1, lo, hi, readings, shifted: false };
                let now = CORNERS.into_iter().filter(|now| value.contains(*now, Bits::B64));
                let heads = |now: u64| {
                    let by = [lo, hi, lo.midpoint(hi)].map(|by| now.wrapping_sub(by.cast_unsigned()));
                    by.into_iter().chain(by.map(|head| head ^ 1 << 40)).map(move |head| (head, now))
                };
                let cases: Vec<_> = now.flat_map(heads).filter(|(head, now)| is_true(delta, *head, *now)).collect();
                if !cases.is_empty() {
                    f(delta, &cases);
                }
            }
        }
    }

    fn decoded(text: &str) -> Decoded {
        let code = assemble(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")).code;
        Decoded::at(&code, 0).unwrap().unwrap()
    }

    fn with(place: u8, delta: Delta) -> Deltas {
        Deltas { list: vec![(place, delta)] }
    }

    fn after(deltas: &Deltas, text: &str, operands: (Scalar, Scalar)) -> Option<Delta> {
        let operands = Some((RegType::Scalar(operands.0), RegType::Scalar(operands.1)));
        let mut deltas = deltas.clone();
        deltas.step(&decoded(text), Some(&Fact { operands, access: None, frame_written: false }), 0);
        deltas.get(1)
    }

    /// Whatever the numbers: what deltas say after a sum or difference is true of what the machine does.
    #[test]
    fn sums_and_differences_are_followed_soundly() {
        let (all, mut followed) = (ranges(), 0u64);
        for (text, op, width) in [
            ("add r1, r2", AluOp::Add, Width::W64),
            ("sub r1, r2", AluOp::Sub, Width::W64),
            ("add32 r1, r2", AluOp::Add, Width::W32),
            ("sub32 r1, r2", AluOp::Sub, Width::W32),
        ] {
            for a in &all {
                each_case(*a, |delta, cases| {
                    let before = with(1, delta);
                    for b in all.iter().step_by(2) {
                        let Some(moved) = after(&before, text, (*a, *b)) else { continue };
                        followed += 1;
                        assert!(moved.lo <= moved.hi, "{moved:?}");
                        for y in CORNERS.into_iter().filter(|y| b.contains(*y, Bits::B64)) {
                            for (head, now) in cases {
                                let result = op.apply(width, *now, y);
                                assert!(
                                    is_true(moved, *head, result),
                                    "{text}: {head:#x} at the head, {now:#x} {delta:?}, {y:#x}: {result:#x} {moved:?}"
                                );
                            }
                        }
                    }
                });
            }
        }
        assert!(followed > 10_000, "{followed}");
    }

    /// The same of copies, at both widths and extended.
    #[test]
    fn copies_are_followed_soundly() {
        for (text, op, width) in [
            ("mov r1, r2", AluOp::Mov, Width::W64),
            ("mov32 r1, r2", AluOp::Mov, Width::W32),
            ("movsx3264 r1, r2", AluOp::Movsx32, Width::W64),
        ] {
            let mut followed = 0;
            for b in ranges() {
                each_case(b, |delta, cases| {
                    let Some(copied) = after(&with(2, delta), text, (Scalar::unknown(Bits::B64), b)) else { return };
                    followed += 1;
                    assert_eq!((copied.lo, copied.hi), (delta.lo, delta.hi));
                    for (head, now) in cases {
                        let result = op.apply(width, 0, *now);
                        assert!(is_true(copied, *head, result), "{text}: {head:#x}, {now:#x} {delta:?} {copied:?}");
                    }
                });
            }
            assert!(followed > 100, "{text}: {followed}");
        }
    }

    /// And of extensions by two shifts, to half-way and all the way.
    #[test]
    fn shifts_up_and_down_are_followed_soundly() {
        for (down, op) in [("rsh r1, 32", AluOp::Rsh), ("arsh r1, 32", AluOp::Arsh)] {
            let mut followed = 0;
            for a in ranges() {
                each_case(a, |delta, cases| {
                    let by = Scalar::exact(32, Bits::B64);
                    let Some(up) = after(&with(1, delta), "lsh r1, 32", (a, by)) else { return };
                    let back = after(&with(1, up), down, (Scalar::unknown(Bits::B64), by)).unwrap();
                    assert!(up.shifted && !back.shifted);
                    followed += 1;
                    for (head, now) in cases {
                        let high = AluOp::Lsh.apply(Width::W64, *now, 32);
                        assert!(is_true(up, *head, high), "{head:#x}, {now:#x} {delta:?} {up:?}");
                        let low = op.apply(Width::W64, high, 32);
                        assert!(is_true(back, *head, low), "{down}: {head:#x}, {now:#x} {delta:?} {back:?}");
                    }
                });
            }
            assert!(followed > 100, "{down}: {followed}");
        }
        // Half-way there is nothing else to do with it.
        let delta = Delta { origin: 1, lo: 1, hi: 1, readings: Readings::of(Reading::is_narrow), shifted: true };
        let any = (Scalar::unknown(Bits::B64), Scalar::exact(1, Bits::B64));
        for text in ["add r1, 1", "sub r1, r2", "add32 r1, 1", "lsh r1, 32"] {
            assert_eq!(after(&with(1, delta), text, any), None, "{text}");
        }
        for text in ["mov32 r1, r2", "movsx3264 r1, r2"] {
            assert_eq!(after(&with(2, delta), text, any), None, "{text}");
        }
        // Nor is anything but 32.
        let delta = Delta { shifted: false, ..delta };
        for text in ["lsh r1, 31", "lsh r1, 33", "lsh r1, r2", "rsh r1, 32", "arsh r1, 32", "lsh32 r1, 31"] {
            assert_eq!(after(&with(1, delta), text, any), None, "{text}");
        }
        let delta = Delta { shifted: true, ..delta };
        for text in ["rsh r1, 31", "rsh r1, 33", "rsh r1, r2", "arsh r1, 16", "arsh r1, r2", "rsh32 r1, 31"] {
            assert_eq!(after(&with(1, delta), text, any), None, "{text}");
        }
    }

    /// An extension of a number that is below both signs leaves it as a signed one; what is known as an unsigned one
    /// is let go.
    #[test]
    fn extensions_keep_signed_readings() {
        let delta = Delta { origin: 1, lo: 0, hi: 0, readings: Readings::of(|_| true), shifted: false };
        let signed = |reading| matches!(reading, Reading::S64 | Reading::S32);
        for (value, want) in [
            (Scalar::range(0, 9, Bits::B64), Readings::of(signed)),
            (Scalar::unknown(Bits::B64), Readings::of(|reading| reading == Reading::S32)),
        ] {
            let extended = after(&with(2, delta), "movsx3264 r1, r2", (Scalar::unknown(Bits::B64), value)).unwrap();
            assert_eq!(extended.readings, want, "{value}");
        }
    }

    /// At each place where a reading turns over: a step that stays below it is followed there, one beyond is not.
    #[test]
    fn a_reading_is_given_up_where_it_turns_over() {
        let kept = |text: &str, least: u64, most: u64| -> Vec<bool> {
            let delta = Delta { origin: 1, lo: 0, hi: 0, readings: Readings::of(|_| true), shifted: false };
            let (a, by) = (Scalar::range(least, most, Bits::B64), text.rsplit(' ').next().unwrap());
            let by = Scalar::exact(by.parse::<i64>().unwrap().cast_unsigned(), Bits::B64);
            let moved = after(&with(1, delta), text, (a, by));
            Readings::ALL.map(|reading| moved.is_some_and(|moved| moved.readings.contains(reading))).to_vec()
        };
        // Unsigned and signed, 64 bits, then 32.
        assert_eq!(kept("add r1, 1", 0, 0x7fff_fffe), [true, true, true, true]);
        assert_eq!(kept("add r1, 1", 0, 0x7fff_ffff), [true, true, true, false]);
        assert_eq!(kept("add r1, 1", 0, 0xffff_fffe), [true, true, true, false]);
        assert_eq!(kept("add r1, 1", 0, 0xffff_ffff), [true, true, false, false]);
        assert_eq!(kept("add r1, 1", 0, (1 << 63) - 2), [true, true, false, false]);
        assert_eq!(kept("add r1, 1", 0, (1 << 63) - 1), [true, false, false, false]);
        assert_eq!(kept("add r1, 1", 0, u64::MAX - 1), [true, false, false, false]);
        assert_eq!(kept("add r1, 1", 0, u64::MAX), [false; 4]);
        assert_eq!(kept("sub r1, 1", 1, 9), [true, true, true, true]);
        assert_eq!(kept("sub r1, 1", 0, 9), [false, true, false, true]);
        assert_eq!(kept("add r1, -1", 1, 9), [true, true, true, true]);
        assert_eq!(kept("add r1, -1", 0, 9), [false, true, false, true]);
        // 32 bits: the result has zeros above, so a negative one is another number to 64 bits.
        assert_eq!(kept("add32 r1, 1", 0, 0x7fff_fffe), [true, true, true, true]);
        assert_eq!(kept("add32 r1, 1", 0, 0x7fff_ffff), [true, true, true, false]);
        assert_eq!(kept("add32 r1, 1", 0, 0xffff_ffff), [false; 4]);
        assert_eq!(kept("add32 r1, 1", 1 << 32, (1 << 32) + 5), [false, false, true, true]);
        assert_eq!(kept("sub32 r1, 1", 0, 9), [false, false, false, true]);
    }

    #[test]
    fn what_is_added_up_has_a_limit() {
        let readings = Readings::of(|reading| reading == Reading::S64);
        let any = Scalar::signed_range(-9, 9, Bits::B64);
        for (lo, hi, good) in [
            (i64::MAX - 1, i64::MAX - 1, true),
            (i64::MAX - 1, i64::MAX, false),
            (i64::MIN, i64::MIN, true),
            (0, 0, true),
        ] {
            let delta = Delta { origin: 1, lo, hi, readings, shifted: false };
            let moved = after(&with(1, delta), "add r1, 1", (any, Scalar::exact(1, Bits::B64)));
            assert_eq!(moved.map(|moved| (moved.lo, moved.hi)), good.then(|| (lo + 1, hi.wrapping_add(1))));
        }
        let delta = Delta { origin: 1, lo: i64::MIN, hi: 0, readings, shifted: false };
        assert_eq!(after(&with(1, delta), "sub r1, 1", (any, Scalar::exact(1, Bits::B64))), None);
    }

    /// Addresses are moved too, as their offsets; no other arithmetic is followed, and nothing without a fact.
    #[test]
    fn all_else_is_forgotten() {
        let delta = Delta { origin: 1, lo: 0, hi: 0, readings: Readings::of(|_| true), shifted: false };
        let numbers = (Scalar::range(0, 9, Bits::B64), Scalar::exact(3, Bits::B64));
        for text in [
            "mul r1, 3",
            "div r1, 3",
            "or r1, 3",
            "and r1, 3",
            "rsh r1, 3",
            "neg r1",
            "mod r1, 3",
            "xor r1, 3",
            "mov r1, 3",
            "mov32 r1, 3",
            "movsx864 r1, r2",
            "movsx1664 r1, r2",
            "lddw r1, 3",
            "be16 r1",
            "le64 r1",
            "call 1",
        ] {
            assert_eq!(after(&with(1, delta), text, numbers), None, "{text}");
        }
        // A constant comes from no place, though the number of a register stands there.
        for text in ["mov r1, 3", "mov32 r1, 3"] {
            assert_eq!(after(&with(0, delta), text, numbers), None, "{text}");
        }
        let mut deltas = with(1, delta);
        deltas.step(&decoded("add r1, 1"), None, 0);
        assert_eq!(deltas.get(1), None);
        let address = RegType::pointer(Region::Buffer, 8);
        let mut deltas = with(1, delta);
        let fact = Fact { operands: Some((address, RegType::exact(8))), access: None, frame_written: false };
        deltas.step(&decoded("add r1, 8"), Some(&fact), 0);
        let moved = deltas.get(1).unwrap();
        assert_eq!((moved.lo, moved.hi, moved.readings), (8, 8, Readings::of(|reading| reading == Reading::S64)));
        // A number plus an address is an address; it is no step.
        let fact = Fact { operands: Some((RegType::exact(8), address)), access: None, frame_written: false };
        let mut deltas = with(1, delta);
        deltas.step(&decoded("add r1, r2"), Some(&fact), 0);
        assert_eq!(deltas.get(1), None);
    }

    #[test]
    fn joining_keeps_what_holds_of_both() {
        let delta = |origin, lo, hi, bits, shifted| Delta { origin, lo, hi, readings: Readings(bits), shifted };
        let one = delta(1, 1, 2, 0b0111, false);
        assert_eq!(one.join(delta(1, -3, 1, 0b1110, false)), Some(delta(1, -3, 2, 0b0110, false)));
        for other in [delta(2, 1, 2, 0b0111, false), delta(1, 1, 2, 0b1000, false), delta(1, 1, 2, 0b0111, true)] {
            assert_eq!((one.join(other), other.join(one)), (None, None));
        }
        let mut joined = Deltas { list: vec![(1, one), (2, one), (3, one)] };
        joined.join(&Deltas { list: vec![(1, delta(1, 0, 0, 0b0001, false)), (3, one), (4, one)] });
        assert_eq!(joined.list, [(1, delta(1, 0, 2, 0b0001, false)), (3, one)]);
        // What an inner loop moves is given up, what it narrows stays.
        let mut agreed = Deltas { list: vec![(1, one), (2, one), (3, one), (4, one)] };
        let (inside, wider) = (delta(1, 1, 1, 0b1111, false), delta(1, 1, 3, 0b0111, false));
        agreed.agree(&Deltas { list: vec![(1, one), (2, inside), (3, wider)] });
        assert_eq!(agreed.list, [(1, one), (2, one)]);
        assert_eq!(agreed.bytes(), size_of::<Deltas>() + 2 * size_of::<(u8, Delta)>());
    }

    /// Slots hold what is stored whole in them, until something is written there.
    #[test]
    fn slots_are_followed_as_long_as_nothing_touches_them() {
        let delta = Delta { origin: 1, lo: 1, hi: 1, readings: Readings::of(|_| true), shifted: false };
        let slot = |at: u32| FIRST_SLOT + (at / SLOT_LEN) as u8;
        let step = |deltas: &mut Deltas, text: &str, access: Option<Access>, frame| {
            deltas.step(&decoded(text), Some(&Fact { operands: None, access, frame_written: false }), frame);
        };
        let stack = |lo: u32, hi: u32, size| Some(Access { region: Region::Stack, lo, hi, size });
        let stored = || {
            let mut deltas = with(1, delta);
            step(&mut deltas, "stxdw [r10-16], r1", stack(496, 496, Size::Double), 0);
            assert_eq!(deltas.get(slot(496)), Some(delta));
            deltas
        };
        let mut deltas = stored();
        step(&mut deltas, "ldxdw r3, [r10-16]", stack(496, 496, Size::Double), 0);
        assert_eq!(deltas.get(3), Some(delta));
        for (text, access, kept) in [
            ("stb [r10-9], 0", stack(503, 503, Size::Byte), false),
            ("stb [r10-8], 0", stack(504, 504, Size::Byte), true),
            ("stb [r10-17], 0", stack(495, 495, Size::Byte), true),
            ("stw [r10-20], 0", stack(492, 492, Size::Word), true),
            ("stw [r10-20], 0", stack(492, 493, Size::Word), false),
            ("stxdw [r10-16], r4", stack(496, 496, Size::Double), false),
            ("stxdw [r3], r4", stack(0, 488, Size::Double), true),
            ("stxdw [r3], r4", stack(0, 489, Size::Double), false),
            ("stxdw [r3], r4", stack(504, 504, Size::Double), true),
            ("lock add [r10-16], r4", stack(496, 496, Size::Double), false),
            // Somewhere, and elsewhere.
            ("stxdw [r3], r4", None, false),
            ("stxdw [r3], r4", Some(Access { region: Region::Buffer, lo: 496, hi: 496, size: Size::Double }), true),
            // In another frame.
            ("stxdw [r3], r4", stack(496 + FRAME_LEN, 496 + FRAME_LEN, Size::Double), true),
        ] {
            let mut deltas = stored();
            step(&mut deltas, text, access, 0);
            assert_eq!(deltas.get(slot(496)).is_some(), kept, "{text} {access:?}");
        }
        // Loads of less, of one of several slots, of another frame's.
        for (text, access) in [
            ("ldxw r3, [r10-16]", stack(496, 496, Size::Word)),
            ("ldxdw r3, [r4]", stack(496, 504, Size::Double)),
            ("ldxdw r3, [r4]", stack(496 + FRAME_LEN, 496 + FRAME_LEN, Size::Double)),
            ("ldxdw r3, [r4]", Some(Access { region: Region::Buffer, lo: 496, hi: 496, size: Size::Double })),
            ("ldxdw r3, [r4]", None),
        ] {
            let mut deltas = stored();
            deltas.set(3, Some(delta));
            step(&mut deltas, text, access, 0);
            assert_eq!(deltas.get(3), None, "{text} {access:?}");
        }
        // The same one frame up: its slots are others than those of the caller's frame.
        let above = |lo: u32| stack(lo + FRAME_LEN, lo + FRAME_LEN, Size::Double);
        for (access, kept) in [(above(496), false), (above(504), true), (stack(496, 496, Size::Double), true)] {
            let mut deltas = with(1, delta);
            step(&mut deltas, "stxdw [r10-16], r1", above(496), 1);
            step(&mut deltas, "ldxdw r3, [r10-16]", above(496), 1);
            assert_eq!(deltas.get(3), Some(delta));
            step(&mut deltas, "ldxdw r3, [r4]", stack(496, 496, Size::Double), 1);
            assert_eq!(deltas.get(3), None);
            step(&mut deltas, "stxdw [r3], r4", access, 1);
            assert_eq!(deltas.get(slot(496)).is_some(), kept, "{access:?}");
        }
        // A call leaves r6 to r9, and the frame unless it writes there.
        for written in [false, true] {
            let mut deltas = stored();
            deltas.set(6, Some(delta));
            deltas.set(0, Some(delta));
            deltas.step(
                &decoded("call local +0"),
                Some(&Fact { operands: None, access: None, frame_written: written }),
                0,
            );
            assert_eq!([0, 1, 5, 6].map(|place| deltas.get(place).is_some()), [false, false, false, true]);
            assert_eq!(deltas.get(slot(496)).is_some(), !written);
        }
        // What an exchange fetches is known of nothing.
        for (text, fetched) in [("lock fetch add [r4], r6", 6), ("lock cmpxchg [r4], r6", 0), ("lock xchg [r4], r6", 6)]
        {
            let mut deltas = stored();
            deltas.set(6, Some(delta));
            deltas.set(0, Some(delta));
            step(&mut deltas, text, Some(Access { region: Region::Buffer, lo: 0, hi: 0, size: Size::Double }), 0);
            assert_eq!([0, 6].map(|place| deltas.get(place).is_none()), [fetched == 0, fetched == 6], "{text}");
        }
    }
}
