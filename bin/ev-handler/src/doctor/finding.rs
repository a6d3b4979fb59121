//! What was found on the road, and how it is told.

use std::fmt;

use serde::Serialize;

use crate::exit::Exit;
use crate::text::harmless;

/// A part of the road. What is behind a part that does not work is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Configuration,
    Storage,
    Space,
    Lock,
    State,
    Diag,
    AuthCredentials,
    AuthName,
    AuthConnection,
    AuthVersion,
    AuthClock,
    AuthCalls,
    RoleEvent,
    RoleSession,
    RoleLock,
    Trust,
    Artifact,
    FluentdCredentials,
    FluentdName,
    FluentdConnection,
    FluentdAnswers,
    FluentdEvent,
    ForwardCredentials,
    ForwardName,
    ForwardConnection,
    ForwardEvent,
    File,
    FileEvent,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Storage => "storage",
            Self::Space => "storage.space",
            Self::Lock => "storage.lock",
            Self::State => "storage.state",
            Self::Diag => "diag",
            Self::AuthCredentials => "auth.credentials",
            Self::AuthName => "auth.name",
            Self::AuthConnection => "auth.connection",
            Self::AuthVersion => "auth.version",
            Self::AuthClock => "auth.clock",
            Self::AuthCalls => "auth.calls",
            Self::RoleEvent => "role.event",
            Self::RoleSession => "role.session",
            Self::RoleLock => "role.lock",
            Self::Trust => "decoder.trust",
            Self::Artifact => "decoder.artifact",
            Self::FluentdCredentials => "fluentd.credentials",
            Self::FluentdName => "fluentd.name",
            Self::FluentdConnection => "fluentd.connection",
            Self::FluentdAnswers => "fluentd.answers",
            Self::FluentdEvent => "fluentd.event",
            Self::ForwardCredentials => "forward.credentials",
            Self::ForwardName => "forward.name",
            Self::ForwardConnection => "forward.connection",
            Self::ForwardEvent => "forward.event",
            Self::File => "file",
            Self::FileEvent => "file.event",
        }
    }
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Not tried, as something before it does not work or nobody has asked for it.
    NotTried,
    /// It works, or may work, and somebody should look at it.
    Warning,
    /// Events do not flow like this, or will stop.
    Problem,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::NotTried => "not tried",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) step: Step,
    pub(super) severity: Severity,
    /// In words; never a secret.
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cure: Option<String>,
}

/// What was found, in the order of the road.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, step: Step, severity: Severity, what: impl Into<String>) {
        // Much of it is the word of a peer.
        let what = harmless(&what.into());
        self.0.push(Finding { step, severity, what, cure: None });
    }

    pub(super) fn ok(&mut self, step: Step, what: impl Into<String>) {
        self.add(step, Severity::Ok, what);
    }

    pub(super) fn note(&mut self, step: Step, what: impl Into<String>) {
        self.add(step, Severity::Note, what);
    }

    pub(super) fn cured(
        &mut self,
        step: Step,
        severity: Severity,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.add(step, severity, what);
        if let Some(finding) = self.0.last_mut() {
            finding.cure = Some(harmless(&cure.into()));
        }
    }

    pub(super) fn warning(&mut self, step: Step, what: impl Into<String>, cure: impl Into<String>) {
        self.cured(step, Severity::Warning, what, cure);
    }

    pub(super) fn problem(&mut self, step: Step, what: impl Into<String>, cure: impl Into<String>) {
        self.cured(step, Severity::Problem, what, cure);
    }

    pub(super) fn not_tried(&mut self, steps: &[Step], why: &str) {
        for step in steps {
            self.add(*step, Severity::NotTried, why);
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }

    /// How the process is to end: what is gravest says it.
    pub(super) fn exit(&self) -> Exit {
        match (self.count(Severity::Problem), self.count(Severity::Warning)) {
            (0, 0) => Exit::Success,
            (0, _) => Exit::Unchecked,
            _ => Exit::Failure,
        }
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Report<'a> {
            problems: usize,
            warnings: usize,
            not_tried: usize,
            findings: &'a [Finding],
        }
        let report = Report {
            problems: self.count(Severity::Problem),
            warnings: self.count(Severity::Warning),
            not_tried: self.count(Severity::NotTried),
            findings: &self.0,
        };
        serde_json::to_string_pretty(&report).map(|text| text + "\n")
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { step, severity, what, cure } in &self.0 {
            writeln!(f, "{:<9}  {:<19}  {what}", severity.word(), step.name())?;
            if let Some(cure) = cure {
                writeln!(f, "{:<9}  {:<19}  -> {cure}", "", "")?;
            }
        }
        let several = |count: usize, thing: &str| match count {
            1 => format!("1 {thing}"),
            count => format!("{count} {thing}s"),
        };
        let (problems, warnings) = (self.count(Severity::Problem), self.count(Severity::Warning));
        match (problems, warnings) {
            (0, 0) => writeln!(f, "everything that was tried works"),
            (0, warnings) => writeln!(f, "{}", several(warnings, "warning")),
            (problems, 0) => writeln!(f, "{}", several(problems, "problem")),
            _ => writeln!(f, "{}, {}", several(problems, "problem"), several(warnings, "warning")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_says_how_it_ends() {
        let mut findings = Findings::default();
        findings.ok(Step::Storage, "fine");
        findings.not_tried(&[Step::RoleLock], "`lock.enabled` is not set");
        assert_eq!(findings.exit(), Exit::Success);
        assert!(findings.to_string().ends_with("everything that was tried works\n"));
        findings.warning(Step::Space, "little", "make room");
        assert_eq!(findings.exit(), Exit::Unchecked);
        findings.problem(Step::AuthConnection, "nobody\u{1b}[2J", "start it");
        findings.problem(Step::AuthName, "nothing", "name it");
        assert_eq!(findings.exit(), Exit::Failure);
        let text = findings.to_string();
        assert!(text.ends_with("2 problems, 1 warning\n"), "{text}");
        assert!(text.contains("problem    auth.connection      nobody\\u{1b}[2J\n"), "{text}");
        assert!(text.contains("\n                                -> make room\n"), "{text}");
    }
}
