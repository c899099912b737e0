//! Programs with state, event after event, generation after generation.

use std::sync::Arc;

use trapline_vm::map::{MapCounters, MapDecl, MapKind, Snapshot};
use trapline_vm::program::{Object, Verdict};
use trapline_vm::trap::Trap;

use crate::domain::Domain;
use crate::generation::{Generation, GenerationBuilder, ProgramIndex};
use crate::instance::{Instance, Outcome};
use crate::link::LinkOptions;
use crate::program::ReadyProgram;
use crate::testing::*;

use Verdict::{Match, NoMatch};

fn array(name: &str, value_len: u32) -> MapDecl {
    let (kind, contents) = (MapKind::Array, Vec::new());
    MapDecl { name: name.to_owned(), kind, key_len: 4, value_len, entries: 1, contents }
}

/// Counts events and matches from the third on.
const COUNTS: &str = "stw [r10-4], 0\nlddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\ncall 1\njeq r0, 0, none\n\
                      ldxdw r3, [r0]\nadd r3, 1\nstxdw [r0], r3\nmov r0, 0\njlt r3, 3, out\nmov r0, 1\nout: exit\n\
                      none: mov r0, 0\nexit";
/// Counts, then leaves its memory.
const TRAPS: &str = "stw [r10-4], 0\nlddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\ncall 1\nldxdw r3, [r0]\n\
                     add r3, 1\nstxdw [r0], r3\nmov r4, 0\nldxb r0, [r4]\nexit";

fn counter(name: &str, value_len: u32) -> Object {
    Object { maps: vec![array("count", value_len)], ..object(name, COUNTS) }
}

fn ready(domain: &mut Domain, object: &Object) -> Arc<ReadyProgram> {
    let linked = domain.link(object, &LinkOptions::default()).unwrap();
    Arc::new(linked.verify().unwrap_or_else(|error| panic!("{error}")))
}

fn unproved(domain: &mut Domain, object: &Object) -> Arc<ReadyProgram> {
    Arc::new(ReadyProgram::unverified_for_tests(domain.link(object, &LinkOptions::default()).unwrap()).unwrap())
}

fn generation(domain: &Domain, programs: &[Arc<ReadyProgram>]) -> Arc<Generation> {
    let mut builder = GenerationBuilder::new(domain);
    programs.iter().for_each(|program| _ = builder.add(program.clone()));
    Arc::new(builder.build().unwrap())
}

/// What each program says of one more event.
fn event(instance: &mut Instance) -> Vec<Result<Verdict, Trap>> {
    let generation = instance.generation().clone();
    let len = write_record(instance.record_buffer_mut(), generation.layouts(), "a.one", None, &[]);
    let said = |outcome| match outcome {
        Outcome::Verdict(verdict) => Ok(verdict),
        Outcome::Trap(trapped) => Err(trapped.stop.trap),
    };
    instance.run(len).unwrap().runs().iter().map(|run| said(run.outcome)).collect()
}

#[test]
fn what_is_stored_is_there_at_the_next_event() {
    let mut domain = Domain::new(catalogue());
    let program = ready(&mut domain, &counter("r", 8));
    assert_eq!(domain.state_bytes(), 8);
    let mut instance = Instance::new(generation(&domain, &[program])).unwrap();
    assert_eq!(instance.state_bytes(), 8);
    let said: Vec<_> = (0..4).flat_map(|_| event(&mut instance)).collect();
    assert_eq!(said, [Ok(NoMatch), Ok(NoMatch), Ok(Match), Ok(Match)]);
}

#[test]
fn programs_of_one_rule_share_and_other_rules_do_not() {
    let mut domain = Domain::new(catalogue());
    let names = ["r", "r", "other"];
    let programs: Vec<_> = names.iter().map(|name| ready(&mut domain, &counter(name, 8))).collect();
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
    assert_eq!(event(&mut instance), [Ok(NoMatch), Ok(NoMatch), Ok(NoMatch)]);
    assert_eq!(event(&mut instance), [Ok(Match), Ok(Match), Ok(NoMatch)]);
}

