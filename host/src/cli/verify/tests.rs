//! Answers as text and as data, against goldens.
