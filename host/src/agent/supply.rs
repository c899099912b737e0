//! Which rules the sources at hand can serve: promise 1.
//!
//! A source has a *supply profile*: the classes it reports and the fields it fills in each, as data beside the
//! taxonomies. Some profiles, and the systems that their events come from, are a [`SourceSupply`]. A rule that cannot
//! match on what they supply is *inert* ([`Lacking`]); one that reads something they lack and can match without it is
//! *partly supplied* ([`Served`]). The answer comes from the rule's condition, by running it over sets of truth
//! values: a test on a supplied field can be anything, a test on an unsupplied one is what the rule says of absent
//! fields.
//!
//! It is one definition for recorded and live events: `replay` asks it of the profiles that it has seen, `run` asks it
//! before a rule is linked and passes on to the linker, as the engine's [`Supply`], what the rule can do without.

use std::collections::BTreeSet;
use std::sync::Arc;

use trapline_engine::Supply;
use trapline_programs::catalogue::taxonomy;
use trapline_programs::hir::{Absent, Expr, Leaf, LeafKind, Operand, Quantifier, Rule};
use trapline_vm::record::{Catalogue, ClassId, FamilyId, Os, OsSet};

use super::summary::Lacking;

/// The systems that rules can be for, by name.
const SYSTEMS: [(Os, &str); 3] = [(Os::Linux, "linux"), (Os::Windows, "windows"), (Os::MacOs, "macos")];

/// What sources of some profiles supply, on hosts with some operating systems.
#[derive(Clone, Debug)]
pub struct SourceSupply {
    catalogue: Arc<Catalogue>,
    profiles: Vec<String>,
    /// None: a host that does not say.
    systems: Vec<Option<Os>>,
}

/// A rule that can match on what is supplied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Fields that it reads and that are never there, by name.
    pub never: Vec<String>,
    /// Fields that it reads, can match without, and that some class of events lacks: those of `never`, and those that
    /// only another class has.
    pub may_lack: Vec<String>,
    /// Classes that it asks for and on which it can match nothing: no such events come, or they lack what it needs.
    pub never_on: Vec<String>,
}

impl SourceSupply {
    /// Sources of these profiles; a profile that is not known supplies nothing.
    pub fn new(
        catalogue: &Arc<Catalogue>,
        profiles: impl IntoIterator<Item = impl Into<String>>,
        systems: impl IntoIterator<Item = Option<Os>>,
    ) -> Self {
        let profiles = profiles.into_iter().map(Into::into).collect();
        Self { catalogue: catalogue.clone(), profiles, systems: systems.into_iter().collect() }
    }

    /// A live source on this host.
    pub fn live(catalogue: &Arc<Catalogue>, profile: &str) -> Self {
        let system = match std::env::consts::OS {
            "linux" | "android" => Some(Os::Linux),
            "windows" => Some(Os::Windows),
            "macos" => Some(Os::MacOs),
            _ => None,
        };
        Self::new(catalogue, [profile], [system])
    }

    /// The profiles.
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// Whether events of this class occur.
    pub fn class(&self, class: ClassId) -> bool {
        self.profiles.iter().any(|profile| taxonomy::classes(profile).contains(&class))
    }

    /// What they can do for a rule: what it does without, or why it cannot match.
    pub fn serve(&self, rule: &Rule) -> Result<Served, Lacking> {
        let wanted = rule.meta.os;
        if !self.systems.iter().any(|system| wanted.admits(*system)) {
            return Err(Lacking::Os(system_names(wanted)));
        }
        let catalogue = &*self.catalogue;
        let classes: Vec<ClassId> = rule.classes.iter().copied().filter(|class| self.class(*class)).collect();
        if classes.is_empty() {
            let names = rule.classes.iter().map(|class| catalogue.class(*class).name.clone()).collect();
            return Err(Lacking::Classes(names));
        }
        let mut fields = BTreeSet::new();
        read_by(&rule.condition, &mut fields);
        let missing = |class: &ClassId| -> BTreeSet<&str> {
            fields.iter().filter(|field| !self.supplies(*class, field)).copied().collect()
        };
        let per_class: Vec<BTreeSet<&str>> = classes.iter().map(missing).collect();
        let can_match =
            |missing: &BTreeSet<&str>| values(&rule.condition, &|field| !missing.contains(field)) & TRUE != 0;
        let of_use: BTreeSet<ClassId> =
            classes.iter().zip(&per_class).filter(|(_, missing)| can_match(missing)).map(|(class, _)| *class).collect();
        if of_use.is_empty() {
            // Name the fields that are each needed; if it is only several together, name them all.
            let all: BTreeSet<&str> = per_class.iter().flatten().copied().collect();
            let needed: Vec<&str> = all.iter().copied().filter(|field| !can_match(&BTreeSet::from([*field]))).collect();
            let named = if needed.is_empty() { all.into_iter().collect() } else { needed };
            return Err(Lacking::Fields(named.into_iter().map(str::to_owned).collect()));
        }
        let mut excepted = BTreeSet::new();
        rule.exceptions.iter().for_each(|exception| read_by(&exception.condition, &mut excepted));
        let lacked = |class: &ClassId| {
            let all = fields.iter().chain(&excepted);
            all.filter(|field| !self.supplies(*class, field)).copied().collect::<BTreeSet<&str>>()
        };
        // A field that one of the classes has is supplied where it can be.
        let lacked: Vec<BTreeSet<&str>> = classes.iter().map(lacked).collect();
        let may_lack: BTreeSet<&str> = lacked.iter().flatten().copied().collect();
        let never = may_lack.iter().filter(|field| lacked.iter().all(|lacked| lacked.contains(*field)));
        let never = never.map(|field| (*field).to_owned()).collect();
        let never_on = rule.classes.iter().filter(|class| !of_use.contains(class));
        let never_on = never_on.map(|class| catalogue.class(*class).name.clone()).collect();
        Ok(Served { never, may_lack: may_lack.into_iter().map(str::to_owned).collect(), never_on })
    }
}

impl Supply for SourceSupply {
    fn field_count(&self, family: FamilyId) -> u16 {
        // Profiles are made for the catalogue that they lie beside: records have room for all its fields.
        u16::try_from(self.catalogue.family(family).fields.len()).unwrap_or(u16::MAX)
    }

    fn supplies(&self, class: ClassId, field: &str) -> bool {
        let id = self.catalogue.field_id(field);
        self.profiles.iter().any(|profile| match id {
            Some(id) => taxonomy::supplies(profile, class, id),
            None => taxonomy::supplies_open(profile, field),
        })
    }
}

/// The names of these systems.
fn system_names(systems: OsSet) -> Vec<String> {
    SYSTEMS.iter().filter(|(os, _)| systems.contains(*os)).map(|(_, name)| (*name).to_owned()).collect()
}

/// The system with this number in records.
pub fn system(number: u8) -> Option<Os> {
    SYSTEMS.iter().map(|(os, _)| *os).find(|os| *os as u8 == number)
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
fn read_by<'e>(expr: &'e Expr, fields: &mut BTreeSet<&'e str>) {
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
