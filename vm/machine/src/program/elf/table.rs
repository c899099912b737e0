//! The section `trapline.objects`: what compiled rules have beside their code.

use crate::predicate::FieldRef;
use crate::program::{Object, Relocation};
use crate::record::OsSet;

use super::{RuleMeta, number, strings};

const MAGIC: &[u8; 8] = b"TRAPOBJ\0";
/// Version of the table.
const VERSION: u32 = 1;

/// One program of the table; maps by symbol, code and lines elsewhere.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) symbol: String,
    pub(super) rule: u32,
    pub(super) object: Object,
    pub(super) maps: Vec<MapEntry>,
}

/// A map of a program.
#[derive(Debug)]
pub(super) struct MapEntry {
    pub(super) symbol: String,
    pub(super) name: String,
    pub(super) value_len: u32,
    pub(super) entries: u32,
}

#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn count<T>(&mut self, items: &[T]) {
        self.u32(items.len() as u32);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

/// The section.
pub(super) fn write(entries: &[(&Object, &str, u32, &[MapEntry])]) -> Vec<u8> {
    let mut out = Out(MAGIC.to_vec());
    out.u32(VERSION);
    out.count(entries);
    for (object, symbol, rule, maps) in entries {
        out.text(symbol);
        out.text(&object.name);
        out.u32(*rule);
        out.0.extend_from_slice(&object.catalogue_digest);
        out.text(&object.family);
        out.count(&object.classes);
        object.classes.iter().for_each(|class| out.text(class));
        out.0.push(object.os.0);
        out.count(&object.fields);
        for field in &object.fields {
            out.text(&field.name);
            out.text(&strings::of_type(field.ty));
        }
        out.count(&object.predicates);
        for predicate in &object.predicates {
            out.text(&predicate.field.name);
            out.text(&strings::of_type(predicate.field.ty));
            out.bytes(&strings::of_predicate(predicate));
        }
        out.count(&object.predicate_texts);
        object.predicate_texts.iter().for_each(|text| out.text(text));
        out.count(maps);
        for map in *maps {
            out.text(&map.symbol);
            out.text(&map.name);
            out.u32(map.value_len);
            out.u32(map.entries);
        }
        out.count(&object.relocations);
        for Relocation { pc, kind } in &object.relocations {
            let (kind, index) = number::of_kind(*kind);
            out.u32(*pc);
            out.0.extend_from_slice(&[kind, 0]);
            out.0.extend_from_slice(&index.to_le_bytes());
        }
    }
    out.0
}

struct In<'d>(&'d [u8]);

/// What is wrong with a table.
type Wrong = &'static str;

const SHORT: Wrong = "it ends within an entry";

impl<'d> In<'d> {
    fn take(&mut self, len: usize) -> Result<&'d [u8], Wrong> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    fn u32(&mut self) -> Result<u32, Wrong> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'d [u8], Wrong> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Result<String, Wrong> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| "a text is not UTF-8")
    }

    /// As many items as it says; each takes bytes, so there are never more than bytes.
    fn many<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn field(&mut self) -> Result<FieldRef, Wrong> {
        let name = self.text()?;
        let ty = strings::parse_type(&self.text()?).ok_or("a type that does not exist")?;
        Ok(FieldRef { name, ty })
    }
}

/// The programs of the section.
pub(super) fn read(bytes: &[u8], rules: &[RuleMeta]) -> Result<Vec<Entry>, Wrong> {
    let mut input = In(bytes);
    if input.array()? != *MAGIC {
        return Err("it does not begin as it should");
    }
    if input.u32()? != VERSION {
        return Err("it is of another version");
    }
    let entries = input.many(|input| {
        let symbol = input.text()?;
        let name = input.text()?;
        let rule = input.u32()?;
        if rules.get(rule as usize).is_none() {
            return Err("a program names no rule of `trapline.rules`");
        }
        let catalogue_digest = input.array()?;
        let family = input.text()?;
        let classes = input.many(In::text)?;
        let [os] = input.array()?;
        let fields = input.many(In::field)?;
        let predicates = input.many(|input| {
            let field = input.field()?;
            let strings = strings::all(input.bytes()?).ok_or("a predicate is not made of strings")?;
            strings::predicate(field, &strings).map_err(|_| "a predicate that does not exist")
        })?;
        let predicate_texts = input.many(In::text)?;
        let maps = input.many(|input| {
            let (symbol, name) = (input.text()?, input.text()?);
            Ok(MapEntry { symbol, name, value_len: input.u32()?, entries: input.u32()? })
        })?;
        let relocations = input.many(|input| {
            let pc = input.u32()?;
            let [kind, zero] = input.array()?;
            let index = u16::from_le_bytes(input.array()?);
            match number::kind(kind, index) {
                Some(kind) if zero == 0 => Ok(Relocation { pc, kind }),
                _ => Err("a kind of relocation that does not exist"),
            }
        })?;
        let object = Object {
            name,
            catalogue_digest,
            family,
            classes,
            os: OsSet(os),
            code: Vec::new(),
            fields,
            predicates,
            maps: Vec::new(),
            relocations,
            lines: Vec::new(),
            predicate_texts,
        };
        Ok(Entry { symbol, rule, object, maps })
    })?;
    if input.0.is_empty() { Ok(entries) } else { Err("more follows it") }
}

/// A kind of relocation, for the tests of this module.
#[cfg(test)]
pub(super) fn kinds() -> Vec<crate::program::RelocationKind> {
    (0..=u8::MAX).map_while(|kind| number::kind(kind, 7)).collect()
}
