//! States as a whole: copies, calls, joins, and how they read.

use super::*;
use crate::isa::assemble;
use crate::verifier::number::{Bits, Scalar};

fn bytes(start: u32, len: u32) -> Bytes {
    Bytes::new(start, len).unwrap()
}

fn record(offset: u64) -> RegType {
    RegType::pointer(Region::Record, offset)
}

#[test]
fn copies_meet_where_both_paths_have_them() {
    let mut ours = AbstractState::entry();
    ours.set(3, RegType::unknown());
    ours.copy(4, 3);
    ours.save(0, bytes(504, 8), 3);
    ours.copy(6, 3);
    let mut theirs = AbstractState::entry();
    theirs.set(3, RegType::unknown());
    theirs.copy(4, 3);
    theirs.set(6, RegType::unknown());
    theirs.save(0, bytes(504, 8), 6);
    // Written in another order, they are the same all the same.
    let mut again = AbstractState::entry();
    again.set(6, RegType::unknown());
    again.copy(3, 6);
    again.save(0, bytes(504, 8), 6);
    again.copy(4, 6);
    assert_eq!(again, ours);
    let before = ours.clone();
    ours.join(&theirs);
    assert!(ours.same(3, 4) && !ours.same(3, 6) && ours.is_consistent());
    ours.refine(6, RegType::exact(7));
    // Of r6 and the slot it is so in both, as well.
    assert_eq!(ours.stack().saved(bytes(504, 8)), Some(RegType::exact(7)));
    assert_eq!(ours.get(3), RegType::unknown());
    // A slot that is not saved on one path is linked to nothing.
    let mut ours = before.clone();
    let mut theirs = before.clone();
    theirs.store(0, bytes(504, 1), RegType::exact(0));
    ours.join(&theirs);
    assert!(ours.is_consistent() && ours.same(3, 6));
    assert_eq!(ours.stack().saved(bytes(504, 8)), None);
    // A constant has nothing to learn, so its copies cost nothing.
    let mut state = AbstractState::entry();
    state.set(3, RegType::exact(1));
    state.copy(4, 3);
    assert!(!state.same(3, 4) && state.bytes() < before.bytes());
}

#[test]
fn links_that_do_not_hold_are_noticed() {
    let mut state = AbstractState::entry();
    state.set(3, RegType::unknown());
    state.copy(4, 3);
    state.save(0, bytes(504, 8), 3);
    assert!(state.is_consistent());
    // Past the methods that end links.
    state.stack_mut().store(bytes(504, 8), RegType::exact(1));
    assert!(!state.is_consistent());
}

#[test]
fn a_state_reads_well() {
    let mut state = AbstractState::entry();
    state.set(1, record(0));
    state.set(0, RegType::Scalar(Scalar::range(0, 2, Bits::B64)));
    state.set(4, RegType::Unusable(Why::Call));
    state.stack_mut().store(bytes(504, 8), RegType::exact(7));
    state.stack_mut().store(bytes(500, 4), RegType::exact(7));
    state.stack_mut().store(bytes(488, 2), RegType::exact(7));
    assert_eq!(
        state.to_string(),
        "r0=0..=2  r1=pointer to record  r4=undefined since a call  r10=pointer to frame  \
         stack [-8]=7 [-12..-8] [-24..-22]"
    );
    assert!(state.is_consistent());
}