#[test]
fn state_survives_a_swap_where_the_layout_is_the_same() {
    let mut domain = Domain::new(catalogue());
    let first = ready(&mut domain, &counter("r", 8));
    let mut instance = Instance::new(generation(&domain, &[first])).unwrap();
    assert_eq!([event(&mut instance), event(&mut instance)], [[Ok(NoMatch)], [Ok(NoMatch)]]);
    // Away, and back as another program with the same map.
    instance.swap(generation(&domain, &[])).unwrap();
    let again = ready(&mut domain, &Object { lines: vec![], ..counter("r", 8) });
    instance.swap(generation(&domain, &[again])).unwrap();
    assert_eq!(event(&mut instance), [Ok(Match)]);
    // Another layout: from the beginning.
    let changed = ready(&mut domain, &counter("r", 16));
    assert_eq!(domain.changed_layouts(), 1);
    instance.swap(generation(&domain, &[changed])).unwrap();
    assert_eq!(event(&mut instance), [Ok(NoMatch)]);
    // Another domain, where everything lies elsewhere.
    let mut other = Domain::new(catalogue());
    let programs = [counter("new", 8), counter("r", 16)].map(|object| ready(&mut other, &object));
    instance.swap(generation(&other, &programs)).unwrap();
    assert_eq!(event(&mut instance), [Ok(NoMatch), Ok(NoMatch)]);
    assert_eq!(event(&mut instance), [Ok(NoMatch), Ok(Match)]);
}

#[test]
fn a_snapshot_outlives_the_instance() {
    let mut domain = Domain::new(catalogue());
    let program = ready(&mut domain, &counter("r", 8));
    let mut instance = Instance::new(generation(&domain, &[program])).unwrap();
    event(&mut instance);
    event(&mut instance);
    let bytes = instance.take_snapshot().as_bytes().to_vec();
    // The next process knows more rules, and has lost one.
    let mut domain = Domain::new(catalogue());
    let programs = [counter("before", 8), counter("r", 8)].map(|object| ready(&mut domain, &object));
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
    let report = instance.restore(Snapshot::parse(bytes.clone()).unwrap()).unwrap();
    assert_eq!((report.restored, report.reset, report.unknown.len()), (1, 1, 0));
    assert_eq!(event(&mut instance), [Ok(NoMatch), Ok(Match)]);
    let mut domain = Domain::new(catalogue());
    let program = ready(&mut domain, &counter("r", 16));
    let mut instance = Instance::new(generation(&domain, &[program])).unwrap();
    let report = instance.restore(Snapshot::parse(bytes).unwrap()).unwrap();
    assert_eq!((report.restored, report.reset, report.unknown), (0, 1, vec!["r/count".to_owned()]));
    instance.reset_state();
    assert_eq!(event(&mut instance), [Ok(NoMatch)]);
}

#[test]
fn after_a_trap_the_maps_of_the_program_go_back() {
    let mut domain = Domain::new(catalogue());
    let traps = Object { maps: vec![array("count", 8)], ..object("bad", TRAPS) };
    let honest = Object { name: "bad".to_owned(), ..counter("bad", 8) };
    let programs =
        [ready(&mut domain, &counter("good", 8)), ready(&mut domain, &honest), unproved(&mut domain, &traps)];
    let mut instance = Instance::new(generation(&domain, &programs)).unwrap();
    let outside = Err(Trap::OutOfRegion);
    // Without a snapshot the maps begin anew at each trap, those of other rules go on.
    for verdict in [NoMatch, NoMatch, Match] {
        assert_eq!(event(&mut instance), [Ok(verdict), Ok(NoMatch), outside]);
    }
    let account = instance.accounts()[2];
    assert_eq!((account.traps, account.maps_reset, account.maps_restored), (3, 3, 0));
    // With one they go back to it.
    instance.swap(generation(&domain, &programs[..2])).unwrap();
    event(&mut instance);
    event(&mut instance);
    instance.take_snapshot();
    instance.swap(generation(&domain, &programs)).unwrap();
    for _ in 0..2 {
        assert_eq!(event(&mut instance), [Ok(Match), Ok(Match), outside]);
    }
    let account = instance.accounts()[2];
    assert_eq!((account.traps, account.maps_reset, account.maps_restored), (2, 0, 2));
    let counters = instance.map_counters(ProgramIndex(2));
    assert_eq!(counters, MapCounters { put_back: 5, ..MapCounters::default() });
    assert_eq!(instance.map_counters(ProgramIndex(0)), MapCounters::default());
}

