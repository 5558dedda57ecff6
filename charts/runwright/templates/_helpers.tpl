{{- define "runwright.name" -}}
{{- /* A release named runwright gives runwright-operator, as in deploy/base. */ -}}
{{- printf "%s-operator" (.Release.Name | trunc 54 | trimSuffix "-") -}}
{{- end -}}

{{- define "runwright.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "runwright.name" . -}}
{{- else -}}
{{- fail "serviceAccount.name: required, because serviceAccount.create is false. Set it to the operator's service account" -}}
{{- end -}}
{{- end -}}

{{- define "runwright.labels" -}}
app.kubernetes.io/name: runwright
app.kubernetes.io/part-of: runwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "runwright.selector" -}}
app.kubernetes.io/name: runwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "runwright.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "runwright.podSecurity" -}}
{{- /* Satisfies the Pod Security level `restricted`; podSecurityContext overrides it. */ -}}
{{- $restricted := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $restricted (deepCopy .Values.podSecurityContext)) -}}
{{- end -}}

{{- define "runwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "runwright.placement" -}}
{{- /* Scheduling of a component's pods. With `anti`, they prefer different nodes. */ -}}
{{- $values := .root.Values -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if .anti }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- .selector | nindent 14 }}
{{- end }}
{{- range $index, $constraint := $values.topologySpreadConstraints }}
{{- if not $index }}
topologySpreadConstraints:
{{- end }}
  - {{- toYaml (mergeOverwrite (dict "labelSelector" (dict "matchLabels" (fromYaml $.selector))) (deepCopy $constraint)) | nindent 4 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "runwright.clusterPrefix" -}}
{{- /* Prefix of cluster-wide names: releases for single namespaces may have the same name in different namespaces. */ -}}
{{- if or .Values.watchNamespaces .Values.serve.namespace }}{{ printf "%s-" .Release.Namespace }}{{ end -}}
{{- end -}}

{{- define "runwright.serveName" -}}
{{- printf "%s-serve" (.Release.Name | trunc 57 | trimSuffix "-") -}}
{{- end -}}

{{- define "runwright.serveSelector" -}}
app.kubernetes.io/name: runwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: serve
{{- end -}}

{{- define "runwright.serveRules" -}}
{{- /* Rights of the run service in its namespaces. deploy/serve/clusterrole.yaml has the reasons. */ -}}
- apiGroups: [runwright.dev]
  resources: [pipelineruns, pipelineexperiments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [runwright.dev]
  resources: [pipelineruns/status]
  verbs: [patch]
- apiGroups: [runwright.dev]
  resources: [workflowsnapshots]
  verbs: [get]
- apiGroups: [argoproj.io]
  resources: [{{ .templates }}]
  verbs: [get]
- apiGroups: [runwright.dev]
  resources: [pipelinemanifests]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end -}}

{{- define "runwright.reviewRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{- define "runwright.rules" -}}
{{- /* Rights of the operator in its namespaces. deploy/base/clusterrole.yaml has the reasons. */ -}}
- apiGroups: [runwright.dev]
  resources: [pipelineruns]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [runwright.dev]
  resources: [pipelineruns/status]
  verbs: [patch]
- apiGroups: [runwright.dev]
  resources: [pipelineruns/finalizers]
  verbs: [update]
- apiGroups: [runwright.dev]
  resources: [retentionpolicies]
  verbs: [get, list, watch]
{{- if .features.snapshots }}
- apiGroups: [runwright.dev]
  resources: [workflowsnapshots]
  verbs: [get, create, delete]
{{- end }}
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch, create, {{ if .features.retries }}update, {{ end }}patch, delete]
{{- if .features.retries }}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, delete]
- apiGroups: [argoproj.io]
  resources: [workflowtaskresults]
  verbs: [list, delete]
{{- end }}
{{- if .features.sharedManifests }}
- apiGroups: [runwright.dev]
  resources: [pipelinemanifests]
  verbs: [get]
{{- end }}
{{- if .features.workflowTemplates }}
- apiGroups: [argoproj.io]
  resources: [{{ .templates }}]
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [{{ if .features.sharedManifests }}configmaps, {{ end }}serviceaccounts]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- define "runwright.monitoringMetadata" -}}
{{- /* Metadata of an object for the Prometheus operator, with the labels by which Prometheus selects it. */ -}}
{{- $root := index . 0 -}}
name: {{ include "runwright.name" $root }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "runwright.labels" $root | nindent 2 }}
  {{- with index . 1 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
