//! What a name means where it stands.

use std::rc::Rc;

use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{Element, FamilyId, Field, FieldType};

use super::value::{FieldValue, Place, Value};
use super::{Cx, not_yet, walk};
use crate::diagnostic::Diagnostic;
use crate::lang::ast::{self, ExprKind, Path, Range};
use crate::lang::limits::PARAMS_MAX;
use crate::lang::suggest::{nearest, nearest_few};

/// Types of values that a macro's parameter can have; any other type names a group of fields.
pub(super) const VALUE_TYPES: &[&str] =
    &["bool", "int", "decimal", "str", "path", "bytes", "ip", "time", "duration", "enum", "list", "cidr", "set", "map"];

/// Built-in functions.
pub(super) const FUNCTIONS: &[&str] = &["exists", "missing", "is_true", "cased", "cidr", "length"];

/// The names that are known at a place, besides those of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Env<'a> {
    /// `let`s before this place.
    lets: &'a [(ast::Name, ast::Expr)],
    /// Parameters of the macro.
    params: Vec<(&'a str, Binding<'a>)>,
    /// Element of the quantifier around this place.
    element: Option<(&'a str, Group)>,
}

/// What a parameter stands for.
#[derive(Clone, Debug)]
pub(super) enum Binding<'a> {
    /// Fields below a prefix, or members of an element.
    Group(Group),
    /// An expression, understood where it was written.
    Value(&'a ast::Expr, Rc<Env<'a>>),
    /// A mistake that is reported.
    Poison,
}

/// Something with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Fields whose names begin with this and a dot.
    Prefix(String),
    /// The element of a list field.
    Element {
        /// The list.
        list: FieldRef,
        /// Whether Windows compares its elements without regard to case (lists of scalars).
        folds: bool,
    },
}

/// What a name turned out to be.
pub(super) enum Resolved<'a> {
    /// A field, list or set.
    Value(Value),
    /// An expression: a `let` or an argument.
    Expr(&'a ast::Expr, Rc<Env<'a>>),
    /// A macro without parameters.
    Macro(&'a ast::Macro),
    /// Something with fields, itself no value.
    Group(Group),
    /// `true` or `false`.
    Bool(bool),
}

impl<'a> Env<'a> {
    /// The scope of a rule's clause, with the first `count` of its lets.
    pub(super) fn of_rule(lets: &'a [(ast::Name, ast::Expr)], count: usize) -> Self {
        Self { lets: lets.get(..count).unwrap_or(lets), ..Self::default() }
    }

    /// The scope of a macro's body.
    pub(super) fn of_macro(params: Vec<(&'a str, Binding<'a>)>) -> Self {
        Self { params, ..Self::default() }
    }

    /// This scope with the element of a quantifier.
    pub(super) fn with_element(&self, name: &'a str, group: Group) -> Self {
        Self { element: Some((name, group)), ..self.clone() }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.lets
            .iter()
            .map(|(name, _)| name.text.as_str())
            .chain(self.params.iter().map(|(name, _)| *name))
            .chain(self.element.iter().map(|(name, _)| *name))
    }
}

