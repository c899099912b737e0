//! Why a program is refused, as data: what the checker found, in words, and what would make it acceptable.

use std::fmt;

use super::flow::LOOP_NESTING_MAX;
use super::state::{Pointer, RegType, Why, region_name};
use crate::helper::{ArgType, MapKinds};
use crate::isa::{Size, Width};
use crate::memory::{FRAMES_MAX, Region};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    // control flow
    /// No path leads here.
    Unreachable,
    /// Two functions have a block in common.
    SharedCode {
        /// Where they begin.
        functions: (u32, u32),
    },
    /// A function calls itself, perhaps by way of others.
    Recursion {
        /// Where the functions of the cycle begin; each calls the next one, the last one the first.
        cycle: Vec<u32>,
    },
    /// Calls can go deeper than there are frames.
    CallDepth {
        /// Frames that would be needed.
        frames: u32,
    },
    /// There are too many loops within loops.
    LoopNesting,
    /// A loop that is too long to look at each of its iterations is entered at more than one place.
    Irreducible {
        /// The slot of its head.
        head: u32,
    },
    /// It cannot be proved that a loop ends.
    UnboundedLoop {
        /// The slot of its head.
        head: u32,
    },
    /// A program that changes maps could be stopped half-way.
    StateFuel {
        /// The most fuel that a run can use.
        worst: u64,
        /// The fuel that it gets.
        limit: u64,
    },

    // registers
    /// The register holds nothing.
    Unusable {
        /// The register.
        register: u8,
        /// Why.
        why: Why,
    },
    /// A number is needed, and it is an address.
    NotANumber {
        /// The register.
        register: u8,
        /// What it holds.
        value: RegType,
    },
    /// The frame pointer is written.
    FramePointer,
    /// Arithmetic on addresses that is not on the allow-list.
    PointerArithmetic {
        /// The width.
        width: Width,
        /// The operands.
        operands: Box<(RegType, RegType)>,
    },
    /// A comparison of addresses that is not on the allow-list.
    Comparison {
        /// The width.
        width: Width,
        /// What is compared.
        operands: Box<(RegType, RegType)>,
    },
    /// What a look-up found is used, and it may be null.
    MayBeNull {
        /// The register.
        register: u8,
        /// The map, by index.
        map: u16,
    },
    /// An address moved by too much, or by an unknown amount.
    PointerOffset {
        /// Where it would point.
        pointer: Pointer,
    },

    // memory
    /// One instruction accesses different regions in different iterations or calls.
    RegionsDiffer {
        /// Two of them.
        regions: (Region, Region),
    },
    /// The base of an access is a number.
    NotAPointer {
        /// The register.
        register: u8,
        /// What it holds.
        value: RegType,
    },
    /// The access can lie outside its region.
    OutOfBounds {
        /// The region.
        region: Region,
        /// Which object of it, as in [`Pointer::object`].
        object: u16,
        /// Least offset of its first byte.
        min: i128,
        /// Greatest offset of its first byte.
        max: i128,
        /// Bytes accessed.
        bytes: u32,
        /// Bytes the object has.
        len: u32,
    },
    /// The region is read-only.
    ReadOnly {
        /// The region.
        region: Region,
    },
    /// The region is read at constant offsets only.
    VariableOffset {
        /// The base.
        pointer: Pointer,
    },
    /// The manifest does not grant what is read.
    NotGranted {
        /// What it is.
        what: Granted,
        /// Its number.
        number: u32,
    },
    /// The access covers more than one slot, state byte or mask entry.
    Straddles {
        /// The region.
        region: Region,
        /// Offset of its first byte.
        offset: u32,
        /// Bytes accessed.
        size: Size,
    },
    /// A stack byte is read that was not written.
    UninitialisedStack {
        /// Its offset from the frame pointer.
        offset: i32,
    },
    /// A stack byte is read that no longer means anything.
    Unreadable {
        /// Its offset from the frame pointer.
        offset: i32,
        /// Why.
        why: Why,
    },
    /// Stack bytes are read that are part of a saved address.
    PartOfPointer {
        /// The bytes' region and offset.
        pointer: Pointer,
    },
    /// An address is stored outside the stack, or not whole, or not in an aligned slot, or at an unknown place.
    PointerStored {
        /// What is stored, and where to.
        stored: Box<(RegType, Pointer)>,
        /// With how many bytes.
        size: Size,
    },

    // helpers
    /// There is no such helper.
    UnknownHelper {
        /// Its number.
        helper: u32,
    },
    /// The manifest does not grant the helper.
    HelperNotGranted {
        /// Its number.
        helper: u32,
    },
    /// An argument has to be a constant.
    ArgumentNotConstant {
        /// The register.
        register: u8,
        /// What it holds.
        value: RegType,
    },
    /// An argument is not what the helper takes.
    Argument {
        /// The register.
        register: u8,
        /// What it holds.
        value: RegType,
        /// What it should hold.
        want: ArgType,
    },

    /// A helper is to read from a region that helpers do not read keys and values from.
    NotForHelpers {
        /// The region.
        region: Region,
    },

    // result
    /// A function returns an address in its own frame, which ends with it.
    FrameReturned,
    /// The result of a rule can be something else than a verdict.
    NotAVerdict {
        /// What `r0` holds.
        value: RegType,
    },
    /// The result is an address.
    PointerReturned {
        /// What `r0` holds.
        value: RegType,
    },

    // the verifier itself
    /// The verifier's own budget is used up.
    Budget {
        /// What was counted.
        what: &'static str,
        /// How much there was.
        limit: u64,
    },
    /// The verifier contradicts itself. Our bug; the program is refused all the same.
    Inconsistent,
}

