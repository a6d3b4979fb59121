//! One look at Auth, for whoever has to say what is wrong: each way is tried once, each call is
//! made once, and what came of it is told apart.

mod clock;
mod failure;
mod question;

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Env, Survey};

pub use failure::{Unreached, VisitError};
pub use question::{Granted, Question};

use crate::dial::{Dialled, Dialler};
use crate::living::{Living, Own};
use crate::{AuthArtifacts, Config, SearchSource};

/// A connection to Auth that was made once and is not made again. Dropping it closes it.
pub struct Visit {
    survey: Survey,
    way: String,
    date: Option<i64>,
    own: Own,
    env: Arc<dyn Env>,
    patience: Duration,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("survey", &self.survey).finish_non_exhaustive()
    }
}

impl Visit {
    /// Tries every way to Auth once, each within [`Config::dial_timeout`], and asks for the time
    /// there. Needs a tokio runtime; blocks on the credentials' files.
    ///
    /// # Errors
    ///
    /// [`VisitError`]: who or what kept us from it.
    pub async fn pay(config: Config, env: Arc<dyn Env>) -> Result<Self, VisitError> {
        let config = Arc::new(config);
        let dialler = Dialler::new(Arc::clone(&config), Arc::clone(&env))?;
        let Dialled { connection, survey, way, .. } =
            dialler.dial(0).await.map_err(|error| VisitError::unreached(&error))?;
        let date = dialler.date(&connection, &way).await;
        let own = Living::default().join();
        own.set(connection, survey.version.clone());
        let patience = config.request_timeout;
        Ok(Self { survey, way: way.to_string(), date, own, env, patience })
    }

    /// Who is there.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// How it was reached, behind «connected».
    pub fn way(&self) -> &str {
        &self.way
    }

    /// What the clock there says, in seconds since 1970-01-01T00:00:00Z, if anybody there tells:
    /// Auth's own gRPC does not, its HTTP and that of a Proxy do.
    pub fn date(&self) -> Option<i64> {
        self.date
    }

    /// The artifacts that are offered, over this connection.
    pub fn artifacts(&self) -> AuthArtifacts {
        AuthArtifacts::new(self.own.all().clone(), Arc::clone(&self.env), self.patience)
    }

    /// Whether we may do this. Nothing that is stored at Auth changes by it, apart from
    /// [`Question::Lock`].
    pub async fn ask(&self, question: Question) -> Granted {
        question::ask(self.own.all(), &*self.env, self.patience, question).await
    }
}

impl SearchSource {
    /// The name that the certificate of Auth has to be for, whatever host is dialled.
    pub const SERVER_NAME: &str = crate::credentials::SERVER_NAME;
}
