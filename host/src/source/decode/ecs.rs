//! Events that use the names of the catalogue themselves: our own, and those of ECS writers. All other JSON comes
//! here too: it is `generic.log`, readable below `raw.`.
//!
//! Keys may be nested, dotted, or both. The class is given by `trapline.class`, `event.class` or `class`, or follows
//! from `event.category`, `event.type` and `event.action` as Elastic's agents fill them.
//!
//! What a writer left out and another field implies is derived: names from paths, arguments from the command line and
//! the reverse, the domain of `CORP\alice`. `trapline.lost` and `trapline.truncated` list fields whose value did not
//! arrive, or not all of it; `trapline.profile` says which live sensor the event comes from.

use std::borrow::Cow;

use trapline_programs::catalogue::taxonomy::{self, Conversion, Converted};
use trapline_vm::record::{Catalogue, ClassId, Element, Field, LIST_LEN_MAX, Os};

use super::value::{FieldValue, Misfit, field_value, text, time_ns};
use crate::source::json::Node;

/// Where events carry their time; the first that holds one counts.
const TIME_NAMES: [&str; 6] = ["@timestamp", "timestamp", "time", "event.created", "ts", "date"];

/// The first time the event carries.
pub(super) fn time(root: &Node<'_>) -> Option<i64> {
    TIME_NAMES.iter().find_map(|name| root.at(name).and_then(time_ns))
}

