//! The instruction table against RFC 9669, for every opcode and every value of every field that can matter.
//!
//! What the RFC allows is written down here a second time, by the structure of its opcodes (class, mode, size, source
//! bit, code) and not by rows, so that a row that is missing, or too generous, or that checks the wrong field, differs.

use trapline_vm::isa::{DecodeError, Decoded, FieldName, Group, Instruction, TABLE, assemble, disassemble, rows_of};

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    /// Anything (a register: `r0` to `r10`).
    Any,
    /// A register that the instruction writes: `r0` to `r9`.
    Written,
    /// Unused: zero.
    Zero,
    /// One of these, which tell operations apart.
    OneOf(&'static [i32]),
}

use Field::{Any, OneOf, Written, Zero};

impl Field {
    fn takes(self, value: i32) -> bool {
        match self {
            Any | Written => true,
            Zero => value == 0,
            OneOf(values) => values.contains(&value),
        }
    }

    fn a_value(self) -> i32 {
        if let OneOf(values) = self { values[0] } else { 0 }
    }
}

/// The fields of an opcode: dst, src, offset, imm.
type Fields = [Field; 4];

const NAMES: [FieldName; 4] = [FieldName::Dst, FieldName::Src, FieldName::Offset, FieldName::Imm];

/// RFC 9669, sections 4 and 5; `callx` (0x8d) and legacy packet access as Linux and the conformance suite have them.
fn rfc(opcode: u8) -> Option<Fields> {
    let (class, by_register) = (opcode & 7, opcode & 8 != 0);
    let (mode, size) = (opcode & 0xe0, opcode & 0x18);
    match class {
        0 if opcode == 0x18 => Some([Written, OneOf(&[0, 1, 2, 3, 4, 5, 6]), Zero, Any]),
        0 if mode == 0x20 && size != 0x18 => Some([Zero, Zero, Zero, Any]),
        0 if mode == 0x40 && size != 0x18 => Some([Zero, Any, Zero, Any]),
        1 if mode == 0x60 || mode == 0x80 && size != 0x18 => Some([Written, Any, Any, Zero]),
        2 if mode == 0x60 => Some([Any, Zero, Any, Any]),
        3 if mode == 0x60 => Some([Any, Any, Any, Zero]),
        3 if mode == 0xc0 && (size == 0 || size == 0x18) => {
            Some([Any, Any, Any, OneOf(&[0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1])])
        }
        4 | 7 => arithmetic(opcode >> 4, by_register, class == 7),
        5 | 6 => jump(opcode >> 4, by_register, class == 6),
        _ => None,
    }
}

fn arithmetic(code: u8, by_register: bool, wide: bool) -> Option<Fields> {
    let (src, imm) = if by_register { (Any, Zero) } else { (Zero, Any) };
    match code {
        0x0..=0x2 | 0x4..=0x7 | 0xa | 0xc => Some([Written, src, Zero, imm]),
        // By the offset: unsigned, signed.
        0x3 | 0x9 => Some([Written, src, OneOf(&[0, 1]), imm]),
        0x8 if !by_register => Some([Written, Zero, Zero, Zero]),
        // By the offset: a move, or one with sign extension from as many bits.
        0xb if by_register => Some([Written, Any, OneOf(if wide { &[0, 8, 16, 32] } else { &[0, 8, 16] }), Zero]),
        0xb => Some([Written, Zero, Zero, Any]),
        // The source bit says to which byte order; the 64-bit class swaps unconditionally and reserves it.
        0xd if !(wide && by_register) => Some([Written, Zero, Zero, OneOf(&[16, 32, 64])]),
        _ => None,
    }
}

fn jump(code: u8, by_register: bool, narrow: bool) -> Option<Fields> {
    let (src, imm) = if by_register { (Any, Zero) } else { (Zero, Any) };
    match code {
        0x0 if by_register => None,
        0x0 if narrow => Some([Zero, Zero, Zero, Any]),
        0x0 => Some([Zero, Zero, Any, Zero]),
        0x8 | 0x9 if narrow => None,
        0x8 if by_register => Some([Any, Zero, Zero, Zero]),
        0x8 => Some([Zero, OneOf(&[0, 1, 2]), Zero, Any]),
        0x9 if by_register => None,
        0x9 => Some([Zero, Zero, Zero, Zero]),
        0x1..=0x7 | 0xa..=0xd => Some([Any, src, Any, imm]),
        _ => None,
    }
}

