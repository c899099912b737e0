//! Alerts as JSON: one a line, or one array. The fields are those of [`Alert::to_ecs`].
//!
//! The JSON is safe to look at on a terminal: characters that a terminal would act on are written as `\u` escapes,
//! which means the same to every JSON reader.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::Sink;
use super::terminal::is_unsafe;
use crate::agent::alert::Alert;

/// One alert a line, or all in one array.
#[derive(Debug)]
pub struct JsonSink<W> {
    out: W,
    array: bool,
    any: bool,
}

impl<W: Write> JsonSink<W> {
    /// One alert a line.
    pub fn lines(out: W) -> Self {
        Self { out, array: false, any: false }
    }

    /// One array of alerts, one a line.
    pub fn array(out: W) -> Self {
        Self { out, array: true, any: false }
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        if self.array {
            self.out.write_all(if self.any { b",\n" } else { b"[\n" })?;
        }
        self.any = true;
        write(&mut self.out, &alert.to_ecs())?;
        if self.array { Ok(()) } else { self.out.write_all(b"\n") }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.array {
            self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" })?;
        }
        self.out.flush()
    }
}

/// Writes a value as compact JSON that is safe on a terminal.
pub fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, TerminalSafe)).map_err(io::Error::from)
}

/// As [`write()`], into a string.
pub fn to_string(value: &impl Serialize) -> io::Result<String> {
    let mut bytes = Vec::new();
    write(&mut bytes, value)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices() {
            if is_unsafe(c) {
                out.write_all(&fragment.as_bytes()[plain..at])?;
                plain = at + c.len_utf8();
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::alert::tests::sample;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_reads_back_the_same() {
        let value = json!({ "k\u{9b}": "a\x1b[2J\u{7f}\u{202e}b\u{e0041}\r\n漢" });
        let text = to_string(&value).unwrap();
        assert!(!text.chars().any(is_unsafe), "{text}");
        assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc41") && text.contains('漢'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn an_array_is_an_array_however_many_alerts_it_holds() {
        for count in 0..3 {
            let mut out = Vec::new();
            let mut sink = JsonSink::array(&mut out);
            for _ in 0..count {
                sink.alert(&sample(json!({}))).unwrap();
            }
            sink.finish().unwrap();
            assert_eq!(serde_json::from_slice::<Vec<Value>>(&out).unwrap().len(), count);
        }
    }

    #[test]
    fn lines_hold_one_alert_each() {
        let mut out = Vec::new();
        let mut sink = JsonSink::lines(&mut out);
        sink.alert(&sample(json!({ "process": { "command_line": "a\nb" } }))).unwrap();
        sink.alert(&sample(json!({}))).unwrap();
        sink.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}
