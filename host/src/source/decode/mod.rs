//! From raw events to events: what class, when, and which value each field has.
//!
//! Decoding is on demand. A JSON event is parsed into a tree that borrows from its bytes, and classified; a field is
//! looked up and converted when [`Event::fill`] is asked for its slot. A value that does not fit its field leaves the
//! field absent and is reported; it never costs the event.

#[cfg(feature = "evtx")]
mod chunk;
#[cfg(not(feature = "evtx"))]
#[path = "chunk_disabled.rs"]
mod chunk;
mod ecs;
mod value;
mod windows;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use trapline_programs::catalogue::taxonomy::{Constant, Converted, Header, Mapping, Raw, Taxonomy};
use trapline_vm::record::{
    Catalogue, Cell, ClassId, FamilyId, Field, FieldId, FieldType, LIST_LEN_MAX, Layouts, Os, RecordHeader,
    RecordWriter, STRING_LEN_MAX, Scalar, Slot, VALUES_PREFIX, Value,
};

use self::chunk::ChunkReader;
use self::value::{FieldValue, Misfit};
use self::windows::WindowsEvent;
use super::json::{self, Node, NodeError};
use super::{EVENTS_PER_RAW_MAX, ErrorKind, FieldError, Payload, Position, RawEvent, SourceError};

/// Bytes of a misfit value that are kept for its report.
const FOUND_TEXT_MAX: usize = 60;
/// The provider of events of Sysmon for Linux.
const SYSMON_FOR_LINUX: &str = "Linux-Sysmon";
/// Depth of the nested view of an event: as deep as JSON may be.
const NEST_DEPTH_MAX: usize = 128;
/// Words of 64 slots that the catalogue and appended names can take.
const SLOT_WORDS: usize = trapline_vm::record::SLOTS_MAX as usize / 64 + 1;

/// What a decoder has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events decoded.
    pub events: u64,
    /// Raw events, or parts of them, that could not be decoded.
    pub refused: u64,
    /// Events without a time: theirs is 0.
    pub without_time: u64,
    /// Keys that occurred again in the same object; the last one holds.
    pub duplicate_keys: u64,
}

/// Decodes raw events. One a worker.
#[derive(Debug)]
pub struct Decoder {
    shared: Shared,
    chunks: ChunkReader,
    counts: Counts,
}

/// What all events of a decoder look things up in.
#[derive(Debug)]
struct Shared {
    catalogue: Arc<Catalogue>,
    /// The class of events that are of no other.
    generic: ClassId,
    /// By family, the fields with their slots.
    families: Vec<Vec<(Slot, FieldId)>>,
    /// By mapping of the Windows taxonomy, the slots of its rows and of its constants.
    mappings: Vec<(Vec<Slot>, Vec<Slot>)>,
    /// `host.os.type`, and what it is on Linux.
    system: Option<FieldId>,
    linux: Option<u32>,
    /// `event.values` and `winlog.parameters`, which no mapping fills.
    values: Option<FieldId>,
    parameters: Option<FieldId>,
}

