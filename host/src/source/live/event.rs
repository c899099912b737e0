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
                saved_user: owner.map(|owner| Account { id: Text(owner.saved_uid), name: None }),
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
