package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// What Teleport's chart does not have.

func TestChartProbes(t *testing.T) {
	container := render(t, least).container()
	// Only what the handler itself is to blame for may end it.
	equal(t, "startup", container.StartupProbe.HTTPGet.Path, "/healthz")
	equal(t, "liveness", container.LivenessProbe.HTTPGet.Path, "/healthz")
	equal(t, "readiness", container.ReadinessProbe.HTTPGet.Path, "/readyz")
	container = render(t, least, "probes: {startup: {failureThreshold: 7}, liveness: {enabled: false}, readiness: {periodSeconds: 3, timeoutSeconds: 1}}").container()
	equal(t, "startup", container.StartupProbe.FailureThreshold, int32(7))
	equal(t, "liveness", container.LivenessProbe == nil, true)
	equal(t, "readiness", container.ReadinessProbe.PeriodSeconds+container.ReadinessProbe.TimeoutSeconds, int32(4))
}

// The image of Teleport knows nothing of the port, so that one switch turns all of it off.
func TestChartWithoutDiagnosticsHasNoPortNoProbesAndNoService(t *testing.T) {
	all := render(t, least, "diag: {enabled: false}")
	container := all.container()
	equal(t, "ports", len(container.Ports), 1)
	equal(t, "probes", container.StartupProbe == nil && container.LivenessProbe == nil && container.ReadinessProbe == nil, true)
	equal(t, "service", has[*corev1.Service](all), false)
}

func TestChartService(t *testing.T) {
	all := render(t, least, "diag: {port: 9100, service: {annotations: {a: b}}}")
	service := get[*corev1.Service](all, fullName)
	equal(t, "port", service.Spec.Ports[0].Port, int32(9100))
	equal(t, "port of the pod", all.container().Ports[1].ContainerPort, int32(9100))
	equal(t, "annotations", service.Annotations["a"], "b")
	equal(t, "scraped while not ready", service.Spec.PublishNotReadyAddresses, true)
	equal(t, "none", has[*corev1.Service](render(t, least, "diag: {service: {create: false}}")), false)
}

// The port has no login: who may ask it is up to the network.
func TestChartNetworkPolicy(t *testing.T) {
	equal(t, "by default", has[*networkingv1.NetworkPolicy](render(t, least)), false)
	const on = "diag: {networkPolicy: {enabled: true}}"
	all := render(t, least, operator, on)
	policy := get[*networkingv1.NetworkPolicy](all, fullName).Spec
	equal(t, "selector", policy.PodSelector.MatchLabels, all.deployment().Spec.Selector.MatchLabels)
	for _, deployment := range all.deployments() {
		labels := deployment.Spec.Template.Labels
		equal(t, deployment.Name, labels["app.kubernetes.io/name"] == policy.PodSelector.MatchLabels["app.kubernetes.io/name"], deployment.Name == fullName)
	}
	equal(t, "direction", policy.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress})
	equal(t, "rules", len(policy.Ingress), 1)
	equal(t, "port", policy.Ingress[0].Ports[0].Port.StrVal, all.container().Ports[1].Name)
	// The pods of the namespace, and not those of all: an empty list would be that.
	equal(t, "from", len(policy.Ingress[0].From), 1)
	own := policy.Ingress[0].From[0]
	equal(t, "pods", own.PodSelector != nil && len(own.PodSelector.MatchLabels) == 0, true)
	equal(t, "of the same namespace", own.NamespaceSelector == nil && own.IPBlock == nil, true)

	all = render(t, least, on, "diag: {networkPolicy: {from: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}}")
	from := get[*networkingv1.NetworkPolicy](all, fullName).Spec.Ingress[0].From
	equal(t, "who", len(from), 1)
	equal(t, "who", from[0].NamespaceSelector.MatchLabels, map[string]string{"name": "monitoring"})
	equal(t, "without the port", has[*networkingv1.NetworkPolicy](render(t, least, on, "diag: {enabled: false}")), false)
}

