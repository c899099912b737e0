//! The compiler against the definition: a random rule and random events must come out alike.
//!
//! Left: [`naive`], which evaluates the typed form as its documentation says, knowing nothing of questions, masks or
//! bytecode. Right: the whole way, compile, link, verify, run. Everything is derived from one seed, so a failure names
//! the rule and the event that show it.

mod generate;
mod model;
mod naive;
#[path = "../random/mod.rs"]
mod random;
mod run;

use std::sync::Arc;

use generate::Generator;
use model::{Event, State, Val, test_catalogue};
use run::Compiled;
use trapline_programs::hir::{Absent, Expr, Leaf, LeafKind};
use trapline_vm::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::program::Verdict;
use trapline_vm::record::{FamilyId, FieldType, Scalar};

/// Runs `rules` rules on `events` events each; the number of pairs that came out as 0, 1, 2.
fn compare(seed: u64, rules: u64, events: u64) -> [usize; 3] {
    let catalogue = Arc::new(test_catalogue());
    let mut counts = [0; 3];
    for index in 0..rules {
        let mut generator = Generator::new(seed, index);
        let rule = generator.rule(&catalogue);
        let mut compiled = match Compiled::new(&rule, &catalogue) {
            Ok(compiled) => compiled,
            Err(error) => panic!("seed {seed} rule {index}: {error}\n{:#?}", rule.condition),
        };
        for number in 0..events {
            let event = generator.event(&rule, &catalogue);
            let expected = naive::verdict(&rule, &event);
            let actual = compiled.run(&event);
            if actual != Ok(expected) {
                let code = compiled.describe();
                let (condition, exceptions) = (&rule.condition, &rule.exceptions);
                eprintln!("where {condition:#?}\nunless {exceptions:#?}\n{code}");
                for (name, state) in event.fields.iter().filter(|(name, _)| code.contains(*name)) {
                    eprintln!("{name}: {state:?}");
                }
                panic!("seed {seed}, rule {index}, event {number}: {actual:?} instead of {expected:?}");
            }
            counts[expected as usize] += 1;
        }
    }
    counts
}

#[test]
fn compiled_rules_agree_with_their_definition() {
    let [no_match, matched, not_evaluable] = compare(1, 2_500, 10);
    assert_eq!(no_match + matched + not_evaluable, 25_000);
    let verdicts = [Verdict::NoMatch, Verdict::Match, Verdict::NotEvaluable];
    for (verdict, count) in verdicts.into_iter().zip([no_match, matched, not_evaluable]) {
        assert!(count >= 2_500, "only {count} times {verdict:?}");
    }
}

/// As many as one likes: `TRAPLINE_PAIRS=1000000 cargo test --test compiler -- --ignored`.
#[test]
#[ignore = "takes as long as it is told to"]
fn many_more() {
    let pairs: u64 = std::env::var("TRAPLINE_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let seed: u64 = std::env::var("TRAPLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    println!("{:?}", compare(seed, pairs / 10, 10));
}

/// Programs whose branches do not reach in 16 bits.
#[test]
fn long_programs_are_proved_and_run() {
    let catalogue = Arc::new(test_catalogue());
    let field = FieldRef { name: "str.a".to_owned(), ty: FieldType::Scalar(Scalar::Str) };
    let absent_text = |index: u32| {
        let test = Test::Str { op: StrOp::Contains, literals: vec![format!("text{index}")], fold: false };
        let kind = LeafKind::Predicate(Predicate { field: field.clone(), scope: Scope::Any, test });
        let leaf = Leaf { kind, absent: Absent::Unknown, line: index, text: String::new() };
        Expr::Not(Box::new(Expr::Leaf(leaf)))
    };
    let mut rule = Generator::new(4, 0).rule(&catalogue);
    rule.classes = vec![catalogue.class_id("full.one").expect("a class")];
    rule.exceptions.clear();
    rule.condition = Expr::And((1..=7_000).map(absent_text).collect());
    let mut compiled = Compiled::new(&rule, &catalogue).expect("it is proved");
    let text = |text: &str| Val::Str(text.to_owned());
    for (state, verdict) in [
        (State::Absent, Verdict::NoMatch),
        (State::Lost, Verdict::NotEvaluable),
        (State::Present(text("text")), Verdict::Match),
        (State::Present(text("has text7000")), Verdict::NoMatch),
        (State::Truncated(text("has text")), Verdict::NotEvaluable),
        (State::Truncated(text("has text6999 and")), Verdict::NoMatch),
    ] {
        let event = Event { family: FamilyId(0), fields: [("str.a".to_owned(), state.clone())].into() };
        assert_eq!(compiled.run(&event), Ok(verdict), "{state:?}");
    }
}

#[test]
fn compiling_twice_gives_the_same_bytes() {
    let catalogue = test_catalogue();
    for index in 0..200 {
        let rule = Generator::new(3, index).rule(&catalogue);
        let first = trapline_programs::compile::compile_rule(&rule, &catalogue);
        let second = trapline_programs::compile::compile_rule(&rule.clone(), &test_catalogue());
        assert_eq!(first, second);
    }
}
