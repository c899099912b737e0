//! YAML documents as trees in which every node knows its place in the text.
//!
//! The scanner is `saphyr-parser`, whose events become [`Node`]s here; plain scalars are resolved by the core schema of
//! YAML 1.2 (section 10.3.2): `yes` and `on` are text. What hostile text could make large is bounded: bytes, nesting,
//! nodes (an alias counts as many as it stands for), and bytes of one scalar. A key that occurs twice in one map is a
//! mistake, because whoever wrote it believes in both. A document that is broken does not take the ones behind it along.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Place, Tag};

use crate::diagnostic::{Diagnostic, Source, Span};
use crate::lang::limits::FILE_LEN_MAX;

/// The deepest nesting of sequences and maps.
pub const NESTING_MAX: usize = 32;
/// The most nodes of one file, aliases counted with all that they stand for; 32 bytes of text count as one more.
pub const NODES_MAX: usize = 1_000_000;
/// The most bytes of one scalar.
pub const SCALAR_LEN_MAX: usize = 128 * 1024;
/// Bytes of text that count as a node.
const TEXT_PER_NODE: usize = 32;
/// The most documents of one file.
pub const DOCUMENTS_MAX: usize = 10_000;
/// The most documents of one file with mistakes of YAML.
pub const BROKEN_MAX: usize = 256;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its bytes in the source; of an alias, those of the alias.
    pub(crate) range: Range<usize>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing: an empty plain scalar, `~` or `null`.
    Null,
    /// `true` or `false`, not quoted.
    Bool(bool),
    /// A number without a fraction, as it is written and as it is meant.
    Int(i64, String),
    /// Any other number, as it is written.
    Float(f64, String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Its key: a scalar, as it is written.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_range: Range<usize>,
    /// Its value.
    pub(crate) value: Node,
}

impl Node {
    /// The value of a key; None as well if this is no map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A scalar as it is written; None of null, lists and maps.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Int(_, text) | Kind::Float(_, text) => Some(text),
            Kind::Bool(true) => Some("true"),
            Kind::Bool(false) => Some("false"),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// What it is, with its article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Int(..) | Kind::Float(..) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Reads all documents of a source, those without content left out. A document with a mistake is told and left out.
pub(crate) fn read(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let text = source.text.as_str();
    if text.len() > FILE_LEN_MAX {
        let message = format!("the file is {} bytes long, more than {FILE_LEN_MAX}", text.len());
        diagnostics.push(too_large(message, Span { source: source.clone(), range: 0..0 }).help("split it"));
        return Vec::new();
    }
    let mut documents = Vec::new();
    let mut nodes_left = NODES_MAX;
    let mut mistakes = 0;
    let mut start = usize::from(text.starts_with('\u{feff}')) * '\u{feff}'.len_utf8();
    while let Some(rest) = text.get(start..) {
        let mut reader = Reader::new(source, rest, start, nodes_left);
        let stop = reader.run(&mut documents);
        nodes_left = reader.nodes_left;
        let Err(mistake) = stop else { break };
        let broken = reader.document;
        let goes_on = mistake.code != "sigma-too-large";
        diagnostics.push(mistake);
        mistakes += 1;
        if mistakes > BROKEN_MAX {
            let message = format!("more than {BROKEN_MAX} documents are broken: what follows is not read");
            diagnostics.push(too_large(message, Span { source: source.clone(), range: broken..broken }));
            break;
        }
        // The next document begins at a line `---`, however far the scanner went on in this one.
        let next = text.get(broken..).and_then(|rest| rest.find("\n---")).map(|at| broken + at + 1);
        match next.filter(|next| goes_on && *next > start) {
            Some(next) => start = next,
            None => break,
        }
    }
    documents
}

fn too_large(message: String, span: Span) -> Diagnostic {
    Diagnostic::error("sigma-too-large", message, span, "here")
}

/// A list or map that is being filled.
struct Open {
    kind: Holder,
    start: usize,
    anchor: usize,
}

enum Holder {
    List(Vec<Node>),
    /// Entries so far, the places of their keys, and a key that waits for its value.
    Map(Vec<Entry>, HashMap<String, Range<usize>>, Option<(String, Range<usize>)>),
}

struct Reader<'t> {
    source: &'t Arc<Source>,
    text: &'t str,
    /// Of `text` in the source.
    base: usize,
    /// Where the document that is being read begins in the source.
    document: usize,
    /// Characters and bytes up to the last place that was asked for: places come in order, almost.
    known: (usize, usize),
    is_ascii: bool,
    nodes_left: usize,
    open: Vec<Open>,
    /// What anchors stand for, with the number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
}

