// Package connectors_test holds each recipe to what the vendor documents: a small server behaves as the documentation
// says, its traps included, and the recipe's action is run against it as the daemon runs it.
package connectors_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// recipe is a file of this folder.
type recipe struct {
	InSettings struct {
		Connectors map[string]struct {
			URL             string `json:"url"`
			BearerTokenFile string `json:"bearer_token_file"`
			BasicAuth       struct {
				Username     string `json:"username"`
				PasswordFile string `json:"password_file"`
			} `json:"basic_auth"`
			HeaderFiles map[string]string `json:"header_files"`
			CAFile      string            `json:"ca_file"`
			Allow       []string          `json:"allow"`
		} `json:"connectors"`
	} `json:"in_settings"`
	InRunbook struct {
		Rollback []step `json:"rollback"`
		Mitigate []step `json:"mitigate"`
	} `json:"in_runbook"`
}

type step struct {
	Artifact, Title, Kind, Do, Settle string
	Action                            struct {
		Connector, Method, Path, Semantics string
		ContentType                        string `json:"content_type"`
		Body                               any
		Confirm                            *struct {
			Method, Path string
			Expect       any
		}
	}
}

// read reads a recipe. A key that it doesn't know is an error.
func read(t *testing.T, name string) recipe {
	t.Helper()
	text, err := os.ReadFile(name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	report := &document.Report{}
	v, ok := document.Parse(name+".yaml", text, report)
	if !ok {
		t.Fatal(report.Err(document.Error))
	}
	tree, ok := v.Tree()
	if !ok {
		t.Fatal(report.Err(document.Error))
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var r recipe
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r recipe) call(t *testing.T) action.Call {
	t.Helper()
	steps := append(slices.Clone(r.InRunbook.Rollback), r.InRunbook.Mitigate...)
	if len(steps) != 1 || steps[0].Do == "" || steps[0].Action.Semantics != runbook.SemanticsSet || steps[0].Action.Confirm == nil {
		t.Fatalf("a recipe is one step that sets something and reads it back: %+v", steps)
	}
	a := steps[0].Action
	return action.Call{ContentType: a.ContentType, Action: &runbook.Action{
		Connector: a.Connector, Method: a.Method, Path: a.Path, Body: a.Body, Semantics: a.Semantics,
		Confirm: &runbook.Confirm{Method: "GET", Path: a.Confirm.Path, Expect: a.Confirm.Expect},
	}}
}

// connector is the recipe's, with its address and its files exchanged where they are given.
func (r recipe) connector(t *testing.T, address, secret string) action.Connector {
	t.Helper()
	names := slices.Collect(maps.Keys(r.InSettings.Connectors))
	if len(names) != 1 {
		t.Fatalf("a recipe has one connector: %v", names)
	}
	c := r.InSettings.Connectors[names[0]]
	made := action.Connector{
		Name: names[0], URL: c.URL, BearerTokenFile: c.BearerTokenFile, Username: c.BasicAuth.Username, PasswordFile: c.BasicAuth.PasswordFile,
		HeaderFiles: c.HeaderFiles, CAFile: c.CAFile, Allow: c.Allow,
	}
	if address == "" {
		return made
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	made.URL, made.CAFile = address, ""
	for _, path := range []*string{&made.BearerTokenFile, &made.PasswordFile} {
		if *path != "" {
			*path = file
		}
	}
	for name := range made.HeaderFiles {
		made.HeaderFiles[name] = file
	}
	return made
}

// bench is a recipe beside a server that stands for the vendor's.
type bench struct {
	runner     *action.Runner
	connectors action.Connectors
	call       action.Call
}

func begin(t *testing.T, name, secret string, vendor http.Handler) *bench {
	t.Helper()
	server := httptest.NewServer(vendor)
	t.Cleanup(server.Close)
	r := read(t, name)
	connectors, err := action.NewConnectors(r.connector(t, server.URL, secret))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{action.NewRunner(connectors), connectors, r.call(t)}
}

// request is the recipe's for going back to a version.
func (b *bench) request(t *testing.T, previous string) *action.Request {
	t.Helper()
	request, err := b.connectors.Render(b.call, action.Values{Previous: previous, Current: "now", Service: "support-bot"})
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// rollBack observes, sends and confirms, twice: what sets a value may be repeated.
func (b *bench) rollBack(t *testing.T, previous, seenBefore, seenAfter string) {
	t.Helper()
	request := b.request(t, previous)
	if o, err := b.runner.Observe(t.Context(), request); err != nil || o.Already || o.Seen != seenBefore {
		t.Errorf("before: %+v %v", o, err)
	}
	for range 2 {
		if o := b.runner.Do(t.Context(), request, "attempt"); o.State != action.Applied {
			t.Fatalf("%+v", o)
		}
		if confirmed, seen, err := b.runner.Confirm(t.Context(), request); err != nil || !confirmed || seen != seenAfter {
			t.Errorf("after: %v %s %v", confirmed, seen, err)
		}
	}
	if o, err := b.runner.Observe(t.Context(), request); err != nil || !o.Already {
		t.Errorf("again: %+v %v", o, err)
	}
}

// refused sends a request that the vendor refuses, for a reason with that in it.
func (b *bench) refused(t *testing.T, request *action.Request, reason string) {
	t.Helper()
	if o := b.runner.Do(t.Context(), request, "attempt"); o.State != action.Refused || !strings.Contains(o.Reason, reason) {
		t.Errorf("%+v", o)
	}
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func TestEveryRecipeIsCheckedAsItStands(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		t.Run(name, func(t *testing.T) {
			r := read(t, name)
			connectors, err := action.NewConnectors(r.connector(t, "", ""))
			if err != nil {
				t.Fatal(err)
			}
			if err := connectors.Check(r.call(t)); err != nil {
				t.Error(err)
			}
			if _, err := connectors.Render(r.call(t), action.Values{Previous: "6", Service: "support-bot"}); err != nil {
				t.Error(err)
			}
		})
	}
}
