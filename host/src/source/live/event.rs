//! Events of processes, as JSON with the names of the catalogue.
//!
//! What is not known of a process is named in `trapline.lost`, what is known in part in `trapline.truncated`; a field
//! that is neither there nor named has no value. An ancestor of which something is not known makes the list of
//! ancestors one that is known in part.

use serde::{Serialize, Serializer};

use super::accounts::Names;
use super::stat;
use super::table::{Key, Process, Table};
use super::value::{CommandLine, Image, Known};

/// Arguments that an event carries: as many as a record takes.
const ARGUMENTS_MAX: usize = trapline_vm::record::LIST_LEN_MAX as usize;

/// The host, which is the same in all events.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) hostname: String,
    pub(super) os: System,
}

/// The host's operating system.
#[derive(Clone, Debug, Serialize)]
pub(super) struct System {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
}

impl Default for System {
    fn default() -> Self {
        Self { kind: "linux", name: None, version: None }
    }
}

impl System {
    /// What `/etc/os-release` says.
    pub(super) fn from_os_release(text: &str) -> Self {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            let value = line.trim().trim_matches(|quote| matches!(quote, '"' | '\''));
            (!value.is_empty()).then(|| value.to_owned())
        };
        Self { name: value("NAME"), version: value("VERSION_ID"), ..Self::default() }
    }
}

/// What all events of a sensor are made with.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) profile: &'static str,
    pub(super) host: Host,
    pub(super) users: Names,
    pub(super) groups: Names,
}

/// What only the event knows, and the table does not.
#[derive(Debug)]
pub(super) enum About<'a> {
    /// A program started.
    Exec {
        /// Its image, the command line in its whole length.
        image: &'a Image,
        directory: &'a Known<Box<str>>,
        parent_directory: &'a Known<Box<str>>,
    },
    /// A process ended.
    Exit {
        /// What it left for its parent, as `wait` has it, where that is told.
        status: Option<u32>,
        /// Whether the sensor is told at all.
        told: bool,
    },
}

impl Writer {
    /// Writes the event of a process in the table. Nothing, if it is not there.
    pub(super) fn write(&self, table: &Table, key: Key, time_ns: i64, about: &About<'_>) -> Option<Vec<u8>> {
        let process = table.get(key)?;
        let mut marks = Marks { profile: self.profile, ..Marks::default() };
        let exec = matches!(about, About::Exec { .. });
        marks.class = if exec { "process.exec" } else { "process.exit" };
        let image: &Image = match about {
            About::Exec { image, .. } => image,
            About::Exit { .. } => &process.image,
        };
        let of = self.program(
            image,
            ["process.name", "process.executable", "process.command_line", "process.args", "process.args_count"],
            &mut marks,
        );
        let owner = marks.keep(
            &process.owner,
            &[
                "process.user.id",
                "process.user.name",
                "process.real_user.id",
                "process.real_user.name",
                "process.saved_user.id",
                "process.group.id",
                "process.group.name",
                "process.real_group.id",
                "user.id",
                "user.name",
                "user.group.id",
                "user.group.name",
            ],
        );
        let saved = owner.and_then(|owner| marks.keep(&owner.saved_uid, &["process.saved_user.id"]));
        let session = marks.keep(&process.session, &["process.session_id"]).copied();
        let tty = marks.keep(&process.tty, &["process.tty.name", "process.interactive"]).copied();
        let mut directory = None;
        let mut parent_directory = None;
        let mut end = None;
        let mut exit_code = None;
        match about {
            About::Exec { directory: own, parent_directory: parents, .. } => {
                directory = marks.keep(own, &["process.working_directory"]).map(AsRef::as_ref);
                parent_directory = marks.keep(parents, &["process.parent.working_directory"]).map(AsRef::as_ref);
            }
            About::Exit { status, told } => {
                end = Some(Time(time_ns));
                exit_code = status.map(exit_code_of);
                if *told && status.is_none() {
                    marks.lost.push("process.exit_code");
                }
            }
        }
        if !process.start.known {
            marks.lost.push("process.start");
        }
        let user = |id: u32| Account { id: Text(id), name: self.users.get(id) };
        let group = |id: u32| Account { id: Text(id), name: self.groups.get(id) };
        let parent = self.parent(table, process, parent_directory, &mut marks);
        let ancestors = self.ancestors(table, key, &mut marks);
        let event = Event {
            time: Time(time_ns),
            event: Kind {
                kind: "event",
                category: ["process"],
                types: [if exec { "start" } else { "end" }],
                action: if exec { "exec" } else { "exit" },
                provider: self.profile,
                module: "trapline",
            },
            host: &self.host,
            process: Subject {
                pid: process.pid,
                entity_id: Entity(process.entity),
                program: of,
                start: process.start.known.then_some(Time(process.start.time_ns)),
                end,
                exit_code,
                working_directory: directory,
                session_id: session,
                interactive: match process.tty {
                    Known::Lost => None,
                    Known::None => Some(false),
                    Known::Is(_) => Some(true),
                },
                tty: tty.and_then(stat::tty).map(|name| Tty { name }),
                user: owner.map(|owner| user(owner.effective_uid)),
                real_user: owner.map(|owner| user(owner.uid)),
                saved_user: saved.map(|id| Account { id: Text(*id), name: None }),
                group: owner.map(|owner| group(owner.effective_gid)),
                real_group: owner.map(|owner| Account { id: Text(owner.gid), name: None }),
                parent,
                ancestors,
            },
            user: owner.map(|owner| Actor { user: user(owner.effective_uid), group: group(owner.effective_gid) }),
            trapline: marks,
        };
        serde_json::to_vec(&event).ok()
    }

