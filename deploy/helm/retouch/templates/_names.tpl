{{- define "retouch.labels" -}}
app.kubernetes.io/name: retouch
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Labels that select one part's pods: list of the root context and the part's name. */}}
{{- define "retouch.selector" -}}
app.kubernetes.io/name: retouch
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "retouch.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "retouch.secret" -}}
{{ .Values.secrets.existing | default (printf "%s-secrets" .Release.Name) }}
{{- end }}

{{- define "retouch.claim" -}}
{{ .Values.models.existingClaim | default (printf "%s-models" .Release.Name) }}
{{- end }}

{{- /* Every group's headless Service: the gateway balances over their pods. */}}
{{- define "retouch.tritons" -}}
{{- $urls := list -}}
{{- range $name, $group := .Values.triton.groups -}}
{{- $urls = append $urls (printf "dns:///%s-triton-%s.%s.svc:8001" $.Release.Name $name $.Release.Namespace) -}}
{{- end -}}
{{ join "," $urls }}
{{- end }}

{{- define "retouch.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "retouch.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* What gateways and workers read from the environment. */}}
{{- define "retouch.environment" -}}
- { name: RETOUCH_TRITON_URL, value: {{ include "retouch.tritons" . | quote }} }
- { name: RETOUCH_STORE_URL, value: {{ .Values.store.url | quote }} }
- { name: AWS_REGION, value: {{ .Values.store.region | quote }} }
{{- with .Values.store.endpoint }}
- { name: AWS_ENDPOINT_URL, value: {{ . | quote }} }
{{- end }}
{{- if .Values.store.allowHttp }}
- { name: AWS_ALLOW_HTTP, value: "true" }
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: RETOUCH_{{ $name | upper }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}

{{- /* One more or one less at a time: a Triton takes minutes to load, a worker or Triton that goes must drain. */}}
{{- define "retouch.pace" -}}
horizontalPodAutoscalerConfig:
  behavior:
    scaleUp:
      policies: [{ type: Pods, value: 1, periodSeconds: {{ .Values.autoscaling.scaleUpSeconds }} }]
    scaleDown:
      stabilizationWindowSeconds: {{ .Values.autoscaling.cooldownSeconds }}
      policies: [{ type: Pods, value: 1, periodSeconds: {{ .Values.autoscaling.cooldownSeconds }} }]
{{- end }}

{{- define "retouch.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}
