//! From log sources and field names of Sigma to events and fields of the catalogue.
//!
//! The data are `logsource.toml` and the taxonomies beside the catalogue. A name of Sigma is looked up for each source
//! that the log source stands for, and yields *places*, best first: fields of the catalogue that hold the raw value, and
//! at last the raw value itself. Which of them answers a test exactly is the test's business: a field of the catalogue
//! takes Windows' `-` for absent, say, which is the same to a test that `-` does not pass, and not to one that it does.
//!
//! Events that no class describes are told apart by what they say of where they come from: [`super::origin`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{Catalogue, ClassId, FieldType, Os, OsSet, Scalar, VALUES_PREFIX};

use super::document::{Located, LogSource};
use super::origin::{self, Claim, Origin};
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
    /// Its channel is one of these; or a forwarder hid that, and its provider writes to them.
    Channel(Vec<String>, Providers),
    /// What the event says of where it comes from fits. One that says nothing has one of these fields, if there are any.
    Origin { claims: Vec<Claim>, has: Vec<FieldRef>, or: Vec<FieldRef> },
}

/// Who writes to some channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Providers {
    /// These.
    These(Vec<String>),
    /// Anybody may, but these, who write to others.
    AllBut(Vec<String>),
}

/// What is known of a rule beside its log source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The event ids that an event must have one of; None: any.
    pub(crate) ids: Option<BTreeSet<i64>>,
    /// It looks for values without a field, so that names of fields do not tell its events.
    pub(crate) keywords: bool,
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
    /// Other names that producers give to a field, and prefixes that they put before all.
    others: BTreeMap<String, Vec<String>>,
    below: Vec<String>,
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
    /// It is asked only of events that are not as Windows writes them: those have raw fields.
    pub(crate) elsewhere: bool,
}

impl Place {
    /// A place of all events.
    pub(crate) fn new(field: FieldRef, how: How) -> Self {
        Self { field, how, module: None, elsewhere: false }
    }

    /// A field of the catalogue, for events that have it and no raw fields: it is the value itself there.
    pub(crate) fn elsewhere(&self) -> Self {
        let how = if let How::Text(_) = self.how { How::Text(&[]) } else { self.how };
        Self { how, elsewhere: true, ..self.clone() }
    }

