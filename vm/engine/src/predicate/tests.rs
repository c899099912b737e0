//! Predicates: tables of each operator, truncated values, lists, and properties.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use trapline_vm::predicate::{Cidr, StrOp, TimePart};
use trapline_vm::record::{
    Cell as Written, ENUM_OTHER, ElementId, EnumId, LIST_LEN_MAX, LONG_STRING_LEN_MAX, RECORD_LEN_MAX, RecordHeader,
    RecordWriter, Value,
};

use super::*;

const STR: FieldType = FieldType::Scalar(Scalar::Str);
const HEADER: RecordHeader = RecordHeader { digest: 0, class: 0, os: None, time_ns: 0, sequence: 0 };

/// A record whose only slot holds this.
fn record(cell: &Written<'_>) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_LEN_MAX as usize];
    let mut writer = RecordWriter::new(&mut bytes, 1, &HEADER).unwrap();
    writer.set(Slot(0), LONG_STRING_LEN_MAX, cell);
    let len = writer.finish();
    bytes.truncate(len as usize);
    bytes
}

/// A type that a test suits.
fn suited(test: &Test) -> FieldType {
    FieldType::Scalar(match test {
        Test::Str { .. } | Test::Number { .. } | Test::Exists => Scalar::Str,
        Test::Bytes(_) => Scalar::Bytes,
        Test::Cidr(_) => Scalar::Ip,
        Test::Time { .. } => Scalar::Time,
        Test::Int { .. } => Scalar::Int,
    })
}

fn bits(shape: Shape, test: &Test, cell: &Written<'_>) -> Option<bool> {
    let matcher = Matcher::new(Slot(0), shape, suited(test), test).unwrap();
    matcher.bits(&RecordView::new(&record(cell)).unwrap(), &mut Scratch::default())
}

fn mask(shape: Shape, test: &Test, cell: &Written<'_>) -> MaskBits {
    let matcher = Matcher::new(Slot(0), shape, suited(test), test).unwrap();
    matcher.mask(&RecordView::new(&record(cell)).unwrap(), &mut Scratch::default())
}

fn text(op: StrOp, literals: &[&str], fold: bool) -> Test {
    Test::Str { op, literals: literals.iter().map(|&literal| literal.to_owned()).collect(), fold }
}

/// One text test on a whole value.
fn whole(op: StrOp, literal: &str, fold: bool, value: &str) -> bool {
    bits(Shape::Value, &text(op, &[literal], fold), &Written::Present(Value::Str(value))).expect("the value is whole")
}

/// One text test on a truncated value.
fn cut(op: StrOp, literal: &str, fold: bool, kept: &str) -> Option<bool> {
    bits(Shape::Value, &text(op, &[literal], fold), &Written::Truncated(Value::Str(kept)))
}

use StrOp::{Contains, EndsWith, Equals, Like, Regex, StartsWith, Under};

#[test]
fn text_operators_on_whole_values() {
    // operator, literal, fold, value, result
    let table: &[(StrOp, &str, bool, &str, bool)] = &[
        (Equals, "abc", false, "abc", true),
        (Equals, "abc", false, "ABC", false),
        (Equals, "abc", true, "ABC", true),
        (Equals, "abc", false, "abcd", false),
        (Equals, "abcd", false, "abc", false),
        (Equals, "", false, "", true),
        (Equals, "", false, "\0", false),
        (Equals, "a\0b", false, "a\0b", true),
        (Equals, "a\0b", false, "a", false),
        (Equals, "ÄÖ", true, "äö", true),
        (Equals, "STRASSE", true, "straße", false), // simple folding keeps the number of characters
        (Equals, "ẞ", true, "ß", true),
        (Equals, "kelvin", true, "\u{212a}elvin", true), // KELVIN SIGN folds to k
        (Equals, "\u{212a}elvin", true, "kelvin", true),
        (Equals, "σ", true, "ς", true), // final sigma
        (Equals, "i", true, "İ", false),
        (Equals, "ı", true, "I", false),         // no Turkish rules
        (Equals, "é", false, "e\u{301}", false), // no normalization
        (Contains, "b", false, "abc", true),
        (Contains, "", false, "", true),
        (Contains, "", false, "abc", true),
        (Contains, "abc", false, "ab", false),
        (Contains, "B\0", true, "ab\0c", true),
        (Contains, "ÉCOLE", true, "l'école", true),
        (StartsWith, "ab", false, "abc", true),
        (StartsWith, "bc", false, "abc", false),
        (StartsWith, "", false, "", true),
        (StartsWith, "abc", false, "ab", false),
        (StartsWith, "Ж", true, "жук", true),
        (EndsWith, "bc", false, "abc", true),
        (EndsWith, "ab", false, "abc", false),
        (EndsWith, "", false, "", true),
        (EndsWith, ".EXE", true, "C:\\a.exe", true),
        (EndsWith, "abc", false, "bc", false),
        (Like, "", false, "", true),
        (Like, "", false, "a", false),
        (Like, "*", false, "", true),
        (Like, "*", false, "a\0\n", true),
        (Like, "?", false, "", false),
        (Like, "?", false, "é", true),
        (Like, "?", false, "ab", false),
        (Like, "a*", false, "abc", true),
        (Like, "a*", false, "ba", false),
        (Like, "*c", false, "abc", true),
        (Like, "*c", false, "abcd", false),
        (Like, "a*a", false, "a", false), // head and tail do not overlap
        (Like, "a*a", false, "aa", true),
        (Like, "*b*b*", false, "abcb", true),
        (Like, "*b*b*", false, "abc", false),
        (Like, "a?c", false, "a𝄞c", true),
        (Like, "a??c", false, "a𝄞c", false),
        (Like, "*?c", false, "c", false),
        (Like, "*é?", false, "xéy", true),
        (Like, "*a?b*c", false, "a-a.b-c", true),
        (Like, "a**b", false, "ab", true),
        (Like, "[*]", false, "*", true),
        (Like, "[*]", false, "a", false),
        (Like, "[?]", false, "?", true),
        (Like, "[[]", false, "[", true),
        (Like, "[[]*]", false, "[x]", true),
        (Like, "[a]", false, "[a]", true),
        (Like, "[a]", false, "a", false),
        (Like, "[", false, "[", true),
        (Like, "[*", false, "[abc", true),
        (Like, "\\*", false, "\\abc", true), // a backslash is never special
        (Like, "C:\\*.EXE", true, "c:\\Windows\\cmd.exe", true),
        (Regex, "b+", false, "abbc", true),
        (Regex, "^b", false, "ab", false),
        (Regex, "^ab$", false, "ab", true),
        (Regex, "AB", true, "xabx", true),
        (Regex, "AB", false, "xabx", false),
        (Regex, "", false, "", true),
        (Regex, "a.c", false, "a\0c", true),
        (Regex, "a.c", false, "a\nc", false),
        (Regex, "\\W", true, "ab", false), // folding an expression must not touch its escapes
        (Regex, "k", true, "\u{212a}", true),
        (Under, "/tmp", false, "/tmp", true),
        (Under, "/tmp", false, "/tmp/", true),
        (Under, "/tmp/", false, "/tmp", true),
        (Under, "/tmp", false, "/tmp/a/b", true),
        (Under, "/tmp", false, "/tmpfile", false),
        (Under, "/tmp/a", false, "/tmp", false),
        (Under, "/tmp", false, "//tmp//a", true),
        (Under, "/tmp", false, "tmp/a", false),
        (Under, "tmp", false, "/tmp/a", false),
        (Under, "tmp", false, "tmp/a", true),
        (Under, "/", false, "/etc", true),
        (Under, "/", false, "/", true),
        (Under, "/", false, "", false),
        (Under, "/", false, "etc", false),
        (Under, "", false, "", true),
        (Under, "", false, "a", true),
        (Under, "", false, "/a", false),
        (Under, "C:\\Windows", true, "c:/WINDOWS/System32", true),
        (Under, "C:\\Windows\\", true, "c:\\windows", true),
        (Under, "C:\\Windows", true, "C:\\WindowsOld", false),
        (Under, "C:", true, "c:\\x", true),
        (Under, "/tmp", false, "/TMP/a", false),
    ];
    for &(op, literal, fold, value, expected) in table {
        assert_eq!(whole(op, literal, fold, value), expected, "{value:?} {op:?} {literal:?} (fold {fold})");
    }
}

