package tests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const chartName = "teleport-plugin-event-handler"
const chartPath = "deploy/helm/" + chartName

func itoa(n int) string { return strconv.Itoa(n) }

var built struct {
	sync.Once
	folder string
	err    error
	output []byte
}

// chart gives the folder of a copy of the chart that has its dependency, got as users get it.
func chart(t *testing.T) string {
	t.Helper()
	helm := tool(t, "EV_HELM")
	built.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "ev-chart-"); built.err != nil {
			return
		}
		if built.err = os.CopyFS(built.folder, os.DirFS(filepath.Join(root, "deploy/helm"))); built.err != nil {
			return
		}
		copied := filepath.Join(built.folder, chartName)
		if built.err = os.RemoveAll(filepath.Join(copied, "charts")); built.err != nil {
			return
		}
		command := exec.Command(helm, "dependency", "build", copied)
		command.Env = helmEnv(built.folder)
		built.output, built.err = command.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("the chart cannot be built: %v\n%s", built.err, built.output)
	}
	return filepath.Join(built.folder, chartName)
}

// TestMain removes the copy of the chart behind all tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

// helmEnv keeps helm from reading or writing anything of the user who runs this.
func helmEnv(folder string) []string {
	home := filepath.Join(folder, "home")
	return []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "HELM_CACHE_HOME=" + home,
		"HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home, "KUBECONFIG=/dev/null",
	}
}

// runHelm runs helm and returns its two outputs.
func runHelm(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.Command(tool(t, "EV_HELM"), args...)
	command.Env = helmEnv(filepath.Dir(chart(t)))
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	return stdout.String(), stderr.String(), err
}

// withValues writes values into files and returns the arguments that name them. A text that is the
// path of a file in testdata stands for its content.
func withValues(t *testing.T, values []string) []string {
	t.Helper()
	var args []string
	for _, text := range values {
		path := filepath.Join("testdata", text)
		if strings.ContainsAny(text, "\n:") || !strings.HasSuffix(text, ".yaml") {
			// Beside the chart, since helm takes a comma in a path for the end of it.
			file, err := os.CreateTemp(filepath.Dir(chart(t)), "values-")
			if err != nil {
				t.Fatal(err)
			}
			path = file.Name()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			file.Close()
		}
		args = append(args, "--values", path)
	}
	return args
}

// renderText renders the chart as the release `test` in the namespace `teleport`.
func renderText(t *testing.T, values ...string) string {
	t.Helper()
	return renderAs(t, "test", values...)
}

func renderAs(t *testing.T, release string, values ...string) string {
	t.Helper()
	args := append([]string{"template", release, chart(t), "--namespace", "teleport"}, withValues(t, values)...)
	stdout, stderr, err := runHelm(t, args...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, stderr)
	}
	return stdout
}

// render renders the chart and decodes and examines all of it.
func render(t *testing.T, values ...string) *rendered {
	t.Helper()
	return decode(t, renderText(t, values...))
}

// refuses expects that the chart cannot be rendered, and that the reason has this text.
func refuses(t *testing.T, text string, values ...string) {
	t.Helper()
	args := append([]string{"template", "test", chart(t), "--namespace", "teleport"}, withValues(t, values)...)
	stdout, stderr, err := runHelm(t, args...)
	if err == nil {
		t.Fatalf("it can be rendered:\n%s", stdout)
	}
	if !strings.Contains(stderr, text) {
		t.Errorf("the reason is not %q:\n%s", text, stderr)
	}
}
