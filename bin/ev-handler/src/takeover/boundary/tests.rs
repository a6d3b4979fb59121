//! The place in logs that stand in memory.

use ev_core::Timestamp;

use super::*;

/// A log whose order is that of the list, and whose pages have two events.
#[derive(Default)]
struct Listed {
    /// Second and name of each event.
    events: Vec<(i64, u8)>,
    /// By the place in the list, as Auth would make keys.
    keys: bool,
    gaps: Vec<i64>,
    opened: Vec<(i64, i64)>,
    left: VecDeque<Stretch>,
    /// Appended before the n-th page is asked for.
    arrives: Vec<(usize, (i64, u8))>,
    pages: usize,
}

fn digest(name: u8) -> EventDigest {
    EventDigest([name; 16])
}

fn entry((second, name): (i64, u8)) -> Entry {
    let time = Timestamp::new(second, 0);
    let identity = Identity { digest: digest(name), time, index: Some(0), has_uid: true };
    Entry { identity, is_of_type: true }
}

impl Log for Listed {
    fn open(&mut self, from: i64, to: i64) {
        self.opened.push((from, to));
        // A span reaches over its borders.
        let events: Vec<Entry> = self
            .events
            .iter()
            .filter(|(second, _)| (from - 2..=to + 2).contains(second))
            .map(|event| entry(*event))
            .collect();
        self.left = events
            .chunks(2)
            .map(|entries| Stretch { entries: entries.to_vec(), gaps: self.gaps.clone() })
            .collect();
    }

    async fn next(&mut self) -> Result<Option<Stretch>, Error> {
        Ok(self.left.pop_front())
    }

    async fn chunk(
        &mut self,
        _: Date,
        _: &str,
        _: Option<&str>,
    ) -> Result<Result<Vec<Entry>, String>, Error> {
        Ok(Err("there is no export".to_owned()))
    }

    async fn page(&mut self, start: i64, key: &str) -> Result<Result<Page, String>, Error> {
        self.pages += 1;
        let now = self.pages;
        self.events.extend(self.arrives.extract_if(.., |(at, _)| *at == now).map(|(_, e)| e));
        let Some(from) = key.parse::<usize>().ok().filter(|_| self.keys) else {
            return Ok(Err("invalid start key".to_owned()));
        };
        let of_search: Vec<Entry> =
            self.events.iter().filter(|(s, _)| *s >= start).map(|event| entry(*event)).collect();
        let entries: Vec<Entry> = of_search.iter().skip(from).take(2).copied().collect();
        let next = if from + 2 < of_search.len() { (from + 2).to_string() } else { String::new() };
        Ok(Ok(Page { entries, next }))
    }
}

/// Names 1 to 200, one each 100 s, the last one at second 20,000.
fn log() -> Listed {
    let events = (1..=200).map(|name: u8| (i64::from(name) * 100, name)).collect();
    Listed { events, keys: true, ..Listed::default() }
}

const NOW: i64 = 20_030;

fn wanted(cursor: Option<&str>, id: Option<u8>) -> Wanted {
    let ids = id.map(digest).into_iter().collect();
    Wanted { start: 100, cursor: cursor.map(str::to_owned), ids }
}

fn known(name: u8, is_delivered: bool) -> Place {
    Place::Known(At { digest: digest(name), second: i64::from(name) * 100, is_delivered })
}

async fn place(log: &mut Listed, cursor: Option<&str>, id: Option<u8>) -> Place {
    locate(log, &wanted(cursor, id), NOW).await.expect("a log that can be read")
}

#[tokio::test]
async fn the_noted_event_is_found_in_the_noted_page() {
    assert_eq!(place(&mut log(), Some("50"), Some(51)).await, known(51, true));
    assert_eq!(place(&mut log(), Some("50"), Some(52)).await, known(52, true));
}

#[tokio::test]
async fn the_note_of_the_page_may_be_older_by_one() {
    // Killed between writing `id` and `cursor`.
    assert_eq!(place(&mut log(), Some("50"), Some(54)).await, known(54, true));
    // Of which nothing proves that what is in between was sent.
    assert_eq!(place(&mut log(), Some("50"), Some(90)).await, known(51, false));
}

#[tokio::test]
async fn without_the_event_the_page_is_sent_again() {
    assert_eq!(place(&mut log(), Some("50"), None).await, known(51, false));
    assert_eq!(place(&mut log(), Some("50"), Some(240)).await, known(51, false));
}

#[tokio::test]
async fn a_key_that_auth_refuses_leaves_the_event() {
    for cursor in [None, Some("rigk-50"), Some("")] {
        let mut log = log();
        assert_eq!(place(&mut log, cursor, Some(120)).await, known(120, true), "{cursor:?}");
        // Back from the end in growing steps, and no further than it has to.
        let widths: Vec<i64> = log.opened.iter().map(|(from, to)| to - from).collect();
        assert_eq!(widths[..2], [2 * HOUR, 2 * HOUR]);
        assert_eq!(log.opened.len(), 2);
    }
}

