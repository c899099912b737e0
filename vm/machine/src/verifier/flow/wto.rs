//! Weak topological order: blocks in an order in which all that lead to a block come first, but for loops, whose
//! blocks stand together behind their head.
//!
//! ```text
//! 0  1  (2  3  (4  5)  6)  7        2 is the head of 2 to 6, 4 that of 4 and 5
//! ```
//!
//! Every cycle goes through the head of the innermost component that holds all of it, so an analysis that is settled
//! at the heads is settled (F. Bourdoncle, "Efficient chaotic iteration strategies with widenings", 1993). Components
//! are found as there: strongly connected ones, then those of each without its head. Each search is Tarjan's with a
//! stack of its own; the nesting is limited, so that no program can make this deep or slow.

use super::cfg::BlockId;

/// Loops within loops, at most.
pub const LOOP_NESTING_MAX: usize = 16;

/// A strongly connected part of the graph: a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verifier) struct Component {
    /// The position of its head, its first.
    pub start: u32,
    /// The position after its last.
    pub end: u32,
    /// The component around it.
    pub parent: Option<u32>,
    /// Whether it is entered at its head only.
    pub reducible: bool,
}

impl Component {
    /// Whether a block at this position belongs to it.
    pub(in crate::verifier) const fn contains(&self, position: u32) -> bool {
        self.start <= position && position < self.end
    }
}

/// A weak topological order of some blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The blocks by position.
    pub blocks: Vec<BlockId>,
    /// The components, each before those within it.
    pub components: Vec<Component>,
    /// By position, the innermost component.
    pub innermost: Vec<Option<u32>>,
}

/// Loops are nested too deeply, around this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooNested(pub BlockId);

/// Makes orders of parts of one graph.
pub(super) struct Builder<S> {
    successors: S,
    /// The part of the graph that a block is in, 0 for none.
    part: Vec<u32>,
    parts: u32,
    /// When it was first seen in the search of its part, from 1 on.
    seen: Vec<u32>,
    /// The earliest seen that it leads back to.
    low: Vec<u32>,
    /// Whether its component is not known yet.
    open: Vec<bool>,
    order: Order,
}

/// Components found in one search, each after all it leads to.
#[derive(Default)]
struct Found {
    blocks: Vec<u32>,
    /// Where each ends in `blocks`.
    ends: Vec<usize>,
}

impl<S: Fn(BlockId) -> [Option<BlockId>; 2]> Builder<S> {
    /// For a graph of this many blocks.
    pub(super) fn new(len: usize, successors: S) -> Self {
        Self {
            successors,
            part: vec![0; len],
            parts: 0,
            seen: vec![0; len],
            low: vec![0; len],
            open: vec![false; len],
            order: Order::default(),
        }
    }

    /// Appends the blocks of a function, which are reached from its first and belong to no other.
    pub(super) fn append(&mut self, blocks: &[BlockId], first: BlockId) -> Result<(), TooNested> {
        self.parts += 1;
        for block in blocks {
            set(&mut self.part, block.0, self.parts);
        }
        self.part_of(&[first], None, 0)
    }

    /// All that was appended.
    pub(super) fn finish(self) -> Order {
        self.order
    }

    /// Appends the newest part, searched from `roots`.
    fn part_of(&mut self, roots: &[BlockId], parent: Option<u32>, nesting: usize) -> Result<(), TooNested> {
        let found = self.search(roots, self.parts);
        let mut end = found.blocks.len();
        for index in (0..found.ends.len()).rev() {
            let start = index.checked_sub(1).and_then(|before| found.ends.get(before)).copied().unwrap_or(0);
            let blocks = found.blocks.get(start..end).unwrap_or_default();
            end = start;
            // The one seen first was left last.
            let Some(head) = blocks.last().copied().map(BlockId) else { continue };
            let next = (self.successors)(head);
            if blocks.len() == 1 && !next.contains(&Some(head)) {
                self.push(head, parent);
                continue;
            }
            if nesting >= LOOP_NESTING_MAX {
                return Err(TooNested(head));
            }
            let component = u32::try_from(self.order.components.len()).unwrap_or(u32::MAX);
            let start = self.position();
            self.order.components.push(Component { start, end: start, parent, reducible: true });
            self.push(head, Some(component));
            if blocks.len() > 1 {
                self.parts += 1;
                for block in blocks {
                    set(&mut self.part, *block, self.parts);
                    set(&mut self.seen, *block, 0);
                }
                set(&mut self.part, head.0, 0);
                let roots: Vec<_> = next.into_iter().flatten().collect();
                self.part_of(&roots, Some(component), nesting + 1)?;
            }
            let end = self.position();
            if let Some(component) = self.order.components.get_mut(component as usize) {
                component.end = end;
            }
        }
        Ok(())
    }

