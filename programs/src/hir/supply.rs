//! What a condition needs: whether it can be true on events that lack some fields.
//!
//! The condition is run over sets of truth values: a test on a supplied field can be anything, a test on an unsupplied
//! one is what the rule says of absent fields. So the answer "it can" may be wrong where tests depend on each other;
//! "it cannot" never is.

use std::collections::BTreeSet;

use super::{Absent, Expr, Leaf, LeafKind, Operand, Quantifier};

/// Whether the condition can be true if these fields are supplied and no others.
pub fn can_match(condition: &Expr, supplied: &dyn Fn(&str) -> bool) -> bool {
    values(condition, supplied) & TRUE != 0
}

/// The fields without each of which the condition cannot be true, by name.
pub fn needed(condition: &Expr) -> Vec<String> {
    let mut fields = BTreeSet::new();
    read_by(condition, &mut fields);
    let needed = fields.into_iter().filter(|field| !can_match(condition, &|other| other != *field));
    needed.map(str::to_owned).collect()
}

/// A set of truth values.
type Values = u8;
const TRUE: Values = 1;
const FALSE: Values = 2;
const UNKNOWN: Values = 4;
const ANY: Values = TRUE | FALSE | UNKNOWN;

/// Every value that the condition might take; more than it can where tests depend on each other.
fn values(expr: &Expr, supplied: &dyn Fn(&str) -> bool) -> Values {
    let absent = |absent: Absent| match absent {
        Absent::Unknown => UNKNOWN,
        Absent::False => FALSE,
    };
    match expr {
        Expr::Const(true) => TRUE,
        Expr::Const(false) => FALSE,
        Expr::Leaf(leaf) => {
            if fields_of(leaf).into_iter().all(supplied) {
                ANY
            } else if matches!(leaf.kind, LeafKind::Exists(_)) {
                FALSE
            } else {
                absent(leaf.absent)
            }
        }
        Expr::And(parts) => parts.iter().fold(TRUE, |all, part| and(all, values(part, supplied))),
        Expr::Or(parts) => not(parts.iter().fold(TRUE, |all, part| and(all, not(values(part, supplied))))),
        Expr::Not(inner) => not(values(inner, supplied)),
        Expr::IsTrue(inner) => {
            let inner = values(inner, supplied);
            (inner & TRUE) | if inner & (FALSE | UNKNOWN) == 0 { 0 } else { FALSE }
        }
        Expr::Quantifier { kind, list, body, absent: when_absent, .. } => {
            if !supplied(&list.name) {
                return absent(*when_absent);
            }
            let of_empty_list = match kind {
                Quantifier::Any => FALSE,
                Quantifier::All => TRUE,
            };
            values(body, supplied) | of_empty_list | UNKNOWN
        }
    }
}

fn not(values: Values) -> Values {
    (values & UNKNOWN) | (values & TRUE) << 1 | (values & FALSE) >> 1
}

fn and(a: Values, b: Values) -> Values {
    let both = (a | b) & FALSE | a & b & TRUE;
    let unknown = (a & UNKNOWN != 0 && b & (TRUE | UNKNOWN) != 0) || (b & UNKNOWN != 0 && a & (TRUE | UNKNOWN) != 0);
    both | if unknown { UNKNOWN } else { 0 }
}

/// Adds the fields that a condition reads.
pub fn read_by<'e>(expr: &'e Expr, fields: &mut BTreeSet<&'e str>) {
    match expr {
        Expr::Const(_) => {}
        Expr::Leaf(leaf) => fields.extend(fields_of(leaf)),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| read_by(part, fields)),
        Expr::Not(inner) | Expr::IsTrue(inner) => read_by(inner, fields),
        Expr::Quantifier { list, body, .. } => {
            fields.insert(&list.name);
            read_by(body, fields);
        }
    }
}

/// Adds the fields of whose values a condition asks anything: those that are only asked for are not lacking where they
/// never are.
pub fn valued_by<'e>(expr: &'e Expr, fields: &mut BTreeSet<&'e str>) {
    match expr {
        Expr::Leaf(Leaf { kind: LeafKind::Exists(_), .. }) => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| valued_by(part, fields)),
        Expr::Not(inner) | Expr::IsTrue(inner) => valued_by(inner, fields),
        Expr::Const(_) | Expr::Leaf(_) | Expr::Quantifier { .. } => read_by(expr, fields),
    }
}

