package tests

import (
	"fmt"
	"strings"
	"testing"
)

const pageHead = `# Values of the Helm chart

<!-- Written by ` + "`cargo xtask deploy --write`" + ` from values.yaml and values.schema.json; edit those instead. -->

The chart ` + "`deploy/helm/teleport-plugin-event-handler`" + ` has the values of Teleport's chart of the same name,
with their names, and those that Teleport's does not have. How to install it is said in
[kubernetes.md](kubernetes.md).

| value | kind | default | meaning |
|---|---|---|---|
`

// The page of values is made of the chart's own files.
func TestValuesPage(t *testing.T) {
	all := schemaOf(t)
	var page strings.Builder
	page.WriteString(pageHead)
	for _, one := range valuesOf(t) {
		escape := strings.NewReplacer("|", `\|`)
		fmt.Fprintf(&page, "| `%s` | %s | `%s` | %s |\n",
			one.path, all.at(one.path).kind(), escape.Replace(one.fallback), escape.Replace(one.comment))
	}
	page.WriteString("\nBeside these, each value of the chart `tbot` can stand in the block `tbot`:\n" +
		"[its values](../deploy/helm/tbot/values.yaml).\n")
	recorded(t, "docs/helm.md", page.String())
}
