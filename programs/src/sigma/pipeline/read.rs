//! From YAML to pipelines. Every key that is not understood is told, with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use regex_automata::meta::Regex;

use super::super::condition::{self as join, Condition};
use super::super::document::{Located, first_key};
use super::super::modifier::Test;
use super::super::pattern::Pattern;
use super::super::yaml::{Entry, Kind, Node};
use super::condition::{Conditions, Names, Of, OfItem, OfName, OfRule, OfState, Op, severity, status_named};
use super::value::{self, replacement};
use super::{Change, Pipeline, Step, Which};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::lang::suggest::nearest;

/// Steps that are understood.
const KNOWN: &[&str] = &[
    "add_condition",
    "change_logsource",
    "convert_type",
    "detection_item_failure",
    "drop_detection_item",
    "field_name_mapping",
    "field_name_prefix",
    "field_name_prefix_mapping",
    "field_name_suffix",
    "map_string",
    "replace_string",
    "rule_failure",
    "set_custom_attribute",
    "set_state",
    "set_value",
    "value_placeholders",
    "wildcard_placeholders",
];
/// Steps of pySigma that are not, and why.
const REFUSED: &[(&str, &str)] = &[
    ("query_expression_placeholders", "it asks for a list that a query engine holds; give the values in `vars`"),
    ("file_placeholders", "it reads a file; give the values in `vars`"),
    ("http_placeholders", "it asks the network; give the values in `vars`"),
    ("command_placeholders", "it runs a program; give the values in `vars`"),
    ("field_name_transform", "it needs a function of Python; write the names in a `field_name_mapping`"),
    ("hashes_fields", "it cannot be done here; hashes are compared in the field `Hashes` as the rules write them"),
    ("extract_fields", "it cannot be done here"),
    ("regex", "texts are compared without case as they are"),
    ("case", "texts are compared without case as they are"),
    ("nest", "it cannot be done here; write its steps one by one, each with the conditions"),
    ("strict_field_mapping_failure", "it cannot be done here; write a `rule_failure` with conditions"),
];
/// Steps that concern what a query returns, which no rule here does.
const OUTPUT: &[&str] = &["add_field", "remove_field", "set_field"];

/// The keys of the conditions of a step: themselves, how they are joined, whether the opposite is meant, an expression.
const CONDITIONS: [[&str; 4]; 3] = [
    ["rule_conditions", "rule_cond_op", "rule_cond_not", "rule_cond_expr"],
    ["detection_item_conditions", "detection_item_cond_op", "detection_item_cond_not", "detection_item_cond_expr"],
    ["field_name_conditions", "field_name_cond_op", "field_name_cond_not", "field_name_cond_expr"],
];

/// Reads a pipeline. None: it has mistakes, which are told.
pub(super) fn pipeline(source: &Arc<Source>, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Pipeline> {
    let mut reader = Reader { source, diagnostics, mistakes: 0 };
    let read = reader.pipeline(node);
    Some(read).filter(|_| reader.mistakes == 0)
}

struct Reader<'r> {
    source: &'r Arc<Source>,
    diagnostics: &'r mut Vec<Diagnostic>,
    mistakes: usize,
}

/// The entries of a map, of which each is asked for once.
struct Keys<'n> {
    entries: &'n [Entry],
    asked: Vec<&'static str>,
    /// What to point at if one is missing.
    range: Range<usize>,
}

impl<'n> Keys<'n> {
    fn new(node: &'n Node) -> Self {
        Self { entries: node.entries(), asked: Vec::new(), range: first_key(node) }
    }

