//! Drills: the accidents of others, replayed on our machine.
//!
//! On 2024-07-19 a content update read field 21 of an input that had 20. Each layer that should have stopped it is
//! tried here on its own: the check at load, then the check of each record with the first one disabled, then the
//! machine's own bounds with the proof left out as well.

mod objects;

use trapline_engine::{Domain, Instance, LoadError, LoadOptions, MissingReason, Outcome, ReadyProgram, Supply};
use trapline_vm::program::Verdict::{Match, NoMatch, NotEvaluable};
use trapline_vm::record::{ClassId, FamilyId, Slot, slots_len};
use trapline_vm::trap::Trap;

use objects::*;

/// A source that was built when the family had fewer fields.
struct BuiltFor(u16);

impl Supply for BuiltFor {
    fn field_count(&self, _: FamilyId) -> u16 {
        self.0
    }

    fn supplies(&self, _: ClassId, field: &str) -> bool {
        let number = field.strip_prefix('f').and_then(|number| number.parse::<u16>().ok());
        number.is_some_and(|number| number <= self.0)
    }
}

const CHECKED: LoadOptions<'_> = LoadOptions {
    link: trapline_engine::LinkOptions { fuel_limit: 1000 },
    may_lack: &[],
    skip_supply_check_for_tests: false,
};
const DRILL: LoadOptions<'_> = LoadOptions { skip_supply_check_for_tests: true, ..CHECKED };

#[test]
fn channel_291_is_refused_at_load_and_the_field_is_named() {
    let catalogue = catalogue(21);
    for object in [reads(&catalogue, "ipc-template", "f21"), contains(&catalogue, "ipc-template", "f21", "x")] {
        let mut domain = Domain::new(catalogue.clone());
        let error = domain.load(&object, &BuiltFor(20), &CHECKED).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rule `ipc-template` reads `f21`, field 21 of `ipc` events: the catalogue says 21 fields, the source \
             supplies 20"
        );
        let LoadError::Supply(error) = error else { panic!("{error}") };
        assert_eq!(error.fields[0].reason, MissingReason::NoSlot { number: 21, catalogue: 21, source: 20 });
        // The same bytes on an agent whose source has the field.
        assert!(domain.load(&object, &BuiltFor(21), &CHECKED).is_ok());
    }
}

#[test]
fn a_refusal_leaves_the_running_generation_as_it_is() {
    let catalogue = catalogue(21);
    let mut domain = Domain::new(catalogue.clone());
    let good = domain.load(&contains(&catalogue, "good", "f3", "x"), &BuiltFor(20), &CHECKED).unwrap();
    let mut instance = Instance::new(generation(&domain, &[good.verify().unwrap().into()])).unwrap();
    let before = (domain.layouts().slots_len(FAMILY), domain.predicates().predicate_count());
    domain.load(&contains(&catalogue, "bad", "f21", "y"), &BuiltFor(20), &CHECKED).unwrap_err();
    assert_eq!((domain.layouts().slots_len(FAMILY), domain.predicates().predicate_count()), before);
    assert_eq!(said(&run(&mut instance, 20, &[(Slot(2), "x")])), [("good", Ok(Match))]);
}

