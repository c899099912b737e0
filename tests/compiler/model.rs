//! Events as plain data, and a catalogue with a field of every type.

use std::collections::BTreeMap;
use std::net::IpAddr;

use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{
    Catalogue, Class, Element, ElementId, EnumId, Enumeration, Family, FamilyId, Field, FieldId, FieldType, Scalar,
};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Val {
    /// Whatever lies in the slot itself.
    Num(i64),
    Str(String),
    Bytes(Vec<u8>),
    Ip(IpAddr),
    List(Vec<State>),
    Records(Vec<Vec<State>>),
}

/// What is known of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Absent,
    Lost,
    /// A prefix.
    Truncated(Val),
    Present(Val),
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) family: FamilyId,
    /// Fields that are not absent.
    pub(crate) fields: BTreeMap<String, State>,
}

impl Event {
    pub(crate) fn get(&self, field: &FieldRef) -> &State {
        self.fields.get(&field.name).unwrap_or(&State::Absent)
    }
}

/// All fields; those marked are in both families.
pub(crate) const FIELDS: &[(&str, FieldType, bool)] = {
    use FieldType::{List, Records, Scalar as One};
    &[
        ("flag.a", One(Scalar::Bool), true),
        ("flag.b", One(Scalar::Bool), false),
        ("num.a", One(Scalar::Int), true),
        ("num.b", One(Scalar::Int), false),
        ("num.c", One(Scalar::Int), false),
        ("dec.a", One(Scalar::Decimal), false),
        ("when.a", One(Scalar::Time), false),
        ("kind.a", One(Scalar::Enum(EnumId(0))), false),
        ("str.a", One(Scalar::Str), true),
        ("str.b", One(Scalar::Str), false),
        ("path.a", One(Scalar::Path), false),
        ("hash.a", One(Scalar::Bytes), false),
        ("hash.b", One(Scalar::Bytes), false),
        ("ip.a", One(Scalar::Ip), false),
        ("ip.b", One(Scalar::Ip), false),
        ("strs", List(Scalar::Str), true),
        ("nums", List(Scalar::Int), false),
        ("ips", List(Scalar::Ip), false),
        ("procs", Records(ElementId(0)), true),
        ("mods", Records(ElementId(1)), false),
        ("raw.x", One(Scalar::Str), true),
        ("raw.y", One(Scalar::Str), true),
    ]
};

/// Members of the element types.
pub(crate) const MEMBERS: [&[(&str, Scalar)]; 2] = [
    &[
        ("name", Scalar::Str),
        ("path", Scalar::Path),
        ("pid", Scalar::Int),
        ("elevated", Scalar::Bool),
        ("ip", Scalar::Ip),
        ("hash", Scalar::Bytes),
        ("one", Scalar::Str),
        ("two", Scalar::Str),
        ("in.the.second.group", Scalar::Int),
    ],
    &[("name", Scalar::Str), ("size", Scalar::Int)],
];

pub(crate) fn test_catalogue() -> Catalogue {
    let field = |name: &str, ty: FieldType| Field {
        name: name.to_owned(),
        ty,
        doc: String::new(),
        bytes_max: 4096,
        windows_folds_case: false,
        example: String::new(),
    };
    let listed = || FIELDS.iter().filter(|(name, ..)| !name.starts_with("raw."));
    let fields = listed().map(|(name, ty, _)| field(name, *ty)).collect();
    let elements = MEMBERS
        .iter()
        .zip(["process", "module"])
        .map(|(members, name)| Element {
            name: name.to_owned(),
            members: members.iter().map(|(name, ty)| field(name, FieldType::Scalar(*ty))).collect(),
        })
        .collect();
    let ids = |all: bool| {
        (0u16..).zip(listed()).filter(|(_, (_, _, both))| all || *both).map(|(id, _)| FieldId(id)).collect()
    };
    let class = |name: &str, family| Class { name: name.to_owned(), family: FamilyId(family), doc: String::new() };
    Catalogue::new(
        1,
        fields,
        vec![Enumeration { name: "kind".to_owned(), variants: ["zero", "one", "two"].map(str::to_owned).to_vec() }],
        elements,
        vec![class("full.one", 0), class("full.two", 0), class("part.one", 1)],
        vec![
            Family { name: "full".to_owned(), fields: ids(true) },
            Family { name: "part".to_owned(), fields: ids(false) },
        ],
        vec!["raw.".to_owned()],
    )
    .expect("the test catalogue is sound")
}