impl<'t> Reader<'t> {
    fn new(source: &'t Arc<Source>, text: &'t str, base: usize, nodes_left: usize) -> Self {
        Self {
            source,
            text,
            base,
            document: base,
            known: (0, 0),
            is_ascii: text.is_ascii(),
            nodes_left,
            open: Vec::new(),
            anchors: HashMap::new(),
        }
    }

    /// Reads until the end, or the first mistake.
    fn run(&mut self, documents: &mut Vec<Node>) -> Result<(), Diagnostic> {
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| self.broken(&error))?;
            let start = self.offset(place.start.index());
            let node = match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
                Event::DocumentStart(_) => {
                    self.document = start;
                    continue;
                }
                Event::StreamEnd => break,
                Event::Alias(anchor) => {
                    let range = self.range(start, &place);
                    self.alias(anchor, range)?
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let range = self.range(start, &place);
                    if text.len() > SCALAR_LEN_MAX {
                        let message = format!("this value is {} bytes long, more than {SCALAR_LEN_MAX}", text.len());
                        return Err(too_large(message, self.span(range.start..range.start)));
                    }
                    self.check_text(&range)?;
                    self.check_tag(tag.as_deref(), "str", &range)?;
                    let kind = match style {
                        ScalarStyle::Plain if tag.is_none() => resolve(&text),
                        _ => Kind::Text(text.into_owned()),
                    };
                    let node = Node { kind, range };
                    let weight = weight(&node);
                    self.count(weight, &node.range)?;
                    self.remember(anchor, &node, weight);
                    node
                }
                Event::SequenceStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), "seq", &(start..start))?;
                    self.begin(Holder::List(Vec::new()), start, anchor)?;
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), "map", &(start..start))?;
                    self.begin(Holder::Map(Vec::new(), HashMap::new(), None), start, anchor)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(open) = self.open.pop() else { continue };
                    let kind = match open.kind {
                        Holder::List(items) => Kind::List(items),
                        Holder::Map(entries, ..) => Kind::Map(self.merged(entries)?),
                    };
                    // The end of a block is where the next thing begins: what lies between is not of it.
                    let end = self.offset(place.end.index()).max(open.start);
                    let inside = self.source.text.get(open.start..end).unwrap_or_default();
                    let range = open.start..open.start + inside.trim_end().len();
                    let node = Node { kind, range };
                    if open.anchor != 0 {
                        self.remember(open.anchor, &node, weight(&node));
                    }
                    node
                }
            };
            match self.open.last_mut() {
                Some(Open { kind: Holder::List(items), .. }) => items.push(node),
                Some(Open { kind: Holder::Map(entries, keys, waiting), .. }) => match waiting.take() {
                    Some((key, key_range)) => entries.push(Entry { key, key_range, value: node }),
                    None => *waiting = Some(key(self.source, keys, node)?),
                },
                None if node.kind == Kind::Null => {}
                None if documents.len() >= DOCUMENTS_MAX => {
                    let message = format!("the file has more than {DOCUMENTS_MAX} documents");
                    return Err(too_large(message, self.span(node.range.start..node.range.start)));
                }
                None => documents.push(node),
            }
        }
        Ok(())
    }

    fn begin(&mut self, kind: Holder, start: usize, anchor: usize) -> Result<(), Diagnostic> {
        self.count(1, &(start..start))?;
        if self.open.len() >= NESTING_MAX {
            let message = format!("the document is nested deeper than {NESTING_MAX} levels");
            return Err(too_large(message, self.span(start..start)));
        }
        self.open.push(Open { kind, start, anchor });
        Ok(())
    }

    fn count(&mut self, nodes: usize, range: &Range<usize>) -> Result<(), Diagnostic> {
        let Some(left) = self.nodes_left.checked_sub(nodes) else {
            let message = format!("the file has more than {NODES_MAX} values, aliases counted as what they stand for");
            return Err(too_large(message, self.span(range.clone())));
        };
        self.nodes_left = left;
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node, nodes: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
    }

    fn alias(&mut self, anchor: usize, range: Range<usize>) -> Result<Node, Diagnostic> {
        let Some(nodes) = self.anchors.get(&anchor).map(|(_, nodes)| *nodes) else {
            let message = "this alias stands for something that it is a part of";
            return Err(self.mistake(message, range, "never ends"));
        };
        self.count(nodes, &range)?;
        let kind = self.anchors.get(&anchor).map_or(Kind::Null, |(node, _)| node.kind.clone());
        Ok(Node { kind, range })
    }

    /// Entries with those of `<<` among them: the map's own go first (YAML 1.1, type `merge`).
    fn merged(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Diagnostic> {
        if entries.iter().all(|entry| entry.key != "<<") {
            return Ok(entries);
        }
        let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
        let mut known: std::collections::HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
        for merge in merges {
            let maps = match merge.value.kind {
                Kind::List(maps) => maps,
                kind => vec![Node { kind, range: merge.value.range }],
            };
            for map in maps {
                let Kind::Map(entries) = map.kind else {
                    return Err(self.mistake("`<<` takes a map, or a list of maps", map.range, "this is neither"));
                };
                own.extend(entries.into_iter().filter(|entry| known.insert(entry.key.clone())));
            }
        }
        Ok(own)
    }

    /// A tag says nothing that we do not see, but `!!str` and `!`; others make types that rules do not have.
    fn check_tag(&self, tag: Option<&Tag>, known: &str, range: &Range<usize>) -> Result<(), Diagnostic> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == known => Ok(()),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(()),
            Some(tag) => {
                let handle = if tag.is_yaml_core_schema() { "!!" } else { tag.handle.as_str() };
                let message = format!("the tag `{handle}{}` means nothing here", tag.suffix);
                Err(self.mistake(&message, range.clone(), "here").help("write the value without it"))
            }
            None => Ok(()),
        }
    }

    /// Whoever read the file has put U+FFFD for bytes that are no UTF-8. What stood there nobody knows.
    fn check_text(&self, range: &Range<usize>) -> Result<(), Diagnostic> {
        let written = self.source.text.get(range.clone()).unwrap_or_default();
        let Some(at) = written.find(char::REPLACEMENT_CHARACTER) else { return Ok(()) };
        let at = range.start + at..range.start + at + char::REPLACEMENT_CHARACTER.len_utf8();
        let message = "the file is not UTF-8, which YAML is written in";
        Err(self.mistake(message, at, "bytes that are no character").help("save it as UTF-8"))
    }

    fn broken(&mut self, error: &ScanError) -> Diagnostic {
        let at = self.offset(error.marker().index());
        // The scanner looks ahead, and has a limit of its own.
        if error.info().contains("recursion limit") {
            let message = format!("the document is nested deeper than {NESTING_MAX} levels");
            return too_large(message, self.span(at..at));
        }
        self.mistake(&format!("the file is not YAML: {}", error.info()), at..at, "here").help(
            "texts with `:`, `#`, `*`, `&`, `%`, `@`, brackets or quotes need quotes: '…', with '' for a single quote",
        )
    }

    fn mistake(&self, message: &str, range: Range<usize>, label: &str) -> Diagnostic {
        Diagnostic::error("sigma-yaml", message, self.span(range), label)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span { source: self.source.clone(), range }
    }

    fn range(&mut self, start: usize, place: &Place) -> Range<usize> {
        let end = self.offset(place.end.index());
        start..end.max(start)
    }

    /// The byte in the source of a character of the text.
    fn offset(&mut self, chars: usize) -> usize {
        if self.is_ascii {
            return self.base + chars.min(self.text.len());
        }
        let (mut known_chars, mut known_bytes) = self.known;
        if chars < known_chars {
            // One event back at most: a step of a few characters.
            let before = self.text.get(..known_bytes).unwrap_or_default();
            let back = before.char_indices().rev().nth(known_chars - chars - 1);
            (known_chars, known_bytes) = (chars, back.map_or(0, |(at, _)| at));
        }
        let rest = self.text.get(known_bytes..).unwrap_or_default();
        let ahead = rest.char_indices().nth(chars - known_chars).map_or(rest.len(), |(at, _)| at);
        self.known = (chars, known_bytes + ahead);
        self.base + known_bytes + ahead
    }
}