#[test]
fn a_truncated_value_decides_what_its_kept_prefix_can() {
    let table: &[(StrOp, &str, bool, &str, Option<bool>)] = &[
        (Equals, "abc", false, "ab", None),
        (Equals, "abc", false, "abc", None),
        (Equals, "abc", false, "abcd", Some(false)),
        (Equals, "abc", false, "x", Some(false)),
        (Equals, "abc", false, "", None),
        (Equals, "ABC", true, "ab", None),
        (Equals, "ABC", false, "ab", Some(false)),
        (Contains, "b", false, "abc", Some(true)),
        (Contains, "d", false, "abc", None),
        (Contains, "", false, "", Some(true)),
        (StartsWith, "ab", false, "abc", Some(true)),
        (StartsWith, "ab", false, "a", None),
        (StartsWith, "ab", false, "ab", Some(true)),
        (StartsWith, "ab", false, "b", Some(false)),
        (StartsWith, "", false, "", Some(true)),
        (EndsWith, "c", false, "abc", None),
        (EndsWith, "", false, "abc", Some(true)),
        (Like, "ab*", false, "abc", Some(true)),
        (Like, "ab*", false, "a", None),
        (Like, "ab*", false, "b", Some(false)),
        (Like, "ab", false, "ab", None),
        (Like, "ab", false, "abc", Some(false)),
        (Like, "*a", false, "a", None),
        (Like, "a*b*", false, "axb", Some(true)),
        (Like, "a*b*", false, "ax", None),
        (Like, "*?", false, "", None),
        (Like, "*?", false, "a", Some(true)),
        (Like, "*??", false, "a", None),
        (Like, "a?*", false, "a", None),
        (Like, "*", false, "", Some(true)),
        (Like, "", false, "", None),
        (Regex, "b", false, "abc", Some(true)),
        (Regex, "d", false, "abc", None),
        (Regex, "c$", false, "abc", None),
        (Regex, "b\\b", false, "ab", None),
        (Regex, "b\\b", false, "ab c", Some(true)),
        (Regex, "\\bab", false, "ab", None), // it could be decided; conservative
        (Regex, "^ab", false, "xbc", Some(false)),
        (Regex, "^ab", false, "a", None),
        (Regex, "^ab$", false, "ab", None),
        (Regex, "^ab$", false, "abc", Some(false)),
        (Regex, "^ab.*c", false, "xb", None), // likewise
        (Regex, "(?m)^b", false, "a\nb", Some(true)),
        (Under, "/tmp", false, "/tmp", None),
        (Under, "/tmp", false, "/tmp/", Some(true)),
        (Under, "/tmp", false, "/tm", None),
        (Under, "/tmp", false, "/tx", Some(false)),
        (Under, "/tmp", false, "/tmpx", Some(false)),
        (Under, "/", false, "/", Some(true)),
        (Under, "", false, "", None),
    ];
    for &(op, literal, fold, kept, expected) in table {
        assert_eq!(cut(op, literal, fold, kept), expected, "truncated {kept:?} {op:?} {literal:?} (fold {fold})");
    }
}

#[test]
fn several_literals_mean_any_of_them() {
    let value = Written::Present(Value::Str("Delta"));
    for op in [Equals, Contains, StartsWith, EndsWith, Like, Regex, Under] {
        assert_eq!(bits(Shape::Value, &text(op, &["x", "DELTA", "y"], true), &value), Some(true), "{op:?}");
        assert_eq!(bits(Shape::Value, &text(op, &["x", "DELTA", "y"], false), &value), Some(false), "{op:?}");
    }
    let kept = Written::Truncated(Value::Str("del"));
    assert_eq!(bits(Shape::Value, &text(Equals, &["a", "delta", "z"], false), &kept), None);
    assert_eq!(bits(Shape::Value, &text(Equals, &["a", "de", "z"], false), &kept), Some(false));
    assert_eq!(bits(Shape::Value, &text(StartsWith, &["delta", "de"], false), &kept), Some(true));
}

