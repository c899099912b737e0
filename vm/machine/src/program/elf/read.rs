//! ELF to programs.

use std::collections::HashMap;

use crate::map::{MapDecl, MapKind};
use crate::predicate::{FieldRef, Predicate, Test};
use crate::program::{Object, Relocation, RelocationKind};
use crate::record::{Catalogue, FieldType, OsSet, Scalar};

use super::flatten::{self, Constant, Flat, Function, Functions, MAP_BY_INDEX, R_BPF_64_64, VALUE_BY_INDEX, WIDE_LOAD};
use super::input::{File, Home, Section, Symbol, at_most};
use super::lines::Lines;
use super::table::{self, Entry, MapEntry};
use super::typed::Types;
use super::{
    ElfError, ElfReason, ObjectFile, PROGRAMS_MAX, Place, RawObject, RuleMeta, RuleObject, SLOTS_TOTAL_MAX,
    SourceLines, strings,
};

/// What a section is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<'d> {
    /// Rule programs for these classes.
    Rule(&'d str),
    Raw,
    Text,
    Maps,
    Data,
    Predicates,
    Other,
}

pub(super) fn role<'d>(section: &Section<'d>) -> Role<'d> {
    let is = |name: &str| section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if section.is_code {
        match section.name.strip_prefix("rule/") {
            Some(classes) => Role::Rule(classes),
            None if section.name == "raw" || section.name.starts_with("raw/") => Role::Raw,
            None if is(".text") => Role::Text,
            None => Role::Other,
        }
    } else if section.name == ".maps" {
        Role::Maps
    } else if section.is_loaded && (is(".rodata") || is(".data") || is(".bss")) {
        Role::Data
    } else if section.name == "trapline.predicates" {
        Role::Predicates
    } else {
        Role::Other
    }
}

fn in_section(section: &str, reason: ElfReason) -> ElfError {
    ElfError { place: Place { section: Some(section.to_owned()), ..Place::default() }, reason }
}

/// Reads an object file: one that [`super::write`] wrote, or that a C compiler made with `trapline.h`. The catalogue says
/// of which types the fields are that C names.
pub fn read(bytes: &[u8], catalogue: &Catalogue) -> Result<ObjectFile, ElfError> {
    let file = File::parse(bytes)?;
    let metas = match file.section("trapline.rules") {
        Some(section) => {
            strings::rules(section.data).map_err(|reason| in_section(section.name, ElfReason::Rule(reason)))?
        }
        None => Vec::new(),
    };
    at_most("rules", metas.len(), PROGRAMS_MAX)?;
    let license = file.section("license").map_or(&[][..], |section| section.data);
    let license = license.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut read = Reader {
        functions: Functions::of(&file)?,
        lines: Lines::of(&file)?,
        types: Types::of(&file),
        file: &file,
        catalogue,
        rules: metas.into_iter().map(|meta| RuleObject { meta, ..RuleObject::default() }).collect(),
        raw: Vec::new(),
        slots: 0,
        programs: 0,
        predicates: HashMap::new(),
    };
    match file.section("trapline.objects") {
        Some(section) => read.compiled_by_us(section)?,
        None => read.compiled_by_others()?,
    }
    if read.programs == 0 {
        return Err(ElfError { place: Place::default(), reason: ElfReason::NoProgram });
    }
    if let Some(rule) = read.rules.iter().find(|rule| rule.programs.is_empty()) {
        let place =
            Place { section: Some("trapline.rules".to_owned()), symbol: Some(rule.meta.name.clone()), offset: None };
        return Err(ElfError { place, reason: ElfReason::RuleWithoutProgram });
    }
    Ok(ObjectFile { rules: read.rules, raw: read.raw, license: String::from_utf8_lossy(license).into_owned() })
}

struct Reader<'f, 'd> {
    file: &'f File<'d>,
    functions: Functions<'d>,
    lines: Lines<'d>,
    types: Types<'d>,
    catalogue: &'f Catalogue,
    rules: Vec<RuleObject>,
    raw: Vec<RawObject>,
    slots: usize,
    programs: usize,
    /// Those that programs named so far, by symbol.
    predicates: HashMap<&'d str, Vec<String>>,
}

