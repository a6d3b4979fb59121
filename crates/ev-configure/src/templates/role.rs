//! Role and user for `tctl create -f`.

/// The newest version of a role that Auth of every version with a built-in schema takes: 13 knows
/// none above it. For a role without Kubernetes resources all versions since mean the same.
const ROLE_VERSION: &str = "v6";

pub(super) fn render(with_lock: bool) -> String {
    let lock = if with_lock {
        "      # For `lock.enabled` in the handler's settings.
      - resources: ['lock']
        verbs: ['create', 'update']
"
    } else {
        "      # Needed only with `lock.enabled` in the handler's settings:
      # - resources: ['lock']
      #   verbs: ['create', 'update']
"
    };
    format!(
        "# Role and user of the event handler. Make them with
#
#   tctl create -f teleport-event-handler-role.yaml
kind: role
metadata:
  name: teleport-event-handler
spec:
  allow:
    rules:
      - resources: ['event', 'session']
        verbs: ['list', 'read']
{lock}version: {ROLE_VERSION}
---
kind: user
metadata:
  name: teleport-event-handler
spec:
  roles: ['teleport-event-handler']
version: v2
"
    )
}
