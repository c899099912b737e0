//! A page on each diagnostic code, for `trapline explain CODE`.
//!
//! A test holds the codes used in this crate and this list together, and `tests/language/diagnostics` has an example
//! of each.

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What it means, why it is so, and what to do.
    pub explanation: &'static str,
}

/// All codes, in alphabetical order.
pub fn codes() -> &'static [Code] {
    CODES
}

/// The page of a code.
pub fn explain(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|page| page.code == code)
}

const CODES: &[Code] = &[
    Code {
        code: "all-of-none",
        title: "an `all` that is true when there is nothing to look at",
        explanation: "\
`all p in LIST { … }` is true of an empty list: there is no element that the condition fails on. So a rule may fire, or
an exception suppress, where nothing was seen at all. If there must be an element, say so:

    where any p in process.ancestors { exists(p.name) } and all p in process.ancestors { p.name != \"sshd\" }

This is a warning: the rule is compiled. A rule that also has an `any` over the same list is not reported, nor is
`not all …`, which is false of an empty list.",
    },
    Code {
        code: "bad-object",
        title: "an object file that cannot be loaded",
        explanation: "\
Object files (`.o`) are BPF programs in ELF, as `trapline compile` writes them and `clang -target bpf` with `trapline.h`
makes them. What is wrong is said with the section, the symbol and the offset: `llvm-objdump -d -r FILE` shows the
place. Common causes in C: a function that is declared and not defined, a field that events of this family do not have
(`trapline fields`), a program in a section that is not `rule/CLASS`, pointers in constants, CO-RE. `docs/c-detections.md`
describes what an object file may hold.",
    },
    Code {
        code: "case-sensitive-on-windows",
        title: "a comparison that Windows makes easy to walk around",
        explanation: "\
Windows treats paths, names and the registry without regard to case: `CMD.EXE` runs what `cmd.exe` runs. Comparisons
are case-sensitive unless they end in `~`, so a rule for Windows alone that compares such a field exactly can be
walked around by typing a capital letter. Write the operator with `~`:

    where process.name ==~ \"cmd.exe\"

When the exact case is the point of the rule (`pOwErShElL`), say so with `cased`:

    where cased(process.command_line) contains \"pOwEr\"

Literals without letters are not reported, nor are regular expressions that begin with `(?i)`.",
    },
    Code {
        code: "condition-too-deep",
        title: "a condition nested deeper than the compiler follows",
        explanation: "\
The condition of a rule is turned into a tree of decisions whose depth is bounded, so that compiling takes bounded
memory. Macros within macros can nest deeper than the text shows. Split the rule into several, or write the condition
flatter: `a or b or c` is one level, however long.",
    },
    Code {
        code: "division-by-zero",
        title: "a division that never has a value",
        explanation: "\
Dividing by zero gives no value, as if a field were missing: the test is unknown, and the rule cannot fire by it. Here
the divisor is the constant zero, so that is always so. Correct the divisor.",
    },
    Code {
        code: "duplicate-key",
        title: "something that stands once stands twice",
        explanation: "\
A header entry, `on`, `where` and `output` stand once in a rule, and a field once in an event of a test. Two conditions
are joined by `and`, several classes by commas, and several exceptions are several `unless` clauses.",
    },
    Code {
        code: "duplicate-name",
        title: "two things with one name",
        explanation: "\
Names and ids of rules are unique among all rules that are compiled together, because alerts and tuning name rules by
them. Lists and macros of one file share one space of names, as do the parameters of a macro and the `let`s of a rule.
Rename one of the two; give a copied rule a new UUID.",
    },
    Code {
        code: "element-outside-quantifier",
        title: "a test on an element where there is none",
        explanation: "\
A test on the element of a list makes sense only inside `any x in LIST { … }` or `all x in LIST { … }`, which say which
elements are meant. Put the test inside one.",
    },
    Code {
        code: "field-not-in-class",
        title: "a field that these events do not have",
        explanation: "\
Each class of events has its own fields: an event about a process has no `registry.path`. The field exists, but not in
the classes after `on`, so the test could never hold. Use the field of these events that has the same meaning, or name
other classes. `trapline fields` lists the fields of each class. A rule on classes of several families may use fields
that only some of them have; they are absent in the others.",
    },
    Code {
        code: "foreign-syntax",
        title: "a construct of another rule language",
        explanation: "\
The language resembles EQL, Falco and Sigma, and differs in a few places on purpose: one spelling for one meaning.

    (\"a\", \"b\")          lists:        [\"a\", \"b\"]
    x = \"a\", x : \"a\"    comparison:   x == \"a\", x ==~ \"a\", x like~ \"a*\"
    && || !  AND OR NOT connectives:  and or not
    where: …            clauses:      where …",
    },
    Code {
        code: "invalid-literal",
        title: "a constant that is no value of its type",
        explanation: "\
What a constant means depends on the field beside it. Next to an address stands an address in quotes, next to a hash
hex digits of the hash's length, next to a time an RFC 3339 time, next to a duration a number with a unit (`30s`, `5m`,
`1h30m`). Numbers fit 64 bits and decimals have at most six digits after the point.",
    },
    Code {
        code: "invalid-pattern",
        title: "a `like` pattern with a lone `[`",
        explanation: "\
In a `like` pattern `*` stands for any run of characters and `?` for one. The characters themselves are written `[*]`,
`[?]` and `[[]`; a backslash is never special, so Windows paths need no doubling. There are no sets such as `[abc]`: use
`regex` for these.",
    },
    Code {
        code: "invalid-regex",
        title: "a regular expression with a mistake in it",
        explanation: "\
The syntax is that of the Rust crate `regex`: Perl's without look-around and back-references. Write expressions in
'…', where nothing is escaped before the expression sees it. The expression may match anywhere in the value; anchor it
with `^` and `$` when it must not.",
    },
    Code {
        code: "invalid-template",
        title: "an output text with a mistake in its braces",
        explanation: "\
In `output`, `{field}` is replaced by the value of a field and `{field|default}` says what to print when there is none
(`-` if nothing is said). The characters themselves are written `{{` and `}}`.",
    },
    Code {
        code: "invalid-test",
        title: "a test that cannot be run",
        explanation: "\
A test has at least one event and at least one expectation, and its expectations do not contradict each other:

    test \"name\" {
      process.exec { process.name: \"bash\" }
      +5s process.exec { process.name: \"curl\" }
      expect alert at 2 { severity: high }
    }

`expect none` and `expect not_evaluable` stand alone. `at` counts the events of the test from 1.",
    },
    Code {
        code: "invalid-value",
        title: "a header entry of the wrong shape",
        explanation: "\
Header entries have fixed shapes, so that tools can rely on them: `id` is a UUID, `version` a semantic version,
`attack` a list of technique and tactic ids, `severity` one of informational, low, medium, high, critical, `status` one
of experimental, test, stable, deprecated, `os` a list of linux, windows, macos. Words stand without quotes, texts in
quotes.",
    },
    Code {
        code: "limit",
        title: "something larger than the compiler accepts",
        explanation: "\
Everything that a rule can make the compiler do is bounded, so that no file can make it slow or run out of memory. The
message names the limit. `docs/language.md` lists all of them.",
    },
    Code {
        code: "missing-clause",
        title: "a rule that does not say which events it is about",
        explanation: "\
Every rule says after `on` which classes of events wake it: `on process.exec`, several with commas, a whole family with
`on process`, all with `on event`. `where` may be missing; then every such event matches.",
    },
    Code {
        code: "missing-key",
        title: "a header entry that readers of alerts will miss",
        explanation: "\
An alert shows the rule's title and severity. Without a title the rule's name stands in, without a severity it counts
as medium. This is a warning: the rule is compiled.",
    },
    Code {
        code: "not-a-condition",
        title: "a value where true or false is needed",
        explanation: "\
`where`, `unless`, `and`, `or` and `not` take conditions: comparisons, boolean fields, `exists(…)`, macros that stand for
one. There is no rule by which a text or number counts as true. Compare the value with something.",
    },
    Code {
        code: "not-yet",
        title: "a construct that cannot be compiled yet",
        explanation: "\
The grammar of the whole language is settled and this construct is part of it, but this version cannot compile it. The
rule is refused rather than compiled to something else; other rules of the file are compiled.",
    },
    Code {
        code: "operator-type",
        title: "an operator that this type does not have",
        explanation: "\
Which operators a field takes depends on its type.

    str, path                == != in like regex contains startswith endswith, each also with ~; path also under
    int, decimal, time, duration   == != < <= > >= in, and arithmetic
    bytes                    == != in
    ip                       == != in, cidr(…)
    enum                     == != in
    bool                     alone, or == !=

A list takes the operators of its elements: the comparison holds if it holds for any of them. `trapline fields` shows
the type of each field.",
    },
    Code {
        code: "recursive-macro",
        title: "a macro or list that is defined by itself",
        explanation: "\
A macro stands for its text, so one that leads back to itself would never end. Rules always end: there is no recursion
and no loop but `any` and `all` over lists of bounded length. Write the repeated part out.",
    },
    Code {
        code: "rule-too-long",
        title: "a rule that compiles to too many instructions",
        explanation: "\
The program of a rule has a bounded number of instructions. Split the rule into several; long lists of literals cost
nothing here, many separate comparisons do.",
    },
    Code {
        code: "sigma-condition",
        title: "a condition of a Sigma rule that cannot be read",
        explanation: "\
The condition of a Sigma rule joins the searches of its `detection` with `and`, `or`, `not` and parentheses; `not` binds
tighter than `and`, `and` tighter than `or`. Several searches at once are named by a pattern:

    condition: selection and not 1 of filter_*
    condition: all of selection_*
    condition: 1 of them

`them` is every search whose name does not begin with `_`. A search that is not there, and a pattern that no name fits, are
mistakes. What stood behind a pipe in Sigma 1 (`| count() > 5`) is a correlation today: a document of its own.",
    },
    Code {
        code: "sigma-document",
        title: "a Sigma document that lacks a part, or has a wrong one",
        explanation: "\
A Sigma rule is a YAML document with a title, a log source and a detection that has a condition:

    title: Whoami
    id: 5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10
    level: low
    logsource:
      product: windows
      category: process_creation
    detection:
      selection:
        Image|endswith: '\\whoami.exe'
      condition: selection

A document with `correlation` joins other rules, one with `filter` narrows them.",
    },
    Code {
        code: "sigma-duplicate-key",
        title: "a key that occurs twice in one map of a Sigma rule",
        explanation: "\
Of two equal keys in one map most readers of YAML keep the last and forget the first without a word. Whoever wrote both meant
both, so this is a mistake. Make one list of the values; two conditions on one field that must both hold are written with `all`,
or with another modifier:

    CommandLine|contains|all: ['-enc', 'hidden']",
    },
    Code {
        code: "sigma-logsource",
        title: "a log source of a Sigma rule that is not known",
        explanation: "\
The log source says which events a rule is for. For Windows, the categories and services are known, and each stands for events
of certain providers, channels and ids; a name that is not among them would make a rule that never sees an event. Other products
have names of their own: their rules run on events that no class describes, under the producer's field names.",
    },
    Code {
        code: "sigma-modifier",
        title: "modifiers of a Sigma rule that mean nothing together",
        explanation: "\
Modifiers stand behind the name of a field, `CommandLine|contains|all`. They are those of Sigma 2.1. What changes a value
(`wide`, `base64offset`, `windash`) comes before what opens its ends (`contains`, `startswith`, `endswith`), and a value is tested
in one way: as text, as a regular expression (`re`, with `i`, `m`, `s` behind it), as a range of addresses (`cidr`), as a number
(`lt`, `lte`, `gt`, `gte`), or against another field (`fieldref`).",
    },
    Code {
        code: "sigma-old-form",
        title: "a form of Sigma 1 that the specification has no longer",
        explanation: "\
`timeframe`, aggregations behind a pipe and `action: global` were parts of Sigma 1. Today a correlation counts and joins events
over time, and each document stands for itself. A rule in the old form would mean different things to different engines, so it is
refused.",
    },
    Code {
        code: "sigma-pipeline",
        title: "a pipeline for Sigma rules that cannot be followed",
        explanation: "\
A pipeline is a YAML file beside the rules that says what a site changes about all of them, as pySigma has it:

    name: our site
    priority: 20
    vars:
      administrators: [alice, bob]
    transformations:
      - type: field_name_mapping
        mapping: {User: user.name}
        rule_conditions:
          - {type: logsource, product: windows, category: process_creation}

Understood are the steps add_condition, change_logsource, convert_type, detection_item_failure, drop_detection_item,
field_name_mapping, field_name_prefix, field_name_prefix_mapping, field_name_suffix, map_string, replace_string, rule_failure,
set_custom_attribute, set_state, set_value, value_placeholders, wildcard_placeholders; rule_conditions of the types
contains_detection_item, contains_field, is_sigma_correlation_rule, is_sigma_rule, logsource, processing_item_applied,
processing_state, rule_attribute, tag; detection_item_conditions of the types contains_wildcard, is_null, match_string, match_value,
processing_item_applied, processing_state; field_name_conditions of the types include_fields, exclude_fields,
processing_item_applied, processing_state; and each with `…_cond_op`, `…_cond_not` or `…_cond_expr`. While a pipeline has a
mistake, no rule of Sigma is compiled: without it they would be other rules. What only concerns the text and the output of queries
has no effect, and is a warning.",
    },
    Code {
        code: "sigma-pipeline-refuses",
        title: "a Sigma rule that a pipeline refuses, or cannot be applied to",
        explanation: "\
A step of a pipeline was for this rule and says that it must not run (`rule_failure`, `detection_item_failure`), or cannot do to
it what it does to others: a value that is no number was to be one, all that the rule looks for was dropped, a search of the name
that was to be added is there already. The second place that is shown is the step. Give it conditions under which it is not for
this rule, or leave the rule out.",
    },
    Code {
        code: "sigma-placeholder",
        title: "a placeholder of a Sigma rule without values",
        explanation: "\
With the modifier `expand`, `%name%` stands for values that each site gives: its domain controllers, its administrators. Without
values the rule cannot be compiled: leaving the test out would change what it means. Values stand in a YAML file beside the rules,
a pipeline that needs nothing else:

    vars:
      administrators: [alice, bob, 'svc-*']

A pipeline that has `transformations` as well fills in values where one of them is `value_placeholders`.",
    },
    Code {
        code: "sigma-regex",
        title: "a regular expression of a Sigma rule that is refused",
        explanation: "\
Regular expressions run in time linear in the text, so that no event can stall the host. Look-around and back-references are
beyond that, and are refused, as is what is too large. Split the expression: what must not match goes into a search of its own,
joined by `and not`.",
    },
    Code {
        code: "sigma-too-large",
        title: "a Sigma file or rule beyond a limit",
        explanation: "\
Whatever a file holds, reading it takes bounded time and memory: bytes, nesting, values (an alias counts as all that it stands
for), documents, what a list of values stands for when dashes, offsets and placeholders are written out, and what a condition stands
for when its searches are written out wherever it names them. Split the file or the rule.",
    },
    Code {
        code: "sigma-type",
        title: "a value of a Sigma rule of the wrong kind",
        explanation: "\
Values are texts, numbers, true, false or null, or lists of these. Some modifiers need a certain kind: `exists` takes true or
false, `lt` a number, `cidr` an address range, an encoding a text without wildcards.",
    },
    Code {
        code: "sigma-unsupported",
        title: "a part of Sigma that cannot be run exactly here",
        explanation: "\
A Sigma rule is compiled exactly or not at all: something that nearly means the same would be a rule that nobody wrote. This part
of the specification cannot be run yet, or not on what is known of the fields of this log source.",
    },
    Code {
        code: "sigma-yaml",
        title: "a file of Sigma rules that is not YAML",
        explanation: "\
The file cannot be read as YAML 1.2, and the place where reading stopped is shown; the mistake is there or shortly before it.
Common causes: tabs for indentation, a text with `: ` or ` #` or a leading `*`, `&`, `%`, `@` or bracket without quotes, a quote
within quotes. Texts in single quotes take everything as it is, but for `''`, which is one quote.",
    },
    Code {
        code: "too-many-fields",
        title: "a rule that reads too many fields",
        explanation: "\
A program names the fields it reads, and their number is bounded. Split the rule into several.",
    },
    Code {
        code: "too-many-intermediates",
        title: "an `any`, `all` or computation with too many parts",
        explanation: "\
Intermediate results of one quantifier or computation are kept on the program's stack, which is small. Move parts that
are about the event as a whole out of the braces, or split the condition.",
    },
    Code {
        code: "too-many-predicates",
        title: "a rule with too many distinct tests on literals",
        explanation: "\
Tests on literals are evaluated once an event for all rules together, and their number is bounded. Several literals in
one list are one test: `x contains [\"a\", \"b\"]`.",
    },
    Code {
        code: "type-mismatch",
        title: "two things that do not go together",
        explanation: "\
Every field has a type, and what it is compared with must fit: numbers stand without quotes, text with them, a duration
has its unit, `in` is followed by a list, a list of records is looked through with `any p in LIST { … }`. Nothing is
converted silently, because a comparison that can never hold is a detection that never fires.",
    },
    Code {
        code: "unclosed",
        title: "a bracket that is never closed",
        explanation: "\
The label shows where it was opened. Reading went on at the next clause or rule at the beginning of a line, so mistakes
further down are still reported.",
    },
    Code {
        code: "unexpected-token",
        title: "something that cannot stand here",
        explanation: "\
The text does not follow the grammar at this place. What follows is skipped up to the next clause, so that one mistake
gives one message. `docs/language.md` has the grammar.",
    },
    Code {
        code: "unknown-class",
        title: "a class of events that does not exist",
        explanation: "\
Classes form a tree: `process.exec`, `file.create` and so on; `on process` means all classes of the family, `on event`
all there are. An event of a test is of one class. `trapline fields` lists them.",
    },
    Code {
        code: "unknown-escape",
        title: "a backslash that escapes nothing",
        explanation: "\
In \"…\" a backslash begins an escape: \\n \\r \\t \\0 \\\" \\' \\\\ \\x41 \\u{20AC}, or a line end, which is left out. Any other is
a mistake, most often in a Windows path or a regular expression. Write these in '…', where nothing is escaped:

    where process.executable endswith~ '\\cmd.exe'",
    },
    Code {
        code: "unknown-field",
        title: "a field that is not in the catalogue",
        explanation: "\
Fields are named in the catalogue of events, with ECS names; `trapline fields` lists them. A name outside it is an
error, never a test that quietly does not hold. Names below `winlog.event_data.` and the other open prefixes need no
entry; parts with odd characters are written in backquotes.",
    },
    Code {
        code: "unknown-key",
        title: "a header entry that does not exist",
        explanation: "\
The entries are id, version, title, description, severity, status, os, attack, references, false_positives, author,
authors and tags. Free words go into `tags`.",
    },
    Code {
        code: "unknown-name",
        title: "a name that is not defined",
        explanation: "\
A name without dots is a `let` of the rule, a parameter of the macro, a list or macro of the same file, a built-in set
such as `private_ranges`, or one of the few fields without dots. Lists and macros of other files are not seen. Text
stands in quotes.",
    },
    Code {
        code: "unknown-operator",
        title: "an operator that does not exist",
        explanation: "\
Comparisons are == != < <= > >= in like regex contains startswith endswith under; text operators take a `~` right after
them to ignore case, and `not` before them to negate: `x not contains~ \"a\"`.",
    },
    Code {
        code: "unknown-type",
        title: "a type that does not exist",
        explanation: "\
A parameter of a macro is a value (bool int decimal str path bytes ip time duration enum, or list<…> of one) or a group
of fields, named by the group: `p: process` takes `process`, `process.parent` or an element of `process.ancestors`, any
group that has the fields which the macro uses.",
    },
    Code {
        code: "unknown-variant",
        title: "a value that this field never has",
        explanation: "\
The field is an enumeration: it has one of a fixed set of values. Comparing it with anything else would never hold. In a
test, the bare word `other` stands for a value outside the enumeration.",
    },
    Code {
        code: "unsupported-regex",
        title: "look-around or a back-reference in a regular expression",
        explanation: "\
Regular expressions are matched in time proportional to the text, whatever the expression and whatever the text: an
attacker who chooses the text cannot make a rule slow. Look-around and back-references do not allow that. Instead of
`foo(?!bar)` test twice:

    where x regex 'foo' and not x regex 'foobar'",
    },
    Code {
        code: "unterminated-string",
        title: "a string without its end",
        explanation: "\
A string ends on the line it begins on, with the quote it began with. A longer text goes on after a backslash at the end
of the line. A backslash before the closing quote of \"…\" escapes it: write '…' for text that ends in a backslash.",
    },
    Code {
        code: "unwoken-test",
        title: "an event in a test that the rule does not look at",
        explanation: "\
The class of the event is not among those after `on`, so the event cannot change the outcome. That may be meant, as noise
between other events; it is a warning.",
    },
    Code {
        code: "wrong-arguments",
        title: "a function or macro used with the wrong arguments",
        explanation: "\
Functions and macros take a fixed number of arguments of declared types. `exists`, `missing`, `cased` and `length` take a
field, `cidr` an address and ranges, `is_true` a condition. A macro's parameter is a value or a group of fields that has
the fields which the macro uses.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_complete() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        for page in CODES {
            assert!(!page.title.is_empty() && page.explanation.len() > 80, "{}", page.code);
        }
    }
}
