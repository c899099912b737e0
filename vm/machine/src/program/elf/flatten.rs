//! One program of a file: its function, behind it the functions that it calls, and what their wide loads name.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::isa::{Decoded, Instruction, Kind};
use crate::map::{MapDecl, MapKind, PROGRAM_MAPS_MAX, VALUE_LEN_MAX};
use crate::program::{CODE_LEN_MAX, Line};

use super::input::{File, Home, Relocation, Section, Symbol, at_most};
use super::lines::Lines;
use super::number::{self, MAP_RECORD_LEN};
use super::read::{Role, role};
use super::typed::Types;
use super::{ElfError, ElfReason, Place, SourceLines};

/// `R_BPF_64_64`: a wide load's 64 bits.
pub(super) const R_BPF_64_64: u32 = 1;
/// `R_BPF_64_32`: the distance of a local call.
pub(super) const R_BPF_64_32: u32 = 10;

/// Opcode of wide loads.
pub(super) const WIDE_LOAD: u8 = 0x18;
/// Opcode of calls.
const CALL: u8 = 0x85;
/// `src` of a local call.
const CALL_LOCAL: u8 = 1;
/// `src` of a wide load of a map by index, and of an address in its value: what the machine loads.
pub(super) const MAP_BY_INDEX: u8 = 5;
pub(super) const VALUE_BY_INDEX: u8 = 6;

/// A function of a code section, in slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'d> {
    pub(super) name: &'d str,
    pub(super) section: usize,
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) is_local: bool,
}

/// All functions, by section and first slot.
#[derive(Debug)]
pub(super) struct Functions<'d>(BTreeMap<(usize, u32), Function<'d>>);

impl<'d> Functions<'d> {
    pub(super) fn of(file: &File<'d>) -> Result<Self, ElfError> {
        let mut found: BTreeMap<(usize, u32), Function<'d>> = BTreeMap::new();
        for symbol in file.symbols.iter().filter(|symbol| symbol.is_function) {
            let Home::Section(index) = symbol.home else { continue };
            let Some(section) = file.sections.get(index).filter(|section| section.is_code) else { continue };
            let wrong = |reason| {
                let place = Place {
                    section: Some(section.name.to_owned()),
                    symbol: Some(symbol.name.to_owned()),
                    offset: Some(symbol.value),
                };
                Err(ElfError { place, reason })
            };
            let slots = |bytes: u64| bytes.is_multiple_of(8).then_some(bytes / 8).and_then(|n| u32::try_from(n).ok());
            let inside = symbol.value.checked_add(symbol.size).is_some_and(|end| end <= section.data.len() as u64);
            let (Some(start), Some(len), true) = (slots(symbol.value), slots(symbol.size), inside && symbol.size > 0)
            else {
                return wrong(ElfReason::Function);
            };
            let function = Function { name: symbol.name, section: index, start, len, is_local: symbol.is_local };
            let before = found.range(..=(index, start)).next_back().map(|(_, before)| *before);
            let after = found.range((index, start)..).next().map(|(_, after)| *after);
            let overlaps = |a: &Function<'_>, b: &Function<'_>| a.section == b.section && b.start < a.start + a.len;
            match (before, after) {
                (Some(before), _) if overlaps(&before, &function) => {
                    return wrong(ElfReason::Overlap(before.name.to_owned()));
                }
                (_, Some(after)) if overlaps(&function, &after) => {
                    return wrong(ElfReason::Overlap(after.name.to_owned()));
                }
                _ => found.insert((index, start), function),
            };
        }
        Ok(Self(found))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Function<'d>> {
        self.0.values()
    }

    fn at(&self, section: usize, start: u64) -> Option<&Function<'d>> {
        self.0.get(&(section, u32::try_from(start).ok()?))
    }
}

impl Function<'_> {
    /// A place in it, by slot.
    pub(super) fn place(&self, file: &File<'_>, slot: u32) -> Place {
        Place {
            section: file.sections.get(self.section).map(|section| section.name.to_owned()),
            symbol: Some(self.name.to_owned()),
            offset: Some((u64::from(self.start) + u64::from(slot)) * 8),
        }
    }

    /// Its instructions.
    pub(super) fn code(&self, file: &File<'_>) -> Vec<Instruction> {
        let data = file.sections.get(self.section).map_or(&[][..], |section| section.data);
        let (slots, _) = data.as_chunks();
        let slots = slots.get(self.start as usize..).and_then(|rest| rest.get(..self.len as usize));
        slots.unwrap_or_default().iter().map(|slot| Instruction::from_bytes(*slot)).collect()
    }

    /// Its relocations, by slot.
    pub(super) fn relocations<'f>(&self, section: &'f Section<'_>) -> impl Iterator<Item = (u64, Relocation)> + 'f {
        let (start, end) = (u64::from(self.start) * 8, (u64::from(self.start) + u64::from(self.len)) * 8);
        section.relocations.range(start..end).map(move |(offset, relocation)| (offset - start, *relocation))
    }
}

