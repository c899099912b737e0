//! The event catalogue's types: classes, families, fields. The data itself lives in `trapline-programs`.
//!
//! A *class* is what happened (`process.exec`); its *family* is the first component of its name (`process`).
//! Every event of one family has the same record layout: a field has the same slot in each of them, for one
//! version of the catalogue. Names below an *open prefix* (`winlog.event_data.`) need no entry: they are strings, or
//! with [`VALUES_PREFIX`] before them lists of strings, and get append-only slots when a program first asks for one
//! (see [`super::Layouts`]).

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest, Sha256};

/// Before an open name: all values that the event has under it, as a list. `raw.groups` is one text, and
/// `values.raw.groups` the texts that it is made of.
pub const VALUES_PREFIX: &str = "values.";

/// Index of a field in [`Catalogue::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

/// Index of a class in [`Catalogue::classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u16);

/// Index of a family in [`Catalogue::families`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(pub u16);

/// Index of an enumeration in [`Catalogue::enums`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnumId(pub u16);

/// Index of an element type in [`Catalogue::elements`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub u16);

/// A value that fits one slot of a record. See the layout in [`super`] for how each is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Stored as 0 or 1.
    Bool,
    /// Signed, 64 bits.
    Int,
    /// 64-bit count of millionths.
    Decimal,
    /// UTF-8 text.
    Str,
    /// UTF-8 text whose components are separated by `/` or `\`.
    Path,
    /// Raw bytes, such as a hash.
    Bytes,
    /// 4 or 16 bytes, network order.
    Ip,
    /// Nanoseconds since 1970-01-01T00:00:00Z, signed.
    Time,
    /// Nanoseconds, signed.
    Duration,
    /// Index of a variant; [`ENUM_OTHER`] for a value outside the list.
    Enum(EnumId),
}

impl Scalar {
    /// Its name as authors write it; an enumeration without its own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::Str => "str",
            Self::Path => "path",
            Self::Bytes => "bytes",
            Self::Ip => "ip",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Enum(_) => "enum",
        }
    }
}

/// Slot value of an enum field whose event carries a value outside the enumeration.
pub const ENUM_OTHER: u64 = u32::MAX as u64;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// One value.
    Scalar(Scalar),
    /// A list of values.
    List(Scalar),
    /// A list of records, each with the members of the element type.
    Records(ElementId),
}

/// One field of the catalogue, or one member of an element type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Dotted ECS name; for a member, the name below its element.
    pub name: String,
    /// Its type.
    pub ty: FieldType,
    /// One sentence.
    pub doc: String,
    /// The longest value kept, in bytes; longer ones are truncated and marked so. Of a list of records it is the
    /// largest cap of the members.
    pub bytes_max: u32,
    /// Windows compares this field without regard to case (paths, names, registry).
    pub windows_folds_case: bool,
    /// An example value as an author would write it, for documentation; may be empty.
    pub example: String,
}

/// An enumeration: the values an enum field can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumeration {
    /// Its name, for messages.
    pub name: String,
    /// Variants; the index is the slot value.
    pub variants: Vec<String>,
}

/// The record type of the elements of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name, for messages and macro parameters (`process`).
    pub name: String,
    /// Members; the index is the slot within the element.
    pub members: Vec<Field>,
}

/// One event class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Dotted name; the first component is the family.
    pub name: String,
    /// Its family.
    pub family: FamilyId,
    /// One sentence.
    pub doc: String,
}

/// One family: the classes that share a record layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// First component of the names of its classes.
    pub name: String,
    /// Fields in slot order: the index is the slot.
    pub fields: Vec<FieldId>,
}

/// The event catalogue: the one source of truth for compiler, verifier, record encoder and documentation.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Version of the data; slots are stable within one version.
    pub version: u32,
    /// All fields.
    pub fields: Vec<Field>,
    /// All enumerations.
    pub enums: Vec<Enumeration>,
    /// Element types of lists of records.
    pub elements: Vec<Element>,
    /// All classes.
    pub classes: Vec<Class>,
    /// All families.
    pub families: Vec<Family>,
    /// Prefixes (each ends in a dot) below which any name is a field of type `str`, or `list<str>` with
    /// [`VALUES_PREFIX`] before it.
    pub open_prefixes: Vec<String>,
    field_index: HashMap<String, FieldId>,
    class_index: HashMap<String, ClassId>,
    slots: Vec<HashMap<FieldId, u16>>,
    digest: [u8; 32],
}

/// Why catalogue data does not make a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// Two fields, classes, families or variants share a name.
    #[error("the name `{0}` is used twice")]
    Duplicate(String),
    /// A class's name does not begin with the name of its family.
    #[error("class `{0}` does not begin with the name of its family")]
    FamilyMismatch(String),
    /// An index points nowhere, or there are more entries than an index can name.
    #[error("`{0}` refers to an entry that does not exist")]
    Dangling(String),
    /// An open prefix does not end in a dot.
    #[error("open prefix `{0}` does not end in a dot")]
    Prefix(String),
}