/// A program that needs fuel it has not got leaves its maps as if it had not run, too.
#[test]
fn fuel_that_ends_half_way_changes_no_map() {
    let mut domain = Domain::new(catalogue());
    let object = Object { code: trapline_vm::isa::assemble(COUNTS).unwrap().code, ..counter("r", 8) };
    let mut said = Vec::new();
    for fuel_limit in 0..30 {
        let linked = domain.link(&object, &LinkOptions { fuel_limit }).unwrap();
        let program = Arc::new(ReadyProgram::unverified_for_tests(linked).unwrap());
        let mut instance = Instance::new(generation(&domain, &[program])).unwrap();
        let before = instance.take_snapshot().clone();
        match event(&mut instance)[0] {
            Err(Trap::FuelExhausted) => assert_eq!(*instance.take_snapshot(), before, "{fuel_limit}"),
            other => said.push(other),
        }
    }
    assert!(!said.is_empty() && said.iter().all(|said| *said == Ok(NoMatch)));
}

#[test]
fn state_that_has_no_room_is_a_load_error() {
    let mut domain = Domain::new(catalogue()).with_state_bytes_max(23);
    ready(&mut domain, &counter("r", 8));
    let error = domain.link(&counter("other", 16), &LinkOptions::default()).unwrap_err();
    let text = "no room for map `count`: it takes 16 bytes, 15 of 23 are left to all rules together";
    assert_eq!(error.to_string(), text);
    assert_eq!(domain.state_bytes(), 8);
    ready(&mut domain, &counter("other", 8));
}

/// Counts in an array, notes the count in two more maps, and matches from the third event on.
const KEEPS: &str = "stw [r10-4], 0\nlddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\ncall 1\njeq r0, 0, none\n\
                     ldxdw r7, [r0]\nadd r7, 1\nstxdw [r0], r7\nstxw [r10-4], r7\nstxdw [r10-16], r7\n\
                     lddw_map_index r1, 1\nmov r2, r10\nadd r2, -4\nmov r3, r10\nadd r3, -16\nmov r4, 0\ncall 2\n\
                     lddw_map_index r1, 2\nmov r2, r10\nadd r2, -4\nmov r3, r7\ncall 1034\n\
                     mov r0, 0\njlt r7, 3, out\nmov r0, 1\nout: exit\nnone: mov r0, 0\nexit";

fn keeper() -> Object {
    let map = |name: &str, kind, value_len| MapDecl { kind, entries: 2, ..array(name, value_len) };
    let maps = vec![array("count", 8), map("last", MapKind::LruHash, 8), map("seen", MapKind::Seen { ttl_ns: 9 }, 0)];
    Object { maps, ..object("victim", KEEPS) }
}

