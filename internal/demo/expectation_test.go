package demo

import (
	"strings"
	"testing"
	"time"
)

// asExpected is what the daemon puts on record when the story goes as it should.
func asExpected() []Seen {
	var events []Seen
	for _, expected := range WorkedExample().Expected.Events {
		events = append(events, Seen(expected))
	}
	return append(events, Seen{Event: "page_delivered", At: storyTime(14, 10, 1)})
}

func TestCheckNamesEveryDifference(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(events []Seen) []Seen
		want   []string // lines of the error
	}{
		{"as it should be", func(events []Seen) []Seen { return events }, nil},
		{"two intervals late", func(events []Seen) []Seen {
			events[0].At = events[0].At.Add(30 * time.Second)
			return events
		}, nil},
		{"too late and too early", func(events []Seen) []Seen {
			events[0].At = events[0].At.Add(45 * time.Second)
			events[2].At = events[2].At.Add(-2 * time.Minute)
			return events
		}, []string{
			"opened: expected at 14:10:00, but it happened at 14:10:45, 45s too late (30s is allowed)",
			"breach_joined: expected at 14:11:45, but it happened at 14:09:45, 2m0s too early (30s is allowed)",
		}},
		{"late and of another severity", func(events []Seen) []Seen {
			events[0].At, events[0].Severity = events[0].At.Add(time.Minute), "sev3"
			return events
		}, []string{
			"opened: expected at 14:10:00, but it happened at 14:11:00, 1m0s too late (30s is allowed)",
			"opened at 14:11:00: expected as sev2, but it was sev3",
		}},
		{"no severity", func(events []Seen) []Seen {
			events[0].Severity = ""
			return events
		}, []string{"opened at 14:10:00: expected as sev2, but it was of no severity"}},
		{"paged twice, as when nobody acknowledges", func(events []Seen) []Seen {
			return append(events, Seen{Event: "paged", At: storyTime(14, 25, 0)})
		}, []string{"paged: expected once, at 14:10:00, but it happened 2 times: at 14:10:00, 14:25:00"}},
		{"not resolved, and what must not happen happened", func(events []Seen) []Seen {
			events[6].Event = "relapsed"
			return events
		}, []string{
			"resolved: expected at 14:51:00, but it never happened",
			"relapsed at 14:51:00: should not have happened",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := WorkedExample().Expected.Check(test.change(asExpected()))
			want := strings.Join(test.want, "\n")
			if got := message(err); got != want {
				t.Errorf("differences are\n%s\nwant\n%s", got, want)
			}
		})
	}
	if got := strings.Count(message(WorkedExample().Expected.Check(nil)), "never happened"); got != 7 {
		t.Errorf("with no events %d are missed, want 7", got)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