impl Catalogue {
    /// Checks the parts and computes indices and digest.
    pub fn new(
        version: u32,
        fields: Vec<Field>,
        enums: Vec<Enumeration>,
        elements: Vec<Element>,
        classes: Vec<Class>,
        families: Vec<Family>,
        open_prefixes: Vec<String>,
    ) -> Result<Self, CatalogueError> {
        let check_type = |name: &str, ty: FieldType| {
            let scalar = match ty {
                FieldType::Scalar(scalar) | FieldType::List(scalar) => scalar,
                FieldType::Records(id) if usize::from(id.0) < elements.len() => return Ok(()),
                FieldType::Records(_) => return Err(CatalogueError::Dangling(name.to_owned())),
            };
            match scalar {
                Scalar::Enum(id) if usize::from(id.0) >= enums.len() => Err(CatalogueError::Dangling(name.to_owned())),
                _ => Ok(()),
            }
        };
        let mut field_index = HashMap::new();
        for (index, field) in fields.iter().enumerate() {
            check_type(&field.name, field.ty)?;
            let id = FieldId(u16::try_from(index).map_err(|_| CatalogueError::Dangling(field.name.clone()))?);
            if field_index.insert(field.name.clone(), id).is_some() {
                return Err(CatalogueError::Duplicate(field.name.clone()));
            }
        }
        for element in &elements {
            for member in &element.members {
                check_type(&member.name, member.ty)?;
                if !matches!(member.ty, FieldType::Scalar(_)) {
                    return Err(CatalogueError::Dangling(member.name.clone()));
                }
            }
        }
        let mut class_index = HashMap::new();
        for (index, class) in classes.iter().enumerate() {
            let family = families
                .get(usize::from(class.family.0))
                .ok_or_else(|| CatalogueError::Dangling(class.name.clone()))?;
            if class.name.split('.').next() != Some(family.name.as_str()) {
                return Err(CatalogueError::FamilyMismatch(class.name.clone()));
            }
            let id = ClassId(u16::try_from(index).map_err(|_| CatalogueError::Dangling(class.name.clone()))?);
            if class_index.insert(class.name.clone(), id).is_some() {
                return Err(CatalogueError::Duplicate(class.name.clone()));
            }
        }
        let mut slots = Vec::new();
        for family in &families {
            let mut map = HashMap::new();
            for (slot, id) in family.fields.iter().enumerate() {
                let field =
                    fields.get(usize::from(id.0)).ok_or_else(|| CatalogueError::Dangling(family.name.clone()))?;
                let slot = u16::try_from(slot).map_err(|_| CatalogueError::Dangling(family.name.clone()))?;
                if map.insert(*id, slot).is_some() {
                    return Err(CatalogueError::Duplicate(field.name.clone()));
                }
            }
            slots.push(map);
        }
        if let Some(prefix) = open_prefixes.iter().find(|prefix| !prefix.ends_with('.')) {
            return Err(CatalogueError::Prefix(prefix.clone()));
        }
        let mut catalogue = Self {
            version,
            fields,
            enums,
            elements,
            classes,
            families,
            open_prefixes,
            field_index,
            class_index,
            slots,
            digest: [0; 32],
        };
        catalogue.digest = catalogue.compute_digest();
        Ok(catalogue)
    }

    /// SHA-256 over everything that a compiled program or a record depends on: not the prose.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The first eight bytes of the digest, as records carry it.
    pub fn short_digest(&self) -> u64 {
        u64::from_le_bytes(self.digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// The field of this name, if the catalogue lists it.
    pub fn field_id(&self, name: &str) -> Option<FieldId> {
        self.field_index.get(name).copied()
    }

    /// The field with this index.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[usize::from(id.0)]
    }

    /// The class of this name.
    pub fn class_id(&self, name: &str) -> Option<ClassId> {
        self.class_index.get(name).copied()
    }

    /// The class with this index.
    pub fn class(&self, id: ClassId) -> &Class {
        &self.classes[usize::from(id.0)]
    }

    /// The family of this name.
    pub fn family_id(&self, name: &str) -> Option<FamilyId> {
        let index = self.families.iter().position(|family| family.name == name)?;
        Some(FamilyId(u16::try_from(index).ok()?))
    }

    /// The family with this index.
    pub fn family(&self, id: FamilyId) -> &Family {
        &self.families[usize::from(id.0)]
    }

    /// The classes of a family, in order.
    pub fn classes_of(&self, family: FamilyId) -> impl Iterator<Item = ClassId> + '_ {
        (0u16..).map(ClassId).zip(&self.classes).filter(move |(_, class)| class.family == family).map(|(id, _)| id)
    }

    /// The slot of a field in the records of a family.
    pub fn slot(&self, family: FamilyId, field: FieldId) -> Option<u16> {
        self.slots.get(usize::from(family.0))?.get(&field).copied()
    }

    /// Whether the name lies below an open prefix.
    pub fn is_open(&self, name: &str) -> bool {
        self.open_type(name).is_some()
    }

    /// The type of a name below an open prefix; None if it lies below none.
    pub fn open_type(&self, name: &str) -> Option<FieldType> {
        let (name, ty) = match name.strip_prefix(VALUES_PREFIX) {
            Some(name) => (name, FieldType::List(Scalar::Str)),
            None => (name, FieldType::Scalar(Scalar::Str)),
        };
        let below = |prefix: &String| name.len() > prefix.len() && name.starts_with(prefix.as_str());
        self.open_prefixes.iter().any(below).then_some(ty)
    }

    fn compute_digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut line = |text: fmt::Arguments<'_>| {
            hasher.update(text.to_string().as_bytes());
            hasher.update(b"\n");
        };
        line(format_args!("catalogue {}", self.version));
        for field in &self.fields {
            line(format_args!("field {} {:?} {}", field.name, field.ty, field.bytes_max));
        }
        for enumeration in &self.enums {
            line(format_args!("enum {} {}", enumeration.name, enumeration.variants.join(" ")));
        }
        for element in &self.elements {
            line(format_args!("element {}", element.name));
            for member in &element.members {
                line(format_args!("member {} {:?} {}", member.name, member.ty, member.bytes_max));
            }
        }
        for class in &self.classes {
            line(format_args!("class {} {}", class.name, class.family.0));
        }
        for family in &self.families {
            line(format_args!("family {} {:?}", family.name, family.fields));
        }
        for prefix in &self.open_prefixes {
            line(format_args!("open {prefix}"));
        }
        hasher.finalize().into()
    }
}
