//! Taxonomies: what sources call the classes and fields of the catalogue.
//!
//! The data are the `.toml` files beside this one, a *profile* each: `sysmon`, `windows-security` and so on. For every
//! event that the profile knows it says which class the event is of, which fields are constant, and a row per field:
//! the raw name and how its text is read ([`Conversion`]). A decoder looks up the [`Mapping`] of an event and runs
//! the rows of the fields it wants; for one field the first row that yields a value wins.
//!
//! An event that no profile knows is of class `generic.log`. Whatever the mapping says, every raw field is also
//! readable below `winlog.event_data.` or `winlog.user_data.`; that is the decoder's work, not part of the data.
//!
//! Sources that speak ECS have the catalogue's own names; `ecs.toml` says which class an event is of
//! ([`ecs_class`]), and under which other paths some producers hold a field ([`ecs_aliases`]).
//!
//! Our own live sensors speak with the catalogue's names as well; a file each (`linux-connector.toml`) says which
//! classes and fields they have.
//!
//! From the same data follows which fields a source can supply at all: see [`supplies`].

mod convert;
mod ecs;
mod load;
mod sensor;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub use convert::{Conversion, ConversionError, Converted, HashName, Table};
pub use ecs::{ecs_aliases, ecs_class};
pub use load::TaxonomyError;
use trapline_vm::record::{ClassId, FieldId, VALUES_PREFIX};

use super::catalogue;

/// The profile of sources that use the names of the catalogue themselves: our own JSON, and ECS.
pub const ECS: &str = "ecs";
/// The profile of Windows events that no other profile knows.
pub const WINDOWS: &str = "windows";

/// A field of a Windows event's header, whatever a format calls it. The names in the data are those of the XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// `System/Provider/@Name`
    Provider,
    /// `System/Provider/@Guid`
    ProviderGuid,
    /// `System/EventID`
    EventId,
    /// `System/Version`
    Version,
    /// `System/Level`
    Level,
    /// `System/Task`
    Task,
    /// `System/Opcode`
    Opcode,
    /// `System/Keywords`
    Keywords,
    /// `System/EventRecordID`
    EventRecordId,
    /// `System/Correlation/@ActivityID`
    ActivityId,
    /// `System/Execution/@ProcessID`
    ProcessId,
    /// `System/Execution/@ThreadID`
    ThreadId,
    /// `System/Channel`
    Channel,
    /// `System/Computer`
    Computer,
    /// `System/Security/@UserID`
    UserId,
    /// `RenderingInfo/Message`, or what a forwarder stores of it.
    Message,
}

/// Where the raw text of a row comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Raw {
    /// The header.
    Header(Header),
    /// An entry of EventData, or an element of UserData below its root. Blanks in names are dropped
    /// (`Threat Name` is `ThreatName`); entries without a name are `param1`, `param2` and so on.
    Data(String),
    /// Two such entries, with a backslash between. Nothing unless the first has a value; the first alone if the
    /// second has none.
    Joined(String, String),
}

/// One field of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where its text comes from.
    pub raw: Raw,
    /// The field.
    pub field: FieldId,
    /// How the text is read.
    pub conversion: Conversion,
}

/// The value of a constant field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// Text.
    Str(String),
    /// A variant.
    Enum(u32),
}

/// How one kind of event maps to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Index in [`Taxonomy::mappings`], dense, for caches.
    pub index: u16,
    /// Its class.
    pub class: ClassId,
    /// The profile it belongs to.
    pub profile: String,
    /// Fields whose value does not depend on the event. A row of the same field goes before.
    pub constants: Vec<(FieldId, Constant)>,
    /// The rows; for one field, the first that yields a value wins.
    pub rows: Vec<Row>,
}

/// What is known of one event id of one provider: a mapping, or several told apart by one raw field.
#[derive(Clone, Debug)]
pub struct Kind {
    providers: Vec<String>,
    channels: Vec<String>,
    discriminator: Option<String>,
    cases: Vec<(String, u16)>,
    default: u16,
}

impl Kind {
    /// The EventData entry whose value picks the mapping, if there is more than one.
    pub fn discriminator(&self) -> Option<&str> {
        self.discriminator.as_deref()
    }

    fn is(&self, provider: &str, channel: &str) -> bool {
        let any = |names: &[String], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if provider.is_empty() { any(&self.channels, channel) } else { any(&self.providers, provider) }
    }
}

/// An event that is known by its id, and one mapping that it can have.
#[derive(Clone, Copy, Debug)]
pub struct KnownEvent<'t> {
    /// Its id.
    pub event_id: u32,
    /// The channels it is written to.
    pub channels: &'t [String],
    /// Who writes it.
    pub providers: &'t [String],
    /// The mapping.
    pub mapping: &'t Mapping,
}

/// All mappings of one kind of source.
#[derive(Clone, Debug)]
pub struct Taxonomy {
    mappings: Vec<Mapping>,
    kinds: Vec<Kind>,
    by_event_id: HashMap<u32, Vec<u16>>,
    fallback: Kind,
}

static WINDOWS_EVENTS: LazyLock<Taxonomy> =
    LazyLock::new(|| load::windows().expect("a test loads the embedded taxonomies"));

