//! Folding: constants, duplicates, and what is already decided on the way to a test.

use std::collections::HashSet;

use super::{Cond, Each, Outcomes, Test, TestId};
use crate::hir::{LeafKind, Operand};

/// What can still come out of each test, with an undo log.
pub(super) struct Facts<'t> {
    tests: &'t [Test],
    possible: Vec<Outcomes>,
    undo: Vec<(TestId, Outcomes)>,
    /// Tests on list elements: what is known of one element says nothing of another quantifier's.
    on_elements: Vec<TestId>,
}

impl<'t> Facts<'t> {
    pub(super) fn new(tests: &'t [Test]) -> Self {
        let on_elements = (0u32..)
            .map(TestId)
            .zip(tests)
            .filter(|(_, test)| matches!(&test.kind, LeafKind::Predicate(predicate) if predicate.is_mask()))
            .map(|(id, _)| id)
            .collect();
        Self { tests, possible: tests.iter().map(|test| test.possible).collect(), undo: Vec::new(), on_elements }
    }

    fn get(&self, test: TestId) -> Outcomes {
        self.possible[test.0 as usize]
    }

    fn set(&mut self, test: TestId, outcomes: Outcomes) {
        let old = std::mem::replace(&mut self.possible[test.0 as usize], outcomes);
        if old != outcomes {
            self.undo.push((test, old));
        }
    }

    fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            if let Some((test, old)) = self.undo.pop() {
                self.possible[test.0 as usize] = old;
            }
        }
    }

    /// Takes it for known that the condition is `value`, from here on.
    pub(super) fn assume(&mut self, cond: &Cond, value: bool) {
        match cond {
            Cond::Test { test, ask, .. } => {
                let now = self.get(*test);
                self.set(*test, if value { now.and(*ask) } else { now.without(*ask) });
            }
            Cond::All(parts) if value => parts.iter().for_each(|part| self.assume(part, true)),
            Cond::Any(parts) if !value => parts.iter().for_each(|part| self.assume(part, false)),
            Cond::Const(_) | Cond::All(_) | Cond::Any(_) | Cond::Each(_) => {}
        }
    }

    /// The condition, simpler, where these facts hold.
    pub(super) fn simplify(&mut self, cond: Cond) -> Cond {
        match cond {
            Cond::Const(_) => cond,
            Cond::Test { test, ask, .. } => {
                let possible = self.get(test);
                let ask = ask.and(possible);
                if ask == possible {
                    Cond::Const(true)
                } else if ask.is_empty() {
                    Cond::Const(false)
                } else {
                    Cond::Test { test, ask, possible }
                }
            }
            Cond::All(parts) => self.connect(parts, true),
            Cond::Any(parts) => self.connect(parts, false),
            Cond::Each(each) => self.quantify(*each),
        }
    }

    /// `all` of the parts, or any. Cheap parts come first, and what a part decides is known to those behind it.
    fn connect(&mut self, parts: Vec<Cond>, all: bool) -> Cond {
        let mut flat = Vec::with_capacity(parts.len());
        flatten(parts, all, &mut flat);
        flat.sort_by_cached_key(|part| self.cost(part));
        let mark = self.undo.len();
        let mut kept = Vec::with_capacity(flat.len());
        let mut seen = HashSet::new();
        let mut decided = false;
        for part in flat {
            let part = self.simplify(part);
            match part {
                Cond::Const(value) if value == all => continue,
                Cond::Const(_) => {
                    decided = true;
                    break;
                }
                part => {
                    self.assume(&part, all);
                    if matches!(part, Cond::Test { .. }) || seen.insert(part.clone()) {
                        kept.push(part);
                    }
                }
            }
        }
        self.undo_to(mark);
        if decided {
            return Cond::Const(!all);
        }
        // A part may have become a connective of this kind by losing all but one of its own parts.
        let mut flat = Vec::with_capacity(kept.len());
        flatten(kept, all, &mut flat);
        match (flat.len(), all) {
            (0, _) => Cond::Const(all),
            (1, _) => flat.swap_remove(0),
            (_, true) => Cond::All(flat),
            (_, false) => Cond::Any(flat),
        }
    }

    fn quantify(&mut self, each: Each) -> Cond {
        let mark = self.undo.len();
        for index in 0..self.on_elements.len() {
            let test = self.on_elements[index];
            self.set(test, self.tests[test.0 as usize].possible);
        }
        let body = self.simplify(each.body);
        self.undo_to(mark);
        let Each { every, on_absent, on_lost, on_beyond, .. } = each;
        // With this body the elements never matter; then only the answers for other states do.
        let settled = body == Cond::Const(every) && [on_absent, on_lost, on_beyond] == [every; 3];
        if settled { Cond::Const(every) } else { Cond::Each(Box::new(Each { body, ..each })) }
    }

    /// Instructions, roughly; a helper's work counts too.
    fn cost(&self, cond: &Cond) -> u32 {
        match cond {
            Cond::Const(_) => 0,
            Cond::Test { test, .. } => match &self.tests[test.0 as usize].kind {
                LeafKind::Predicate(_) | LeafKind::Exists(_) | LeafKind::Flag(_) => 3,
                LeafKind::OneOf { values, .. } => 4 + u32::try_from(values.len()).unwrap_or(u32::MAX / 2),
                LeafKind::Compare { left, right, .. } => 4 + operand_cost(left) + operand_cost(right),
                LeafKind::AnyInt { .. } => 40,
                LeafKind::FieldTest { .. } => 60,
            },
            Cond::All(parts) | Cond::Any(parts) => {
                parts.iter().fold(0, |sum: u32, part| sum.saturating_add(self.cost(part)))
            }
            Cond::Each(each) => self.cost(&each.body).saturating_add(8),
        }
    }
}