/// A node as a key, which must be a scalar and new.
fn key(
    source: &Arc<Source>,
    keys: &mut HashMap<String, Range<usize>>,
    node: Node,
) -> Result<(String, Range<usize>), Diagnostic> {
    let span = |range: Range<usize>| Span { source: source.clone(), range };
    let text = match &node.kind {
        Kind::Null => "",
        _ => match node.text() {
            Some(text) => text,
            None => {
                let message = format!("a key is a text, not {}", node.describe());
                return Err(Diagnostic::error("sigma-yaml", message, span(node.range), "this is a key"));
            }
        },
    };
    if let Some(first) = keys.get(text).filter(|_| text != "<<") {
        let message = format!("the key `{text}` occurs twice in one map");
        return Err(Diagnostic::error("sigma-duplicate-key", message, span(node.range), "the second one")
            .label(span(first.clone()), "the first one")
            .help("only one of the two can be meant: rename one, or make one list of both values"));
    }
    keys.insert(text.to_owned(), node.range.clone());
    Ok((text.to_owned(), node.range))
}

/// What a tree counts for. Nesting is bounded by [`NESTING_MAX`].
fn weight(node: &Node) -> usize {
    let text = |text: &str| text.len() / TEXT_PER_NODE;
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(weight).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| 1 + text(&entry.key) + weight(&entry.value)).sum(),
        Kind::Text(content) | Kind::Int(_, content) | Kind::Float(_, content) => text(content),
        Kind::Null | Kind::Bool(_) => 0,
    }
}

