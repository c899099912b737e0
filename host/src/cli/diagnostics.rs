//! Prints what the compiler and the verifier say of rules.

use trapline_programs::diagnostic::{Diagnostic, render};

use super::Console;
use super::console::escape_lines;
use crate::agent::library::Opening;
use crate::agent::load::{Loaded, Refusal};
use crate::sink::terminal::is_unsafe;

/// Prints all diagnostics and refusals on standard error.
pub(super) fn print(console: &Console, loaded: &Loaded) {
    print_both(console, &loaded.diagnostics, &loaded.refusals);
}

/// Prints all that was said of the first rules of an agent.
pub(super) fn print_opened(console: &Console, opened: &Opening) {
    print_both(console, &opened.diagnostics, &opened.refusals);
}

fn print_both(console: &Console, diagnostics: &[Diagnostic], refusals: &[Refusal]) {
    print_all(console, diagnostics);
    for refusal in refusals {
        match &refusal.rejection {
            Some(rejection) => console.line(&escape_lines(&rejection.to_string())),
            None => console.error(&format!("{}:{}: {}: {}", refusal.file, refusal.line, refusal.rule, refusal.reason)),
        }
    }
}

/// Prints these diagnostics on standard error.
pub(super) fn print_all(console: &Console, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        console.line(&text(diagnostic));
    }
}

/// A diagnostic with its colours, safe on a terminal.
pub(super) fn text(diagnostic: &Diagnostic) -> String {
    tame(&render(diagnostic, true))
}

/// Rendered text has no control characters of the rule in it, but the renderer's own. Takes out the rest of what a
/// terminal would act on, such as marks that turn the direction of the text.
fn tame(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) && !c.is_control() { '\u{fffd}' } else { c }).collect()
}
