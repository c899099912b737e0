//! The way of a rule through compiler, linker, verifier and engine.

use std::sync::Arc;

use trapline_engine::{Domain, GenerationBuilder, Instance, LinkOptions, Outcome};
use trapline_programs::{codegen, compile, hir};
use trapline_vm::program::{Object, Verdict};
use trapline_vm::record::{Catalogue, Cell, ClassId, RecordHeader, RecordWriter, Value};

use crate::model::{Event, FIELDS, State, Val};

const FUEL: u64 = 10_000_000;

/// A rule ready to run.
pub(crate) struct Compiled {
    objects: Vec<Object>,
    instance: Instance,
    /// The proved worst case of the program of each object.
    worst_fuel: Vec<u64>,
}

impl Compiled {
    pub(crate) fn new(rule: &hir::Rule, catalogue: &Arc<Catalogue>) -> Result<Self, String> {
        let objects = compile::compile_rule(rule, catalogue).map_err(|error| error.message)?;
        let mut domain = Domain::new(catalogue.clone());
        let mut ready = Vec::new();
        let mut worst_fuel = Vec::new();
        for object in &objects {
            let asm = || codegen::print(object);
            let options = LinkOptions { fuel_limit: FUEL };
            let linked = domain.link(object, &options).map_err(|error| format!("{error}\n{}", asm()))?;
            let program = linked.verify().map_err(|error| format!("{error}\n{}", asm()))?;
            worst_fuel.push(program.report().map_or(0, |report| report.worst_fuel));
            ready.push(program);
        }
        let mut builder = GenerationBuilder::new(&domain).event_fuel_budget(u64::MAX);
        for program in ready {
            builder.add(program);
        }
        let generation = builder.build().map_err(|error| error.to_string())?;
        let instance = Instance::new(Arc::new(generation)).map_err(|error| error.to_string())?;
        Ok(Self { objects, instance, worst_fuel })
    }

    /// All its objects as text.
    pub(crate) fn describe(&self) -> String {
        self.objects.iter().map(codegen::print).collect()
    }

    /// The verdict on an event; a rule without a program for its family never matches.
    pub(crate) fn run(&mut self, event: &Event) -> Result<Verdict, String> {
        let len = encode(event, &mut self.instance);
        let done = self.instance.run(len).map_err(|error| error.to_string())?;
        let run = match done.runs() {
            [] => return Ok(Verdict::NoMatch),
            [run] => run,
            more => return Err(format!("{} programs were woken", more.len())),
        };
        let most = self.worst_fuel[run.program.0 as usize];
        if run.fuel_used > most {
            return Err(format!("used {} fuel, {most} were proved", run.fuel_used));
        }
        match run.outcome {
            Outcome::Verdict(verdict) => Ok(verdict),
            Outcome::Trap(trapped) => Err(trapped.stop.to_string()),
        }
    }
}

/// Writes the event as a record, only what the programs want of it, and returns its length.
fn encode(event: &Event, instance: &mut Instance) -> u32 {
    let generation = instance.generation().clone();
    let layouts = generation.layouts();
    let class = layouts.catalogue().classes_of(event.family).next().map_or(0, |ClassId(class)| class);
    let header = RecordHeader {
        digest: layouts.catalogue().short_digest(),
        class: class.into(),
        os: None,
        time_ns: 0,
        sequence: 0,
    };
    let buffer = instance.record_buffer_mut();
    let mut writer = RecordWriter::new(buffer, layouts.slot_count(event.family), &header).expect("room for a record");
    for (name, ..) in FIELDS {
        let (Some(state), Some((slot, _))) = (event.fields.get(*name), layouts.find(event.family, name)) else {
            continue;
        };
        if !generation.wants(event.family, slot) {
            continue;
        }
        let value = match state {
            State::Absent | State::Lost => None,
            State::Truncated(value) | State::Present(value) => Some(value),
        };
        let items: Vec<Cell<'_>>;
        let records: Vec<Vec<Cell<'_>>>;
        let rows: Vec<&[Cell<'_>]>;
        let cell = match value {
            Some(Val::List(list)) => {
                items = list.iter().map(scalar_cell).collect();
                with_state(state, Value::List(&items))
            }
            Some(Val::Records(list)) => {
                records = list.iter().map(|members| members.iter().map(scalar_cell).collect()).collect();
                rows = records.iter().map(Vec::as_slice).collect();
                with_state(state, Value::Records(&rows))
            }
            _ => scalar_cell(state),
        };
        writer.set(slot, 4096, &cell);
    }
    writer.finish()
}

fn with_state<'v>(state: &State, value: Value<'v>) -> Cell<'v> {
    if matches!(state, State::Truncated(_)) { Cell::Truncated(value) } else { Cell::Present(value) }
}

fn scalar_cell(state: &State) -> Cell<'_> {
    let value = match state {
        State::Absent => return Cell::Absent,
        State::Lost => return Cell::Lost,
        State::Truncated(value) | State::Present(value) => value,
    };
    let value = match value {
        Val::Num(value) => Value::Int(*value),
        Val::Str(text) => Value::Str(text),
        Val::Bytes(bytes) => Value::Bytes(bytes),
        Val::Ip(ip) => Value::Ip(*ip),
        Val::List(_) | Val::Records(_) => unreachable!("elements are scalars"),
    };
    with_state(state, value)
}
