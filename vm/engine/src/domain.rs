//! A domain: what programs that share one memory agree on.
//!
//! The slots of records, the numbers of predicates and the places of maps. All are append-only, so the code of a program
//! that was linked once stays right however many rules are loaded after it.

use std::sync::Arc;

use trapline_vm::record::{Catalogue, Layouts};

use crate::predicate::{PredicateLimits, PredicateTable};
use crate::state::{STATE_BYTES_MAX_DEFAULT, StateTable};

/// Layouts, predicate numbers and maps of one trust domain.
#[derive(Debug)]
pub struct Domain {
    pub(crate) layouts: Layouts,
    pub(crate) predicates: PredicateTable,
    pub(crate) state: StateTable,
    pub(crate) token: DomainToken,
}

/// Tells one domain from another: numbers of one mean nothing in the other.
#[derive(Clone, Debug)]
pub(crate) struct DomainToken(Arc<()>);

impl PartialEq for DomainToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Domain {
    /// A domain in which nothing is linked yet.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self::with_limits(catalogue, PredicateLimits::default())
    }

    /// A domain that holds fewer predicates than it could.
    pub fn with_limits(catalogue: Arc<Catalogue>, limits: PredicateLimits) -> Self {
        Self {
            layouts: Layouts::new(catalogue),
            predicates: PredicateTable::new(limits),
            state: StateTable::new(STATE_BYTES_MAX_DEFAULT),
            token: DomainToken(Arc::new(())),
        }
    }

    /// Sets how many bytes the maps of all programs may take together. What was placed before stays.
    #[must_use]
    pub fn with_state_bytes_max(mut self, bytes_max: u64) -> Self {
        self.state.set_bytes_max(bytes_max);
        self
    }

    /// Bytes that the maps take of all programs that were ever linked here.
    pub fn state_bytes(&self) -> u64 {
        self.state.bytes()
    }

    /// How often a rule came with a map of another layout than it had, which then began anew.
    pub fn changed_layouts(&self) -> u64 {
        self.state.changed()
    }

    /// Where each field lies, for decoders.
    pub fn layouts(&self) -> &Layouts {
        &self.layouts
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        self.layouts.catalogue()
    }

    /// All predicates that have a number.
    pub fn predicates(&self) -> &PredicateTable {
        &self.predicates
    }
}
