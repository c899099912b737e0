//! What a typed rule means, as its documentation says it, with no thought for speed.
//!
//! A lost leaf is unknown, or, where the question is whether the condition could be true, takes the value that is
//! favourable to its occurrence.

use std::net::IpAddr;

use trapline_programs::hir::{Absent, Arithmetic, Expr, Leaf, LeafKind, Operand, Quantifier, Rule};
use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test, TimePart};
use trapline_vm::program::Verdict;

use crate::model::{Event, MEMBERS, State, Val};
use trapline_vm::record::FieldType;

/// The verdict of a rule on an event.
pub(crate) fn verdict(rule: &Rule, event: &Event) -> Verdict {
    let excepted = rule.exceptions.iter().any(|exception| eval(&exception.condition, event, None, None) == Some(true));
    if eval(&rule.condition, event, None, None) == Some(true) {
        if excepted { Verdict::NoMatch } else { Verdict::Match }
    } else if eval(&rule.condition, event, None, Some(true)) == Some(true) && !excepted {
        Verdict::NotEvaluable
    } else {
        Verdict::NoMatch
    }
}

/// An element of a list: the list's field and the members (one for a list of scalars).
#[derive(Clone, Copy)]
struct ElementOf<'e> {
    list: &'e FieldRef,
    members: &'e [State],
}

/// Kleene value. `favour`: what lost leaves are to be; None: unknown.
fn eval(expr: &Expr, event: &Event, element: Option<ElementOf<'_>>, favour: Option<bool>) -> Option<bool> {
    match expr {
        Expr::Const(value) => Some(*value),
        Expr::Leaf(leaf) => match leaf_value(leaf, event, element) {
            Outcome::Decided(value) => Some(value),
            Outcome::Absent => (leaf.absent == Absent::False).then_some(false),
            Outcome::Lost => favour,
            Outcome::Undefined => None,
        },
        Expr::And(parts) => kleene_and(parts.iter().map(|part| eval(part, event, element, favour))),
        Expr::Or(parts) => kleene_or(parts.iter().map(|part| eval(part, event, element, favour))),
        Expr::Not(inside) => eval(inside, event, element, favour.map(|favour| !favour)).map(|value| !value),
        Expr::IsTrue(inside) => Some(eval(inside, event, element, favour) == Some(true)),
        Expr::Quantifier { kind, list, body, absent, .. } => {
            let (value, complete) = match event.get(list) {
                State::Absent => return (*absent == Absent::False).then_some(false),
                State::Lost => return favour,
                State::Truncated(value) => (value, false),
                State::Present(value) => (value, true),
            };
            let elements: Vec<Vec<State>> = match value {
                Val::List(items) => items.iter().map(|item| vec![item.clone()]).collect(),
                Val::Records(items) => items.clone(),
                other => panic!("{other:?} is no list"),
            };
            let beyond = (!complete || elements.len() > 64).then_some(favour);
            let values = elements
                .iter()
                .take(64)
                .map(|members| eval(body, event, Some(ElementOf { list, members }), favour))
                .chain(beyond);
            match kind {
                Quantifier::Any => kleene_or(values),
                Quantifier::All => kleene_and(values),
            }
        }
    }
}

