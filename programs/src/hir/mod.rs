//! The typed form of a rule: names resolved, types checked, the source language forgotten.
//!
//! Both front ends meet here. Logic is three-valued (Kleene): a leaf is true, false or unknown; a rule matches when
//! its condition is definitely true and no exception is. What an absent field means is a property of the leaf
//! ([`Absent`]), so that our language and Sigma share one set of connectives.
//!
//! *Lost* leaves (a value that existed and did not reach us, or a truncated one whose kept prefix does not decide)
//! are unknown too, and the verdict is *not evaluable* when the condition is not true but becomes true if each
//! occurrence of a lost leaf takes its favourable value, and no exception is definitely true.

mod lower;
mod print;
pub mod supply;

use std::sync::Arc;

use trapline_vm::predicate::{Cmp, FieldRef, Predicate, StrOp};
use trapline_vm::record::{ClassId, OsSet};

use crate::diagnostic::{Source, Span};

pub use lower::lower;
pub(crate) use lower::{case_matters, check_regex, compare_text, is_attack, is_uuid, is_version};
pub use print::print;

/// A rule, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name in the source.
    pub name: String,
    /// Header.
    pub meta: Meta,
    /// The classes that wake it, sorted, without duplicates.
    pub classes: Vec<ClassId>,
    /// `where`: [`Expr::Const`] true if there is none.
    pub condition: Expr,
    /// `unless`, each on its own.
    pub exceptions: Vec<Exception>,
    /// Message of its alerts; None: the title.
    pub output: Option<Template>,
    /// Its tests.
    pub tests: Vec<TestCase>,
    /// Where it stands.
    pub source: Arc<Source>,
    /// Line of its head, from 1.
    pub line: u32,
    /// Digest of the text the rule was compiled from (SHA-256 of the rule's own text).
    pub digest: [u8; 32],
}

/// The header of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// UUID; the rule's name stands in when it is empty.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// One line.
    pub title: String,
    /// Longer text.
    pub description: String,
    /// How bad a match is.
    pub severity: Severity,
    /// Maturity.
    pub status: Status,
    /// Operating systems it is for; empty: any.
    pub os: OsSet,
    /// ATT&CK technique and tactic ids (`T1059.004`, `TA0002`).
    pub attack: Vec<String>,
    /// Links.
    pub references: Vec<String>,
    /// Known benign causes.
    pub false_positives: Vec<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
}

/// Severity of a rule's alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For context only.
    Informational,
    /// Low.
    Low,
    /// Medium.
    #[default]
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Maturity of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// New.
    #[default]
    Experimental,
    /// Being tried.
    Test,
    /// Proved in use.
    Stable,
    /// To be removed.
    Deprecated,
    /// It cannot work as it is (Sigma).
    Unsupported,
}

/// An `unless`.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Suppresses on definitely true.
    pub condition: Expr,
    /// Line, from 1.
    pub line: u32,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Always true, or always false.
    Const(bool),
    /// A test.
    Leaf(Leaf),
    /// All of them (empty: true).
    And(Vec<Expr>),
    /// Any of them (empty: false).
    Or(Vec<Expr>),
    /// Kleene negation.
    Not(Box<Expr>),
    /// True when the inside is true, false when it is false or unknown.
    IsTrue(Box<Expr>),
    /// A quantifier over the elements of a list. In `body`, leaves on the element are [`LeafKind::Predicate`]s with
    /// scope `Elements` or `Member` on this list's field; other leaves are about the event as a whole.
    /// At most 64 elements are looked at; a longer or truncated list is undecided beyond what they decide.
    /// Over an absent list the quantifier is unknown (or false, if the leaves' [`Absent`] says so), over an empty
    /// one `any` is false and `all` is true.
    Quantifier {
        /// Any or all.
        kind: Quantifier,
        /// The list field.
        list: FieldRef,
        /// Condition on an element.
        body: Box<Expr>,
        /// What an absent list means.
        absent: Absent,
        /// Line, from 1.
        line: u32,
    },
}

/// `any` or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// Some element.
    Any,
    /// Every element.
    All,
}

/// What a leaf is when a field it reads is absent or not supplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absent {
    /// Unknown: our language.
    Unknown,
    /// False: Sigma.
    False,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// What is tested.
    pub kind: LeafKind,
    /// What an absent field means.
    pub absent: Absent,
    /// Line in the source, from 1.
    pub line: u32,
    /// The test in the words of the rule, on one line: evidence in alerts.
    pub text: String,
}

