{{- define "runwright.name" -}}
{{- /* A release called runwright gives runwright-operator, as deploy/base does. */ -}}
{{- printf "%s-operator" (.Release.Name | trunc 54 | trimSuffix "-") -}}
{{- end -}}

{{- define "runwright.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "runwright.name" . -}}
{{- else -}}
{{- fail "serviceAccount.create is false, so serviceAccount.name must name the service account that the operator runs as" -}}
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
{{- /* What the Pod Security level `restricted` asks for, and values of one's own over it. */ -}}
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
{{- /* Where the pods of a component go; `anti` keeps its replicas on different nodes where there are several. */ -}}
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
{{- /* Of names that are the cluster's: a release for single namespaces may have a namesake in another one. */ -}}
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
{{- /* What the run service does in a namespace that it serves: deploy/serve/clusterrole.yaml says why. */ -}}
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
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, patch, delete]
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
{{- /* What the operator does in a namespace that it watches: deploy/base/clusterrole.yaml says why. */ -}}
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
{{- /* Of an object of the Prometheus operator's, with the labels that it is selected by. */ -}}
{{- $root := index . 0 -}}
name: {{ include "runwright.name" $root }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "runwright.labels" $root | nindent 2 }}
  {{- with index . 1 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
