//! Text to instructions.
//!
//! The syntax is that of the bpf_conformance suite; the `%` before a register may be left out.
//!
//! ```text
//! # a comment, also after an instruction
//! start:                       a label, alone or before an instruction
//!     ldxw %r2, [%r1+4]        memory is [register], [register+offset] or [register-offset]
//!     jeq %r2, 0x10, start     a target is a label, or +n / -n slots from the next instruction
//!     lock fetch add [%r10-8], %r1
//!     call 5                   a helper
//!     call local start         a function of this program
//!     exit                     the label `exit`, unless defined, is the first of these
//!     .slot 9500000000000000   eight bytes as they are
//! ```

use std::collections::HashMap;

use super::table::{Kind, Role, Row, TABLE};
use super::{INSTRUCTION_LEN, Instruction, REGISTERS};

/// What is wrong with a line of assembly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct AssembleError {
    /// Line of the text, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: String,
}

/// Assembled code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    /// Instruction slots.
    pub code: Vec<Instruction>,
    /// The line of the text each slot comes from, from 1.
    pub lines: Vec<u32>,
}

/// Assembles a text; all errors at once.
///
/// ```
/// use trapline_vm::isa::{assemble, disassemble};
/// let assembly = assemble("mov r0, 42\nexit").unwrap();
/// assert_eq!(assembly.code[0].imm, 42);
/// assert_eq!(disassemble(&assembly.code), "mov %r0, 42\nexit\n");
/// ```
pub fn assemble(text: &str) -> Result<Assembly, Vec<AssembleError>> {
    let mut assembler = Assembler::default();
    for (line, content) in (1..).zip(text.lines()) {
        assembler.line = line;
        if let Err(message) = assembler.statement(content) {
            assembler.errors.push(AssembleError { line, message });
        }
    }
    assembler.finish()
}

/// What an operand is for.
#[derive(Clone, Copy)]
enum Place {
    Dst,
    Src,
    MemoryAtDst,
    MemoryAtSrc,
    Imm,
    Target,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Register,
    Memory,
    Number,
    Target,
}

impl Place {
    fn shape(self) -> Shape {
        match self {
            Self::Dst | Self::Src => Shape::Register,
            Self::MemoryAtDst | Self::MemoryAtSrc => Shape::Memory,
            Self::Imm => Shape::Number,
            Self::Target => Shape::Target,
        }
    }

    fn describe(self) -> &'static str {
        match self.shape() {
            Shape::Register => "a register",
            Shape::Memory => "memory like [%r1+4]",
            Shape::Number => "a number",
            Shape::Target => "a label or +n",
        }
    }
}

/// The operands of a row in the order in which they are written.
fn places(row: &Row) -> Vec<Place> {
    let is_register = |role: Role| matches!(role, Role::Read | Role::Write | Role::Update);
    let mut places = Vec::new();
    match row.kind {
        Kind::Load(..) => return vec![Place::Dst, Place::MemoryAtSrc],
        Kind::Store(..) | Kind::Atomic(..) => places.push(Place::MemoryAtDst),
        _ if is_register(row.dst) => places.push(Place::Dst),
        _ => {}
    }
    if is_register(row.src) {
        places.push(Place::Src);
    }
    if matches!(row.imm, Role::Value | Role::Wide) {
        places.push(Place::Imm);
    }
    if row.offset == Role::Target || row.imm == Role::Target {
        places.push(Place::Target);
    }
    places
}

#[derive(Clone, Debug)]
enum ParsedOperand<'a> {
    Register(u8),
    Memory(u8, i16),
    /// Value, and whether it was written in hexadecimal without a sign: then it may fill the unsigned range.
    Number(i128, bool),
    /// A number with an explicit sign: a number, or a target.
    Signed(i128, bool),
    Name(&'a str),
}

impl ParsedOperand<'_> {
    fn fits(&self, place: Place) -> bool {
        match self {
            Self::Register(_) => place.shape() == Shape::Register,
            Self::Memory(..) => place.shape() == Shape::Memory,
            Self::Number(..) => place.shape() == Shape::Number,
            Self::Signed(..) => matches!(place.shape(), Shape::Number | Shape::Target),
            Self::Name(_) => place.shape() == Shape::Target,
        }
    }
}