impl Decoder {
    /// A decoder for events of this catalogue, which is the one the taxonomies were made for.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let family_slots = |family: FamilyId| {
            let fields = &catalogue.family(family).fields;
            (0u16..).map(Slot).zip(fields.iter().copied()).collect::<Vec<_>>()
        };
        let families =
            (0u16..).map(FamilyId).zip(&catalogue.families).map(|(family, _)| family_slots(family)).collect();
        let mappings = Taxonomy::windows().mappings().iter().map(|mapping| {
            let family = catalogue.class(mapping.class).family;
            // A field the family lacks has no slot; no record has this one.
            let slot = |field: FieldId| Slot(catalogue.slot(family, field).unwrap_or(u16::MAX));
            let rows = mapping.rows.iter().map(|row| slot(row.field)).collect();
            (rows, mapping.constants.iter().map(|(field, _)| slot(*field)).collect())
        });
        let mappings = mappings.collect();
        let generic = catalogue.class_id("generic.log").unwrap_or(ClassId(0));
        let systems = catalogue.enums.iter().find(|known| known.name == "os");
        let linux = systems.and_then(|known| (0u32..).zip(&known.variants).find(|(_, name)| *name == "linux"));
        let linux = linux.map(|(number, _)| number);
        let (values, parameters) = (catalogue.field_id("event.values"), catalogue.field_id("winlog.parameters"));
        Self {
            shared: Shared {
                system: catalogue.field_id("host.os.type"),
                linux,
                catalogue,
                generic,
                families,
                mappings,
                values,
                parameters,
            },
            chunks: ChunkReader::new(),
            counts: Counts::default(),
        }
    }

    /// Hands each event inside to `on`, in order, and each part that cannot be read.
    pub fn decode(&mut self, raw: &RawEvent, on: &mut dyn FnMut(Result<Event<'_>, SourceError>)) {
        let sequence = raw.sequence.saturating_mul(EVENTS_PER_RAW_MAX);
        match &raw.payload {
            Payload::Json(bytes) => self.decode_json(bytes, &raw.position, sequence, on),
            Payload::EvtxChunk(bytes) => {
                let found = self.chunks.read(bytes, raw.position.record);
                for (index, found) in (0u64..).zip(found) {
                    let position = Position { file: Arc::clone(&raw.position.file), record: found.record };
                    match found.content {
                        Ok(json) => self.decode_json(&json, &position, sequence.saturating_add(index), on),
                        Err(message) => {
                            self.counts.refused += 1;
                            on(Err(SourceError { position, kind: ErrorKind::Evtx { message } }));
                        }
                    }
                }
            }
        }
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn decode_json(
        &mut self,
        bytes: &[u8],
        position: &Position,
        sequence: u64,
        on: &mut dyn FnMut(Result<Event<'_>, SourceError>),
    ) {
        let (root, duplicates) = match json::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.counts.refused += 1;
                let kind = match error {
                    NodeError::Utf8 { offset } => ErrorKind::Utf8 { offset },
                    NodeError::Json { message } => ErrorKind::Json { message },
                };
                return on(Err(SourceError { position: position.clone(), kind }));
            }
        };
        let event = self.shared.event(&root, position.clone(), sequence);
        self.counts.events += 1;
        self.counts.duplicate_keys += duplicates;
        self.counts.without_time += u64::from(event.time_ns == 0);
        on(Ok(event));
    }
}

impl Shared {
    fn event<'e>(&'e self, root: &'e Node<'e>, position: Position, sequence: u64) -> Event<'e> {
        let shared = self;
        if let Some(windows) = WindowsEvent::read(root) {
            let header = |header| windows.header(header).unwrap_or_default();
            let (provider, channel) = (header(Header::Provider), header(Header::Channel));
            let mapping =
                Taxonomy::windows().classify(provider, channel, windows.event_id(), |name| windows.data(name));
            // Sysmon says when it happened, which is before it was written.
            let happened = windows.data("UtcTime").filter(|_| mapping.profile == "sysmon");
            let happened = happened.and_then(|text| value::time_ns(&Node::Str(text.into())));
            let time_ns = happened.or(windows.time_ns).unwrap_or(0);
            // Sysmon writes the same events on another system, under another name.
            let os = if provider.eq_ignore_ascii_case(SYSMON_FOR_LINUX) { Os::Linux } else { Os::Windows };
            let os = Some(os);
            let content = Content::Windows { windows, mapping, root };
            return Event {
                class: mapping.class,
                profile: &mapping.profile,
                os,
                time_ns,
                sequence,
                position,
                content,
                shared,
            };
        }
        Event {
            class: ecs::class(&shared.catalogue, root).unwrap_or(self.generic),
            profile: ecs::profile(root),
            os: ecs::os(root),
            time_ns: ecs::time(root).unwrap_or(0),
            sequence,
            position,
            content: Content::Ecs { root },
            shared,
        }
    }
}

