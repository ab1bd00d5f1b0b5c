package incident

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// shownSignals is how many signals the impact names; the list of segments has the rest.
const shownSignals = 3

// headline is the first line of every message: how bad, what is broken, by how much, since when, where, who owns it,
// where to look.
func headline(r *Record, v View, now time.Time) string {
	var parts []string
	title := cmp.Or(v.Title, v.Runbook)
	if !r.ResolvedAt.IsZero() {
		parts = append(parts, fmt.Sprintf("RESOLVED %s %s: impact lasted %s, from %s to %s, recovery verified for %s",
			loud(r.Severity), title, duration(r.ImpactEndedAt.Sub(r.ImpactStartedAt)), minute(r.ImpactStartedAt, now),
			minute(r.ImpactEndedAt, now), triggers.FormatDuration(r.HoldFor())))
	} else {
		parts = append(parts, fmt.Sprintf("%s %s: %s since %s",
			loud(r.Severity), title, worst(r, 1), minute(r.ImpactStartedAt, now)))
		if r.Unverified {
			parts = append(parts, "recovery is not verified")
		}
		if r.Blind != nil {
			parts = append(parts, "blind since "+minute(r.Blind.Since, now))
		}
	}
	if v.Service != "" {
		parts = append(parts, v.Service)
	}
	return strings.Join(append(parts, "owner "+v.Owner, v.URL), " · ")
}

// impact is one sentence with the numbers: "Refusal rate 19% (limit 8%) and deflection rate 25% (limit 31.5%)".
func impact(r *Record) string { return worst(r, shownSignals) }

// worst names the worst breach of each of so many signals, the farthest out first.
func worst(r *Record, signals int) string {
	var all, shown []Breach
	for _, f := range r.Findings {
		all = append(all, f.Breaches...)
	}
	slices.SortStableFunc(all, func(a, b Breach) int { return cmp.Compare(b.excess(), a.excess()) })
	for _, b := range all {
		if !slices.ContainsFunc(shown, func(s Breach) bool { return s.Signal == b.Signal }) {
			shown = append(shown, b)
		}
	}
	if len(shown) == 0 {
		return "its trigger fires"
	}
	var sentences []string
	for i, b := range shown[:min(signals, len(shown))] {
		said := b.inWords(r)
		if i > 0 {
			said = lowerFirst(said)
		}
		sentences = append(sentences, said)
	}
	if more := len(shown) - signals; more > 0 && signals > 1 {
		sentences = append(sentences, fmt.Sprintf("%d more", more))
	}
	return list(sentences)
}

// excess is how far the value lies past the limit, in limits.
func (b Breach) excess() float64 {
	off := math.Abs(b.Value.V - b.Limit)
	if b.Limit != 0 {
		off /= math.Abs(b.Limit)
	}
	return off
}

// inWords says what breaches, by how much and, beyond what the whole incident is about, where.
func (b Breach) inWords(r *Record) string {
	said := cmp.Or(b.Title, b.Signal) + " has no data"
	if !b.Absent {
		said = fmt.Sprintf("%s %s (%s)", cmp.Or(b.Title, b.Signal), triggers.FormatValue(b.Unit, b.Value.V), b.limit())
	}
	var where []string
	b.Segment.Range(func(l labels.Label) {
		if l.Name == "service" && l.Value == r.Service || r.Findings[0].Group.Get(l.Name) == l.Value {
			return
		}
		where = append(where, l.Name+" "+l.Value)
	})
	if len(where) > 0 {
		said += " for " + strings.Join(where, ", ")
	}
	return said
}

// limit names the limit, and what is usual where the limit was made of it.
func (b Breach) limit() string {
	said := "limit " + triggers.FormatLimit(b.Unit, b.Limit)
	if b.Evidence.Baseline != 0 {
		said = "usually " + triggers.FormatValue(b.Unit, b.Evidence.Baseline) + ", limit " + triggers.FormatValue(b.Unit, b.Limit)
	}
	return said
}

// inWords is what the timeline says of an event.
func inWords(r *Record, e Event) string {
	switch b := e.Body.(type) {
	case Opened:
		return fmt.Sprintf("%s opened: %s, past the limit since %s%s", loud(b.Severity), breaches(r, b.Breaches),
			clock(b.BreachBegan, e.At), rule(b.Rule))
	case BreachJoined:
		return "also breaching: " + breaches(r, b.Breaches)
	case TriggerCleared:
		return "the trigger of " + b.Runbook + " is clear"
	case Relapsed:
		return "relapsed, the trigger of " + b.Runbook + " fires again: " + breaches(r, b.Breaches)
	case SeverityRaised:
		return fmt.Sprintf("raised from %s to %s%s", loud(b.From), loud(b.To), rule(b.Rule))
	case HoldStarted:
		return "key, safety and business are in band: recovery must hold for " + triggers.FormatDuration(r.HoldFor())
	case HoldBroken:
		return b.inWords(r)
	case Resolved:
		return "recovery verified; impact ended " + clock(b.ImpactEndedAt, e.At)
	case WentBlind:
		return "can't see " + list(b.Conditions) + " since " + clock(b.Since, e.At)
	case SightBack:
		return "everything can be seen again"
	case Unverified:
		return "no verified recovery within " + triggers.FormatDuration(r.timeout())
	case Noted:
		return b.Text
	case GapNoted:
		return fmt.Sprintf("nothing was evaluated from %s to %s", clock(b.From, e.At), clock(b.To, e.At))
	}
	return pagingInWords(e)
}

