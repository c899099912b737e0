//! Events that are written in rule tests, as records: what a decoder does for real events.

use trapline_programs::hir::{Literal, TestValue};
use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{
    Cell, ClassId, EnumId, FieldType, Layouts, Os, OsSet, RecordHeader, RecordWriter, STRING_LEN_MAX, Scalar, Value,
};

/// The field that says which system a test event is from.
const OS_FIELD: &str = "host.os.type";

/// The operating system of a test event: the one it names, else that of the rule if it is for one only.
pub fn os(layouts: &Layouts, fields: &[(FieldRef, TestValue)], rule: OsSet) -> Option<Os> {
    let all = [(Os::Linux, "linux"), (Os::Windows, "windows"), (Os::MacOs, "macos")];
    let named = fields.iter().find(|(field, _)| field.name == OS_FIELD).and_then(|(field, value)| match value {
        TestValue::Present(Literal::Str(text)) => Some(text.as_str()),
        TestValue::Present(Literal::Enum(Some(index))) => match field.ty {
            FieldType::Scalar(Scalar::Enum(EnumId(id))) => {
                let variants = &layouts.catalogue().enums.get(usize::from(id))?.variants;
                variants.get(*index as usize).map(String::as_str)
            }
            _ => None,
        },
        _ => None,
    });
    if let Some(name) = named {
        return all.into_iter().find(|(_, known)| *known == name).map(|(os, _)| os);
    }
    let mut of_rule = all.into_iter().map(|(os, _)| os).filter(|os| rule.contains(*os));
    let first = of_rule.next();
    if of_rule.next().is_none() { first } else { None }
}

/// Writes a test event as a record and returns its length; None if the buffer is too small for its slots.
/// Fields that the class's family does not have are left out: the compiler has refused them.
pub fn write(
    layouts: &Layouts,
    class: ClassId,
    header: &RecordHeader,
    fields: &[(FieldRef, TestValue)],
    buffer: &mut [u8],
) -> Option<u32> {
    let catalogue = layouts.catalogue();
    let family = catalogue.class(class).family;
    let mut writer = RecordWriter::new(buffer, layouts.slot_count(family), header)?;
    for (field, value) in fields {
        let Some((slot, _)) = layouts.find(family, &field.name) else { continue };
        let bytes_max = catalogue.field_id(&field.name).map_or(STRING_LEN_MAX, |id| catalogue.field(id).bytes_max);
        with_cell(value, |cell| writer.set(slot, bytes_max, cell));
    }
    Some(writer.finish())
}

/// Calls back with the value as a cell: cells borrow the lists they hold.
fn with_cell(value: &TestValue, set: impl FnOnce(&Cell<'_>)) {
    match value {
        TestValue::Present(Literal::List(items)) => {
            let cells: Vec<Cell<'_>> = items.iter().map(|item| Cell::Present(scalar(item))).collect();
            set(&Cell::Present(Value::List(&cells)));
        }
        TestValue::Present(Literal::Records(elements)) => {
            let rows: Vec<Vec<Cell<'_>>> = elements
                .iter()
                .map(|members| members.iter().map(|member| member.as_ref().map_or(Cell::Absent, cell)).collect())
                .collect();
            let rows: Vec<&[Cell<'_>]> = rows.iter().map(Vec::as_slice).collect();
            set(&Cell::Present(Value::Records(&rows)));
        }
        value => set(&cell(value)),
    }
}

fn cell(value: &TestValue) -> Cell<'_> {
    match value {
        TestValue::Lost => Cell::Lost,
        TestValue::Truncated(text) => Cell::Truncated(Value::Str(text)),
        TestValue::Present(literal) => Cell::Present(scalar(literal)),
    }
}

fn scalar(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Enum(variant) => Value::Enum(*variant),
        Literal::Str(text) => Value::Str(text),
        Literal::Bytes(bytes) => Value::Bytes(bytes),
        Literal::Ip(ip) => Value::Ip(*ip),
        // Lists hold scalars only: the catalogue has no lists of lists.
        Literal::List(_) | Literal::Records(_) => Value::List(&[]),
    }
}
