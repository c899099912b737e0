//! The control flow graph: blocks, where they lead, functions and what they call, and an order for all of it.
//!
//! ```text
//! Cfg ─ functions   the entry and each target of a local call, with blocks of its own
//!     ─ order       blocks in weak topological order, function after function
//!     ─ successors  within the function; a local call leads to what follows it
//! ```
//!
//! What is refused here, by name, whatever the numbers are: code that nothing leads to, blocks that two functions
//! share, functions that call themselves, calls deeper than there are frames, loops nested too deeply.

use super::wto::{Builder, Component, Order, TooNested};
use crate::isa::{Decoded, Kind};
use crate::memory::FRAMES_MAX;
use crate::program::{Block, Loaded};
use crate::verifier::reason::Reason;

/// The number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::verifier) struct BlockId(pub u32);

impl BlockId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a function, 0 for the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::verifier) struct FunctionId(pub u32);

/// Where a block leads. A block that ends with an exit leads nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::verifier) struct Successors {
    /// The target of the jump or branch at its end.
    pub taken: Option<BlockId>,
    /// What follows it.
    pub next: Option<BlockId>,
    /// Whether a function is called before what follows.
    pub calls: Option<BlockId>,
}

/// A function of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::verifier) struct Function {
    /// Position of its first block.
    pub start: u32,
    /// Position after its last.
    pub end: u32,
    /// Functions that it calls, each once.
    pub calls: Vec<FunctionId>,
}

/// The control flow of one program.
#[derive(Debug)]
pub(in crate::verifier) struct Cfg<'p> {
    program: &'p Loaded,
    successors: Vec<Successors>,
    /// By block, the function that begins there.
    begins: Vec<Option<FunctionId>>,
    functions: Vec<Function>,
    order: Order,
    /// By block, its place in the order.
    positions: Vec<u32>,
}

/// A flaw of the control flow, and the instruction that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verifier) struct Flaw {
    /// Its slot.
    pub pc: u32,
    /// What is wrong.
    pub reason: Reason,
}

impl<'p> Cfg<'p> {
    /// The control flow of a program, if it is one that this verifier takes.
    pub(in crate::verifier) fn new(program: &'p Loaded) -> Result<Self, Flaw> {
        let successors: Vec<_> =
            (0..).zip(program.blocks()).map(|(id, block)| successors(program, BlockId(id), block)).collect();
        let len = successors.len();
        let mut cfg = Self {
            program,
            successors,
            begins: vec![None; len],
            functions: Vec::new(),
            order: Order::default(),
            positions: vec![0; len],
        };
        let functions = cfg.find_functions()?;
        cfg.check_calls()?;
        cfg.put_in_order(&functions)?;
        Ok(cfg)
    }

    /// Number of blocks, all of which are in the order.
    pub(in crate::verifier) fn len(&self) -> usize {
        self.successors.len()
    }

    /// The block at a position.
    pub(in crate::verifier) fn at(&self, position: u32) -> Option<BlockId> {
        self.order.blocks.get(position as usize).copied()
    }

    /// The position of a block.
    pub(in crate::verifier) fn position(&self, id: BlockId) -> u32 {
        self.positions.get(id.index()).copied().unwrap_or(u32::MAX)
    }

