//! Values: fields, constants, lists, arithmetic.

use std::rc::Rc;

use trapline_vm::predicate::FieldRef;
use trapline_vm::record::{EnumId, FieldType, Scalar};

use super::scope::{Env, Group, Resolved, plural};
use super::{Cx, not_yet};
use crate::diagnostic::Diagnostic;
use crate::hir::{Arithmetic, Operand};
use crate::lang::ast::{self, ExprKind, Range};
use crate::lang::limits::{LIST_ITEMS_MAX, NESTING_MAX, STRING_LEN_MAX};
use crate::lang::literal::{self, Cooked, DECIMAL_ONE, Number};

/// A value in a comparison.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A field of the event or of a list's element.
    Field(FieldValue),
    /// A constant.
    Const(Item),
    /// Several constants.
    List(Vec<Item>),
    /// A built-in set of address ranges.
    Ranges(&'static [&'static str]),
    /// Something computed of numbers.
    Computed(Operand, Num),
    /// The first that has a value; all but the last are fields.
    Default(Vec<Value>),
}

/// A field as a value.
#[derive(Clone, Debug)]
pub(super) struct FieldValue {
    /// Event or element.
    pub(super) place: Place,
    /// The field; of an element its list.
    pub(super) field: FieldRef,
    /// Type of what is tested: the member's for an element.
    pub(super) ty: FieldType,
    /// Windows compares it without regard to case.
    pub(super) folds: bool,
    /// `cased(…)`
    pub(super) cased: bool,
    /// Below an open prefix: any text.
    pub(super) open: bool,
    /// As messages name it.
    pub(super) name: String,
    /// Where it is written.
    pub(super) range: Range,
}

/// Where a field lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the event.
    Event,
    /// In the element of the list that is looked through: a member, or the element itself.
    Element(Option<String>),
}

/// A constant with its place. The place may be in a macro or list of the same file.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) value: Const,
    pub(super) range: Range,
}

/// A constant as written; what it means depends on what it is compared with.
#[derive(Clone, Debug)]
pub(super) enum Const {
    Str(Rc<Cooked>),
    Int(i64),
    Decimal(i64),
    Duration(i64),
    Bool(bool),
}

impl Const {
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Str(_) => "a string",
            Self::Int(_) => "an integer",
            Self::Decimal(_) => "a decimal",
            Self::Duration(_) => "a duration",
            Self::Bool(_) => "a boolean",
        }
    }
}

/// Types that are compared as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Num {
    Bool,
    Int,
    Decimal,
    Time,
    Duration,
    Enum(EnumId),
}

impl Num {
    /// The numeric kind of a scalar type.
    pub(super) fn of(scalar: Scalar) -> Option<Self> {
        Some(match scalar {
            Scalar::Bool => Self::Bool,
            Scalar::Int => Self::Int,
            Scalar::Decimal => Self::Decimal,
            Scalar::Time => Self::Time,
            Scalar::Duration => Self::Duration,
            Scalar::Enum(id) => Self::Enum(id),
            Scalar::Str | Scalar::Path | Scalar::Bytes | Scalar::Ip => return None,
        })
    }

    pub(super) fn scalar(self) -> Scalar {
        match self {
            Self::Bool => Scalar::Bool,
            Self::Int => Scalar::Int,
            Self::Decimal => Scalar::Decimal,
            Self::Time => Scalar::Time,
            Self::Duration => Scalar::Duration,
            Self::Enum(id) => Scalar::Enum(id),
        }
    }
}

/// A scalar type as authors call it.
pub(super) fn scalar_name(scalar: Scalar) -> &'static str {
    scalar.name()
}

/// A type as authors call it.
pub(super) fn type_name(ty: FieldType) -> String {
    match ty {
        FieldType::Scalar(scalar) => scalar_name(scalar).to_owned(),
        FieldType::List(scalar) => format!("list<{}>", scalar_name(scalar)),
        FieldType::Records(_) => "a list of records".to_owned(),
    }
}

