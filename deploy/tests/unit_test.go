package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const unitPath = "deploy/systemd/teleport-event-handler.service"

// guideUnit is the unit of Teleport's guide, to the letter.
const guideUnit = "deploy/tests/testdata/systemd/teleport-event-handler.service"

// settings gives what a unit says, by `Section/Key`, in its order.
func unitSettings(t *testing.T, text string) map[string][]string {
	t.Helper()
	settings := map[string][]string{}
	section := ""
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			key, value, found := strings.Cut(line, "=")
			if !found {
				t.Fatalf("neither a section nor a setting: %s", line)
			}
			settings[section+"/"+key] = append(settings[section+"/"+key], value)
		}
	}
	return settings
}

func TestServiceSaysWhatTheHandlerDoes(t *testing.T) {
	text := read(t, unitPath)
	settings := unitSettings(t, text)
	for name, want := range map[string]string{
		"Unit/Description":       "Teleport Event Handler",
		"Service/Type":           "notify",
		"Service/NotifyAccess":   "main",
		"Service/Restart":        "always",
		"Service/ExecStart":      "/usr/local/bin/teleport-event-handler start --config=/etc/teleport-event-handler.toml",
		"Service/ExecReload":     "/bin/kill -HUP $MAINPID",
		"Service/WatchdogSec":    "60s",
		"Service/StateDirectory": "teleport-event-handler",
		"Install/WantedBy":       "multi-user.target",
	} {
		equal(t, name, settings[name], []string{want})
	}
	equal(t, "credentials", len(settings["Service/LoadCredential"]), 3)
	// Module code is compiled in memory: the unit must not forbid it, and must say why.
	equal(t, "forbidden", settings["Service/MemoryDenyWriteExecute"] == nil, true)
	equal(t, "said", strings.Contains(text, "# What it does not need. MemoryDenyWriteExecute is not among it"), true)
}

// The guide's own unit starts the same program in the same way.
func TestServiceOfTheGuideDiffersOnlyInWhatIsBetter(t *testing.T) {
	guide, ours := unitSettings(t, read(t, guideUnit)), unitSettings(t, read(t, unitPath))
	for _, same := range []string{"Unit/Description", "Service/Restart", "Service/ExecReload", "Install/WantedBy"} {
		equal(t, same, ours[same], guide[same])
	}
	// To read credentials anew is the handler's default.
	equal(t, "Service/ExecStart", ours["Service/ExecStart"][0]+" --teleport-refresh-enabled=true", guide["Service/ExecStart"][0])
}

// verify runs `systemd-analyze verify` on a unit whose program is there, and gives what it says.
func verify(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "teleport-event-handler")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(folder, "teleport-event-handler.service")
	text = strings.ReplaceAll(text, "/usr/local/bin/teleport-event-handler", program)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(tool(t, "EV_SYSTEMD_ANALYZE"), "verify", "--man=no", unit).CombinedOutput()
	if err != nil {
		return err.Error() + ": " + string(output)
	}
	// Of other units on this machine nothing is said here.
	about := slices.DeleteFunc(strings.Split(string(output), "\n"), func(line string) bool {
		return !strings.Contains(line, "teleport-event-handler")
	})
	return strings.Join(about, "\n")
}

func TestUnitIsVerified(t *testing.T) {
	for _, path := range []string{unitPath, guideUnit} {
		equal(t, path, verify(t, read(t, path)), "")
	}
	// A mistake would be seen.
	misspelt := strings.Replace(read(t, unitPath), "WatchdogSec=", "WatchDogSeconds=", 1)
	equal(t, "misspelt", strings.Contains(verify(t, misspelt), "WatchDogSeconds"), true)
}

func TestUnitIsExposedToLittle(t *testing.T) {
	command := exec.Command(tool(t, "EV_SYSTEMD_ANALYZE"), "security", "--offline=true", "--no-pager", filepath.Join(root, unitPath))
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(output)
	if found == nil {
		t.Fatalf("it names no level: %s", output)
	}
	level, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || level > 2.0 {
		t.Errorf("exposure is %s\n%s", found[1], output)
	}
}