/// Where several states have no event noted, none of it need be read.
#[tokio::test]
async fn without_ids_nothing_is_looked_for() {
    let mut log = log();
    assert_eq!(backwards(&mut log, &[], 100, NOW).await.expect("a log that can be read"), None);
    assert!(log.opened.is_empty(), "{:?}", log.opened);
}

#[tokio::test]
async fn the_end_of_the_log_is_a_page_without_events() {
    assert_eq!(place(&mut log(), Some("200"), None).await, known(200, true));
    // One that comes while this is looked at is not delivered.
    let mut log = log();
    log.arrives = vec![(2, (20_010, 201))];
    let at = At { digest: digest(201), second: 20_010, is_delivered: false };
    assert_eq!(place(&mut log, Some("200"), None).await, Place::Known(at));
    let mut empty = Listed { keys: true, ..Listed::default() };
    assert!(matches!(place(&mut empty, Some("0"), None).await, Place::Unknown(_)));
}

#[tokio::test]
async fn what_is_nowhere_is_not_known() {
    let Place::Unknown(why) = place(&mut log(), None, Some(250)).await else { panic!("found") };
    assert_eq!(why, "the log has no event of the noted id");
    let Place::Unknown(why) = place(&mut log(), Some("x"), Some(250)).await else {
        panic!("found")
    };
    assert!(why.contains("and auth takes no such page key"), "{why}");
    let Place::Unknown(why) = place(&mut log(), None, None).await else { panic!("found") };
    assert!(why.starts_with("neither"), "{why}");
}

async fn proven(log: &mut Listed, at: At, floor: i64) -> Delivered {
    match delivered(log, at, floor, NOW).await.expect("a log that can be read") {
        Proven::Everything(delivered) => delivered,
        other => panic!("{other:?}"),
    }
}

fn names(delivered: &Delivered) -> Vec<u8> {
    delivered.entries.iter().map(|entry| entry.identity.digest.0[0]).collect()
}

#[tokio::test]
async fn all_in_front_of_the_place_is_delivered_and_nothing_behind_it() {
    let at = At { digest: digest(150), second: 15_000, is_delivered: true };
    let found = proven(&mut log(), at, 100).await;
    assert_eq!((found.from, found.to), (100, 15_000));
    assert_eq!(names(&found), (1..=150).collect::<Vec<u8>>());
    let before = At { is_delivered: false, ..at };
    assert_eq!(names(&proven(&mut log(), before, 100).await), (1..=149).collect::<Vec<u8>>());
}

#[tokio::test]
async fn it_is_the_place_that_counts_and_no_time() {
    // 2 was stored late, behind the place; 3 in front of it, with a time behind it.
    let events = vec![(1000, 1), (3000, 3), (2000, 9), (1500, 2), (2000, 4), (2500, 5)];
    let mut log = Listed { events, ..Listed::default() };
    let at = At { digest: digest(9), second: 2000, is_delivered: true };
    assert_eq!(names(&proven(&mut log, at, 0).await), [1, 3, 9]);
}

#[tokio::test]
async fn a_day_and_some_hours_in_front_are_known() {
    let from = |second: i64, floor: i64| async move {
        let mut log = Listed { events: vec![(second, 1)], ..Listed::default() };
        let at = At { digest: digest(1), second, is_delivered: true };
        let found = proven(&mut log, at, floor).await;
        // What a search of a window brings from in front of it has to be known too.
        assert_eq!(log.opened[0].0, (found.from - REACH).max(floor));
        found.from
    };
    assert_eq!(from(10 * DAY + 20 * HOUR + 5, 0).await, 10 * DAY, "from midnight on");
    assert_eq!(from(10 * DAY + 2 * HOUR + 5, 0).await, 10 * DAY - 4 * HOUR, "six hours");
    let floor = 10 * DAY + HOUR + 7;
    assert_eq!(from(10 * DAY + 2 * HOUR + 5, floor).await, floor, "nothing in front of the start");
}

#[tokio::test]
async fn around_an_event_that_is_too_large_nothing_is_proved() {
    let mut log = log();
    log.events.extend([(14_900, 210), (15_000, 211)]);
    log.events.sort_by_key(|(second, _)| *second);
    log.gaps = vec![14_900];
    let at = At { digest: digest(150), second: 15_000, is_delivered: true };
    let found = names(&proven(&mut log, at, 100).await);
    assert_eq!(found.last(), Some(&150));
    assert!(!found.contains(&149) && !found.contains(&210) && !found.contains(&211));
    assert!(found.contains(&148));
}

#[tokio::test]
async fn a_place_that_is_gone_proves_nothing() {
    let at = At { digest: digest(250), second: 15_000, is_delivered: true };
    let found = delivered(&mut log(), at, 100, NOW).await.expect("a log that can be read");
    assert!(matches!(found, Proven::Nothing(_)));
}