impl<'a> Cx<'a, '_> {
    /// Resolves a name; None: reported.
    pub(super) fn resolve(&mut self, path: &'a Path, env: &Rc<Env<'a>>) -> Option<Resolved<'a>> {
        let first = path.parts.first()?.as_str();
        let rest = path.parts.get(1..).unwrap_or_default().join(".");
        if let Some((name, group)) = &env.element
            && *name == first
        {
            let group = group.clone();
            return self.in_group(&group, &rest, path, None);
        }
        if let Some((_, binding)) = env.params.iter().find(|(name, _)| *name == first) {
            return match binding.clone() {
                Binding::Poison => None,
                Binding::Group(group) => self.in_group(&group, &rest, path, Some(first)),
                Binding::Value(expr, env) if rest.is_empty() => Some(Resolved::Expr(expr, env)),
                Binding::Value(..) => {
                    let message = format!("`{first}` is a value: it has no fields");
                    self.error("unknown-name", message, &path.range, "not a field");
                    None
                }
            };
        }
        let visible = env.lets;
        if let Some(index) = visible.iter().rposition(|(name, _)| name.text == first) {
            let (_, expr) = &visible[index];
            if matches!(expr.kind, ExprKind::Error | ExprKind::Index(_)) {
                return None;
            }
            if !rest.is_empty() {
                let message = format!("`{first}` is a value: it has no fields");
                self.error("unknown-name", message, &path.range, "not a field");
                return None;
            }
            // A let sees only the lets before it.
            return Some(Resolved::Expr(expr, Rc::new(Env { lets: &visible[..index], ..Env::default() })));
        }
        if self.poisoned.contains(first) || self.file.poisoned.contains(first) {
            return None;
        }
        if let Some(name) = path.single() {
            if let Some(list) = self.file.lists.get(name).copied() {
                if self.exhausted {
                    return None;
                }
                let items = self.list_items(&list.items, &list.name)?;
                self.count_items(items.len(), &path.range)?;
                return Some(Resolved::Value(Value::List(items)));
            }
            if let Some(item) = self.file.macros.get(name).copied() {
                if item.params.is_none() {
                    return Some(Resolved::Macro(item));
                }
                let span = self.file.span(&path.range);
                self.report(
                    Diagnostic::error(
                        "wrong-arguments",
                        format!("macro `{name}` needs its arguments"),
                        span,
                        "no arguments",
                    )
                    .help(format!("write `{}`", self.signature(item))),
                );
                return None;
            }
            match name {
                "true" => return Some(Resolved::Bool(true)),
                "false" => return Some(Resolved::Bool(false)),
                _ => {}
            }
            if let Some(ranges) = super::constant::builtin_set(name) {
                return Some(Resolved::Value(Value::Ranges(ranges)));
            }
            if self.file.catalogue.field_id(name).is_none() && !self.is_group(name) {
                self.unknown_name(name, &path.range, env);
                return None;
            }
        }
        let name = path.dotted();
        if !self.knows_field(&name) && self.is_group(&name) {
            return Some(Resolved::Group(Group::Prefix(name)));
        }
        self.field_named(&name, &path.range).map(|field| Resolved::Value(Value::Field(field)))
    }

    /// Whether fields lie below this name.
    fn is_group(&self, name: &str) -> bool {
        let below = |field: &Field| field.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.file.catalogue.fields.iter().any(below)
    }

    /// `macro_name(p: process)` for messages.
    fn signature(&self, item: &ast::Macro) -> String {
        if item.params.is_none() {
            return item.name.text.clone();
        }
        let params: Vec<&str> = item.params.iter().flatten().map(|(name, _)| name.text.as_str()).collect();
        format!("{}({})", item.name.text, params.join(", "))
    }

    /// A name without dots that is nothing.
    fn unknown_name(&mut self, name: &str, range: &Range, env: &Env<'a>) {
        let span = self.file.span(range);
        let mut diagnostic =
            Diagnostic::error("unknown-name", format!("nothing is named `{name}`"), span, "not defined");
        if self.is_busy() {
            return self.report(diagnostic);
        }
        let catalogue = self.file.catalogue;
        let below = format!("{name}.");
        if catalogue.fields.iter().any(|field| field.name.starts_with(&below)) {
            let fields: Vec<&str> = catalogue
                .fields
                .iter()
                .filter(|field| field.name.starts_with(&below))
                .take(4)
                .map(|field| field.name.as_str())
                .collect();
            diagnostic = diagnostic.help(format!("`{name}` is a group of fields, such as {}", fields.join(", ")));
        } else if matches!(name, "null" | "nil" | "none" | "None") {
            diagnostic = diagnostic.help("write `missing(x)` or `exists(x)` to ask whether a field has a value");
        } else {
            let local = env.names().chain(self.file.lists.keys().copied()).chain(self.file.macros.keys().copied());
            let fields = catalogue.fields.iter().map(|field| field.name.as_str());
            match nearest(name, local.chain(super::constant::BUILTIN_SETS.iter().copied()).chain(fields)) {
                Some(near) => diagnostic = diagnostic.help(format!("did you mean `{near}`?")),
                None => {
                    diagnostic = diagnostic.help("strings stand in quotes; fields have dots, as in `process.name`");
                }
            }
        }
        self.report(diagnostic);
    }

    fn in_group(&mut self, group: &Group, rest: &str, path: &Path, param: Option<&str>) -> Option<Resolved<'a>> {
        match group {
            Group::Prefix(_) if rest.is_empty() => Some(Resolved::Group(group.clone())),
            Group::Prefix(prefix) => {
                let name = format!("{prefix}.{rest}");
                if self.knows_field(&name) {
                    return self.field_named(&name, &path.range).map(|field| Resolved::Value(Value::Field(field)));
                }
                // A group may hold groups: `p.parent` is one if fields lie below it.
                let below = format!("{name}.");
                if self.file.catalogue.fields.iter().any(|field| field.name.starts_with(&below)) {
                    return Some(Resolved::Group(Group::Prefix(name)));
                }
                match (param, self.expansions.last().cloned()) {
                    (Some(param), Some((used, range))) => {
                        let message = format!("macro `{used}` needs `{param}.{rest}`, and `{prefix}` has no `{rest}`");
                        let span = self.file.span(&range);
                        let inside = self.file.span(&path.range);
                        self.report(
                            Diagnostic::error("wrong-arguments", message, span, format!("there is no field `{name}`"))
                                .label(inside, "needed here"),
                        );
                    }
                    _ => self.unknown_field(&name, &path.range),
                }
                None
            }
            Group::Element { list, folds } => {
                let (member, scalar, folds) = match list.ty {
                    FieldType::List(scalar) if rest.is_empty() => (None, scalar, *folds),
                    FieldType::Records(_) if rest.is_empty() => return Some(Resolved::Group(group.clone())),
                    FieldType::Records(id) => {
                        let element = self.file.catalogue.elements.get(usize::from(id.0))?;
                        match element.members.iter().find(|member| member.name == rest) {
                            Some(Field { ty: FieldType::Scalar(scalar), windows_folds_case, .. }) => {
                                (Some(rest.to_owned()), *scalar, *windows_folds_case)
                            }
                            _ => {
                                self.unknown_member(element, list, rest, &path.range);
                                return None;
                            }
                        }
                    }
                    _ => {
                        let message = format!("an element of `{}` is a value: it has no fields", list.name);
                        self.error("unknown-field", message, &path.range, "not a field");
                        return None;
                    }
                };
                Some(Resolved::Value(Value::Field(FieldValue {
                    place: Place::Element(member),
                    field: list.clone(),
                    ty: FieldType::Scalar(scalar),
                    folds,
                    cased: false,
                    open: false,
                    name: path.dotted(),
                    range: path.range.clone(),
                })))
            }
        }
    }

    pub(super) fn unknown_member(&mut self, element: &Element, list: &FieldRef, name: &str, range: &Range) {
        let span = self.file.span(range);
        let members: Vec<&str> = element.members.iter().map(|member| member.name.as_str()).collect();
        let message = format!("an element of `{}` has no field `{name}`", list.name);
        let mut diagnostic = Diagnostic::error("unknown-field", message, span, "no such field");
        diagnostic = match nearest(name, members.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("its fields are {}", members.join(", "))),
        };
        self.report(diagnostic);
    }

    fn knows_field(&self, name: &str) -> bool {
        self.file.catalogue.field_id(name).is_some() || self.file.catalogue.is_open(name)
    }

    /// A field of the event, by its full name.
    pub(super) fn field_named(&mut self, name: &str, range: &Range) -> Option<FieldValue> {
        let catalogue = self.file.catalogue;
        let field = |ty, folds, open| FieldValue {
            place: Place::Event,
            field: FieldRef { name: name.to_owned(), ty },
            ty,
            folds,
            cased: false,
            open,
            name: name.to_owned(),
            range: range.clone(),
        };
        let Some(id) = catalogue.field_id(name) else {
            if let Some(ty) = catalogue.open_type(name) {
                return Some(field(ty, false, true));
            }
            self.unknown_field(name, range);
            return None;
        };
        let known =
            self.families.is_empty() || self.families.iter().any(|family| catalogue.slot(*family, id).is_some());
        if !known {
            self.field_not_in_class(name, range);
            return None;
        }
        let entry = catalogue.field(id);
        Some(field(entry.ty, entry.windows_folds_case, false))
    }

    /// Names of the fields that events of the rule can have.
    fn own_fields(&self) -> Vec<&'a str> {
        let catalogue = self.file.catalogue;
        let of_family = |family: &FamilyId| {
            catalogue.family(*family).fields.iter().map(|id| catalogue.field(*id).name.as_str()).collect::<Vec<_>>()
        };
        if self.families.is_empty() {
            return catalogue.fields.iter().map(|field| field.name.as_str()).collect();
        }
        let mut names: Vec<&str> = self.families.iter().flat_map(of_family).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn on_words(&self) -> String {
        let catalogue = self.file.catalogue;
        let mut names: Vec<&str> = self.classes.iter().map(|id| catalogue.class(*id).name.as_str()).collect();
        if names.len() > 3 {
            names = self.families.iter().map(|id| catalogue.family(*id).name.as_str()).collect();
        }
        names.truncate(6);
        names.join(", ")
    }

    fn unknown_field(&mut self, name: &str, range: &Range) {
        let catalogue = self.file.catalogue;
        let span = self.file.span(range);
        let mut diagnostic =
            Diagnostic::error("unknown-field", format!("there is no field `{name}`"), span, "not in the catalogue");
        if self.is_busy() {
            return self.report(diagnostic);
        }
        // `process.ancestors.name`: a look into a list of records.
        let list = catalogue.fields.iter().find(|field| {
            name.strip_prefix(field.name.as_str()).is_some_and(|rest| rest.starts_with('.'))
                && matches!(field.ty, FieldType::Records(_))
        });
        let all = || catalogue.fields.iter().map(|field| field.name.as_str());
        let below = format!("{name}.");
        if let Some(list) = list {
            let member = name.get(list.name.len() + 1..).unwrap_or_default();
            let list = &list.name;
            diagnostic = diagnostic.help(format!("`{list}` is a list: write `any p in {list} {{ p.{member} … }}`"));
        } else if all().any(|field| field.starts_with(&below)) {
            let fields: Vec<&str> = all().filter(|field| field.starts_with(&below)).take(4).collect();
            diagnostic = diagnostic.help(format!("`{name}` is a group of fields, such as {}", fields.join(", ")));
        } else {
            let mut near = nearest_few(name, self.own_fields(), 3);
            if near.is_empty() {
                // The last part is right, the group is not.
                let last = name.rsplit('.').next().unwrap_or(name);
                let suffix = format!(".{last}");
                near = self.own_fields().into_iter().filter(|field| field.ends_with(&suffix)).take(3).collect();
            }
            if !near.is_empty() {
                diagnostic = diagnostic.help(format!("did you mean `{}`?", near.join("` or `")));
            } else if let Some(elsewhere) = nearest(name, all()) {
                diagnostic = diagnostic.help(format!("events of other classes have a field `{elsewhere}`"));
            } else {
                diagnostic = diagnostic.help("`trapline fields` lists the fields of each class");
            }
        }
        self.report(diagnostic);
    }

    fn field_not_in_class(&mut self, name: &str, range: &Range) {
        let catalogue = self.file.catalogue;
        let on = self.on_words();
        let having: Vec<&str> = catalogue
            .families
            .iter()
            .filter(|family| family.fields.iter().any(|id| catalogue.field(*id).name == name))
            .map(|family| family.name.as_str())
            .collect();
        let message = format!("events of {on} have no field `{name}`");
        let span = self.file.span(range);
        let mut diagnostic = Diagnostic::error("field-not-in-class", message, span, format!("not a field of {on}"));
        if self.is_busy() {
            return self.report(diagnostic);
        }
        if !having.is_empty() {
            diagnostic = diagnostic.help(format!("`{name}` is a field of events of {}", having.join(", ")));
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let suffix = format!(".{last}");
        let near: Vec<&str> = self.own_fields().into_iter().filter(|field| field.ends_with(&suffix)).take(3).collect();
        if !near.is_empty() {
            diagnostic = diagnostic.help(format!("they have `{}`", near.join("`, `")));
        }
        self.report(diagnostic);
    }

    /// The scope of a macro's body for these arguments.
    pub(super) fn bind(
        &mut self,
        item: &'a ast::Macro,
        arguments: &'a [ast::Expr],
        call: &Range,
        env: &Rc<Env<'a>>,
    ) -> Option<Rc<Env<'a>>> {
        let params = item.params.as_deref().unwrap_or_default();
        if params.len() != arguments.len() {
            let span = self.file.span(call);
            let message = format!(
                "macro `{}` takes {}, {} given",
                item.name.text,
                plural(params.len(), "argument"),
                arguments.len()
            );
            let defined = self.file.span(&item.name.range);
            let diagnostic = Diagnostic::error("wrong-arguments", message, span, "wrong number of arguments")
                .label(defined, "defined here")
                .help(format!("write `{}`", self.signature(item)));
            self.report(diagnostic);
            return None;
        }
        let mut bound = Vec::new();
        let mut complete = true;
        for ((name, ty), argument) in params.iter().zip(arguments) {
            let binding = if VALUE_TYPES.contains(&ty.name.as_str()) {
                self.check_argument(argument, ty, &item.name, env).then(|| Binding::Value(argument, env.clone()))
            } else {
                self.group(argument, &item.name.text, &name.text, env).map(Binding::Group)
            };
            complete &= binding.is_some();
            bound.push((name.text.as_str(), binding.unwrap_or(Binding::Poison)));
        }
        complete.then(|| Rc::new(Env::of_macro(bound)))
    }

    /// The group of fields that an argument names.
    fn group(&mut self, argument: &'a ast::Expr, item: &str, param: &str, env: &Rc<Env<'a>>) -> Option<Group> {
        if let ExprKind::Path(path) = &argument.kind {
            let first = path.parts.first().map_or("", String::as_str);
            if env.names().any(|name| name == first) {
                if let Resolved::Group(group) = self.resolve(path, env)? {
                    return Some(group);
                }
            } else {
                let name = path.dotted();
                let below = format!("{name}.");
                if self.file.catalogue.fields.iter().any(|field| field.name.starts_with(&below)) {
                    return Some(Group::Prefix(name));
                }
            }
        }
        let span = self.file.span(&argument.range);
        let message = format!("`{param}` of macro `{item}` is a group of fields");
        self.report(
            Diagnostic::error("wrong-arguments", message, span, "not a group of fields")
                .help("a group is written `process` or `process.parent`, or is the element of `any p in LIST`"),
        );
        None
    }

    /// Checks a macro where it is defined: its types and names. Types of its parts are checked where it is used.
    pub(super) fn check_macro(&mut self, item: &'a ast::Macro) -> bool {
        let before = self.found.len();
        if let Some((name, _)) = item.params.iter().flatten().nth(PARAMS_MAX) {
            self.error("limit", format!("a macro has at most {PARAMS_MAX} parameters"), &name.range, "one too many");
            return false;
        }
        let mut groups: Vec<(&str, &str)> = Vec::new();
        for (index, (name, ty)) in item.params.iter().flatten().enumerate() {
            if item.params.iter().flatten().take(index).any(|(first, _)| first.text == name.text) {
                let message = format!("two parameters are named `{}`", name.text);
                self.error("duplicate-name", message, &name.range, "the second one");
            }
            let below = format!("{}.", ty.name);
            if matches!(ty.name.as_str(), "set" | "map") {
                let span = self.file.span(&ty.range);
                self.report(not_yet(&format!("`{}`", ty.name), span));
            } else if VALUE_TYPES.contains(&ty.name.as_str()) {
                self.check_value_type(ty);
            } else if self.file.catalogue.elements.iter().any(|element| element.name == ty.name)
                || self.file.catalogue.fields.iter().any(|field| field.name.starts_with(&below))
            {
                groups.push((&name.text, &ty.name));
            } else {
                let span = self.file.span(&ty.range);
                let prefixes = self.file.catalogue.fields.iter().filter_map(|field| field.name.split('.').next());
                let mut diagnostic = Diagnostic::error(
                    "unknown-type",
                    format!("there is no type or group of fields `{}`", ty.name),
                    span,
                    "not a type",
                );
                if let Some(near) = nearest(&ty.name, prefixes.chain(VALUE_TYPES.iter().copied())) {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                self.report(diagnostic);
            }
        }
        // Names: fields of groups as declared, and names without dots. What else is wrong shows where it is used.
        let mut names = Vec::new();
        walk(&item.body, &mut |expr| match &expr.kind {
            ExprKind::Path(path) => names.push((path, false)),
            ExprKind::Call(path, _) => names.push((path, true)),
            _ => {}
        });
        let mut elements: Vec<&str> = Vec::new();
        walk(&item.body, &mut |expr| {
            if let ExprKind::Quantifier(quantifier) = &expr.kind {
                elements.push(&quantifier.var.text);
            }
        });
        for (path, call) in names {
            let Some(first) = path.parts.first().map(String::as_str) else { continue };
            if elements.contains(&first) {
                continue;
            }
            if let Some((_, group)) = groups.iter().find(|(name, _)| *name == first) {
                let rest = path.parts.get(1..).unwrap_or_default().join(".");
                let element = self.file.catalogue.elements.iter().find(|element| element.name == *group);
                let member = element.is_some_and(|element| element.members.iter().any(|member| member.name == rest));
                let name = format!("{group}.{rest}");
                let below = format!("{name}.");
                let known = rest.is_empty()
                    || member
                    || self.knows_field(&name)
                    || self.file.catalogue.fields.iter().any(|field| field.name.starts_with(&below));
                if !known {
                    self.unknown_field(&name, &path.range);
                }
            } else if item.params.iter().flatten().any(|(name, _)| name.text == first) {
            } else if call {
                self.callee(path);
            } else if self
                .file
                .catalogue
                .fields
                .iter()
                .any(|field| field.name.starts_with(&format!("{}.", path.dotted())))
            {
                // A group, handed on to another macro.
            } else {
                self.resolve(path, &Rc::new(Env::default()));
            }
        }
        self.found.len() == before
    }
}

/// `1 argument`, `2 arguments`.
pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
