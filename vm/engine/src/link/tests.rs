//! Linking: what is patched, what is refused, and that nothing already linked ever changes.

use trapline_vm::isa::assemble;
use trapline_vm::predicate::{PREDICATES_MAX, StrOp};
use trapline_vm::record::{ElementId, HEADER_LEN, Scalar};

use super::*;
use crate::predicate::{PredicateLimits, TestError};
use crate::testing::*;

fn domain() -> Domain {
    Domain::new(catalogue())
}

fn link(object: &Object) -> Result<Linked, LinkError> {
    domain().link(object, &LinkOptions::default())
}

fn manifest(linked: &Linked) -> &Manifest {
    match &linked.program.kind {
        ProgramKind::Rule(manifest) => manifest,
        ProgramKind::Raw { .. } => panic!("linking makes rule programs"),
    }
}

fn relocated(kinds: &[RelocationKind], assembly: &str) -> Object {
    let tags = FieldType::List(Scalar::Str);
    Object {
        fields: vec![field_ref("name", STR), field_ref("s17", STR), field_ref("raw.x", STR)],
        predicates: vec![
            predicate("name", StrOp::Contains, "a"),
            Predicate { field: field_ref("tags", tags), scope: Scope::Elements, test: text_test(StrOp::Equals, "t") },
            predicate("raw.y", StrOp::Contains, "b"),
        ],
        relocations: (0..).zip(kinds).map(|(pc, kind)| Relocation { pc, kind: *kind }).collect(),
        ..object("relocated", assembly)
    }
}

#[test]
fn every_relocation_is_patched_as_the_layout_says() {
    use RelocationKind::*;
    let kinds = [
        Slot(1),
        Slot(1),
        State(1),
        State(2),
        SlotNumber(2),
        PredicateByte(2),
        PredicateTrue(2),
        PredicateKnown(2),
        PredicateBoth(2),
        Mask(1),
        Mask(1),
        PredicateTrue(0),
    ];
    let assembly = "ldxdw r4, [r1+0]\nldxw r4, [r1+4]\nldxb r4, [r1+0]\nldxb r4, [r1+0]\nmov r2, 0\n\
                    ldxb r4, [r2+0]\nand r4, 0\nand r4, 0\nand r4, 0\nldxdw r4, [r3+0]\nldxdw r4, [r3+16]\nand r4, 0\n\
                    call 8\nlddw r5, 0x85\ncall 2\ncall 8\nexit";
    let linked = link(&relocated(&kinds, assembly)).unwrap();
    let offset = |pc: usize| u32::try_from(linked.program.code[pc].offset).unwrap();
    let imm = |pc: usize| linked.program.code[pc].imm;
    let s17 = super::Slot(17);
    assert_eq!((offset(0), offset(1), offset(2)), (s17.offset(), s17.offset() + 4, s17.state_offset()));
    // Slot 20 is the first free one: `raw.x` is named first.
    assert_eq!((offset(3), imm(4)), (super::Slot(20).state_offset(), 20));
    assert_eq!((offset(5), imm(6), imm(7), imm(8)), (0, 0b0100, 0b1000, 0b1100));
    assert_eq!((offset(9), offset(10), imm(11)), (0, 16, 1));
    assert_eq!(
        manifest(&linked),
        &Manifest {
            record_len: super::Slot(21).offset() + 8,
            slots: vec![0, 17, 20],
            predicate_bytes: vec![0],
            masks: vec![0],
            helpers: vec![2, 8],
        }
    );
    assert_eq!(linked.rule.slots, [0, 2, 17, 20, 21].map(super::Slot));
    assert_eq!(linked.program.fuel_limit, FUEL_LIMIT_DEFAULT);
}

