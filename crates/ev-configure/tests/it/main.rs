//! What is written, read by others: certificates by x509-parser, webpki and OpenSSL, texts by
//! parsers of their formats.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod certificates;
mod contents;
mod openssl;
mod overwrite;
mod rig;
