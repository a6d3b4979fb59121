//! The client's side of WebSocket (RFC 6455), as far as a tunnel needs it: binary data both ways,
//! pings answered.

use std::io;
use std::sync::Arc;

use ev_core::Env;

use super::frames::{Control, Frame, Framing, broken};

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Status code of an orderly end.
const NORMAL: u16 = 1000;

pub(super) struct WebSocket {
    env: Arc<dyn Env>,
    /// Kind of the control frame whose payload is awaited.
    control: u8,
}

impl WebSocket {
    pub(super) fn new(env: Arc<dyn Env>) -> Self {
        Self { env, control: 0 }
    }

    /// Each frame of a client is masked with a key of its own.
    fn put(&self, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.push(FIN | kind);
        let len = payload.len();
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(short), _) if short < 126 => out.push(MASKED | short),
            (_, Ok(len)) => {
                out.push(MASKED | 126);
                out.extend_from_slice(&len.to_be_bytes());
            }
            _ => {
                out.push(MASKED | 127);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let [a, b, c, d, ..] = self.env.random().to_be_bytes();
        let key = [a, b, c, d];
        out.extend_from_slice(&key);
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}

impl Framing for WebSocket {
    fn head_len(&self, head: &[u8]) -> usize {
        match head.get(1).map(|second| second & !MASKED) {
            None => 2,
            Some(126) => 4,
            Some(127) => 10,
            Some(_) => 2,
        }
    }

    fn frame(&mut self, head: &[u8]) -> io::Result<Frame> {
        let (first, second) = (head[0], head[1]);
        if first & 0x70 != 0 {
            return Err(broken("a WebSocket frame uses an extension that was not agreed on"));
        }
        if second & MASKED != 0 {
            return Err(broken("a WebSocket frame of the server is masked"));
        }
        let len = match head {
            [_, _, a, b] => u64::from(u16::from_be_bytes([*a, *b])),
            [_, _, rest @ ..] if !rest.is_empty() => {
                rest.iter().fold(0, |len, byte| len << 8 | u64::from(*byte))
            }
            _ => u64::from(second),
        };
        if len >> 63 != 0 {
            return Err(broken("a WebSocket frame is longer than one can be"));
        }
        match first & 0x0f {
            CONTINUATION | BINARY => Ok(Frame::Data(len)),
            kind @ (CLOSE | PING | PONG) => {
                if first & FIN == 0 || len > 125 {
                    return Err(broken("a WebSocket control frame is too long or in pieces"));
                }
                self.control = kind;
                Ok(Frame::Control(usize::try_from(len).unwrap_or(usize::MAX)))
            }
            _ => Err(broken("a WebSocket frame is of a kind that has no place here")),
        }
    }

    fn control(&mut self, payload: &[u8]) -> io::Result<Control> {
        Ok(match self.control {
            PING => {
                let mut pong = Vec::new();
                self.put(PONG, payload, &mut pong);
                Control::Answer(pong)
            }
            CLOSE => Control::End,
            _ => Control::Nothing,
        })
    }

    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.put(BINARY, payload, out);
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        self.put(CLOSE, &NORMAL.to_be_bytes(), out);
    }
}
