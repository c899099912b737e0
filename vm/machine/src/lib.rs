//! The Trapline machine: a verified, bounded eBPF machine for user space.
//!
//! It runs other people's bytecode (RFC 9669) inside a process that must not be hurt by it. It knows no operating system,
//! no rule language and no input or output: bytes go in, a number comes out. It is the core of Trapline, and meant to be
//! embedded by itself.
//!
//! ```text
//! text --isa::assemble--> instructions        ELF --program::elf--> objects       bytes --isa::Instruction-->
//!                              Program: what it is and may touch (a raw buffer, or a rule's manifest; maps)
//!                                 | program::Loaded: every instruction is sound, blocks are cut
//!                                 | verifier::verify: the only way to a Verified, with a Report or a Rejection
//!                                 v
//! memory::Memory + fuel --> interp::Code --> interp::Outcome: r0, or a trap::Trap and where
//! ```
//!
//! # What it promises
//!
//! * **Nothing outside its regions.** A program reads and writes what it was granted, whatever its code and its input
//!   are; nothing it does panics, hangs or allocates without bound. The crate forbids `unsafe`.
//! * **Proved, then checked again.** A [`Verified`](verifier::Verified) program can stop early for one reason only, its
//!   fuel; its worst case is known before it runs ([`Report`](verifier::Report)). The interpreter holds each access
//!   against the proof all the same.
//! * **A trap is data**: a stable code, the instruction, the registers ([`trap`]). It ends one run and nothing else.
//! * **The same everywhere.** Verdicts, fuel and answers of the verifier depend on the program and its input alone: no
//!   clock, no hash seed, no addresses of the host.
//!
//! # Example
//!
//! Pick a byte of a packet at an offset that the packet itself gives:
//!
//! ```
//! use trapline_vm::{helper::RAW_HELPERS, interp::Code, isa::assemble, memory::Memory, program::Program, verifier};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "
//!         ldxb r3, [r1]           # r1: the buffer, r2: its length
//!         and r3, 7               # without this line the program is refused
//!         add r1, r3
//!         ldxb r0, [r1+8]
//!         exit";
//! let code = assemble(text).expect("this is assembly").code;
//! let program = Program::raw("pick", code, 16);               // a buffer of 16 bytes
//! let verified = verifier::load_and_verify(program, &RAW_HELPERS)?;
//! assert_eq!(verified.report().worst_fuel, 5);                // known before it runs
//!
//! let mut memory = Memory::for_raw(&[2, 0, 0, 0, 0, 0, 0, 0, 10, 11, 12, 13, 14, 15, 16, 17])?;
//! let outcome = Code::proved(&verified)?.run(&mut memory, 100);
//! assert_eq!(outcome.result, Ok(12));
//! assert_eq!(outcome.fuel_used, 5);
//! # Ok(())
//! # }
//! ```
//!
//! A program that is not safe is refused with what would have to hold, what is known, the way there, and what would help:
//!
//! ```
//! # use trapline_vm::{helper::RAW_HELPERS, isa::assemble, program::Program, verifier};
//! let code = assemble("ldxb r3, [r1]\nadd r1, r3\nldxb r0, [r1+8]\nexit").unwrap().code;
//! let rejection = verifier::load_and_verify(Program::raw("pick", code, 16), &RAW_HELPERS).unwrap_err();
//! assert_eq!(rejection.code(), "out-of-bounds");
//! assert!(rejection.message().contains("bytes 8..264 of the buffer, which has 0..16"));
//! assert_eq!(rejection.pc, Some(2));
//! ```
//!
//! Unproved, it runs too, with each access checked against all regions, and ends in a trap:
//!
//! ```
//! # use trapline_vm::{helper::RAW_HELPERS, interp::Code, isa::assemble, memory::Memory, program::{Loaded, Program}};
//! # use trapline_vm::trap::Trap;
//! # let code = assemble("ldxb r3, [r1]\nadd r1, r3\nldxb r0, [r1+8]\nexit").unwrap().code;
//! let loaded = Loaded::new(Program::raw("pick", code, 16), &RAW_HELPERS).unwrap();
//! let mut memory = Memory::for_raw(&[200; 16]).unwrap();
//! let stop = Code::checked(&loaded).run(&mut memory, 100).result.unwrap_err();
//! assert_eq!((stop.trap, stop.pc), (Trap::OutOfRegion, 2));
//! let report = loaded.report(stop, memory.trap_registers());
//! assert_eq!(report.to_string(), "pick: memory access outside every region [out-of-region] at pc 2: ldxb %r0, [%r1+8]");
//! ```
//!
//! Programs keep state in maps, which have a declared capacity and all their memory from the start. This one counts how
//! often each first byte was seen:
//!
//! ```
//! use trapline_vm::map::{MapDecl, MapKind, Placement};
//! use trapline_vm::memory::{Capacities, Memory, Region};
//! # use trapline_vm::{helper::RAW_HELPERS, interp::Code, isa::assemble, program::Program, verifier};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let code = assemble("
//!         ldxb r7, [r1]
//!         stxw [r10-4], r7        # the key
//!         lddw_map_index r1, 0    # the first map of the program
//!         mov r2, r10
//!         add r2, -4
//!         call 1                  # map_lookup_elem: the address of the value, or null
//!         jeq r0, 0, none         # without this line the program is refused
//!         mov r1, 1
//!         lock fetch add [r0], r1
//!         mov r0, r1              # what it was before
//! none:   exit").expect("this is assembly").code;
//! let (kind, name, contents) = (MapKind::Array, "seen".to_owned(), Vec::new());
//! let decl = MapDecl { name, kind, key_len: 4, value_len: 8, entries: 256, contents };
//! let maps = vec![Placement::default().place(decl)?];
//! let program = Program { maps, ..Program::raw("count", code, 1) };
//! let verified = verifier::load_and_verify(program, &RAW_HELPERS)?;
//!
//! let capacities = Capacities { buffer: 1, ..Capacities::default() };
//! let mut memory = Memory::with_maps(&capacities, &verified.program().maps)?;
//! memory.set_len(Region::Buffer, 1)?;
//! let code = Code::proved(&verified)?;
//! let mut see = |byte: u8| {
//!     memory.contents_mut(Region::Buffer)[0] = byte;
//!     code.run(&mut memory, 100).result
//! };
//! assert_eq!([see(7), see(8), see(7), see(7)], [Ok(0), Ok(0), Ok(1), Ok(2)]);
//! # Ok(())
//! # }
//! ```
//!
//! # Why
//!
//! **Why not rbpf or uBPF?** They run what they are given: neither proves that a program ends or stays within its
//! memory, rbpf has no bound on a run, and some instructions of the RFC give other results there (signed division, moves
//! with sign extension). `docs/performance.md` compares the speed; `trapline debug exec --engine interpreter,rbpf` the
//! answers.
//!
//! **Why verify and check?** Verifiers have bugs; the kernel's has had many. The check costs one compare an access, and
//! with it a bug of our verifier is a trap of one program instead of a hole. Checks without a proof, the other way round,
//! say in operation what a proof says before deployment.
//!
//! **Why fuel by block?** A compare for each instruction would be paid on every one of them. A block is charged whole,
//! before it runs: the sum is exact, the same for every executor, and a block that cannot be paid has changed nothing.
//!
//! **Why one flat memory of 32 bits?** An address of a program is an index into one array of bytes: the bound that the
//! verifier proved, the compare that the interpreter makes and the linear memory that compiled code would use are the same
//! thing. Programs never see an address of the host, so they cannot tell one, and verdicts do not depend on it.
//!
//! **Why does nothing here evaluate strings?** Programs test bits that the embedder has set ([`predicate`]), or call
//! helpers with a price. So the cost of a program is its fuel, whatever the input.
//!
//! # Features
//!
//! `elf` (default): read and write BPF ELF object files. Without it the crate depends on a hash, a derive macro and a
//! table of letter cases.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod helper;
pub mod interp;
pub mod isa;
pub mod map;
pub mod memory;
pub mod predicate;
pub mod program;
pub mod record;
pub mod text;
pub mod trap;
pub mod verifier;
