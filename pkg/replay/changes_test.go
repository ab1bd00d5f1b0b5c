package replay_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/replay"
)

// since is an instance that there is from a time on, until is one that there is up to then.
func since(t time.Time) metric {
	return func(now time.Time) float64 {
		if now.Before(t) {
			return math.NaN()
		}
		return 1
	}
}

func until(t time.Time) metric {
	return func(now time.Time) float64 {
		if now.Before(t) {
			return 1
		}
		return math.NaN()
	}
}

func TestAReplayTellsWhatChangedBefore(t *testing.T) {
	dayBefore := clock("08:00:00").Add(-24 * time.Hour)
	over3Days := func(t *testing.T, extra map[string]metric) replay.Config {
		f, r := workedExample(t)
		versions := map[string]metric{
			"service=bot,artifact=prompt,version=v6": until(clock("13:30:00")), "service=bot,artifact=prompt,version=v7": since(clock("13:30:00")),
			"service=bot,artifact=code,version=1": until(dayBefore), "service=bot,artifact=code,version=2": since(dayBefore),
		}
		for set, m := range extra {
			versions[set] = m
		}
		f.series["versions"] = versions
		config := over(f, midnight.Add(-48*time.Hour), clock("16:00:00"), r)
		config.Detect = []evaluator.Detect{{Query: "versions", Labels: changes.Labels{Artifact: "artifact", Version: "version", Service: "service"}}}
		config.Changes.Since = 48 * time.Hour
		return config
	}
	for name, thorough := range map[string]bool{"where quiet ticks are passed over": false, "where each is decided": true} {
		t.Run(name, func(t *testing.T) {
			config := over3Days(t, nil)
			config.Thorough = thorough
			result := run(t, config)
			var text bytes.Buffer
			if err := result.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			lines := slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool { return !strings.Contains(line, "changed") })
			want := []string{"  changed: prompt to v7, 29 min before impact; was v6", "  changed: code to 2, 29 h 59 min before impact; was 1"}
			if !slices.Equal(lines, want) {
				t.Errorf("%q, want %q", lines, want)
			}
			for _, s := range result.Incidents[0].Suspects {
				if late := s.Change.RecordedAt.Sub(s.Change.At); late < 0 {
					t.Errorf("%s was on record %s before it happened", s.Change.Artifact, -late)
				}
			}
			if notes := result.Notes; len(notes) > 0 {
				t.Errorf("notes %v", notes)
			}
		})
	}
	t.Run("and says what it could not tell", func(t *testing.T) {
		result := run(t, over3Days(t, map[string]metric{"service=bot,artifact=prompt": always(1)}))
		if len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "is not a version") {
			t.Errorf("notes %v", result.Notes)
		}
		if len(result.Incidents[0].Suspects) != 2 {
			t.Errorf("suspects %v", result.Incidents[0].Suspects)
		}
	})
}