#[test]
fn very_long_values() {
    let mut value = "a".repeat(LONG_STRING_LEN_MAX as usize - 1);
    value.push('B');
    assert!(whole(EndsWith, "ab", true, &value));
    assert!(whole(Contains, "AB", true, &value));
    assert!(whole(Like, "a*a?", false, &value));
    assert!(whole(Regex, "aB$", false, &value));
    assert!(!whole(Contains, "ba", true, &value));
    value.push('B');
    // The writer cuts it here, and marks it.
    let cell = Written::Present(Value::Str(&value));
    assert_eq!(bits(Shape::Value, &text(EndsWith, &["b"], true), &cell), None);
    assert_eq!(bits(Shape::Value, &text(Contains, &["B"], false), &cell), Some(true));
}

#[test]
fn bytes() {
    let test = Test::Bytes(vec![vec![1, 2, 3], vec![], vec![0]]);
    let whole = |bytes: &[u8]| bits(Shape::Value, &test, &Written::Present(Value::Bytes(bytes)));
    assert_eq!(whole(&[1, 2, 3]), Some(true));
    assert_eq!(whole(&[]), Some(true));
    assert_eq!(whole(&[1, 2]), Some(false));
    let cut = |bytes: &[u8]| bits(Shape::Value, &test, &Written::Truncated(Value::Bytes(bytes)));
    assert_eq!(cut(&[1, 2]), None);
    assert_eq!(cut(&[1, 3]), Some(false));
    assert_eq!(cut(&[1, 2, 3, 4]), Some(false));
}

#[test]
fn address_ranges() {
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
    let table = [
        ("10.0.0.0", 8, "10.255.0.1", true),
        ("10.0.0.0", 8, "11.0.0.0", false),
        ("10.1.2.3", 8, "10.9.9.9", true), // host bits of the range do not matter
        ("10.1.2.3", 32, "10.1.2.3", true),
        ("10.1.2.3", 32, "10.1.2.2", false),
        ("0.0.0.0", 0, "255.255.255.255", true),
        ("0.0.0.0", 0, "2001:db8::1", false),
        ("::", 0, "2001:db8::1", true),
        ("::", 0, "1.2.3.4", true), // in its mapped form
        ("::ffff:0:0", 96, "1.2.3.4", true),
        ("10.0.0.0", 8, "::ffff:10.1.1.1", true),
        ("fe80::", 10, "febf::1", true),
        ("fe80::", 10, "fec0::1", false),
        ("::1", 128, "::1", true),
        ("::1", 128, "::2", false),
    ];
    for (address, prefix, value, expected) in table {
        let test = Test::Cidr(vec![Cidr { address: ip(address), prefix }]);
        let found = bits(Shape::Value, &test, &Written::Present(Value::Ip(ip(value))));
        assert_eq!(found, Some(expected), "{value} in {address}/{prefix}");
    }
    for (address, prefix) in [(IpAddr::V4(Ipv4Addr::LOCALHOST), 33), (IpAddr::V6(Ipv6Addr::LOCALHOST), 129)] {
        let test = Test::Cidr(vec![Cidr { address, prefix }]);
        assert_eq!(
            Matcher::new(Slot(0), Shape::Value, suited(&test), &test).unwrap_err(),
            TestError::Prefix { address, prefix },
            "{address}/{prefix}"
        );
    }
    // Bytes that are no address are a value we do not have.
    let test = Test::Cidr(vec![Cidr { address: ip("::"), prefix: 0 }]);
    assert_eq!(bits(Shape::Value, &test, &Written::Present(Value::Bytes(&[1, 2, 3]))), None);
}

#[test]
fn numbers() {
    let decide = |cmp, value, written| {
        bits(Shape::Value, &Test::Int { cmp, values: vec![value] }, &Written::Present(written)).unwrap()
    };
    for (left, right) in [(0, 0), (-1, 0), (0, -1), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (7, 7)] {
        let expect = [left == right, left != right, left < right, left <= right, left > right, left >= right];
        let cmps = [Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le, Cmp::Gt, Cmp::Ge];
        for (cmp, expected) in cmps.into_iter().zip(expect) {
            assert_eq!(decide(cmp, right, Value::Int(left)), expected, "{left} {cmp:?} {right}");
        }
    }
    assert!(decide(Cmp::Eq, 1, Value::Bool(true)));
    assert!(decide(Cmp::Lt, 0, Value::Time(-5)));
    assert!(decide(Cmp::Eq, 2, Value::Enum(Some(2))));
    assert!(decide(Cmp::Eq, ENUM_OTHER.cast_signed(), Value::Enum(None)));
    let several = Test::Int { cmp: Cmp::Eq, values: vec![9, -3, 9] };
    assert_eq!(bits(Shape::Value, &several, &Written::Present(Value::Int(-3))), Some(true));
    assert_eq!(bits(Shape::Value, &several, &Written::Present(Value::Int(0))), Some(false));
    let ordered = Test::Int { cmp: Cmp::Lt, values: vec![1, 2] };
    assert_eq!(Matcher::new(Slot(0), Shape::Value, suited(&ordered), &ordered).unwrap_err(), TestError::SeveralOrdered);
}

#[test]
fn absent_and_lost_values_are_unknown_except_to_exists() {
    let tests = [
        text(Contains, &[""], false),
        text(Regex, &[""], true),
        Test::Bytes(vec![vec![]]),
        Test::Cidr(vec![Cidr { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 }]),
        Test::Int { cmp: Cmp::Ge, values: vec![i64::MIN] },
    ];
    for test in &tests {
        for shape in [Shape::Value, Shape::AnyElement] {
            assert_eq!(bits(shape, test, &Written::Absent), None, "{test:?}");
            assert_eq!(bits(shape, test, &Written::Lost), None, "{test:?}");
        }
    }
    let exists = |cell: &Written<'_>| bits(Shape::Value, &Test::Exists, cell);
    assert_eq!(exists(&Written::Absent), Some(false));
    assert_eq!(exists(&Written::Lost), None);
    assert_eq!(exists(&Written::Present(Value::Str(""))), Some(true));
    assert_eq!(exists(&Written::Truncated(Value::Str(""))), Some(true));
    assert_eq!(exists(&Written::Present(Value::List(&[]))), Some(true));
}

