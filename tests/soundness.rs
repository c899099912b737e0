//! Is the verifier right? Programs it accepts are run, and every concrete state is looked for in the abstract one.
//!
//! Programs come from the generator, whose seeds make this the same on every run. Of each that is accepted, several
//! runs in a row are held against the proof and against one another by all [`oracle`]s; the machine that they are
//! run on first is written from the text of RFC 9669 and shares no arithmetic with verifier and interpreter.

#[path = "soundness/corpus.rs"]
mod corpus;
#[path = "soundness/directed.rs"]
mod directed;
#[path = "soundness/generator/mod.rs"]
mod generator;
#[path = "soundness/helpers.rs"]
mod helpers;
#[path = "soundness/long_run.rs"]
mod long_run;
mod naive;
#[path = "soundness/oracle.rs"]
mod oracle;
#[path = "soundness/proof.rs"]
mod proof;
#[path = "soundness/search.rs"]
mod search;

use generator::{Entropy, Features, Flavour, mutate, program_of, random_code};
use search::{Family, Searcher, search, try_one};
use trapline_vm::isa::{Instruction, TABLE, assemble};
use trapline_vm::program::{Loaded, Program};
use trapline_vm::verifier::{Limits, load_and_verify, verify_observed};

/// Searches a part of the seeds; at least `least` in a hundred programs must be accepted.
///
/// `SOUNDNESS_SCALE=100` tries a hundred times as many.
fn check(family: Family, seeds: u64, least: u64) {
    let scale = std::env::var("SOUNDNESS_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let counts = search(family, 0..seeds * scale);
    println!("{family:?}: {counts}; refused: {:?}", counts.refused);
    if let Some(finding) = counts.findings.first() {
        panic!("{finding}\nsmaller: {}", finding.clone().shrunk());
    }
    let (tried, accepted) = (counts.tried, counts.accepted);
    assert!(
        accepted * 100 > tried * least,
        "only {accepted} of {tried} programs were accepted: the generator is out of step"
    );
    if matches!(family, Family::Raw | Family::Rule) {
        let rich = counts.rich;
        assert!(rich * 100 >= accepted * 30, "only {rich} of {accepted} have a variable offset, a loop or a map value");
    }
}

#[test]
fn every_state_of_raw_programs_is_embedded() {
    check(Family::Raw, 700, 80);
}

#[test]
fn every_state_of_rule_programs_is_embedded() {
    check(Family::Rule, 700, 80);
}

/// Programs with one field of one instruction changed: many are refused; those accepted must be right.
#[test]
fn every_state_of_mutated_programs_is_embedded() {
    check(Family::Mutated, 1500, 10);
}

/// What the verifier claims of numbers is used as an offset.
#[test]
fn claims_about_numbers_hold() {
    check(Family::Soup, 3000, 30);
}

/// Instructions drawn from the whole table, with any operands.
#[test]
fn every_state_of_random_code_is_embedded() {
    check(Family::Random, 30_000, 1);
}

/// The loops that are made are short, so that each would be followed to its end. Here each is first looked at as a
/// whole, after so many steps, and in a small budget.
#[test]
fn every_state_is_embedded_where_loops_are_looked_at_as_a_whole() {
    for (family, loop_steps_max) in [(Family::Raw, 0), (Family::Rule, 0), (Family::Raw, 40), (Family::Mutated, 0)] {
        let limits = Limits { loop_steps_max, steps_max: 20_000, ..Limits::default() };
        let mut searcher = Searcher::within(limits);
        (0..400).for_each(|seed| searcher.try_seed(family, seed));
        let counts = searcher.counts;
        println!("{family:?}, loops followed for {loop_steps_max} steps: {counts}; refused: {:?}", counts.refused);
        assert!(counts.findings.is_empty(), "{}", counts.findings[0]);
        let least = if family == Family::Mutated { 10 } else { 50 };
        assert!(counts.accepted * 100 > counts.tried * least && counts.loops > 20, "{counts}");
    }
}

#[test]
fn directed_programs_get_their_verdicts_and_break_no_oracle() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soundness/directed");
    let (mut failures, mut count) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let (found, cases) = directed::failures(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        failures.extend(found);
        count += cases;
    }
    assert!(count > 90, "only {count} cases were found");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What once broke an oracle does so no more.
#[test]
fn the_corpus_breaks_no_oracle() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soundness/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let (program, inputs) = corpus::read(&std::fs::read_to_string(&file).unwrap());
        assert!(!inputs.is_empty(), "{} has no run", file.display());
        let violations = try_one(&program, &inputs);
        assert!(violations.is_empty(), "{}: {violations:?}", file.display());
    }
}

