//! Tests at places, as few leaves as the engine takes.

use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test as Predicated};

use super::exact::address;
use super::guard::{exists, guarded};
use super::one;
use crate::hir::{Absent, Expr, Leaf, LeafKind, Operand};
use crate::lang::limits::LEAF_TEXT_MAX;
use crate::sigma::modifier::{Question, Test};
use crate::sigma::pattern::Literal;
use crate::sigma::stream::{How, Place};

/// The most values of one test of the engine, and bytes of all of them; others are in further tests.
const VALUES_OF_TEST_MAX: usize = 16_384;
const VALUES_OF_TEST_LEN_MAX: usize = 1 << 20;
/// The most regular expressions of one.
const REGEXES_OF_TEST_MAX: usize = 256;

/// Literals of one operator on one field.
pub(super) struct Group {
    place: Place,
    op: StrOp,
    fold: bool,
    texts: Vec<String>,
}

/// Alternatives that are tested together.
#[derive(Default)]
pub(super) struct Answers {
    literals: Vec<Group>,
    numbers: Vec<(Place, Vec<i64>)>,
    ranges: Vec<(Place, Vec<Cidr>)>,
    pub(super) others: Vec<Expr>,
}

impl Answers {
    pub(super) fn add(&mut self, test: &Test, place: &Place, question: &Question, line: u32) {
        let name = question.field.as_deref().unwrap_or("any value");
        match (test, place.how) {
            (Test::Text(_) | Test::Number(..) | Test::Flag(_), How::Text(_)) => {
                let literals = match test {
                    Test::Text(pattern) => pattern.literals(),
                    Test::Number(number, text) => {
                        let spellings = if number == text { vec![text] } else { vec![text, number] };
                        spellings.into_iter().map(|text| Literal { op: StrOp::Equals, text: text.clone() }).collect()
                    }
                    Test::Flag(value) => vec![Literal { op: StrOp::Equals, text: value.to_string() }],
                    _ => Vec::new(),
                };
                for literal in literals {
                    self.literal(place, literal.op, literal.text, !question.cased);
                }
            }
            (Test::Regex(pattern), How::Text(_)) => self.literal(place, StrOp::Regex, pattern.clone(), false),
            (Test::Number(number, _), How::Int) => {
                // No whole number of 64 bits is equal to any other.
                if let Ok(number) = number.parse() {
                    self.number(place, number);
                }
            }
            (Test::Text(pattern), How::Int) => {
                if let Some(number) = pattern.as_literal().and_then(|text| text.parse().ok()) {
                    self.number(place, number);
                }
            }
            (Test::Compare(cmp, number), _) => self.comparison(place, (*cmp, number), question, line),
            (Test::Flag(_) | Test::Text(_), How::Flag) => {
                let value = match test {
                    Test::Flag(value) => *value,
                    Test::Text(pattern) => pattern.as_literal().is_some_and(|text| text.eq_ignore_ascii_case("true")),
                    _ => false,
                };
                let flag = leaf(LeafKind::Flag(place.field.clone()), line, format!("{name} is {value}"));
                let expr = if value {
                    flag
                } else {
                    Expr::And(vec![Expr::Leaf(exists(place, line)), Expr::Not(Box::new(flag))])
                };
                self.others.push(guarded(place, line, expr));
            }
            (Test::Cidr(range), _) => self.range(place, *range),
            (Test::Text(_), How::Address) => address(test).into_iter().for_each(|range| self.range(place, range)),
            (Test::Exists(true), _) => self.others.push(guarded(place, line, Expr::Leaf(exists(place, line)))),
            _ => {}
        }
    }

    /// The field, or a part of the time that it is, compared with a number.
    fn comparison(&mut self, place: &Place, (cmp, number): (Cmp, &str), question: &Question, line: u32) {
        let name = question.field.as_deref().unwrap_or("any value");
        let predicate = |test| LeafKind::Predicate(Predicate { field: place.field.clone(), scope: Scope::Any, test });
        let (kind, what) = match (question.part, place.how) {
            (Some(part), _) => {
                let values = vec![number.parse().unwrap_or_default()];
                (predicate(Predicated::Time { part, cmp, values }), format!("{part:?} of {name}").to_lowercase())
            }
            (None, How::Int) => {
                let (cmp, number) = of_whole_numbers(cmp, number);
                let (left, right) = (Operand::Field(place.field.clone()), Operand::Const(number));
                (LeafKind::Compare { cmp, left, right }, name.to_owned())
            }
            (None, _) => (predicate(Predicated::Number { cmp, value: number.to_owned() }), name.to_owned()),
        };
        let text = format!("{what} {} {number}", symbol(cmp));
        self.others.push(guarded(place, line, leaf(kind, line, text)));
    }

    fn literal(&mut self, place: &Place, op: StrOp, text: String, fold: bool) {
        let same = |group: &&mut Group| group.place == *place && group.op == op && group.fold == fold;
        match self.literals.iter_mut().find(same) {
            Some(group) => group.texts.push(text),
            None => self.literals.push(Group { place: place.clone(), op, fold, texts: vec![text] }),
        }
    }

    fn range(&mut self, place: &Place, range: Cidr) {
        put(&mut self.ranges, place, range);
    }