/// Why an instruction with sound fields is refused all the same: a part of the message.
fn refused(slot: Instruction) -> Option<&'static str> {
    match slot.opcode {
        0x18 => match slot.src {
            1 => Some("a map by file descriptor"),
            2 => Some("a map value by file descriptor"),
            3 => Some("the address of a variable"),
            4 => Some("the address of code"),
            _ => None,
        },
        0x20 => Some("`ldabsw`: legacy packet access"),
        0x28 => Some("`ldabsh`: legacy packet access"),
        0x30 => Some("`ldabsb`: legacy packet access"),
        0x40 => Some("`ldindw`: legacy packet access"),
        0x48 => Some("`ldindh`: legacy packet access"),
        0x50 => Some("`ldindb`: legacy packet access"),
        0x85 if slot.src == 2 => Some("`call btf`: kernel functions"),
        0x8d => Some("`callx`: calls through registers"),
        _ => None,
    }
}

/// Whether the atomic operation gives the old value to its source register.
fn writes_src(slot: Instruction) -> bool {
    matches!(slot.opcode, 0xc3 | 0xdb) && slot.imm & 1 == 1 && slot.imm != 0xf1
}

/// Holds what decoding says of a slot against what the RFC says.
fn check(slot: Instruction) {
    let values = [i32::from(slot.dst), i32::from(slot.src), i32::from(slot.offset), slot.imm];
    let got = Decoded::from_slots(slot, Some(Instruction::default()));
    let Some(fields) = rfc(slot.opcode) else {
        assert_eq!(got, Err(DecodeError::UnknownOpcode(slot.opcode)));
        return;
    };
    let wrong: Vec<usize> = (0..4).filter(|field| !fields[*field].takes(values[*field])).collect();
    let named = |field: FieldName| NAMES.iter().position(|name| *name == field).expect("four fields");
    let high: Vec<usize> =
        (0..2).filter(|field| matches!(fields[*field], Any | Written) && values[*field] > 10).collect();
    match got {
        Ok(decoded) => {
            assert!(wrong.is_empty() && high.is_empty() && refused(slot).is_none(), "{slot:?} decodes");
            let writes_frame = fields[0] == Written && slot.dst == 10 || writes_src(slot) && slot.src == 10;
            assert!(!writes_frame, "{slot:?} writes r10");
            assert_eq!(decoded.encode().0, slot);
        }
        Err(DecodeError::Reserved { field, value, .. }) => {
            assert!(wrong.contains(&named(field)), "{slot:?}: {field} is blamed, not {wrong:?}");
            assert!(fields[named(field)] == Zero && values[named(field)] == value, "{slot:?}: {field} {value}");
        }
        Err(DecodeError::UnknownOperation { opcode, field, value }) => {
            assert_eq!(opcode, slot.opcode);
            assert!(wrong.contains(&named(field)), "{slot:?}: {field} is blamed, not {wrong:?}");
            assert!(matches!(fields[named(field)], OneOf(_)) && values[named(field)] == value, "{slot:?}: {field}");
        }
        Err(DecodeError::Register { field, value, .. }) => {
            assert!(wrong.is_empty() && high.contains(&named(field)), "{slot:?}: {field}");
            assert_eq!(values[named(field)], i32::from(value));
        }
        Err(DecodeError::FramePointer { .. }) => {
            let writes_frame = fields[0] == Written && slot.dst == 10 || writes_src(slot) && slot.src == 10;
            assert!(wrong.is_empty() && writes_frame, "{slot:?} does not write r10");
        }
        Err(error @ (DecodeError::Refused { .. } | DecodeError::Unresolved { .. })) => {
            let form = refused(slot).unwrap_or_else(|| panic!("{slot:?}: {error}"));
            assert!(wrong.is_empty() && error.to_string().contains(form), "{slot:?}: {error}");
        }
        Err(error) => panic!("{slot:?}: {error}"),
    }
}

const OFFSETS: [i16; 11] = [0, 1, 2, 7, 8, 16, 32, 33, -1, i16::MIN, i16::MAX];
const IMMS: [i32; 20] = [0, 1, 2, 3, 5, 8, 15, 16, 32, 33, 64, 0x40, 0x41, 0x50, 0x51, 0xa1, 0xe1, 0xf1, -1, i32::MIN];

#[test]
fn every_opcode_takes_the_fields_that_the_rfc_gives_it_and_no_others() {
    for opcode in 0..=255 {
        for registers in 0..=255 {
            for offset in OFFSETS {
                for imm in IMMS {
                    check(Instruction { opcode, dst: registers & 15, src: registers >> 4, offset, imm });
                }
            }
        }
    }
}

