package changes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

// reported is a change that somebody reported, from their words: at, artifact, from, to, service, by.
func reported(words string) changes.Change {
	w := strings.Fields(words)
	c := changes.Change{At: clockTime(w[0]), Artifact: w[1], From: dash(w[2]), To: dash(w[3]), Service: dash(w[4]), Note: "a note"}
	if len(w) > 5 {
		c.By, c.URL = w[5], "https://"+w[5]+".example/"
	}
	c, err := changes.Report(c, c.At)
	if err != nil {
		panic(err)
	}
	return c
}

// detected is the same as the metrics showed it, half a minute after the last look without it, or since a time.
func detected(words string) changes.Change {
	w := strings.Fields(words)
	c := reported(strings.Join(w[:5], " "))
	c.Note, c.Source = "", changes.Detected
	c.ID = "seen-" + c.ID
	c.Seen = changes.Sight{LastWithout: c.At.Add(-30 * time.Second), FirstWith: c.At}
	for _, more := range w[5:] {
		what, when, _ := strings.Cut(more, "=")
		switch what {
		case "without":
			c.Seen.LastWithout = clockTime(when)
		case "half":
			c.Seen.HalfAt = clockTime(when)
		case "gone":
			c.Seen.GoneAt = clockTime(when)
		}
	}
	return c
}

// dash reads a word; — is none.
func dash(word string) string { return strings.TrimPrefix(word, "—") }

// logged writes a log so that it can be compared and read.
func logged(log []changes.Change) string {
	var lines []string
	for _, c := range log {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s>%s %s %s %s", c.At.Format("15:04:05"), c.Artifact, c.From, c.To, c.Service, c.Source, c.By)))
	}
	return strings.Join(lines, "\n")
}

