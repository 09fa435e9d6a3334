{{/* What reaches the pods of workers or views, and what they reach. Takes Values, Release, Chart and `role`: "worker" or "view". */}}
{{- define "wordcount.networkPolicySpec" -}}
{{- $isWorker := eq .role "worker" -}}
podSelector:
  matchLabels:
    {{- include ($isWorker | ternary "wordcount.selectorLabels" "wordcount.viewSelectorLabels") . | nindent 4 }}
policyTypes: [Ingress, Egress]
ingress:
  - ports:
      - port: http
        protocol: TCP
    {{- with .Values.networkPolicy.clients }}
    from:
      {{- toYaml . | nindent 6 }}
      {{- if $isWorker }}
      # Workers ask each other for the partitions that they do not have.
      - podSelector:
          matchLabels:
            {{- include "wordcount.selectorLabels" $ | nindent 12 }}
      # `helm test` asks them.
      - podSelector:
          matchLabels:
            {{- include "wordcount.commandLabels" $ | nindent 12 }}
      {{- end }}
    {{- end }}
egress:
  # Name servers may be pods, or listen on an address of the node.
  - ports:
      - port: 53
        protocol: UDP
      - port: 53
        protocol: TCP
  - ports:
      {{- range .Values.networkPolicy.brokerPorts }}
      - port: {{ int64 . }}
        protocol: TCP
      {{- end }}
    {{- with .Values.networkPolicy.brokers }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- if $isWorker }}
  - ports:
      - port: 8080
        protocol: TCP
    to:
      - podSelector:
          matchLabels:
            {{- include "wordcount.selectorLabels" . | nindent 12 }}
  {{- end }}
  {{- with .Values.networkPolicy.egress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
