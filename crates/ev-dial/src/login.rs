//! The login in front of the host of an address.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;

/// The value of `Authorization` or `Proxy-Authorization` for what stands in front of the `@` of an
/// address, `user:password` with percent escapes (RFC 7617). Whoever logs in without a password
/// sends an empty one. It is marked as sensitive; `None` if an escape is none.
pub fn basic(login: &str) -> Option<HeaderValue> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut plain = unescaped(user)?;
    plain.push(b':');
    plain.extend(unescaped(password)?);
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Text with each `%41` read as the byte that it stands for.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        plain.push(u8::try_from(digit()? << 4 | digit()?).ok()?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_becomes_a_header() {
        let check = |login: &str, expected: Option<&str>| {
            let value = basic(login);
            let text = value.as_ref().map(|value| value.to_str().expect("ASCII"));
            assert_eq!(text, expected, "{login}");
            assert!(value.is_none_or(|value| value.is_sensitive()));
        };
        check("user:secret", Some("Basic dXNlcjpzZWNyZXQ="));
        check("user", Some("Basic dXNlcjo="));
        check("us%40er:sec:ret", Some("Basic dXNAZXI6c2VjOnJldA=="));
        check("us%3Aer:%", None);
        check("user%4", None);
        check("user%+1", None);
    }
}