impl Value {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Field(field) => format!("`{}` ({})", field.name, type_name(field.ty)),
            Self::Const(item) => item.value.describe().to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Ranges(_) => "a set of address ranges".to_owned(),
            Self::Computed(_, num) => format!("a computed {}", scalar_name(num.scalar())),
            Self::Default(all) => all.first().map_or_else(String::new, Self::describe),
        }
    }
}

impl<'a> Cx<'a, '_> {
    /// Lowers a value; None: reported.
    pub(super) fn value(&mut self, expr: &'a ast::Expr, env: &Rc<Env<'a>>) -> Option<Value> {
        self.deeper(&expr.range, |cx| cx.value_here(expr, env))
    }

    fn value_here(&mut self, expr: &'a ast::Expr, env: &Rc<Env<'a>>) -> Option<Value> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Str(cooked) => {
                if cooked.text.len() > STRING_LEN_MAX {
                    let message = format!("a string has at most {STRING_LEN_MAX} bytes");
                    self.error("limit", message, &expr.range, format!("this one has {}", cooked.text.len()));
                    return None;
                }
                if !cooked.errors.is_empty() {
                    return None;
                }
                let value = Const::Str(Rc::new((**cooked).clone()));
                Some(Value::Const(Item { value, range: expr.range.clone() }))
            }
            ExprKind::Number(text) => self.number(text, &expr.range),
            ExprKind::Path(path) => match self.resolve(path, env)? {
                Resolved::Value(Value::Field(mut field)) => {
                    field.range.clone_from(&expr.range);
                    Some(Value::Field(field))
                }
                Resolved::Value(value) => Some(value),
                Resolved::Bool(value) => {
                    Some(Value::Const(Item { value: Const::Bool(value), range: expr.range.clone() }))
                }
                Resolved::Expr(inner, env) => self.expanding(&path.dotted(), &expr.range, |cx| cx.value(inner, &env)),
                Resolved::Macro(item) => {
                    let env = Rc::new(Env::default());
                    self.expanding(&item.name.text, &expr.range, |cx| cx.value(&item.body, &env))
                }
                Resolved::Group(group) => {
                    let what = match group {
                        Group::Prefix(prefix) => format!("`{prefix}` is a group of fields"),
                        Group::Element { list, .. } => format!("an element of `{}` is a record", list.name),
                    };
                    self.error("type-mismatch", format!("{what}, not a value"), &expr.range, "name one of its fields");
                    None
                }
            },
            ExprKind::List(items) => {
                let name = ast::Name { text: String::new(), range: expr.range.clone() };
                self.list_items_in(items, &name, env).map(Value::List)
            }
            // The one number whose digits alone do not fit.
            ExprKind::Neg(inner) if matches!(&inner.kind, ExprKind::Number(text) if literal::is_least(text)) => {
                Some(Value::Const(Item { value: Const::Int(i64::MIN), range: expr.range.clone() }))
            }
            ExprKind::Neg(inner) => {
                let value = self.value(inner, env)?;
                self.negate(value, &expr.range)
            }
            ExprKind::Arithmetic(first, rest) => {
                let mut left = self.value(first, env);
                for (op, operand) in rest {
                    let right = self.value(operand, env);
                    left = match (left, right) {
                        (Some(left), Some(right)) => self.arithmetic(*op, left, right, &expr.range),
                        _ => None,
                    };
                }
                left
            }
            ExprKind::Default(all) => {
                let parts: Vec<Option<Value>> = all.iter().map(|part| self.value(part, env)).collect();
                let parts: Vec<Value> = parts.into_iter().collect::<Option<_>>()?;
                let last = all.len().saturating_sub(1);
                let mut values = Vec::new();
                for (index, (part, value)) in all.iter().zip(parts).enumerate() {
                    // `(a ?? b) ?? c` is `a ?? b ?? c`.
                    let inner = if let Value::Default(inner) = value { inner } else { vec![value] };
                    let fits = |value: &Value| match value {
                        Value::Field(_) => true,
                        Value::Const(_) => index == last,
                        _ => false,
                    };
                    if let Some(other) = inner.iter().find(|value| !fits(value)) {
                        let (message, label) = if index == last {
                            (
                                format!("the default of `??` is a constant or a field, not {}", other.describe()),
                                "no default",
                            )
                        } else {
                            (format!("`??` needs a field on its left, not {}", other.describe()), "not a field")
                        };
                        let span = self.file.span(&part.range);
                        self.report(
                            Diagnostic::error("type-mismatch", message, span, label)
                                .help("write `field ?? default`; the default is a constant or another field"),
                        );
                        return None;
                    }
                    values.extend(inner);
                }
                Some(Value::Default(values))
            }
            ExprKind::Call(callee, arguments) => self.value_call(callee, arguments, expr, env),
            ExprKind::Index(table) => {
                let name = table.dotted();
                if self.file.poisoned.contains(name.as_str()) {
                    // The table itself was answered with "not yet".
                    return None;
                }
                let span = self.file.span(&expr.range);
                self.report(if self.file.catalogue.field_id(&name).is_some() {
                    Diagnostic::error("operator-type", "only tables are indexed", span, "a field")
                        .help(format!("to look into a list, write `{name} contains …` or `any x in {name} {{ … }}`"))
                } else {
                    not_yet(&format!("`{name}[…]`"), span)
                });
                None
            }
            ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) | ExprKind::Compare(_) | ExprKind::Quantifier(_) => {
                let span = self.file.span(&expr.range);
                self.report(
                    Diagnostic::error("type-mismatch", "a condition is not a value", span, "a value is needed here")
                        .help("conditions are joined by `and`, `or` and `not`"),
                );
                None
            }
        }
    }

    fn number(&mut self, text: &str, range: &Range) -> Option<Value> {
        let value = match literal::number(text) {
            Ok(Number::Int(value)) => Const::Int(value),
            Ok(Number::Decimal(value)) => Const::Decimal(value),
            Ok(Number::Duration(value)) => Const::Duration(value),
            Err(message) => {
                let shown: String = text.chars().take(40).collect();
                self.error("invalid-literal", format!("`{shown}`: {message}"), range, "not a number");
                return None;
            }
        };
        Some(Value::Const(Item { value, range: range.clone() }))
    }

    /// The constants of a list, lists named in it spliced in.
    pub(super) fn list_items(&mut self, items: &'a [ast::Expr], name: &ast::Name) -> Option<Vec<Item>> {
        self.list_items_in(items, name, &Rc::new(Env::default()))
    }

    fn list_items_in(&mut self, items: &'a [ast::Expr], name: &ast::Name, env: &Rc<Env<'a>>) -> Option<Vec<Item>> {
        let mut out = Vec::new();
        let mut complete = true;
        for item in items {
            // A list in itself, through other lists or not.
            if let ExprKind::Path(path) = &item.kind
                && let Some(inner) = path.single()
                && self.file.lists.contains_key(inner)
                && (inner == name.text || self.expansions.iter().any(|(outer, _)| outer == inner))
            {
                self.error("recursive-macro", format!("list `{inner}` contains itself"), &item.range, "here");
                complete = false;
                continue;
            }
            let value = match &item.kind {
                ExprKind::List(_) => {
                    self.error("type-mismatch", "a list holds no lists", &item.range, "write its elements here");
                    complete = false;
                    continue;
                }
                ExprKind::Path(path) => {
                    let shown = path.dotted();
                    let owner = if name.text.is_empty() { shown } else { name.text.clone() };
                    self.expanding(&owner, &item.range, |cx| cx.value(item, env))
                }
                _ => self.value(item, env),
            };
            match value {
                Some(Value::Const(item)) => out.push(item),
                Some(Value::List(inner)) => out.extend(inner),
                Some(Value::Ranges(ranges)) => {
                    out.extend(ranges.iter().map(|range| Item {
                        value: Const::Str(Rc::new(Cooked::plain(range))),
                        range: item.range.clone(),
                    }))
                }
                Some(other) => {
                    let message = format!("a list holds constants, not {}", other.describe());
                    let span = self.file.span(&item.range);
                    self.report(
                        Diagnostic::error("type-mismatch", message, span, "not a constant")
                            .help("compare with several fields by `x == a or x == b`"),
                    );
                    complete = false;
                }
                None => complete = false,
            }
            if out.len() > LIST_ITEMS_MAX {
                let message = format!("a list has at most {LIST_ITEMS_MAX} elements");
                self.exhaust(message, &item.range, "too many with this one");
                return None;
            }
        }
        if complete && out.is_empty() {
            let span = self.file.span(&name.range);
            self.report(
                Diagnostic::error("type-mismatch", "an empty list matches nothing", span, "no elements")
                    .help("leave the test out"),
            );
            return None;
        }
        complete.then_some(out)
    }

    fn value_call(
        &mut self,
        callee: &'a ast::Path,
        arguments: &'a [ast::Expr],
        expr: &'a ast::Expr,
        env: &Rc<Env<'a>>,
    ) -> Option<Value> {
        let name = callee.dotted();
        match name.as_str() {
            "cased" => {
                let argument = self.only_argument(&name, arguments, expr)?;
                match self.value(argument, env)? {
                    Value::Field(field) => Some(Value::Field(FieldValue { cased: true, ..field })),
                    Value::Default(all) => Some(Value::Default(
                        all.into_iter()
                            .map(|value| match value {
                                Value::Field(field) => Value::Field(FieldValue { cased: true, ..field }),
                                other => other,
                            })
                            .collect(),
                    )),
                    other => {
                        let message = format!("`cased` takes a field, not {}", other.describe());
                        self.error("wrong-arguments", message, &argument.range, "not a field");
                        None
                    }
                }
            }
            "length" => {
                let argument = self.only_argument(&name, arguments, expr)?;
                match self.value(argument, env)? {
                    Value::Field(field) if field.place != Place::Event => {
                        let span = self.file.span(&expr.range);
                        self.report(not_yet("`length` of an element", span));
                        None
                    }
                    Value::Field(FieldValue { ty: FieldType::Scalar(Scalar::Str | Scalar::Path), field, .. }) => {
                        Some(Value::Computed(Operand::Length(field), Num::Int))
                    }
                    Value::Field(FieldValue { ty: FieldType::List(_) | FieldType::Records(_), .. }) => {
                        let span = self.file.span(&expr.range);
                        self.report(not_yet("`length` of a list", span));
                        None
                    }
                    other => {
                        let message = format!("`length` takes a text field, not {}", other.describe());
                        self.error("wrong-arguments", message, &argument.range, "not a text field");
                        None
                    }
                }
            }
            "exists" | "missing" | "is_true" | "cidr" => {
                let message = format!("`{name}(…)` is a condition, not a value");
                self.error("type-mismatch", message, &expr.range, "a value is needed here");
                None
            }
            _ => {
                let item = self.callee(callee)?;
                let env = self.bind(item, arguments, &expr.range, env)?;
                self.expanding(&item.name.text, &expr.range, |cx| cx.value(&item.body, &env))
            }
        }
    }

    /// The only argument of a built-in function.
    pub(super) fn only_argument(
        &mut self,
        name: &str,
        arguments: &'a [ast::Expr],
        expr: &ast::Expr,
    ) -> Option<&'a ast::Expr> {
        if let [only] = arguments {
            return Some(only);
        }
        let given = arguments.len();
        let message = format!("`{name}` takes {}, {given} given", plural(1, "argument"));
        self.error("wrong-arguments", message, &expr.range, "wrong number of arguments");
        None
    }

    fn negate(&mut self, value: Value, range: &Range) -> Option<Value> {
        let value = match value {
            Value::Const(Item { value: Const::Int(value), .. }) => Const::Int(value.saturating_neg()),
            Value::Const(Item { value: Const::Decimal(value), .. }) => Const::Decimal(value.saturating_neg()),
            Value::Const(Item { value: Const::Duration(value), .. }) => Const::Duration(value.saturating_neg()),
            other => {
                let (operand, num) = self.operand(&other, range)?;
                self.count_leaf(range)?;
                if !matches!(num, Num::Int | Num::Decimal | Num::Duration) {
                    let message = format!("{} has no negative", other.describe());
                    self.error("operator-type", message, range, "not a number");
                    return None;
                }
                let left = Box::new(Operand::Const(0));
                let decimal = num == Num::Decimal;
                let operand = Operand::Arithmetic { op: Arithmetic::Sub, decimal, left, right: Box::new(operand) };
                return Some(Value::Computed(operand, num));
            }
        };
        Some(Value::Const(Item { value, range: range.clone() }))
    }

    /// A value as an operand of arithmetic or of a numeric comparison.
    pub(super) fn operand(&mut self, value: &Value, range: &Range) -> Option<(Operand, Num)> {
        match value {
            Value::Computed(operand, num) => Some((operand.clone(), *num)),
            Value::Const(Item { value, range }) => match value {
                Const::Int(value) => Some((Operand::Const(*value), Num::Int)),
                Const::Decimal(value) => Some((Operand::Const(*value), Num::Decimal)),
                Const::Duration(value) => Some((Operand::Const(*value), Num::Duration)),
                Const::Bool(value) => Some((Operand::Const(i64::from(*value)), Num::Bool)),
                Const::Str(text) => match literal::time(&text.text) {
                    Ok(time) => Some((Operand::Const(time), Num::Time)),
                    Err(shape) => {
                        let span = self.file.span(range);
                        self.report(
                            Diagnostic::error(
                                "type-mismatch",
                                "text does not compute",
                                span,
                                "a number or time is needed here",
                            )
                            .help(shape),
                        );
                        None
                    }
                },
            },
            Value::Field(field) => {
                if field.place != Place::Event {
                    let span = self.file.span(&field.range);
                    self.report(not_yet("computing with an element of a list", span));
                    return None;
                }
                if let FieldType::Scalar(scalar) = field.ty
                    && let Some(num) = Num::of(scalar)
                {
                    return Some((Operand::Field(field.field.clone()), num));
                }
                let message = format!("{} is no number", value.describe());
                self.error("operator-type", message, &field.range, "not a number");
                None
            }
            Value::Default(_) => {
                let span = self.file.span(range);
                self.report(not_yet("computing with `??`", span));
                None
            }
            Value::List(_) | Value::Ranges(_) => {
                let message = format!("{} is no number", value.describe());
                self.error("operator-type", message, range, "not a number");
                None
            }
        }
    }

    fn arithmetic(&mut self, op: Arithmetic, left: Value, right: Value, range: &Range) -> Option<Value> {
        let a = self.operand(&left, range);
        let b = self.operand(&right, range);
        let ((a, a_num), (b, b_num)) = (a?, b?);
        let sum = matches!(op, Arithmetic::Add | Arithmetic::Sub);
        let num = match (a_num, op, b_num) {
            (Num::Int, _, Num::Int) => Num::Int,
            (Num::Decimal | Num::Int, _, Num::Decimal) | (Num::Decimal, _, Num::Int) => Num::Decimal,
            (Num::Duration, _, Num::Duration) if sum || op == Arithmetic::Rem => Num::Duration,
            (Num::Duration, Arithmetic::Div, Num::Duration) => Num::Int,
            (Num::Duration, Arithmetic::Mul | Arithmetic::Div, Num::Int) => Num::Duration,
            (Num::Int, Arithmetic::Mul, Num::Duration) => Num::Duration,
            (Num::Time, Arithmetic::Sub, Num::Time) => Num::Duration,
            (Num::Time, _, Num::Duration) if sum => Num::Time,
            (Num::Duration, Arithmetic::Add, Num::Time) => Num::Time,
            _ => {
                let sign = match op {
                    Arithmetic::Add => "+",
                    Arithmetic::Sub => "-",
                    Arithmetic::Mul => "*",
                    Arithmetic::Div => "/",
                    Arithmetic::Rem => "%",
                };
                let message = format!(
                    "`{sign}` does not take {} and {}",
                    scalar_name(a_num.scalar()),
                    scalar_name(b_num.scalar())
                );
                let span = self.file.span(range);
                self.report(
                    Diagnostic::error("operator-type", message, span, "these do not compute")
                        .help("numbers compute with numbers, durations with durations, times with durations"),
                );
                return None;
            }
        };
        if matches!(op, Arithmetic::Div | Arithmetic::Rem) && b == Operand::Const(0) {
            self.error("division-by-zero", "division by zero is never true nor false", range, "the divisor is zero");
            return None;
        }
        let decimal = num == Num::Decimal;
        self.count_leaf(range)?;
        if operand_depth(&a).max(operand_depth(&b)) >= NESTING_MAX {
            let message = format!("a computation has at most {NESTING_MAX} steps after each other");
            self.exhaust(message, range, "one step too many");
            return None;
        }
        let promote = |operand, from| if decimal && from == Num::Int { to_decimal(operand) } else { operand };
        let (left, right) = (Box::new(promote(a, a_num)), Box::new(promote(b, b_num)));
        Some(Value::Computed(Operand::Arithmetic { op, decimal, left, right }, num))
    }

    /// Whether an argument can be a value of the declared type; reports when not.
    pub(super) fn check_argument(
        &mut self,
        argument: &'a ast::Expr,
        ty: &ast::Type,
        item: &ast::Name,
        env: &Rc<Env<'a>>,
    ) -> bool {
        if ty.name == "bool" {
            let leaves = self.leaves;
            let fine = self.condition(argument, env).is_some();
            self.leaves = leaves;
            return fine;
        }
        let Some(value) = self.value(argument, env) else { return false };
        let fits = match (&value, ty.name.as_str()) {
            (Value::List(items), "list") => {
                let inner = ty.arguments.first().map_or("", |ty| ty.name.as_str());
                items.iter().all(|item| const_fits(&item.value, inner))
            }
            (Value::Field(field), name) => match field.ty {
                FieldType::Scalar(scalar) => scalar_fits(scalar, name),
                FieldType::List(scalar) if name == "list" => {
                    ty.arguments.first().is_none_or(|ty| scalar_fits(scalar, &ty.name))
                }
                // A comparison of a list means any of its elements: a value will do.
                FieldType::List(scalar) => scalar_fits(scalar, name),
                FieldType::Records(_) => false,
            },
            (Value::Const(item), name) => const_fits(&item.value, name),
            (Value::Computed(_, num), name) => scalar_fits(num.scalar(), name),
            (Value::Ranges(_), name) => matches!(name, "list" | "set" | "cidr"),
            (Value::Default(all), name) => all.iter().all(|value| match value {
                Value::Field(FieldValue { ty: FieldType::Scalar(scalar), .. }) => scalar_fits(*scalar, name),
                Value::Const(item) => const_fits(&item.value, name),
                _ => false,
            }),
            _ => false,
        };
        if !fits {
            let message = format!("macro `{}` takes {} here, not {}", item.text, ty.name, value.describe());
            let span = self.file.span(&argument.range);
            let declared = self.file.span(&ty.range);
            self.report(
                Diagnostic::error("wrong-arguments", message, span, "of another type").label(declared, "declared here"),
            );
        }
        fits
    }

    /// The declared type of a value: known, with the arguments it takes.
    pub(super) fn check_value_type(&mut self, ty: &ast::Type) -> Option<()> {
        let wanted = usize::from(ty.name == "list");
        if ty.arguments.len() != wanted {
            let message = if wanted == 1 {
                "`list` says what it holds".to_owned()
            } else {
                format!("`{}` takes no `<…>`", ty.name)
            };
            let span = self.file.span(&ty.range);
            let diagnostic = Diagnostic::error("unknown-type", message, span, "not a type");
            self.report(if wanted == 1 { diagnostic.help("write `list<str>`") } else { diagnostic });
            return None;
        }
        match ty.arguments.first() {
            Some(inner) if inner.name == "list" || !super::scope::VALUE_TYPES.contains(&inner.name.as_str()) => {
                let message = format!("a list does not hold `{}`", inner.name);
                self.error("unknown-type", message, &inner.range, "not the type of a value");
                None
            }
            _ => Some(()),
        }
    }

    /// `list NAME: list<str> = …`
    pub(super) fn check_list_type(&mut self, list: &ast::List) -> Option<()> {
        let Some(ty) = &list.ty else { return Some(()) };
        if ty.name != "list" {
            let span = self.file.span(&ty.range);
            let known = matches!(ty.name.as_str(), "set" | "map");
            let diagnostic = if known {
                not_yet(&format!("`{}`", ty.name), span)
            } else {
                Diagnostic::error("unknown-type", format!("a list is no `{}`", ty.name), span, "not a list type")
                    .help("write `list<str>`, or leave the type out")
            };
            self.report(diagnostic);
            return None;
        }
        self.check_value_type(ty)?;
        let inner = ty.arguments.first().map_or("", |ty| ty.name.as_str());
        for item in &list.items {
            let value = match &item.kind {
                ExprKind::Str(_) => Const::Str(Rc::default()),
                ExprKind::Number(text) => match literal::number(text) {
                    Ok(Number::Int(value)) => Const::Int(value),
                    Ok(Number::Decimal(value)) => Const::Decimal(value),
                    Ok(Number::Duration(value)) => Const::Duration(value),
                    Err(_) => continue,
                },
                _ => continue,
            };
            if !const_fits(&value, inner) {
                let message = format!("the list holds {inner}, this is {}", value.describe());
                self.error("type-mismatch", message, &item.range, "of another type");
                return None;
            }
        }
        Some(())
    }
}

