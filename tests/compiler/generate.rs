//! Random rules and events from a seed. Values come from small sets, so that tests hold often, fail often, and are
//! undecided often.

use std::collections::BTreeMap;
use std::net::IpAddr;

use trapline_programs::diagnostic::Source;
use trapline_programs::hir::{Absent, Arithmetic, Exception, Expr, Leaf, LeafKind, Meta, Operand, Quantifier, Rule};
use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test, TimePart};
use trapline_vm::record::{Catalogue, FamilyId, FieldType, Scalar};

use crate::model::{Event, FIELDS, MEMBERS, State, Val};
use crate::random::Random;

const TEXTS: &[&str] =
    &["", "a", "ab", "abc", "B", "AB", "bc", "é", "É", "cmd.exe", "/tmp", "/tmp/x", "/tmpfile", "C:\\tmp\\x", "a*c"];
/// Text that is an address, a number, a time; or nearly.
const READ: &[&str] = &[
    "10.0.0.1",
    "::ffff:10.0.1.1",
    "fe80::1%3",
    "10.0.0",
    "-1",
    "2.50",
    "0x3",
    "1e3",
    "2026-03-01T07:59:00Z",
    "1970-01-01",
];
const PATTERNS: &[&str] = &["*", "a*", "*b", "a?c", "?", "*b*", "/tmp/*", "a[*]c", "é?", "*.exe"];
const PATHS: &[&str] = &["/tmp", "/tmp/", "/tmp/x", "C:\\tmp", "a"];
const NUMBERS: &[i64] = &[
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    1_000_000,
    -2_500_000,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    i64::MAX,
    i64::MIN,
    u32::MAX as i64,
];
const BYTES: &[&[u8]] = &[b"", b"\x01", b"\x01\x02", b"\x01\x02\x03", b"\xff"];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.0.1.1", "192.168.0.7", "::ffff:10.0.0.1", "fe80::1", "2001:db8::7"];
const RANGES: &[(&str, u8)] =
    &[("10.0.0.0", 8), ("10.0.0.0", 24), ("10.0.0.1", 32), ("0.0.0.0", 0), ("fe80::", 10), ("2001:db8::7", 128)];
const CMPS: [Cmp; 6] = [Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le, Cmp::Gt, Cmp::Ge];
/// The deepest nesting of a generated condition.
const DEPTH: u32 = 4;

/// One to three of these.
fn some<T: Copy + Ord>(rng: &mut Random, from: &[T]) -> Vec<T> {
    let mut some: Vec<T> = (0..1 + rng.below(3)).map(|_| rng.pick(from)).collect();
    some.sort_unstable();
    some.dedup();
    some
}

/// Makes one rule and events for it.
pub(crate) struct Generator {
    rng: Random,
    /// How often a leaf says that an absent field makes it false, in percent.
    sigma: u64,
    /// Leaves so far, with the list they belong to: some are used again.
    leaves: Vec<(Option<usize>, Leaf)>,
}

fn field_ref(index: usize) -> FieldRef {
    FieldRef { name: FIELDS[index].0.to_owned(), ty: FIELDS[index].1 }
}

