//! The event catalogue as data: event classes, the fields that can be read of them, and how sources name both.
//!
//! [`catalogue`] is the one source of truth for compiler, verifier, record encoder and documentation. The data lies
//! in `catalogue.toml`, whose head explains its shape; this module parses it once into the types of
//! [`trapline_vm::record`]. The catalogue says what a field *means*; what a given source calls it and whether that
//! source has it at all is the business of the taxonomies.

pub mod taxonomy;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use trapline_vm::record::{
    Catalogue, CatalogueError, Class, Element, ElementId, EnumId, Enumeration, Family, FamilyId, Field, FieldId,
    FieldType, LONG_STRING_LEN_MAX, STRING_LEN_MAX, Scalar,
};

/// The longest `short` text, in bytes: names, ids, words.
pub const SHORT_STRING_LEN_MAX: u32 = 1024;
/// The longest `bytes` value: a SHA-512.
pub const BYTES_LEN_MAX: u32 = 64;

static EMBEDDED: LazyLock<Arc<Catalogue>> =
    LazyLock::new(|| Arc::new(parse(include_str!("catalogue.toml")).expect("a test parses the embedded catalogue")));

/// The catalogue that this build carries.
pub fn catalogue() -> &'static Arc<Catalogue> {
    &EMBEDDED
}

/// A number in this field as people write it: in hexadecimal if the catalogue's example is, as those of masks, status
/// codes and addresses are.
pub fn int_text(field: &str, value: i64) -> String {
    let example = EMBEDDED.field_id(field).map(|id| EMBEDDED.field(id).example.as_str());
    let hexadecimal = value >= 0 && example.is_some_and(|example| example.starts_with("0x"));
    if hexadecimal { format!("{value:#x}") } else { value.to_string() }
}

/// Why text is not a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueDataError {
    /// The text is not TOML, or not of the expected shape.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A row has too few or too many parts.
    #[error("the row {0:?} is neither [name, type, doc], [name, type, doc, example] nor [\"prefix.*\", shape]")]
    Row(Vec<String>),
    /// The type of a field is not one of those listed at the head of the data.
    #[error("field `{field}` has the unknown type `{ty}`")]
    Type {
        /// The field.
        field: String,
        /// Its type as written.
        ty: String,
    },
    /// A group, shape or element that is not defined.
    #[error("`{0}` is not defined")]
    Undefined(String),
    /// More entries of one kind than an index can name.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The parts do not make a catalogue.
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
}

/// A row of the data: `[name, type, doc, example]`, `[name, type, doc]` or `["prefix.*", shape]`.
type Row = Vec<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    open_prefixes: Vec<String>,
    enums: BTreeMap<String, Vec<String>>,
    shapes: HashMap<String, Vec<Row>>,
    elements: BTreeMap<String, String>,
    groups: HashMap<String, Vec<Row>>,
    family: Vec<FamilyRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyRow {
    name: String,
    /// For readers of the data.
    #[serde(rename = "doc")]
    _doc: String,
    groups: Vec<String>,
    classes: Vec<(String, String)>,
    fields: Vec<Row>,
}

/// Parses catalogue data.
pub fn parse(text: &str) -> Result<Catalogue, CatalogueDataError> {
    let Document { version, open_prefixes, enums, shapes, elements, groups, family } = toml::from_str(text)?;
    let names = Names {
        enums: (0u16..).map(EnumId).zip(enums.keys()).map(|(id, name)| (name.as_str(), id)).collect(),
        elements: (0u16..).map(ElementId).zip(elements.keys()).map(|(id, name)| (name.as_str(), id)).collect(),
        shapes: &shapes,
    };

    let mut element_types = Vec::new();
    for (name, shape) in &elements {
        let rows = shapes.get(shape).ok_or_else(|| CatalogueDataError::Undefined(shape.clone()))?;
        let mut members = Vec::new();
        names.expand("", rows, &mut members)?;
        element_types.push(Element { name: name.clone(), members });
    }

    let mut fields = Vec::new();
    let mut add = |rows: &[Row]| -> Result<Vec<FieldId>, CatalogueDataError> {
        let first = fields.len();
        names.expand("", rows, &mut fields)?;
        let index = |index| u16::try_from(index).map_err(|_| CatalogueDataError::TooMany("fields"));
        Ok((index(first)?..index(fields.len())?).map(FieldId).collect())
    };

    // A group's fields are entered where the first family names it, so that the order of the data is kept.
    let mut group_fields: HashMap<&str, Vec<FieldId>> = HashMap::new();
    let mut families = Vec::new();
    let mut classes = Vec::new();
    for row in &family {
        let family_id = FamilyId(u16::try_from(families.len()).map_err(|_| CatalogueDataError::TooMany("families"))?);
        let mut slots = Vec::new();
        for group in &row.groups {
            if !group_fields.contains_key(group.as_str()) {
                let rows = groups.get(group).ok_or_else(|| CatalogueDataError::Undefined(group.clone()))?;
                group_fields.insert(group, add(rows)?);
            }
            slots.extend_from_slice(&group_fields[group.as_str()]);
        }
        slots.extend(add(&row.fields)?);
        families.push(Family { name: row.name.clone(), fields: slots });
        for (name, doc) in &row.classes {
            classes.push(Class { name: name.clone(), family: family_id, doc: doc.clone() });
        }
    }
    for field in &mut fields {
        if let FieldType::Records(ElementId(id)) = field.ty {
            let members = element_types.get(usize::from(id)).map_or(&[][..], |element: &Element| &element.members);
            field.bytes_max = members.iter().map(|member| member.bytes_max).max().unwrap_or(0);
        }
    }
    let enums = enums.into_iter().map(|(name, variants)| Enumeration { name, variants }).collect();
    Ok(Catalogue::new(version, fields, enums, element_types, classes, families, open_prefixes)?)
}

