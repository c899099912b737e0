//! Two rules as decisions on the outcomes of their tests: fields are present, absent, cut short or lost, tests on them
//! come out in any way that this allows, and both rules must give the same verdict.

use std::collections::{BTreeMap, HashMap};

use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{decide, families};
use trapline_programs::hir::LeafKind;
use trapline_programs::hir::supply::fields_of;
use trapline_programs::hir::{Absent, Leaf};
use trapline_programs::mir::{Cond, Decision, Outcomes};
use trapline_vm::predicate::{Predicate, Scope, StrOp, Test};
use trapline_vm::record::FieldType;

use super::Pair;

/// Of how many rules a verdict was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matched: usize,
    pub(crate) undecided: usize,
}

/// A generator of numbers (xorshift), the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Present,
    Absent,
    Lost,
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    None,
    Match,
    NotEvaluable,
}

/// What is the case: how fields are, and how tests come out.
#[derive(Debug, Default)]
struct Case {
    fields: BTreeMap<String, State>,
    outcomes: HashMap<LeafKind, Outcomes>,
}

pub(crate) fn compare(pairs: &[Pair], rounds: usize) -> Seen {
    let mut seen = Seen::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for Pair { sigma, written, text } in pairs {
        let mut verdicts = Vec::new();
        for (family, _) in families(&sigma.rule, catalogue()) {
            let left = decide(&sigma.rule, catalogue(), family).unwrap();
            let right = decide(&written.rule, catalogue(), family).unwrap();
            for round in 0..rounds {
                let case = case([&left, &right], round % 3 > 0, &mut random);
                let verdict = verdict(&left, &case);
                assert_eq!(verdict, self::verdict(&right, &case), "{case:#?}\n{}", text.text);
                verdicts.push(verdict);
            }
        }
        seen.matched += usize::from(verdicts.contains(&Verdict::Match));
        seen.undecided += usize::from(verdicts.contains(&Verdict::NotEvaluable));
    }
    seen
}

/// A case, perhaps one that the first rule matches or is undecided on, but for a field or two.
fn case(decisions: [&Decision; 2], aimed: bool, random: &mut Random) -> Case {
    let mut wanted = HashMap::new();
    if aimed {
        let decision = decisions[0];
        aim(if random.below(2) == 0 { &decision.condition } else { &decision.possible }, decision, random, &mut wanted);
    }
    let noise = [0, 2, 20, 60][random.below(4)];
    let mut case = Case::default();
    for test in decisions.iter().flat_map(|decision| &decision.tests) {
        let outcome = wanted.get(&test.kind).copied();
        let exists = matches!(test.kind, LeafKind::Exists(_));
        let state = match outcome {
            Some(Outcomes::ABSENT) => Some(State::Absent),
            Some(Outcomes::FALSE) if exists => Some(State::Absent),
            Some(Outcomes::LOST) => Some(if random.below(3) == 0 { State::Cut } else { State::Lost }),
            Some(_) => Some(State::Present),
            None => None,
        };
        for field in fields(&test.kind) {
            // A family without the field.
            let never = if exists { Outcomes::FALSE } else { Outcomes::ABSENT };
            if test.possible == never {
                case.fields.insert(field, State::Absent);
                continue;
            }
            let any = [State::Present, State::Absent, State::Lost, State::Cut][random.below(4)];
            let state = if random.below(100) < noise { any } else { state.unwrap_or(State::Present) };
            let known = case.fields.entry(field).or_insert(state);
            if state != State::Present {
                *known = state;
            }
        }
    }
    for test in decisions.iter().flat_map(|decision| &decision.tests) {
        if !case.outcomes.contains_key(&test.kind) {
            let outcome = outcome(&test.kind, &case, wanted.get(&test.kind).copied(), random);
            case.outcomes.insert(test.kind.clone(), outcome);
        }
    }
    case
}

