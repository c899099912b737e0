//! The Linux kernel as a machine for raw programs: its verifier's verdict, and what a run leaves.
//!
//! A raw program has the address of a buffer in `r1` and its length in `r2`, and its whole `r0` is its result. To give
//! the kernel the same, the program becomes a local function of one that passes the address of a map's value and
//! stores what is returned into another map.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use trapline_vm::isa::{Instruction, assemble};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap};

use super::bpf::{self, Loaded, Map, Refusal};

const KEY: [u8; 4] = [0; 4];
/// Pseudo-sources of a wide load: a map, and a place in its first value, by descriptor (1, 2) and by index (5, 6).
const BY_DESCRIPTOR: u8 = 1;
const BY_INDEX: u8 = 5;
const VALUE_BY_INDEX: u8 = 6;

/// A program that the kernel accepted.
pub(crate) struct Program {
    loaded: Loaded,
    /// Its maps, in its order: they live as long as it does.
    maps: Vec<Map>,
}

impl Program {
    /// The value at a key of one of its maps.
    pub(crate) fn value(&self, map: usize, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.maps.get(map).map_or(Ok(None), |map| map.get(key))
    }
}

/// A map of the kernel as one of ours is declared.
fn kernel_map(decl: &MapDecl) -> io::Result<Map> {
    let map_type = match decl.kind {
        MapKind::Array | MapKind::Data => bpf::MAP_TYPE_ARRAY,
        MapKind::Hash => bpf::MAP_TYPE_HASH,
        _ => return Err(io::Error::other("the kernel has no such map")),
    };
    let map = Map::new(map_type, decl.key_len, decl.value_len, decl.entries)?;
    fill(&map, decl)?;
    Ok(map)
}

/// Gives an array its first contents.
fn fill(map: &Map, decl: &MapDecl) -> io::Result<()> {
    if !matches!(decl.kind, MapKind::Array | MapKind::Data) {
        return Ok(());
    }
    for index in 0..decl.entries {
        let at = index as usize * decl.value_len as usize;
        let value = decl.contents.get(at..at + decl.value_len as usize);
        let zeros = vec![0; decl.value_len as usize];
        map.set(&index.to_le_bytes(), value.unwrap_or(&zeros))?;
    }
    Ok(())
}

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

    /// The program as the kernel gets it; wide loads name its maps by their descriptors.
    fn whole(&mut self, code: &[Instruction], memory_len: u32, maps: &[Map]) -> io::Result<Vec<[u8; 8]>> {
        let arguments = if memory_len == 0 {
            "mov r1, 0\nmov r2, 0".to_owned()
        } else {
            let buffer = match self.buffers.entry(memory_len) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Map::cell(memory_len)?),
            };
            format!("lddw_map_value_fd r1, {}\nmov r2, {memory_len}", buffer.number())
        };
        let result = self.result.number();
        let head = format!(
            "{arguments}\ncall local program\nlddw_map_value_fd r1, {result}\nstxdw [r1], r0\nmov r0, 0\nexit\nprogram:"
        );
        let head = assemble(&head).expect("the head assembles").code;
        let named = code.iter().map(|slot| match (slot.opcode, slot.src, usize::try_from(slot.imm)) {
            (0x18, BY_INDEX | VALUE_BY_INDEX, Ok(index)) if index < maps.len() => {
                Instruction { src: slot.src - BY_INDEX + BY_DESCRIPTOR, imm: maps[index].number(), ..*slot }
            }
            _ => *slot,
        });
        Ok(head.iter().copied().chain(named).map(Instruction::to_bytes).collect())
    }

    /// The verdict of its verifier. Of maps, arrays and hashes are known to both.
    pub(crate) fn load(
        &mut self,
        code: &[Instruction],
        memory_len: u32,
        maps: &[PlacedMap],
    ) -> Result<Program, Refusal> {
        let whole = maps
            .iter()
            .map(|map| kernel_map(&map.decl))
            .collect::<io::Result<Vec<_>>>()
            .and_then(|maps| Ok((self.whole(code, memory_len, &maps)?, maps)));
        let (whole, maps) = whole.map_err(|error| Refusal { error, log: String::new() })?;
        Ok(Program { loaded: bpf::load(&whole)?, maps })
    }

    /// A run with this memory.
    pub(crate) fn run(&self, program: &Program, memory: &[u8]) -> io::Result<Left> {
        self.result.set(&KEY, &[0xa5; 8])?;
        let buffer = u32::try_from(memory.len()).ok().and_then(|len| self.buffers.get(&len));
        if let Some(buffer) = buffer {
            buffer.set(&KEY, memory)?;
        }
        program.loaded.run()?;
        let result = self.result.get(&KEY)?.and_then(|bytes| bytes.try_into().ok());
        let left = buffer.map(|buffer| buffer.get(&KEY)).transpose()?.flatten();
        let missing = || io::Error::other("an array has no first value");
        Ok(Left { r0: u64::from_le_bytes(result.ok_or_else(missing)?), memory: left.unwrap_or_default() })
    }
}
