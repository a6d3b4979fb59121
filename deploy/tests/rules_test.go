package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
)

const alertsPath = "deploy/prometheus/alerts.yaml"
const alertTests = "testdata/prometheus/alerts_test.yaml"

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

func alerts(t *testing.T) ruleFile {
	t.Helper()
	decoder := yamlv3.NewDecoder(strings.NewReader(read(t, alertsPath)))
	decoder.KnownFields(true)
	var file ruleFile
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	output, err := exec.Command(tool(t, "EV_PROMTOOL"), args...).CombinedOutput()
	return string(output), err
}

func TestRulesAreValid(t *testing.T) {
	if output, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(root, alertsPath)); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestRulesTellWhatIsWrongAndNothingElse(t *testing.T) {
	if output, err := promtool(t, "test", "rules", alertTests); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// Without any one of the alerts the tests that expect it fail, so each is tested.
func TestRulesAreAllTested(t *testing.T) {
	text, err := os.ReadFile(alertTests)
	if err != nil {
		t.Fatal(err)
	}
	for i, gone := range alerts(t).Groups[0].Rules {
		t.Run(gone.Alert, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			write := func(name string, content any) string {
				text, err := yamlv3.Marshal(content)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(folder, name)
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			file := alerts(t)
			file.Groups[0].Rules = slices.Delete(file.Groups[0].Rules, i, i+1)
			write("alerts.yaml", file)
			var cases struct {
				RuleFiles []string         `yaml:"rule_files"`
				Interval  string           `yaml:"evaluation_interval"`
				Tests     []map[string]any `yaml:"tests"`
			}
			if err := yamlv3.Unmarshal(text, &cases); err != nil {
				t.Fatal(err)
			}
			cases.RuleFiles = []string{"alerts.yaml"}
			cases.Tests = slices.DeleteFunc(cases.Tests, func(one map[string]any) bool {
				return !slices.ContainsFunc(one["alert_rule_test"].([]any), func(expected any) bool {
					expect := expected.(map[string]any)
					return expect["alertname"] == gone.Alert && expect["exp_alerts"] != nil
				})
			})
			output, err := promtool(t, "test", "rules", write("test.yaml", cases))
			if err == nil || !strings.Contains(output, gone.Alert) {
				t.Errorf("nobody misses it: %v\n%s", err, output)
			}
		})
	}
}

// Each query of the dashboard is one that Prometheus can read.
func TestRulesOfTheDashboardAreValid(t *testing.T) {
	text := "groups:\n- name: dashboard\n  rules:\n"
	for i, query := range dashboard(t).queries() {
		query = strings.NewReplacer("$__rate_interval", "5m", "$job", "x", "$instance", "x").Replace(query)
		text += "  - record: panel:n" + itoa(i) + "\n    expr: " + quoted(query) + "\n"
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := promtool(t, "check", "rules", path); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// Each alert says what is wrong, how bad it is and what to do, and has a place in the docs.
func TestAlertsSayWhatToDo(t *testing.T) {
	page := read(t, "docs/operations.md")
	for _, alert := range alerts(t).Groups[0].Rules {
		severity := alert.Labels["severity"]
		equal(t, alert.Alert+" has a severity", severity == "warning" || severity == "critical", true)
		equal(t, alert.Alert+" has texts", alert.Annotations["summary"] != "" && alert.Annotations["description"] != "", true)
		equal(t, alert.Alert+" is in docs/operations.md", strings.Contains(page, "`"+alert.Alert+"`"), true)
	}
}
