//! Programs written against the verifier, one thought each: those it accepts are run on hostile input and held against
//! the proof by all oracles, as those of the generator are; those it refuses must stay refused.
//!
//! ```text
//! == what it tries                               the files of `directed`
//! kind raw 64                                    what the program is, as in the corpus
//! code
//! ldxdw r0, [r1]
//! exit
//! -- accepted / accepted                         verdicts: with loops followed for long, and with every loop looked at
//!                                                as a whole at first; each `accepted`, or the name of the reason
//! ```

use crate::corpus;
use crate::generator::{Entropy, Input, input};
use crate::oracle::{Bench, Violation, Work, check};
use crate::proof::{Answer, prove_within};
use trapline_vm::memory::Region;
use trapline_vm::program::{Program, ProgramKind};
use trapline_vm::verifier::Limits;

/// Numbers at which widths and signs turn over: each fills a buffer.
const WORDS: [u64; 8] =
    [0, 1, u64::MAX, i64::MAX as u64, 1 << 63, 0xffff_ffff, 0x8000_0000_7fff_ffff, 0x0102_0304_0506_0708];
/// Inputs drawn from seeds, beside those.
const SEEDS: u64 = 4;

struct Case<'t> {
    name: &'t str,
    text: &'t str,
    verdicts: [&'t str; 2],
}

fn parse(file: &str) -> impl Iterator<Item = Case<'_>> {
    file.split("== ").skip(1).map(|part| {
        let (name, rest) = part.split_once('\n').expect("a name");
        let (text, verdicts) = rest.split_once("\n-- ").unwrap_or_else(|| panic!("`{name}` has no verdicts"));
        // What follows the line is about the next case.
        let verdicts = verdicts.lines().next().unwrap_or_default();
        let (followed, whole) = verdicts.split_once(" / ").unwrap_or_else(|| panic!("`{name}` has one verdict"));
        Case { name, text, verdicts: [followed, whole] }
    })
}

fn inputs(kind: &ProgramKind) -> Vec<Input> {
    let drawn = (0..SEEDS).map(|seed| input(&mut Entropy::seed(seed), kind));
    let ProgramKind::Raw { memory_len } = kind else { return drawn.collect() };
    let filled = WORDS.iter().map(|word| {
        let bytes = word.to_le_bytes().into_iter().cycle().take(*memory_len as usize).collect();
        Input(vec![(Region::Buffer, bytes)])
    });
    filled.chain(drawn).collect()
}

/// The verdict, and what breaks an oracle.
fn judge(program: &Program, limits: Limits) -> (&'static str, Vec<Violation>) {
    match prove_within(program, limits) {
        Answer::Accepted(proof) => {
            let found = check(&proof, &inputs(&program.kind), &mut Bench::new(&program.kind), &mut Work::default());
            ("accepted", found)
        }
        Answer::Refused(code) => (code, Vec::new()),
        Answer::Inconsistent(what) => panic!("{what}"),
        Answer::Disagrees(what) => panic!("{what}"),
    }
}

/// Judges all cases of a file; what is not as it should be, in words, and how many there are.
pub(crate) fn failures(file: &str) -> (Vec<String>, usize) {
    let (mut failures, mut count) = (Vec::new(), 0);
    for Case { name, text, verdicts } in parse(file) {
        count += 1;
        let (program, _) = corpus::read(text);
        let followed = Limits { steps_max: 60_000, loop_steps_max: 10_000, ..Limits::default() };
        for (limits, verdict) in [followed, Limits { loop_steps_max: 0, ..followed }].into_iter().zip(verdicts) {
            let (got, found) = judge(&program, limits);
            let followed = limits.loop_steps_max > 0;
            if got != verdict {
                failures.push(format!("`{name}` should be {verdict}, and is {got} (loops followed: {followed})"));
            }
            failures.extend(found.iter().map(|found| format!("`{name}` (loops followed: {followed}): {found:?}")));
        }
    }
    (failures, count)
}
