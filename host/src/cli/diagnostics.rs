//! Prints what the compiler and the verifier say of rules.

use std::collections::BTreeMap;

use trapline_programs::diagnostic::{Diagnostic, Level, render};

use super::Console;
use super::console::escape_lines;
use crate::agent::library::Opening;
use crate::agent::load::{Loaded, Refusal};
use crate::sink::terminal::is_unsafe;

/// More diagnostics than these are told by what they have in common: of thousands of rules nobody reads them one by one,
/// and `check` has them all.
const SHOWN_MAX: usize = 20;

/// Prints diagnostics and refusals on standard error, or what they have in common if they are many.
pub(super) fn print(console: &Console, loaded: &Loaded) {
    print_few(console, &loaded.diagnostics, &loaded.refusals);
}

/// Prints all diagnostics and refusals on standard error.
pub(super) fn print_each(console: &Console, loaded: &Loaded) {
    print_both(console, &loaded.diagnostics, &loaded.refusals);
}

/// Prints all that was said of the first rules of an agent.
pub(super) fn print_opened(console: &Console, opened: &Opening) {
    print_few(console, &opened.diagnostics, &opened.refusals);
}

fn print_few(console: &Console, diagnostics: &[Diagnostic], refusals: &[Refusal]) {
    if diagnostics.len() + refusals.len() <= SHOWN_MAX {
        return print_both(console, diagnostics, refusals);
    }
    let mut groups: BTreeMap<(bool, &str), (usize, String)> = BTreeMap::new();
    let mut add = |is_warning, code, first: &dyn Fn() -> String| {
        groups.entry((is_warning, code)).or_insert_with(|| (0, first())).0 += 1;
    };
    for diagnostic in diagnostics {
        add(diagnostic.level != Level::Error, diagnostic.code, &|| {
            let place = diagnostic.labels.first().map(|label| &label.span);
            let place = place.map_or_else(String::new, |span| {
                format!("{}:{}: ", span.source.name, span.source.line_of(span.range.start))
            });
            format!("{place}{}", diagnostic.message)
        });
    }
    for refusal in refusals {
        add(false, refusal.code, &|| refusal.to_string());
    }
    for ((is_warning, code), (count, first)) in groups {
        let text = format!("{count} of {code}, first {first}");
        if is_warning { console.warning(&text) } else { console.error(&text) }
    }
    console.line("`trapline check` shows each of them");
}

fn print_both(console: &Console, diagnostics: &[Diagnostic], refusals: &[Refusal]) {
    print_all(console, diagnostics);
    for refusal in refusals {
        match &refusal.rejection {
            Some(rejection) => console.line(&escape_lines(&rejection.to_string())),
            None => console.error(&refusal.to_string()),
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