func TestChartServiceMonitor(t *testing.T) {
	all := render(t, least, "serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {release: prometheus}}")
	monitor := get[*serviceMonitor](all, fullName)
	equal(t, "label", monitor.Labels["release"], "prometheus")
	endpoint := monitor.Spec.Endpoints[0]
	equal(t, "endpoint", endpoint.Path+" "+endpoint.Interval+" "+endpoint.ScrapeTimeout, "/metrics 30s 10s")
	service := get[*corev1.Service](all, fullName)
	equal(t, "port", endpoint.Port, service.Spec.Ports[0].Name)
	for label, value := range monitor.Spec.Selector.MatchLabels {
		equal(t, "label of the Service", service.Labels[label], value)
	}
	equal(t, "by default", has[*serviceMonitor](render(t, least)), false)
	for _, values := range []string{"diag: {enabled: false}", "diag: {service: {create: false}}"} {
		refuses(t, "serviceMonitor.enabled needs", least, "serviceMonitor: {enabled: true}", values)
	}
}

func TestChartPodDisruptionBudget(t *testing.T) {
	equal(t, "by default", has[*policyv1.PodDisruptionBudget](render(t, least)), false)
	for values, want := range map[string]string{
		"{}":                    "nil 1",
		"{maxUnavailable: 50%}": "nil 50%",
		"{maxUnavailable: 0}":   "nil 0",
		"{minAvailable: 1}":     "1 nil",
	} {
		all := render(t, least, "podDisruptionBudget: "+values, "podDisruptionBudget: {enabled: true}")
		budget := get[*policyv1.PodDisruptionBudget](all, fullName)
		show := func(present bool, text string) string {
			if present {
				return text
			}
			return "nil"
		}
		stay, away := budget.Spec.MinAvailable, budget.Spec.MaxUnavailable
		is := show(stay != nil, stay.String()) + " " + show(away != nil, away.String())
		equal(t, values, is, want)
		equal(t, "selector", budget.Spec.Selector.MatchLabels, all.deployment().Spec.Selector.MatchLabels)
	}
	refuses(t, "only one of podDisruptionBudget", least, "podDisruptionBudget: {enabled: true, minAvailable: 1, maxUnavailable: 1}")
}

func TestChartModuleTrust(t *testing.T) {
	trust := `{"keys":[{"public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}]}`
	all := render(t, least, "decoder: {trust: {content: '"+trust+"'}}")
	equal(t, "content", get[*corev1.ConfigMap](all, fullName+"-decoder-trust").Data["decoder-trust.json"], trust)
	equal(t, "volume", all.volume("decoder-trust").ConfigMap.Name, fullName+"-decoder-trust")
	path := all.config()["decoder.trust"].(string)
	equal(t, "place", path, all.mount("decoder-trust").MountPath+"/decoder-trust.json")

	all = render(t, least, "decoder: {trust: {configMapName: theirs, path: trust.json}}")
	source := all.volume("decoder-trust").ConfigMap
	equal(t, "config map", source.Name+" "+source.Items[0].Key+" "+source.Items[0].Path, "theirs trust.json decoder-trust.json")
	all = render(t, least, "decoder: {trust: {secretName: theirs, path: trust.json}}")
	secret := all.volume("decoder-trust").Secret
	equal(t, "secret", secret.SecretName+" "+secret.Items[0].Key+" "+secret.Items[0].Path, "theirs trust.json decoder-trust.json")
	refuses(t, "only one of decoder.trust", least, "decoder: {trust: {secretName: a, configMapName: b}}")
}

func TestChartModuleArtifacts(t *testing.T) {
	all := render(t, least, "decoder: {artifacts: {existingClaim: artifacts}}")
	equal(t, "claim", all.volume("decoder-artifacts").PersistentVolumeClaim.ClaimName, "artifacts")
	equal(t, "read-only", all.mount("decoder-artifacts").ReadOnly, true)
	equal(t, "place", all.config()["decoder.artifacts"], any(all.mount("decoder-artifacts").MountPath))
	all = render(t, least, "decoder: {artifacts: {url: 'https://a/b', certificateSecretName: tls}}")
	equal(t, "secret", all.volume("decoder-artifacts-certificate").Secret.SecretName, "tls")
	refuses(t, "only one of decoder.artifacts", least, "decoder: {artifacts: {url: 'https://a/b', existingClaim: x}}")
}