    /// Name, executable, command line, arguments and their number, called as `names` says.
    fn program<'a>(&self, image: &'a Image, names: [&'static str; 5], marks: &mut Marks) -> Program<'a> {
        let [name, executable, command_line, args, count] = names;
        let line = marks.keep(&image.line, &[command_line, args, count]);
        if let Some(line) = line {
            if line.is_cut() {
                marks.truncated.extend([command_line, args]);
            } else if line.count().is_some_and(|count| count > ARGUMENTS_MAX) {
                marks.truncated.push(args);
            }
            if line.count().is_none() {
                marks.lost.push(count);
            }
        }
        Program {
            name: marks.keep(&image.name, &[name]).map(AsRef::as_ref),
            executable: marks.keep(&image.executable, &[executable]).map(AsRef::as_ref),
            command_line: line.map(CommandLine::line),
            args: line.map(Arguments),
            args_count: line.and_then(CommandLine::count),
        }
    }

    fn parent<'a>(
        &'a self,
        table: &'a Table,
        process: &Process,
        working_directory: Option<&'a str>,
        marks: &mut Marks,
    ) -> Option<Parent<'a>> {
        let pid = marks.keep(&process.parent_pid, &["process.parent.pid"]).copied();
        let parent = match process.parent {
            Known::None => return None,
            Known::Is(key) => table.get(key),
            Known::Lost => None,
        };
        let Some(parent) = parent else {
            marks.lost.extend(PARENT_FIELDS);
            return Some(Parent { pid, working_directory, ..Parent::default() });
        };
        let program = self.program(
            &parent.image,
            [
                "process.parent.name",
                "process.parent.executable",
                "process.parent.command_line",
                "process.parent.args",
                "process.parent.args_count",
            ],
            marks,
        );
        if !parent.start.known {
            marks.lost.push("process.parent.start");
        }
        let owner = marks.keep(&parent.owner, &["process.parent.user.id", "process.parent.user.name"]);
        Some(Parent {
            pid,
            entity_id: Some(Entity(parent.entity)),
            program,
            working_directory,
            start: parent.start.known.then_some(Time(parent.start.time_ns)),
            user: owner
                .map(|owner| Account { id: Text(owner.effective_uid), name: self.users.get(owner.effective_uid) }),
        })
    }

    fn ancestors<'a>(&'a self, table: &'a Table, key: Key, marks: &mut Marks) -> Vec<Ancestor<'a>> {
        let (found, all) = table.ancestors(key);
        let mut whole = all;
        let ancestors = found.into_iter().map(|process| {
            let Image { name, executable, line } = &**process.image;
            whole &= !(name.is_lost() || executable.is_lost() || line.is_lost() || process.owner.is_lost());
            whole &= line.is().is_none_or(|line| !line.is_cut()) && process.start.known;
            Ancestor {
                pid: process.pid,
                entity_id: Entity(process.entity),
                name: name.is().map(AsRef::as_ref),
                executable: executable.is().map(AsRef::as_ref),
                command_line: line.is().map(CommandLine::line),
                start: process.start.known.then_some(Time(process.start.time_ns)),
                user: process
                    .owner
                    .is()
                    .map(|owner| Account { id: Text(owner.effective_uid), name: self.users.get(owner.effective_uid) }),
            }
        });
        let ancestors: Vec<_> = ancestors.collect();
        match (whole, ancestors.is_empty()) {
            (true, _) => {}
            (false, true) => marks.lost.push("process.ancestors"),
            (false, false) => marks.truncated.push("process.ancestors"),
        }
        ancestors
    }
}

