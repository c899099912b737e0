//! What a command says beside its output: errors, warnings, progress, summaries. All of it on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sink::terminal::escape;

const ERROR: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const WARNING: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// Standard error, with a progress bar on it if it is a terminal and one was asked for.
#[derive(Clone, Debug, Default)]
pub struct Console {
    bar: Option<ProgressBar>,
}

impl Console {
    /// Without a progress bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a progress bar over so many bytes (0: unknown), if standard error is a terminal.
    pub fn with_progress(bytes: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::new();
        }
        let bar = ProgressBar::with_draw_target((bytes > 0).then_some(bytes), ProgressDrawTarget::stderr_with_hz(8));
        let template = if bytes > 0 {
            "{spinner} [{bar:32}] {percent:>3} %  {bytes}/{total_bytes}  {msg}  {eta} left"
        } else {
            "{spinner} {bytes}  {msg}  {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar: Some(bar) }
    }

    /// With a line that says what is going on, if standard error is a terminal.
    pub fn with_status() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::new();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar: Some(bar) }
    }

    /// Says what is going on, if somebody looks.
    pub fn status(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
        }
    }

    /// Shows how far the command is.
    pub fn progress(&self, bytes: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(message());
        }
    }

    /// Takes the progress bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Runs something that writes on standard output while the progress bar is out of its way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            // The bar is held meanwhile: not for a reader at the end of a pipe, who may keep us waiting.
            Some(bar) if std::io::stdout().is_terminal() => bar.suspend(write),
            _ => write(),
        }
    }

    /// Prints a line that may contain colours; text from elsewhere in it must have been escaped. That standard error
    /// is closed is no reason to fail.
    pub fn line(&self, text: &str) {
        let print = || drop(writeln!(anstream::stderr().lock(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Prints text from elsewhere after `error:`, line by line escaped.
    pub fn error(&self, text: &str) {
        self.line(&format!("{ERROR}error{ERROR:#}: {}", escape_lines(text)));
    }

    /// Prints text from elsewhere after `warning:`, line by line escaped.
    pub fn warning(&self, text: &str) {
        self.line(&format!("{WARNING}warning{WARNING:#}: {}", escape_lines(text)));
    }
}

/// Escapes each line and keeps the line breaks.
pub(super) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}
