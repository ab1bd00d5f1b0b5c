package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// quietOf reads one quiet time with these intervals.
func quietOf(t *testing.T, times string) Quiet {
	t.Helper()
	q, report := readQuietTime(times)
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	return q
}

func readQuietTime(times string) (Quiet, *document.Report) {
	report := &document.Report{}
	s := &settingsReader{}
	if v, ok := document.Parse("irdaemon.yaml", []byte("- runbooks: [cost-spike]\n  up_to: sev3\n  times: "+times+"\n"), report); ok {
		s.readQuiet(v)
	}
	if len(s.Quiet) != 1 {
		return Quiet{}, report
	}
	return s.Quiet[0], report
}

func TestAQuietTimeIsReadWhole(t *testing.T) {
	q := quietOf(t, `[{weekdays: [saturday], times: [{start_time: "02:00", end_time: "04:00"}]}]`)
	if fmt.Sprint(q.Runbooks) != "[cost-spike]" || q.UpTo != runbook.Sev3 || len(q.Times) != 1 || q.Place.String() != "irdaemon.yaml:1:3: [0]" {
		t.Errorf("%+v", q)
	}
	if (Quiet{}).Contains(time.Now()) {
		t.Error("a quiet time without intervals is always")
	}
}

func TestQuietTimesContain(t *testing.T) {
	for _, test := range []struct{ name, times, within, outside string }{
		{
			"an interval includes its start and excludes its end", `[{times: [{start_time: "02:00", end_time: "04:00"}]}]`,
			"2026-05-02T02:00:00Z 2026-05-02T03:59:59Z", "2026-05-02T01:59:59Z 2026-05-02T04:00:00Z",
		},
		{
			"24:00 is the end of the day", `[{times: [{start_time: "23:00", end_time: "24:00"}]}]`,
			"2026-05-02T23:00:00Z 2026-05-02T23:59:59Z", "2026-05-03T00:00:00Z 2026-05-02T22:59:59Z",
		},
		{
			"across midnight takes two", `[{times: [{start_time: "23:00", end_time: "24:00"}, {start_time: "00:00", end_time: "01:00"}]}]`,
			"2026-05-02T23:30:00Z 2026-05-03T00:30:00Z", "2026-05-03T01:00:00Z",
		},
		{
			"all parts of an interval must hold", `[{weekdays: [saturday], times: [{start_time: "02:00", end_time: "04:00"}]}]`,
			"2026-05-02T03:00:00Z", "2026-05-03T03:00:00Z 2026-05-02T05:00:00Z",
		},
		{
			"one of several intervals is enough", `[{weekdays: [saturday]}, {months: [december]}]`,
			"2026-05-02T03:00:00Z 2026-12-01T00:00:00Z", "2026-05-03T03:00:00Z",
		},
		{
			"weekdays and months are read in any case, and in ranges", `[{weekdays: ["Monday:friday"], months: ["2:march"]}]`,
			"2026-02-02T00:00:00Z 2026-03-31T12:00:00Z", "2026-02-01T00:00:00Z 2026-04-01T00:00:00Z",
		},
		{
			"years", `[{years: ["2027:2028"]}]`,
			"2027-01-01T00:00:00Z 2028-12-31T23:59:59Z", "2026-12-31T23:59:59Z 2029-01-01T00:00:00Z",
		},
		{
			"a place without summer time", `[{times: [{start_time: "09:00", end_time: "10:00"}], location: Asia/Kolkata}]`,
			"2026-05-02T03:30:00Z 2026-11-02T04:29:59Z", "2026-05-02T03:29:59Z 2026-05-02T04:30:00Z",
		},
		{
			"without a location the clock is that of UTC, wherever the time is told", `[{times: [{start_time: "12:00", end_time: "13:00"}]}]`,
			"2026-05-02T14:00:00+02:00", "2026-05-02T12:00:00+02:00",
		},
		{
			"the same hour of the wall clock in winter and in summer", `[{times: [{start_time: "02:00", end_time: "04:00"}], location: Europe/Berlin}]`,
			"2026-01-10T01:00:00Z 2026-07-10T00:00:00Z 2026-01-10T02:59:59Z 2026-07-10T01:59:59Z", "2026-01-10T00:30:00Z 2026-01-10T03:00:00Z 2026-07-10T02:00:00Z",
		},
		{
			"where the clock is set forward, the hour that is left out doesn't come", `[{times: [{start_time: "02:00", end_time: "03:00"}], location: Europe/Berlin}]`,
			"2026-03-28T01:30:00Z 2026-03-30T00:30:00Z", "2026-03-29T00:59:59Z 2026-03-29T01:00:00Z 2026-03-29T00:30:00Z 2026-03-29T01:30:00Z",
		},
		{
			"where the clock is set back, the hour comes twice", `[{times: [{start_time: "02:00", end_time: "03:00"}], location: Europe/Berlin}]`,
			"2026-10-25T00:00:00Z 2026-10-25T00:59:59Z 2026-10-25T01:00:00Z 2026-10-25T01:59:59Z", "2026-10-24T23:59:59Z 2026-10-25T02:00:00Z",
		},
		{
			"the last day of a month, leap years too", `[{days_of_month: ["-1"]}]`,
			"2026-02-28T12:00:00Z 2028-02-29T12:00:00Z 2026-04-30T12:00:00Z 2026-05-31T12:00:00Z", "2028-02-28T12:00:00Z 2026-05-30T12:00:00Z 2026-05-01T12:00:00Z",
		},
		{
			"the last day of the months in which the clock is set", `[{days_of_month: ["-1"], location: Europe/Berlin}]`,
			"2026-03-31T12:00:00Z 2026-10-31T12:00:00Z", "2026-03-30T12:00:00Z 2026-10-30T12:00:00Z",
		},
		{
			"the last three days", `[{days_of_month: ["-3:-1"]}]`,
			"2026-06-28T00:00:00Z 2026-06-30T23:59:59Z", "2026-06-27T23:59:59Z 2026-07-01T00:00:00Z",
		},
		{
			"from a day to the last but one", `[{days_of_month: ["15:-2"]}]`,
			"2026-06-15T00:00:00Z 2026-06-29T00:00:00Z", "2026-06-14T00:00:00Z 2026-06-30T00:00:00Z",
		},
		{
			"a day that the month has not", `[{days_of_month: ["31"]}]`,
			"2026-05-31T00:00:00Z", "2026-06-30T00:00:00Z 2026-07-01T00:00:00Z",
		},
		{
			"the day before the first by the clock of the place", `[{days_of_month: [1], location: America/Los_Angeles}]`,
			"2026-06-01T07:00:00Z 2026-06-02T06:59:59Z", "2026-06-01T06:59:59Z 2026-06-02T07:00:00Z",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := quietOf(t, test.times)
			for at, want := range map[string]bool{test.within: true, test.outside: false} {
				for text := range strings.FieldsSeq(at) {
					when, err := time.Parse(time.RFC3339, text)
					if err != nil {
						t.Fatal(err)
					}
					if q.Contains(when) != want {
						t.Errorf("%s is within: %t", text, !want)
					}
				}
			}
		})
	}
}

