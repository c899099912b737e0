//! Trapline's host side: where events come from, and what runs rules over them.

#![deny(unsafe_code)]

pub mod source;
