package main

import (
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func TestChangesAreListedInWhatFits(t *testing.T) {
	address, _ := serveAPI(t)
	for _, args := range [][]string{
		{"prompt", "--service", "support-bot", "--from", "prompt-v6", "--to", "prompt-v7", "--at", "13:30", "--by", "alice"},
		{"retrieval_index_of_the_whole_house", "--service", "a-service-with-a-very-long-name", "--from", "kb-2026-11-01", "--to", "kb-2026-11-02", "--at", "13:31", "--by", "annabella-marguerita"},
		{"code", "--note", "redis got another eviction policy", "--at", "2026-11-03T02:00:00Z", "--by", "ci"},
		{"weights", "--to", "w2", "--at", "2026-10-31T10:00:30Z", "--by", "ci", "--link", "https://ci.example.com/7"},
	} {
		if got := irdaemon(t, address, "", append([]string{"change"}, args...)...); got.err != nil {
			t.Fatal(got.err)
		}
	}
	golden(t, "changes", irdaemon(t, address, "", "changes").out)
	golden(t, "changes_7d", irdaemon(t, address, "", "changes", "--since", "7d").out)
	for _, test := range []struct {
		args  []string
		lines int
	}{
		{[]string{"--since", "13:31"}, 0}, // after it
		{[]string{"--since", "13:30:30"}, 1},
		{[]string{"--since", "2026-10-01T00:00:00Z"}, 4},
		{[]string{"--service", "support-bot"}, 2},
		{[]string{"--artifact", "prompt"}, 1},
	} {
		got := irdaemon(t, address, "", append([]string{"changes"}, test.args...)...)
		if lines := strings.Count(got.out, " UTC  "); got.err != nil || lines != test.lines {
			t.Errorf("%v: %v\n%s", test.args, got.err, got.out)
		}
	}
}

func TestAReportedChangeIsTheUsersUnlessSaid(t *testing.T) {
	address, _ := serveAPI(t)
	t.Setenv("USER", "carol")
	if got := irdaemon(t, address, "", "change", "prompt", "--to", "v7"); got.err != nil || !strings.HasSuffix(got.out, ", by carol\n") {
		t.Errorf("%q, %v", got.out, got.err)
	}
}

func TestADetectedChangeIsToldAsSuch(t *testing.T) {
	told := changesText([]changes.Change{{Artifact: "prompt", To: "v7", At: webtest.At("13:30:00"), Source: changes.Detected}}, "24h", clientNow().Add(time.Hour))
	if !strings.Contains(told, "prompt: → v7, seen in the metrics") {
		t.Error(told)
	}
}
