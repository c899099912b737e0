//! The oracles: what must hold of a run of a program that was accepted.

#[path = "watch.rs"]
mod watch;

use crate::generator::{self, Input};
use crate::helpers::{NaiveHelpers, NaiveMaps};
use crate::naive::{self, Bytes};
use crate::proof::{Concrete, Proof};
use trapline_vm::interp::{Code, Outcome};
use trapline_vm::map::HashKey;
use trapline_vm::memory::{FRAME_LEN, FRAMES_MAX, Memory, Region};
use trapline_vm::program::{Program, ProgramKind, Verdict};
use trapline_vm::trap::{Stop, Trap};
use watch::Watch;

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Oracle {
    /// Each concrete state lies in an abstract one.
    Embedding,
    /// Accesses lie in their proved ranges.
    Range,
    /// Only what was written is read.
    Initialised,
    /// An accepted program traps for fuel only.
    NoTrap,
    /// Fuel and loops stay within their worst case.
    Fuel,
    /// A rule ends in a verdict.
    Verdict,
    /// The interpreter, checking each access against the proof, does what the naive machine does.
    Predicted,
    /// The interpreter, checking each access against all regions, does what the naive machine does.
    Checked,
    /// Nothing but writable regions changes.
    ReadOnly,
    /// The verifier finds a contradiction in itself.
    Consistent,
    /// Proofs with and without reuse of earlier results agree.
    Reuse,
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) oracle: Oracle,
    pub(crate) pc: usize,
    pub(crate) what: String,
}

/// Memories of one kind of program, used again and again: making one is slow.
#[derive(Debug)]
pub(crate) struct Bench {
    naive: Vec<Bytes>,
    maps: NaiveMaps,
    record: Memory,
    predicted: Memory,
    checked: Memory,
}

impl Bench {
    pub(crate) fn new(kind: &ProgramKind) -> Self {
        let memory = || generator::memory(kind);
        let region =
            |region: Region| Bytes { base: u64::from(region.base()), bytes: Vec::new(), writable: region.writable() };
        let mut naive: Vec<Bytes> = Region::ALL.into_iter().map(region).collect();
        naive[Region::Stack as usize].bytes = vec![0; (FRAME_LEN * FRAMES_MAX) as usize];
        Self { naive, maps: NaiveMaps::default(), record: memory(), predicted: memory(), checked: memory() }
    }

    /// The maps of the program, as if new. One memory hashes with another key: nothing may depend on it.
    fn reset(&mut self, program: &Program) {
        self.maps = NaiveMaps::new(&program.maps, &mut self.naive);
        for (memory, key) in [(&mut self.predicted, HashKey(1, 2)), (&mut self.checked, HashKey(3, 4))] {
            memory.remove_maps();
            memory.set_hash_key(key).expect("there are no maps");
            memory.add_maps(&program.maps).expect("generated maps can be");
        }
    }
}

/// The most fuel that a run gets: a loop that was proved without being followed can be long. Runs that need more end
/// in the one trap that there may be, and at the same place in all machines.
const FUEL_MAX: u64 = 20_000;

/// What a program's runs came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
}

/// Runs an accepted program on several inputs in a row; what it remembers carries over. All oracles are asked, and
/// each says the first thing it finds.
pub(crate) fn check(proof: &Proof, inputs: &[Input], bench: &mut Bench, work: &mut Work) -> Vec<Violation> {
    let mut found = Vec::new();
    let program = proof.verified.program();
    bench.reset(program);
    let slots = program.code.iter().map(|slot| slot.to_bytes()).collect();
    let maps = program.maps.iter().map(|map| (map.id.0.into(), map.address(0))).collect();
    let code = naive::Code::new(slots, maps);
    let predicted = Code::predicted(proof.verified.loaded(), |pc| Some(proof.verified.access(pc)));
    let checked = Code::checked(proof.verified.loaded());
    for input in inputs {
        work.runs += 1;
        let end = embed(proof, &code, input, bench, work, &mut found);
        compare(proof, predicted.as_ref().ok(), &checked, input, bench, &end, &mut found);
        if !found.is_empty() {
            return found;
        }
    }
    if !program.maps.is_empty() && bench.predicted.snapshot().as_bytes() != bench.checked.snapshot().as_bytes() {
        let what = "the states of maps differ".to_owned();
        found.push(Violation { oracle: Oracle::Checked, pc: 0, what });
    }
    found
}

/// How a naive run ended.
struct NaiveEnd {
    end: naive::End,
    fuel: u64,
}

