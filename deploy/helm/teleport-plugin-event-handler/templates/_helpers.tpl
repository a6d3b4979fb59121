{{- define "event-handler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "event-handler.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* A name with something behind it that is never cut off: (list $ "suffix"). */}}
{{- define "event-handler.named" -}}
{{- $suffix := index . 1 }}
{{- $room := sub 62 (len $suffix) | int }}
{{- printf "%s-%s" (include "event-handler.fullname" (index . 0) | trunc $room | trimSuffix "-") $suffix }}
{{- end }}

{{/* Quoted, since a release may be called `123`. */}}
{{- define "event-handler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "event-handler.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/*
The labels of a resource, with those that the values have for this part of the chart, which win:
(list $ "pod").
*/}}
{{- define "event-handler.labels" -}}
{{- $root := index . 0 }}
{{- $extra := get (default dict $root.Values.extraLabels) (index . 1) }}
{{- $labels := include "event-handler.selectorLabels" $root | fromYaml }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- mergeOverwrite $labels (deepCopy (default dict $extra)) | toYaml }}
{{- end }}

{{/* The annotations that the values have for a part of the chart, or nothing: (list $ "pod"). */}}
{{- define "event-handler.annotations" -}}
{{- with get (default dict (index . 0).Values.annotations) (index . 1) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/*
The head of a resource: (list $ name), or (list $ name part) where the values have annotations and
labels for it.
*/}}
{{- define "event-handler.metadata" -}}
{{- $root := index . 0 }}
{{- $part := "" }}
{{- if gt (len .) 2 }}
{{- $part = index . 2 }}
{{- end -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "event-handler.labels" (list $root $part) | nindent 2 }}
{{- with include "event-handler.annotations" (list $root $part) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "event-handler.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "event-handler.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The directory below which all mounts of the pod lie but the configuration. */}}
{{- define "event-handler.home" -}}
/var/lib/teleport/plugins/event-handler
{{- end }}

{{/* The one place of the state, for the configuration and for the mount. */}}
{{- define "event-handler.storagePath" -}}
{{- $path := required "eventHandler.storagePath must be set" .Values.eventHandler.storagePath }}
{{- if isAbs $path }}
{{- clean $path }}
{{- else }}
{{- printf "%s/%s" (include "event-handler.home" .) $path | clean }}
{{- end }}
{{- end }}

{{/*
Where the state lies, as YAML:
  mount:  the volume that the chart mounts there; nothing when the values mount one
  volume: the volume that the chart has for it; nothing when the values have it
  claim:  the claim to that volume; nothing when it lives in the pod
  own:    whether the chart makes that claim
  kept:   whether the state outlives the pod
Teleport's chart uses `existingClaim` only where `enabled` is false, as it is there by default. So
that values without `enabled` mean the same here, it is unset by default, and not true.
*/}}
{{- define "event-handler.state" -}}
{{- $path := include "event-handler.storagePath" . }}
{{- $home := printf "%s/" (include "event-handler.home" .) }}
{{- $settings := .Values.persistentVolumeClaim }}
{{- $name := $settings.volumeName }}
{{- $given := dict }}
{{- range .Values.volumes }}
{{- $_ := set $given .name . }}
{{- end }}
{{- $mounted := list }}
{{- $carrier := "" }}
{{- $depth := 0 }}
{{- range .Values.volumeMounts }}
{{- $mounted = append $mounted .name }}
{{- $place := clean (default "/" .mountPath) }}
{{- $below := hasPrefix (printf "%s/" $place) $path }}
{{- /* The certificate for Fluentd is mounted over whatever lies above it. */}}
{{- $hidden := and (hasPrefix $home $path) (hasPrefix (printf "%s/" $place) $home) }}
{{- /* Of several the deepest has it, in whatever order they stand. */}}
{{- if and (or (eq $place $path) (and $below (not $hidden))) (gt (len $place) $depth) }}
{{- $carrier = .name }}
{{- $depth = len $place }}
{{- end }}
{{- end }}
{{- if and (not $carrier) (hasKey $given $name) (has $name $mounted) }}
{{- $name = printf "%s-of-the-handler" $name | trunc 63 }}
{{- end }}
{{- $state := dict "mount" (ternary "" $name (ne $carrier "")) "volume" "" "claim" "" "own" false }}
{{- $volume := get $given (default $name $carrier) }}
{{- if $volume }}
{{- $_ := set $state "kept" (not (hasKey $volume "emptyDir")) }}
{{- else }}
{{- $_ := set $state "volume" (default $name $carrier) }}
{{- if or (eq (toString $settings.enabled) "true") (and (kindIs "invalid" $settings.enabled) (not $settings.existingClaim)) }}
{{- $_ := set $state "own" true }}
{{- $_ := set $state "claim" (include "event-handler.fullname" .) }}
{{- else }}
{{- $_ := set $state "claim" (default "" $settings.existingClaim) }}
{{- end }}
{{- $_ := set $state "kept" (ne $state.claim "") }}
{{- end }}
{{- toYaml $state }}
{{- end }}

