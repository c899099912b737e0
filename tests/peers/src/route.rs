//! Which rules an event is for, by the table of SigmaHQ (`tests/thor.yml` of its repository), read at run time.
//!
//! The engines that are compared evaluate detections only, and leave the log source to whoever calls them. The table is
//! not ours, so it is an oracle for our own mapping as well.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::judge::plain_texts;
use crate::rule::{LogSource, Rule};

/// The table.
#[derive(Debug)]
pub struct Table {
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    source: LogSource,
    conditions: BTreeMap<String, Vec<String>>,
    /// What the category is an alias of.
    service: Option<String>,
    /// Sigma's name, and the event's.
    names: Vec<(String, String)>,
    channels: Vec<String>,
}

/// A rule that an event is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Number of the rule.
    pub rule: usize,
    /// Names of the rule, and of the event.
    pub names: Rc<Vec<(String, String)>>,
    /// Channel and conditions are spelled as in the table.
    pub exact: bool,
}

/// Routes events to rules.
#[derive(Debug)]
pub struct Routes {
    table: Table,
    sources: Vec<LogSource>,
    known: HashMap<[String; 3], Rc<Vec<Way>>>,
}

impl Table {
    /// Reads the table.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: Value = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        let sources = file.get("logsources").and_then(Value::as_object).ok_or("there is no `logsources`")?;
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let entry = |value: &Value| Entry {
            source: LogSource {
                product: word(value, "product"),
                category: word(value, "category"),
                service: word(value, "service"),
            },
            conditions: pairs(value, "conditions").map(|(key, value)| (key.clone(), plain_texts(value))).collect(),
            service: value.get("rewrite").and_then(|rewrite| word(rewrite, "service")),
            names: pairs(value, "fieldmappings")
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            channels: value
                .get("sources")
                .map(plain_texts)
                .unwrap_or_default()
                .iter()
                .filter_map(|source| source.strip_prefix("WinEventLog:").map(str::to_owned))
                .collect(),
        };
        Ok(Self { entries: sources.values().map(entry).collect() })
    }

    /// Whether the table says anything of a log source of Windows.
    pub fn knows(&self, source: &LogSource) -> bool {
        match (&source.category, &source.service) {
            (Some(_), _) => self.of_category(source).next().is_some(),
            (None, Some(service)) => self.channels(service).next().is_some(),
            (None, None) => true,
        }
    }

    fn of_category(&self, source: &LogSource) -> impl Iterator<Item = &Entry> {
        let fits =
            |known: &Option<String>, wanted: &Option<String>| known.is_none() || wanted.is_none() || known == wanted;
        self.entries.iter().filter(move |entry| {
            entry.source.category == source.category
                && entry.service.is_some()
                && fits(&entry.source.product, &source.product)
        })
    }

    fn channels(&self, service: &str) -> impl Iterator<Item = &str> {
        let of = move |entry: &&Entry| entry.source.service.as_deref() == Some(service);
        self.entries.iter().filter(of).flat_map(|entry| entry.channels.iter().map(String::as_str))
    }
}

fn pairs<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

