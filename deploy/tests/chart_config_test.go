package tests

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	corev1 "k8s.io/api/core/v1"
)

// configText gives the configuration that the handler reads.
func (all *rendered) configText() string {
	all.t.Helper()
	return get[*corev1.ConfigMap](all, fullName).Data["teleport-event-handler.toml"]
}

// config gives it as settings, by dotted names.
func (all *rendered) config() map[string]any {
	all.t.Helper()
	var tables map[string]any
	if err := toml.Unmarshal([]byte(all.configText()), &tables); err != nil {
		all.t.Fatalf("not TOML: %v\n%s", err, all.configText())
	}
	settings := map[string]any{}
	flatten("", tables, settings)
	return settings
}

func flatten(prefix string, table, into map[string]any) {
	for key, value := range table {
		if inner, ok := value.(map[string]any); ok {
			flatten(prefix+key+".", inner, into)
		} else {
			into[prefix+key] = value
		}
	}
}

const home = "/var/lib/teleport/plugins/event-handler"

// The least that names everything the handler needs.
const least = `
teleport: {address: "teleport.example.com:443", identitySecretName: identity-secret}
fluentd:
  url: https://fluentd.example.com/events.log
  sessionUrl: https://fluentd.example.com/session
  certificate: {secretName: fluentd-secret}
`

func TestChartConfigMap(t *testing.T) {
	all := render(t, least)
	recorded(t, "deploy/tests/testdata/rendered/configmap.yaml", all.of("configmap.yaml"))
	config := get[*corev1.ConfigMap](all, fullName)
	equal(t, "annotations", len(config.Annotations), 0)
	equal(t, "keys", len(config.Data), 1)
}

func TestChartConfigMapHasAnnotationsAndLabelsOfItsOwn(t *testing.T) {
	all := render(t, least, `
annotations: {config: {keep: "yes"}, deployment: {other: "no"}, pod: {other: "no"}}
extraLabels: {config: {team: audit}, deployment: {other: "no"}, pod: {other: "no"}}
`)
	config := get[*corev1.ConfigMap](all, fullName)
	equal(t, "annotations", config.Annotations, map[string]string{"keep": "yes"})
	equal(t, "label", config.Labels["team"], "audit")
	equal(t, "number of labels", len(config.Labels), 6)
}

