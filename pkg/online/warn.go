package online

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// near is how close the harmless share may lie to the usual one: within a tenth of it, noise looks like a breach.
const near = 0.1

// mostOfTheTime is what a warning of a share of the time begins at.
const mostOfTheTime = 0.5

// warnings are what misleads in a runbook, now that it is known what its signals say.
func (s *survey) warnings(r *Runbook) []document.Problem {
	var all []document.Problem
	warn := func(at document.Place, what, allowed string) {
		all = append(all, document.Problem{Place: at, Level: document.Warning, What: what, Allowed: allowed})
	}
	for _, c := range s.of.Runbook.Trigger.Conditions() {
		w := s.watched[c]
		switch {
		case c.Comparison == triggers.Absent:
		case s.silent(c):
			warn(c.Place, s.without(c), "a condition without data never fires: look at the expression, `where` and the service")
		case w.held().Unknown > mostOfTheTime:
			warn(c.Place, s.why(w), "")
		}
		s.warnTooNear(w, warn)
		s.warnTooLittleTraffic(w, warn)
	}
	for i, rule := range s.rules {
		if r.Severity[i].Unknown > mostOfTheTime {
			warn(rule.condition.Place, s.unknown(rule.condition, r.Severity[i].Unknown), "a rule that is unknown does not hold")
		}
	}
	for i, b := range s.bands {
		s.warnBand(b, r.Recovery[i], warn)
	}
	return all
}

// silent tells whether there was no series at all for a condition of the trigger.
func (s *survey) silent(c *triggers.Condition) bool { return len(s.watched[c].series) == 0 }

// without says that a signal gave no series, and which of its expressions did not.
func (s *survey) without(c *triggers.Condition) string {
	text := fmt.Sprintf("no series of %s in %s", c.Signal, s.length())
	f := s.feedOf[c]
	if f == nil {
		return text
	}
	none := func(expr string) bool { return !s.lib.seen[expr] }
	switch x := f.Expressions; {
	case x.Query == "" && none(x.Numerator) && none(x.Denominator):
		return text + ": neither numerator nor denominator gives one"
	case x.Query == "" && none(x.Denominator):
		return text + ": the denominator gives none"
	case x.Query == "" && none(x.Numerator):
		return text + ": the numerator gives none"
	case x.Query != "" && none(x.Query):
		return text
	}
	return text + " that the condition looks at"
}

// length is how much time was looked at.
func (s *survey) length() string {
	d := s.config.To.Sub(s.config.From).Round(time.Minute)
	if d == 7*24*time.Hour {
		return "the last week"
	}
	return "the last " + triggers.FormatDuration(d)
}

func (s *survey) unknown(c *triggers.Condition, share float64) string {
	if f := s.feedOf[c]; f != nil && f.history.Segments() == 0 && !s.lib.seen[f.List()[len(f.List())-1]] {
		return s.without(c)
	}
	return fmt.Sprintf("%s is unknown for %s of the time", c.String(), percent(share))
}

// why says what a condition of the trigger lacks that is unknown for most of the time.
func (s *survey) why(w *watched) string {
	text := fmt.Sprintf("unknown for %s of the time", percent(w.held().Unknown))
	past := s.read[w.condition].Past
	switch b := w.condition.Baseline; {
	case b == nil:
		return text + ": its window has too many gaps"
	case b.Last > 0 && past.Last != nil && past.Last.Segments() == 0:
		return text + ": there is no history for its baseline of the last " + triggers.FormatDuration(b.Last)
	case b.Last > 0:
		return text + ": its baseline of the last " + triggers.FormatDuration(b.Last) + " needs half of its points, and for a ratio 50 events"
	case !slices.ContainsFunc(past.Periods, func(h *triggers.History) bool { return h.Segments() > 0 }):
		return text + ": the source has nothing of the same time " + triggers.FormatDuration(b.SameTime) + " before; does it keep its data so long?"
	default:
		return text + ": its baseline of the same time " + triggers.FormatDuration(b.SameTime) + " before has too little data"
	}
}

// warnTooNear warns of a fixed limit whose harmless share lies within a tenth of the usual share of any segment.
func (s *survey) warnTooNear(w *watched, warn func(document.Place, string, string)) {
	c := w.condition
	f := s.feedOf[c]
	if f == nil || !f.Shape().Ratio || c.Comparison != triggers.Above && c.Comparison != triggers.Below {
		return
	}
	type suspect struct {
		labels   labels.Labels
		distance float64
		text     string
	}
	var all []suspect
	for _, one := range w.series {
		u, known := one.usually()
		r, ok := c.Reckon(u)
		if !known || !ok || r.Usual <= 0 || r.Harmless > r.Usual*(1+near) {
			continue
		}
		text := fmt.Sprintf("%s (usually %s, harmless %s)", label(one.labels), triggers.FormatValue(triggers.Ratio, u.Share), triggers.FormatValue(triggers.Ratio, r.Share(r.Harmless)))
		all = append(all, suspect{one.labels, r.Harmless / r.Usual, text})
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b suspect) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), labels.Compare(a.labels, b.labels))
	})
	var texts []string
	for _, one := range all {
		texts = append(texts, one.text)
	}
	warn(c.At(string(c.Comparison)), "the harmless share is what is usual, or nearly: "+some(texts), "a limit or a `clears` further away from the usual share")
}

// warnTooLittleTraffic warns of segments that do not reach the condition's min_traffic for most of the day.
func (s *survey) warnTooLittleTraffic(w *watched, warn func(document.Place, string, string)) {
	var texts []string
	blind := slices.DeleteFunc(slices.Clone(w.series), func(one *watchedSeries) bool {
		return one.measured == 0 || one.below/one.measured <= mostOfTheTime
	})
	slices.SortStableFunc(blind, func(a, b *watchedSeries) int {
		return cmp.Or(cmp.Compare(b.below/b.measured, a.below/a.measured), labels.Compare(a.labels, b.labels))
	})
	for _, one := range blind {
		texts = append(texts, fmt.Sprintf("%s (%s of the time)", label(one.labels), percent(one.below/one.measured)))
	}
	if len(texts) > 0 {
		warn(w.condition.At("min_traffic"), "blind, for its traffic is below min_traffic: "+some(texts), "a share of slow requests, written as a ratio, sees them too")
	}
}

// warnBand warns of a band that an incident could not come back into.
func (s *survey) warnBand(b *band, r *Band, warn func(document.Place, string, string)) {
	known := 1 - r.Unknown
	switch {
	case r.Unknown > mostOfTheTime:
		warn(r.At, s.unknown(b.clause.Conditions()[0], r.Unknown), "a recovery band that is unknown never lets an incident end")
		return
	case r.InBand < mostOfTheTime*known:
		warn(r.At, fmt.Sprintf("out of band for %s of the time: an incident would not end, though nothing is wrong", percent(1-r.InBand/known)), "a band in which the signal usually is")
		return
	}
	for _, n := range r.Noise {
		if n.Chance >= mostOfTheTime {
			warn(r.At, fmt.Sprintf("noise alone breaks %s of the holds of %s (%s: %s events a range, usually %s)", percent(n.Chance), r.Hold, label(n.Labels), number(n.Events), triggers.FormatValue(triggers.Ratio, n.Usually)),
				"a wider band, a longer range, or at_least")
			return
		}
	}
}

// some names the first few and counts the others.
func some(texts []string) string {
	if len(texts) <= named {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:named], ", "), len(texts)-named)
}