/// The supply profile: that of the live sensor which `trapline.profile` names, else any ECS writer's.
pub(super) fn profile(root: &Node<'_>) -> &'static str {
    let named = root.at("trapline.profile").and_then(Node::as_str);
    named.and_then(taxonomy::sensor_profile).unwrap_or(taxonomy::ECS)
}

/// The operating system the event says it comes from.
pub(super) fn os(root: &Node<'_>) -> Option<Os> {
    ["host.os.type", "host.os.platform", "host.os.family", "host.os.name"].iter().find_map(|name| {
        let name = root.at(name)?.as_str()?.to_ascii_lowercase();
        match name.as_str() {
            "linux" | "debian" | "redhat" | "ubuntu" | "centos" | "fedora" | "rhel" | "suse" | "arch" => {
                Some(Os::Linux)
            }
            "macos" | "darwin" | "osx" => Some(Os::MacOs),
            _ if name.starts_with("windows") => Some(Os::Windows),
            _ => None,
        }
    })
}

/// Whether the names at the top are those of ECS, so that the event can be shown as it is.
pub(super) fn is_ecs(root: &Node<'_>) -> bool {
    const GROUPS: [&str; 12] = [
        "event",
        "ecs",
        "process",
        "host",
        "user",
        "file",
        "source",
        "destination",
        "dns",
        "registry",
        "winlog",
        "trapline",
    ];
    root.members().into_iter().flatten().any(|(key, value)| {
        let (group, dotted) = key.split_once('.').map_or((key.as_ref(), false), |(group, _)| (group, true));
        GROUPS.contains(&group) && (dotted || value.members().is_some())
    })
}

/// The class of an event.
pub(super) fn class(catalogue: &Catalogue, root: &Node<'_>) -> Option<ClassId> {
    let named = |name: &&str| root.at(name).and_then(Node::as_str).and_then(|class| catalogue.class_id(class));
    if let Some(class) = ["trapline.class", "event.class", "class"].iter().find_map(named) {
        return Some(class);
    }
    let words = |name: &str| -> Vec<String> {
        match root.at(name) {
            Some(Node::Array(items)) => items.iter().filter_map(Node::as_str).map(str::to_ascii_lowercase).collect(),
            Some(Node::Str(word)) => vec![word.to_ascii_lowercase()],
            _ => Vec::new(),
        }
    };
    let (categories, types) = (words("event.category"), words("event.type"));
    let action = root.at("event.action").and_then(Node::as_str).unwrap_or_default().to_ascii_lowercase();
    let action = action.replace(['_', '-', ' '], "");
    if let Some(class) = catalogue.class_id(&action) {
        return Some(class);
    }
    categories.iter().find_map(|category| {
        let spoken = root.at("event.action").and_then(Node::as_str).unwrap_or_default();
        catalogue
            .class_id(&format!("{category}.{spoken}"))
            .or_else(|| catalogue.class_id(class_name(root, category, &types, &action)?))
    })
}

/// The class that category, types and action (in lower case, without blanks and the like) stand for.
fn class_name(root: &Node<'_>, category: &str, types: &[String], action: &str) -> Option<&'static str> {
    let is = |ty: &str| types.iter().any(|known| known == ty);
    let says = |words: &[&str]| words.iter().any(|word| action.contains(word));
    Some(match category {
        "process" if says(&["inject", "remotethread"]) => "process.inject",
        "process" if says(&["tamper"]) => "process.tamper",
        "process" if says(&["openprocess", "processaccess", "ptrace"]) || is("access") => "process.access",
        "process" if is("end") || says(&["exit", "terminat", "stopped"]) || action == "end" => "process.exit",
        // A fork alone starts no program.
        "process" if says(&["fork"]) => "process.fork",
        "process" if is("start") || is("creation") || says(&["exec", "processstarted", "processcreat"]) => {
            "process.exec"
        }
        "file" if is("deletion") || says(&["delet", "remov", "unlink"]) => "file.delete",
        "file" if says(&["renam", "moved"]) => "file.rename",
        "file" if says(&["stream"]) => "file.stream",
        "file" if says(&["attribute", "chmod", "chown", "permission", "owner", "utime", "setxattr"]) => {
            "file.attribute"
        }
        "file" if is("creation") || says(&["creat"]) => "file.create",
        "file" if is("change") || says(&["writ", "modif", "updat", "chang"]) => "file.write",
        "file" if is("access") || says(&["open", "read"]) => "file.open",
        "network" if root.at("dns.question.name").is_some() || says(&["dns", "lookup"]) => "dns.query",
        "network" if says(&["listen", "bound", "bind"]) => "network.listen",
        "network" if is("end") || says(&["disconnect", "close"]) => return None,
        "network" if says(&["accept"]) => "network.accept",
        "network" if is("start") || is("connection") || says(&["connect"]) => {
            match root.at("network.direction").and_then(Node::as_str) {
                Some("ingress" | "inbound") => "network.accept",
                _ => "network.connect",
            }
        }
        "registry" if is("deletion") || says(&["delet", "remov"]) => "registry.delete",
        "registry" if says(&["renam"]) => "registry.rename",
        "registry" if is("change") || says(&["set", "modif", "chang"]) => "registry.set",
        "registry" if is("creation") || says(&["creat"]) => "registry.create",
        "library" if !is("end") => "library.load",
        "driver" if !is("end") && !says(&["unload"]) => "driver.load",
        "authentication" if is("end") || says(&["logout", "logoff", "loggedout", "loggedoff"]) => {
            "authentication.logout"
        }
        "authentication" if says(&["explicit"]) => "authentication.explicit",
        "authentication" => "authentication.login",
        "session" => "authentication.session",
        "iam" if says(&["password"]) => "account.password_change",
        "iam" if says(&["enumerat"]) => "account.enumerate",
        "iam" if is("group") && says(&["addeduserto", "memberadded", "addedmember", "adduser"]) => {
            "account.group_member_added"
        }
        "iam" if is("group") && says(&["removeduserfrom", "memberremoved", "removedmember", "removeuser"]) => {
            "account.group_member_removed"
        }
        "iam" if is("group") && is("creation") => "account.group_create",
        "iam" if is("group") && is("deletion") => "account.group_delete",
        "iam" if is("group") => "account.group_change",
        "iam" if says(&["unlock"]) => "account.unlock",
        "iam" if says(&["lock"]) => "account.lock",
        "iam" if says(&["enable"]) => "account.enable",
        "iam" if says(&["disable"]) => "account.disable",
        "iam" if is("creation") => "account.create",
        "iam" if is("deletion") => "account.delete",
        "iam" if is("change") => "account.change",
        "malware" => "malware.alert",
        _ => return None,
    })
}

/// The value of a catalogue field.
pub(super) fn value<'n>(
    catalogue: &Catalogue,
    root: &'n Node<'n>,
    os: Option<Os>,
    field: &Field,
) -> Result<Option<FieldValue<'n>>, Misfit> {
    let direct = match root.at(&field.name) {
        Some(node) => field_value(catalogue, field, node)?,
        None => None,
    };
    match direct {
        Some(FieldValue::Plain(Converted::Str(name))) if field.name.ends_with("user.name") => {
            Ok(Some(FieldValue::Plain(Converted::Str(without_domain(root, &field.name, name)))))
        }
        Some(FieldValue::Records(records)) => Ok(Some(FieldValue::Records(name_records(catalogue, field, records)))),
        Some(value) => Ok(Some(value)),
        None => Ok(derived(root, os, &field.name).map(FieldValue::Plain)),
    }
}

