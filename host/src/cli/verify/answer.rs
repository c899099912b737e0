//! What was proved of a program, or why it was refused, as data. The keys of the JSON are the names here; they are
//! described in `docs/verify.md` and do not change their meaning.

use serde::Serialize;
use trapline_programs::diagnostic::{self, Source, report};
use trapline_vm::helper::HelperTable;
use trapline_vm::interp::Code;
use trapline_vm::isa::disassemble_at;
use trapline_vm::map::{MapDecl, MapKind};
use trapline_vm::program::{Loaded, Program, ProgramKind};
use trapline_vm::verifier::{
    AbstractState, Limits, LoopProof, ProvedLoop, Rejection, VERIFIER_VERSION, Verified, load_and_verify,
    verify_observed,
};

use super::subject::{Refused, Subject};

/// Decisions kept of a path; of a longer one the last are kept.
pub(super) const PATH_MAX: usize = 24;

/// All that there is to say of one program.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// The file.
    pub(super) file: String,
    /// The line at which the program begins, if it is one of several of its file.
    pub(super) line: Option<u32>,
    /// The file that lines of instructions are of: of an object file, what debug information says; none if nothing.
    pub(super) source: Option<String>,
    /// Its name; none if the file could not be read as programs.
    pub(super) program: Option<String>,
    /// `rule` or `raw`.
    pub(super) kind: Option<&'static str>,
    /// The family whose records a rule reads.
    pub(super) family: Option<String>,
    /// The classes that wake a rule.
    pub(super) classes: Vec<String>,
    /// `proved` or `refused`.
    pub(super) outcome: &'static str,
    /// What was proved; none of a refused program.
    pub(super) proved: Option<Proved>,
    /// Why it was refused; none of a proved program.
    pub(super) refused: Option<Refusal>,
    /// The version of the verifier.
    pub(super) verifier: u32,
}

/// What was proved.
#[derive(Debug, Serialize)]
pub(super) struct Proved {
    pub(super) fuel: Fuel,
    /// Bytes of stack that it can use: the deepest sum of what each frame uses.
    pub(super) stack_bytes: u32,
    /// The most calls of its own functions that are in progress at a time.
    pub(super) call_depth: u32,
    /// Bytes that its maps hold, all of them from the start.
    pub(super) state_bytes: u64,
    pub(super) capabilities: Capabilities,
    /// Its loops, by their first instructions.
    pub(super) loops: Vec<Loop>,
    pub(super) instructions: u32,
    /// Instructions that no run reaches.
    pub(super) dead_instructions: u32,
    /// Instructions that access memory, each within one region and a proved range.
    pub(super) accesses: u32,
    pub(super) proof: Proof,
}

/// Instructions counted, see `docs/verify.md`.
#[derive(Debug, Serialize)]
pub(super) struct Fuel {
    /// The most that any run can use.
    pub(super) worst: u64,
    /// What a run gets.
    pub(super) limit: u64,
    /// Whether a run can be stopped for want of it.
    pub(super) can_run_out: bool,
}

/// What it may touch, and nothing else.
#[derive(Debug, Serialize)]
pub(super) struct Capabilities {
    /// Bytes of the writable buffer of a raw program.
    pub(super) buffer_bytes: Option<u32>,
    /// Fields that it may read.
    pub(super) fields: Vec<FieldGrant>,
    /// Fields without each of which a rule cannot match; none if that is not known.
    pub(super) needs: Option<Vec<String>>,
    /// Tests whose answers it may read, in the words of the rule.
    pub(super) predicates: Vec<String>,
    /// Helpers that it calls.
    pub(super) helpers: Vec<HelperGrant>,
    /// Its maps.
    pub(super) maps: Vec<MapGrant>,
}

