//! Which rules the sources at hand can serve: promise 1.
//!
//! A source has a *supply profile*: the classes it reports and the fields it fills in each, as data beside the
//! taxonomies. Some profiles, and the systems that their events come from, are a [`SourceSupply`]. A rule that cannot
//! match on what they supply is *inert* ([`Lacking`]); one that reads something they lack and can match without it is
//! *partly supplied* ([`Served`]). The answer comes from the rule's condition
//! ([`trapline_programs::hir::supply`]); of a rule in an object file, which has no condition, from what the file says that
//! it needs.
//!
//! It is one definition for recorded and live events: `replay` asks it of the profiles that it has seen, `run` asks it
//! before a rule is linked and passes on to the linker, as the engine's [`Supply`], what the rule can do without.

use std::collections::BTreeSet;
use std::sync::Arc;

use trapline_engine::Supply;
use trapline_programs::catalogue::taxonomy;
use trapline_programs::hir::Rule;
use trapline_programs::hir::supply::{can_match, read_by, valued_by};
use trapline_programs::object;
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

/// A rule that reads fields which are never there, and counts as able to match without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartlyServed {
    /// Its name.
    pub name: String,
    /// The fields.
    pub fields: Vec<String>,
    /// Whether that is not known from its condition, but as far as its object file says.
    pub by_object: bool,
}

impl PartlyServed {
    /// Of a rule, these fields.
    pub fn new(rule: &Rule, fields: Vec<String>) -> Self {
        Self { name: rule.name.clone(), fields, by_object: object::is_object(&rule.source) }
    }
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
        let can_match = |missing: &BTreeSet<&str>| can_match(&rule.condition, &|field| !missing.contains(field));
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
        let mut valued = BTreeSet::new();
        // What an object file reads is not known any nearer.
        let asked = if object::is_object(&rule.source) { read_by } else { valued_by };
        let exceptions = rule.exceptions.iter().map(|exception| &exception.condition);
        exceptions.chain([&rule.condition]).for_each(|condition| asked(condition, &mut valued));
        let never = may_lack.iter().filter(|field| valued.contains(*field));
        let never = never.filter(|field| lacked.iter().all(|lacked| lacked.contains(*field)));
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