impl Taxonomy {
    /// Windows event logs.
    pub fn windows() -> &'static Self {
        &WINDOWS_EVENTS
    }

    /// All mappings, by index.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Every event that is known by its id, once for each mapping that it can have.
    pub fn known(&self) -> impl Iterator<Item = KnownEvent<'_>> {
        self.by_event_id.iter().flat_map(move |(event_id, kinds)| {
            let kinds = kinds.iter().filter_map(|index| self.kinds.get(usize::from(*index)));
            kinds.flat_map(move |kind| {
                let mappings = kind.cases.iter().map(|(_, index)| *index).chain([kind.default]);
                mappings.filter_map(move |index| {
                    let mapping = self.mappings.get(usize::from(index))?;
                    let (channels, providers) = (kind.channels.as_slice(), kind.providers.as_slice());
                    Some(KnownEvent { event_id: *event_id, channels, providers, mapping })
                })
            })
        })
    }

    /// What is known of an event id. The provider decides; the channel only where the provider is empty (some
    /// forwarders drop it). Both compare without regard to case.
    pub fn kind(&self, provider: &str, channel: &str, event_id: u32) -> &Kind {
        let candidates = self.by_event_id.get(&event_id).map_or(&[][..], Vec::as_slice);
        let mut kinds = candidates.iter().filter_map(|index| self.kinds.get(usize::from(*index)));
        kinds.find(|kind| kind.is(provider, channel)).unwrap_or(&self.fallback)
    }

    /// The mapping of an event of this kind; `value` is that of the discriminator, if there is one.
    pub fn mapping(&self, kind: &Kind, value: Option<&str>) -> &Mapping {
        let case =
            value.and_then(|value| kind.cases.iter().find(|(known, _)| known.eq_ignore_ascii_case(value.trim())));
        let index = case.map_or(kind.default, |(_, index)| *index);
        // A kind of another taxonomy may point past the end. The fallback is loaded first, so there is always one.
        let mapping = self.mappings.get(usize::from(index)).or_else(|| self.mappings.first());
        mapping.expect("loading begins with the fallback")
    }

    /// [`Self::kind`] and [`Self::mapping`] in one: `data` gives the value of an EventData entry.
    ///
    /// ```
    /// use trapline_programs::catalogue::{catalogue, taxonomy::Taxonomy};
    /// let data = |name: &str| (name == "EventType").then_some("DeleteValue");
    /// let mapping = Taxonomy::windows().classify("Microsoft-Windows-Sysmon", "", 12, data);
    /// assert_eq!(catalogue().class(mapping.class).name, "registry.delete");
    /// ```
    pub fn classify<'d>(
        &self,
        provider: &str,
        channel: &str,
        event_id: u32,
        data: impl FnOnce(&str) -> Option<&'d str>,
    ) -> &Mapping {
        let kind = self.kind(provider, channel, event_id);
        self.mapping(kind, kind.discriminator().and_then(data))
    }
}

struct Supply {
    profiles: Vec<&'static str>,
    fields: HashMap<&'static str, HashMap<ClassId, HashSet<FieldId>>>,
}

static SUPPLY: LazyLock<Supply> = LazyLock::new(|| {
    let mut supply = Supply { profiles: vec![ECS], fields: HashMap::new() };
    for mapping in &Taxonomy::windows().mappings {
        if !supply.profiles.contains(&mapping.profile.as_str()) {
            supply.profiles.push(&mapping.profile);
        }
        let fields = supply.fields.entry(&mapping.profile).or_default().entry(mapping.class).or_default();
        fields.extend(mapping.constants.iter().map(|(field, _)| *field));
        fields.extend(mapping.rows.iter().map(|row| row.field));
        // No mapping is needed for what is a list of all values.
        fields.extend(["event.values", "winlog.parameters"].iter().filter_map(|name| catalogue().field_id(name)));
    }
    for sensor in sensor::sensors() {
        supply.profiles.push(&sensor.profile);
        supply.fields.insert(&sensor.profile, sensor.fields.clone());
    }
    supply
});

/// The names of all profiles.
pub fn profiles() -> &'static [&'static str] {
    &SUPPLY.profiles
}

/// The profile of one of our own sensors, by its name: `linux-connector`.
///
/// ```
/// use trapline_programs::catalogue::taxonomy::sensor_profile;
/// assert_eq!(sensor_profile("linux-proc"), Some("linux-proc"));
/// assert_eq!(sensor_profile("sysmon"), None);
/// ```
pub fn sensor_profile(name: &str) -> Option<&'static str> {
    sensor::sensors().iter().map(|sensor| sensor.profile.as_str()).find(|profile| *profile == name)
}

/// The classes of which a source of this profile reports events.
pub fn classes(profile: &str) -> Vec<ClassId> {
    if profile == ECS {
        return (0u16..).map(ClassId).zip(&catalogue().classes).map(|(id, _)| id).collect();
    }
    let mut classes: Vec<_> = SUPPLY.fields.get(profile).into_iter().flat_map(HashMap::keys).copied().collect();
    classes.sort_unstable();
    classes
}

/// Whether a source of this profile can ever fill the field in events of the class.
/// A source that uses the names of the catalogue can fill any.
pub fn supplies(profile: &str, class: ClassId, field: FieldId) -> bool {
    if profile == ECS {
        let catalogue = catalogue();
        return catalogue
            .classes
            .get(usize::from(class.0))
            .is_some_and(|class| catalogue.slot(class.family, field).is_some());
    }
    let classes = SUPPLY.fields.get(profile);
    classes.and_then(|classes| classes.get(&class)).is_some_and(|fields| fields.contains(&field))
}

/// Whether a source of this profile can ever fill a name below an open prefix.
pub fn supplies_open(profile: &str, name: &str) -> bool {
    if profile == ECS {
        return catalogue().is_open(name);
    }
    let raw = ["winlog.event_data.", "winlog.user_data."];
    let name = name.strip_prefix(VALUES_PREFIX).unwrap_or(name);
    SUPPLY.fields.contains_key(profile)
        && sensor_profile(profile).is_none()
        && raw.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests;
