//! What is the same in every request: headers of the settings, and the token.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request};

use crate::request::{BATCH_ID, EVENT_ID};
use crate::{Config, Error, FluentdSink};

/// Those that say where a request goes, where its body ends or how it is written, and our own:
/// set by hand they could only be wrong.
const OURS: [HeaderName; 12] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONTENT_ENCODING,
    CONNECTION,
    TE,
    TRAILER,
    UPGRADE,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    BATCH_ID,
    EVENT_ID,
];

/// Checks the headers of the settings.
pub(crate) fn headers(config: &Config) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let invalid =
            |what: &str| Error::InvalidHeader { name: name.clone(), what: what.to_owned() };
        let key = HeaderName::try_from(name).map_err(|_| invalid("that is no name of a header"))?;
        if OURS.contains(&key) || key.as_str().starts_with("proxy-") {
            return Err(invalid("it is set by the handler alone"));
        }
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| invalid("its value holds what a header cannot hold"))?;
        // Keys of an interface stand in headers of any name.
        value.set_sensitive(true);
        if headers.insert(key, value).is_some() {
            return Err(invalid("it is there twice"));
        }
    }
    Ok(headers)
}

impl FluentdSink {
    /// Adds the headers of the settings, which replace ours of the same name, and the token.
    pub(crate) fn dress(&self, head: &mut Request<()>) {
        for (name, value) in &self.headers {
            head.headers_mut().insert(name, value.clone());
        }
        if let Some(token) = &self.token {
            head.headers_mut().insert(AUTHORIZATION, token.value());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> Option<String> {
        let mut config = Config::new("https://f/a", "https://f/s");
        config.headers =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        headers(&config).err().map(|error| error.to_string())
    }

    #[test]
    fn headers_that_would_break_requests_are_refused() {
        assert_eq!(refusal(&[("X-Scope-OrgID", "a"), ("Content-Type", "text/x"), ("a", "")]), None);
        for name in OURS.iter().map(HeaderName::as_str).chain(["HOST", "Proxy-Authorization"]) {
            let text = refusal(&[(name, "s3cret")]).expect("refused");
            assert_eq!(
                text,
                format!("header `{name}` cannot be set: it is set by the handler alone")
            );
        }
        for value in ["s3cret\r\nHost: b", "s3cret\n", "s3cret\0"] {
            let text = refusal(&[("x", value)]).expect("refused");
            assert!(text.ends_with("its value holds what a header cannot hold"), "{text}");
        }
        for name in ["", "a b", "a:", "ü", "a\r\nb"] {
            let text = refusal(&[(name, "s3cret")]).expect("refused");
            assert!(text.ends_with("that is no name of a header"), "{text}");
        }
        let twice = refusal(&[("X-A", "1"), ("x-a", "s3cret")]).expect("refused");
        assert_eq!(twice, "header `x-a` cannot be set: it is there twice");
    }
}
