//! The check `elf` on what the fuzzer makes.
#![no_main]

#[path = "../checks/elf.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
