//! Events in the Elastic Common Schema: their class follows from `event.category`, `event.type` and `event.action`,
//! and their fields have the names of the catalogue, some producers' names apart.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use trapline_vm::record::{ClassId, FieldId};

use super::TaxonomyError;
use crate::catalogue::catalogue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    classes: Vec<(String, String, Vec<String>, Vec<String>)>,
    aliases: Vec<(String, String)>,
}

struct Rule {
    class: ClassId,
    category: String,
    types: Vec<String>,
    actions: Vec<String>,
}

pub(super) struct Ecs {
    rules: Vec<Rule>,
    aliases: HashMap<FieldId, Vec<String>>,
    generic: ClassId,
}

static EMBEDDED: LazyLock<Ecs> =
    LazyLock::new(|| load(include_str!("ecs.toml")).expect("a test loads the embedded taxonomies"));

pub(super) fn load(text: &str) -> Result<Ecs, TaxonomyError> {
    let error = |what: String| TaxonomyError { profile: super::ECS.to_owned(), what };
    let File { classes, aliases } = toml::from_str(text).map_err(|cause| error(cause.to_string()))?;
    let class_id =
        |name: &str| catalogue().class_id(name).ok_or_else(|| error(format!("the catalogue has no class `{name}`")));
    let mut rules = Vec::new();
    for (class, category, types, actions) in classes {
        rules.push(Rule { class: class_id(&class)?, category, types, actions });
    }
    let mut by_field: HashMap<FieldId, Vec<String>> = HashMap::new();
    for (path, field) in aliases {
        let id = catalogue().field_id(&field);
        let id = id.ok_or_else(|| error(format!("the catalogue has no field `{field}`")))?;
        if catalogue().field_id(&path).is_some() {
            return Err(error(format!("`{path}` is a field itself")));
        }
        by_field.entry(id).or_default().push(path);
    }
    Ok(Ecs { rules, aliases: by_field, generic: class_id("generic.log")? })
}

/// The class of an event by its categorisation; each of the three may have several values, and compares without
/// regard to case. What fits nothing is `generic.log`.
///
/// ```
/// use trapline_programs::catalogue::{catalogue, taxonomy::ecs_class};
/// let name = |class| catalogue().class(class).name.as_str();
/// assert_eq!(name(ecs_class(&["process"], &["start"], &["exec"])), "process.exec");
/// assert_eq!(name(ecs_class(&["pipe"], &[], &["create"])), "pipe.create");
/// ```
pub fn ecs_class(categories: &[&str], types: &[&str], actions: &[&str]) -> ClassId {
    // An alert of an antivirus is also of the category of what it is about: that is not what happened.
    let malware: Option<&&str> = categories.iter().find(|category| category.eq_ignore_ascii_case("malware"));
    let categories = malware.map_or(categories, std::slice::from_ref);
    // Of several actions at once (`fork`, `exec`) the class that comes first in the catalogue is told.
    let named = categories
        .iter()
        .flat_map(|category| actions.iter().map(move |action| format!("{category}.{action}").to_ascii_lowercase()))
        .filter_map(|name| catalogue().class_id(&name))
        .min();
    if let Some(class) = named {
        return class;
    }
    let any = |known: &[String], given: &[&str]| {
        known.is_empty() || given.iter().any(|value| known.iter().any(|known| known.eq_ignore_ascii_case(value)))
    };
    let fits = |rule: &&Rule| {
        categories.iter().any(|category| category.eq_ignore_ascii_case(&rule.category))
            && any(&rule.types, types)
            && any(&rule.actions, actions)
    };
    EMBEDDED.rules.iter().find(fits).map_or(EMBEDDED.generic, |rule| rule.class)
}

/// Other dotted paths at which ECS producers hold this field; its own name comes before them.
pub fn ecs_aliases(field: FieldId) -> &'static [String] {
    EMBEDDED.aliases.get(&field).map_or(&[], Vec::as_slice)
}