    /// A block.
    pub(in crate::verifier) fn block(&self, id: BlockId) -> Option<&'p Block> {
        self.program.blocks().get(id.index())
    }

    /// Where a block leads.
    pub(in crate::verifier) fn successors(&self, id: BlockId) -> Successors {
        self.successors.get(id.index()).copied().unwrap_or_default()
    }

    /// The function that begins with a block.
    pub(in crate::verifier) fn function_at(&self, id: BlockId) -> Option<FunctionId> {
        self.begins.get(id.index()).copied().flatten()
    }

    /// A function.
    pub(in crate::verifier) fn function(&self, id: FunctionId) -> Option<&Function> {
        self.functions.get(id.0 as usize)
    }

    /// All functions, the entry first.
    pub(in crate::verifier) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// All loops, each before those within it.
    pub(in crate::verifier) fn components(&self) -> &[Component] {
        &self.order.components
    }

    /// A loop.
    pub(in crate::verifier) fn component(&self, number: u32) -> Option<&Component> {
        self.order.components.get(number as usize)
    }

    /// The innermost loop around a position; of a head, its own.
    pub(in crate::verifier) fn loop_at(&self, position: u32) -> Option<u32> {
        self.order.innermost.get(position as usize).copied().flatten()
    }

    /// The outermost loop around a position that lies within `inside`; None if there is none between them.
    pub(in crate::verifier) fn loop_within(&self, inside: Option<u32>, position: u32) -> Option<u32> {
        let mut number = self.loop_at(position);
        loop {
            if number == inside {
                return None;
            }
            let parent = self.component(number?)?.parent;
            if parent == inside {
                return number;
            }
            number = parent;
        }
    }

    /// Slot of the first instruction at a position.
    pub(in crate::verifier) fn first_pc(&self, position: u32) -> u32 {
        self.at(position).and_then(|id| self.block(id)).map_or(0, |block| block.start)
    }

    fn last_pc(&self, id: BlockId) -> u32 {
        self.block(id).and_then(|block| last(self.program, block)).map_or(0, |(pc, _)| pc)
    }

    fn start_pc(&self, id: BlockId) -> u32 {
        self.block(id).map_or(0, |block| block.start)
    }

    /// Finds the blocks of each function from its first, the functions in the order in which calls name them.
    fn find_functions(&mut self) -> Result<Vec<Vec<BlockId>>, Flaw> {
        let mut owners: Vec<Option<FunctionId>> = vec![None; self.len()];
        let mut firsts = vec![BlockId(0)];
        let mut functions = Vec::new();
        self.begins[..1].fill(Some(FunctionId(0)));
        while let Some(first) = firsts.get(functions.len()).copied() {
            let function = FunctionId(u32::try_from(functions.len()).unwrap_or(u32::MAX));
            let mut blocks = Vec::new();
            let mut calls = Vec::new();
            let mut open = vec![first];
            while let Some(id) = open.pop() {
                match owners.get_mut(id.index()) {
                    Some(owner @ None) => *owner = Some(function),
                    Some(Some(owner)) if *owner == function => continue,
                    Some(Some(owner)) => {
                        let owner = firsts.get(owner.0 as usize).copied().unwrap_or(BlockId(0));
                        let functions = (self.start_pc(owner), self.start_pc(first));
                        return Err(Flaw { pc: self.start_pc(id), reason: Reason::SharedCode { functions } });
                    }
                    None => continue,
                }
                blocks.push(id);
                let Successors { taken, next, calls: called } = self.successors(id);
                open.extend(taken.into_iter().chain(next));
                if let Some(begins) = called.and_then(|called| self.begins.get_mut(called.index())) {
                    let callee = *begins.get_or_insert_with(|| {
                        firsts.extend(called);
                        FunctionId(u32::try_from(firsts.len() - 1).unwrap_or(u32::MAX))
                    });
                    calls.push(callee);
                }
            }
            calls.sort_unstable();
            calls.dedup();
            self.functions.push(Function { start: 0, end: 0, calls });
            functions.push(blocks);
        }
        match owners.iter().position(Option::is_none) {
            Some(block) => {
                let pc = self.program.blocks().get(block).map_or(0, |block| block.start);
                Err(Flaw { pc, reason: Reason::Unreachable })
            }
            None => Ok(functions),
        }
    }

    /// The call of one function by another.
    fn call_of(&self, caller: FunctionId, callee: FunctionId) -> u32 {
        let calls = |successors: &Successors| successors.calls.and_then(|id| self.function_at(id)) == Some(callee);
        let from = self.function_start(caller);
        let all = || (0..).map(BlockId).zip(&self.successors).filter(|(_, successors)| calls(successors));
        // Code of a function mostly follows its first instruction.
        let after = all().map(|(id, _)| self.last_pc(id)).find(|pc| *pc >= from);
        after.or_else(|| all().map(|(id, _)| self.last_pc(id)).next()).unwrap_or(0)
    }

    fn function_start(&self, function: FunctionId) -> u32 {
        let at = self.begins.iter().position(|begins| *begins == Some(function));
        at.and_then(|at| self.program.blocks().get(at)).map_or(0, |block| block.start)
    }

    /// No function may call itself, also by way of others, and there must be frames for all calls.
    fn check_calls(&self) -> Result<(), Flaw> {
        // Frames that a call of each function takes; 0 while that is not known.
        let mut frames = vec![0u32; self.functions.len()];
        let mut open = vec![false; self.functions.len()];
        let mut way = vec![(FunctionId(0), 0)];
        while let Some((function, looked_at)) = way.last_mut() {
            let (function, index) = (*function, function.0 as usize);
            let calls = self.functions.get(index).map_or(&[][..], |function| &function.calls);
            if *looked_at == 0
                && let Some(open) = open.get_mut(index)
            {
                *open = true;
            }
            let Some(callee) = calls.get(*looked_at).copied() else {
                let deepest = calls.iter().filter_map(|callee| frames.get(callee.0 as usize)).max().copied();
                if let (Some(entry), Some(open)) = (frames.get_mut(index), open.get_mut(index)) {
                    *entry = deepest.unwrap_or(0) + 1;
                    *open = false;
                }
                way.pop();
                continue;
            };
            *looked_at += 1;
            if open.get(callee.0 as usize).copied().unwrap_or(false) {
                let from = way.iter().position(|(function, _)| *function == callee).unwrap_or(0);
                let cycle = way.iter().skip(from).map(|(function, _)| self.function_start(*function)).collect();
                return Err(Flaw { pc: self.call_of(function, callee), reason: Reason::Recursion { cycle } });
            }
            if frames.get(callee.0 as usize).copied() == Some(0) {
                way.push((callee, 0));
            }
        }
        let needed = frames.first().copied().unwrap_or(1);
        if needed <= FRAMES_MAX {
            return Ok(());
        }
        let deepest = |function: &Function| {
            let frames = |callee: &FunctionId| frames.get(callee.0 as usize).copied().unwrap_or(0);
            function.calls.iter().copied().max_by_key(frames)
        };
        let callee = self.functions.first().and_then(deepest).unwrap_or(FunctionId(0));
        Err(Flaw { pc: self.call_of(FunctionId(0), callee), reason: Reason::CallDepth { frames: needed } })
    }

    fn put_in_order(&mut self, functions: &[Vec<BlockId>]) -> Result<(), Flaw> {
        let successors = |id: BlockId| {
            let Successors { taken, next, .. } = self.successors.get(id.index()).copied().unwrap_or_default();
            [taken, next]
        };
        let mut builder = Builder::new(self.successors.len(), successors);
        let mut ends = Vec::with_capacity(functions.len());
        let mut end = 0;
        for blocks in functions {
            let first = blocks.first().copied().unwrap_or(BlockId(0));
            builder.append(blocks, first).map_err(|TooNested(head)| {
                let pc = self.program.blocks().get(head.index()).map_or(0, |block| block.start);
                Flaw { pc, reason: Reason::LoopNesting }
            })?;
            end += u32::try_from(blocks.len()).unwrap_or(u32::MAX);
            ends.push(end);
        }
        self.order = builder.finish();
        let mut start = 0;
        for (function, end) in self.functions.iter_mut().zip(ends) {
            (function.start, function.end) = (start, end);
            start = end;
        }
        for (position, block) in (0..).zip(&self.order.blocks) {
            if let Some(entry) = self.positions.get_mut(block.index()) {
                *entry = position;
            }
        }
        self.find_irreducible();
        Ok(())
    }

    /// Marks loops that are entered elsewhere than at their head.
    fn find_irreducible(&mut self) {
        if self.order.components.is_empty() {
            return;
        }
        for (id, successors) in (0..).map(BlockId).zip(&self.successors) {
            let from = self.positions.get(id.index()).copied().unwrap_or(0);
            for to in successors.taken.into_iter().chain(successors.next) {
                let to = self.positions.get(to.index()).copied().unwrap_or(0);
                let mut number = self.order.innermost.get(to as usize).copied().flatten();
                while let Some(component) = number.and_then(|number| self.order.components.get_mut(number as usize)) {
                    if component.contains(from) {
                        break;
                    }
                    component.reducible &= component.start == to;
                    number = component.parent;
                }
            }
        }
    }
}

