//! Helpers: what a program can call beyond its own code.
//!
//! A helper is a row of one table, [`HELPERS`]: number, name, who may call it, what its arguments must be, what it
//! returns, which addresses it leaves without meaning, what it costs, and where its meaning is written down. Verifier,
//! linker and executors read the same row; [`RAW_HELPERS`] and [`RULE_HELPERS`] are views of it. Numbers below
//! [`OWN_HELPERS_MIN`] are those of Linux and mean what they mean there; 5 is what people who compare machines expect.
//!
//! A helper is total: it answers, or traps with [`Trap::HelperArgument`] or [`Trap::OutOfRegion`] for arguments that
//! the verifier would have refused. A call that traps has changed nothing. Helpers read the record and the bytes that
//! they are given, change maps, and keep no other state but their scratch buffers.
//!
//! # Fuel
//!
//! A call is one instruction of its block. Before the helper runs it is charged one fuel per started
//! [`WORK_BYTES_PER_FUEL`] bytes of its work; if that is more than is left, it does not run. What counts as work is in
//! the table, in words and as code. For maps it follows from the declaration alone, however full the map is.
//!
//! # Answers of three values
//!
//! Tests on fields return [`FALSE`], [`TRUE`] or [`UNKNOWN`]: a field that is absent or lost decides nothing; a
//! truncated one decides what its kept beginning can decide.

mod maps;
mod numbers;
mod record;
mod table;
#[cfg(test)]
mod tests;

pub use maps::{LEVEL_WORK, MEMBER_WORK, PANE_WORK};
pub use table::{HELPERS, OWN_HELPERS_MIN, RAW_HELPERS, RULE_HELPERS};

use crate::map::{MapDecl, MapKind};
use crate::memory::{GuestAddr, Memory, Region};
use crate::record::RecordView;
use crate::trap::Trap;

/// Answer of a test: it does not hold.
pub const FALSE: u64 = 0;
/// Answer of a test: it holds.
pub const TRUE: u64 = 1;
/// Answer of a test: it cannot be told.
pub const UNKNOWN: u64 = 2;

/// Flag of `str_test`: compare by Unicode simple case folding.
pub const STR_TEST_FOLD: u64 = 0x100;
/// Flag of `str_test`: the left slot is a list of strings; any element will do.
pub const STR_TEST_LIST: u64 = 0x200;
/// Flag of `str_test`: both slots are addresses, an IPv4 one equal to its IPv4-mapped IPv6 form.
pub const STR_TEST_IP: u64 = 0x400;
/// Flag of `str_test`: the right slot is a list of strings; any element will do.
pub const STR_TEST_RIGHT_LIST: u64 = 0x800;
/// All flags of `str_test`.
const STR_TEST_FLAGS: u64 = STR_TEST_FOLD | STR_TEST_LIST | STR_TEST_IP | STR_TEST_RIGHT_LIST;

/// Bytes of work that one fuel pays for.
pub const WORK_BYTES_PER_FUEL: u32 = 16;

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// Any initialised scalar.
    Scalar,
    /// The address of the record (`r1` at entry), unchanged.
    Record,
    /// A constant: the number of a slot that the program's manifest lists.
    Slot,
    /// A constant that has only bits of this mask.
    ConstMask(u64),
    /// A constant of at most this.
    ConstMax(u64),
    /// A map of the program, of one of these kinds.
    Map(MapKinds),
    /// The address of as many readable bytes as a key of the map in `r1` has.
    Key,
    /// The address of as many readable bytes as a value of the map in `r1` has.
    Value,
}

/// Kinds of maps that a helper works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKinds {
    /// Those whose values lie in guest memory.
    Values,
    /// Those, but read-only data: whose entries a program may change.
    Entries,
    /// [`MapKind::Window`].
    Window,
    /// [`MapKind::Distinct`].
    Distinct,
    /// [`MapKind::Seen`].
    Seen,
}

impl MapKinds {
    /// Whether a kind is one of these.
    pub const fn contains(self, kind: MapKind) -> bool {
        match self {
            Self::Values => kind.has_values(),
            Self::Entries => kind.has_values() && !matches!(kind, MapKind::Data),
            Self::Window => matches!(kind, MapKind::Window { .. }),
            Self::Distinct => matches!(kind, MapKind::Distinct { .. }),
            Self::Seen => matches!(kind, MapKind::Seen { .. }),
        }
    }
}

/// What `r0` holds after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// A number between two bounds.
    Number {
        /// Smallest value, signed.
        min: i64,
        /// Largest value, signed.
        max: i64,
    },
    /// The address of a value of the map in `r1`, or 0.
    NullableValue,
}

/// Which addresses a call leaves without meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidates {
    /// None.
    Nothing,
    /// Those of values of the map in `r1`.
    Values,
    /// Those of values of the map in `r1`, if maps of its kind evict.
    ValuesIfEvicting,
}

/// What helpers that compute work on.
#[derive(Debug)]
pub struct HelperContext<'m> {
    /// Not looked at before a helper asks: few do.
    record: &'m [u8],
    scratch: &'m mut Scratch,
}

