//! What our own live sensors supply. Their events have the names of the catalogue, so there is nothing to map; the
//! data only says which classes occur, and which fields each class can have. See `linux-connector.toml`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use serde::Deserialize;
use trapline_vm::record::{ClassId, FieldId};

use super::TaxonomyError;
use crate::catalogue::catalogue;

const PROFILES: [&str; 2] = [include_str!("linux-connector.toml"), include_str!("linux-proc.toml")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: String,
    /// Runs of fields that several classes have.
    #[serde(default)]
    sets: BTreeMap<String, Vec<String>>,
    class: Vec<Class>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    name: String,
    #[serde(default)]
    sets: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
}

/// What one sensor supplies.
pub(super) struct Sensor {
    pub(super) profile: String,
    pub(super) fields: HashMap<ClassId, HashSet<FieldId>>,
}

static EMBEDDED: LazyLock<Vec<Sensor>> = LazyLock::new(|| {
    let load = |text: &&str| load(text).expect("a test loads the embedded taxonomies");
    PROFILES.iter().map(load).collect()
});

/// The profiles of all sensors.
pub(super) fn sensors() -> &'static [Sensor] {
    &EMBEDDED
}

pub(super) fn load(text: &str) -> Result<Sensor, TaxonomyError> {
    let mut profile = "sensor".to_owned();
    let error = |profile: &str, what: String| TaxonomyError { profile: profile.to_owned(), what };
    let file: File = toml::from_str(text).map_err(|cause| error(&profile, cause.to_string()))?;
    profile.clone_from(&file.profile);
    let mut fields: HashMap<ClassId, HashSet<FieldId>> = HashMap::new();
    for class in &file.class {
        let id = catalogue().class_id(&class.name);
        let id = id.ok_or_else(|| error(&profile, format!("the catalogue has no class `{}`", class.name)))?;
        let family = catalogue().class(id).family;
        if fields.contains_key(&id) {
            return Err(error(&profile, format!("`{}` is described twice", class.name)));
        }
        let supplied = fields.entry(id).or_default();
        let mut names: Vec<&String> = class.fields.iter().collect();
        for set in &class.sets {
            let set = file.sets.get(set).ok_or_else(|| error(&profile, format!("there is no set `{set}`")))?;
            names.extend(set);
        }
        for name in names {
            let field = catalogue().field_id(name).filter(|field| catalogue().slot(family, *field).is_some());
            let field = field.ok_or_else(|| error(&profile, format!("`{}` has no field `{name}`", class.name)))?;
            if !supplied.insert(field) {
                return Err(error(&profile, format!("`{}` names `{name}` twice", class.name)));
            }
        }
    }
    Ok(Sensor { profile, fields })
}
