//! The structural load: what must hold of a program before anything can run it.
//!
//! [`Loaded`] promises: every slot decodes or is the second half of a wide load; jumps and local calls lead to
//! instructions of the program; the last instruction does not fall off its end; helpers exist; declared lengths fit
//! the machine. It says nothing about what the program does with memory: that is the verifier's proof. The
//! interpreter is safe on any `Loaded`.

use crate::helper::HelperTable;
use crate::isa::{DecodeError, Decoded, Instruction, Kind, Pseudo, disassemble_at};
use crate::map::{MapError, MapKind, PROGRAM_MAPS_MAX, PlacedMap};
use crate::memory::Region;
use crate::record::{HEADER_LEN, RECORD_LEN_MAX};
use crate::trap::{Stop, TrapReport};

use super::{CODE_LEN_MAX, Program, ProgramKind};

/// A run of instructions that is entered only at its beginning and left only at its end. Fuel is charged by block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its first slot, the leader.
    pub start: u32,
    /// The slot after its last.
    pub end: u32,
    /// Instructions in it: what it costs. A wide load counts once.
    pub cost: u32,
}

/// A program that can be run: structurally sound, not proved.
#[derive(Clone, Debug)]
pub struct Loaded {
    program: Program,
    helpers: &'static HelperTable,
    /// By slot; None for the second half of a wide load.
    decoded: Vec<Option<Decoded>>,
    /// Ascending by start; together they cover the code.
    blocks: Vec<Block>,
}

/// Why a program cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", self.place())]
pub struct LoadError {
    /// The instruction slot at fault; None if it is the program as a whole.
    pub pc: Option<u32>,
    /// The source line it comes from, if known.
    pub line: Option<u32>,
    /// What is wrong.
    pub reason: LoadReason,
}

impl LoadError {
    fn place(&self) -> String {
        match (self.pc, self.line) {
            (Some(pc), Some(line)) => format!("pc {pc} (line {line}): "),
            (Some(pc), None) => format!("pc {pc}: "),
            (None, _) => String::new(),
        }
    }
}

/// What is wrong with a program that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadReason {
    /// There is no code.
    #[error("the program is empty")]
    Empty,
    /// There is too much of it.
    #[error("the program has {0} slots, at most {CODE_LEN_MAX} are allowed")]
    TooLong(usize),
    /// A slot is not an instruction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A jump or local call leads outside.
    #[error("target {0} is outside the program")]
    TargetOutside(i64),
    /// A jump or local call leads into the middle of an instruction.
    #[error("target {0} is the second half of a wide load")]
    TargetInsideWide(u32),
    /// The last instruction can be passed.
    #[error("the program can run off its end: the last instruction must be `exit` or an unconditional jump")]
    FallsOffEnd,
    /// No such helper.
    #[error("there is no helper {number} for {table} programs")]
    UnknownHelper {
        /// The number called.
        number: i64,
        /// The table of helpers in force.
        table: &'static str,
    },
    /// A wide load names a map that the program does not have.
    #[error("wide load of map {index}: the program has {maps} maps")]
    NoSuchMap {
        /// The index.
        index: u32,
        /// How many there are.
        maps: usize,
    },
    /// A wide load of an address in a map that has none at a fixed place, or outside it.
    #[error("wide load of the address at {offset} in a value of map {index}, which has no such place")]
    NoSuchValue {
        /// The index of the map.
        index: u32,
        /// The offset.
        offset: u32,
    },
    /// It declares too many maps.
    #[error("the program has {0} maps, at most {PROGRAM_MAPS_MAX} are allowed")]
    TooManyMaps(usize),
    /// There can be no such map.
    #[error("map `{map}`: {error}")]
    Map {
        /// Its name.
        map: String,
        /// Why.
        error: MapError,
    },
    /// A map lies where it cannot be.
    #[error("map `{0}` is placed where it cannot be")]
    MapPlace(String),
    /// A declared length that the machine does not have.
    #[error("the program declares {what} of {len} bytes, must be {min} to {max}")]
    Length {
        /// Of what.
        what: &'static str,
        /// What it declares.
        len: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
}