#[test]
fn a_program_written_as_a_file_is_read_as_it_was() {
    for seed in 0..50 {
        let mut entropy = Entropy::seed(seed);
        for flavour in [Flavour::Raw, Flavour::Rule] {
            let program = program_of(&mut entropy, flavour, Features { maps: true, ..Features::ALL });
            let inputs: Vec<_> = (0..2).map(|_| generator::input(&mut entropy, &program.kind)).collect();
            let (code, maps) = (program.code.clone(), program.maps.clone());
            let read = corpus::read(&corpus::write("because", &program, &inputs));
            assert_eq!((read.0.code, read.0.maps, read.0.kind, read.1), (code, maps, program.kind, inputs));
        }
    }
}

/// Bytes that are no program, or hardly one: an answer, never a panic.
#[test]
fn any_bytes_get_an_answer() {
    for seed in 0..20_000 {
        let mut entropy = Entropy::seed(seed);
        let mut code = Vec::new();
        for _ in 0..entropy.below(6) {
            let mut bytes = entropy.next().to_le_bytes();
            if entropy.chance(80) {
                bytes[0] = entropy.pick(TABLE).opcode;
                bytes[1] = entropy.pick(&[0, 0x10, 0x21, 0x0a, 0xa1]);
            }
            if entropy.chance(60) {
                bytes[2..].fill(0);
            }
            code.push(Instruction::from_bytes(bytes));
        }
        code.extend(assemble("exit").unwrap().code);
        for flavour in [Flavour::Raw, Flavour::Rule] {
            let program =
                Program { code: code.clone(), ..program_of(&mut Entropy::bytes(&[]), flavour, Features::ALL) };
            let helpers = generator::helpers(&program.kind);
            if let Err(rejection) = load_and_verify(program, helpers) {
                assert!(rejection.to_string().contains("help: "));
                assert_ne!(rejection.code(), "inconsistent", "{rejection}");
            }
        }
    }
}

#[test]
fn the_same_program_gets_the_same_answer() {
    for seed in 0..200 {
        let mut entropy = Entropy::seed(seed);
        let program = program_of(&mut entropy, Flavour::Raw, Features::ALL);
        let program = mutate(&mut entropy, program);
        let answer = || {
            let loaded = Loaded::new(program.clone(), generator::helpers(&program.kind)).ok()?;
            let mut seen = Vec::new();
            let result =
                verify_observed(loaded, Limits::default(), &mut |pc, state| seen.push((pc, state.to_string())));
            Some((seen, result.map(|verified| verified.report().clone()).map_err(|rejection| rejection.to_string())))
        };
        assert_eq!(answer(), answer());
    }
}

/// A fuzzer's bytes make programs as seeds do, and small ones when they are few.
#[test]
fn bytes_make_programs() {
    let mut longest = 0;
    for len in 0..200 {
        let bytes: Vec<u8> = (0..len).map(|index| (index * 37 + len) as u8).collect();
        for flavour in [Flavour::Raw, Flavour::Rule] {
            let program = program_of(&mut Entropy::bytes(&bytes), flavour, Features::ALL);
            longest = longest.max(program.code.len());
            let helpers = generator::helpers(&program.kind);
            assert!(Loaded::new(program, helpers).is_ok());
        }
        random_code(&mut Entropy::bytes(&bytes));
    }
    assert!(longest > 50);
    assert!(program_of(&mut Entropy::bytes(&[]), Flavour::Raw, Features::ALL).code.len() < 30);
}
