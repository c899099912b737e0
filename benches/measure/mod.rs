//! Measuring side by side: subjects take turns within one run, so that what disturbs the machine disturbs all of them,
//! and the median of their turns is what counts. Tables come out as Markdown.
//!
//! Without `--bench` (as `cargo test` starts it) each subject runs once, and no time is told.

use std::time::{Duration, Instant};

/// Turns of each subject.
const TURNS: usize = 25;
/// Turns where a run takes longer than as many turns should.
const TURNS_OF_SLOW: usize = 5;
/// How long a turn should take: many ticks of the clock, and few enough to be undisturbed most of the time.
const TURN: Duration = Duration::from_millis(2);

/// Whether to measure.
pub(crate) fn is_measuring() -> bool {
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    given("--bench") && !given("--test")
}

/// Something to measure, by name.
pub(crate) type Subject<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// Nanoseconds of one run of each subject: the medians of their turns. None if this is only a test.
pub(crate) fn medians(subjects: &mut [Subject<'_>]) -> Option<Vec<f64>> {
    for (_, run) in &mut *subjects {
        run();
    }
    if !is_measuring() {
        return None;
    }
    let counts: Vec<u32> = subjects.iter_mut().map(|(_, run)| count(run)).collect();
    let is_slow = subjects.iter_mut().any(|(_, run)| time(run, 1) > TURN * TURNS_OF_SLOW as u32);
    let mut turns = vec![Vec::with_capacity(TURNS); subjects.len()];
    for _ in 0..if is_slow { TURNS_OF_SLOW } else { TURNS } {
        for (((_, run), count), times) in subjects.iter_mut().zip(&counts).zip(&mut turns) {
            times.push(time(run, *count).as_nanos() as f64 / f64::from(*count));
        }
    }
    Some(turns.iter_mut().map(|times| median(times)).collect())
}

/// The median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs in a turn.
fn count(run: &mut dyn FnMut()) -> u32 {
    let mut count = 1;
    loop {
        let took = time(run, count);
        if took * 4 >= TURN || count >= 1 << 24 {
            let runs = f64::from(count) * TURN.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return (runs as u32).max(1);
        }
        count *= 2;
    }
}

fn time(run: &mut dyn FnMut(), count: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        run();
    }
    start.elapsed()
}

/// A time as people write it: two digits that mean something, and a unit.
pub(crate) fn show(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        below if below < 1e3 => (below, "ns"),
        below if below < 1e6 => (below / 1e3, "µs"),
        below if below < 1e9 => (below / 1e6, "ms"),
        more => (more / 1e9, "s"),
    };
    let digits = if value < 10.0 { 1 } else { 0 };
    format!("{value:.digits$} {unit}")
}

/// Prints a table.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    println!("\n| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}
