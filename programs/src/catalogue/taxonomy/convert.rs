//! Conversions: how the text of a raw field becomes the value of a catalogue field.
//!
//! Pure and total: any text gives a value, *absent*, or a [`ConversionError`] to count; never a panic, and never
//! garbage in a field. Work and memory are linear in the text. A value borrows from the raw text where it can.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use trapline_vm::record::{Cell, EnumId, FieldType, LIST_LEN_MAX, Scalar, Value};

use super::super::catalogue;

/// How a raw value is read. "Nothing" means that the field is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Text. Empty, `-` and `%%1793` (Windows: no value set) are nothing.
    Text,
    /// Text as it stands; even `-` and the empty text are values.
    Verbatim,
    /// Like `Text`; `?` is nothing too (Sysmon writes it for a version resource without the entry).
    PeText,
    /// A number in decimal, or in hexadecimal after `0x`. Beyond 63 bits, 64-bit patterns are kept as two's complement.
    Int,
    /// true/false, yes/no, 1/0, `%%1842`/`%%1843`, in any case; what follows ` - ` is a remark (`false - it failed`).
    Bool,
    /// An IP address; an IPv4 address mapped into IPv6 becomes IPv4, a zone is dropped, `LOCAL` is nothing.
    Ip,
    /// `2020-10-09 21:33:04.627`, with `T` or a space, UTC unless it ends in an offset.
    Time,
    /// A variant of the enumeration, in any case; anything else is *other*.
    Variant(EnumId),
    /// Bytes as hexadecimal digits.
    Hex,
    /// One hash of a list `SHA1=…,MD5=…`. All zeros is nothing, and so is `Unknown` instead of a list.
    Hash(HashName),
    /// A GUID, in lower case with braces. All zeros is nothing.
    Guid,
    /// A SID; the null SID `S-1-0-0` is nothing.
    Sid,
    /// `alice` of `CORP\alice`.
    AccountName,
    /// `CORP` of `CORP\alice`; nothing if there is no backslash.
    AccountDomain,
    /// Last component of a path.
    Basename,
    /// A Windows path without the name of a stream (`C:\a.txt:stream`).
    FilePath,
    /// Last component of a Windows path, without the name of a stream.
    FileName,
    /// What follows the last dot of that, if it does not begin with it.
    FileExtension,
    /// The path before its last component.
    FileDirectory,
    /// The name of the stream, if the path has one.
    StreamName,
    /// A registry path, with `\REGISTRY\MACHINE` written `HKLM` and `\REGISTRY\USER` written `HKU`.
    RegistryPath,
    /// First component of that.
    RegistryHive,
    /// All but the first component: for paths that name a key.
    RegistryKey,
    /// All but the first and the last component: for paths that name a value.
    RegistryValueKey,
    /// Last component: for paths that name a value.
    RegistryValue,
    /// Type of registry data as Sysmon shows it: `DWORD (0x00000001)`, `QWORD (…)`, `Binary Data`. Else nothing.
    RegistryType,
    /// The number in `DWORD (0x00000001)` or `QWORD (0x00000000-0x00000001)`. Else nothing.
    RegistryInteger,
    /// Whether the status of a signature is `Valid`.
    SignatureValid,
    /// Success or failure, from the audit keywords of an event: a mask, or names.
    AuditOutcome {
        /// Slot value of success.
        success: u32,
        /// Slot value of failure.
        failure: u32,
    },
    /// Success if the status code is zero, else failure.
    StatusOutcome {
        /// Slot value of success.
        success: u32,
        /// Slot value of failure.
        failure: u32,
    },
    /// The entry of a table (in any case); text without an entry stays as it is, an enum becomes *other*.
    Table(Table),
    /// A list: the whole value as its only element, verbatim.
    Whole,
    /// A list: one element a line, blank ones dropped.
    Lines,
    /// A list: the arguments of a Windows command line, as `CommandLineToArgvW` splits it.
    Arguments,
    /// How many these are.
    ArgumentsCount,
    /// A list: addresses in `type:  5 a.example;::ffff:192.0.2.1;`.
    DnsAddresses,
    /// A list: all answers of such a text, types dropped.
    DnsAnswers,
    /// The value of `Key = value` or `Key=value` in a text of such lines, with the lines that continue it.
    Property(String),
    /// `alice` of such a value `CORP\alice`.
    PropertyAccountName(String),
    /// `CORP` of such a value `CORP\alice`.
    PropertyAccountDomain(String),
    /// Text of the first XML element of this name; XML that was itself escaped is read too.
    Element(String),
}

