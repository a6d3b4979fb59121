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

{{- define "event-handler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "event-handler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "event-handler.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "event-handler.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
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

{{- define "event-handler.teleportAddress" -}}
{{- if .Values.teleport.address }}
{{- .Values.teleport.address }}
{{- else if .Values.tbot.enabled }}
{{- coalesce .Values.tbot.teleportProxyAddress .Values.tbot.teleportAuthAddress "" }}
{{- end }}
{{- end }}

{{/* Name of tbot's resources, by the rule of its own chart. */}}
{{- define "event-handler.tbot.fullname" -}}
{{- $name := default "tbot" .Values.tbot.nameOverride }}
{{- if .Values.tbot.fullnameOverride }}
{{- .Values.tbot.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
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
{{- if and .Values.tbot.enabled (not .Values.teleport.identitySecretName) -}}
identity
{{- else }}
{{- .Values.teleport.identitySecretPath }}
{{- end }}
{{- end }}

{{/* The secret with the certificate for Fluentd, and the three keys in it, as YAML. */}}
{{- define "event-handler.certificate" -}}
{{- $given := .Values.fluentd.certificate }}
{{- if $given.secretName }}
secretName: {{ $given.secretName | quote }}
ca: {{ $given.caPath | quote }}
cert: {{ $given.certPath | quote }}
key: {{ $given.keyPath | quote }}
{{- else if .Values.certManager.enabled }}
secretName: {{ include "event-handler.named" (list . "client-tls") | quote }}
ca: ca.crt
cert: tls.crt
key: tls.key
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
