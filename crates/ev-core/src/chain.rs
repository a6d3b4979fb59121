//! Errors as people read them.

use std::error::Error;

/// An error and its causes in one line. Some libraries repeat the text of the cause in their own;
/// it is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to read `x`")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_chain_is_one_line_without_repetition() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        assert_eq!(chain(&Outer(missing)), "failed to read `x`: no such file");
        assert_eq!(chain(&io::Error::other(io::Error::other("once"))), "once");
        assert_eq!(chain(&io::Error::other(Outer(io::Error::other("x")))), "failed to read `x`: x");
    }
}