/// One decoded event.
#[derive(Debug)]
pub struct Event<'a> {
    /// What happened.
    pub class: ClassId,
    /// The supply profile its fields are checked against: `ecs`, `sysmon`, `linux-connector` ...
    pub profile: &'static str,
    /// Operating system of the host it comes from, if known.
    pub os: Option<Os>,
    /// Nanoseconds since 1970; 0 if the event carries no time.
    pub time_ns: i64,
    /// Number in the stream: rises with every event.
    pub sequence: u64,
    /// Where it stands in the input.
    pub position: Position,
    content: Content<'a>,
    shared: &'a Shared,
}

#[derive(Debug)]
enum Content<'a> {
    Windows { windows: WindowsEvent<'a>, mapping: &'static Mapping, root: &'a Node<'a> },
    Ecs { root: &'a Node<'a> },
}

impl Event<'_> {
    /// The header of its record.
    pub fn header(&self, layouts: &Layouts) -> RecordHeader {
        RecordHeader {
            digest: layouts.catalogue().short_digest(),
            class: u32::from(self.class.0),
            os: self.os,
            time_ns: self.time_ns,
            sequence: self.sequence,
        }
    }

    /// The family of its class.
    pub fn family(&self) -> FamilyId {
        self.shared.catalogue.class(self.class).family
    }

    /// Writes the wanted slots, those of appended open names included, and returns the values that did not fit
    /// their fields.
    pub fn fill(
        &self,
        writer: &mut RecordWriter<'_>,
        layouts: &Layouts,
        wants: impl Fn(Slot) -> bool,
    ) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let left_out = self.mark_left_out(writer, &wants, &mut errors);
        let catalogue = &self.shared.catalogue;
        let impaired = self.impaired();
        // Written once: what is replaced in a record still takes its room.
        let whole = |slot: Slot| wants(slot) && !impaired.iter().any(|(impaired, ..)| *impaired == slot);
        self.each_value(&whole, &mut errors, &mut |slot, field, value| {
            value.with_cell(|cell| writer.set(slot, catalogue.field(field).bytes_max, &cell));
        });
        for (slot, field, lost) in impaired {
            if wants(slot) {
                self.mark(writer, slot, field, lost);
            }
        }
        for (name, slot) in layouts.appended(self.family()) {
            if !wants(slot) {
                continue;
            }
            if let Some(name) = name.strip_prefix(VALUES_PREFIX) {
                match self.open_values(name).map(|values| list(values, left_out)) {
                    Some(values) => values.with_cell(|cell| writer.set(slot, STRING_LEN_MAX, &cell)),
                    None if left_out => writer.set(slot, 0, &Cell::Lost),
                    None => {}
                }
            } else {
                match self.open_value(name) {
                    Some(text) => writer.set(slot, STRING_LEN_MAX, &Cell::Present(Value::Str(&text))),
                    None if left_out => writer.set(slot, 0, &Cell::Lost),
                    None => {}
                }
            }
        }
        errors
    }

    /// Marks as lost what is there and no value of ours: of a name with several values the single one, and of an event
    /// with more entries than are kept what is not among those kept, for it may have been among the others; until a
    /// value is found elsewhere. Whether entries were left out.
    fn mark_left_out(
        &self,
        writer: &mut RecordWriter<'_>,
        wants: &dyn Fn(Slot) -> bool,
        errors: &mut Vec<FieldError>,
    ) -> bool {
        let Content::Windows { windows, mapping, .. } = &self.content else { return false };
        let left_out = windows.left_out > 0;
        if !left_out && !windows.has_repeated() {
            return false;
        }
        if left_out {
            errors.push(FieldError {
                field: "winlog.event_data".to_owned(),
                expected: "at most 4096 entries",
                found: format!("{} more, which are left out", windows.left_out),
            });
        }
        let (rows, _) = &self.shared.mappings[usize::from(mapping.index)];
        for (row, slot) in mapping.rows.iter().zip(rows) {
            let is_lost = |name: &str| match windows.data(name) {
                Some(_) => windows.has_several(name) && self.is_single(row.field),
                None => left_out,
            };
            let lost = match &row.raw {
                Raw::Header(_) => false,
                Raw::Data(name) => is_lost(name),
                Raw::Joined(first, second) => is_lost(first) || is_lost(second),
            };
            if lost && wants(*slot) {
                writer.set(*slot, 0, &Cell::Lost);
            }
        }
        left_out
    }

    fn is_single(&self, field: FieldId) -> bool {
        matches!(self.shared.catalogue.field(field).ty, FieldType::Scalar(_))
    }

    /// The text of a name below an open prefix, if the event has it.
    pub fn open_value(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some((windows, name)) = self.windows_data(name) {
            return windows.data(name).map(Cow::Borrowed);
        }
        let root = self.root();
        let node = root.at(name).or_else(|| name.strip_prefix("raw.").and_then(|name| root.at(name)))?;
        ecs::raw_text(node)
    }

    /// All values of such a name. None: the event does not have it.
    fn open_values(&self, name: &str) -> Option<Vec<Cow<'_, str>>> {
        if let Some((windows, name)) = self.windows_data(name) {
            return windows.all_data(name);
        }
        let mut values = Vec::new();
        let mut found = |name: &str| ecs::raw_values(self.root(), name, &mut values);
        (found(name) || name.strip_prefix("raw.").is_some_and(found)).then_some(values)
    }

    /// The Windows event, if the name is that of an entry of its data.
    fn windows_data<'n>(&self, name: &'n str) -> Option<(&WindowsEvent<'_>, &'n str)> {
        let Content::Windows { windows, .. } = &self.content else { return None };
        let user_data = || name.strip_prefix("winlog.user_data.").filter(|_| windows.is_user_data);
        name.strip_prefix("winlog.event_data.").or_else(user_data).map(|name| (windows, name))
    }

    fn root(&self) -> &Node<'_> {
        match &self.content {
            Content::Windows { root, .. } | Content::Ecs { root } => root,
        }
    }

    /// Calls `on` with every wanted field of the catalogue that has a value.
    fn each_value(
        &self,
        wants: &dyn Fn(Slot) -> bool,
        errors: &mut Vec<FieldError>,
        on: &mut dyn FnMut(Slot, FieldId, FieldValue<'_>),
    ) {
        let catalogue = &*self.shared.catalogue;
        let mut filled = Slots([0; SLOT_WORDS]);
        let mut reported = Slots([0; SLOT_WORDS]);
        for id in [self.shared.values, self.shared.parameters].into_iter().flatten() {
            if let Some(slot) = catalogue.slot(self.family(), id).map(Slot)
                && wants(slot)
                && let Some(list) = self.value_list(Some(id) == self.shared.parameters)
            {
                filled.set(slot);
                on(slot, id, FieldValue::Plain(list));
            }
        }
        let root = match &self.content {
            Content::Ecs { root } => root,
            Content::Windows { windows, mapping, root } => {
                let (rows, constants) = &self.shared.mappings[usize::from(mapping.index)];
                for (row, slot) in mapping.rows.iter().zip(rows) {
                    if filled.has(*slot) || !wants(*slot) {
                        continue;
                    }
                    let joined;
                    let data = |name: &str| {
                        windows.data(name).filter(|_| !(windows.has_several(name) && self.is_single(row.field)))
                    };
                    let raw = match &row.raw {
                        Raw::Header(header) => windows.header(*header),
                        Raw::Data(name) => data(name),
                        Raw::Joined(first, second) => {
                            joined = join(data(first), data(second));
                            joined.as_deref()
                        }
                    };
                    let Some(raw) = raw else { continue };
                    let unprefixed;
                    let raw = if catalogue.field(row.field).ty == FieldType::Scalar(Scalar::Path) {
                        unprefixed = windows::without_prefix(raw);
                        unprefixed.as_ref()
                    } else {
                        raw
                    };
                    match row.conversion.apply(raw) {
                        Ok(Some(value)) => {
                            filled.set(*slot);
                            on(*slot, row.field, FieldValue::Plain(value));
                        }
                        Ok(None) => {}
                        Err(_) if reported.has(*slot) => {}
                        Err(_) => {
                            reported.set(*slot);
                            errors.push(misfit(catalogue.field(row.field), raw));
                        }
                    }
                }
                for ((field, constant), slot) in mapping.constants.iter().zip(constants) {
                    if !filled.has(*slot) && wants(*slot) {
                        filled.set(*slot);
                        on(
                            *slot,
                            *field,
                            FieldValue::Plain(match constant {
                                Constant::Str(text) => Converted::Str(text.into()),
                                Constant::Enum(_)
                                    if self.os == Some(Os::Linux) && Some(*field) == self.shared.system =>
                                {
                                    Converted::Enum(self.shared.linux)
                                }
                                Constant::Enum(index) => Converted::Enum(Some(*index)),
                            }),
                        );
                    }
                }
                // A forwarder may know more than the event; most shapes have no such names.
                if !ecs::is_ecs(root) {
                    return;
                }
                root
            }
        };
        let Some(fields) = self.shared.families.get(usize::from(self.family().0)) else { return };
        for (slot, id) in fields {
            if filled.has(*slot) || !wants(*slot) {
                continue;
            }
            let field = catalogue.field(*id);
            match ecs::value(catalogue, root, self.os, field) {
                Ok(Some(value)) => on(*slot, *id, value),
                Ok(None) => {}
                Err(Misfit) => {
                    let found = root.at(&field.name).map(|node| node.to_value().to_string()).unwrap_or_default();
                    errors.push(misfit(field, &found));
                }
            }
        }
    }

    /// All values of the event as text, or those without a name only. None: there are none, or somebody else may know.
    fn value_list(&self, unnamed: bool) -> Option<Converted<'_>> {
        let mut values = Vec::new();
        let is_cut = match (&self.content, unnamed) {
            (Content::Windows { windows, .. }, true) => {
                values.extend(windows.unnamed());
                windows.left_out > 0
            }
            (Content::Windows { windows, .. }, false) => {
                values.extend(windows.values());
                windows.left_out > 0
            }
            (Content::Ecs { root }, false) if root.at("event.values").is_none() => {
                let told = root.members().into_iter().flatten().filter(|(key, _)| key != "trapline");
                told.for_each(|(_, node)| ecs::values(node, &mut values));
                ["trapline.lost", "trapline.truncated"].iter().any(|name| root.at(name).is_some())
            }
            (Content::Ecs { .. }, _) => return None,
        };
        (is_cut || !values.is_empty()).then(|| list(values, is_cut))
    }

    /// Fields that `trapline.lost` (true) and `trapline.truncated` (false) name.
    fn impaired(&self) -> Vec<(Slot, FieldId, bool)> {
        let Content::Ecs { root } = &self.content else { return Vec::new() };
        let mut found = Vec::new();
        for (list, lost) in [("trapline.lost", true), ("trapline.truncated", false)] {
            let Some(Node::Array(names)) = root.at(list) else { continue };
            for name in names.iter().filter_map(Node::as_str) {
                if let Some(id) = self.shared.catalogue.field_id(name)
                    && let Some(slot) = self.shared.catalogue.slot(self.family(), id)
                {
                    found.push((Slot(slot), id, lost));
                }
            }
        }
        found
    }

    fn mark(&self, writer: &mut RecordWriter<'_>, slot: Slot, field: FieldId, lost: bool) {
        let field = self.shared.catalogue.field(field);
        let Content::Ecs { root } = &self.content else { return };
        match ecs::value(&self.shared.catalogue, root, self.os, field) {
            Ok(Some(value)) if !lost => value.with_cell(|cell| {
                let cell = match cell {
                    Cell::Present(value @ (Value::Str(_) | Value::List(_) | Value::Records(_))) => {
                        Cell::Truncated(value)
                    }
                    other => other,
                };
                writer.set(slot, field.bytes_max, &cell);
            }),
            _ => writer.set(slot, 0, &Cell::Lost),
        }
    }

    /// The whole event as nested ECS, raw names under `winlog.event_data` and the like.
    pub fn to_ecs(&self) -> Map<String, Json> {
        let mut out = Map::new();
        match &self.content {
            Content::Ecs { root } if ecs::is_ecs(root) => nest(&mut out, root, NEST_DEPTH_MAX),
            Content::Ecs { root } => {
                out.insert("raw".to_owned(), root.to_value());
            }
            Content::Windows { windows, root, .. } => {
                if ecs::is_ecs(root) {
                    nest(&mut out, root, NEST_DEPTH_MAX);
                }
                let data: Map<String, Json> =
                    windows.entries().map(|(name, text)| (name.to_owned(), Json::from(text))).collect();
                if !data.is_empty() {
                    let place = if windows.is_user_data { "winlog.user_data" } else { "winlog.event_data" };
                    put(&mut out, place, Json::Object(data));
                }
            }
        }
        let catalogue = &self.shared.catalogue;
        // Values that stand under their names are not told again.
        let again = [self.shared.values, self.shared.parameters];
        let slots = again.map(|id| id.and_then(|id| catalogue.slot(self.family(), id)).map(Slot));
        self.each_value(&|slot| !slots.contains(&Some(slot)), &mut Vec::new(), &mut |_, id, value| {
            let field = catalogue.field(id);
            if let Some(value) = to_json(catalogue, field, &value) {
                put(&mut out, &field.name, value);
            }
        });
        if let Some(time) = rfc3339(self.time_ns).filter(|_| self.time_ns != 0) {
            out.insert("@timestamp".to_owned(), Json::from(time));
        }
        out
    }
}

