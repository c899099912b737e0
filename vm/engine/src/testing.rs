//! A small catalogue and objects written by hand, for the tests of this crate.

use std::sync::Arc;

use trapline_vm::isa::assemble;
use trapline_vm::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::program::{Line, Object, Relocation, RelocationKind};
use trapline_vm::record::{
    Catalogue, Cell, Class, Element, ElementId, Family, FamilyId, Field, FieldId, FieldType, Layouts, Os, OsSet,
    RecordHeader, RecordWriter, Scalar, Value,
};

fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        ty,
        doc: String::new(),
        bytes_max: 1024,
        windows_folds_case: false,
        example: String::new(),
    }
}

pub(crate) const STR: FieldType = FieldType::Scalar(Scalar::Str);
pub(crate) const INT: FieldType = FieldType::Scalar(Scalar::Int);

/// Family `a` (classes `a.one`, `a.two`): name, size, tags, parents, then s4 … s19; family `b` (class `b.one`): name.
pub(crate) fn catalogue() -> Arc<Catalogue> {
    let mut fields = vec![
        field("name", STR),
        field("size", INT),
        field("tags", FieldType::List(Scalar::Str)),
        field("parents", FieldType::Records(ElementId(0))),
    ];
    fields.extend((4..20).map(|number| field(&format!("s{number}"), STR)));
    let members = vec![field("title", STR), field("age", INT)];
    let elements = vec![Element { name: "parent".to_owned(), members }];
    let class = |name: &str, family| Class { name: name.to_owned(), family: FamilyId(family), doc: String::new() };
    let classes = vec![class("a.one", 0), class("a.two", 0), class("b.one", 1)];
    let families = vec![
        Family { name: "a".to_owned(), fields: (0..20).map(FieldId).collect() },
        Family { name: "b".to_owned(), fields: vec![FieldId(0)] },
    ];
    let open = vec!["raw.".to_owned()];
    Arc::new(Catalogue::new(1, fields, vec![], elements, classes, families, open).unwrap())
}

pub(crate) fn field_ref(name: &str, ty: FieldType) -> FieldRef {
    FieldRef { name: name.to_owned(), ty }
}

pub(crate) fn text_test(op: StrOp, literal: &str) -> Test {
    Test::Str { op, literals: vec![literal.to_owned()], fold: false }
}

/// A predicate on text: `field op literal`.
pub(crate) fn predicate(field: &str, op: StrOp, literal: &str) -> Predicate {
    Predicate { field: field_ref(field, STR), scope: Scope::Any, test: text_test(op, literal) }
}

/// An object of family `a`, class `a.one`, whose code reads nothing yet.
pub(crate) fn object(name: &str, assembly: &str) -> Object {
    Object {
        name: name.to_owned(),
        catalogue_digest: catalogue().digest(),
        family: "a".to_owned(),
        classes: vec!["a.one".to_owned()],
        os: OsSet::ANY,
        code: assemble(assembly).unwrap().code,
        fields: vec![],
        predicates: vec![],
        relocations: vec![],
        lines: vec![Line { pc: 0, line: 1 }],
        maps: Vec::new(),
        predicate_texts: vec![],
    }
}

/// The verdict is the truth of one predicate: match if true, not evaluable if unknown.
pub(crate) fn predicate_object(name: &str, predicate: Predicate) -> Object {
    let assembly = "ldxb r4, [r2+0]\n and r4, 0\n mov r0, 2\n jeq r4, 0, done\n mov r0, 0\n ldxb r4, [r2+0]\n and r4, 0\n \
                    jeq r4, 0, done\n mov r0, 1\n done: exit";
    let kinds = [
        (0, RelocationKind::PredicateByte(0)),
        (1, RelocationKind::PredicateKnown(0)),
        (5, RelocationKind::PredicateByte(0)),
        (6, RelocationKind::PredicateTrue(0)),
    ];
    Object {
        predicate_texts: vec![format!("{} matches", predicate.field.name)],
        predicates: vec![predicate],
        relocations: kinds.into_iter().map(|(pc, kind)| Relocation { pc, kind }).collect(),
        ..object(name, assembly)
    }
}
/// A record of a class of family `a` (or of `b.one`), made for these layouts.
pub(crate) fn write_record(
    buffer: &mut [u8],
    layouts: &Layouts,
    class: &str,
    os: Option<Os>,
    cells: &[(&str, Cell<'_>)],
) -> u32 {
    let catalogue = layouts.catalogue();
    let class = catalogue.class_id(class).unwrap();
    let family = catalogue.class(class).family;
    let header = RecordHeader { digest: catalogue.short_digest(), class: class.0.into(), os, time_ns: 0, sequence: 0 };
    let mut writer = RecordWriter::new(buffer, layouts.slot_count(family), &header).unwrap();
    for (name, cell) in cells {
        // A name that no program asked for has no slot and is left out.
        if let Some((slot, _)) = layouts.find(family, name) {
            writer.set(slot, 1024, cell);
        }
    }
    writer.finish()
}

/// The state of a field that is there.
pub(crate) fn text(text: &str) -> Cell<'_> {
    Cell::Present(Value::Str(text))
}
