//! Values for the chart `teleport-plugin-event-handler`.

use super::{Context, EVENTS};
use crate::quote;

/// Where Fluentd's own chart puts it, in the namespace `fluentd`.
const HOST: &str = "fluentd.fluentd.svc.cluster.local";

pub(super) fn render(context: &Context<'_>) -> String {
    let files = context.files;
    let addr = quote::basic(&context.config.addr);
    let [ca, certificate, key] =
        [&files.ca_certificate, &files.client_certificate, &files.client_key]
            .map(|name| quote::basic(name));
    // Without this the handler would refuse Fluentd's certificate at the first event.
    let not_named = if context.names.are_for(HOST) {
        String::new()
    } else {
        format!(
            "
  # Fluentd's certificate is not for this name. Write these files again with
  # `--dns-names localhost,{HOST} --ip 127.0.0.1`, or give
  # another address here."
        )
    };
    format!(
        "# Values for Teleport's chart of the event handler:
#
#   helm install teleport-plugin-event-handler teleport/teleport-plugin-event-handler \\
#     --values teleport-plugin-event-handler-values.yaml
eventHandler:
  storagePath: \"./storage\"
  timeout: \"10s\"
  batch: 20
  concurrency: 5
  windowSize: \"24h\"

teleport:
  address: {addr}
  # kubectl create secret generic teleport-event-handler-identity --from-file=identity
  identitySecretName: \"teleport-event-handler-identity\"
  identitySecretPath: \"identity\"

fluentd:
  # Without a port it is 443: the Service in front of Fluentd maps 443 to the 8888 of fluent.conf,
  # or `:8888` stands behind the host.{not_named}
  url: \"https://{HOST}/{EVENTS}\"
  sessionUrl: \"https://{HOST}/session.log\"
  certificate:
    # A secret with these three files, under their names.
    secretName: \"teleport-event-handler-client-tls\"
    caPath: {ca}
    certPath: {certificate}
    keyPath: {key}

persistentVolumeClaim:
  # Without it the state is lost at every restart.
  enabled: true
"
    )
}
