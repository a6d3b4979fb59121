//! The receiver: what it counts, what it complains about, how it misbehaves.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_audit::receiver::{
    Checks, Cut, CutAt, Faults, HalfClose, Receiver, ReceiverBuilder, Side, Tally,
};
use ev_audit::wire::{encode_diagnostic, encode_heartbeat, encode_record, encode_records};
use ev_audit::{ConnectionType, Heartbeat, Message, Plane, Record, Rules, ServiceId, Value};
use tempfile::TempDir;

use crate::data::{SECONDS, record, service, typical};

/// Longer than anything takes; only a failing test waits so long.
const LONG: Duration = Duration::from_secs(60);

fn numbered(number: u64) -> Record {
    let mut record = record();
    record.custom_data.insert("seq".to_owned(), Value::U64(number));
    record
}

fn frame(record: &Record) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_record(&mut frame, Plane::Data, record, &service(), SECONDS);
    frame
}

fn heartbeat(destination: ConnectionType, seconds: i64) -> Vec<u8> {
    let heartbeat = Heartbeat {
        service: service(),
        audit_version: "v.2.0.0".to_owned(),
        os_version: "6.1.0".to_owned(),
        language: "rust1.95".to_owned(),
        destination,
    };
    let mut frame = Vec::new();
    encode_heartbeat(&mut frame, &heartbeat, seconds);
    frame
}

/// The frames of a client that sends these numbers over TCP.
fn sent(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, number) in numbers.into_iter().enumerate() {
        bytes.extend(frame(&numbered(number)));
        if place == 0 {
            bytes.extend(heartbeat(ConnectionType::TCP, SECONDS));
        }
    }
    bytes
}

fn wait(receiver: &Receiver, holds: impl Fn(&Tally) -> bool) -> Tally {
    receiver.wait(LONG, holds).unwrap_or_else(|tally| panic!("{tally:#?}"))
}

fn connect(receiver: &Receiver) -> TcpStream {
    TcpStream::connect(receiver.address().expect("TCP")).expect("it listens")
}

/// A receiver that was sent these bytes on one connection, to its end.
fn given(builder: ReceiverBuilder, bytes: &[u8]) -> Tally {
    let receiver = builder.start().expect("a free port");
    let mut stream = connect(&receiver);
    // The receiver may end the connection before all is written.
    drop(stream.write_all(bytes));
    drop(stream);
    wait(&receiver, |tally| tally.connections == 1 && tally.open == 0)
}

fn rules(tally: &Tally) -> Vec<&'static str> {
    tally.first_violations.iter().map(|violation| violation.rule).collect()
}

/// These bytes on a connection break these rules.
fn check(bytes: &[u8], broken: &[&str]) -> Tally {
    let tally = given(Receiver::tcp(), bytes);
    assert_eq!(rules(&tally), broken, "{:#?}", tally.first_violations);
    assert_eq!(tally.violations, broken.len() as u64);
    tally
}

#[test]
fn what_a_client_sends_is_counted_and_kept() {
    let tally = check(&sent(0..3), &[]);
    assert_eq!((tally.records, tally.heartbeats, tally.frames), (3, 1, 4));
    assert_eq!((tally.unique, tally.peer_closed, tally.truncated), (3, 1, 0));

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.socket");
    let printed = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&printed);
    let receiver = Receiver::unix(&path)
        .on_message(move |received| lines.lock().unwrap().push(received.message.tag()))
        .start()
        .unwrap();
    assert_eq!((receiver.path(), receiver.address()), (Some(&*path), None));
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(&frame(&typical())).unwrap();
        stream.write_all(&heartbeat(ConnectionType::UNIX_DOMAIN_SOCKET, SECONDS)).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    }
    let tally = wait(&receiver, |tally| tally.peer_closed == 2);
    assert_eq!((tally.records, tally.heartbeats, rules(&tally)), (2, 2, vec![]));
    let received = receiver.received();
    assert_eq!(received.len(), 4);
    assert_eq!(received, receiver.take_received());
    assert_eq!(receiver.received(), []);
    let mut connections: Vec<_> = received.iter().map(|it| (it.connection, it.frame)).collect();
    connections.sort_unstable();
    assert_eq!(connections, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    let first = received.iter().find(|it| (it.connection, it.frame) == (1, 0)).unwrap();
    let mut again = Vec::new();
    ev_audit::wire::encode(&mut again, &first.message);
    assert_eq!(again, frame(&typical()));
    assert!(matches!(&first.message, Message::Record { plane: Plane::Data, .. }));
    let mut printed = printed.lock().unwrap().clone();
    printed.sort_unstable();
    assert_eq!(printed, ["AsmAuditDP", "AsmAuditDP", "AsmAuditHB", "AsmAuditHB"]);
    receiver.stop();
    assert!(!path.exists());
}

