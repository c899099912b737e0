//! From log sources and field names of Sigma to events and fields of the catalogue.
//!
//! The data are `logsource.toml` and the taxonomies beside the catalogue. A name of Sigma is looked up for each source
//! that the log source stands for, and yields *places*, best first: fields of the catalogue that hold the raw value, and
//! at last the raw value itself. Which of them answers a test exactly is the test's business: a field of the catalogue
//! takes Windows' `-` for absent, say, which is the same to a test that `-` does not pass, and not to one that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{Catalogue, ClassId, FieldType, Os, OsSet, Scalar};

use super::document::{Located, LogSource};
use crate::catalogue::taxonomy::{Conversion, KnownEvent, Mapping, Raw, Taxonomy};
use crate::lang::suggest::nearest;

/// The events of a log source, and what its names stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// Classes of its events.
    pub(crate) classes: Vec<ClassId>,
    /// Operating system; none: any.
    pub(crate) os: OsSet,
    /// What must hold besides, for an event of these classes to be of this source: all of them.
    pub(crate) guards: Vec<Guard>,
    sources: Vec<Names>,
    is_windows: bool,
}

/// A condition on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The field is one of these, in any case.
    Is(FieldRef, Vec<String>),
    /// It is not a Windows event, or is one of these: module, and ids.
    Windows(Vec<(String, Vec<i64>)>),
}

/// What names stand for in events of one source.
#[derive(Clone, Debug, Default)]
struct Names {
    /// `event.module` of its events.
    module: String,
    mappings: Vec<&'static Mapping>,
    aliases: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
    /// Prefix of raw fields.
    raw: &'static str,
}

/// Where the value of a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The field.
    pub(crate) field: FieldRef,
    /// What is in it.
    pub(crate) how: How,
    /// Only in events of this module has the field this meaning.
    pub(crate) module: Option<String>,
}

