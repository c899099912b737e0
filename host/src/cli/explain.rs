//! `trapline explain CODE`: the page on a diagnostic of the compiler, a refusal of the verifier, or a trap.

use std::io::Write as _;

use anstyle::Style;
use clap::Args;
use trapline_programs::diagnostic;
use trapline_vm::trap::TRAPS;

use super::{Outcome, OutputError};
use crate::sink::terminal::escape;

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Explain the code of an error, of a refusal by the verifier, or of a trap
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A code, as in `error[unknown-field]` or `trap:out-of-region`; without one, all codes are listed
    code: Option<String>,
}

/// A page on one code.
struct Page {
    /// Who says it.
    by: &'static str,
    code: &'static str,
    /// In a few words; may be empty.
    title: &'static str,
    text: &'static str,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut out = anstream::stdout().lock();
        let pages = pages();
        match &self.code {
            None => {
                let mut by = "";
                for page in &pages {
                    if by != page.by {
                        by = page.by;
                        writeln!(out, "{DIM}{by}{DIM:#}").map_err(OutputError)?;
                    }
                    writeln!(out, "  {NAME}{:<30}{NAME:#} {DIM}{}{DIM:#}", page.code, page.title)
                        .map_err(OutputError)?;
                }
            }
            Some(code) => {
                // As people copy it: `unknown-field`, `error[unknown-field]`.
                let code = code.trim();
                let code = code.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or(code);
                // Some refusals and traps share a name: `trap:read-only` is the one, `refusal:read-only` the other.
                let (kind, name) = code.split_once(':').unwrap_or(("", code));
                let found: Vec<&Page> =
                    pages.iter().filter(|page| page.code == name && page.by.starts_with(kind)).collect();
                if found.is_empty() {
                    anyhow::bail!("there is no code `{}`; `trapline explain` lists all", escape(code));
                }
                for (index, page) in found.iter().enumerate() {
                    let gap = if index == 0 { "" } else { "\n" };
                    let colon = if page.title.is_empty() { "" } else { ": " };
                    write!(out, "{gap}{NAME}{}{NAME:#}{colon}{}  {DIM}{}{DIM:#}\n\n", page.code, page.title, page.by)
                        .map_err(OutputError)?;
                    writeln!(out, "{}", page.text.trim()).map_err(OutputError)?;
                }
            }
        }
        out.flush().map_err(OutputError)?;
        Ok(Outcome::Done)
    }
}

/// All pages: of the compiler, of the verifier, of traps.
fn pages() -> Vec<Page> {
    let diagnostics = diagnostic::codes().iter().map(|page| Page {
        by: "diagnostic of the compiler",
        code: page.code,
        title: page.title,
        text: page.explanation,
    });
    let refusals = REFUSALS.iter().map(|(code, text)| Page { by: "refusal of the verifier", code, title: "", text });
    let traps =
        TRAPS.iter().map(|trap| Page { by: "trap", code: trap.name, title: trap.message, text: trap.explanation });
    diagnostics.chain(refusals).chain(traps).collect()
}

