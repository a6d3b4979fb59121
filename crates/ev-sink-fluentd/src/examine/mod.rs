//! Whether a receiver really stores what it is sent, as far as that can be told from outside.
//!
//! | Question | What the answer tells | Why nothing is stored |
//! | --- | --- | --- |
//! | `GET` | somebody speaks HTTP and takes our certificate; 400 is Fluentd 1.12 | no body |
//! | `HEAD` | 400 is Fluentd up to 1.16, 200 a later one | no body |
//! | `POST []` | arrays are taken | no event in it; asked in array mode only |
//! | `POST []` of an odd content type | 400 is a Fluentd without `<parse>`, which refuses every event of Teleport | as above, asked of a Fluentd only |
//! | `POST []` compressed | gzip is not refused | as above, asked with gzip only |
//! | `GET` of a recording's address | that address leads somewhere | no body |
//! | `POST` of broken JSON | whether a body that cannot be stored is answered with success | might be kept as text, so asked only when an event may be sent |
//! | `POST` of a marked event | whether an event like ours is taken | it is stored, so only when asked for |

mod report;
mod words;

use bytes::Bytes;
use ev_core::{Framing, Route, SessionId};
use ev_tls::{CertificateFacts, format_time};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, SERVER};
use http::{HeaderValue, Method};

pub use report::{Examination, Family, Finding, TlsFacts, Topic, Trouble, Weight};

use crate::answer::{describe, printable};
use crate::body::Parts;
use crate::connect::dial;
use crate::connection::{Answer, Connection};
use crate::form::wrap;
use crate::gzip::zipped;
use crate::io::Stream;
use crate::request::{JSON, request};
use crate::table::{Class, class_of};
use crate::target::Target;
use crate::{FluentdSink, Form, Gzip};

/// A content type that no receiver knows.
const ODD: HeaderValue = HeaderValue::from_static("application/x-ev-handler-probe");
/// What a receiver that keeps everything as text would keep.
const BROKEN: &str = r#"{"ev-handler":"probe: a broken object, there is nothing to store""#;

/// One request of an examination.
struct Question {
    method: Method,
    content_type: HeaderValue,
    body: Parts,
    gzip: bool,
}

impl Question {
    fn empty(method: Method) -> Self {
        Self { method, content_type: JSON, body: Parts::default(), gzip: false }
    }

    fn post(body: Bytes) -> Self {
        Self { method: Method::POST, content_type: JSON, body: Parts::object(body), gzip: false }
    }

    /// `None` if it cannot be compressed, which does not happen.
    fn zipped(self) -> Option<Self> {
        let body = zipped(&self.body)?;
        Some(Self { body, gzip: true, ..self })
    }
}

impl FluentdSink {
    /// Asks the receiver what can be asked without leaving anything behind, and says in words
    /// what cannot be told from outside.
    ///
    /// With `send_event` it also sends what may be stored: a body that is broken on purpose, and
    /// one event in the configured framing, marked by `"event":"ev.probe"` and a `uid` of its own
    /// ([`Examination::event_uid`]).
    ///
    /// Takes at most eight requests, one after the other, each on a connection of its own and
    /// within the limits of [`crate::Timeouts`]; the first that gets no answer is the last.
    pub async fn examine(&self, send_event: bool) -> Examination {
        let mut report = Examination::new(&self.config.url);
        // An error has been reported where it happened; there is nothing left to ask then.
        let _reported = self.questions(&mut report, send_event).await;
        report.conclude();
        report
    }

    async fn questions(&self, report: &mut Examination, send_event: bool) -> Option<()> {
        let answer = self.knock(report).await?;
        self.presence(report, &answer);
        let fluentd = is_like_fluentd(&answer);
        if fluentd {
            let head = self.ask(report, &self.audit, &Route::Audit, Question::empty(Method::HEAD));
            report.family = family(answer.status.as_u16(), head.await?.status.as_u16());
        }
        if self.config.form != Form::Json {
            report.note(Topic::Arrays, words::FORMED);
        } else if self.config.framing == Framing::Array {
            self.arrays(report, fluentd).await?;
        } else {
            report.note(Topic::Arrays, words::SINGLE);
        }
        self.recordings(report).await?;
        if send_event {
            self.broken_body(report).await?;
            self.marked_event(report).await?;
        }
        Some(())
    }

    /// Connects, reports what TLS tells, and asks the question that every server answers.
    async fn knock(&self, report: &mut Examination) -> Option<Answer> {
        let server = &self.audit.server;
        let dialled = dial(server, self.live.tls(), &self.config.timeouts, &*self.env).await;
        let stream = match dialled {
            Ok(stream) => stream,
            Err(error) => {
                report.problem(Topic::Connection, error.what);
                return None;
            }
        };
        let (host, port) = (&server.host, server.port);
        report.good(Topic::Connection, format!("`{host}` port {port} takes connections"));
        self.describe_tls(report, &stream);
        match Connection::start(stream).await {
            Ok(connection) => {
                let question = Question::empty(Method::GET);
                self.exchange_question(report, connection, &self.audit, &Route::Audit, question)
                    .await
            }
            Err(error) => {
                report.problem(Topic::Connection, error.what);
                None
            }
        }
    }

