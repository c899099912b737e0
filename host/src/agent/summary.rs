//! What a run came to: the numbers that `replay` prints at its end and writes with `--summary`.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use trapline_vm::map::MapCounters;

/// The longest latency that is told apart; longer ones count as this long.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// The summary of a run. Its JSON is read by scripts: names and meanings stay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Events decoded and judged.
    pub events: u64,
    /// Pieces of input that could not be read.
    pub refused: u64,
    /// Events that existed and never arrived; 0 for recordings that do not tell.
    pub lost: u64,
    /// Alerts delivered.
    pub alerts: u64,
    /// Alerts of each rule that had any, by rule id.
    pub alerts_by_rule: BTreeMap<String, u64>,
    /// Program runs that ended in a trap.
    pub traps: u64,
    /// Program runs that could not tell, because a value was lost or truncated.
    pub not_evaluable: u64,
    /// The same of each rule that had any, by rule id.
    pub not_evaluable_by_rule: BTreeMap<String, u64>,
    /// Bytes that rules remember in, all there from the start.
    pub state_bytes: u64,
    /// What the maps of each rule could not hold, if there was any of that, by rule id.
    pub maps_by_rule: BTreeMap<String, MapLosses>,
    /// Rules that no source seen in this run can serve.
    pub inert: Vec<InertRule>,
    /// Rules that were refused when they were loaded.
    pub refused_rules: Vec<RefusedRule>,
    /// Fuel used by all programs: instructions.
    pub fuel: u64,
    /// From raw bytes to verdicts, per event.
    pub latency_ns: Latency,
    /// Events a second while running.
    pub events_per_second: f64,
    /// Time taken.
    pub seconds: Seconds,
    /// Rules.
    pub rules: RuleCounts,
}

/// What happened to the maps of a rule that its programs do not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MapLosses {
    /// Keys given up for new ones.
    pub evicted: u64,
    /// New keys refused, because a map was full.
    pub refused: u64,
    /// Answers at the most that can be counted.
    pub saturated: u64,
    /// Times too early for their window.
    pub late: u64,
    /// Maps put back after traps.
    pub put_back: u64,
}

impl From<MapCounters> for MapLosses {
    fn from(counters: MapCounters) -> Self {
        let MapCounters { evicted, refused, saturated, late, put_back } = counters;
        Self { evicted, refused, saturated, late, put_back }
    }
}

/// A rule that cannot match anything that the sources of this run supply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InertRule {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What each profile that was seen lacks.
    pub lacks: BTreeMap<String, Lacking>,
}

/// What a profile lacks for a rule to match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacking {
    /// All of the rule's classes.
    Classes(Vec<String>),
    /// Fields that it cannot do without.
    Fields(Vec<String>),
    /// Events of the operating systems that it is for.
    Os(Vec<String>),
}

impl std::fmt::Display for Lacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Classes(names) => write!(f, "no {} events", names.join(", ")),
            Self::Fields(names) => write!(f, "no {}", names.join(", ")),
            Self::Os(names) => write!(f, "for {}", names.join(", ")),
        }
    }
}

/// A rule, or a file of rules, that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRule {
    /// Its file.
    pub file: String,
    /// Its line in the file, from 1; none in an object file.
    pub line: Option<u32>,
    /// Its name, if it got so far; of Sigma, its title.
    pub rule: Option<String>,
    /// Its id, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Code of the first error.
    pub code: String,
    /// The first error.
    pub reason: String,
}

/// Percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the events were at least as quick.
    pub p50: u64,
    /// 99 % of them.
    pub p99: u64,
    /// 99.9 % of them.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

/// Seconds taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// From rule text to running.
    pub load: f64,
    /// From the first raw event to the last verdict.
    pub run: f64,
}

impl Seconds {
    /// These times.
    pub fn new(load: Duration, run: Duration) -> Self {
        Self { load: load.as_secs_f64(), run: run.as_secs_f64() }
    }
}

/// How many rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleCounts {
    /// Compiled, proved, running.
    pub loaded: u64,
    /// Refused.
    pub refused: u64,
}

/// Collects latencies.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds and the precision are valid");
        Self { histogram }
    }

    /// Adds one event's.
    pub fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// The percentiles so far.
    pub fn percentiles(&self) -> Latency {
        if self.histogram.is_empty() {
            return Latency::default();
        }
        Latency {
            p50: self.histogram.value_at_quantile(0.5),
            p99: self.histogram.value_at_quantile(0.99),
            p999: self.histogram.value_at_quantile(0.999),
            max: self.histogram.max(),
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_nothing_and_of_something() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentiles(), Latency::default());
        for ns in 1..=1000 {
            latencies.record(Duration::from_nanos(ns));
        }
        latencies.record(Duration::MAX);
        let Latency { p50, p99, p999, max } = latencies.percentiles();
        assert!((500..=502).contains(&p50) && (990..=993).contains(&p99) && (999..=1001).contains(&p999));
        assert!(max >= LATENCY_NS_MAX);
    }

    #[test]
    fn the_keys_of_the_summary_are_those_that_scripts_know() {
        let json = serde_json::to_value(Summary::default()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "events",
            "refused",
            "lost",
            "alerts",
            "alerts_by_rule",
            "traps",
            "not_evaluable",
            "not_evaluable_by_rule",
            "state_bytes",
            "maps_by_rule",
            "inert",
            "refused_rules",
            "fuel",
            "latency_ns",
            "events_per_second",
            "seconds",
            "rules",
        ];
        expected.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, expected);
    }
}