#[test]
fn relocations_that_make_no_sense() {
    use RelocationKind::*;
    let refusal = |kinds: &[RelocationKind], assembly: &str| match link(&relocated(kinds, assembly)) {
        Err(LinkError::Relocation { pc, reason }) => Some((pc, reason)),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    };
    let load = "ldxb r4, [r1+0]\nexit";
    assert_eq!(refusal(&[Slot(3)], load), Some((0, RelocationError::NoField(3))));
    assert_eq!(refusal(&[PredicateByte(3)], load), Some((0, RelocationError::NoPredicate(3))));
    assert_eq!(refusal(&[Mask(3)], load), Some((0, RelocationError::NoPredicate(3))));
    assert_eq!(refusal(&[Mask(0)], load), Some((0, RelocationError::PredicateKind(0))));
    for kind in [PredicateByte(1), PredicateTrue(1), PredicateKnown(1), PredicateBoth(1)] {
        assert_eq!(refusal(&[kind], load), Some((0, RelocationError::PredicateKind(1))));
    }
    assert_eq!(refusal(&[Slot(0), Slot(0), Slot(0)], load), Some((2, RelocationError::OutsideCode)));
    for (offset, good) in [("-1", false), ("+0", true), ("+7", true), ("+8", false)] {
        let found = refusal(&[Slot(0)], &format!("ldxb r4, [r1{offset}]\nexit"));
        assert_eq!(found.is_none(), good, "{offset}: {found:?}");
    }
    for (offset, good) in [("-8", false), ("+0", true), ("+4", false), ("+8", true), ("+16", true), ("+24", false)] {
        let found = refusal(&[Mask(1)], &format!("ldxdw r4, [r3{offset}]\nexit"));
        assert_eq!(found.is_none(), good, "{offset}: {found:?}");
    }
    let mut twice = relocated(&[Slot(0)], load);
    twice.relocations.push(Relocation { pc: 0, kind: State(0) });
    assert_eq!(link(&twice), Err(LinkError::Relocation { pc: 0, reason: RelocationError::Twice }));
    // Offset and immediate of one instruction are two places.
    twice.relocations[1].kind = SlotNumber(0);
    assert!(link(&twice).is_ok());
}

#[test]
fn names_and_types_must_agree_with_the_catalogue() {
    let refusal = |change: &dyn Fn(&mut Object)| {
        let mut object = object("r", "mov r0, 0\nexit");
        change(&mut object);
        let mut domain = domain();
        let error = domain.link(&object, &LinkOptions::default()).unwrap_err();
        assert_eq!(domain.layouts.slot_count(FamilyId(0)), 20, "a refused object takes no slot");
        assert_eq!(domain.predicates.predicate_count() + domain.predicates.mask_count(), 0);
        error
    };
    assert!(matches!(refusal(&|o| o.catalogue_digest[3] ^= 1), LinkError::Catalogue { .. }));
    assert_eq!(refusal(&|o| o.family = "c".to_owned()), LinkError::UnknownFamily("c".to_owned()));
    assert_eq!(refusal(&|o| o.classes.clear()), LinkError::NoClasses);
    assert_eq!(refusal(&|o| o.classes[0] = "a.x".to_owned()), LinkError::UnknownClass("a.x".to_owned()));
    assert_eq!(
        refusal(&|o| o.classes.push("b.one".to_owned())).to_string(),
        "class `b.one` does not belong to the family `a`"
    );
    for name in ["nam", "raw.", "rawx", ""] {
        let error = refusal(&|o| o.fields = vec![field_ref("raw.new", STR), field_ref(name, STR)]);
        assert_eq!(error.to_string(), format!("`a` events have no field `{name}`"));
        let error = refusal(&|o| o.predicates = vec![predicate(name, StrOp::Equals, "x")]);
        assert_eq!(error.to_string(), format!("`a` events have no field `{name}`"));
    }
    let error = refusal(&|o| {
        o.family = "b".to_owned();
        o.classes = vec!["b.one".to_owned()];
        o.fields = vec![field_ref("size", INT)];
    });
    assert_eq!(error.to_string(), "`b` events have no field `size`");
    let error = refusal(&|o| o.fields = vec![field_ref("size", STR)]);
    assert_eq!(error.to_string(), "field `size` is of type int, the rule was compiled for str");
    let error = refusal(&|o| o.fields = vec![field_ref("raw.x", INT)]);
    assert_eq!(error.to_string(), "field `raw.x` is of type str, the rule was compiled for int");

    let parents = FieldType::Records(ElementId(0));
    let with = |field: &str, ty, scope, test| {
        refusal(&|o: &mut Object| {
            o.predicates = vec![
                predicate("raw.new", StrOp::Equals, "x"),
                Predicate { field: field_ref(field, ty), scope: Scope::clone(&scope), test: Test::clone(&test) },
            ];
        })
    };
    let equals = || text_test(StrOp::Equals, "x");
    assert!(matches!(with("name", STR, Scope::Elements, equals()), LinkError::Scope { .. }));
    assert!(matches!(with("parents", parents, Scope::Elements, equals()), LinkError::Scope { .. }));
    assert!(matches!(with("name", STR, Scope::Member("title".to_owned()), equals()), LinkError::Scope { .. }));
    assert_eq!(
        with("parents", parents, Scope::Member("nope".to_owned()), equals()).to_string(),
        "the elements of `parents` have no member `nope`"
    );
    assert_eq!(
        with("parents", parents, Scope::Member("age".to_owned()), equals()).to_string(),
        "the test of `parents` is refused: a test on text cannot be applied to values of type int"
    );
    assert!(with("parents", parents, Scope::Any, equals()).to_string().contains("list<record>"));
    assert!(with("size", INT, Scope::Any, equals()).to_string().contains("values of type int"));
    assert!(matches!(
        with("name", STR, Scope::Any, text_test(StrOp::Regex, "(")),
        LinkError::Predicate { error: InternError::Test(TestError::Regex { .. }), .. }
    ));
}