/// What the verifier refuses, and what to do about it. A rule in our language compiles to code that passes; these are
/// for people who write bytecode themselves.
const REFUSALS: &[(&str, &str)] = &[
    (
        "not-linked",
        "\
The rule was compiled and does not fit this agent: another catalogue, a field or class that is not there or has another
type, or no room for one more field or test. Compile it with the catalogue of this agent.",
    ),
    (
        "bad-proof",
        "\
The proof of a program does not fit the program. This is a bug in Trapline; please report it with the rule.",
    ),
    (
        "malformed",
        "\
The code is not a program: an instruction that does not exist, a reserved field that is not zero, a jump that leads
outside or into the middle of a wide load, a helper that does not exist, an end that can be fallen off, or a length or
a map that the machine does not have. Nothing runs such code. Of assembly and hex, change what the help says; an object
file or a rule that comes to this is damaged, or made by a compiler with a bug.",
    ),
    (
        "unbounded-loop",
        "\
A program must end, and it is not proved that this loop does. Loops that are short are followed to their end. Of longer
ones something must be counted: a register, or eight bytes of the stack, that every iteration moves on by at least one,
up or down, and that is compared with a bound in such a way that it cannot wrap around before. `i < n` says that; `i !=
n` does not, unless the loop is short.",
    ),
    (
        "irreducible-loop",
        "\
The loop can be entered at more than one place, and is too long to be followed to its end. Let all jumps from outside
lead to one instruction.",
    ),
    (
        "loop-nesting",
        "\
There are more loops within loops than the verifier follows.",
    ),
    (
        "recursion",
        "\
A function calls itself, perhaps by way of others; the message says by which. Each call takes a stack frame, of which
there are few. Use a loop.",
    ),
    (
        "call-depth",
        "\
Functions call functions, and need more stack frames than there are. Write some of them out where they are called.",
    ),
    (
        "shared-code",
        "\
The same instructions belong to two functions: one jumps or falls into the other. A function is entered by calls only.",
    ),
    (
        "frame-returned",
        "\
A function returns an address in its own stack frame, which no longer exists when it has returned. Let the caller pass
the address of bytes of its own.",
    ),
    (
        "regions-differ",
        "\
One instruction accesses one kind of memory in one iteration or call, and another kind in another. Each access belongs
to one region: write the instruction twice.",
    ),
    (
        "state-fuel",
        "\
A program that changes maps must not be stopped half-way, so its worst case has to fit the fuel that a run gets. Do
less in the worst case (a lower bound of a loop, fewer calls), or grant more fuel.",
    ),
    (
        "unreachable",
        "\
No path leads to these instructions. Code that cannot run is usually a mistake in the code before it.",
    ),
    (
        "unusable-register",
        "\
A register is read and may hold nothing: it was never written, only on some paths, or a call left it undefined (calls
keep r6 to r9 only). Write it on every path before it is read. An address in a map is unusable after a call that may
have given up the entry: look the value up again.",
    ),
    (
        "not-a-number",
        "\
A number is needed and the register holds an address. Load the value that the address points to: an address is not
computed with.",
    ),
    (
        "frame-pointer",
        "r10 is the address of the stack frame and is never written. Copy it into another register and move that one.",
    ),
    (
        "pointer-arithmetic",
        "\
With 64 bits, an address may be copied, a bounded number may be added to it or subtracted from it, and the distance may
be taken of two addresses into the same object (the buffer, a stack frame, the value of a map that has one). All other
arithmetic on addresses is refused.",
    ),
    (
        "comparison",
        "\
With 64 bits, an address may be compared with another one into the same object (the buffer, a stack frame, the value of
a map that has one), and for equality with 0. All other comparisons of addresses are refused: what they say depends on
where memory lies.",
    ),
    (
        "may-be-null",
        "\
What a look-up in a map returns is used as an address, moved or passed on, and it may be 0. Compare it with 0 first,
with 64 bits, and use it only on the path where it is not 0. All copies of it, also those saved on the stack, are known
to be addresses there.",
    ),
    (
        "pointer-offset",
        "An address would be moved by too much, or by an amount that is not known. Bound the number first, by a mask or a comparison.",
    ),
    (
        "not-a-pointer",
        "\
The base of a memory access is no address. Memory is reached through the registers that hold addresses at entry (r1,
r2, r3, r10), copies of them, and what look-ups in maps find. Address 0 is never valid.",
    ),
    (
        "out-of-bounds",
        "\
An access can lie outside what the program may rely on: the slots it named, its stack frame, its buffer, one value of a
map. Bound the offset first, by a mask or an unsigned comparison with the length.",
    ),
    ("read-only", "A store goes into memory that programs only read, such as the record. Write to the stack instead."),
    (
        "variable-offset",
        "A slot of the record is read at an offset that is not constant. Branch on the number, and read each place at its own offset.",
    ),
    (
        "not-granted",
        "\
The program reads a field or predicate that is not in its manifest. The manifest is what a program may touch; linking
fills it from the fields and predicates that the rule names.",
    ),
    ("straddles", "An access covers parts of two entries. Read each entry by itself."),
    ("uninitialised-stack", "Bytes of the stack are read that were not written on every path. Write them first."),
    (
        "unreadable",
        "\
An address in a map was saved on the stack, and a call since then may have given up the entry that it leads to. Use the
value before the call, or look it up again after it.",
    ),
    (
        "part-of-pointer",
        "Part of an address that was saved on the stack is read. Load all eight bytes, from where it was saved.",
    ),
    (
        "pointer-stored",
        "An address is saved elsewhere than on the stack, or not as eight bytes at a constant offset that is a multiple of 8.",
    ),
    ("unknown-helper", "There is no helper of this number."),
    ("helper-not-granted", "The helper is not in the program's manifest. Declare it."),
    ("argument-not-constant", "This argument of a helper must be one constant, the same on every path."),
    ("argument", "An argument is not what the helper takes."),
    (
        "not-for-helpers",
        "\
A helper would read a key or a value from the record, the predicate bits or the masks, which hold more than the program
may see. Load what is needed, store it on the stack, and pass that address.",
    ),
    (
        "not-a-verdict",
        "\
A rule says 0 (no match), 1 (match) or 2 (not evaluable) in r0. Here r0 can hold something else at an exit.",
    ),
    ("pointer-returned", "A program would return an address. Addresses never leave the machine: return a number."),
    (
        "budget",
        "\
The proof would take more steps or memory than it may. The budget is counted in steps, not in time, so that the answer
is the same on every machine. Split the program.",
    ),
    ("inconsistent", "The verifier contradicts itself. This is a bug in Trapline; please report it with the program."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_and_every_trap_has_a_page_with_text() {
        for page in pages() {
            assert!(page.text.len() > 20, "{} has no text", page.code);
        }
        let reasons = include_str!("../../../vm/machine/src/verifier/reason.rs");
        let codes = reasons.split("pub const fn code").nth(1).unwrap().split("pub const fn help").next().unwrap();
        let codes: Vec<&str> = codes.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(codes.len() > 20, "{codes:?}");
        for code in codes {
            assert!(REFUSALS.iter().any(|(known, _)| *known == code), "{code} has no page");
        }
        for trap in TRAPS {
            assert!(pages().iter().any(|page| page.code == trap.name));
        }
    }
}