#[test]
fn any_element_of_a_list() {
    let a = Written::Present(Value::Str("a"));
    let b = Written::Present(Value::Str("b"));
    let test = text(Equals, &["a"], false);
    let any = |items: &[Written<'_>]| bits(Shape::AnyElement, &test, &Written::Present(Value::List(items)));
    let any_cut = |items: &[Written<'_>]| bits(Shape::AnyElement, &test, &Written::Truncated(Value::List(items)));
    assert_eq!(any(&[]), Some(false));
    assert_eq!(any(&[b, a]), Some(true));
    assert_eq!(any(&[b, b]), Some(false));
    assert_eq!(any(&[b, Written::Lost]), None);
    assert_eq!(any(&[b, Written::Absent]), None);
    assert_eq!(any(&[Written::Lost, a]), Some(true));
    assert_eq!(any(&[b, Written::Truncated(Value::Str(""))]), None);
    assert_eq!(any(&[b, Written::Truncated(Value::Str("x"))]), Some(false));
    assert_eq!(any_cut(&[]), None);
    assert_eq!(any_cut(&[b]), None);
    assert_eq!(any_cut(&[b, a]), Some(true));
    // The last of the elements a record keeps still counts; those beyond make it undecided.
    for len in [LIST_LEN_MAX - 1, LIST_LEN_MAX, LIST_LEN_MAX + 1] {
        let mut items = vec![b; len as usize];
        assert_eq!(any(&items), if len > LIST_LEN_MAX { None } else { Some(false) }, "{len}");
        *items.last_mut().unwrap() = a;
        assert_eq!(any(&items), if len > LIST_LEN_MAX { None } else { Some(true) }, "{len}");
    }
}

#[test]
fn masks_of_lists_of_scalars() {
    let a = Written::Present(Value::Str("a"));
    let b = Written::Present(Value::Str("b"));
    let cut = Written::Truncated(Value::Str("a"));
    let items = [a, b, Written::Lost, Written::Absent, cut, Written::Truncated(Value::Str("b"))];
    let test = text(Equals, &["a"], false);
    let found = mask(Shape::Elements, &test, &Written::Present(Value::List(&items)));
    assert_eq!(found, MaskBits { truth: 0b000001, known: 0b100011, lost: 0b010100 });
    let found = mask(Shape::Elements, &Test::Exists, &Written::Present(Value::List(&items)));
    assert_eq!(found, MaskBits { truth: 0b110011, known: 0b111011, lost: 0b000100 });
    for state in [Written::Absent, Written::Lost] {
        assert_eq!(mask(Shape::Elements, &test, &state), MaskBits::default());
    }
    for len in [MASK_ELEMENTS_MAX - 1, MASK_ELEMENTS_MAX, MASK_ELEMENTS_MAX + 1] {
        let items = vec![a; len as usize];
        let found = mask(Shape::Elements, &test, &Written::Present(Value::List(&items)));
        let all = u64::MAX >> (64 - len.min(64));
        assert_eq!(found, MaskBits { truth: all, known: all, lost: 0 }, "{len}");
    }
}

#[test]
fn masks_of_one_member_of_lists_of_records() {
    let name = |text| Written::Present(Value::Str(text));
    let (first, second) = ([Written::Lost, name("a")], [name("a"), Written::Absent]);
    let items: [&[Written<'_>]; 2] = [&first, &second];
    let list = Written::Present(Value::Records(&items));
    let test = text(Equals, &["a"], false);
    let of = |member| mask(Shape::Member { member, members: 2 }, &test, &list);
    assert_eq!(of(0), MaskBits { truth: 0b10, known: 0b10, lost: 0b01 });
    assert_eq!(of(1), MaskBits { truth: 0b01, known: 0b01, lost: 0b00 });
}

#[test]
fn slots_that_point_outside_the_record_are_unknown() {
    let mut bytes = record(&Written::Present(Value::Str("abc")));
    for raw in [u64::MAX, 0xffff_ffff, 1 << 63, 0xffff_fff0_0000_0030] {
        let at = Slot(0).offset() as usize;
        bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(raw));
        let view = RecordView::new(&bytes).unwrap();
        let matcher = |shape| Matcher::new(Slot(0), shape, STR, &text(Contains, &["a"], true)).unwrap();
        for shape in [Shape::Value, Shape::AnyElement] {
            assert_eq!(matcher(shape).bits(&view, &mut Scratch::default()), None, "{raw:x} {shape:?}");
        }
        for shape in [Shape::Elements, Shape::Member { member: 1, members: 9 }] {
            assert_eq!(matcher(shape).mask(&view, &mut Scratch::default()), MaskBits::default(), "{raw:x} {shape:?}");
        }
    }
}

#[test]
fn limits_of_a_test() {
    let count = |count: usize| {
        let literals = (0..count).map(|number| format!("{number}")).collect();
        PreparedTest::new(&Test::Str { op: Equals, literals, fold: false }, true).map(|_| ())
    };
    assert_eq!(count(0), Err(TestError::Empty));
    assert_eq!(count(LITERALS_MAX - 1), Ok(()));
    assert_eq!(count(LITERALS_MAX), Ok(()));
    assert_eq!(count(LITERALS_MAX + 1), Err(TestError::TooMany(LITERALS_MAX + 1)));
    let len = |len: usize| PreparedTest::new(&Test::Bytes(vec![vec![0; len]]), false).map(|_| ());
    assert_eq!(len(LITERALS_LEN_MAX - 1), Ok(()));
    assert_eq!(len(LITERALS_LEN_MAX), Ok(()));
    assert_eq!(len(LITERALS_LEN_MAX + 1), Err(TestError::TooLong(LITERALS_LEN_MAX + 1)));
}

#[test]
fn limits_of_a_regular_expression() {
    let refusal = |pattern: &str| match PreparedTest::new(&text(Regex, &[pattern], false), true) {
        Ok(_) => None,
        Err(TestError::Regex { reason, .. }) => Some(reason),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(refusal(&"a".repeat(REGEX_LEN_MAX - 1)), None);
    assert_eq!(refusal(&"a".repeat(REGEX_LEN_MAX)), None);
    assert!(refusal(&"a".repeat(REGEX_LEN_MAX + 1)).unwrap().contains("bytes long"));
    let nested = |depth: usize| refusal(&format!("{}a{}", "(".repeat(depth), ")".repeat(depth)));
    assert_eq!(nested(REGEX_DEPTH_MAX as usize - 1), None);
    assert_eq!(nested(REGEX_DEPTH_MAX as usize), None);
    assert!(nested(REGEX_DEPTH_MAX as usize + 1).is_some());
    assert!(refusal("(?:a{1000}){1000}").unwrap().contains("takes more than"));
    for pattern in ["(", "(?=a)", "(a)\\1", "[", "a{2,1}", "\\"] {
        assert!(refusal(pattern).is_some(), "{pattern}");
    }
}

#[test]
fn text_that_is_an_address_a_number_or_a_time() {
    let of = |test: &Test, cell: &Written<'_>| {
        let matcher = Matcher::new(Slot(0), Shape::Value, STR, test).unwrap();
        matcher.bits(&RecordView::new(&record(cell)).unwrap(), &mut Scratch::default())
    };
    let decided = |test: &Test, value: &str| of(test, &Written::Present(Value::Str(value))).expect("it is whole");
    let range = |address: &str, prefix| Test::Cidr(vec![Cidr { address: address.parse().unwrap(), prefix }]);
    for (address, prefix, value, expected) in [
        ("10.0.0.0", 8, "10.1.2.3", true),
        ("10.0.0.0", 8, " 10.1.2.3 ", true),
        ("10.0.0.0", 8, "11.1.2.3", false),
        ("10.0.0.0", 8, "::ffff:10.1.2.3", true),
        ("10.0.0.0", 8, "::10.1.2.3", false),
        ("10.0.0.0", 8, "10.1.2", false),
        ("10.0.0.0", 8, "10.1.2.3:80", false),
        ("10.0.0.0", 8, "10.1.2.3%1", false),
        ("0.0.0.0", 0, "-", false),
        ("0.0.0.0", 0, "", false),
        ("0.0.0.0", 0, "fe80::1", false),
        ("fe80::", 10, "fe80::1%eth0", true),
        ("fe80::", 10, "FE80:0:0::1", true),
        ("::", 0, "10.1.2.3", true),
        ("::", 0, "1::2", true),
        ("::", 0, "localhost", false),
    ] {
        assert_eq!(decided(&range(address, prefix), value), expected, "{address}/{prefix} {value:?}");
    }
    let number = |cmp, value: &str| Test::Number { cmp, value: value.to_owned() };
    for (cmp, than, value, expected) in [
        (Cmp::Gt, "3389", "33890", true),
        (Cmp::Gt, "3389", "3389", false),
        (Cmp::Ge, "3389", "3389.0", true),
        (Cmp::Lt, "-0.5", "-1", true),
        (Cmp::Le, "0.5", "0.51", false),
        (Cmp::Ne, "5", "5.0", false),
        (Cmp::Ne, "5", "x", false),
        (Cmp::Lt, "5", "", false),
        (Cmp::Ge, "500", "0x1f4", true),
    ] {
        assert_eq!(decided(&number(cmp, than), value), expected, "{value:?} {cmp:?} {than}");
    }
    let hour = |cmp, values: &[i64]| Test::Time { part: TimePart::Hour, cmp, values: values.to_vec() };
    assert!(decided(&hour(Cmp::Eq, &[22, 23]), "2026-03-01T23:10:00+05:00"));
    assert!(decided(&hour(Cmp::Lt, &[6]), "2026-03-01 05:59:59.9"));
    assert!(!decided(&hour(Cmp::Lt, &[6]), "2026-03-01"));
    assert!(!decided(&hour(Cmp::Ne, &[6]), "noon"));
    let time = Written::Present(Value::Time(82_800_000_000_000));
    assert_eq!(bits(Shape::Value, &hour(Cmp::Eq, &[23]), &time), Some(true));
    assert_eq!(bits(Shape::Value, &hour(Cmp::Lt, &[23]), &time), Some(false));
    for test in [range("10.0.0.0", 8), number(Cmp::Gt, "1"), hour(Cmp::Eq, &[1])] {
        assert_eq!(of(&test, &Written::Truncated(Value::Str("10.1.2.3"))), None, "{test:?}");
        assert_eq!(of(&test, &Written::Lost), None);
        assert_eq!(of(&test, &Written::Absent), None);
    }
    assert_eq!(
        Matcher::new(Slot(0), Shape::Value, STR, &number(Cmp::Lt, "many")).unwrap_err(),
        TestError::Number("many".to_owned())
    );
    assert_eq!(
        Matcher::new(Slot(0), Shape::Value, STR, &hour(Cmp::Lt, &[1, 2])).unwrap_err(),
        TestError::SeveralOrdered
    );
}

#[test]
fn tests_suit_types() {
    let string = text(Equals, &["a"], false);
    let int = Test::Int { cmp: Cmp::Eq, values: vec![1] };
    let number = Test::Number { cmp: Cmp::Eq, value: "1".to_owned() };
    let hour = Test::Time { part: TimePart::Hour, cmp: Cmp::Eq, values: vec![1] };
    let scalars = [
        (Scalar::Bool, "numbers"),
        (Scalar::Int, "numbers"),
        (Scalar::Decimal, "numbers"),
        (Scalar::Time, "numbers"),
        (Scalar::Duration, "numbers"),
        (Scalar::Enum(EnumId(0)), "numbers"),
        (Scalar::Str, "text"),
        (Scalar::Path, "text"),
        (Scalar::Bytes, "bytes"),
        (Scalar::Ip, "addresses"),
    ];
    for (scalar, kind) in scalars {
        for ty in [FieldType::Scalar(scalar), FieldType::List(scalar)] {
            assert_eq!(check_type(&Test::Exists, ty), Ok(()));
            assert_eq!(check_type(&string, ty).is_ok(), kind == "text", "{ty:?}");
            assert_eq!(check_type(&int, ty).is_ok(), kind == "numbers", "{ty:?}");
            assert_eq!(check_type(&Test::Bytes(vec![]), ty).is_ok(), kind == "bytes", "{ty:?}");
            assert_eq!(check_type(&Test::Cidr(vec![]), ty).is_ok(), matches!(kind, "addresses" | "text"), "{ty:?}");
            assert_eq!(check_type(&number, ty).is_ok(), kind == "text", "{ty:?}");
            assert_eq!(check_type(&hour, ty).is_ok(), kind == "text" || scalar == Scalar::Time, "{ty:?}");
        }
    }
    assert_eq!(check_type(&Test::Exists, FieldType::Records(ElementId(0))), Ok(()));
    assert!(check_type(&string, FieldType::Records(ElementId(0))).is_err());
}

#[test]
fn folding_more_text_than_is_kept_still_gives_each_value() {
    let mut scratch = Scratch::default();
    let long = "A".repeat(FOLDED_LEN_MAX / 4 + 1);
    for round in 0..3 {
        for raw in 0..6u64 {
            let value = format!("{raw}{long}");
            let folded = scratch.fold(raw, value.as_bytes());
            assert_eq!(folded, value.to_lowercase().as_bytes(), "{raw} in round {round}");
        }
        assert!(scratch.folded_len() <= FOLDED_LEN_MAX);
    }
}

#[test]
fn folded_texts_at_and_over_what_is_kept() {
    // The second is two letters, which may fold to three.
    for (first, kept) in [(FOLDED_LEN_MAX - 4, true), (FOLDED_LEN_MAX - 3, true), (FOLDED_LEN_MAX - 2, false)] {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.fold(0, "A".repeat(first).as_bytes()).len(), first);
        assert_eq!(scratch.fold(1, b"BC"), b"bc");
        assert_eq!(scratch.folded_len(), if kept { first + 2 } else { 2 }, "{first}");
    }
}

mod table {
    use trapline_vm::predicate::{MASKS_MAX, PREDICATES_MAX};
    use trapline_vm::record::FamilyId;

    use super::super::{InternError, Interned, MaskId, PredicateId, PredicateLimits, PredicateTable};
    use super::*;

    fn intern(table: &mut PredicateTable, shape: Shape, literal: &str) -> Result<Interned, InternError> {
        table.intern(FamilyId(0), Slot(0), (shape, STR), &text(Equals, &[literal], true))
    }

    #[test]
    fn equal_predicates_have_one_number() {
        let mut table = PredicateTable::default();
        let mut number =
            |family, slot, shape, test: &Test| table.intern(FamilyId(family), Slot(slot), (shape, STR), test).unwrap();
        let test = text(Equals, &["b", "A"], true);
        let first = number(0, 0, Shape::Value, &test);
        assert_eq!(first, Interned::Bits(PredicateId(0)));
        assert_eq!(number(0, 0, Shape::Value, &text(Equals, &["a", "B", "b"], true)), first);
        let others = [
            number(1, 0, Shape::Value, &test),
            number(0, 1, Shape::Value, &test),
            number(0, 0, Shape::AnyElement, &test),
            number(0, 0, Shape::Value, &text(Equals, &["a", "b"], false)),
            number(0, 0, Shape::Value, &text(Contains, &["a", "b"], true)),
            number(0, 0, Shape::Value, &text(Equals, &["a"], true)),
        ];
        for (expected, other) in (1..).zip(others) {
            assert_eq!(other, Interned::Bits(PredicateId(expected)));
        }
        assert_eq!(number(0, 0, Shape::Elements, &test), Interned::Mask(MaskId(0)));
        assert_eq!(number(0, 0, Shape::Member { member: 0, members: 2 }, &test), Interned::Mask(MaskId(1)));
        assert_eq!(number(0, 0, Shape::Member { member: 1, members: 2 }, &test), Interned::Mask(MaskId(2)));
        // A regular expression is not folded: `\w` and `\W` differ.
        let word = number(0, 0, Shape::Value, &text(Regex, &["\\w"], true));
        assert_ne!(number(0, 0, Shape::Value, &text(Regex, &["\\W"], true)), word);
    }

    #[test]
    fn limits() {
        for max in [1u32, 5] {
            let mut table = PredicateTable::new(PredicateLimits { predicates: max, masks: max });
            for number in 0..max {
                let literal = format!("{number}");
                assert_eq!(intern(&mut table, Shape::Value, &literal), Ok(Interned::Bits(PredicateId(number))));
                assert_eq!(
                    intern(&mut table, Shape::Elements, &literal),
                    Ok(Interned::Mask(MaskId(u16::try_from(number).unwrap())))
                );
            }
            assert_eq!(intern(&mut table, Shape::Value, "new"), Err(InternError::PredicatesFull(max)));
            assert_eq!(intern(&mut table, Shape::Elements, "new"), Err(InternError::MasksFull(max)));
            // Known ones still have their numbers.
            assert_eq!(intern(&mut table, Shape::Value, "0"), Ok(Interned::Bits(PredicateId(0))));
        }
    }

    /// Whoever asks for more gets what instructions can address.
    #[test]
    fn limits_above_what_can_be_addressed() {
        let mut table = PredicateTable::new(PredicateLimits { predicates: u32::MAX, masks: u32::MAX });
        for number in 0..MASKS_MAX {
            let mask = MaskId(u16::try_from(number).unwrap());
            assert_eq!(intern(&mut table, Shape::Elements, &number.to_string()), Ok(Interned::Mask(mask)));
        }
        assert_eq!(intern(&mut table, Shape::Elements, "new"), Err(InternError::MasksFull(MASKS_MAX)));
        for number in 0..PREDICATES_MAX {
            let test = Test::Int { cmp: Cmp::Eq, values: vec![i64::from(number)] };
            let interned = table.intern(FamilyId(0), Slot(0), (Shape::Value, suited(&test)), &test);
            assert_eq!(interned, Ok(Interned::Bits(PredicateId(number))));
        }
        assert_eq!(intern(&mut table, Shape::Value, "new"), Err(InternError::PredicatesFull(PREDICATES_MAX)));
    }

    #[test]
    fn what_is_forgotten_leaves_no_trace() {
        let mut table = PredicateTable::default();
        let kept = intern(&mut table, Shape::Value, "kept").unwrap();
        let mark = table.mark();
        let gone = intern(&mut table, Shape::Value, "gone").unwrap();
        intern(&mut table, Shape::Elements, "gone").unwrap();
        table.forget_since(mark);
        assert_eq!((table.predicate_count(), table.mask_count()), (1, 0));
        assert!(table.matcher(gone).is_none());
        assert_eq!(intern(&mut table, Shape::Value, "new"), Ok(gone));
        assert_eq!(intern(&mut table, Shape::Value, "kept"), Ok(kept));
    }
}

/// The definition once more, character by character and without a thought for speed.
#[test]
fn globs_at_and_over_their_limits() {
    let refused = |literals: &[String]| {
        let test = Test::Str { op: Like, literals: literals.to_vec(), fold: false };
        Matcher::new(Slot(0), Shape::Value, suited(&test), &test).err().map(|error| error.to_string())
    };
    for (len, good) in [(LIKE_RUN_LEN_MAX - 1, true), (LIKE_RUN_LEN_MAX, true), (LIKE_RUN_LEN_MAX + 1, false)] {
        let run = format!("{}?", "é".repeat(len - 1));
        let error = refused(&[format!("*{run}*")]);
        assert_eq!(error.is_none(), good, "{len}: {error:?}");
        if good {
            let value = format!("é{}ß and more", "é".repeat(len - 1));
            assert!(whole(Like, &format!("*{run}*"), false, &value));
        }
        // At the ends, and without `?`, length is no matter.
        assert_eq!(
            refused(&[run.clone(), format!("{run}*"), format!("*{run}"), format!("*{}*", "é".repeat(len))]),
            None
        );
    }
    for (pieces, good) in [(LIKE_PIECES_MAX - 1, true), (LIKE_PIECES_MAX, true), (LIKE_PIECES_MAX + 1, false)] {
        let halves = [format!("{}*", "*a".repeat(pieces / 2)), format!("{}*", "*b".repeat(pieces - pieces / 2))];
        assert_eq!(refused(&halves).is_none(), good, "{pieces}");
    }
}

#[test]
fn regexes_at_and_over_their_limits() {
    for (count, good) in [(REGEXES_MAX - 1, true), (REGEXES_MAX, true), (REGEXES_MAX + 1, false)] {
        let literals = (0..count).map(|number| format!("x{number}")).collect();
        let test = Test::Str { op: Regex, literals, fold: false };
        assert_eq!(Matcher::new(Slot(0), Shape::Value, suited(&test), &test).is_ok(), good, "{count}");
    }
    // 1024 places and one more for the test see half of the longest value, less a bit.
    let pattern = "b{1023}c";
    let seen = REGEX_STEPS_MAX / 1025;
    for (before, want) in [(seen - 1025, Some(true)), (seen - 1024, Some(true)), (seen - 1023, None)] {
        let value = format!("{}{}c", "a".repeat(before), "b".repeat(1023));
        assert_eq!(bits(Shape::Value, &text(Regex, &[pattern], false), &Written::Present(Value::Str(&value))), want);
    }
    for (len, want) in [(seen - 1, Some(false)), (seen, Some(false)), (seen + 1, None)] {
        let value = format!("{}{}", "a".repeat(len % 2), "é".repeat(len / 2));
        assert_eq!(value.len(), len);
        assert_eq!(bits(Shape::Value, &text(Regex, &[pattern], false), &Written::Present(Value::Str(&value))), want);
    }
    // Up to 511 places, the longest value is seen whole.
    let value = "a".repeat(LONG_STRING_LEN_MAX as usize);
    let test = text(Regex, &["b{510}c"], false);
    assert_eq!(bits(Shape::Value, &test, &Written::Present(Value::Str(&value))), Some(false));
}

/// Each of these took seconds or minutes for one value before there were limits.
#[test]
fn the_worst_patterns_on_the_worst_values_are_quick() {
    let value = "a".repeat(LONG_STRING_LEN_MAX as usize);
    for (op, literal, want) in [
        (Like, format!("*{}?b*", "a".repeat(LIKE_RUN_LEN_MAX - 2)), Some(false)),
        (Like, format!("{}*b", "*a?".repeat(20_000)), Some(false)),
        (Contains, format!("{}b", "a".repeat(65_536)), Some(false)),
        (Regex, "a[a-y]{10000}z".to_owned(), None),
        (Regex, "(a|a)*(a|a)*(a|a)*z".to_owned(), Some(false)),
    ] {
        let test = text(op, &[&literal], false);
        assert_eq!(bits(Shape::Value, &test, &Written::Present(Value::Str(&value))), want, "{op:?}");
    }
}

mod plain {
    use trapline_vm::text::fold_char;

    pub(super) fn chars(text: &str, fold: bool) -> Vec<char> {
        text.chars().map(|c| if fold { fold_char(c) } else { c }).collect()
    }

    pub(super) fn contains(value: &[char], literal: &[char]) -> bool {
        (0..=value.len()).any(|start| value[start..].starts_with(literal))
    }

    pub(super) fn like(value: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => value.is_empty(),
            ['[', literal @ ('*' | '?' | '['), ']', rest @ ..] => {
                value.first() == Some(literal) && like(&value[1..], rest)
            }
            ['*', rest @ ..] => (0..=value.len()).any(|start| like(&value[start..], rest)),
            ['?', rest @ ..] => !value.is_empty() && like(&value[1..], rest),
            [literal, rest @ ..] => value.first() == Some(literal) && like(&value[1..], rest),
        }
    }

    pub(super) fn under(value: &str, literal: &str) -> bool {
        let separator = |c| matches!(c, '/' | '\\');
        let components =
            |path: &str| path.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        value.starts_with(separator) == literal.starts_with(separator)
            && components(value).starts_with(&components(literal))
    }
}

/// Text in which things often match: few characters, some of which fold, some of which mean something.
fn short_text(max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop::sample::select(vec![
            'a', 'A', 'b', '/', '\\', '*', '?', '[', ']', 'é', 'É', 'ß', 'ẞ', '\u{212a}', 'k', '\0', 'Ⱥ', '𝄞',
        ]),
        0..max,
    )
    .prop_map(String::from_iter)
}

