package tests

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// What the tests of Teleport's chart expect, and what its values mean there, as far as it is not
// said in the other files.

const bot = `
tbot: {enabled: true, clusterName: test.teleport.sh, teleportProxyAddress: "test.teleport.sh:443"}
`

// refusesExactly expects that the chart cannot be rendered, for exactly this reason.
func refusesExactly(t *testing.T, text string, values ...string) {
	t.Helper()
	args := append([]string{"template", "test", chart(t), "--namespace", "teleport"}, withValues(t, values)...)
	stdout, stderr, err := runHelm(t, args...)
	if err == nil {
		t.Fatalf("it can be rendered:\n%s", stdout)
	}
	for _, line := range strings.Split(stderr, "\n") {
		if rest, found := strings.CutPrefix(line, "Error: execution error at ("); found {
			_, reason, _ := strings.Cut(rest, "): ")
			equal(t, "reason", reason, text)
			return
		}
	}
	t.Errorf("no template refuses it:\n%s", stderr)
}

func TestChartRefusesInTheWordsOfTeleportsChart(t *testing.T) {
	const certificates = "certManager: {enabled: true, dnsNames: [fluentd.example.com], issuer: {create: false"
	for _, one := range []struct{ text, values string }{
		{"Custom resources cannot be deployed without tbot enabled", "crd: {create: true}"},
		{"tbot.token cannot be empty in chart values", bot + "crd: {create: true}\n---\ntbot: {token: ''}"},
		{"crd.tokenSpecOverride.join_method must be same as tbot.joinMethod",
			bot + "crd: {create: true, tokenSpecOverride: {join_method: github, github: test-github-config}}"},
		{"crd.tokenSpecOverride cannot be empty in chart values", bot + "crd: {create: true}\n---\ntbot: {joinMethod: github}"},
		{"crd.tokenSpecOverride.join_method cannot be empty in chart values",
			bot + "crd: {create: true, tokenSpecOverride: {github: test-github-config}}\n---\ntbot: {joinMethod: github}"},
		{"certManager.dnsNames and certManager.ipAddresses cannot both be empty in chart values",
			"certManager: {enabled: true, namespace: test-namespace}"},
		{"certManager.issuer.name is required in chart values", certificates + "}}"},
		{"certManager.issuer.kind is required in chart values", certificates + ", name: ours}}"},
		{"certManager.issuer.group is required in chart values", certificates + ", name: ours, kind: Issuer}}"},
		{"tls.existingCASecretKeyName must be set if tls.existingCASecretName is set in chart values",
			"tls: {existingCASecretName: our-cas, existingCASecretKeyName: ''}"},
	} {
		t.Run(one.text, func(t *testing.T) {
			t.Parallel()
			refusesExactly(t, one.text, strings.Split(one.values, "\n---\n")...)
		})
	}
}

// Element for element, as the tests of Teleport's chart compare them.
func TestChartSystemCAsAreMountedAsInTeleportsChart(t *testing.T) {
	all := render(t, least, "tls: {existingCASecretName: helm-lint-existing-tls-secret-ca, existingCASecretKeyName: key-name}")
	equal(t, "volume", *all.volume("teleport-tls-ca").Secret,
		corev1.SecretVolumeSource{SecretName: "helm-lint-existing-tls-secret-ca"})
	equal(t, "mount", *all.mount("teleport-tls-ca"),
		corev1.VolumeMount{Name: "teleport-tls-ca", MountPath: "/etc/teleport-tls-ca", ReadOnly: true})
}

// Names that follow from the release, which other things in a cluster may name.
func TestChartNamesOfTbotAreThoseOfTeleportsChart(t *testing.T) {
	for _, release := range []string{"test", "our-tbot", "x-" + chartName + "-tbot"} {
		all := decode(t, renderAs(t, release, bot, "crd: {create: true}\nfluentd: {url: 'https://f/a', sessionUrl: 'https://f/b'}"))
		name := release + "-tbot"
		get[*appsv1.Deployment](all, name)
		get[*corev1.ServiceAccount](all, name)
		equal(t, "secret", all.volume("teleport-identity").Secret.SecretName, name+"-out")
		account := get[*teleportToken](all, name).Spec.Kubernetes.Allow[0].ServiceAccount
		equal(t, "account", account, "teleport:"+name)
		config := get[*corev1.ConfigMap](all, name).Data["tbot.yaml"]
		equal(t, "token", strings.Contains(config, "token: "+name+"\n"), true)
	}
}