#[test]
fn heartbeats_have_their_times() {
    let tcp = |seconds| heartbeat(ConnectionType::TCP, seconds);
    let one = frame(&record());
    check(&[tcp(SECONDS), one.clone()].concat(), &["heartbeat-early"]);
    check(&[&one[..], &one, &one, &tcp(SECONDS)].concat(), &["heartbeat-late"]);
    let beats = |after| [one.clone(), tcp(SECONDS), tcp(SECONDS + after)].concat();
    check(&beats(1_619), &["heartbeat-repeat"]);
    check(&beats(1_620), &[]);
    let socket = heartbeat(ConnectionType::UNIX_DOMAIN_SOCKET, SECONDS);
    check(&[one, socket].concat(), &["destination"]);
}

#[test]
fn a_connection_is_of_one_service() {
    let other = ServiceId::from_bytes([7; 16]).unwrap();
    let mut bytes = sent([0]);
    encode_record(&mut bytes, Plane::Data, &numbered(1), &other, SECONDS);
    check(&bytes, &["service-id"]);

    let checks = Checks { service: Some(other), ..Checks::default() };
    let tally = given(Receiver::tcp().checks(checks), &sent([0]));
    assert_eq!(rules(&tally), ["service-id", "service-id"]);
}

#[test]
fn contents_that_a_client_must_refuse() {
    let mut bytes = sent([0]);
    bytes.extend(frame(&Record { operation_name: String::new(), caller_ip: None, ..record() }));
    let tally = check(&bytes, &["content", "content"]);
    let details: Vec<_> = tally.first_violations.iter().map(|it| it.detail.as_str()).collect();
    assert_eq!(details, ["operation name is required", "caller IP address is required"]);
    let offset = u64::try_from(sent([0]).len()).unwrap();
    assert_eq!((tally.first_violations[0].frame, tally.first_violations[0].offset), (2, offset));

    let loopback = Record { caller_ip: Some("::1".parse().unwrap()), ..record() };
    check(&frame(&loopback), &["content"]);
    let checks = Checks { rules: Some(Rules::default().with_loopback()), ..Checks::default() };
    assert_eq!(given(Receiver::tcp().checks(checks), &frame(&loopback)).violations, 0);
    let checks = Checks { rules: None, ..Checks::default() };
    assert_eq!(given(Receiver::tcp().checks(checks), &frame(&Record::default())).violations, 0);

    let mut diagnostic = Vec::new();
    encode_diagnostic(&mut diagnostic, SECONDS);
    check(&diagnostic, &["diagnostic"]);
}

#[test]
fn several_entries_only_when_they_are_wanted() {
    let mut bytes = Vec::new();
    let records = [numbered(0), numbered(1)];
    let entries: Vec<_> = records.iter().map(|record| (record, SECONDS)).collect();
    encode_records(&mut bytes, Plane::Control, &entries[..1], &service());
    bytes.extend(heartbeat(ConnectionType::TCP, SECONDS));
    encode_records(&mut bytes, Plane::Control, &entries, &service());
    let tally = check(&bytes, &["entries"]);
    assert_eq!((tally.frames, tally.records), (3, 3));
    let checks = Checks { multi_entry: true, ..Checks::default() };
    assert_eq!(given(Receiver::tcp().checks(checks), &bytes).violations, 0);
    assert_eq!((tally.unique, tally.duplicates), (2, 1));
}

#[test]
fn departures_are_told_with_their_place() {
    let mut record = record();
    record.custom_data.insert("b".to_owned(), Value::Nil);
    record.custom_data.insert("c".to_owned(), Value::Nil);
    let mut bytes = frame(&record);
    // The keys of custom data change places.
    let place = bytes.windows(5).position(|it| it == b"\x82\xa1b\xc0\xa1").unwrap();
    bytes[place + 2] = b'c';
    bytes[place + 5] = b'b';
    let tally = check(&bytes, &["map-order"]);
    assert_eq!(tally.first_violations[0].offset, u64::try_from(place + 4).unwrap());
    let checks = Checks { any_map_order: true, ..Checks::default() };
    assert_eq!(given(Receiver::tcp().checks(checks), &bytes).violations, 0);
}

