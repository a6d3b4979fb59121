//! What an examination found.

use std::fmt;

use ev_tls::CertificateFacts;

use super::words;

/// What was found about a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// The address of audit events.
    pub url: String,
    /// What its side of the TLS handshake showed; `None` without one.
    pub tls: Option<TlsFacts>,
    /// Which Fluentd it behaves as.
    pub family: Family,
    /// The `uid` of the event that was sent, if one was.
    pub event_uid: Option<String>,
    /// Everything worth saying, in the order in which it was found out; at the end what cannot be
    /// told.
    pub findings: Vec<Finding>,
    /// Answers to questions with a body, and to others.
    pub(super) answers: [Answers; 2],
}

/// How questions were answered, as far as that tells whether anything gets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// With success.
    pub(super) taken: u32,
    /// That nothing can be taken now.
    pub(super) busy: u32,
}

/// What a receiver showed in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: String,
    /// Its certificate and those that it sent along.
    pub chain: Vec<CertificateFacts>,
}

/// Versions of Fluentd that can be told apart from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Another receiver, or one whose version makes no difference to its answers.
    #[default]
    Unknown,
    /// 1.12 or earlier.
    V112,
    /// 1.13 to 1.16.
    V113To116,
    /// 1.17 or later: answers 200 to what it cannot parse.
    From117,
}

/// One thing found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// How much it matters.
    pub weight: Weight,
    /// What there is to be done about it, where the topic alone does not say it.
    pub trouble: Trouble,
    /// The finding in words, lower case, without full stop; never an event or a secret.
    pub text: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// TCP, and whether questions are answered at all.
    Connection,
    /// TLS and certificates of both sides.
    Tls,
    /// The answer to a request without a body.
    Presence,
    /// What kind of receiver it is.
    Version,
    /// Whether arrays of events are taken.
    Arrays,
    /// Whether events of Teleport can be read there.
    Parsing,
    /// Whether compressed bodies are taken.
    Gzip,
    /// The address of session recordings.
    Recordings,
    /// What its success is worth.
    Storage,
    /// The marked event.
    Event,
    /// What nobody can tell from outside.
    CannotBeTold,
}

/// What of a topic is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// What the topic says.
    #[default]
    OfTopic,
    /// The receiver answers, and says that it takes nothing now.
    Busy,
    /// The address is not one of TLS.
    Plain,
    /// The receiver's certificate ends soon.
    ItsCertificate,
    /// Our certificate ends soon.
    OurCertificate,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// May lead to trouble.
    Warning,
    /// Events will not be stored like this.
    Problem,
}

impl Examination {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            tls: None,
            family: Family::default(),
            event_uid: None,
            findings: Vec::new(),
            answers: Default::default(),
        }
    }

    /// The weight of the gravest finding.
    pub fn worst(&self) -> Weight {
        self.findings.iter().map(|finding| finding.weight).max().unwrap_or(Weight::Good)
    }

    /// The findings about a topic.
    pub fn about(&self, topic: Topic) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.topic == topic)
    }

    pub(super) fn good(&mut self, topic: Topic, text: impl Into<String>) {
        self.add(topic, Weight::Good, text);
    }

    pub(super) fn note(&mut self, topic: Topic, text: impl Into<String>) {
        self.add(topic, Weight::Note, text);
    }

    pub(super) fn warn(&mut self, topic: Topic, text: impl Into<String>) {
        self.add(topic, Weight::Warning, text);
    }

    pub(super) fn problem(&mut self, topic: Topic, text: impl Into<String>) {
        self.add(topic, Weight::Problem, text);
    }

    /// A warning of one trouble.
    pub(super) fn trouble(&mut self, topic: Topic, trouble: Trouble, text: impl Into<String>) {
        self.findings.push(Finding { topic, weight: Weight::Warning, trouble, text: text.into() });
    }

    fn add(&mut self, topic: Topic, weight: Weight, text: impl Into<String>) {
        self.findings.push(Finding { topic, weight, trouble: Trouble::OfTopic, text: text.into() });
    }

    /// What follows from everything, and what cannot be told.
    pub(super) fn conclude(&mut self) {
        let telling = self.answers.iter().find(|answers| answers.taken + answers.busy > 0);
        if telling.is_some_and(|answers| answers.taken == 0) {
            // Not an event for which there is no room at the moment: nothing gets through.
            let busy = self.findings.iter_mut().filter(|one| one.trouble == Trouble::Busy);
            busy.for_each(|one| one.weight = Weight::Problem);
        }
        // Nobody answered, so there is nothing to conclude.
        if self.about(Topic::Presence).next().is_some() {
            match self.family {
                Family::Unknown => self.note(Topic::Version, words::UNKNOWN),
                Family::V112 => self.note(Topic::Version, words::V112),
                Family::V113To116 => self.good(Topic::Version, words::V113_TO_116),
                Family::From117 => self.warn(Topic::Version, words::FROM_117),
            }
        }
        for text in words::CANNOT_BE_TOLD {
            self.note(Topic::CannotBeTold, text);
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Presence => "presence",
            Self::Version => "version",
            Self::Arrays => "arrays",
            Self::Parsing => "parsing",
            Self::Gzip => "gzip",
            Self::Recordings => "recordings",
            Self::Storage => "storage",
            Self::Event => "event",
            Self::CannotBeTold => "cannot be told",
        })
    }
}
