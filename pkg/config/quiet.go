package config

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Contains tells whether a time lies in one of the intervals. They are read as Alertmanager reads them: on the clock of
// their location, or of UTC. Where that clock is set forward, an interval inside the hour that is left out doesn't come
// that day; where it is set back, one inside the hour that comes twice comes twice.
func (q Quiet) Contains(t time.Time) bool {
	for _, interval := range q.Times {
		location := time.UTC
		if interval.Location != nil && interval.Location.Location != nil {
			location = interval.Location.Location
		}
		at := t.In(location)
		// What the clock on the wall shows is compared as a time of UTC. The library counts the days of a month by its
		// hours, and would take March, an hour short, for a month of 30 days: days_of_month [-1] would be the 30th.
		wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
		interval.Location = nil
		if interval.ContainsTime(wall) {
			return true
		}
	}
	return false
}

func (s *settingsReader) readQuiet(v document.Value) {
	v.Items(func(v document.Value) {
		q := Quiet{Place: v.Place()}
		v.Object(
			document.Field{Key: "runbooks", Required: true, Missing: "runbooks: [cost-spike]", Read: func(v document.Value) {
				document.Into(&q.Runbooks, document.Value.SomeTexts)(v)
				if v.IsList() {
					s.quieted = append(s.quieted, v)
				}
			}},
			document.Field{Key: "up_to", Required: true, Missing: "up_to: sev3, the worst severity that is held back",
				Read: document.Into(&q.UpTo, document.Word(runbook.Severities...))},
			document.Field{Key: "times", Required: true, Missing: "times: [{weekdays: [saturday]}], Alertmanager's time intervals", Read: func(v document.Value) {
				v.Items(func(v document.Value) { q.Times = append(q.Times, readInterval(v)) })
			}},
		)
		s.Quiet = append(s.Quiet, q)
	})
}

// What an item of a list of an interval may be.
const (
	allowedTimes    = "an end_time after it, up to \"24:00\"; across midnight takes two"
	allowedWeekdays = "a weekday such as saturday, or several in a week that begins on sunday, such as monday:friday"
	allowedDays     = "a day such as 1, or several such as 1:5 or -3:-1, the last three; 1 to 31, or -1 to -31"
	allowedMonths   = "a month such as december or 12, or several in a year, such as november:december"
	allowedYears    = "a year such as 2027, or several such as 2027:2029"
)

// readInterval reads one of Alertmanager's time intervals. An item means what Alertmanager's own decoder makes of it.
func readInterval(v document.Value) timeinterval.TimeInterval {
	i := timeinterval.TimeInterval{}
	v.Object(
		document.Field{Key: "times", Read: func(v document.Value) { v.Items(func(v document.Value) { readTimeRange(v, &i.Times) }) }},
		document.Field{Key: "weekdays", Read: ranges(&i.Weekdays, allowedWeekdays, nil)},
		document.Field{Key: "days_of_month", Read: ranges(&i.DaysOfMonth, allowedDays, nil)},
		document.Field{Key: "months", Read: ranges(&i.Months, allowedMonths, func(r timeinterval.MonthRange) bool { return r.Begin >= 1 && r.End <= 12 })},
		document.Field{Key: "years", Read: ranges(&i.Years, allowedYears, func(r timeinterval.YearRange) bool { return r.Begin >= 1 && r.End <= 9999 })},
		document.Field{Key: "location", Read: document.Into(&i.Location, location)},
	)
	if keys := v.Keys(); v.IsMap() && (len(keys) == 0 || len(keys) == 1 && v.Has("location")) {
		v.Error("names no time, and would hold back for ever", "times, weekdays, days_of_month, months or years")
	}
	return i
}

// ranges reads a list of ranges, each of which is a text. The decoder takes some that can never come: also rules them out.
func ranges[T any](into *[]T, allowed string, also func(T) bool) func(document.Value) {
	return func(v document.Value) {
		v.Items(func(v document.Value) {
			text, ok := v.Text()
			if !ok {
				return
			}
			var one T
			if !decode(text, &one) || also != nil && !also(one) {
				v.Error("`"+text+"` is not allowed", allowed)
				return
			}
			*into = append(*into, one)
		})
	}
}

func readTimeRange(v document.Value, into *[]timeinterval.TimeRange) {
	var start, end string
	v.Object(
		document.Field{Key: "start_time", Required: true, Missing: "start_time: \"02:00\"", Read: document.Into(&start, clock)},
		document.Field{Key: "end_time", Required: true, Missing: "end_time: \"04:00\"", Read: document.Into(&end, clock)},
	)
	if start == "" || end == "" {
		return
	}
	var one timeinterval.TimeRange
	if !decode(map[string]string{"start_time": start, "end_time": end}, &one) {
		v.Error(start+" is not before "+end, allowedTimes)
		return
	}
	*into = append(*into, one)
}

var clockTime = regexp.MustCompile(`^((([01][0-9])|(2[0-3])):[0-5][0-9]|24:00)$`)

// clock reads a time of day.
func clock(v document.Value) (string, bool) {
	text, ok := v.Text()
	if ok && !clockTime.MatchString(text) {
		v.Error("`"+text+"` is not a time of day", "\"00:00\" to \"24:00\", in quotes")
		return "", false
	}
	return text, ok
}

func location(v document.Value) (*timeinterval.Location, bool) {
	name, ok := v.Text()
	if !ok {
		return nil, false
	}
	// The machine's own zone would make one file mean different times on two machines.
	loaded, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		v.Error("unknown location `"+name+"`", "a name of the time zone database, such as Europe/Berlin")
		return nil, false
	}
	return &timeinterval.Location{Location: loaded}, true
}

// decode gives a value to Alertmanager's decoder, and tells whether it took it.
func decode(value, into any) bool {
	text, err := json.Marshal(value)
	return err == nil && json.Unmarshal(text, into) == nil
}
