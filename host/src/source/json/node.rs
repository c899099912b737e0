//! A parsed JSON object that borrows from its text.
//!
//! Unlike `serde_json::Value` it keeps the order of keys, copies only strings with escapes, and counts keys that
//! occur twice in one object: the last one holds, as with most readers, and an event that has some is suspicious.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    Float(f64),
    Str(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Members<'a>),
}

/// Keys and values in the order of the text.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// Why text is not an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeError {
    Utf8 { offset: usize },
    Json { message: String },
}

/// Parses one object, and counts the keys that were overwritten.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Node<'_>, u64), NodeError> {
    let text = std::str::from_utf8(bytes).map_err(|error| NodeError::Utf8 { offset: error.valid_up_to() })?;
    let mut duplicates = 0;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Seed { duplicates: &mut duplicates }
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node))
        .map_err(|error| NodeError::Json { message: error.to_string() })?;
    Ok((node, duplicates))
}

impl<'a> Node<'a> {
    /// The member with this key; the last one if there are several. None if this is no object.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.members()?.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members, if this is an object.
    pub(crate) fn members(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value at a dotted path; keys may be nested, dotted, or both. The last one in the text holds.
    pub(crate) fn at(&self, path: &str) -> Option<&Node<'a>> {
        let members = self.members()?;
        members.iter().rev().find_map(|(key, value)| match path.strip_prefix(key.as_ref())? {
            "" => Some(value),
            rest => value.at(rest.strip_prefix('.')?),
        })
    }

    /// The same as a `serde_json` value.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::from(*value),
            Self::UInt(value) => Value::from(*value),
            Self::Float(value) => Value::from(*value),
            Self::Str(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect())
            }
        }
    }
}

struct Seed<'c> {
    duplicates: &'c mut u64,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(value).map_or(Node::UInt(value), Node::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Str(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Str(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Seed { duplicates: self.duplicates })? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut members: Members<'de> = Vec::new();
        while let Some(Key(key)) = access.next_key()? {
            let value = access.next_value_seed(Seed { duplicates: self.duplicates })?;
            members.push((key, value));
        }
        *self.duplicates += drop_overwritten(&mut members);
        Ok(Node::Object(members))
    }
}

/// Removes members whose key occurs again later; returns how many.
fn drop_overwritten(members: &mut Members<'_>) -> u64 {
    /// Comparing every pair is fastest up to here.
    const PAIRWISE_MAX: usize = 32;
    let before = members.len();
    let again = |members: &Members<'_>, at: usize| members[at + 1..].iter().any(|(key, _)| *key == members[at].0);
    if before <= PAIRWISE_MAX {
        if (0..before).any(|at| again(members, at)) {
            let keep: Vec<bool> = (0..before).map(|at| !again(members, at)).collect();
            let mut keep = keep.into_iter();
            members.retain(|_| keep.next().unwrap_or(true));
        }
    } else {
        let mut seen = std::collections::HashSet::with_capacity(before);
        let mut keep: Vec<bool> = members.iter().rev().map(|(key, _)| seen.insert(key.as_ref())).collect();
        keep.reverse();
        if keep.contains(&false) {
            let mut keep = keep.into_iter();
            members.retain(|_| keep.next().unwrap_or(true));
        }
    }
    u64::try_from(before - members.len()).unwrap_or(u64::MAX)
}

struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