/// A number that only linking knows.
#[derive(Debug)]
pub(super) struct Constant<'d> {
    pub(super) pc: u32,
    pub(super) name: &'d str,
    pub(super) place: Place,
}

/// A program.
#[derive(Debug, Default)]
pub(super) struct Flat<'d> {
    pub(super) code: Vec<Instruction>,
    pub(super) lines: Vec<Line>,
    pub(super) maps: Vec<MapDecl>,
    pub(super) constants: Vec<Constant<'d>>,
    pub(super) source: SourceLines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum MapKey {
    /// A section of data.
    Data(usize),
    /// A record of `.maps`.
    Declared(usize, u64),
}

struct Flattener<'f, 'd> {
    file: &'f File<'d>,
    functions: &'f Functions<'d>,
    types: &'f Types<'d>,
    flat: Flat<'d>,
    maps: HashMap<MapKey, u32>,
    /// Where functions were put, by section and first slot.
    placed: HashMap<(usize, u32), u32>,
    queue: VecDeque<Function<'d>>,
    next_pc: usize,
}

/// Puts a function and all that it calls behind each other.
pub(super) fn flatten<'d>(
    file: &File<'d>,
    functions: &Functions<'d>,
    lines: &Lines<'d>,
    types: &Types<'d>,
    program: &Function<'d>,
) -> Result<Flat<'d>, ElfError> {
    let mut flattener = Flattener {
        file,
        functions,
        types,
        flat: Flat::default(),
        maps: HashMap::new(),
        placed: HashMap::new(),
        queue: VecDeque::new(),
        next_pc: 0,
    };
    flattener.pc_of(*program)?;
    while let Some(function) = flattener.queue.pop_front() {
        flattener.add(function, lines)?;
    }
    Ok(flattener.flat)
}