/// Texts as a list, as many as are kept.
fn list(values: Vec<Cow<'_, str>>, is_cut: bool) -> Converted<'_> {
    let is_cut = is_cut || values.len() > LIST_LEN_MAX as usize;
    let values = values.into_iter().take(LIST_LEN_MAX as usize).map(Converted::Str).collect();
    if is_cut { Converted::CutList(values) } else { Converted::List(values) }
}

/// A set of slots.
struct Slots([u64; SLOT_WORDS]);

impl Slots {
    fn has(&self, slot: Slot) -> bool {
        self.0.get(usize::from(slot.0) / 64).is_none_or(|word| word >> (slot.0 % 64) & 1 == 1)
    }

    fn set(&mut self, slot: Slot) {
        if let Some(word) = self.0.get_mut(usize::from(slot.0) / 64) {
            *word |= 1 << (slot.0 % 64);
        }
    }
}

/// Two entries with a backslash between; nothing unless the first has a value.
fn join(first: Option<&str>, second: Option<&str>) -> Option<String> {
    let has_value = |text: &&str| !matches!(*text, "" | "-");
    let first = first.filter(has_value)?;
    Some(second.filter(has_value).map_or_else(|| first.to_owned(), |second| format!("{first}\\{second}")))
}

fn misfit(field: &Field, found: &str) -> FieldError {
    let cut = found.floor_char_boundary(FOUND_TEXT_MAX);
    FieldError { field: field.name.clone(), expected: type_name(field.ty), found: found[..cut].to_owned() }
}

fn type_name(ty: FieldType) -> &'static str {
    let (scalar, list) = match ty {
        FieldType::Records(_) => return "a list of records",
        FieldType::Scalar(scalar) => (scalar, false),
        FieldType::List(scalar) => (scalar, true),
    };
    match (scalar, list) {
        (Scalar::Bool, false) => "true or false",
        (Scalar::Bool, true) => "a list of true or false",
        (Scalar::Int, false) => "a whole number",
        (Scalar::Int, true) => "a list of whole numbers",
        (Scalar::Decimal, false) => "a number",
        (Scalar::Decimal, true) => "a list of numbers",
        (Scalar::Str | Scalar::Path, false) => "one text",
        (Scalar::Str | Scalar::Path, true) => "a list of texts",
        (Scalar::Bytes, false) => "hexadecimal digits",
        (Scalar::Bytes, true) => "a list of hexadecimal digits",
        (Scalar::Ip, false) => "an IP address",
        (Scalar::Ip, true) => "a list of IP addresses",
        (Scalar::Time, false) => "a time",
        (Scalar::Time, true) => "a list of times",
        (Scalar::Duration, false) => "nanoseconds",
        (Scalar::Duration, true) => "a list of nanoseconds",
        (Scalar::Enum(_), false) => "a word of its enumeration",
        (Scalar::Enum(_), true) => "a list of words of its enumeration",
    }
}

