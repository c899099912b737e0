//! Windows events in the shapes that forwarders and tools give them, brought into one: a header, and named data.
//!
//! | shape | told by | written by |
//! |---|---|---|
//! | nested | `Event.System` | evtx_dump and relatives, EVTX itself |
//! | winlog | `winlog.event_id`, nested or dotted | winlogbeat, Elastic agent |
//! | flat | `EventID` beside `Channel` or a provider | NXLog and exporters like it |
//!
//! Every entry of EventData or UserData keeps its text as written, under its name without blanks. Entries without a
//! name are `param1`, `param2` ..., and all together `Data`. A name that occurs again, or has an array, has several
//! values, and as one text these are a line each. Null is no value. What the text means is the taxonomy's business.

use std::borrow::Cow;
use std::collections::HashMap;

use trapline_programs::catalogue::taxonomy::Header;

use super::value::{text, time_ns};
use crate::source::json::Node;

/// Depth to which UserData is searched for elements with text.
const USER_DATA_DEPTH_MAX: usize = 8;
/// The most entries kept of one event; what was left out is reported as a misfit.
const ENTRIES_MAX: usize = 4096;
/// Up to so many, comparing each name with those before it costs less than a table of them.
const ENTRIES_FEW: usize = 64;

/// A Windows event, whatever shape it had.
#[derive(Debug, Default)]
pub(super) struct WindowsEvent<'n> {
    header: Vec<(Header, Cow<'n, str>)>,
    data: Vec<(Cow<'n, str>, Cow<'n, str>)>,
    /// The values of names that have several.
    several: Vec<(Cow<'n, str>, Vec<Cow<'n, str>>)>,
    /// Names of entries without a value.
    empty: Vec<Cow<'n, str>>,
    /// Entries beyond [`ENTRIES_MAX`], which were left out.
    pub(super) left_out: usize,
    /// How many entries had no name.
    unnamed: usize,
    /// The data comes from UserData.
    pub(super) is_user_data: bool,
    /// When the log says it was written.
    pub(super) time_ns: Option<i64>,
}

impl<'n> WindowsEvent<'n> {
    /// Reads an event, if it is one of Windows.
    pub(super) fn read(root: &'n Node<'_>) -> Option<Self> {
        let mut event = Self::default();
        if let Some(inner) = root.get("Event").or(Some(root)).filter(|inner| inner.get("System").is_some()) {
            event.read_nested(inner, inner.get("System")?);
        } else if root.at("winlog.event_id").is_some() {
            event.read_winlog(root);
        } else if is_flat(root) {
            event.read_flat(root);
        } else {
            return None;
        }
        event.join_unnamed();
        Some(event)
    }

    /// The text of a header field.
    pub(super) fn header(&self, header: Header) -> Option<&str> {
        self.header.iter().find(|(known, _)| *known == header).map(|(_, text)| text.as_ref())
    }

