//! Two rules on the same written records, through the machine: values that the rules speak of and neighbours of them,
//! absent, lost and cut short.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use trapline::agent::load::{LoadedRule, RuleText, load};
use trapline::agent::trial::Trials;
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{decide, families};
use trapline_programs::diagnostic::{Source, Span};
use trapline_programs::hir::{
    Expectation, LeafKind, Literal, Operand, Rule, TestCase, TestEvent, TestEventBody, TestValue,
};
use trapline_vm::predicate::{FieldRef, Predicate, Test};
use trapline_vm::record::{FieldType, Scalar};

use super::Pair;
use super::decisions::Random;

/// How often each verdict was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matched: usize,
    pub(crate) undecided: usize,
    pub(crate) unmatched: usize,
}

pub(crate) fn compare(pairs: &[Pair], rounds: usize) -> Seen {
    let mut seen = Seen::default();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for Pair { sigma, text, .. } in pairs {
        let set = |source: &Arc<Source>| {
            let text = RuleText { source: source.clone(), ruleset: "test".to_owned() };
            load(&[text], catalogue()).unwrap().ruleset
        };
        let (left, right) = (set(&sigma.rule.source), set(text));
        let rule = left.rules.iter().find(|rule| rule.rule.name == sigma.rule.name).unwrap();
        let (mut one, mut other) = (Trials::new(&left).unwrap(), Trials::new(&right).unwrap());
        let values = values(&sigma.rule);
        for _ in 0..rounds {
            let event = event(&sigma.rule, &values, &mut random);
            let said = verdict(&mut one, rule, &event);
            assert_eq!(said, verdict(&mut other, &right.rules[0], &event), "{event:#?}\n{}", text.text);
            match said {
                "an alert" => seen.matched += 1,
                "not evaluable" => seen.undecided += 1,
                _ => seen.unmatched += 1,
            }
        }
    }
    seen
}

fn verdict(trials: &mut Trials<'_>, rule: &LoadedRule, event: &TestEvent) -> &'static str {
    let expectations =
        [("an alert", Expectation::Alert { at: None, severity: None }), ("not evaluable", Expectation::NotEvaluable)];
    for (name, expectation) in expectations {
        let span = Span { source: rule.rule.source.clone(), range: 0..0 };
        let events = vec![event.clone()];
        let test = TestCase { name: String::new(), events, expect: vec![expectation], span, line: 1 };
        if trials.run(rule, &test).passed() {
            return name;
        }
    }
    "nothing"
}

/// The fields that a rule reads, with values that it speaks of.
fn values(rule: &Rule) -> BTreeMap<String, (FieldRef, Vec<Literal>)> {
    let mut values: BTreeMap<String, (FieldRef, Vec<Literal>)> = BTreeMap::new();
    for (family, _) in families(rule, catalogue()) {
        for test in decide(rule, catalogue(), family).unwrap().tests {
            let mut add = |field: &FieldRef, found: Vec<Literal>| {
                values.entry(field.name.clone()).or_insert_with(|| (field.clone(), Vec::new())).1.extend(found);
            };
            let around = |value: i64| [value - 1, value, value + 1].map(Literal::Int).to_vec();
            match &test.kind {
                LeafKind::Predicate(Predicate { field, test: Test::Str { literals, .. }, .. }) => {
                    let texts = literals.iter().flat_map(|text| {
                        let text = text.replace('*', " so much ");
                        [format!("x{text}"), format!("{text}x"), format!("x{text}x"), text.to_uppercase(), text]
                    });
                    add(field, texts.map(Literal::Str).chain([Literal::Str("abcdefg ".to_owned())]).collect());
                }
                LeafKind::Predicate(Predicate { field, test: Test::Cidr(ranges), .. }) => {
                    let far: IpAddr = "203.0.113.9".parse().unwrap();
                    add(field, ranges.iter().map(|range| range.address).chain([far]).map(Literal::Ip).collect());
                }
                LeafKind::Predicate(_) => {}
                LeafKind::Exists(field) => add(field, Vec::new()),
                LeafKind::Flag(field) => add(field, vec![Literal::Bool(true), Literal::Bool(false)]),
                LeafKind::OneOf { field, values } => {
                    add(field, values.iter().flat_map(|value| around(*value)).collect());
                }
                LeafKind::AnyInt { field, value, .. } => add(field, around(*value)),
                LeafKind::Compare { left: Operand::Field(field), right: Operand::Const(value), .. } => {
                    add(field, around(*value));
                }
                LeafKind::Compare { .. } => {}
                LeafKind::FieldTest { left, right, .. } => {
                    let same = ["same", "SAME", "other"].map(|text| Literal::Str(text.to_owned()));
                    add(left, same.to_vec());
                    add(right, same.to_vec());
                }
            }
        }
    }
    values
}

fn event(rule: &Rule, values: &BTreeMap<String, (FieldRef, Vec<Literal>)>, random: &mut Random) -> TestEvent {
    let class = rule.classes[random.below(rule.classes.len())];
    let bad = [0, 5, 40][random.below(3)];
    let fields = values.values().filter_map(|(field, literals)| {
        let text = match literals.get(random.below(literals.len())) {
            Some(literal) => literal.clone(),
            None if field.ty == FieldType::Scalar(Scalar::Int) => Literal::Int(1),
            None => Literal::Str("something".to_owned()),
        };
        let is_list = matches!(field.ty, FieldType::List(_));
        let literal = if is_list { Literal::List(vec![text.clone()]) } else { text.clone() };
        let value = if random.below(100) >= bad {
            // That the rule asks only whether it is there is said of what mostly is not.
            if literals.is_empty() && random.below(4) > 0 {
                return None;
            }
            TestValue::Present(literal)
        } else {
            match (random.below(3), text) {
                (0, _) => return None,
                (1, Literal::Str(text)) if !is_list => {
                    let kept = text.chars().take(random.below(text.chars().count() + 1)).collect();
                    TestValue::Truncated(kept)
                }
                _ => TestValue::Lost,
            }
        };
        Some((field.clone(), value))
    });
    let fields = fields.collect();
    TestEvent { body: TestEventBody::Inline { class, fields }, after_ns: 0, profile: None, line: 1 }
}