impl<'d> Flattener<'_, 'd> {
    /// Where a function is, or will be.
    fn pc_of(&mut self, function: Function<'d>) -> Result<u32, ElfError> {
        let key = (function.section, function.start);
        if let Some(pc) = self.placed.get(&key) {
            return Ok(*pc);
        }
        let pc = self.next_pc;
        self.next_pc += function.len as usize;
        if self.next_pc > CODE_LEN_MAX {
            let reason = ElfReason::TooMany { what: "instruction slots", count: self.next_pc, max: CODE_LEN_MAX };
            return Err(ElfError { place: function.place(self.file, 0), reason });
        }
        self.placed.insert(key, pc as u32);
        self.queue.push_back(function);
        Ok(pc as u32)
    }

    fn add(&mut self, function: Function<'d>, lines: &Lines<'d>) -> Result<(), ElfError> {
        let file = self.file;
        let Some(section) = file.sections.get(function.section) else { return Ok(()) };
        let base = self.flat.code.len() as u32;
        lines.add(section.name, &function, base, &mut self.flat);
        let mut code = function.code(file);
        let wrong = |slot: u64, reason| {
            Err(ElfError { place: function.place(file, u32::try_from(slot).unwrap_or(u32::MAX)), reason })
        };
        let mut relocations = BTreeMap::new();
        for (offset, relocation) in function.relocations(section) {
            let what = match relocation.ty {
                R_BPF_64_64 => (WIDE_LOAD, "wide load"),
                R_BPF_64_32 => (CALL, "call"),
                other => return wrong(offset / 8, ElfReason::RelocationType(other)),
            };
            let slot = offset / 8;
            let fits = code.get(slot as usize).is_some_and(|instruction| instruction.opcode == what.0);
            if !offset.is_multiple_of(8) || !fits {
                return wrong(slot, ElfReason::RelocationPlace(relocation.ty, what.1));
            }
            relocations.insert(slot as u32, relocation);
        }
        let mut slot = 0u32;
        while let Some(instruction) = code.get(slot as usize).copied() {
            let relocation = relocations.remove(&slot);
            let here = u64::from(slot);
            match (instruction.opcode, relocation) {
                (WIDE_LOAD, Some(relocation)) => {
                    let patched = self.wide_load(&function, slot, base + slot, &code, relocation)?;
                    if let Some((src, low, high)) = patched {
                        if let Some(first) = code.get_mut(slot as usize) {
                            (first.src, first.imm) = (src, low.cast_signed());
                        }
                        if let Some(second) = code.get_mut(slot as usize + 1) {
                            second.imm = high.cast_signed();
                        }
                    }
                }
                (CALL, relocation) if instruction.src == CALL_LOCAL || relocation.is_some() => {
                    let target = self.call_target(&function, slot, instruction, relocation)?;
                    let distance = i64::from(self.pc_of(target)?) - i64::from(base + slot) - 1;
                    if let Some(call) = code.get_mut(slot as usize) {
                        call.src = CALL_LOCAL;
                        call.imm = i32::try_from(distance).unwrap_or(i32::MAX);
                    }
                }
                _ => {
                    if let Some(Ok(decoded)) = Decoded::at(&code, slot as usize)
                        && decoded.kind() != Kind::CallLocal
                        && decoded.target(slot).is_some_and(|target| target < 0 || target >= i64::from(function.len))
                    {
                        return wrong(here, ElfReason::JumpOut);
                    }
                }
            }
            slot += if instruction.opcode == WIDE_LOAD { 2 } else { 1 };
        }
        if let Some((slot, relocation)) = relocations.pop_first() {
            // In the second slot of a wide load.
            return wrong(u64::from(slot), ElfReason::RelocationPlace(relocation.ty, "first slot"));
        }
        self.flat.code.extend(code);
        Ok(())
    }

    fn call_target(
        &self,
        function: &Function<'d>,
        slot: u32,
        call: Instruction,
        relocation: Option<Relocation>,
    ) -> Result<Function<'d>, ElfError> {
        let next = |from: i64| from.checked_add(i64::from(call.imm))?.checked_add(1);
        let (section, target, name) = match relocation {
            None => (function.section, next(i64::from(function.start) + i64::from(slot)), None),
            Some(relocation) => {
                let symbol = self.file.symbols.get(relocation.symbol);
                let named = symbol.map(|symbol| symbol.name);
                match symbol {
                    Some(Symbol { home: Home::Section(section), value, .. }) if value.is_multiple_of(8) => {
                        (*section, i64::try_from(*value / 8).ok().and_then(next), named)
                    }
                    Some(Symbol { home: Home::Undefined, .. }) => {
                        let place = Place { symbol: named.map(str::to_owned), ..function.place(self.file, slot) };
                        return Err(ElfError { place, reason: ElfReason::UndefinedFunction });
                    }
                    _ => (function.section, None, named),
                }
            }
        };
        let found = target.and_then(|target| u64::try_from(target).ok()).and_then(|at| self.functions.at(section, at));
        found.copied().ok_or_else(|| {
            let place = function.place(self.file, slot);
            let symbol = name.map_or(place.symbol, |name| Some(name.to_owned()));
            ElfError { place: Place { symbol, ..place }, reason: ElfReason::CallTarget }
        })
    }

    /// What a wide load becomes: `src` and the two halves; None if linking says.
    fn wide_load(
        &mut self,
        function: &Function<'d>,
        slot: u32,
        pc: u32,
        code: &[Instruction],
        relocation: Relocation,
    ) -> Result<Option<(u8, u32, u32)>, ElfError> {
        let place = || function.place(self.file, slot);
        let address = |reason| Err(ElfError { place: place(), reason: ElfReason::Address(reason) });
        let (first, second) = (code.get(slot as usize), code.get(slot as usize + 1));
        let (Some(first), Some(second)) = (first, second) else {
            return Err(ElfError { place: place(), reason: ElfReason::RelocationPlace(R_BPF_64_64, "wide load") });
        };
        if first.src != 0 || second.imm != 0 {
            return address("a relocated wide load must hold nothing but an offset");
        }
        let Some(symbol) = self.file.symbols.get(relocation.symbol).copied() else {
            return Err(ElfError { place: place(), reason: ElfReason::NoSymbol });
        };
        let of_symbol = || Place { symbol: Some(symbol.name.to_owned()), ..place() };
        let section = match symbol.home {
            Home::Undefined if first.imm != 0 || relocation.addend != 0 => {
                return address("an offset cannot be added to a number that linking knows");
            }
            Home::Undefined => {
                self.flat.constants.push(Constant { pc, name: symbol.name, place: of_symbol() });
                return Ok(None);
            }
            Home::Section(index) => index,
            Home::Other => {
                let reason = ElfReason::Address("common and absolute symbols have no place in a program");
                return Err(ElfError { place: of_symbol(), reason });
            }
        };
        let Some(home) = self.file.sections.get(section) else {
            return Err(ElfError { place: place(), reason: ElfReason::NoSymbol });
        };
        let in_home = |reason| {
            let place =
                Place { section: Some(home.name.to_owned()), symbol: Some(symbol.name.to_owned()), offset: None };
            ElfError { place, reason }
        };
        let offset = i128::from(symbol.value) + i128::from(first.imm.cast_unsigned()) + i128::from(relocation.addend);
        let (key, by) = match role(home) {
            Role::Maps => match u64::try_from(offset) {
                Ok(at) => (MapKey::Declared(section, at), MAP_BY_INDEX),
                Err(_) => return Err(in_home(ElfReason::NotAMap)),
            },
            Role::Data if offset < 0 || offset >= i128::from(home.len) => {
                return Err(in_home(ElfReason::OutsideData(u64::try_from(offset).unwrap_or(u64::MAX))));
            }
            Role::Data => (MapKey::Data(section), VALUE_BY_INDEX),
            Role::Rule(_) | Role::Raw | Role::Text => return address("addresses of functions are not supported"),
            Role::Predicates => return address("a predicate has no address: `tl_true` and `tl_known` test it"),
            Role::Other if home.name == "maps" => {
                return address("maps of a section `maps` are not read: declare them with `TL_MAP`, in `.maps`");
            }
            Role::Other => return address("programs have no access to this section"),
        };
        let index = match self.maps.get(&key) {
            Some(index) => *index,
            None => {
                let decl = match key {
                    MapKey::Declared(section, at) => declared(self.file, self.types, section, at),
                    MapKey::Data(_) => data(home),
                };
                let index = self.flat.maps.len() as u32;
                self.flat.maps.push(decl.map_err(in_home)?);
                at_most("maps of one program", self.flat.maps.len(), PROGRAM_MAPS_MAX)?;
                self.maps.insert(key, index);
                index
            }
        };
        let within = if by == VALUE_BY_INDEX { u32::try_from(offset).unwrap_or(u32::MAX) } else { 0 };
        Ok(Some((by, index, within)))
    }
}

