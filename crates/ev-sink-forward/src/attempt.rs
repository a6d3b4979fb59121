//! One attempt: a batch becomes a chunk, its acknowledgement a verdict.

use ev_core::{Batch, Verdict};

use crate::ForwardSink;
use crate::chunk::{Chunk, Label, Unfit};
use crate::connection::{Connection, Failure};
use crate::stats::count;

impl ForwardSink {
    /// Sends a batch and says what came of it.
    pub(crate) async fn send_batch(&self, batch: &Batch) -> Verdict {
        let id = self.chunk_id(batch);
        let label = Label { tag: self.tags.of(&batch.route), id: id.clone(), now: self.env.now() };
        let chunk = match self.maker.make(batch, label).await {
            Ok(chunk) => chunk,
            Err(Unfit::Entry { index, at }) => {
                let detail = format!("the event is no JSON object, from byte {at} on");
                return Verdict::Guilty { index: Some(index), detail };
            }
            Err(Unfit::Whole) => {
                let detail = "the events do not fit into a chunk".to_owned();
                return Verdict::Guilty { index: None, detail };
            }
        };
        // The semaphore is never closed; were it, an attempt without a permit would do no harm.
        let _permit = self.permits.acquire().await.ok();
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(verdict) => return verdict,
        };
        match self.exchange(&mut connection, &chunk, &id, batch.entries.len()).await {
            Ok(()) => {
                self.doubts.settled(&id);
                if connection.keep_alive {
                    let generation = connection.generation;
                    self.pool.put((), connection, generation, self.env.monotonic());
                }
                Verdict::Delivered
            }
            // Whatever it was, nobody knows what comes on this connection next: it is dropped.
            Err(failure) => self.failed(&id, failure, batch.entries.len()),
        }
    }

    /// The same for all attempts of a batch, and for nothing else: the run of the process, the
    /// batch, and which of its events are sent, in hexadecimal digits. A part of a batch is not
    /// the batch, even if whoever cut it kept the number.
    fn chunk_id(&self, batch: &Batch) -> String {
        // FNV-1a: `http://www.isthe.com/chongo/tech/comp/fnv/`.
        let mut events = 0xcbf2_9ce4_8422_2325_u64;
        for entry in &batch.entries {
            for number in [entry.json.start, entry.json.end] {
                for byte in number.to_le_bytes() {
                    events = (events ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        let [high, low] = self.run;
        format!("{high:016x}{low:016x}-{:x}-{events:016x}", batch.id.0)
    }

    async fn connection(&self) -> Result<Connection, Verdict> {
        let idle = self.config.timeouts.idle;
        if let Some(connection) = self.pool.take(&(), self.env.monotonic(), idle).await {
            return Ok(connection);
        }
        let generation = self.pool.generation();
        match self.connect().await {
            Ok(mut connection) => {
                count(&self.counters.connections_opened, 1);
                connection.generation = generation;
                Ok(connection)
            }
            Err(error) => {
                count(&self.counters.connections_failed, 1);
                let verdict = error.verdict(&self.server.text);
                let is_refused = matches!(verdict, Verdict::Refused { .. });
                count(&self.counters.connections_refused, usize::from(is_refused));
                Err(verdict)
            }
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        chunk: &Chunk,
        id: &str,
        events: usize,
    ) -> Result<(), Failure> {
        let (counters, env) = (&self.counters, &*self.env);
        count(&counters.chunks, 1);
        count(&counters.events, events);
        count(&counters.bytes, chunk.bytes.len());
        if let Some((plain, zipped)) = chunk.zipped {
            count(&counters.gzip_in_bytes, plain);
            count(&counters.gzip_out_bytes, zipped);
        }
        let begun = env.monotonic();
        connection.exchange(&chunk.bytes, id, &self.config.timeouts, env).await?;
        counters.acknowledged(env.monotonic().saturating_sub(begun));
        Ok(())
    }

    fn failed(&self, id: &str, failure: Failure, events: usize) -> Verdict {
        let (counters, url) = (&self.counters, &self.server.text);
        let (what, may_be_stored) = match failure {
            Failure::WantsKey => {
                let detail =
                    format!("`{url}`: the receiver asks for a shared key, and none is set here");
                count(&counters.connections_refused, 1);
                return Verdict::Refused { detail };
            }
            Failure::NotSent { what, begun } => {
                count(&counters.broken, 1);
                if !begun {
                    return Verdict::Unreachable { detail: format!("`{url}`: {what}") };
                }
                (what, false)
            }
            Failure::Doubt(what) => {
                count(&counters.doubts, 1);
                (what, true)
            }
            Failure::Late(limit) => {
                count(&counters.timeouts, 1);
                (format!("no acknowledgement within {limit:?}"), true)
            }
        };
        if may_be_stored {
            count(&counters.possible_duplicate_events, events);
        }
        if self.doubts.again(id) {
            // It is what a receiver does when it is full, and when it will never take an event.
            let detail = format!("`{url}`: {what}, and not for the first time for these events");
            return Verdict::Busy { after: None, suspect: true, detail };
        }
        let detail = format!("`{url}`: {what}");
        if may_be_stored { Verdict::Unknown { detail } } else { Verdict::Unreachable { detail } }
    }
}