/// Also those that a frame has too many of to be told in words.
#[test]
fn departures_are_counted_however_many_there_are() {
    let mut keys = vec![0xde, 0x01, 0x2c];
    for number in (0..300).rev() {
        keys.extend(format!("\u{1}{number:03}").into_bytes());
        let at = keys.len() - 4;
        keys[at] = 0xa3;
        keys.push(0xc0);
    }
    let mut record = record();
    record.custom_data.insert("b".to_owned(), Value::Nil);
    let mut bytes = frame(&record);
    let place = bytes.windows(4).position(|it| it == b"\x81\xa1b\xc0").unwrap();
    bytes.splice(place..place + 4, keys);
    let tally = given(Receiver::tcp(), &bytes);
    assert_eq!((tally.records, tally.violations), (1, 299));
    assert!(rules(&tally).iter().all(|rule| *rule == "map-order"));
    let checks = Checks { any_map_order: true, ..Checks::default() };
    assert_eq!(given(Receiver::tcp().checks(checks), &bytes).violations, 0);
}

#[test]
fn what_cannot_be_read_is_passed_over_and_what_cannot_be_framed_ends_it() {
    let mut unreadable = frame(&record());
    // Another tag.
    unreadable[11] = b'X';
    let bytes = [sent([0]), unreadable.clone(), frame(&numbered(1))].concat();
    let tally = check(&bytes, &["unreadable"]);
    assert_eq!((tally.records, tally.unreadable, tally.discarded_bytes), (2, 1, 0));

    let lost = [sent([0]), vec![0x93, 0xc1], sent(1..9)].concat();
    let tally = check(&lost, &["framing"]);
    let rest = lost.len() - sent([0]).len();
    assert_eq!((tally.records, tally.unreadable), (1, 1));
    assert_eq!(tally.discarded_bytes, u64::try_from(rest).unwrap());

    let checks = Checks { max_frame_bytes: 570, ..Checks::default() };
    let tally = given(Receiver::tcp().checks(checks), &sent([0]));
    assert_eq!((rules(&tally), tally.records), (vec!["framing"], 0));
}

#[test]
fn a_connection_that_ends_within_a_frame_is_counted() {
    let bytes = sent([0, 1]);
    let tally = check(&bytes[..bytes.len() - 1], &[]);
    assert_eq!((tally.records, tally.truncated, tally.peer_closed), (1, 1, 1));
}

#[test]
fn numbers_are_followed() {
    let receiver = Receiver::tcp().start().unwrap();
    connect(&receiver).write_all(&sent([0, 1, 4, 3, 3, 8])).unwrap();
    let tally = wait(&receiver, |tally| tally.records == 6);
    assert_eq!((tally.unique, tally.duplicates, tally.out_of_order), (5, 1, 1));
    assert_eq!(receiver.missing(10), [2..3, 5..8, 9..10]);
}

#[test]
fn drain_mode_counts_bytes_only() {
    let bytes = sent(0..100);
    let tally = given(Receiver::tcp().drain(), &bytes);
    assert_eq!((tally.bytes, tally.frames), (u64::try_from(bytes.len()).unwrap(), 0));
    assert_eq!((tally.violations, tally.discarded_bytes), (0, 0));
}