/// Ways to make the rule trap: at an instruction of its, and for want of fuel.
fn faulty_ways(domain: &mut Domain) -> Vec<(String, Arc<ReadyProgram>)> {
    let keeper = keeper();
    let mut ways = Vec::new();
    for pc in 0..keeper.code.len() {
        let is_second_half = pc > 0 && keeper.code[pc - 1].opcode == 0x18;
        if is_second_half {
            continue;
        }
        let mut faulty = keeper.clone();
        if faulty.code[pc].opcode == 0x18 {
            faulty.code[pc + 1] = trapline_vm::isa::assemble("mov r5, 0").unwrap().code[0];
        }
        faulty.code[pc] = trapline_vm::isa::assemble("ldxdw r5, [r10+32767]").unwrap().code[0];
        // For a fault in the place of the last instruction.
        faulty.code.extend(trapline_vm::isa::assemble("exit").unwrap().code);
        ways.push((format!("at {pc}"), unproved(domain, &faulty)));
    }
    for fuel_limit in 0..40 {
        let linked = domain.link(&keeper, &LinkOptions { fuel_limit }).unwrap();
        ways.push((format!("fuel {fuel_limit}"), Arc::new(ReadyProgram::unverified_for_tests(linked).unwrap())));
    }
    ways
}

/// A rule with state traps half-way, wherever it is: its maps are as at the last snapshot, or at the beginning without
/// one; rules before and after it on the event say and remember what they do without it.
#[test]
fn a_trap_anywhere_in_a_rule_with_state_leaves_its_maps_as_they_were_and_others_alone() {
    let mut domain = Domain::new(catalogue());
    let before = ready(&mut domain, &counter("before", 8));
    let intact = ready(&mut domain, &keeper());
    let after = ready(&mut domain, &counter("after", 8));
    let ways = faulty_ways(&mut domain);
    let all = generation(&domain, &[before.clone(), intact, after.clone()]);
    let neighbours = generation(&domain, &[before.clone(), after.clone()]);
    let mut traps = 0;
    for (way, faulty) in ways {
        for has_snapshot in [false, true] {
            let way = format!("{way}, snapshot: {has_snapshot}");
            let with_fault = generation(&domain, &[before.clone(), faulty.clone(), after.clone()]);
            // Without the rule on the third event and the fourth; its maps as they should be after the trap.
            let mut expected = Instance::new(all.clone()).unwrap();
            let mut instance = Instance::new(all.clone()).unwrap();
            for _ in 0..if has_snapshot { 2 } else { 0 } {
                assert_eq!(event(&mut instance), event(&mut expected));
            }
            if has_snapshot {
                instance.take_snapshot();
            }
            // One more, that the trap takes back.
            event(&mut instance);
            expected.swap(neighbours.clone()).unwrap();
            event(&mut expected);
            instance.swap(with_fault).unwrap();
            let (got, want) = (event(&mut instance), event(&mut expected));
            assert_eq!((got[0], got[2]), (want[0], want[1]), "{way}");
            // No event leads there, or the fuel is enough.
            let Err(trap) = got[1] else { continue };
            assert_eq!(trap, if way.starts_with("fuel") { Trap::FuelExhausted } else { Trap::OutOfRegion }, "{way}");
            traps += 1;
            let accounts = instance.accounts();
            let (restored, reset) = if has_snapshot { (3, 0) } else { (0, 3) };
            assert_eq!(
                (accounts[1].traps, accounts[1].maps_restored, accounts[1].maps_reset),
                (1, restored, reset),
                "{way}"
            );
            for neighbour in [0, 2] {
                assert_eq!((accounts[neighbour].traps, accounts[neighbour].maps_reset), (0, 0), "{way}");
            }
            instance.swap(all.clone()).unwrap();
            expected.swap(all.clone()).unwrap();
            assert!(*instance.take_snapshot() == *expected.take_snapshot(), "{way}");
            // And it goes on from there.
            for _ in 0..3 {
                assert_eq!(event(&mut instance), event(&mut expected), "{way}");
            }
            assert!(*instance.take_snapshot() == *expected.take_snapshot(), "{way}");
        }
    }
    // All but the two instructions that no event leads to, and fuel that is enough.
    assert!(traps >= 2 * (25 + 30), "only {traps} traps");
}
