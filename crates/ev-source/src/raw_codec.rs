//! A codec for answers that are events themselves.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Sends protobuf, and hands what comes over as it is.
///
/// In `StreamSessionEvents` the message is the event, so there is no field that could be declared
/// as `bytes`, and decoding it here would lose what this release's schema does not know.
pub(crate) struct RawCodec<T>(PhantomData<T>);

impl<T> RawCodec<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + 'static> Codec for RawCodec<T> {
    type Encode = T;
    type Decode = Bytes;
    type Encoder = RawEncoder<T>;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        RawEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        RawDecoder
    }
}

pub(crate) struct RawEncoder<T>(PhantomData<T>);

impl<T: Message + 'static> Encoder for RawEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|error| Status::internal(error.to_string()))
    }
}

pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        // Splits the receive buffer without copying.
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}
