//! Reads Teleport's audit log in a program of one's own, and prints each event.
//!
//! ```text
//! embed-pipeline HOST:PORT IDENTITY-FILE STATE-DIRECTORY
//! ```
//!
//! Started again, it goes on where it stood. Whatever becomes of the process, no event is lost: a
//! resume point moves over an event only once [`Printer`] has said that it is delivered.

#![expect(clippy::print_stderr, reason = "a program for people, without a log")]

mod decoders;
mod printer;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ev_core::{Claim, Env, Flavour, Road, SinkId, Source as _, StateStore as _};
use ev_pipeline::{Config, Engine, Exec, Parts, TokioEnv};
use ev_source::{Credentials, SearchSource};
use ev_state::SqliteStore;
use ev_unstructured::UnstructuredDecoder;
use tokio_util::sync::CancellationToken;

use crate::decoders::Embedded;
use crate::printer::Printer;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, identity, state] = &arguments[..] else {
        bail!("usage: embed-pipeline HOST:PORT IDENTITY-FILE STATE-DIRECTORY");
    };
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());

    // Who reads the log, and from whom.
    let credentials = Credentials::Identity(identity.into());
    let config = ev_source::Config::new(address.as_str(), credentials);
    let mut source = SearchSource::new(config, Arc::clone(&env)).context("the source")?;
    let survey = source.survey().await?;

    // What survives a restart. A new state begins now.
    let store = Arc::new(SqliteStore::open(Path::new(state))?);
    let sink_id = SinkId("printer".to_owned());
    let claim = Claim {
        sink: sink_id.clone(),
        cluster: survey.cluster,
        flavour: Some(Flavour::Go),
        start_time: env.now(),
    };
    let snapshot = store.open_sink(&claim)?;

    let engine = Engine::new(Parts {
        source: Box::new(source),
        decoders: Arc::new(Embedded::new()?),
        unstructured: Arc::new(UnstructuredDecoder::new()),
        sink: Arc::new(Printer),
        store,
        env,
        sink_id,
        snapshot,
        road: Road::Typed,
        exec: Exec::Threads,
        config: Config::default(),
    })?;

    let stop = CancellationToken::new();
    let run = engine.run(stop.clone());
    tokio::pin!(run);
    let summary = tokio::select! {
        summary = &mut run => summary?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            // What is under way is finished and kept.
            stop.cancel();
            run.await?
        }
    };
    eprintln!("{} events printed, {} set aside", summary.sent, summary.totals.parked);
    Ok(())
}
