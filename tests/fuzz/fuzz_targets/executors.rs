//! The check `executors` on what the fuzzer makes.
#![no_main]

#[path = "../checks/executors.rs"]
mod check;
#[allow(dead_code, reason = "the naive machine serves other tests too")]
#[path = "../../naive/mod.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