/// Buffers that helpers keep between calls, so that no call allocates once they have grown.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    left: String,
    right: String,
}

/// Arguments `r1` to `r5`.
pub type Arguments = [u64; 5];

/// What is known of the arguments of a call before it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownArguments<'p> {
    /// The values of those that are constants.
    pub constants: [Option<u64>; 5],
    /// The map in `r1`, if it is one that the program declares.
    pub map: Option<&'p MapDecl>,
}

/// The work that a call does, in bytes looked at.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Nothing beyond the instruction.
    None,
    /// What depends on the values of its arguments.
    Bytes {
        /// For this call.
        of: fn(&HelperContext<'_>, &Arguments) -> Result<u32, Trap>,
        /// At most, where only some arguments are known.
        most: fn(&KnownArguments<'_>) -> u32,
    },
    /// What depends on the declaration of the map in `r1`, and on nothing else.
    Map {
        /// For this map.
        of: fn(&MapDecl) -> u32,
        /// For any map that the helper takes.
        most: u32,
    },
}

/// What a helper does.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// It computes from its arguments and from the record.
    Values(fn(&mut HelperContext<'_>, &Arguments) -> Result<u64, Trap>),
    /// It works on memory and maps.
    Memory(fn(&mut Memory, &Arguments) -> Result<u64, Trap>),
}

/// Programs of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Bare programs.
    Raw,
    /// Rules.
    Rule,
}

/// The programs that may call a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// All.
    All,
    /// Those of one kind.
    Only(Caller),
}

impl Callers {
    /// Whether programs of this kind are among them.
    pub fn contains(self, caller: Caller) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == caller,
        }
    }
}

/// One helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// The number that `call` names.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// Who may call it.
    pub callers: Callers,
    /// What it takes, from `r1` on.
    pub args: &'static [ArgType],
    /// What it returns.
    pub returns: Returns,
    /// Which addresses it leaves without meaning.
    pub invalidates: Invalidates,
    /// What counts as its work, in words; empty if nothing does.
    pub cost: &'static str,
    /// The same as code.
    pub work: Work,
    /// Where its meaning is written down.
    pub source: &'static str,
    run: Run,
}

/// The helpers that programs of one kind may call: a view of [`HELPERS`].
#[derive(Debug)]
pub struct HelperTable {
    /// For messages.
    pub name: &'static str,
    caller: Caller,
}

impl HelperTable {
    /// The helper with this number.
    pub fn get(&self, number: u32) -> Option<&'static Helper> {
        self.iter().find(|helper| helper.number == number)
    }

    /// The helpers, ascending by number.
    pub fn iter(&self) -> impl Iterator<Item = &'static Helper> + use<> {
        let caller = self.caller;
        HELPERS.iter().filter(move |helper| helper.callers.contains(caller))
    }
}

impl Helper {
    /// Fuel for the work of a call with these arguments.
    #[inline]
    pub fn fuel(&self, memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
        match self.work {
            Work::None => Ok(0),
            Work::Bytes { of, .. } => Ok(fuel_of(of(&HelperContext::new(memory), args)?)),
            Work::Map { of, .. } => Ok(fuel_of(of(maps::decl(memory, args, self.args)?))),
        }
    }

    /// The most fuel that the work of any call can cost; what is known of the arguments may lower it.
    pub fn fuel_max(&self, known: &KnownArguments<'_>) -> u64 {
        match self.work {
            Work::None => 0,
            Work::Bytes { most, .. } => fuel_of(most(known)),
            Work::Map { of, most } => fuel_of(known.map.map_or(most, of)),
        }
    }

    /// Does the work.
    #[inline]
    pub fn call(&self, memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
        match self.run {
            Run::Values(run) => run(&mut HelperContext::new(memory), args),
            Run::Memory(run) => run(memory, args),
        }
    }
}

/// Stands in for a helper that refuses each call, where tests ask what such a trap leaves behind.
pub(crate) static REFUSING: Helper = Helper {
    number: u32::MAX,
    name: "refusing",
    doc: "Refuses.",
    callers: Callers::All,
    args: &[],
    returns: Returns::Number { min: 0, max: 0 },
    invalidates: Invalidates::Nothing,
    cost: "",
    work: Work::None,
    source: "tests",
    run: Run::Memory(|_, _| Err(Trap::HelperArgument)),
};

fn fuel_of(bytes: u32) -> u64 {
    u64::from(bytes.div_ceil(WORK_BYTES_PER_FUEL))
}

impl<'m> HelperContext<'m> {
    fn new(memory: &'m mut Memory) -> Self {
        let (record, scratch) = memory.record_and_scratch();
        Self { record, scratch }
    }

    /// The record, if `addr` is its address.
    fn record(&self, addr: u64) -> Result<RecordView<'m>, Trap> {
        let here = GuestAddr(addr) == GuestAddr(u64::from(Region::Record.base()));
        RecordView::new(self.record).filter(|_| here).ok_or(Trap::HelperArgument)
    }
}