// FuzzQuiet: whatever stands in an interval, reading it ends, without panic; what is taken means the same as in
// Alertmanager, in all places and at all times but for the days from the month's end, which it counts by hours.
func FuzzQuiet(f *testing.F) {
	for _, times := range []string{
		`[{weekdays: [saturday], times: [{start_time: "02:00", end_time: "24:00"}], location: Europe/Berlin}]`,
		`[{days_of_month: ["-3:-1", 1, "5:10"], months: [december, "1:3"], years: ["2026:2028", 2030]}]`,
		`[{weekdays: ["monday:friday"], location: America/New_York}, {months: [january]}]`,
		`[{}]`, `[{days_of_month: ["31:-1"]}]`, `[{location: ""}]`, `[{weekdays: ["\x00"]}]`, `[{months: ["1:\u2028"]}]`,
	} {
		f.Add(times, int64(1_790_000_000))
	}
	f.Fuzz(func(t *testing.T, times string, seconds int64) {
		q, report := readQuietTime(times)
		for _, p := range report.Problems {
			if p.Place.Line < 1 || p.Place.Col < 1 || p.What == "" {
				t.Fatalf("%#v", p)
			}
		}
		if report.Count(document.Error) > 0 {
			return
		}
		at := time.Unix(seconds%4_000_000_000, 0).UTC()
		want, fromTheEnd := false, false
		for _, interval := range q.Times {
			want = want || interval.ContainsTime(at)
			for _, days := range interval.DaysOfMonth {
				fromTheEnd = fromTheEnd || days.Begin < 0 || days.End < 0 || days.End > 28
			}
		}
		if got := q.Contains(at); got != want && !fromTheEnd {
			t.Errorf("%s at %s: %t, Alertmanager says %t", times, at, got, want)
		}
	})
}

// TestEveryMinuteIsAsTheCalendarSaysIt holds Contains to a calendar written another way, over the days in which clocks
// are set.
func TestEveryMinuteIsAsTheCalendarSaysIt(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		q := quietOf(t, `[{days_of_month: ["-2:-1"], times: [{start_time: "01:30", end_time: "02:15"}], weekdays: ["saturday", "sunday:tuesday"], location: `+name+`}]`)
		days := []time.Weekday{time.Saturday, time.Sunday, time.Monday, time.Tuesday}
		within := 0
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2028; at = at.Add(5 * time.Minute) {
			local := at.In(location)
			clock := local.Format("15:04")
			// Two days on, by the date alone, it is another month.
			last := time.Date(local.Year(), local.Month(), local.Day()+2, 0, 0, 0, 0, time.UTC).Month() != local.Month()
			want := last && clock >= "01:30" && clock < "02:15" && slices.Contains(days, local.Weekday())
			if got := q.Contains(at); got != want {
				t.Fatalf("%s: %t", local, got)
			}
			if want {
				within++
			}
		}
		if within < 100 {
			t.Errorf("%s: %d of all times are within", name, within)
		}
	}
}
