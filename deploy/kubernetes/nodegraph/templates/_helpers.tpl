{{/* Names, labels and the parts that pods of the server and of Ray share. */}}

{{- define "nodegraph.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "nodegraph.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "nodegraph.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "nodegraph.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuse what can not work together; nothing is printed otherwise. */}}
{{- define "nodegraph.check" -}}
{{- $many := or (gt (int .Values.replicas) 1) (ne .Values.autoscaling.kind "none") -}}
{{- if and $many (not .Values.database.existingSecret) -}}
{{- fail "more than one server needs database.existingSecret: SQLite is for one server" -}}
{{- end -}}
{{- $shared := or .Values.storage.files.existingClaim (and .Values.storage.files.input .Values.storage.files.output) -}}
{{- if and (or $many (eq .Values.workers.mode "ray")) (not $shared) -}}
{{- fail "several pods need files that all see: storage.files.input and output in an object store, or existingClaim" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and (eq .Values.workers.mode "ray") (not .Values.workers.ray.version) -}}
{{- fail "workers.ray.version has to be the version of Ray in the image" -}}
{{- end -}}
{{- end -}}

{{- define "nodegraph.hosts" -}}
{{- $name := include "nodegraph.name" . -}}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- if .Values.ingress.enabled -}}{{- $hosts = append $hosts .Values.ingress.host -}}{{- end -}}
{{- join "," (concat $hosts .Values.allowHosts | uniq) -}}
{{- end -}}

{{/* Files and models, as every process that computes needs them. */}}
{{- define "nodegraph.fileEnvironment" -}}
{{- with .Values.storage.files.input }}
- name: NODEGRAPH_INPUT_DIR
  value: {{ . | quote }}
{{- end }}
{{- with .Values.storage.files.output }}
- name: NODEGRAPH_OUTPUT_DIR
  value: {{ . | quote }}
{{- end }}
{{- with .Values.storage.files.temp }}
- name: NODEGRAPH_TEMP_DIR
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "nodegraph.envFrom" -}}
{{- with .Values.storage.files.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end -}}

{{- define "nodegraph.mounts" -}}
- name: models
  mountPath: /models
  readOnly: true
- name: cache
  mountPath: /cache
- name: data
  mountPath: /data
- name: files
  mountPath: /input
  subPath: input
- name: files
  mountPath: /output
  subPath: output
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- end -}}

{{- define "nodegraph.volumes" -}}
- name: models
{{- if .Values.storage.models.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.storage.models.existingClaim }}
    readOnly: true
{{- else }}
  emptyDir: {}
{{- end }}
- name: cache
  emptyDir:
    sizeLimit: {{ .Values.storage.cache.size }}
- name: files
{{- if .Values.storage.files.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.storage.files.existingClaim }}
{{- else if and .Values.storage.files.input .Values.storage.files.output }}
  emptyDir: {}
{{- else }}
  persistentVolumeClaim:
    claimName: {{ include "nodegraph.name" . }}-files
{{- end }}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: 2Gi
{{- end -}}

{{- define "nodegraph.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "nodegraph.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Resources with the GPUs: call with a dict of `resources`, `gpus` and `gpuResource`. */}}
{{- define "nodegraph.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if gt (int .gpus) 0 -}}
{{- $limits := merge (dict .gpuResource (int .gpus)) (default (dict) $resources.limits) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