    fn describe_tls(&self, report: &mut Examination, stream: &Stream) {
        let Some((version, chain)) = stream.tls() else {
            return report.trouble(Topic::Tls, Trouble::Plain, words::PLAIN);
        };
        let now = self.env.now().seconds();
        match CertificateFacts::of_chain(chain, "the receiver") {
            Ok(chain) => {
                if let Some(leaf) = chain.first() {
                    let CertificateFacts { subject, issuer, not_after, .. } = leaf;
                    let until = format_time(*not_after);
                    let text = format!(
                        "{version}, certificate `{subject}` issued by `{issuer}`, valid until {until}"
                    );
                    if now >= leaf.warn_from() {
                        let text = format!("{text}, which is soon");
                        report.trouble(Topic::Tls, Trouble::ItsCertificate, text);
                    } else {
                        report.good(Topic::Tls, text);
                    }
                }
                report.tls = Some(TlsFacts { version: version.to_owned(), chain });
            }
            // The handshake took it, so this is of no consequence.
            Err(error) => report.note(Topic::Tls, error.to_string()),
        }
        match self.identity_facts().first() {
            Some(facts) if now >= facts.warn_from() => {
                let until = format_time(facts.not_after);
                let text = format!("our certificate `{}` is valid until {until}", facts.subject);
                let text = format!("{text}, which is soon");
                report.trouble(Topic::Tls, Trouble::OurCertificate, text);
            }
            Some(_) => {}
            None => report.note(Topic::Tls, words::NO_IDENTITY),
        }
    }

    /// What the answer to a `GET` tells.
    fn presence(&self, report: &mut Examination, answer: &Answer) {
        let text = describe(answer, &self.config.url);
        match class_of(answer.status.as_u16()) {
            Class::Delivered | Class::Guilty => report.good(Topic::Presence, text),
            _ if matches!(answer.status.as_u16(), 404 | 405 | 501) => {
                report.note(Topic::Presence, format!("{text}; {}", words::NO_GET));
            }
            Class::Refused | Class::Redirected => report.problem(Topic::Presence, text),
            _ => report.trouble(Topic::Presence, Trouble::Busy, text),
        }
        if let Some(name) = answer.headers.get(SERVER) {
            let name = printable(name.as_bytes());
            report.note(Topic::Version, format!("it names itself `{name}`: {}", words::NAMED));
        }
    }

    async fn arrays(&self, report: &mut Examination, fluentd: bool) -> Option<()> {
        let empty = || Question::post(Bytes::from_static(b"[]"));
        let ask = async |report: &mut Examination, question| {
            self.ask(report, &self.audit, &Route::Audit, question).await
        };
        let answer = ask(report, empty()).await?;
        let plain = class_of(answer.status.as_u16());
        self.judge(report, Topic::Arrays, &answer, words::ARRAY_TAKEN, words::ARRAY_REFUSED);
        if plain != Class::Delivered {
            // Whatever comes next would be refused for the same reason.
            return Some(());
        }
        if fluentd {
            let odd = Question { content_type: ODD, ..empty() };
            match ask(report, odd).await?.status.as_u16() {
                400 | 415 => {
                    report.problem(Topic::Parsing, words::NO_PARSE);
                    // Without a parser all later versions answer alike.
                    if report.family == Family::From117 {
                        report.family = Family::Unknown;
                    }
                }
                200..=299 => report.good(Topic::Parsing, words::PARSE),
                status => report.note(Topic::Parsing, words::odd_status(status)),
            }
        }
        if self.config.gzip != Gzip::Off
            && let Some(zipped) = empty().zipped()
        {
            let answer = ask(report, zipped).await?;
            self.judge(report, Topic::Gzip, &answer, words::GZIP_TAKEN, words::GZIP_REFUSED);
        }
        Some(())
    }

    async fn recordings(&self, report: &mut Examination) -> Option<()> {
        let id = SessionId::try_new(b"ev-probe").expect("only letters and a dash");
        let route = Route::Session(id);
        let question = Question::empty(Method::GET);
        let answer = self.ask(report, &self.session, &route, question).await?;
        let text = describe(&answer, &self.session.of(&route).1);
        match class_of(answer.status.as_u16()) {
            Class::Delivered | Class::Guilty => report.good(Topic::Recordings, text),
            _ if matches!(answer.status.as_u16(), 404 | 405 | 501) => {
                report.note(Topic::Recordings, format!("{text}; {}", words::NO_GET));
            }
            Class::Refused | Class::Redirected => report.problem(Topic::Recordings, text),
            _ => report.trouble(Topic::Recordings, Trouble::Busy, text),
        }
        Some(())
    }

    /// Something that stands where events would.
    fn question(&self, body: Bytes) -> Question {
        Question { content_type: self.config.form.content_type(), ..Question::post(body) }
    }