/// Kinds of tests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// Literals against a field: strings, bytes, address ranges. The engine evaluates it.
    /// With scope `Any` on a list-valued field it means *any element*.
    Predicate(Predicate),
    /// The field has a value: true or false, unknown only when it is lost.
    Exists(FieldRef),
    /// A boolean field.
    Flag(FieldRef),
    /// Numbers, times, durations, decimals, enums: compared as signed 64-bit values. Both sides have one type.
    Compare {
        /// The comparison.
        cmp: Cmp,
        /// Left side.
        left: Operand,
        /// Right side.
        right: Operand,
    },
    /// An integer-like scalar field equal to any of these values (at least one).
    OneOf {
        /// The field.
        field: FieldRef,
        /// Slot values.
        values: Vec<i64>,
    },
    /// Any element of a list of integer-like values compares as asked with a constant.
    AnyInt {
        /// The list field.
        field: FieldRef,
        /// The comparison.
        cmp: Cmp,
        /// The constant.
        value: i64,
    },
    /// One string, path, bytes or address field against another. A list on either side means *any element*.
    FieldTest {
        /// Equals, Contains, StartsWith or EndsWith.
        op: StrOp,
        /// Simple case folding (strings only).
        fold: bool,
        /// Left side.
        left: FieldRef,
        /// Right side.
        right: FieldRef,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A constant slot value.
    Const(i64),
    /// An integer-like scalar field.
    Field(FieldRef),
    /// Characters of a string field.
    Length(FieldRef),
    /// An integer promoted to decimal (times 1 000 000, saturating).
    ToDecimal(Box<Operand>),
    /// Saturating arithmetic; division by zero makes the leaf unknown.
    Arithmetic {
        /// The operation.
        op: Arithmetic,
        /// Whether the operands are decimals (matters for `*` and `/`).
        decimal: bool,
        /// Left side.
        left: Box<Operand>,
        /// Right side.
        right: Box<Operand>,
    },
}

/// Arithmetic operations on signed 64-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Saturating.
    Add,
    /// Saturating.
    Sub,
    /// Saturating.
    Mul,
    /// Truncates towards zero; by zero: missing.
    Div,
    /// Sign of the dividend; by zero: missing.
    Rem,
}

/// The message of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Text and fields in order.
    pub parts: Vec<TemplatePart>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// As it is.
    Text(String),
    /// The value of a field; `default` (or `-`) when it is missing.
    Field {
        /// The field.
        field: FieldRef,
        /// Printed when there is no value.
        default: Option<String>,
    },
}

/// One `test` block.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// Events in order.
    pub events: Vec<TestEvent>,
    /// What must come of them.
    pub expect: Vec<Expectation>,
    /// Where it stands.
    pub span: Span,
    /// Line, from 1.
    pub line: u32,
}

/// One event of a test.
#[derive(Clone, Debug)]
pub struct TestEvent {
    /// What it is.
    pub body: TestEventBody,
    /// Nanoseconds after the event before it (the first: after the start).
    pub after_ns: i64,
    /// The source profile it pretends to come from (`source: "sysmon"`), if given.
    pub profile: Option<String>,
    /// Line, from 1.
    pub line: u32,
}

/// An event written in the test, or a recorded one.
#[derive(Clone, Debug)]
pub enum TestEventBody {
    /// `class { field: value, … }`
    Inline {
        /// Its class.
        class: ClassId,
        /// Its fields.
        fields: Vec<(FieldRef, TestValue)>,
    },
    /// `from "file.jsonl":3`
    Recorded {
        /// File, relative to the rule's.
        file: String,
        /// Line or record number, from 1.
        number: u64,
    },
}

/// A value in a test event.
#[derive(Clone, Debug, PartialEq)]
pub enum TestValue {
    /// Did not arrive.
    Lost,
    /// Arrived cut short.
    Truncated(String),
    /// Arrived.
    Present(Literal),
}

/// A constant of any field type.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Boolean.
    Bool(bool),
    /// Integer, time, duration or decimal as its slot value.
    Int(i64),
    /// Enum variant (None: a value outside the enumeration, tests only).
    Enum(Option<u32>),
    /// String or path.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Address.
    Ip(std::net::IpAddr),
    /// List of scalars.
    List(Vec<Literal>),
    /// List of records: per element, members in order of the element type.
    Records(Vec<Vec<Option<TestValue>>>),
}

/// What a test expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// An alert, at the n-th event (from 1) if given.
    Alert {
        /// Which event.
        at: Option<usize>,
        /// Its severity.
        severity: Option<Severity>,
    },
    /// No alert.
    None,
    /// Not evaluable (at least once, and no alert).
    NotEvaluable,
}