// pagingInWords is what the timeline says of the events of paging, and of those of a later release.
func pagingInWords(e Event) string {
	switch b := e.Body.(type) {
	case Paged:
		return b.inWords(e.At)
	case PageDelivered:
		return b.Receiver + " accepted the page"
	case PageFailed:
		return b.inWords()
	case Acknowledged:
		return "took the incident"
	case Unacknowledged:
		return "gave the incident back"
	case Unknown:
		return "an event of a later release: " + string(b.Raw)
	}
	return e.Body.Kind()
}

func (b HoldBroken) inWords(r *Record) string {
	switch b.Why {
	case HoldFires:
		return "recovery didn't hold: the trigger fires again"
	case HoldBlind:
		return "recovery can't be verified: the data of " + cmp.Or(b.Band, "recovery") +
			" were missing for longer than the hold lasts"
	}
	said := "recovery didn't hold: " + b.Band + " was out of band more often than it may be"
	if b.Value != nil {
		said += ", now " + triggers.FormatValue(r.unitOf(b.Band), b.Value.V)
	}
	return said
}

// unitOf is the unit of a band's first condition.
func (r *Record) unitOf(band string) triggers.Unit {
	first := &r.Findings[0]
	bands := bandsOf(&first.runbook().Recovery)
	at := slices.Index(BandNames[:], band)
	if at < 0 || first.Snapshot == nil {
		return triggers.NoUnit
	}
	for _, condition := range bands[at].Clause.Conditions() {
		if signal := first.Snapshot.Signals[condition.Signal]; signal != nil {
			return signal.Unit
		}
	}
	return triggers.NoUnit
}

func (b Paged) inWords(at time.Time) string {
	called := "nobody: no role of the ladder has a receiver"
	if len(b.Receivers) > 0 {
		called = fmt.Sprintf("%s (%s)", list(b.Roles), strings.Join(b.Receivers, ", "))
	}
	said := fmt.Sprintf("round %d calls %s", b.Round, called)
	switch {
	case len(b.Causes) > 0:
		said += ": " + strings.Join(b.Causes, ", ")
	case b.Step == 0:
		said += ": nobody acknowledged, again from the top"
	default:
		said += ": nobody acknowledged"
	}
	if len(b.Skipped) > 0 && len(b.Receivers) > 0 {
		said += "; passed over, for it has no receiver: " + list(b.Skipped)
	}
	return said + "; next call " + clock(b.NextAt, at)
}

func (b PageFailed) inWords() string {
	switch {
	case b.NotSent:
		return "the page to " + b.Receiver + " was not sent: " + b.Cause
	case b.Permanent:
		return b.Receiver + " refused the page: " + b.Cause
	}
	return b.Receiver + " has not taken the page yet: " + b.Cause
}

func breaches(r *Record, all []Breach) string {
	var said []string
	for i, b := range all {
		words := b.inWords(r)
		if i > 0 {
			words = lowerFirst(words)
		}
		said = append(said, words)
	}
	if len(said) == 0 {
		return "its trigger fires"
	}
	return list(said)
}

func rule(text string) string {
	if text == "" {
		return ""
	}
	return "; rule: " + text
}

func loud(s runbook.Severity) string { return strings.ToUpper(string(s)) }

// list joins words as people do: a, b and c.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// lowerFirst begins with a small letter, unless the first word is an abbreviation: GPU saturation, p95 latency.
func lowerFirst(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if second, _ := utf8.DecodeRuneInString(s[size:]); !unicode.IsLower(second) {
		return s
	}
	return string(unicode.ToLower(first)) + s[size:]
}

// clock writes a time for somebody who reads at about now: with the day only where it is another one, and with seconds
// only where there are any.
func clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	layout := "15:04 UTC"
	if at.Second() != 0 {
		layout = "15:04:05 UTC"
	}
	if at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		layout = "2006-01-02 " + layout
	}
	return at.Format(layout)
}

// minute is clock without the seconds, for a line in which they would only be in the way.
func minute(at, now time.Time) string { return clock(at.Truncate(time.Minute), now) }

// duration writes how long something lasted: in minutes, below one in seconds.
func duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", math.Floor(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
