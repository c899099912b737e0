//! The check `sigma` on what the fuzzer makes.
#![no_main]

#[path = "../checks/sigma.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
