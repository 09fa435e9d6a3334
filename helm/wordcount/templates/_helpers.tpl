{{/* Every name is quoted where it is used: a release or secret called 123 or true would change its type.

Name of all objects. 52 characters, so that what is added ("-headless", a revision hash) still fits in 63. */}}
{{- define "wordcount.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods. They are immutable in a StatefulSet: nothing that changes with a version belongs here. */}}
{{- define "wordcount.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/*
Labels that select the pods of views. They have another name than those of workers: selectors of workers then never select views, and
the selector of the StatefulSet, which cannot be changed, stays as it was before there were views.
*/}}
{{- define "wordcount.viewSelectorLabels" -}}
app.kubernetes.io/name: "{{ default .Chart.Name .Values.nameOverride | trunc 58 | trimSuffix "-" }}-view"
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of pods that run a command and end. No Service, policy or budget of workers or views selects them. */}}
{{- define "wordcount.commandLabels" -}}
app.kubernetes.io/name: "{{ default .Chart.Name .Values.nameOverride | trunc 55 | trimSuffix "-" }}-command"
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "wordcount.labels" -}}
{{ include "wordcount.selectorLabels" . }}
{{ include "wordcount.versionLabels" . }}
{{- end -}}

{{- define "wordcount.viewLabels" -}}
{{ include "wordcount.viewSelectorLabels" . }}
{{ include "wordcount.versionLabels" . }}
{{- end -}}

{{- define "wordcount.versionLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wordcount.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wordcount.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "wordcount.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Names by which clients in the cluster call the Service and the pods, and those that were added. Takes `role` as well. */}}
{{- define "wordcount.allowedHosts" -}}
{{- $name := include "wordcount.fullname" . -}}
{{- $names := list $name (printf "*.%s-headless" $name) -}}
{{- $added := .Values.service.allowedHosts -}}
{{- if eq .role "view" -}}
{{- $names = list (printf "%s-view" $name) -}}
{{- $added = .Values.views.service.allowedHosts -}}
{{- end -}}
{{- range $route := list .Values.ingress .Values.httpRoute -}}
{{- if and $route.enabled (eq $route.to (printf "%ss" $.role)) -}}
{{- $added = concat $added $route.hosts -}}
{{- end -}}
{{- end -}}
{{- $hosts := list -}}
{{- range $host := $names -}}
{{- range $suffix := list "" ".svc" ".svc.cluster.local" -}}
{{- $hosts = append $hosts (printf "%s.%s%s" $host $.Release.Namespace $suffix) -}}
{{- end -}}
{{- $hosts = append $hosts $host -}}
{{- end -}}
{{- concat $hosts $added | uniq | join "," -}}
{{- end -}}

{{/*
Environment of a worker or a view, by `role`. Numbers of a values file arrive as floating point: without int64 a large one would be
written as 4.194304e+06. A view takes its memory from the limit of its own container: the workers' number may be above it.
*/}}
{{- define "wordcount.env" -}}
- name: WORDCOUNT_STATE_DIR
  value: /var/lib/wordcount
- name: WORDCOUNT_HTTP_HOST
  value: "0.0.0.0"
- name: WORDCOUNT_HTTP_PORT
  value: "8080"
- name: WORDCOUNT_HTTP_ALLOWED_HOSTS
  value: {{ include "wordcount.allowedHosts" . | quote }}
{{- range $name, $value := eq .role "view" | ternary (omit .Values.settings "memory_mb") .Values.settings }}
- name: WORDCOUNT_{{ upper $name }}
  value: {{ kindIs "float64" $value | ternary (int64 $value) $value | toString | quote }}
{{- end }}
{{- if and (eq .Values.topics.by "job") (not (hasKey .Values.settings "create_topics")) }}
- name: WORDCOUNT_CREATE_TOPICS
  value: "false"
{{- end }}
{{- if and .Values.staticMembership.enabled (eq .role "worker") }}
- name: WORDCOUNT_GROUP_INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- if include "wordcount.passwords" . }}
- name: WORDCOUNT_SECRETS_DIR
  value: /etc/wordcount/secrets
{{- end }}
{{- with .Values.tls }}
{{- if .existingSecret }}
{{- if .caKey }}
- name: WORDCOUNT_SSL_CA_FILE
  value: /etc/wordcount/tls/ca.crt
{{- end }}
{{- if .certKey }}
- name: WORDCOUNT_SSL_CERT_FILE
  value: /etc/wordcount/tls/tls.crt
{{- end }}
{{- if .privateKeyKey }}
- name: WORDCOUNT_SSL_KEY_FILE
  value: /etc/wordcount/tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.watches.existingSecret (ne .role "view") }}