#[test]
fn a_call_has_a_frame_of_its_own_and_gives_back_what_it_must() {
    let mut state = AbstractState::entry();
    for register in 0..10 {
        state.set(register, RegType::exact(u64::from(register)));
    }
    state.set(6, record(8));
    state.stack_mut().store(bytes(504, 8), RegType::exact(7));
    let before = state.clone();
    state.enter_call();
    assert!(state.is_consistent());
    assert_eq!(state.depth(), 1);
    for register in [0, 6, 7, 8, 9] {
        assert_eq!(state.get(register), RegType::Unusable(Why::Caller));
    }
    assert_eq!((state.get(5), state.get(10).to_string()), (RegType::exact(5), "pointer to frame#1".to_owned()));
    assert_eq!(state.stack(), &Stack::default());
    assert_eq!((state.frame(0), state.frame(1)), (Some(before.stack()), Some(state.stack())));
    assert_eq!(state.frame(2), None);
    assert_eq!(
        state.to_string(),
        "r1=1  r2=2  r3=3  r4=4  r5=5  r10=pointer to frame#1  \
         caller 0: r6=pointer to record+8 r7=7 r8=8 r9=9 stack [-8]=7"
    );
    // The callee writes its own frame and the caller's.
    state.stack_mut().store(bytes(504, 8), RegType::exact(1));
    state.frame_mut(0).unwrap().store(bytes(496, 8), RegType::exact(2));
    state.set(0, RegType::exact(9));
    state.set(6, RegType::exact(0));
    assert!(state.leave_call() && state.is_consistent());
    assert_eq!(state.get(0), RegType::exact(9));
    for register in 1..=5 {
        assert_eq!(state.get(register), RegType::Unusable(Why::Call));
    }
    for register in 6..=10 {
        assert_eq!(state.get(register), before.get(register));
    }
    assert_eq!(state.stack().to_string(), "[-8]=7 [-16]=2");
    assert!(!state.leave_call());
}

#[test]
fn addresses_in_a_frame_end_with_it() {
    let mut state = AbstractState::entry();
    state.enter_call();
    state.enter_call();
    let (own, other) = (state.get(10), RegType::frame_pointer(0));
    for frame in [0, 1] {
        state.frame_mut(frame).unwrap().store(bytes(504, 8), own);
        state.frame_mut(frame).unwrap().store(bytes(496, 8), other);
    }
    state.set(0, own);
    assert!(state.is_consistent() && state.leave_call() && state.is_consistent());
    assert_eq!(state.get(0), RegType::Unusable(Why::Call));
    for frame in [0, 1] {
        let stack = state.frame(frame).unwrap();
        assert_eq!((stack.saved(bytes(504, 8)), stack.saved(bytes(496, 8))), (None, Some(other)));
        assert_eq!(stack.first_uninitialised(bytes(496, 16)), Some(504));
    }
    // One that is left over, against the rules, is noticed.
    state.set(3, own);
    assert!(!state.is_consistent());
    state.set(3, RegType::exact(0));
    assert!(state.is_consistent());
    state.stack_mut().store(bytes(488, 8), own);
    assert!(!state.is_consistent());
}

#[test]
fn joining_states_joins_their_callers() {
    let mut ours = AbstractState::entry();
    ours.set(6, RegType::exact(1));
    ours.enter_call();
    let mut theirs = ours.clone();
    ours.frame_mut(0).unwrap().store(bytes(504, 8), RegType::exact(4));
    theirs.frame_mut(0).unwrap().store(bytes(504, 8), RegType::exact(5));
    theirs.frame_mut(0).unwrap().store(bytes(496, 8), RegType::exact(6));
    assert!(theirs.bytes() > ours.bytes());
    ours.join(&theirs);
    assert_eq!(ours.frame(0).unwrap().to_string(), "[-8]=4..=5");
    assert!(ours.is_consistent() && ours.leave_call());
    assert_eq!(ours.get(6), RegType::exact(1));
}

