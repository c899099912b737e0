//! JSON values as values of catalogue fields, and times.
//!
//! Writers disagree about types: ports as text, lists of one, booleans as words. What is the same value in another
//! dress is taken; anything else is refused, and the caller counts it.

use std::borrow::Cow;

use trapline_programs::catalogue::taxonomy::{Conversion, Converted};
use trapline_vm::record::{Catalogue, Cell, Field, FieldType, LIST_LEN_MAX, Scalar, Value};

use crate::source::json::Node;

/// The value of a field, ready for the record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FieldValue<'a> {
    Plain(Converted<'a>),
    /// Per element its members in the order of the element type.
    Records(Vec<Vec<Option<Converted<'a>>>>),
    /// The same, when there were more than the record keeps.
    CutRecords(Vec<Vec<Option<Converted<'a>>>>),
}

impl FieldValue<'_> {
    /// Calls `f` with the value as the record writer takes it.
    pub(super) fn with_cell<R>(&self, f: impl FnOnce(Cell<'_>) -> R) -> R {
        let (records, cut) = match self {
            Self::Plain(value) => return value.with_cell(f),
            Self::Records(records) => (records, false),
            Self::CutRecords(records) => (records, true),
        };
        // A member is a scalar, so its cell borrows from its value and not from a list made on the way.
        let rows: Vec<Vec<Cell<'_>>> =
            records.iter().map(|members| members.iter().map(|member| scalar_cell(member.as_ref())).collect()).collect();
        let rows: Vec<&[Cell<'_>]> = rows.iter().map(Vec::as_slice).collect();
        let value = Value::Records(&rows);
        f(if cut { Cell::Truncated(value) } else { Cell::Present(value) })
    }
}

fn scalar_cell<'v>(value: Option<&'v Converted<'_>>) -> Cell<'v> {
    match value {
        Some(Converted::Bool(value)) => Cell::Present(Value::Bool(*value)),
        Some(Converted::Int(value)) => Cell::Present(Value::Int(*value)),
        Some(Converted::Str(value)) => Cell::Present(Value::Str(value)),
        Some(Converted::Bytes(value)) => Cell::Present(Value::Bytes(value)),
        Some(Converted::Ip(value)) => Cell::Present(Value::Ip(*value)),
        Some(Converted::Time(value)) => Cell::Present(Value::Time(*value)),
        Some(Converted::Enum(value)) => Cell::Present(Value::Enum(*value)),
        Some(Converted::List(_) | Converted::CutList(_)) | None => Cell::Absent,
    }
}

/// A value did not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Reads a JSON value as a field of this type. `Ok(None)`: null, or an empty list for a single value.
pub(super) fn field_value<'n>(
    catalogue: &Catalogue,
    field: &Field,
    node: &'n Node<'n>,
) -> Result<Option<FieldValue<'n>>, Misfit> {
    match field.ty {
        FieldType::Scalar(scalar) => Ok(scalar_value(scalar, node)?.map(FieldValue::Plain)),
        FieldType::List(scalar) => {
            let nodes = match node {
                Node::Null => return Ok(None),
                Node::Array(nodes) => nodes.as_slice(),
                single => std::slice::from_ref(single),
            };
            let mut items = Vec::new();
            for node in nodes.iter().filter(|node| **node != Node::Null) {
                if items.len() == LIST_LEN_MAX as usize {
                    return Ok(Some(FieldValue::Plain(Converted::CutList(items))));
                }
                items.extend(scalar_value(scalar, node)?);
            }
            Ok(Some(FieldValue::Plain(Converted::List(items))))
        }
        FieldType::Records(element) => {
            let Some(element) = catalogue.elements.get(usize::from(element.0)) else { return Ok(None) };
            let nodes = match node {
                Node::Null => return Ok(None),
                Node::Array(nodes) => nodes.as_slice(),
                single => std::slice::from_ref(single),
            };
            let mut records = Vec::new();
            for node in nodes {
                let Node::Object(_) = node else { return Err(Misfit) };
                if records.len() == LIST_LEN_MAX as usize {
                    return Ok(Some(FieldValue::CutRecords(records)));
                }
                let member = |member: &Field| match (member.ty, node.at(&member.name)) {
                    (FieldType::Scalar(scalar), Some(node)) => scalar_value(scalar, node),
                    _ => Ok(None),
                };
                records.push(element.members.iter().map(member).collect::<Result<Vec<_>, Misfit>>()?);
            }
            Ok(Some(FieldValue::Records(records)))
        }
    }
}

fn scalar_value<'n>(scalar: Scalar, node: &'n Node<'n>) -> Result<Option<Converted<'n>>, Misfit> {
    let node = match node {
        Node::Null => return Ok(None),
        Node::Array(items) => match items.as_slice() {
            [] | [Node::Null] => return Ok(None),
            [single] => single,
            _ => return Err(Misfit),
        },
        other => other,
    };
    let by = |conversion: Conversion| match node {
        Node::Str(text) => conversion.apply(text).map_err(|_| Misfit),
        _ => Err(Misfit),
    };
    let value = match (scalar, node) {
        (Scalar::Str | Scalar::Path, _) => Converted::Str(text(node).ok_or(Misfit)?),
        (Scalar::Bool, Node::Bool(value)) => Converted::Bool(*value),
        (Scalar::Bool, Node::Int(value @ (0 | 1))) => Converted::Bool(*value == 1),
        (Scalar::Bool, _) => return by(Conversion::Bool),
        (Scalar::Int | Scalar::Duration, Node::Int(value)) => Converted::Int(*value),
        // As with text: 64-bit patterns are kept.
        (Scalar::Int, Node::UInt(value)) => Converted::Int(value.cast_signed()),
        (Scalar::Int | Scalar::Duration, Node::Float(value)) => Converted::Int(whole(*value).ok_or(Misfit)?),
        (Scalar::Int | Scalar::Duration, _) => return by(Conversion::Int),
        (Scalar::Decimal, _) => Converted::Int(millionths(node).ok_or(Misfit)?),
        (Scalar::Bytes, _) => return by(Conversion::Hex),
        (Scalar::Ip, _) => return by(Conversion::Ip),
        (Scalar::Time, _) => match time_ns(node) {
            Some(time) => Converted::Time(time),
            None if matches!(node, Node::Str(text) if text.is_empty()) => return Ok(None),
            None => return Err(Misfit),
        },
        (Scalar::Enum(id), _) => return by(Conversion::Variant(id)),
    };
    Ok(Some(value))
}

/// The text of a value that has one: strings, numbers, booleans.
pub(super) fn text<'n>(node: &'n Node<'_>) -> Option<Cow<'n, str>> {
    match node {
        Node::Str(text) => Some(Cow::Borrowed(text)),
        Node::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Node::Int(value) => Some(Cow::Owned(value.to_string())),
        Node::UInt(value) => Some(Cow::Owned(value.to_string())),
        Node::Float(value) => Some(Cow::Owned(value.to_string())),
        Node::Null | Node::Array(_) | Node::Object(_) => None,
    }
}

fn whole(value: f64) -> Option<i64> {
    // Up to 2^53 every whole number is itself.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

fn millionths(node: &Node<'_>) -> Option<i64> {
    let value = match node {
        Node::Int(value) => return value.checked_mul(1_000_000),
        Node::Float(value) => *value,
        Node::Str(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    let scaled = (value * 1e6).round();
    (scaled.abs() < 9.2e18).then_some(scaled as i64)
}

/// Nanoseconds since 1970 of a time as writers give it: text with or without an offset (none means UTC), or a number
/// of seconds, milliseconds, microseconds or nanoseconds, told apart by size.
pub(super) fn time_ns(node: &Node<'_>) -> Option<i64> {
    match node {
        Node::Str(text) => time_of_text(text.trim()),
        Node::Int(value) => epoch(*value),
        // Seconds with a fraction.
        Node::Float(value) if (0.0..1e11).contains(value) => Some((value * 1e6).round() as i64 * 1000),
        Node::Float(value) => whole(*value).and_then(epoch),
        _ => None,
    }
}

fn time_of_text(text: &str) -> Option<i64> {
    if let Ok(Some(Converted::Time(time))) = Conversion::Time.apply(text) {
        return Some(time);
    }
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    let nanoseconds = |time: jiff::Timestamp| i64::try_from(time.as_nanosecond()).ok();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return nanoseconds(time);
    }
    // Logstash and auditd exporters: an offset without a colon.
    jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok().and_then(nanoseconds)
}

fn epoch(value: i64) -> Option<i64> {
    const SECONDS_MAX: i64 = 100_000_000_000;
    match value {
        0 => None,
        _ if value < 0 => None,
        _ if value < SECONDS_MAX => value.checked_mul(1_000_000_000),
        _ if value < SECONDS_MAX * 1000 => value.checked_mul(1_000_000),
        _ if value < SECONDS_MAX * 1_000_000 => value.checked_mul(1000),
        _ => Some(value),
    }
}
