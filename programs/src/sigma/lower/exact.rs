//! Which place answers a test as the raw value would, whatever that is.

use std::net::IpAddr;

use regex_automata::meta::Regex;
use trapline_vm::predicate::Cidr;
use trapline_vm::record::{FieldType, Scalar};

use crate::sigma::modifier::{Question, Test};
use crate::sigma::stream::{How, Place};

/// Whether the answer of this place is that of the raw value, whatever it is.
pub(super) fn is_exact(test: &Test, place: &Place, question: &Question, regex: Option<&Regex>) -> bool {
    let is_canonical = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    match (test, place.how) {
        (Test::Compare(..), How::Time) => question.part.is_some(),
        (Test::Compare(..), How::Int) => question.part.is_none(),
        (Test::Compare(..) | Test::Cidr(_), How::Text(_)) => true,
        // Paths of the catalogue have lost prefixes with question marks, so who looks for these asks the text.
        (Test::Text(pattern), _) if is_path(place) && pattern.has('?') => false,
        (Test::Regex(text), _) if is_path(place) && text.contains(r"\?") => false,
        (Test::Text(pattern), How::Text(nothing)) => !nothing.iter().any(|text| pattern.matches(text, !question.cased)),
        (Test::Regex(_), How::Text(nothing)) => {
            regex.is_some_and(|regex| !nothing.iter().any(|text| regex.is_match(text)))
        }
        (Test::Null | Test::Exists(_), _) if place.elsewhere => true,
        (Test::Null | Test::Exists(_), How::Text(_)) => is_raw(place),
        (Test::Number(..) | Test::Flag(_), How::Text(_)) => true,
        (Test::Field(..), _) => is_raw(place),
        (Test::Number(..), How::Int) => true,
        (Test::Text(pattern), How::Int) => pattern.as_literal().is_some_and(is_canonical),
        (Test::Flag(_), How::Flag) => true,
        (Test::Text(pattern), How::Flag) => pattern
            .as_literal()
            .is_some_and(|text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        (Test::Cidr(_), How::Address) => true,
        (Test::Null | Test::Exists(_), How::Int) => place.field.name.starts_with("winlog."),
        _ => false,
    }
}

/// The range of the one address that a text is: what only holds addresses is the same as its text.
pub(super) fn address(test: &Test) -> Option<Cidr> {
    let Test::Text(pattern) = test else { return None };
    let address: IpAddr = pattern.as_literal()?.parse().ok()?;
    Some(Cidr { address, prefix: if address.is_ipv4() { 32 } else { 128 } })
}

pub(super) fn is_path(place: &Place) -> bool {
    place.field.ty == FieldType::Scalar(Scalar::Path)
}

/// Whether the place holds any text there may be.
pub(super) fn is_raw(place: &Place) -> bool {
    matches!(place.how, How::Text([]))
}

/// A regular expression as the engine will compile it, or why not and what to do.
pub(super) fn compile(pattern: &str) -> Result<Regex, (String, String)> {
    crate::hir::check_regex(pattern)?;
    Regex::new(pattern).map_err(|error| (error.to_string(), String::new()))
}
