//! Logins, failed and not, as Auth writes them.

use ev_test_support::{Event, Unstructured, UtcTime};

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

/// A `user.login` of number `n` at that time.
pub(crate) fn login(n: usize, user: &str, os_login: &str, success: bool, time: UtcTime) -> Event {
    login_of(&format!("00000000-0000-4000-8000-{n:012}"), user, os_login, success, time)
}

/// A successful one that has no id.
pub(crate) fn without_id(user: &str, time: UtcTime) -> Event {
    login_of("", user, "", true, time)
}

fn login_of(uid: &str, user: &str, os_login: &str, success: bool, time: UtcTime) -> Event {
    let mut seconds = vec![8];
    varint(time.seconds.cast_unsigned(), &mut seconds);
    let metadata = [
        field(2, b"user.login"),
        if uid.is_empty() { Vec::new() } else { field(3, uid.as_bytes()) },
        field(4, if success { b"T1000I" } else { b"T1000W" }),
        field(5, &seconds),
    ];
    // False is not on the wire.
    let status = if success { vec![8, 1] } else { field(2, b"invalid username or password") };
    let names = [field(1, user.as_bytes()), field(2, os_login.as_bytes())];
    let names = if os_login.is_empty() { names[0].clone() } else { names.concat() };
    let login = [field(1, &metadata.concat()), field(2, &names), field(3, &status)];
    let oneof = field(1, &[login.concat(), field(4, b"local")].concat());
    let mut json = serde_json::json!({
        "ei": 0, "event": "user.login", "uid": uid,
        "time": time.to_string(), "user": user, "success": success, "method": "local",
    });
    if !os_login.is_empty() {
        json["login"] = os_login.into();
    }
    Event {
        oneof: oneof.into(),
        time,
        kind: "user.login".to_owned(),
        index: 0,
        unstructured: Unstructured::Of(json.to_string().into()),
    }
}

/// Failed logins of one user, number `from` and on, within one second.
pub(crate) fn failures(from: usize, count: usize, user: &str, time: UtcTime) -> Vec<Event> {
    (from..from + count).map(|n| login(n, user, "", false, time)).collect()
}

/// An announcement of a recording that has no session.
pub(crate) fn upload_of_none(time: UtcTime) -> Event {
    bare(43, "session.upload", 0, time)
}

/// A token was made.
pub(crate) fn token(n: usize, time: UtcTime) -> Event {
    bare(125, "join_token.create", n, time)
}

/// An event of which nothing but type, id and time is known, in field `number` of the message that
/// is one of all events.
fn bare(number: u64, kind: &str, n: usize, time: UtcTime) -> Event {
    let mut seconds = vec![8];
    varint(time.seconds.cast_unsigned(), &mut seconds);
    let uid = format!("00000000-0000-4000-8000-1{n:011}");
    let metadata = [field(2, kind.as_bytes()), field(3, uid.as_bytes()), field(5, &seconds)];
    let event = field(1, &metadata.concat());
    let mut oneof = Vec::new();
    varint(number << 3 | 2, &mut oneof);
    varint(event.len() as u64, &mut oneof);
    oneof.extend(event);
    let json = serde_json::json!({ "ei": 0, "event": kind, "uid": uid, "time": time.to_string() });
    Event {
        oneof: oneof.into(),
        time,
        kind: kind.to_owned(),
        index: 0,
        unstructured: Unstructured::Of(json.to_string().into()),
    }
}