/// What is lost of a parent that is not in the table, its number apart.
const PARENT_FIELDS: [&str; 9] = [
    "process.parent.entity_id",
    "process.parent.name",
    "process.parent.executable",
    "process.parent.command_line",
    "process.parent.args",
    "process.parent.args_count",
    "process.parent.start",
    "process.parent.user.id",
    "process.parent.user.name",
];

/// The exit status as shells show it: what the process said, or 128 and the signal that ended it.
fn exit_code_of(status: u32) -> u32 {
    match status & 0x7f {
        0 => status >> 8 & 0xff,
        signal => 128 + signal,
    }
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "@timestamp")]
    time: Time,
    event: Kind<'a>,
    host: &'a Host,
    process: Subject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Actor<'a>>,
    trapline: Marks,
}

#[derive(Serialize)]
struct Kind<'a> {
    kind: &'static str,
    category: [&'static str; 1],
    #[serde(rename = "type")]
    types: [&'static str; 1],
    action: &'static str,
    provider: &'a str,
    module: &'static str,
}

/// What is said of the event itself.
#[derive(Default, Serialize)]
struct Marks {
    class: &'static str,
    profile: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<&'static str>,
}

impl Marks {
    /// The value; if it is lost, so are these fields.
    fn keep<'v, T>(&mut self, value: &'v Known<T>, fields: &[&'static str]) -> Option<&'v T> {
        if value.is_lost() {
            self.lost.extend(fields);
        }
        value.is()
    }
}

#[derive(Serialize)]
struct Subject<'a> {
    pid: u32,
    entity_id: Entity,
    #[serde(flatten)]
    program: Program<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Tty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    real_user: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_user: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    real_group: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Parent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ancestors: Vec<Ancestor<'a>>,
}

#[derive(Default, Serialize)]
struct Program<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Arguments<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args_count: Option<usize>,
}

#[derive(Default, Serialize)]
struct Parent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<Entity>,
    #[serde(flatten)]
    program: Program<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Account<'a>>,
}

#[derive(Serialize)]
struct Ancestor<'a> {
    pid: u32,
    entity_id: Entity,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Account<'a>>,
}

#[derive(Serialize)]
struct Tty {
    name: String,
}

#[derive(Serialize)]
struct Account<'a> {
    id: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(flatten)]
    user: Account<'a>,
    group: Account<'a>,
}

/// A number that the catalogue has as text.
struct Text(u32);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Entity(u128);

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

/// Nanoseconds since 1970.
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => serializer.collect_str(&time),
            // All 64-bit nanoseconds are within the years that can be written.
            Err(_) => serializer.serialize_none(),
        }
    }
}