/// Operations after each other. Bounded by the check in `arithmetic`, so the recursion is too.
fn operand_depth(operand: &Operand) -> u32 {
    match operand {
        Operand::Const(_) | Operand::Field(_) | Operand::Length(_) => 0,
        Operand::ToDecimal(inner) => operand_depth(inner),
        Operand::Arithmetic { left, right, .. } => 1 + operand_depth(left).max(operand_depth(right)),
    }
}

/// An integer as a decimal.
pub(super) fn to_decimal(operand: Operand) -> Operand {
    match operand {
        Operand::Const(value) => Operand::Const(value.saturating_mul(DECIMAL_ONE)),
        other => Operand::ToDecimal(Box::new(other)),
    }
}

fn scalar_fits(scalar: Scalar, ty: &str) -> bool {
    match ty {
        "str" => matches!(scalar, Scalar::Str | Scalar::Path),
        "decimal" => matches!(scalar, Scalar::Int | Scalar::Decimal),
        other => scalar_name(scalar) == other,
    }
}

fn const_fits(value: &Const, ty: &str) -> bool {
    match value {
        Const::Str(_) => matches!(ty, "str" | "path" | "bytes" | "ip" | "time" | "enum" | "cidr"),
        Const::Int(_) => matches!(ty, "int" | "decimal"),
        Const::Decimal(_) => ty == "decimal",
        Const::Duration(_) => ty == "duration",
        Const::Bool(_) => ty == "bool",
    }
}
