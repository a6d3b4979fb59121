//! The bodies of records and heartbeats.

use super::cursor::{Stop, Type};
use super::decode::{Decoder, shown};
use super::departure::FormRule;
use super::error::DecodeErrorKind;
use super::layout::{HEARTBEAT, IDENTITY, MAX_DEPTH, NO_ADDRESS, TARGET, record as keys};
use super::message::Heartbeat;
use crate::model::{
    CallerIdentityType, CallerIp, Identity, List, Map, OperationCategory, Record, ServiceId,
    Target, Value,
};

impl Decoder<'_> {
    pub(super) fn record(&mut self) -> Result<(ServiceId, Record), Stop> {
        let mut service = ServiceId::default();
        let mut record = Record::default();
        self.fields("the record", &keys::ALL, Some(keys::OPTIONAL), |decoder, place| {
            match place {
                0 => service = decoder.service()?,
                1 => record.caller_ip = decoder.address()?,
                2 => record.caller_identities = decoder.identities()?,
                3 => record.operation_categories = decoder.categories()?,
                4 => record.custom_data = decoder.custom()?,
                5 => record.target_resources = decoder.targets()?,
                6 => record.caller_access_levels = decoder.levels()?,
                7 => record.operation_access_level = decoder.string("OperationAccessLevel")?,
                8 => record.operation_name = decoder.string("OperationName")?,
                9 => {
                    record.operation_result_description =
                        decoder.string("OperationResultDescription")?;
                }
                10 => record.caller_agent = decoder.string("CallerAgent")?,
                11 => {
                    record.operation_category_description =
                        decoder.string("OperationCategoryDescription")?;
                }
                12 => record.operation_type = decoder.kind("OperationType")?,
                _ => record.operation_result = decoder.kind("OperationResult")?,
            }
            Ok(())
        })?;
        Ok((service, record))
    }

    pub(super) fn heartbeat(&mut self) -> Result<Heartbeat, Stop> {
        let mut heartbeat = Heartbeat::default();
        self.fields("the heartbeat", &HEARTBEAT, None, |decoder, place| {
            match place {
                0 => heartbeat.service = decoder.service()?,
                1 => heartbeat.audit_version = decoder.string("AuditVersion")?,
                2 => heartbeat.os_version = decoder.string("OsVersion")?,
                3 => heartbeat.language = decoder.string("Language")?,
                _ => heartbeat.destination = decoder.kind("Destination")?,
            }
            Ok(())
        })?;
        Ok(heartbeat)
    }

    fn string(&mut self, what: &'static str) -> Result<String, Stop> {
        self.text(what).map(str::to_owned)
    }

    fn service(&mut self) -> Result<ServiceId, Stop> {
        let at = self.cursor.at();
        let text = self.text("the service id")?;
        if text.is_empty() {
            return Ok(ServiceId::default());
        }
        let Some(service) = ServiceId::received(text) else {
            return self.cursor.fail(at, DecodeErrorKind::ServiceId);
        };
        if service.as_str() != text {
            self.tell(FormRule::ServiceId, at, || format!("{text:?} is not in lower case"));
        }
        Ok(service)
    }

    fn address(&mut self) -> Result<Option<CallerIp>, Stop> {
        let at = self.cursor.at();
        let text = self.text("CallerIpAddress")?;
        if text == NO_ADDRESS {
            return Ok(None);
        }
        let Ok(address) = text.parse::<CallerIp>() else {
            return self.cursor.fail(at, DecodeErrorKind::Address);
        };
        self.tell_if(FormRule::Address, at, || {
            let canonical = address.to_string();
            (canonical != text)
                .then(|| format!("{:?} instead of {:?}", shown(text), shown(&canonical)))
        });
        Ok(Some(address))
    }

    fn identities(&mut self) -> Result<Map<CallerIdentityType, List<Identity>>, Stop> {
        let what = "CallerIdentities";
        let Some(count) = self.container(what, Type::Map)? else { return Ok(Map::absent()) };
        let mut identities = Map::empty();
        for _ in 0..count {
            let at = self.cursor.at();
            let kind: CallerIdentityType = self.kind("a type of CallerIdentities")?;
            if identities.last_key_value().is_some_and(|(last, _)| *last > kind) {
                self.tell(FormRule::MapOrder, at, || format!("{kind} comes late"));
            }
            let list = self.list("a list of CallerIdentities", Self::identity)?;
            if identities.insert(kind, list).is_some() {
                return self.cursor.fail(at, DecodeErrorKind::DuplicateKey { what });
            }
        }
        Ok(identities)
    }

    fn identity(&mut self) -> Result<Identity, Stop> {
        let mut identity = Identity::default();
        self.fields("an identity", &IDENTITY, None, |decoder, place| {
            match place {
                0 => identity.identity = decoder.string("Identity")?,
                _ => identity.description = decoder.string("Description")?,
            }
            Ok(())
        })?;
        Ok(identity)
    }

    fn targets(&mut self) -> Result<Map<String, List<Target>>, Stop> {
        self.keyed("TargetResources", |decoder| {
            decoder.list("a list of TargetResources", Self::target)
        })
    }

    fn target(&mut self) -> Result<Target, Stop> {
        let mut target = Target::default();
        self.fields("a target resource", &TARGET, None, |decoder, place| {
            match place {
                0 => target.name = decoder.string("Name")?,
                1 => target.cluster = decoder.string("Cluster")?,
                2 => target.data_center = decoder.string("DataCenter")?,
                _ => target.region = decoder.string("Region")?,
            }
            Ok(())
        })?;
        Ok(target)
    }

    fn custom(&mut self) -> Result<Map<String, Value>, Stop> {
        let at = self.cursor.at();
        let custom = self.keyed("CustomData", |decoder| decoder.value(MAX_DEPTH))?;
        if custom.is_empty() {
            self.tell(FormRule::CustomEmpty, at, || "CustomData without entries".to_owned());
        }
        Ok(custom)
    }

    /// A map with keys of text, or none.
    fn keyed<V>(
        &mut self,
        what: &'static str,
        value: impl Fn(&mut Self) -> Result<V, Stop>,
    ) -> Result<Map<String, V>, Stop> {
        let Some(count) = self.container(what, Type::Map)? else { return Ok(Map::absent()) };
        let mut entries = Map::empty();
        for _ in 0..count {
            let at = self.cursor.at();
            let key = self.text(what)?;
            if entries.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() > key) {
                self.tell(FormRule::MapOrder, at, || {
                    format!("{:?} of {what} comes late", shown(key))
                });
            }
            let it = value(self)?;
            if entries.insert(key.to_owned(), it).is_some() {
                return self.cursor.fail(at, DecodeErrorKind::DuplicateKey { what });
            }
        }
        Ok(entries)
    }

    fn categories(&mut self) -> Result<List<OperationCategory>, Stop> {
        self.ordered("OperationCategories", |decoder| decoder.kind("OperationCategories"))
    }

    fn levels(&mut self) -> Result<List<String>, Stop> {
        self.ordered("CallerAccessLevels", |decoder| decoder.string("CallerAccessLevels"))
    }

    /// A list that should be in order, each entry once.
    fn ordered<T: Ord>(
        &mut self,
        what: &'static str,
        entry: impl Fn(&mut Self) -> Result<T, Stop>,
    ) -> Result<List<T>, Stop> {
        let at = self.cursor.at();
        let list = self.list(what, entry)?;
        if let Some(late) = list.windows(2).position(|pair| pair[0] > pair[1]) {
            self.tell(FormRule::ListOrder, at, || format!("entry {} of {what}", late + 1));
        }
        if let Some(again) = list.windows(2).position(|pair| pair[0] == pair[1]) {
            self.tell(FormRule::ListDuplicate, at, || format!("entry {} of {what}", again + 1));
        }
        Ok(list)
    }

    fn list<T>(
        &mut self,
        what: &'static str,
        entry: impl Fn(&mut Self) -> Result<T, Stop>,
    ) -> Result<List<T>, Stop> {
        let Some(count) = self.container(what, Type::Array)? else { return Ok(List::absent()) };
        let mut entries = List::empty();
        for _ in 0..count {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }
}
