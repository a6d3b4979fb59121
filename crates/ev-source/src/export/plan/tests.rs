use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { per_date: 2, total: 3, backlog: 2 };

fn day(n: i64) -> Date {
    Date::of(1_800_000_000).plus(n)
}

fn fresh(today: i64) -> (Plan, Turn) {
    let nothing = Left { days: vec![], open: vec![], done: vec![] };
    let (mut plan, mut turn) = Plan::new(LIMITS, day(0).start() + 5, nothing);
    let more = plan.turn(day(today));
    turn.opened.extend(more.opened);
    (plan, turn)
}

/// Reads the list of a date: `names` stand in it.
fn list(plan: &mut Plan, of: i64, names: &[&str], today: i64) -> Turn {
    plan.list_begins(day(of));
    for name in names {
        plan.find(day(of), (*name).to_owned());
    }
    plan.list_ends(day(of));
    plan.turn(day(today))
}

fn begun(plan: &mut Plan) -> Vec<(i64, String)> {
    let found = std::iter::from_fn(|| plan.begin());
    found.map(|(at, name)| (at.start() / 86_400 - day(0).start() / 86_400, name)).collect()
}

fn opened(days: &[i64]) -> Turn {
    Turn { opened: days.iter().map(|n| day(*n)).collect(), ..Turn::default() }
}

#[test]
fn a_date_is_left_when_its_chunks_are_read_and_none_is_new() {
    let (mut plan, turn) = fresh(1);
    assert_eq!(turn, opened(&[0]));
    assert_eq!(list(&mut plan, 0, &["a", "b"], 1), Turn::default(), "two are to be read");
    assert_eq!(begun(&mut plan), [(0, "a".into()), (0, "b".into())]);
    assert!(!plan.end(day(0), false));
    assert!(plan.end(day(0), false), "the list is read again at once");
    assert_eq!(list(&mut plan, 0, &["b", "a"], 1), opened(&[1]));
    assert!(!plan.is_idle(day(1)), "today was not looked at");
    assert_eq!(list(&mut plan, 1, &[], 1), Turn::default());
    assert!(plan.is_idle(day(1)));
    assert!(!plan.is_idle(day(2)));
    // Late, and read although the date is past.
    assert_eq!(list(&mut plan, 0, &["b", "c", "a"], 1), Turn::default());
    assert_eq!(begun(&mut plan), [(0, "c".into())]);
    assert!(!plan.is_idle(day(1)));
}

#[test]
fn few_chunks_of_a_date_are_read_at_once_and_few_in_all() {
    let (mut plan, _) = fresh(0);
    list(&mut plan, 0, &["a", "b", "c", "d"], 0);
    assert_eq!(begun(&mut plan).len(), 2);
    assert_eq!(plan.begin(), None);
    plan.end(day(0), false);
    assert_eq!(begun(&mut plan), [(0, "c".into())]);

    let left = Left {
        days: vec![day(0), day(1), day(2)],
        open: ["a", "b"].map(|name| (day(0), name.to_owned())).to_vec(),
        done: vec![],
    };
    let (mut plan, turn) = Plan::new(LIMITS, 0, left);
    assert_eq!(turn, Turn::default());
    list(&mut plan, 1, &["c", "d"], 2);
    let all = begun(&mut plan);
    assert_eq!(all, [(0, "a".into()), (0, "b".into()), (1, "c".into())], "the oldest first");
}

#[test]
fn a_chunk_that_fails_for_ever_holds_up_no_other_and_no_date() {
    let (mut plan, _) = fresh(9);
    list(&mut plan, 0, &["bad", "worse", "good"], 9);
    assert_eq!(begun(&mut plan).len(), 2);
    plan.trouble(day(0), true);
    plan.trouble(day(0), true);
    assert_eq!(begun(&mut plan), [(0, "good".into())], "they leave their places");
    plan.end(day(0), false);
    assert_eq!(list(&mut plan, 0, &["bad", "worse", "good"], 9), opened(&[1]));
    for n in 1..9 {
        assert!(list(&mut plan, n, &[], 9).opened.contains(&day(n + 1)), "{n}");
    }
    list(&mut plan, 9, &[], 9);
    assert!(!plan.is_idle(day(9)) && plan.has(day(0)), "but nothing is forgotten");
    // They can be read after all.
    for _ in 0..2 {
        plan.end(day(0), true);
    }
    for n in plan.days().collect::<Vec<_>>() {
        plan.list_begins(n);
        plan.list_ends(n);
    }
    assert!(plan.is_idle(day(9)));
}

