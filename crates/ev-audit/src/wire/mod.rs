//! The format of the Geneva agent: frames of msgpack, one behind the other on a stream.
//!
//! A frame is the array of a tag, a list with one entry of time and body, and the options
//! `{"TimeFormat": "DateTime"}`. Integers have the width of their type, names stand for numbers of
//! kinds, and maps and lists have an order that depends on their content alone, so that the same
//! record always has the same bytes.

mod cursor;
mod decode;
mod decode_body;
mod departure;
mod encode;
mod error;
mod layout;
mod message;
mod write;

pub use decode::{Decoded, MAX_DEPARTURES, decode, decode_frame, frame_len};
pub use departure::{Departure, FormRule};
pub(crate) use encode::record_len;
pub use encode::{encode, encode_diagnostic, encode_heartbeat, encode_record, encode_records};
pub use error::{DecodeError, DecodeErrorKind};
pub use layout::{BODY, MAX_DEPTH, MAX_FRAME_BYTES, SECONDS, TRAILER, seconds, stamp};
pub use message::{Heartbeat, Message, Plane};