/// The hashes that Sysmon lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashName {
    /// `MD5`
    Md5,
    /// `SHA1`
    Sha1,
    /// `SHA256`
    Sha256,
    /// `IMPHASH`
    Imphash,
}

impl HashName {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Imphash => "IMPHASH",
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Md5 | Self::Imphash => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A table of [`Conversion::Table`]: what stands for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// Raw text in lower case, and the text it stands for.
    Text(Arc<HashMap<String, String>>),
    /// Raw text in lower case, and the variant it stands for.
    Variant(Arc<HashMap<String, u32>>, EnumId),
}

/// A value made from a raw one.
#[derive(Clone, Debug, PartialEq)]
pub enum Converted<'a> {
    /// True or false.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Text, also paths.
    Str(Cow<'a, str>),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// An address.
    Ip(IpAddr),
    /// Nanoseconds since 1970.
    Time(i64),
    /// A variant; None for a value outside the enumeration.
    Enum(Option<u32>),
    /// A list of scalars, cut at [`LIST_LEN_MAX`].
    List(Vec<Converted<'a>>),
    /// A list that was longer than [`LIST_LEN_MAX`]: its beginning.
    CutList(Vec<Converted<'a>>),
}

impl Converted<'_> {
    /// Calls `f` with the value as the record writer takes it.
    pub fn with_cell<R>(&self, f: impl FnOnce(Cell<'_>) -> R) -> R {
        match self {
            Self::List(items) | Self::CutList(items) => {
                let cells: Vec<Cell<'_>> =
                    items.iter().map(|item| item.scalar().map_or(Cell::Absent, Cell::Present)).collect();
                let list = Value::List(&cells);
                f(if matches!(self, Self::CutList(_)) { Cell::Truncated(list) } else { Cell::Present(list) })
            }
            _ => f(self.scalar().map_or(Cell::Absent, Cell::Present)),
        }
    }

    fn scalar(&self) -> Option<Value<'_>> {
        Some(match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Str(value) => Value::Str(value),
            Self::Bytes(value) => Value::Bytes(value),
            Self::Ip(value) => Value::Ip(*value),
            Self::Time(value) => Value::Time(*value),
            Self::Enum(value) => Value::Enum(*value),
            Self::List(_) | Self::CutList(_) => return None,
        })
    }
}

/// A raw value is not of the form that its mapping declares; the field is absent, and the decoder counts this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct ConversionError {
    /// What would have been right, with its article.
    pub expected: &'static str,
}

const fn expected<T>(expected: &'static str) -> Result<T, ConversionError> {
    Err(ConversionError { expected })
}

