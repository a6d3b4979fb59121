//! What can go wrong, by name, so that it can be counted: seeds that never meet one of these show
//! nothing of it.

use std::collections::BTreeMap;

macro_rules! faults {
    ($($name:ident),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault {
            $($name),*
        }

        impl Fault {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

faults! {
    // Auth and the connection to it.
    AnswerLost,
    PageRepeated,
    PageEmpty,
    PageShort,
    KeyStuck,
    KeyRefused,
    SlowedDown,
    AuthDown,
    VersionChanged,
    SourceFailed,
    // The log.
    ReadAgain,
    ReadAgainAfterRestart,
    FoundLate,
    Gap,
    GapMetAgain,
    // Recordings.
    RecordingMissing,
    RecordingAppeared,
    RecordingBroken,
    RecordingSilent,
    // Decoders.
    DecoderFailed,
    EventThatBreaksTheDecoder,
    // The receiver.
    Busy,
    RetryAfter,
    Full,
    Refuses,
    RefusesContent,
    Unreachable,
    Silent,
    AnswerToRequestLost,
    GuiltyEventNamed,
    GuiltyEventNotNamed,
    EventThatIsNeverTaken,
    // The machine.
    StateDown,
    ClockWrong,
    KilledAnywhere,
    KilledBeforeCommit,
    KilledBehindCommit,
    Stopped,
}

/// How often each was met.
pub(crate) type Met = BTreeMap<Fault, u64>;
