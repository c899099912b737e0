//! The cost of one event with 1, 10 and all stock rules: from the bytes of the event to verdicts, and with the record
//! already decoded. The events are the recorded intrusion in `tests/data`.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trapline::agent::load::{RuleText, Ruleset, load};
use trapline::agent::worker::{Item, Worker};
use trapline::source::{Decoder, Inputs, RawEvent, Source as _, SourceId};
use trapline_engine::Instance;
use trapline_programs::catalogue::catalogue;
use trapline_programs::stock;
use trapline_vm::record::RecordWriter;

/// The first `count` stock rules, `reverse_shell_dev_tcp` before all others: a single rule is one that events wake.
fn rules(count: usize) -> Arc<Ruleset> {
    let mut sources = stock::sources();
    sources.sort_by_key(|source| !source.name.ends_with("reverse_shell_dev_tcp.trap"));
    sources.truncate(count);
    let texts: Vec<RuleText> =
        sources.into_iter().map(|source| RuleText { source, ruleset: "stock".to_owned() }).collect();
    let loaded = load(&texts, catalogue()).expect("stock rules fit the budget");
    assert!(loaded.refused.is_empty(), "stock rules compile: {:?}", loaded.refused);
    Arc::new(loaded.ruleset)
}

fn recording() -> Vec<RawEvent> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/intrusion.jsonl"));
    let mut inputs = Inputs::open(SourceId(0), &[path]).expect("the recording is there");
    let mut events = Vec::new();
    while let Some(raw) = inputs.next() {
        events.push(raw.expect("every line of the recording is good"));
    }
    assert!(!events.is_empty());
    events
}

/// The recording as records of a ruleset's layouts, only wanted slots filled, as the worker makes them.
fn records(ruleset: &Ruleset, raw: &[RawEvent]) -> Vec<Vec<u8>> {
    let generation = &ruleset.generation;
    let layouts = generation.layouts();
    let mut decoder = Decoder::new(catalogue().clone());
    let mut records = Vec::new();
    for raw in raw {
        decoder.decode(raw, &mut |event| {
            let event = event.expect("every event of the recording is good");
            let mut bytes = vec![0; 256 * 1024];
            let slots = layouts.slot_count(event.family());
            let mut writer = RecordWriter::new(&mut bytes, slots, &event.header(layouts)).expect("room for the slots");
            let wanted = generation.wanted(event.class);
            event.fill(&mut writer, layouts, |slot| wanted.is_some_and(|wanted| wanted.contains(slot)));
            let len = writer.finish() as usize;
            bytes.truncate(len);
            records.push(bytes);
        });
    }
    records
}

fn engine(criterion: &mut Criterion) {
    let raw = recording();
    let all = stock::RULES.len();
    for (name, count) in [("1 rule".to_owned(), 1), ("10 rules".to_owned(), 10), (format!("all {all} rules"), all)] {
        let ruleset = rules(count);
        let mut group = criterion.benchmark_group("event");
        group.throughput(Throughput::Elements(raw.len() as u64));
        group.bench_function(BenchmarkId::new("from bytes", &name), |bencher| {
            let mut worker = Worker::new(ruleset.clone()).expect("memory of the default size");
            bencher.iter(|| {
                for event in &raw {
                    worker.take(Item::Raw(event.clone()), &mut |output| {
                        black_box(&output);
                    });
                }
            });
        });
        let records = records(&ruleset, &raw);
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(BenchmarkId::new("decoded", &name), |bencher| {
            let mut instance = Instance::new(ruleset.generation.clone()).expect("memory of the default size");
            bencher.iter(|| {
                for record in &records {
                    instance.record_buffer_mut()[..record.len()].copy_from_slice(record);
                    let judged = instance.run(record.len() as u32).expect("a record of this generation");
                    black_box(judged.runs().len());
                }
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = engine
}
criterion_main!(benches);