impl Conversion {
    /// Converts a raw value; `Ok(None)` is nothing.
    ///
    /// ```
    /// use trapline_programs::catalogue::taxonomy::{Conversion, Converted};
    /// assert_eq!(Conversion::Basename.apply(r"C:\Windows\System32\cmd.exe"), Ok(Some(Converted::Str("cmd.exe".into()))));
    /// assert_eq!(Conversion::Int.apply("0x3e7"), Ok(Some(Converted::Int(999))));
    /// assert_eq!(Conversion::Int.apply("-"), Ok(None));
    /// assert!(Conversion::Int.apply("many").is_err());
    /// ```
    pub fn apply<'a>(&self, raw: &'a str) -> Result<Option<Converted<'a>>, ConversionError> {
        match self {
            Self::Verbatim => return Ok(Some(text(raw))),
            Self::Whole => return Ok((!raw.is_empty()).then(|| Converted::List(vec![text(raw)]))),
            Self::Property(key) => {
                return Ok(property(raw, key).filter(|value| !is_nothing(value)).map(Converted::Str));
            }
            _ if is_nothing(raw) => return Ok(None),
            _ => {}
        }
        let converted = match self {
            Self::Verbatim | Self::Whole | Self::Property(_) | Self::Text => text(raw),
            Self::PeText if raw == "?" => return Ok(None),
            Self::PeText => text(raw),
            Self::Int => Converted::Int(int(raw)?),
            Self::Bool => Converted::Bool(boolean(raw)?),
            Self::Ip => match raw {
                "LOCAL" => return Ok(None),
                _ => Converted::Ip(ip(raw)?),
            },
            Self::Time => Converted::Time(time(raw)?),
            Self::Variant(id) => Converted::Enum(variant(*id, raw)),
            Self::Hex => Converted::Bytes(hex(raw)?),
            Self::Hash(name) => return Ok(hash(raw, *name)?.map(Converted::Bytes)),
            Self::Guid => return Ok(guid(raw)?.map(Converted::Str)),
            Self::Sid if raw == "S-1-0-0" => return Ok(None),
            Self::Sid => text(raw),
            Self::AccountName => text(raw.rsplit_once('\\').map_or(raw, |(_, name)| name)),
            Self::AccountDomain => return Ok(raw.rsplit_once('\\').map(|(domain, _)| text(domain))),
            Self::Basename => return Ok(some_text(basename(raw))),
            Self::FilePath => text(split_stream(raw).0),
            Self::FileName => return Ok(some_text(basename(split_stream(raw).0))),
            Self::FileExtension => return Ok(extension(basename(split_stream(raw).0)).map(text)),
            Self::FileDirectory => return Ok(directory(raw).map(text)),
            Self::StreamName => return Ok(split_stream(raw).1.map(text)),
            Self::RegistryPath => Converted::Str(registry_path(raw)),
            Self::RegistryHive => return Ok(some_text(registry_split(raw).0)),
            Self::RegistryKey => return Ok(registry_split(raw).1.map(text)),
            Self::RegistryValueKey => {
                return Ok(registry_split(raw).1.and_then(|key| key.rsplit_once('\\')).map(|(key, _)| text(key)));
            }
            Self::RegistryValue => {
                return Ok(registry_split(raw).1.and_then(|key| some_text(key.rsplit('\\').next().unwrap_or(key))));
            }
            Self::RegistryType => return Ok(registry_type(raw).map(text)),
            Self::RegistryInteger => return Ok(registry_integer(raw).map(Converted::Int)),
            Self::SignatureValid => Converted::Bool(raw.eq_ignore_ascii_case("valid")),
            Self::AuditOutcome { success, failure } => {
                return Ok(audit_outcome(raw).map(|ok| Converted::Enum(Some(if ok { *success } else { *failure }))));
            }
            Self::StatusOutcome { success, failure } => {
                Converted::Enum(Some(if int(raw)? == 0 { *success } else { *failure }))
            }
            Self::Table(table) => table.look_up(raw),
            Self::Lines => return Ok(list(raw.lines().map(str::trim).filter(|line| !is_nothing(line)).map(text))),
            Self::Arguments => return Ok(list(Arguments(raw, true).map(Converted::Str))),
            Self::ArgumentsCount => Converted::Int(i64::try_from(Arguments(raw, true).count()).unwrap_or(i64::MAX)),
            Self::DnsAddresses => {
                let answers = dns_answers(raw).filter_map(|answer| ip(answer).ok());
                return Ok(list(answers.map(Converted::Ip)));
            }
            Self::DnsAnswers => return Ok(list(dns_answers(raw).map(text))),
            Self::PropertyAccountName(key) => return Ok(property_account(raw, key).map(|(name, _)| text(name))),
            Self::PropertyAccountDomain(key) => {
                return Ok(property_account(raw, key).and_then(|(_, domain)| domain).map(text));
            }
            Self::Element(name) => return Ok(element(raw, name).filter(|text| !text.is_empty()).map(Converted::Str)),
        };
        Ok(Some(converted))
    }

    /// Whether the values fit a field of this type.
    pub fn fits(&self, ty: FieldType) -> bool {
        let (scalar, list) = match ty {
            FieldType::Scalar(scalar) => (scalar, false),
            FieldType::List(scalar) => (scalar, true),
            FieldType::Records(_) => return false,
        };
        let text = matches!(scalar, Scalar::Str | Scalar::Path);
        let outcome = |id: EnumId| {
            let variants = catalogue().enums.get(usize::from(id.0)).map(|enumeration| enumeration.variants.as_slice());
            variants.is_some_and(|variants| variants.iter().any(|variant| variant == "success"))
        };
        match self {
            Self::Whole | Self::Lines | Self::Arguments | Self::DnsAnswers => list && text,
            Self::DnsAddresses => list && scalar == Scalar::Ip,
            _ if list => false,
            Self::Int | Self::RegistryInteger | Self::ArgumentsCount => scalar == Scalar::Int,
            Self::Bool | Self::SignatureValid => scalar == Scalar::Bool,
            Self::Ip => scalar == Scalar::Ip,
            Self::Time => scalar == Scalar::Time,
            Self::Hex | Self::Hash(_) => scalar == Scalar::Bytes,
            Self::Variant(id) | Self::Table(Table::Variant(_, id)) => scalar == Scalar::Enum(*id),
            Self::AuditOutcome { .. } | Self::StatusOutcome { .. } => {
                matches!(scalar, Scalar::Enum(id) if outcome(id))
            }
            _ => text,
        }
    }
}

