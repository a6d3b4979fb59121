{{- define "tbot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The chart of the event handler finds the secret and the service account by the same rule. */}}
{{- define "tbot.fullname" -}}
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

{{- define "tbot.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tbot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: tbot
{{- end }}

{{- define "tbot.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tbot.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The head of each resource: (dict "root" $ "part" "config" "name" …). */}}
{{- define "tbot.metadata" -}}
name: {{ .name }}
labels:
  {{- include "tbot.labels" .root | nindent 2 }}
  {{- with get .root.Values.extraLabels .part }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with get .root.Values.annotations .part }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tbot.serviceAccountName" -}}
{{- default (include "tbot.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "tbot.config" -}}
{{- $name := include "tbot.fullname" . }}
{{- if and .Values.teleportProxyAddress .Values.teleportAuthAddress }}
{{- fail "tbot: only one of teleportProxyAddress and teleportAuthAddress can be set" }}
{{- end }}
{{- if not (or .Values.teleportProxyAddress .Values.teleportAuthAddress) }}
{{- fail "tbot: one of teleportProxyAddress and teleportAuthAddress must be set" }}
{{- end }}
{{- $onboarding := dict "join_method" .Values.joinMethod "token" (required "tbot: token must be set" .Values.token) }}
{{- $config := dict "version" "v2" "onboarding" $onboarding }}
{{- if .Values.teleportProxyAddress }}
{{- $_ := set $config "proxy_server" .Values.teleportProxyAddress }}
{{- else }}
{{- $_ := set $config "auth_server" .Values.teleportAuthAddress }}
{{- end }}
{{- if eq .Values.persistence "secret" }}
{{- $_ := set $config "storage" (dict "type" "kubernetes_secret" "name" $name) }}
{{- else if eq .Values.persistence "disabled" }}
{{- $_ := set $config "storage" (dict "type" "memory") }}
{{- else }}
{{- fail (printf "tbot: persistence is %q, and only \"disabled\" and \"secret\" are possible" .Values.persistence) }}
{{- end }}
{{- $outputs := .Values.outputs }}
{{- if .Values.defaultOutput.enabled }}
{{- $secret := default (printf "%s-out" $name) .Values.defaultOutput.secretName }}
{{- $destination := dict "type" "kubernetes_secret" "name" $secret }}
{{- $outputs = prepend $outputs (dict "type" "identity" "destination" $destination) }}
{{- end }}
{{- with $outputs }}
{{- $_ := set $config "outputs" . }}
{{- end }}
{{- with .Values.services }}
{{- $_ := set $config "services" . }}
{{- end }}
{{- mergeOverwrite $config (deepCopy .Values.tbotConfig) | toYaml }}
{{- end }}
