//! The decision form of a rule for one family of events: two-valued, without negation, each distinct test once.
//!
//! The typed form is three-valued. Kleene logic in negation normal form can be asked exactly by two-valued questions:
//! *is it definitely true* and *is it definitely false*, where each of `and`, `or` and `not` answers one question by
//! asking its parts. Each leaf comes out in one of five ways ([`Outcomes`]); a question to a leaf is *is its outcome
//! one of these*, and the negation of a question is the question for the other outcomes.
//!
//! ```text
//!                        true  false  absent     lost  undefined
//!   definitely true       x
//!   definitely false            x     if Sigma
//!   possibly true         x                       x
//!   possibly false              x     if Sigma    x
//! ```
//!
//! *Possibly* is the second question to `where`, asked only when it is not true and the event is impaired: each
//! occurrence of a lost leaf takes its favourable value. `is_true` is two-valued: it is false exactly when its inside
//! is not true, so its negation turns a question around instead of asking the other one.
//!
//! What is known on the way to a test is used there: after `a` in `a and …` only the true outcome of `a` is
//! possible, so a second `a` folds away. A field that the family does not have is always absent, which folds the
//! tests on it.

mod build;
mod print;
mod simplify;

use trapline_vm::predicate::FieldRef;

pub use build::build;
pub(crate) use build::{DECIMAL_ONE, fields_of};
pub use print::print;
pub(crate) use print::{describe, describe_predicate};

use crate::hir::LeafKind;

/// How deep a condition may nest: connectives, quantifiers and arithmetic together.
pub const DEPTH_MAX: usize = 128;

/// A set of outcomes of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outcomes(u8);

impl Outcomes {
    /// No outcome.
    pub const NONE: Self = Self(0);
    /// The test is true.
    pub const TRUE: Self = Self(1);
    /// The test is false.
    pub const FALSE: Self = Self(2);
    /// A field it reads is absent: unknown, or false if the leaf says so.
    pub const ABSENT: Self = Self(4);
    /// No field is absent, and one is lost, or truncated so that it does not decide: unknown.
    pub const LOST: Self = Self(8);
    /// It divides by zero: unknown.
    pub const UNDEFINED: Self = Self(16);
    /// Each single outcome.
    pub const EACH: [Self; 5] = [Self::TRUE, Self::FALSE, Self::ABSENT, Self::LOST, Self::UNDEFINED];

    /// The outcomes in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The outcomes in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The outcomes of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the sets share an outcome.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Index of a test in [`Decision::tests`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestId(pub u32);

/// One distinct test of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What is tested: constants folded and on the right, values sorted.
    pub kind: LeafKind,
    /// What can come out of it in this family.
    pub possible: Outcomes,
    /// Line of its first occurrence, from 1.
    pub line: u32,
    /// Its first occurrence in the words of the rule.
    pub text: String,
}

/// A two-valued condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    /// Always so.
    Const(bool),
    /// The outcome of the test is one of `ask`; here only those in `possible` can occur.
    Test {
        /// The test.
        test: TestId,
        /// What is asked.
        ask: Outcomes,
        /// What can occur where this stands: a superset of `ask`.
        possible: Outcomes,
    },
    /// All of them; two or more.
    All(Vec<Cond>),
    /// Any of them; two or more.
    Any(Vec<Cond>),
    /// Something about the elements of a list.
    Each(Box<Each>),
}

/// A two-valued quantifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Each {
    /// True: every element satisfies the body. False: some element does.
    pub every: bool,
    /// The list.
    pub list: FieldRef,
    /// What is asked of an element. Tests on masks are about the element, other tests about the event.
    pub body: Cond,
    /// The answer when the list is absent.
    pub on_absent: bool,
    /// The answer when the list is lost.
    pub on_lost: bool,
    /// Of a list that was cut, or has more than 64 elements: whether what is beyond counts as favourable. It is
    /// asked when the elements at hand leave it open.
    pub on_beyond: bool,
    /// Line, from 1.
    pub line: u32,
}

/// What a rule decides about the events of one family.
///
/// ```text
/// if condition           → an exception? no match : match
/// else if not impaired   → no match
/// else if possible       → an exception? no match : not evaluable
/// else                   → no match
/// ```
///
/// *Impaired* is the record's flag, or a list of [`Decision::lists`] with more than 64 elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The distinct tests.
    pub tests: Vec<Test>,
    /// Whether `where` is definitely true.
    pub condition: Cond,
    /// Whether `where` is possibly true, given that it is not true.
    pub possible: Cond,
    /// Whether each `unless` is definitely true, with its line.
    pub exceptions: Vec<(Cond, u32)>,
    /// The lists that `where` quantifies over.
    pub lists: Vec<FieldRef>,
}

impl Decision {
    /// Whether no event can match, nor be undecided.
    pub fn is_never(&self) -> bool {
        self.condition == Cond::Const(false) && self.possible == Cond::Const(false)
    }
}

/// Why a condition has no decision form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirError {
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the condition nests deeper than {DEPTH_MAX} levels")]
    TooDeep {
        /// Line, from 1; 0 if unknown.
        line: u32,
    },
    /// A test on the elements of a list stands outside a quantifier over that list.
    #[error("a test on list elements stands outside `any` or `all` over that list")]
    ElementOutsideQuantifier {
        /// Line, from 1.
        line: u32,
    },
}
