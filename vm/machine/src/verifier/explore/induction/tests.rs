//! How many trips follow from a step and bounds, and what is kept of what was seen.

use super::delta::Delta;
use super::facts::Fact;
use super::reading::Reading;
use super::*;
use crate::isa::{Decoded, Size, assemble};
use crate::memory::{Access, Region};
use crate::verifier::number::{Bits, Scalar};
use crate::verifier::state::{Bytes, RegType};

const B64: Bits = Bits::B64;

fn only(reading: Reading) -> Readings {
    Readings::of(move |one| one == reading)
}

/// A state in which `r1` holds this.
fn state(value: Scalar) -> AbstractState {
    let mut state = AbstractState::entry();
    state.set(1, RegType::Scalar(value));
    state
}

/// How often a loop leads back whose counter `r1` begins as `first`, is `head` at the head of all iterations and `back`
/// where it leads back, moved on by `lo..=hi` in between.
fn trips(reading: Reading, (lo, hi): (i64, i64), first: Scalar, head: Scalar, back: Scalar) -> Option<u128> {
    let delta = Delta { origin: 1, lo, hi, readings: only(reading), shifted: false };
    count(&Deltas { list: vec![(1, delta)] }, &state(first), &state(head), &state(back)).map(|trips| trips.count)
}

fn count(ends: &Deltas, first: &AbstractState, head: &AbstractState, back: &AbstractState) -> Option<Trips> {
    let component = Component { start: 0, end: 1, parent: None, reducible: true };
    best(ends, &Question { component, facts: &Facts::default(), frame: 0, first, head, back })
}

#[test]
fn trips_at_the_corners_of_each_reading() {
    let any = Scalar::unknown(B64);
    let range = |min, max| Scalar::range(min, max, B64);
    let signed = |min, max| Scalar::signed_range(min, max, B64);
    let (zero, minus) = (range(0, 0), |n: i64| signed(-n, -n));
    let (u32_max, top) = (u64::from(u32::MAX), 1u64 << 63);
    use Reading::{S32, S64, U32, U64};
    for (reading, step, first, head, back, want) in [
        // r1 from 0 by one; it leads back while r1 is at most 9 after that, so with 0 to 8 at the head.
        (U64, (1, 1), zero, any, range(1, 9), Some(9)),
        (U64, (1, 1), zero, range(0, 8), any, Some(9)),
        (U64, (2, 2), zero, any, range(1, 9), Some(4)),
        (U64, (3, 3), zero, any, range(1, 9), Some(3)),
        // It leads back with 0 at the head, and once only.
        (U64, (1, 1), zero, any, range(1, 1), Some(1)),
        (U64, (1 << 40, 1 << 40), zero, any, range(0, 1 << 40), Some(1)),
        // Never: where it leads back it would have been less than what it begins with.
        (U64, (1, 1), range(9, 20), any, range(1, 9), Some(0)),
        (U64, (1, 1), range(8, 20), any, range(1, 9), Some(1)),
        // As often as the reading has numbers to go to: it never wraps around.
        (U64, (1, 1), zero, any, any, Some((1 << 64) - 1)),
        (U64, (i64::MAX, i64::MAX), zero, any, any, Some(2)),
        (U64, (1, 1), range(top, top), any, any, Some((1 << 63) - 1)),
        (U64, (1, 1), range(u64::MAX, u64::MAX), any, any, Some(0)),
        (S64, (1, 1), signed(i64::MIN, i64::MIN), any, any, Some((1 << 64) - 1)),
        (S64, (1, 1), zero, any, any, Some((1 << 63) - 1)),
        (S64, (1, 1), signed(-5, 3), any, signed(-4, 4), Some(9)),
        (U32, (1, 1), zero, any, any, Some((1 << 32) - 1)),
        (U32, (1, 1), range(u32_max, u32_max), any, any, Some(0)),
        (S32, (1, 1), range(1 << 31, 1 << 31), any, any, Some((1 << 32) - 1)),
        (S32, (1, 1), zero, any, any, Some((1 << 31) - 1)),
        // The upper half means nothing to 32 bits.
        (U32, (1, 1), range(1 << 32, 1 << 32), any, any, Some((1 << 32) - 1)),
        // Down.
        (U64, (-1, -1), range(10, 10), any, range(1, 9), Some(9)),
        (U64, (-1, -1), range(10, 10), any, range(0, 9), Some(10)),
        (U64, (-4, -3), range(10, 10), any, range(0, 9), Some(3)),
        (S64, (-1, -1), minus(1), any, any, Some((1 << 63) - 1)),
        (S64, (i64::MIN, i64::MIN), signed(i64::MAX, i64::MAX), any, any, Some(1)),
        (S64, (i64::MIN, -1), zero, any, any, Some(1 << 63)),
        (S32, (-1, -1), range(0x7fff_ffff, 0x7fff_ffff), any, any, Some((1 << 32) - 1)),
        // Of steps the least counts, of what it begins with the farthest away.
        (U64, (1, 100), zero, any, range(1, 9), Some(9)),
        (U64, (2, 100), range(0, 5), any, range(1, 9), Some(4)),
        (S64, (-100, -2), signed(-5, 5), any, signed(-9, 9), Some(7)),
        // A step that may be none, or lead either way, counts nothing.
        (U64, (0, 0), zero, range(0, 8), range(1, 9), None),
        (U64, (0, 1), zero, range(0, 8), range(1, 9), None),
        (S64, (-1, 0), zero, range(0, 8), range(1, 9), None),
        (S64, (-1, 1), zero, range(0, 8), range(1, 9), None),
    ] {
        assert_eq!(trips(reading, step, first, head, back), want, "{reading:?} by {step:?}: {first}; {head}; {back}");
    }
}

