//! The check `soundness` on what the fuzzer makes, with the generator and the oracles of the tests.
#![no_main]

#[path = "../checks/soundness.rs"]
mod check;
#[allow(dead_code, reason = "the generator serves other oracles too")]
#[path = "../../soundness/generator/mod.rs"]
mod generator;
#[path = "../../soundness/helpers.rs"]
mod helpers;
#[allow(dead_code, reason = "the naive machine serves other tests too")]
#[path = "../../naive/mod.rs"]
mod naive;
#[allow(dead_code, reason = "the oracles serve other tests too")]
#[path = "../../soundness/oracle.rs"]
mod oracle;
#[allow(dead_code, reason = "the oracles serve other tests too")]
#[path = "../../soundness/proof.rs"]
mod proof;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
