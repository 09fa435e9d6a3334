{{/* How fast the number of workers changes. Takes the values of `autoscaling`.

Each change moves partitions, which their standbys answer meanwhile: so workers come one or two at a time, and go one at a time, late. */}}
{{- define "wordcount.scaling" -}}
scaleUp:
  stabilizationWindowSeconds: 60
  policies:
    - type: Pods
      value: 2
      periodSeconds: 120
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDownAfterS }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: 300
{{- end -}}

{{/* The secrets with which KEDA asks the brokers, which are those of the workers; empty if there are none. */}}
{{- define "wordcount.scalerSecrets" -}}
{{- with .Values.sasl }}
{{- if .existingSecret }}
- parameter: username
  name: {{ .existingSecret | quote }}
  key: {{ .usernameKey | quote }}
- parameter: password
  name: {{ .existingSecret | quote }}
  key: {{ .passwordKey | quote }}
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if .existingSecret }}
{{- range $parameter, $key := dict "ca" .caKey "cert" .certKey "key" .privateKeyKey "keyPassword" .privateKeyPasswordKey }}
{{- if $key }}
- parameter: {{ $parameter }}
  name: {{ $.Values.tls.existingSecret | quote }}
  key: {{ $key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
