//! Whether the sources really supply what a program reads.
//!
//! The catalogue says what could be in an event; a [`Supply`] says what the configured sources put there. The two are
//! compared before a program is linked, field by field and by name. What passes here and still turns out missing at
//! run time is a short record, which stops the one program that needs the field.

use std::fmt;

use trapline_vm::program::Object;
use trapline_vm::record::{Catalogue, ClassId, FamilyId};

use crate::domain::Domain;
use crate::link::{LinkError, LinkOptions, Linked};

/// What the configured sources supply.
pub trait Supply {
    /// How many of the family's fields in the catalogue their records have room for.
    fn field_count(&self, family: FamilyId) -> u16;
    /// Whether events of this class can carry the field.
    fn supplies(&self, class: ClassId, field: &str) -> bool;
}

/// Why a field that a rule reads will never be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingReason {
    /// The source was made for fewer fields than the catalogue has.
    NoSlot {
        /// Number of the field, from 1.
        number: usize,
        /// Fields of the family in the catalogue.
        catalogue: usize,
        /// Fields that the source's records have.
        source: usize,
    },
    /// The records have room for it, but nothing fills it.
    NotFilled,
}

/// A field that a rule reads and no source supplies for the classes that wake it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingField {
    /// Its name.
    pub name: String,
    /// Why it is missing.
    pub reason: MissingReason,
}

/// Fields that a rule reads and no source supplies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SupplyError {
    /// Name of the rule.
    pub rule: String,
    /// The family of its events.
    pub family: String,
    /// The fields, by name; at least one.
    pub fields: Vec<MissingField>,
}

impl fmt::Display for SupplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, family, fields } = self;
        for (index, MissingField { name, reason }) in fields.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "rule `{rule}` reads `{name}`, ")?;
            match reason {
                MissingReason::NoSlot { number, catalogue, source } => write!(
                    f,
                    "field {number} of `{family}` events: the catalogue says {catalogue} fields, the source supplies \
                     {source}"
                )?,
                MissingReason::NotFilled => {
                    write!(f, "which no source supplies for the `{family}` events it is about")?
                }
            }
        }
        Ok(())
    }
}

/// How a program is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// For the linker.
    pub link: LinkOptions,
    /// Fields that the rule can match without, as its compiler has shown: they may be missing as long as records have
    /// room for them.
    pub may_lack: &'a [String],
    /// Loads the program whatever the sources supply, to show in tests and drills that the check of each record
    /// against the program holds on its own.
    pub skip_supply_check_for_tests: bool,
}

/// Why a program is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No source supplies what it reads.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// It does not fit the catalogue.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl Domain {
    /// Links an object if the sources supply what it reads.
    pub fn load(
        &mut self,
        object: &Object,
        supply: &dyn Supply,
        options: &LoadOptions<'_>,
    ) -> Result<Linked, LoadError> {
        if !options.skip_supply_check_for_tests
            && let Err(mut error) = check_supply(object, self.catalogue(), supply)
        {
            let lackable = |field: &MissingField| {
                field.reason == MissingReason::NotFilled && options.may_lack.contains(&field.name)
            };
            error.fields.retain(|field| !lackable(field));
            if !error.fields.is_empty() {
                return Err(error.into());
            }
        }
        Ok(self.link(object, &options.link)?)
    }
}

/// Finds the fields of an object that no source supplies in any of the classes that wake it. Names that the catalogue
/// does not know are left to the linker.
pub fn check_supply(object: &Object, catalogue: &Catalogue, supply: &dyn Supply) -> Result<(), SupplyError> {
    let Some(family) = catalogue.family_id(&object.family) else {
        return Ok(());
    };
    let classes: Vec<ClassId> = object.classes.iter().filter_map(|name| catalogue.class_id(name)).collect();
    let source = supply.field_count(family);
    let mut fields: Vec<MissingField> = Vec::new();
    let read = object.fields.iter().chain(object.predicates.iter().map(|predicate| &predicate.field));
    for name in read.map(|field| &field.name) {
        let slot = catalogue.field_id(name).and_then(|field| catalogue.slot(family, field));
        let reason = match slot {
            Some(slot) if slot >= source => MissingReason::NoSlot {
                number: usize::from(slot) + 1,
                catalogue: catalogue.family(family).fields.len(),
                source: usize::from(source),
            },
            None if !catalogue.is_open(name) => continue,
            _ if classes.iter().any(|class| supply.supplies(*class, name)) => continue,
            _ => MissingReason::NotFilled,
        };
        if fields.iter().all(|field| field.name != *name) {
            fields.push(MissingField { name: name.clone(), reason });
        }
    }
    if fields.is_empty() {
        return Ok(());
    }
    Err(SupplyError { rule: object.name.clone(), family: object.family.clone(), fields })
}

