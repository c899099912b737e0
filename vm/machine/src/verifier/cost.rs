//! The worst case of fuel: the most expensive way from the entry to an exit.
//!
//! Fuel is charged by block, and for the work of helpers. Without loops the worst case is a longest path, found in
//! one pass from the exits back. Only ways that the proof found possible count.

use super::cfg::{BlockId, Cfg};

/// What one block can cost, and which ways out of it are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockCost {
    /// The most that helpers called in it can cost beside its instructions.
    pub helpers: u64,
    /// Whether its jump or branch can be taken.
    pub taken: bool,
    /// Whether what follows it can be reached from it.
    pub next: bool,
}

/// The most fuel that any run can use.
pub(super) fn worst_fuel(cfg: &Cfg<'_>, costs: &[BlockCost]) -> u64 {
    let mut worst = vec![0u64; cfg.len()];
    for id in cfg.order().iter().rev() {
        let cost = costs.get(id.0 as usize).copied().unwrap_or_default();
        let successors = cfg.successors(*id);
        let of = |possible: bool, successor: Option<BlockId>| {
            let successor = successor.filter(|_| possible);
            successor.and_then(|id| worst.get(id.0 as usize)).copied().unwrap_or(0)
        };
        let after = of(cost.taken, successors.taken).max(of(cost.next, successors.next));
        let own = cfg.block(*id).map_or(0, |block| u64::from(block.cost));
        if let Some(entry) = worst.get_mut(id.0 as usize) {
            *entry = own.saturating_add(cost.helpers).saturating_add(after);
        }
    }
    worst.first().copied().unwrap_or(0)
}