/// A loop, and why it ends.
#[derive(Debug, Serialize)]
pub(super) struct Loop {
    /// The instruction that its jumps lead back to.
    pub(super) at: Place,
    /// The most times that it jumps back each time it is entered.
    pub(super) iterations: u64,
    /// `explored` (each iteration by itself) or `counted` (a counter that each iteration moves on is bounded).
    pub(super) proof: &'static str,
    /// The counter: a register, or a place in the frame.
    pub(super) counter: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FieldGrant {
    pub(super) name: String,
    pub(super) slot: u16,
    /// Whether an instruction reads it by itself (value or state), or passes it to a helper.
    pub(super) read: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct HelperGrant {
    pub(super) number: u32,
    pub(super) name: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct MapGrant {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) key_bytes: u32,
    pub(super) value_bytes: u32,
    pub(super) entries: u32,
    /// Whether a new entry can push out another.
    pub(super) evicts: bool,
    /// Bytes that it takes: values, keys and bookkeeping.
    pub(super) state_bytes: u64,
    /// Whether any instruction that can be reached uses it.
    pub(super) used: bool,
}

/// What the proof took.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    /// Instructions looked at and states handed on.
    pub(super) steps: u64,
    /// The most bytes of states held at a time.
    pub(super) bytes: u64,
}

/// Why a program was refused.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    /// Stable name of the reason; `trapline explain` has a page on it.
    pub(super) code: String,
    /// In one line (mistakes of a text: in one line each).
    pub(super) message: String,
    /// The instruction.
    pub(super) at: Option<Place>,
    /// What would have to hold before it.
    pub(super) must_hold: Option<String>,
    /// What is known of the registers involved.
    pub(super) known: Vec<Known>,
    /// All that is known before it.
    pub(super) state: Option<String>,
    /// The decisions on one shortest way to it.
    pub(super) path: Vec<Decision>,
    /// How many decisions of that way come before the first one listed.
    pub(super) path_skipped: usize,
    /// What would make the program acceptable.
    pub(super) help: Option<String>,
    /// What the compiler said, if the program did not come to be.
    pub(super) diagnostics: Vec<diagnostic::Report>,
}

/// An instruction and where it comes from.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    /// Its slot.
    pub(super) pc: u32,
    /// As assembly.
    pub(super) instruction: String,
    /// The line of the source.
    pub(super) line: Option<u32>,
    /// What that line says, if the source is there.
    pub(super) text: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Known {
    pub(super) register: u8,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Decision {
    #[serde(flatten)]
    pub(super) place: Place,
    /// Which way it goes there: `taken`, `not taken` or `called`.
    pub(super) turn: String,
    /// How often, together with its neighbours that are repeated as often.
    pub(super) times: u32,
}

impl Answer {
    /// Proves a program.
    pub(super) fn of(subject: Subject) -> Self {
        let outcome = load_and_verify(subject.program.clone(), subject.helpers);
        let (proved, refused) = match outcome {
            Ok(verified) => match Code::proved(&verified) {
                Ok(_) => (Some(Proved::new(&subject, &verified)), None),
                Err(error) => (None, Some(Refusal::plain("bad-proof", error.to_string()))),
            },
            Err(rejection) => (None, Some(Refusal::new(&subject, &rejection))),
        };
        Self {
            source: subject.source.as_ref().map(|source| source.name.clone()),
            file: subject.file,
            line: subject.line,
            program: Some(subject.program.name),
            kind: Some(match subject.program.kind {
                ProgramKind::Rule(_) => "rule",
                ProgramKind::Raw { .. } => "raw",
            }),
            family: subject.grants.family,
            classes: subject.grants.classes,
            outcome: if refused.is_none() { "proved" } else { "refused" },
            proved,
            refused,
            verifier: VERIFIER_VERSION,
        }
    }

    /// Of what is no program.
    pub(super) fn unread(refused: Refused) -> Self {
        let diagnostics = refused.diagnostics.iter().map(report).collect();
        Self {
            file: refused.file,
            line: refused.line,
            source: None,
            program: refused.program,
            kind: None,
            family: None,
            classes: Vec::new(),
            outcome: "refused",
            proved: None,
            refused: Some(Refusal { diagnostics, ..Refusal::plain(refused.code, refused.message) }),
            verifier: VERIFIER_VERSION,
        }
    }

    pub(super) fn is_proved(&self) -> bool {
        self.refused.is_none()
    }
}

impl Proved {
    fn new(subject: &Subject, verified: &Verified) -> Self {
        let report = verified.report();
        let program = &subject.program;
        let maps = (0..).zip(&program.maps);
        let maps = maps.map(|(index, map)| MapGrant::new(&map.decl, report.maps.contains(&index))).collect();
        let read = |slot: u16| report.slots.binary_search(&slot).is_ok();
        let fields = subject.grants.fields.iter();
        Self {
            fuel: Fuel { worst: report.worst_fuel, limit: report.fuel_limit, can_run_out: report.can_run_out() },
            stack_bytes: report.stack_bytes,
            call_depth: report.call_depth,
            state_bytes: report.state_bytes,
            loops: report.loops.iter().map(|proved| Loop::new(subject, proved)).collect(),
            capabilities: Capabilities {
                buffer_bytes: match program.kind {
                    ProgramKind::Raw { memory_len } => Some(memory_len),
                    ProgramKind::Rule(_) => None,
                },
                fields: fields
                    .map(|(name, slot)| FieldGrant { name: name.clone(), slot: *slot, read: read(*slot) })
                    .collect(),
                needs: subject.grants.needs.clone(),
                predicates: subject.grants.predicates.clone(),
                helpers: report.helpers.iter().map(|number| HelperGrant::new(subject.helpers, *number)).collect(),
                maps,
            },
            instructions: report.instructions,
            dead_instructions: report.dead_instructions,
            accesses: report.accesses,
            proof: Proof { steps: report.steps, bytes: report.bytes },
        }
    }
}

impl Loop {
    fn new(subject: &Subject, proved: &ProvedLoop) -> Self {
        let (proof, counter) = match proved.proof {
            LoopProof::Explored => ("explored", None),
            LoopProof::Counted(counter) => ("counted", Some(counter.to_string())),
        };
        let at = Place::new(&subject.program, subject.source.as_deref(), proved.head);
        Self { at, iterations: proved.iterations, proof, counter }
    }
}

impl HelperGrant {
    fn new(table: &HelperTable, number: u32) -> Self {
        Self { number, name: table.get(number).map_or("?", |helper| helper.name) }
    }
}

impl MapGrant {
    fn new(decl: &MapDecl, used: bool) -> Self {
        Self {
            name: decl.name.clone(),
            kind: kind_name(decl.kind),
            key_bytes: decl.key_len,
            value_bytes: decl.value_len,
            entries: decl.entries,
            evicts: decl.kind.evicts(),
            state_bytes: decl.state_bytes(),
            used,
        }
    }
}

/// As assembly files name it.
const fn kind_name(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Array => "array",
        MapKind::Data => "data",
        MapKind::Hash => "hash",
        MapKind::LruHash => "lru_hash",
        MapKind::Window { .. } => "window",
        MapKind::Distinct { .. } => "distinct",
        MapKind::Seen { .. } => "seen",
        MapKind::LpmTrie => "lpm_trie",
    }
}

