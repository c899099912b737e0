//! Rules and predicates as runs of strings.
//!
//! Each string ends with a zero byte; a zero byte in it is written `C0 80`, as in Java's class files.

use std::net::IpAddr;

use crate::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test, TimePart};
use crate::record::{ElementId, EnumId, FieldType, Os, Scalar};

use super::RuleMeta;

const SYSTEMS: [(&str, Os); 3] = [("linux", Os::Linux), ("windows", Os::Windows), ("macos", Os::MacOs)];

/// Appends a string.
pub(super) fn push(bytes: &mut Vec<u8>, text: &str) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            bytes.extend_from_slice(&[0xc0, 0x80]);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.push(0);
}

/// The strings of a section; None if the last does not end or one is not UTF-8.
pub(super) fn all(bytes: &[u8]) -> Option<Vec<String>> {
    let Some((last, rest)) = bytes.split_last() else { return Some(Vec::new()) };
    if *last != 0 {
        return None;
    }
    rest.split(|byte| *byte == 0).map(one).collect()
}

fn one(bytes: &[u8]) -> Option<String> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.to_owned());
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let zero = rest.strip_prefix(&[0xc0, 0x80]);
        plain.push(if zero.is_some() { 0 } else { *first });
        rest = zero.unwrap_or(after);
    }
    String::from_utf8(plain).ok()
}

/// Appends a rule.
pub(super) fn push_rule(bytes: &mut Vec<u8>, meta: &RuleMeta) {
    let mut key = |key: &str, value: &str| {
        if !value.is_empty() || key == "rule" {
            push(bytes, &format!("{key}: {value}"));
        }
    };
    key("rule", &meta.name);
    for (name, value) in [
        ("id", &meta.id),
        ("version", &meta.version),
        ("title", &meta.title),
        ("description", &meta.description),
        ("severity", &meta.severity),
        ("status", &meta.status),
        ("output", &meta.output),
        ("source", &meta.source),
    ] {
        key(name, value);
    }
    if meta.line != 0 {
        key("line", &meta.line.to_string());
    }
    if let Some(digest) = meta.digest {
        key("digest", &hex(&digest));
    }
    for (name, os) in SYSTEMS {
        if meta.os.contains(os) {
            key("os", name);
        }
    }
    for (name, values) in [
        ("attack", &meta.attack),
        ("reference", &meta.references),
        ("false_positive", &meta.false_positives),
        ("author", &meta.authors),
        ("tag", &meta.tags),
    ] {
        values.iter().for_each(|value| key(name, value));
    }
    match meta.needs.as_deref() {
        Some([]) => push(bytes, "needs:"),
        needs => needs.unwrap_or_default().iter().for_each(|field| push(bytes, &format!("needs: {field}"))),
    }
}

/// The rules of a section of strings.
pub(super) fn rules(bytes: &[u8]) -> Result<Vec<RuleMeta>, String> {
    let strings = all(bytes).ok_or("a string does not end, or is not UTF-8")?;
    let mut rules: Vec<RuleMeta> = Vec::new();
    // Padding between objects of a section is zeros, which are empty strings.
    for text in strings.iter().filter(|text| !text.is_empty()) {
        let (key, value) = text.split_once(": ").or_else(|| Some((text.strip_suffix(':')?, ""))).ok_or_else(|| {
            let start: String = text.chars().take(40).collect();
            format!("`{start}` is not of the form `key: value`")
        })?;
        if key == "rule" {
            if value.is_empty() || rules.iter().any(|rule| rule.name == value) {
                return Err(format!("the name of the rule `{value}` is empty or taken"));
            }
            rules.push(RuleMeta { name: value.to_owned(), ..RuleMeta::default() });
            continue;
        }
        let rule = rules.last_mut().ok_or_else(|| format!("`{key}` stands before the first rule"))?;
        set(rule, key, value).map_err(|reason| format!("rule `{}`: {reason}", rule.name))?;
    }
    Ok(rules)
}