// What is rendered by default can run where the strictest profile of Kubernetes is enforced.
func TestChartPodsAreRestricted(t *testing.T) {
	all := render(t, least, operator)
	for _, deployment := range all.deployments() {
		pod := deployment.Spec.Template.Spec
		container := pod.Containers[0]
		equal(t, "root", *pod.SecurityContext.RunAsNonRoot, true)
		equal(t, "calls", pod.SecurityContext.SeccompProfile.Type, corev1.SeccompProfileTypeRuntimeDefault)
		equal(t, "more rights", *container.SecurityContext.AllowPrivilegeEscalation, false)
		equal(t, "read-only", *container.SecurityContext.ReadOnlyRootFilesystem, true)
		equal(t, "capabilities", container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"})
	}
	// The state must be writable for that user.
	pod := all.deployment().Spec.Template.Spec.SecurityContext
	equal(t, "group", *pod.FSGroup, *pod.RunAsGroup)
}

// Helm shows the notes only where there is a cluster, so here they are a document of their own.
func TestChartNotes(t *testing.T) {
	copied := filepath.Join(t.TempDir(), chartName)
	if err := os.CopyFS(copied, os.DirFS(chart(t))); err != nil {
		t.Fatal(err)
	}
	template := `{{ define "notes" }}` + read(t, chartPath+"/templates/NOTES.txt") + `{{ end -}}
notes: {{ include "notes" . | toJson }}
`
	if err := os.WriteFile(filepath.Join(copied, "templates/notes.yaml"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	notes := func(values ...string) string {
		args := []string{"template", "test", copied, "--show-only", "templates/notes.yaml"}
		stdout, stderr, err := runHelm(t, append(args, withValues(t, values)...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		return stdout
	}
	well := notes(least)
	equal(t, "all is well", strings.Contains(well, "cannot start"), false)
	equal(t, "state", strings.Contains(well, "does not outlive"), false)
	equal(t, "claim", strings.Contains(well, "in the PersistentVolumeClaim "+fullName+", which stays"), true)
	equal(t, "another claim", strings.Contains(well, "does not count"), false)
	named := notes(least, "persistentVolumeClaim: {enabled: false, existingClaim: mine}")
	equal(t, "its claim", strings.Contains(named, "outlive") || strings.Contains(named, "in the PersistentVolumeClaim"), false)
	both := notes(least, "persistentVolumeClaim: {enabled: true, existingClaim: mine}")
	equal(t, "both", strings.Contains(both, "persistentVolumeClaim.existingClaim (mine) does not count"), true)
	given := notes(least, "persistentVolumeClaim: {enabled: false}", "volumes: [{name: storage, persistentVolumeClaim: {claimName: x}}]")
	equal(t, "a volume of the values", strings.Contains(given, "outlive"), false)
	equal(t, "page", strings.Contains(well, "port-forward deployment/"+fullName+" 3000"), true)
	lacking := notes("persistentVolumeClaim: {enabled: false}")
	for _, text := range []string{
		"teleport.address is not set", "teleport.identitySecretName is not set",
		"fluentd.url and fluentd.sessionUrl are not set", "does not outlive the pod",
	} {
		equal(t, text, strings.Contains(lacking, text), true)
	}
	one := notes(least, "fluentd: {sessionUrl: ''}")
	equal(t, "one of two", strings.Contains(one, "fluentd.url and fluentd.sessionUrl must both be set"), true)
	other := notes(least, "fluentd: {url: '', sessionUrl: ''}", "eventHandler: {extraConfig: '[sink]'}")
	equal(t, "another receiver", strings.Contains(other, "cannot start"), false)
}
