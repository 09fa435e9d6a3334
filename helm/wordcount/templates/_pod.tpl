{{/* What pods of workers and of views have in common. Each template takes Values, Release, Chart and `role`: "worker", "view",
or "command" for a pod that runs a command and ends. */}}

{{/* Labels and annotations of a pod. Without versions: a new chart that changes nothing else must not restart the pods. */}}
{{- define "wordcount.podMetadata" -}}
labels:
  {{- if eq .role "view" }}
  {{- include "wordcount.viewSelectorLabels" . | nindent 2 }}
  {{- else }}
  {{- include "wordcount.selectorLabels" . | nindent 2 }}
  {{- end }}
  {{- with .Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with eq .role "view" | ternary .Values.views .Values }}
{{- with .podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "wordcount.podOptions" -}}
serviceAccountName: {{ include "wordcount.serviceAccountName" . | quote }}
automountServiceAccountToken: false
# Faust reads unprefixed variables, and a Service called "web" in this namespace would set WEB_PORT=tcp://…
# for every container; one called "wordcount-http" would set WORDCOUNT_HTTP_PORT.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
# Each pod on a node of its own where there are enough nodes: a partition's worker and its standby do not end together.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- if eq .role "view" }}
        {{- include "wordcount.viewSelectorLabels" . | nindent 8 }}
        {{- else }}
        {{- include "wordcount.selectorLabels" . | nindent 8 }}
        {{- end }}
{{- with eq .role "view" | ternary .Values.views .Values }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "wordcount.podSecurity" . | nindent 0 }}
{{- end -}}

{{- define "wordcount.container" -}}
image: {{ include "wordcount.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [{{ .role | quote }}]
env:
  {{- include "wordcount.env" . | nindent 2 }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: http
    containerPort: 8080
    protocol: TCP
# The interface answers before the state is restored, so a long restore needs no long start.
startupProbe:
  httpGet:
    path: /livez
    port: http
    scheme: {{ include "wordcount.scheme" . }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 30
# Slow to act: a restart costs more than a minute of patience.
livenessProbe:
  httpGet:
    path: /livez
    port: http
    scheme: {{ include "wordcount.scheme" . }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
# All workers are unready while their group rebalances. If that took them out of the Service, nobody would be left to answer, so only
# a rebalance longer than the session time-out does.
readinessProbe:
  httpGet:
    path: /readyz
    port: http
    scheme: {{ include "wordcount.scheme" . }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 3
{{- include "wordcount.containerSecurity" . | nindent 0 }}
resources:
  {{- eq .role "view" | ternary .Values.views.resources .Values.resources | toYaml | nindent 2 }}
volumeMounts:
  {{- include "wordcount.mounts" . | nindent 2 }}
{{- end -}}

{{- define "wordcount.mounts" -}}
{{- if ne .role "command" }}
- name: state
  mountPath: /var/lib/wordcount
{{- end }}
- name: tmp
  mountPath: /tmp
{{- if include "wordcount.tlsItems" . }}
- name: tls
  mountPath: /etc/wordcount/tls
  readOnly: true
{{- end }}
{{- if include "wordcount.passwords" . }}
- name: passwords
  mountPath: /etc/wordcount/secrets
  readOnly: true
{{- end }}
{{- if .Values.access.tokens.existingSecret }}
- name: http-tokens
  mountPath: /etc/wordcount/http-tokens
  readOnly: true
{{- end }}
{{- if .Values.access.tls.existingSecret }}
- name: http-tls
  mountPath: /etc/wordcount/http-tls
  readOnly: true
{{- end }}
{{- if and .Values.watches.existingSecret (ne .role "view") }}
- name: watches
  mountPath: /etc/wordcount/watches
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wordcount.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  # Gives the volume to the worker's group, and only changes owners when the top folder is not right already.
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "wordcount.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
{{- end -}}

{{/* A pod that runs one command of the product, role "command", with the settings and secrets of a worker, and then ends. */}}
{{- define "wordcount.commandPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "wordcount.podSecurity" . }}
containers:
  - name: wordcount
    image: {{ include "wordcount.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: {{ toJson .command }}
    env:
      {{- include "wordcount.env" . | nindent 6 }}
      {{- with .env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- include "wordcount.containerSecurity" . | nindent 4 }}
    resources:
      requests:
        cpu: 50m
        memory: 128Mi
      limits:
        memory: 512Mi
    volumeMounts:
      {{- include "wordcount.mounts" . | nindent 6 }}
volumes:
  {{- include "wordcount.volumes" . | nindent 2 }}
{{- end -}}

{{/* All volumes but the one of the state. */}}
{{- define "wordcount.volumes" -}}
{{- $tlsItems := include "wordcount.tlsItems" . -}}
{{- $passwords := include "wordcount.passwords" . -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSizeLimit }}
{{- if $tlsItems }}
- name: tls
  secret:
    secretName: {{ .Values.tls.existingSecret | quote }}
    defaultMode: 0440
    items:
      {{- $tlsItems | nindent 6 }}
{{- end }}
{{- if $passwords }}
- name: passwords
  projected:
    defaultMode: 0440
    sources:
      {{- $passwords | nindent 6 }}
{{- end }}
{{- with .Values.access.tokens }}
{{- if .existingSecret }}
- name: http-tokens
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .key | quote }}
        path: tokens
{{- end }}
{{- end }}
{{- with .Values.access.tls }}
{{- if .existingSecret }}
- name: http-tls
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .certKey | quote }}
        path: tls.crt
      - key: {{ .privateKeyKey | quote }}
        path: tls.key
      {{- if .caKey }}
      - key: {{ .caKey | quote }}
        path: ca.crt
      {{- end }}
{{- end }}
{{- end }}
{{- if and .Values.watches.existingSecret (ne .role "view") }}
- name: watches
  secret:
    secretName: {{ .Values.watches.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