impl Table {
    fn look_up<'a>(&self, raw: &'a str) -> Converted<'a> {
        let key = raw.trim().to_ascii_lowercase();
        match self {
            Self::Text(entries) => {
                entries.get(&key).map_or_else(|| text(raw), |text| Converted::Str(Cow::Owned(text.clone())))
            }
            Self::Variant(entries, id) => {
                Converted::Enum(entries.get(&key).copied().or_else(|| variant(*id, raw.trim())))
            }
        }
    }
}

fn text(text: &str) -> Converted<'_> {
    Converted::Str(Cow::Borrowed(text))
}

fn some_text(value: &str) -> Option<Converted<'_>> {
    (!value.is_empty()).then(|| text(value))
}

fn is_nothing(raw: &str) -> bool {
    matches!(raw, "" | "-" | "%%1793")
}

fn list<'a>(mut items: impl Iterator<Item = Converted<'a>>) -> Option<Converted<'a>> {
    let kept: Vec<_> = items.by_ref().take(LIST_LEN_MAX as usize).collect();
    if kept.is_empty() {
        return None;
    }
    Some(if items.next().is_some() { Converted::CutList(kept) } else { Converted::List(kept) })
}

fn variant(id: EnumId, raw: &str) -> Option<u32> {
    let enumeration = catalogue().enums.get(usize::from(id.0))?;
    let index = enumeration.variants.iter().position(|variant| variant.eq_ignore_ascii_case(raw))?;
    u32::try_from(index).ok()
}

fn int(raw: &str) -> Result<i64, ConversionError> {
    let raw = raw.trim();
    if let Some(digits) = raw.strip_prefix("0x").or_else(|| raw.strip_prefix("0X")) {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return match u64::from_str_radix(digits, 16) {
            Ok(bits) if plain => Ok(bits.cast_signed()),
            _ => expected("a number"),
        };
    }
    match raw.parse::<i64>() {
        Ok(value) => Ok(value),
        Err(_) => raw.parse::<u64>().map(u64::cast_signed).or_else(|_| expected("a number")),
    }
}

fn boolean(raw: &str) -> Result<bool, ConversionError> {
    let raw = raw.split_once(" - ").map_or(raw, |(word, _remark)| word).trim();
    let is = |words: [&str; 4]| words.iter().any(|word| raw.eq_ignore_ascii_case(word));
    if is(["true", "yes", "1", "%%1842"]) {
        Ok(true)
    } else if is(["false", "no", "0", "%%1843"]) {
        Ok(false)
    } else {
        expected("true or false")
    }
}