impl LoadReason {
    /// What would make the program loadable. Code may come from a compiler, but also from somebody's hands.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Empty => "write at least `mov r0, 0` and `exit`",
            Self::TooLong(_) => "make the program shorter, or divide it",
            Self::Decode(_) => "write an instruction of RFC 9669 with zeros in the fields that it does not use",
            Self::TargetOutside(_) => "jump to an instruction of the program, or to `exit`",
            Self::TargetInsideWide(_) => "a wide load takes two slots: count both where jumps lead over it",
            Self::FallsOffEnd => "end the program, and each of its functions, with `exit`",
            Self::UnknownHelper { .. } => "call a helper that programs of this kind have, by its number",
            Self::NoSuchMap { .. } => "declare the map, or name one of those that are declared: they count from 0",
            Self::NoSuchValue { .. } => "only the first value of an array is at a fixed place: name a byte of it",
            Self::TooManyMaps(_) => "put several values into one map, or divide the program",
            Self::Map { .. } => "change the declaration of the map",
            Self::MapPlace(_) => "place maps in the order in which they were declared, as `Placement` does",
            Self::Length { .. } => "declare a length within these bounds",
        }
    }
}

impl Loaded {
    /// Checks a program. All of its code must be sound, reachable or not.
    pub fn new(program: Program, helpers: &'static HelperTable) -> Result<Self, LoadError> {
        let whole = |reason| LoadError { pc: None, line: None, reason };
        let (what, len, min, max) = match &program.kind {
            ProgramKind::Rule(manifest) => ("a record", manifest.record_len, HEADER_LEN, RECORD_LEN_MAX),
            ProgramKind::Raw { memory_len } => ("a buffer", *memory_len, 0, Region::Buffer.capacity_max()),
        };
        if len < min || len > max {
            return Err(whole(LoadReason::Length { what, len, min, max }));
        }
        if program.code.is_empty() {
            return Err(whole(LoadReason::Empty));
        }
        if program.code.len() > CODE_LEN_MAX {
            return Err(whole(LoadReason::TooLong(program.code.len())));
        }
        check_maps(&program.maps).map_err(whole)?;
        let decoded = decode(&program)?;
        let leaders = leaders(&program, &decoded, helpers)?;
        let blocks = blocks(&decoded, &leaders);
        Ok(Self { program, helpers, decoded, blocks })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Instruction slots.
    pub fn code(&self) -> &[Instruction] {
        &self.program.code
    }

    /// Number of slots.
    pub fn len(&self) -> u32 {
        self.decoded.len() as u32
    }

    /// Never: an empty program does not load.
    pub fn is_empty(&self) -> bool {
        self.decoded.is_empty()
    }

    /// The instruction that begins at a slot; None inside a wide load and beyond the program.
    pub fn at(&self, pc: u32) -> Option<&Decoded> {
        self.decoded.get(pc as usize)?.as_ref()
    }

    /// All instructions with their slots.
    pub fn instructions(&self) -> impl Iterator<Item = (u32, &Decoded)> {
        (0..).zip(&self.decoded).filter_map(|(pc, decoded)| Some((pc, decoded.as_ref()?)))
    }

    /// The blocks, ascending.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The block that a slot lies in.
    pub fn block_of(&self, pc: u32) -> Option<&Block> {
        let after = self.blocks.partition_point(|block| block.start <= pc);
        self.blocks.get(after.checked_sub(1)?).filter(|block| pc < block.end)
    }

    /// The helpers it can call.
    pub fn helpers(&self) -> &'static HelperTable {
        self.helpers
    }

    /// A trap of this program for people.
    pub fn report(&self, stop: Stop, registers: [u64; 11]) -> TrapReport {
        TrapReport {
            trap: stop.trap,
            pc: stop.pc,
            instruction: disassemble_at(&self.program.code, stop.pc as usize),
            line: self.program.line_of(stop.pc),
            registers,
            program: self.program.name.clone(),
        }
    }
}

fn at(program: &Program, pc: usize, reason: LoadReason) -> LoadError {
    let pc = pc as u32;
    LoadError { pc: Some(pc), line: program.line_of(pc), reason }
}

fn decode(program: &Program) -> Result<Vec<Option<Decoded>>, LoadError> {
    let mut decoded = Vec::with_capacity(program.code.len());
    while let Some(instruction) = Decoded::at(&program.code, decoded.len()) {
        let instruction = instruction.map_err(|error| at(program, decoded.len(), error.into()))?;
        decoded.push(Some(instruction));
        if instruction.slots() == 2 {
            decoded.push(None);
        }
    }
    Ok(decoded)
}