/// `alice` of `CORP\alice`, unless the domain stands in its own field.
fn without_domain<'n>(root: &Node<'_>, field: &str, name: Cow<'n, str>) -> Cow<'n, str> {
    let domain = field.strip_suffix("name").map(|prefix| format!("{prefix}domain"));
    if !name.contains('\\') || domain.is_none_or(|domain| root.at(&domain).is_some_and(|node| *node != Node::Null)) {
        return name;
    }
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.rsplit('\\').next().unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.rsplit('\\').next().unwrap_or_default().to_owned()),
    }
}

/// Gives elements with an executable and no name their name.
fn name_records<'n>(
    catalogue: &Catalogue,
    field: &Field,
    mut records: Vec<Vec<Option<Converted<'n>>>>,
) -> Vec<Vec<Option<Converted<'n>>>> {
    let trapline_vm::record::FieldType::Records(element) = field.ty else { return records };
    let position = |element: &Element, name: &str| element.members.iter().position(|member| member.name == name);
    let Some(element) = catalogue.elements.get(usize::from(element.0)) else { return records };
    let (Some(name), Some(executable)) = (position(element, "name"), position(element, "executable")) else {
        return records;
    };
    for members in &mut records {
        if let (None, Some(Some(Converted::Str(path)))) =
            (members.get(name).and_then(Option::as_ref), members.get(executable))
        {
            let derived = last_component(path).map(|name| Converted::Str(Cow::Owned(name.to_owned())));
            if let Some(member) = members.get_mut(name) {
                *member = derived;
            }
        }
    }
    records
}

/// What other fields say about a field that is not there.
fn derived<'n>(root: &'n Node<'n>, os: Option<Os>, name: &str) -> Option<Converted<'n>> {
    let (prefix, last) = name.rsplit_once('.')?;
    let path = |field: &str| root.at(&format!("{prefix}.{field}")).and_then(Node::as_str);
    let borrowed = |text: &'n str| Converted::Str(Cow::Borrowed(text));
    match (prefix, last) {
        ("process" | "process.parent" | "target.process", "name") => last_component(path("executable")?).map(borrowed),
        ("process" | "process.parent", "args") => {
            let line = path("command_line")?;
            if os == Some(Os::Windows) || (os.is_none() && looks_windows(line)) {
                return Conversion::Arguments.apply(line).ok().flatten();
            }
            let mut arguments = split_arguments(line);
            let cut = arguments.len() > LIST_LEN_MAX as usize;
            arguments.truncate(LIST_LEN_MAX as usize);
            let items = arguments.into_iter().map(Converted::Str).collect();
            Some(if cut { Converted::CutList(items) } else { Converted::List(items) })
        }
        ("process" | "process.parent", "args_count") => {
            let count = match root.at(&format!("{prefix}.args")) {
                Some(Node::Array(items)) => items.len(),
                _ => match derived(root, os, &format!("{prefix}.args"))? {
                    Converted::List(items) => items.len(),
                    _ => return None,
                },
            };
            i64::try_from(count).ok().map(Converted::Int)
        }
        // As the kernel's own tools show it: arguments with blanks between.
        ("process" | "process.parent", "command_line") => match root.at(&format!("{prefix}.args"))? {
            Node::Array(items) if !items.is_empty() => {
                let arguments: Vec<Cow<'_, str>> = items.iter().filter_map(text).collect();
                Some(Converted::Str(Cow::Owned(arguments.join(" "))))
            }
            _ => None,
        },
        ("file" | "dll" | "driver" | "file.previous", "name") => last_component(path("path")?).map(borrowed),
        ("file" | "file.previous", "extension") => {
            let (stem, extension) = last_component(path("path")?)?.rsplit_once('.')?;
            (!stem.is_empty() && !extension.is_empty()).then(|| borrowed(extension))
        }
        ("file", "directory") => {
            let path = path("path")?;
            let at = path.rfind(separators(path))?;
            let end = if at == 0 { 1 } else { at };
            path.get(..end).map(borrowed)
        }
        (_, "domain") if prefix.ends_with("user") => path("name")?.split_once('\\').map(|(domain, _)| borrowed(domain)),
        _ => None,
    }
}