impl Routes {
    /// For these rules.
    pub fn new(table: Table, rules: &[Rule]) -> Self {
        Self { table, sources: rules.iter().map(|rule| rule.source.clone()).collect(), known: HashMap::new() }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The rules that an event is for.
    pub fn of(&mut self, event: &Map<String, Value>) -> Rc<Vec<Way>> {
        let text = |name: &str| event.get(name).map(plain_texts).unwrap_or_default().concat();
        let key = ["Channel", "EventID", "EventType"].map(text);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let ways = self.sources.iter().enumerate().flat_map(|(rule, source)| self.ways(rule, source, &key));
        let ways = Rc::new(ways.collect::<Vec<_>>());
        self.known.insert(key, ways.clone());
        ways
    }

    fn ways(&self, rule: usize, source: &LogSource, [channel, id, kind]: &[String; 3]) -> Vec<Way> {
        let is_windows = source.product.as_deref().is_none_or(|product| product == "windows");
        if !is_windows {
            return Vec::new();
        }
        // Exactly as the table writes it, in another case, or not at all.
        let spelled = |known: &str, found: &str| {
            if known == found { Some(true) } else { known.eq_ignore_ascii_case(found).then_some(false) }
        };
        let in_service = |service: &str| self.table.channels(service).filter_map(|known| spelled(known, channel)).max();
        let way = |exact: bool, names: &[(String, String)]| Way { rule, names: Rc::new(names.to_vec()), exact };
        match (&source.category, &source.service) {
            (Some(_), service) => {
                let of_entry = |entry: &Entry| {
                    let mut exact = in_service(entry.service.as_deref()?)?;
                    if let Some(service) = service {
                        exact &= in_service(service)?;
                    }
                    for (field, values) in &entry.conditions {
                        let found = match field.as_str() {
                            "EventID" => id,
                            _ => kind,
                        };
                        exact &= values.iter().filter_map(|value| spelled(value, found)).max()?;
                    }
                    Some(way(exact, &entry.names))
                };
                self.table.of_category(source).filter_map(of_entry).collect()
            }
            (None, Some(service)) => in_service(service).map(|exact| way(exact, &[])).into_iter().collect(),
            (None, None) if source.product.is_some() => vec![way(true, &[])],
            (None, None) => Vec::new(),
        }
    }
}

/// The event with the names that the rule uses.
pub fn renamed(event: &Map<String, Value>, names: &[(String, String)]) -> Map<String, Value> {
    let mut event = event.clone();
    for (sigma, found) in names {
        if let Some(value) = event.get(found).cloned() {
            event.insert(sigma.clone(), value);
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = "
logsources:
  one: { category: process_creation, product: windows, conditions: { EventID: 1 }, rewrite: { service: sysmon } }
  two:
    category: process_creation
    product: windows
    conditions: { EventID: 4688 }
    rewrite: { service: security }
    fieldmappings: { Image: NewProcessName }
  add:
    category: registry_add
    product: windows
    conditions: { EventID: 12, EventType: CreateKey }
    rewrite: { service: sysmon }
  sysmon: { product: windows, service: sysmon, sources: ['WinEventLog:Sysmon/Operational'] }
  security: { product: windows, service: security, sources: ['WinEventLog:Security'] }
";

    #[test]
    fn events_go_where_the_table_says() {
        let rule = |source: &str| {
            let text = format!("title: a\nlogsource: {source}\ndetection: {{ s: {{ a: b }}, condition: s }}");
            Rule::read(&text).unwrap().unwrap()
        };
        let rules = [
            rule("{ product: windows, category: process_creation }"),
            rule("{ product: windows, service: security }"),
            rule("{ product: windows, category: registry_add }"),
            rule("{ product: linux, category: process_creation }"),
            rule("{ product: windows, category: file_access }"),
        ];
        let mut routes = Routes::new(Table::read(TABLE).unwrap(), &rules);
        assert!(routes.table().knows(&rules[0].source) && !routes.table().knows(&rules[4].source));
        let mut of = |channel: &str, id: u32, kind: &str| {
            let event = json!({ "Channel": channel, "EventID": id, "EventType": kind, "NewProcessName": "n" });
            let event = event.as_object().unwrap();
            let ways = routes.of(event);
            let named = |way: &Way| renamed(event, &way.names).contains_key("Image");
            ways.iter().map(|way| (way.rule, way.exact, named(way))).collect::<Vec<_>>()
        };
        assert_eq!(of("Sysmon/Operational", 1, ""), [(0, true, false)]);
        assert_eq!(of("Security", 4688, ""), [(0, true, true), (1, true, false)]);
        assert_eq!(of("security", 4688, ""), [(0, false, true), (1, false, false)]);
        assert_eq!(of("Sysmon/Operational", 12, "CreateKey"), [(2, true, false)]);
        assert_eq!(of("Sysmon/Operational", 12, "DeleteKey"), []);
        assert_eq!(of("Security", 1, ""), [(1, true, false)]);
    }
}