impl<'d> Reader<'_, 'd> {
    /// Counts a program.
    fn count(&mut self, slots: usize) -> Result<(), ElfError> {
        self.programs += 1;
        at_most("programs", self.programs, PROGRAMS_MAX)?;
        self.slots = self.slots.saturating_add(slots);
        at_most("instruction slots of all programs", self.slots, SLOTS_TOTAL_MAX)
    }

    /// The programs of a file that a C compiler made.
    fn compiled_by_others(&mut self) -> Result<(), ElfError> {
        for section in self.file.sections.iter().filter(|section| section.is_code && !section.data.is_empty()) {
            if role(section) == Role::Other {
                return Err(in_section(section.name, ElfReason::UnknownProgram));
            }
        }
        let kinds = self.field_kinds()?;
        let functions: Vec<Function<'d>> = self.functions.iter().copied().collect();
        for function in functions.iter().filter(|function| !function.is_local) {
            let Some(section) = self.file.sections.get(function.section) else { continue };
            match role(section) {
                Role::Rule(classes) => {
                    let flat = flatten::flatten(self.file, &self.functions, &self.lines, &self.types, function)?;
                    self.count(flat.code.len())?;
                    self.add_rule(function, classes, flat, &kinds)?;
                }
                Role::Raw => {
                    let flat = flatten::flatten(self.file, &self.functions, &self.lines, &self.types, function)?;
                    self.count(flat.code.len())?;
                    if let Some(constant) = flat.constants.into_iter().next() {
                        return Err(ElfError { place: constant.place, reason: ElfReason::RawConstant });
                    }
                    let Flat { code, lines, maps, source, .. } = flat;
                    self.raw.push(RawObject { name: function.name.to_owned(), code, lines, maps, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What `trapline.fields` says that fields are taken for.
    fn field_kinds(&self) -> Result<HashMap<String, String>, ElfError> {
        let Some(section) = self.file.section("trapline.fields") else { return Ok(HashMap::new()) };
        let wrong = || in_section(section.name, ElfReason::Rule("fields are pairs of a name and a kind".to_owned()));
        let strings = strings::all(section.data).ok_or_else(wrong)?;
        let (pairs, rest) = strings.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong());
        }
        Ok(pairs.iter().map(|[name, kind]| (name.clone(), kind.clone())).collect())
    }

    fn add_rule(
        &mut self,
        function: &Function<'d>,
        classes: &str,
        flat: Flat<'d>,
        kinds: &HashMap<String, String>,
    ) -> Result<(), ElfError> {
        let place = function.place(self.file, 0);
        let (family, classes) = self.classes(classes).map_err(|reason| ElfError { place: place.clone(), reason })?;
        let index = match self.rule_of(function.name) {
            Some(index) => index,
            None if self.rules.is_empty() || self.file.section("trapline.rules").is_none() => {
                // Without headers each program is a rule by itself.
                let meta = RuleMeta { name: function.name.to_owned(), ..RuleMeta::default() };
                self.rules.push(RuleObject { meta, ..RuleObject::default() });
                self.rules.len() - 1
            }
            None => return Err(ElfError { place, reason: ElfReason::NoRule }),
        };
        let mut object = Object {
            name: String::new(),
            catalogue_digest: self.catalogue.digest(),
            family,
            classes,
            os: OsSet::ANY,
            code: flat.code,
            fields: Vec::new(),
            predicates: Vec::new(),
            maps: flat.maps,
            relocations: Vec::new(),
            lines: flat.lines,
            predicate_texts: Vec::new(),
        };
        let mut known = Known::default();
        for constant in flat.constants {
            let kind = self.constant(&constant, &mut object, &mut known, kinds)?;
            object.relocations.push(Relocation { pc: constant.pc, kind });
        }
        if let Some(rule) = self.rules.get_mut(index) {
            object.name.clone_from(&rule.meta.name);
            object.os = rule.meta.os;
            if rule.source == SourceLines::default() {
                rule.source = flat.source;
            } else if rule.source.file == flat.source.file {
                rule.source.texts.extend(flat.source.texts);
            }
            rule.programs.push(object);
        }
        Ok(())
    }

    /// The rule that a function belongs to.
    fn rule_of(&self, function: &str) -> Option<usize> {
        self.file.section("trapline.rules")?;
        if self.rules.len() == 1 {
            return Some(0);
        }
        let belongs = |rule: &RuleObject| {
            let rest = function.strip_prefix(rule.meta.name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
        };
        let named = (0..).zip(&self.rules).filter(|(_, rule)| belongs(rule));
        named.max_by_key(|(_, rule)| rule.meta.name.len()).map(|(index, _)| index)
    }

    /// The family and the classes of a section's name.
    fn classes(&self, spec: &str) -> Result<(String, Vec<String>), ElfReason> {
        let catalogue = self.catalogue;
        let mut classes: Vec<String> = Vec::new();
        let mut families = Vec::new();
        for name in spec.split(',').map(str::trim) {
            let of_family = catalogue.family_id(name).map(|family| (family, catalogue.classes_of(family).collect()));
            let (family, found) = match catalogue.class_id(name) {
                Some(class) => (catalogue.class(class).family, vec![class]),
                None => of_family
                    .ok_or_else(|| ElfReason::Classes(format!("there is no class or family of events `{name}`")))?,
            };
            families.push(family);
            for class in found {
                let name = &catalogue.class(class).name;
                if !classes.contains(name) {
                    classes.push(name.clone());
                }
            }
        }
        match families.first() {
            Some(first) if families.iter().all(|family| family == first) => {
                Ok((catalogue.family(*first).name.clone(), classes))
            }
            _ => {
                let help = "a program reads events of one family: write one function for each";
                Err(ElfReason::Classes(help.to_owned()))
            }
        }
    }

    /// The relocation that an undefined symbol stands for.
    fn constant(
        &mut self,
        constant: &Constant<'d>,
        object: &mut Object,
        known: &mut Known<'d>,
        kinds: &HashMap<String, String>,
    ) -> Result<RelocationKind, ElfError> {
        let wrong = |reason| ElfError { place: constant.place.clone(), reason };
        let (name, part) = match constant.name.rsplit_once('$') {
            Some((name, part)) => (name, part),
            None => (constant.name, ""),
        };
        let make = match part {
            "" => RelocationKind::SlotOffset,
            "state" => RelocationKind::StateOffset,
            "number" => RelocationKind::SlotNumber,
            "byte" => RelocationKind::PredicateOffset,
            "true" => RelocationKind::PredicateTrue,
            "known" => RelocationKind::PredicateKnown,
            "mask" => RelocationKind::MaskOffset,
            _ => return Err(wrong(ElfReason::UnknownSymbol { family: object.family.clone() })),
        };
        if matches!(part, "" | "state" | "number") {
            if let Some(index) = known.fields.get(name) {
                return Ok(make(*index));
            }
            let ty = self.field_type(name, &object.family).map_err(wrong)?;
            if let Some(kind) = kinds.get(name).filter(|kind| !strings::is_kind(kind, ty)) {
                let present = strings::of_type(ty);
                let text = format!("the program takes `{name}` for a {kind}, the catalogue has it as {present}");
                return Err(wrong(ElfReason::FieldKind(text)));
            }
            let index = next_index(&object.fields).map_err(wrong)?;
            object.fields.push(FieldRef { name: name.to_owned(), ty });
            known.fields.insert(name, index);
            return Ok(make(index));
        }
        if let Some(index) = known.predicates.get(name) {
            return Ok(make(*index));
        }
        let predicate = self.predicate(name, &object.family).map_err(wrong)?;
        let index = next_index(&object.predicates).map_err(wrong)?;
        object.predicate_texts.push(strings::words(&predicate));
        object.predicates.push(predicate);
        known.predicates.insert(name, index);
        Ok(make(index))
    }

    fn field_type(&self, name: &str, family: &str) -> Result<FieldType, ElfReason> {
        let catalogue = self.catalogue;
        let unknown = || ElfReason::UnknownSymbol { family: family.to_owned() };
        match catalogue.field_id(name) {
            Some(field) => {
                let slot = catalogue.family_id(family).and_then(|family| catalogue.slot(family, field));
                slot.map(|_| catalogue.field(field).ty).ok_or_else(unknown)
            }
            None => catalogue.open_type(name).ok_or_else(unknown),
        }
    }

    /// The predicate that a symbol of `trapline.predicates` declares.
    fn predicate(&mut self, name: &'d str, family: &str) -> Result<Predicate, ElfReason> {
        if !self.predicates.contains_key(name) {
            let strings = self.predicate_strings(name).ok_or_else(|| {
                let help = format!("there is no `{name}` in `trapline.predicates`; `TL_PREDICATE` declares one");
                ElfReason::Predicate(help)
            })?;
            self.predicates.insert(name, strings);
        }
        let strings = self.predicates.get(name).map_or(&[][..], Vec::as_slice);
        let (field, rest) = strings.split_first().ok_or_else(|| ElfReason::Predicate("it is empty".to_owned()))?;
        let ty = self.field_type(field, family);
        let ty = ty.map_err(|_| ElfReason::Predicate(format!("`{family}` events have no field `{field}`")))?;
        let named;
        let rest = match rest {
            [scope, test, names @ ..] if test == "is" => {
                named = self.enum_values(scope, ty, names).map_err(ElfReason::Predicate)?;
                named.as_slice()
            }
            rest => rest,
        };
        let field = FieldRef { name: field.clone(), ty };
        let mut predicate = strings::predicate(field, rest).map_err(ElfReason::Predicate)?;
        if let Test::Str { literals, .. } = &mut predicate.test {
            literals.sort();
            literals.dedup();
        }
        Ok(predicate)
    }

    /// The test `is` on values of an enumeration, as one on numbers.
    fn enum_values(&self, scope: &str, ty: FieldType, names: &[String]) -> Result<Vec<String>, String> {
        let (FieldType::Scalar(Scalar::Enum(id)) | FieldType::List(Scalar::Enum(id))) = ty else {
            return Err("`is` tests fields that are one of a list of names".to_owned());
        };
        let variants = self.catalogue.enums.get(usize::from(id.0)).map_or(&[][..], |of| of.variants.as_slice());
        let value = |name: &String| {
            let index = variants.iter().position(|variant| variant == name);
            index.map(|index| index.to_string()).ok_or_else(|| format!("`{name}` is none of {}", variants.join(", ")))
        };
        let values = names.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        Ok([scope.to_owned(), "int_eq".to_owned()].into_iter().chain(values).collect())
    }

    fn predicate_strings(&self, name: &str) -> Option<Vec<String>> {
        let mut found = self.file.symbols.iter().filter(|symbol| symbol.name == name && !symbol.is_section);
        let of_symbol = |symbol: &Symbol<'d>| {
            let Home::Section(index) = symbol.home else { return None };
            let section = self.file.sections.get(index).filter(|section| role(section) == Role::Predicates)?;
            strings::all(bytes_of(section, symbol)?)
        };
        found.find_map(of_symbol)
    }

    /// The programs of a file that we wrote.
    fn compiled_by_us(&mut self, section: &Section<'d>) -> Result<(), ElfError> {
        let metas: Vec<RuleMeta> = self.rules.iter().map(|rule| rule.meta.clone()).collect();
        let entries = table::read(section.data, &metas);
        let entries = entries.map_err(|reason| in_section(section.name, ElfReason::Table(reason)))?;
        for entry in entries {
            self.count(0)?;
            self.add_compiled(entry)?;
        }
        Ok(())
    }

    fn add_compiled(&mut self, entry: Entry) -> Result<(), ElfError> {
        let Entry { symbol, rule, mut object, maps } = entry;
        let function = self.functions.iter().find(|function| function.name == symbol).copied();
        let of_entry = |reason| {
            let place =
                Place { section: Some("trapline.objects".to_owned()), symbol: Some(symbol.clone()), offset: None };
            ElfError { place, reason }
        };
        let function = function.ok_or_else(|| of_entry(ElfReason::Table("there is no function of this name")))?;
        at_most("instruction slots of one program", function.len as usize, crate::program::CODE_LEN_MAX)?;
        self.slots = self.slots.saturating_add(function.len as usize);
        at_most("instruction slots of all programs", self.slots, SLOTS_TOTAL_MAX)?;
        let Some(section) = self.file.sections.get(function.section) else { return Ok(()) };
        at_most("maps of one program", maps.len(), crate::map::PROGRAM_MAPS_MAX)?;
        let maps = maps.into_iter().map(|map| self.compiled_map(map)).collect::<Result<Vec<_>, _>>();
        let maps = maps.map_err(of_entry)?;
        object.lines = self.lines.exactly(section.name, &function);
        object.code = function.code(self.file);
        for (offset, relocation) in function.relocations(section) {
            let slot = u32::try_from(offset / 8).unwrap_or(u32::MAX);
            let wrong = |reason| ElfError { place: function.place(self.file, slot), reason };
            if relocation.ty != R_BPF_64_64 {
                return Err(wrong(ElfReason::RelocationType(relocation.ty)));
            }
            let misplaced = || wrong(ElfReason::RelocationPlace(relocation.ty, "wide load"));
            let mut pair = object.code.get_mut(slot as usize..).unwrap_or_default().iter_mut();
            let (Some(first), Some(second)) = (pair.next(), pair.next()) else { return Err(misplaced()) };
            if first.opcode != WIDE_LOAD || !offset.is_multiple_of(8) || second.imm != 0 {
                return Err(misplaced());
            }
            let symbol = self.file.symbols.get(relocation.symbol).ok_or_else(|| wrong(ElfReason::NoSymbol))?;
            let at = symbol.value.checked_add(u64::from(first.imm.cast_unsigned()));
            let found = (0u32..).zip(&maps).find(|(_, map)| {
                Home::Section(map.section) == symbol.home && at.is_some_and(|at| at >= map.start && at < map.end)
            });
            let (index, map) = found.ok_or_else(|| wrong(ElfReason::NotAMap))?;
            if map.is_declared || first.src == MAP_BY_INDEX {
                (first.src, first.imm) = (MAP_BY_INDEX, index.cast_signed());
            } else {
                (first.src, first.imm) = (VALUE_BY_INDEX, index.cast_signed());
                let within = at.and_then(|at| i32::try_from(at - map.start).ok());
                second.imm = within.ok_or_else(|| wrong(ElfReason::NotAMap))?;
            }
        }
        object.maps = maps.into_iter().map(|map| map.decl).collect();
        if let Some(rule) = self.rules.get_mut(rule as usize) {
            rule.source.file.clone_from(&rule.meta.source);
            rule.programs.push(object);
        }
        Ok(())
    }

    fn compiled_map(&self, entry: MapEntry) -> Result<CompiledMap, ElfReason> {
        let no_map = ElfReason::Table("a map that no symbol of `.maps` or of data stands for");
        let is_map = |symbol: &&Symbol<'d>| {
            let home = match symbol.home {
                Home::Section(index) => self.file.sections.get(index),
                _ => None,
            };
            symbol.name == entry.symbol
                && !symbol.is_section
                && home.is_some_and(|home| matches!(role(home), Role::Maps | Role::Data))
        };
        let symbol = self.file.symbols.iter().find(is_map).ok_or(no_map.clone())?;
        let Home::Section(section) = symbol.home else { return Err(no_map) };
        let home = self.file.sections.get(section).ok_or(no_map.clone())?;
        let is_declared = role(home) == Role::Maps;
        let decl = if is_declared {
            let decl = flatten::declared(self.file, &self.types, section, symbol.value)?;
            MapDecl { name: entry.name, ..decl }
        } else {
            let is_constant = home.name.starts_with(".rodata");
            let contents = if home.is_zeroed { Some(&[][..]) } else { bytes_of(home, symbol) };
            MapDecl {
                name: entry.name,
                kind: if is_constant { MapKind::Data } else { MapKind::Array },
                key_len: 4,
                value_len: entry.value_len,
                entries: entry.entries,
                contents: contents.ok_or(no_map)?.to_vec(),
            }
        };
        let end = symbol.value.saturating_add(symbol.size);
        Ok(CompiledMap { decl, section, start: symbol.value, end, is_declared })
    }
}

/// A map of a compiled program and the bytes that stand for it.
struct CompiledMap {
    decl: MapDecl,
    section: usize,
    start: u64,
    end: u64,
    is_declared: bool,
}

/// The entries of an object by the names that C gives them.
#[derive(Default)]
struct Known<'d> {
    fields: HashMap<&'d str, u16>,
    predicates: HashMap<&'d str, u16>,
}

fn next_index<T>(items: &[T]) -> Result<u16, ElfReason> {
    let (what, count, max) = ("fields or predicates of one program", items.len() + 1, usize::from(u16::MAX));
    u16::try_from(items.len()).map_err(|_| ElfReason::TooMany { what, count, max })
}

fn bytes_of<'d>(section: &Section<'d>, symbol: &Symbol<'d>) -> Option<&'d [u8]> {
    let start = usize::try_from(symbol.value).ok()?;
    section.data.get(start..)?.get(..usize::try_from(symbol.size).ok()?)
}
