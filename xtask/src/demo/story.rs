//! What happens, in its order.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use ev_test_support::{AuthTally, FluentdTally, UtcTime};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::children::{Handler, LOOK};
use super::handler;
use super::plan::{Phase, Plan};
use super::verdict::{Facts, Verdict};
use super::world::World;

/// How long the handler may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(15);

/// Tells the story and judges it.
pub(super) async fn tell(world: &mut World, quiet: bool) -> Result<Verdict> {
    let say = |text: &str| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    say("making certificates, decoder modules and events …");
    world.certificates()?;
    world.artifacts()?;
    let plan = Plan::new(&crate::root().join("testdata/golden"), now()?)?;
    let [old, middle, new] = &plan.phases;
    world.write("first.jsonl", &old.lines)?;
    world.servers(old.version).await?;
    world.settings(plan.start)?;

    let mut stage = Stage { world, peak_kib: 0, starts: 0 };
    let started = Instant::now();
    say(&format!("Auth {}: {} events of three days", old.version, old.log + old.recorded));
    let half = u64::try_from(old.expected.len())? / 2;
    stage.receiver("/switches", &json!({ "hold_at": half })).await?;
    stage.start()?;
    // From here on the receiver stores and does not answer: whatever is under way is lost with
    // the handler, and has arrived all the same.
    stage
        .until(async |stage| {
            let tally = stage.received().await?;
            Ok(tally.events >= half && tally.in_flight > 0)
        })
        .await
        .context("waiting for the first half")?;
    stage.kill().await?;
    say("killed the handler (SIGKILL) with requests under way, and started it again");
    stage.receiver("/switches", &json!({ "hold_at": null, "release": 1 })).await?;
    stage.start()?;
    stage.arrived(&[old]).await?;

    say(&format!(
        "upgraded Auth to {}: {} events, and a decoder module with a byte flipped",
        middle.version, middle.log
    ));
    stage.auth("/switches", &json!({ "flip_artifact_byte": true })).await?;
    stage.upgrade(middle).await?;
    stage.append(middle).await?;
    stage.logged(REFUSED, middle.version).await?;
    stage.read_all().await?;
    say("the handler refused the module and parked the events; now Auth serves the good one");
    stage.auth("/switches", &json!({ "flip_artifact_byte": false })).await?;
    stage.arrived(&[old, middle]).await?;

    say(&format!("upgraded Auth to {}: {} events", new.version, new.log + new.recorded));
    stage.upgrade(new).await?;
    stage.logged(ACCEPTED, new.version).await?;
    stage.append(new).await?;
    stage.arrived(&[old, middle, new]).await?;

    let exit = stage.end().await?;
    let elapsed = started.elapsed();
    say("told the handler to end (SIGTERM)");
    let log = stage.log()?;
    let facts = Facts {
        elapsed,
        exit,
        peak_kib: stage.peak_kib,
        starts: stage.starts,
        totals: handler::totals(&log)?,
        refused: handler::count(&log, REFUSED, middle.version)? as u64,
        auth: stage.served().await?,
        fluentd: stage.received().await?,
        events: stage.events().await?,
    };
    Verdict::new(&plan, facts)
}

/// What the handler logs when an artifact does not pass its checks, and when it does.
const REFUSED: &str = "decoder artifact refused";
const ACCEPTED: &str = "decoder artifact accepted";

struct Stage<'a> {
    world: &'a mut World,
    peak_kib: u64,
    starts: u64,
}

