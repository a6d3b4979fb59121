package tests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// chartVersion gives the version of the chart and of what it installs, which are one.
func chartVersion(t *testing.T) string {
	t.Helper()
	var meta struct{ Version, AppVersion string }
	if err := yaml.Unmarshal([]byte(read(t, chartPath+"/Chart.yaml")), &meta); err != nil {
		t.Fatal(err)
	}
	equal(t, "version of the application", meta.AppVersion, meta.Version)
	return meta.Version
}

// writtenByConfigure gives the values that `ev-handler configure` writes, without the head of the
// file they are recorded in.
func writtenByConfigure(t *testing.T) string {
	t.Helper()
	parts := strings.SplitN(read(t, "crates/ev-configure/tests/it/snapshots/it__contents__values.yaml.snap"), "---\n", 3)
	return parts[len(parts)-1]
}

func TestValuesVersionIsThatOfTheProgram(t *testing.T) {
	version := regexp.MustCompile(`(?m)^version = "(.*)"$`).FindStringSubmatch(read(t, "Cargo.toml"))[1]
	equal(t, "version", chartVersion(t), version)
}

// value is one value of the chart, a leaf of values.yaml.
type value struct {
	path, comment, fallback string
	node                    *yamlv3.Node
}

// valuesOf lists them in the order of the file. An empty map is a leaf; so is a map of which the
// schema knows no members, such as a security context.
func valuesOf(t *testing.T) []value {
	t.Helper()
	var file yamlv3.Node
	if err := yamlv3.Unmarshal([]byte(read(t, chartPath+"/values.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []value
	var walk func(prefix, above string, node *yamlv3.Node)
	walk = func(prefix, above string, node *yamlv3.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, inner := node.Content[i], node.Content[i+1]
			path := prefix + key.Value
			comment := strings.TrimSpace(regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(key.HeadComment, ""))
			if inner.Kind == yamlv3.MappingNode && len(inner.Content) > 0 && comment == "" {
				walk(path+".", comment, inner)
				continue
			}
			asJSON, err := json.Marshal(toPlain(t, inner))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value{path, strings.Join(strings.Fields(comment), " "), string(asJSON), inner})
		}
	}
	walk("", "", file.Content[0])
	return all
}

func toPlain(t *testing.T, node *yamlv3.Node) any {
	t.Helper()
	var plain any
	if err := node.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

type schema struct {
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []string          `json:"enum"`
	Pattern    string            `json:"pattern"`
	Minimum    *float64          `json:"minimum"`
	Maximum    *float64          `json:"maximum"`
	Required   []string          `json:"required"`
	Additional *schema           `json:"additionalProperties"`
	Meta       string            `json:"$schema"`
}

func schemaOf(t *testing.T) schema {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(read(t, chartPath+"/values.schema.json")))
	decoder.DisallowUnknownFields()
	var all schema
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s schema) at(path string) *schema {
	for _, key := range strings.Split(path, ".") {
		inner, ok := s.Properties[key]
		if !ok {
			return nil
		}
		s = inner
	}
	return &s
}

// leaves lists the paths of all properties without properties.
func (s schema) leaves(prefix string) []string {
	var all []string
	for key, inner := range s.Properties {
		if len(inner.Properties) > 0 && prefix+key != "resources" {
			all = append(all, inner.leaves(prefix+key+".")...)
		} else {
			all = append(all, prefix+key)
		}
	}
	slices.Sort(all)
	return all
}

// kind says of what kind a value is, in a word or two.
func (s schema) kind() string {
	switch one := s.Type.(type) {
	case string:
		switch {
		case len(s.Enum) > 0:
			quoted := []string{}
			for _, value := range s.Enum {
				if value != "" {
					quoted = append(quoted, "`"+value+"`")
				}
			}
			return strings.Join(quoted, ", ")
		case strings.Contains(s.Pattern, "(ns|us|µs|ms|s|m|h)"):
			return "duration"
		case one == "array" && s.Items.Type == "string":
			return "list of texts"
		case one == "array":
			return "list"
		case one == "object":
			return "map"
		case one == "string":
			return "text"
		case one == "boolean":
			return "bool"
		case one == "integer" || one == "number":
			if s.Minimum != nil && s.Maximum != nil {
				return fmt.Sprintf("number, %v to %v", *s.Minimum, *s.Maximum)
			}
			return "number"
		}
	case []any:
		if slices.Contains(one, any("null")) {
			s.Type = one[0]
			return s.kind() + " or nothing"
		}
		return "number or text"
	}
	return ""
}

// Each value has a sentence and a type, and the schema knows no more than there is.
func TestValuesAreAllDescribed(t *testing.T) {
	all := schemaOf(t)
	equal(t, "draft", all.Meta, "http://json-schema.org/draft-07/schema#")
	var paths []string
	for _, one := range valuesOf(t) {
		paths = append(paths, one.path)
		if one.comment == "" {
			t.Errorf("`%s` has no comment", one.path)
		}
		if s := all.at(one.path); s == nil || s.kind() == "" {
			t.Errorf("`%s` has no type in the schema", one.path)
		}
	}
	slices.Sort(paths)
	equal(t, "values", paths, all.leaves(""))
}

func TestValuesThatTheSchemaRequires(t *testing.T) {
	all := schemaOf(t)
	slices.Sort(all.Required)
	equal(t, "at the top", all.Required, []string{
		"affinity", "fluentd", "fullnameOverride", "image", "imagePullSecrets", "nameOverride",
		"nodeSelector", "podSecurityContext", "securityContext", "teleport", "tolerations",
	})
	equal(t, "of the handler", all.at("eventHandler").Required, []string{"storagePath", "timeout"})
	equal(t, "of Teleport", all.at("teleport").Required, []string{"address", "identitySecretName", "identitySecretPath"})
	equal(t, "of Fluentd", all.at("fluentd").Required, []string{"url", "sessionUrl", "certificate"})
	equal(t, "of the certificate", all.at("fluentd.certificate").Required, []string{"secretName", "caPath", "certPath", "keyPath"})
	for _, part := range []string{"limits", "requests"} {
		equal(t, part, all.at("resources."+part).Required, []string{"cpu", "memory"})
	}
}

// Teleport's defaults, and where ours differ.
func TestValuesDefaults(t *testing.T) {
	theirs := map[string]string{
		"teleport.address": `""`, "teleport.identitySecretName": `""`, "teleport.identitySecretPath": `"auth_id"`,
		"eventHandler.storagePath": `"/var/lib/teleport/plugins/event-handler/storage"`,
		"eventHandler.timeout":     `"10s"`, "eventHandler.batch": "20", "eventHandler.windowSize": `"24h"`,
		"eventHandler.debug": "false", "eventHandler.types": "[]", "eventHandler.skipEventTypes": "[]",
		"eventHandler.skipSessionTypes": "[]", "eventHandler.startTime": `""`, "eventHandler.dryRun": "false",
		"eventHandler.concurrency": "5", "eventHandler.lock.enabled": "false",
		"eventHandler.lock.failedAttemptsCount": "3", "eventHandler.lock.period": `"1m"`, "eventHandler.lock.for": `""`,
		"fluentd.url": `""`, "fluentd.sessionUrl": `""`, "fluentd.certificate.secretName": `""`,
		"fluentd.certificate.caPath": `"ca.crt"`, "fluentd.certificate.certPath": `"client.crt"`,
		"fluentd.certificate.keyPath": `"client.key"`, "fluentd.maxConnections": "0",
		"tbot.enabled": "false", "tbot.clusterName": `""`, "tbot.teleportProxyAddress": `""`,
		"tbot.teleportAuthAddress": `""`, "tbot.joinMethod": `"kubernetes"`,
		"tbot.token":        "null", // theirs is empty, and means the same
		"tbot.nameOverride": `"tbot"`, "tbot.defaultOutput.enabled": "true",
		"crd.create": "false", "crd.namespace": `""`, "crd.tokenSpecOverride": "{}",
		"certManager.enabled": "false", "certManager.ttl": `"87600h"`, "certManager.renewBefore": `""`,
		"certManager.dnsNames": "[]", "certManager.ipAddresses": "[]", "certManager.issuer.create": "true",
		"certManager.issuer.name": `""`, "certManager.issuer.kind": `""`, "certManager.issuer.group": `""`,
		"persistentVolumeClaim.enabled": "null", // theirs is false
		"persistentVolumeClaim.size":    `"1Gi"`, "persistentVolumeClaim.storageClassName": `""`,
		"persistentVolumeClaim.existingClaim": `""`, "persistentVolumeClaim.volumeName": `"storage"`,
		"annotations.config": "{}", "annotations.deployment": "{}", "annotations.pod": "{}", "annotations.certSecret": "{}",
		"extraLabels.config": "{}", "extraLabels.deployment": "{}", "extraLabels.pod": "{}", "extraLabels.certSecret": "{}",
		"extraArgs": "[]", "extraEnv": "[]",
		"image.repository": `"ev-handler"`, // theirs is that of their own image
		"image.pullPolicy": `"IfNotPresent"`, "image.tag": `""`,
		"imagePullSecrets": "[]", "nameOverride": `""`, "fullnameOverride": `""`, "podAnnotations": "{}",
		"resources": "{}", "nodeSelector": "{}", "tolerations": "[]", "affinity": "{}", "volumes": "[]", "volumeMounts": "[]",
		"tls.existingCASecretName": `""`, "tls.existingCASecretKeyName": `"ca.pem"`,
	}
	found := 0
	for _, one := range valuesOf(t) {
		if want, ok := theirs[one.path]; ok {
			found++
			equal(t, one.path, one.fallback, want)
		}
	}
	equal(t, "values found", found, len(theirs))
}

func TestChartValuesOfAWrongKindAreRefused(t *testing.T) {
	for values, text := range map[string]string{
		"eventHandler: {batch: many}":                      "batch",
		"eventHandler: {timeout: 10}":                      "timeout",
		"eventHandler: {timeout: 1d}":                      "timeout",
		"eventHandler: {concurrency: 0}":                   "concurrency",
		"eventHandler: {types: user.login}":                "types",
		"eventHandler: {storagePath: null}":                "storagePath",
		"teleport: {address: [a]}":                         "address",
		"fluentd: {certificate: {caPath: 1}}":              "caPath",
		"fluentd: {batchMode: both}":                       "batchMode",
		"image: {tag: 1.5}":                                "tag",
		"image: null":                                      "image",
		"fluentd: {url: null}":                             "url",
		"tolerations: null":                                "tolerations",
		"resources: {limits: {cpu: 1}}":                    "memory",
		"resources: {requests: {memory: 1Gi}}":             "cpu",
		"diag: {port: 70000}":                              "port",
		"decoder: {unknown: drop}":                         "unknown",
		"podDisruptionBudget: {minAvailable: half}":        "minAvailable",
		"annotations: {pod: {number: 1}}":                  "number",
		"tls: {existingCASecretName: 1}":                   "existingCASecretName",
		"persistentVolumeClaim: {enabled: 'yes'}":          "enabled",
		"certManager: {enabled: true, dnsNames: fluentd}":  "dnsNames",
		"eventHandler: {lock: {failedAttemptsCount: 1.5}}": "failedAttemptsCount",
	} {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			refuses(t, text, least, values)
		})
	}
	// As a linter says it too, and what is unknown is let pass, as in Teleport's chart.
	lint := func(values ...string) (string, error) {
		stdout, stderr, err := runHelm(t, append([]string{"lint", "--strict", chart(t)}, withValues(t, values)...)...)
		return stdout + stderr, err
	}
	if output, err := lint(least, "eventHandler: {batch: many}"); err == nil || !strings.Contains(output, "batch") {
		t.Errorf("the linter takes it: %s", output)
	}
	for _, values := range []string{least, "everything.yaml", "unknownValue: 1\neventHandler: {unknown: 2}"} {
		if output, err := lint(values); err != nil {
			t.Errorf("%s: %s", values, output)
		}
	}
}

// A package of the chart has its dependency in it and can be installed by itself.
func TestChartCanBePackaged(t *testing.T) {
	folder := t.TempDir()
	if stdout, stderr, err := runHelm(t, "package", chart(t), "--destination", folder); err != nil {
		t.Fatal(stdout, stderr)
	}
	path := folder + "/" + chartName + "-" + chartVersion(t) + ".tgz"
	args := append([]string{"template", "test", path, "--namespace", "teleport"}, withValues(t, []string{least, operator})...)
	stdout, stderr, err := runHelm(t, args...)
	if err != nil {
		t.Fatal(stderr)
	}
	equal(t, "rendering", decode(t, stdout).text == render(t, least, operator).text, true)
}