fn operand_cost(operand: &Operand) -> u32 {
    match operand {
        Operand::Const(_) | Operand::Field(_) => 1,
        Operand::Length(_) => 40,
        Operand::ToDecimal(inside) => operand_cost(inside).saturating_add(10),
        Operand::Arithmetic { left, right, .. } => {
            operand_cost(left).saturating_add(operand_cost(right)).saturating_add(10)
        }
    }
}

fn flatten(parts: Vec<Cond>, all: bool, into: &mut Vec<Cond>) {
    for part in parts {
        match part {
            Cond::All(inner) if all => flatten(inner, all, into),
            Cond::Any(inner) if !all => flatten(inner, all, into),
            part => into.push(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use trapline_vm::predicate::FieldRef;
    use trapline_vm::record::{FieldType, Scalar};

    use super::*;

    fn flags(count: u32) -> Vec<Test> {
        (0..count)
            .map(|index| Test {
                kind: LeafKind::Flag(FieldRef { name: format!("flag{index}"), ty: FieldType::Scalar(Scalar::Bool) }),
                possible: Outcomes::TRUE.or(Outcomes::FALSE).or(Outcomes::ABSENT).or(Outcomes::LOST),
                line: 1,
                text: String::new(),
            })
            .collect()
    }

    fn is(test: u32, ask: Outcomes) -> Cond {
        Cond::Test { test: TestId(test), ask, possible: Outcomes::NONE }
    }

    fn shape(cond: &Cond) -> String {
        match cond {
            Cond::Const(value) => value.to_string(),
            Cond::Test { test, ask, .. } => format!("{}:{}", test.0, ask.0),
            Cond::All(parts) => format!("({})", parts.iter().map(shape).collect::<Vec<_>>().join(" & ")),
            Cond::Any(parts) => format!("({})", parts.iter().map(shape).collect::<Vec<_>>().join(" | ")),
            Cond::Each(_) => "each".to_owned(),
        }
    }

    fn check(cond: Cond, expect: &str) {
        let tests = flags(3);
        assert_eq!(shape(&Facts::new(&tests).simplify(cond)), expect);
    }

    #[test]
    fn what_is_decided_folds_away() {
        let (yes, no) = (Outcomes::TRUE, Outcomes::FALSE);
        check(Cond::All(vec![is(0, yes), is(1, yes), is(0, yes)]), "(0:1 & 1:1)");
        check(Cond::All(vec![is(0, yes), is(0, no)]), "false");
        check(Cond::Any(vec![is(0, yes), is(0, no)]), "(0:1 | 0:2)");
        check(Cond::All(vec![Cond::Any(vec![is(1, yes), is(0, yes)]), is(0, yes)]), "0:1");
        check(Cond::All(vec![Cond::Any(vec![is(1, yes), is(0, no)]), is(0, yes)]), "(0:1 & 1:1)");
        check(Cond::Any(vec![Cond::All(vec![is(1, yes), is(0, no)]), is(0, yes)]), "(0:1 | (1:1 & 0:2))");
        check(Cond::All(vec![]), "true");
        check(Cond::Any(vec![Cond::Const(false), Cond::All(vec![is(2, yes), Cond::Const(true)])]), "2:1");
        check(Cond::Any(vec![is(0, yes), is(0, no.or(Outcomes::ABSENT).or(Outcomes::LOST))]), "true");
    }

    #[test]
    fn facts_do_not_leak_out_of_their_branch() {
        let yes = Outcomes::TRUE;
        let either = Cond::Any(vec![Cond::All(vec![is(0, yes), is(1, yes)]), Cond::All(vec![is(0, yes), is(2, yes)])]);
        check(either, "((0:1 & 1:1) | (0:1 & 2:1))");
    }
}
