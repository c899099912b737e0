//! Where each field lies: the catalogue's slots, and append-only slots for names outside it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Catalogue, FamilyId, FieldType, HEADER_LEN, groups_len, slot_offset, state_offset};

/// The place of a field in the records of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// Offset of its eight bytes from the start of the record.
    pub fn offset(self) -> u32 {
        HEADER_LEN + slot_offset(u32::from(self.0))
    }

    /// Offset of its state byte from the start of the record.
    pub fn state_offset(self) -> u32 {
        HEADER_LEN + state_offset(u32::from(self.0))
    }
}

/// The most slots of one family: keeps every offset within the 16-bit offset of an instruction.
pub const SLOTS_MAX: u16 = 3600;

/// The layouts of all families: fixed slots from the catalogue, appended ones for open names.
///
/// Slots are only ever appended, so a program linked against an earlier state stays right.
#[derive(Clone, Debug)]
pub struct Layouts {
    catalogue: Arc<Catalogue>,
    appended: Vec<Appended>,
}

#[derive(Clone, Debug, Default)]
struct Appended {
    by_name: HashMap<String, Slot>,
}

impl Layouts {
    /// The layouts of a catalogue, with nothing appended.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let appended = vec![Appended::default(); catalogue.families.len()];
        Self { catalogue, appended }
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The slot and type of a name in a family, if it has one already.
    pub fn find(&self, family: FamilyId, name: &str) -> Option<(Slot, FieldType)> {
        if let Some(id) = self.catalogue.field_id(name) {
            return Some((Slot(self.catalogue.slot(family, id)?), self.catalogue.field(id).ty));
        }
        let slot = self.appended.get(usize::from(family.0))?.by_name.get(name)?;
        Some((*slot, self.catalogue.open_type(name)?))
    }

    /// The slot and type of a name in a family; an open name gets a slot if it has none.
    /// None if the name is neither in the family nor open, or the family has [`SLOTS_MAX`] slots.
    pub fn find_or_append(&mut self, family: FamilyId, name: &str) -> Option<(Slot, FieldType)> {
        if let Some(found) = self.find(family, name) {
            return Some(found);
        }
        if self.catalogue.field_id(name).is_some() {
            return None;
        }
        let ty = self.catalogue.open_type(name)?;
        let next = self.slot_count(family);
        if next >= SLOTS_MAX {
            return None;
        }
        self.appended[usize::from(family.0)].by_name.insert(name.to_owned(), Slot(next));
        Some((Slot(next), ty))
    }

    /// Slots of a record of this family.
    pub fn slot_count(&self, family: FamilyId) -> u16 {
        let fixed = self.catalogue.family(family).fields.len();
        let appended = self.appended[usize::from(family.0)].by_name.len();
        u16::try_from(fixed + appended).unwrap_or(u16::MAX)
    }

    /// Bytes that header and slots of a record of this family take up, whole groups: the heap begins here.
    pub fn slots_len(&self, family: FamilyId) -> u32 {
        HEADER_LEN + groups_len(u32::from(self.slot_count(family)))
    }

    /// The appended names of a family with their slots.
    pub fn appended(&self, family: FamilyId) -> impl Iterator<Item = (&str, Slot)> {
        self.appended[usize::from(family.0)].by_name.iter().map(|(name, slot)| (name.as_str(), *slot))
    }
}
