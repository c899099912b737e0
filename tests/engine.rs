//! The engine from linked objects to verdicts: programs do not see each other, and loading one changes no other.

mod objects;

use std::sync::Arc;

use trapline_engine::{Domain, Generation, Instance, LinkOptions, Outcome, ReadyProgram};
use trapline_vm::memory::Region;
use trapline_vm::program::Verdict::{self, Match, NoMatch, NotEvaluable};
use trapline_vm::record::Slot;
use trapline_vm::trap::Trap;

use objects::*;

#[test]
fn a_program_that_burns_all_its_fuel_beside_one_that_matches() {
    let catalogue = catalogue(4);
    let mut domain = Domain::new(catalogue.clone());
    let matching = verified(&mut domain, &contains(&catalogue, "matching", "f1", "x"));
    let endless = unverified(&mut domain, &object(&catalogue, "endless", "l: ja l\nexit"));
    // Proved, and given less than it was proved to need.
    let long = object(&catalogue, "long", &format!("{}mov r0, 0\nexit", "mov r1, 0\n".repeat(50)));
    let long = domain.link(&long, &LinkOptions { fuel_limit: 51 }).unwrap().verify().unwrap();
    let after = verified(&mut domain, &reads(&catalogue, "after", "f1"));
    let mut instance = Instance::new(generation(&domain, &[endless, matching, Arc::new(long), after])).unwrap();
    for _ in 0..3 {
        assert_eq!(
            said(&run(&mut instance, 4, &[(Slot(0), "x")])),
            [
                ("endless", Err(Trap::FuelExhausted)),
                ("matching", Ok(Match)),
                ("long", Err(Trap::FuelExhausted)),
                ("after", Ok(Match)),
            ]
        );
    }
    let accounts = instance.accounts();
    assert_eq!(accounts[0].fuel, 3 * trapline_vm::program::FUEL_LIMIT_DEFAULT);
    assert_eq!((accounts[0].traps, accounts[1].matches, accounts[2].traps), (3, 3, 3));
    assert_eq!(accounts[2].fuel, 0, "a block that cannot be paid does not begin");
}

/// Programs that misbehave in every way the machine knows, unverified, between programs that only want to work.
#[test]
fn no_program_sees_what_another_did() {
    let catalogue = catalogue(4);
    let record = Region::Record.base();
    let masks = Region::Masks.base();
    let hostile = [
        ("read-null", "mov r1, 0\nldxdw r0, [r1+0]\nexit".to_owned(), Err(Trap::OutOfRegion)),
        ("read-far", "lddw r1, 0xffffffffffffffff\nldxdw r0, [r1+0]\nexit".to_owned(), Err(Trap::OutOfRegion)),
        ("write-record", "stdw [r1+0], 7\nmov r0, 1\nexit".to_owned(), Err(Trap::ReadOnly)),
        ("write-predicates", "stb [r2+0], 0xff\nmov r0, 1\nexit".to_owned(), Err(Trap::ReadOnly)),
        ("write-masks", format!("mov r1, {masks}\nstb [r1+0], 1\nmov r0, 1\nexit"), Err(Trap::ReadOnly)),
        ("no-verdict", "mov r0, 3\nexit".to_owned(), Err(Trap::InvalidVerdict)),
        ("recursion", "call local -1\nexit".to_owned(), Err(Trap::CallDepth)),
        ("helper", "mov r1, 0\ncall 1030\nexit".to_owned(), Err(Trap::HelperArgument)),
        (
            "fill-stack",
            "lddw r1, 0x0101010101010101\nstxdw [r10-8], r1\nstxdw [r10-512], r1\nmov r0, 0\nexit".to_owned(),
            Ok(NoMatch),
        ),
        ("read-stack", "ldxdw r0, [r10-8]\nldxdw r1, [r10-512]\nor r0, r1\nexit".to_owned(), Ok(NoMatch)),
        (
            "registers",
            "mov r0, r6\nor r0, r7\nor r0, r8\nor r0, r9\nor r0, r4\nor r0, r5\nexit".to_owned(),
            Ok(NoMatch),
        ),
        ("record-address", format!("mov r0, 0\njne r1, {record}, bad\nexit\nbad: mov r0, 2\nexit"), Ok(NoMatch)),
    ];
    let mut domain = Domain::new(catalogue.clone());
    let honest = [
        contains(&catalogue, "contains", "f1", "x"),
        reads(&catalogue, "reads", "f2"),
        contains(&catalogue, "unknown", "f3", "x"),
    ];
    let honest: Vec<_> = honest.iter().map(|object| verified(&mut domain, object)).collect();
    let expected = [("contains", Ok(Match)), ("reads", Ok(Match)), ("unknown", Ok(NotEvaluable))];
    let mut programs = honest.clone();
    let mut want = expected.to_vec();
    for (name, assembly, outcome) in &hostile {
        programs.push(unverified(&mut domain, &object(&catalogue, name, assembly)));
        want.push((name, *outcome));
        programs.extend(honest.iter().cloned());
        want.extend(expected);
    }
    let event = [(Slot(0), "x"), (Slot(1), "y")];
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
    for _ in 0..2 {
        assert_eq!(said(&run(&mut instance, 4, &event)), want);
    }
    // The event is still what the source wrote.
    let mut fresh = vec![0; 8192];
    let len = write(&mut fresh, &catalogue, 4, &event);
    write(instance.record_buffer_mut(), &catalogue, 4, &event);
    let seen = instance.run(len).unwrap();
    assert_eq!(seen.record().unwrap().as_bytes(), &fresh[..len as usize]);
    assert_eq!(seen.matches().count(), 2 * (hostile.len() + 1));
}

