//! A sink of one's own.

use std::io::Write as _;

use ev_core::{Batch, BoxFuture, Framing, Ordering, Shape, Sink, SinkError, Verdict};

/// Prints each event, one a line.
pub(crate) struct Printer;

impl Sink for Printer {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: 100,
            max_bytes: 1 << 20,
            max_in_flight: 1,
            ordering: Ordering::PerRoute,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            // Whoever reads may be slow, which is no reason for everything else to stand still.
            let printed = tokio::task::spawn_blocking(move || {
                let result = print(&batch);
                (batch, result)
            });
            match printed.await {
                Ok((batch, Ok(()))) => (batch, Verdict::Delivered),
                // Nobody reads any more, and no other attempt would change that.
                Ok((_, Err(error))) => {
                    eprintln!("nobody reads what is printed: {error}");
                    std::process::exit(1);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn print(batch: &Batch) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for entry in &batch.entries {
        out.write_all(entry.json.of(&batch.body))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
