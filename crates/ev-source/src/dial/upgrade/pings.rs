//! The older form of an upgraded connection, `alpn-ping`: each frame is its length in four bytes,
//! big-endian, and so many bytes of data. A length of zero is a ping, which wants no answer: it
//! only keeps those between from thinking the connection idle.

use std::io;

use super::frames::{Control, Frame, Framing};

pub(super) struct Pings;

impl Framing for Pings {
    fn head_len(&self, _: &[u8]) -> usize {
        4
    }

    fn frame(&mut self, head: &[u8]) -> io::Result<Frame> {
        Ok(Frame::Data(head.iter().fold(0, |len, byte| len << 8 | u64::from(*byte))))
    }

    fn control(&mut self, _: &[u8]) -> io::Result<Control> {
        Ok(Control::Nothing)
    }

    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        // Pieces are far shorter than the four bytes can tell.
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(payload);
    }

    fn farewell(&mut self, _: &mut Vec<u8>) {}
}