impl Refusal {
    fn plain(code: &str, message: String) -> Self {
        Self {
            code: code.to_owned(),
            message,
            at: None,
            must_hold: None,
            known: Vec::new(),
            state: None,
            path: Vec::new(),
            path_skipped: 0,
            help: None,
            diagnostics: Vec::new(),
        }
    }

    fn new(subject: &Subject, rejection: &Rejection) -> Self {
        let (program, source) = (&subject.program, subject.source.as_deref());
        let known = rejection.registers.iter();
        let path_skipped = rejection.path.len().saturating_sub(PATH_MAX);
        let path = rejection.path.iter().skip(path_skipped);
        Self {
            at: rejection.pc.map(|pc| Place::new(program, source, pc)),
            must_hold: rejection.assertion.as_ref().map(ToString::to_string),
            known: known.map(|(register, value)| Known { register: *register, value: value.to_string() }).collect(),
            state: rejection.pc.and_then(|pc| state_before(subject, pc)),
            path: path
                .map(|decision| Decision {
                    place: Place::new(program, source, decision.pc),
                    turn: decision.turn.to_string(),
                    times: decision.times,
                })
                .collect(),
            path_skipped,
            help: Some(rejection.help().to_owned()),
            ..Self::plain(rejection.code(), rejection.message())
        }
    }
}

/// What is known before the instruction at which a proof ended: the proof is made once more, which gives the same
/// answer, and the last state that it sees there is kept. None of an instruction that it never came to.
fn state_before(subject: &Subject, at: u32) -> Option<String> {
    let loaded = Loaded::new(subject.program.clone(), subject.helpers).ok()?;
    let mut last: Option<AbstractState> = None;
    let mut observe = |pc: u32, state: &AbstractState| {
        if pc == at {
            last = Some(state.clone());
        }
    };
    drop(verify_observed(loaded, Limits::default(), &mut observe));
    last.map(|state| state.to_string())
}

impl Place {
    fn new(program: &Program, source: Option<&Source>, pc: u32) -> Self {
        let line = program.line_of(pc);
        let index = line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
        let text = index.and_then(|index| source?.text.lines().nth(index));
        Self {
            pc,
            instruction: disassemble_at(&program.code, pc as usize),
            line,
            text: text.map(|text| text.trim().to_owned()),
        }
    }
}
