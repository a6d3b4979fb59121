//! A stream of bytes inside frames.
//!
//! Payload is passed through as it comes, so a frame may be of any length and costs no memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use ev_dial::BoxStream;

/// Longest head of a frame, and longest payload of one that is not data, in bytes.
const MAX_HEAD: usize = 14;
const MAX_CONTROL: usize = 125;
/// Most payload that is put into one frame: that of a TLS record with its surroundings fits.
const MAX_PAYLOAD: usize = 17 * 1024;

/// How frames look.
pub(super) trait Framing: Send + Unpin {
    /// Length of the head that begins with `head`, as far as that can be told: asked again with
    /// so many bytes. Between 1 and 14.
    fn head_len(&self, head: &[u8]) -> usize;
    /// What the head says.
    ///
    /// # Errors
    ///
    /// What breaks the protocol.
    fn frame(&mut self, head: &[u8]) -> io::Result<Frame>;
    /// What is to be done about a frame that is not data.
    ///
    /// # Errors
    ///
    /// What breaks the protocol.
    fn control(&mut self, payload: &[u8]) -> io::Result<Control>;
    /// Puts data into a frame.
    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>);
    /// The last words.
    fn farewell(&mut self, out: &mut Vec<u8>);
}

/// What a head announces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes of data.
    Data(u64),
    /// So many bytes for [`Framing::control`], at most 125.
    Control(usize),
}

/// What is to be done about a frame that is not data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Nothing.
    Nothing,
    /// This frame is sent, instead of any that was to be sent and is not begun.
    Answer(Vec<u8>),
    /// Nothing comes any more.
    End,
}

/// The stream inside.
pub(super) struct Framed<F> {
    io: BoxStream,
    framing: F,
    reading: Reading,
    /// Frames on their way out; the first `written` bytes are gone already.
    out: Vec<u8>,
    written: usize,
    /// What is sent before the next data. One is enough: only the latest ping wants an answer,
    /// and a peer that sends pings without reading must not fill our memory.
    answer: Option<Vec<u8>>,
    said_farewell: bool,
}

enum Reading {
    Head { buf: [u8; MAX_HEAD], have: usize },
    Data { left: u64 },
    Control { buf: [u8; MAX_CONTROL], have: usize, len: usize },
    End,
}

impl Reading {
    const START: Self = Self::Head { buf: [0; MAX_HEAD], have: 0 };
}

impl<F: Framing> Framed<F> {
    pub(super) fn new(io: BoxStream, framing: F) -> Self {
        Self {
            io,
            framing,
            reading: Reading::START,
            out: Vec::new(),
            written: 0,
            answer: None,
            said_farewell: false,
        }
    }

    /// Sends on what waits; ready when nothing does.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                match self.answer.take() {
                    Some(answer) => self.out = answer,
                    None => return Poll::Ready(Ok(())),
                }
            }
            let rest = &self.out[self.written..];
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
    }

    /// Reads into `buf[*have..len]` until that is full; `false` at the end of the stream.
    fn fill(
        io: &mut BoxStream,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        have: &mut usize,
        len: usize,
    ) -> Poll<io::Result<bool>> {
        while *have < len {
            let mut rest = ReadBuf::new(&mut buf[*have..len]);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut rest))?;
            match rest.filled().len() {
                0 => return Poll::Ready(Ok(false)),
                count => *have += count,
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl<F: Framing> AsyncRead for Framed<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut this.reading {
                Reading::End => return Poll::Ready(Ok(())),
                Reading::Head { buf: head, have } => {
                    let len = this.framing.head_len(&head[..*have]).clamp(1, MAX_HEAD);
                    if *have < len {
                        match ready!(Self::fill(&mut this.io, cx, head, have, len))? {
                            true => {}
                            // Between two frames the stream may end.
                            false if *have == 0 => this.reading = Reading::End,
                            false => return Poll::Ready(Err(cut_off())),
                        }
                        continue;
                    }
                    this.reading = match this.framing.frame(&head[..len])? {
                        Frame::Data(left) => Reading::Data { left },
                        Frame::Control(len) if len <= MAX_CONTROL => {
                            Reading::Control { buf: [0; MAX_CONTROL], have: 0, len }
                        }
                        Frame::Control(_) => {
                            return Poll::Ready(Err(broken("a control frame is too long")));
                        }
                    };
                }
                Reading::Data { left: 0 } => this.reading = Reading::START,
                Reading::Data { left } => {
                    let limit = usize::try_from(*left).unwrap_or(usize::MAX);
                    let room = buf.remaining().min(limit);
                    let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
                    let count = part.filled().len();
                    if count == 0 {
                        return Poll::Ready(Err(cut_off()));
                    }
                    buf.advance(count);
                    *left -= count as u64;
                    return Poll::Ready(Ok(()));
                }
                Reading::Control { buf: payload, have, len } => {
                    if !ready!(Self::fill(&mut this.io, cx, payload, have, *len))? {
                        return Poll::Ready(Err(cut_off()));
                    }
                    let control = this.framing.control(&payload[..*len])?;
                    this.reading = Reading::START;
                    match control {
                        Control::Nothing => {}
                        Control::End => this.reading = Reading::End,
                        Control::Answer(answer) => {
                            this.answer = Some(answer);
                            // As far as it goes now; the rest goes with what is written next.
                            if let Poll::Ready(Err(error)) = this.send(cx) {
                                return Poll::Ready(Err(error));
                            }
                            if let Poll::Ready(Err(error)) = Pin::new(&mut this.io).poll_flush(cx) {
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                }
            }
        }
    }
}

impl<F: Framing> AsyncWrite for Framed<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.send(cx))?;
        let count = buf.len().min(MAX_PAYLOAD);
        this.framing.encode(&buf[..count], &mut this.out);
        // What does not go out now does with the next call: the bytes are taken either way.
        match this.send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        if !std::mem::replace(&mut this.said_farewell, true) {
            this.framing.farewell(&mut this.out);
            ready!(this.send(cx))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// The peer breaks the protocol.
pub(super) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a frame")
}