/// The check that the verifier makes of itself after each instruction: of what the instruction can have changed.
#[test]
fn what_an_instruction_may_have_broken_is_noticed() {
    let decode = |text: &str| Decoded::at(&assemble(text).unwrap().code, 0).unwrap().unwrap();
    let none = RegType::Scalar(Scalar::range(1, 0, Bits::B64));
    let mut good = AbstractState::entry();
    for register in 0..8 {
        good.set(register, RegType::unknown());
    }
    good.copy(6, 7);
    good.save(0, bytes(504, 8), 7);
    assert!(good.is_consistent());
    // Which registers each writes, and whether it may write more than registers.
    for (text, writes, writes_more) in [
        ("add r1, r2", &[1][..], false),
        ("mov32 r1, r2", &[1], false),
        ("lddw r1, 5", &[1], false),
        ("ldxdw r1, [r2+8]", &[1], false),
        ("stxdw [r1+8], r2", &[], true),
        ("stdw [r1+8], 2", &[], true),
        ("lock add [r1], r2", &[], true),
        ("lock fetch add [r1], r2", &[2], true),
        ("lock xchg [r1], r2", &[2], true),
        ("lock cmpxchg [r1], r2", &[0], true),
        ("jeq r1, r2, +0", &[], false),
        ("ja +0", &[], false),
        ("call 5", &[0], true),
        ("exit", &[], false),
    ] {
        let instruction = decode(text);
        assert!(good.is_consistent_after(&instruction), "{text}");
        for register in 0..3 {
            let mut state = good.clone();
            state.set(register, none);
            assert_eq!(state.is_consistent_after(&instruction), !writes.contains(&register), "{text}: r{register}");
        }
        for frame_pointer in [RegType::unknown(), RegType::pointer(Region::Stack, 504), RegType::frame_pointer(1)] {
            let mut state = good.clone();
            state.set(FRAME_POINTER, frame_pointer);
            assert!(!state.is_consistent_after(&instruction), "{text}: {frame_pointer}");
        }
        // A copy in memory that is none any more.
        let mut state = good.clone();
        state.stack_mut().store(bytes(504, 8), RegType::exact(1));
        assert_eq!(state.is_consistent_after(&instruction), !writes_more, "{text}");
    }
    // A register that is written and no longer what its copies are.
    let mut state = good.clone();
    if let Some(register) = state.registers.get_mut(6) {
        *register = RegType::exact(1);
    }
    assert!(!state.is_consistent_after(&decode("add r6, 1")) && state.is_consistent_after(&decode("add r1, 1")));
    assert!(!state.is_consistent());
}

#[test]
fn whatever_is_inconsistent_makes_a_state_so() {
    let none = RegType::Scalar(Scalar::range(1, 0, Bits::B64));
    let lost = RegType::frame_pointer(1);
    let mut good = AbstractState::entry();
    good.set(6, RegType::frame_pointer(0));
    good.stack_mut().store(bytes(504, 8), RegType::frame_pointer(0));
    assert!(good.is_consistent());
    let mut inner = good.clone();
    inner.enter_call();
    inner.set(3, lost);
    inner.stack_mut().store(bytes(504, 8), lost);
    assert!(inner.is_consistent());
    for bad in [none, lost] {
        let mut state = good.clone();
        state.set(3, bad);
        assert!(!state.is_consistent(), "a register: {bad}");
        let mut state = good.clone();
        state.set(6, bad);
        state.enter_call();
        assert!(!state.is_consistent(), "a caller's register: {bad}");
        let mut state = good.clone();
        state.stack_mut().store(bytes(496, 8), bad);
        assert!(!state.is_consistent(), "a slot: {bad}");
    }
    let mut state = inner.clone();
    state.set(FRAME_POINTER, RegType::frame_pointer(0));
    assert!(!state.is_consistent());
    inner.frame_mut(0).unwrap().store(bytes(496, 8), none);
    assert!(!inner.is_consistent(), "a caller's slot");
}

/// What the budget of bytes counts: each frame, what is saved there, and copies.
#[test]
fn all_that_a_state_holds_has_bytes() {
    let mut state = AbstractState::entry();
    let entry = state.bytes();
    assert!(entry >= size_of::<AbstractState>());
    state.set(6, RegType::unknown());
    state.stack_mut().store(bytes(504, 8), RegType::exact(7));
    let saved = state.bytes() - entry;
    assert!(saved > 0);
    state.enter_call();
    let frame = state.bytes() - entry - saved;
    assert!(frame >= size_of::<Frame>());
    state.stack_mut().store(bytes(504, 8), RegType::exact(7));
    assert_eq!(state.bytes(), entry + 2 * saved + frame);
    state.enter_call();
    assert_eq!(state.bytes(), entry + 2 * saved + 2 * frame);
    state.set(1, RegType::unknown());
    state.copy(2, 1);
    assert!(state.bytes() > entry + 2 * saved + 2 * frame);
}