/// The map that a symbol of `.maps` declares.
pub(super) fn declared(file: &File<'_>, types: &Types<'_>, section: usize, at: u64) -> Result<MapDecl, ElfReason> {
    let is_map = |symbol: &&Symbol<'_>| {
        symbol.home == Home::Section(section) && symbol.value == at && symbol.size > 0 && !symbol.is_section
    };
    let symbol = file.symbols.iter().find(is_map).ok_or(ElfReason::NotAMap)?;
    let data = file.sections.get(section).map_or(&[][..], |section| section.data);
    let len = usize::try_from(symbol.size).map_err(|_| ElfReason::NotAMap)?;
    let bytes = usize::try_from(at).ok().and_then(|at| data.get(at..)?.get(..len)).ok_or(ElfReason::NotAMap)?;
    // A record is never all zero: there is no kind 0.
    if bytes.iter().all(|byte| *byte == 0) {
        return types.map(symbol.name).map_err(ElfReason::TypedMap);
    }
    if len != MAP_RECORD_LEN {
        return Err(ElfReason::NotAMap);
    }
    number::map(symbol.name, bytes).map_err(ElfReason::Map)
}

/// A section of data as a map of one value.
fn data(section: &Section<'_>) -> Result<MapDecl, ElfReason> {
    let value_len = u32::try_from(section.len).ok().filter(|len| (1..=VALUE_LEN_MAX).contains(len));
    Ok(MapDecl {
        name: section.name.to_owned(),
        kind: if section.name.starts_with(".rodata") { MapKind::Data } else { MapKind::Array },
        key_len: 4,
        value_len: value_len.ok_or(ElfReason::Map("data of more bytes than a value may have"))?,
        entries: 1,
        contents: section.data.to_vec(),
    })
}
