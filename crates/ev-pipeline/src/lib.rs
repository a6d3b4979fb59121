//! The engine: lanes, decoding, batches, retry and parking, checkpoint and shutdown; knows only ev-core.

#![forbid(unsafe_code)]