#[test]
fn channel_291_with_the_load_check_disabled_traps_in_that_program_only() {
    let catalogue = catalogue(21);
    let mut domain = Domain::new(catalogue.clone());
    let objects = [
        contains(&catalogue, "before", "f3", "x"),
        reads(&catalogue, "reads-21", "f21"),
        contains(&catalogue, "between", "f20", "x"),
        contains(&catalogue, "tests-21", "f21", "x"),
        reads(&catalogue, "after", "f20"),
    ];
    let programs: Vec<_> = objects
        .iter()
        .map(|object| domain.load(object, &BuiltFor(20), &DRILL).unwrap().verify().unwrap().into())
        .collect();
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();

    // The source writes the 20 fields that it knows of.
    let short = Trap::RecordTooShort { needed: slots_len(21), have: slots_len(20) };
    let event = [(Slot(2), "xyz"), (Slot(19), "y")];
    assert_eq!(
        said(&run(&mut instance, 20, &event)),
        [
            ("before", Ok(Match)),
            ("reads-21", Err(short)),
            ("between", Ok(NoMatch)),
            ("tests-21", Err(short)),
            ("after", Ok(Match)),
        ]
    );
    let traps: Vec<u64> = instance.accounts().iter().map(|account| account.traps).collect();
    assert_eq!(traps, [0, 1, 0, 1, 0]);

    // The trap is data: rule, code and amounts.
    let len = write(instance.record_buffer_mut(), &catalogue, 20, &event);
    let event = instance.run(len).unwrap();
    let trapped = event.runs().iter().find_map(|run| match run.outcome {
        Outcome::Trap(trapped) => Some((run.program, trapped)),
        Outcome::Verdict(_) => None,
    });
    let (program, trapped) = trapped.unwrap();
    let report = event.generation().trap_report(program, &trapped).unwrap();
    assert_eq!((report.program.as_str(), report.line, report.registers), ("reads-21", Some(1), [0; 11]));
    assert_eq!(
        report.to_string(),
        format!(
            "reads-21: the record lacks slots that the program was linked for (needs {} bytes, has {}) \
             [record-too-short] at pc 0, line 1: mov %r0, 0",
            slots_len(21),
            slots_len(20)
        )
    );

    // Once the source supplies the field, the same programs run.
    let event = [(Slot(2), "xyz"), (Slot(20), "x")];
    assert_eq!(
        said(&run(&mut instance, 21, &event)),
        [
            ("before", Ok(Match)),
            ("reads-21", Ok(Match)),
            ("between", Ok(NotEvaluable)),
            ("tests-21", Ok(Match)),
            ("after", Ok(NoMatch)),
        ]
    );
}

#[test]
fn channel_291_with_the_proof_left_out_as_well() {
    let catalogue = catalogue(21);
    let mut domain = Domain::new(catalogue.clone());
    // Says that it reads field 20, and reads far behind the record. The verifier would not have it.
    let mut liar = reads(&catalogue, "liar", "f20");
    liar.relocations.clear();
    liar.code[1].offset = i16::MAX;
    let linked = domain.load(&liar, &BuiltFor(20), &CHECKED).unwrap();
    assert!(linked.clone().verify().is_err());
    let liar = ReadyProgram::unverified_for_tests(linked).unwrap().into();
    let honest = domain.load(&reads(&catalogue, "reads-21", "f21"), &BuiltFor(20), &DRILL).unwrap();
    let honest = ReadyProgram::unverified_for_tests(honest).unwrap().into();
    let neighbour = verified(&mut domain, &contains(&catalogue, "neighbour", "f3", "x"));
    let mut instance = Instance::new(generation(&domain, &[liar, honest, neighbour])).unwrap();
    assert_eq!(
        said(&run(&mut instance, 20, &[(Slot(2), "x")])),
        [
            ("liar", Err(Trap::OutOfRegion)),
            ("reads-21", Err(Trap::RecordTooShort { needed: slots_len(21), have: slots_len(20) })),
            ("neighbour", Ok(Match)),
        ]
    );
}

/// For every field and every size of source: what is supplied loads and runs, what is not is refused by its name, and
/// traps if it is loaded all the same.
#[test]
fn every_field_against_every_source() {
    const FIELDS: u16 = 26;
    let catalogue = catalogue(FIELDS);
    for field in 1..=FIELDS {
        let name = format!("f{field}");
        let mut domain = Domain::new(catalogue.clone());
        let objects = [reads(&catalogue, "r", &name), contains(&catalogue, "c", &name, "x")];
        let programs: Vec<_> = objects
            .iter()
            .map(|object| domain.load(object, &BuiltFor(0), &DRILL).unwrap().verify().unwrap().into())
            .collect();
        let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
        for source in 0..=FIELDS {
            for object in &objects {
                let loaded = Domain::new(catalogue.clone()).load(object, &BuiltFor(source), &CHECKED);
                assert_eq!(loaded.is_ok(), field <= source, "{name} of {source}");
                if let Err(error) = loaded {
                    assert!(error.to_string().contains(&format!("reads `{name}`")), "{error}");
                }
            }
            let cells: Vec<(Slot, &str)> = (0..source).map(|slot| (Slot(slot), "x")).collect();
            let want = if field <= source {
                Ok(Match)
            } else {
                Err(Trap::RecordTooShort { needed: slots_len(field.into()), have: slots_len(source.into()) })
            };
            assert_eq!(said(&run(&mut instance, source, &cells)), [("r", want), ("c", want)], "{name} of {source}");
        }
    }
}
