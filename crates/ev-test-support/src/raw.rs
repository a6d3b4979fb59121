//! A message that is given as bytes and sent as it is.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, skip_field};

/// A serialised message of whatever type, sent byte for byte: fields no schema here knows, odd
/// encodings and plain damage included.
///
/// The generated servers have it wherever an event is the message itself (`events.OneOf`,
/// `EventUnstructured`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawMessage(pub Bytes);

impl Message for RawMessage {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn decode(mut buf: impl Buf) -> Result<Self, DecodeError> {
        Ok(Self(buf.copy_to_bytes(buf.remaining())))
    }

    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        // Protobuf merges messages by reading one behind the other.
        let mut bytes = self.0.to_vec();
        bytes.put(&mut buf);
        self.0 = bytes.into();
        Ok(())
    }

    /// Never called by [`decode`](Message::decode) and [`merge`](Message::merge) above; as a field
    /// of another message the bytes are declared as `bytes` instead.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, ctx)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_sent_and_taken_as_they_are() {
        let odd = Bytes::from_static(&[0xff, 0x00, 0x07]);
        let message = RawMessage(odd.clone());
        assert_eq!(message.encode_to_vec(), odd);
        assert_eq!(RawMessage::decode(&odd[..]).expect("any bytes will do"), message);
    }
}
