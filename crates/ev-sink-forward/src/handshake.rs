//! HELO, PING, PONG: both sides show that they know the shared key.

use sha2::{Digest, Sha512};

use crate::config::{Login, Secret};
use crate::connection::Connection;
use crate::msgpack::{Value, array, text};

/// Why there is no agreement.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The receiver refuses us, or is not who it should be.
    Refused(String),
    /// It said nothing, or nothing that makes sense.
    Broken(String),
}

/// Who we are.
pub(crate) struct Ourselves<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) shared_key: &'a Secret,
    pub(crate) login: Option<&'a Login>,
    /// Never used before, and text: some receivers cannot read any other.
    pub(crate) salt: &'a str,
}

/// What a receiver says first.
struct Helo {
    nonce: Vec<u8>,
    /// A salt; empty where it asks for no user.
    auth: Vec<u8>,
    keep_alive: bool,
}

/// Goes through the handshake on a new connection.
pub(crate) async fn handshake(
    connection: &mut Connection,
    us: &Ourselves<'_>,
) -> Result<(), Failure> {
    let hello = connection.message().await.map_err(Failure::Broken)?;
    let helo = helo(&hello)
        .ok_or_else(|| Failure::Broken("the receiver does not begin with a HELO".to_owned()))?;
    let ping = ping(&helo, us).ok_or_else(|| Failure::Broken("a name is too long".to_owned()))?;
    connection
        .send(&ping)
        .await
        .map_err(|(error, _)| Failure::Broken(format!("the connection broke: {error}")))?;
    let answer = connection.message().await.map_err(Failure::Broken)?;
    pong(&answer, &helo, us)?;
    connection.keep_alive = helo.keep_alive;
    Ok(())
}

fn helo(value: &Value) -> Option<Helo> {
    let Value::Array(items) = value else { return None };
    let [kind, options] = items.as_slice() else { return None };
    if kind.bytes()? != b"HELO" {
        return None;
    }
    let bytes = |name: &[u8]| options.member(name).and_then(Value::bytes).map(<[u8]>::to_vec);
    Some(Helo {
        nonce: bytes(b"nonce")?,
        auth: bytes(b"auth").unwrap_or_default(),
        keep_alive: options.member(b"keepalive") != Some(&Value::Bool(false)),
    })
}

/// `["PING", hostname, salt, digest of the key, user, digest of the password]`.
fn ping(helo: &Helo, us: &Ourselves<'_>) -> Option<Vec<u8>> {
    let key = key_digest(us.salt, us.hostname.as_bytes(), &helo.nonce, us.shared_key);
    let login = us.login.filter(|_| !helo.auth.is_empty());
    let (user, password) = match login {
        Some(Login { user, password }) => {
            let digest = hex_digest(&[&helo.auth, user.as_bytes(), password.as_bytes()]);
            (user.as_str(), digest)
        }
        None => ("", String::new()),
    };
    let mut out = Vec::new();
    array(&mut out, 6);
    for part in ["PING", us.hostname, us.salt, &key, user, &password] {
        text(&mut out, part.as_bytes())?;
    }
    Some(out)
}

/// `["PONG", ok, reason, hostname, digest of the key]`.
fn pong(value: &Value, helo: &Helo, us: &Ourselves<'_>) -> Result<(), Failure> {
    let broken = || Failure::Broken("the receiver does not answer with a PONG".to_owned());
    let Value::Array(items) = value else { return Err(broken()) };
    let [kind, ok, reason, hostname, digest] = items.as_slice() else { return Err(broken()) };
    if kind.bytes() != Some(b"PONG") {
        return Err(broken());
    }
    if *ok != Value::Bool(true) {
        let reason = String::from_utf8_lossy(reason.bytes().unwrap_or_default());
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        let reason = match reason.trim() {
            "" => " and gives no reason".to_owned(),
            reason => format!(": `{reason}`"),
        };
        return Err(Failure::Refused(format!("the receiver refuses us{reason}")));
    }
    let hostname = hostname.bytes().unwrap_or_default();
    // Whoever sends back our own name and digest need not know the key.
    if hostname == us.hostname.as_bytes() {
        let what = "the receiver answers with our own name: it has not shown that it knows the \
                    shared key";
        return Err(Failure::Refused(what.to_owned()));
    }
    let expected = key_digest(us.salt, hostname, &helo.nonce, us.shared_key);
    if digest.bytes() != Some(expected.as_bytes()) {
        let what = "the receiver does not know the shared key: it is not the one that is meant";
        return Err(Failure::Refused(what.to_owned()));
    }
    Ok(())
}