/// One run of the naive machine, held against the proof at every step.
fn embed(
    proof: &Proof,
    code: &naive::Code,
    input: &Input,
    bench: &mut Bench,
    work: &mut Work,
    found: &mut Vec<Violation>,
) -> NaiveEnd {
    let kind = &proof.verified.program().kind;
    for (region, bytes) in &input.0 {
        bench.naive[*region as usize].bytes.clone_from(bytes);
    }
    bench.naive[Region::Stack as usize].bytes.fill(0xa5);
    if matches!(kind, ProgramKind::Rule(_)) {
        input.load(&mut bench.record);
    }
    let mut say = |oracle, pc, what: String| {
        if !found.iter().any(|violation: &Violation| violation.oracle == oracle) {
            found.push(Violation { oracle, pc, what });
        }
    };
    let arguments = Code::checked(proof.verified.loaded()).arguments();
    let limit = proof.verified.report().worst_fuel.min(FUEL_MAX);
    let count = if matches!(kind, ProgramKind::Rule(_)) { 3 } else { 2 };
    let helpers = NaiveHelpers::new(kind, &mut bench.record, &mut bench.maps);
    let mut machine = naive::Machine::new(code, &mut bench.naive, helpers, arguments, limit).strict(count);
    proof.rewind();
    let mut embedded = true;
    let report = proof.verified.report();
    let mut watch = Watch::new(proof.verified.loaded(), report);
    let end = loop {
        let pc = machine.pc;
        if embedded {
            let stack = &machine.regions[Region::Stack as usize].bytes;
            let concrete = Concrete { registers: &machine.r, stack, frames: machine.frames() };
            if let Err(what) = proof.embeds(pc, concrete) {
                say(Oracle::Embedding, pc, what);
                embedded = false;
            }
        }
        if let Some((address, _)) = machine.access() {
            let access = proof.verified.access(pc as u32);
            let offset = address.wrapping_sub(u64::from(access.region.base()));
            if offset < u64::from(access.lo) || offset > u64::from(access.hi) {
                let (region, lo, hi) = (access.region, access.lo, access.hi);
                say(Oracle::Range, pc, format!("accesses {region:?} at {offset}, and should at {lo}..={hi}"));
            }
        }
        work.steps += 1;
        let from = (pc, machine.frames().len());
        let stepped = machine.step();
        match stepped {
            Ok(None) => {
                let to = (machine.pc, machine.frames().len());
                if let Err(Violation { oracle, pc, what }) = watch.went(from, to) {
                    say(oracle, pc, what);
                }
            }
            Ok(Some(r0)) => break Ok(r0),
            Err(trap) => break Err((trap, pc)),
        }
    };
    if end.is_err_and(|(trap, _)| trap == "fuel-exhausted") && report.worst_fuel == limit {
        say(Oracle::Fuel, machine.pc, format!("needs more fuel than the worst case, {limit}"));
    }
    if let Some(what) = machine.misuse.take() {
        say(Oracle::Initialised, machine.pc, what);
    }
    match end {
        Err(("fuel-exhausted", _)) if report.worst_fuel > limit => {}
        Err((trap, pc)) => say(Oracle::NoTrap, pc, format!("trapped: {trap}")),
        Ok(r0) if matches!(kind, ProgramKind::Rule(_)) && Verdict::from_r0(r0).is_none() => {
            say(Oracle::Verdict, machine.pc, format!("{r0} is no verdict"));
        }
        Ok(_) => {}
    }
    NaiveEnd { end, fuel: machine.used }
}

/// The same run by the interpreter, twice.
fn compare(
    proof: &Proof,
    predicted: Option<&Code<trapline_vm::interp::Predicted>>,
    checked: &Code<trapline_vm::interp::Checked>,
    input: &Input,
    bench: &mut Bench,
    naive: &NaiveEnd,
    found: &mut Vec<Violation>,
) {
    let limit = proof.verified.report().worst_fuel.min(FUEL_MAX);
    let mut say = |oracle, what: String| found.push(Violation { oracle, pc: 0, what });
    let differs = |outcome: &Outcome, memory: &Memory| {
        let result = outcome.result.map_err(|stop| (stop.trap.info().name, stop.pc as usize));
        if result != naive.end || outcome.fuel_used != naive.fuel {
            return Some(format!("{outcome:?}, and should be {:?} with {} fuel", naive.end, naive.fuel));
        }
        let buffer = Region::Buffer;
        if memory.contents(buffer) != bench.naive[buffer as usize].bytes {
            return Some("leaves another buffer".to_owned());
        }
        // Between maps, and after the last, lies what other programs' maps have left.
        for map in proof.verified.program().maps.iter() {
            let values = map.base as usize..map.base as usize + map.decl.values_len() as usize;
            let expected = &bench.naive[map.region as usize].bytes[values.clone()];
            if memory.contents(map.region).get(values) != Some(expected) {
                return Some(format!("leaves other values of map {}", map.decl.name));
            }
        }
        bench.maps.counts().find_map(|(map, counts)| {
            let counters = memory.map_counters(map.id).unwrap_or_default();
            let got = [counters.evicted, counters.refused, counters.saturated, counters.late];
            (got != counts).then(|| format!("counts {got:?} of map {}, and should {counts:?}", map.decl.name))
        })
    };
    input.load(&mut bench.checked);
    let outcome = checked.run(&mut bench.checked, limit);
    if let Some(what) = differs(&outcome, &bench.checked) {
        say(Oracle::Checked, what);
    }
    let Some(code) = predicted else { return say(Oracle::Predicted, "the proof does not fit the program".to_owned()) };
    input.load(&mut bench.predicted);
    let outcome = code.run(&mut bench.predicted, limit);
    if let Some(what) = differs(&outcome, &bench.predicted) {
        say(Oracle::Predicted, what);
    }
    let changed = input.0.iter().find(|(region, bytes)| {
        !region.writable() && [&bench.checked, &bench.predicted].iter().any(|memory| memory.contents(*region) != bytes)
    });
    if let Some((region, _)) = changed {
        say(Oracle::ReadOnly, format!("{region:?} was changed"));
    }
    // With one fuel less than it needs it stops, and nothing else happens.
    if outcome.result.is_ok() && proof.verified.program().maps.is_empty() {
        input.load(&mut bench.predicted);
        let stopped = code.run(&mut bench.predicted, outcome.fuel_used - 1);
        if !matches!(stopped.result, Err(Stop { trap: Trap::FuelExhausted, .. })) {
            say(Oracle::Predicted, format!("with too little fuel {stopped:?}"));
        }
    }
}