#[derive(Default)]
struct Assembler<'a> {
    code: Vec<Instruction>,
    lines: Vec<u32>,
    line: u32,
    labels: HashMap<&'a str, usize>,
    /// Slot, label, line and whether the displacement goes to the immediate.
    fixups: Vec<(usize, &'a str, u32, bool)>,
    first_exit: Option<usize>,
    errors: Vec<AssembleError>,
}

impl<'a> Assembler<'a> {
    fn statement(&mut self, content: &'a str) -> Result<(), String> {
        let mut rest = content.split('#').next().unwrap_or_default().trim();
        while let Some((label, after)) = rest.split_once(':') {
            let label = label.trim_end();
            if !is_name(label) {
                return Err(format!("`{label}` is not a label: letters, digits, `_` and `.`, no digit first"));
            }
            if self.labels.insert(label, self.code.len()).is_some() {
                return Err(format!("label `{label}` is defined twice"));
            }
            rest = after.trim_start();
        }
        if rest.is_empty() {
            return Ok(());
        }
        if let Some(hex) = rest.strip_prefix(".slot") {
            let slot = parse_slot(hex.trim()).ok_or_else(|| format!("`{rest}`: .slot takes 16 hexadecimal digits"))?;
            self.push(slot);
            return Ok(());
        }
        let (mnemonic, operands) = split_mnemonic(rest)?;
        let operands: Vec<&str> =
            if operands.is_empty() { Vec::new() } else { operands.split(',').map(str::trim).collect() };
        let parsed = operands.iter().map(|text| parse_operand(text)).collect::<Result<Vec<_>, _>>()?;
        let mnemonic = match (mnemonic, parsed.as_slice()) {
            ("call", [ParsedOperand::Register(_)]) => "callx",
            (mnemonic, _) => mnemonic,
        };
        let row = choose_row(mnemonic, &operands, &parsed)?;
        self.instruction(row, &parsed)
    }

    fn instruction(&mut self, row: &'static Row, operands: &[ParsedOperand<'a>]) -> Result<(), String> {
        let fixed = |role: Role| if let Role::Fixed(value) = role { value } else { 0 };
        let mut slot = Instruction {
            opcode: row.opcode,
            dst: fixed(row.dst) as u8,
            src: fixed(row.src) as u8,
            offset: fixed(row.offset) as i16,
            imm: fixed(row.imm),
        };
        let mut high = 0;
        let to_imm = row.imm == Role::Target;
        for (place, operand) in places(row).into_iter().zip(operands) {
            match (place, operand) {
                (Place::Dst, ParsedOperand::Register(register)) => slot.dst = *register,
                (Place::Src, ParsedOperand::Register(register)) => slot.src = *register,
                (Place::MemoryAtDst, ParsedOperand::Memory(register, offset)) => {
                    (slot.dst, slot.offset) = (*register, *offset);
                }
                (Place::MemoryAtSrc, ParsedOperand::Memory(register, offset)) => {
                    (slot.src, slot.offset) = (*register, *offset);
                }
                (Place::Imm, ParsedOperand::Number(value, hex) | ParsedOperand::Signed(value, hex)) => {
                    if row.imm == Role::Wide {
                        let bits = wide(*value)?;
                        (slot.imm, high) = (bits as i32, (bits >> 32) as i32);
                    } else {
                        slot.imm = immediate(*value, *hex)?;
                    }
                }
                (Place::Target, ParsedOperand::Signed(value, _)) => {
                    let distance = i64::try_from(*value).unwrap_or(i64::MAX);
                    set_target(&mut slot, to_imm, distance)?;
                }
                (Place::Target, ParsedOperand::Name(name)) => {
                    self.fixups.push((self.code.len(), name, self.line, to_imm));
                }
                (place, _) => return Err(format!("`{}` needs {} here", row.mnemonic, place.describe())),
            }
        }
        if row.kind == Kind::Exit && self.first_exit.is_none() {
            self.first_exit = Some(self.code.len());
        }
        self.push(slot);
        if row.slots() == 2 {
            self.push(Instruction { imm: high, ..Instruction::default() });
        }
        Ok(())
    }

    fn push(&mut self, slot: Instruction) {
        self.code.push(slot);
        self.lines.push(self.line);
    }

    fn finish(mut self) -> Result<Assembly, Vec<AssembleError>> {
        for (pc, label, line, to_imm) in self.fixups {
            let exit = self.first_exit.filter(|_| label == "exit");
            let placed = match (self.labels.get(label).copied().or(exit), self.code.get_mut(pc)) {
                (Some(target), Some(slot)) => set_target(slot, to_imm, target as i64 - (pc as i64 + 1)),
                _ => Err(format!("label `{label}` is not defined")),
            };
            if let Err(message) = placed {
                self.errors.push(AssembleError { line, message });
            }
        }
        self.errors.sort_by_key(|error| error.line);
        if self.errors.is_empty() { Ok(Assembly { code: self.code, lines: self.lines }) } else { Err(self.errors) }
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '.')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