/// One wrong field at a time, all 65 536 offsets and the immediates of a byte: nothing slips between the samples.
#[test]
fn every_reserved_field_is_named_whatever_it_holds() {
    let mut reserved = 0;
    for opcode in 0..=255 {
        let Some(fields) = rfc(opcode) else { continue };
        let good = Instruction {
            opcode,
            dst: fields[0].a_value() as u8,
            src: fields[1].a_value() as u8,
            offset: fields[2].a_value() as i16,
            imm: fields[3].a_value(),
        };
        for offset in i16::MIN..=i16::MAX {
            check(Instruction { offset, ..good });
        }
        for imm in (0..32).map(|bit| 1 << bit).chain(-256..=256) {
            check(Instruction { imm, ..good });
        }
        for (index, field) in fields.into_iter().enumerate().filter(|(_, field)| *field == Zero) {
            let mut bad = good;
            match index {
                0 => bad.dst = 1,
                1 => bad.src = 1,
                2 => bad.offset = 1,
                _ => bad.imm = 1,
            }
            let message = Decoded::from_slots(bad, Some(Instruction::default())).unwrap_err().to_string();
            assert!(message.starts_with(&format!("reserved field {} of `", NAMES[index])), "{bad:?}: {message}");
            assert!(message.ends_with("is 0x1, must be 0"), "{field:?}: {message}");
            reserved += 1;
        }
    }
    assert!(reserved >= 188, "only {reserved} reserved fields");
}

#[test]
fn the_second_slot_of_a_wide_load_holds_nothing_but_its_half() {
    let first = Instruction { opcode: 0x18, dst: 1, ..Instruction::default() };
    let half = Instruction { imm: -7, ..Instruction::default() };
    assert_eq!(Decoded::from_slots(first, Some(half)).map(|decoded| decoded.imm), Ok(-7 << 32));
    let named = |next: Instruction| Decoded::from_slots(first, Some(next)).unwrap_err().to_string();
    for value in 1..=15 {
        assert!(named(Instruction { dst: value, ..half }).contains("has dst "));
        assert!(named(Instruction { src: value, ..half }).contains("has src "));
        assert!(named(Instruction { offset: value.into(), ..half }).contains("has offset "));
        assert!(named(Instruction { opcode: value, ..half }).contains("has opcode "));
    }
    assert!(Decoded::from_slots(first, None).unwrap_err().to_string().contains("its second is missing"));
}

/// Every allowed combination, as text and back.
#[test]
fn what_is_allowed_round_trips_through_text() {
    let mut count = 0;
    for opcode in 0..=255 {
        let Some(fields) = rfc(opcode) else { continue };
        for registers in (0..=255).filter(|registers| registers & 15 <= 10 && registers >> 4 <= 10) {
            for offset in [0, 1, 8, 16, 32, -1, i16::MIN, i16::MAX] {
                for imm in [0, 1, 16, 32, 64, 0x41, 0xf1, -1, i32::MIN, i32::MAX] {
                    let slot = Instruction { opcode, dst: registers & 15, src: registers >> 4, offset, imm };
                    let values = [i32::from(slot.dst), i32::from(slot.src), i32::from(offset), imm];
                    if !(0..4).all(|field| fields[field].takes(values[field])) {
                        continue;
                    }
                    // Wide loads bring their second half.
                    let mut code = vec![slot];
                    code.extend((opcode == 0x18).then_some(Instruction { imm: !imm, ..Instruction::default() }));
                    let text = disassemble(&code);
                    assert!(!text.contains(".slot"), "{slot:?} has no text");
                    assert_eq!(assemble(&text).map(|assembly| assembly.code).as_ref(), Ok(&code), "{text}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 50_000, "only {count}");
}

/// The groups of RFC 9669 section 2.4 that this machine is to have are whole, and those it refuses are refused whole.
#[test]
fn conformance_groups_are_whole() {
    let mut counts = std::collections::BTreeMap::<Group, (usize, usize)>::new();
    for row in TABLE {
        let (runs, refused) = counts.entry(row.group).or_default();
        *(if row.refusal().is_none() { runs } else { refused }) += 1;
    }
    // Those that run: arithmetic (eight operations of both sources, negation, moves, sign-extending moves), byte order,
    // loads, stores, branches (eleven conditions of both sources), and the rest. Those refused by name: four
    // pseudo-sources of the wide load, the call by BTF id, callx, legacy packet access.
    let wanted = [
        // The rest: two jumps, two calls, the exit.
        (Group::Base32, ((16 + 1 + 2 + 2) + 6 + 6 + 6 + 22 + (2 + 2 + 1), 1)),
        // The rest: a wide load of a constant, and of a map and a map value by index.
        (Group::Base64, ((16 + 1 + 2 + 3) + 3 + 1 + 2 + 22 + 3, 4)),
        (Group::Divmul32, (10, 0)),
        (Group::Divmul64, (10, 0)),
        (Group::Atomic32, (10, 0)),
        (Group::Atomic64, (10, 0)),
        (Group::Callx, (0, 1)),
        (Group::Packet, (0, 6)),
    ];
    for (group, (runs, refused)) in wanted {
        assert_eq!(counts.remove(&group), Some((runs, refused)), "{}", group.name());
    }
    assert!(counts.is_empty());
    for opcode in 0..=255 {
        assert_eq!(rfc(opcode).is_some(), !rows_of(opcode).is_empty(), "opcode {opcode:#x}");
    }
}
