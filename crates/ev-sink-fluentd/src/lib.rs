//! One attempt of delivery to Fluentd over HTTPS and what its answer means; the only crate that knows a tag.

#![forbid(unsafe_code)]