/// The fields that a test reads, in the order in which it names them.
pub fn fields_of(leaf: &Leaf) -> Vec<&str> {
    match &leaf.kind {
        LeafKind::Predicate(predicate) => vec![&predicate.field.name],
        LeafKind::Exists(field)
        | LeafKind::Flag(field)
        | LeafKind::OneOf { field, .. }
        | LeafKind::AnyInt { field, .. } => vec![&field.name],
        LeafKind::Compare { left, right, .. } => {
            let mut fields = Vec::new();
            operand_fields(left, &mut fields);
            operand_fields(right, &mut fields);
            fields
        }
        LeafKind::FieldTest { left, right, .. } => vec![&left.name, &right.name],
    }
}

fn operand_fields<'e>(operand: &'e Operand, fields: &mut Vec<&'e str>) {
    match operand {
        Operand::Const(_) => {}
        Operand::Field(field) | Operand::Length(field) => fields.push(&field.name),
        Operand::ToDecimal(inner) => operand_fields(inner, fields),
        Operand::Arithmetic { left, right, .. } => {
            operand_fields(left, fields);
            operand_fields(right, fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use trapline_vm::predicate::FieldRef;
    use trapline_vm::record::{FieldType, Scalar};

    use super::*;

    fn leaf(name: &str) -> Expr {
        kind(LeafKind::Flag(field(name)), Absent::Unknown)
    }

    fn kind(kind: LeafKind, absent: Absent) -> Expr {
        Expr::Leaf(Leaf { kind, absent, line: 1, text: String::new() })
    }

    fn field(name: &str) -> FieldRef {
        FieldRef { name: name.into(), ty: FieldType::Scalar(Scalar::Bool) }
    }

    /// The values with `x` and `y` unsupplied.
    fn of(expr: &Expr) -> Values {
        values(expr, &|name| name != "x" && name != "y")
    }

    #[test]
    fn kleene_tables_on_sets_agree_with_those_on_values() {
        let one = |a: Values, b: Values| match (a, b) {
            (FALSE, _) | (_, FALSE) => FALSE,
            (TRUE, TRUE) => TRUE,
            _ => UNKNOWN,
        };
        let bits = |set: Values| [TRUE, FALSE, UNKNOWN].into_iter().filter(move |bit| set & bit != 0);
        for a in 0..8 {
            for b in 0..8 {
                let expected = bits(a).flat_map(|a| bits(b).map(move |b| one(a, b))).fold(0, |set, bit| set | bit);
                // A set is never empty: an expression always has some value.
                if a != 0 && b != 0 {
                    assert_eq!(and(a, b), expected, "{a} {b}");
                }
            }
        }
        assert_eq!((not(TRUE), not(FALSE), not(UNKNOWN), not(ANY)), (FALSE, TRUE, UNKNOWN, ANY));
    }

    #[test]
    fn what_cannot_be_true_without_a_field() {
        let or = Expr::Or(vec![leaf("x"), leaf("a")]);
        assert_eq!(of(&leaf("x")), UNKNOWN);
        assert_eq!(of(&leaf("a")), ANY);
        assert_eq!(of(&or) & TRUE, TRUE);
        assert_eq!(of(&Expr::And(vec![leaf("x"), leaf("a")])) & TRUE, 0);
        assert_eq!(of(&Expr::Or(vec![leaf("x"), leaf("y")])) & TRUE, 0);
        assert_eq!(of(&Expr::Not(Box::new(leaf("x")))), UNKNOWN);
        assert_eq!(of(&Expr::Not(Box::new(Expr::IsTrue(Box::new(leaf("x")))))), TRUE);
        let exists = kind(LeafKind::Exists(field("x")), Absent::Unknown);
        assert_eq!(of(&exists), FALSE);
        assert_eq!(of(&Expr::Not(Box::new(exists))), TRUE);
        let sigma = kind(LeafKind::Flag(field("x")), Absent::False);
        assert_eq!(of(&Expr::Not(Box::new(sigma))), TRUE);
    }

    #[test]
    fn what_is_needed() {
        let condition = Expr::And(vec![leaf("c"), Expr::Or(vec![leaf("a"), leaf("b")]), leaf("d")]);
        assert_eq!(needed(&condition), ["c", "d"]);
        assert!(can_match(&condition, &|field| field != "a") && !can_match(&condition, &|field| field == "c"));
        assert!(needed(&Expr::Const(true)).is_empty());
    }

    #[test]
    fn quantifiers_over_supplied_and_unsupplied_lists() {
        let any = |list: &str, kind| Expr::Quantifier {
            kind,
            list: field(list),
            body: Box::new(Expr::Const(false)),
            absent: Absent::Unknown,
            line: 1,
        };
        assert_eq!(of(&any("x", Quantifier::Any)), UNKNOWN);
        assert_eq!(of(&any("a", Quantifier::Any)) & TRUE, 0);
        assert_eq!(of(&any("a", Quantifier::All)) & TRUE, TRUE);
    }
}