#[test]
fn a_chunk_in_trouble_that_ends_leaves_no_trouble_behind() {
    let (mut plan, _) = fresh(0);
    list(&mut plan, 0, &["a", "b"], 0);
    assert_eq!(begun(&mut plan).len(), 2);
    plan.trouble(day(0), true);
    plan.end(day(0), true);
    plan.end(day(0), false);
    list(&mut plan, 0, &["a", "b", "c", "d", "e"], 0);
    assert_eq!(begun(&mut plan).len(), LIMITS.per_date, "room for as many as ever");
}

#[test]
fn a_date_whose_list_fails_for_ever_holds_up_no_other() {
    let (mut plan, _) = fresh(9);
    let broken = |plan: &mut Plan, of: i64, names: &[&str]| {
        plan.list_begins(day(of));
        for name in names {
            plan.find(day(of), (*name).to_owned());
        }
        plan.turn(day(9))
    };
    assert_eq!(broken(&mut plan, 0, &["a"]), Turn::default(), "once is not for ever");
    assert_eq!(begun(&mut plan).len(), 1);
    assert!(plan.list_fails(day(0)) && !plan.list_fails(day(0)));
    assert_eq!(plan.turn(day(9)), Turn::default(), "a chunk of it is being read");
    plan.end(day(0), false);
    assert_eq!(plan.turn(day(9)), opened(&[1]));
    for n in 1..9 {
        assert!(list(&mut plan, n, &[], 9).opened.contains(&day(n + 1)), "{n}");
    }
    list(&mut plan, 9, &[], 9);
    assert!(!plan.is_idle(day(9)) && plan.has(day(0)), "but it is looked at on and on");
    list(&mut plan, 0, &["a", "b"], 9);
    assert_eq!(begun(&mut plan), [(0, "b".into())]);
    plan.end(day(0), false);
    for n in plan.days().collect::<Vec<_>>() {
        plan.list_begins(n);
        plan.list_ends(n);
    }
    assert!(plan.is_idle(day(9)));
}

#[test]
fn when_no_list_can_be_read_the_dates_are_not_walked_through() {
    let (mut plan, _) = fresh(1_000);
    let mut reached = 0;
    while plan.list_fails(day(reached)) {
        reached += i64::from(!plan.turn(day(1_000)).opened.is_empty());
    }
    assert_eq!(reached, FAILING_LISTS - 1);
    // One of them is enough to go on.
    assert_eq!(list(&mut plan, reached, &[], 1_000).opened, [day(reached + 1)]);
}

#[test]
fn a_date_is_looked_at_once_more_before_it_is_given_up() {
    let (mut plan, _) = fresh(3);
    list(&mut plan, 0, &["a"], 3);
    assert_eq!(begun(&mut plan).len(), 1);
    plan.end(day(0), false);
    list(&mut plan, 0, &["a"], 3);
    for n in 1..3 {
        list(&mut plan, n, &["x"], 3);
        assert_eq!(begun(&mut plan).len(), 1);
        plan.end(day(n), false);
        assert_eq!(list(&mut plan, n, &["x"], 3), opened(&[n + 1]));
    }
    // Begun before it is known that the date will be left.
    plan.list_begins(day(0));
    assert_eq!(list(&mut plan, 3, &["x"], 3).again, [day(0)]);
    plan.list_ends(day(0));
    assert_eq!(plan.turn(day(3)), Turn::default(), "a list begun before does not count");
    let late = list(&mut plan, 0, &["late", "a"], 3);
    let both = vec![(0, "late".to_owned()), (3, "x".to_owned())];
    assert_eq!((late, begun(&mut plan)), (Turn::default(), both));
    plan.end(day(0), false);
    assert_eq!(list(&mut plan, 0, &["late", "a"], 3).retired, [day(0)]);
}

#[test]
fn a_clock_that_is_far_ahead_gives_up_nothing_that_auth_writes_to() {
    let (mut plan, _) = fresh(0);
    list(&mut plan, 0, &["a"], 0);
    begun(&mut plan);
    plan.end(day(0), false);
    list(&mut plan, 0, &["a"], 0);
    // A month passes at once.
    let look = |plan: &mut Plan, chunks: &dyn Fn(Date) -> Vec<String>, today: i64| {
        for _ in 0..80 {
            for at in plan.days().collect::<Vec<_>>() {
                plan.list_begins(at);
                for name in chunks(at) {
                    plan.find(at, name);
                }
                plan.list_ends(at);
                while let Some((of, _)) = plan.begin() {
                    plan.end(of, false);
                }
                plan.turn(day(today));
            }
        }
    };
    look(&mut plan, &|at| if at == day(0) { vec!["a".into()] } else { vec![] }, 30);
    let days: Vec<Date> = plan.days().collect();
    assert_eq!(days, [0, 1, 28, 29, 30].map(day));
    // Auth goes on where it is, a date a day.
    for n in 1..=30 {
        let there = |at: Date| if at <= day(n) { vec![format!("of {at}")] } else { vec![] };
        let known = |plan: &Plan| plan.days[&day(n)].known.len();
        look(&mut plan, &there, 30);
        assert_eq!(known(&plan), 1, "{n}");
    }
    assert_eq!(plan.days().collect::<Vec<_>>(), [28, 29, 30].map(day));
}

