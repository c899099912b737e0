//! Why the kernel refuses programs that we accept: the differences that are known, case by case.

/// A difference that is understood.
#[derive(Debug)]
pub(crate) struct Class {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// What the kernel says: the line of its log that names the reason has one of these in it.
    says: &'static [&'static str],
    /// Whether it is about what a program can do at run time: then runs must bear us out.
    pub(crate) about_runs: bool,
    /// Why it is no hole of ours.
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const CLASSES: &[Class] = &[
    Class {
        name: "immediate shift",
        says: &["invalid shift"],
        about_runs: false,
        why: "Linux refuses a constant shift count beyond the width; RFC 9669 section 4.1 masks it, and so do we",
    },
    Class {
        name: "immediate division by zero",
        says: &["div by zero"],
        about_runs: false,
        why: "Linux refuses a constant divisor of zero; RFC 9669 section 4.1 defines the result",
    },
    Class {
        name: "misaligned",
        says: &["misaligned stack access", "misaligned value access"],
        about_runs: false,
        why: "Linux wants stack accesses and atomics aligned; our machine is defined for any address",
    },
    Class {
        name: "subtraction from the frame pointer",
        says: &["subtraction from stack pointer prohibited"],
        about_runs: false,
        why: "a matter of form: adding the negative constant is accepted",
    },
    Class {
        name: "dead code",
        says: &["unreachable insn"],
        about_runs: false,
        why: "Linux refuses code that no edge leads to; it cannot do anything",
    },
    Class {
        name: "stack of all frames together",
        says: &["combined stack size of", "the call stack of"],
        about_runs: false,
        why: "Linux has 512 bytes for a whole chain of calls, and one of its eight frames is taken by the caller that \
              the oracle adds; here each of eight frames has 512 bytes",
    },
    Class {
        name: "complexity",
        says: &["too complex", "too large", "processed 1000001 insns"],
        about_runs: false,
        why: "Linux enumerates paths up to a million instructions; we join states",
    },
    Class {
        name: "loops",
        says: &["infinite loop detected", "back-edge from"],
        about_runs: true,
        why: "Linux sees no progress in what it tracks of the state; we proved a bound on the trips, and runs end",
    },
    Class {
        name: "address in an array of several",
        says: &["invalid access to map value pointer"],
        about_runs: false,
        why: "Linux gives addresses in the value of arrays of one entry only; here it is that of the first",
    },
    Class {
        name: "looser bounds",
        says: &[
            "math between",
            "pointer offset",
            "invalid access to map value",
            "unbounded memory access",
            "min value is",
            "max value is",
            "out of bounds",
            "invalid variable-offset",
            "invalid unbounded variable-offset",
            "variable offset",
        ],
        about_runs: true,
        why: "Linux tracks no bounds of division, remainder, byte order and fetched values, and moves pointers by the \
              linked scalar's own offset; where our bounds are tighter, runs stay inside them",
    },
    Class {
        name: "paths that are not taken",
        says: &[
            "invalid read from stack",
            "invalid write to stack",
            "!read_ok",
            "pointer arithmetic",
            "pointer operation",
            "misaligned access off",
        ],
        about_runs: true,
        why: "a branch that our tighter bounds decide is explored by Linux; runs do not take it",
    },
];

/// The line of the kernel's log that gives the reason.
pub(crate) fn reason(log: &str) -> &str {
    let is_reason = |line: &&str| {
        let noise = ["processed ", "verification time", "stack depth", "mark_precise", "max_states"];
        !line.is_empty() && !noise.iter().any(|noise| line.starts_with(noise))
    };
    log.lines().rev().find(is_reason).unwrap_or_default()
}

/// The class of a refusal; None for a difference that nobody has explained.
pub(crate) fn explain(log: &str) -> Option<&'static Class> {
    let reason = reason(log);
    CLASSES.iter().find(|class| {
        class.says.iter().any(|says| reason.contains(says) || says.starts_with("processed") && log.contains(says))
    })
}
