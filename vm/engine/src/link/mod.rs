//! Linking: names become slots and numbers, and the code is patched with them.
//!
//! ```text
//! names --resolve--> slots (new open names: the next free)  --intern--> predicate numbers  --plan--> places of maps
//!       --patch----> code + Manifest (what the program may touch)      --commit--> slots, numbers and places are taken
//! ```
//!
//! Either the whole object links or the domain is as it was: a refused object takes up no slot, no number and
//! no place.
//! Linking proves nothing about the code. It may contain anything; the verifier judges it by the manifest.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};
use trapline_vm::isa::{Decoded, Instruction, Kind};
use trapline_vm::predicate::{FieldRef, MASK_KNOWN, MASK_LEN, MASK_LOST, MASK_TRUE, Predicate, Scope, Test};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Manifest, Object, Program, ProgramKind, Relocation, RelocationKind};
use trapline_vm::record::{Catalogue, ClassId, FamilyId, FieldType, Layouts, OsSet, SLOTS_MAX, Slot, slots_len};

use crate::domain::{Domain, DomainToken};
use crate::predicate::{InternError, Interned, MaskId, PredicateId, Shape, type_name};
use crate::state::StateError;

/// What the embedder decides about a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// Fuel for one run.
    pub fuel_limit: u64,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { fuel_limit: FUEL_LIMIT_DEFAULT }
    }
}

/// A linked object: the program, and what the engine needs to run it. Not proved yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Linked {
    pub(crate) program: Program,
    pub(crate) rule: RuleLink,
    pub(crate) domain: DomainToken,
}

impl Linked {
    /// The program, for the verifier.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What the engine needs to run it.
    pub fn rule(&self) -> &RuleLink {
        &self.rule
    }
}

/// Which events wake a linked program, and what must be ready when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleLink {
    /// The family whose records it reads.
    pub family: FamilyId,
    /// The classes that wake it, ascending.
    pub classes: Vec<ClassId>,
    /// The operating systems whose events wake it.
    pub os: OsSet,
    /// The slots that must be filled for it, ascending: those it reads and those its predicates read.
    pub slots: Vec<Slot>,
    /// Its predicates, in the order of the object.
    pub predicates: Vec<LinkedPredicate>,
    /// SHA-256 of the object, wherever it is linked.
    pub digest: [u8; 32],
}

/// A predicate of a linked program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedPredicate {
    /// Its number in the domain.
    pub number: Interned,
    /// The field it reads.
    pub field: String,
    /// What it says in the words of the rule.
    pub text: String,
}

/// Why an object does not link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Compiled against another catalogue.
    #[error("the rule was compiled against catalogue {}, this agent has {}", short(compiled), short(present))]
    Catalogue {
        /// Digest in the object.
        compiled: [u8; 32],
        /// Digest of the domain's catalogue.
        present: [u8; 32],
    },
    /// There is no such family.
    #[error("the catalogue has no family of events `{0}`")]
    UnknownFamily(String),
    /// No class would ever wake it.
    #[error("the rule names no class of events")]
    NoClasses,
    /// There is no such class.
    #[error("the catalogue has no class of events `{0}`")]
    UnknownClass(String),
    /// The class has records of another layout.
    #[error("class `{class}` does not belong to the family `{family}`")]
    ForeignClass {
        /// The class.
        class: String,
        /// The family of the object.
        family: String,
    },
    /// No field of that name in events of this family.
    #[error("`{family}` events have no field `{field}`")]
    UnknownField {
        /// The field.
        field: String,
        /// The family.
        family: String,
    },
    /// The field has another type than the rule was compiled for.
    #[error("field `{field}` is of type {}, the rule was compiled for {}", type_name(*present), type_name(*compiled))]
    FieldType {
        /// The field.
        field: String,
        /// Type in the object.
        compiled: FieldType,
        /// Type in the catalogue.
        present: FieldType,
    },
    /// All slots of the family are taken.
    #[error("no room for field `{field}`: `{family}` events already have {SLOTS_MAX} fields")]
    SlotsFull {
        /// The field.
        field: String,
        /// The family.
        family: String,
    },
    /// The elements of the list have no such member.
    #[error("the elements of `{field}` have no member `{member}`")]
    UnknownMember {
        /// The list.
        field: String,
        /// The member.
        member: String,
    },
    /// A test on elements of something that has none of that kind.
    #[error("the elements of `{field}`, of type {}, cannot be tested so", type_name(*ty))]
    Scope {
        /// The field.
        field: String,
        /// Its type.
        ty: FieldType,
    },
    /// The predicate cannot be prepared or numbered.
    #[error("the test of `{field}` is refused: {error}")]
    Predicate {
        /// The field.
        field: String,
        /// Why.
        error: InternError,
    },
    /// There is no state for it.
    #[error(transparent)]
    State(#[from] StateError),
    /// A relocation that makes no sense.
    #[error("relocation at pc {pc}: {reason}")]
    Relocation {
        /// The instruction slot.
        pc: u32,
        /// Why.
        reason: RelocationError,
    },
}

