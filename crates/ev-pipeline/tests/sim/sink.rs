//! The receiver: it has moods, it cannot stand some events, and it remembers what it stored.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Batch, BoxFuture, Route, Shape, Sink, SinkError, Verdict};

use crate::event::EventNo;
use crate::fault::Fault;
use crate::rng::Rng;
use crate::scenario::{Mood, Poison};
use crate::world::{World, lock};

/// How long a sink waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct SimSink(pub(crate) Arc<World>);

/// Takes a request off the list of those under way, also when it is dropped.
struct UnderWay(Arc<World>, Route);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.oracle().off_the_way(&self.1);
    }
}

impl Sink for SimSink {
    fn shape(&self) -> Shape {
        self.0.scenario.shape
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        let world = &self.0;
        let events: Vec<EventNo> = batch
            .entries
            .iter()
            .map(|entry| EventNo::find(entry.json.of(&batch.body)).expect("ours has a number"))
            .collect();
        world.oracle().sending(world, &batch, &events);
        let mut rng = lock(&world.sink).fork();
        let route = batch.route.clone();
        let under_way = UnderWay(Arc::clone(world), route);
        Box::pin(async move {
            let (least, most) = world.scenario.sink_millis;
            tokio::time::sleep(rng.millis(least, most)).await;
            let verdict = answer(world, &mut rng, &batch.route, &events).await;
            tokio::time::sleep(rng.millis(least, most)).await;
            world.oracle().answered(world, batch.id, &events, &verdict);
            drop(under_way);
            (batch, verdict)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        let mood = self.0.scenario.mood(self.0.now());
        Box::pin(async move {
            match mood {
                Mood::Unreachable | Mood::Silent => {
                    Err(SinkError { message: "not there".into(), source: None })
                }
                _ => Ok(()),
            }
        })
    }
}

/// What happens to a request that has arrived.
async fn answer(world: &World, rng: &mut Rng, route: &Route, events: &[EventNo]) -> Verdict {
    let detail = || "simulated".to_owned();
    let busy = |after: Option<Duration>| Verdict::Busy { after, suspect: false, detail: detail() };
    let mut mood = world.scenario.mood(world.now());
    if mood == Mood::Flaky {
        let some = [Mood::Busy { after_ms: None }, Mood::Unreachable, Mood::Lossy, Mood::Silent];
        mood = if rng.chance(400) { rng.pick(&some) } else { Mood::Well };
    }
    if let Some(fault) = fault_of(mood) {
        world.oracle().met(fault);
    }
    match mood {
        Mood::Busy { after_ms } => return busy(after_ms.map(Duration::from_millis)),
        Mood::Full => {
            return Verdict::Busy { after: None, suspect: true, detail: detail() };
        }
        Mood::Refuses => return Verdict::Refused { detail: detail() },
        Mood::Unreachable => return Verdict::Unreachable { detail: detail() },
        Mood::Guilty { told } => {
            return Verdict::Guilty { index: told.then_some(0), detail: detail() };
        }
        Mood::Well | Mood::Flaky | Mood::Silent | Mood::Lossy => {}
    }
    let is_lost = matches!(mood, Mood::Silent | Mood::Lossy);
    if is_lost && rng.chance(500) {
        if mood == Mood::Silent {
            tokio::time::sleep(TIMEOUT).await;
        }
        return Verdict::Unknown { detail: detail() };
    }
    let verdict = take_in(world, route, events);
    if mood == Mood::Silent {
        tokio::time::sleep(TIMEOUT).await;
    }
    if is_lost { Verdict::Unknown { detail: detail() } } else { verdict }
}

fn fault_of(mood: Mood) -> Option<Fault> {
    Some(match mood {
        Mood::Busy { after_ms: None } => Fault::Busy,
        Mood::Busy { after_ms: Some(_) } => Fault::RetryAfter,
        Mood::Full => Fault::Full,
        Mood::Refuses => Fault::Refuses,
        Mood::Unreachable => Fault::Unreachable,
        Mood::Guilty { .. } => Fault::RefusesContent,
        Mood::Silent => Fault::Silent,
        Mood::Lossy => Fault::AnswerToRequestLost,
        Mood::Well | Mood::Flaky => return None,
    })
}

/// Stores what can be stored.
fn take_in(world: &World, route: &Route, events: &[EventNo]) -> Verdict {
    let guilty: Vec<(usize, Poison)> = events
        .iter()
        .enumerate()
        .filter_map(|(index, no)| Some((index, world.poison(*no)?)))
        .filter(|_| world.scenario.poison_lasts || !world.is_calm())
        .collect();
    let refused = guilty.iter().find_map(|(index, poison)| match poison {
        Poison::Refused { told } => Some((*index, *told)),
        Poison::TooLarge => None,
    });
    if let Some((index, told)) = refused {
        world.oracle().met(if told { Fault::GuiltyEventNamed } else { Fault::GuiltyEventNotNamed });
        let index = told.then_some(index);
        return Verdict::Guilty { index, detail: "simulated".to_owned() };
    }
    let good =
        events.iter().enumerate().filter(|(index, _)| guilty.iter().all(|(g, _)| g != index));
    let good: Vec<EventNo> = good.map(|(_, no)| *no).collect();
    world.oracle().stored(world, route, &good);
    if guilty.is_empty() {
        Verdict::Delivered
    } else {
        world.oracle().met(Fault::EventThatIsNeverTaken);
        Verdict::Busy { after: None, suspect: true, detail: "simulated".to_owned() }
    }
}