/// Functions shown of a cycle of calls.
pub(super) const CYCLE_SHOWN: usize = 8;

/// Something a manifest grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// A field's slot.
    Slot,
    /// A byte of predicate bits.
    PredicateByte,
    /// A mask entry.
    Mask,
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slot => "field slot",
            Self::PredicateByte => "predicate byte",
            Self::Mask => "mask entry",
        })
    }
}

/// Kinds of maps in words.
const fn kinds_name(kinds: MapKinds) -> &'static str {
    match kinds {
        MapKinds::Values => "an array, hash, trie or data",
        MapKinds::Entries => "an array, hash or trie",
        MapKinds::Window => "a window",
        MapKinds::Distinct => "a distinct counter",
        MapKinds::Seen => "a seen-set",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no path from the entry leads here"),
            Self::SharedCode { functions: (a, b) } => {
                write!(f, "this code belongs to two functions, at {a} and at {b}")
            }
            Self::Recursion { cycle } => {
                f.write_str("the function calls itself: ")?;
                let shown = cycle.iter().take(CYCLE_SHOWN);
                shown.enumerate().try_for_each(|(number, function)| {
                    write!(f, "{}{function}", if number == 0 { "" } else { " calls " })
                })?;
                let left = cycle.len().saturating_sub(CYCLE_SHOWN);
                if left > 0 {
                    write!(f, " calls {left} more")?;
                }
                cycle.first().map_or(Ok(()), |first| write!(f, " calls {first}"))
            }
            Self::CallDepth { frames } => {
                write!(f, "the calls from here need {frames} stack frames, and there are {FRAMES_MAX}")
            }
            Self::LoopNesting => write!(f, "more than {LOOP_NESTING_MAX} loops are nested here"),
            Self::Irreducible { head } => {
                write!(f, "the loop at {head} is entered at several places, and takes too long to follow step by step")
            }
            Self::UnboundedLoop { head } => write!(f, "no bound is known for how often the loop at {head} is repeated"),
            Self::StateFuel { worst, limit } => write!(
                f,
                "the program changes maps, and could be stopped half-way: a run can use {worst} fuel, and gets {limit}"
            ),
            Self::RegionsDiffer { regions: (a, b) } => write!(
                f,
                "the access is one to the {} here, and one to the {} in another iteration or call",
                region_name(*b),
                region_name(*a)
            ),
            Self::Unusable { register, why } => write!(f, "r{register} is {why}"),
            Self::NotANumber { register, value: RegType::Pointer(pointer) } => {
                write!(f, "r{register} is an address: {pointer}")
            }
            Self::NotANumber { register, value } => write!(f, "r{register} is no number: {value}"),
            Self::FramePointer => f.write_str("r10 is the frame pointer, which no instruction may write"),
            Self::PointerArithmetic { width, operands } => {
                let (dst, src) = operands.as_ref();
                let bits = if *width == Width::W64 { "64-bit" } else { "32-bit" };
                write!(f, "this {bits} operation is not defined for {dst} and {src}")
            }
            Self::Comparison { width, operands } => {
                let (dst, src) = operands.as_ref();
                let bits = if *width == Width::W64 { "64-bit" } else { "32-bit" };
                write!(f, "this {bits} comparison is not defined for {dst} and {src}")
            }
            Self::MayBeNull { register, map } => {
                write!(f, "r{register} may be null: it is what a look-up in map {map} found")
            }
            Self::PointerOffset { pointer } => write!(f, "the address would be moved too far: {pointer}"),
            Self::NotAPointer { register, value: value @ RegType::Map(_) } => {
                write!(f, "r{register} is no address: {value}")
            }
            Self::NotAPointer { register, value } => {
                write!(f, "r{register} is a number, not an address into a region: {value}")
            }
            Self::OutOfBounds { region, object, min, max, bytes, len } => {
                let last = max + i128::from(*bytes);
                // The stack reads from the frame pointer down, as in assembly.
                let shift = if *region == Region::Stack { i128::from(*len) } else { 0 };
                let (lowest, highest) = (-shift, i128::from(*len) - shift);
                write!(f, "the access can reach bytes {}..{} of ", min - shift, last - shift)?;
                match region {
                    Region::MapValues => write!(f, "a value of map {object}")?,
                    Region::Constants => write!(f, "the data of map {object}")?,
                    region => write!(f, "the {}", region_name(*region))?,
                }
                write!(f, ", which has {lowest}..{highest}")
            }
            Self::ReadOnly { region } => write!(f, "programs may only read the {}", region_name(*region)),
            Self::VariableOffset { pointer } => {
                let region = region_name(pointer.region);
                write!(f, "the {region} is read at constant offsets only, and this one is {}", pointer.offset)
            }
            Self::NotGranted { what, number } => {
                write!(f, "{what} {number} is not among those that the program declares")
            }
            Self::Straddles { region, offset, size } => write!(
                f,
                "{} bytes at offset {offset} of the {} are not within one of its entries",
                size.bytes(),
                region_name(*region)
            ),
            Self::UninitialisedStack { offset } => {
                write!(f, "the stack byte at r10{offset:+} is not written on every path to here, or held an address")
            }
            Self::Unreadable { offset, why } => write!(f, "the stack bytes at r10{offset:+} held {why}"),
            Self::PartOfPointer { pointer } => {
                write!(f, "bytes of a saved address would be used as a number, at {pointer}")
            }
            Self::PointerStored { stored, size } => {
                let (value, target) = stored.as_ref();
                match value {
                    RegType::Pointer(pointer) => write!(f, "an address ({pointer})")?,
                    value @ RegType::Map(_) => write!(f, "{value}")?,
                    value => write!(f, "a {value}")?,
                }
                write!(f, " would be stored with {} bytes at {target}", size.bytes())
            }
            Self::UnknownHelper { helper } => write!(f, "there is no helper {helper}"),
            Self::HelperNotGranted { helper } => {
                write!(f, "helper {helper} is not among those that the program declares")
            }
            Self::ArgumentNotConstant { register, value } => write!(f, "r{register} is not one constant: {value}"),
            Self::Argument { register, value, want } => {
                write!(f, "r{register} is {value}, and the helper takes ")?;
                match want {
                    ArgType::Scalar => f.write_str("a number"),
                    ArgType::Record => f.write_str("the address of the record as it is at entry"),
                    ArgType::Slot => f.write_str("the number of a field slot that the program declares"),
                    ArgType::ConstMask(mask) => write!(f, "a constant with no bits outside {mask:#x}"),
                    ArgType::ConstMax(max) => write!(f, "a constant of at most {max}"),
                    ArgType::Map(kinds) => write!(f, "a map of the program: {}", kinds_name(*kinds)),
                    ArgType::Key => {
                        f.write_str("the address of a key: initialised bytes, as many as keys of the map have")
                    }
                    ArgType::Value => {
                        f.write_str("the address of a value: initialised bytes, as many as values of the map have")
                    }
                }
            }
            Self::NotAVerdict { value } => write!(f, "r0 is {value}, and a verdict is 0, 1 or 2"),
            Self::NotForHelpers { region } => {
                write!(f, "the helper would read from the {}", region_name(*region))
            }
            Self::PointerReturned { value: RegType::Pointer(pointer) } => write!(f, "r0 is an address: {pointer}"),
            Self::PointerReturned { value } => write!(f, "r0 is no number: {value}"),
            Self::FrameReturned => f.write_str("r0 is an address in the stack frame of the function that ends here"),
            Self::Budget { what, limit } => write!(f, "verifying takes more than {limit} {what}"),
            Self::Inconsistent => f.write_str("the verifier contradicts itself"),
        }
    }
}