struct Names<'a> {
    enums: HashMap<&'a str, EnumId>,
    elements: HashMap<&'a str, ElementId>,
    shapes: &'a HashMap<String, Vec<Row>>,
}

impl Names<'_> {
    /// Appends the fields that the rows stand for. Shapes do not nest, so this ends.
    fn expand(&self, prefix: &str, rows: &[Row], into: &mut Vec<Field>) -> Result<(), CatalogueDataError> {
        for row in rows {
            let (name, ty, doc, example) = match row.as_slice() {
                [name, ty, doc] => (name, ty, doc, ""),
                [name, ty, doc, example] => (name, ty, doc, example.as_str()),
                [name, shape] if prefix.is_empty() && name.ends_with(".*") => {
                    let rows = self.shapes.get(shape).ok_or_else(|| CatalogueDataError::Undefined(shape.clone()))?;
                    self.expand(&name[..name.len() - 1], rows, into)?;
                    continue;
                }
                _ => return Err(CatalogueDataError::Row(row.clone())),
            };
            let name = format!("{prefix}{name}");
            let Some((ty, bytes_max, windows_folds_case)) = self.field_type(ty) else {
                return Err(CatalogueDataError::Type { field: name, ty: ty.clone() });
            };
            into.push(Field { name, ty, doc: doc.clone(), bytes_max, windows_folds_case, example: example.to_owned() });
        }
        Ok(())
    }

    /// The type, the longest value in bytes, and whether Windows folds its case.
    fn field_type(&self, text: &str) -> Option<(FieldType, u32, bool)> {
        if let Some(inner) = argument(text, "list") {
            let (scalar, bytes_max, folds) = self.scalar(inner)?;
            return Some((FieldType::List(scalar), bytes_max, folds));
        }
        if let Some(inner) = argument(text, "records") {
            return Some((FieldType::Records(*self.elements.get(inner)?), 0, false));
        }
        let (scalar, bytes_max, folds) = self.scalar(text)?;
        Some((FieldType::Scalar(scalar), bytes_max, folds))
    }

    fn scalar(&self, text: &str) -> Option<(Scalar, u32, bool)> {
        if let Some(name) = argument(text, "enum") {
            return Some((Scalar::Enum(*self.enums.get(name)?), 8, false));
        }
        let (word, folds) = text.strip_suffix('~').map_or((text, false), |word| (word, true));
        let (scalar, bytes_max) = match word {
            "short" => (Scalar::Str, SHORT_STRING_LEN_MAX),
            "str" => (Scalar::Str, STRING_LEN_MAX),
            "long" => (Scalar::Str, LONG_STRING_LEN_MAX),
            "path" => (Scalar::Path, STRING_LEN_MAX),
            _ if folds => return None,
            "bool" => (Scalar::Bool, 8),
            "int" => (Scalar::Int, 8),
            "decimal" => (Scalar::Decimal, 8),
            "time" => (Scalar::Time, 8),
            "duration" => (Scalar::Duration, 8),
            "bytes" => (Scalar::Bytes, BYTES_LEN_MAX),
            "ip" => (Scalar::Ip, 16),
            _ => return None,
        };
        Some((scalar, bytes_max, folds))
    }
}

