//! A receiver for tests and for looking at what a program audits: it prints each message as a line
//! of JSON, and at the end of its input what it counted.
//!
//! ```text
//! cargo run -p ev-audit --features receiver,serde --example receiver -- SOCKET|HOST:PORT [FAULT...]
//! ```
//!
//! Faults are `stall`, `delay=MILLISECONDS`, `chunk=BYTES`, `close-accepted=N`, `reset=RECORDS`,
//! `close=RECORDS`, `mid-frame=RECORDS` and `half-close=RECORDS`. Lines of its input are orders:
//! `stall`, `resume`, `refuse`, `unlink`, `listen`, `cut`, `reset`, `half-close`, `tally`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use ev_audit::receiver::{
    Checks, Cut, CutAt, Faults, HalfClose, Received, Receiver, Side, Tally, Violation,
};
use ev_audit::{Message, Rules};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(at) = arguments.next() else {
        return Err("usage: receiver SOCKET|HOST:PORT [FAULT...]".into());
    };
    let mut faults = Faults::default();
    for argument in arguments {
        set(&mut faults, &argument)?;
    }
    let builder = match at.parse::<SocketAddr>() {
        Ok(address) => Receiver::tcp_at(address),
        Err(_) => Receiver::unix(at),
    };
    let checks = Checks { rules: Some(Rules::default().with_loopback()), ..Checks::default() };
    let receiver = builder
        .checks(checks)
        .faults(faults)
        .keep(0)
        // A terminal that is gone is no reason to stop reading.
        .on_message(|received| drop(print(&shown(received))))
        .start()?;
    print(&json!({ "listening": place(&receiver) }))?;
    for line in io::stdin().lock().lines() {
        order(&receiver, line?.trim())?;
    }
    print(&counted(&receiver.stop()))?;
    Ok(())
}

fn print(line: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

fn place(receiver: &Receiver) -> Option<String> {
    let path = receiver.path().map(|path| path.display().to_string());
    path.or_else(|| receiver.address().map(|address| address.to_string()))
}

fn set(faults: &mut Faults, argument: &str) -> Result<(), Box<dyn Error>> {
    let (name, number) = match argument.split_once('=') {
        Some((name, number)) => (name, number.parse::<u64>()?),
        None => (argument, 0),
    };
    match name {
        "stall" => faults.stalled = true,
        "delay" => faults.delay = Duration::from_millis(number),
        "chunk" => faults.chunk = usize::try_from(number)?,
        "close-accepted" => faults.close_accepted = number,
        "reset" => faults.cut = Some(Cut::reset(CutAt::Records(number))),
        "close" => faults.cut = Some(Cut::close(CutAt::Records(number))),
        "mid-frame" => {
            faults.cut = Some(Cut::reset(CutAt::MidFrame { records: number, bytes: 1 }));
        }
        "half-close" => {
            let half = HalfClose { side: Side::Write, records: number, times: u64::MAX };
            faults.half_close = Some(half);
        }
        _ => return Err(format!("unknown fault `{argument}`").into()),
    }
    Ok(())
}

fn order(receiver: &Receiver, order: &str) -> io::Result<()> {
    match order {
        "stall" => receiver.stall(),
        "resume" => receiver.resume(),
        "refuse" => receiver.refuse()?,
        "unlink" => receiver.unlink()?,
        "listen" => receiver.listen()?,
        "cut" => receiver.cut(false)?,
        "reset" => receiver.cut(true)?,
        "half-close" => receiver.half_close(Side::Write)?,
        "tally" => print(&counted(&receiver.tally()))?,
        _ => print(&json!({ "unknown order": order }))?,
    }
    Ok(())
}

fn shown(received: &Received) -> Value {
    let Received { connection, frame, message } = received;
    let mut line = json!({
        "connection": connection,
        "frame": frame,
        "tag": message.tag(),
        "seconds": message.seconds(),
    });
    let body = match message {
        Message::Record { service, record, .. } => {
            line["env_ikey"] = json!(service);
            serde_json::to_value(record)
        }
        Message::Heartbeat { heartbeat, .. } => serde_json::to_value(heartbeat),
        Message::Diagnostic { .. } => Ok(json!({})),
    };
    line["body"] = body.unwrap_or_else(|error| json!(error.to_string()));
    line
}

fn counted(tally: &Tally) -> Value {
    let shown = |violation: &Violation| {
        let Violation { connection, frame, offset, rule, detail } = violation;
        json!({
            "connection": connection,
            "frame": frame,
            "offset": offset,
            "rule": rule,
            "detail": detail,
        })
    };
    json!({
        "connections": tally.connections,
        "open": tally.open,
        "closed_accepted": tally.closed_accepted,
        "cut": tally.cut,
        "half_closed": tally.half_closed,
        "peer_closed": tally.peer_closed,
        "peer_errors": tally.peer_errors,
        "bytes": tally.bytes,
        "frames": tally.frames,
        "records": tally.records,
        "heartbeats": tally.heartbeats,
        "unreadable": tally.unreadable,
        "truncated": tally.truncated,
        "discarded_bytes": tally.discarded_bytes,
        "unique": tally.unique,
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
        "violations": tally.violations,
        "first_violations": tally.first_violations.iter().map(shown).collect::<Vec<_>>(),
    })
}