    fn position(&self) -> u32 {
        u32::try_from(self.order.blocks.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, block: BlockId, component: Option<u32>) {
        self.order.blocks.push(block);
        self.order.innermost.push(component);
    }

    /// Tarjan's search within a part.
    fn search(&mut self, roots: &[BlockId], part: u32) -> Found {
        let mut found = Found::default();
        let mut count = 0;
        // Blocks of which the component is not known, and the way to the one being looked at.
        let mut waiting = Vec::new();
        let mut way: Vec<(u32, u8)> = Vec::new();
        for root in roots {
            if get(&self.part, root.0) != part || get(&self.seen, root.0) != 0 {
                continue;
            }
            way.push((root.0, 0));
            while let Some((block, looked_at)) = way.last_mut() {
                let block = *block;
                if *looked_at == 0 {
                    count += 1;
                    set(&mut self.seen, block, count);
                    set(&mut self.low, block, count);
                    set(&mut self.open, block, true);
                    waiting.push(block);
                }
                let next = (self.successors)(BlockId(block)).get(usize::from(*looked_at)).copied();
                *looked_at += 1;
                match next {
                    Some(Some(next)) if get(&self.part, next.0) == part => {
                        if get(&self.seen, next.0) == 0 {
                            way.push((next.0, 0));
                        } else if get(&self.open, next.0) {
                            let low = get(&self.low, block).min(get(&self.seen, next.0));
                            set(&mut self.low, block, low);
                        }
                    }
                    Some(_) => {}
                    None => {
                        way.pop();
                        let low = get(&self.low, block);
                        if let Some((before, _)) = way.last() {
                            let lower = get(&self.low, *before).min(low);
                            set(&mut self.low, *before, lower);
                        }
                        if low == get(&self.seen, block) {
                            while let Some(member) = waiting.pop() {
                                set(&mut self.open, member, false);
                                found.blocks.push(member);
                                if member == block {
                                    break;
                                }
                            }
                            found.ends.push(found.blocks.len());
                        }
                    }
                }
            }
        }
        found
    }
}

fn get<T: Copy + Default>(list: &[T], block: u32) -> T {
    list.get(block as usize).copied().unwrap_or_default()
}

fn set<T>(list: &mut [T], block: u32, value: T) {
    if let Some(entry) = list.get_mut(block as usize) {
        *entry = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order as text, of a graph given by the successors of each block.
    fn order(graph: &[[Option<u32>; 2]]) -> Result<String, TooNested> {
        let mut builder = Builder::new(graph.len(), |block| graph[block.0 as usize].map(|next| next.map(BlockId)));
        let all: Vec<_> = (0..).map(BlockId).take(graph.len()).collect();
        builder.append(&all, BlockId(0))?;
        let order = builder.finish();
        assert_eq!(order.blocks.len(), graph.len());
        check(graph, &order);
        let mut text = String::new();
        for (position, block) in (0..).zip(&order.blocks) {
            let starts = order.components.iter().filter(|component| component.start == position).count();
            let ends = order.components.iter().filter(|component| component.end == position + 1).count();
            text.push_str(&format!(" {}{}{}", "(".repeat(starts), block.0, ")".repeat(ends)));
        }
        Ok(text.trim_start().to_owned())
    }

    /// What makes it a weak topological order: an edge that leads back leads to the head of a component around it.
    fn check(graph: &[[Option<u32>; 2]], order: &Order) {
        let position = |block: u32| order.blocks.iter().position(|b| b.0 == block).unwrap() as u32;
        for (from, to) in (0..).zip(graph).flat_map(|(from, next)| next.iter().flatten().map(move |to| (from, *to))) {
            let (from, to) = (position(from), position(to));
            let head = |c: &&Component| c.start == to && c.contains(from);
            assert!(from < to || order.components.iter().any(|c| head(&c)), "{from} to {to}");
        }
        for (number, component) in (0..).zip(&order.components) {
            let parent = component.parent.map(|parent| order.components[parent as usize]);
            assert!(parent.is_none_or(|p| p.start < component.start && component.end <= p.end));
            assert_eq!(order.innermost[component.start as usize], Some(number));
        }
    }

    fn to(next: u32) -> [Option<u32>; 2] {
        [None, Some(next)]
    }

    fn or(taken: u32, next: u32) -> [Option<u32>; 2] {
        [Some(taken), Some(next)]
    }

    const END: [Option<u32>; 2] = [None; 2];

    #[test]
    fn blocks_follow_all_that_lead_to_them() {
        assert_eq!(order(&[END]).unwrap(), "0");
        assert_eq!(order(&[or(2, 1), to(3), to(3), END]).unwrap(), "0 1 2 3");
        assert_eq!(order(&[to(2), END, to(1)]).unwrap(), "0 2 1");
    }

    #[test]
    fn loops_stand_together_behind_their_heads() {
        assert_eq!(order(&[to(0)]).unwrap(), "(0)");
        assert_eq!(order(&[to(1), or(1, 2), END]).unwrap(), "0 (1) 2");
        assert_eq!(order(&[to(1), or(3, 2), to(1), END]).unwrap(), "0 (1 2) 3");
        // The example of the paper, and of this module.
        let graph = [to(1), or(7, 2), or(3, 3), or(6, 4), or(6, 5), or(4, 6), or(2, 7), END];
        assert_eq!(order(&graph).unwrap(), "0 1 (2 3 (4 5) 6) 7");
        // Two loops with one head are one component.
        assert_eq!(order(&[or(3, 1), or(0, 2), to(0), END]).unwrap(), "(0 1 2) 3");
        // A loop that is entered at two places.
        assert_eq!(order(&[or(2, 1), to(2), or(1, 3), END]).unwrap(), "0 (2 1) 3");
    }

    fn nested(depth: u32) -> Vec<[Option<u32>; 2]> {
        // Heads one after the other, then tails that lead back, the innermost first.
        let mut graph: Vec<_> = (0..depth).map(|head| to(head + 1)).collect();
        graph.extend((0..depth).map(|tail| or(depth - 1 - tail, depth + tail + 1)));
        graph.push(END);
        graph
    }

    #[test]
    fn nesting_at_its_limit() {
        assert_eq!(order(&nested(2)).unwrap(), "(0 (1 2) 3) 4");
        let max = LOOP_NESTING_MAX as u32;
        for (depth, good) in [(max - 1, true), (max, true), (max + 1, false)] {
            assert_eq!(order(&nested(depth)).is_ok(), good, "{depth}");
        }
    }

    /// As deep and as wide as programs get: no recursion, and no more than a few looks at each block.
    #[test]
    fn long_graphs_are_no_trouble() {
        let len = 65_000;
        let mut graph: Vec<_> = (0..len - 1).map(|block| to(block + 1)).collect();
        graph.push(END);
        let build = |graph: &[[Option<u32>; 2]]| {
            let looks = std::cell::Cell::new(0u64);
            let mut builder = Builder::new(graph.len(), |block: BlockId| {
                looks.set(looks.get() + 1);
                graph[block.0 as usize].map(|next| next.map(BlockId))
            });
            let all: Vec<_> = (0..).map(BlockId).take(graph.len()).collect();
            let good = builder.append(&all, BlockId(0)).is_ok();
            assert!(looks.get() <= graph.len() as u64 * 4 * (LOOP_NESTING_MAX as u64 + 1));
            good
        };
        assert!(build(&graph));
        // One loop around all of it.
        graph[len as usize - 2] = or(0, len - 1);
        assert!(build(&graph));
        // Loops around loops, too many.
        assert!(!build(&nested(len / 2)));
        // Every block leads to itself and on; every block leads to the first.
        assert!(build(&(0..len).map(|b| or(b, (b + 1).min(len - 1))).collect::<Vec<_>>()));
        assert!(build(&(0..len).map(|b| or(0, (b + 1).min(len - 1))).collect::<Vec<_>>()));
    }
}