fn last<'p>(program: &'p Loaded, block: &Block) -> Option<(u32, &'p Decoded)> {
    // The last slot may be the second half of a wide load.
    (block.start..block.end).rev().find_map(|pc| Some((pc, program.at(pc)?)))
}

fn successors(program: &Loaded, id: BlockId, block: &Block) -> Successors {
    let Some((pc, instruction)) = last(program, block) else { return Successors::default() };
    let block_at = |pc: u32| {
        let index = program.blocks().binary_search_by_key(&pc, |block| block.start).ok()?;
        u32::try_from(index).ok().map(BlockId)
    };
    let target = || instruction.target(pc).and_then(|target| u32::try_from(target).ok()).and_then(block_at);
    let next = Some(BlockId(id.0 + 1)).filter(|next| next.index() < program.blocks().len());
    match instruction.kind() {
        Kind::Exit => Successors::default(),
        Kind::Jump => Successors { taken: target(), ..Successors::default() },
        Kind::Branch(..) => Successors { taken: target(), next, calls: None },
        Kind::CallLocal => Successors { taken: None, next, calls: target() },
        _ => Successors { next, ..Successors::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::RAW_HELPERS;
    use crate::isa::assemble;
    use crate::program::{Program, ProgramKind};
    use crate::verifier::reason::CYCLE_SHOWN;

    fn load(text: &str) -> Loaded {
        let program = Program {
            name: "test".to_owned(),
            kind: ProgramKind::Raw { memory_len: 0 },
            code: assemble(text).unwrap().code,
            lines: Vec::new(),
            maps: Vec::new(),
            fuel_limit: 100,
        };
        Loaded::new(program, &RAW_HELPERS).unwrap()
    }

    fn order(text: &str) -> Result<Vec<u32>, (u32, Reason)> {
        let loaded = load(text);
        let cfg = Cfg::new(&loaded).map_err(|flaw| (flaw.pc, flaw.reason))?;
        Ok((0..cfg.len() as u32).map(|position| cfg.first_pc(position)).collect())
    }

    #[test]
    fn blocks_follow_all_that_lead_to_them() {
        assert_eq!(order("mov r0, 0\nexit"), Ok(vec![0]));
        assert_eq!(order("jeq r1, 0, a\nmov r0, 1\nexit\na: mov r0, 0\nexit"), Ok(vec![0, 1, 3]));
        // A diamond, and a jump that leads back without closing a loop.
        assert_eq!(order("jeq r1, 0, a\nmov r0, 1\nja b\na: mov r0, 0\nb: exit"), Ok(vec![0, 1, 3, 4]));
        assert_eq!(order("ja b\na: mov r0, 0\nexit\nb: mov r1, 0\nja a"), Ok(vec![0, 3, 1]));
        // A wide load as the last instruction of a block.
        assert_eq!(order("jeq r1, 0, a\nlddw r0, 1\na: exit"), Ok(vec![0, 1, 3]));
    }

    /// Where each loop begins, how many blocks it has, and whether it is entered there only.
    fn loops(text: &str) -> Vec<(u32, u32, bool)> {
        let loaded = load(text);
        let cfg = Cfg::new(&loaded).unwrap();
        cfg.components().iter().map(|c| (cfg.first_pc(c.start), c.end - c.start, c.reducible)).collect()
    }

    #[test]
    fn loops_are_found() {
        assert_eq!(loops("mov r0, 0\nexit"), []);
        assert_eq!(loops("ja -1"), [(0, 1, true)]);
        assert_eq!(loops("mov r0, 0\na: add r0, 1\njlt r0, 9, a\nexit"), [(1, 1, true)]);
        assert_eq!(loops("a: jeq r1, 0, b\nexit\nb: ja a"), [(0, 2, true)]);
        let entered_twice = "jeq r1, 0, b\na: add r1, 1\nb: add r1, 1\njlt r1, 9, a\nexit";
        assert_eq!(loops(entered_twice), [(2, 2, false)]);
        let nested = "a: mov r2, 0\nb: jlt r2, 9, b\njlt r1, 9, a\nexit";
        assert_eq!(loops(nested), [(0, 3, true), (1, 1, true)]);
        let loaded = load(nested);
        let cfg = Cfg::new(&loaded).unwrap();
        let within = |inside, pc| {
            let position = (0..).find(|position| cfg.first_pc(*position) == pc).unwrap();
            cfg.loop_within(inside, position)
        };
        assert_eq!((within(None, 0), within(None, 1), within(None, 3)), (Some(0), Some(0), None));
        assert_eq!((within(Some(0), 0), within(Some(0), 1), within(Some(1), 1)), (None, Some(1), None));
    }

    #[test]
    fn functions_have_blocks_of_their_own() {
        let text = "call local f\ncall local g\nexit\nf: call local g\nexit\ng: mov r0, 0\nexit";
        let loaded = load(text);
        let cfg = Cfg::new(&loaded).unwrap();
        let functions = cfg.functions();
        assert_eq!(functions.len(), 3);
        assert_eq!(cfg.first_pc(functions[1].start), 3);
        let calls: Vec<_> = functions.iter().map(|f| f.calls.iter().map(|f| f.0).collect::<Vec<_>>()).collect();
        assert_eq!(calls, [vec![1, 2], vec![2], vec![]]);
        assert!(functions.iter().all(|f| f.start < f.end));
        let shared = "call local f\na: mov r0, 0\nexit\nf: mov r0, 1\nja a";
        assert_eq!(order(shared), Err((1, Reason::SharedCode { functions: (0, 3) })));
        let falls_in = "call local f\nf: mov r0, 1\nexit";
        assert_eq!(order(falls_in), Err((1, Reason::SharedCode { functions: (0, 1) })));
    }

    #[test]
    fn recursion_is_refused_with_its_cycle() {
        assert_eq!(order("call local -1\nexit"), Err((0, Reason::Recursion { cycle: vec![0] })));
        let text = "call local f\nexit\nf: call local g\nexit\ng: call local f\nexit";
        assert_eq!(order(text), Err((4, Reason::Recursion { cycle: vec![2, 4] })));
    }

    /// Of a long cycle the first functions are told, and how many more there are.
    #[test]
    fn cycles_are_told_up_to_a_length() {
        for (functions, more) in
            [(CYCLE_SHOWN as u32 - 1, ""), (CYCLE_SHOWN as u32, ""), (CYCLE_SHOWN as u32 + 1, " calls 1 more")]
        {
            let words = Reason::Recursion { cycle: (1..=functions).collect() }.to_string();
            let shown: Vec<String> =
                (1..=functions.min(CYCLE_SHOWN as u32)).map(|function| function.to_string()).collect();
            assert_eq!(words, format!("the function calls itself: {}{more} calls 1", shown.join(" calls ")));
        }
    }

    #[test]
    fn calls_at_their_depth_limit() {
        for (frames, good) in [(FRAMES_MAX - 1, true), (FRAMES_MAX, true), (FRAMES_MAX + 1, false)] {
            // Each function calls the next one, and the first also the last.
            let mut text = format!("call local f{}\n", frames - 1);
            for number in 1..frames {
                text.push_str(&format!("call local f{number}\nexit\nf{number}: "));
            }
            text.push_str("mov r0, 0\nexit");
            let want = if good { Ok(()) } else { Err((1, Reason::CallDepth { frames })) };
            assert_eq!(order(&text).map(|_| ()), want);
        }
    }

    #[test]
    fn unreachable_code_is_refused() {
        assert_eq!(order("mov r0, 0\nexit\nmov r0, 1\nexit"), Err((2, Reason::Unreachable)));
        assert_eq!(order("ja +1\nmov r0, 0\nexit"), Err((1, Reason::Unreachable)));
        assert_eq!(order("mov r0, 0\nexit\ncall local -1\nexit"), Err((2, Reason::Unreachable)));
    }

    #[test]
    fn deep_programs_do_not_overflow_our_stack() {
        let mut text = String::from("mov r0, 0\n");
        for _ in 0..30_000 {
            text.push_str("jeq r0, 1, +0\n");
        }
        text.push_str("exit");
        assert_eq!(order(&text).unwrap().len(), 30_001);
        // A chain of calls, and one that comes back.
        for (last, want) in [("mov r0, 0", "call-depth"), ("call local -32765", "recursion")] {
            let mut text = "call local +1\nexit\n".repeat(32_766);
            text.push_str(last);
            text.push_str("\nexit");
            assert_eq!(order(&text).unwrap_err().1.code(), want);
        }
    }
}
