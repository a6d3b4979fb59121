//! What went wrong, in an operator's words.

use std::error::Error;
use std::io;

use ev_core::chain;
use ev_tls::{describe_tls_error, find_tls_error};

/// An error of a connection with its causes in one line.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    if let Some(tls) = find_tls_error(error) {
        return describe_tls_error(tls);
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the other side closed the connection".to_owned()
        }
        _ => chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_cut_off_is_told_by_whom() {
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(describe(&cut), "the other side closed the connection");
        let refused = io::Error::other(io::Error::other("refused"));
        assert_eq!(describe(&refused), "refused");
    }
}
