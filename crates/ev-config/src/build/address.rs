//! Whether an address can be one, before anybody is asked.

/// `host:port`, an IPv6 host in brackets.
pub(super) fn check_address(text: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("`{text}` {what}; it must be `host:port`"));
    if text.contains("://") {
        return wrong("is a URL");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!(
            "`{text}` has no port; it must be `host:port`, where the port is usually 443 or 3080 \
             for a Proxy and 3025 for Auth"
        ));
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return wrong("has an IPv6 host without brackets");
    }
    if bare.unwrap_or(host).is_empty() {
        return wrong("has no host");
    }
    if host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@') {
        return wrong("has a host with characters that no host has");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => wrong("has no port between 1 and 65535"),
    }
}

/// An `http` or `https` address with a host. The rest is the sink's to judge.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Err("is no address that starts with `https://` or `http://`");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("has no host");
    }
    if url.contains(char::is_whitespace) { Err("has blanks in it") } else { Ok(()) }
}