impl Reason {
    /// A stable name, for tests and tools.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::SharedCode { .. } => "shared-code",
            Self::Recursion { .. } => "recursion",
            Self::CallDepth { .. } => "call-depth",
            Self::LoopNesting => "loop-nesting",
            Self::Irreducible { .. } => "irreducible-loop",
            Self::UnboundedLoop { .. } => "unbounded-loop",
            Self::StateFuel { .. } => "state-fuel",
            Self::RegionsDiffer { .. } => "regions-differ",
            Self::FrameReturned => "frame-returned",
            Self::Unusable { .. } => "unusable-register",
            Self::NotANumber { .. } => "not-a-number",
            Self::FramePointer => "frame-pointer",
            Self::PointerArithmetic { .. } => "pointer-arithmetic",
            Self::Comparison { .. } => "comparison",
            Self::MayBeNull { .. } => "may-be-null",
            Self::PointerOffset { .. } => "pointer-offset",
            Self::NotAPointer { .. } => "not-a-pointer",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::ReadOnly { .. } => "read-only",
            Self::VariableOffset { .. } => "variable-offset",
            Self::NotGranted { .. } => "not-granted",
            Self::Straddles { .. } => "straddles",
            Self::UninitialisedStack { .. } => "uninitialised-stack",
            Self::Unreadable { .. } => "unreadable",
            Self::PartOfPointer { .. } => "part-of-pointer",
            Self::PointerStored { .. } => "pointer-stored",
            Self::UnknownHelper { .. } => "unknown-helper",
            Self::HelperNotGranted { .. } => "helper-not-granted",
            Self::ArgumentNotConstant { .. } => "argument-not-constant",
            Self::Argument { .. } => "argument",
            Self::NotForHelpers { .. } => "not-for-helpers",
            Self::NotAVerdict { .. } => "not-a-verdict",
            Self::PointerReturned { .. } => "pointer-returned",
            Self::Budget { .. } => "budget",
            Self::Inconsistent => "inconsistent",
        }
    }

    /// What would make the program acceptable.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::SharedCode { .. } => {
                "let each function have code of its own; jumps do not lead from one into another"
            }
            Self::Recursion { .. } => "use a loop with a bound",
            Self::CallDepth { .. } => "write some of the functions out where they are called",
            Self::LoopNesting => "move inner loops into functions, or repeat less",
            Self::Irreducible { .. } => "enter the loop at its head only, or repeat it less",
            Self::UnboundedLoop { .. } => {
                "count in a register (or eight bytes of the stack) that every iteration moves on by at least one, and leave the loop by an ordered comparison (<, <=, >, >=) of it with a bound, so that it cannot wrap around"
            }
            Self::StateFuel { .. } => "do less in the worst case (fewer or shorter iterations), or grant more fuel",
            Self::RegionsDiffer { .. } => "use one instruction for each region",
            Self::FrameReturned => "let the caller pass the address of its own bytes, and write the result there",
            Self::Unreachable => "remove the instructions, or let a jump lead to them",
            Self::Unusable { why: Why::Call, .. } => {
                "keep the value in r6 to r9 or on the stack: calls leave r1 to r5 undefined"
            }
            Self::Unusable { why: Why::SomePaths, .. } => "write the register on every path to here",
            Self::Unusable { why: Why::KindsDiffer, .. } => "use one register for one kind of value where paths meet",
            Self::Unusable { why: Why::Invalidated { .. }, .. } | Self::Unreadable { .. } => {
                "use the value before the call, or look it up again after it"
            }
            Self::Unusable { .. } => "write the register before it is read",
            Self::NotANumber { .. } => "load the value that the address points to: an address is not computed with",
            Self::Comparison { .. } => {
                "an address may be compared, with 64 bits, with another one into the same object, and for (in)equality with 0"
            }
            Self::MayBeNull { .. } => "compare it with 0 first, with 64 bits, and use it only where it is not 0",
            Self::FramePointer => "copy r10 into another register and move that one",
            Self::PointerArithmetic { .. } => {
                "with 64 bits, an address may be copied, a bounded number added to or subtracted from it, and the distance taken of two into the same object"
            }
            Self::PointerOffset { .. } => "bound the number first, by a mask or a comparison",
            Self::NotAPointer { .. } => {
                "memory is reached through the addresses that the program has at entry, and what look-ups find; address 0 is never valid"
            }
            Self::OutOfBounds { min, max, .. } if *min == *max => "access only bytes that the program can rely on",
            Self::OutOfBounds { .. } => "bound the offset first, by a mask or an unsigned comparison with the length",
            Self::ReadOnly { .. } => "write to the stack instead",
            Self::VariableOffset { .. } => "branch on the number and read each place at its own constant offset",
            Self::NotGranted { .. } => {
                "declare it: linking puts every field and predicate that a rule names into its manifest"
            }
            Self::Straddles { .. } => "read each entry by itself",
            Self::UninitialisedStack { .. } => "write the bytes on every path before they are read",
            Self::PartOfPointer { .. } => "load the address back with eight bytes from where it was saved",
            Self::PointerStored { .. } => {
                "addresses are saved on the stack only: eight bytes, at a constant offset that is a multiple of 8"
            }
            Self::UnknownHelper { .. } => "call a helper of this machine",
            Self::HelperNotGranted { .. } => "declare the helper in the program's manifest",
            Self::ArgumentNotConstant { .. } => {
                "set the register to a constant before the call, the same one on every path"
            }
            Self::NotForHelpers { .. } => {
                "copy the bytes to the stack and pass their address: keys and values are read from the stack, maps and data"
            }
            Self::Argument { want: ArgType::Key | ArgType::Value, .. } => {
                "write the bytes to the stack and pass their address"
            }
            Self::Argument { .. } => "pass what the helper takes; its table says what each parameter is",
            Self::NotAVerdict { .. } => "set r0 to 0 (no match), 1 (match) or 2 (not evaluable) on every path to exit",
            Self::PointerReturned { .. } => "return a number; addresses never leave the machine",
            Self::Budget { .. } => "split the program",
            Self::Inconsistent => "this is a bug in Trapline, please report it with the program",
        }
    }
}