/// What a field holds of a raw value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Its text, but for these texts, of which the field is absent.
    Text(&'static [&'static str]),
    /// The number it is.
    Int,
    /// Whether it is true.
    Flag,
    /// The address it is.
    Address,
    /// The time it is.
    Time,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    channels: BTreeMap<String, Vec<String>>,
    category: Vec<Category>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Category {
    name: String,
    product: Option<String>,
    classes: Vec<String>,
    #[serde(default)]
    events: BTreeMap<String, Vec<u32>>,
    #[serde(default)]
    when: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

static FILE: LazyLock<File> =
    LazyLock::new(|| toml::from_str(include_str!("logsource.toml")).expect("a test loads the embedded log sources"));

/// Of texts that Windows writes for no value.
const NOTHING: &[&str] = &["", "-", "%%1793"];
/// In version resources, also this.
const NOTHING_PE: &[&str] = &["", "-", "%%1793", "?"];

/// Raw fields of Windows events, whether of EventData or of UserData: all values of a name.
const EVENT_DATA: &str = "values.winlog.event_data.";
/// Fields of any other event, as its producer names them, likewise.
const RAW: &str = "values.raw.";

/// Names of the header of Windows events, and the fields that hold it: as a number where it is one, and as text.
const HEADER: &[(&str, &[&str])] = &[
    ("EventID", &["winlog.event_id", "event.code"]),
    ("Channel", &["winlog.channel"]),
    ("Provider_Name", &["winlog.provider_name"]),
    ("ProviderName", &["winlog.provider_name"]),
    ("Computer", &["winlog.computer_name"]),
    ("ComputerName", &["winlog.computer_name"]),
    ("EventRecordID", &["winlog.record_id"]),
    ("Keywords", &["winlog.keywords"]),
    ("Level", &["winlog.level", "log.level"]),
    ("Task", &["winlog.task"]),
    ("Opcode", &["winlog.opcode"]),
];

/// Why a log source is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// The part that is not known.
    pub(crate) part: Located,
    /// One sentence.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

impl Stream {
    /// The stream of a log source. `ids` are the event ids that an event must have one of, if that is known of the rule.
    pub(crate) fn new(source: &LogSource, ids: Option<&BTreeSet<i64>>, catalogue: &Catalogue) -> Result<Self, Unknown> {
        let text = |part: &Option<Located>| part.as_ref().map(|part| part.text.clone());
        let (product, category, service) = (text(&source.product), text(&source.category), text(&source.service));
        let is_windows = product.as_deref() == Some("windows");
        if let Some(category) = &category {
            let found = FILE.category.iter().find(|known| {
                known.name == *category && known.product.as_ref().is_none_or(|known| Some(known) == product.as_ref())
            });
            return match found {
                Some(found) => Ok(Self::of_category(found, service.as_deref(), is_windows, catalogue)),
                None if is_windows => {
                    let names = FILE.category.iter().filter(|known| known.product.as_deref() != Some("linux"));
                    Err(unknown(source.category.as_ref(), "category", names.map(|known| known.name.as_str())))
                }
                None => Ok(Self::generic(catalogue)),
            };
        }
        if !is_windows {
            return Ok(Self::generic(catalogue));
        }
        match &service {
            Some(service) => match FILE.channels.get(service) {
                Some(channels) => Ok(Self::of_channels(channels, ids, catalogue)),
                None => Err(unknown(source.service.as_ref(), "service", FILE.channels.keys().map(String::as_str))),
            },
            None => Ok(Self::windows(catalogue)),
        }
    }

    fn of_category(category: &Category, service: Option<&str>, is_windows: bool, catalogue: &Catalogue) -> Self {
        let mut classes: BTreeSet<ClassId> =
            category.classes.iter().filter_map(|name| catalogue.class_id(name)).collect();
        let is_ours = |event: &KnownEvent<'_>| {
            category.events.get(&event.mapping.profile).is_some_and(|ids| ids.contains(&event.event_id))
        };
        let mut sources: BTreeMap<&str, Names> = BTreeMap::new();
        for event in Taxonomy::windows().known().filter(is_ours) {
            classes.insert(event.mapping.class);
            let names = sources.entry(&event.mapping.profile).or_default();
            names.module = module(event.mapping, catalogue);
            names.aliases = category.aliases.get(&event.mapping.profile).cloned().unwrap_or_default();
            names.raw = EVENT_DATA;
            if names.mappings.iter().all(|known| known.index != event.mapping.index) {
                names.mappings.push(event.mapping);
            }
        }
        let mut guards = Vec::new();
        // Classes that other Windows events are of as well.
        if Taxonomy::windows().known().any(|event| classes.contains(&event.mapping.class) && !is_ours(&event)) {
            let ids = |profile: &str| {
                category.events.get(profile).into_iter().flatten().map(|id| i64::from(*id)).collect::<Vec<_>>()
            };
            guards.push(Guard::Windows(
                sources.iter().map(|(profile, names)| (names.module.clone(), ids(profile))).collect(),
            ));
        }
        for (field, values) in &category.when {
            guards.push(Guard::Is(raw(EVENT_DATA, field), values.clone()));
        }
        if let Some(channels) = service.and_then(|service| FILE.channels.get(service)).filter(|_| is_windows) {
            guards.push(Guard::Is(channel(), channels.clone()));
        }
        let mut sources: Vec<Names> = sources.into_values().collect();
        // Sysmon's names are Sigma's: its fields are those that sources of other kinds fill too.
        sources.sort_by_key(|names| names.module != "sysmon");
        if !category.fields.is_empty() || sources.is_empty() {
            let fields = category.fields.clone();
            let raw = if is_windows { EVENT_DATA } else { RAW };
            sources.push(Names { fields, raw, ..Names::default() });
        }
        let os = match category.product.as_deref() {
            Some("windows") => OsSet::default().with(Os::Windows),
            Some("linux") => OsSet::default().with(Os::Linux),
            Some("macos") => OsSet::default().with(Os::MacOs),
            _ => OsSet::default(),
        };
        Self { classes: classes.into_iter().collect(), os, guards, sources, is_windows }
    }

    fn of_channels(channels: &[String], ids: Option<&BTreeSet<i64>>, catalogue: &Catalogue) -> Self {
        let has = |names: &[String], name: &String| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mut stream = Self::windows(catalogue);
        let mut classes: BTreeSet<ClassId> = catalogue.class_id("generic.log").into_iter().collect();
        for event in Taxonomy::windows().known() {
            let wanted = ids.is_none_or(|ids| ids.contains(&i64::from(event.event_id)));
            if wanted && event.channels.iter().any(|name| has(channels, name)) {
                classes.insert(event.mapping.class);
            }
        }
        stream.classes = classes.into_iter().collect();
        stream.guards.push(Guard::Is(channel(), channels.to_vec()));
        stream
    }

    /// Any event of Windows.
    fn windows(catalogue: &Catalogue) -> Self {
        let mut classes: BTreeSet<ClassId> = Taxonomy::windows().mappings().iter().map(|known| known.class).collect();
        classes.extend(catalogue.class_id("generic.log"));
        let names = Names { raw: EVENT_DATA, ..Names::default() };
        Self {
            classes: classes.into_iter().collect(),
            os: OsSet::default().with(Os::Windows),
            guards: Vec::new(),
            sources: vec![names],
            is_windows: true,
        }
    }

    /// Events that only their producer knows: their own names.
    /// Events that no class describes, other than those of Windows.
    fn generic(catalogue: &Catalogue) -> Self {
        let names = Names { raw: RAW, ..Names::default() };
        Self {
            classes: catalogue.class_id("generic.log").into_iter().collect(),
            guards: vec![Guard::Windows(Vec::new())],
            sources: vec![names],
            ..Self::default()
        }
    }

    /// The places of a name: of each source a list, best first.
    ///
    /// A name of the catalogue is that field, and one below an open prefix (`raw.`, `winlog.event_data.`) what it says:
    /// pipelines map to such names.
    pub(crate) fn places(&self, name: &str, catalogue: &Catalogue) -> Vec<Vec<Place>> {
        if catalogue.is_open(name) {
            return vec![vec![Place { field: raw("", name), how: How::Text(&[]), module: None }]];
        }
        if name.contains('.')
            && catalogue.field_id(name).is_some()
            && self.sources.iter().all(|source| source.raw != RAW)
        {
            return vec![self.field(name, catalogue).into_iter().collect()];
        }
        if self.is_windows
            && let Some((_, fields)) = HEADER.iter().find(|(known, _)| *known == name)
        {
            return vec![fields.iter().filter_map(|field| place_of(catalogue, field)).collect()];
        }
        let places = |source: &Names| {
            let of_catalogue = if source.raw == RAW { self.field(name, catalogue) } else { None };
            source.places(name, of_catalogue, catalogue)
        };
        self.sources.iter().flat_map(places).collect()
    }

    /// A field of the catalogue, if events of these classes have it.
    fn field(&self, name: &str, catalogue: &Catalogue) -> Option<Place> {
        let id = catalogue.field_id(name)?;
        let has = |class: &ClassId| catalogue.slot(catalogue.class(*class).family, id).is_some();
        place_of(catalogue, name).filter(|_| self.classes.iter().any(has))
    }
}