#[test]
fn a_later_object_changes_no_earlier_code() {
    let mut domain = domain();
    let first = predicate_object("first", predicate("raw.one", StrOp::Contains, "x"));
    let options = LinkOptions::default();
    let linked = domain.link(&first, &options).unwrap();
    for number in 0..100 {
        let name = format!("raw.{number}");
        domain.link(&predicate_object("later", predicate(&name, StrOp::Contains, "y")), &options).unwrap();
    }
    assert_eq!(domain.link(&first, &options).unwrap(), linked);
}

#[test]
fn limits_of_predicates_and_slots() {
    let limits = PredicateLimits { predicates: 3, masks: 0 };
    let mut domain = Domain::with_limits(catalogue(), limits);
    for number in 0..4 {
        let test = predicate("name", StrOp::Contains, &format!("{number}"));
        let linked = domain.link(&predicate_object("r", test), &LinkOptions::default());
        assert_eq!(linked.is_ok(), number < 3, "{linked:?}");
    }
    // What is known still links.
    let known = predicate_object("r", predicate("name", StrOp::Contains, "1"));
    assert!(domain.link(&known, &LinkOptions::default()).is_ok());

    let mut domain = Domain::new(catalogue());
    let free = SLOTS_MAX - domain.layouts.slot_count(FamilyId(0));
    let reading = |count: u16, tag: &str| Object {
        fields: (0..count).map(|number| field_ref(&format!("raw.{tag}{number}"), STR)).collect(),
        ..object("r", "mov r0, 0\nexit")
    };
    assert!(domain.link(&reading(free - 1, "a"), &LinkOptions::default()).is_ok());
    let error = domain.link(&reading(2, "b"), &LinkOptions::default()).unwrap_err();
    assert_eq!(error, LinkError::SlotsFull { field: "raw.b1".to_owned(), family: "a".to_owned() });
    assert_eq!(domain.layouts.slot_count(FamilyId(0)), SLOTS_MAX - 1);
    assert!(domain.link(&reading(1, "b"), &LinkOptions::default()).is_ok());
    assert!(domain.link(&reading(1, "c"), &LinkOptions::default()).is_err());
}

#[test]
fn the_last_slot_and_the_last_predicate_fit_an_instruction() {
    let last = Interned::Bits(PredicateId(PREDICATES_MAX - 1));
    let mask = Interned::Mask(MaskId(u16::try_from(trapline_vm::predicate::MASKS_MAX - 1).unwrap()));
    for (kind, offset) in [
        (RelocationKind::Slot(0), 7),
        (RelocationKind::State(0), 0),
        (RelocationKind::PredicateByte(0), 0),
        (RelocationKind::Mask(1), 16),
    ] {
        let (_, value) = resolve(kind, offset, &[Slot(SLOTS_MAX - 1)], &[last, mask]).unwrap();
        assert!(i16::try_from(value).is_ok(), "{kind:?}: {value}");
    }
}

#[test]
fn a_program_that_reads_nothing_needs_only_a_header() {
    let linked = link(&object("r", "mov r0, 0\nexit")).unwrap();
    assert_eq!(manifest(&linked), &Manifest { record_len: HEADER_LEN, ..Manifest::default() });
}

#[test]
fn calls_in_code_that_does_not_decode_are_found_all_the_same() {
    let mut code = assemble("call 3\nexit").unwrap().code;
    code.insert(0, Instruction { opcode: 0xff, ..Instruction::default() });
    assert_eq!(helpers(&code), [3]);
    // The second half of a wide load is no instruction.
    let wide = Instruction { opcode: 0x18, ..Instruction::default() };
    let code = [wide, Instruction { imm: 7, ..Instruction::default() }, code[1]];
    assert_eq!(helpers(&code), [3]);
}
