//! The message of an alert: the rule's output template with the event's values in it.

use serde_json::Value;
use trapline_programs::hir::{Template, TemplatePart};

use super::alert::{value_at, value_shown};

/// What stands for a value that is not there.
const MISSING: &str = "-";

/// The template with values; a missing one prints its default, or `-`.
pub fn render(template: &Template, event: &Value) -> String {
    let mut message = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => message.push_str(text),
            TemplatePart::Field { field, default } => {
                let value = value_at(event, &field.name).and_then(|value| value_shown(&field.name, value));
                message.push_str(value.as_deref().or(default.as_deref()).unwrap_or(MISSING));
            }
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trapline_vm::predicate::FieldRef;
    use trapline_vm::record::{FieldType, Scalar};

    use super::*;

    #[test]
    fn fields_defaults_and_dashes() {
        let field = |name: &str, default: Option<&str>| TemplatePart::Field {
            field: FieldRef { name: name.into(), ty: FieldType::Scalar(Scalar::Str) },
            default: default.map(str::to_owned),
        };
        let template = Template {
            parts: vec![
                field("user.name", None),
                TemplatePart::Text(" ran ".into()),
                field("process.args", Some("x")),
                TemplatePart::Text(" from ".into()),
                field("process.parent.name", Some("nowhere")),
                field("host.name", None),
            ],
        };
        let event = json!({ "user": { "name": "bob" }, "process": { "args": ["a", 1] }, "host": { "name": null } });
        assert_eq!(render(&template, &event), "bob ran a, 1 from nowhere-");
    }
}
