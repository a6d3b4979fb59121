//! Single calls that tell whether we may make them.

use std::time::Duration;

use ev_core::{Env, SessionId, Timestamp, UserLock};
use tonic::{Code, Status};

use crate::living::Living;
use crate::locks;
use crate::road::SearchRoad;
use crate::rpc::{self, Trouble};

/// Seconds by which searches lie in the future, where no storage has anything to look for.
const AHEAD: i64 = 2 * 86_400;

/// A recording that nobody has made.
const NO_SESSION: &[u8] = b"00000000-0000-4000-8000-000000000000";

/// Whom the lock is for: nobody.
const NOBODY: &str = "ev-handler-doctor-probe";

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `GetEvents`.
    TypedSearch,
    /// `GetUnstructuredEvents`.
    UnstructuredSearch,
    /// `GetEventExportChunks`.
    Export,
    /// `StreamSessionEvents`, of a recording that does not exist.
    TypedRecording,
    /// `StreamUnstructuredSessionEvents`, of the same.
    UnstructuredRecording,
    /// `UpsertLock`: writes a lock on a user that does not exist, which was over an hour ago.
    Lock,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// We may.
    Yes,
    /// Auth does not know the call.
    NotOffered,
    /// We may not, by these words of Auth.
    Denied(String),
    /// Nobody knows: what happened.
    Unknown(String),
}

pub(super) async fn ask(
    living: &Living,
    env: &dyn Env,
    patience: Duration,
    question: Question,
) -> Granted {
    let Some(connection) = living.get() else {
        return Granted::Unknown("there is no connection".to_owned());
    };
    let second = env.now().seconds().saturating_add(AHEAD);
    let call = async {
        match question {
            Question::TypedSearch => {
                rpc::offers_search(&connection, SearchRoad::Typed, second).await
            }
            Question::UnstructuredSearch => {
                rpc::offers_search(&connection, SearchRoad::Unstructured, second).await
            }
            Question::Export => rpc::offers_export(&connection, second).await,
            Question::TypedRecording | Question::UnstructuredRecording => {
                let road = match question {
                    Question::TypedRecording => SearchRoad::Typed,
                    _ => SearchRoad::Unstructured,
                };
                let session = SessionId::try_new(NO_SESSION)
                    .map_err(|_| Status::internal("the id of the recording is none"))?;
                let mut events = rpc::stream_session(&connection, road, &session, 0).await?;
                // A stream may be refused behind its headers.
                events.message().await.map(drop)
            }
            Question::Lock => rpc::upsert_lock(&connection, locks::wire(&harmless_lock(env))).await,
        }
    };
    match rpc::in_time(env, patience, call).await {
        Ok(()) => Granted::Yes,
        Err(status) => granted(&status, question),
    }
}

/// It holds for nobody, and for no time.
fn harmless_lock(env: &dyn Env) -> UserLock {
    UserLock {
        name: NOBODY.to_owned(),
        user: NOBODY.to_owned(),
        login: String::new(),
        message: "a probe of `ev-handler doctor`: it locks nobody".to_owned(),
        expires: Some(Timestamp::new(env.now().seconds().saturating_sub(3600), 0)),
    }
}

fn granted(status: &Status, question: Question) -> Granted {
    let told = rpc::describe(status);
    let is_recording =
        matches!(question, Question::TypedRecording | Question::UnstructuredRecording);
    match (Trouble::of(status), status.code()) {
        (_, Code::Unimplemented) => Granted::NotOffered,
        (Trouble::Denied, _) => Granted::Denied(told),
        // Who is told that there is no such recording was let in.
        (Trouble::Missing, _) if is_recording => Granted::Yes,
        // What is asked for is nothing, and somebody who may not ask was told that first.
        (Trouble::Invalid, _) if question == Question::Lock => Granted::Yes,
        _ => Granted::Unknown(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let check = |status: Status, question, expected| {
            assert_eq!(granted(&status, question), expected, "{status}");
        };
        let denied = "access denied to perform action \"read\" on \"session\"";
        check(
            Status::permission_denied(denied),
            Question::TypedRecording,
            Granted::Denied(format!("{denied} (PermissionDenied)")),
        );
        check(Status::not_found("no recording"), Question::TypedRecording, Granted::Yes);
        check(
            Status::not_found("odd"),
            Question::TypedSearch,
            Granted::Unknown("odd (NotFound)".to_owned()),
        );
        check(Status::unimplemented(""), Question::Export, Granted::NotOffered);
        check(Status::invalid_argument("expired"), Question::Lock, Granted::Yes);
    }
}
