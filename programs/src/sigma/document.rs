//! Documents of Sigma: rules, correlations and filters, with the place of everything that can be wrong.
//!
//! Follows the *Sigma Rules Specification* 2.1 for names, types and what is required. Keys that the specification does
//! not have are allowed in the header, as it says, and refused in `logsource`, where they would widen the rule.

use std::ops::Range;
use std::sync::Arc;

use super::pipeline::Touched;
use super::yaml::{Entry, Kind, Node};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::{Severity, Status};
use crate::lang::suggest::nearest;

/// One document.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    /// A rule.
    Rule(Box<SigmaRule>),
    /// A correlation of rules.
    Correlation(Box<Correlation>),
    /// A filter, which narrows rules.
    Filter(Box<Filter>),
    /// A pipeline, which changes rules: to be read by [`super::pipeline`].
    Pipeline,
}

/// What documents of all kinds have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) status: Status,
    pub(crate) level: Severity,
    pub(crate) references: Vec<String>,
    pub(crate) authors: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) false_positives: Vec<String>,
    pub(crate) date: String,
    pub(crate) modified: String,
    /// The document in the source.
    pub(crate) range: Range<usize>,
    /// The title, or the document's first key.
    pub(crate) head: Range<usize>,
    /// All that is written at the top, but for the detection.
    pub(crate) attributes: Vec<Entry>,
}

/// A detection rule.
#[derive(Clone, Debug)]
pub(crate) struct SigmaRule {
    pub(crate) header: Header,
    pub(crate) logsource: LogSource,
    pub(crate) searches: Vec<Search>,
    /// Any of them.
    pub(crate) conditions: Vec<Located>,
    /// `timeframe`, of Sigma 1.
    pub(crate) timeframe: Option<Range<usize>>,
    /// Names of searches that pipelines added: each must hold besides, or must not.
    pub(crate) added: Vec<(String, bool)>,
}

/// Where events come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogSource {
    pub(crate) product: Option<Located>,
    pub(crate) category: Option<Located>,
    pub(crate) service: Option<Located>,
    /// What must be switched on for there to be events, in words.
    pub(crate) definition: String,
    pub(crate) range: Range<usize>,
    /// Where it stands, if that is not where the rule does.
    pub(crate) source: Option<Arc<Source>>,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

/// A named part of a detection.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) name: String,
    pub(crate) range: Range<usize>,
    pub(crate) body: Body,
    /// Where it stands, if that is not where the rule does.
    pub(crate) source: Option<Arc<Source>>,
}

/// What a search looks for.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// One item.
    One(Item),
    /// All items of a map; none are left if pipelines dropped them all.
    All(Vec<Body>),
    /// Any part of a list. Values without a field among maps are one part for all.
    Any(Vec<Body>),
}

/// Values of a field, or of no field: `CommandLine|contains|all: [a, b]`.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// None: the event as a whole.
    pub(crate) field: Option<String>,
    pub(crate) modifiers: Vec<Located>,
    /// Scalars only.
    pub(crate) values: Vec<Node>,
    /// Field and modifiers, or the first keyword.
    pub(crate) range: Range<usize>,
    /// What pipelines made of it.
    pub(crate) touched: Touched,
}

impl Item {
    fn keywords(values: Vec<Node>, range: Range<usize>) -> Self {
        Self { field: None, modifiers: Vec::new(), values, range, touched: Touched::default() }
    }
}

/// A correlation: checked, and not yet run.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    pub(crate) header: Header,
    pub(crate) kind: Located,
    pub(crate) rules: Vec<Located>,
    pub(crate) group_by: Vec<Located>,
    pub(crate) timespan: Option<Located>,
    pub(crate) condition: Option<Node>,
    pub(crate) aliases: Vec<Entry>,
    pub(crate) generate: bool,
    pub(crate) range: Range<usize>,
}

/// A filter: a condition that narrows rules of its log source.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) header: Header,
    pub(crate) logsource: LogSource,
    /// Names or ids of rules; None: any rule of the log source.
    pub(crate) rules: Option<Vec<Located>>,
    pub(crate) searches: Vec<Search>,
    pub(crate) condition: Located,
}

pub(super) const LEVELS: &[(&str, Severity)] = &[
    ("informational", Severity::Informational),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];
pub(super) const STATUSES: &[(&str, Status)] = &[
    ("stable", Status::Stable),
    ("test", Status::Test),
    ("experimental", Status::Experimental),
    ("deprecated", Status::Deprecated),
    ("unsupported", Status::Unsupported),
];