fn set(rule: &mut RuleMeta, key: &str, value: &str) -> Result<(), String> {
    let once = |place: &mut String| {
        let first = place.is_empty();
        value.clone_into(place);
        if first { Ok(()) } else { Err(format!("`{key}` is there twice")) }
    };
    let add = |list: &mut Vec<String>| {
        list.push(value.to_owned());
        Ok(())
    };
    match key {
        "id" => once(&mut rule.id),
        "version" => once(&mut rule.version),
        "title" => once(&mut rule.title),
        "description" => once(&mut rule.description),
        "severity" => once(&mut rule.severity),
        "status" => once(&mut rule.status),
        "output" => once(&mut rule.output),
        "source" => once(&mut rule.source),
        "line" => {
            rule.line = value.parse().map_err(|_| "`line` is not a number".to_owned())?;
            Ok(())
        }
        "digest" => {
            let digest = unhex(value).and_then(|bytes| bytes.try_into().ok());
            rule.digest = Some(digest.ok_or("`digest` is not 32 bytes in hexadecimal")?);
            Ok(())
        }
        "os" => {
            let os = SYSTEMS.iter().find(|(name, _)| *name == value);
            rule.os = rule.os.with(os.ok_or_else(|| format!("`os` is linux, windows or macos, not `{value}`"))?.1);
            Ok(())
        }
        "attack" => add(&mut rule.attack),
        "reference" => add(&mut rule.references),
        "false_positive" => add(&mut rule.false_positives),
        "author" => add(&mut rule.authors),
        "tag" => add(&mut rule.tags),
        "needs" => {
            let needs = rule.needs.get_or_insert_default();
            if !value.is_empty() {
                needs.push(value.to_owned());
            }
            Ok(())
        }
        _ => Err(format!("there is no key `{key}`")),
    }
}

const STR_OPS: [(&str, StrOp); 7] = [
    ("equals", StrOp::Equals),
    ("contains", StrOp::Contains),
    ("starts_with", StrOp::StartsWith),
    ("ends_with", StrOp::EndsWith),
    ("like", StrOp::Like),
    ("regex", StrOp::Regex),
    ("under", StrOp::Under),
];

/// Behind what is compared and an underscore: `int_eq`.
const CMPS: [(&str, Cmp); 6] =
    [("eq", Cmp::Eq), ("ne", Cmp::Ne), ("lt", Cmp::Lt), ("le", Cmp::Le), ("gt", Cmp::Gt), ("ge", Cmp::Ge)];

const TIME_PARTS: [(&str, TimePart); 6] = [
    ("minute", TimePart::Minute),
    ("hour", TimePart::Hour),
    ("day", TimePart::Day),
    ("week", TimePart::Week),
    ("month", TimePart::Month),
    ("year", TimePart::Year),
];