fn ip(raw: &str) -> Result<IpAddr, ConversionError> {
    let raw = raw.trim();
    let address = raw.split_once('%').map_or(raw, |(address, _zone)| address);
    if let Ok(IpAddr::V4(v4)) = address.parse() {
        return Ok(IpAddr::V4(v4));
    }
    match address.parse::<Ipv6Addr>() {
        Ok(v6) => Ok(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)),
        Err(_) => expected("an IP address"),
    }
}

fn hex(raw: &str) -> Result<Vec<u8>, ConversionError> {
    const NIBBLES: &str = "hexadecimal digits";
    if !raw.len().is_multiple_of(2) {
        return expected(NIBBLES);
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    raw.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .map_or(expected(NIBBLES), Ok)
}

fn hash(raw: &str, name: HashName) -> Result<Option<Vec<u8>>, ConversionError> {
    const HASHES: &str = "a list of hashes such as SHA1=…,MD5=…";
    if raw.eq_ignore_ascii_case("unknown") {
        return Ok(None);
    }
    for entry in raw.split(',') {
        let Some((key, digits)) = entry.split_once('=') else { return expected(HASHES) };
        if key.trim().eq_ignore_ascii_case(name.name()) {
            let digits = digits.trim();
            if is_nothing(digits) {
                return Ok(None);
            }
            let Ok(bytes) = hex(digits) else { return expected(HASHES) };
            if bytes.len() != name.len() {
                return expected(HASHES);
            }
            return Ok(bytes.iter().any(|byte| *byte != 0).then_some(bytes));
        }
    }
    Ok(None)
}

fn guid(raw: &str) -> Result<Option<Cow<'_, str>>, ConversionError> {
    const GUID: &str = "a GUID";
    let inner = raw.strip_prefix('{').map_or(Some(raw), |rest| rest.strip_suffix('}'));
    let Some(inner) = inner else { return expected(GUID) };
    let shape = inner.len() == 36
        && inner.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !shape {
        return expected(GUID);
    }
    if inner.bytes().all(|byte| matches!(byte, b'0' | b'-')) {
        return Ok(None);
    }
    if inner.len() < raw.len() && !inner.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    Ok(Some(Cow::Owned(format!("{{{}}}", inner.to_ascii_lowercase()))))
}

fn basename(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

fn directory(path: &str) -> Option<&str> {
    path.rsplit_once(['\\', '/']).map(|(directory, _)| directory).filter(|directory| !directory.is_empty())
}

fn extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then_some(extension)
}

/// `C:\dir\file:stream[:$DATA]` as `C:\dir\file` and `stream`. The colon of a drive is none of a stream.
fn split_stream(path: &str) -> (&str, Option<&str>) {
    let name = basename(path);
    let drive = name.len() == path.len() && name.as_bytes().get(1) == Some(&b':');
    let after_drive = if drive { name.get(2..).unwrap_or_default() } else { name };
    let Some((_, tail)) = after_drive.split_once(':') else { return (path, None) };
    let file = path.strip_suffix(tail).and_then(|file| file.strip_suffix(':')).unwrap_or(path);
    let stream = tail.split(':').next().unwrap_or(tail);
    (file, Some(stream).filter(|stream| !stream.is_empty()))
}

const HIVES: [(&str, &str); 2] = [(r"\REGISTRY\MACHINE", "HKLM"), (r"\REGISTRY\USER", "HKU")];

/// The short name of the hive and the rest, without the backslash between them.
fn registry_split(path: &str) -> (&str, Option<&str>) {
    for (long, short) in HIVES {
        if let (Some(head), Some(tail)) = (path.get(..long.len()), path.get(long.len()..))
            && head.eq_ignore_ascii_case(long)
            && (tail.is_empty() || tail.starts_with('\\'))
        {
            return (short, tail.strip_prefix('\\').filter(|rest| !rest.is_empty()));
        }
    }
    let path = path.strip_prefix('\\').unwrap_or(path);
    path.split_once('\\').map_or((path, None), |(hive, rest)| (hive, Some(rest).filter(|rest| !rest.is_empty())))
}

