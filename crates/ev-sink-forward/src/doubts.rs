//! Chunks that stayed without an acknowledgement.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// So many are remembered. More are not under way at one time by far; one that is forgotten is
/// taken for one in doubt for the first time.
const KEPT: usize = 1024;

/// Remembers which chunks are in doubt, by their ids.
#[derive(Default)]
pub(crate) struct Doubts(Mutex<VecDeque<String>>);

impl Doubts {
    /// A chunk stayed without its acknowledgement; whether it has before.
    pub(crate) fn again(&self, id: &str) -> bool {
        // Nothing in here can be left half done by a panic.
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.iter().any(|known| known == id) {
            return true;
        }
        if ids.len() == KEPT {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
        false
    }

    /// A chunk was acknowledged.
    pub(crate) fn settled(&self, id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|known| known != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_doubt_is_known_as_one() {
        let doubts = Doubts::default();
        assert_eq!((doubts.again("a"), doubts.again("b"), doubts.again("a")), (false, false, true));
        doubts.settled("a");
        assert_eq!((doubts.again("a"), doubts.again("b")), (false, true));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let doubts = Doubts::default();
        for number in 0..=KEPT {
            assert!(!doubts.again(&number.to_string()));
        }
        assert!(!doubts.again("0"), "it had to make room");
        assert!(doubts.again(&KEPT.to_string()));
    }
}
