package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// offered gives what a shell is offered after the arguments, the last of which is being typed.
func offered(t *testing.T, address string, args ...string) []string {
	t.Helper()
	got := irdaemon(t, address, "", append([]string{"__complete"}, args...)...)
	if got.err != nil {
		t.Fatalf("%v: %v", args, got.err)
	}
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if last := lines[len(lines)-1]; last != ":4" { // no files
		t.Errorf("%v: %q", args, got.out)
	}
	return lines[:len(lines)-1]
}

func TestWhatAShellIsOffered(t *testing.T) {
	address, _ := serveAPI(t)
	if got := irdaemon(t, address, "", "silence", "add", "slow-answers", "--for", "2h", "--reason", "load test", "--by", "alice"); got.err != nil {
		t.Fatal(got.err)
	}
	if got := irdaemon(t, address, "", "rollback", "43", "prompt", "--yes", "--by", "alice"); got.err != nil {
		t.Fatal(got.err)
	}
	const refusals, slow = "42\tsev2 triggered: The safety layer refuses good users", "43\tsev1 verifying: Answers are slow"
	const costs = "41\tsev3 resolved: Token spend runs away from its usual hour of the day and of the…"
	runbooks := []string{"good-users-refused\tThe safety layer refuses good users", "slow-answers\tAnswers are slow"}
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"open incidents to take", []string{"ack", ""}, []string{slow, refusals}},
		{"another one to take", []string{"ack", "43", ""}, []string{refusals}},
		{"any incident to note on", []string{"note", ""}, []string{slow, refusals, costs}},
		{"nothing for a note's words", []string{"note", "42", ""}, nil},
		{"any incident to show", []string{"incidents", "show", ""}, []string{slow, refusals, costs}},
		{"incidents that are over to reopen", []string{"reopen", ""}, []string{costs}},
		{"a checklist's items", []string{"triage", "42", ""}, []string{"1\tConfirm the alert is real on paid English traffic", "2\tDecide whether user harm is active now"}},
		{"an item's words", []string{"triage", "42", "2", ""}, []string{"yes", "no"}},
		{"the word of an item that has none", []string{"triage", "42", "1", ""}, []string{"done"}},
		{"nothing for an item that there is not", []string{"triage", "42", "7", ""}, nil},
		{"severities", []string{"severity", "42", ""}, []string{"sev1", "sev2", "sev3", "sev4"}},
		{"reasons to dismiss", []string{"dismiss", "42", "--reason", ""}, []string{"false_alarm", "duplicate", "expected", "test"}},
		{"what it is a duplicate of", []string{"dismiss", "43", "--of", ""}, []string{slow, refusals, costs}},
		{"audiences", []string{"update", "42", "--audience", ""}, []string{"internal", "customer"}},
		{"runbooks to silence", []string{"silence", "add", ""}, runbooks},
		{"groups of a runbook", []string{"silence", "add", "slow-answers", "--group", ""}, []string{"service=search", "tier=free", "tier=paid"}},
		{"silences to end", []string{"silence", "end", ""}, []string{"silence1\tslow-answers: load test"}},
		{"receivers to test", []string{"receivers", "test", ""}, []string{"chat\tslack", "pager\tpagerduty"}},
		{"open incidents to roll back in", []string{"rollback", ""}, []string{slow, refusals}},
		{"steps of a rollback stack", []string{"rollback", "42", ""}, []string{
			"prompt\tSet the live prompt label back to the version before the last change, and tell…",
			"retrieval_index\tPoint the alias kb-live at the index before."}},
		{"nothing beside a step", []string{"rollback", "42", "prompt", ""}, nil},
		{"open incidents to approve in", []string{"approve", ""}, []string{slow, refusals}},
		{"actions to approve", []string{"approve", "43", ""}, []string{"1\tsupport prompt"}},
		{"none to approve", []string{"approve", "42", ""}, nil},
		{"artifacts", []string{"change", ""}, []string{"code", "prompt", "weights", "retrieval_index", "router_policy", "thresholds"}},
		{"how far to look back", []string{"changes", "--since", ""}, []string{"1h", "24h", "7d"}},
		{"runbooks to drill", []string{"drill", ""}, runbooks},
		{"runbooks to list by", []string{"incidents", "--runbook", ""}, runbooks},
		{"states", []string{"incidents", "--state", ""}, listStates},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := offered(t, address, test.args...); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAShellIsOfferedNothingWhereTheDaemonDoesNotAnswer(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(release)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, address := range map[string]string{
		"a slow one": slow.URL, "none": gone.URL, "another program": answering(t, 200, "text/html", "<h1>"), "no URL": "::",
	} {
		began := time.Now()
		if got := offered(t, address, "ack", ""); len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
		if took := time.Since(began); took > completionTimeout+time.Second {
			t.Errorf("%s: %s", name, took)
		}
	}
}

func TestAShellIsOfferedNoWordThatItWouldRun(t *testing.T) {
	address := answering(t, 200, "application/json", `{"runbooks": [
		{"name": "$(reboot)", "title": "x"}, {"name": "a;b"}, {"name": "a b"}, {"name": "--url=http://x"}, {"name": "a\u001b[2J"},
		{"name": "a\n:0"}, {"name": ":1"}, {"name": ""}, {"name": "good", "title": "two\nlines\tand \u001b[2J\u009b an end"}]}`)
	if got, want := offered(t, address, "drill", ""), []string{"good\ttwo lines and \uFFFD[2J\uFFFD an end"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