impl Names {
    fn places(&self, name: &str, of_catalogue: Option<Place>, catalogue: &Catalogue) -> Vec<Vec<Place>> {
        let plain = name.replace(' ', "");
        if let Some(field) = self.fields.get(&plain) {
            return vec![place_of(catalogue, field).into_iter().collect()];
        }
        let alias = self.aliases.get(&plain);
        let own = alias.unwrap_or(&plain);
        let module = alias.is_some().then(|| self.module.clone());
        let mut best = self.catalogue_places(own, catalogue);
        best.extend(of_catalogue);
        best.push(Place { field: raw(self.raw, own), how: How::Text(&[]), module });
        vec![best]
    }

    /// Fields that hold the raw value in every event of this source, and nothing else.
    fn catalogue_places(&self, own: &str, catalogue: &Catalogue) -> Vec<Place> {
        let Some((first, others)) = self.mappings.split_first() else { return Vec::new() };
        let of_own = |mapping: &Mapping| {
            let rows = mapping.rows.iter().filter(|row| matches!(&row.raw, Raw::Data(name) if name == own));
            rows.map(|row| (row.field, row.conversion.clone())).collect::<Vec<_>>()
        };
        let is_alone = |mapping: &Mapping, field| mapping.rows.iter().filter(|row| row.field == field).count() == 1;
        let mut places = Vec::new();
        for (field, conversion) in of_own(first) {
            let same = |mapping: &&'static Mapping| of_own(mapping).contains(&(field, conversion.clone()));
            if !others.iter().all(same) || !self.mappings.iter().all(|known| is_alone(known, field)) {
                continue;
            }
            let how = match conversion {
                Conversion::Text | Conversion::RegistryPath => How::Text(NOTHING),
                Conversion::PeText => How::Text(NOTHING_PE),
                Conversion::Verbatim => How::Text(&[]),
                Conversion::Int => How::Int,
                Conversion::Bool => How::Flag,
                Conversion::Ip => How::Address,
                Conversion::Time => How::Time,
                _ => continue,
            };
            let known = catalogue.field(field);
            places.push(Place { field: FieldRef { name: known.name.clone(), ty: known.ty }, how, module: None });
        }
        // Text answers most.
        places.sort_by_key(|place| !matches!(place.how, How::Text(_)));
        places
    }
}

fn place_of(catalogue: &Catalogue, name: &str) -> Option<Place> {
    let ty = catalogue.field(catalogue.field_id(name)?).ty;
    let how = match ty {
        FieldType::Scalar(Scalar::Str | Scalar::Path) | FieldType::List(Scalar::Str | Scalar::Path) => How::Text(&[]),
        FieldType::Scalar(Scalar::Int) => How::Int,
        FieldType::Scalar(Scalar::Bool) => How::Flag,
        FieldType::Scalar(Scalar::Ip) => How::Address,
        FieldType::Scalar(Scalar::Time) => How::Time,
        _ => return None,
    };
    Some(Place { field: FieldRef { name: name.to_owned(), ty }, how, module: None })
}