#[test]
fn loading_a_rule_changes_no_other_rule() {
    let catalogue = catalogue(6);
    let mut domain = Domain::new(catalogue.clone());
    let early = [
        contains(&catalogue, "fixed", "f2", "x"),
        contains(&catalogue, "open", "raw.first", "x"),
        reads(&catalogue, "slot", "raw.first"),
    ];
    let early: Vec<_> = early.iter().map(|object| verified(&mut domain, object)).collect();
    let before = generation(&domain, &early);
    let code: Vec<_> = early.iter().map(|program| program.program().code.clone()).collect();

    // New open names take new slots, more than fill the group of the old ones; new predicates take new numbers.
    let mut programs = early.clone();
    for number in 0..40 {
        let field = format!("raw.later{number}");
        programs.push(verified(&mut domain, &contains(&catalogue, &field, &field, &format!("{number}"))));
    }
    let after = generation(&domain, &programs);
    for (index, program) in early.iter().enumerate() {
        assert!(Arc::ptr_eq(program, &after.programs()[index]), "the next generation shares what it keeps");
        assert_eq!(program.program().code, code[index]);
        let again = verified(
            &mut domain,
            &if index == 2 {
                reads(&catalogue, "slot", "raw.first")
            } else {
                contains(&catalogue, program.name(), ["f2", "raw.first"][index], "x")
            },
        );
        assert_eq!(again.program(), program.program(), "linking again gives the same code");
    }

    let slots = |generation: &Generation| generation.layouts().slot_count(FAMILY);
    assert_eq!((slots(&before), slots(&after)), (7, 47));
    let place = |name: &str| after.layouts().find(FAMILY, name).unwrap().0;
    let event = [(Slot(1), "x"), (place("raw.first"), "x"), (place("raw.later39"), "39")];
    let expected = [("fixed", Ok(Match)), ("open", Ok(Match)), ("slot", Ok(Match))];

    // Old programs are right on old records and on new ones.
    let mut instance = Instance::new(before.clone()).unwrap();
    assert_eq!(said(&run(&mut instance, slots(&before), &event)), expected);
    assert_eq!(said(&run(&mut instance, slots(&after), &event)), expected);
    instance.swap(after.clone()).unwrap();
    let runs = run(&mut instance, slots(&after), &event);
    assert_eq!(said(&runs)[..3], expected);
    assert_eq!(said(&runs)[42], ("raw.later39", Ok(Match)));
    assert!(said(&runs)[3..42].iter().all(|(_, verdict)| *verdict == Ok(NotEvaluable)));

    // A record decoded before the swap: the new programs are stopped at its door, the old ones run.
    let runs = run(&mut instance, slots(&before), &event[..2]);
    assert_eq!(said(&runs)[..3], expected);
    for (name, outcome) in &said(&runs)[3..] {
        // `raw.later0` is the eighth slot; all are beyond the seven that the record has.
        assert!(matches!(outcome, Err(Trap::RecordTooShort { .. })), "{name}: {outcome:?}");
    }
}

