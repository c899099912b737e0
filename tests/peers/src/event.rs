//! Windows events under the names that Sigma gives their values: *Sigma rules specification*, section *Field Usage*.
//!
//! ```text
//! Event.System     Provider/@Name ──► Provider_Name   EventID, Channel, Computer ... as they are
//! Event.EventData  by the name of each value; without a name: Data
//! Event.UserData   the same, below the one element
//! flat (NXLog)     as it is, without what the forwarder adds
//! ```

use serde_json::{Map, Value, json};

/// What NXLog adds to an event.
const OF_THE_FORWARDER: [&str; 15] = [
    "@timestamp",
    "@version",
    "ERROR_EVT_UNRESOLVED",
    "EventReceivedTime",
    "EventTime",
    "EventTypeOrignal",
    "Severity",
    "SeverityValue",
    "SourceModuleName",
    "SourceModuleType",
    "TimeCreated",
    "SystemTime",
    "host",
    "port",
    "tags",
];
/// Severities that NXLog writes over `EventType`.
const SEVERITIES: [&str; 8] =
    ["INFO", "WARNING", "ERROR", "CRITICAL", "DEBUG", "VERBOSE", "AUDIT_SUCCESS", "AUDIT_FAILURE"];

/// An event under Sigma's names; None if it is none of Windows.
pub fn flatten(event: &Value) -> Option<Map<String, Value>> {
    let inner = event.get("Event").unwrap_or(event);
    match inner.get("System").and_then(Value::as_object) {
        Some(system) => Some(nested(inner, system)),
        None => flat(event.as_object()?),
    }
}

fn nested(event: &Value, system: &Map<String, Value>) -> Map<String, Value> {
    let mut into = Map::new();
    for (name, value) in system {
        if let Some(attributes) = value.get("#attributes").and_then(Value::as_object) {
            for (attribute, value) in attributes {
                into.insert(format!("{name}_{attribute}"), value.clone());
            }
        }
        if let Some(value) = content(value) {
            into.insert(name.clone(), value);
        }
    }
    for (name, value) in event.get("EventData").and_then(Value::as_object).into_iter().flatten() {
        put(&mut into, name, value);
    }
    for (_, element) in event.get("UserData").and_then(Value::as_object).into_iter().flatten() {
        below(&mut into, element);
    }
    into
}

fn below(into: &mut Map<String, Value>, element: &Value) {
    for (name, value) in element.as_object().into_iter().flatten() {
        match content(value) {
            None if value.is_object() => below(into, value),
            _ => put(into, name, value),
        }
    }
}

fn put(into: &mut Map<String, Value>, name: &str, value: &Value) {
    if !name.starts_with('#')
        && let Some(value) = content(value)
    {
        into.insert(name.to_owned(), value);
    }
}

/// The text of an element, or of several.
fn content(value: &Value) -> Option<Value> {
    match value {
        Value::Object(element) => element.get("#text").and_then(content),
        Value::Array(items) => Some(items.iter().filter_map(content).collect()),
        scalar => Some(scalar.clone()),
    }
}

fn flat(event: &Map<String, Value>) -> Option<Map<String, Value>> {
    event.get("EventID").filter(|_| event.contains_key("Channel"))?;
    let mut into = event.clone();
    for name in OF_THE_FORWARDER {
        into.remove(name);
    }
    for (nxlog, sigma) in [("SourceName", "Provider_Name"), ("Hostname", "Computer")] {
        if let Some(value) = into.remove(nxlog) {
            into.insert(sigma.to_owned(), value);
        }
    }
    let severity = into.get("EventType").and_then(Value::as_str).is_some_and(|word| SEVERITIES.contains(&word));
    if severity || !into.contains_key("EventType") {
        into.remove("EventType");
        let message = into.get("Message").and_then(Value::as_str).unwrap_or_default();
        let line = message.lines().find_map(|line| line.trim().strip_prefix("EventType: "));
        if let Some(kind) = line.map(|kind| json!(kind)) {
            into.insert("EventType".to_owned(), kind);
        }
    }
    Some(into)
}

/// The names without their blanks: the specification's rule for names that no mapping knows.
pub fn without_blanks(event: &Map<String, Value>) -> Map<String, Value> {
    event.iter().map(|(name, value)| (name.replace(' ', ""), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shapes_have_the_names_of_sigma() {
        let system = json!({
            "Provider": { "#attributes": { "Name": "P" } },
            "EventID": { "#attributes": { "Qualifiers": 4 }, "#text": 7 },
            "Channel": "C",
        });
        let data = json!({ "#attributes": { "Name": "x" }, "A": "1", "B b": { "#text": "2" }, "Data": { "#text": ["3", "4"] } });
        let event = flatten(&json!({ "Event": { "System": system, "EventData": data } })).unwrap();
        assert_eq!(
            Value::Object(event.clone()),
            json!({ "Provider_Name": "P", "EventID": 7, "EventID_Qualifiers": 4, "Channel": "C", "A": "1", "B b": "2",
                    "Data": ["3", "4"] })
        );
        assert!(without_blanks(&event).contains_key("Bb"));
        let user = json!({ "LogFileCleared": { "#attributes": { "xmlns": "u" }, "SubjectUserName": "a" } });
        let event = flatten(&json!({ "Event": { "System": system, "UserData": user } })).unwrap();
        assert_eq!(event["SubjectUserName"], "a");
        let message = "Registry object\r\nEventType: CreateKey\r\n";
        let event = json!({ "EventID": 12, "Channel": "C", "SourceName": "P", "EventType": "INFO", "Message": message, "tags": [] });
        let event = flatten(&event).unwrap();
        assert_eq!((&event["EventType"], &event["Provider_Name"]), (&json!("CreateKey"), &json!("P")));
        assert!(!event.contains_key("tags"));
        assert_eq!(flatten(&json!({ "a": 1 })), None);
    }
}