fn raw(prefix: &str, name: &str) -> FieldRef {
    FieldRef { name: format!("{prefix}{name}"), ty: FieldType::List(Scalar::Str) }
}

fn channel() -> FieldRef {
    FieldRef { name: "winlog.channel".to_owned(), ty: FieldType::Scalar(Scalar::Str) }
}

/// `event.module` of a mapping's events.
fn module(mapping: &Mapping, catalogue: &Catalogue) -> String {
    let field = catalogue.field_id("event.module");
    let constant = mapping.constants.iter().find(|(id, _)| Some(*id) == field);
    match constant {
        Some((_, crate::catalogue::taxonomy::Constant::Str(text))) => text.clone(),
        _ => String::new(),
    }
}

fn unknown<'n>(part: Option<&Located>, what: &str, names: impl Iterator<Item = &'n str> + Clone) -> Unknown {
    let part = part.cloned().unwrap_or(Located { text: String::new(), range: 0..0 });
    let message = format!("`{}` is no {what} of Windows that is known here", part.text);
    let help = match nearest(&part.text, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")),
    };
    Unknown { part, message, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;
    use crate::catalogue::taxonomy;

    #[test]
    fn the_file_speaks_of_things_that_exist() {
        for category in &FILE.category {
            for class in &category.classes {
                assert!(catalogue().class_id(class).is_some(), "{}: {class}", category.name);
            }
            for (profile, ids) in &category.events {
                assert!(taxonomy::profiles().contains(&profile.as_str()), "{}: {profile}", category.name);
                for id in ids {
                    let known = Taxonomy::windows()
                        .known()
                        .any(|event| event.mapping.profile == *profile && event.event_id == *id);
                    assert!(known, "{}: {profile} {id}", category.name);
                }
            }
            for field in category.fields.values() {
                assert!(place_of(catalogue(), field).is_some(), "{}: {field}", category.name);
            }
            assert!(category.aliases.keys().all(|profile| category.events.contains_key(profile)), "{}", category.name);
        }
    }

    fn stream(product: &str, category: &str, service: &str) -> Stream {
        let part = |text: &str| (!text.is_empty()).then(|| Located { text: text.to_owned(), range: 0..0 });
        let source = LogSource {
            product: part(product),
            category: part(category),
            service: part(service),
            ..LogSource::default()
        };
        Stream::new(&source, None, catalogue()).unwrap()
    }

    fn names(stream: &Stream, name: &str) -> Vec<Vec<String>> {
        let places = stream.places(name, catalogue());
        places.iter().map(|places| places.iter().map(|place| place.field.name.clone()).collect()).collect()
    }

    #[test]
    fn names_of_process_creation() {
        let stream = stream("windows", "process_creation", "");
        assert_eq!(stream.guards, []);
        assert_eq!(
            names(&stream, "Image"),
            [
                vec!["process.executable", "values.winlog.event_data.Image"],
                vec!["process.executable", "values.winlog.event_data.NewProcessName"]
            ]
        );
        assert_eq!(
            names(&stream, "Hashes"),
            [["values.winlog.event_data.Hashes"], ["values.winlog.event_data.Hashes"]]
        );
        assert_eq!(names(&stream, "EventID"), [["winlog.event_id", "event.code"]]);
        let aliased = stream.places("ParentProcessId", catalogue());
        assert_eq!(aliased[1].last().unwrap().module.as_deref(), Some("security"));
    }

    #[test]
    fn a_field_that_another_name_fills_is_not_taken() {
        // What is renamed is called TargetObject, and the catalogue's path is that of the new name.
        let stream = stream("windows", "registry_event", "");
        assert_eq!(names(&stream, "TargetObject"), [["values.winlog.event_data.TargetObject"]]);
        let set = self::stream("windows", "registry_set", "");
        assert_eq!(names(&set, "TargetObject"), [["registry.path", "values.winlog.event_data.TargetObject"]]);
    }

    #[test]
    fn services_are_channels() {
        let stream = stream("windows", "", "security");
        assert_eq!(stream.guards, [Guard::Is(channel(), vec!["Security".to_owned()])]);
        assert_eq!(names(&stream, "SubjectUserName"), [["values.winlog.event_data.SubjectUserName"]]);
        let unknown = LogSource {
            product: Some(Located { text: "windows".to_owned(), range: 0..0 }),
            service: Some(Located { text: "securty".to_owned(), range: 0..0 }),
            ..LogSource::default()
        };
        assert_eq!(Stream::new(&unknown, None, catalogue()).unwrap_err().help, "did you mean `security`?");
    }
}
