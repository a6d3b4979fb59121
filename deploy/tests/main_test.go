// Package tests tests what stands in deploy/, with the tools that its users use.
//
// `cargo xtask deploy` runs it and says by variables where the tools are. The names of tests begin
// with what they need: TestChart needs helm, TestRules promtool, TestUnit systemd-analyze; all
// others need nothing. With EV_WRITE set, recorded files are written anew.
package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tool gives the path of a tool. A test without its tool is a skipped one.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s is not set; `cargo xtask deploy` sets it", variable)
	}
	return path
}

// recorded compares a text with a file of the repository, or writes the file.
func recorded(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("EV_WRITE") != "" {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was := read(t, path); was != text {
		t.Errorf("%s is not what is made now (`cargo xtask deploy --write` writes it): %s",
			path, difference(was, text))
	}
}

// difference shows the first line in which two texts differ.
func difference(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := 0; i < len(a) || i < len(b); i++ {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(the end)"
		}
		if line(a) != line(b) {
			return "line " + itoa(i+1) + "\n  recorded: " + line(a) + "\n  made now: " + line(b)
		}
	}
	return "they are equal"
}
