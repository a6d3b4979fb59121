//! A receiver that speaks Fluentd's Forward protocol v1.

mod handshake;
mod msgpack;
mod server;

pub use server::{FakeForward, ForwardConfig, ForwardReceived, ForwardSwitches, ForwardTally};

/// The one value of msgpack in `bytes` as JSON without spaces, members in their order; `None` if
/// they are anything else. Extensions and bytes become `null`.
pub fn msgpack_to_json(bytes: &[u8]) -> Option<String> {
    let (value, length) = msgpack::parse(bytes)?;
    (length == bytes.len()).then(|| value.to_json())
}