- name: WORDCOUNT_WATCHES
  value: {{ printf "/etc/wordcount/watches/%s" .Values.watches.key | quote }}
{{- end }}
{{- with .Values.access }}
{{- if .tokens.existingSecret }}
- name: WORDCOUNT_TOKENS_FILE
  value: /etc/wordcount/http-tokens/tokens
{{- end }}
{{- if .tls.existingSecret }}
- name: WORDCOUNT_HTTP_TLS_CERT_FILE
  value: /etc/wordcount/http-tls/tls.crt
- name: WORDCOUNT_HTTP_TLS_KEY_FILE
  value: /etc/wordcount/http-tls/tls.key
{{- if .tls.caKey }}
- name: WORDCOUNT_HTTP_TLS_CA_FILE
  value: /etc/wordcount/http-tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Probes go over TLS where the interface has it; the kubelet verifies no certificate. */}}
{{- define "wordcount.scheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty .Values.access.tls.existingSecret)) -}}
{{- end -}}

{{/*
Sources of the volume with login and passwords, as files named after the variables; empty if there are none. Variables of a
pod do not change while it runs, files do. A view, by `role`, gets no secret of the workers: it asks no worker, and no worker asks it.
*/}}
{{- define "wordcount.passwords" -}}
{{- $login := .login }}
{{- with .Values.sasl }}
{{- if .existingSecret }}
- secret:
    name: {{ default .existingSecret $login | quote }}
    items:
      - key: {{ .usernameKey | quote }}
        path: WORDCOUNT_SASL_USERNAME
      - key: {{ .passwordKey | quote }}
        path: WORDCOUNT_SASL_PASSWORD
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if and .existingSecret .privateKeyPasswordKey }}
- secret:
    name: {{ .existingSecret | quote }}
    items:
      - key: {{ .privateKeyPasswordKey | quote }}
        path: WORDCOUNT_SSL_KEY_PASSWORD
{{- end }}
{{- end }}
{{- $role := .role }}
{{- with .Values.access.peers }}
{{- if and .existingSecret (eq $role "worker") }}
- secret:
    name: {{ .existingSecret | quote }}
    items:
      - key: {{ .key | quote }}
        path: WORDCOUNT_PEER_SECRET
{{- end }}
{{- end }}
{{- end -}}

