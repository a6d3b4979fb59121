//! Members, names and differences.

use ev_core::Flavour;
use ev_schema::{Difference, Presence, Schema};

use crate::data::{LABELS, embedded, schema};

#[test]
fn event_types_are_found_by_each_of_their_names() {
    let schema = schema("v18dev");
    for name in ["UserLogin", "userlogin", "user.login", "#1"] {
        assert_eq!(schema.find(name).map(|event| event.name()), Some("UserLogin"), "{name}");
    }
    assert_eq!(schema.find("role.created").map(|event| event.name()), Some("RoleCreate"));
    assert!(schema.find("nobody.knows").is_none());
    assert!(schema.find("#0").is_none());
}

#[test]
fn members_are_told_in_the_order_of_the_json_with_their_presence() {
    let schema = schema("v18dev");
    let login = schema.find("user.login").expect("a type");
    let members = schema.members(login, Flavour::Go);
    let first: Vec<_> = members
        .iter()
        .take(4)
        .map(|member| (member.path.as_str(), member.kind.as_str(), member.presence))
        .collect();
    assert_eq!(
        first,
        [
            ("ei", "integer (int64)", Presence::Always),
            ("event", "string", Presence::Always),
            ("uid", "string", Presence::Optional),
            ("code", "string", Presence::Optional),
        ]
    );
    assert!(members.iter().any(|member| member.path == "\"addr.remote\""));
    let sorted = schema.members(login, Flavour::Struct);
    assert_eq!(sorted.len(), members.len());
    assert_eq!(sorted[0].path, "access_requests");
}

#[test]
fn a_newer_version_adds_and_removes_nothing() {
    let [v13, v15, v18] = LABELS.map(schema);
    let first = Difference::between(&v13, &v15);
    assert_eq!((first.added.len(), first.removed.len()), (17, 0));
    let second = Difference::between(&v15, &v18);
    assert_eq!((second.added.len(), second.removed.len()), (54, 0));
    assert!(second.added.contains(&"AutoUpdateConfigCreate".to_owned()));
    assert!(second.added_members() > 0);
    assert!(second.changed.iter().all(|changed| changed.removed.is_empty()));
    let back = Difference::between(&v18, &v15);
    assert_eq!((back.added.len(), back.removed.len()), (0, 54));
    assert!(Difference::between(&v18, &v18).is_empty());
}

#[test]
fn a_table_without_names_takes_those_of_another() {
    let bytes = embedded("v15dev").bytes;
    let bare = Schema::read(&ev_decode::without_names(bytes)).expect("a table");
    assert_eq!(bare.events()[0].name(), "#1");
    // The older one lacks the newest types.
    let partly = bare.clone().with_names_of(&schema("v13"));
    assert!(partly.events().iter().any(|event| event.name().starts_with('#')));
    let named = partly.with_names_of(&schema("v18dev"));
    let names = |schema: &Schema| -> Vec<String> {
        schema.events().iter().map(|event| event.name().to_owned()).collect()
    };
    assert_eq!(names(&named), names(&schema("v15dev")));
    assert!(Difference::between(&named, &schema("v15dev")).is_empty());
}

#[test]
fn what_is_no_table_is_refused() {
    assert!(Schema::read(b"").is_err());
    assert!(Schema::read(b"ev-table and then nothing of use").is_err());
}