/// `X` of `word<X>`.
fn argument<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word)?.strip_prefix('<')?.strip_suffix('>')
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn embedded_data_is_a_catalogue() {
        let catalogue = parse(include_str!("catalogue.toml")).unwrap();
        assert!(catalogue.fields.len() > 300);
        assert!(catalogue.classes.len() > 80);
    }

    /// A change here means that records and compiled programs of earlier builds no longer fit: raise `version` in
    /// the data unless it was never released.
    #[test]
    fn digest_changes_only_on_purpose() {
        let digest = catalogue().digest().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        expect_test::expect!["34789ff362692c5a41f546aa308d752335a15d7b6caa548a1964317c5b26eac5"].assert_eq(&digest);
    }

    #[test]
    fn every_entry_is_documented() {
        let catalogue = catalogue();
        for field in catalogue.fields.iter().chain(catalogue.elements.iter().flat_map(|element| &element.members)) {
            assert!(field.doc.ends_with('.'), "{}: {:?} is not a sentence", field.name, field.doc);
            assert!(!field.name.is_empty() && !field.name.starts_with('.') && !field.name.ends_with('.'));
        }
        for class in &catalogue.classes {
            assert!(class.doc.ends_with('.'), "{}: {:?} is not a sentence", class.name, class.doc);
        }
        for family in &catalogue.families {
            let id = catalogue.family_id(&family.name).unwrap();
            assert!(catalogue.classes_of(id).next().is_some(), "{} has no class", family.name);
        }
    }

    #[test]
    fn names_are_segments_and_no_field_is_the_parent_of_another() {
        // `a.b` and `a.b.c` cannot both be fields: the same JSON would have to be a value and an object.
        let catalogue = catalogue();
        for field in &catalogue.fields {
            for (at, _) in field.name.match_indices('.') {
                assert!(catalogue.field_id(&field.name[..at]).is_none(), "{} lies below a field", field.name);
            }
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
            assert!(field.name.bytes().all(plain), "{}", field.name);
            assert!(!catalogue.is_open(&field.name), "{} lies below an open prefix", field.name);
        }
    }

    #[test]
    fn fields_have_the_types_that_matter() {
        let catalogue = catalogue();
        let field = |name: &str| catalogue.field(catalogue.field_id(name).unwrap());
        assert_eq!(field("process.command_line").bytes_max, LONG_STRING_LEN_MAX);
        assert_eq!(field("script.text").bytes_max, LONG_STRING_LEN_MAX);
        assert_eq!(field("file.path").ty, FieldType::Scalar(Scalar::Path));
        assert_eq!(field("process.hash.sha256").ty, FieldType::Scalar(Scalar::Bytes));
        assert_eq!(field("process.args").ty, FieldType::List(Scalar::Str));
        assert!(field("registry.path").windows_folds_case);
        assert!(!field("process.entity_id").windows_folds_case);
        assert_eq!(field("process.ancestors").bytes_max, LONG_STRING_LEN_MAX, "the longest of its members");
        let FieldType::Records(process) = field("process.ancestors").ty else { panic!("a list of records") };
        let members = &catalogue.elements[usize::from(process.0)].members;
        assert!(members.iter().any(|member| member.name == "executable"));
        let FieldType::Scalar(Scalar::Enum(outcome)) = field("event.outcome").ty else { panic!("an enum") };
        assert_eq!(catalogue.enums[usize::from(outcome.0)].variants, ["success", "failure", "unknown"]);
    }

    /// Macros take groups of fields by the name of an element: `p: process` is given `process`, `process.parent`,
    /// an ancestor. So each must have all members, with the same types.
    #[test]
    fn groups_that_share_an_element_have_all_its_members() {
        let catalogue = catalogue();
        for element in &catalogue.elements {
            for prefix in ["process", "process.parent", "target.process"] {
                for member in &element.members {
                    let name = format!("{prefix}.{}", member.name);
                    let id = catalogue.field_id(&name).unwrap_or_else(|| panic!("{name} is missing"));
                    assert_eq!(catalogue.field(id).ty, member.ty, "{name}");
                }
            }
        }
    }

    #[test]
    fn every_family_has_the_common_fields() {
        let catalogue = catalogue();
        for family in &catalogue.families {
            let id = catalogue.family_id(&family.name).unwrap();
            for name in ["process.name", "user.name", "host.name", "event.code", "winlog.event_id"] {
                let field = catalogue.field_id(name).unwrap();
                assert!(catalogue.slot(id, field).is_some(), "{} lacks {name}", family.name);
            }
            let slots = u32::try_from(family.fields.len()).unwrap();
            assert!(slots < 256, "{} has {slots} slots", family.name);
        }
    }

    #[test]
    fn mistakes_in_the_data_are_named() {
        let base =
            "version = 1\nopen_prefixes = []\n[enums]\n[elements]\n[shapes]\nh = [[\"md5\", \"bytes\", \"A.\"]]\n";
        let family = |groups: &str, fields: &str| {
            format!(
                "{base}[groups]\ng = [[\"g.a\", \"int\", \"A.\"]]\n[[family]]\nname = \"f\"\ndoc = \"F.\"\n\
                 groups = {groups}\nclasses = [[\"f.c\", \"C.\"]]\nfields = {fields}\n"
            )
        };
        let good = parse(&family("[\"g\"]", "[[\"f.*\", \"h\"], [\"f.x\", \"list<short~>\", \"X.\", \"y\"]]")).unwrap();
        assert_eq!(good.families[0].fields.len(), 3);
        let error = |fields: &str| parse(&family("[\"g\"]", fields)).unwrap_err().to_string();
        assert!(error("[[\"f.x\", \"number\", \"X.\"]]").contains("unknown type `number`"));
        assert!(error("[[\"f.x\", \"int~\", \"X.\"]]").contains("unknown type `int~`"));
        assert!(error("[[\"f.x\"]]").contains("neither"));
        assert!(error("[[\"f.x\", \"h\"]]").contains("neither"));
        assert!(error("[[\"f.*\", \"nothing\"]]").contains("`nothing` is not defined"));
        assert!(error("[[\"g.a\", \"int\", \"Again.\"]]").contains("used twice"));
        assert!(parse(&family("[\"absent\"]", "[]")).unwrap_err().to_string().contains("`absent` is not defined"));
        assert!(parse("version = ").is_err());
    }
}