#[test]
fn a_start_before_there_was_any_log_begins_where_one_can_be() {
    let nothing = Left::<String> { days: vec![], open: vec![], done: vec![] };
    let (plan, turn) = Plan::new(LIMITS, -62_135_596_800, nothing);
    assert_eq!(turn.opened, [Date::parse("2015-01-01").expect("a date")]);
    assert_eq!(plan.days().count(), 1);
}

#[test]
fn what_is_left_of_a_date_that_was_given_up_is_forgotten() {
    let name = |n: i64, name: &str| (day(n), name.to_owned());
    let left = Left {
        days: vec![day(5)],
        open: vec![],
        done: vec![name(1, "a"), name(1, "b"), name(5, "c")],
    };
    let (mut plan, turn) = Plan::new(LIMITS, 0, left);
    assert_eq!(turn, Turn { retired: vec![day(1)], ..Turn::default() });
    list(&mut plan, 5, &["c"], 5);
    assert!(plan.is_idle(day(5)) && plan.begin().is_none());
}

/// What becomes durable, in the order in which it happens.
#[derive(Clone, Debug)]
enum Fact {
    Opened(Date),
    Begun(Date, String),
    Ended(Date, String),
    Retired(Date),
}

/// A run of the plan against an Auth to which chunks are added, with a state that lags behind.
struct Run {
    auth: BTreeMap<Date, Vec<String>>,
    plan: Plan,
    /// What is being read, and whether it is in trouble.
    reading: Vec<(Date, String, bool)>,
    today: i64,
    names: usize,
    /// Not durable yet.
    pending: Vec<Fact>,
    days: BTreeSet<Date>,
    open: BTreeSet<(Date, String)>,
    done: BTreeSet<(Date, String)>,
    /// How often each chunk was read to its end, as the state has it.
    reads: BTreeMap<String, usize>,
}

impl Run {
    fn new() -> Self {
        let (plan, turn) = fresh(3);
        let mut run = Self {
            auth: BTreeMap::new(),
            plan,
            reading: Vec::new(),
            today: 3,
            names: 0,
            pending: Vec::new(),
            days: BTreeSet::new(),
            open: BTreeSet::new(),
            done: BTreeSet::new(),
            reads: BTreeMap::new(),
        };
        run.turned(turn);
        run
    }

    fn turned(&mut self, turn: Turn) {
        self.pending.extend(turn.opened.into_iter().map(Fact::Opened));
        self.pending.extend(turn.retired.into_iter().map(Fact::Retired));
    }

    /// Auth has one more chunk: of a date that is not passed, or one of those looked at still.
    fn appear(&mut self, at: usize) {
        let first = self.plan.current.plus(-LIMITS.backlog);
        let last = day(self.today);
        let dates: Vec<Date> = (0..40).map(day).filter(|d| *d >= first && *d <= last).collect();
        let of = dates[at % dates.len()];
        self.names += 1;
        self.auth.entry(of).or_default().push(format!("chunk {}", self.names));
    }

    /// Reads the list of some date; `part` of it, if it breaks off.
    fn list(&mut self, at: usize, part: Option<usize>) {
        let days: Vec<Date> = self.plan.days().collect();
        let of = days[at % days.len()];
        let mut names = self.auth.get(&of).cloned().unwrap_or_default();
        // In no particular order.
        let turn = at % names.len().max(1);
        names.rotate_left(turn);
        self.plan.list_begins(of);
        let take = part.map_or(names.len(), |part| part % (names.len() + 1));
        for name in names.into_iter().take(take) {
            self.plan.find(of, name);
        }
        match part {
            None => self.plan.list_ends(of),
            Some(part) => {
                if part % 2 == 0 {
                    self.plan.list_fails(of);
                }
            }
        }
        let turn = self.plan.turn(day(self.today));
        self.turned(turn);
    }

    fn begin(&mut self) {
        while let Some((of, name)) = self.plan.begin() {
            self.pending.push(Fact::Begun(of, name.clone()));
            self.reading.push((of, name, false));
            let at_once = self.reading.iter().filter(|(.., troubled)| !troubled).count();
            assert!(at_once <= LIMITS.total);
        }
    }

    fn trouble(&mut self, at: usize) {
        let count = self.reading.len().max(1);
        if let Some((of, _, troubled)) = self.reading.get_mut(at % count)
            && !std::mem::replace(troubled, true)
        {
            self.plan.trouble(*of, true);
        }
    }

