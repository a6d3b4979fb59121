//! UTC dates, by which the bulk export is cut.

pub(crate) use ev_core::Date as Day;
