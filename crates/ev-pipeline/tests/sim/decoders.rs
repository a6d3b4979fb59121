//! The real decoder over the embedded tables, made to fail, and the choice of it over time.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    AuthVersion, BoxFuture, Choice, Cost, Decoder, DecoderError, DecoderIdentity, DecoderSet,
    Flavour, Mode, Output, RawEvent,
};
use ev_decode::{NativeDecoder, Options};

use crate::event::EventNo;
use crate::fault::Fault;
use crate::scenario::{self, Offer, Trips};
use crate::world::{World, lock};

/// The version whose table every simulation has, and the one that may have to be waited for.
pub(crate) const OLD: &str = "13.0.0";
pub(crate) const NEW: &str = "18.0.0";

struct Failing {
    inner: NativeDecoder,
    world: Arc<World>,
}

impl Decoder for Failing {
    fn identity(&self) -> &DecoderIdentity {
        self.inner.identity()
    }

    fn cost(&self) -> Cost {
        // In a simulation there is one thread for all.
        Cost::Blocking
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        let calm = self.world.is_calm();
        let trips =
            |event: &RawEvent| match EventNo::find(&event.bytes).map(|no| self.world.trips(no)) {
                Some(Trips::ForEver) => true,
                Some(Trips::UntilCalm) => !calm,
                Some(Trips::Never) | None => false,
            };
        if events.iter().any(trips) {
            self.world.oracle().met(Fault::EventThatBreaksTheDecoder);
            return Err(DecoderError::new("an event that it trips over"));
        }
        if !calm && lock(&self.world.decoder).chance(self.world.scenario.decoder_fails) {
            self.world.oracle().met(Fault::DecoderFailed);
            return Err(DecoderError::new("out of luck"));
        }
        self.inner.decode(events, mode, out)
    }
}

/// Both tables, and what is to be had of the new one by now.
pub(crate) struct Decoders {
    world: Arc<World>,
    old: Arc<dyn Decoder>,
    new: Arc<dyn Decoder>,
}

impl Decoders {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let tables = ev_decode::embedded();
        let table = |label: &str| {
            let found = tables.iter().find(|table| table.label == label).unwrap();
            Arc::clone(&found.table)
        };
        let (flavour, options) = (Flavour::Go, Options::default());
        let old = NativeDecoder::native(table("v13"), flavour, options);
        let new = NativeDecoder::from_artifact(table("v18dev"), flavour, options, [7; 32]);
        let failing =
            |inner| -> Arc<dyn Decoder> { Arc::new(Failing { inner, world: Arc::clone(world) }) };
        Self { world: Arc::clone(world), old: failing(old), new: failing(new) }
    }

    /// Offers after the first that have been made.
    fn changes(world: &World) -> usize {
        let now = world.now();
        world.scenario.offers.iter().filter(|(from, _)| *from <= now).count()
    }
}

impl DecoderSet for Decoders {
    fn choose(&self, version: &AuthVersion) -> Choice {
        if version.as_str() == OLD {
            return Choice::Exact(Arc::clone(&self.old));
        }
        match scenario::at(&self.world.scenario.offers, self.world.now()) {
            Some(Offer::Exact) => Choice::Exact(Arc::clone(&self.new)),
            Some(Offer::Near(unknown)) => {
                Choice::Inexact { decoder: Arc::clone(&self.old), unknown }
            }
            Some(Offer::Pending) | None => Choice::Pending,
        }
    }

    fn generation(&self) -> u64 {
        Self::changes(&self.world) as u64
    }

    fn changed(&self, seen: u64) -> BoxFuture<'static, ()> {
        let world = Arc::clone(&self.world);
        Box::pin(async move {
            while Self::changes(&world) as u64 == seen {
                let next: Option<Duration> =
                    world.scenario.offers.get(Self::changes(&world)).map(|(from, _)| *from);
                match next {
                    Some(at) => world.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            }
        })
    }

    fn report_failure(&self, version: &AuthVersion, error: &DecoderError) {
        self.world.oracle().trace(format_args!("failure of {version}: {error}"));
    }
}
