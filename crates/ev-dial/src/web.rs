//! The server that an address names.

use hyper::http::uri::{Authority, Parts};

/// The server of an `https` or `http` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebServer {
    /// Whether it is `https`.
    pub tls: bool,
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// 443 or 80 where the address has none.
    pub port: u16,
    /// What stands in `Host`: host and port as they were given.
    pub authority: Authority,
}

/// Why an address names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoServer {
    /// It is neither `https://…` nor `http://…`.
    Form,
    /// Nothing stands where the host should be.
    Host,
    /// The port is not 1 to 65535.
    Port,
}

impl NoServer {
    /// What is wrong; `expected` says what an address looks like where this one stands.
    pub fn what(self, expected: &'static str) -> &'static str {
        match self {
            Self::Form => expected,
            Self::Host => "it has no host",
            Self::Port => "the port must be 1 to 65535",
        }
    }
}

impl WebServer {
    /// The server of an address that was taken apart.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn try_new(address: &Parts) -> Result<Self, NoServer> {
        let tls = match address.scheme.as_ref().map(|scheme| scheme.as_str()) {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(NoServer::Form),
        };
        let authority = address.authority.clone().ok_or(NoServer::Form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(NoServer::Host);
        }
        let behind_user = authority.as_str().rsplit('@').next().unwrap_or_default();
        let behind_host = behind_user.rsplit(']').next().unwrap_or_default();
        let port = match authority.port_u16() {
            Some(port @ 1..) => port,
            None if !behind_host.contains(':') => {
                if tls {
                    443
                } else {
                    80
                }
            }
            // A port that is no number counts as none there.
            _ => return Err(NoServer::Port),
        };
        Ok(Self { tls, host, port, authority })
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;

    use super::*;

    fn server(address: &str) -> Result<WebServer, NoServer> {
        WebServer::try_new(&address.parse::<Uri>().expect("an address").into_parts())
    }

    #[test]
    fn addresses_are_taken_apart() {
        let check = |address: &str, tls, host: &str, port, authority: &str| {
            let server = server(address).expect("a good address");
            let found = (server.tls, &*server.host, server.port, server.authority.as_str());
            assert_eq!(found, (tls, host, port, authority), "{address}");
        };
        check("https://fluentd:8888/x", true, "fluentd", 8888, "fluentd:8888");
        check("https://fluentd", true, "fluentd", 443, "fluentd");
        check("http://127.0.0.1/a?b=c", false, "127.0.0.1", 80, "127.0.0.1");
        check("https://[::1]:1/x", true, "::1", 1, "[::1]:1");
        check("http://[::1]/x", false, "::1", 80, "[::1]");
        check("http://user:word@fluentd/x", false, "fluentd", 80, "user:word@fluentd");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |address: &str, why| assert_eq!(server(address), Err(why), "{address}");
        check("fluentd:8888", NoServer::Form);
        check("/x", NoServer::Form);
        check("ftp://fluentd/x", NoServer::Form);
        check("https://:8888/x", NoServer::Host);
        check("https://fluentd:0/x", NoServer::Port);
        check("https://fluentd:/x", NoServer::Port);
        check("https://fluentd:99999/x", NoServer::Port);
        check("https://[::1]:99999/x", NoServer::Port);
    }
}