    fn end(&mut self, at: usize) {
        if self.reading.is_empty() {
            return;
        }
        let (of, name, troubled) = self.reading.swap_remove(at % self.reading.len());
        self.plan.end(of, troubled);
        self.pending.push(Fact::Ended(of, name));
    }

    /// The first of the pending facts become durable, in one step.
    fn commit(&mut self, count: usize) {
        for fact in self.pending.drain(..count.min(self.pending.len())) {
            match fact {
                Fact::Opened(of) => drop(self.days.insert(of)),
                Fact::Begun(of, name) => drop(self.open.insert((of, name))),
                Fact::Ended(of, name) => {
                    *self.reads.entry(name.clone()).or_default() += 1;
                    self.open.remove(&(of, name.clone()));
                    self.done.insert((of, name));
                }
                Fact::Retired(of) => {
                    assert!(!self.open.iter().any(|(at, _)| *at == of), "still being read");
                    self.days.remove(&of);
                    self.done.retain(|(at, _)| *at != of);
                }
            }
        }
    }

    fn crash(&mut self) {
        self.pending.clear();
        self.reading.clear();
        let left = Left {
            days: self.days.iter().copied().collect(),
            open: self.open.iter().cloned().collect(),
            done: self.done.iter().cloned().collect(),
        };
        let (plan, turn) = Plan::new(LIMITS, day(0).start() + 5, left);
        self.plan = plan;
        self.turned(turn);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Appear(usize),
    List(usize, Option<usize>),
    Trouble(usize),
    End(usize),
    Commit(usize),
    Crash,
    Midnight,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<usize>().prop_map(Step::Appear),
        8 => (any::<usize>(), any::<Option<usize>>()).prop_map(|(at, part)| Step::List(at, part)),
        6 => any::<usize>().prop_map(Step::End),
        2 => any::<usize>().prop_map(Step::Trouble),
        3 => (0usize..9).prop_map(Step::Commit),
        1 => Just(Step::Crash),
        1 => Just(Step::Midnight),
    ]
}

proptest! {
    /// Whatever is cut off whenever: every chunk that appears is read to its end, once.
    #[test]
    fn every_chunk_is_read_once_over_any_restarts(
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut run = Run::new();
        for step in steps {
            match step {
                Step::Appear(at) => run.appear(at),
                Step::List(at, part) => run.list(at, part),
                Step::Trouble(at) => run.trouble(at),
                Step::End(at) => run.end(at),
                Step::Commit(count) => run.commit(count),
                Step::Crash => run.crash(),
                Step::Midnight => run.today = (run.today + 1).min(35),
            }
            run.begin();
        }
        for at in 0.. {
            // Every date is looked at once more, whatever was found before.
            if at >= 60 && run.plan.is_idle(day(run.today)) {
                break;
            }
            prop_assert!(at < 20_000, "it ends");
            run.list(at, None);
            run.begin();
            run.end(at);
        }
        run.commit(usize::MAX);
        let all: BTreeSet<&String> = run.auth.values().flatten().collect();
        prop_assert_eq!(run.reads.keys().collect::<BTreeSet<_>>(), all);
        prop_assert!(run.reads.values().all(|count| *count == 1), "{:?}", run.reads);
    }
}

thread_local! {
    static COMPARISONS: Cell<u64> = const { Cell::new(0) };
}

/// A name that counts how often it is compared.
#[derive(Clone, Debug)]
struct Counting(u32);

impl PartialEq for Counting {
    fn eq(&self, other: &Self) -> bool {
        COMPARISONS.set(COMPARISONS.get() + 1);
        self.0 == other.0
    }
}

impl Eq for Counting {}

impl Hash for Counting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn a_hundred_thousand_chunks_cost_a_hundred_thousand_looks_a_list() {
    const CHUNKS: u32 = 100_000;
    const LISTS: u64 = 5;
    let done = (0..CHUNKS / 2).map(|n| (day(0), Counting(n))).collect();
    let left = Left { days: vec![day(0)], open: vec![], done };
    let (mut plan, _) = Plan::new(LIMITS, 0, left);
    let mut read = 0;
    for _ in 0..LISTS {
        plan.list_begins(day(0));
        for n in 0..CHUNKS {
            plan.find(day(0), Counting(n));
            while let Some((of, _)) = plan.begin() {
                plan.end(of, false);
                read += 1;
            }
        }
        plan.list_ends(day(0));
        plan.turn(day(0));
    }
    assert_eq!(read, CHUNKS / 2);
    assert!(plan.is_idle(day(0)));
    // One for a name that is known, and few for those whose hashes collide.
    let most = u64::from(CHUNKS) * (LISTS + 3);
    assert!(COMPARISONS.get() <= most, "{} comparisons", COMPARISONS.get());
}