/// Why a relocation makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelocationError {
    /// There is no such instruction.
    #[error("the program has no such instruction")]
    OutsideCode,
    /// There is no such entry in the object's fields.
    #[error("the object has no field {0}")]
    NoField(u16),
    /// There is no such entry in the object's predicates.
    #[error("the object has no predicate {0}")]
    NoPredicate(u16),
    /// Two bits asked of a mask predicate, or a mask of one with two bits.
    #[error("predicate {0} is not of that kind")]
    PredicateKind(u16),
    /// What the instruction's offset holds is not within the entry.
    #[error("the offset {0} does not lie within the entry")]
    Addend(i16),
    /// The offset does not fit the instruction.
    #[error("the offset {0} does not fit an instruction")]
    Offset(u32),
    /// The same part of an instruction is patched twice.
    #[error("the instruction is patched twice")]
    Twice,
}

fn short(digest: &[u8; 32]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Domain {
    /// Links an object, which takes up slots and numbers for the names and predicates that are new.
    ///
    /// It is not checked that any source supplies the fields: see [`Domain::load`].
    pub fn link(&mut self, object: &Object, options: &LinkOptions) -> Result<Linked, LinkError> {
        let mark = self.predicates.mark();
        let linked = self.link_or_leave_traces(object, options);
        if linked.is_err() {
            self.predicates.forget_since(mark);
        }
        linked
    }

    fn link_or_leave_traces(&mut self, object: &Object, options: &LinkOptions) -> Result<Linked, LinkError> {
        let catalogue = self.catalogue().clone();
        if object.catalogue_digest != catalogue.digest() {
            return Err(LinkError::Catalogue { compiled: object.catalogue_digest, present: catalogue.digest() });
        }
        let family =
            catalogue.family_id(&object.family).ok_or_else(|| LinkError::UnknownFamily(object.family.clone()))?;
        let classes = classes(&catalogue, family, object)?;

        let mut fields = Fields::new(&self.layouts, family, &object.family);
        let field_slots = object
            .fields
            .iter()
            .map(|field| fields.resolve(field).map(|(slot, _)| slot))
            .collect::<Result<Vec<_>, _>>()?;
        let mut places = Vec::with_capacity(object.predicates.len());
        for predicate in &object.predicates {
            let (slot, ty) = fields.resolve(&predicate.field)?;
            places.push((slot, shape(&catalogue, predicate, ty)?));
        }
        let new_names = fields.new_names;

        let mut numbers = Vec::with_capacity(object.predicates.len());
        for (predicate, (slot, shape)) in object.predicates.iter().zip(&places) {
            let refused = |error| LinkError::Predicate { field: predicate.field.name.clone(), error };
            numbers.push(self.predicates.intern(family, *slot, *shape, &predicate.test).map_err(refused)?);
        }

        let code = patch(object, &field_slots, &numbers)?;
        let slots: BTreeSet<Slot> = field_slots.iter().copied().chain(places.iter().map(|(slot, _)| *slot)).collect();
        let manifest = Manifest {
            record_len: slots_len(slots.last().map_or(0, |slot| u32::from(slot.0) + 1)),
            slots: sorted(field_slots.iter().map(|slot| slot.0)),
            predicate_bytes: sorted(numbers.iter().filter_map(|number| match number {
                Interned::Bits(id) => u16::try_from(predicate_byte(*id)).ok(),
                Interned::Mask(_) => None,
            })),
            masks: sorted(numbers.iter().filter_map(|number| match number {
                Interned::Bits(_) => None,
                Interned::Mask(MaskId(id)) => Some(*id),
            })),
            helpers: helpers(&code),
        };

        let planned = self.state.plan(&object.name, &object.maps)?;

        // Nothing can fail any more: the new names take their slots, in the order in which they were promised.
        for name in &new_names {
            let taken = self.layouts.find_or_append(family, name);
            debug_assert!(taken.is_some(), "room for `{name}` was checked");
        }
        let maps = self.state.commit(planned);
        let texts = object.predicate_texts.iter().map(String::as_str).chain(std::iter::repeat(""));
        let predicates = object
            .predicates
            .iter()
            .zip(numbers)
            .zip(texts)
            .map(|((predicate, number), text)| LinkedPredicate {
                number,
                field: predicate.field.name.clone(),
                text: text.to_owned(),
            })
            .collect();
        Ok(Linked {
            program: Program {
                name: object.name.clone(),
                kind: ProgramKind::Rule(manifest),
                code,
                lines: object.lines.clone(),
                maps,
                fuel_limit: options.fuel_limit,
            },
            rule: RuleLink {
                family,
                classes,
                os: object.os,
                slots: slots.into_iter().collect(),
                predicates,
                digest: digest(object),
            },
            domain: self.token.clone(),
        })
    }
}

/// Over everything that its verdicts depend on: neither the lines nor the words of the rule.
fn digest(object: &Object) -> [u8; 32] {
    let Object { name, catalogue_digest, family, classes, os, code, fields, predicates, maps, relocations, .. } =
        object;
    let mut hasher = Sha256::new();
    hasher.update(catalogue_digest);
    hasher.update(format!("{name:?} {family:?} {classes:?} {os:?} {fields:?} {predicates:?} {relocations:?}"));
    for map in maps {
        hasher.update(format!("{:?}", map.name));
        hasher.update(map.layout_digest());
    }
    hasher.update(Instruction::to_section(code));
    hasher.finalize().into()
}

fn classes(catalogue: &Catalogue, family: FamilyId, object: &Object) -> Result<Vec<ClassId>, LinkError> {
    let mut classes = Vec::with_capacity(object.classes.len());
    for name in &object.classes {
        let class = catalogue.class_id(name).ok_or_else(|| LinkError::UnknownClass(name.clone()))?;
        if catalogue.class(class).family != family {
            return Err(LinkError::ForeignClass { class: name.clone(), family: object.family.clone() });
        }
        classes.push(class);
    }
    if classes.is_empty() {
        return Err(LinkError::NoClasses);
    }
    Ok(sorted(classes.into_iter()))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<BTreeSet<T>>().into_iter().collect()
}

/// Resolves names without taking slots: a new open name is promised the next free one.
struct Fields<'a> {
    layouts: &'a Layouts,
    family: FamilyId,
    family_name: &'a str,
    new_names: Vec<String>,
    promised: HashMap<String, Slot>,
}