fn operator() -> impl Strategy<Value = StrOp> {
    prop::sample::select(vec![Equals, Contains, StartsWith, EndsWith, Like, Under])
}

/// Expressions over the same characters, with every kind of assertion.
fn expression() -> impl Strategy<Value = String> {
    let atoms = [
        "a", "b", "é", ".", "[^a]", "a*", "b+?", "(?:a|ab)", "^", "$", "\\b", "\\B", "(?m:^)", "(?m:$)", "\\z", "k",
        "(?:a$|b)",
    ];
    proptest::collection::vec(prop::sample::select(atoms.to_vec()), 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn operators_mean_what_the_plain_definition_says(
        op in operator(), literal in short_text(6), value in short_text(10), fold: bool,
    ) {
        let (v, l) = (plain::chars(&value, fold), plain::chars(&literal, fold));
        let expected = match op {
            Equals => v == l,
            Contains => plain::contains(&v, &l),
            StartsWith => v.starts_with(&l),
            EndsWith => v.ends_with(&l),
            Like => plain::like(&v, &l),
            Under => plain::under(&String::from_iter(v), &String::from_iter(l)),
            Regex => unreachable!("not generated"),
        };
        prop_assert_eq!(whole(op, &literal, fold, &value), expected);
    }

    #[test]
    fn what_a_prefix_decides_every_continuation_decides_alike(
        op in operator(), literal in short_text(5), kept in short_text(6), rest in short_text(6), fold: bool,
    ) {
        if let Some(decided) = cut(op, &literal, fold, &kept) {
            prop_assert_eq!(whole(op, &literal, fold, &format!("{kept}{rest}")), decided);
            prop_assert_eq!(whole(op, &literal, fold, &kept), decided);
        }
    }

    #[test]
    fn what_a_prefix_decides_for_a_regex_stays(
        pattern in expression(), kept in "[abé\n ]{0,5}", rest in "[abkéK\n ]{0,4}", fold: bool,
    ) {
        if let Some(decided) = cut(Regex, &pattern, fold, &kept) {
            prop_assert_eq!(whole(Regex, &pattern, fold, &format!("{kept}{rest}")), decided);
            prop_assert_eq!(whole(Regex, &pattern, fold, &kept), decided);
        }
    }

    /// And it leaves nothing undecided that it could decide: both answers occur among the continuations.
    #[test]
    fn what_a_prefix_leaves_open_is_open(op in operator(), literal in short_text(4), kept in short_text(5), fold: bool) {
        if cut(op, &literal, fold, &kept).is_none() {
            let mut ends: Vec<String> = (0..=literal.len())
                .filter_map(|start| literal.get(start..))
                .flat_map(|end| {
                    let spelled = end.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[");
                    // A pattern is matched by itself with its stars gone.
                    let matched = end.replace("[*]", "\u{1}").replace("[?]", "\u{2}").replace("[[]", "[")
                        .replace('*', "").replace('\u{1}', "*").replace('\u{2}', "?");
                    [end.to_owned(), spelled, matched]
                })
                .collect();
            ends.extend(["x".to_owned(), "/".to_owned(), "xxxxxxxx".to_owned(), String::new()]);
            let answers: Vec<bool> =
                ends.iter().map(|end| whole(op, &literal, fold, &format!("{kept}{end}"))).collect();
            prop_assert!(answers.contains(&false), "every continuation of {:?} holds", kept);
            prop_assert!(answers.contains(&true), "no continuation of {:?} holds", kept);
        }
    }

    #[test]
    fn any_bytes_are_a_value(op in operator(), literal in short_text(6), bytes in proptest::collection::vec(any::<u8>(), 0..24), fold: bool, complete: bool) {
        let test = PreparedTest::new(&text(op, &[&literal], fold), true).unwrap();
        let state = if complete { state::PRESENT } else { state::PRESENT | state::TRUNCATED };
        let decided = test.decide(&Cell { state, raw: 0, bytes: Some(&bytes) }, &mut Scratch::default());
        prop_assert!(!complete || decided.is_some());
    }

    #[test]
    fn any_record_bytes_are_read(mut bytes in proptest::collection::vec(any::<u8>(), 48..400), literal in short_text(3)) {
        let len = u32::try_from(bytes.len()).unwrap();
        bytes[32..36].copy_from_slice(&len.to_le_bytes());
        bytes[36..40].copy_from_slice(&len.to_le_bytes());
        let view = RecordView::new(&bytes).unwrap();
        for shape in [Shape::Value, Shape::AnyElement, Shape::Elements, Shape::Member { member: 1, members: 3 }] {
            for slot in 0..8 {
                let matcher = Matcher::new(Slot(slot), shape, STR, &text(Contains, &[&literal], true)).unwrap();
                let mut scratch = Scratch::default();
                let mask = matcher.mask(&view, &mut scratch);
                prop_assert_eq!(mask.truth & !mask.known, 0);
                prop_assert_eq!(mask.lost & mask.known, 0);
                let _ = matcher.bits(&view, &mut scratch);
            }
        }
    }
}
