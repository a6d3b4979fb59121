//! Names of event types, to tell a misspelt one.
//!
//! Newer servers have more of them, so a name that is not here is no reason for a word; one that
//! differs from a name here by a letter or two is.

use crate::nearest::nearest_within;

/// The event type that was probably meant by a name that is none.
pub(crate) fn misspelt(word: &str) -> Option<&'static str> {
    if KNOWN.contains(&word) {
        return None;
    }
    // What is short has many neighbours.
    let allowed = if word.chars().count() < 8 { 1 } else { 2 };
    let parts = |name: &str| name.split('.').count();
    nearest_within(allowed, word, KNOWN.iter().copied().filter(|known| parts(known) > 1))
        // `role.create` may be the event of another version; `role.created` is known.
        .filter(|known| !is_inflected(word, known))
}

/// Whether one is the other with a `d` or `ed` behind it.
fn is_inflected(a: &str, b: &str) -> bool {
    let is_longer = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| matches!(rest, "d" | "ed"))
    };
    is_longer(a, b) || is_longer(b, a)
}

const KNOWN: &[&str] = &[
    "access_graph.crown_jewel.create",
    "access_graph.crown_jewel.delete",
    "access_graph.crown_jewel.update",
    "access_graph.path.changed",
    "access_graph_settings.update",
    "access_list.create",
    "access_list.delete",
    "access_list.member.create",
    "access_list.member.delete",
    "access_list.member.delete_all_for_access_list",
    "access_list.member.update",
    "access_list.review",
    "access_list.update",
    "access_request.create",
    "access_request.delete",
    "access_request.expire",
    "access_request.review",
    "access_request.search",
    "access_request.update",
    "app.create",
    "app.delete",
    "app.session.chunk",
    "app.session.dynamodb.request",
    "app.session.end",
    "app.session.request",
    "app.session.start",
    "app.update",
    "app_auth_config.create",
    "app_auth_config.delete",
    "app_auth_config.update",
    "app_auth_config.verify",
    "audit_query.run",
    "auth",
    "auth_preference.update",
    "autoupdate.config.create",
    "autoupdate.config.delete",
    "autoupdate.config.update",
    "autoupdate.version.create",
    "autoupdate.version.delete",
    "autoupdate.version.update",
    "aws_identity_center.resource_sync.failed",
    "aws_identity_center.resource_sync.success",
    "billing.create_card",
    "billing.delete_card",
    "billing.update_card",
    "billing.update_info",
    "bot.create",
    "bot.delete",
    "bot.join",
    "bot.update",
    "bot_token.create",
    "cert.create",
    "cert.generation_mismatch",
    "client.disconnect",
    "cluster_networking_config.update",
    "contact.create",
    "contact.delete",
    "db.create",
    "db.delete",
    "db.session.cassandra.batch",
    "db.session.cassandra.execute",
    "db.session.cassandra.prepare",
    "db.session.cassandra.register",
    "db.session.dynamodb.request",
    "db.session.elasticsearch.request",
    "db.session.end",
    "db.session.malformed_packet",
    "db.session.mysql.create_db",
    "db.session.mysql.debug",
    "db.session.mysql.drop_db",
    "db.session.mysql.init_db",
    "db.session.mysql.process_kill",
    "db.session.mysql.refresh",
    "db.session.mysql.shut_down",
    "db.session.mysql.statements.bulk_execute",
    "db.session.mysql.statements.close",
    "db.session.mysql.statements.execute",
    "db.session.mysql.statements.fetch",
    "db.session.mysql.statements.prepare",
    "db.session.mysql.statements.reset",
    "db.session.mysql.statements.send_long_data",
    "db.session.opensearch.request",
    "db.session.permissions.update",
    "db.session.postgres.function",
    "db.session.postgres.statements.bind",
    "db.session.postgres.statements.close",
    "db.session.postgres.statements.execute",
    "db.session.postgres.statements.parse",
    "db.session.query",
    "db.session.query.failed",
    "db.session.spanner.rpc",
    "db.session.sqlserver.rpc_request",
    "db.session.start",
    "db.session.user.create",
    "db.session.user.deactivate",
    "db.update",
    "desktop.clipboard.receive",
    "desktop.clipboard.send",
    "desktop.directory.read",
    "desktop.directory.share",
    "desktop.directory.write",
    "desktop.recording",
    "device.authenticate",
    "device.authenticate.confirm",
    "device.create",
    "device.delete",
    "device.enroll",
    "device.token.create",
    "device.token.spent",
    "device.update",
    "device.webtoken.create",
    "discovery_config.create",
    "discovery_config.delete",
    "discovery_config.delete_all",
    "discovery_config.update",
    "exec",
    "external_audit_storage.disable",
    "external_audit_storage.enable",
    "git.command",
    "github.created",
    "github.deleted",
    "github.updated",
    "instance.join",
    "integration.create",
    "integration.delete",
    "integration.update",
    "join_token.create",
    "kube.create",
    "kube.delete",
    "kube.request",
    "kube.update",
    "lock.created",
    "lock.deleted",
    "login_rule.create",
    "login_rule.delete",
    "mfa.add",
    "mfa.delete",
    "mfa_auth_challenge.create",
    "mfa_auth_challenge.validate",
    "oidc.created",
    "oidc.deleted",
    "oidc.updated",
    "okta.access_list.sync",
    "okta.applications.update",
    "okta.assignment.cleanup",
    "okta.assignment.process",
    "okta.groups.update",
    "okta.sync.failure",
    "okta.user.sync",
    "plugin.create",
    "plugin.delete",
    "plugin.update",
    "port",
    "print",
    "privilege_token.create",
    "recovery_code.generated",
    "recovery_code.used",
    "recovery_token.create",
    "reset_password_token.create",
    "resize",
    "role.created",
    "role.deleted",
    "role.updated",
    "saml.created",
    "saml.deleted",
    "saml.idp.auth",
    "saml.idp.service.provider.create",
    "saml.idp.service.provider.delete",
    "saml.idp.service.provider.delete_all",
    "saml.idp.service.provider.update",
    "saml.updated",
    "scp",
    "secreports.audit.query.run",
    "secreports.report.run",
    "session.command",
    "session.connect",
    "session.data",
    "session.disk",
    "session.end",
    "session.join",
    "session.leave",
    "session.network",
    "session.process_exit",
    "session.recording.access",
    "session.rejected",
    "session.start",
    "session.upload",
    "session_recording_config.update",
    "sftp",
    "spiffe.federation.create",
    "spiffe.federation.delete",
    "spiffe.svid.issued",
    "ssm.run",
    "stable_unix_user.create",
    "static_host_user.create",
    "static_host_user.delete",
    "static_host_user.update",
    "subsystem",
    "trusted_cluster.create",
    "trusted_cluster.delete",
    "trusted_cluster_token.create",
    "upgradewindow.update",
    "upgradewindowstart.update",
    "user.create",
    "user.delete",
    "user.login",
    "user.logout",
    "user.password_change",
    "user.task.create",
    "user.task.delete",
    "user.task.update",
    "user.update",
    "user_login.invalid_access_list",
    "windows.desktop.session.end",
    "windows.desktop.session.start",
    "workload_identity.create",
    "workload_identity.delete",
    "workload_identity.update",
    "x11-forward",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_told_and_others_are_not() {
        let check = |word, expected| assert_eq!(misspelt(word), expected, "{word}");
        check("user.login", None);
        check("usr.login", Some("user.login"));
        check("user-login", Some("user.login"));
        check("User.Login", Some("user.login"));
        check("session.uplaod", Some("session.upload"));
        check("acess_request.create", Some("access_request.create"));
        check("app.delet", Some("app.delete"));
        // Of a server that is newer than this program, or older.
        check("teapot.boiled", None);
        check("role.create", None);
        check("prints", None);
        check("", None);
    }

    #[test]
    fn names_stand_once_and_in_order() {
        assert!(KNOWN.is_sorted_by(|a, b| a < b));
    }
}