    /// The text of an entry of the data.
    pub(super) fn data(&self, name: &str) -> Option<&str> {
        self.data.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_ref())
    }

    /// The values of a name. None: there is no such entry; one may be there and have none.
    pub(super) fn all_data(&self, name: &str) -> Option<Vec<Cow<'_, str>>> {
        if self.unnamed > 0 && name == "Data" {
            return Some(self.unnamed().collect());
        }
        if let Some((_, values)) = self.several.iter().find(|(known, _)| known == name) {
            return Some(values.iter().map(|text| Cow::Borrowed(text.as_ref())).collect());
        }
        match self.data(name) {
            Some(text) => Some(vec![Cow::Borrowed(text)]),
            None => self.empty.iter().any(|known| known == name).then(Vec::new),
        }
    }

    /// Whether any name has several values.
    pub(super) fn has_repeated(&self) -> bool {
        !self.several.is_empty()
    }

    /// Whether a name has several values, so that no single one is its value.
    pub(super) fn has_several(&self, name: &str) -> bool {
        self.several.iter().any(|(known, _)| known == name)
    }

    /// The values of entries that had no name, in order; without such, that of the one named `Data`, as some
    /// forwarders write them.
    pub(super) fn unnamed(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let count = self.unnamed;
        let is_one = move |name: &str| {
            if count == 0 {
                return name == "Data";
            }
            let number = name.strip_prefix("param").and_then(|number| number.parse::<usize>().ok());
            number.is_some_and(|number| number >= 1 && number <= count)
        };
        self.data.iter().filter(move |(name, _)| is_one(name)).map(|(_, text)| Cow::Borrowed(text.as_ref()))
    }

    /// Every value, those of the header first.
    pub(super) fn values(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let header = self.header.iter().map(|(_, text)| text);
        let joined = |name: &str| self.unnamed > 0 && name == "Data";
        let data = self.data.iter().filter(move |(name, _)| !joined(name)).flat_map(|(name, text)| {
            let several = self.several.iter().find(|(known, _)| known == name);
            several.map_or(std::slice::from_ref(text), |(_, values)| values.as_slice())
        });
        header.chain(data).map(|text| Cow::Borrowed(text.as_ref()))
    }

    /// All entries, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data.iter().map(|(name, text)| (name.as_ref(), text.as_ref()))
    }

    /// The event id; 0 if it is not a number.
    pub(super) fn event_id(&self) -> u32 {
        self.header(Header::EventId).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn put_header(&mut self, header: Header, node: Option<&'n Node<'_>>) {
        let Some(node) = node else { return };
        let text = match (header, node) {
            // A mask: some write it as a signed number.
            (Header::Keywords, Node::Int(mask)) => Some(Cow::Owned(format!("{:#x}", mask.cast_unsigned()))),
            (Header::Keywords, Node::UInt(mask)) => Some(Cow::Owned(format!("{mask:#x}"))),
            (Header::Keywords, Node::Array(_)) => joined(node),
            _ => content(node),
        };
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.header.push((header, text));
        }
    }

    fn put_data(&mut self, name: Cow<'n, str>, text: Option<Cow<'n, str>>) {
        if self.data.len() + self.empty.len() >= ENTRIES_MAX {
            self.left_out += 1;
            return;
        }
        let name = if name.contains(' ') { Cow::Owned(name.replace(' ', "")) } else { name };
        match text {
            Some(text) => self.data.push((name, text)),
            None => self.empty.push(name),
        }
    }

    /// An element: its text, each of several, or that it has none. Of one with elements below, these, to a depth.
    fn put_element(&mut self, name: &'n str, node: &'n Node<'_>, depth: usize) {
        let own = node.get("#text");
        match own.unwrap_or(node) {
            Node::Null => self.put_data(Cow::Borrowed(name), None),
            Node::Array(items) => {
                if items.is_empty() {
                    self.put_data(Cow::Borrowed(name), None);
                }
                items.iter().for_each(|item| self.put_element(name, item, depth.saturating_sub(1)));
            }
            Node::Object(members) if own.is_none() => {
                if members.iter().all(|(name, _)| is_attributes(name)) {
                    self.put_data(Cow::Borrowed(name), None);
                } else if depth > 0 {
                    self.read_elements(node, depth - 1);
                }
            }
            scalar => {
                if let Some(text) = text(scalar) {
                    self.put_data(Cow::Borrowed(name), Some(text));
                }
            }
        }
    }

    /// `Event.System`, `Event.EventData`, `Event.UserData`.
    fn read_nested(&mut self, event: &'n Node<'_>, system: &'n Node<'_>) {
        let attribute = |element: &str, name: &str| attribute(system, element, name);
        self.put_header(Header::Provider, attribute("Provider", "Name"));
        self.put_header(Header::ProviderGuid, attribute("Provider", "Guid"));
        for (header, name) in [
            (Header::EventId, "EventID"),
            (Header::Version, "Version"),
            (Header::Level, "Level"),
            (Header::Task, "Task"),
            (Header::Opcode, "Opcode"),
            (Header::Keywords, "Keywords"),
            (Header::EventRecordId, "EventRecordID"),
            (Header::Channel, "Channel"),
            (Header::Computer, "Computer"),
        ] {
            self.put_header(header, system.get(name));
        }
        self.put_header(Header::ActivityId, attribute("Correlation", "ActivityID"));
        self.put_header(Header::ProcessId, attribute("Execution", "ProcessID"));
        self.put_header(Header::ThreadId, attribute("Execution", "ThreadID"));
        self.put_header(Header::UserId, attribute("Security", "UserID"));
        self.put_header(Header::Message, event.get("RenderingInfo").and_then(|info| info.get("Message")));
        self.time_ns = attribute("TimeCreated", "SystemTime").and_then(time_ns);
        self.read_event_data(event.get("EventData"));
        self.read_user_data(event.get("UserData"));
    }

    fn read_event_data(&mut self, data: Option<&'n Node<'_>>) {
        for (name, value) in data.and_then(Node::members).into_iter().flatten() {
            match name.as_ref() {
                name if is_attributes(name) => {}
                "Data" => self.read_data_elements(value),
                _ => self.put_element(name, value, 0),
            }
        }
        // Some write a list of elements in place of the object.
        if let Some(Node::Array(_) | Node::Str(_)) = data
            && let Some(data) = data
        {
            self.read_data_elements(data);
        }
    }

    /// `Data`: one element or several, with a name as an attribute or without.
    fn read_data_elements(&mut self, value: &'n Node<'_>) {
        let elements = match value {
            Node::Array(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        };
        for element in elements {
            let name = ["#attributes", ""].iter().find_map(|holder| {
                let holder = if holder.is_empty() { Some(element) } else { element.get(holder) };
                holder.and_then(|holder| holder.get("Name").or_else(|| holder.get("@Name"))).and_then(Node::as_str)
            });
            match name {
                Some(name) => match element.get("#text") {
                    Some(_) => self.put_element(name, element, 0),
                    None => self.put_data(Cow::Borrowed(name), None),
                },
                // Values without a name that are none are not counted.
                None if content(element).is_none() => {}
                None => self.put_element("", element, 0),
            }
        }
    }

    /// `UserData`: one element per provider, with elements below it.
    fn read_user_data(&mut self, data: Option<&'n Node<'_>>) {
        let Some(members) = data.and_then(Node::members) else { return };
        self.is_user_data = true;
        for (name, value) in members.iter().filter(|(name, _)| !is_attributes(name)) {
            match value {
                Node::Object(_) => self.read_elements(value, USER_DATA_DEPTH_MAX),
                _ => self.put_element(name, value, 0),
            }
        }
    }

    fn read_elements(&mut self, element: &'n Node<'_>, depth: usize) {
        for (name, value) in element.members().into_iter().flatten() {
            if !is_attributes(name) {
                self.put_element(name, value, depth);
            }
        }
    }

    /// `winlog.channel`, `winlog.event_data.*` and so on, nested or dotted.
    fn read_winlog(&mut self, root: &'n Node<'_>) {
        for (header, name) in [
            (Header::Provider, "winlog.provider_name"),
            (Header::ProviderGuid, "winlog.provider_guid"),
            (Header::EventId, "winlog.event_id"),
            (Header::Version, "winlog.version"),
            (Header::Level, "winlog.level"),
            (Header::Task, "winlog.task"),
            (Header::Opcode, "winlog.opcode"),
            (Header::Keywords, "winlog.keywords"),
            (Header::EventRecordId, "winlog.record_id"),
            (Header::ActivityId, "winlog.activity_id"),
            (Header::ProcessId, "winlog.process.pid"),
            (Header::ThreadId, "winlog.process.thread.id"),
            (Header::Channel, "winlog.channel"),
            (Header::Computer, "winlog.computer_name"),
            (Header::UserId, "winlog.user.identifier"),
            (Header::Message, "message"),
        ] {
            self.put_header(header, root.at(name));
        }
        self.time_ns = root.get("@timestamp").and_then(time_ns);
        self.read_below(root, "winlog.event_data");
        let before = self.data.len();
        self.read_below(root, "winlog.user_data");
        self.is_user_data = before == 0 && !self.data.is_empty();
    }

    /// The members below a dotted path, whatever part of it is nested.
    fn read_below(&mut self, node: &'n Node<'_>, path: &str) {
        for (key, value) in node.members().into_iter().flatten() {
            if let Some(rest) = path.strip_prefix(key.as_ref()) {
                match rest.strip_prefix('.') {
                    Some(rest) => self.read_below(value, rest),
                    None if rest.is_empty() => self.read_elements(value, USER_DATA_DEPTH_MAX),
                    None => {}
                }
            } else if let Some(name) = key.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) {
                self.put_element(name, value, 0);
            }
        }
    }

    /// Header and data side by side at the top.
    fn read_flat(&mut self, root: &'n Node<'_>) {
        let nxlog = root.get("SourceModuleType").is_some() || root.get("EventReceivedTime").is_some();
        let mut event_type = None;
        for (name, value) in root.members().into_iter().flatten() {
            let header = flat_header(name, nxlog);
            match (header, name.as_ref()) {
                // The first of several names for the same; `Opcode` may stand beside `OpcodeValue`.
                (Some(header), _) if self.header(header).is_none() => self.put_header(header, Some(value)),
                (Some(_), _) => {}
                (None, name) if FLAT_ELSEWHERE.contains(&name) || (nxlog && NXLOG_ELSEWHERE.contains(&name)) => {}
                (None, "EventData") => self.read_event_data(Some(value)),
                (None, "UserData") => self.read_user_data(Some(value)),
                // NXLog keeps a severity here, over what the event itself has under this name.
                (None, "EventType") if value.as_str().is_some_and(|word| NXLOG_EVENT_TYPES.contains(&word)) => {}
                (None, _) => {
                    if name == "EventType" {
                        event_type = value.as_str();
                    }
                    self.put_element(name, value, 0);
                }
            }
        }
        if event_type.is_none()
            && let Some(Node::Str(message)) = root.get("Message")
            && let Some(text) = message.lines().find_map(|line| line.trim().strip_prefix("EventType: "))
        {
            self.put_data(Cow::Borrowed("EventType"), Some(Cow::Borrowed(text)));
        }
        let zoneless_last = ["TimeCreated", "@timestamp", "SystemTime", "EventTime"];
        self.time_ns = zoneless_last.iter().find_map(|name| root.get(name).and_then(time_ns));
    }

    /// Gives entries without a name theirs, and joins those of the same name.
    fn join_unnamed(&mut self) {
        if self.data.iter().any(|(name, _)| name.is_empty()) {
            let unnamed = |(name, _): &&(Cow<'n, str>, Cow<'n, str>)| name.is_empty();
            let texts: Vec<&str> = self.data.iter().filter(unnamed).map(|(_, text)| text.as_ref()).collect();
            let all = texts.join("\n");
            let mut number = 0usize;
            for (name, _) in self.data.iter_mut().filter(|(name, _)| name.is_empty()) {
                number += 1;
                *name = Cow::Owned(format!("param{number}"));
            }
            self.unnamed = number;
            self.data.push((Cow::Borrowed("Data"), Cow::Owned(all)));
        }
        let is_new = |at: usize, name: &str| self.data.iter().take(at).all(|(known, _)| known != name);
        if self.data.len() > ENTRIES_FEW || !self.data.iter().enumerate().all(|(at, (name, _))| is_new(at, name)) {
            self.join_repeated();
        }
    }

    fn join_repeated(&mut self) {
        let mut places: HashMap<Cow<'n, str>, usize> = HashMap::with_capacity(self.data.len());
        let mut joined: Vec<(Cow<'n, str>, Vec<Cow<'n, str>>)> = Vec::with_capacity(self.data.len());
        for (name, text) in std::mem::take(&mut self.data) {
            match places.get(&name).and_then(|place| joined.get_mut(*place)) {
                Some((_, values)) => values.push(text),
                None => {
                    places.insert(name.clone(), joined.len());
                    joined.push((name, vec![text]));
                }
            }
        }
        for (name, mut values) in joined {
            if values.len() > 1 {
                self.data.push((name.clone(), Cow::Owned(values.join("\n"))));
                self.several.push((name, values));
            } else if let Some(text) = values.pop() {
                self.data.push((name, text));
            }
        }
    }
}