struct Arguments<'a>(&'a CommandLine);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.arguments().take(ARGUMENTS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::Value;
    use trapline_programs::catalogue::{catalogue, taxonomy};
    use trapline_vm::record::{ClassId, FieldId, Layouts, Os, RECORD_LEN_MAX, RecordView, RecordWriter, Slot, state};

    use super::*;
    use crate::source::live::stat::Owner;
    use crate::source::live::table::{ANCESTORS_MAX, Ended, Executed, Seen, Start};
    use crate::source::{Decoder, Payload, Position, RawEvent, SourceId};

    const OWNER: Owner = Owner { uid: 1000, effective_uid: 0, saved_uid: Known::Is(0), gid: 100, effective_gid: 5 };

    fn writer(profile: &'static str) -> Writer {
        let folder = tempfile::tempdir().unwrap();
        let names = |file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            Names::new(path)
        };
        Writer {
            profile,
            host: Host {
                name: "web01".to_owned(),
                hostname: "web01".to_owned(),
                os: System::from_os_release("ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n"),
            },
            users: names("passwd", "root:x:0:0\nalice:x:1000:100\n"),
            groups: names("group", "tty:x:5:\n"),
        }
    }

    fn image(path: &str, arguments: &str) -> Image {
        let line = CommandLine::from_raw(format!("{path}\0{arguments}").as_bytes()).unwrap();
        Image::new(Known::Is(path.into()), Known::Is(line))
    }

    fn seen(pid: u32, parent_pid: Known<u32>, image: Image) -> Seen {
        Seen {
            pid,
            start: Start { time_ns: i64::from(pid) * 1_000_000_000, ticks: u64::from(pid) * 100, known: true },
            parent_pid,
            image,
            owner: Known::Is(OWNER),
            session: Known::Is(20),
            tty: Known::Is(34816),
            threads: 1,
        }
    }

    /// A process that nothing is known of but its number.
    fn unknown(pid: u32) -> Seen {
        Seen {
            start: Start { time_ns: 5, ticks: 5, known: false },
            owner: Known::Lost,
            session: Known::Lost,
            tty: Known::Lost,
            ..seen(pid, Known::Lost, Image::default())
        }
    }

    fn table() -> Table {
        let mut table = Table::new(b"boot");
        table.see(seen(1, Known::None, image("/sbin/init", ""))).unwrap();
        table.see(seen(20, Known::Is(1), image("/bin/bash", "-l\0"))).unwrap();
        table
    }

    fn exec(writer: &Writer, table: &Table, pid: u32, image: &Image) -> Value {
        let about = About::Exec {
            image,
            directory: &Known::Is("/tmp".into()),
            parent_directory: &Known::Is("/home/alice".into()),
        };
        json(&writer.write(table, table.live(pid).unwrap(), 1_700_000_000_123_456_789, &about).unwrap())
    }

    fn exit(writer: &Writer, table: &Table, pid: u32, status: Option<u32>, told: bool) -> Value {
        let about = About::Exit { status, told };
        json(&writer.write(table, table.live(pid).unwrap(), 1_700_000_000_123_456_789, &about).unwrap())
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    /// The class and profile that the event is decoded to, and the state of each field that it says something of.
    fn decoded(event: &Value) -> (ClassId, &'static str, BTreeMap<String, u8>) {
        let layouts = Layouts::new(Arc::clone(catalogue()));
        let raw = RawEvent {
            source: SourceId::default(),
            sequence: 0,
            position: Position { file: "live".into(), record: 0 },
            payload: Payload::Json(Bytes::from(event.to_string())),
        };
        let mut found = None;
        Decoder::new(Arc::clone(catalogue())).decode(&raw, &mut |event| {
            let event = event.unwrap();
            assert_eq!((event.os, event.time_ns), (Some(Os::Linux), 1_700_000_000_123_456_789));
            let mut bytes = vec![0; RECORD_LEN_MAX as usize];
            let slots = layouts.slot_count(event.family());
            let mut writer = RecordWriter::new(&mut bytes, slots, &event.header(&layouts)).unwrap();
            assert_eq!(event.fill(&mut writer, &layouts, |_| true), []);
            writer.finish();
            let view = RecordView::new(&bytes).unwrap();
            let fields = catalogue().family(event.family()).fields.iter();
            let states = (0u16..).zip(fields).filter_map(|(slot, field)| match view.state(Slot(slot)) {
                0 => None,
                state => Some((catalogue().field(*field).name.clone(), state)),
            });
            found = Some((event.class, event.profile, states.collect()));
        });
        found.unwrap()
    }

    fn supplied(profile: &str, class: ClassId) -> BTreeSet<String> {
        let fields = (0u16..).map(FieldId).zip(&catalogue().fields);
        fields.filter(|(id, _)| taxonomy::supplies(profile, class, *id)).map(|(_, field)| field.name.clone()).collect()
    }

    /// The events of one profile: a program that starts, and its end.
    fn both(writer: &Writer, table: &Table, pid: u32, image: &Image) -> [Value; 2] {
        let told = writer.profile == "linux-connector";
        [exec(writer, table, pid, image), exit(writer, table, pid, told.then_some(0x700), told)]
    }

    #[test]
    fn a_full_event_has_the_fields_of_its_profile_and_no_other() {
        for profile in ["linux-connector", "linux-proc"] {
            let mut table = table();
            let image = image("/usr/bin/id", "-u\0");
            table.see(seen(30, Known::Is(20), image.clone())).unwrap();
            for (event, class) in
                both(&writer(profile), &table, 30, &image).iter().zip(["process.exec", "process.exit"])
            {
                let (found, found_profile, states) = decoded(event);
                assert_eq!((catalogue().class(found).name.as_str(), found_profile), (class, profile));
                let present: BTreeSet<String> = states
                    .iter()
                    .filter(|(_, state)| **state == state::PRESENT)
                    .map(|(name, _)| name.clone())
                    .collect();
                assert_eq!(present, supplied(profile, found), "{profile} {class} {event:#}");
                assert_eq!(present.len(), states.len(), "nothing is lost or cut: {event:#}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_lost_and_never_absent() {
        for profile in ["linux-connector", "linux-proc"] {
            let mut table = Table::new(b"boot");
            let key = table.see(unknown(30)).unwrap();
            let about =
                About::Exec { image: &Image::default(), directory: &Known::Lost, parent_directory: &Known::Lost };
            let writer = writer(profile);
            let started = json(&writer.write(&table, key, 1_700_000_000_123_456_789, &about).unwrap());
            let ended = exit(&writer, &table, 30, None, profile == "linux-connector");
            for event in [started, ended] {
                let (class, _, states) = decoded(&event);
                let told: BTreeSet<String> = states.keys().cloned().collect();
                assert_eq!(told, supplied(profile, class), "{event:#}");
                for (name, state) in states {
                    // Something is missing among them.
                    if name == "event.values" {
                        assert_eq!(state, state::PRESENT | state::TRUNCATED);
                        continue;
                    }
                    let known = ["event.", "host.", "process.pid", "process.entity_id", "process.end"];
                    let expected =
                        if known.iter().any(|known| name.starts_with(known)) { state::PRESENT } else { state::LOST };
                    assert_eq!(state, expected, "{name}");
                }
            }
        }
    }

    #[test]
    fn values_are_where_the_catalogue_has_them() {
        let mut table = table();
        let image = image("/usr/bin/id", "-u\0two words\0");
        table.see(seen(30, Known::Is(20), image.clone())).unwrap();
        let event = exec(&writer("linux-connector"), &table, 30, &image);
        let process = &event["process"];
        assert_eq!(event["@timestamp"], "2023-11-14T22:13:20.123456789Z");
        assert_eq!((&process["name"], &process["executable"]), (&Value::from("id"), &Value::from("/usr/bin/id")));
        assert_eq!(process["command_line"], "/usr/bin/id -u two words");
        assert_eq!(process["args"], serde_json::json!(["/usr/bin/id", "-u", "two words"]));
        assert_eq!(
            (&process["args_count"], &process["start"]),
            (&Value::from(3), &Value::from("1970-01-01T00:00:30Z"))
        );
        assert_eq!(
            (&process["tty"]["name"], &process["interactive"]),
            (&Value::from("/dev/pts/0"), &Value::from(true))
        );
        assert_eq!(process["user"], serde_json::json!({ "id": "0", "name": "root" }));
        assert_eq!(process["real_user"], serde_json::json!({ "id": "1000", "name": "alice" }));
        assert_eq!(
            (&process["group"]["name"], &process["real_group"]["id"]),
            (&Value::from("tty"), &Value::from("100"))
        );
        assert_eq!((&event["user"]["name"], &event["user"]["group"]["id"]), (&Value::from("root"), &Value::from("5")));
        assert_eq!(process["parent"]["args"], serde_json::json!(["/bin/bash", "-l"]));
        assert_eq!(process["parent"]["working_directory"], "/home/alice");
        let names: Vec<&Value> =
            process["ancestors"].as_array().unwrap().iter().map(|ancestor| &ancestor["name"]).collect();
        assert_eq!(names, ["bash", "init"]);
        assert_eq!(process["ancestors"][0]["entity_id"], process["parent"]["entity_id"]);
        assert_eq!(event["host"]["os"]["name"], "Debian GNU/Linux");
        assert_eq!(event["trapline"], serde_json::json!({ "class": "process.exec", "profile": "linux-connector" }));
    }

    #[test]
    fn what_there_is_none_of_is_neither_there_nor_lost() {
        let mut table = Table::new(b"boot");
        let of_kernel = Image { name: Known::Is("[kthreadd]".into()), executable: Known::None, line: Known::None };
        let mut first = seen(2, Known::None, of_kernel.clone());
        first.tty = Known::None;
        table.see(first).unwrap();
        let about = About::Exec { image: &of_kernel, directory: &Known::None, parent_directory: &Known::None };
        let event = writer("linux-proc").write(&table, table.live(2).unwrap(), 1_700_000_000_123_456_789, &about);
        let event = json(&event.unwrap());
        let (_, _, states) = decoded(&event);
        for absent in
            ["process.executable", "process.args", "process.tty.name", "process.parent.pid", "process.ancestors"]
        {
            assert_eq!(states.get(absent), None, "{absent}");
        }
        assert_eq!(
            (&event["process"]["interactive"], &event["process"]["name"]),
            (&Value::from(false), &Value::from("[kthreadd]"))
        );
        assert_eq!(event["trapline"]["lost"], Value::Null);
    }

    #[test]
    fn what_is_known_in_part_is_truncated() {
        let mut table = table();
        let arguments = "x\0".repeat(ARGUMENTS_MAX - 2);
        for (more, count, cut) in
            [("", ARGUMENTS_MAX - 1, false), ("x\0", ARGUMENTS_MAX, false), ("x\0x\0", ARGUMENTS_MAX + 1, true)]
        {
            let image = image("/bin/echo", &format!("{arguments}{more}"));
            table.see(seen(30, Known::Is(20), image.clone())).unwrap();
            let event = exec(&writer("linux-connector"), &table, 30, &image);
            let (_, _, states) = decoded(&event);
            assert_eq!(event["process"]["args_count"], count);
            assert_eq!(event["process"]["args"].as_array().unwrap().len(), count.min(ARGUMENTS_MAX));
            assert_eq!(states["process.args"] & state::TRUNCATED != 0, cut, "{count}");
            assert_eq!(states["process.command_line"], state::PRESENT);
        }
        // A line that the sensor cut: how many arguments there are, nobody knows.
        let image = image("/bin/echo", &"y".repeat(200 * 1024));
        table.see(seen(30, Known::Is(20), image.clone())).unwrap();
        let (_, _, states) = decoded(&exec(&writer("linux-connector"), &table, 30, &image));
        for cut in ["process.command_line", "process.args"] {
            assert_eq!(states[cut], state::PRESENT | state::TRUNCATED, "{cut}");
        }
        assert_eq!(states["process.args_count"], state::LOST);
        // Of children only the beginning of the parent's line is told.
        table.fork(30, 31, Start { time_ns: 1, ticks: 1, known: true }).unwrap();
        let (_, _, states) = decoded(&exec(&writer("linux-connector"), &table, 31, &image));
        assert_eq!(states["process.parent.command_line"], state::PRESENT | state::TRUNCATED);
        assert_eq!(states["process.ancestors"], state::PRESENT | state::TRUNCATED);
    }

    #[test]
    fn ancestors_beyond_the_depth_make_the_list_a_part() {
        for (above, state) in [(ANCESTORS_MAX, state::PRESENT), (ANCESTORS_MAX + 1, state::PRESENT | state::TRUNCATED)]
        {
            let mut table = Table::new(b"boot");
            let image = image("/bin/x", "");
            table.see(seen(1, Known::None, image.clone())).unwrap();
            let last = u32::try_from(above).unwrap() + 1;
            for pid in 2..=last {
                table.fork(pid - 1, pid, Start { time_ns: 1, ticks: 1, known: true }).unwrap();
            }
            let (_, _, states) = decoded(&exec(&writer("linux-connector"), &table, last, &image));
            assert_eq!(states["process.ancestors"], state, "{above}");
        }
    }

    #[test]
    fn the_end_of_a_process_says_what_it_ran() {
        let mut table = table();
        let image = image("/usr/bin/id", "-u\0");
        let key = table.fork(20, 30, Start { time_ns: 1, ticks: 1, known: true }).unwrap();
        table.exec(key, &Executed { image, terminal: None });
        assert_eq!(table.exit(30, 0x8b), Ended::Process(key, Some(0x8b)));
        let about = About::Exit { status: Some(0x8b), told: true };
        let event = json(&writer("linux-connector").write(&table, key, 7, &about).unwrap());
        assert_eq!(event["process"]["executable"], "/usr/bin/id");
        assert_eq!(event["process"]["exit_code"], 128 + 11);
        assert_eq!(event["process"]["end"], event["@timestamp"]);
        table.release(key);
        assert_eq!(writer("linux-connector").write(&table, key, 7, &about), None, "what is not kept is not told");
        for (status, code) in [(0, 0), (0x100, 1), (0xff00, 255), (9, 137), (0x8b, 139)] {
            assert_eq!(exit_code_of(status), code);
        }
    }
}
