//! The server's side of an upgraded connection. Shares no code with any client.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::io::{DuplexStream, duplex, split};

use super::switches::UpgradeHabit;
use crate::door::Transport;

/// What one side may be ahead of the other, in bytes.
const ROOM: usize = 64 * 1024;

/// Takes the bytes out of their frames and puts others in, until either side ends; the stream of
/// bytes is given to `inside`.
pub(super) async fn unwrap<F>(
    stream: Box<dyn Transport>,
    habit: UpgradeHabit,
    inside: impl FnOnce(DuplexStream) -> F,
) where
    F: Future<Output = ()>,
{
    let (near, far) = duplex(ROOM);
    let (from_client, to_client) = split(stream);
    let (from_inside, to_inside) = split(near);
    let pump = async {
        match habit {
            UpgradeHabit::Plain => {
                let (mut from_client, mut to_client) = (from_client, to_client);
                let (mut from_inside, mut to_inside) = (from_inside, to_inside);
                tokio::select! {
                    done = copy(&mut from_client, &mut to_inside) => done.map(drop),
                    done = copy(&mut from_inside, &mut to_client) => done.map(drop),
                }
            }
            UpgradeHabit::Pings => tokio::select! {
                done = lengths_in(from_client, to_inside) => done,
                done = lengths_out(from_inside, to_client) => done,
            },
            _ => tokio::select! {
                done = frames_in(from_client, to_inside) => done,
                done = frames_out(from_inside, to_client) => done,
            },
        }
    };
    tokio::select! {
        // Whoever ends first ends it; a client that went away needs no answer.
        _ended = pump => {}
        () = inside(far) => {}
    }
}

async fn lengths_in(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        let len = from.read_u32().await?;
        let copied = copy(&mut (&mut from).take(u64::from(len)), &mut to).await?;
        if copied != u64::from(len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// With a ping before every piece.
async fn lengths_out(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buf = vec![0; 5_000];
    loop {
        let count = from.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_u32(0).await?;
        to.write_u32(u32::try_from(count).expect("the buffer is small")).await?;
        to.write_all(&buf[..count]).await?;
        to.flush().await?;
    }
}

/// Client frames are masked, or this is an error.
async fn frames_in(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        let (first, second) = (from.read_u8().await?, from.read_u8().await?);
        if second & 0x80 == 0 {
            return Err(io::Error::other("a client frame is not masked"));
        }
        let len = match second & 0x7f {
            126 => u64::from(from.read_u16().await?),
            127 => from.read_u64().await?,
            short => u64::from(short),
        };
        let mut key = [0; 4];
        from.read_exact(&mut key).await?;
        let mut payload = Vec::new();
        (&mut from).take(len).read_to_end(&mut payload).await?;
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        match first & 0x0f {
            0 | 2 => to.write_all(&payload).await?,
            8 => return Ok(()),
            10 if payload == b"ping" => {}
            _ => return Err(io::Error::other("an odd client frame")),
        }
    }
}

/// With a ping before every piece, and every piece in two frames.
async fn frames_out(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buf = vec![0; 5_000];
    loop {
        let count = from.read(&mut buf).await?;
        if count == 0 {
            return to.write_all(&[0x88, 2, 0x03, 0xe8]).await;
        }
        to.write_all(&[0x89, 4]).await?;
        to.write_all(b"ping").await?;
        let (one, two) = buf[..count].split_at(count / 2);
        for (kind, part) in [(0x02, one), (0x80, two)] {
            let len = u16::try_from(part.len()).expect("the buffer is small");
            if len < 126 {
                to.write_all(&[kind, u8::try_from(len).expect("just compared")]).await?;
            } else {
                to.write_all(&[kind, 126]).await?;
                to.write_u16(len).await?;
            }
            to.write_all(part).await?;
        }
        to.flush().await?;
    }
}