/// A path without what only tells Windows not to look at it closely: `\\?\C:\a` and `\??\C:\a` are `C:\a`, and
/// `\\?\UNC\server\share` is `\\server\share`. Other devices have no other name and keep theirs.
pub(super) fn without_prefix(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix(r"\\?\").or_else(|| path.strip_prefix(r"\??\")) else {
        return Cow::Borrowed(path);
    };
    if matches!(rest.as_bytes(), [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic()) {
        return Cow::Borrowed(rest);
    }
    match rest.split_at_checked(4) {
        Some((unc, share)) if unc.eq_ignore_ascii_case(r"UNC\") => Cow::Owned(format!(r"\\{share}")),
        _ => Cow::Borrowed(path),
    }
}

/// Names at the top of flat events that belong to the header.
fn flat_header(name: &str, nxlog: bool) -> Option<Header> {
    Some(match name {
        "EventID" | "EventId" | "event_id" => Header::EventId,
        "Channel" | "channel" | "LogName" => Header::Channel,
        "SourceName" | "ProviderName" | "Provider_Name" | "Provider" => Header::Provider,
        "ProviderGuid" | "Provider_Guid" => Header::ProviderGuid,
        "Hostname" | "Computer" | "ComputerName" | "MachineName" => Header::Computer,
        "Level" => Header::Level,
        "Keywords" => Header::Keywords,
        "Task" => Header::Task,
        "OpcodeValue" | "Opcode" => Header::Opcode,
        "RecordNumber" | "EventRecordID" | "RecordId" => Header::EventRecordId,
        "Version" => Header::Version,
        "ActivityID" => Header::ActivityId,
        "ExecutionProcessID" => Header::ProcessId,
        "ThreadID" if nxlog => Header::ThreadId,
        "UserID" if nxlog => Header::UserId,
        "Message" => Header::Message,
        _ => return None,
    })
}

/// Names at the top of flat events that are the forwarder's, or are read elsewhere.
const FLAT_ELSEWHERE: [&str; 11] = [
    "@timestamp",
    "@version",
    "EventTime",
    "TimeCreated",
    "SystemTime",
    "tags",
    "host",
    "port",
    "EventReceivedTime",
    "SourceModuleName",
    "SourceModuleType",
];
const NXLOG_ELSEWHERE: [&str; 4] = ["Severity", "SeverityValue", "EventTypeOrignal", "ERROR_EVT_UNRESOLVED"];
const NXLOG_EVENT_TYPES: [&str; 8] =
    ["INFO", "WARNING", "ERROR", "CRITICAL", "DEBUG", "VERBOSE", "AUDIT_SUCCESS", "AUDIT_FAILURE"];

fn is_flat(root: &Node<'_>) -> bool {
    let Some(members) = root.members() else { return false };
    let has = |wanted: Header| members.iter().any(|(name, _)| flat_header(name, false) == Some(wanted));
    has(Header::EventId) && (has(Header::Channel) || has(Header::Provider))
}

fn is_attributes(name: &str) -> bool {
    name == "#attributes" || name == "#text" || name.starts_with('@') || name.ends_with("_attributes")
}

/// An attribute of an element: below `#attributes`, as `@Name`, plain, or in a sibling `Element_attributes`.
fn attribute<'n, 'a>(parent: &'n Node<'a>, element: &str, name: &str) -> Option<&'n Node<'a>> {
    let holder = parent.get(element);
    let in_holder = holder.and_then(|holder| {
        let attributes = holder.get("#attributes").unwrap_or(holder);
        attributes.get(name).or_else(|| {
            let members = attributes.members()?;
            members.iter().find(|(key, _)| key.strip_prefix('@') == Some(name)).map(|(_, value)| value)
        })
    });
    in_holder.or_else(|| {
        let members = parent.members()?;
        let (_, attributes) = members.iter().find(|(key, _)| key.strip_suffix("_attributes") == Some(element))?;
        attributes.get(name)
    })
}

/// The text of an element: a scalar, `#text` beside attributes, or several of these, a line each.
fn content<'n>(node: &'n Node<'_>) -> Option<Cow<'n, str>> {
    match node {
        Node::Array(_) => joined(node),
        Node::Object(_) => node.get("#text").and_then(|inner| match inner {
            Node::Object(_) => None,
            Node::Array(_) => joined(inner),
            scalar => text(scalar),
        }),
        scalar => text(scalar),
    }
}

fn joined<'n>(node: &'n Node<'_>) -> Option<Cow<'n, str>> {
    let Node::Array(items) = node else { return None };
    let text_of = |item: &'n Node<'_>| text(item).or_else(|| item.get("#text").and_then(text));
    match items.as_slice() {
        [] => None,
        [single] => text_of(single),
        _ => {
            let texts: Vec<Cow<'n, str>> = items.iter().filter_map(text_of).collect();
            Some(Cow::Owned(texts.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::json;

    #[test]
    fn entries_of_one_name_are_joined_however_many_there_are() {
        let around = |limit: usize| [limit - 1, limit, limit + 1];
        for count in [2].into_iter().chain(around(ENTRIES_FEW)).chain(around(ENTRIES_MAX)) {
            // The last has the name of the first.
            let name = |number: usize| number % (count - 1);
            let elements: Vec<String> = (0..count)
                .map(|number| format!(r##"{{"#attributes":{{"Name":"n{}"}},"#text":"{number}"}}"##, name(number)))
                .collect();
            let data = elements.join(",");
            let text = format!(r#"{{"Event":{{"System":{{"EventID":1}},"EventData":{{"Data":[{data}]}}}}}}"#);
            let (root, _) = json::parse(text.as_bytes()).unwrap();
            let event = WindowsEvent::read(&root).unwrap();
            let kept = count.min(ENTRIES_MAX);
            assert_eq!(event.left_out, count - kept, "{count}");
            let first = if kept == count { format!("0\n{}", count - 1) } else { "0".to_owned() };
            assert_eq!(event.data("n0"), Some(first.as_str()), "{count}");
            let names: Vec<&str> = event.entries().map(|(name, _)| name).collect();
            let expected: Vec<String> = (0..kept.min(count - 1)).map(|number| format!("n{number}")).collect();
            assert_eq!(names, expected, "{count}");
        }
    }
}