fn kleene_and(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for value in values {
        match value {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

fn kleene_or(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    kleene_and(values.map(|value| value.map(|value| !value))).map(|value| !value)
}

enum Outcome {
    Decided(bool),
    Absent,
    Lost,
    Undefined,
}

impl Outcome {
    fn or_lost(value: Option<bool>) -> Self {
        value.map_or(Self::Lost, Self::Decided)
    }
}

fn leaf_value(leaf: &Leaf, event: &Event, element: Option<ElementOf<'_>>) -> Outcome {
    match &leaf.kind {
        LeafKind::Predicate(predicate) => predicate_value(predicate, event, element),
        LeafKind::Exists(field) => existence(event.get(field)),
        LeafKind::Flag(field) => match event.get(field) {
            State::Absent => Outcome::Absent,
            State::Lost => Outcome::Lost,
            State::Present(Val::Num(value)) => Outcome::Decided(*value != 0),
            other => panic!("{other:?} is no flag"),
        },
        LeafKind::Compare { cmp, left, right } => {
            let (a, b) = (operand_value(left, event), operand_value(right, event));
            match (a, b) {
                (Number::Absent, _) | (_, Number::Absent) => Outcome::Absent,
                (Number::AtLeast(kept), Number::Is(value)) if matches!(left, Operand::Length(_)) => {
                    Outcome::or_lost(length_decides(*cmp, kept, value).filter(|_| is_constant(right)))
                }
                (Number::Is(value), Number::AtLeast(kept)) if matches!(right, Operand::Length(_)) => {
                    let mirrored = [Cmp::Eq, Cmp::Ne, Cmp::Gt, Cmp::Ge, Cmp::Lt, Cmp::Le][*cmp as usize];
                    Outcome::or_lost(length_decides(mirrored, kept, value).filter(|_| is_constant(left)))
                }
                (Number::Lost | Number::AtLeast(_), _) | (_, Number::Lost | Number::AtLeast(_)) => Outcome::Lost,
                (Number::Undefined, _) | (_, Number::Undefined) => Outcome::Undefined,
                (Number::Is(a), Number::Is(b)) => Outcome::Decided(compare(*cmp, a, b)),
            }
        }
        LeafKind::OneOf { field, values } => match event.get(field) {
            State::Absent => Outcome::Absent,
            State::Lost => Outcome::Lost,
            State::Present(Val::Num(value)) => Outcome::Decided(values.contains(value)),
            other => panic!("{other:?} is no number"),
        },
        LeafKind::AnyInt { field, cmp, value } => any_element(event.get(field), |element, _| match element {
            Val::Num(number) => Some(compare(*cmp, *number, *value)),
            other => panic!("{other:?} is no number"),
        }),
        LeafKind::FieldTest { op, fold, left, right } => {
            let right = match (event.get(left), event.get(right)) {
                (State::Absent, _) | (_, State::Absent) => return Outcome::Absent,
                (State::Lost, _) | (_, State::Lost) => return Outcome::Lost,
                (_, right) => right,
            };
            let any = |state: &State, test: &dyn Fn(&State) -> Option<bool>| match state {
                State::Truncated(Val::List(items)) => kleene_or(items.iter().map(test).chain([None])),
                State::Present(Val::List(items)) => kleene_or(items.iter().map(test)),
                scalar => test(scalar),
            };
            let left = event.get(left);
            Outcome::or_lost(any(right, &|right| any(left, &|left| pair_test(*op, *fold, left, right))))
        }
    }
}

fn existence(state: &State) -> Outcome {
    match state {
        State::Absent => Outcome::Decided(false),
        State::Lost => Outcome::Lost,
        State::Truncated(_) | State::Present(_) => Outcome::Decided(true),
    }
}

fn predicate_value(predicate: &Predicate, event: &Event, element: Option<ElementOf<'_>>) -> Outcome {
    let field = &predicate.field;
    let state = match &predicate.scope {
        Scope::Any => event.get(field),
        scope => {
            let element = element.expect("a test on elements stands in a quantifier");
            assert_eq!(element.list, field);
            match (scope, field.ty) {
                (Scope::Member(name), FieldType::Records(id)) => {
                    let members = MEMBERS[usize::from(id.0)];
                    let index = members.iter().position(|(member, _)| member == name).expect("a member");
                    &element.members[index]
                }
                _ => &element.members[0],
            }
        }
    };
    if predicate.test == Test::Exists {
        return existence(state);
    }
    match state {
        State::Present(Val::List(_)) | State::Truncated(Val::List(_)) => {
            any_element(state, |value, complete| test_value(&predicate.test, value, complete))
        }
        State::Absent => Outcome::Absent,
        State::Lost => Outcome::Lost,
        State::Truncated(value) => Outcome::or_lost(test_value(&predicate.test, value, false)),
        State::Present(value) => Outcome::or_lost(test_value(&predicate.test, value, true)),
    }
}

/// Any element: lost or cut elements, and a cut list, leave it open.
fn any_element(state: &State, test: impl Fn(&Val, bool) -> Option<bool>) -> Outcome {
    let (items, complete) = match state {
        State::Absent => return Outcome::Absent,
        State::Lost => return Outcome::Lost,
        State::Truncated(Val::List(items)) => (items, false),
        State::Present(Val::List(items)) => (items, true),
        other => panic!("{other:?} is no list of values"),
    };
    let values = items.iter().map(|item| match item {
        State::Present(value) => test(value, true),
        State::Truncated(value) => test(value, false),
        State::Absent | State::Lost => None,
    });
    Outcome::or_lost(kleene_or(values.chain((!complete).then_some(None))))
}

/// A test on one value, of which the end may be missing: then every continuation must decide alike.
fn test_value(test: &Test, value: &Val, complete: bool) -> Option<bool> {
    match (test, value) {
        (Test::Str { op, literals, fold }, Val::Str(text)) => kleene_or(literals.iter().map(|literal| {
            let fold_case = |text: &str| if *fold { folded(text) } else { text.to_owned() };
            str_test(*op, &fold_case(text), &fold_case(literal), complete)
        })),
        (Test::Bytes(literals), Val::Bytes(bytes)) => {
            kleene_or(literals.iter().map(|literal| match (complete, literal.starts_with(bytes)) {
                (true, _) => Some(bytes == literal),
                (false, true) => None,
                (false, false) => Some(false),
            }))
        }
        (Test::Cidr(ranges), Val::Ip(ip)) => Some(ranges.iter().any(|range| in_range(range, *ip))),
        (Test::Cidr(_) | Test::Number { .. } | Test::Time { .. }, Val::Str(_)) if !complete => None,
        (Test::Cidr(ranges), Val::Str(text)) => {
            let address = text.split('%').next().and_then(|address| address.parse().ok());
            Some(address.is_some_and(|ip| ranges.iter().any(|range| in_range(range, ip))))
        }
        // The generator's numbers fit.
        (Test::Number { cmp, value }, Val::Str(text)) => {
            let number = match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok().map(|number| number as f64),
                None if text.contains('e') => None,
                None => text.parse::<f64>().ok(),
            };
            let value = value.parse::<f64>().expect("a number");
            Some(number.is_some_and(|number| compare(*cmp, (number * 100.0) as i64, (value * 100.0) as i64)))
        }
        (Test::Time { part, cmp, values }, Val::Str(text)) => {
            let number = text.contains("-0").then(|| written_part(*part, text)).flatten();
            Some(number.is_some_and(|number| values.iter().any(|value| compare(*cmp, number, *value))))
        }
        (Test::Time { part, cmp, values }, Val::Num(nanoseconds)) => {
            let number = part_of_nanoseconds(*part, *nanoseconds);
            Some(values.iter().any(|value| compare(*cmp, number, *value)))
        }
        (Test::Int { cmp, values }, Val::Num(number)) => {
            Some(values.iter().any(|value| compare(*cmp, *number, *value)))
        }
        other => panic!("{other:?} do not fit"),
    }
}

/// Parts of the generator's dates: all are of the ninth week or the first.
fn written_part(part: TimePart, text: &str) -> Option<i64> {
    let (from, to) = match part {
        TimePart::Year => (0, 4),
        TimePart::Month => (5, 7),
        TimePart::Day => (8, 10),
        TimePart::Hour => (11, 13),
        TimePart::Minute => (14, 16),
        TimePart::Week => return Some(if text.starts_with("2026") { 9 } else { 1 }),
    };
    text.get(from..to)?.parse().ok()
}

/// A day at a time, from 1970 on and back.
fn part_of_nanoseconds(part: TimePart, nanoseconds: i64) -> i64 {
    let minutes = nanoseconds.div_euclid(60_000_000_000);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |year: i64| if is_leap(year) { 366 } else { 365 };
    let (mut year, mut day, mut monday) = (1970, minutes.div_euclid(1440), 3);
    while day < 0 {
        year -= 1;
        day += days_of(year);
        monday = (monday - days_of(year)).rem_euclid(7);
    }
    while day >= days_of(year) {
        monday = (monday + days_of(year)).rem_euclid(7);
        day -= days_of(year);
        year += 1;
    }
    let lens = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut of_month) = (0, day);
    while of_month >= lens[month] {
        of_month -= lens[month];
        month += 1;
    }
    match part {
        TimePart::Minute => minutes.rem_euclid(60),
        TimePart::Hour => minutes.rem_euclid(1440) / 60,
        TimePart::Day => of_month + 1,
        TimePart::Month => month as i64 + 1,
        TimePart::Year => year,
        TimePart::Week => {
            // The week is that of its Thursday, in whose year it is counted.
            let thursday = day - (monday + day).rem_euclid(7) + 3;
            match (thursday < 0, thursday >= days_of(year)) {
                (true, _) => (thursday + days_of(year - 1)) / 7 + 1,
                (_, true) => 1,
                _ => thursday / 7 + 1,
            }
        }
    }
}

fn str_test(op: StrOp, text: &str, literal: &str, complete: bool) -> Option<bool> {
    if complete {
        return Some(match op {
            StrOp::Equals => text == literal,
            // The generator's regular expressions are plain text.
            StrOp::Contains | StrOp::Regex => text.contains(literal),
            StrOp::StartsWith => text.starts_with(literal),
            StrOp::EndsWith => text.ends_with(literal),
            StrOp::Like => like(&pattern(literal), &text.chars().collect::<Vec<_>>()),
            StrOp::Under => {
                let (text, literal) = (components(text), components(literal));
                text.starts_with(&literal)
            }
        });
    }
    // Every way to go on that could matter: the empty one, one that nothing matches, those that the literal asks for.
    let mut continuations = vec![String::new(), "\u{1}".to_owned(), "/".to_owned()];
    // Of a pattern, also what it matches when its runs are empty.
    let matched = literal.replace("[*]", "\u{2}").replace('*', "").replace('?', "q").replace('\u{2}', "*");
    for wanted in [literal, &matched] {
        for (at, _) in wanted.char_indices().chain([(wanted.len(), ' ')]) {
            for tail in ["", "\u{1}", "/"] {
                continuations.push(format!("{}{tail}", &wanted[at..]));
            }
        }
    }
    let mut answers = continuations.iter().map(|rest| str_test(op, &format!("{text}{rest}"), literal, true));
    let first = answers.next().flatten();
    if answers.all(|answer| answer == first) { first } else { None }
}

/// Components of a path, without empty ones at the end.
fn components(path: &str) -> Vec<String> {
    path.trim_end_matches(['/', '\\']).split(['/', '\\']).map(str::to_owned).collect()
}

enum Glob {
    Run,
    One,
    Char(char),
}

fn pattern(text: &str) -> Vec<Glob> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at..] {
            ['[', literal @ ('*' | '?' | '['), ']', ..] => {
                out.push(Glob::Char(literal));
                at += 2;
            }
            ['*', ..] => out.push(Glob::Run),
            ['?', ..] => out.push(Glob::One),
            [other, ..] => out.push(Glob::Char(other)),
            [] => {}
        }
        at += 1;
    }
    out
}

