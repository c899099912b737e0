//! What the tests of both sensors share.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::source::sensor::{Received, Sensor};

/// How long a test waits for what has to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Receives until `enough` says so of all events so far.
pub(super) fn events(sensor: &mut dyn Sensor, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while !enough(&found) {
        assert!(Instant::now() < until, "nothing came: {found:#?}");
        let received = sensor.receive(Duration::from_millis(50), &mut |received| {
            if let Received::Event(event) = received {
                found.push(serde_json::from_slice(event.payload.bytes()).unwrap());
            }
        });
        received.unwrap();
    }
    found
}
