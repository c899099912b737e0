//! Do the oracles find bugs? Historical ones are planted in the verifier, and each must be caught by two of them that
//! do not depend on each other; without a fault the same search finds nothing.
//!
//! `cargo test --features planted-faults --test planted -- --nocapture`

#[allow(dead_code, reason = "serves other tests, too")]
#[path = "soundness/corpus.rs"]
mod corpus;
#[allow(dead_code, unused_imports, reason = "serves other tests, too")]
#[path = "soundness/generator/mod.rs"]
mod generator;
#[path = "soundness/helpers.rs"]
mod helpers;
#[allow(dead_code, reason = "serves other tests, too")]
mod naive;
#[allow(dead_code, reason = "serves other tests, too")]
#[path = "soundness/oracle.rs"]
mod oracle;
#[allow(dead_code, reason = "serves other tests, too")]
#[path = "soundness/proof.rs"]
mod proof;
#[allow(dead_code, reason = "serves other tests, too")]
#[path = "soundness/search.rs"]
mod search;

use oracle::Oracle;
use search::{Family, Searcher};
use std::collections::BTreeMap;
use trapline_vm::verifier::{Bits, Fault, Scalar, plant};

/// Programs after which a fault counts as not found.
const PROGRAMS_MAX: u64 = 40_000;
/// Programs that are tried in any case, also without a fault: other oracles may find it, too.
const PROGRAMS_MIN: u64 = 1_500;

/// Oracles that share what they rest on count as one.
fn family_of(oracle: Oracle) -> &'static str {
    match oracle {
        // Abstract states against concrete ones.
        Oracle::Embedding => "state embedding",
        // What runs do, whatever the abstract states were.
        Oracle::Range
        | Oracle::Initialised
        | Oracle::NoTrap
        | Oracle::Fuel
        | Oracle::Verdict
        | Oracle::Predicted
        | Oracle::Checked
        | Oracle::ReadOnly => "accepted programs do not trap",
        // The verifier against itself.
        Oracle::Consistent => "invariants",
        Oracle::Reuse => "proofs with and without reuse",
    }
}

/// Which oracles catch a fault, and with which program.
fn caught(fault: Option<Fault>, programs: u64) -> BTreeMap<&'static str, u64> {
    plant(fault);
    let mut caught = BTreeMap::new();
    if !transfer_functions_hold() {
        caught.insert("transfer functions at small widths", 0);
    }
    let mut searcher = Searcher::default();
    for seed in 0..programs {
        searcher.try_seed(Family::of(seed), seed);
        for finding in searcher.counts.findings.drain(..) {
            for violation in &finding.violations {
                caught.entry(family_of(violation.oracle)).or_insert(seed + 1);
            }
        }
        if caught.len() > 2 || caught.len() == 2 && seed >= PROGRAMS_MIN {
            break;
        }
    }
    plant(None);
    caught
}

/// Every interval and every known bit of a small width, cut to a smaller one, against every number: a directed part of
/// what the unit tests of numbers try.
fn transfer_functions_hold() -> bool {
    let (wide, narrow) = (Bits::new(5), Bits::new(3));
    let all = 0..=wide.mask();
    all.clone().all(|min| {
        all.clone().filter(|max| min <= *max).all(|max| {
            let cut = Scalar::range(min, max, wide).truncate(narrow, wide);
            (min..=max).all(|value| cut.contains(narrow.truncate(value), narrow))
        })
    })
}

fn is_caught_twice(fault: Fault) {
    let caught = caught(Some(fault), PROGRAMS_MAX);
    for (oracle, programs) in &caught {
        println!("{fault:?}: caught by {oracle} after {programs} programs");
    }
    assert!(caught.len() >= 2, "{fault:?} is caught by {caught:?} alone");
}

#[test]
fn bounds_of_the_lower_half_cut_from_those_of_the_whole() {
    is_caught_twice(Fault::TruncatedBounds);
}

#[test]
fn arithmetic_on_an_address_that_may_be_null() {
    is_caught_twice(Fault::NullableArithmetic);
}

#[test]
fn a_result_used_again_for_a_state_that_is_not_the_same() {
    is_caught_twice(Fault::UnequalReuse);
}

#[test]
fn without_a_fault_the_same_search_finds_nothing() {
    let caught = caught(None, PROGRAMS_MIN);
    assert!(caught.is_empty(), "{caught:?}");
}