    fn get(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Reader<'_> {
    fn tell(&mut self, range: &Range<usize>, message: impl Into<String>, label: &str, help: &str) {
        self.mistakes += 1;
        let span = Span { source: self.source.clone(), range: range.clone() };
        let told = Diagnostic::error("sigma-pipeline", message, span, label);
        self.diagnostics.push(if help.is_empty() { told } else { told.help(help) });
    }

    fn warn(&mut self, range: &Range<usize>, message: impl Into<String>, label: &str) {
        let span = Span { source: self.source.clone(), range: range.clone() };
        self.diagnostics.push(Diagnostic::warning("sigma-pipeline", message, span, label));
    }

    fn pipeline(&mut self, node: &Node) -> Pipeline {
        let mut keys = Keys::new(node);
        let name = self.text(&mut keys, "name").unwrap_or_default();
        let priority = match keys.get("priority").map(|entry| &entry.value) {
            None => 0,
            Some(Node { kind: Kind::Int(number, _), .. }) => *number,
            Some(other) => {
                self.tell(&other.range, format!("`priority` is a number, not {}", other.describe()), "this one", "");
                0
            }
        };
        for key in ["postprocessing", "finalizers"] {
            if let Some(entry) = keys.get(key).filter(|entry| entry.value.kind != Kind::Null) {
                let message = format!("`{key}` changes the text of queries, and there is none here: it has no effect");
                self.warn(&entry.key_range, message, "left out");
            }
        }
        if let Some(entry) = keys.get("allowed_backends") {
            let message = "the pipeline says which backends it is for; it is applied here all the same";
            self.warn(&entry.key_range, message, "no effect");
        }
        let vars = keys.get("vars").map_or_else(BTreeMap::new, |entry| self.vars(&entry.value));
        let steps = match keys.get("transformations") {
            Some(entry) => self.list(entry).iter().filter_map(|step| self.step(step)).collect(),
            // Whoever gives values alone wants them filled in.
            None => {
                let which = Which::Only(vars.keys().cloned().collect());
                vec![Step::of(Change::Placeholders { any: false, which }, first_key(node))]
            }
        };
        self.finish(keys, "a pipeline");
        Pipeline { source: self.source.clone(), range: node.range.clone(), name, priority, vars, steps }
    }

    fn vars(&mut self, node: &Node) -> BTreeMap<String, Vec<String>> {
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("`vars` is a map from names to values, not {}", node.describe());
            self.tell(&first_key(node), message, "this one", "for example `vars: {administrators: [alice, bob]}`");
        }
        node.entries().iter().map(|entry| (entry.key.clone(), self.texts_of(entry))).collect()
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("a transformation is a map, not {}", node.describe());
            self.tell(&first_key(node), message, "this one", "for example `- type: drop_detection_item`");
            return None;
        }
        let mut keys = Keys::new(node);
        let id = self.text(&mut keys, "id");
        let (kind, range) = self.word(&mut keys, "type")?;
        // Of one that is not understood, the keys are not either.
        let change = self.change(&kind, &range, &mut keys)?;
        let [of_rule, of_item, of_name] = CONDITIONS;
        let rule = self.conditions(&mut keys, of_rule, |reader, kind, keys| reader.of_rule(kind, keys));
        let item = self.conditions(&mut keys, of_item, |reader, kind, keys| reader.of_item(kind, keys));
        let name = self.conditions(&mut keys, of_name, |reader, kind, keys| reader.of_name(kind, keys));
        let about_rules = !matches!(
            change,
            Change::Names(_)
                | Change::Prefixes(_)
                | Change::Around(..)
                | Change::DropItem
                | Change::Values(_)
                | Change::Placeholders { .. }
                | Change::ItemFailure(_)
        );
        if about_rules && !(item.all.is_empty() && name.all.is_empty()) {
            let message = format!("`{kind}` changes the rule as a whole: it cannot have conditions on items or names");
            self.tell(&range, message, "this one", "use `rule_conditions`, for example `contains_field`");
        }
        self.finish(keys, &format!("`{kind}`"));
        Some(Step { id, change, rule, item, name, range })
    }

    fn change(&mut self, kind: &str, range: &Range<usize>, keys: &mut Keys<'_>) -> Option<Change> {
        Some(match kind {
            "field_name_mapping" => Change::Names(self.mapping(keys, true)?),
            "field_name_prefix_mapping" => Change::Prefixes(self.mapping(keys, false)?),
            "field_name_prefix" => Change::Around(self.needed(keys, "prefix")?, String::new()),
            "field_name_suffix" => Change::Around(String::new(), self.needed(keys, "suffix")?),
            "drop_detection_item" => Change::DropItem,
            "value_placeholders" => Change::Placeholders { any: false, which: self.which(keys) },
            "wildcard_placeholders" => Change::Placeholders { any: true, which: self.which(keys) },
            "add_condition" => {
                let conditions = self.entry(keys, "conditions")?.value.clone();
                if !matches!(&conditions.kind, Kind::Map(entries) if !entries.is_empty()) {
                    let message = format!("`conditions` is a map from fields to values, not {}", conditions.describe());
                    self.tell(&first_key(&conditions), message, "this one", "for example `conditions: {EventID: 1}`");
                }
                Change::AddCondition {
                    name: self.text(keys, "name"),
                    conditions,
                    template: self.flag(keys, "template"),
                    negated: self.flag(keys, "negated"),
                }
            }
            "change_logsource" => {
                let mut part = |key: &'static str| {
                    let entry = keys.get(key)?;
                    let text = entry.value.text()?.trim().to_ascii_lowercase();
                    Some(Located { text, range: entry.value.range.clone() })
                };
                let (category, product, service) = (part("category"), part("product"), part("service"));
                if category.is_none() && product.is_none() && service.is_none() {
                    let message = "the new log source is empty: it needs a category, a product or a service";
                    self.tell(range, message, "this one", "");
                }
                Change::LogSource { category, product, service }
            }
            "replace_string" => {
                let regex = self.entry(keys, "regex")?;
                let regex = self.regex(&regex.value, "")?;
                let entry = self.entry(keys, "replacement")?;
                let text = entry.value.text().unwrap_or_default();
                let replacement = match replacement(text, &regex) {
                    Ok(parts) => parts,
                    Err(message) => {
                        self.tell(&entry.value.range, message, "in this", "");
                        Vec::new()
                    }
                };
                let (between, interpret) = (self.flag(keys, "skip_special"), self.flag(keys, "interpret_special"));
                Change::Values(value::Change::Replace { regex, replacement, between, interpret })
            }
            "map_string" => Change::Values(value::Change::Map(self.mapping(keys, false)?)),
            "set_value" => Change::Values(value::Change::Set(self.value(keys)?)),
            "convert_type" => {
                let (target, range) = self.word(keys, "target_type")?;
                if !["num", "str"].contains(&target.as_str()) {
                    self.tell(&range, format!("`{target}` is no type of values"), "unknown", "`str` or `num`");
                }
                Change::Values(value::Change::Convert { number: target == "num" })
            }
            "set_state" => {
                let (key, value) = (self.needed(keys, "key")?, self.entry(keys, "val")?);
                Change::State(key, value.value.kind.clone())
            }
            "set_custom_attribute" => {
                let (key, value) = (self.needed(keys, "attribute")?, self.entry(keys, "value")?);
                Change::Attribute(key, value.value.clone())
            }
            "rule_failure" => Change::RuleFailure(self.needed(keys, "message")?),
            "detection_item_failure" => Change::ItemFailure(self.needed(keys, "message")?),
            kind if OUTPUT.contains(&kind) => {
                let message = format!("`{kind}` says what a query returns, and there is none here: it has no effect");
                self.warn(range, message, "left out");
                return None;
            }
            kind => {
                if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == kind) {
                    self.tell(range, format!("the transformation `{kind}` is refused: {why}"), "this one", "");
                    return None;
                }
                let help = match nearest(kind, KNOWN.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the transformations are {}", KNOWN.join(", ")),
                };
                self.tell(range, format!("there is no transformation `{kind}`"), "unknown", &help);
                return None;
            }
        })
    }

    fn value(&mut self, keys: &mut Keys<'_>) -> Option<Test> {
        let entry = self.entry(keys, "value")?;
        let force = keys.get("force_type").and_then(|entry| entry.value.text());
        let number = |text: &str| Some(Test::Number(text.parse::<i64>().ok()?.to_string(), text.to_owned()));
        let made = match (force, &entry.value.kind) {
            (None, Kind::Null) => Some(Test::Null),
            (None, Kind::Bool(value)) => Some(Test::Flag(*value)),
            (None | Some("num"), Kind::Int(number, text)) => Some(Test::Number(number.to_string(), text.clone())),
            (None, Kind::Text(text) | Kind::Float(_, text)) => Some(Test::Text(Pattern::parse(text))),
            (Some("str"), Kind::Text(text) | Kind::Int(_, text) | Kind::Float(_, text)) => {
                Some(Test::Text(Pattern::parse(text)))
            }
            (Some("num"), Kind::Text(text)) => number(text),
            _ => None,
        };
        if made.is_none() {
            let as_what = force.map_or_else(String::new, |force| format!(" as `{force}`"));
            let message = format!("a value cannot be set to {}{as_what}", entry.value.describe());
            self.tell(&first_key(&entry.value), message, "this one", "a text, a number, true, false or null");
        }
        made
    }

    /// `mapping: {from: to, from: [to, to]}`; `none` says that there may be one for what has no field.
    fn mapping(&mut self, keys: &mut Keys<'_>, none: bool) -> Option<Vec<(String, Vec<String>)>> {
        let entry = self.entry(keys, "mapping")?;
        if !matches!(entry.value.kind, Kind::Map(_)) {
            let message = format!("`mapping` is a map, not {}", entry.value.describe());
            self.tell(
                &first_key(&entry.value),
                message,
                "this one",
                "for example `mapping: {Image: process.executable}`",
            );
        }
        let mut mapping = Vec::new();
        for entry in entry.value.entries() {
            let to = self.texts_of(entry);
            if to.is_empty() {
                let message = format!("`{}` is mapped to nothing", entry.key);
                self.tell(&entry.key_range, message, "this one", "to leave items out, use `drop_detection_item`");
            }
            let is_none = none && matches!(entry.key.as_str(), "null" | "~" | "");
            mapping.push((if is_none { String::new() } else { entry.key.clone() }, to));
        }
        Some(mapping)
    }

    fn which(&mut self, keys: &mut Keys<'_>) -> Which {
        let include = keys.get("include").map(|entry| (entry.key_range.clone(), self.texts_of(entry)));
        let exclude = keys.get("exclude").map(|entry| self.texts_of(entry));
        match (include, exclude) {
            (Some((range, _)), Some(_)) => {
                self.tell(&range, "`include` and `exclude` together", "one of them is enough", "");
                Which::All
            }
            (Some((_, names)), None) => Which::Only(names),
            (None, Some(names)) => Which::AllBut(names),
            (None, None) => Which::All,
        }
    }

    /// Conditions under these keys, of [`CONDITIONS`].
    fn conditions<C>(
        &mut self,
        keys: &mut Keys<'_>,
        names: [&'static str; 4],
        read: impl Fn(&mut Self, &str, &mut Keys<'_>) -> Option<C>,
    ) -> Conditions<C> {
        let [list_key, op_key, not_key, expr_key] = names;
        let list = keys.get(list_key);
        let (op, expr) = (keys.get(op_key), keys.get(expr_key));
        let has_not = keys.entries.iter().find(|entry| entry.key == not_key);
        let negated = self.flag(keys, not_key);
        if list.is_none()
            && let Some(other) = [op, expr, has_not].into_iter().flatten().next()
        {
            let message = format!("`{}` without `{list_key}`", other.key);
            self.tell(&other.key_range, message, "nothing to join", "");
        }
        // A list, or a map by the names that the expression uses.
        let nodes: Vec<(&str, &Node)> = match list.map(|entry| &entry.value) {
            Some(Node { kind: Kind::Map(entries), .. }) => {
                entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect()
            }
            Some(Node { kind: Kind::List(items), .. }) => items.iter().map(|item| ("", item)).collect(),
            Some(other) => {
                let message = format!("`{list_key}` is a list, or a map by name, not {}", other.describe());
                self.tell(&first_key(other), message, "this one", "");
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut all = Vec::with_capacity(nodes.len());
        for (_, node) in &nodes {
            let mut keys = Keys::new(node);
            let Some((kind, range)) = self.word(&mut keys, "type") else { continue };
            let before = self.mistakes;
            match read(self, &kind, &mut keys) {
                Some(condition) => {
                    all.push(condition);
                    self.finish(keys, &format!("the condition `{kind}`"));
                }
                None if self.mistakes > before => {}
                None => {
                    let message = format!("there is no condition `{kind}` in `{list_key}`");
                    self.tell(&range, message, "unknown", "`trapline explain sigma-pipeline` has all of them");
                }
            }
        }
        let every = || (0..all.len()).map(Condition::Search).collect();
        let join = match (expr, op.map(|op| (op.value.text().unwrap_or_default(), op))) {
            (Some(expr), None) => {
                let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
                let text = expr.value.text().unwrap_or_default();
                match join::parse(text, &names) {
                    Ok(join) => join,
                    Err(mistake) => {
                        let help = mistake.help.unwrap_or_default();
                        self.tell(&expr.value.range, mistake.message, &mistake.label, &help);
                        Condition::And(every())
                    }
                }
            }
            (Some(expr), Some(_)) => {
                let message = format!("`{op_key}` and `{expr_key}` together");
                self.tell(&expr.key_range, message, "one of them is enough", "");
                Condition::And(every())
            }
            (None, None | Some(("and", _))) => Condition::And(every()),
            (None, Some(("or", _))) => Condition::Or(every()),
            (None, Some((_, op))) => {
                self.tell(&op.value.range, format!("`{op_key}` is `and` or `or`"), "neither", "");
                Condition::And(every())
            }
        };
        Conditions { all, join, negated }
    }

    fn of_rule(&mut self, kind: &str, keys: &mut Keys<'_>) -> Option<OfRule> {
        Some(match kind {
            "logsource" => {
                let mut part = |key| keys.get(key).and_then(|entry| entry.value.text()).map(str::to_ascii_lowercase);
                let (category, product, service) = (part("category"), part("product"), part("service"));
                OfRule::LogSource { category, product, service }
            }
            "contains_field" => OfRule::ContainsField(self.needed(keys, "field")?),
            "contains_detection_item" => {
                OfRule::ContainsItem(self.needed(keys, "field")?, self.entry(keys, "value")?.value.kind.clone())
            }
            "is_sigma_rule" => OfRule::IsRule(true),
            // Correlations do not come this way yet.
            "is_sigma_correlation_rule" => OfRule::IsRule(false),
            "rule_attribute" => {
                let name = self.needed(keys, "attribute")?;
                let value = self.entry(keys, "value")?.value.clone();
                let op = self.op(keys, true)?;
                let text = value.text().unwrap_or_default();
                let is_known = match name.as_str() {
                    "level" => severity(text).is_some(),
                    "status" => status_named(text).is_some(),
                    _ => value.text().is_some(),
                };
                if !is_known {
                    self.tell(&first_key(&value), format!("this is no {name} of a rule"), "unknown", "");
                }
                OfRule::Attribute { name, value, op }
            }
            "tag" => OfRule::Tag(self.needed(keys, "tag")?),
            "processing_item_applied" => OfRule::Applied(self.needed(keys, "processing_item_id")?),
            "processing_state" => OfRule::State(self.state(keys)?),
            _ => return None,
        })
    }

    fn of_item(&mut self, kind: &str, keys: &mut Keys<'_>) -> Option<OfItem> {
        Some(match kind {
            "match_string" => {
                let of = self.of(keys)?;
                let pattern = self.entry(keys, "pattern")?;
                let pattern = self.regex(&pattern.value, r"\A")?;
                OfItem::MatchString { of, pattern, negated: self.flag(keys, "negate") }
            }
            "match_value" => OfItem::MatchValue(self.of(keys)?, self.entry(keys, "value")?.value.kind.clone()),
            "contains_wildcard" => OfItem::Wildcard(self.of(keys)?),
            "is_null" => OfItem::IsNull(self.of(keys)?),
            "processing_item_applied" => OfItem::Applied(self.needed(keys, "processing_item_id")?),
            "processing_state" => OfItem::State(self.state(keys)?),
            _ => return None,
        })
    }

    fn of_name(&mut self, kind: &str, keys: &mut Keys<'_>) -> Option<OfName> {
        Some(match kind {
            "include_fields" => OfName::Include(self.names(keys)?),
            "exclude_fields" => OfName::Exclude(self.names(keys)?),
            "processing_item_applied" => OfName::Applied(self.needed(keys, "processing_item_id")?),
            "processing_state" => OfName::State(self.state(keys)?),
            _ => return None,
        })
    }

    fn names(&mut self, keys: &mut Keys<'_>) -> Option<Names> {
        let entry = self.entry(keys, "fields")?;
        let mode = keys.get("mode");
        match mode.and_then(|mode| mode.value.text()) {
            None | Some("plain") => Some(Names::Plain(self.texts_of(entry))),
            Some("re") => {
                let nodes = self.list(entry).to_vec();
                let regexes: Vec<Regex> = nodes.iter().filter_map(|node| self.regex(node, r"\A")).collect();
                Some(Names::Regexes(regexes))
            }
            Some(other) => {
                let range = mode.map_or(0..0, |mode| mode.value.range.clone());
                self.tell(&range, format!("`{other}` is no way to compare names"), "unknown", "`plain` or `re`");
                None
            }
        }
    }

    fn state(&mut self, keys: &mut Keys<'_>) -> Option<OfState> {
        let (key, value) = (self.needed(keys, "key")?, self.entry(keys, "val")?);
        Some(OfState { key, value: value.value.kind.clone(), op: self.op(keys, false)? })
    }

    fn op(&mut self, keys: &mut Keys<'_>, lists: bool) -> Option<Op> {
        let Some(entry) = keys.get("op") else { return Some(Op::Eq) };
        let op = match entry.value.text().unwrap_or_default() {
            "eq" => Some(Op::Eq),
            "ne" => Some(Op::Ne),
            "gte" => Some(Op::Gte),
            "gt" => Some(Op::Gt),
            "lte" => Some(Op::Lte),
            "lt" => Some(Op::Lt),
            "in" if lists => Some(Op::In),
            "not_in" if lists => Some(Op::NotIn),
            _ => None,
        };
        if op.is_none() {
            let help = if lists { "eq, ne, gte, gt, lte, lt, in, not_in" } else { "eq, ne, gte, gt, lte, lt" };
            self.tell(&first_key(&entry.value), "this is no comparison", "unknown", help);
        }
        op
    }

    fn of(&mut self, keys: &mut Keys<'_>) -> Option<Of> {
        let (word, range) = self.word(keys, "cond")?;
        match word.as_str() {
            "any" => Some(Of::Any),
            "all" => Some(Of::All),
            _ => {
                self.tell(&range, "`cond` is `any` or `all`", "neither", "");
                None
            }
        }
    }

    fn regex(&mut self, node: &Node, before: &str) -> Option<Regex> {
        let text = node.text().unwrap_or_default();
        let checked = crate::hir::check_regex(text);
        let compiled = checked.and_then(|()| {
            Regex::new(&format!("{before}(?:{text})")).map_err(|error| (error.to_string(), String::new()))
        });
        match compiled {
            Ok(regex) => Some(regex),
            Err((message, help)) => {
                self.tell(&node.range, message, "in this", &help);
                None
            }
        }
    }

    fn entry<'n>(&mut self, keys: &mut Keys<'n>, key: &'static str) -> Option<&'n Entry> {
        let found = keys.get(key);
        if found.is_none() {
            let near = keys.entries.iter().find(|entry| nearest(&entry.key, [key]).is_some());
            let (range, help) = match near {
                Some(entry) => (entry.key_range.clone(), format!("did you mean `{key}`?")),
                None => (keys.range.clone(), String::new()),
            };
            self.tell(&range, format!("`{key}` is missing"), "in this", &help);
        }
        found
    }

    fn word(&mut self, keys: &mut Keys<'_>, key: &'static str) -> Option<(String, Range<usize>)> {
        let entry = self.entry(keys, key)?;
        let text = self.text_of(entry)?;
        Some((text, entry.value.range.clone()))
    }

    fn needed(&mut self, keys: &mut Keys<'_>, key: &'static str) -> Option<String> {
        self.word(keys, key).map(|(text, _)| text)
    }

    fn text(&mut self, keys: &mut Keys<'_>, key: &'static str) -> Option<String> {
        let entry = keys.get(key)?;
        self.text_of(entry)
    }

    fn text_of(&mut self, entry: &Entry) -> Option<String> {
        let text = entry.value.text().map(str::to_owned);
        if text.is_none() {
            let message = format!("`{}` is a text, not {}", entry.key, entry.value.describe());
            self.tell(&first_key(&entry.value), message, "this one", "");
        }
        text
    }

    /// The texts of a list, or the one.
    fn texts_of(&mut self, entry: &Entry) -> Vec<String> {
        let items = match &entry.value.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let message = format!("`{}` takes texts and numbers, not {}", entry.key, item.describe());
                    self.tell(&first_key(item), message, "this one", "");
                }
            }
        }
        texts
    }

    fn list<'n>(&mut self, entry: &'n Entry) -> &'n [Node] {
        match &entry.value.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            _ => {
                let message = format!("`{}` is a list, not {}", entry.key, entry.value.describe());
                self.tell(&first_key(&entry.value), message, "this one", "");
                &[]
            }
        }
    }

    fn flag(&mut self, keys: &mut Keys<'_>, key: &'static str) -> bool {
        match keys.get(key).map(|entry| &entry.value) {
            None => false,
            Some(Node { kind: Kind::Bool(value), .. }) => *value,
            Some(other) => {
                let message = format!("`{key}` is true or false, not {}", other.describe());
                self.tell(&first_key(other), message, "this one", "");
                false
            }
        }
    }

    /// Tells of every key that nobody asked for.
    fn finish(&mut self, keys: Keys<'_>, what: &str) {
        for entry in keys.entries.iter().filter(|entry| !keys.asked.contains(&entry.key.as_str())) {
            let help = match nearest(&entry.key, keys.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", keys.asked.join(", ")),
            };
            self.tell(&entry.key_range, format!("`{}` is no part of {what}", entry.key), "unknown", &help);
        }
    }
}