    /// Whether it is a raw field of Windows events.
    pub(crate) fn is_event_data(&self) -> bool {
        self.field.name.starts_with(EVENT_DATA)
    }
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
    providers: BTreeMap<String, Vec<String>>,
    category: Vec<Category>,
    service: Vec<Origin>,
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
    // Attributes have the name of their element before them.
    ("Provider_Guid", &["winlog.provider_guid"]),
    ("Correlation_ActivityID", &["winlog.activity_id"]),
    ("Execution_ProcessID", &["winlog.process.pid"]),
    ("Execution_ThreadID", &["winlog.process.thread.id"]),
    ("Security_UserID", &["winlog.user.identifier"]),
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
    /// The stream of a log source, for a rule of which this is known.
    pub(crate) fn new(source: &LogSource, wanted: &Wanted, catalogue: &Catalogue) -> Result<Self, Unknown> {
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
                None => Ok(Self::generic(source, wanted, catalogue)),
            };
        }
        if !is_windows {
            return Ok(Self::generic(source, wanted, catalogue));
        }
        match &service {
            Some(service) => match FILE.channels.get(service) {
                Some(channels) => Ok(Self::of_channels(service, channels, wanted.ids.as_ref(), catalogue)),
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
        // Classes that other Windows events are of as well. Those of other systems are told by the system.
        let elsewhere = category.product.as_ref().is_some_and(|product| product != "windows");
        if !elsewhere
            && Taxonomy::windows().known().any(|event| classes.contains(&event.mapping.class) && !is_ours(&event))
        {
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
        if let Some((service, channels)) = service.and_then(|service| FILE.channels.get_key_value(service))
            && is_windows
        {
            guards.push(channel_guard(service, channels));
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

    fn of_channels(service: &str, channels: &[String], ids: Option<&BTreeSet<i64>>, catalogue: &Catalogue) -> Self {
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
        stream.guards.push(channel_guard(service, channels));
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

    /// Events that only their producer knows: their own names. Those of Windows say that they are.
    fn generic(source: &LogSource, wanted: &Wanted, catalogue: &Catalogue) -> Self {
        let origin = origin::find(&FILE.service, source);
        let names = Names {
            raw: RAW,
            others: origin.map_or_else(BTreeMap::new, |origin| origin.fields.clone()),
            below: origin.map_or_else(Vec::new, |origin| origin.below.clone()),
            ..Names::default()
        };
        let named = origin.into_iter().flat_map(|origin| &origin.classes).map(String::as_str);
        let classes: BTreeSet<ClassId> =
            named.chain(["generic.log"]).filter_map(|name| catalogue.class_id(name)).collect();
        let os = match source.product.as_ref().map(|product| product.text.as_str()) {
            Some("linux") => OsSet::default().with(Os::Linux),
            Some("macos") => OsSet::default().with(Os::MacOs),
            _ => OsSet::default(),
        };
        let has = origin.filter(|_| wanted.keywords).map_or(&[][..], |origin| origin.has.as_slice());
        let field = |name: &String| match catalogue.field_id(name) {
            Some(id) => FieldRef { name: name.clone(), ty: catalogue.field(id).ty },
            None => raw(VALUES_PREFIX, name),
        };
        // Of another class, it is what it is whoever reports it.
        let or = if classes.len() > 1 {
            origin.into_iter().flat_map(|origin| &origin.known).map(field).collect()
        } else {
            Vec::new()
        };
        let has = has.iter().map(|name| raw(RAW, name)).collect();
        let guards = vec![Guard::Origin { claims: origin::claims(origin, source, &field), has, or }];
        Self { classes: classes.into_iter().collect(), os, guards, sources: vec![names], is_windows: false }
    }

    /// All names that its events have in Windows; None: somebody else may know more.
    pub(crate) fn known_names(&self) -> Option<BTreeSet<&str>> {
        if !self.is_windows || self.sources.iter().any(|source| source.mappings.is_empty()) {
            return None;
        }
        let mut names: BTreeSet<&str> = HEADER.iter().map(|(name, _)| *name).collect();
        for source in &self.sources {
            names.extend(source.aliases.keys().map(String::as_str));
            for row in source.mappings.iter().flat_map(|mapping| &mapping.rows) {
                match &row.raw {
                    Raw::Data(name) => names.extend([name.as_str()]),
                    Raw::Joined(first, second) => names.extend([first.as_str(), second.as_str()]),
                    Raw::Header(_) => {}
                }
            }
        }
        Some(names)
    }

    /// The places of a name: of each source a list, best first.
    ///
    /// A name of the catalogue is that field, and one below an open prefix (`raw.`, `winlog.event_data.`) what it says:
    /// pipelines map to such names.
    pub(crate) fn places(&self, name: &str, catalogue: &Catalogue) -> Vec<Vec<Place>> {
        if let Some(place) = open(name, catalogue) {
            return vec![vec![place]];
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
        best.push(Place { module, ..Place::new(raw(self.raw, own), How::Text(&[])) });
        let others = self.others.get(name).into_iter().flatten();
        let others = others.filter_map(|name| open(name, catalogue).or_else(|| place_of(catalogue, name)));
        let below = self.below.iter().filter_map(|prefix| open(&format!("{prefix}{name}"), catalogue));
        std::iter::once(best).chain(others.chain(below).map(|place| vec![place])).collect()
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
            places.push(Place::new(FieldRef { name: known.name.clone(), ty: known.ty }, how));
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
    Some(Place::new(FieldRef { name: name.to_owned(), ty }, how))
}

/// All values of a name below an open prefix.
fn open(name: &str, catalogue: &Catalogue) -> Option<Place> {
    let own = name.strip_prefix(VALUES_PREFIX).unwrap_or(name);
    let field = || raw(VALUES_PREFIX, own);
    catalogue.is_open(own).then(|| Place::new(field(), How::Text(&[])))
}

fn raw(prefix: &str, name: &str) -> FieldRef {
    FieldRef { name: format!("{prefix}{name}"), ty: FieldType::List(Scalar::Str) }
}

/// The guard of a service of Windows. Who writes to a channel is known from the taxonomies and the file, and a channel
/// `PROVIDER/KIND` is that provider's.
fn channel_guard(service: &str, channels: &[String]) -> Guard {
    let is_ours = |name: &String| channels.iter().any(|channel| channel.eq_ignore_ascii_case(name));
    let (ours, others): (Vec<KnownEvent<'_>>, Vec<KnownEvent<'_>>) =
        Taxonomy::windows().known().partition(|event| event.channels.iter().any(is_ours));
    let names = |events: &[KnownEvent<'_>]| -> BTreeSet<String> {
        events.iter().flat_map(|event| event.providers).cloned().collect()
    };
    // Everybody writes to these two.
    let providers = if ["application", "system"].contains(&service) {
        let ours = names(&ours);
        Providers::AllBut(names(&others).into_iter().filter(|name| !ours.contains(name)).collect())
    } else {
        let own = channels.iter().map(|channel| channel.split_once('/').map_or(channel.as_str(), |(own, _)| own));
        let told = FILE.providers.get(service).into_iter().flatten().cloned();
        Providers::These(names(&ours).into_iter().chain(own.map(str::to_owned)).chain(told).collect())
    };
    Guard::Channel(channels.to_vec(), providers)
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
        Stream::new(&source, &Wanted::default(), catalogue()).unwrap()
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
        let [Guard::Channel(channels, Providers::These(providers))] = stream.guards.as_slice() else { panic!() };
        assert_eq!(channels, &["Security"]);
        assert!(providers.contains(&"Microsoft-Windows-Security-Auditing".to_owned()), "{providers:?}");
        assert_eq!(names(&stream, "SubjectUserName"), [["values.winlog.event_data.SubjectUserName"]]);
        let unknown = LogSource {
            product: Some(Located { text: "windows".to_owned(), range: 0..0 }),
            service: Some(Located { text: "securty".to_owned(), range: 0..0 }),
            ..LogSource::default()
        };
        assert_eq!(
            Stream::new(&unknown, &Wanted::default(), catalogue()).unwrap_err().help,
            "did you mean `security`?"
        );
    }
}
