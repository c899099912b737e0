//! Helpers of the naive machine: numbers computed again, tests on records by the machine's own.

use crate::generator;
use crate::naive::{Bytes, Helpers};
use trapline_vm::helper::{Helper, HelperTable};
use trapline_vm::memory::Memory;
use trapline_vm::program::ProgramKind;

/// What a naive run needs beside its regions.
#[derive(Debug)]
pub(crate) struct NaiveHelpers<'a> {
    table: &'static HelperTable,
    /// Has the record that tests on fields look at.
    record: &'a mut Memory,
}

impl<'a> NaiveHelpers<'a> {
    pub(crate) fn new(kind: &ProgramKind, record: &'a mut Memory) -> Self {
        Self { table: generator::helpers(kind), record }
    }

    fn helper(&self, number: i32) -> &'static Helper {
        self.table.get(number as u32).expect("helpers exist in loaded programs")
    }
}

fn saturate(value: i128) -> u64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64 as u64
}

impl Helpers for NaiveHelpers<'_> {
    fn fuel(&mut self, number: i32, arguments: [u64; 5], _: &[Bytes]) -> Result<u64, &'static str> {
        self.helper(number).fuel(self.record, &arguments).map_err(|trap| trap.info().name)
    }

    fn call(&mut self, number: i32, arguments: [u64; 5], _: &mut [Bytes]) -> Result<u64, &'static str> {
        let (a, b) = (i128::from(arguments[0] as i64), i128::from(arguments[1] as i64));
        let helper = self.helper(number);
        Ok(match helper.name {
            "identity" => arguments[0],
            "sat_add" => saturate(a + b),
            "sat_sub" => saturate(a - b),
            "sat_mul" => saturate(a * b),
            "decimal_mul" => saturate(a * b / 1_000_000),
            "decimal_div" if b == 0 => 0,
            "decimal_div" => saturate(a * 1_000_000 / b),
            _ => return helper.call(self.record, &arguments).map_err(|trap| trap.info().name),
        })
    }
}
