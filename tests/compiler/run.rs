//! The way of a rule through compiler, linker, verifier and machine.

use std::sync::Arc;

use trapline_engine::predicate::{Interned, MaskBits, Scratch};
use trapline_engine::{Domain, LinkOptions, Linked};
use trapline_programs::{codegen, compile, hir};
use trapline_vm::helper::RULE_HELPERS;
use trapline_vm::interp::{Code, Predicted};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::predicate::MASK_LEN;
use trapline_vm::program::{Object, Verdict};
use trapline_vm::record::{Catalogue, Cell, RecordHeader, RecordView, RecordWriter, Value};
use trapline_vm::verifier::load_and_verify;

use crate::model::{Event, FIELDS, State, Val};

const FUEL: u64 = 10_000_000;
/// Room for the largest event that the generator makes.
const RECORD_LEN: u32 = 0x1_0000;

/// A rule ready to run.
pub(crate) struct Compiled {
    domain: Domain,
    objects: Vec<Object>,
    programs: Vec<Ready>,
    memory: Memory,
    scratch: Scratch,
    record: Vec<u8>,
}

struct Ready {
    linked: Linked,
    code: Code<Predicted>,
    worst_fuel: u64,
}

impl Compiled {
    pub(crate) fn new(rule: &hir::Rule, catalogue: &Arc<Catalogue>) -> Result<Self, String> {
        let objects = compile::compile_rule(rule, catalogue).map_err(|error| error.message)?;
        let mut domain = Domain::new(catalogue.clone());
        let mut programs = Vec::new();
        for object in &objects {
            let asm = || codegen::print(object);
            let options = LinkOptions { fuel_limit: FUEL };
            let linked = domain.link(object, &options).map_err(|error| format!("{error}\n{}", asm()))?;
            let verified = load_and_verify(linked.program().clone(), &RULE_HELPERS)
                .map_err(|error| format!("{error}\n{}", asm()))?;
            let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc)))
                .map_err(|error| format!("{error}\n{}", asm()))?;
            programs.push(Ready { linked, code, worst_fuel: verified.report().worst_fuel });
        }
        let capacities =
            Capacities { record: RECORD_LEN, predicates: 0x100, masks: MASK_LEN * 100, ..Capacities::default() };
        let memory = Memory::new(&capacities).map_err(|error| error.to_string())?;
        Ok(Self {
            domain,
            objects,
            programs,
            memory,
            scratch: Scratch::default(),
            record: vec![0xaa; RECORD_LEN as usize],
        })
    }

    /// All its objects as text.
    pub(crate) fn describe(&self) -> String {
        self.objects.iter().map(codegen::print).collect()
    }

    /// The verdict on an event; a family without a program never matches.
    pub(crate) fn run(&mut self, event: &Event) -> Result<Verdict, String> {
        let Some(Ready { linked, code, worst_fuel }) =
            self.programs.iter().find(|ready| ready.linked.rule().family == event.family)
        else {
            return Ok(Verdict::NoMatch);
        };
        let len = encode(event, &self.domain, &mut self.record);
        let record = &self.record[..len as usize];
        let view = RecordView::new(record).ok_or("no record")?;
        put(&mut self.memory, Region::Record, record)?;

        let table = self.domain.predicates();
        let mut bits = vec![0u8; table.predicate_count().div_ceil(4)];
        let mut masks = vec![0u8; table.mask_count() * MASK_LEN as usize];
        self.scratch.begin_event();
        for predicate in &linked.rule().predicates {
            let matcher = table.matcher(predicate.number).ok_or("a predicate without a matcher")?;
            match predicate.number {
                Interned::Bits(id) => {
                    let value = matcher.bits(&view, &mut self.scratch).map_or(0, |truth| 2 | u8::from(truth));
                    bits[id.0 as usize / 4] |= value << (2 * (id.0 % 4));
                }
                Interned::Mask(id) => {
                    let MaskBits { truth, known, lost } = matcher.mask(&view, &mut self.scratch);
                    let entry = &mut masks[usize::from(id.0) * MASK_LEN as usize..][..MASK_LEN as usize];
                    entry[..8].copy_from_slice(&truth.to_le_bytes());
                    entry[8..16].copy_from_slice(&known.to_le_bytes());
                    entry[16..].copy_from_slice(&lost.to_le_bytes());
                }
            }
        }
        put(&mut self.memory, Region::Predicates, &bits)?;
        put(&mut self.memory, Region::Masks, &masks)?;

        let outcome = code.run(&mut self.memory, FUEL);
        if outcome.fuel_used > *worst_fuel {
            return Err(format!("used {} fuel, {worst_fuel} were proved", outcome.fuel_used));
        }
        let r0 = outcome.result.map_err(|stop| stop.to_string())?;
        Verdict::from_r0(r0).ok_or(format!("r0 = {r0}"))
    }
}

fn put(memory: &mut Memory, region: Region, bytes: &[u8]) -> Result<(), String> {
    let whole = memory.whole_mut(region);
    whole.get_mut(..bytes.len()).ok_or("the region is too small")?.copy_from_slice(bytes);
    let len = u32::try_from(bytes.len()).map_err(|error| error.to_string())?;
    memory.set_len(region, len).map_err(|error| error.to_string())
}

/// Writes the event as a record and returns its length.
fn encode(event: &Event, domain: &Domain, into: &mut [u8]) -> u32 {
    let layouts = domain.layouts();
    let header =
        RecordHeader { digest: layouts.catalogue().short_digest(), class: 0, os: None, time_ns: 0, sequence: 0 };
    let mut writer = RecordWriter::new(into, layouts.slot_count(event.family), &header).expect("room for a record");
    for (name, ..) in FIELDS {
        let (Some(state), Some((slot, _))) = (event.fields.get(*name), layouts.find(event.family, name)) else {
            continue;
        };
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
