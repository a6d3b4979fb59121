//! What each engine said last, for when it does not answer.

use ev_core::SinkId;

/// The last answer for each sink, with the number of the engine that gave it.
#[derive(Debug)]
pub(super) struct Last<T>(Vec<(SinkId, u64, T)>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Last<T> {
    /// What that engine says now, or said last. Nothing of one that has not answered yet: what the
    /// one before it said is not its own.
    pub(super) fn note(&mut self, sink: &SinkId, number: u64, said: Option<T>) -> Option<T> {
        let place = self.0.iter_mut().find(|(of, ..)| of == sink);
        match (said, place) {
            (Some(said), None) => {
                self.0.push((sink.clone(), number, said.clone()));
                Some(said)
            }
            (Some(said), Some((_, of, last))) => {
                // Who has asked the one before may be told late.
                if *of <= number {
                    (*of, *last) = (number, said.clone());
                }
                Some(said)
            }
            (None, Some((_, of, last))) if *of == number => Some(last.clone()),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_never_has_the_words_of_another() {
        let (one, other) = (SinkId("fluentd".to_owned()), SinkId("file".to_owned()));
        let mut last = Last::default();
        assert_eq!(last.note(&one, 1, None), None);
        assert_eq!(last.note(&one, 1, Some(10)), Some(10));
        assert_eq!(last.note(&one, 1, None), Some(10));
        assert_eq!(last.note(&other, 2, None), None, "of another sink");
        assert_eq!(last.note(&one, 3, None), None, "the next has not answered yet");
        assert_eq!(last.note(&one, 1, None), Some(10), "who has asked before");
        assert_eq!(last.note(&one, 3, Some(5)), Some(5));
        assert_eq!(last.note(&one, 1, Some(11)), Some(11));
        assert_eq!(last.note(&one, 3, None), Some(5));
    }
}
