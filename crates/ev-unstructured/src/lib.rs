//! Unstructured events in one pass from wire bytes to JSON, without a schema.
//!
//! Newer releases of Auth make the JSON of an event themselves and send it as a
//! `google.protobuf.Struct` inside a `teleport.auditlog.v1.EventUnstructured`. [`UnstructuredDecoder`]
//! prints that Struct as Go's `protojson` does, without blanks: keys sorted by their bytes at every
//! level, the last one of equal keys, numbers as doubles in their shortest form, with an exponent
//! below 1e-6 and from 1e21 on. This is the `struct` flavour, which `ev-decode` makes of typed
//! events; nothing in an unstructured event is ever unknown.
//!
//! Events are hostile bytes here: nothing in them makes this crate panic, recurse, or take more
//! than linear time (sorting of keys apart). Typed events and schemas are left to `ev-decode`; how
//! an event is recognised before it is decoded to `ev_core::unstructured`.
//!
//! ```
//! use bytes::Bytes;
//! use ev_core::{Decoder, Form, Mode, Output, RawEvent};
//! use ev_unstructured::UnstructuredDecoder;
//!
//! // `user.login`, id `a`, and a Struct with `b` and `a`.
//! let bytes = b"\x0a\x0auser.login\x12\x01a\x2a\x16\
//!     \x0a\x09\x0a\x01b\x12\x04\x1a\x02<>\x0a\x09\x0a\x01a\x12\x04\x1a\x02hi";
//! let event = RawEvent { form: Form::Unstructured, bytes: Bytes::from_static(bytes) };
//! let mut out = Output::default();
//! UnstructuredDecoder::new().decode(&[event], Mode::Strict, &mut out)?;
//! assert_eq!(out.json(), br#"{"a":"hi","b":"<>"},"#);
//! # Ok::<(), ev_core::DecoderError>(())
//! ```

#![forbid(unsafe_code)]

mod decoder;
mod envelope;
mod text;
mod value;
mod walk;

pub use decoder::UnstructuredDecoder;
