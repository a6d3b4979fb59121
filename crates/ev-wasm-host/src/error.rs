use std::fmt;

use ev_core::BoxError;

/// A module was refused, or a guest failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine or its clock could not be started: our own trouble.
    #[error("failed to start the WebAssembly engine")]
    Engine(#[source] BoxError),
    /// The module is larger than is looked at.
    #[error("module of {size} bytes is larger than the limit of {limit}")]
    ModuleTooLarge {
        /// Its size in bytes.
        size: usize,
        /// [`crate::Limits::module_bytes`].
        limit: usize,
    },
    /// No valid module, or it uses a WebAssembly feature that is off (SIMD, threads, …).
    #[error("module is not valid")]
    InvalidModule(#[source] BoxError),
    /// The module wants something from the host that no module gets.
    #[error("module imports `{module}.{name}`, which this host does not offer")]
    Import {
        /// Where from, cut and freed of control characters.
        module: String,
        /// What, cut and freed of control characters.
        name: String,
    },
    /// The module imports only what is offered to modules of other toolchains, and the setting for
    /// these is off.
    #[error(
        "module imports `{}.{name}`; modules that need WASI are taken only with `allow-wasi-modules = true` under `[decoder]`",
        crate::wasi::MODULE
    )]
    WasiNotAllowed {
        /// The first function that it imports.
        name: &'static str,
    },
    /// A function that is offered is imported with another type.
    #[error("module imports `{}.{name}` as {found} instead of {expected}", crate::wasi::MODULE)]
    MistypedImport {
        /// Its name.
        name: &'static str,
        /// What WASI says.
        expected: &'static str,
        /// What the module wants.
        found: String,
    },
    /// The module was built for a JavaScript host.
    #[error(
        "module was built with GOOS=js: it imports `{import}`, which needs a JavaScript host, and does not export {missing}; build it with GOOS=wasip1 -buildmode=c-shared"
    )]
    GoJs {
        /// The first import from that host.
        import: String,
        /// The exports of the ABI that it lacks, each in backticks.
        missing: String,
    },
    /// An export of the ABI is not there.
    #[error("module does not export `{name}`")]
    MissingExport {
        /// Its name.
        name: &'static str,
    },
    /// An export of the ABI has another type.
    #[error("module exports `{name}` as {found} instead of {expected}")]
    MistypedExport {
        /// Its name.
        name: &'static str,
        /// What the ABI asks for.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Not exactly one memory.
    #[error("module has {count} memories instead of one")]
    Memories {
        /// How many.
        count: usize,
    },
    /// The memory is too large from the start.
    #[error("module asks for {bytes} bytes of memory at its start; the limit is {limit}")]
    InitialMemory {
        /// Declared minimum in bytes.
        bytes: u64,
        /// [`crate::Limits::initial_memory_bytes`].
        limit: usize,
    },
    /// Code would run before the host asks for anything.
    #[error("module has a start function")]
    StartFunction,
    /// The compiler refused a valid module.
    #[error("failed to compile the module")]
    Compile(#[source] BoxError),
    /// The module cannot be instantiated within its limits.
    #[error("failed to instantiate the module")]
    Instantiate(#[source] BoxError),
    /// The module speaks another ABI.
    #[error("module speaks ABI version {found}; this host speaks {}", ev_core::abi::ABI_VERSION)]
    AbiVersion {
        /// What it answered.
        found: u32,
    },
    /// The guest trapped.
    #[error("guest trapped")]
    Trap(#[source] BoxError),
    /// The guest used up the time of its call.
    #[error("guest was stopped at its deadline of {allowed_ms} ms")]
    Deadline {
        /// Time it had, in milliseconds.
        allowed_ms: u128,
    },
    /// The guest failed after it was refused more memory.
    #[error("guest failed at its memory limit of {limit} bytes")]
    MemoryLimit {
        /// [`crate::Limits::memory_bytes`].
        limit: usize,
    },
    /// The guest nested its calls too deeply.
    #[error("guest failed at its stack limit of {limit} bytes")]
    StackLimit {
        /// [`crate::Limits::stack_bytes`].
        limit: usize,
    },
    /// The guest gave no buffer for the batch.
    #[error("guest refused a buffer of {bytes} bytes")]
    NoBuffer {
        /// Size asked for.
        bytes: u32,
    },
    /// The guest refused a whole batch.
    #[error("guest refused the batch: {text}")]
    Refused {
        /// What it said, cut and freed of control characters.
        text: String,
    },
    /// The guest's answer is too long, or not in its memory.
    #[error("guest answered with {len} bytes at {address}, which {problem}")]
    AnswerPlace {
        /// Address in the guest's memory.
        address: u32,
        /// Length in bytes.
        len: u32,
        /// What is wrong with that.
        problem: &'static str,
    },
    /// The guest's answer is not true.
    #[error("guest lied about event {event} of the batch")]
    Lie {
        /// Index of the event in its batch.
        event: usize,
        /// How.
        #[source]
        lie: Lie,
    },
    /// Bytes stand behind the last record of the answer.
    #[error("guest answered for more events than it was asked about")]
    TooManyRecords,
    /// The module only reads `events.OneOf`.
    #[error("a module cannot decode an event of the unstructured form")]
    Form,
    /// A decoder does not agree with the native one.
    #[error("self-test failed at event {event}: {what}")]
    SelfTest {
        /// Index of the event in the set.
        event: usize,
        /// What differs; holds no event content.
        what: String,
    },
    /// A decoder failed in its self-test.
    #[error("decoder failed in its self-test")]
    SelfTestFailed(#[source] BoxError),
}

/// What a guest claimed and the host disproved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lie {
    /// The answer ends before the record does.
    #[error("the answer ends inside its record")]
    Truncated,
    /// The record's length does not fit what must be in it.
    #[error("its record length is too small")]
    RecordLength,
    /// No known status.
    #[error("its status {0} is not defined")]
    Status(u32),
    /// A span that reaches behind the event's end.
    #[error("the {0} lies outside of the event")]
    Outside(Fact),
    /// A fact that is not what the event's bytes say.
    #[error("the {0} is not that of the event")]
    NotInEvent(Fact),
    /// Facts that must be there and are not.
    #[error("the {0} is missing")]
    Missing(Fact),
    /// A payload where there must be none.
    #[error("a payload stands where none belongs")]
    UnexpectedPayload,
    /// The text of what was wrong is empty, too long, or not UTF-8.
    #[error("the text of what was wrong is empty, too long or not UTF-8")]
    Text,
    /// The JSON is not UTF-8.
    #[error("the JSON is not UTF-8")]
    NotUtf8,
    /// The JSON is not one object.
    #[error("the JSON is not a single valid object (offset {at})")]
    NotAnObject {
        /// Where the first fault was found, in the JSON.
        at: usize,
    },
    /// The JSON of a page is longer than any honest decoder makes it.
    #[error("the JSON of these events is longer than 256 MiB")]
    OutputTooLong,
    /// A top-level key of the JSON is not what the event's bytes say.
    #[error("the JSON's key `{key}` is not that of the event")]
    Identity {
        /// `event`, `uid`, `time` or `ei`.
        key: &'static str,
    },
}

/// The parts of an answer that can be held against the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Offset of the first trouble.
    Trouble,
    /// `OneOf` case.
    Case,
    /// Event type.
    Kind,
    /// Unique id.
    Uid,
    /// Session id.
    Session,
    /// Time.
    Time,
    /// Index.
    Index,
    /// Id digest.
    Digest,
    /// Login facts.
    Login,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trouble => "offset of the first trouble",
            Self::Case => "case",
            Self::Kind => "event type",
            Self::Uid => "uid",
            Self::Session => "session id",
            Self::Time => "time",
            Self::Index => "index",
            Self::Digest => "id digest",
            Self::Login => "login facts",
        })
    }
}