fn registry_path(path: &str) -> Cow<'_, str> {
    let (hive, rest) = registry_split(path);
    if !HIVES.iter().any(|(_, short)| *short == hive) || path.starts_with(hive) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(rest.map_or_else(|| hive.to_owned(), |rest| format!("{hive}\\{rest}")))
}

fn registry_type(details: &str) -> Option<&'static str> {
    if details == "Binary Data" {
        Some("REG_BINARY")
    } else if details.starts_with("DWORD (0x") {
        Some("REG_DWORD")
    } else if details.starts_with("QWORD (0x") {
        Some("REG_QWORD")
    } else {
        None
    }
}

fn registry_integer(details: &str) -> Option<i64> {
    let number = details.strip_prefix("DWORD (").or_else(|| details.strip_prefix("QWORD ("))?.strip_suffix(')')?;
    match number.split_once('-') {
        None => int(number).ok(),
        Some((high, low)) => {
            let half = |text: &str| int(text).ok().and_then(|value| u32::try_from(value).ok());
            Some((u64::from(half(high)?) << 32 | u64::from(half(low)?)).cast_signed())
        }
    }
}

/// The keyword bits that Windows sets on audit events.
const AUDIT_FAILURE: i64 = 0x0010_0000_0000_0000;
const AUDIT_SUCCESS: i64 = 0x0020_0000_0000_0000;

fn audit_outcome(raw: &str) -> Option<bool> {
    if let Ok(mask) = int(raw) {
        return match (mask & AUDIT_SUCCESS != 0, mask & AUDIT_FAILURE != 0) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
    }
    let raw = raw.to_ascii_lowercase();
    match (raw.contains("audit success"), raw.contains("audit failure")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn dns_answers(raw: &str) -> impl Iterator<Item = &str> {
    raw.split(';').map(str::trim).filter(|answer| !is_nothing(answer)).filter_map(|answer| {
        let Some(rest) = answer.strip_prefix("type:") else { return Some(answer) };
        rest.trim_start().split_once(' ').map(|(_, data)| data.trim()).filter(|data| !data.is_empty())
    })
}

/// The value of `Key = value` among lines. A line that is not itself `Word = …` continues the value before it.
fn property<'a>(raw: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let entry = |line: &'a str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
        let begins = name.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
        (begins && plain).then(|| (name, value.trim()))
    };
    let mut lines = raw.lines();
    let value = lines.by_ref().find_map(|line| {
        let (name, value) = entry(line)?;
        name.eq_ignore_ascii_case(key).then_some(value)
    })?;
    let mut joined = Cow::Borrowed(value);
    for line in lines.take_while(|line| entry(line).is_none()) {
        let line = line.trim();
        if !line.is_empty() {
            let joined = joined.to_mut();
            joined.push('\n');
            joined.push_str(line);
        }
    }
    Some(joined)
}

/// User name and domain of a property, if it is one line.
fn property_account<'a>(raw: &'a str, key: &str) -> Option<(&'a str, Option<&'a str>)> {
    match property(raw, key)? {
        Cow::Borrowed(account) if !is_nothing(account) => {
            Some(account.rsplit_once('\\').map_or((account, None), |(domain, name)| (name, Some(domain))))
        }
        _ => None,
    }
}

/// Text of the first element of this name: enough for the flat elements of task definitions, not an XML parser.
fn element<'a>(raw: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let read = |raw: &'a str, open: &str, end_of_tag: &str, close: &str| -> Option<&'a str> {
        let mut rest = raw;
        loop {
            (_, rest) = rest.split_once(open)?;
            let (attributes, content) = rest.split_once(end_of_tag)?;
            // `<Command>` or `<Command attribute="…">`, not `<CommandLine>` nor `<Command/>`.
            if (attributes.is_empty() || attributes.starts_with(char::is_whitespace)) && !attributes.ends_with('/') {
                return content.split_once(close).map(|(content, _)| content.trim());
            }
        }
    };
    if let Some(content) = read(raw, &format!("<{name}"), ">", &format!("</{name}")) {
        return Some(unescape(content));
    }
    let content = read(raw, &format!("&lt;{name}"), "&gt;", &format!("&lt;/{name}"))?;
    Some(Cow::Owned(unescape(&unescape(content)).into_owned()))
}