#[test]
fn a_stalled_receiver_reads_nothing_until_it_is_told() {
    let faults = Faults { stalled: true, ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    let mut stream = connect(&receiver);
    stream.write_all(&sent(0..5)).unwrap();
    let tally = wait(&receiver, |tally| tally.open == 1);
    assert_eq!(tally.bytes, 0);
    // A second connection shows that the receiver is at work.
    let _second = connect(&receiver);
    assert_eq!(wait(&receiver, |tally| tally.open == 2).bytes, 0);
    receiver.resume();
    wait(&receiver, |tally| tally.records == 5);
    receiver.stall();
    stream.write_all(&frame(&numbered(5))).unwrap();
    let _third = connect(&receiver);
    assert_eq!(wait(&receiver, |tally| tally.open == 3).records, 5);
    receiver.resume();
    wait(&receiver, |tally| tally.records == 6);
}

#[test]
fn a_slow_receiver_reads_little_at_a_time() {
    let faults = Faults { chunk: 7, delay: Duration::from_micros(10), ..Faults::default() };
    let tally = given(Receiver::tcp().faults(faults), &sent(0..3));
    assert_eq!((tally.records, tally.violations), (3, 0));
}

/// What a sender finds at the end of its connection.
fn found(stream: &mut impl Read) -> io::Result<usize> {
    stream.read(&mut [0; 16])
}

#[test]
fn connections_are_cut_behind_records() {
    let faults = Faults { cut: Some(Cut::reset(CutAt::Records(3))), ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    for connection in 1..=2 {
        let mut stream = connect(&receiver);
        stream.write_all(&sent(0..5)).unwrap();
        let tally = wait(&receiver, |tally| tally.cut == connection);
        assert_eq!((tally.records, tally.open), (3 * connection, 0));
        assert_eq!(found(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(rules(&receiver.tally()), [""; 0]);
}

#[test]
fn connections_are_cut_so_many_times() {
    let cut = Cut::close(CutAt::Records(1)).times(2);
    let receiver =
        Receiver::tcp().faults(Faults { cut: Some(cut), ..Faults::default() }).start().unwrap();
    for connection in 1..=2 {
        let mut stream = connect(&receiver);
        stream.write_all(&frame(&record())).unwrap();
        wait(&receiver, |tally| tally.cut == connection);
        assert_eq!(found(&mut stream).unwrap(), 0);
    }
    let mut stream = connect(&receiver);
    stream.write_all(&sent(0..4)).unwrap();
    assert_eq!(wait(&receiver, |tally| tally.records == 6).cut, 2);
}

#[test]
fn connections_are_cut_within_a_frame() {
    let at = CutAt::MidFrame { records: 1, bytes: 100 };
    let faults = Faults { cut: Some(Cut::reset(at)), ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    let mut stream = connect(&receiver);
    let first = frame(&numbered(0));
    stream.write_all(&first).unwrap();
    stream.write_all(&frame(&numbered(1))[..99]).unwrap();
    let held = u64::try_from(first.len() + 99).unwrap();
    assert_eq!(wait(&receiver, |tally| tally.bytes == held).cut, 0);
    stream.write_all(&frame(&numbered(1))[99..100]).unwrap();
    let tally = wait(&receiver, |tally| tally.cut == 1);
    assert_eq!((tally.records, tally.discarded_bytes), (1, 100));
}

#[test]
fn connections_are_cut_at_a_byte() {
    let faults = Faults { cut: Some(Cut::reset(CutAt::Bytes(1_000))), ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    let mut stream = connect(&receiver);
    stream.write_all(&sent(0..9)).unwrap();
    let tally = wait(&receiver, |tally| tally.cut == 1);
    let whole = sent([0]).len();
    assert_eq!((tally.bytes, tally.records, tally.frames), (1_000, 1, 2));
    assert_eq!(tally.discarded_bytes, u64::try_from(1_000 - whole).unwrap());
    assert_eq!(found(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn open_connections_are_cut_on_demand() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.socket");
    let receiver = Receiver::unix(&path).start().unwrap();
    let mut streams = [UnixStream::connect(&path).unwrap(), UnixStream::connect(&path).unwrap()];
    wait(&receiver, |tally| tally.open == 2);
    receiver.cut(true).unwrap();
    let tally = wait(&receiver, |tally| tally.cut == 2);
    assert_eq!(tally.open, 0);
    for stream in &mut streams {
        let error = stream.write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn one_side_is_closed() {
    // The sender sees the end of the stream, and what it writes is read.
    let half = HalfClose { side: Side::Write, records: 1, times: 1 };
    let faults = Faults { half_close: Some(half), ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    let mut stream = connect(&receiver);
    stream.write_all(&sent([0])).unwrap();
    assert_eq!(found(&mut stream).unwrap(), 0);
    stream.write_all(&frame(&numbered(1))).unwrap();
    assert_eq!(wait(&receiver, |tally| tally.records == 2).half_closed, 1);

    // What is written fails.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.socket");
    let receiver = Receiver::unix(&path).start().unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    wait(&receiver, |tally| tally.open == 1);
    receiver.half_close(Side::Read).unwrap();
    wait(&receiver, |tally| tally.half_closed == 1);
    assert_eq!(stream.write_all(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn connections_are_closed_as_they_come() {
    let faults = Faults { close_accepted: 2, ..Faults::default() };
    let receiver = Receiver::tcp().faults(faults).start().unwrap();
    for _ in 0..2 {
        assert_eq!(found(&mut connect(&receiver)).unwrap(), 0);
    }
    connect(&receiver).write_all(&sent([0])).unwrap();
    let tally = wait(&receiver, |tally| tally.records == 1);
    assert_eq!((tally.connections, tally.closed_accepted), (3, 2));
}

#[test]
fn the_socket_is_unlinked_and_made_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.socket");
    let receiver = Receiver::unix(&path).start().unwrap();
    let mut old = UnixStream::connect(&path).unwrap();
    let inode = std::fs::metadata(&path).unwrap().ino();
    receiver.unlink().unwrap();
    receiver.unlink().unwrap();
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    old.write_all(&frame(&record())).unwrap();
    wait(&receiver, |tally| tally.records == 1);
    // The number of the file's node may be used again once it is gone: another file holds it.
    let _holder = std::fs::File::create(folder.path().join("holder")).unwrap();
    receiver.listen().unwrap();
    let mut new = UnixStream::connect(&path).unwrap();
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), inode);
    new.write_all(&frame(&record())).unwrap();
    old.write_all(&heartbeat(ConnectionType::UNIX_DOMAIN_SOCKET, SECONDS)).unwrap();
    let tally = wait(&receiver, |tally| tally.frames == 3);
    assert_eq!((tally.connections, tally.open), (2, 2));
}

#[test]
fn connections_are_refused_for_a_while() {
    let receiver = Receiver::tcp().start().unwrap();
    let address = receiver.address().unwrap();
    receiver.refuse().unwrap();
    receiver.refuse().unwrap();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    receiver.listen().unwrap();
    receiver.listen().unwrap();
    connect(&receiver).write_all(&sent([0])).unwrap();
    wait(&receiver, |tally| tally.records == 1);

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.socket");
    let receiver = Receiver::unix(&path).start().unwrap();
    receiver.refuse().unwrap();
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    receiver.listen().unwrap();
    UnixStream::connect(&path).unwrap();
    wait(&receiver, |tally| tally.connections == 1);
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let receiver = Receiver::tcp().start().unwrap();
    let again = Receiver::tcp_at(receiver.address().unwrap()).start();
    assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
}

#[test]
fn waiting_ends_with_what_there_is() {
    let receiver = Receiver::tcp().start().unwrap();
    let tally = receiver.wait(Duration::ZERO, |tally| tally.records == 1).unwrap_err();
    assert_eq!(*tally, Tally::default());
}

/// The receiver is on a clock of its own.
#[tokio::test(start_paused = true)]
async fn it_is_awaited_under_a_paused_clock() {
    let receiver = Receiver::tcp().start().unwrap();
    connect(&receiver).write_all(&sent([0])).unwrap();
    let tally = receiver.until(|tally| tally.records == 1 && tally.heartbeats == 1).await;
    assert_eq!(tally.violations, 0);
}

#[test]
fn stopping_counts_what_was_left() {
    let receiver = Receiver::tcp().start().unwrap();
    let mut stream = connect(&receiver);
    let bytes = sent([0, 1]);
    stream.write_all(&bytes[..bytes.len() - 10]).unwrap();
    let all = u64::try_from(bytes.len() - 10).unwrap();
    wait(&receiver, |tally| tally.bytes == all);
    let tally = receiver.stop();
    let held = bytes.len() - 10 - sent([0]).len();
    assert_eq!((tally.open, tally.discarded_bytes), (0, u64::try_from(held).unwrap()));
    assert_eq!(found(&mut stream).unwrap(), 0);
}

#[test]
fn it_speaks_tls() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let receiver = Receiver::tcp().tls(Arc::new(server)).start().unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, connect(&receiver));
    stream.write_all(&sent(0..2)).unwrap();
    stream.flush().unwrap();
    assert_eq!(wait(&receiver, |tally| tally.records == 2).violations, 0);

    // What is no TLS is no connection.
    connect(&receiver).write_all(&sent([2])).unwrap();
    assert_eq!(wait(&receiver, |tally| tally.tls_failures == 1).open, 1);
}