impl<'a> Fields<'a> {
    fn new(layouts: &'a Layouts, family: FamilyId, family_name: &'a str) -> Self {
        Self { layouts, family, family_name, new_names: Vec::new(), promised: HashMap::new() }
    }

    fn resolve(&mut self, field: &FieldRef) -> Result<(Slot, FieldType), LinkError> {
        let (slot, ty) = match self.layouts.find(self.family, &field.name) {
            Some(found) => found,
            None => self.promise(&field.name)?,
        };
        if ty != field.ty {
            return Err(LinkError::FieldType { field: field.name.clone(), compiled: field.ty, present: ty });
        }
        Ok((slot, ty))
    }

    fn promise(&mut self, name: &str) -> Result<(Slot, FieldType), LinkError> {
        let catalogue = self.layouts.catalogue();
        // A field of the catalogue without a slot in this family is not open, whatever its name.
        let Some(ty) = catalogue.open_type(name).filter(|_| catalogue.field_id(name).is_none()) else {
            return Err(LinkError::UnknownField { field: name.to_owned(), family: self.family_name.to_owned() });
        };
        if let Some(slot) = self.promised.get(name) {
            return Ok((*slot, ty));
        }
        let taken = usize::from(self.layouts.slot_count(self.family)) + self.new_names.len();
        match u16::try_from(taken) {
            Ok(next) if next < SLOTS_MAX => {
                self.new_names.push(name.to_owned());
                self.promised.insert(name.to_owned(), Slot(next));
                Ok((Slot(next), ty))
            }
            _ => Err(LinkError::SlotsFull { field: name.to_owned(), family: self.family_name.to_owned() }),
        }
    }
}

/// Which values of a field a predicate is about, and their type.
fn shape(catalogue: &Catalogue, predicate: &Predicate, ty: FieldType) -> Result<(Shape, FieldType), LinkError> {
    let field = &predicate.field.name;
    Ok(match (&predicate.scope, ty) {
        (Scope::Any, _) if predicate.test == Test::Exists => (Shape::Value, ty),
        (Scope::Any, FieldType::Scalar(_) | FieldType::Records(_)) => (Shape::Value, ty),
        (Scope::Any, FieldType::List(_)) => (Shape::AnyElement, ty),
        (Scope::Elements, FieldType::List(_)) => (Shape::Elements, ty),
        (Scope::Member(name), FieldType::Records(element)) => {
            let members = catalogue.elements.get(usize::from(element.0)).map_or(&[][..], |element| &element.members);
            let found = (0u32..).zip(members).find(|(_, member)| member.name == *name);
            let (member, ty) = found
                .map(|(index, member)| (index, member.ty))
                .ok_or_else(|| LinkError::UnknownMember { field: field.clone(), member: name.clone() })?;
            (Shape::Member { member, members: u32::try_from(members.len()).unwrap_or(u32::MAX) }, ty)
        }
        (Scope::Elements | Scope::Member(_), _) => return Err(LinkError::Scope { field: field.clone(), ty }),
    })
}

