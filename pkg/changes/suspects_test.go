package changes_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

// bot is an incident of the support bot, impact at 13:59:15, with nothing on record.
func bot() changes.SuspectInput {
	return changes.SuspectInput{
		Impact: clockTime("13:59:15"), Services: []string{"bot"}, Since: 24 * time.Hour,
		Order: []changes.Step{{Artifact: "prompt"}, {Artifact: "retrieval_index"}},
	}
}

// ranked writes a ranking so that it can be compared and read.
func ranked(r changes.Ranking) string {
	var lines []string
	for _, s := range r.Suspects {
		lines = append(lines, fmt.Sprintf("%d %s %s (%s): %s", s.Rank, s.Change.Artifact, s.Change.To, s.Class, s.Reason))
	}
	for _, s := range r.Excluded {
		lines = append(lines, fmt.Sprintf("- %s %s (%s): %s", s.Change.Artifact, s.Change.To, s.Excluded, s.Reason))
	}
	return strings.Join(lines, "\n")
}

// watched are artifacts of services whose versions were seen for a day, up to impact.
func watched(all ...string) (known []changes.Known) {
	for _, one := range all {
		artifact, service, _ := strings.Cut(one, " ")
		known = append(known, changes.Known{
			Artifact: artifact, Service: strings.TrimPrefix(service, "—"), First: clockTime("13:59").Add(-24 * time.Hour), Last: clockTime("13:59"),
		})
	}
	return known
}

func TestTheSuspectsOfTheWorkedExample(t *testing.T) {
	in := bot()
	in.Order = []changes.Step{{Artifact: "prompt"}, {Artifact: "retrieval_index"}, {Artifact: "router_policy"}, {Artifact: "code"}, {Artifact: "weights"}}
	in.Changes = changes.Merge(all([]string{"13:30 prompt prompt-v6 prompt-v7 bot ci"}, reported),
		all([]string{"13:40 retrieval_index kb-2025-02-01 kb-2025-02-15 bot half=13:40"}, detected))
	in.Known = watched("code bot", "weights bot", "prompt bot", "retrieval_index bot", "thresholds other-bot")
	r := changes.Rank(in)
	want := `1 prompt prompt-v7 (within 60m): 29 min before impact; was prompt-v6
2 retrieval_index kb-2025-02-15 (within 60m): 19 min before impact; was kb-2025-02-01`
	if got := ranked(r); got != want {
		t.Errorf("the suspects are\n%s\nwant\n%s", got, want)
	}
	said := strings.Join(r.Statements(), "\n")
	if want := "no code deploy, no weights deploy in 24 h\nunknown: nothing reports router_policy"; said != want {
		t.Errorf("it says\n%s\nwant\n%s", said, want)
	}
}