/// Which slots begin a block.
fn leaders(program: &Program, decoded: &[Option<Decoded>], helpers: &HelperTable) -> Result<Vec<bool>, LoadError> {
    let mut leaders = vec![false; decoded.len()];
    let mut mark = |slot: usize| {
        if let Some(leader) = leaders.get_mut(slot) {
            *leader = true;
        }
    };
    mark(0);
    let mut falls_through = true;
    let mut last = 0;
    for (pc, instruction) in decoded.iter().enumerate() {
        let Some(instruction) = instruction else { continue };
        let kind = instruction.kind();
        if let Some(target) = instruction.target(pc as u32) {
            let slot = usize::try_from(target).ok().and_then(|slot| Some((slot, decoded.get(slot)?)));
            match slot {
                None => return Err(at(program, pc, LoadReason::TargetOutside(target))),
                Some((slot, None)) => return Err(at(program, pc, LoadReason::TargetInsideWide(slot as u32))),
                Some((slot, Some(_))) => mark(slot),
            }
        }
        if let Kind::LoadPseudo(pseudo) = kind {
            check_map(program, pseudo, instruction.imm).map_err(|reason| at(program, pc, reason))?;
        }
        if kind == Kind::CallHelper && u32::try_from(instruction.imm).ok().and_then(|n| helpers.get(n)).is_none() {
            let reason = LoadReason::UnknownHelper { number: instruction.imm, table: helpers.name };
            return Err(at(program, pc, reason));
        }
        let ends_block =
            matches!(kind, Kind::Jump | Kind::Branch(..) | Kind::CallLocal | Kind::CallHelper | Kind::Exit);
        if ends_block {
            mark(pc + 1);
        }
        falls_through = !matches!(kind, Kind::Jump | Kind::Exit);
        last = pc;
    }
    if falls_through {
        return Err(at(program, last, LoadReason::FallsOffEnd));
    }
    Ok(leaders)
}

/// Whether there can be such maps at such places. What else a memory holds is its own matter.
fn check_maps(maps: &[PlacedMap]) -> Result<(), LoadReason> {
    if maps.len() > PROGRAM_MAPS_MAX {
        return Err(LoadReason::TooManyMaps(maps.len()));
    }
    for map in maps {
        map.decl.check().map_err(|error| LoadReason::Map { map: map.decl.name.clone(), error })?;
        if !map.is_in_place() {
            return Err(LoadReason::MapPlace(map.decl.name.clone()));
        }
    }
    Ok(())
}