/// Reads a document. None: it is of a kind that rule files do not hold, or has mistakes, which are told.
pub(crate) fn read(source: &Arc<Source>, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Document> {
    let before = diagnostics.len();
    let mut reader = Reader { source, diagnostics };
    let document = reader.document(node);
    document.filter(|_| diagnostics.len() == before)
}

/// Reads what a search looks for, wherever it stands. None: it has mistakes, which are told.
pub(crate) fn read_search(
    source: &Arc<Source>,
    node: &Node,
    name: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Body> {
    let before = diagnostics.len();
    let body = Reader { source, diagnostics }.body(node, name);
    body.filter(|_| diagnostics.len() == before)
}

struct Reader<'r> {
    source: &'r Arc<Source>,
    diagnostics: &'r mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn span(&self, range: &Range<usize>) -> Span {
        Span { source: self.source.clone(), range: range.clone() }
    }

    fn mistake(&mut self, code: &'static str, message: impl Into<String>, range: &Range<usize>, label: &str) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(code, message, span, label));
    }

    fn mistake_with_help(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        (range, label): (&Range<usize>, &str),
        help: impl Into<String>,
    ) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(code, message, span, label).help(help));
    }

    fn document(&mut self, node: &Node) -> Option<Document> {
        let first_line = |range: &Range<usize>| {
            let text = self.source.text.get(range.clone()).unwrap_or_default();
            range.start..range.start + text.lines().next().map_or(0, str::len)
        };
        if !matches!(node.kind, Kind::Map(_)) {
            let range = first_line(&node.range);
            let message = format!("a Sigma document is a map, not {}", node.describe());
            self.mistake("sigma-document", message, &range, "this is no rule");
            return None;
        }
        if super::pipeline::is_pipeline(node) {
            return Some(Document::Pipeline);
        }
        if let Some(action) = node.entries().iter().find(|entry| entry.key == "action") {
            let message =
                "collections with `action` (global, reset, repeat) are of Sigma 1, and no longer in the specification";
            let help =
                "write what the documents share into each of them, without `action`; nothing of this file is compiled";
            self.mistake_with_help("sigma-old-form", message, (&action.key_range, "refused"), help);
            return None;
        }
        let header = self.header(node);
        if let Some(filter) = node.get("filter") {
            return self.filter(header, node, filter).map(|filter| Document::Filter(Box::new(filter)));
        }
        if let Some(correlation) = node.get("correlation") {
            let correlation = self.correlation(header, node, correlation)?;
            return Some(Document::Correlation(Box::new(correlation)));
        }
        let Some(detection) = node.get("detection") else {
            let help =
                "a rule has `title`, `logsource` and `detection`; a correlation has `correlation`, a filter `filter`";
            let message = "the document has no `detection`";
            self.mistake_with_help("sigma-document", message, (&header.head, "this is no rule"), help);
            return None;
        };
        let logsource = self.logsource(node, &header)?;
        let before = self.diagnostics.len();
        let (searches, conditions, timeframe) = self.detection(detection)?;
        if self.diagnostics.len() > before {
            return None;
        }
        if conditions.is_empty() {
            let help = "for example `condition: selection`";
            let range = first_key(detection);
            self.mistake_with_help("sigma-document", "the detection has no `condition`", (&range, "in this"), help);
            return None;
        }
        Some(Document::Rule(Box::new(SigmaRule {
            header,
            logsource,
            searches,
            conditions,
            timeframe,
            added: Vec::new(),
        })))
    }

    fn header(&mut self, node: &Node) -> Header {
        let head = node.entries().iter().find(|entry| entry.key == "title").map(|entry| entry.value.range.clone());
        let mut header =
            Header { range: node.range.clone(), head: head.unwrap_or_else(|| first_key(node)), ..Header::default() };
        let attributes = node.entries().iter().filter(|entry| entry.key != "detection");
        header.attributes = attributes.cloned().collect();
        header.title = self.text(node, "title");
        header.id = self.text(node, "id").to_ascii_lowercase();
        header.name = self.text(node, "name");
        header.description = self.text(node, "description");
        header.date = self.text(node, "date");
        header.modified = self.text(node, "modified");
        header.references = self.texts(node, "references");
        header.tags = self.texts(node, "tags");
        header.false_positives = self.texts(node, "falsepositives");
        header.authors = self.authors(node);
        header.level = self.word(node, "level", LEVELS).unwrap_or_default();
        header.status = self.word(node, "status", STATUSES).unwrap_or_default();
        if header.title.trim().is_empty() {
            let help = "one line that says what the rule detects: `title: Whoami as SYSTEM`";
            let range = header.head.clone();
            self.mistake_with_help("sigma-document", "the document has no title", (&range, "in this"), help);
        }
        if let Some(id) = node.get("id").filter(|_| !header.id.is_empty() && !is_uuid(&header.id)) {
            let message = format!("`{}` is no UUID", header.id);
            let help = "ids are made once and never change: `id: 1f2b3c4d-0000-4000-8000-0123456789ab`";
            self.mistake_with_help("sigma-document", message, (&id.range, "not an id"), help);
        }
        header
    }

    /// A text; empty if there is none.
    fn text(&mut self, node: &Node, key: &str) -> String {
        match node.get(key) {
            None | Some(Node { kind: Kind::Null, .. }) => String::new(),
            Some(value) => match value.text() {
                Some(text) => text.trim().to_owned(),
                None => {
                    let message = format!("`{key}` is a text, not {}", value.describe());
                    self.mistake("sigma-type", message, &first_key(value), "this one");
                    String::new()
                }
            },
        }
    }

    /// A list of texts; a single one stands for a list of one.
    fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let Some(value) = node.get(key) else { return Vec::new() };
        self.located(value, &format!("`{key}`")).into_iter().map(|item| item.text.trim().to_owned()).collect()
    }

    /// The texts of a list, or the one.
    fn located(&mut self, value: &Node, what: &str) -> Vec<Located> {
        let items = match &value.kind {
            Kind::Null => return Vec::new(),
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) => texts.push(Located { text: text.to_owned(), range: item.range.clone() }),
                None => {
                    let message = format!("{what} is a list of texts, and this is {}", item.describe());
                    self.mistake("sigma-type", message, &first_key(item), "this one");
                }
            }
        }
        texts
    }

    /// Authors are one text with commas; some write a list.
    fn authors(&mut self, node: &Node) -> Vec<String> {
        let texts = self.texts(node, "author");
        let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn word<T: Copy>(&mut self, node: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = node.get(key)?;
        let text = self.text(node, key).to_ascii_lowercase();
        let known = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if known.is_none() && !text.is_empty() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{text}` is no {key}");
            self.mistake_with_help("sigma-document", message, (&value.range, "unknown"), words.join(", "));
        }
        known
    }

    fn logsource(&mut self, node: &Node, header: &Header) -> Option<LogSource> {
        let Some(entry) = node.entries().iter().find(|entry| entry.key == "logsource") else {
            let help = "for example `logsource: {product: windows, category: process_creation}`";
            let message = "the document has no `logsource`";
            self.mistake_with_help("sigma-document", message, (&header.head, "in this"), help);
            return None;
        };
        if !matches!(entry.value.kind, Kind::Map(_)) {
            let message = format!("`logsource` is a map, not {}", entry.value.describe());
            self.mistake("sigma-type", message, &entry.key_range, "this one");
            return None;
        }
        let mut logsource = LogSource { range: entry.key_range.clone(), ..LogSource::default() };
        for Entry { key, key_range, value } in entry.value.entries() {
            let slot = match key.as_str() {
                "product" => &mut logsource.product,
                "category" => &mut logsource.category,
                "service" => &mut logsource.service,
                "definition" => {
                    logsource.definition = value.text().unwrap_or_default().to_owned();
                    continue;
                }
                other => {
                    let message = format!("`{other}` is no part of a log source");
                    let help = match nearest(other, ["product", "category", "service", "definition"]) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "a log source has `product`, `category`, `service` and `definition`".to_owned(),
                    };
                    self.mistake_with_help("sigma-logsource", message, (key_range, "unknown"), help);
                    continue;
                }
            };
            match value.text() {
                Some(text) => {
                    *slot = Some(Located { text: text.trim().to_ascii_lowercase(), range: value.range.clone() });
                }
                None if value.kind == Kind::Null => {}
                None => {
                    let message = format!("`{key}` is a text, not {}", value.describe());
                    self.mistake("sigma-type", message, &first_key(value), "this one");
                }
            }
        }
        if logsource.product.is_none() && logsource.category.is_none() && logsource.service.is_none() {
            let message = "the log source is empty: it needs a product, a category or a service";
            self.mistake("sigma-logsource", message, &entry.key_range, "this one");
            return None;
        }
        Some(logsource)
    }

    /// Searches, conditions, and the place of a `timeframe`.
    #[expect(clippy::type_complexity, reason = "the three parts of one map, taken apart at once")]
    fn detection(&mut self, node: &Node) -> Option<(Vec<Search>, Vec<Located>, Option<Range<usize>>)> {
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("`detection` is a map, not {}", node.describe());
            self.mistake("sigma-type", message, &first_key(node), "this one");
            return None;
        }
        let before = self.diagnostics.len();
        let (mut searches, mut conditions, mut timeframe) = (Vec::new(), Vec::new(), None);
        for Entry { key, key_range, value } in node.entries() {
            match key.as_str() {
                "condition" => conditions = self.located(value, "`condition`"),
                "timeframe" => timeframe = Some(key_range.clone()),
                _ => {
                    let Some(body) = self.body(value, key) else { continue };
                    searches.push(Search { name: key.clone(), range: key_range.clone(), body, source: None });
                }
            }
        }
        if searches.is_empty() {
            // Unless there were some, with mistakes that are told.
            if self.diagnostics.len() == before {
                self.mistake("sigma-document", "the detection has no search", &first_key(node), "in this");
            }
            return None;
        }
        Some((searches, conditions, timeframe))
    }

    fn body(&mut self, node: &Node, search: &str) -> Option<Body> {
        match &node.kind {
            Kind::Map(entries) if entries.is_empty() => self.empty(node, search),
            Kind::Map(entries) => {
                let items: Vec<Body> = entries.iter().filter_map(|entry| self.item(entry).map(Body::One)).collect();
                (items.len() == entries.len()).then_some(Body::All(items))
            }
            Kind::List(parts) if parts.is_empty() => self.empty(node, search),
            Kind::List(parts) => {
                let mut any = Vec::new();
                let mut keywords: Vec<Node> = Vec::new();
                for part in parts {
                    match &part.kind {
                        Kind::Map(_) | Kind::List(_) => any.push(self.body(part, search)?),
                        _ => keywords.push(part.clone()),
                    }
                }
                if let Some(first) = keywords.first() {
                    let range = first.range.clone();
                    any.push(Body::One(Item::keywords(keywords, range)));
                }
                Some(Body::Any(any))
            }
            Kind::Null => self.empty(node, search),
            _ => Some(Body::One(Item::keywords(vec![node.clone()], node.range.clone()))),
        }
    }

    fn empty(&mut self, node: &Node, search: &str) -> Option<Body> {
        let message = format!("the search `{search}` looks for nothing");
        self.mistake_with_help(
            "sigma-document",
            message,
            (&node.range, "empty"),
            "remove it, or give it a field and a value",
        );
        None
    }

    /// `Field|modifier: values`
    fn item(&mut self, entry: &Entry) -> Option<Item> {
        let mut parts = entry.key.split('|');
        let field = parts.next().unwrap_or_default().trim();
        let mut at = entry.key_range.start + entry.key.find('|').unwrap_or(0) + 1;
        let quoted = self.source.text.get(entry.key_range.start..).is_some_and(|text| text.starts_with(['"', '\'']));
        at += usize::from(quoted);
        let modifiers = parts
            .map(|text| {
                let range = at..at + text.len();
                at = range.end + 1;
                Located { text: text.trim().to_owned(), range }
            })
            .collect();
        let values = match &entry.value.kind {
            Kind::List(values) if values.is_empty() => {
                let message = format!("`{}` has no values", entry.key);
                let help = "an empty list never holds; write `null` for a field that is absent, '' for an empty one";
                self.mistake_with_help("sigma-document", message, (&entry.key_range, "nothing to compare with"), help);
                return None;
            }
            Kind::List(values) => values.clone(),
            _ => vec![entry.value.clone()],
        };
        for value in &values {
            if matches!(value.kind, Kind::List(_) | Kind::Map(_)) {
                let message = format!("a value is a text, a number, true, false or null, not {}", value.describe());
                let help =
                    "nested maps are no part of Sigma: name the inner field with a dot, `requestParameters.name`";
                self.mistake_with_help("sigma-type", message, (&first_key(value), "this one"), help);
                return None;
            }
        }
        let field = (!field.is_empty()).then(|| field.to_owned());
        Some(Item { field, modifiers, values, range: entry.key_range.clone(), touched: Touched::default() })
    }

    fn filter(&mut self, header: Header, node: &Node, filter: &Node) -> Option<Filter> {
        let logsource = self.logsource(node, &header)?;
        let mut rules = Some(Vec::new());
        let (mut searches, mut condition) = (Vec::new(), None);
        if !matches!(filter.kind, Kind::Map(_)) {
            let message = format!("`filter` is a map, not {}", filter.describe());
            self.mistake("sigma-type", message, &first_key(filter), "this one");
            return None;
        }
        for Entry { key, key_range, value } in filter.entries() {
            match key.as_str() {
                "rules" if value.text().is_some_and(|text| text.eq_ignore_ascii_case("any")) => rules = None,
                "rules" => rules = Some(self.located(value, "`rules`")),
                "condition" => {
                    let mut conditions = self.located(value, "`condition`");
                    if let Some(second) = conditions.get(1) {
                        let message = "a filter has one condition";
                        let help = "join them by `and` or `or`";
                        self.mistake_with_help("sigma-document", message, (&second.range, "the second one"), help);
                    }
                    conditions.truncate(1);
                    condition = conditions.pop();
                }
                _ => {
                    let Some(body) = self.body(value, key) else { continue };
                    searches.push(Search { name: key.clone(), range: key_range.clone(), body, source: None });
                }
            }
        }
        let range = first_key(filter);
        if rules.as_ref().is_some_and(Vec::is_empty) {
            let help = "a list of names or ids of rules, or `any`";
            self.mistake_with_help("sigma-document", "the filter names no rules", (&range, "`rules` is missing"), help);
            return None;
        }
        let Some(condition) = condition else {
            let help = "for example `condition: not selection`";
            self.mistake_with_help("sigma-document", "the filter has no `condition`", (&range, "in this"), help);
            return None;
        };
        Some(Filter { header, logsource, rules, searches, condition })
    }

    /// `document` is the whole: `generate` stands there, or among the rest.
    fn correlation(&mut self, header: Header, document: &Node, node: &Node) -> Option<Correlation> {
        const KEYS: [&str; 7] = ["type", "rules", "aliases", "group-by", "timespan", "condition", "generate"];
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("`correlation` is a map, not {}", node.describe());
            self.mistake("sigma-type", message, &first_key(node), "this one");
            return None;
        }
        for entry in node.entries().iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            let message = format!("`{}` is no part of a correlation", entry.key);
            let help = match nearest(&entry.key, KEYS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the parts are {}", KEYS.join(", ")),
            };
            self.mistake_with_help("sigma-document", message, (&entry.key_range, "unknown"), help);
        }
        let range = first_key(node);
        let located = |reader: &mut Self, key: &str| {
            node.get(key).and_then(|value| reader.located(value, &format!("`{key}`")).into_iter().next())
        };
        let Some(kind) = located(self, "type") else {
            self.mistake("sigma-document", "the correlation has no `type`", &range, "in this");
            return None;
        };
        let rules = node.get("rules").map_or_else(Vec::new, |value| self.located(value, "`rules`"));
        let group_by = node.get("group-by").map_or_else(Vec::new, |value| self.located(value, "`group-by`"));
        let timespan = located(self, "timespan");
        let mut generate = false;
        for value in [document, node].into_iter().filter_map(|map| map.get("generate")) {
            match value.kind {
                Kind::Bool(value) => generate |= value,
                _ => {
                    let message = format!("`generate` is true or false, not {}", value.describe());
                    self.mistake("sigma-type", message, &first_key(value), "this one");
                }
            }
        }
        let condition = node.get("condition").cloned();
        let aliases = node.get("aliases").map_or_else(Vec::new, |aliases| aliases.entries().to_vec());
        Some(Correlation { header, kind, rules, group_by, timespan, condition, aliases, generate, range })
    }
}

/// What to point at for a map or a list: its first key, or its first line.
pub(crate) fn first_key(node: &Node) -> Range<usize> {
    match node.entries().first() {
        Some(entry) => entry.key_range.clone(),
        None => node.range.start..node.range.end.min(node.range.start + 1).max(node.range.start),
    }
}

fn is_uuid(text: &str) -> bool {
    let lens = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lens.len()
        && parts
            .iter()
            .zip(lens)
            .all(|(part, len)| part.len() == len && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