impl Generator {
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut rng = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ index);
        rng.next();
        let sigma = rng.pick(&[0, 50, 100]);
        Self { rng, sigma, leaves: Vec::new() }
    }

    pub(crate) fn rule(&mut self, catalogue: &Catalogue) -> Rule {
        let classes = match self.rng.below(4) {
            0 => vec!["full.one", "part.one"],
            1 => vec!["full.one", "full.two"],
            _ => vec!["full.one"],
        };
        let condition = self.expr(DEPTH, None);
        let exceptions = if self.rng.percent(60) { 0 } else { 1 + self.rng.below(2) };
        let exceptions = (0..exceptions)
            .map(|index| Exception { condition: self.expr(2, None), line: 100 + index as u32 })
            .collect();
        Rule {
            name: "generated".to_owned(),
            meta: Meta::default(),
            classes: classes.iter().map(|name| catalogue.class_id(name).expect("a class")).collect(),
            condition,
            exceptions,
            output: None,
            tests: Vec::new(),
            source: Source::new("generated.trap", ""),
            line: 1,
            digest: [0; 32],
        }
    }

    fn expr(&mut self, depth: u32, list: Option<usize>) -> Expr {
        let leaf = depth == 0 || self.rng.percent(25);
        match if leaf { 0 } else { 1 + self.rng.below(12) } {
            0 => Expr::Leaf(self.leaf(list)),
            1..=4 => Expr::And(self.parts(depth, list)),
            5..=7 => Expr::Or(self.parts(depth, list)),
            8 => Expr::Not(Box::new(self.expr(depth - 1, list))),
            9 => {
                let inside = self.expr(depth - 1, list);
                // Negation inside and outside of `is_true` differ, the more so when nested.
                let inside = match self.rng.below(4) {
                    0 => Expr::Not(Box::new(Expr::IsTrue(Box::new(inside)))),
                    1 => Expr::Not(Box::new(inside)),
                    _ => inside,
                };
                Expr::IsTrue(Box::new(inside))
            }
            10 if self.rng.percent(10) => Expr::Const(self.rng.percent(50)),
            _ => {
                let lists = ["strs", "nums", "ips", "procs", "mods"];
                let name = self.rng.pick(&lists);
                let other = FIELDS.iter().position(|field| field.0 == name).expect("a field");
                // A quantifier within one over the same list is about another element.
                let index = list.filter(|_| self.rng.percent(50)).unwrap_or(other);
                Expr::Quantifier {
                    kind: self.rng.pick(&[Quantifier::Any, Quantifier::All]),
                    list: field_ref(index),
                    body: Box::new(self.expr(depth - 1, Some(index))),
                    absent: self.absent(),
                    line: 50,
                }
            }
        }
    }

    fn parts(&mut self, depth: u32, list: Option<usize>) -> Vec<Expr> {
        let count = self.rng.pick(&[0, 1, 2, 2, 2, 3, 3, 4]);
        (0..count).map(|_| self.expr(depth - 1, list)).collect()
    }

    fn absent(&mut self) -> Absent {
        if self.rng.percent(self.sigma) { Absent::False } else { Absent::Unknown }
    }

    fn leaf(&mut self, list: Option<usize>) -> Leaf {
        let list = list.filter(|_| self.rng.percent(75));
        let again: Vec<usize> = (0..self.leaves.len()).filter(|index| self.leaves[*index].0 == list).collect();
        if !again.is_empty() && self.rng.percent(35) {
            let mut leaf = self.leaves[self.rng.pick(&again)].1.clone();
            if self.rng.percent(20) {
                leaf.absent = self.absent();
            }
            return leaf;
        }
        let kind = match list {
            Some(list) => LeafKind::Predicate(self.element_predicate(list)),
            None => self.event_leaf(),
        };
        let line = 2 + self.leaves.len() as u32;
        let leaf = Leaf { kind, absent: self.absent(), line, text: format!("test {line}") };
        self.leaves.push((list, leaf.clone()));
        leaf
    }

    /// A field of one of these types, as an index.
    fn field(&mut self, suits: impl Fn(FieldType) -> bool) -> usize {
        let all: Vec<usize> = (0..FIELDS.len()).filter(|index| suits(FIELDS[*index].1)).collect();
        self.rng.pick(&all)
    }

    fn number_field(&mut self) -> FieldRef {
        field_ref(self.field(|ty| matches!(ty, FieldType::Scalar(scalar) if is_number(scalar))))
    }

    fn text_field(&mut self) -> FieldRef {
        field_ref(self.field(|ty| matches!(ty, FieldType::Scalar(Scalar::Str | Scalar::Path))))
    }

    fn event_leaf(&mut self) -> LeafKind {
        match self.rng.below(10) {
            0..=3 => {
                let field = self.field(|ty| !matches!(ty, FieldType::Records(_)));
                let test = match FIELDS[field].1 {
                    _ if self.rng.percent(5) => Test::Exists,
                    FieldType::Scalar(scalar) | FieldType::List(scalar) => self.test(scalar),
                    FieldType::Records(_) => Test::Exists,
                };
                LeafKind::Predicate(Predicate { field: field_ref(field), scope: Scope::Any, test })
            }
            4 => LeafKind::Exists(field_ref(self.rng.below(FIELDS.len() as u64) as usize)),
            5 => LeafKind::Flag(field_ref(self.field(|ty| ty == FieldType::Scalar(Scalar::Bool)))),
            6 => self.comparison(),
            7 => {
                let field = self.number_field();
                LeafKind::OneOf { field, values: some(&mut self.rng, NUMBERS) }
            }
            8 => LeafKind::AnyInt {
                field: field_ref(self.field(|ty| ty == FieldType::List(Scalar::Int))),
                cmp: self.rng.pick(&CMPS),
                value: self.rng.pick(NUMBERS),
            },
            _ => self.field_test(),
        }
    }

    fn ranges(&mut self) -> Test {
        let ranges = some(&mut self.rng, RANGES);
        Test::Cidr(ranges.iter().map(|(text, prefix)| Cidr { address: address(text), prefix: *prefix }).collect())
    }

    fn time(&mut self) -> Test {
        use TimePart::{Day, Hour, Minute, Month, Week, Year};
        let cmp = self.rng.pick(&CMPS);
        let values = [0, 1, 7, 9, 12, 59, 1969, 1970, 2026];
        let values = if cmp == Cmp::Eq { some(&mut self.rng, &values) } else { vec![self.rng.pick(&values)] };
        Test::Time { part: self.rng.pick(&[Minute, Hour, Day, Week, Month, Year]), cmp, values }
    }

    fn comparison(&mut self) -> LeafKind {
        let cmp = self.rng.pick(&CMPS);
        if self.rng.percent(25) {
            let (length, value) = (Operand::Length(self.text_field()), Operand::Const(self.rng.below(5) as i64));
            let (left, right) = if self.rng.percent(70) { (length, value) } else { (value, length) };
            return LeafKind::Compare { cmp, left, right };
        }
        LeafKind::Compare { cmp, left: self.operand(2), right: self.operand(2) }
    }

    fn operand(&mut self, depth: u32) -> Operand {
        match self.rng.below(if depth == 0 { 6 } else { 10 }) {
            0..=2 => Operand::Field(self.number_field()),
            3 | 4 => Operand::Const(self.rng.pick(NUMBERS)),
            5 => Operand::Length(self.text_field()),
            6 => Operand::ToDecimal(Box::new(self.operand(depth - 1))),
            _ => {
                use Arithmetic::{Add, Div, Mul, Rem, Sub};
                if self.rng.percent(15) {
                    let (left, right) = (Operand::Const(i64::MIN), self.operand(depth - 1));
                    let op = self.rng.pick(&[Div, Rem]);
                    return Operand::Arithmetic { op, decimal: false, left: Box::new(left), right: Box::new(right) };
                }
                Operand::Arithmetic {
                    op: self.rng.pick(&[Add, Sub, Mul, Div, Rem]),
                    decimal: self.rng.percent(30),
                    left: Box::new(self.operand(depth - 1)),
                    right: Box::new(self.operand(depth - 1)),
                }
            }
        }
    }

    fn field_test(&mut self) -> LeafKind {
        let left = self.field(|ty| {
            matches!(
                ty,
                FieldType::Scalar(Scalar::Str | Scalar::Path | Scalar::Bytes | Scalar::Ip)
                    | FieldType::List(Scalar::Str | Scalar::Ip)
            )
        });
        let family = |scalar: Scalar| if scalar == Scalar::Path { Scalar::Str } else { scalar };
        let kind = match FIELDS[left].1 {
            FieldType::Scalar(scalar) | FieldType::List(scalar) => family(scalar),
            FieldType::Records(_) => Scalar::Str,
        };
        let right = self
            .field(|ty| matches!(ty, FieldType::Scalar(scalar) | FieldType::List(scalar) if family(scalar) == kind));
        let text = kind == Scalar::Str;
        let op = if text {
            self.rng.pick(&[StrOp::Equals, StrOp::Contains, StrOp::StartsWith, StrOp::EndsWith])
        } else {
            StrOp::Equals
        };
        LeafKind::FieldTest { op, fold: text && self.rng.percent(40), left: field_ref(left), right: field_ref(right) }
    }

    fn element_predicate(&mut self, list: usize) -> Predicate {
        let field = field_ref(list);
        let (scope, scalar) = match field.ty {
            FieldType::Records(id) => {
                let (name, scalar) = self.rng.pick(MEMBERS[usize::from(id.0)]);
                (Scope::Member(name.to_owned()), scalar)
            }
            FieldType::List(scalar) | FieldType::Scalar(scalar) => (Scope::Elements, scalar),
        };
        let test = if self.rng.percent(8) { Test::Exists } else { self.test(scalar) };
        Predicate { field, scope, test }
    }

    fn test(&mut self, scalar: Scalar) -> Test {
        match scalar {
            Scalar::Str | Scalar::Path if self.rng.percent(15) => match self.rng.below(3) {
                0 => self.ranges(),
                1 => self.time(),
                _ => Test::Number {
                    cmp: self.rng.pick(&CMPS),
                    value: self.rng.pick(&["0", "-1", "2.5", "3", "2.49"]).to_owned(),
                },
            },
            Scalar::Time if self.rng.percent(50) => self.time(),
            Scalar::Str | Scalar::Path => {
                use StrOp::{Contains, EndsWith, Equals, Like, Regex, StartsWith, Under};
                let op = self.rng.pick(&[Equals, Equals, Contains, StartsWith, EndsWith, Like, Regex, Under]);
                let from = match op {
                    Like => PATTERNS,
                    Under => PATHS,
                    Regex => &["a", "b", "ab", "tmp"],
                    _ => TEXTS,
                };
                let literals = some(&mut self.rng, from).iter().map(|text| (*text).to_owned()).collect();
                Test::Str { op, literals, fold: self.rng.percent(40) }
            }
            Scalar::Bytes => Test::Bytes(some(&mut self.rng, BYTES).iter().map(|bytes| bytes.to_vec()).collect()),
            Scalar::Ip => self.ranges(),
            _ => {
                let cmp = self.rng.pick(&CMPS);
                let values = if cmp == Cmp::Eq { some(&mut self.rng, NUMBERS) } else { vec![self.rng.pick(NUMBERS)] };
                Test::Int { cmp, values }
            }
        }
    }

    /// An event that wakes the rule.
    pub(crate) fn event(&mut self, rule: &Rule, catalogue: &Catalogue) -> Event {
        let class = self.rng.pick(&rule.classes);
        let family = catalogue.class(class).family;
        self.event_of(family, catalogue.family(family).name == "part")
    }

    fn event_of(&mut self, family: FamilyId, part: bool) -> Event {
        let lost = self.rng.pick(&[0, 15, 30, 60]);
        let absent = self.rng.pick(&[0, 5, 30]);
        let mut fields = BTreeMap::new();
        for (name, ty, both) in FIELDS {
            if part && !both {
                continue;
            }
            let state = self.state(*ty, absent, lost);
            if state != State::Absent {
                fields.insert((*name).to_owned(), state);
            }
        }
        Event { family, fields }
    }

    fn state(&mut self, ty: FieldType, absent: u64, lost: u64) -> State {
        if self.rng.percent(absent) {
            return State::Absent;
        }
        let damage = self.rng.percent(lost);
        let can_be_cut = match ty {
            FieldType::Scalar(scalar) => matches!(scalar, Scalar::Str | Scalar::Path | Scalar::Bytes),
            FieldType::List(_) | FieldType::Records(_) => true,
        };
        if damage && (!can_be_cut || self.rng.percent(50)) {
            return State::Lost;
        }
        let value = match ty {
            FieldType::Scalar(scalar) => self.value(scalar),
            FieldType::List(scalar) => {
                let (count, lost) = self.list_shape(lost);
                Val::List((0..count).map(|_| self.state(FieldType::Scalar(scalar), 0, lost)).collect())
            }
            FieldType::Records(id) => {
                let (count, lost) = self.list_shape(lost);
                let members = MEMBERS[usize::from(id.0)];
                let member = |this: &mut Self, scalar| this.state(FieldType::Scalar(scalar), absent, lost);
                let record = |this: &mut Self| members.iter().map(|(_, scalar)| member(this, *scalar)).collect();
                Val::Records((0..count).map(|_| record(self)).collect())
            }
        };
        if damage { State::Truncated(value) } else { State::Present(value) }
    }

    /// Number of elements, and how often one is damaged.
    fn list_shape(&mut self, lost: u64) -> (u64, u64) {
        match self.rng.below(20) {
            0 => (62 + self.rng.below(5), lost / 15),
            1 => (100, lost / 15),
            _ => (self.rng.below(4), lost),
        }
    }

    fn value(&mut self, scalar: Scalar) -> Val {
        match scalar {
            Scalar::Bool => Val::Num(self.rng.below(2) as i64),
            Scalar::Str | Scalar::Path => {
                let from = if self.rng.percent(30) { READ } else { TEXTS };
                Val::Str(self.rng.pick(from).to_owned())
            }
            Scalar::Bytes => Val::Bytes(self.rng.pick(BYTES).to_vec()),
            Scalar::Ip => Val::Ip(address(self.rng.pick(ADDRESSES))),
            Scalar::Enum(_) => Val::Num(self.rng.pick(&[0, 1, 2, u32::MAX.into()])),
            Scalar::Int | Scalar::Decimal | Scalar::Time | Scalar::Duration => Val::Num(self.rng.pick(NUMBERS)),
        }
    }
}

fn is_number(scalar: Scalar) -> bool {
    !matches!(scalar, Scalar::Bool | Scalar::Str | Scalar::Path | Scalar::Bytes | Scalar::Ip)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
