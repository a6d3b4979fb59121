//! The status page: one file, which asks for `status.json` every few seconds.

/// The page.
pub(crate) const PAGE: &str = include_str!("page.html");

/// Nothing comes from elsewhere, and nothing is asked elsewhere.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