fn parse_slot(hex: &str) -> Option<Instruction> {
    if hex.len() != 2 * INSTRUCTION_LEN || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(Instruction::from_bytes(u64::from_str_radix(hex, 16).ok()?.to_be_bytes()))
}

/// The longest mnemonic that the statement begins with, in words, and the rest.
fn split_mnemonic(statement: &str) -> Result<(&'static str, &str), String> {
    let mut found = None;
    let mut rest = statement;
    let mut words = String::new();
    for _ in 0..3 {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        rest = after.trim_start();
        if let Some(row) = TABLE.iter().find(|row| row.mnemonic == words) {
            found = Some((row.mnemonic, rest));
        }
    }
    found.ok_or_else(|| format!("unknown mnemonic `{}`", statement.split_whitespace().next().unwrap_or_default()))
}

fn choose_row(mnemonic: &str, texts: &[&str], operands: &[ParsedOperand<'_>]) -> Result<&'static Row, String> {
    let mut complaint = None;
    for row in TABLE.iter().filter(|row| row.mnemonic == mnemonic) {
        let places = places(row);
        if places.len() != operands.len() {
            complaint = Some(format!("`{mnemonic}` takes {} operands, found {}", places.len(), operands.len()));
            continue;
        }
        let misfit = (0..).zip(places.iter().zip(operands)).find(|(_, (place, operand))| !operand.fits(**place));
        match misfit {
            None => return Ok(row),
            Some((index, (place, _))) => {
                let text: &str = texts.get(index).copied().unwrap_or_default();
                complaint =
                    Some(format!("operand {} of `{mnemonic}` must be {}, found `{text}`", index + 1, place.describe()));
            }
        }
    }
    Err(complaint.unwrap_or_else(|| format!("unknown mnemonic `{mnemonic}`")))
}

fn parse_operand(text: &str) -> Result<ParsedOperand<'_>, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(|| format!("`{text}` lacks its `]`"))?.trim();
        let split = inner.find(['+', '-']).unwrap_or(inner.len());
        let (base, displacement) = inner.split_at(split);
        let base = parse_register(base.trim())?.ok_or_else(|| format!("`{base}` is not a register"))?;
        let offset = if displacement.is_empty() {
            0
        } else {
            let (value, _) = parse_number(displacement).ok_or_else(|| format!("`{displacement}` is not an offset"))?;
            i16::try_from(value).map_err(|_| format!("offset {value} is outside -32768 to 32767"))?
        };
        return Ok(ParsedOperand::Memory(base, offset));
    }
    if let Some(register) = parse_register(text)? {
        return Ok(ParsedOperand::Register(register));
    }
    if let Some((value, hex)) = parse_number(text) {
        let signed = text.starts_with(['+', '-']);
        return Ok(if signed { ParsedOperand::Signed(value, hex) } else { ParsedOperand::Number(value, hex) });
    }
    if is_name(text) {
        return Ok(ParsedOperand::Name(text));
    }
    Err(format!("`{text}` is not an operand"))
}

/// A register; None if the text is not of a register's form.
fn parse_register(text: &str) -> Result<Option<u8>, String> {
    let (name, marked) = text.strip_prefix('%').map_or((text, false), |name| (name, true));
    let digits = name.strip_prefix('r').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    match digits {
        None if marked => Err(format!("`{text}` is not a register")),
        None => Ok(None),
        Some(digits) => match digits.parse() {
            Ok(number) if number < REGISTERS => Ok(Some(number)),
            _ => Err(format!("there is no register `{text}`, only r0 to r10")),
        },
    }
}