/// Copies an object, with dotted keys nested. A key with more parts than `depth` allows stays as it is, so that no
/// event can make a value too deep to be dropped or written.
fn nest(out: &mut Map<String, Json>, node: &Node<'_>, depth: usize) {
    for (key, value) in node.members().into_iter().flatten() {
        let parts = key.split('.').count();
        if parts >= depth {
            out.insert(key.clone().into_owned(), value.to_value());
            continue;
        }
        match value {
            Node::Object(members) if !members.is_empty() => {
                let inner = key.split('.').try_fold(&mut *out, |out, part| {
                    out.entry(part).or_insert_with(|| Json::Object(Map::new())).as_object_mut()
                });
                // Where a value stands already, there is no room for an object.
                if let Some(inner) = inner {
                    nest(inner, value, depth - parts);
                }
            }
            _ => put(out, key, value.to_value()),
        }
    }
}

/// Puts a value at a dotted path. Where a value already stands in the way of an object, it stays.
fn put(out: &mut Map<String, Json>, path: &str, value: Json) {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let place = parents
        .into_iter()
        .flat_map(|parents| parents.split('.'))
        .try_fold(out, |out, part| out.entry(part).or_insert_with(|| Json::Object(Map::new())).as_object_mut());
    if let Some(place) = place {
        place.insert(last.to_owned(), value);
    }
}

