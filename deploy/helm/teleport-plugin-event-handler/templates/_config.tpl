{{/*
The configuration. Texts are written as JSON, whose strings are strings of TOML too. Bare keys stand
before the first table, since everything behind a table's head belongs to it.
*/}}
{{- define "event-handler.config" -}}
{{- $home := include "event-handler.home" . }}
{{- $handler := .Values.eventHandler -}}
storage = {{ include "event-handler.storagePath" . | toJson }}
timeout = {{ $handler.timeout | toJson }}
{{- with $handler.batch }}
batch = {{ . | int64 }}
{{- end }}
{{- with $handler.windowSize }}
window-size = {{ . | toJson }}
{{- end }}
debug = {{ default false $handler.debug }}
{{- with $handler.types }}
types = {{ join "," . | toJson }}
{{- end }}
{{- with $handler.skipEventTypes }}
skip-event-types = {{ join "," . | toJson }}
{{- end }}
{{- with $handler.skipSessionTypes }}
skip-session-types = {{ join "," . | toJson }}
{{- end }}
{{- with $handler.startTime }}
start-time = {{ . | toJson }}
{{- end }}
dry-run = {{ default false $handler.dryRun }}
{{- with $handler.concurrency }}
concurrency = {{ . | int64 }}
{{- end }}
{{- $lock := default dict $handler.lock }}
{{- if $lock.enabled }}
lock-enabled = true
{{- with $lock.failedAttemptsCount }}
lock-failed-attempts-count = {{ . | int64 }}
{{- end }}
{{- with $lock.period }}
lock-period = {{ . | toJson }}
{{- end }}
{{- with $lock.for }}
lock-for = {{ . | toJson }}
{{- end }}
{{- end }}
{{- if .Values.diag.enabled }}
diag-addr = {{ printf "%s:%d" .Values.diag.address (.Values.diag.port | int64) | toJson }}
{{- end }}
{{- if ne (default "text" $handler.logFormat) "text" }}

[log]
format = {{ $handler.logFormat | toJson }}
{{- end }}

[teleport]
addr = {{ include "event-handler.teleportAddress" . | toJson }}
identity = {{ printf "%s/teleport-identity/%s" $home (include "event-handler.identitySecretPath" .) | toJson }}
refresh.enabled = true
{{- if or .Values.fluentd.url .Values.fluentd.sessionUrl }}

[forward.fluentd]
url = {{ .Values.fluentd.url | toJson }}
session-url = {{ .Values.fluentd.sessionUrl | toJson }}
{{- if include "event-handler.certificate" . }}
ca = {{ printf "%s/ca.crt" $home | toJson }}
cert = {{ printf "%s/client.crt" $home | toJson }}
key = {{ printf "%s/client.key" $home | toJson }}
{{- end }}
{{- with .Values.fluentd.maxConnections | int64 }}
max-connections = {{ . }}
{{- end }}
batch-mode = {{ .Values.fluentd.batchMode | toJson }}
{{- end }}
{{- include "event-handler.config.decoder" . }}
{{- with $handler.extraConfig }}

{{ . | trimSuffix "\n" }}
{{- end }}
{{- end }}

{{- define "event-handler.config.decoder" -}}
{{- $decoder := .Values.decoder }}
{{- $lines := list }}
{{- if include "event-handler.trustVolume" . }}
{{- $lines = append $lines (printf "trust = %s" (toJson "/etc/teleport-event-handler/trust/decoder-trust.json")) }}
{{- end }}
{{- $artifacts := $decoder.artifacts }}
{{- if and $artifacts.url $artifacts.existingClaim }}
{{- fail "only one of decoder.artifacts.url and decoder.artifacts.existingClaim can be set" }}
{{- end }}
{{- if $artifacts.url }}
{{- $lines = append $lines (printf "artifacts = %s" (toJson $artifacts.url)) }}
{{- else if $artifacts.existingClaim }}
{{- $lines = append $lines (printf "artifacts = %s" (toJson "/var/lib/ev-artifacts")) }}
{{- end }}
{{- if $artifacts.certificateSecretName }}
{{- range $key, $path := dict "ca" $artifacts.caPath "cert" $artifacts.certPath "key" $artifacts.keyPath }}
{{- if $path }}
{{- $lines = append $lines (printf "artifacts-%s = %s" $key (toJson (printf "/etc/teleport-event-handler/artifacts/%s" $path))) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $value := dict "version-policy" $decoder.versionPolicy "exactness" $decoder.exactness "unknown" $decoder.unknown "downgrade" $decoder.downgrade "artifact-wait" $decoder.artifactWait }}
{{- if $value }}
{{- $lines = append $lines (printf "%s = %s" $key (toJson $value)) }}
{{- end }}
{{- end }}
{{- if $lines }}

[decoder]
{{ join "\n" $lines }}
{{- end }}
{{- end }}
