//! The check `executors` on what the fuzzer makes.
#![no_main]

#[path = "../checks/executors.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