fn unescape(text: &str) -> Cow<'_, str> {
    const ENTITIES: [(&str, char); 5] = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("apos;", '\'')];
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match ENTITIES.iter().find_map(|(entity, character)| Some((part.strip_prefix(entity)?, character))) {
            Some((rest, character)) => {
                out.push(*character);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}

/// Splits a command line as `CommandLineToArgvW` does. The flag: the program itself is next.
struct Arguments<'a>(&'a str, bool);

impl<'a> Iterator for Arguments<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        if std::mem::replace(&mut self.1, false) {
            return Some(self.program());
        }
        let rest = self.0.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return None;
        }
        // Most arguments have neither quotes nor backslashes before them.
        let (word, after) = split_at_blank(rest);
        if !word.contains('"') {
            self.0 = after;
            return Some(Cow::Borrowed(word));
        }
        let mut argument = String::new();
        let mut quoted = false;
        let mut backslashes = 0usize;
        let mut characters = rest.char_indices().peekable();
        let mut after = "";
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    backslashes += 1;
                    continue;
                }
                '"' => {
                    argument.extend(std::iter::repeat_n('\\', backslashes / 2));
                    if backslashes % 2 == 1 {
                        argument.push('"');
                    } else if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') {
                        argument.push('"');
                        characters.next();
                    } else {
                        quoted = !quoted;
                    }
                    backslashes = 0;
                    continue;
                }
                ' ' | '\t' if !quoted => {
                    after = rest.get(at..).unwrap_or_default();
                    break;
                }
                _ => {}
            }
            argument.extend(std::iter::repeat_n('\\', std::mem::take(&mut backslashes)));
            argument.push(character);
        }
        argument.extend(std::iter::repeat_n('\\', backslashes));
        self.0 = after;
        Some(Cow::Owned(argument))
    }
}

impl<'a> Arguments<'a> {
    /// The program's name ends at its closing quote, or at the first blank; backslashes are only themselves.
    fn program(&mut self) -> Cow<'a, str> {
        let line = self.0;
        if let Some(rest) = line.strip_prefix('"') {
            let (program, rest) = rest.split_once('"').unwrap_or((rest, ""));
            self.0 = rest;
            return Cow::Borrowed(program);
        }
        let (program, rest) = split_at_blank(line);
        self.0 = rest;
        Cow::Borrowed(program)
    }
}

fn split_at_blank(line: &str) -> (&str, &str) {
    line.find([' ', '\t']).and_then(|at| line.split_at_checked(at)).unwrap_or((line, ""))
}

/// Nanoseconds since 1970 of a date and time.
fn time(raw: &str) -> Result<i64, ConversionError> {
    parse_time(raw.trim()).map_or(expected("a time such as 2020-10-09 21:33:04.627"), Ok)
}

fn parse_time(raw: &str) -> Option<i64> {
    let digits = |from: usize, to: usize| -> Option<i64> {
        let text = raw.get(from..to)?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    };
    let is = |at: usize, byte: u8| raw.as_bytes().get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':') && (is(10, b' ') || is(10, b'T'))) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    // A leap second counts as the last one before it.
    let second = second.min(if second == 60 { 59 } else { second });
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = raw.get(19..)?;
    let mut nanoseconds = 0i64;
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            return None;
        }
        // Digits past the ninth are below a nanosecond.
        for at in 0..9 {
            let digit = fraction.as_bytes().get(at).filter(|_| at < len).map_or(0, |byte| i64::from(byte - b'0'));
            nanoseconds = nanoseconds * 10 + digit;
        }
        rest = fraction.get(len..)?;
    }
    let offset_minutes = match rest.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(10).map(i64::from);
            let (hours, minutes) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years of four digits, so nothing overflows.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