#[test]
fn the_order_of_loading_changes_no_verdict() {
    let catalogue = catalogue(3);
    let objects: Vec<_> =
        ["x", "y", "z", "xy"].map(|literal| contains(&catalogue, literal, "raw.a", literal)).into_iter().collect();
    let verdicts = |order: &[usize]| {
        let mut domain = Domain::new(catalogue.clone());
        // Another field first, so that `raw.a` lies elsewhere.
        verified(&mut domain, &contains(&catalogue, "other", &format!("raw.{order:?}"), "x"));
        let programs: Vec<_> = order.iter().map(|index| verified(&mut domain, &objects[*index])).collect();
        let generation = generation(&domain, &programs);
        let place = generation.layouts().find(FAMILY, "raw.a").unwrap().0;
        let slots = generation.layouts().slot_count(FAMILY);
        let mut runs = run(&mut Instance::new(generation).unwrap(), slots, &[(place, "xyz")]);
        runs.sort_by(|a, b| a.0.cmp(&b.0));
        runs
    };
    let first = verdicts(&[0, 1, 2, 3]);
    assert_eq!(said(&first), [("x", Ok(Match)), ("xy", Ok(Match)), ("y", Ok(Match)), ("z", Ok(Match))]);
    assert_eq!(first, verdicts(&[3, 2, 1, 0]));
    assert_eq!(first, verdicts(&[2, 0, 3, 1]));
}

#[test]
fn one_generation_serves_many_threads() {
    let catalogue = catalogue(2);
    let mut domain = Domain::new(catalogue.clone());
    let programs: Vec<Arc<ReadyProgram>> = (0..8)
        .map(|number| verified(&mut domain, &contains(&catalogue, &number.to_string(), "f1", &number.to_string())))
        .collect();
    let generation = generation(&domain, &programs);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let generation = generation.clone();
            let catalogue = &catalogue;
            scope.spawn(move || {
                let mut instance = Instance::new(generation).unwrap();
                for round in 0..200u32 {
                    let digit = (thread + round) % 8;
                    let value = digit.to_string();
                    let len = write(instance.record_buffer_mut(), catalogue, 2, &[(Slot(0), &value)]);
                    let event = instance.run(len).unwrap();
                    let matches: Vec<u32> = event.matches().map(|program| program.0).collect();
                    assert_eq!(matches, [digit]);
                    let evidence: Vec<&str> =
                        event.evidence(trapline_engine::ProgramIndex(digit)).map(|evidence| evidence.text).collect();
                    assert_eq!(evidence, [format!("f1 contains \"{digit}\"")]);
                }
            });
        }
    });
}

/// A predicate gets one number however many programs test it, and is evaluated once.
#[test]
fn predicates_are_evaluated_once_an_event() {
    let catalogue = catalogue(2);
    let mut domain = Domain::new(catalogue.clone());
    let programs: Vec<_> = (0..100)
        .map(|number| verified(&mut domain, &contains(&catalogue, &number.to_string(), "f1", ["a", "b"][number % 2])))
        .collect();
    assert_eq!(domain.predicates().predicate_count(), 2);
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
    let len = write(instance.record_buffer_mut(), &catalogue, 2, &[(Slot(0), "a")]);
    let event = instance.run(len).unwrap();
    assert_eq!((event.predicates(), event.runs().len(), event.matches().count()), (2, 100, 50));
    let verdict = |outcome: &Outcome| matches!(outcome, Outcome::Verdict(Verdict::Match | Verdict::NoMatch));
    assert!(event.runs().iter().all(|run| verdict(&run.outcome)));
    assert_eq!(event.fuel_used(), event.runs().iter().map(|run| run.fuel_used).sum::<u64>());
}
