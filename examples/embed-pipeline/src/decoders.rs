//! Which decoder fits which version of Auth: here those that are compiled in and no others.
//!
//! `ev-modules` has the set that also takes signed tables and modules.

use std::sync::Arc;

use anyhow::{Context, Result};
use ev_core::{
    AuthVersion, BoxFuture, Choice, Decoder, DecoderError, DecoderSet, Flavour, UnknownPolicy,
};
use ev_decode::{NativeDecoder, Options};

/// The compiled-in schemas, the newest one last.
pub(crate) struct Embedded(Vec<(AuthVersion, Arc<dyn Decoder>)>);

impl Embedded {
    pub(crate) fn new() -> Result<Self> {
        let decoders = ev_decode::embedded().into_iter().map(|embedded| {
            let version = embedded.table.auth_version().clone();
            let decoder = NativeDecoder::native(embedded.table, Flavour::Go, Options::default());
            (version, Arc::new(decoder) as Arc<dyn Decoder>)
        });
        let decoders: Vec<_> = decoders.collect();
        decoders.last().context("no schema is compiled in")?;
        Ok(Self(decoders))
    }
}

impl DecoderSet for Embedded {
    fn choose(&self, version: &AuthVersion) -> Choice {
        match self.0.iter().find(|(known, _)| known == version) {
            Some((_, decoder)) => Choice::Exact(Arc::clone(decoder)),
            // What it does not know is set aside with its bytes, and tried again by a later one.
            None => Choice::Inexact {
                decoder: Arc::clone(&self.0[self.0.len() - 1].1),
                unknown: UnknownPolicy::Park,
            },
        }
    }

    fn generation(&self) -> u64 {
        0
    }

    fn changed(&self, _: u64) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn report_failure(&self, _: &AuthVersion, error: &DecoderError) {
        eprintln!("{error}");
    }
}
