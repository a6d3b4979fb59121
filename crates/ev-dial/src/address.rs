//! An address as it may be told.

/// An address without what may be a secret: its user and password, and its query, in which tokens
/// stand. For one that may be none at all, so that it is only looked at, not taken apart.
pub fn without_secrets(url: &str) -> String {
    let (user, rest) = match url.rsplit_once('@') {
        // Part of a password or of a query: nobody can tell.
        Some((before, _)) if before.contains('?') => return "…".to_owned(),
        Some((_, behind)) => ("…@", behind),
        None => ("", url),
    };
    match rest.split_once('?') {
        Some((before, _)) => format!("{user}{before}?…"),
        None => format!("{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_user_nor_query_is_told() {
        let check = |url: &str, shown: &str| assert_eq!(without_secrets(url), shown);
        check("https://fluentd:8888/test.log", "https://fluentd:8888/test.log");
        check("https://u:s3cret@fluentd/x", "…@fluentd/x");
        check("https://fluentd/x?token=s3cret", "https://fluentd/x?…");
        check("https://u:s3cret@fluentd/x?token=s3cret", "…@fluentd/x?…");
        for odd in ["https://fluentd/x?token=a@s3cret", "https://u:a?s3cret@fluentd/x"] {
            check(odd, "…");
        }
    }
}
