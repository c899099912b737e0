//! How the exploration came to where it is: decisions, each with the one before it.
//!
//! Paths share their beginnings, so they are kept as a tree in one list: a decision costs a few bytes, whatever the
//! length of its path. At most one is made for each step, so the budget of steps bounds it.

use crate::verifier::report::{Decision, Turn};

/// The last decision of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    node: u32,
    /// How many decisions it has.
    pub len: u32,
}

/// The path to the entry, without decisions.
pub(super) const ENTRY: Path = Path { node: u32::MAX, len: 0 };

/// The longest repeated stretch that is shown as one.
const PERIOD_MAX: usize = 8;
/// Decisions (after repeated ones are put together) that are told of a path; of a longer one the last are.
const TOLD_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Node {
    before: u32,
    pc: u32,
    turn: Turn,
}

/// All paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Node>,
}

impl Paths {
    /// A path and one more decision.
    pub(super) fn extend(&mut self, path: Path, pc: u32, turn: Turn) -> Path {
        let Ok(node) = u32::try_from(self.nodes.len()) else { return path };
        self.nodes.push(Node { before: path.node, pc, turn });
        Path { node, len: path.len.saturating_add(1) }
    }

    /// The decisions of a path, stretches that are repeated put together.
    pub(super) fn tell(&self, path: Path) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let mut at = path.node;
        while let Some(node) = self.nodes.get(at as usize) {
            decisions.push((node.pc, node.turn));
            at = node.before;
        }
        decisions.reverse();
        let told = fold(&decisions);
        told.get(told.len().saturating_sub(TOLD_MAX)..).unwrap_or_default().to_vec()
    }
}

/// Puts repeated stretches together, the most of them at each place.
fn fold(decisions: &[(u32, Turn)]) -> Vec<Decision> {
    let mut told = Vec::new();
    let mut rest = decisions;
    while !rest.is_empty() {
        let repeats = |period: &usize| {
            let (stretch, after) = rest.split_at_checked(*period).unwrap_or((rest, &[]));
            1 + after.chunks_exact(*period).take_while(|chunk| *chunk == stretch).count()
        };
        let longest = (1..=PERIOD_MAX.min(rest.len())).map(|period| (period, repeats(&period)));
        // Of those that cover as much, the shortest.
        let best =
            longest.filter(|(_, times)| *times > 1).max_by_key(|(period, times)| (period * times, usize::MAX - period));
        let (period, times) = best.unwrap_or((1, 1));
        for (pc, turn) in rest.iter().take(period) {
            told.push(Decision { pc: *pc, turn: *turn, times: u32::try_from(times).unwrap_or(u32::MAX) });
        }
        rest = rest.get(period * times..).unwrap_or_default();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(turns: &[(u32, Turn)]) -> String {
        let mut paths = Paths::default();
        let path = turns.iter().fold(ENTRY, |path, (pc, turn)| paths.extend(path, *pc, *turn));
        assert_eq!(path.len as usize, turns.len());
        paths.tell(path).iter().map(Decision::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn repeated_decisions_are_told_once() {
        let (taken, not) = ((14, Turn::Taken), (3, Turn::NotTaken));
        assert_eq!(tell(&[]), "");
        assert_eq!(tell(&[taken]), "14 taken");
        assert_eq!(tell(&[taken; 37]), "14 taken (x37)");
        assert_eq!(
            tell(&[not, taken, taken, not, (5, Turn::Called)]),
            "3 not taken, 14 taken (x2), 3 not taken, 5 called"
        );
        let two: Vec<_> = [not, taken].repeat(20);
        assert_eq!(tell(&two), "3 not taken (x20), 14 taken (x20)");
    }

    /// A longer one is told decision by decision.
    #[test]
    fn repeated_stretches_at_and_over_their_length() {
        for (period, told) in [(PERIOD_MAX - 1, PERIOD_MAX - 1), (PERIOD_MAX, PERIOD_MAX), (PERIOD_MAX + 1, 3 * 9)] {
            let stretch: Vec<_> = (0..period as u32).map(|pc| (pc, Turn::Taken)).collect();
            let decisions = fold(&stretch.repeat(3));
            assert_eq!(decisions.len(), told, "{period}");
            let times = if period > PERIOD_MAX { 1 } else { 3 };
            assert!(decisions.iter().all(|decision| decision.times == times), "{period}");
        }
    }

    #[test]
    fn paths_share_what_they_have_in_common() {
        let mut paths = Paths::default();
        let trunk = paths.extend(ENTRY, 1, Turn::Taken);
        let (a, b) = (paths.extend(trunk, 2, Turn::Taken), paths.extend(trunk, 2, Turn::NotTaken));
        assert_eq!(paths.nodes.len(), 3);
        assert_eq!((paths.tell(a).len(), paths.tell(b)[1].turn), (2, Turn::NotTaken));
    }

    #[test]
    fn of_long_paths_the_end_is_told() {
        for (len, told) in [(TOLD_MAX - 1, TOLD_MAX - 1), (TOLD_MAX, TOLD_MAX), (TOLD_MAX + 1, TOLD_MAX)] {
            let mut paths = Paths::default();
            let path = (0..len as u32).fold(ENTRY, |path, pc| paths.extend(path, pc, Turn::Taken));
            let decisions = paths.tell(path);
            assert_eq!((decisions.len(), decisions.last().unwrap().pc), (told, len as u32 - 1));
        }
    }
}
