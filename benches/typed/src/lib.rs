//! One baseline of the benches: prost structs generated from the newest recorded schema, with
//! serde derived; a package of its own because it takes minutes to compile.

#![forbid(unsafe_code)]

use prost::Message as _;

/// Generated code; see the build script.
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/typed.rs"));
}

/// Why an event has no JSON here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// prost refuses the event.
    #[error("prost does not decode the event")]
    Decode(#[from] prost::DecodeError),
    /// serde_json refuses it.
    #[error("serde_json does not write the event")]
    Write(#[from] serde_json::Error),
}

/// Appends an event's JSON as serde derives it: other keys and other bytes than Go's.
///
/// # Errors
///
/// When prost or serde_json refuse the event.
pub fn typed_json(event: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let event = generated::events::OneOf::decode(event)?;
    serde_json::to_writer(out, &event)?;
    Ok(())
}