/// Windows paths are told by a drive, a share or a device; backslashes in other paths are part of names.
fn looks_windows(text: &str) -> bool {
    let text = text.trim_start_matches('"');
    matches!(text.as_bytes(), [_, b':', b'\\' | b'/', ..] | [b'\\', ..])
}

fn separators(path: &str) -> &'static [char] {
    if looks_windows(path) { &['\\', '/'] } else { &['/'] }
}

fn last_component(path: &str) -> Option<&str> {
    path.rsplit(separators(path)).next().filter(|name| !name.is_empty())
}

/// Splits at blanks outside quotes; a backslash outside single quotes keeps the next character as it is. Enough to
/// find arguments; it is not a shell.
fn split_arguments(line: &str) -> Vec<Cow<'_, str>> {
    if !line.contains(['"', '\'', '\\']) {
        return line.split_ascii_whitespace().map(Cow::Borrowed).collect();
    }
    let mut arguments = Vec::new();
    let mut current = String::new();
    let (mut started, mut quote) = (false, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => {
                started = true;
                current.extend(characters.next());
            }
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                started = true;
                quote = Some(character);
            }
            (_, None) if character.is_ascii_whitespace() => {
                if std::mem::take(&mut started) {
                    arguments.push(Cow::Owned(std::mem::take(&mut current)));
                }
            }
            _ => {
                started = true;
                current.push(character);
            }
        }
    }
    if started {
        arguments.push(Cow::Owned(current));
    }
    arguments
}

/// Every scalar of an object as text, in order.
pub(super) fn values<'n>(node: &'n Node<'n>, values: &mut Vec<Cow<'n, str>>) {
    // One more than is kept, so that it is known to be cut.
    if values.len() > LIST_LEN_MAX as usize {
        return;
    }
    match node {
        Node::Object(members) => members.iter().for_each(|(_, value)| self::values(value, values)),
        Node::Array(items) => items.iter().for_each(|item| self::values(item, values)),
        scalar => values.extend(text(scalar)),
    }
}

/// The text of any value, as names outside the catalogue are read: several, a line each; parts as JSON.
pub(super) fn raw_text<'n>(node: &'n Node<'n>) -> Option<Cow<'n, str>> {
    match node {
        Node::Null => None,
        Node::Array(items) if items.iter().all(|item| !matches!(item, Node::Array(_) | Node::Object(_))) => {
            let texts: Vec<Cow<'n, str>> = items.iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| Cow::Owned(texts.join("\n")))
        }
        Node::Array(_) | Node::Object(_) => Some(Cow::Owned(node.to_value().to_string())),
        scalar => text(scalar),
    }
}

/// All values at a dotted path, through arrays on the way: those of an array are its elements, parts are JSON. Whether
/// the event has the path at all; what it has there may be no value. One more than a list keeps are enough. Blanks in
/// names do not count, if the path has none.
pub(super) fn raw_values<'n>(node: &'n Node<'_>, path: &str, values: &mut Vec<Cow<'n, str>>) -> bool {
    match node {
        Node::Object(members) => members.iter().rev().any(|(key, value)| {
            let plain = || path.strip_prefix(key.replace(' ', "").as_str());
            match path.strip_prefix(key.as_ref()).or_else(|| if key.contains(' ') { plain() } else { None }) {
                Some("") => {
                    put_values(value, values);
                    true
                }
                Some(rest) => rest.strip_prefix('.').is_some_and(|rest| raw_values(value, rest, values)),
                None => false,
            }
        }),
        Node::Array(items) => {
            let mut found = false;
            for item in items {
                found |= raw_values(item, path, values);
            }
            found
        }
        _ => false,
    }
}

fn put_values<'n>(node: &'n Node<'_>, values: &mut Vec<Cow<'n, str>>) {
    match node {
        _ if values.len() > LIST_LEN_MAX as usize => {}
        Node::Array(items) => items.iter().for_each(|item| put_values(item, values)),
        Node::Object(_) => values.push(Cow::Owned(node.to_value().to_string())),
        scalar => values.extend(text(scalar)),
    }
}