func TestReportedAndDetectedAreOneLog(t *testing.T) {
	for _, test := range []struct {
		name     string
		reported []string
		detected []string
		want     []string
	}{
		{"a report of what was seen: its words, the time observed",
			[]string{"13:28 prompt v6 v7 bot ci"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:30:00 prompt v6>v7 bot both ci"}},
		{"a report that falls between two looks has the better time",
			[]string{"13:29:40 prompt v6 v7 bot ci"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:29:40 prompt v6>v7 bot both ci"}},
		{"a report from a gap, however long",
			[]string{"12:10 prompt v6 v7 bot ci"}, []string{"13:30 prompt v6 v7 bot without=11:00"},
			[]string{"12:10:00 prompt v6>v7 bot both ci"}},
		{"a report that came later than the version did",
			[]string{"13:45 prompt v6 v7 bot ci"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:30:00 prompt v6>v7 bot both ci"}},
		{"more than 15 minutes apart they are two",
			[]string{"13:45:01 prompt v6 v7 bot ci"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:30:00 prompt v6>v7 bot detected", "13:45:01 prompt v6>v7 bot reported ci"}},
		{"another version, artifact or service is another change",
			[]string{"13:30 prompt v6 v8 bot ci", "13:30 code v6 v7 bot ci", "13:30 prompt v6 v7 search ci"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:30:00 code v6>v7 bot reported ci", "13:30:00 prompt v6>v7 bot detected", "13:30:00 prompt v6>v8 bot reported ci", "13:30:00 prompt v6>v7 search reported ci"}},
		{"a report without a service tells of each service on which it was seen",
			[]string{"13:28 prompt v6 v7 — ci"}, []string{"13:30 prompt v6 v7 bot", "13:31 prompt v6 v7 search"},
			[]string{"13:30:00 prompt v6>v7 bot both ci", "13:31:00 prompt v6>v7 search both ci"}},
		{"what one of them leaves out the other one fills in",
			[]string{"13:28 prompt v6 v7 bot ci"}, []string{"13:30 prompt — v7 —"},
			[]string{"13:30:00 prompt v6>v7 bot both ci"}},
		{"of two reports the nearer one speaks first",
			[]string{"13:20 prompt v6 v7 bot ci", "13:31 prompt v6 v7 bot alice"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:30:00 prompt v6>v7 bot both alice"}},
		{"forward, back, forward again within a quarter of an hour are three changes",
			[]string{"13:30 prompt v6 v7 bot ci", "13:35 prompt v7 v6 bot alice", "13:40 prompt v6 v7 bot bob"},
			[]string{"13:31 prompt v6 v7 bot", "13:36 prompt v7 v6 bot", "13:41 prompt v6 v7 bot"},
			[]string{"13:31:00 prompt v6>v7 bot both ci", "13:36:00 prompt v7>v6 bot both alice", "13:41:00 prompt v6>v7 bot both bob"}},
		{"the same, reported alone",
			[]string{"13:30 prompt v6 v7 bot ci", "13:35 prompt v7 v6 bot alice", "13:40 prompt v6 v7 bot bob"}, nil,
			[]string{"13:30:00 prompt v6>v7 bot reported ci", "13:35:00 prompt v7>v6 bot reported alice", "13:40:00 prompt v6>v7 bot reported bob"}},
		{"two reports of one version, which nobody saw, are one",
			[]string{"13:30 prompt — v7 bot", "13:40 prompt v6 v7 bot ci"}, nil,
			[]string{"13:30:00 prompt v6>v7 bot reported ci"}},
		{"what was seen twice happened twice",
			nil, []string{"13:30 prompt v6 v7 bot", "13:40 prompt v6 v7 —"},
			[]string{"13:30:00 prompt v6>v7 bot detected", "13:40:00 prompt v6>v7  detected"}},
		{"reports without a version are not one",
			[]string{"13:30 thresholds — — bot a", "13:31 thresholds — — bot b"}, nil,
			[]string{"13:30:00 thresholds > bot reported a", "13:31:00 thresholds > bot reported b"}},
		{"the order is that of time, whatever came first",
			[]string{"13:40 code a b bot", "13:20 weights a b bot"}, []string{"13:30 prompt v6 v7 bot"},
			[]string{"13:20:00 weights a>b bot reported", "13:30:00 prompt v6>v7 bot detected", "13:40:00 code a>b bot reported"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := changes.Merge(all(test.reported, reported), all(test.detected, detected))
			if got := logged(log); got != strings.Join(test.want, "\n") {
				t.Errorf("the log is\n%s\nwant\n%s", got, strings.Join(test.want, "\n"))
			}
		})
	}
}

func all(words []string, read func(string) changes.Change) (list []changes.Change) {
	for _, w := range words {
		list = append(list, read(w))
	}
	return list
}

func TestAChangeIsKnownByEachOfItsIDs(t *testing.T) {
	report, again, seen := reported("13:28 prompt v6 v7 bot ci"), reported("13:29 prompt v6 v7 bot alice"), detected("13:30 prompt v6 v7 bot half=13:31")
	before := seen
	before.Seen.HalfAt = time.Time{}
	report.RecordedAt, seen.RecordedAt = clockTime("13:28"), clockTime("13:31")
	log := changes.Merge([]changes.Change{report, report, again}, []changes.Change{before, seen})
	if len(log) != 1 || log[0].ID != seen.ID || !log[0].Is(report.ID) || !log[0].Is(again.ID) || log[0].Is("x") {
		t.Fatalf("the log is %+v", log)
	}
	if c := log[0]; !c.RecordedAt.Equal(clockTime("13:28")) || c.Seen != seen.Seen || c.URL != "https://alice.example/" || c.Note != "a note" {
		t.Errorf("it is %+v", c)
	}
}

// Nothing that was told is lost, nothing is told twice, and the order in which it came doesn't matter.
func TestALogHoldsEverythingOnce(t *testing.T) {
	draw := func(t *rapid.T, read func(string) changes.Change) (list []changes.Change) {
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			list = append(list, read(fmt.Sprintf("13:%02d prompt v0 v%d %s", rapid.IntRange(0, 59).Draw(t, "minute"),
				rapid.IntRange(1, 2).Draw(t, "to"), rapid.SampledFrom([]string{"bot", "search", "—"}).Draw(t, "service"))))
		}
		return list
	}
	rapid.Check(t, func(t *rapid.T) {
		reports, seen := draw(t, reported), draw(t, detected)
		log := changes.Merge(reports, seen)
		ids := map[string]bool{}
		for i, c := range log {
			if ids[c.ID] {
				t.Fatalf("%s stands there twice", c.ID)
			}
			ids[c.ID] = true
			if i > 0 && c.At.Before(log[i-1].At) {
				t.Fatalf("not in order of time:\n%s", logged(log))
			}
		}
		for _, c := range slices.Concat(reports, seen) {
			if !slices.ContainsFunc(log, func(l changes.Change) bool { return l.Is(c.ID) && l.To == c.To }) {
				t.Fatalf("%+v is lost", c)
			}
		}
		again := changes.Merge(rapid.Permutation(reports).Draw(t, "reports"), rapid.Permutation(seen).Draw(t, "seen"))
		if logged(log) != logged(again) {
			t.Fatalf("in another order the log is\n%s\nnot\n%s", logged(again), logged(log))
		}
	})
}

func TestTheListOfWhatRanIsWhole(t *testing.T) {
	seen := []changes.Running{
		{Service: "bot", Artifact: "prompt", Version: "v6", Share: 0.5, SeenAt: now, Source: changes.Detected},
		{Service: "bot", Artifact: "prompt", Version: "v7", Share: 0.5, SeenAt: now, Source: changes.Detected},
	}
	log := changes.Merge(all([]string{
		"09:00 code a b bot", "10:00 code b c bot", "13:00 prompt v5 v6 bot", "14:30 code c d bot", "11:00 thresholds — — bot",
	}, reported), all([]string{"13:30 prompt v6 v7 bot"}, detected))
	got := changes.RunningAt(seen, log, now)
	want := []changes.Running{
		{Service: "bot", Artifact: "code", Version: "c", Since: clockTime("10:00"), Was: "b", Source: changes.Reported},
		{Service: "bot", Artifact: "prompt", Version: "v6", Share: 0.5, SeenAt: now, Since: clockTime("13:00"), Was: "v5", Source: changes.Detected},
		{Service: "bot", Artifact: "prompt", Version: "v7", Share: 0.5, SeenAt: now, Since: clockTime("13:30"), Was: "v6", Source: changes.Detected},
	}
	if !slices.Equal(got, want) {
		t.Errorf("it is\n%+v\nwant\n%+v", got, want)
	}
	if seen[0] != (changes.Running{Service: "bot", Artifact: "prompt", Version: "v6", Share: 0.5, SeenAt: now, Source: changes.Detected}) {
		t.Error("what was passed in was changed")
	}
}
