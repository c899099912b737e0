//! Counts what loops do, against what the proof says that they do at most.

use super::{Oracle, Violation};
use trapline_vm::isa::{Decoded, Kind};
use trapline_vm::memory::FRAMES_MAX;
use trapline_vm::program::Loaded;
use trapline_vm::verifier::Report;

/// The loops of a program.
#[derive(Debug)]
pub(crate) struct Watch {
    loops: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    head: usize,
    iterations: u64,
    /// Slots that can be reached without passing the head: a jump from there enters the loop.
    outside: Vec<bool>,
    /// Jumps back since the loop was entered, by depth of calls.
    counts: [u64; FRAMES_MAX as usize],
}

impl Watch {
    pub(crate) fn new(loaded: &Loaded, report: &Report) -> Self {
        let watched = |proved: &trapline_vm::verifier::ProvedLoop| Watched {
            head: proved.head as usize,
            iterations: proved.iterations,
            outside: reachable_without(loaded, proved.head),
            counts: [0; FRAMES_MAX as usize],
        };
        Self { loops: report.loops.iter().map(watched).collect() }
    }

    /// Control went from one slot to another; the calls under way before and after.
    pub(crate) fn went(&mut self, from: (usize, usize), to: (usize, usize)) -> Result<(), Violation> {
        let ((pc, depth), (next, depth_after)) = (from, to);
        for Watched { head, iterations, outside, counts } in &mut self.loops {
            if *head != next {
                continue;
            }
            let count = &mut counts[depth_after];
            if depth != depth_after || outside[pc] {
                *count = 0;
                continue;
            }
            *count += 1;
            if *count > *iterations {
                let what = format!("the loop at {next} jumps back more than {iterations} times");
                return Err(Violation { oracle: Oracle::Fuel, pc, what });
            }
        }
        Ok(())
    }
}

/// What can be reached from the entry, and from those of functions, without passing a slot.
fn reachable_without(loaded: &Loaded, head: u32) -> Vec<bool> {
    let mut reached = vec![false; loaded.code().len()];
    let calls = loaded.instructions().filter(|(_, instruction)| instruction.kind() == Kind::CallLocal);
    let entries = calls.filter_map(|(pc, call)| call.target(pc)).map(|target| target as u32);
    let mut open: Vec<u32> = entries.chain([0]).collect();
    while let Some(pc) = open.pop() {
        let Some(instruction) = loaded.at(pc).filter(|_| pc != head && !reached[pc as usize]) else { continue };
        reached[pc as usize] = true;
        open.extend(followers(instruction, pc));
    }
    reached
}

/// Where control can go from an instruction, inside its function.
fn followers(instruction: &Decoded, pc: u32) -> impl Iterator<Item = u32> {
    let kind = instruction.kind();
    let target = instruction.target(pc).filter(|_| kind != Kind::CallLocal).map(|target| target as u32);
    let next = (!matches!(kind, Kind::Jump | Kind::Exit)).then(|| pc + instruction.slots());
    target.into_iter().chain(next)
}