    fn number(&mut self, place: &Place, number: i64) {
        put(&mut self.numbers, place, number);
    }

    pub(super) fn into_expr(self, question: &Question, line: u32) -> Expr {
        let name = question.field.as_deref().unwrap_or("any value");
        let mut parts = self.others;
        for Group { place, op, fold, texts } in self.literals {
            for texts in tests_of(texts, op) {
                let text = describe(name, op, &texts);
                let predicate = strings(place.field.clone(), op, texts, fold);
                parts.push(guarded(&place, line, leaf(LeafKind::Predicate(predicate), line, text)));
            }
        }
        for (place, mut values) in self.numbers {
            values.sort_unstable();
            values.dedup();
            let text = format!("{name} is {}", list(values.iter().map(i64::to_string)));
            let kind = LeafKind::OneOf { field: place.field.clone(), values };
            parts.push(guarded(&place, line, leaf(kind, line, text)));
        }
        for (place, mut ranges) in self.ranges {
            ranges.sort_unstable_by_key(|range| (range.address, range.prefix));
            ranges.dedup();
            for ranges in ranges.chunks(VALUES_OF_TEST_MAX) {
                let shown = ranges.iter().map(|range| format!("{}/{}", range.address, range.prefix));
                let text = format!("{name} in {}", list(shown));
                let test = Predicated::Cidr(ranges.to_vec());
                let predicate = Predicate { field: place.field.clone(), scope: Scope::Any, test };
                parts.push(guarded(&place, line, leaf(LeafKind::Predicate(predicate), line, text)));
            }
        }
        one(parts, Expr::Or)
    }
}

/// Puts a value among those of its place.
pub(super) fn put<T>(groups: &mut Vec<(Place, Vec<T>)>, place: &Place, value: T) {
    match groups.iter_mut().find(|(known, _)| known == place) {
        Some((_, values)) => values.push(value),
        None => groups.push((place.clone(), vec![value])),
    }
}

/// The texts in parts that tests of the engine take.
pub(super) fn tests_of(texts: Vec<String>, op: StrOp) -> Vec<Vec<String>> {
    let most = if op == StrOp::Regex { REGEXES_OF_TEST_MAX } else { VALUES_OF_TEST_MAX };
    let mut tests: Vec<Vec<String>> = Vec::new();
    let mut len = 0;
    for text in texts {
        len += text.len();
        match tests.last_mut() {
            Some(test) if test.len() < most && len <= VALUES_OF_TEST_LEN_MAX => test.push(text),
            _ => {
                len = text.len();
                tests.push(vec![text]);
            }
        }
    }
    tests
}

/// The comparison of whole numbers of 64 bits that means the same.
pub(super) fn of_whole_numbers(cmp: Cmp, number: &str) -> (Cmp, i64) {
    if let Ok(number) = number.parse() {
        return (cmp, number);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_negative = number.starts_with('-');
    // The next whole number below it; beyond 64 bits the least or the greatest there is.
    let below = match whole.parse::<i64>() {
        Ok(whole) if is_negative && !fraction.is_empty() => whole.saturating_sub(1),
        Ok(whole) => whole,
        Err(_) if is_negative => {
            return (if matches!(cmp, Cmp::Lt | Cmp::Le) { Cmp::Lt } else { Cmp::Ge }, i64::MIN);
        }
        Err(_) => i64::MAX,
    };
    (if matches!(cmp, Cmp::Lt | Cmp::Le) { Cmp::Le } else { Cmp::Gt }, below)
}

pub(super) fn leaf(kind: LeafKind, line: u32, mut text: String) -> Expr {
    if text.len() > LEAF_TEXT_MAX {
        let end = (0..=LEAF_TEXT_MAX - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    Expr::Leaf(Leaf { kind, absent: Absent::False, line, text })
}

pub(super) fn strings(field: FieldRef, op: StrOp, mut literals: Vec<String>, fold: bool) -> Predicate {
    literals.sort_unstable();
    literals.dedup();
    Predicate { field, scope: Scope::Any, test: Predicated::Str { op, literals, fold } }
}

pub(super) fn equals(field: FieldRef, literals: Vec<String>) -> Predicate {
    strings(field, StrOp::Equals, literals, true)
}

pub(super) fn word(op: StrOp) -> &'static str {
    match op {
        StrOp::Equals => "is",
        StrOp::Contains => "contains",
        StrOp::StartsWith => "starts with",
        StrOp::EndsWith => "ends with",
        StrOp::Like => "is like",
        StrOp::Regex => "fits",
        StrOp::Under => "is under",
    }
}

pub(super) fn symbol(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "=",
        Cmp::Ne => "≠",
        Cmp::Lt => "<",
        Cmp::Le => "≤",
        Cmp::Gt => ">",
        Cmp::Ge => "≥",
    }
}

pub(super) fn describe(name: &str, op: StrOp, literals: &[String]) -> String {
    let shown = literals.iter().map(|text| format!("{:?}", text.chars().take(60).collect::<String>()));
    format!("{name} {} {}", word(op), list(shown))
}

/// The first few, and how many there are besides.
pub(super) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(4);
    let mut text = items.take(4).collect::<Vec<_>>().join(" or ");
    if more > 0 {
        text.push_str(&format!(" or {more} more"));
    }
    text
}