{{/* Files of the TLS secret that are mounted; empty if none is. */}}
{{- define "wordcount.tlsItems" -}}
{{- with .Values.tls }}
{{- if .existingSecret }}
{{- if .caKey }}
- key: {{ .caKey | quote }}
  path: ca.crt
{{- end }}
{{- if .certKey }}
- key: {{ .certKey | quote }}
  path: tls.crt
{{- end }}
{{- if .privateKeyKey }}
- key: {{ .privateKeyKey | quote }}
  path: tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Relations between values that a schema cannot state. Each message names the values and what to do. */}}
{{- define "wordcount.validate" -}}
{{- $grace := int64 .Values.terminationGracePeriodSeconds -}}
{{- $timeout := int64 .Values.settings.shutdown_timeout_s -}}
{{- $protocol := default "PLAINTEXT" .Values.settings.security_protocol -}}
{{- $sasl := .Values.sasl -}}
{{- $tls := .Values.tls -}}
{{- $drain := int64 .Values.settings.drain_s -}}
{{- range $name, $value := .Values.commonLabels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $name) (hasPrefix "helm.sh/" $name) -}}
{{- fail (printf "commonLabels has %s, and labels with this prefix are the chart's own: choose another name" $name) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "WORDCOUNT_" .name -}}
{{- fail (printf "extraEnv has %s: set it under `settings`, or by the values for secrets, which the chart mounts as files" .name) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "ingress" "httpRoute" -}}
{{- with get $.Values $name -}}
{{- if and .enabled (not .hosts) -}}
{{- fail (printf "%s.enabled is true, but %s.hosts is empty: name the hosts by which clients ask" $name $name) -}}
{{- end -}}
{{- if and .enabled (eq .to "views") (not $.Values.views.replicas) -}}
{{- fail (printf "%s.to is views, but views.replicas is 0: let it lead to workers, or raise views.replicas" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled is true, but httpRoute.parentRefs is empty: name the gateways that the route is attached to" -}}
{{- end -}}
{{- with .Values.podMonitor -}}
{{- if and .enabled $.Values.access.tokens.existingSecret (not .token.existingSecret) -}}
{{- fail "podMonitor.enabled is true, and access.tokens.existingSecret is set, but podMonitor.token.existingSecret is empty: name a secret with a token of scope read" -}}
{{- end -}}
{{- if and .enabled .serverName (not (and $.Values.access.tls.existingSecret $.Values.access.tls.caKey)) -}}
{{- fail "podMonitor.serverName is set, but access.tls.existingSecret or access.tls.caKey is empty, so that no certificate can be verified: set both, or none of the three" -}}
{{- end -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- if and .Values.watches.existingSecret (not .Values.networkPolicy.egress) -}}
{{- fail "watches.existingSecret is set, but networkPolicy.egress is empty, so that no receiver can be told: add a rule for the receivers" -}}
{{- end -}}
{{- range $broker := splitList "," .Values.settings.bootstrap_servers -}}
{{- $port := regexReplaceAll "^.*:" $broker "" | trim | int64 -}}
{{- $open := false -}}
{{- range $.Values.networkPolicy.brokerPorts -}}
{{- if eq (int64 .) $port -}}
{{- $open = true -}}
{{- end -}}
{{- end -}}
{{- if not $open -}}
{{- fail (printf "settings.bootstrap_servers has %s, but port %d is not in networkPolicy.brokerPorts: add all ports that the brokers advertise" $broker $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if ne .by "none" -}}
{{- if lt (int64 .maxReplicas) (int64 .minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas (%d) is below autoscaling.minReplicas (%d): raise the first or lower the second" (int64 .maxReplicas) (int64 .minReplicas)) -}}
{{- end -}}
{{- $partitions := int64 (default 8 $.Values.settings.partitions) -}}
{{- if gt (int64 .maxReplicas) $partitions -}}
{{- fail (printf "autoscaling.maxReplicas (%d) is above settings.partitions (%d), and a worker without a partition counts nothing: lower the first, or set the second to the partitions that the topic has" (int64 .maxReplicas) $partitions) -}}
{{- end -}}
{{- if $.Values.staticMembership.enabled -}}
{{- fail "autoscaling.by is set, and staticMembership.enabled is true: the partitions of a worker that is scaled away would be counted by nobody for the session time-out, so switch one of them off" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $volumes := list "state" "tmp" "tls" "passwords" "http-tokens" "http-tls" "watches" -}}
{{- $added := list -}}
{{- range .Values.extraVolumes -}}
{{- if or (has .name $volumes) (has .name $added) -}}
{{- fail (printf "extraVolumes has %s, and there is a volume of that name already: choose another name" .name) -}}
{{- end -}}
{{- $added = append $added .name -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $added) -}}
{{- fail (printf "extraVolumeMounts has %s, which is no volume of extraVolumes: add it there, or correct the name" .name) -}}
{{- end -}}
{{- end -}}
{{- if le $grace (add $drain $timeout) -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be greater than settings.drain_s (%d) and settings.shutdown_timeout_s (%d) together, or workers are killed while they shut down: raise the first or lower the others" $grace $drain $timeout) -}}
{{- end -}}
{{- if and (hasPrefix "SASL_" $protocol) (not $sasl.existingSecret) -}}
{{- fail (printf "settings.security_protocol is %s, but sasl.existingSecret is empty: name the secret that holds the login" $protocol) -}}
{{- end -}}
{{- if and $sasl.existingSecret (not (hasPrefix "SASL_" $protocol)) -}}
{{- fail (printf "sasl.existingSecret is set, but with settings.security_protocol %s nobody logs in: set SASL_SSL or SASL_PLAINTEXT" $protocol) -}}
{{- end -}}
{{- if and .Values.topics.existingSecret (not (and (eq .Values.topics.by "job") $sasl.existingSecret)) -}}
{{- fail "topics.existingSecret is set, but topics.by is not job, or sasl.existingSecret is empty, so that nobody logs in with it: set them, or remove it" -}}
{{- end -}}
{{- if and (eq .Values.topics.by "job") .Values.settings.create_topics -}}
{{- fail "topics.by is job, and settings.create_topics is true: let the job create the topics, or the workers" -}}
{{- end -}}
{{- if and $tls.existingSecret (not (hasSuffix "SSL" $protocol)) -}}
{{- fail (printf "tls.existingSecret is set, but with settings.security_protocol %s nothing is encrypted: set SSL or SASL_SSL" $protocol) -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.caKey) (not $tls.certKey) -}}
{{- fail "tls.existingSecret is set, but neither tls.caKey nor tls.certKey: name a key of the secret, or remove it" -}}
{{- end -}}
{{- if and $tls.certKey (not $tls.existingSecret) -}}
{{- fail "tls.certKey is set, but tls.existingSecret is empty: name the secret that holds the certificate" -}}
{{- end -}}
{{- if and (or $tls.privateKeyKey $tls.privateKeyPasswordKey) (not $tls.certKey) -}}
{{- fail "tls has a private key without a certificate: set tls.certKey" -}}
{{- end -}}
{{- if and .Values.access.tokens.existingSecret (not .Values.access.peers.existingSecret) -}}
{{- fail "access.tokens.existingSecret is set, but access.peers.existingSecret is empty: who asks as a worker does needs no token, so name the secret by which workers prove that they are workers" -}}
{{- end -}}
{{- if and .Values.access.tls.caKey (not .Values.access.tls.existingSecret) -}}
{{- fail "access.tls.caKey is set, but access.tls.existingSecret is empty: name the secret that holds the certificates" -}}
{{- end -}}
{{- end -}}