func TestSuspectsAreRankedAndTheOthersExcludedWithTheirReason(t *testing.T) {
	for _, test := range []struct {
		name     string
		reported []string
		detected []string
		with     func(*changes.SuspectInput)
		want     string
	}{
		{"by time class first", []string{"13:50 code a b bot", "13:30 prompt v6 v7 bot", "09:00 weights a b bot", "01:00 retrieval_index a b bot"}, nil, nil,
			`1 code b (within 15m): 9 min before impact; was a
2 prompt v7 (within 60m): 29 min before impact; was v6
3 weights b (within 6h): 4 h 59 min before impact; was a
4 retrieval_index b (older): 12 h 59 min before impact; was a`},
		{"at the edges of the classes", []string{"13:44:15 a x y bot", "13:44:14 b x y bot", "12:59:15 c x y bot", "12:59:14 d x y bot", "07:59:15 e x y bot", "07:59:14 f x y bot"}, nil, nil,
			`1 a y (within 15m): 15 min before impact; was x
2 b y (within 60m): 15 min before impact; was x
3 c y (within 60m): 1 h before impact; was x
4 d y (within 6h): 1 h before impact; was x
5 e y (within 6h): 6 h before impact; was x
6 f y (older): 6 h before impact; was x`},
		{"within a class in the runbook's order, what it doesn't name last, then the nearer one",
			[]string{"13:40 code a b bot", "13:20 weights a b bot", "13:10 retrieval_index a b bot", "13:05 prompt v6 v7 bot"}, nil, nil,
			`1 prompt v7 (within 60m): 54 min before impact; was v6
2 retrieval_index b (within 60m): 49 min before impact; was a
3 code b (within 60m): 19 min before impact; was a
4 weights b (within 60m): 39 min before impact; was a`},
		{"after impact", []string{"13:59:15 prompt v6 v7 bot", "14:10 prompt v7 v8 bot"}, nil, nil,
			`1 prompt v7 (within 15m): as impact began; was v6
- prompt v8 (after impact): 10 min after impact began`},
		{"another service, but for the one whose changes a step answers", []string{"13:30 prompt v6 v7 search", "13:40 retrieval_index a b search", "13:50 prompt v6 v7 —"}, nil,
			func(in *changes.SuspectInput) {
				in.Order = append(in.Order, changes.Step{Artifact: "retrieval_index", Service: "search"})
			},
			`1 prompt v7 (within 15m): 9 min before impact; was v6; its service is not named
2 retrieval_index b (within 60m): 19 min before impact; was a
- prompt v7 (other service): of search; the incident is of bot`},
		{"an incident of no service suspects all", []string{"13:30 prompt v6 v7 search"}, nil,
			func(in *changes.SuspectInput) { in.Services = nil },
			`1 prompt v7 (within 60m): 29 min before impact; was v6`},
		{"older than the time for its artifact", []string{"11:59:15 prompt v6 v7 bot", "11:59:14 code a b bot", "09:00 weights a b bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Since, in.SinceOf = 2*time.Hour, map[string]time.Duration{"weights": 7 * 24 * time.Hour}
			},
			`1 prompt v7 (within 6h): 2 h before impact; was v6
2 weights b (within 6h): 4 h 59 min before impact; was a
- code b (older): 2 h before impact; only the last 2 h are looked at`},
		{"rolled back before impact; the way back is a suspect itself", []string{"13:00 prompt v6 v7 bot", "13:20 prompt v7 v8 bot", "13:47 prompt v8 v6 bot"}, nil, nil,
			`1 prompt v6 (within 15m): 12 min before impact; back to v6 from v8
- prompt v8 (rolled back): rolled back to v6 12 min before impact
- prompt v7 (rolled back): rolled back to v6 12 min before impact`},
		{"rolled back after impact began is a suspect", []string{"13:30 prompt v6 v7 bot", "14:10 prompt v7 v6 bot"}, nil, nil,
			`1 prompt v7 (within 60m): 29 min before impact; was v6
- prompt v6 (after impact): 10 min after impact began`},
		{"rolled back, and still running somewhere", []string{"13:30 prompt v6 v7 bot", "13:47 prompt v7 v6 bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Running = []changes.Running{{Service: "bot", Artifact: "prompt", Version: "v6", Share: 0.75}, {Service: "bot", Artifact: "prompt", Version: "v7", Share: 0.25}}
			},
			`1 prompt v6 (within 15m): 12 min before impact; back to v6 from v7; on 75% when impact began
2 prompt v7 (within 60m): 29 min before impact; was v6; v6 followed 12 min before impact; canary: on 25% when impact began`},
		{"replaced by the next version is a suspect: that one was built on it", []string{"13:30 prompt v6 v7 bot", "13:47 prompt — v8 bot"}, nil, nil,
			`1 prompt v8 (within 15m): 12 min before impact; was v7
2 prompt v7 (within 60m): 29 min before impact; was v6; v8 followed 12 min before impact`},
		{"a canary that went away before impact", nil, []string{"13:30 prompt v6 v7 bot gone=13:50"}, nil,
			`- prompt v7 (rolled back): taken back: nothing ran v7 any more 9 min before impact`},
		{"a version that made room for the next one did not go away by itself", nil, []string{"13:30 prompt v6 v7 bot half=13:31 gone=13:50", "13:50 prompt v7 v8 bot"}, nil,
			`1 prompt v8 (within 15m): 9 min before impact; was v7
2 prompt v7 (within 60m): 29 min before impact; was v6; v8 followed 9 min before impact`},
		{"the same version again", []string{"13:00 prompt v6 v7 bot", "13:30 prompt v6 v7 bot", "13:40 code b b bot"}, nil, nil,
			`1 prompt v7 (within 60m): 59 min before impact; was v6; v7 followed 29 min before impact
- code b (same version): b was set again: it was there before
- prompt v7 (same version): v7 was set again: it was there since 13:00 UTC`},
		{"a canary at impact", nil, []string{"13:30 prompt v6 v7 bot"},
			func(in *changes.SuspectInput) {
				in.Running = []changes.Running{{Service: "bot", Artifact: "prompt", Version: "v6", Share: 0.9}, {Service: "bot", Artifact: "prompt", Version: "v7", Share: 0.1}}
			},
			`1 prompt v7 (within 60m): 29 min before impact; was v6; canary: on 10% when impact began`},
		{"reported, but not what ran", []string{"13:30 prompt v6 v7 bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Running = []changes.Running{{Service: "bot", Artifact: "prompt", Version: "v6", Share: 1}}
			},
			`1 prompt v7 (within 60m): 29 min before impact; was v6; not seen running when impact began: v6 was`},
		{"what another service ran says nothing", []string{"13:30 prompt v6 v7 bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Running = []changes.Running{{Service: "search", Artifact: "prompt", Version: "v6", Share: 1}}
			},
			`1 prompt v7 (within 60m): 29 min before impact; was v6`},
		{"some time while nobody could look", nil, []string{"13:55 prompt v6 v7 bot without=13:40", "14:05 code a b bot without=13:50", "14:05 weights a b bot without=13:59:15"}, nil,
			`1 prompt v7 (within 15m): 4 min to 19 min before impact: nobody could look from 13:40 UTC to 13:55 UTC; was v6
2 code b (within 15m): 0 s to 9 min before impact: nobody could look from 13:50 UTC to 14:05 UTC; was a
- weights b (after impact): 5 min after impact began`},
		{"between the last look before impact and the first one after", nil, []string{"13:59:30 prompt v6 v7 bot"}, nil,
			`1 prompt v7 (within 15m): at most 15 s before impact; was v6`},
		{"reported while nobody could look, after impact", []string{"14:02 prompt v6 v7 bot"}, []string{"14:05 prompt v6 v7 bot without=13:40"}, nil,
			`- prompt v7 (after impact): 2 min after impact began`},
		{"seen long after it was reported is no repetition", []string{"13:00 prompt v6 v7 bot"}, []string{"13:20 prompt v6 v7 bot"}, nil,
			`1 prompt v7 (within 60m): 39 min before impact; was v6
2 prompt v7 (within 60m): 59 min before impact; was v6; v7 followed 39 min before impact`},
		{"a version that had gone and was set again came again", []string{"13:30 prompt v6 v7 bot"}, []string{"12:30 prompt v6 v7 bot gone=12:50"}, nil,
			`1 prompt v7 (within 60m): 29 min before impact; was v6
- prompt v7 (rolled back): taken back: nothing ran v7 any more 1 h 9 min before impact`},
		{"gone after impact began is a suspect", nil, []string{"13:30 prompt v6 v7 bot gone=14:20"}, nil,
			`1 prompt v7 (within 60m): 29 min before impact; was v6`},
		{"the last look without it a second before impact", nil, []string{"14:00 prompt v6 v7 bot without=13:59:14"}, nil,
			`1 prompt v7 (within 15m): at most 1 s before impact; was v6`},
		{"forward, back, forward and told again", []string{"13:00 prompt v6 v7 bot", "13:10 prompt v7 v6 bot", "13:20 prompt v6 v7 bot", "13:50 prompt v6 v7 bot"}, nil, nil,
			`1 prompt v7 (within 60m): 39 min before impact; back to v7 from v6; v7 followed 9 min before impact
- prompt v7 (same version): v7 was set again: it was there since 13:20 UTC
- prompt v6 (rolled back): rolled back to v7 39 min before impact
- prompt v7 (rolled back): rolled back to v6 49 min before impact`},
		{"what was there before is what the change before that set", []string{"10:00 prompt v5 v6 bot", "11:00 prompt v6 v7 bot", "13:50 prompt — v8 bot"}, nil,
			func(in *changes.SuspectInput) { in.Since = time.Hour },
			`1 prompt v8 (within 15m): 9 min before impact; was v7
- prompt v7 (older): 2 h 59 min before impact; only the last 1 h are looked at
- prompt v6 (older): 3 h 59 min before impact; only the last 1 h are looked at`},
		{"a step that answers another service has no say in the order of our own", []string{"13:50 retrieval_index a b bot", "13:50 prompt v6 v7 bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Order = []changes.Step{{Artifact: "retrieval_index", Service: "search"}, {Artifact: "prompt"}, {Artifact: "retrieval_index"}}
			},
			`1 prompt v7 (within 15m): 9 min before impact; was v6
2 retrieval_index b (within 15m): 9 min before impact; was a`},
		{"our own step has no say in the order of another service", []string{"13:50 retrieval_index a b search", "13:50 prompt v6 v7 bot"}, nil,
			func(in *changes.SuspectInput) {
				in.Order = []changes.Step{{Artifact: "retrieval_index"}, {Artifact: "prompt"}, {Artifact: "retrieval_index", Service: "search"}}
			},
			`1 prompt v7 (within 15m): 9 min before impact; was v6
2 retrieval_index b (within 15m): 9 min before impact; was a`},
		{"without versions", []string{"13:30 thresholds — — bot"}, nil, nil,
			`1 thresholds  (within 60m): 29 min before impact`},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := bot()
			in.Changes = changes.Merge(all(test.reported, reported), all(test.detected, detected))
			if test.with != nil {
				test.with(&in)
			}
			if got := ranked(changes.Rank(in)); got != test.want {
				t.Errorf("it is\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestThoseWithTheVersionAgainstThoseWithout(t *testing.T) {
	exposure := func(version string, bad, n, otherBad, others float64) changes.Exposure {
		return changes.Exposure{Artifact: "prompt", Version: version, Signal: "Refusal rate", WithBad: bad, With: n, WithoutBad: otherBad, Without: others}
	}
	for _, test := range []struct {
		name     string
		exposure changes.Exposure
		want     string
	}{
		{"worse with it goes before what is nearer", exposure("v7", 190, 1000, 40, 1000),
			`1 prompt v7 (exposure): 4 h 59 min before impact; was v6; Refusal rate 19% with it (190 of 1000), 4% without (40 of 1000): a difference of +15.0 points, +12.3 to +17.8
2 code b (within 15m): 9 min before impact; was a`},
		{"no difference goes behind everything", exposure("v7", 190, 1000, 185, 1000),
			`1 code b (within 15m): 9 min before impact; was a
2 weights b (older): 8 h 59 min before impact; was a
3 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 19% with it (190 of 1000), 18.5% without (185 of 1000): no difference seen, -2.9 to +3.9 points`},
		{"too few say nothing", exposure("v7", 8, 29, 40, 1000),
			`1 code b (within 15m): 9 min before impact; was a
2 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 27.6% with it (8 of 29), 4% without (40 of 1000): too few to tell them apart`},
		{"a wide interval says nothing", exposure("v7", 8, 40, 6, 40),
			`1 code b (within 15m): 9 min before impact; was a
2 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 20% with it (8 of 40), 15% without (6 of 40): too few to tell them apart`},
		{"clumped events count less", func() changes.Exposure { e := exposure("v7", 30, 300, 15, 300); e.Dispersion = 4; return e }(),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 10% with it (30 of 300), 5% without (15 of 300): too few to tell them apart`},
		{"half of what is bad may be the version's: nothing is said", exposure("v7", 40, 200, 34, 200),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 20% with it (40 of 200), 17% without (34 of 200): too few to tell them apart`},
		{"a hundred events in clumps of four are too few", func() changes.Exposure { e := exposure("v7", 90, 100, 5, 100); e.Dispersion = 4; return e }(),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6; Refusal rate 90% with it (90 of 100), 5% without (5 of 100): too few to tell them apart`},
		{"of good events fewer are worse", func() changes.Exposure { e := exposure("v7", 250, 1000, 420, 1000); e.Better = true; return e }(),
			`1 prompt v7 (exposure): 4 h 59 min before impact; was v6; Refusal rate 25% with it (250 of 1000), 42% without (420 of 1000): a difference of -17.0 points, -21.0 to -12.9`},
		{"a version that everybody has contrasts with nothing", exposure("v7", 190, 1000, 0, 0),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6`},
		{"of another version", exposure("v6", 190, 1000, 40, 1000),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6`},
		{"counts that can't be", exposure("v7", math.NaN(), 1000, 40, math.Inf(1)),
			`2 prompt v7 (within 6h): 4 h 59 min before impact; was v6`},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := bot()
			in.Changes = changes.Merge(all([]string{"09:00 prompt v6 v7 bot", "13:50 code a b bot", "05:00 weights a b bot"}, reported), nil)
			in.Contrast = []changes.Exposure{test.exposure}
			if got := ranked(changes.Rank(in)); !strings.Contains("\n"+got+"\n", "\n"+test.want+"\n") {
				t.Errorf("it is\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWhatDidNotChangeIsSaidAndWhatNobodyReportsIsUnknown(t *testing.T) {
	for _, test := range []struct {
		name    string
		known   []changes.Known
		changed []string
		with    func(*changes.SuspectInput)
		want    string
	}{
		{"nothing reports anything", nil, nil, nil,
			"unknown: nothing reports prompt, retrieval_index\nno change on record before impact, which says nothing of a provider's model, of data and of traffic"},
		{"known and unchanged, each with its own time", watched("prompt bot", "retrieval_index —", "code bot"), nil,
			func(in *changes.SuspectInput) {
				in.SinceOf = map[string]time.Duration{"retrieval_index": 12 * time.Hour}
			},
			"no prompt change in 24 h\nno retrieval_index change in 12 h\nno code deploy in 24 h\nno change on record before impact, which says nothing of a provider's model, of data and of traffic"},
		{"reported of another service alone is unknown here", watched("prompt search", "retrieval_index bot"), []string{"13:30 retrieval_index a b bot"}, nil,
			"unknown: nothing reports prompt"},
		{"what changed after impact did not change before it", watched("prompt bot", "retrieval_index bot"), []string{"14:10 prompt v6 v7 bot", "13:30 retrieval_index a b bot"}, nil,
			"no prompt change in 24 h"},
		{"what changed longer ago did not change since", watched("prompt bot", "retrieval_index bot"), []string{"10:00 prompt v6 v7 bot", "13:30 retrieval_index a b bot"},
			func(in *changes.SuspectInput) { in.Since = 2 * time.Hour },
			"no prompt change in 2 h"},
		{"what changed and was rolled back did change", watched("prompt bot", "retrieval_index bot"), []string{"13:00 prompt v6 v7 bot", "13:30 prompt v7 v6 bot"}, nil,
			"no retrieval_index change in 24 h"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := bot()
			in.Known, in.Changes = test.known, changes.Merge(all(test.changed, reported), nil)
			if test.with != nil {
				test.with(&in)
			}
			r := changes.Rank(in)
			if got := strings.Join(r.Statements(), "\n"); got != test.want {
				t.Errorf("it says\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestNoChangeIsSaidOnlyOfWhatWasSeenOrReported(t *testing.T) {
	day := 24 * time.Hour
	impact := clockTime("13:59:15")
	for _, test := range []struct {
		name  string
		known []changes.Known
		want  string
	}{
		{"seen all the time", []changes.Known{{Artifact: "prompt", First: impact.Add(-day), Last: impact}}, "no prompt change in 24 h"},
		{"known from reports alone", []changes.Known{{Artifact: "prompt", Reported: true}}, "no prompt change reported in 24 h"},
		{"not seen for hours", []changes.Known{{Artifact: "prompt", First: impact.Add(-day), Last: clockTime("09:12")}},
			"unknown since 09:12 UTC: prompt has not been seen"},
		{"not seen since the day before", []changes.Known{{Artifact: "prompt", First: impact.Add(-7 * day), Last: clockTime("09:12").Add(-day)}},
			"unknown since " + clockTime("09:12").Add(-day).Format(time.DateOnly) + " 09:12 UTC: prompt has not been seen"},
		{"not seen for hours, and yet reported", []changes.Known{{Artifact: "prompt", Reported: true, First: impact.Add(-day), Last: clockTime("09:12")}},
			"no prompt change reported in 24 h\nunknown since 09:12 UTC: prompt has not been seen"},
		{"seen for two hours only", []changes.Known{{Artifact: "prompt", First: impact.Add(-2 * time.Hour), Last: impact}},
			"no prompt change in 2 h, not known before"},
		{"of two services one is not seen", []changes.Known{{Artifact: "prompt", Service: "bot", First: impact.Add(-day), Last: impact}, {Artifact: "prompt", First: impact.Add(-day), Last: clockTime("09:12")}},
			"unknown since 09:12 UTC: prompt has not been seen"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := bot()
			in.Order, in.Known = []changes.Step{{Artifact: "prompt"}}, test.known
			in.Changes = all([]string{"13:30 code a b bot"}, reported)
			r := changes.Rank(in)
			if got := strings.Join(r.Statements(), "\n"); got != test.want {
				t.Errorf("it says\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWhatIsReportedOrDetectedIsKnown(t *testing.T) {
	first, last := clockTime("08:00"), clockTime("12:00")
	got := changes.KnownOf(slices.Concat(all([]string{"09:00 code a b bot", "11:00 code b c —"}, reported),
		all([]string{"07:00 prompt v5 v6 bot half=07:10", "09:00 weights w1 w2 bot half=09:10"}, detected)),
		[]changes.Running{
			{Service: "bot", Artifact: "prompt", Version: "v6", First: first, SeenAt: last, Source: changes.Detected},
			{Service: "bot", Artifact: "prompt", Version: "v7", First: first, SeenAt: last, Source: changes.Detected},
			{Service: "bot", Artifact: "router_policy", Version: "r", Source: changes.Reported},
		})
	want := []changes.Known{
		{Artifact: "code", Reported: true},
		{Artifact: "code", Service: "bot", Reported: true},
		{Artifact: "prompt", Service: "bot", First: first, Last: last},
		{Artifact: "router_policy", Service: "bot", Reported: true},
		{Artifact: "weights", Service: "bot", Last: clockTime("09:10")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("it is\n%+v, want\n%+v", got, want)
	}
}

func TestAFloodOfChangesLeavesTheNearestOnes(t *testing.T) {
	in := bot()
	for n := range 2000 {
		c, err := changes.Report(changes.Change{Artifact: "code", Service: "bot", To: fmt.Sprint("v", n), At: in.Impact.Add(time.Duration(n-1900) * time.Second)}, in.Impact.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		in.Changes = append(in.Changes, c)
	}
	r := changes.Rank(in)
	if len(r.Suspects) != 401 || len(r.Excluded) != 99 || r.Omitted != 1500 || r.Suspects[0].Change.To != "v1900" {
		t.Errorf("%d suspects, %d excluded, %d omitted, first %s", len(r.Suspects), len(r.Excluded), r.Omitted, r.Suspects[0].Change.To)
	}
	if said := r.Statements(); !slices.Contains(said, "1500 more changes, farther from impact, are not listed") {
		t.Errorf("it says %v", said)
	}
}

// Each change has a place or a reason; nothing after impact has a place; the order of the log doesn't matter; what has
// a suspect is not said to be unchanged, or unknown.
func TestEveryChangeHasAPlaceOrAReason(t *testing.T) {
	artifacts, versions := []string{"prompt", "retrieval_index", "code"}, []string{"v1", "v2", "v3", "—"}
	services := []string{"bot", "search", "—"}
	draw := func(t *rapid.T, read func(string) changes.Change, ends ...string) (list []changes.Change) {
		for range rapid.IntRange(0, 10).Draw(t, "n") {
			list = append(list, read(fmt.Sprintf("%02d:%02d %s %s %s %s %s", rapid.IntRange(10, 15).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"),
				rapid.SampledFrom(artifacts).Draw(t, "artifact"), rapid.SampledFrom(versions).Draw(t, "from"), rapid.SampledFrom(versions).Draw(t, "to"),
				rapid.SampledFrom(services).Draw(t, "service"), rapid.SampledFrom(ends).Draw(t, "more"))))
		}
		return list
	}
	rapid.Check(t, func(t *rapid.T) {
		in := bot()
		in.Since = 2 * time.Hour
		in.Changes = changes.Merge(draw(t, reported, ""), draw(t, detected, "", "without=10:00", "gone=15:59"))
		in.Known = changes.KnownOf(in.Changes, nil)
		r := changes.Rank(in)
		if len(r.Suspects)+len(r.Excluded) != len(in.Changes) {
			t.Fatalf("%d changes:\n%s", len(in.Changes), ranked(r))
		}
		for n, s := range r.Suspects {
			if s.Rank != n+1 || s.Excluded != "" || s.Class == "" || s.Reason == "" {
				t.Fatalf("%+v", s)
			}
			if s.Change.At.After(in.Impact) && !s.Change.Seen.LastWithout.Before(in.Impact) || s.Change.Service == "search" {
				t.Fatalf("a suspect that can't be one: %+v", s)
			}
			if slices.ContainsFunc(r.Unchanged, func(u changes.Unchanged) bool { return u.Artifact == s.Change.Artifact }) || slices.Contains(r.Unknown, s.Change.Artifact) {
				t.Fatalf("%s changed, and yet: %v", s.Change.Artifact, r.Statements())
			}
		}
		for _, s := range r.Excluded {
			if s.Rank != 0 || s.Excluded == "" || s.Reason == "" || s.Class != "" {
				t.Fatalf("%+v", s)
			}
		}
		in.Changes = rapid.Permutation(in.Changes).Draw(t, "order")
		if again := changes.Rank(in); ranked(again) != ranked(r) {
			t.Fatalf("in another order it is\n%s\nnot\n%s", ranked(again), ranked(r))
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