/// Walks every way of a counter of few bits: no walk leads back more often than was said, and one does so exactly.
#[test]
fn no_walk_is_longer_than_the_trips() {
    for (lo, hi) in [(1, 1), (1, 3), (2, 3), (3, 3), (-1, -1), (-3, -2), (-3, -1)] {
        for (first, last) in [(0, 0), (0, 2), (5, 9), (-9, -9), (-4, 6)] {
            for (least, most) in [(-9, 9), (0, 7), (-3, 3), (6, 9), (-9, -6)] {
                // What bounds it where it leads back, after the step.
                let back = Scalar::signed_range(least, most, B64);
                let said = trips(
                    Reading::S64,
                    (lo, hi),
                    Scalar::signed_range(first, last, B64),
                    Scalar::signed_range(-100, 100, B64),
                    back,
                );
                let mut at: Vec<i64> = (first..=last).collect();
                let mut walked = 0;
                loop {
                    let mut next: Vec<i64> = at.iter().flat_map(|at| (lo..=hi).map(move |by| at + by)).collect();
                    next.retain(|after| (least..=most).contains(after));
                    next.sort_unstable();
                    next.dedup();
                    if next.is_empty() {
                        break;
                    }
                    (at, walked) = (next, walked + 1);
                }
                let said = said.unwrap();
                assert!(
                    said >= walked,
                    "{lo}..={hi} from {first}..={last} within {least}..={most}: {walked}, not {said}"
                );
                // Exact where steps are all alike and it begins inside.
                if lo == hi && first >= least && last <= most {
                    assert_eq!(said, walked, "{lo} from {first}..={last} within {least}..={most}");
                }
            }
        }
    }
}

/// The bound may be that of another place, which is the counter and something; the least of all bounds counts.
#[test]
fn any_place_that_is_the_counter_and_something_bounds_it() {
    let delta = |lo, hi, shifted| Delta { origin: 1, lo, hi, readings: only(Reading::U64), shifted };
    let head = state(Scalar::unknown(B64));
    let first = state(Scalar::exact(0, B64));
    let with = |place: u8, value: Scalar| {
        let mut back = head.clone();
        back.set(place, RegType::Scalar(value));
        back
    };
    let ends = |related: Delta| Deltas { list: vec![(1, delta(1, 1, false)), (3, related)] };
    let nine = Scalar::range(0, 9, B64);
    let counted = |related: Delta, place, value| count(&ends(related), &first, &head, &with(place, value)).unwrap();
    // r3 is what r1 was at the head, up to ten more than it, or up to ten less.
    assert_eq!(counted(delta(0, 0, false), 3, nine).count, 10);
    assert_eq!(counted(delta(0, 10, false), 3, nine).count, 10);
    assert_eq!(counted(delta(-10, 0, false), 3, nine).count, 20);
    // Of the counter itself.
    assert_eq!(counted(delta(0, 0, false), 1, nine).count, 9);
    // Half-way of an extension, of another place, and in another reading it says nothing.
    let none = (1 << 64) - 1;
    assert_eq!(counted(delta(0, 0, true), 3, nine).count, none);
    assert_eq!(counted(Delta { origin: 2, ..delta(0, 0, false) }, 3, nine).count, none);
    assert_eq!(counted(Delta { readings: only(Reading::S64), ..delta(0, 0, false) }, 3, nine).count, none);
    // Of two counters the one with fewer trips, a slot of the frame.
    let slot = Bytes::new(FRAME_LEN - 16, 8).unwrap();
    let (place, half) = (FIRST_SLOT + 62, Scalar::range(0, 5, B64));
    let both = |value: Scalar| {
        let mut state = state(value);
        state.stack_mut().store(slot, RegType::Scalar(value));
        state
    };
    let mut back = both(nine);
    back.stack_mut().store(slot, RegType::Scalar(half));
    let ends = Deltas { list: vec![(1, delta(1, 1, false)), (place, Delta { origin: place, ..delta(1, 1, false) })] };
    let trips = count(&ends, &both(Scalar::exact(0, B64)), &both(Scalar::unknown(B64)), &back);
    assert_eq!(trips, Some(Trips { count: 5, counter: Some(Counter::Stack { offset: -16 }) }));
    // What is no longer known at the head counts nothing.
    let unknown = AbstractState::entry();
    assert_eq!(count(&ends, &unknown, &unknown, &back), None);
}

