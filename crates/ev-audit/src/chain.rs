//! Errors as people read them.

use std::error::Error;
use std::fmt;

/// An error and its causes in one line. Some libraries repeat the text of the cause in their own;
/// it is not said twice.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        f.write_str(&text)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.ends_with(&more) {
                write!(f, ": {more}")?;
                text = more;
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Chain;
    use crate::transport::ConnectError;

    #[test]
    fn causes_are_in_one_line_without_repetition() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = ConnectError::retry("/run/agent", missing);
        assert_eq!(
            Chain(&error).to_string(),
            "failed to connect to audit agent at /run/agent: no such file"
        );
        let same = io::Error::other(io::Error::other("once"));
        assert_eq!(Chain(&same).to_string(), "once");
    }
}
