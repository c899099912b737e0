//! The search at length, outside of the suite: on all cores, until as many programs were tried as were asked for.
//!
//! ```text
//! SOUNDNESS_PROGRAMS=10000000 cargo test --release --test soundness long_run -- --nocapture
//! ```
//!
//! `SOUNDNESS_FIRST` is the first seed (0), `SOUNDNESS_THREADS` how many cores. A violation is written to
//! `target/soundness/` as a file for the corpus.

use crate::search::{Counts, Family, Searcher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// Programs that a thread takes at a time.
const CHUNK: u64 = 2_000;
/// Chunks from one line of progress to the next.
const CHUNKS_SHOWN: u64 = 50;
/// Violations after which there is no use in going on.
const FINDINGS_MAX: usize = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok())
}

#[test]
fn long_run() {
    let Some(programs) = number("SOUNDNESS_PROGRAMS") else {
        return println!("skipped: SOUNDNESS_PROGRAMS says how many programs to try");
    };
    let first = number("SOUNDNESS_FIRST").unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let threads = number("SOUNDNESS_THREADS").unwrap_or(cores);
    let begin = Instant::now();
    let (next, end) = (AtomicU64::new(first), first + programs);
    let (sender, receiver) = mpsc::channel::<Counts>();
    let mut total = Counts::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let mut searcher = Searcher::default();
                loop {
                    let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                    for seed in from..(from + CHUNK).min(end) {
                        searcher.try_seed(Family::of(seed), seed);
                    }
                    if from >= end || sender.send(std::mem::take(&mut searcher.counts)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (chunk, counts) in (1..).zip(receiver) {
            total.add(counts);
            if chunk % CHUNKS_SHOWN == 0 {
                let per_second = total.tried as f64 / begin.elapsed().as_secs_f64();
                println!("{total}, {per_second:.0} programs a second");
            }
            if total.findings.len() > FINDINGS_MAX {
                next.store(end, Ordering::Relaxed);
            }
        }
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/soundness");
    for finding in &total.findings {
        let finding = finding.clone().shrunk();
        let name = format!("{:?}-{}.txt", finding.family, finding.seed).to_lowercase();
        std::fs::create_dir_all(&folder).expect("a folder for findings");
        std::fs::write(folder.join(&name), finding.to_corpus()).expect("a file for a finding");
        println!("{}\n{finding}", folder.join(&name).display());
    }
    println!("refused: {:?}", total.refused);
    println!("{total}, seeds {first} to {end}, {:.0} seconds, {threads} threads", begin.elapsed().as_secs_f64());
    assert!(total.findings.is_empty(), "{} violations", total.findings.len());
}