fn to_json(catalogue: &Catalogue, field: &Field, value: &FieldValue<'_>) -> Option<Json> {
    match value {
        FieldValue::Plain(value) => converted_to_json(catalogue, field.ty, value),
        FieldValue::Records(records) | FieldValue::CutRecords(records) => {
            let FieldType::Records(element) = field.ty else { return None };
            let element = catalogue.elements.get(usize::from(element.0))?;
            let record = |members: &Vec<Option<Converted<'_>>>| {
                let mut out = Map::new();
                for (member, value) in element.members.iter().zip(members) {
                    let value = value.as_ref().and_then(|value| converted_to_json(catalogue, member.ty, value));
                    if let Some(value) = value {
                        put(&mut out, &member.name, value);
                    }
                }
                Json::Object(out)
            };
            Some(Json::Array(records.iter().map(record).collect()))
        }
    }
}

fn converted_to_json(catalogue: &Catalogue, ty: FieldType, value: &Converted<'_>) -> Option<Json> {
    let scalar = match ty {
        FieldType::Scalar(scalar) | FieldType::List(scalar) => scalar,
        FieldType::Records(_) => return None,
    };
    Some(match value {
        Converted::Bool(value) => Json::from(*value),
        Converted::Int(value) if scalar == Scalar::Decimal => Json::from(*value as f64 / 1e6),
        Converted::Int(value) => Json::from(*value),
        Converted::Str(text) => Json::from(text.as_ref()),
        Converted::Bytes(bytes) => Json::from(bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        })),
        Converted::Ip(ip) => Json::from(ip.to_string()),
        Converted::Time(time) => Json::from(rfc3339(*time)?),
        Converted::Enum(variant) => {
            let Scalar::Enum(id) = scalar else { return None };
            let variants = &catalogue.enums.get(usize::from(id.0))?.variants;
            Json::from(variants.get(usize::try_from((*variant)?).ok()?)?.as_str())
        }
        Converted::List(items) | Converted::CutList(items) => {
            let scalar = FieldType::Scalar(scalar);
            Json::Array(items.iter().filter_map(|item| converted_to_json(catalogue, scalar, item)).collect())
        }
    })
}

fn rfc3339(time_ns: i64) -> Option<String> {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).ok().map(|time| time.to_string())
}