/// Whether the program has the map that a wide load names.
fn check_map(program: &Program, pseudo: Pseudo, imm: i64) -> Result<(), LoadReason> {
    let (index, offset) = map_operands(imm);
    let map = program.maps.get(index as usize).ok_or(LoadReason::NoSuchMap { index, maps: program.maps.len() })?;
    let fits = match pseudo {
        Pseudo::MapByIndex => offset == 0,
        // The kernel's meaning: the first value of an array.
        Pseudo::MapValueByIndex => {
            matches!(map.decl.kind, MapKind::Array | MapKind::Data) && offset < map.decl.value_len
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(LoadReason::NoSuchValue { index, offset }) }
}

/// The index and the offset that a wide load of a map (or of an address in its value) holds.
pub(crate) fn map_operands(imm: i64) -> (u32, u32) {
    (imm as u32, (imm.cast_unsigned() >> 32) as u32)
}

fn blocks(decoded: &[Option<Decoded>], leaders: &[bool]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (pc, (instruction, leader)) in (0..).zip(decoded.iter().zip(leaders)) {
        if *leader {
            blocks.push(Block { start: pc, end: pc, cost: 0 });
        }
        if let Some(block) = blocks.last_mut() {
            block.end = pc + 1;
            block.cost += u32::from(instruction.is_some());
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::{RAW_HELPERS, RULE_HELPERS};
    use crate::isa::assemble;
    use crate::map::{MapDecl, Placement};
    use crate::program::{FUEL_LIMIT_DEFAULT, Line, Manifest};

    fn raw(text: &str) -> Program {
        Program {
            name: "test".to_owned(),
            kind: ProgramKind::Raw { memory_len: 0 },
            code: assemble(text).unwrap().code,
            lines: vec![Line { pc: 1, line: 7 }],
            maps: Vec::new(),
            fuel_limit: FUEL_LIMIT_DEFAULT,
        }
    }

    fn error(text: &str) -> String {
        Loaded::new(raw(text), &RAW_HELPERS).unwrap_err().to_string()
    }

    #[test]
    fn refusals_name_place_and_reason() {
        let off = "the program can run off its end: the last instruction must be `exit` or an unconditional jump";
        assert_eq!(error(""), "the program is empty");
        assert_eq!(error("mov r0, 1"), format!("pc 0: {off}"));
        assert_eq!(error("exit\njeq r0, 1, -1"), format!("pc 1 (line 7): {off}"));
        assert_eq!(error("ja +1\nexit"), "pc 0: target 2 is outside the program");
        assert_eq!(error("ja -2\nexit"), "pc 0: target -1 is outside the program");
        assert_eq!(error("ja32 +2147483647\nexit"), "pc 0: target 2147483648 is outside the program");
        assert_eq!(error("ja +1\nlddw r0, 1\nexit"), "pc 0: target 2 is the second half of a wide load");
        assert_eq!(error("call local +1\nlddw r0, 1\nexit"), "pc 0: target 2 is the second half of a wide load");
        assert_eq!(error("call 6\nexit"), "pc 0: there is no helper 6 for raw programs");
        assert_eq!(error("call -1\nexit"), "pc 0: there is no helper -1 for raw programs");
        assert_eq!(error("exit\nmov r10, 1"), "pc 1 (line 7): `mov` writes r10, the frame pointer, which is read-only");
        assert_eq!(
            error("exit\n.slot 1800000000000000"),
            "pc 1 (line 7): `lddw` takes two slots and its second is missing"
        );
    }

    #[test]
    fn lengths_at_their_edges() {
        for (slots, good) in [(CODE_LEN_MAX - 1, true), (CODE_LEN_MAX, true), (CODE_LEN_MAX + 1, false)] {
            let mut program = raw("exit");
            program.code = vec![program.code[0]; slots];
            assert_eq!(Loaded::new(program, &RAW_HELPERS).is_ok(), good, "{slots}");
        }
        let max = Region::Buffer.capacity_max();
        for (memory_len, good) in [(max - 1, true), (max, true), (max + 1, false)] {
            let program = Program { kind: ProgramKind::Raw { memory_len }, ..raw("exit") };
            assert_eq!(Loaded::new(program, &RAW_HELPERS).is_ok(), good, "{memory_len}");
        }
        for (record_len, good) in
            [(HEADER_LEN - 1, false), (HEADER_LEN, true), (RECORD_LEN_MAX, true), (RECORD_LEN_MAX + 1, false)]
        {
            let kind = ProgramKind::Rule(Manifest { record_len, ..Manifest::default() });
            assert_eq!(Loaded::new(Program { kind, ..raw("exit") }, &RULE_HELPERS).is_ok(), good, "{record_len}");
        }
    }

    #[test]
    fn maps_are_few_and_sound_and_in_their_region() {
        let decl = MapDecl {
            name: "m".to_owned(),
            kind: MapKind::Array,
            key_len: 4,
            value_len: 8,
            entries: 1,
            contents: Vec::new(),
        };
        let with = |maps| Loaded::new(Program { maps, ..raw("exit") }, &RAW_HELPERS).map_err(|error| error.to_string());
        for (count, good) in [(PROGRAM_MAPS_MAX - 1, true), (PROGRAM_MAPS_MAX, true), (PROGRAM_MAPS_MAX + 1, false)] {
            let mut placement = Placement::default();
            let maps = (0..count).map(|_| placement.place(decl.clone()).unwrap()).collect();
            assert_eq!(with(maps).is_ok(), good, "{count}");
        }
        let placed = Placement::default().place(decl).unwrap();
        let mut long = placed.clone();
        long.decl.key_len = 5;
        assert_eq!(with(vec![long]).unwrap_err(), "map `m`: its key length is 5, must be 4 to 4");
        let max = Region::MapValues.capacity_max();
        for (base, region, good) in [
            (0, Region::MapValues, true),
            (max - 8, Region::MapValues, true),
            (max - 7, Region::MapValues, false),
            (max, Region::MapValues, false),
            (4, Region::MapValues, false),
            (0, Region::Constants, false),
            (0, Region::Stack, false),
        ] {
            assert_eq!(with(vec![PlacedMap { base, region, ..placed.clone() }]).is_ok(), good, "{base} {region:?}");
        }
    }

    #[test]
    fn blocks_are_cut_at_jumps_targets_calls_and_exits() {
        let text = "lddw r1, 5\nl: sub r1, 1\ncall 5\njne r1, 0, l\nmov r0, 0\nja done\nmov r0, 1\ndone: exit";
        let loaded = Loaded::new(raw(text), &RAW_HELPERS).unwrap();
        let cut: Vec<_> = loaded.blocks().iter().map(|block| (block.start, block.end, block.cost)).collect();
        assert_eq!(cut, [(0, 2, 1), (2, 4, 2), (4, 5, 1), (5, 7, 2), (7, 8, 1), (8, 9, 1)]);
        assert_eq!(loaded.block_of(3).unwrap().start, 2);
        assert_eq!(loaded.block_of(9), None);
        assert!(loaded.at(1).is_none());
        assert_eq!(loaded.instructions().count(), 8);
    }
}