#[test]
fn readings_know_their_limits() {
    for (reading, min, max) in [
        (Reading::U64, 0, (1i128 << 64) - 1),
        (Reading::S64, -(1 << 63), (1 << 63) - 1),
        (Reading::U32, 0, (1 << 32) - 1),
        (Reading::S32, -(1 << 31), (1 << 31) - 1),
    ] {
        assert_eq!(reading.limits(), (min, max));
        assert_eq!(reading.range(RegType::unknown()), Some((min, max)), "{reading:?}");
        assert_eq!(reading.is_narrow(), max < 1 << 40);
    }
    let value = RegType::exact(0xffff_ffff_8000_0000);
    let read = Readings::ALL.map(|reading| reading.range(value).unwrap());
    assert_eq!(
        read.map(|(min, max)| (min == max).then_some(min)),
        [Some(0xffff_ffff_8000_0000), Some(-(1 << 31)), Some(1 << 31), Some(-(1 << 31)),]
    );
    // An address is its offset, signed; a map is nothing.
    let address = RegType::pointer(Region::Buffer, 12);
    assert_eq!(Readings::ALL.map(|reading| reading.range(address)), [None, Some((12, 12)), None, None]);
    assert_eq!(Reading::S64.range(RegType::Map(0)), None);
}

fn decoded(text: &str) -> Decoded {
    Decoded::at(&assemble(text).unwrap().code, 0).unwrap().unwrap()
}

/// What is seen twice is seen together: operands joined, accesses as one range or as none.
#[test]
fn what_was_seen_is_put_together() {
    let access = |region, lo, hi, size| Access { region, lo, hi, size };
    let (add, load) = (decoded("add r1, r2"), decoded("ldxdw r1, [r2]"));
    let with = |a: u64, b: u64| {
        let mut state = state(Scalar::exact(a, B64));
        state.set(2, RegType::exact(b));
        state
    };
    let mut facts = Facts::default();
    assert!(facts.note(7, &add, &with(1, 5), None) && !facts.note(7, &add, &with(4, 3), None));
    let joined = |a, b| RegType::exact(a).join(RegType::exact(b));
    assert_eq!(facts.seen[&7].operands, Some((joined(1, 4), joined(5, 3))));
    let stack = |lo, hi| access(Region::Stack, lo, hi, Size::Double);
    for (first, second, want) in [
        (Some(stack(8, 16)), Some(stack(0, 8)), Some(stack(0, 16))),
        (Some(stack(8, 16)), Some(access(Region::Buffer, 8, 16, Size::Double)), None),
        (Some(stack(8, 16)), Some(access(Region::Stack, 8, 16, Size::Word)), None),
        (Some(stack(8, 16)), None, None),
        (None, Some(stack(8, 16)), None),
    ] {
        for merged in [false, true] {
            let (mut facts, state) = (Facts::default(), with(0, 0));
            facts.note(9, &load, &state, first.as_ref());
            if merged {
                let mut other = Facts::default();
                other.note(9, &load, &state, second.as_ref());
                other.note(11, &load, &state, None);
                facts.merge(other);
                assert!(facts.seen.contains_key(&11));
            } else {
                facts.note(9, &load, &state, second.as_ref());
            }
            assert_eq!(facts.seen[&9], Fact { operands: None, access: want, frame_written: false });
        }
    }
    // A call that once wrote to the frame has written there.
    let mut facts = Facts::default();
    let call = decoded("call local +0");
    facts.note_written_frame(3);
    assert!(facts.note(3, &call, &with(0, 0), None) && !facts.seen[&3].frame_written);
    facts.note_written_frame(3);
    facts.note(3, &call, &with(0, 0), None);
    assert!(facts.seen[&3].frame_written);
    // What no delta follows is not noted, so that it counts for none; ways are noted once.
    for text in ["mul r1, 2", "and r1, r2", "ja +0", "jeq r1, r2, +0", "call 1", "exit", "lddw r1, 5"] {
        assert!(!Facts::default().note(0, &decoded(text), &with(0, 0), None), "{text}");
    }
    assert!(facts.note_way(1, 2) && facts.note_way(2, 1) && !facts.note_way(1, 2));
    assert_eq!(facts.bytes(), 3 * Facts::ENTRY_LEN);
}