/// A number, and whether it is a hexadecimal without sign. Numbers beyond 64 bits are returned too, to be refused
/// with a better message.
fn parse_number(text: &str) -> Option<(i128, bool)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.trim_start();
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = hex.map_or((10, digits), |digits| (16, digits));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    // A number too large for 128 bits is as far out of range as the largest one.
    let magnitude = i128::from_str_radix(digits, radix).unwrap_or(i128::MAX);
    Some((if negative { -magnitude } else { magnitude }, radix == 16 && !negative))
}

/// A 32-bit immediate: decimal numbers are signed, hexadecimal ones may fill all 32 bits.
fn immediate(value: i128, hex: bool) -> Result<i32, String> {
    let unsigned = u32::try_from(value).ok().filter(|_| hex).map(u32::cast_signed);
    let range = "immediate is outside 32 bits: -2147483648 to 2147483647, or to 0xffffffff in hexadecimal";
    i32::try_from(value).ok().or(unsigned).ok_or_else(|| format!("{value}: {range}"))
}

fn wide(value: i128) -> Result<u64, String> {
    let signed = i64::try_from(value).ok().map(i64::cast_unsigned);
    signed.or(u64::try_from(value).ok()).ok_or_else(|| format!("{value}: constant is outside 64 bits"))
}

fn set_target(slot: &mut Instruction, to_imm: bool, distance: i64) -> Result<(), String> {
    let placed = if to_imm {
        i32::try_from(distance).map(|distance| slot.imm = distance)
    } else {
        i16::try_from(distance).map(|distance| slot.offset = distance)
    };
    let range = if to_imm { "a 32-bit displacement" } else { "a 16-bit displacement; use ja32" };
    placed.map_err(|_| format!("target is {distance} slots away, beyond {range}"))
}

pub(super) mod syntax {
    //! Writes operands as the assembler reads them.

    use super::{Place, places};
    use crate::isa::Instruction;
    use crate::isa::table::{Role, Row};

    /// The text of a slot that decodes to this row.
    pub(in crate::isa) fn write(row: &Row, slot: Instruction, high: i32) -> String {
        let mut text = row.mnemonic.to_owned();
        let memory = |register: u8| match slot.offset {
            0 => format!("[%r{register}]"),
            offset => format!("[%r{register}{offset:+}]"),
        };
        for (index, place) in places(row).into_iter().enumerate() {
            text.push_str(if index == 0 { " " } else { ", " });
            let operand = match place {
                Place::Dst => format!("%r{}", slot.dst),
                Place::Src => format!("%r{}", slot.src),
                Place::MemoryAtDst => memory(slot.dst),
                Place::MemoryAtSrc => memory(slot.src),
                Place::Imm if row.imm == Role::Wide => {
                    let bits = u64::from(high.cast_unsigned()) << 32 | u64::from(slot.imm.cast_unsigned());
                    format!("{bits:#x}")
                }
                Place::Imm => slot.imm.to_string(),
                Place::Target if row.imm == Role::Target => format!("{:+}", slot.imm),
                Place::Target => format!("{:+}", slot.offset),
            };
            text.push_str(&operand);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(text: &str, want: &str) {
        let errors = assemble(text).unwrap_err();
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), want, "{text}");
    }