/// Outcomes that make a condition true.
fn aim(cond: &Cond, decision: &Decision, random: &mut Random, wanted: &mut HashMap<LeafKind, Outcomes>) {
    match cond {
        Cond::Const(_) | Cond::Each(_) => {}
        Cond::Test { test, ask, .. } => {
            let each: Vec<Outcomes> = Outcomes::EACH.into_iter().filter(|one| ask.meets(*one)).collect();
            if let Some(outcome) = each.get(random.below(each.len())) {
                wanted.insert(decision.tests[test.0 as usize].kind.clone(), *outcome);
            }
        }
        Cond::All(parts) => parts.iter().for_each(|part| aim(part, decision, random, wanted)),
        Cond::Any(parts) => aim(&parts[random.below(parts.len())], decision, random, wanted),
    }
}

fn fields(kind: &LeafKind) -> Vec<String> {
    let leaf = Leaf { kind: kind.clone(), absent: Absent::Unknown, line: 0, text: String::new() };
    fields_of(&leaf).into_iter().map(str::to_owned).collect()
}

/// How a test comes out of fields in these states: as wanted, if they allow it.
fn outcome(kind: &LeafKind, case: &Case, wanted: Option<Outcomes>, random: &mut Random) -> Outcomes {
    let states: Vec<State> = fields(kind).iter().map(|field| case.fields[field]).collect();
    let is_any = |state| states.contains(&state);
    if matches!(kind, LeafKind::Exists(_)) {
        return match states[0] {
            State::Present | State::Cut => Outcomes::TRUE,
            State::Absent => Outcomes::FALSE,
            State::Lost => Outcomes::LOST,
        };
    }
    let allowed: &[Outcomes] = match kind {
        _ if is_any(State::Absent) => &[Outcomes::ABSENT],
        _ if is_any(State::Lost) => &[Outcomes::LOST],
        // What is cut is true of a whole value only in a list, of an element that is whole.
        LeafKind::Predicate(Predicate { field, scope: Scope::Any, test })
            if is_any(State::Cut) && matches!(field.ty, FieldType::Scalar(_)) =>
        {
            match test {
                Test::Str { op: StrOp::Equals | StrOp::EndsWith, .. } => &[Outcomes::FALSE, Outcomes::LOST],
                Test::Str { .. } => &[Outcomes::TRUE, Outcomes::FALSE, Outcomes::LOST],
                _ => &[Outcomes::LOST],
            }
        }
        LeafKind::OneOf { .. } | LeafKind::Compare { .. } | LeafKind::Flag(_) if is_any(State::Cut) => {
            &[Outcomes::LOST]
        }
        _ if is_any(State::Cut) => &[Outcomes::TRUE, Outcomes::FALSE, Outcomes::LOST],
        // An expression may give up on a long value.
        LeafKind::Predicate(Predicate { test: Test::Str { op: StrOp::Regex, .. }, .. }) => {
            &[Outcomes::TRUE, Outcomes::FALSE, Outcomes::LOST]
        }
        _ => &[Outcomes::TRUE, Outcomes::FALSE],
    };
    match wanted.filter(|wanted| allowed.contains(wanted)) {
        Some(wanted) => wanted,
        None => allowed[random.below(allowed.len())],
    }
}

fn holds(cond: &Cond, decision: &Decision, case: &Case) -> bool {
    match cond {
        Cond::Const(value) => *value,
        Cond::Test { test, ask, .. } => ask.meets(case.outcomes[&decision.tests[test.0 as usize].kind]),
        Cond::All(parts) => parts.iter().all(|part| holds(part, decision, case)),
        Cond::Any(parts) => parts.iter().any(|part| holds(part, decision, case)),
        Cond::Each(_) => unreachable!("Sigma has no quantifiers"),
    }
}

fn verdict(decision: &Decision, case: &Case) -> Verdict {
    let is_excused = || decision.exceptions.iter().any(|(cond, _)| holds(cond, decision, case));
    let found = if holds(&decision.condition, decision, case) {
        Verdict::Match
    } else if holds(&decision.possible, decision, case) {
        Verdict::NotEvaluable
    } else {
        return Verdict::None;
    };
    if is_excused() { Verdict::None } else { found }
}
