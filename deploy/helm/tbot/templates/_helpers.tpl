{{- define "tbot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The chart of the event handler finds the secret and the service account by the same rule: a
`nameOverride` is always put behind the name of the release, whatever that is, so that two charts of
one release have names of their own.
*/}}
{{- define "tbot.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if and (not .Values.nameOverride) (contains .Chart.Name .Release.Name) }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tbot.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tbot.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: tbot
{{- end }}

{{/* The labels of a part of the chart, those of the values among them: (list $ "pod"). */}}
{{- define "tbot.labels" -}}
{{- $root := index . 0 }}
{{- $labels := include "tbot.selectorLabels" $root | fromYaml }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- mergeOverwrite $labels (deepCopy (default dict (get (default dict $root.Values.extraLabels) (index . 1)))) | toYaml }}
{{- end }}

{{/* The head of each resource: (dict "root" $ "part" "config" "name" …). */}}
{{- define "tbot.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "tbot.labels" (list .root .part) | nindent 2 }}
{{- with get (default dict .root.Values.annotations) .part }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tbot.serviceAccountName" -}}
{{- default (include "tbot.fullname" .) (default dict .Values.serviceAccount).name }}
{{- end }}

{{- define "tbot.config" -}}
{{- $name := include "tbot.fullname" . }}
{{- if and .Values.teleportProxyAddress .Values.teleportAuthAddress }}
{{- fail "tbot: only one of teleportProxyAddress and teleportAuthAddress can be set" }}
{{- end }}
{{- if not (or .Values.teleportProxyAddress .Values.teleportAuthAddress) }}
{{- fail "tbot: one of teleportProxyAddress and teleportAuthAddress must be set" }}
{{- end }}
{{- if eq (toString .Values.token) "" }}
{{- fail "tbot.token cannot be empty in chart values" }}
{{- end }}
{{- $onboarding := dict "join_method" .Values.joinMethod "token" (default $name .Values.token) }}
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