    fn check(text: &str, want: &[[u8; 8]]) {
        let got: Vec<_> = assemble(text).unwrap().code.iter().map(|slot| slot.to_bytes()).collect();
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn operand_forms() {
        check("mov %r0, 1", &[[0xb7, 0, 0, 0, 1, 0, 0, 0]]);
        check("mov r0, r10", &[[0xbf, 0xa0, 0, 0, 0, 0, 0, 0]]);
        check("ldxw %r2, [%r1+4]", &[[0x61, 0x12, 4, 0, 0, 0, 0, 0]]);
        check("ldxw r2, [r1 - 0x4]", &[[0x61, 0x12, 0xfc, 0xff, 0, 0, 0, 0]]);
        check("ldxsb %r2, [%r1]", &[[0x91, 0x12, 0, 0, 0, 0, 0, 0]]);
        check("stdw [%r10-8], -1", &[[0x7a, 0x0a, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff]]);
        check("stxdw [%r10-8], %r1", &[[0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0]]);
        check("lock fetch add [%r10-8], %r1", &[[0xdb, 0x1a, 0xf8, 0xff, 1, 0, 0, 0]]);
        check("lock cmpxchg32 [%r10-8], %r1", &[[0xc3, 0x1a, 0xf8, 0xff, 0xf1, 0, 0, 0]]);
        check("call 5", &[[0x85, 0, 0, 0, 5, 0, 0, 0]]);
        check("call %r2", &[[0x8d, 0x02, 0, 0, 0, 0, 0, 0]]);
        check(
            "lddw %r0, 0x1122334455667788",
            &[[0x18, 0, 0, 0, 0x88, 0x77, 0x66, 0x55], [0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11]],
        );
        check("lddw %r0, -1", &[[0x18, 0, 0, 0, 255, 255, 255, 255], [0, 0, 0, 0, 255, 255, 255, 255]]);
        check(".slot 9500000000000001", &[[0x95, 0, 0, 0, 0, 0, 0, 1]]);
    }

    #[test]
    fn labels() {
        check("jeq %r2, 3, l\nl: exit", &[[0x15, 2, 0, 0, 3, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]]);
        check(
            "ja exit\nexit\nexit",
            &[[5, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]],
        );
        check("ja32 -1", &[[6, 0, 0, 0, 255, 255, 255, 255]]);
        check("l: call local l # again", &[[0x85, 0x10, 0, 0, 255, 255, 255, 255]]);
        let assembly = assemble("\nlddw r1, 1 # wide\n\nexit").unwrap();
        assert_eq!(assembly.lines, [2, 2, 4]);
    }

    #[test]
    fn errors_say_line_and_reason() {
        check_error("exit\nfrob r1, 2", "line 2: unknown mnemonic `frob`");
        check_error("mov r11, 2", "line 1: there is no register `r11`, only r0 to r10");
        check_error("lddw %r0", "line 1: `lddw` takes 2 operands, found 1");
        check_error("ldxb %r0, %r1", "line 1: operand 2 of `ldxb` must be memory like [%r1+4], found `%r1`");
        check_error(
            "ja nowhere\nja nohow",
            "line 1: label `nowhere` is not defined\nline 2: label `nohow` is not defined",
        );
        check_error("a:\na: exit", "line 2: label `a` is defined twice");
        check_error("9a: exit", "line 1: `9a` is not a label: letters, digits, `_` and `.`, no digit first");
        check_error("ldxb r0, [r1+32768]", "line 1: offset 32768 is outside -32768 to 32767");
        check_error("mov r0, 1 2", "line 1: `1 2` is not an operand");
        check_error(".slot 95", "line 1: `.slot 95`: .slot takes 16 hexadecimal digits");
    }

    #[test]
    fn ranges_at_their_edges() {
        let accepts = |text: &str| assemble(text).is_ok();
        for (text, good) in [
            ("mov r0, 2147483647", true),
            ("mov r0, 2147483648", false),
            ("mov r0, -2147483648", true),
            ("mov r0, -2147483649", false),
            ("mov r0, 0xffffffff", true),
            ("mov r0, 0x100000000", false),
            ("mov r0, -0x80000000", true),
            ("mov r0, -0x80000001", false),
            ("lddw r0, 18446744073709551615", true),
            ("lddw r0, 18446744073709551616", false),
            ("lddw r0, -9223372036854775808", true),
            ("lddw r0, -9223372036854775809", false),
            ("ldxb r0, [r1+32767]", true),
            ("ldxb r0, [r1-32768]", true),
            ("ldxb r0, [r1-32769]", false),
            ("ja +32767", true),
            ("ja +32768", false),
            ("ja32 +32768", true),
            ("mov r0, 99999999999999999999999999999999999999999999999", false),
        ] {
            assert_eq!(accepts(text), good, "{text}");
        }
        let far = |slots: usize| format!("ja l\n{}l: exit", "exit\n".repeat(slots));
        assert!(assemble(&far(32767)).is_ok());
        assert_eq!(
            assemble(&far(32768)).unwrap_err()[0].message,
            "target is 32768 slots away, beyond a 16-bit displacement; use ja32"
        );
    }
}