// What tbot writes is called so, and an identity of one's own beside tbot has to be too.
func TestChartIdentityBesideTbotHasItsKey(t *testing.T) {
	all := render(t, least, bot, "teleport: {identitySecretName: own}")
	equal(t, "secret", all.volume("teleport-identity").Secret.SecretName, "own")
	equal(t, "file", all.config()["teleport.identity"], any(home+"/teleport-identity/identity"))
}

// Both are called "must not be changed": the handler would wait for a secret that nobody writes.
func TestChartTbotWritesWhatTheHandlerReads(t *testing.T) {
	refuses(t, "tbot.nameOverride must not be changed", least, bot, "{tbot: {nameOverride: bot}, teleport: {identitySecretName: ''}}")
	refuses(t, "tbot.defaultOutput.enabled must not be changed", least, bot, "{tbot: {defaultOutput: {enabled: false}}, teleport: {identitySecretName: ''}}")
	// With a secret that is named the handler does not read that of tbot's default output.
	all := render(t, least, bot, "tbot: {defaultOutput: {enabled: false}}")
	equal(t, "secret", all.volume("teleport-identity").Secret.SecretName, "identity-secret")
	// Without tbot they count for nothing.
	render(t, least, "tbot: {nameOverride: bot, defaultOutput: {enabled: false}}")
}

// Two Deployments of one name would be one.
func TestChartAndTbotHaveNamesOfTheirOwn(t *testing.T) {
	const text = "tbot has the name of the event handler"
	refuses(t, text, least, bot, "fullnameOverride: test-tbot")
	refuses(t, text, least, bot, "nameOverride: tbot")
	refuses(t, text, least, bot, "tbot: {fullnameOverride: "+fullName+"}")
	render(t, least, "fullnameOverride: test-tbot")
}

// A key with nothing behind it is a value that is not given.
func TestChartValuesWithNothingBehindThemAreNotGiven(t *testing.T) {
	all := render(t, least, bot, `
podAnnotations:
annotations: {pod: , deployment: , config: , certSecret: }
extraLabels: {pod: , deployment: , config: , certSecret: }
extraArgs:
extraEnv:
resources:
volumes:
volumeMounts:
image: {tag: ""}
eventHandler: {windowSize: , batch: , debug: , dryRun: , concurrency: , types: , startTime: , lock: {for: }}
certManager: {enabled: true, dnsNames: [a.example.com], ipAddresses: , renewBefore: }
persistentVolumeClaim: {storageClassName: , existingClaim: }
tbot: {annotations: {pod: , role: }, extraLabels: {pod: }, serviceAccount: {name: }}
`)
	equal(t, "annotations", len(all.deployment().Spec.Template.Annotations), 0)
	equal(t, "state", keptAt(t, all), "claim "+fullName)
	for _, key := range []string{"batch", "window-size", "concurrency", "types", "start-time"} {
		_, there := all.config()[key]
		equal(t, key+" is there", there, false)
	}
	render(t, least, "annotations:\nextraLabels:\npodAnnotations: {a: b}\neventHandler: {lock: }")
}

// A label of the values counts when the chart has it too, and a release may be called `123`.
func TestChartLabelsAreTextAndThereOnce(t *testing.T) {
	all := decode(t, renderAs(t, "123", least, "extraLabels: {pod: {app.kubernetes.io/version: 'true'}}"))
	labels := all.deployment().Spec.Template.Labels
	equal(t, "instance", labels["app.kubernetes.io/instance"], "123")
	equal(t, "version", labels["app.kubernetes.io/version"], "true")
}