/// A plain scalar by the core schema.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let radix =
        |prefix: &str, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = text.parse() {
            return Kind::Int(value, text.to_owned());
        }
    } else if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Kind::Int(value, text.to_owned());
    }
    // `inf` and `nan` have a dot before them in YAML, and are words otherwise.
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(value) if is_number => Kind::Float(value, text.to_owned()),
        _ => Kind::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents, or the message of the first mistake.
    fn documents(text: &str) -> Result<Vec<Node>, String> {
        let mut diagnostics = Vec::new();
        let found = read(&Source::new("x.yml", text), &mut diagnostics);
        diagnostics.into_iter().next().map_or(Ok(found), |found| Err(found.message))
    }

    #[test]
    fn at_and_over_the_limits() {
        for (extra, ok) in [(-1, true), (0, true), (1, false)] {
            let at = |limit: usize| limit.checked_add_signed(extra).unwrap();
            let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(documents(&nested(at(NESTING_MAX))).is_ok(), ok, "nesting {extra}");
            assert_eq!(documents(&"x".repeat(at(SCALAR_LEN_MAX))).is_ok(), ok, "scalar {extra}");
            assert_eq!(documents(&"--- x\n".repeat(at(DOCUMENTS_MAX))).is_ok(), ok, "documents {extra}");
            // The list itself is one of them.
            let list = format!("[{}]", "x, ".repeat(at(NODES_MAX) - 1));
            assert_eq!(documents(&list).is_ok(), ok, "nodes {extra}: {:?}", documents(&list).err());
            let file = format!("x #{}", "-".repeat(at(FILE_LEN_MAX) - 3));
            assert_eq!(documents(&file).is_ok(), ok, "file {extra}");
        }
    }

    #[test]
    fn an_alias_counts_as_what_it_stands_for() {
        let text = "x".repeat(SCALAR_LEN_MAX);
        let weight = 1 + SCALAR_LEN_MAX / TEXT_PER_NODE;
        for (aliases, ok) in [(NODES_MAX / weight - 1, true), (NODES_MAX / weight, false)] {
            let text = format!("[&a {text}{}]", ", *a".repeat(aliases));
            assert_eq!(documents(&text).is_ok(), ok, "{aliases}");
        }
        assert!(documents("&a [*a]").unwrap_err().contains("part of"));
    }

    #[test]
    fn plain_scalars_are_those_of_the_core_schema() {
        for (text, kind) in [
            ("~", Kind::Null),
            ("True", Kind::Bool(true)),
            ("yes", Kind::Text("yes".to_owned())),
            ("0x1F", Kind::Int(31, "0x1F".to_owned())),
            ("0o17", Kind::Int(15, "0o17".to_owned())),
            ("-7", Kind::Int(-7, "-7".to_owned())),
            ("1.10", Kind::Float(1.1, "1.10".to_owned())),
            ("1.1.1.1", Kind::Text("1.1.1.1".to_owned())),
            ("2026-01-01", Kind::Text("2026-01-01".to_owned())),
            ("9223372036854775808", Kind::Float(9_223_372_036_854_775_808.0, "9223372036854775808".to_owned())),
            ("inf", Kind::Text("inf".to_owned())),
        ] {
            assert_eq!(resolve(text), kind, "{text}");
        }
    }

    #[test]
    fn a_broken_document_does_not_take_the_next_along() {
        let source = Source::new("x.yml", "a: 1\n---\nb: [\n---\nc: é\n---\nd: {x: 1, x: 2}\n---\ne: 5\n");
        let mut diagnostics = Vec::new();
        let found = read(&source, &mut diagnostics);
        let keys: Vec<&str> = found.iter().map(|node| node.entries()[0].key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "e"]);
        assert_eq!(diagnostics.len(), 2, "{diagnostics:?}");
        // Places are bytes of the file, letters of several bytes before them or not.
        assert_eq!(source.text.get(found[2].entries()[0].value.range.clone()), Some("5"));
    }

    #[test]
    fn broken_documents_at_and_over_their_number() {
        for (count, told) in [(BROKEN_MAX, BROKEN_MAX), (BROKEN_MAX + 1, BROKEN_MAX + 2), (3000, BROKEN_MAX + 2)] {
            let mut diagnostics = Vec::new();
            read(&Source::new("x.yml", "---\nx: {a: 1, a: 2}\n".repeat(count)), &mut diagnostics);
            assert_eq!(diagnostics.len(), told, "{count}");
        }
    }

    #[test]
    fn tags_mean_nothing_but_text() {
        assert_eq!(documents("!!str 5").unwrap()[0].kind, Kind::Text("5".to_owned()));
        assert_eq!(documents("! 5").unwrap()[0].kind, Kind::Text("5".to_owned()));
        assert!(documents("!!map {a: !!seq [b]}").is_ok());
        for text in ["!!binary NQ==", "!!int '5'", "!!null ''", "!!set {a}", "!own x"] {
            assert!(documents(text).unwrap_err().contains("means nothing"), "{text}");
        }
    }

    #[test]
    fn merged_maps() {
        let found = documents("- &a {x: 1, y: 2}\n- {<<: *a, y: 3}\n").unwrap();
        let Kind::List(items) = &found[0].kind else { panic!() };
        assert_eq!(items[1].get("x").and_then(Node::text), Some("1"));
        assert_eq!(items[1].get("y").and_then(Node::text), Some("3"));
        assert!(documents("<<: 5").is_err());
    }
}
