//! A decoder backed by a pool of instances.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ev_core::abi::CallFlags;
use ev_core::{Cost, Decoder, DecoderError, DecoderIdentity, Form, Mode, Output, RawEvent};

use crate::error::HostError;
use crate::host::CompiledModule;
use crate::instance::Instance;
use crate::limits::Limits;
use crate::pool::Pool;
use crate::usage::CountedInstance;

/// What else is asked of a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ask for the login facts of each event.
    pub login: bool,
}

/// An [`ev_core::Decoder`] that asks a guest and checks what it answers.
///
/// May be used from several threads at once: each call has an instance to itself. The calling
/// thread must have more stack left than [`Limits::stack_bytes`]; with less the process is aborted.
pub struct ModuleDecoder {
    module: CompiledModule,
    identity: DecoderIdentity,
    options: Options,
    pool: Pool,
    /// Instances made so far.
    created: AtomicU64,
}

/// Says how the module did. More than a few instances for 100,000 events mean that it fails often
/// or grows.
impl Drop for ModuleDecoder {
    fn drop(&mut self) {
        tracing::info!(
            decoder = %self.identity,
            events = self.events(),
            instances_created = self.instances_created(),
            "decoder module retired"
        );
    }
}

impl fmt::Debug for ModuleDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleDecoder").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl ModuleDecoder {
    pub(crate) fn new(
        module: CompiledModule,
        identity: DecoderIdentity,
        options: Options,
    ) -> Result<Self, HostError> {
        let pool = Pool::new(module.limits.idle_instances);
        let this = Self { module, identity, options, pool, created: AtomicU64::new(0) };
        this.pool.with(0, |place| this.filled(place).map(|_| ()))?;
        Ok(this)
    }

    /// What the module says of itself: JSON text, not verified in any way.
    ///
    /// # Errors
    ///
    /// Those of a guest that fails.
    pub fn describe(&self) -> Result<String, HostError> {
        let (limits, ticker) = (&*self.module.limits, &self.module.shared.ticker);
        self.pool.with(0, |place| self.filled(place)?.describe(limits, ticker))
    }

    /// Instances of the module made so far: one to begin with, and one more whenever one was thrown
    /// away, has served its time, or several threads decode at once.
    pub fn instances_created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Events that were answered so far.
    pub fn events(&self) -> u64 {
        self.pool.events()
    }

    /// As [`Decoder::decode`], with the error in full.
    ///
    /// # Errors
    ///
    /// The guest failed, or an event is not of the form `OneOf`. `out` is as before the call.
    pub fn try_decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), HostError> {
        if events.iter().any(|event| event.form != Form::OneOf) {
            return Err(HostError::Form);
        }
        let before = (out.json().len(), out.outcomes().len());
        let result = self.batches(events, mode, out);
        if result.is_err() {
            out.rewind(before.0, before.1);
        }
        result
    }

    fn batches(&self, events: &[RawEvent], mode: Mode, out: &mut Output) -> Result<(), HostError> {
        let (limits, ticker) = (&*self.module.limits, &self.module.shared.ticker);
        let flags = CallFlags { flavour: self.identity.flavour, mode, login: self.options.login };
        self.pool.with(events.len(), |place| {
            let mut rest = events;
            while !rest.is_empty() {
                let (batch, tail) = rest.split_at(batch_len(rest, limits));
                let guest = self.filled(place)?;
                guest.decode(batch, flags, limits, ticker, out)?;
                if guest.is_spent(limits) {
                    *place = None;
                }
                rest = tail;
            }
            Ok(())
        })
    }

    /// The instance in this place, made if there is none.
    fn filled<'a>(&self, place: &'a mut Option<Instance>) -> Result<&'a mut Instance, HostError> {
        match place {
            Some(instance) => Ok(instance),
            None => {
                let CompiledModule { shared, limits, instances, .. } = &self.module;
                let counted = CountedInstance::new(Arc::clone(&shared.counts));
                let instance = Instance::new(instances, limits, &shared.ticker, counted)?;
                self.created.fetch_add(1, Ordering::Relaxed);
                Ok(place.insert(instance))
            }
        }
    }
}

impl Decoder for ModuleDecoder {
    fn identity(&self) -> &DecoderIdentity {
        &self.identity
    }

    fn cost(&self) -> Cost {
        Cost::Blocking
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        // The whole chain in one line: it is logged, and kept with the events that are parked.
        self.try_decode(events, mode, out).map_err(|error| {
            DecoderError::new(format!("{}: {}", self.identity, ev_core::chain(&error)))
        })
    }
}

/// Number of events, at least one, that go into one call.
fn batch_len(events: &[RawEvent], limits: &Limits) -> usize {
    let mut bytes = 0usize;
    let fitting = events.iter().take(limits.batch_events).take_while(|event| {
        bytes = bytes.saturating_add(event.bytes.len());
        bytes <= limits.batch_bytes
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn pages_are_cut_by_count_and_bytes() {
        let event = |len| RawEvent { form: Form::OneOf, bytes: Bytes::from(vec![0; len]) };
        let limits = Limits { batch_events: 3, batch_bytes: 10, ..Limits::default() };
        let check = |lens: &[usize], expected| {
            let events: Vec<_> = lens.iter().copied().map(event).collect();
            assert_eq!(batch_len(&events, &limits), expected, "{lens:?}");
        };
        check(&[1], 1);
        check(&[1, 1, 1, 1], 3);
        check(&[5, 5, 1], 2);
        check(&[5, 6], 1);
        check(&[11, 1], 1);
        check(&[0, 0, 11], 2);
    }
}