/// Byte of the predicate bits in which a predicate lies.
pub(crate) fn predicate_byte(id: PredicateId) -> u32 {
    id.0 / 4
}

/// Mask of its *true* bit in that byte; *known* is the bit above.
pub(crate) fn true_bit(id: PredicateId) -> u8 {
    1 << (2 * (id.0 % 4))
}

fn patch(object: &Object, fields: &[Slot], numbers: &[Interned]) -> Result<Vec<Instruction>, LinkError> {
    let mut code = object.code.clone();
    let mut patched = HashSet::new();
    for Relocation { pc, kind } in &object.relocations {
        let refused = |reason| LinkError::Relocation { pc: *pc, reason };
        let instruction =
            usize::try_from(*pc).ok().and_then(|pc| code.get_mut(pc)).ok_or(refused(RelocationError::OutsideCode))?;
        let (part, value) = resolve(*kind, instruction.offset, fields, numbers).map_err(refused)?;
        if !patched.insert((*pc, part)) {
            return Err(refused(RelocationError::Twice));
        }
        match part {
            Part::Offset => {
                instruction.offset = i16::try_from(value).map_err(|_| refused(RelocationError::Offset(value)))?;
            }
            Part::Imm => {
                instruction.imm = i32::try_from(value).map_err(|_| refused(RelocationError::Offset(value)))?;
            }
        }
    }
    Ok(code)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Offset,
    Imm,
}

fn resolve(
    kind: RelocationKind,
    offset: i16,
    fields: &[Slot],
    numbers: &[Interned],
) -> Result<(Part, u32), RelocationError> {
    let field = |index: u16| fields.get(usize::from(index)).copied().ok_or(RelocationError::NoField(index));
    let bits = |index: u16| match numbers.get(usize::from(index)) {
        Some(Interned::Bits(id)) => Ok(*id),
        Some(Interned::Mask(_)) => Err(RelocationError::PredicateKind(index)),
        None => Err(RelocationError::NoPredicate(index)),
    };
    let addend = |within: &dyn Fn(u32) -> bool| {
        u32::try_from(offset).ok().filter(|addend| within(*addend)).ok_or(RelocationError::Addend(offset))
    };
    Ok(match kind {
        RelocationKind::Slot(index) => (Part::Offset, field(index)?.offset() + addend(&|addend| addend < 8)?),
        RelocationKind::State(index) => (Part::Offset, field(index)?.state_offset()),
        RelocationKind::SlotNumber(index) => (Part::Imm, u32::from(field(index)?.0)),
        RelocationKind::PredicateByte(index) => (Part::Offset, predicate_byte(bits(index)?)),
        RelocationKind::PredicateTrue(index) => (Part::Imm, u32::from(true_bit(bits(index)?))),
        RelocationKind::PredicateKnown(index) => (Part::Imm, u32::from(true_bit(bits(index)?)) << 1),
        RelocationKind::PredicateBoth(index) => (Part::Imm, u32::from(true_bit(bits(index)?)) * 3),
        RelocationKind::Mask(index) => match numbers.get(usize::from(index)) {
            Some(Interned::Mask(id)) => {
                let word = addend(&|addend| matches!(addend, MASK_TRUE | MASK_KNOWN | MASK_LOST))?;
                (Part::Offset, u32::from(id.0) * MASK_LEN + word)
            }
            Some(Interned::Bits(_)) => return Err(RelocationError::PredicateKind(index)),
            None => return Err(RelocationError::NoPredicate(index)),
        },
        RelocationKind::SlotOffset(index) => (Part::Imm, field(index)?.offset()),
        RelocationKind::StateOffset(index) => (Part::Imm, field(index)?.state_offset()),
        RelocationKind::PredicateOffset(index) => (Part::Imm, predicate_byte(bits(index)?)),
        RelocationKind::MaskOffset(index) => match numbers.get(usize::from(index)) {
            Some(Interned::Mask(id)) => (Part::Imm, u32::from(id.0) * MASK_LEN),
            Some(Interned::Bits(_)) => return Err(RelocationError::PredicateKind(index)),
            None => return Err(RelocationError::NoPredicate(index)),
        },
    })
}

/// The helpers that the code calls. Slots that do not decode call nothing; the verifier refuses them.
fn helpers(code: &[Instruction]) -> Vec<u32> {
    let mut found = BTreeSet::new();
    let mut pc = 0;
    while let Some(decoded) = Decoded::at(code, pc) {
        pc += 1;
        if let Ok(decoded) = decoded {
            pc += usize::from(decoded.slots() == 2);
            if decoded.kind() == Kind::CallHelper {
                found.extend(u32::try_from(decoded.imm));
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests;