func TestChartEachSettingLandsInTheConfiguration(t *testing.T) {
	// The values, and what the configuration has because of them: a string that is empty stands for
	// a key that is not there.
	for _, one := range []struct {
		values string
		key    string
		want   any
	}{
		{"eventHandler: {storagePath: /data}", "storage", "/data"},
		{"eventHandler: {storagePath: ./storage}", "storage", home + "/storage"},
		{"eventHandler: {timeout: 5s}", "timeout", "5s"},
		{"eventHandler: {batch: 100}", "batch", int64(100)},
		{"eventHandler: {windowSize: 1h30m}", "window-size", "1h30m"},
		{"eventHandler: {windowSize: 1.5h}", "window-size", "1.5h"},
		{"eventHandler: {debug: true}", "debug", true},
		{"eventHandler: {types: [user.login, cert.create]}", "types", "user.login,cert.create"},
		{"eventHandler: {types: []}", "types", ""},
		{"eventHandler: {skipEventTypes: [app.delete]}", "skip-event-types", "app.delete"},
		{"eventHandler: {skipEventTypes: []}", "skip-event-types", ""},
		{"eventHandler: {skipSessionTypes: [print, session.data]}", "skip-session-types", "print,session.data"},
		{"eventHandler: {skipSessionTypes: []}", "skip-session-types", ""},
		{"eventHandler: {startTime: '2026-01-31T00:00:00Z'}", "start-time", "2026-01-31T00:00:00Z"},
		{"eventHandler: {startTime: ''}", "start-time", ""},
		{"eventHandler: {dryRun: true}", "dry-run", true},
		{"eventHandler: {concurrency: 8}", "concurrency", int64(8)},
		{"eventHandler: {logFormat: json}", "log.format", "json"},
		{"eventHandler: {logFormat: text}", "log.format", ""},
		{"eventHandler: {lock: {enabled: true}}", "lock-enabled", true},
		{"eventHandler: {lock: {enabled: true}}", "lock-failed-attempts-count", int64(3)},
		{"eventHandler: {lock: {enabled: true}}", "lock-period", "1m"},
		{"eventHandler: {lock: {enabled: true}}", "lock-for", ""},
		{"eventHandler: {lock: {enabled: true, failedAttemptsCount: 5}}", "lock-failed-attempts-count", int64(5)},
		{"eventHandler: {lock: {enabled: true, period: 5m}}", "lock-period", "5m"},
		{"eventHandler: {lock: {enabled: true, for: 1h}}", "lock-for", "1h"},
		{"eventHandler: {lock: {failedAttemptsCount: 5}}", "lock-enabled", ""},
		{"eventHandler: {lock: {failedAttemptsCount: 5}}", "lock-failed-attempts-count", ""},
		{"eventHandler: {extraConfig: \"[parked]\\nmax-events = 7\\n\"}", "parked.max-events", int64(7)},
		{"teleport: {address: 'auth.example.com:3025'}", "teleport.addr", "auth.example.com:3025"},
		{"teleport: {identitySecretPath: identity}", "teleport.identity", home + "/teleport-identity/identity"},
		{"{}", "teleport.identity", home + "/teleport-identity/auth_id"},
		{"{}", "teleport.refresh.enabled", true},
		{"fluentd: {url: 'https://other/x'}", "forward.fluentd.url", "https://other/x"},
		{"fluentd: {sessionUrl: 'https://other/y'}", "forward.fluentd.session-url", "https://other/y"},
		{"{}", "forward.fluentd.ca", home + "/ca.crt"},
		{"{}", "forward.fluentd.cert", home + "/client.crt"},
		{"{}", "forward.fluentd.key", home + "/client.key"},
		{"fluentd: {certificate: {secretName: ''}}", "forward.fluentd.ca", ""},
		{"fluentd: {url: ''}", "forward.fluentd.batch-mode", "single"},
		{"fluentd: {url: '', sessionUrl: ''}", "forward.fluentd.batch-mode", ""},
		{"fluentd: {maxConnections: 7}", "forward.fluentd.max-connections", int64(7)},
		{"fluentd: {maxConnections: 0}", "forward.fluentd.max-connections", ""},
		{"fluentd: {batchMode: array}", "forward.fluentd.batch-mode", "array"},
		{"{}", "forward.fluentd.batch-mode", "single"},
		{"{}", "diag-addr", "0.0.0.0:3000"},
		{"diag: {address: '[::]', port: 9100}", "diag-addr", "[::]:9100"},
		{"diag: {enabled: false}", "diag-addr", ""},
		{"{}", "decoder.trust", ""},
		{"decoder: {trust: {content: '{}'}}", "decoder.trust", "/etc/teleport-event-handler/trust/decoder-trust.json"},
		{"decoder: {trust: {configMapName: x}}", "decoder.trust", "/etc/teleport-event-handler/trust/decoder-trust.json"},
		{"decoder: {trust: {secretName: x}}", "decoder.trust", "/etc/teleport-event-handler/trust/decoder-trust.json"},
		{"decoder: {artifacts: {url: 'https://a/b'}}", "decoder.artifacts", "https://a/b"},
		{"decoder: {artifacts: {existingClaim: x}}", "decoder.artifacts", "/var/lib/ev-artifacts"},
		{"decoder: {artifacts: {certificateSecretName: x}}", "decoder.artifacts-ca", "/etc/teleport-event-handler/artifacts/ca.crt"},
		{"decoder: {artifacts: {certificateSecretName: x}}", "decoder.artifacts-cert", ""},
		{"decoder: {artifacts: {certificateSecretName: x, certPath: c}}", "decoder.artifacts-cert", "/etc/teleport-event-handler/artifacts/c"},
		{"decoder: {artifacts: {certificateSecretName: x, keyPath: k}}", "decoder.artifacts-key", "/etc/teleport-event-handler/artifacts/k"},
		{"decoder: {versionPolicy: nearest-newer-in-major}", "decoder.version-policy", "nearest-newer-in-major"},
		{"decoder: {exactness: known-native}", "decoder.exactness", "known-native"},
		{"decoder: {unknown: incomplete}", "decoder.unknown", "incomplete"},
		{"decoder: {downgrade: never}", "decoder.downgrade", "never"},
		{"decoder: {artifactWait: 5m}", "decoder.artifact-wait", "5m"},
	} {
		t.Run(one.key+" of "+one.values, func(t *testing.T) {
			t.Parallel()
			is, there := render(t, least, one.values).config()[one.key]
			if one.want == "" {
				equal(t, "the key is there", there, false)
			} else {
				equal(t, one.key, is, one.want)
			}
		})
	}
}

func TestChartWhatUsersWriteStaysText(t *testing.T) {
	odd := "C:\\x \"y\" <&> é \t #\n[x]"
	all := render(t, least, "fluentd: {url: "+quoted(odd)+"}\neventHandler: {types: ["+quoted(odd)+"]}")
	equal(t, "url", all.config()["forward.fluentd.url"], any(odd))
	equal(t, "types", all.config()["types"], any(odd))
}

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(text) + `"`
}

// Everything that the chart can write into the configuration is a setting of the handler, by the
// page that is written from the handler's own table.
func TestChartWritesOnlySettingsThatTheHandlerHas(t *testing.T) {
	known := map[string]bool{}
	page := read(t, "docs/configuration.md")
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`(?: ⁺)? \\| `--([a-z-]+)`").FindAllStringSubmatch(page, -1) {
		// `[table] key`, and the name of the flag at the root.
		known[strings.NewReplacer("[", "", "] ", ".").Replace(row[1])] = true
		known[row[2]] = true
	}
	if len(known) < 50 {
		t.Fatalf("the page has %d settings only: is its form another one?", len(known))
	}
	all := render(t, "everything.yaml")
	for name := range all.config() {
		if !known[name] {
			t.Errorf("`%s` is no setting", name)
		}
	}
}