fn key_digest(salt: &str, hostname: &[u8], nonce: &[u8], key: &Secret) -> String {
    hex_digest(&[salt.as_bytes(), hostname, nonce, key.as_bytes()])
}

fn hex_digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha512::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &[u8]) -> Value {
        Value::Bytes(text.to_vec())
    }

    fn us<'a>(key: &'a Secret, login: Option<&'a Login>) -> Ourselves<'a> {
        Ourselves { hostname: "us", shared_key: key, login, salt: "5a17" }
    }

    fn hello(auth: &[u8]) -> Helo {
        Helo { nonce: b"\xff\x00nonce".to_vec(), auth: auth.to_vec(), keep_alive: true }
    }

    #[test]
    fn a_digest_is_that_of_fips_180() {
        // SHA-512 of "abc", whose parts may be cut anywhere.
        let expected = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                        2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(hex_digest(&[b"a", b"", b"bc"]), expected);
    }

    #[test]
    fn a_helo_may_hold_any_bytes() {
        let options = Value::Map(vec![
            (bytes(b"nonce"), bytes(b"\xff\x00")),
            (bytes(b"auth"), bytes(b"\xfe")),
            (bytes(b"keepalive"), Value::Bool(false)),
        ]);
        let read = helo(&Value::Array(vec![bytes(b"HELO"), options])).expect("a HELO");
        assert_eq!((&*read.nonce, &*read.auth), (&b"\xff\x00"[..], &b"\xfe"[..]));
        assert!(!read.keep_alive);
        assert!(helo(&Value::Array(vec![bytes(b"HELO"), Value::Nil])).is_none());
        assert!(helo(&Value::Nil).is_none());
    }

    #[test]
    fn the_password_is_only_told_to_who_asks() {
        let (key, password) = (Secret::new("key"), Secret::new("word"));
        let login = Login { user: "name".to_owned(), password };
        let with = ping(&hello(b"auth"), &us(&key, Some(&login))).expect("short");
        let digest = hex_digest(&[b"auth", b"name", b"word"]);
        assert!(with.ends_with(digest.as_bytes()));
        let without = ping(&hello(b""), &us(&key, Some(&login))).expect("short");
        assert!(without.ends_with(b"\xa0\xa0"), "no user, no digest");
    }

    #[test]
    fn a_pong_is_believed_only_with_its_digest() {
        let key = Secret::new("key");
        let (helo, us) = (hello(b""), us(&key, None));
        let answer = |ok: bool, digest: &str| {
            let items = vec![
                bytes(b"PONG"),
                Value::Bool(ok),
                bytes(b"shared_key mismatch\n"),
                bytes(b"them"),
                bytes(digest.as_bytes()),
            ];
            pong(&Value::Array(items), &helo, &us)
        };
        let good = hex_digest(&[b"5a17", b"them", &helo.nonce, b"key"]);
        assert!(answer(true, &good).is_ok());
        let bad = hex_digest(&[b"5a17", b"them", &helo.nonce, b"other"]);
        assert!(
            matches!(answer(true, &bad), Err(Failure::Refused(what)) if what.contains("not know"))
        );
        assert!(
            matches!(answer(false, &good), Err(Failure::Refused(what)) if what.contains("`shared_key mismatch`"))
        );
        assert!(matches!(pong(&Value::Nil, &helo, &us), Err(Failure::Broken(_))));
    }

    #[test]
    fn a_refusal_without_a_reason_says_so() {
        let key = Secret::new("key");
        let refused = |reason: Value| {
            let items = vec![bytes(b"PONG"), Value::Bool(false), reason, bytes(b""), bytes(b"")];
            match pong(&Value::Array(items), &hello(b""), &us(&key, None)) {
                Err(Failure::Refused(what)) => what,
                _ => panic!("not refused"),
            }
        };
        let none = "the receiver refuses us and gives no reason";
        for empty in [bytes(b""), bytes(b" \n"), Value::Nil, Value::Bool(true)] {
            assert_eq!(refused(empty), none);
        }
        assert_eq!(refused(bytes(b" no\n")), "the receiver refuses us: `no`");
    }
}
