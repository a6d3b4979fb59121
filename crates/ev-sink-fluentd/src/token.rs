//! A token in a file, which may be replaced at any time.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::HeaderValue;
use tracing::{debug, info, warn};

use crate::{Error, FluentdSink};

/// No token that fits into a header is longer.
const MAX_BYTES: u64 = 16 * 1024;

/// What stands in `Authorization`, kept in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// Holds the token and nothing else, apart from white space around it.
    pub path: PathBuf,
    /// What stands in front of it: `Bearer` (RFC 6750), `Splunk`.
    pub scheme: String,
}

/// The token in use.
pub(crate) struct Token {
    file: TokenFile,
    value: RwLock<HeaderValue>,
    /// What was last said to be wrong with the file, so that it is said once.
    told: Mutex<Option<String>>,
    /// Held by whoever reads the file.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Token {
    /// Reads the file. Blocks on it.
    pub(crate) fn new(file: TokenFile) -> Result<Self, Error> {
        let value = RwLock::new(read(&file)?);
        Ok(Self { file, value, told: Mutex::default(), turn: Arc::default() })
    }

    /// The whole value of the header.
    pub(crate) fn value(&self) -> HeaderValue {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again and logs what an operator should know; the token in use stays when the
    /// file cannot be used. Blocks on it.
    fn look(&self, asked: bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.file.path.display();
        match read(&self.file) {
            Ok(new) => {
                *told = None;
                if self.value() == new {
                    debug!(%path, "the token is the same");
                    return;
                }
                *self.value.write().unwrap_or_else(PoisonError::into_inner) = new;
                info!(%path, "a new token for the receiver is in use");
            }
            Err(error) => {
                let text = error.to_string();
                if asked || told.as_ref() != Some(&text) {
                    warn!(%error, "the token in use is kept");
                }
                *told = Some(text);
            }
        }
    }
}

impl FluentdSink {
    /// Looks at the token's file, if there is one.
    pub(crate) async fn look_at_token(&self, asked: bool) {
        let Some(token) = &self.token else { return };
        let token = Arc::clone(token);
        // Files may hang, so they are read where nothing else waits, one thread at a time, and not
        // waited for for ever.
        let looked = async {
            let turn = Arc::clone(&token.turn).lock_owned().await;
            let look = move || {
                token.look(asked);
                drop(turn);
            };
            let _ended = tokio::task::spawn_blocking(look).await;
        };
        tokio::select! {
            biased;
            () = looked => {}
            () = self.env.sleep(self.config.timeouts.request) => {
                warn!("the file of the token cannot be read in time");
            }
        }
    }

    /// Whether there is another token by now than `denied`, with which a request was refused.
    pub(crate) async fn has_other_token(&self, denied: &HeaderValue) -> bool {
        let is_other = || self.token.as_ref().is_some_and(|token| token.value() != *denied);
        if is_other() {
            return true;
        }
        self.look_at_token(false).await;
        is_other()
    }
}

/// The value of the header. No error holds any of the token.
fn read(file: &TokenFile) -> Result<HeaderValue, Error> {
    let unusable = |what: &str| Error::Token { path: file.path.clone(), what: what.to_owned() };
    let mut text = Vec::new();
    File::open(&file.path)
        .and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| unusable(&error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unusable("it is larger than 16 KiB, which no token is"));
    }
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(unusable("it is empty"));
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err(unusable(
            "a token is one word of visible ASCII characters, without what stands in front of it \
             in `Authorization`",
        ));
    }
    let mut value = HeaderValue::from_bytes(&[file.scheme.as_bytes(), b" ", text].concat())
        .map_err(|_| unusable("the word in front of it cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}