fn name_of<T: PartialEq>(names: &[(&'static str, T)], wanted: &T) -> &'static str {
    names.iter().find(|(_, known)| known == wanted).map_or("", |(name, _)| name)
}

/// The strings of a predicate, after its field: scope, test, arguments.
pub(super) fn of_predicate(predicate: &Predicate) -> Vec<u8> {
    let mut bytes = Vec::new();
    match &predicate.scope {
        Scope::Any => push(&mut bytes, "any"),
        Scope::Elements => push(&mut bytes, "elements"),
        Scope::Member(name) => push(&mut bytes, &format!("member {name}")),
    }
    match &predicate.test {
        Test::Str { op, literals, fold } => {
            push(&mut bytes, &format!("{}{}", name_of(&STR_OPS, op), if *fold { "_fold" } else { "" }));
            literals.iter().for_each(|literal| push(&mut bytes, literal));
        }
        Test::Bytes(values) => {
            push(&mut bytes, "bytes");
            values.iter().for_each(|value| push(&mut bytes, &hex(value)));
        }
        Test::Cidr(ranges) => {
            push(&mut bytes, "cidr");
            ranges.iter().for_each(|range| push(&mut bytes, &format!("{}/{}", range.address, range.prefix)));
        }
        Test::Int { cmp, values } => {
            push(&mut bytes, &format!("int_{}", name_of(&CMPS, cmp)));
            values.iter().for_each(|value| push(&mut bytes, &value.to_string()));
        }
        Test::Number { cmp, value } => {
            push(&mut bytes, &format!("number_{}", name_of(&CMPS, cmp)));
            push(&mut bytes, value);
        }
        Test::Time { part, cmp, values } => {
            push(&mut bytes, &format!("{}_{}", name_of(&TIME_PARTS, part), name_of(&CMPS, cmp)));
            values.iter().for_each(|value| push(&mut bytes, &value.to_string()));
        }
        Test::Exists => push(&mut bytes, "exists"),
    }
    bytes
}

/// A predicate on a field from its scope, test and arguments.
pub(super) fn predicate(field: FieldRef, strings: &[String]) -> Result<Predicate, String> {
    let [scope, test, arguments @ ..] = strings else {
        return Err("a predicate is a field, a scope, a test and its arguments".to_owned());
    };
    let scope = match scope.as_str() {
        "any" => Scope::Any,
        "elements" => Scope::Elements,
        other => match other.strip_prefix("member ") {
            Some(name) => Scope::Member(name.to_owned()),
            None => return Err(format!("the scope is `any`, `elements` or `member NAME`, not `{other}`")),
        },
    };
    if arguments.is_empty() != (test == "exists") {
        return Err(format!("`{test}` has {} arguments", arguments.len()));
    }
    let bad = |what: &str, text: &str| format!("`{text}` is not {what}");
    let (name, fold) = match test.strip_suffix("_fold") {
        Some(name) => (name, true),
        None => (test.as_str(), false),
    };
    let test = if let Some((_, op)) = STR_OPS.iter().find(|(known, _)| *known == name) {
        Test::Str { op: *op, literals: arguments.to_vec(), fold }
    } else if let Some((what, cmp)) = comparison(test) {
        let numbers = || {
            let value = |text: &String| text.parse().map_err(|_| bad("a number of 64 bits", text));
            arguments.iter().map(value).collect::<Result<Vec<i64>, _>>()
        };
        let part = TIME_PARTS.iter().find(|(known, _)| *known == what).map(|(_, part)| *part);
        match (what, part, arguments) {
            ("int", ..) => Test::Int { cmp, values: numbers()? },
            ("number", _, [value]) => Test::Number { cmp, value: value.clone() },
            ("number", ..) => return Err(format!("`{test}` has {} arguments", arguments.len())),
            (_, Some(part), _) => Test::Time { part, cmp, values: numbers()? },
            (_, None, _) => return Err(format!("there is no test `{test}`")),
        }
    } else {
        match test.as_str() {
            "bytes" => {
                let value = |text: &String| unhex(text).ok_or_else(|| bad("hexadecimal", text));
                Test::Bytes(arguments.iter().map(value).collect::<Result<_, _>>()?)
            }
            "cidr" => {
                let value = |text: &String| cidr(text).ok_or_else(|| bad("an address range", text));
                Test::Cidr(arguments.iter().map(value).collect::<Result<_, _>>()?)
            }
            "exists" => Test::Exists,
            other => return Err(format!("there is no test `{other}`")),
        }
    };
    Ok(Predicate { field, scope, test })
}

/// What is compared, and how.
fn comparison(test: &str) -> Option<(&str, Cmp)> {
    let (what, cmp) = test.rsplit_once('_')?;
    CMPS.iter().find(|(known, _)| *known == cmp).map(|(_, cmp)| (what, *cmp))
}

fn cidr(text: &str) -> Option<Cidr> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse().ok()?),
        None => (text, u8::MAX),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = if prefix == u8::MAX { bits } else { prefix };
    (prefix <= bits).then_some(Cidr { address, prefix })
}

/// A predicate in words, as evidence.
pub(super) fn words(predicate: &Predicate) -> String {
    let strings = all(&of_predicate(predicate)).unwrap_or_default();
    let mut text = predicate.field.name.clone();
    for (index, part) in strings.iter().enumerate() {
        match index {
            0 if part == "any" => {}
            0 | 1 => text.push_str(&format!(" {part}")),
            2 => text.push_str(&format!(" {part:?}")),
            _ => text.push_str(&format!(", {part:?}")),
        }
    }
    text
}

/// A type as text.
pub(super) fn of_type(ty: FieldType) -> String {
    let scalar = |scalar: Scalar| match scalar {
        Scalar::Enum(EnumId(index)) => format!("enum {index}"),
        other => other.name().to_owned(),
    };
    match ty {
        FieldType::Scalar(inner) => scalar(inner),
        FieldType::List(inner) => format!("list {}", scalar(inner)),
        FieldType::Records(ElementId(index)) => format!("records {index}"),
    }
}

/// A type from its text.
pub(super) fn parse_type(text: &str) -> Option<FieldType> {
    const SCALARS: [Scalar; 9] = [
        Scalar::Bool,
        Scalar::Int,
        Scalar::Decimal,
        Scalar::Str,
        Scalar::Path,
        Scalar::Bytes,
        Scalar::Ip,
        Scalar::Time,
        Scalar::Duration,
    ];
    let scalar = |text: &str| match text.strip_prefix("enum ") {
        Some(index) => index.parse().ok().map(|index| Scalar::Enum(EnumId(index))),
        None => SCALARS.into_iter().find(|scalar| scalar.name() == text),
    };
    if let Some(index) = text.strip_prefix("records ") {
        return index.parse().ok().map(|index| FieldType::Records(ElementId(index)));
    }
    match text.strip_prefix("list ") {
        Some(inner) => scalar(inner).map(FieldType::List),
        None => scalar(text).map(FieldType::Scalar),
    }
}

/// Whether C that takes a field for this kind of value can read one of that type.
pub(super) fn is_kind(kind: &str, ty: FieldType) -> bool {
    let scalar = |scalar| match scalar {
        Scalar::Str | Scalar::Path => "string",
        Scalar::Bytes => "bytes",
        Scalar::Ip => "ip",
        Scalar::Bool | Scalar::Int | Scalar::Decimal | Scalar::Time | Scalar::Duration | Scalar::Enum(_) => "number",
    };
    kind == match ty {
        FieldType::Scalar(inner) => scalar(inner),
        FieldType::List(_) | FieldType::Records(_) => "list",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    if rest.is_empty() { pairs.iter().map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_with_zeros_and_without() {
        for text in ["", "a", "\0", "a\0b\0", "é\0\u{10ffff}"] {
            let mut bytes = Vec::new();
            push(&mut bytes, text);
            push(&mut bytes, "x");
            assert_eq!(all(&bytes), Some(vec![text.to_owned(), "x".to_owned()]));
        }
        assert_eq!(all(b""), Some(vec![]));
        assert_eq!(all(b"a"), None);
        assert_eq!(all(b"\xc0\0"), None);
    }

    #[test]
    fn predicates_of_every_kind() {
        let field = FieldRef { name: "a.b".into(), ty: FieldType::Scalar(Scalar::Str) };
        let mut tests = vec![
            Test::Exists,
            Test::Bytes(vec![vec![], vec![0, 255]]),
            Test::Cidr(vec![
                Cidr { address: "10.0.0.0".parse().unwrap(), prefix: 8 },
                Cidr { address: "::ffff:1.2.3.4".parse().unwrap(), prefix: 128 },
            ]),
        ];
        for (_, op) in STR_OPS {
            for fold in [false, true] {
                tests.push(Test::Str { op, literals: vec!["".into(), "\0".into(), "b,\"".into()], fold });
            }
        }
        for (_, cmp) in CMPS {
            tests.push(Test::Int { cmp, values: vec![i64::MIN, 0, i64::MAX] });
            tests.push(Test::Number { cmp, value: "-0.5".into() });
            for (_, part) in TIME_PARTS {
                tests.push(Test::Time { part, cmp, values: vec![-1, 23] });
            }
        }
        for test in tests {
            for scope in [Scope::Any, Scope::Elements, Scope::Member("c d".into())] {
                let one = Predicate { field: field.clone(), scope, test: test.clone() };
                let strings = all(&of_predicate(&one)).unwrap();
                assert_eq!(predicate(field.clone(), &strings), Ok(one));
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |strings: &[&str]| {
            let field = FieldRef { name: "a".into(), ty: FieldType::Scalar(Scalar::Str) };
            predicate(field, &strings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap_err()
        };
        assert_eq!(refused(&["any", "contain", "a"]), "there is no test `contain`");
        assert_eq!(refused(&["some", "contains", "a"]), "the scope is `any`, `elements` or `member NAME`, not `some`");
        assert_eq!(refused(&["any", "contains"]), "`contains` has 0 arguments");
        assert_eq!(refused(&["any", "int_eq", "x"]), "`x` is not a number of 64 bits");
        assert_eq!(refused(&["any", "hour_eq", "x"]), "`x` is not a number of 64 bits");
        assert_eq!(refused(&["any", "number_lt", "1", "2"]), "`number_lt` has 2 arguments");
        assert_eq!(refused(&["any", "second_eq", "1"]), "there is no test `second_eq`");
        assert_eq!(refused(&["any", "cidr", "1.2.3.4/33"]), "`1.2.3.4/33` is not an address range");
        assert_eq!(refused(&["any", "bytes", "0"]), "`0` is not hexadecimal");
        assert_eq!(rules(b"id: x\0").unwrap_err(), "`id` stands before the first rule");
        assert_eq!(rules(b"rule: a\0rule: a\0").unwrap_err(), "the name of the rule `a` is empty or taken");
        assert_eq!(rules(b"rule: a\0id: 1\0id: 2\0").unwrap_err(), "rule `a`: `id` is there twice");
        assert_eq!(rules(b"rule: a\0os: dos\0").unwrap_err(), "rule `a`: `os` is linux, windows or macos, not `dos`");
        assert_eq!(rules(b"what\0").unwrap_err(), "`what` is not of the form `key: value`");
    }

    #[test]
    fn types_are_read_as_written() {
        let scalars = ["bool", "int", "decimal", "str", "path", "bytes", "ip", "time", "duration", "enum 7"];
        for text in scalars.iter().flat_map(|scalar| [(*scalar).to_owned(), format!("list {scalar}")]) {
            assert_eq!(of_type(parse_type(&text).unwrap()), text);
        }
        assert_eq!(of_type(parse_type("records 3").unwrap()), "records 3");
        for text in ["", "enum", "enum x", "list", "list list str", "records -1"] {
            assert_eq!(parse_type(text), None, "{text}");
        }
    }
}