/// A state is used again by overwriting it.
#[test]
fn one_state_overwrites_another() {
    let mut from = AbstractState::entry();
    from.set(6, RegType::unknown());
    from.copy(7, 6);
    from.stack_mut().store(bytes(504, 8), RegType::exact(7));
    from.enter_call();
    assert_eq!(from.kept(0).map(<[RegType]>::len), Some(4));
    assert_eq!(from.kept(0).and_then(|kept| kept.first()).copied(), Some(RegType::unknown()));
    assert_eq!(from.kept(1), None);
    let mut other = AbstractState::entry();
    other.set(6, RegType::exact(1));
    other.stack_mut().store(bytes(496, 8), RegType::exact(8));
    other.enter_call();
    for mut to in [AbstractState::entry(), other] {
        to.clone_from(&from);
        assert_eq!(to, from);
    }
}

/// Each thing that a state knows counts when it is asked whether it is within another.
#[test]
fn a_state_that_knows_less_is_not_within_one_that_knows_more() {
    let mut inner = AbstractState::entry();
    inner.set(6, RegType::exact(1));
    inner.set(8, RegType::unknown());
    inner.stack_mut().store(bytes(504, 8), RegType::exact(7));
    inner.enter_call();
    inner.set(3, RegType::exact(3));
    inner.set(4, RegType::unknown());
    inner.copy(5, 4);
    inner.stack_mut().store(bytes(504, 8), RegType::exact(7));
    inner.copy(2, 4);
    inner.shift_up(2, RegType::unknown());
    let all = RegType::unknown();
    type Change = (&'static str, fn(&mut AbstractState, RegType));
    let changes: [Change; 6] = [
        ("a register", |state, all| state.refine(3, all)),
        ("the stack", |state, all| state.stack_mut().store(bytes(504, 8), all)),
        ("a caller's register", |state, all| {
            if let Some(register) = state.callers.get_mut(0).and_then(|caller| caller.kept.get_mut(0)) {
                *register = all;
            }
        }),
        ("a caller's stack", |state, all| state.frame_mut(0).unwrap().store(bytes(504, 8), all)),
        ("a copy", |state, _| {
            let shifted = state.shifted;
            state.set(5, state.get(5));
            state.shifted = shifted;
        }),
        ("what was shifted", |state, _| assert!(state.take_shifted().is_some())),
    ];
    assert!(inner.is_within(&inner) && inner.shifted.is_some());
    for (what, change) in changes {
        let mut less = inner.clone();
        change(&mut less, all);
        assert_ne!(less, inner, "{what}");
        assert!(inner.is_within(&less), "{what}");
        assert!(!less.is_within(&inner), "{what}");
    }
    // Of another depth.
    let mut deeper = inner.clone();
    deeper.enter_call();
    let mut lone = deeper.clone();
    lone.callers.clear();
    assert!(!lone.is_within(&deeper) && !deeper.is_within(&lone));
}

/// A caller's copies are copies again when it goes on.
#[test]
fn copies_outlive_a_call() {
    let mut state = AbstractState::entry();
    state.set(6, RegType::unknown());
    state.copy(7, 6);
    state.save(0, bytes(504, 8), 6);
    state.set(8, RegType::unknown());
    let before = state.clone();
    state.enter_call();
    assert!(state.is_consistent());
    state.set(6, RegType::unknown());
    state.set(0, RegType::exact(0));
    assert!(state.leave_call() && state.is_consistent());
    assert!(state.same(6, 7) && !state.same(6, 8));
    state.refine(7, RegType::exact(3));
    assert_eq!((state.get(6), state.stack().saved(bytes(504, 8))), (RegType::exact(3), Some(RegType::exact(3))));
    assert_eq!(before.links_len(), 3);
}
