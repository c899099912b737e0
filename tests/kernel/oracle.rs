//! The Linux kernel as a machine for raw programs: its verifier's verdict, and what a run leaves.
//!
//! A raw program has the address of a buffer in `r1` and its length in `r2`, and its whole `r0` is its result. To give
//! the kernel the same, the program becomes a local function of one that passes the address of a map's value and
//! stores what is returned into another map.

use std::collections::BTreeMap;
use std::io;

use trapline_vm::isa::{Instruction, assemble};

use super::bpf::{self, Loaded, Map, Refusal};

const KEY: [u8; 4] = [0; 4];

/// The kernel, if we are allowed to ask it.
pub(crate) struct Kernel {
    result: Map,
    /// Buffers by length.
    buffers: BTreeMap<u32, Map>,
}

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) r0: u64,
    pub(crate) memory: Vec<u8>,
}

impl Kernel {
    /// The kernel; None, with a printed line, where bpf(2) is not for us.
    pub(crate) fn ask() -> Option<Self> {
        match Map::cell(8) {
            Ok(result) => Some(Self { result, buffers: BTreeMap::new() }),
            Err(error) => {
                println!("skipped: the kernel's verifier cannot be asked here: bpf(2): {error}");
                None
            }
        }
    }

    /// The program as the kernel gets it.
    fn whole(&mut self, code: &[Instruction], memory_len: u32) -> io::Result<Vec<[u8; 8]>> {
        let arguments = if memory_len == 0 {
            "mov r1, 0\nmov r2, 0".to_owned()
        } else {
            if !self.buffers.contains_key(&memory_len) {
                self.buffers.insert(memory_len, Map::cell(memory_len)?);
            }
            format!("lddw_map_value_fd r1, {}\nmov r2, {memory_len}", self.buffers[&memory_len].number())
        };
        let result = self.result.number();
        let head = format!(
            "{arguments}\ncall local program\nlddw_map_value_fd r1, {result}\nstxdw [r1], r0\nmov r0, 0\nexit\nprogram:"
        );
        let head = assemble(&head).expect("the head assembles").code;
        Ok(head.iter().chain(code).map(|slot| slot.to_bytes()).collect())
    }

    /// The verdict of its verifier.
    pub(crate) fn load(&mut self, code: &[Instruction], memory_len: u32) -> Result<Loaded, Refusal> {
        let whole = self.whole(code, memory_len).map_err(|error| Refusal { error, log: String::new() })?;
        bpf::load(&whole)
    }

    /// A run with this memory.
    pub(crate) fn run(&self, program: &Loaded, memory: &[u8]) -> io::Result<Left> {
        self.result.set(&KEY, &[0xa5; 8])?;
        let buffer = u32::try_from(memory.len()).ok().and_then(|len| self.buffers.get(&len));
        if let Some(buffer) = buffer {
            buffer.set(&KEY, memory)?;
        }
        program.run()?;
        let result = self.result.get(&KEY)?.and_then(|bytes| bytes.try_into().ok());
        let left = buffer.map(|buffer| buffer.get(&KEY)).transpose()?.flatten();
        let missing = || io::Error::other("an array has no first value");
        Ok(Left { r0: u64::from_le_bytes(result.ok_or_else(missing)?), memory: left.unwrap_or_default() })
    }
}