    async fn broken_body(&self, report: &mut Examination) -> Option<()> {
        let question = self.question(Bytes::from_static(BROKEN.as_bytes()));
        let answer = self.ask(report, &self.audit, &Route::Audit, question).await?;
        let text = describe(&answer, &self.config.url);
        match class_of(answer.status.as_u16()) {
            Class::Delivered => report.warn(Topic::Storage, format!("{}; {text}", words::LIES)),
            Class::Guilty => report.good(Topic::Storage, format!("{}; {text}", words::HONEST)),
            _ => report.note(Topic::Storage, format!("to broken JSON {text}")),
        }
        Some(())
    }

    async fn marked_event(&self, report: &mut Examination) -> Option<()> {
        let now = self.env.now();
        let uid = format!("ev-probe-{:016x}", self.env.random());
        let event = format!(
            r#"{{"ei":0,"event":"ev.probe","uid":"{uid}","code":"EVPROBE","time":"{now}","message":"{}"}}"#,
            words::MARK
        );
        let body = match (self.config.form, self.config.framing) {
            (Form::Json, Framing::Array) => format!("[{event}]").into(),
            (Form::Json, Framing::Single) => event.into(),
            (form, _) => {
                let mut body = Vec::new();
                wrap(&mut body, form, &Route::Audit, [event.as_bytes()].into_iter(), now);
                Bytes::from(body)
            }
        };
        let mut question = self.question(body);
        if self.config.gzip != Gzip::Off {
            question = question.zipped()?;
        }
        report.event_uid = Some(uid.clone());
        let answer = self.ask(report, &self.audit, &Route::Audit, question).await?;
        let text = describe(&answer, &self.config.url);
        match class_of(answer.status.as_u16()) {
            Class::Delivered => report.good(Topic::Event, words::event_taken(&text, &uid)),
            Class::Busy | Class::Suspect => {
                let text = format!("{text}; {}", words::EVENT_BUSY);
                report.trouble(Topic::Event, Trouble::Busy, text);
            }
            _ => report.problem(Topic::Event, format!("{text}; {}", words::EVENT_REFUSED)),
        }
        Some(())
    }

    /// Says which of two things an answer tells, or that it tells neither.
    fn judge(
        &self,
        report: &mut Examination,
        topic: Topic,
        answer: &Answer,
        taken: &str,
        refused: &str,
    ) {
        let text = describe(answer, &self.config.url);
        match class_of(answer.status.as_u16()) {
            Class::Delivered => report.good(topic, taken),
            Class::Busy | Class::Suspect => {
                report.trouble(topic, Trouble::Busy, format!("{text}; {}", words::BUSY));
            }
            _ => report.problem(topic, format!("{refused}; {text}")),
        }
    }

    async fn ask(
        &self,
        report: &mut Examination,
        target: &Target,
        route: &Route,
        question: Question,
    ) -> Option<Answer> {
        let (timeouts, env) = (&self.config.timeouts, &*self.env);
        let connection = match dial(&target.server, self.live.tls(), timeouts, env).await {
            Ok(stream) => Connection::start(stream).await,
            Err(error) => Err(error),
        };
        match connection {
            Ok(connection) => {
                self.exchange_question(report, connection, target, route, question).await
            }
            Err(error) => {
                report.problem(
                    Topic::Connection,
                    format!("`{}`: {}", target.of(route).1, error.what),
                );
                None
            }
        }
    }

    async fn exchange_question(
        &self,
        report: &mut Examination,
        mut connection: Connection,
        target: &Target,
        route: &Route,
        question: Question,
    ) -> Option<Answer> {
        let (path, url) = target.of(route);
        let mut head = request(question.method.clone(), path, &question.content_type);
        if question.gzip {
            head.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.dress(&mut head);
        let (timeouts, env) = (&self.config.timeouts, &*self.env);
        let sent = question.body.clone();
        match connection.exchange(head, target, question.body, timeouts, env).await {
            Ok(mut answer) => {
                let class = class_of(answer.status.as_u16());
                let answers = &mut report.answers[usize::from(sent.len() == 0)];
                answers.taken += u32::from(class == Class::Delivered);
                answers.busy += u32::from(matches!(class, Class::Busy | Class::Suspect));
                self.hear(&mut answer, &sent, None);
                Some(answer)
            }
            Err(failure) => {
                let what =
                    format!("`{url}` did not answer a {}: {}", question.method, failure.what);
                report.problem(Topic::Connection, what);
                None
            }
        }
    }
}

/// Fluentd sends `Content-Type: text/plain` and neither name nor date.
fn is_like_fluentd(answer: &Answer) -> bool {
    let headers = &answer.headers;
    let text =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let known = matches!(answer.status.as_u16(), 200 | 204 | 400);
    text && known && !headers.contains_key(SERVER) && !headers.contains_key(DATE)
}

/// Which Fluentd answers so to `GET` and `HEAD`.
fn family(get: u16, head: u16) -> Family {
    match (get, head) {
        (400, _) => Family::V112,
        (200..=299, 400) => Family::V113To116,
        (200..=299, 200..=299) => Family::From117,
        _ => Family::Unknown,
    }
}
