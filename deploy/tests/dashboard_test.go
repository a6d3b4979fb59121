package tests

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const dashboardPath = "deploy/grafana/ev-handler.json"

type place struct{ X, Y, W, H int }

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  place
	Datasource               struct{ UID string }
	Targets                  []struct{ Expr, RefID string }
}

type board struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Annotations   struct{ List []struct{ Expr string } }
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
}

func dashboard(t *testing.T) board {
	t.Helper()
	var all board
	if err := json.Unmarshal([]byte(read(t, dashboardPath)), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// queries gives all that it asks Prometheus for.
func (b board) queries() []string {
	var all []string
	for _, panel := range b.Panels {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, annotation := range b.Annotations.List {
		all = append(all, annotation.Expr)
	}
	return all
}

func TestDashboardCanBeImported(t *testing.T) {
	all := dashboard(t)
	equal(t, "uid", all.UID, "ev-handler")
	if len(all.Panels) < 20 {
		t.Errorf("it has %d panels only", len(all.Panels))
	}
	variables := map[string]bool{"$__rate_interval": true}
	for _, variable := range all.Templating.List {
		variables["$"+variable.Name] = true
	}
	ids := map[int]bool{}
	taken := map[string]string{}
	for _, panel := range all.Panels {
		if panel.ID == 0 || ids[panel.ID] {
			t.Errorf("the id of `%s` is missing or taken", panel.Title)
		}
		ids[panel.ID] = true
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				cell := fmt.Sprint(x, " ", y)
				if other := taken[cell]; other != "" || x >= 24 {
					t.Fatalf("`%s` lies on `%s` or beyond the edge", panel.Title, other)
				}
				taken[cell] = panel.Title
			}
		}
		if panel.Type == "row" {
			continue
		}
		equal(t, panel.Title+" is described", panel.Description != "", true)
		equal(t, panel.Title+" takes the source that is chosen", panel.Datasource.UID, "${datasource}")
		equal(t, panel.Title+" asks for something", len(panel.Targets) > 0, true)
		for _, target := range panel.Targets {
			// Who has several handlers sees those that are chosen.
			for _, filter := range []string{`job=~"$job"`, `instance=~"$instance"`} {
				equal(t, panel.Title+" is filtered", strings.Contains(target.Expr, filter), true)
			}
			for _, word := range strings.FieldsFunc(target.Expr, func(r rune) bool { return strings.ContainsRune(`"[]{}(), =~`, r) }) {
				if strings.HasPrefix(word, "$") && !variables[word] {
					t.Errorf("`%s`: %s is no variable", panel.Title, word)
				}
			}
		}
	}
}
