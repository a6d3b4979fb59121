//! What the role lets us do, found out by doing it.

use ev_config::Road as Calling;
use ev_source::{Granted, Question, Visit};

use super::Road;
use super::auth::Calls;
use super::finding::{Findings, Step};

/// Asks what changes nothing, one after the other: an Auth in trouble is not asked five things at
/// once.
pub(super) async fn ask(visit: &Visit) -> Vec<(Question, Granted)> {
    let mut answers = Vec::new();
    for question in [
        Question::TypedSearch,
        Question::UnstructuredSearch,
        Question::Export,
        Question::TypedRecording,
        Question::UnstructuredRecording,
    ] {
        answers.push((question, visit.ask(question).await));
    }
    answers
}

pub(super) async fn examine(
    road: &Road<'_>,
    visit: &Visit,
    calls: Calls,
    granted: Vec<(Question, Granted)>,
    findings: &mut Findings,
) {
    let of = |wanted: Question| {
        let found = granted.iter().find(|(question, _)| *question == wanted);
        found.map(|(_, granted)| granted.clone()).unwrap_or(Granted::NotOffered)
    };
    let (search, recording) = match questions(road.settings.ingest.source, calls) {
        Some((search, recording)) => (of(search), of(recording)),
        None => {
            let steps = [Step::RoleEvent, Step::RoleSession, Step::RoleLock];
            return findings.not_tried(&steps, "Auth does not offer the calls that `source` names");
        }
    };
    tell(Step::RoleEvent, &search, &Need { what: "read the log", resource: "event" }, findings);
    let need = Need { what: "read recordings", resource: "session" };
    tell(Step::RoleSession, &recording, &need, findings);
    if road.settings.lock.is_none() {
        findings.note(Step::RoleLock, "not needed, as `lock.enabled` is not set");
    } else if !road.probe {
        findings.not_tried(
            &[Step::RoleLock],
            "locking is on; whether the role allows it shows only by setting a lock: `--probe` \
             sets one on nobody that is over",
        );
    } else {
        let need = Need { what: "lock users", resource: "lock" };
        tell(Step::RoleLock, &visit.ask(Question::Lock).await, &need, findings);
    }
}

/// The calls by which events and recordings are read.
fn questions(source: Calling, calls: Calls) -> Option<(Question, Question)> {
    let typed = (Question::TypedSearch, Question::TypedRecording);
    let unstructured = (Question::UnstructuredSearch, Question::UnstructuredRecording);
    let export = (Question::Export, Question::UnstructuredRecording);
    match source {
        Calling::Typed | Calling::Auto if calls.typed => Some(typed),
        Calling::Unstructured | Calling::Auto if calls.unstructured => Some(unstructured),
        Calling::Export | Calling::Auto if calls.export => Some(export),
        _ => None,
    }
}

/// What the role has to allow.
struct Need {
    what: &'static str,
    resource: &'static str,
}

impl Need {
    fn verbs(&self) -> &'static str {
        if self.resource == "lock" { "create, update" } else { "list, read" }
    }
}

fn tell(step: Step, granted: &Granted, need: &Need, findings: &mut Findings) {
    let Need { what, resource } = need;
    match granted {
        Granted::Yes => findings.ok(step, format!("the role may {what}")),
        Granted::Denied(text) => {
            let missing = missing_verb(text, resource);
            let named = missing.map_or_else(String::new, |verb| format!(": `{verb}` is missing"));
            let cure = format!(
                "add to `spec.allow.rules` of the handler's role: `- resources: ['{resource}']`, \
                 `verbs: [{}]` (`tctl edit role/teleport-event-handler`); a role that is new to \
                 the user needs new credentials",
                need.verbs()
            );
            findings.problem(step, format!("the role may not {what}{named}: {text}"), cure);
        }
        Granted::NotOffered => {
            let cure = "read by other calls (`source`), or upgrade Auth";
            findings.warning(step, format!("Auth has no call to {what}"), cure);
        }
        Granted::Unknown(text) => {
            let cure = "try again, and see what Auth's log says of this call";
            findings.warning(
                step,
                format!("whether the role may {what} is not known: {text}"),
                cure,
            );
        }
    }
}

/// The verb in Auth's words: `access denied to perform action "list" on "session"`.
fn missing_verb<'a>(text: &'a str, resource: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once("action \"")?;
    let (verb, rest) = rest.split_once('"')?;
    rest.trim_start().strip_prefix("on \"")?.starts_with(resource).then_some(verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_verb_is_read_from_the_words_of_auth() {
        let text = "access denied to perform action \"list\" on \"session\" (PermissionDenied)";
        assert_eq!(missing_verb(text, "session"), Some("list"));
        assert_eq!(missing_verb(text, "event"), None);
        assert_eq!(missing_verb("access denied", "event"), None);
    }

    #[test]
    fn the_calls_that_would_be_used_are_asked_about() {
        let only_export = Calls { typed: false, unstructured: false, export: true };
        let all = Calls { typed: true, unstructured: true, export: true };
        let first = |source, calls| questions(source, calls).map(|(search, _)| search);
        assert_eq!(first(Calling::Auto, all), Some(Question::TypedSearch));
        assert_eq!(first(Calling::Export, all), Some(Question::Export));
        assert_eq!(first(Calling::Auto, only_export), Some(Question::Export));
        assert_eq!(first(Calling::Typed, only_export), None);
    }
}
