//! What can go wrong, with schemas and with events.

/// A schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gzip stream is damaged.
    #[error("failed to unpack the descriptor set")]
    Unpack {
        /// The cause.
        source: std::io::Error,
    },
    /// The bytes are no descriptor set.
    #[error("failed to read the descriptor set")]
    Descriptors {
        /// The cause.
        source: prost_reflect::DescriptorError,
    },
    /// There is no `events.OneOf`.
    #[error("the descriptors lack the message `events.OneOf`")]
    NoOneOf,
    /// The Go form of a field is not known here.
    #[error("`{field}` is a field that the oracle does not know how to print")]
    Field {
        /// Full name of the field.
        field: String,
    },
}

/// Why the reflecting decoder has no answer for an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// prost does not take the bytes; gogo may.
    #[error("failed to decode with prost")]
    Decode {
        /// The cause.
        source: prost::DecodeError,
    },
    /// No case of the schema is set.
    #[error("no event type is set")]
    NoCase,
    /// A time that gogo does not take: outside the years 1 to 9999.
    #[error("time outside the years 1 to 9999")]
    Time,
    /// Go decodes the event and refuses to print it.
    #[error("{what}")]
    Unprintable {
        /// What Go refuses.
        what: &'static str,
    },
}
