//! What can be wrong with input. Each error has a place, is counted by its reader, and costs only what it names.

use super::Position;

/// Something that could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {kind}")]
pub struct SourceError {
    /// Where it begins.
    pub position: Position,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong with a piece of input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An object longer than the limit; it was skipped.
    #[error("the event is longer than {limit} bytes; it was skipped")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The input ended, or the next event began, inside this one.
    #[error("the event is cut off")]
    Unterminated,
    /// Text where an object should begin.
    #[error("not a JSON object: `{text}`")]
    NotAnObject {
        /// The beginning of the text, escaped.
        text: String,
    },
    /// A JSON object that breaks the grammar, or is nested too deeply.
    #[error("not valid JSON: {message}")]
    Json {
        /// What the parser says.
        message: String,
    },
    /// Bytes that are not UTF-8 inside an object.
    #[error("not valid UTF-8 at byte {offset} of the event")]
    Utf8 {
        /// Offset within the object.
        offset: usize,
    },
    /// An input format that is recognised and not supported.
    #[error("{format} is not supported")]
    Format {
        /// Its name.
        format: &'static str,
    },
    /// The file could not be opened or read any further.
    #[error("cannot be read: {message}")]
    Read {
        /// What the system says.
        message: String,
    },
    /// A Windows event log whose structure is damaged: file header, chunk or record.
    #[error("{message}")]
    Evtx {
        /// What is damaged.
        message: String,
    },
}

/// A value that does not fit its field. The field is absent; the event goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Catalogue name of the field.
    pub field: String,
    /// The type the catalogue gives it.
    pub expected: &'static str,
    /// The beginning of what was found.
    pub found: String,
}
