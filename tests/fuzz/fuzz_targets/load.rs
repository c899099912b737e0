//! The check `load` on what the fuzzer makes.
#![no_main]

#[path = "../checks/load.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