impl Stage<'_> {
    fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let log = self.world.dir.join(format!("handler-{}.log", self.starts));
        let config = self.world.config();
        self.world.handler = Some(Handler::start(&self.world.programs.handler, &config, log)?);
        Ok(())
    }

    fn handler(&mut self) -> Result<&mut Handler> {
        self.world.handler.as_mut().context("the handler has been started")
    }

    fn log(&mut self) -> Result<PathBuf> {
        Ok(self.handler()?.log.clone())
    }

    /// The memory of a process can only be asked for while it lives.
    fn note_memory(&mut self) -> Result<()> {
        let peak = self.handler()?.peak_kib().unwrap_or_default();
        self.peak_kib = self.peak_kib.max(peak);
        Ok(())
    }

    async fn kill(&mut self) -> Result<()> {
        self.note_memory()?;
        self.handler()?.kill().await
    }

    async fn end(&mut self) -> Result<Option<i32>> {
        self.note_memory()?;
        Ok(self.handler()?.terminate(GRACE).await?.code())
    }

    async fn auth(&self, call: &str, body: &Value) -> Result<Value> {
        let auth = self.world.auth.as_ref().context("the Auth server runs")?;
        Ok(auth.admin.post(call, body).await?)
    }

    async fn receiver(&self, call: &str, body: &Value) -> Result<Value> {
        let fluentd = self.world.fluentd.as_ref().context("the receiver runs")?;
        Ok(fluentd.admin.post(call, body).await?)
    }

    async fn served(&self) -> Result<AuthTally> {
        let auth = self.world.auth.as_ref().context("the Auth server runs")?;
        Ok(auth.admin.get("/tally").await?)
    }

    async fn received(&self) -> Result<FluentdTally> {
        let fluentd = self.world.fluentd.as_ref().context("the receiver runs")?;
        Ok(fluentd.admin.get("/tally").await?)
    }

    async fn events(&self) -> Result<Vec<u8>> {
        let fluentd = self.world.fluentd.as_ref().context("the receiver runs")?;
        Ok(fluentd.admin.get_bytes("/events").await?)
    }

    /// From now on Auth runs that version; its connections are cut.
    async fn upgrade(&self, phase: &Phase) -> Result<()> {
        self.auth("/upgrade", &json!({ "version": phase.version })).await?;
        Ok(())
    }

    async fn append(&self, phase: &Phase) -> Result<()> {
        let auth = self.world.auth.as_ref().context("the Auth server runs")?;
        let _: Value = auth.admin.post_bytes("/append", &phase.lines).await?;
        Ok(())
    }

    /// Waits until all events of the phases have arrived. Which ones, and whether they are right,
    /// is judged later.
    async fn arrived(&mut self, phases: &[&Phase]) -> Result<()> {
        let count = phases.iter().map(|phase| phase.expected.len() as u64).sum::<u64>();
        self.until(async |stage| {
            let tally = stage.received().await?;
            Ok(tally.events - tally.repeated >= count)
        })
        .await
        .with_context(|| format!("waiting for {count} events to arrive"))
    }

    /// Waits until the handler has said that of the artifact for that version.
    async fn logged(&mut self, message: &str, version: &str) -> Result<()> {
        self.until(async |stage| Ok(handler::count(&stage.log()?, message, version)? > 0))
            .await
            .with_context(|| format!("waiting for the log to say `{message}`"))
    }

    /// Waits until the handler has read the whole log, and has looked for more behind its end.
    async fn read_all(&mut self) -> Result<()> {
        let searches = |tally: &AuthTally| tally.methods.get("GetEvents").map_or(0, |m| m.calls);
        let mut at_end = None;
        self.until(async |stage| {
            let tally = stage.served().await?;
            if tally.log_served < tally.log {
                return Ok(false);
            }
            let calls = searches(&tally);
            Ok(calls >= *at_end.get_or_insert(calls) + 2)
        })
        .await
        .context("waiting for the log to be read")
    }

    /// Waits for a condition, as long as the handler lives.
    async fn until(
        &mut self,
        mut condition: impl AsyncFnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        while !condition(self).await? {
            self.handler()?.check()?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the demo's events are to be of today")]
fn now() -> Result<UtcTime> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(UtcTime { seconds: i64::try_from(now.as_secs())?, nanos: now.subsec_nanos() })
}