fn like(pattern: &[Glob], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [Glob::Run, rest @ ..] => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        [Glob::One, rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        [Glob::Char(c), rest @ ..] => text.first() == Some(c) && like(rest, &text[1..]),
    }
}

fn folded(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

fn in_range(range: &Cidr, ip: IpAddr) -> bool {
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let bits = u32::from(range.prefix) + if range.address.is_ipv4() { 96 } else { 0 };
    (0..bits).all(|bit| (mapped(range.address) ^ mapped(ip)) >> (127 - bit) & 1 == 0)
}

/// One value against another; of each the end may be missing.
fn pair_test(op: StrOp, fold: bool, left: &State, right: &State) -> Option<bool> {
    fn known(state: &State) -> Option<(Vec<u8>, bool)> {
        let (value, complete) = match state {
            State::Absent | State::Lost => return None,
            State::Truncated(value) => (value, false),
            State::Present(value) => (value, true),
        };
        let bytes = match value {
            Val::Str(text) => text.as_bytes().to_vec(),
            Val::Bytes(bytes) => bytes.clone(),
            Val::Ip(IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets().to_vec(),
            Val::Ip(IpAddr::V6(ip)) => ip.octets().to_vec(),
            other => panic!("{other:?} is not compared with fields"),
        };
        Some((bytes, complete))
    }
    let ((a, a_complete), (b, b_complete)) = (known(left)?, known(right)?);
    let fold_case = |bytes: Vec<u8>| {
        if fold { folded(&String::from_utf8(bytes).expect("text")).into_bytes() } else { bytes }
    };
    let (a, b) = (fold_case(a), fold_case(b));
    let holds = |a: &[u8], b: &[u8]| match op {
        StrOp::Equals => a == b,
        StrOp::Contains => b.is_empty() || a.windows(b.len()).any(|window| window == b),
        StrOp::StartsWith => a.starts_with(b),
        StrOp::EndsWith => a.ends_with(b),
        other => panic!("{other:?} is not between fields"),
    };
    let continuations = |bytes: &[u8], complete: bool, other: &[u8]| {
        let mut all = vec![bytes.to_vec()];
        if !complete {
            for at in 0..=other.len() {
                for tail in [&b""[..], b"\x01", b"\x02"] {
                    all.push([bytes, &other[at..], tail].concat());
                    all.push([bytes, b"\x03", &other[at..], tail].concat());
                    all.push([bytes, &other[..at], tail].concat());
                }
            }
        }
        all
    };
    let mut decided = None;
    for a_full in continuations(&a, a_complete, &b) {
        for b_full in continuations(&b, b_complete, &a_full) {
            let answer = holds(&a_full, &b_full);
            if decided.is_some_and(|decided| decided != answer) {
                return None;
            }
            decided = Some(answer);
        }
    }
    decided
}

fn compare<N: Ord>(cmp: Cmp, a: N, b: N) -> bool {
    match cmp {
        Cmp::Eq => a == b,
        Cmp::Ne => a != b,
        Cmp::Lt => a < b,
        Cmp::Le => a <= b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
    }
}

/// A length of at least `kept` against a constant, if all such lengths agree.
fn length_decides(cmp: Cmp, kept: i64, constant: i64) -> Option<bool> {
    let (kept, constant) = (i128::from(kept), i128::from(constant));
    let lengths = [kept, kept + 1, constant - 1, constant, constant + 1, kept + 1_000_000];
    let mut answers = lengths.iter().filter(|len| **len >= kept).map(|len| compare(cmp, *len, constant));
    let first = answers.next()?;
    answers.all(|answer| answer == first).then_some(first)
}

#[derive(Clone, Copy)]
enum Number {
    Is(i64),
    /// The length of a truncated string.
    AtLeast(i64),
    Absent,
    Lost,
    Undefined,
}

fn is_constant(operand: &Operand) -> bool {
    match operand {
        Operand::Const(_) => true,
        Operand::Field(_) | Operand::Length(_) => false,
        Operand::ToDecimal(inside) => is_constant(inside),
        Operand::Arithmetic { left, right, .. } => is_constant(left) && is_constant(right),
    }
}

fn operand_value(operand: &Operand, event: &Event) -> Number {
    match operand {
        Operand::Const(value) => Number::Is(*value),
        Operand::Field(field) => match event.get(field) {
            State::Absent => Number::Absent,
            State::Lost => Number::Lost,
            State::Present(Val::Num(value)) => Number::Is(*value),
            other => panic!("{other:?} is no number"),
        },
        Operand::Length(field) => match event.get(field) {
            State::Absent => Number::Absent,
            State::Lost => Number::Lost,
            State::Present(Val::Str(text)) => Number::Is(text.chars().count() as i64),
            State::Truncated(Val::Str(text)) => Number::AtLeast(text.chars().count() as i64),
            other => panic!("{other:?} is no text"),
        },
        Operand::ToDecimal(inside) => match operand_value(inside, event) {
            Number::Is(value) => Number::Is(value.saturating_mul(1_000_000)),
            Number::AtLeast(_) => Number::Lost,
            other => other,
        },
        Operand::Arithmetic { op, decimal, left, right } => {
            match (operand_value(left, event), operand_value(right, event)) {
                (Number::Absent, _) | (_, Number::Absent) => Number::Absent,
                (Number::Lost | Number::AtLeast(_), _) | (_, Number::Lost | Number::AtLeast(_)) => Number::Lost,
                (Number::Undefined, _) | (_, Number::Undefined) => Number::Undefined,
                (Number::Is(a), Number::Is(b)) => arithmetic(*op, *decimal, a.into(), b.into()),
            }
        }
    }
}

fn arithmetic(op: Arithmetic, decimal: bool, a: i128, b: i128) -> Number {
    let million = if decimal { 1_000_000 } else { 1 };
    let value = match op {
        Arithmetic::Add => a + b,
        Arithmetic::Sub => a - b,
        Arithmetic::Mul => a * b / million,
        Arithmetic::Div | Arithmetic::Rem if b == 0 => return Number::Undefined,
        Arithmetic::Div => a * million / b,
        Arithmetic::Rem => a % b,
    };
    Number::Is(value.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