{{- define "event-handler.teleportAddress" -}}
{{- if .Values.teleport.address }}
{{- .Values.teleport.address }}
{{- else if .Values.tbot.enabled }}
{{- coalesce .Values.tbot.teleportProxyAddress .Values.tbot.teleportAuthAddress "" }}
{{- end }}
{{- end }}

{{/* Name of tbot's resources, by the rule of its own chart. */}}
{{- define "event-handler.tbot.fullname" -}}
{{- if .Values.tbot.fullnameOverride }}
{{- .Values.tbot.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (default "tbot" .Values.tbot.nameOverride) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Refuses what would keep handler and tbot from working together. */}}
{{- define "event-handler.tbot.check" -}}
{{- if .Values.tbot.enabled }}
{{- if eq (include "event-handler.tbot.fullname" .) (include "event-handler.fullname" .) }}
{{- fail (printf "tbot has the name of the event handler, %q: choose another release name, fullnameOverride or tbot.fullnameOverride" (include "event-handler.fullname" .)) }}
{{- end }}
{{- if not .Values.teleport.identitySecretName }}
{{- if ne (default "tbot" .Values.tbot.nameOverride) "tbot" }}
{{- fail "tbot.nameOverride must not be changed: the names of tbot's secret and service account follow from it" }}
{{- end }}
{{- if not .Values.tbot.defaultOutput.enabled }}
{{- fail "tbot.defaultOutput.enabled must not be changed: it is the secret that the handler reads unless teleport.identitySecretName names another" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of the join token, by the rule of tbot's own chart, which refuses an empty one. */}}
{{- define "event-handler.tbot.tokenName" -}}
{{- default (include "event-handler.tbot.fullname" .) .Values.tbot.token }}
{{- end }}

{{- define "event-handler.tbot.serviceAccountName" -}}
{{- $account := default dict .Values.tbot.serviceAccount }}
{{- default (include "event-handler.tbot.fullname" .) $account.name }}
{{- end }}

{{- define "event-handler.identitySecretName" -}}
{{- if .Values.teleport.identitySecretName }}
{{- .Values.teleport.identitySecretName }}
{{- else if .Values.tbot.enabled }}
{{- default (printf "%s-out" (include "event-handler.tbot.fullname" .)) .Values.tbot.defaultOutput.secretName }}
{{- end }}
{{- end }}

{{- define "event-handler.identitySecretPath" -}}
{{- ternary "identity" .Values.teleport.identitySecretPath (default false .Values.tbot.enabled) }}
{{- end }}

{{/* The secret with the certificate for Fluentd, and the three keys in it, as YAML. */}}
{{- define "event-handler.certificate" -}}
{{- $given := .Values.fluentd.certificate }}
{{- if .Values.certManager.enabled }}
secretName: {{ include "event-handler.named" (list . "client-tls") | quote }}
ca: ca.crt
cert: tls.crt
key: tls.key
{{- else if $given.secretName }}
secretName: {{ $given.secretName | quote }}
ca: {{ $given.caPath | quote }}
cert: {{ $given.certPath | quote }}
key: {{ $given.keyPath | quote }}
{{- end }}
{{- end }}

{{/* Where the trust file of decoder artifacts comes from: the volume without its name, as YAML. */}}
{{- define "event-handler.trustVolume" -}}
{{- $trust := .Values.decoder.trust }}
{{- $items := list (dict "key" $trust.path "path" "decoder-trust.json") }}
{{- if gt (len (without (list $trust.content $trust.configMapName $trust.secretName) "")) 1 }}
{{- fail "only one of decoder.trust.content, decoder.trust.configMapName and decoder.trust.secretName can be set" }}
{{- end }}
{{- if $trust.content }}
{{- dict "configMap" (dict "name" (include "event-handler.named" (list . "decoder-trust"))) | toYaml }}
{{- else if $trust.configMapName }}
{{- dict "configMap" (dict "name" $trust.configMapName "items" $items) | toYaml }}
{{- else if $trust.secretName }}
{{- dict "secret" (dict "secretName" $trust.secretName "items" $items) | toYaml }}
{{- end }}
{{- end }}
