//! HELO, PING, PONG from the receiver's side.

use ring::digest::{Context, SHA512};

use super::msgpack::{Value, text};
use super::server::ForwardConfig;

pub(super) const NONCE: &[u8] = b"\xff\x00\xfenonce of 16 byt";
pub(super) const AUTH: &[u8] = b"\xfd\x00\xfcsalt of the user";
const HOSTNAME: &str = "fake-forward";

/// `["HELO", {"nonce", "auth", "keepalive"}]`.
pub(super) fn helo(config: &ForwardConfig) -> Vec<u8> {
    let mut out = vec![0x92];
    text(&mut out, b"HELO");
    out.push(0x83);
    text(&mut out, b"nonce");
    text(&mut out, NONCE);
    text(&mut out, b"auth");
    // Fluentd sends a salt in any case; others send none where they know no users.
    text(&mut out, if config.users.is_empty() { b"" } else { AUTH });
    text(&mut out, b"keepalive");
    out.push(if config.keep_alive { 0xc3 } else { 0xc2 });
    out
}

/// What is wrong with a PING; `Ok` with the answer otherwise.
pub(super) fn judge(ping: &Value, key: &str, config: &ForwardConfig) -> Result<Vec<u8>, Vec<u8>> {
    let parts: Option<Vec<&[u8]>> =
        ping.array().and_then(|items| items.iter().map(Value::bytes).collect());
    let refuse = |reason: &str| Err(pong(false, reason, HOSTNAME.as_bytes(), b""));
    let Some(parts) = parts else { return refuse("invalid ping message") };
    let [b"PING", hostname, salt, digest, user, password] = parts[..] else {
        return refuse("invalid ping message");
    };
    if config.mirrors {
        return Ok(pong(true, "", hostname, digest));
    }
    if hex(&[salt, hostname, NONCE, key.as_bytes()]).as_bytes() != digest {
        return refuse("shared_key mismatch");
    }
    let known = |(name, word): &(String, String)| {
        name.as_bytes() == user && hex(&[AUTH, user, word.as_bytes()]).as_bytes() == password
    };
    if !config.users.is_empty() && !config.users.iter().any(known) {
        return refuse("username/password mismatch");
    }
    let answered = config.answers_with_key.as_deref().unwrap_or(key);
    let digest = hex(&[salt, HOSTNAME.as_bytes(), NONCE, answered.as_bytes()]);
    Ok(pong(true, "", HOSTNAME.as_bytes(), digest.as_bytes()))
}

fn pong(ok: bool, reason: &str, hostname: &[u8], digest: &[u8]) -> Vec<u8> {
    let mut out = vec![0x95];
    text(&mut out, b"PONG");
    out.push(if ok { 0xc3 } else { 0xc2 });
    text(&mut out, reason.as_bytes());
    text(&mut out, hostname);
    text(&mut out, digest);
    out
}

fn hex(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA512);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
