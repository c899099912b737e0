//! The rule language: text to tree.
//!
//! [`parse`] turns the text of a `.trap` file into a lossless tree: printed again, the tree is the text, blanks,
//! comments and mistakes included. Mistakes come as [`Diagnostic`]s, all of them at once. [`ast`] is the same tree
//! without what means nothing, for the lowering in [`crate::hir`].
//!
//! Any text is accepted: parsing never panics, and takes time in proportion to the text and stack within
//! [`limits::NESTING_MAX`]. What names and types mean is none of its business.
//!
//! `docs/language.md` has the grammar.

pub mod ast;
pub mod limits;
pub(crate) mod literal;
mod parser;
pub(crate) mod suggest;
pub mod syntax;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use rowan::{GreenNode, NodeOrToken, WalkEvent};

use crate::diagnostic::{Diagnostic, Source, Span};
use limits::FILE_LEN_MAX;
pub(crate) use parser::HEADER_KEYS;
pub use syntax::{SyntaxKind, SyntaxNode};

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Parse {
    /// The tree; [`Parse::syntax`] gives access to it.
    pub tree: GreenNode,
    /// Mistakes, in order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parse {
    /// The root of the tree.
    pub fn syntax(&self) -> SyntaxNode {
        SyntaxNode::new_root(self.tree.clone())
    }
}

/// Parses a file of rules.
pub fn parse(source: &Arc<Source>) -> Parse {
    let len = source.text.len();
    if len > FILE_LEN_MAX {
        // Not even split into tokens: the tree is one piece.
        let mut builder = rowan::GreenNodeBuilder::new();
        builder.start_node(<syntax::Language as rowan::Language>::kind_to_raw(SyntaxKind::File));
        builder.token(<syntax::Language as rowan::Language>::kind_to_raw(SyntaxKind::Unknown), &source.text);
        builder.finish_node();
        let span = Span { source: source.clone(), range: 0..0 };
        let message = format!("a file of rules has at most {FILE_LEN_MAX} bytes, this one has {len}");
        return Parse { tree: builder.finish(), diagnostics: vec![Diagnostic::error("limit", message, span, "")] };
    }
    let (tree, mut diagnostics) = parser::parse_file(source);
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.range.start));
    Parse { tree, diagnostics }
}

/// The tree as indented text, a node or token a line with its byte range: stable, for people and goldens.
pub fn print_tree(parse: &Parse) -> String {
    let mut out = String::new();
    let mut depth = 0usize;
    for event in parse.syntax().preorder_with_tokens() {
        match event {
            WalkEvent::Enter(element) => {
                let range = element.text_range();
                let indent = depth * 2;
                let kind = element.kind();
                let (start, end) = (u32::from(range.start()), u32::from(range.end()));
                // Writing to a string cannot fail.
                let _unused = match &element {
                    NodeOrToken::Node(_) => writeln!(out, "{:indent$}{kind:?} {start}..{end}", ""),
                    NodeOrToken::Token(token) => {
                        writeln!(out, "{:indent$}{kind:?} {start}..{end} {:?}", "", token.text())
                    }
                };
                depth += 1;
            }
            WalkEvent::Leave(_) => depth = depth.saturating_sub(1),
        }
    }
    out
}
