package tests

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	metricName  = regexp.MustCompile(`\bev_[a-z_]+\b`)
	metricQuery = regexp.MustCompile(`\b(ev_[a-z_]+)\{([^}]*)\}`)
	metricRow   = regexp.MustCompile("(?m)^\\| `(ev_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|")
)

// metrics gives the labels of whatever the metrics of docs/metrics.md may be asked for as.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for _, row := range metricRow.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		// Those of Prometheus itself beside its own.
		labels := append(strings.Split(strings.ReplaceAll(row[3], "`", ""), ", "), "job", "instance")
		names[row[1]] = labels
		if row[2] == "histogram" {
			names[row[1]+"_bucket"] = append(labels, "le")
			names[row[1]+"_sum"], names[row[1]+"_count"] = labels, labels
		}
	}
	if len(names) < 30 {
		t.Fatalf("docs/metrics.md has %d metrics only: is its form another one?", len(names))
	}
	return names
}

// Alerts, their tests, the dashboard and the page for those who are called ask for what there is.
func TestMetricsThatAreAskedForExist(t *testing.T) {
	known := metrics(t)
	for path, text := range map[string]string{
		alertsPath:                   read(t, alertsPath),
		"deploy/tests/" + alertTests: read(t, "deploy/tests/"+alertTests),
		dashboardPath:                strings.Join(dashboard(t).queries(), "\n"),
	} {
		names := metricName.FindAllString(text, -1)
		if len(names) < 10 {
			t.Errorf("%s asks for %d metrics only", path, len(names))
		}
		for _, name := range names {
			if known[name] == nil {
				t.Errorf("%s asks for `%s`, which is no metric", path, name)
			}
		}
		for _, query := range metricQuery.FindAllStringSubmatch(text, -1) {
			for _, matcher := range strings.Split(query[2], ",") {
				label := strings.TrimRight(strings.TrimSpace(strings.SplitN(matcher, "=", 2)[0]), "!")
				if label != "" && !slices.Contains(known[query[1]], label) {
					t.Errorf("%s: `%s` has no label `%s`", path, query[1], label)
				}
			}
		}
	}
}
