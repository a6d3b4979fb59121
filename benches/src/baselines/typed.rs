//! prost structs generated from the newest recorded schema, with serde derived.

use anyhow::Result;
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

/// Appends an event's JSON as serde derives it.
///
/// # Errors
///
/// When prost refuses the event.
pub fn typed_json(event: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let event = generated::events::OneOf::decode(event)?;
    serde_json::to_writer(out, &event)?;
    Ok(())
}
