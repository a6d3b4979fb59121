package tests

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The values in docs/kubernetes.md are those that the tests of the chart take.
func TestDocsHaveTheValuesThatAreTested(t *testing.T) {
	page := read(t, "docs/kubernetes.md")
	blocks := regexp.MustCompile("(?s)<!-- (\\S+) -->\n```yaml\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	equal(t, "blocks", len(blocks), 2)
	for _, block := range blocks {
		if text := read(t, block[1]); text != block[2] {
			t.Errorf("%s: %s", block[1], difference(text, block[2]))
		}
	}
}

// The commands of docs/kubernetes.md can be read by a shell, and those of helm run here, on a copy
// of the chart and without a cluster.
func TestChartIsInstalledByTheCommandsOfTheDocs(t *testing.T) {
	page := read(t, "docs/kubernetes.md")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	equal(t, "blocks", len(blocks), 4)
	install := ""
	for _, block := range blocks {
		if strings.Contains(block[1], "helm upgrade") {
			install = block[1]
		}
		if output, err := exec.Command("sh", "-n", "-c", block[1]).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, output, block[1])
		}
	}
	copied := chart(t)
	script := strings.NewReplacer(
		"helm dependency build", "\"$EV_HELM\" dependency build",
		// What is installed is what is rendered.
		"helm upgrade --install ", "\"$EV_HELM\" template ",
		"deploy/helm/"+chartName, copied,
		"teleport-plugin-event-handler-values.yaml", "testdata/helm/guide-plain.yaml",
	).Replace(install)
	command := exec.Command("sh", "-e", "-c", script)
	command.Env = append(helmEnv(t.TempDir()), "EV_HELM="+tool(t, "EV_HELM"))
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, output)
	}
	_, documents, found := strings.Cut(string(output), "---\n")
	equal(t, "it renders", found, true)
	decode(t, documents)
}
