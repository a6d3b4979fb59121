//! A logger for `log`.

use std::fmt;

use log::kv::{Error, Key, Value as KeyValue, VisitSource, VisitValue};
use log::{Log, Metadata, Record as Line};

use super::bridge::LogBridge;
use super::fields::{Fields, MESSAGE};
use crate::model::Value;

/// Turns log lines of a chosen target into records, and hands all others to another logger; see
/// [`LogBridge`] for what their key-value pairs mean.
///
/// Lines that become records are not handed on: they may say who a user is.
///
/// ```no_run
/// # fn example(client: ev_audit::Client, others: impl log::Log + 'static) -> Result<(), log::SetLoggerError> {
/// let logger = ev_audit::LogBridge::new(client).into_logger().others(others);
/// log::set_logger(Box::leak(Box::new(logger)))?;
/// log::set_max_level(log::LevelFilter::Info);
/// log::info!(
///     target: "audit",
///     operation_category = "UserManagement", "target_resource.Tenant" = "contoso";
///     "DeleteUser"
/// );
/// # Ok(())
/// # }
/// ```
pub struct AuditLogger {
    bridge: LogBridge,
    others: Option<Box<dyn Log>>,
}

impl LogBridge {
    /// A logger for the `log` crate.
    pub fn into_logger(self) -> AuditLogger {
        AuditLogger { bridge: self, others: None }
    }
}

impl AuditLogger {
    /// Gets the lines that do not become records. Without it they go nowhere.
    #[must_use]
    pub fn others(mut self, logger: impl Log + 'static) -> Self {
        self.others = Some(Box::new(logger));
        self
    }
}

impl fmt::Debug for AuditLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogger").field("bridge", &self.bridge).finish_non_exhaustive()
    }
}

impl Log for AuditLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.bridge.wants(metadata.target())
            || self.others.as_ref().is_some_and(|others| others.enabled(metadata))
    }

    fn log(&self, line: &Line<'_>) {
        if self.bridge.wants(line.target()) {
            self.bridge.audit(|| {
                let mut fields = Fields::default();
                // What comes behind a pair that fails is left out; validation sees what lacks.
                line.key_values().visit(&mut Pairs(&mut fields)).unwrap_or_default();
                fields.set_text(MESSAGE, *line.args());
                fields
            });
        } else if let Some(others) = &self.others {
            others.log(line);
        }
    }

    /// Flushes the other logger. It does not wait for the agent;
    /// [`Client::flush`](crate::Client::flush) does.
    fn flush(&self) {
        if let Some(others) = &self.others {
            others.flush();
        }
    }
}

struct Pairs<'a>(&'a mut Fields);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: KeyValue<'kvs>) -> Result<(), Error> {
        value.visit(Pair { name: key.as_str(), fields: self.0 })
    }
}

struct Pair<'a> {
    name: &'a str,
    fields: &'a mut Fields,
}

impl Pair<'_> {
    fn set(&mut self, value: Value) -> Result<(), Error> {
        self.fields.set(self.name.to_owned(), value);
        Ok(())
    }
}

impl VisitValue<'_> for Pair<'_> {
    fn visit_any(&mut self, value: KeyValue<'_>) -> Result<(), Error> {
        self.fields.set_text(self.name.to_owned(), format_args!("{value}"));
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.set(Value::Nil)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.set(Value::U64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.set(Value::I64(value))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.set(Value::F64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.set(Value::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.set(Value::from(value))
    }
}
