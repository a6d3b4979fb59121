package tests

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// imageContent gives the lines of deploy/docker/content.txt as words.
func imageContent(t *testing.T) [][]string {
	t.Helper()
	var lines [][]string
	for _, line := range strings.Split(read(t, "deploy/docker/content.txt"), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.Fields(line))
		}
	}
	return lines
}

// The script of the Dockerfile lays out what is listed, and nothing else.
func TestImageHasWhatIsListed(t *testing.T) {
	if _, err := os.Stat("/etc/ssl/certs/ca-certificates.crt"); err != nil {
		t.Skip("there are no CA certificates on this machine")
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	if err := os.WriteFile(program, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(folder, "image")
	script := filepath.Join(root, "deploy/docker/assemble.sh")
	if output, err := exec.Command("sh", script, program, image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var want []string
	for _, words := range imageContent(t) {
		switch words[0] {
		case "dir", "file":
			want = append(want, fmt.Sprintf("%s %s %s", words[0], words[1], words[3]))
		case "link":
			want = append(want, fmt.Sprintf("link %s -> %s", words[1], words[2]))
		}
	}
	var is []string
	err := filepath.WalkDir(image, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == image {
			return err
		}
		name, _ := filepath.Rel(image, path)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm()
		if info.Mode()&fs.ModeSticky != 0 {
			mode |= 0o1000
		}
		switch {
		case entry.IsDir():
			is = append(is, fmt.Sprintf("dir %04o %s", mode, name))
		case entry.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			is = append(is, "link "+name+" -> "+target)
		default:
			is = append(is, fmt.Sprintf("file %04o %s", mode, name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(is)
	equal(t, "files", is, want)
	for _, name := range []string{"ev-handler", "teleport-event-handler", "teleport-plugin"} {
		text, err := os.ReadFile(filepath.Join(image, "usr/local/bin", name))
		equal(t, name, fmt.Sprint(string(text), err), "the program<nil>")
	}
}

// The Dockerfile starts the image as the list says, with the compiler of this repository.
func TestImageIsStartedAsIsListed(t *testing.T) {
	file := read(t, "deploy/docker/Dockerfile")
	_, final, found := strings.Cut(file, "\nFROM scratch\n")
	equal(t, "there is nothing below it", found, true)
	for _, words := range imageContent(t) {
		line := ""
		switch words[0] {
		case "user":
			line = "USER " + words[1]
			equal(t, "not root", strings.HasPrefix(words[1], "0:"), false)
		case "workdir":
			line = "WORKDIR " + words[1]
		case "entrypoint":
			line = `ENTRYPOINT ["` + words[1] + `"]`
		default:
			continue
		}
		equal(t, line, slices.Contains(strings.Split(final, "\n"), line), true)
	}
	toolchain := regexp.MustCompile(`channel = "(.*)"`).FindStringSubmatch(read(t, "rust-toolchain.toml"))[1]
	equal(t, "compiler "+toolchain, regexp.MustCompile(`FROM rust:`+regexp.QuoteMeta(toolchain)+`[.-]`).MatchString(file), true)
}

// The chart runs the image as the user that it was made for, by a name that it has.
func TestImageFitsTheChart(t *testing.T) {
	values := read(t, chartPath+"/values.yaml")
	deployment := read(t, chartPath+"/templates/deployment.yaml")
	command := regexp.MustCompile(`(?m)^ +command:\n +- /(\S+)$`).FindStringSubmatch(deployment)[1]
	has := false
	for _, words := range imageContent(t) {
		switch words[0] {
		case "user":
			user, group, _ := strings.Cut(words[1], ":")
			equal(t, "user", strings.Contains(values, "runAsUser: "+user+"\n"), true)
			equal(t, "group", strings.Contains(values, "runAsGroup: "+group+"\n"), true)
			equal(t, "group of the volume", strings.Contains(values, "fsGroup: "+group+"\n"), true)
		case "link":
			has = has || words[1] == command
		}
	}
	equal(t, command+" is in the image", has, true)
}
