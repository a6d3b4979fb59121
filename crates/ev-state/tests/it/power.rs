//! A power cut: what was not synced is lost, in part, or other than it was written.
//!
//! The model: when a commit returns, what the files hold is safe. From then on a sector of 512
//! bytes that was written to is the old one, the new one, or anything, until the next commit
//! returns; a file that has grown may have any length between. First the log is written and
//! synced; only then is it copied into the database, which is synced before the log is written
//! from its start again, its head first, which is synced before the rest. So a cut finds either a
//! torn log beside a whole database, or a whole log beside a torn database.

use std::fs;
use std::path::Path;

use ev_core::StateError;
use ev_state::SqliteStore;

use crate::numbered::{Dice, Numbered};
use crate::{child, database};

const SECTOR: usize = 512;

/// Length of the log's head.
const HEAD: usize = 32;

/// The two files, as they would be found.
#[derive(Clone)]
struct Disk {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Disk {
    fn of(storage: &Path) -> Self {
        let path = database(storage);
        let log = fs::read(path.with_extension("db-wal")).expect("readable");
        Self { database: fs::read(path).expect("readable"), log }
    }

    /// Opens the state that these files make.
    fn open(&self) -> Result<(tempfile::TempDir, SqliteStore), StateError> {
        let storage = child::fast_directory();
        fs::create_dir(storage.path().join("ev-state")).expect("can be made");
        let path = database(storage.path());
        fs::write(&path, &self.database).expect("writable");
        fs::write(path.with_extension("db-wal"), &self.log).expect("writable");
        let store = SqliteStore::open(storage.path())?;
        Ok((storage, store))
    }
}

/// What a sector that was being written holds after the cut.
#[derive(Clone, Copy, Debug)]
enum Tear {
    /// Nothing of it arrived.
    Lost,
    /// The first sectors arrived, in their order.
    Cut,
    /// Each arrived or not.
    Mixed,
    /// Each arrived, or not, or as zeros, or as something else.
    Scrambled,
}

const TEARS: [Tear; 4] = [Tear::Lost, Tear::Cut, Tear::Mixed, Tear::Scrambled];

/// A file that held `safe` and was being written to hold `new`, after the cut.
fn torn(safe: &[u8], new: &[u8], tear: Tear, dice: &mut Dice) -> Vec<u8> {
    let sectors = new.len().div_ceil(SECTOR);
    let range = |n: usize, of: &[u8]| (n * SECTOR).min(of.len())..((n + 1) * SECTOR).min(of.len());
    let differ: Vec<usize> =
        (0..sectors).filter(|n| safe[range(*n, safe)] != new[range(*n, new)]).collect();
    let cut = usize::try_from(dice.roll(differ.len() as u64 + 1)).expect("small");
    let mut found = new.to_vec();
    for (at, n) in differ.into_iter().enumerate() {
        let old = safe[range(n, safe)].to_vec();
        let place = &mut found[range(n, new)];
        let choice = match tear {
            Tear::Lost => 0,
            Tear::Cut => u64::from(at < cut),
            Tear::Mixed => dice.roll(2),
            Tear::Scrambled => dice.roll(4),
        };
        match choice {
            // Where the file had not been so long, there are zeros.
            0 => {
                place.fill(0);
                let len = old.len().min(place.len());
                place[..len].copy_from_slice(&old[..len]);
            }
            1 => {}
            2 => place.fill(0),
            _ => place.iter_mut().for_each(|byte| *byte = dice.byte()),
        }
    }
    // How long the file is now is written at another time than what is in it.
    if new.len() > safe.len() && dice.roll(2) == 0 {
        let grown = dice.roll((new.len() - safe.len()) as u64 + 1);
        found.truncate(safe.len() + usize::try_from(grown).expect("small"));
    }
    found
}

/// Cuts the power after every `step`-th of `commits` commits, and on the way to the next, in every
/// way. Returns how many cuts there were, and how many of them lost the commit under way.
fn cuts(commits: u64, step: u64, seed: u64) -> (u64, u64) {
    let storage = child::fast_directory();
    let mut numbered = Numbered::new(SqliteStore::open(storage.path()).expect("opens"));
    let mut dice = Dice(seed);
    numbered.commit().expect("commits");
    let mut safe = Disk::of(storage.path());
    let (mut done, mut lost, mut copied, mut restarted) = (0, 0, 0, 0);
    while numbered.last < commits {
        numbered.commit().expect("commits");
        let new = Disk::of(storage.path());
        let was_copied = new.database != safe.database;
        let head = &new.log[..HEAD];
        let was_restarted = head != &safe.log[..HEAD];
        copied += u64::from(was_copied);
        restarted += u64::from(was_restarted);
        // What is rare is looked at each time.
        if numbered.last.is_multiple_of(step) || was_copied || was_restarted {
            let mut with_head = safe.clone();
            with_head.log[..HEAD].copy_from_slice(head);
            for tear in TEARS {
                if was_restarted {
                    let log = torn(&safe.log, &with_head.log, tear, &mut dice);
                    let disk = Disk { log, ..safe.clone() };
                    after(&disk, numbered.last - 1, numbered.last - 1, tear);
                    done += 1;
                }
                let log = torn(&with_head.log, &new.log, tear, &mut dice);
                let disk = Disk { log, ..safe.clone() };
                let found = after(&disk, numbered.last - 1, numbered.last, tear);
                lost += u64::from(found < numbered.last);
                done += 1;
                if was_copied {
                    let database = torn(&safe.database, &new.database, tear, &mut dice);
                    let disk = Disk { database, ..new.clone() };
                    after(&disk, numbered.last, numbered.last, tear);
                    done += 1;
                }
            }
        }
        safe = new;
    }
    eprintln!("{commits} commits, {copied} copies, {restarted} restarts of the log, {done} cuts");
    assert!(copied > 0 && restarted > 1, "the log went round: {copied}, {restarted}");
    assert!(lost > 0 && lost < done, "cuts fell on both sides of a commit: {lost} of {done}");
    (done, lost)
}

/// The commit whose state is found, which must be one of two; it can be gone on with.
#[track_caller]
fn after(disk: &Disk, oldest: u64, newest: u64, tear: Tear) -> u64 {
    let (_storage, store) = match disk.open() {
        Ok(opened) => opened,
        Err(error) => panic!("{tear:?} on the way to {newest}: {error}"),
    };
    let mut numbered = Numbered::new(store);
    let found = numbered.last;
    assert!(found >= oldest, "{tear:?}: {oldest} was durable, {found} is there");
    assert!(found <= newest, "{tear:?}: {found} was never written");
    numbered.commit().expect("goes on");
    found
}

#[test]
fn what_was_durable_is_there_after_a_power_cut() {
    cuts(400, 10, 1);
}

#[test]
#[ignore = "the long form: some minutes"]
fn what_was_durable_is_there_after_a_power_cut_long() {
    for seed in 2..7 {
        cuts(1500, 3, seed);
    }
}

/// The model would notice: where what was synced is lost as well, older states come back.
#[test]
fn losing_what_was_synced_is_noticed() {
    let storage = child::fast_directory();
    let mut numbered = Numbered::new(SqliteStore::open(storage.path()).expect("opens"));
    let mut lengths = vec![0];
    for _ in 0..10 {
        numbered.commit().expect("commits");
        lengths.push(Disk::of(storage.path()).log.len());
    }
    let mut disk = Disk::of(storage.path());
    for n in (0..=10).rev() {
        disk.log.truncate(lengths[n]);
        let (_storage, store) = disk.open().expect("opens");
        assert_eq!(Numbered::new(store).last, n as u64, "it was in the log when it returned");
    }
}
