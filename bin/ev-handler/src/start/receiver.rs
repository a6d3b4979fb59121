//! What goes on beside the deliveries: certificate files are watched, and the receiver is examined
//! when that is asked for.
//!
//! Neither ever ends a run. A receiver that cannot be reached may be there a minute later, and one
//! that would refuse or misread events loses none of them: what it does not acknowledge stays where
//! it is. Whoever starts the program wants to hear of it at once, so it is an error in the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_config::Settings;
use ev_core::Env;
use ev_sink_fluentd::{CertificateWatch, Examination, Finding, FluentdSink, Topic, Weight};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{error, info, warn};

use super::Error;
use super::outlet::{Made, Outlet};

/// Pause before a receiver that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The tasks beside the engine. Dropping it aborts them.
pub(crate) struct Beside {
    tasks: JoinSet<()>,
    watching: Watching,
}

/// Whether files are still looked at, for whoever shows it.
#[derive(Clone, Default)]
pub(crate) struct Watching(Arc<Mutex<Vec<(String, AbortHandle)>>>);

impl Watching {
    fn add(&self, whose: &str, task: AbortHandle) {
        self.lock().push((whose.to_owned(), task));
    }

    /// Those of whom nobody looks for new files any more.
    pub(crate) fn ended(&self) -> Vec<String> {
        let ended =
            |(whose, task): &(String, AbortHandle)| task.is_finished().then(|| whose.clone());
        self.lock().iter().filter_map(ended).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, AbortHandle)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beside {
    /// Starts them. Needs a running tokio runtime.
    pub(crate) fn start(outlets: &[Outlet], settings: &Settings, env: &Arc<dyn Env>) -> Self {
        let mut tasks = JoinSet::new();
        let watching = Watching::default();
        for outlet in outlets {
            match (&outlet.made, &settings.fluentd, &settings.forward) {
                (Made::Fluentd(sink), Some(settings), _) => {
                    let watch = CertificateWatch::new(Arc::clone(sink));
                    let interval = settings.refresh;
                    let watch = tasks.spawn(async move { match watch.run(interval).await {} });
                    watching.add(outlet.name, watch);
                    if settings.probe {
                        tasks.spawn(examine(Arc::clone(sink), Arc::clone(env)));
                    }
                }
                (Made::Forward(sink), _, Some(settings)) => {
                    let watch = ev_sink_forward::CertificateWatch::new(Arc::clone(sink));
                    let interval = settings.refresh;
                    let watch = tasks.spawn(async move { match watch.run(interval).await {} });
                    watching.add(outlet.name, watch);
                }
                _ => {}
            }
        }
        Self { tasks, watching }
    }

    pub(crate) fn watching(&self) -> Watching {
        self.watching.clone()
    }

    /// Ends them and waits for that.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if one had panicked.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Err(error) if error.is_panic() => return Err(Error::Task(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Asks until the receiver answers, and tells what was found out. Nothing is stored there.
async fn examine(sink: Arc<FluentdSink>, env: Arc<dyn Env>) {
    let mut told = String::new();
    loop {
        let report = sink.examine(false).await;
        // Every receiver that speaks HTTP has answered the question whether it is there.
        if report.about(Topic::Presence).next().is_some() {
            return tell(&report);
        }
        let silence: Vec<_> =
            report.about(Topic::Connection).map(|finding| finding.text.as_str()).collect();
        let silence = silence.join("; ");
        if silence != told {
            warn!(
                url = report.url,
                error = silence,
                "Fluentd does not answer and is examined once it does"
            );
            told = silence;
        }
        env.sleep(ASK_AGAIN).await;
    }
}

fn tell(report: &Examination) {
    for Finding { topic, weight, text: finding, .. } in &report.findings {
        match weight {
            Weight::Good | Weight::Note => info!(%topic, finding, "examined Fluentd"),
            Weight::Warning => warn!(%topic, finding, "examined Fluentd"),
            // An answer that did not come says nothing about events.
            Weight::Problem if *topic == Topic::Connection => {
                warn!(%topic, finding, "examined Fluentd");
            }
            Weight::Problem => error!(%topic, finding, "Fluentd will not store events like this"),
        }
    }
}