#[cfg(test)]
mod tests {
    use trapline_vm::predicate::StrOp;

    use super::*;
    use crate::testing::*;

    /// Supplies the first fields of each family, to some classes, but for one name.
    struct First {
        fields: u16,
        classes: Vec<u16>,
        not: &'static str,
    }

    impl Supply for First {
        fn field_count(&self, _: FamilyId) -> u16 {
            self.fields
        }

        fn supplies(&self, class: ClassId, field: &str) -> bool {
            self.classes.contains(&class.0) && field != self.not
        }
    }

    const ALL: First = First { fields: 20, classes: vec![], not: "" };

    fn load(object: &Object, supply: &First, options: &LoadOptions<'_>) -> Result<Linked, LoadError> {
        Domain::new(catalogue()).load(object, supply, options)
    }

    #[test]
    fn a_field_beyond_those_supplied_is_refused_by_name() {
        let object = predicate_object("last", predicate("s19", StrOp::Equals, "x"));
        let all = First { classes: vec![0], ..ALL };
        for (fields, good) in [(19, false), (20, true), (21, true)] {
            let loaded = load(&object, &First { fields, classes: vec![0], ..all }, &LoadOptions::default());
            assert_eq!(loaded.is_ok(), good, "{fields}");
            if let Err(error) = loaded {
                assert_eq!(
                    error.to_string(),
                    "rule `last` reads `s19`, field 20 of `a` events: the catalogue says 20 fields, the source \
                     supplies 19"
                );
            }
        }
        // Not even a rule that can match without it: its code would read beyond the record.
        let lackable = ["s19".to_owned()];
        let options = LoadOptions { may_lack: &lackable, ..LoadOptions::default() };
        assert!(load(&object, &First { fields: 19, classes: vec![0], not: "" }, &options).is_err());
        let drill = LoadOptions { skip_supply_check_for_tests: true, ..LoadOptions::default() };
        assert!(load(&object, &First { fields: 19, classes: vec![0], not: "" }, &drill).is_ok());
    }

    #[test]
    fn a_field_that_nothing_fills_is_refused_unless_the_rule_can_match_without() {
        let mut object = predicate_object("r", predicate("name", StrOp::Equals, "x"));
        object.fields = vec![field_ref("size", INT), field_ref("raw.x", STR)];
        object.classes.push("a.two".to_owned());
        let supply = |not, classes: &[u16]| First { fields: 20, classes: classes.to_vec(), not };
        let options = LoadOptions::default();
        assert!(load(&object, &supply("", &[0, 1]), &options).is_ok());
        assert!(load(&object, &supply("", &[1]), &options).is_ok(), "one class is enough");
        for field in ["name", "size", "raw.x"] {
            let error = load(&object, &supply(field, &[0, 1]), &options).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("rule `r` reads `{field}`, which no source supplies for the `a` events it is about")
            );
            let lackable = [field.to_owned()];
            let options = LoadOptions { may_lack: &lackable, ..options };
            assert!(load(&object, &supply(field, &[0, 1]), &options).is_ok());
        }
        let LoadError::Supply(error) = load(&object, &supply("", &[2]), &options).unwrap_err() else {
            panic!("nothing is supplied to its classes")
        };
        let names: Vec<&str> = error.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["size", "raw.x", "name"], "all at once");
    }

    #[test]
    fn names_outside_the_catalogue_are_the_linkers_to_refuse() {
        let object = predicate_object("r", predicate("nope", StrOp::Equals, "x"));
        let error = load(&object, &First { classes: vec![0], ..ALL }, &LoadOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "`a` events have no field `nope`");
    }
}
