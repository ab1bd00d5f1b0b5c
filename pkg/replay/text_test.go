package replay_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/replay"
)

func TestSegmentsAreNamedByWhatTheyDifferIn(t *testing.T) {
	for _, c := range []struct {
		name     string
		group    string
		segments []string
		want     string // empty: no line
	}{
		{"many of one service", "", []string{"__name__=x,service=bot,tier=a", "__name__=x,service=bot,tier=b", "__name__=x,service=bot,tier=c"}, "  tier=a; tier=b and 1 more"},
		{"one that says more than the group", "service=bot", []string{"service=bot,tier=a"}, "  tier=a"},
		{"one that is the group", "service=bot", []string{"service=bot"}, ""},
		{"all traffic", "", []string{""}, ""},
		{"names longer than a line", "", []string{"a=" + strings.Repeat("x", 70), "a=" + strings.Repeat("y", 70), "a=z"}, "  a=" + strings.Repeat("x", 64) + "… and 1 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &replay.Incident{Runbook: "slow", Group: labelSet(c.group)}
			for _, s := range c.segments {
				i.Segments = append(i.Segments, labelSet(s))
			}
			var text bytes.Buffer
			if err := (&replay.Result{Incidents: []*replay.Incident{i}, From: midnight, To: midnight}).WriteText(&text); err != nil {
				t.Fatal(err)
			}
			line := strings.Split(text.String(), "\n")[2]
			if line != c.want {
				t.Errorf("%q, want %q", line, c.want)
			}
		})
	}
}

func TestRunbooksThatJoinedAreNamed(t *testing.T) {
	joined := &replay.Incident{Runbook: "slow", Joined: []string{"refusals", "costs"}}
	var text bytes.Buffer
	if err := (&replay.Result{Incidents: []*replay.Incident{joined}, From: midnight, To: midnight}).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "slow\n  joined by refusals, costs\n") {
		t.Errorf("%s", text.String())
	}
}
