//! Tests of a rule: events typed against their class.

use std::rc::Rc;

use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{FamilyId, FieldType, LIST_LEN_MAX, Scalar};

use super::scope::Env;
use super::value::{Const, Item, Value, type_name};
use super::{Cx, not_yet};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expectation, Literal, Severity, TestCase, TestEvent, TestEventBody, TestValue};
use crate::lang::ast::{self, ExprKind, Range, TestEntry, TestValueKind};
use crate::lang::limits::{TEST_EVENTS_MAX, TEST_FIELDS_MAX};
use crate::lang::suggest::nearest;

/// What a test may expect.
const EXPECTATIONS: &[&str] = &["alert", "none", "not_evaluable", "suppressed"];

impl<'a> Cx<'a, '_> {
    /// Lowers a test; None: reported.
    pub(super) fn test_case(&mut self, test: &'a ast::Test) -> Option<TestCase> {
        let ExprKind::Str(name) = &test.name.kind else { return None };
        let mut events = Vec::new();
        let mut expect = Vec::new();
        let mut profile = None;
        let mut complete = true;
        let total = test
            .entries
            .iter()
            .filter(|entry| matches!(entry, TestEntry::Event { .. } | TestEntry::Recorded { .. }))
            .count();
        if total > TEST_EVENTS_MAX {
            let message = format!("a test has at most {TEST_EVENTS_MAX} events, this one has {total}");
            self.error("limit", message, &test.name.range, "too many events");
            return None;
        }
        for entry in &test.entries {
            match entry {
                TestEntry::Source(source) => match &source.kind {
                    ExprKind::Str(text) => profile = Some(text.text.clone()),
                    ExprKind::Path(path) => profile = Some(path.dotted()),
                    _ => complete = false,
                },
                TestEntry::Event { after, class, fields, range } => {
                    let after_ns = self.after(after.as_ref());
                    let body = self.event(class, fields);
                    complete &= after_ns.is_some() && body.is_some();
                    if let (Some(after_ns), Some(body)) = (after_ns, body) {
                        let line = self.file.line(range.start);
                        events.push(TestEvent { body, after_ns, profile: profile.clone(), line });
                    }
                }
                TestEntry::Recorded { after, file, number, range } => {
                    let after_ns = self.after(after.as_ref());
                    let number = match self.value(number, &Rc::new(Env::default())) {
                        Some(Value::Const(Item { value: Const::Int(number), .. })) if number > 0 => {
                            u64::try_from(number).ok()
                        }
                        Some(_) => {
                            self.error(
                                "invalid-test",
                                "events of a file are counted from 1",
                                &number.range,
                                "not a line number",
                            );
                            None
                        }
                        None => None,
                    };
                    match (&file.kind, after_ns, number) {
                        (ExprKind::Str(file), Some(after_ns), Some(number)) => events.push(TestEvent {
                            body: TestEventBody::Recorded { file: file.text.clone(), number },
                            after_ns,
                            profile: profile.clone(),
                            line: self.file.line(range.start),
                        }),
                        _ => complete = false,
                    }
                }
                TestEntry::Expect { what, at, fields, range } => {
                    match self.expectation(what, at.as_ref(), fields, total, range) {
                        Some(found) => expect.push(found),
                        None => complete = false,
                    }
                }
            }
        }
        if complete && events.is_empty() {
            self.error("invalid-test", "this test has no event", &test.name.range, "write `process.exec { … }`");
            complete = false;
        }
        if complete && expect.is_empty() {
            let span = self.file.span(&test.name.range);
            self.report(
                Diagnostic::error("invalid-test", "this test expects nothing", span, "no `expect`")
                    .help("write `expect alert`, `expect none` or `expect not_evaluable`"),
            );
            complete = false;
        }
        let quiet = expect.iter().any(|found| matches!(found, Expectation::None | Expectation::NotEvaluable));
        let loud = expect.iter().any(|found| matches!(found, Expectation::Alert { .. }));
        if quiet && (loud || expect.iter().any(|found| *found != expect[0])) {
            let span = self.file.span(&test.name.range);
            self.report(
                Diagnostic::error(
                    "invalid-test",
                    "this test expects both an alert and none",
                    span,
                    "expectations that exclude each other",
                )
                .help("write two tests"),
            );
            complete = false;
        }
        let span = self.file.span(&test.range);
        complete.then(|| TestCase {
            name: name.text.clone(),
            events,
            expect,
            span,
            line: self.file.line(test.range.start),
        })
    }

    fn after(&mut self, after: Option<&'a ast::Expr>) -> Option<i64> {
        let Some(expr) = after else { return Some(0) };
        match self.value(expr, &Rc::new(Env::default()))? {
            Value::Const(Item { value: Const::Duration(value), .. }) => Some(value),
            _ => {
                self.error("invalid-test", "the time after the event before is a duration", &expr.range, "write `+5s`");
                None
            }
        }
    }

    fn expectation(
        &mut self,
        what: &ast::Name,
        at: Option<&'a ast::Expr>,
        fields: &'a [(ast::Path, ast::TestValue)],
        events: usize,
        range: &Range,
    ) -> Option<Expectation> {
        let index = match at {
            None => None,
            Some(at) => match self.value(at, &Rc::new(Env::default()))? {
                Value::Const(Item { value: Const::Int(index), .. })
                    if usize::try_from(index).is_ok_and(|index| (1..=events).contains(&index)) =>
                {
                    usize::try_from(index).ok()
                }
                _ => {
                    let message = format!("`at` names an event of the test, from 1 to {events}");
                    self.error("invalid-test", message, &at.range, "no such event");
                    return None;
                }
            },
        };
        let mut severity: Option<Severity> = None;
        for (key, value) in fields {
            let name = ast::Name { text: "severity".to_owned(), range: key.range.clone() };
            match &value.kind {
                TestValueKind::Scalar(word) if key.dotted() == "severity" => {
                    severity = Some(self.severity_of(&name, word)?);
                }
                _ => {
                    let message = format!("an expected alert has no `{}`", key.dotted());
                    let span = self.file.span(&key.range);
                    self.report(
                        Diagnostic::error("invalid-test", message, span, "unknown")
                            .help("write `expect alert { severity: high }`"),
                    );
                    return None;
                }
            }
        }
        let plain = index.is_none() && fields.is_empty();
        match what.text.as_str() {
            "alert" => Some(Expectation::Alert { at: index, severity }),
            "none" if plain => Some(Expectation::None),
            "not_evaluable" if plain => Some(Expectation::NotEvaluable),
            "suppressed" => {
                let span = self.file.span(&what.range);
                self.report(
                    not_yet("`expect suppressed`", span)
                        .help("an alert that an `unless` holds back is written `expect none`"),
                );
                None
            }
            known if EXPECTATIONS.contains(&known) => {
                let message = format!("`expect {known}` takes nothing more");
                self.error("invalid-test", message, range, "`at` and `{ … }` go with `alert`");
                None
            }
            unknown => {
                let span = self.file.span(&what.range);
                let mut diagnostic = Diagnostic::error(
                    "invalid-test",
                    format!("a test does not expect `{unknown}`"),
                    span,
                    "not an expectation",
                );
                diagnostic = match nearest(unknown, EXPECTATIONS.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help("write `expect alert`, `expect none` or `expect not_evaluable`"),
                };
                self.report(diagnostic);
                None
            }
        }
    }

    fn event(&mut self, class: &'a ast::Path, fields: &'a [(ast::Path, ast::TestValue)]) -> Option<TestEventBody> {
        let name = class.dotted();
        let Some(id) = self.file.catalogue.class_id(&name) else {
            if self.file.catalogue.family_id(&name).is_some() || name == "event" {
                let classes: Vec<&str> = self
                    .file
                    .catalogue
                    .family_id(&name)
                    .map(|family| self.file.catalogue.classes_of(family).collect::<Vec<_>>())
                    .unwrap_or_default()
                    .into_iter()
                    .take(12)
                    .map(|id| self.file.catalogue.class(id).name.as_str())
                    .collect();
                let span = self.file.span(&class.range);
                let mut diagnostic = Diagnostic::error(
                    "unknown-class",
                    format!("an event is of one class, and `{name}` is several"),
                    span,
                    "not a single class",
                );
                if !classes.is_empty() {
                    diagnostic = diagnostic.help(format!("write one of {}", classes.join(", ")));
                }
                self.report(diagnostic);
            } else {
                self.unknown_class(&name, &class.range);
            }
            return None;
        };
        let family = self.file.catalogue.class(id).family;
        if !self.classes.is_empty() && !self.classes.contains(&id) {
            let span = self.file.span(&class.range);
            self.report(Diagnostic::warning(
                "unwoken-test",
                format!("the rule never looks at events of {name}"),
                span,
                "not in its `on`",
            ));
        }
        self.check_fields(fields)?;
        let mut lowered: Vec<(FieldRef, TestValue)> = Vec::new();
        let mut complete = true;
        for (path, value) in fields {
            let found = self.test_field(family, path, value);
            complete &= found.is_some();
            let Some((field, value)) = found else { continue };
            if lowered.iter().any(|(first, _)| first.name == field.name) {
                let message = format!("`{}` stands twice in this event", field.name);
                self.error("duplicate-key", message, &path.range, "the second one");
                complete = false;
            }
            lowered.push((field, value));
        }
        complete.then_some(TestEventBody::Inline { class: id, fields: lowered })
    }

    fn test_field(
        &mut self,
        family: FamilyId,
        path: &'a ast::Path,
        value: &'a ast::TestValue,
    ) -> Option<(FieldRef, TestValue)> {
        // Names are those of the event's own family, whatever the rule is about.
        let families = std::mem::replace(&mut self.families, vec![family]);
        let classes = std::mem::replace(&mut self.classes, self.file.catalogue.classes_of(family).collect());
        let field = self.field_named(&path.dotted(), &path.range);
        self.families = families;
        self.classes = classes;
        let field = field?.field;
        let value = self.test_value(field.ty, &field.name, value)?;
        Some((field, value))
    }

    fn test_value(&mut self, ty: FieldType, name: &str, value: &'a ast::TestValue) -> Option<TestValue> {
        match (&value.kind, ty) {
            (TestValueKind::Lost, _) => Some(TestValue::Lost),
            (TestValueKind::Truncated(text), FieldType::Scalar(Scalar::Str | Scalar::Path)) => match &text.kind {
                ExprKind::Str(text) => Some(TestValue::Truncated(text.text.clone())),
                _ => None,
            },
            (TestValueKind::Truncated(_), _) => {
                let message = format!("`{name}` is {}: only text is cut short", type_name(ty));
                self.error("type-mismatch", message, &value.range, "not a text");
                None
            }
            (TestValueKind::Scalar(expr), FieldType::Scalar(scalar)) => {
                self.test_literal(scalar, name, expr).map(TestValue::Present)
            }
            (TestValueKind::List(items), FieldType::List(scalar)) => {
                self.check_len(items.len(), name, &value.range)?;
                let mut all = Vec::new();
                for item in items {
                    match &item.kind {
                        TestValueKind::Scalar(expr) => all.push(self.test_literal(scalar, name, expr)),
                        TestValueKind::Lost | TestValueKind::Truncated(_) => {
                            let message = format!("an element of `{name}` alone is not lost or cut short");
                            let span = self.file.span(&item.range);
                            self.report(
                                Diagnostic::error("type-mismatch", message, span, "a value is needed here")
                                    .help(format!("the whole list may be: `{name}: lost`")),
                            );
                            all.push(None);
                        }
                        _ => {
                            let message = format!("an element of `{name}` is a single value");
                            self.error("type-mismatch", message, &item.range, "not a single value");
                            all.push(None);
                        }
                    }
                }
                let all: Option<Vec<Literal>> = all.into_iter().collect();
                Some(TestValue::Present(Literal::List(all?)))
            }
            (TestValueKind::List(items), FieldType::Records(element)) => {
                self.check_len(items.len(), name, &value.range)?;
                let element = self.file.catalogue.elements.get(usize::from(element.0))?;
                let mut records = Vec::new();
                let mut complete = true;
                for item in items {
                    let TestValueKind::Record(fields) = &item.kind else {
                        let message = format!("an element of `{name}` is a record");
                        let span = self.file.span(&item.range);
                        let example = element.members.first().map_or("name", |member| member.name.as_str());
                        self.report(
                            Diagnostic::error("type-mismatch", message, span, "not a record")
                                .help(format!("write `{{ {example}: … }}`")),
                        );
                        complete = false;
                        continue;
                    };
                    self.check_fields(fields)?;
                    let mut record: Vec<Option<TestValue>> = vec![None; element.members.len()];
                    for (path, value) in fields {
                        let member = path.dotted();
                        let Some(index) = element.members.iter().position(|known| known.name == member) else {
                            let list = FieldRef { name: name.to_owned(), ty };
                            self.unknown_member(element, &list, &member, &path.range);
                            complete = false;
                            continue;
                        };
                        let ty = element.members.get(index).map_or(ty, |member| member.ty);
                        let lowered = self.test_value(ty, &format!("{name}.{member}"), value);
                        complete &= lowered.is_some();
                        if let Some(slot) = record.get_mut(index) {
                            if slot.is_some() {
                                let message = format!("`{member}` stands twice in this record");
                                self.error("duplicate-key", message, &path.range, "the second one");
                                complete = false;
                            }
                            *slot = lowered;
                        }
                    }
                    records.push(record);
                }
                complete.then_some(TestValue::Present(Literal::Records(records)))
            }
            (kind, ty) => {
                let what = match kind {
                    TestValueKind::List(_) => "a list",
                    TestValueKind::Record(_) => "a record",
                    _ => "a single value",
                };
                let message = format!("`{name}` is {}, and this is {what}", type_name(ty));
                let span = self.file.span(&value.range);
                let mut diagnostic = Diagnostic::error("type-mismatch", message, span, "of another type");
                if !matches!(ty, FieldType::Scalar(_)) {
                    diagnostic = diagnostic.help("lists are written `[a, b]`");
                }
                self.report(diagnostic);
                None
            }
        }
    }

    fn check_fields(&mut self, fields: &[(ast::Path, ast::TestValue)]) -> Option<()> {
        let Some((path, _)) = fields.get(TEST_FIELDS_MAX) else { return Some(()) };
        let message = format!("an event or record of a test has at most {TEST_FIELDS_MAX} fields");
        self.error("limit", message, &path.range, "one too many");
        None
    }

    fn check_len(&mut self, len: usize, name: &str, range: &Range) -> Option<()> {
        let most = usize::try_from(LIST_LEN_MAX).unwrap_or(usize::MAX);
        if len <= most {
            return Some(());
        }
        let message = format!("`{name}` keeps at most {most} elements, here are {len}");
        self.error("limit", message, range, "too many elements");
        None
    }

    /// A scalar; for an enumeration also the bare word `other`: a value outside it.
    fn test_literal(&mut self, scalar: Scalar, name: &str, expr: &'a ast::Expr) -> Option<Literal> {
        if let (Scalar::Enum(_), ExprKind::Path(path)) = (scalar, &expr.kind)
            && path.single() == Some("other")
        {
            return Some(Literal::Enum(None));
        }
        if let (Scalar::Enum(_), ExprKind::Path(path)) = (scalar, &expr.kind)
            && let Some(word) = path.single()
        {
            let span = self.file.span(&expr.range);
            let message = format!("a value of `{name}` stands in quotes");
            self.report(
                Diagnostic::error("type-mismatch", message, span, "not in quotes")
                    .help(format!("write \"{word}\"; the bare word `other` is a value outside the enumeration")),
            );
            return None;
        }
        match self.value(expr, &Rc::new(Env::default()))? {
            Value::Const(item) => self.literal(scalar, name, &item),
            other => {
                let message = format!("the value of a field in a test is a constant, not {}", other.describe());
                self.error("type-mismatch", message, &expr.range, "not a constant");
                None
            }
        }
    }
}
