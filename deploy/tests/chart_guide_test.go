package tests

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The values of Teleport's guide, with and without the operator, as they stand in
// docs/kubernetes.md.

func TestChartTakesTheValuesOfTheGuide(t *testing.T) {
	all := render(t, "helm/guide-plain.yaml")
	recorded(t, "deploy/tests/testdata/rendered/guide-plain.yaml", all.text)
	recorded(t, "deploy/tests/testdata/rendered/guide-plain.toml", all.configText())
	config := all.config()
	for name, want := range map[string]any{
		"storage": home + "/storage", "timeout": "10s", "batch": int64(20), "concurrency": int64(5),
		"window-size": "24h", "teleport.addr": "teleport.example.com:443",
		"teleport.identity":           home + "/teleport-identity/identity",
		"forward.fluentd.url":         "https://fluentd.fluentd.svc.cluster.local/events.log",
		"forward.fluentd.session-url": "https://fluentd.fluentd.svc.cluster.local/session.log",
		"forward.fluentd.ca":          home + "/ca.crt",
	} {
		equal(t, name, config[name], want)
	}
	for _, name := range []string{"types", "skip-event-types", "skip-session-types"} {
		_, there := config[name]
		equal(t, name+" is there", there, false)
	}
	equal(t, "identity", all.volume("teleport-identity").Secret.SecretName, "teleport-event-handler-identity")
	equal(t, "certificate", all.volume("certificate").Secret.SecretName, "teleport-event-handler-client-tls")
	get[*corev1.PersistentVolumeClaim](all, fullName)
}

func TestChartTakesTheValuesOfTheGuideWithTheOperator(t *testing.T) {
	all := render(t, "helm/guide-operator.yaml")
	recorded(t, "deploy/tests/testdata/rendered/guide-operator.yaml", all.text)
	equal(t, "documents", len(all.kinds("operator_crs.yaml")), 3)
	equal(t, "namespace", get[*teleportRole](all, fullName).Namespace, "operator-namespace")
	equal(t, "identity", all.volume("teleport-identity").Secret.SecretName, "test-tbot-out")
	// The guide names no join token.
	get[*teleportToken](all, "test-tbot")

	// Apart from tbot and the operator the two differ only in where the identity comes from.
	plain := render(t, "helm/guide-plain.yaml")
	for _, template := range []string{"pvc.yaml", "service.yaml", "serviceaccount.yaml", "configmap.yaml"} {
		equal(t, template, all.of(template), plain.of(template))
	}
	differ := strings.ReplaceAll(all.of("deployment.yaml"), "test-tbot-out", "teleport-event-handler-identity")
	equal(t, "deployment.yaml", differ, plain.of("deployment.yaml"))
}

// The values that `ev-handler configure` writes: the file is recorded by the tests of that command.
func TestChartTakesTheValuesThatConfigureWrites(t *testing.T) {
	all := render(t, writtenByConfigure(t))
	equal(t, "storage", all.config()["storage"], any(all.mount("storage").MountPath))
	equal(t, "identity", all.config()["teleport.identity"], any(home+"/teleport-identity/identity"))
}

func TestChartEverythingAtOnce(t *testing.T) {
	all := render(t, "everything.yaml")
	recorded(t, "deploy/tests/testdata/rendered/everything.yaml", all.text)
	// The handler's own tests read it.
	recorded(t, "deploy/tests/testdata/rendered/everything.toml", all.configText())
}
