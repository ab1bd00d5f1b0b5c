package incident

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
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
func headline(r *Record, live *Live, v View, now time.Time) string {
	title := cmp.Or(v.Title, v.Runbook)
	var parts []string
	switch {
	case r.Class == Self && !r.Open():
		parts = append(parts, fmt.Sprintf("OVER %s, from %s to %s", title, minute(r.OpenedAt, now), minute(r.ResolvedAt, now)))
	case r.Class == Self:
		parts = append(parts, fmt.Sprintf("%s since %s: %s", title, minute(r.OpenedAt, now), r.Rule))
	case !r.DismissedAt.IsZero():
		parts = append(parts, fmt.Sprintf("DISMISSED %s %s: %s%s", loud(r.Severity), title, dismissedInWords(r.Dismissal), r.dismissedBy()))
	case !r.ResolvedAt.IsZero():
		parts = append(parts, fmt.Sprintf("RESOLVED %s %s: impact lasted %s, from %s to %s, recovery verified for %s",
			loud(r.Severity), title, duration(r.ImpactEndedAt.Sub(r.ImpactStartedAt)), minute(r.ImpactStartedAt, now),
			minute(r.ImpactEndedAt, now), triggers.FormatDuration(r.HoldFor())))
	default:
		parts = append(parts, fmt.Sprintf("%s %s: %s since %s",
			loud(r.Severity), title, worst(r, live, 1), minute(r.ImpactStartedAt, now)))
		if r.Unverified {
			parts = append(parts, "recovery is not verified")
		}
		if r.Blind != nil {
			parts = append(parts, "blind since "+minute(r.Blind.Since, now))
		}
	}
	if r.Class == Drill {
		parts[0] = "DRILL " + parts[0]
	}
	if v.Service != "" {
		parts = append(parts, v.Service)
	}
	if where := v.GroupWords(); where != "" {
		parts = append(parts, where)
	}
	return strings.Join(append(parts, "owner "+v.Owner, v.URL), " · ")
}

// dismissReasons are the reasons to dismiss an incident, in words.
var dismissReasons = map[string]string{
	FalseAlarm: "a false alarm", Duplicate: "a duplicate", Expected: "expected", Test: "a test",
}

func dismissedInWords(d *Dismissal) string {
	if d == nil {
		return "no incident"
	}
	said := cmp.Or(dismissReasons[d.Reason], d.Reason)
	if d.DuplicateOf != "" {
		said += " of " + d.DuplicateOf
	}
	if d.Text != "" {
		said += ", " + d.Text
	}
	return said
}

func (r *Record) dismissedBy() string {
	if r.Dismissal == nil || r.Dismissal.By == "" {
		return ""
	}
	return " (" + r.Dismissal.By + ")"
}

// GroupWords says what the incident is about beyond its service: tier paid, language en.
func (v *View) GroupWords() string {
	others := maps.Clone(v.Group)
	if others["service"] == v.Service {
		delete(others, "service")
	}
	return labelWords(others)
}

// impact is one sentence with the numbers: "Refusal rate 19% now (limit 8%, 37% when it fired)".
func impact(r *Record, live *Live) string {
	if r.Class == Self {
		return r.Rule // what is wrong
	}
	return worst(r, live, shownSignals)
}

// seenBreach is a breach with what the last tick saw of it; nil: that is not known.
type seenBreach struct {
	Breach
	now *LiveBreach
}

// worst names the worst breach of each of so many signals, the farthest out first. A single one stands in a line that
// has no room for what it was when it fired.
func worst(r *Record, live *Live, signals int) string {
	var all, shown []seenBreach
	for i, f := range r.Findings {
		for _, b := range f.Breaches {
			all = append(all, seenBreach{b, live.breach(i, b)})
		}
	}
	slices.SortStableFunc(all, func(a, b seenBreach) int { return cmp.Compare(b.excess(), a.excess()) })
	for _, b := range all {
		if !slices.ContainsFunc(shown, func(s seenBreach) bool { return s.Signal == b.Signal }) {
			shown = append(shown, b)
		}
	}
	if len(shown) == 0 {
		return "its trigger fires"
	}
	var sentences []string
	for i, b := range shown[:min(signals, len(shown))] {
		said := b.inWords(r, signals > 1)
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

// excess is how far the value of now, or else the one told, lies past the limit, in limits. One that is back on the
// limit's other side stands behind all others.
func (b seenBreach) excess() float64 {
	if b.now == nil || b.now.Value == nil {
		return b.Breach.excess()
	}
	if !b.now.Fires && (b.now.Value.V < b.Limit) != (b.Value.V < b.Limit) {
		return -1
	}
	b.Value = *b.now.Value
	return b.Breach.excess()
}

// inWords says what breaches, by how much now and, where there is room, when it fired.
func (b seenBreach) inWords(r *Record, then bool) string {
	if b.now == nil || b.Absent && b.now.Value == nil {
		return b.Breach.inWords(r)
	}
	name, limit := cmp.Or(b.Title, b.Signal), b.limit()
	was := triggers.FormatValue(b.Unit, b.Value.V)
	if b.Absent {
		limit, was = "had no data", ""
	}
	if b.now.Value == nil {
		return fmt.Sprintf("%s %s when last told (%s), not seen now%s", name, was, limit, b.where(r))
	}
	is := triggers.FormatValue(b.Unit, b.now.Value.V)
	if then && was != "" && was != is {
		limit += ", " + was + " when it fired"
	}
	return fmt.Sprintf("%s %s now (%s)%s", name, is, limit, b.where(r))
}

// excess is how far the value lies past the limit, in limits.
func (b Breach) excess() float64 {
	off := math.Abs(b.Value.V - b.Limit)
	if b.Limit != 0 {
		off /= math.Abs(b.Limit)
	}
	return off
}

// inWords says what breaches, by how much when it fired and, beyond what the whole incident is about, where.
func (b Breach) inWords(r *Record) string {
	said := cmp.Or(b.Title, b.Signal) + " has no data"
	if !b.Absent {
		said = fmt.Sprintf("%s %s (%s)", cmp.Or(b.Title, b.Signal), triggers.FormatValue(b.Unit, b.Value.V), b.limit())
	}
	return said + b.where(r)
}

// where names the segment beyond what the whole incident is about.
func (b Breach) where(r *Record) string {
	var where []string
	b.Segment.Range(func(l labels.Label) {
		if l.Name == "service" && l.Value == r.Service || r.Findings[0].Group.Get(l.Name) == l.Value {
			return
		}
		where = append(where, l.Name+" "+l.Value)
	})
	if len(where) == 0 {
		return ""
	}
	return " for " + strings.Join(where, ", ")
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
		if b.Class == Self {
			return "began: " + b.Rule
		}
		return fmt.Sprintf("%s opened: %s, past the limit since %s%s", loud(b.Severity), breaches(r, b.Breaches),
			Clock(b.BreachBegan, e.At), rule(b.Rule))
	case FindingJoined:
		return fmt.Sprintf("joined by %s at %s: %s, past the limit since %s%s", b.Name, loud(b.Severity), breaches(r, b.Breaches),
			Clock(b.BreachBegan, e.At), rule(b.Rule))
	case BreachJoined:
		return "also breaching: " + breaches(r, b.Breaches)
	case TriggerCleared:
		return "the trigger of " + b.Runbook + " is clear"
	case Relapsed:
		return "relapsed, the trigger of " + b.Runbook + " fires again: " + breaches(r, b.Breaches)
	case SeverityRaised:
		return b.inWords(r)
	case HoldStarted:
		return "key, safety and business are in band: recovery must hold for " + triggers.FormatDuration(r.HoldFor())
	case HoldBroken:
		return b.inWords(r)
	case Resolved:
		if r.Class == Self {
			return "over"
		}
		return "recovery verified; impact ended " + Clock(b.ImpactEndedAt, e.At)
	case WentBlind:
		return "can't see " + list(b.Conditions) + " since " + Clock(b.Since, e.At)
	case SightBack:
		return "everything can be seen again"
	case Unverified:
		return "no verified recovery within " + triggers.FormatDuration(r.timeout())
	case GapNoted:
		return fmt.Sprintf("nothing was evaluated from %s to %s", Clock(b.From, e.At), Clock(b.To, e.At))
	}
	if said := lifeInWords(e); said != "" {
		return said
	}
	if said := actionInWords(r, e); said != "" {
		return said
	}
	return pagingInWords(e)
}

// lifeInWords is what the timeline says of what people did, and of a second life; empty for anything else.
func lifeInWords(e Event) string {
	switch b := e.Body.(type) {
	case Reopened:
		said := "reopened at " + loud(b.Severity)
		if b.Reason != "" {
			return said + ": " + b.Reason
		}
		return said + ": the trigger of " + b.Name + " fires again" + rule(b.Rule)
	case SeveritySet:
		return b.inWords(e.At)
	case PinExpired:
		return "the severity that a person set is no longer kept: the rubric counts again"
	case Noted:
		return b.Text
	case TriageAnswered:
		said := fmt.Sprintf("checked %d: %s", b.N, b.Answer)
		if b.Text != "" {
			said += ", " + b.Text
		}
		return said
	case UpdatePosted:
		said := b.Audience + " update: " + b.Text
		if !b.NextUpdateAt.IsZero() {
			said += " (next " + Clock(b.NextUpdateAt, e.At) + ")"
		}
		return said
	case UpdateOverdue:
		return "an update was due " + Clock(b.Due, e.At) + " and nobody posted it"
	case Dismissed:
		return "dismissed: " + dismissedInWords(&Dismissal{Reason: b.Reason, Text: b.Text, DuplicateOf: b.DuplicateOf})
	case PostmortemSaved:
		return "saved the postmortem"
	case Closed:
		if e.Actor == Daemon {
			return "closed: nothing more is asked for"
		}
		return "closed it: the postmortem is complete"
	}
	return ""
}

func (b SeveritySet) inWords(at time.Time) string {
	if b.Until.IsZero() {
		return fmt.Sprintf("raised from %s to %s: %s", loud(b.From), loud(b.To), cmp.Or(b.Reason, "by hand"))
	}
	return fmt.Sprintf("lowered from %s to %s until %s: %s; until then only a rubric worse than %s raises it",
		loud(b.From), loud(b.To), Clock(b.Until, at), b.Reason, loud(b.Floor))
}

// actionInWords is what the timeline says of evidence, changes and actions; empty for anything else.
func actionInWords(r *Record, e Event) string {
	switch b := e.Body.(type) {
	case EvidenceGathered:
		return fmt.Sprintf("evidence for check %d: %s", b.N, cmp.Or(b.Error, b.Text))
	case ChangeSeen:
		return fmt.Sprintf("%s changed %s%s", b.Artifact, Clock(b.At, e.At), versions(b.From, b.To))
	case ActionRequested:
		return "asked for: " + b.Title + versions(b.From, b.To)
	case ActionApproved:
		return "approved: " + r.actionTitle(b.Action)
	case ActionStarted:
		return "began: " + r.actionTitle(b.Action)
	case ActionDone:
		how := map[string]string{DoneByHand: " by hand", DoneSeen: ", seen in the change log"}[b.How]
		return "done" + how + ": " + cmp.Or(b.Title, r.actionTitle(b.Action)) + versions(b.From, b.To)
	case ActionEffective:
		return r.actionTitle(b.Action) + " took effect on traffic"
	case ActionFailed:
		return b.inWords(r.actionTitle(b.Action))
	case EffectMeasured:
		said := "effect of " + r.actionTitle(b.Action) + ": " + b.Effect.inWords(r)
		if b.Next != "" {
			said += "; next: " + b.Next
		}
		return said
	case SuspectsRanked:
		return b.inWords()
	case Mitigated:
		return "mitigated: " + b.Title
	}
	return ""
}

// inWords says what an action did, in numbers and a verdict: refusal rate 19% → 8%, needed below 6%: helped, not enough. A share has the interval of its difference beside it, where that is known.
func (e *Effect) inWords(r *Record) string {
	var said []string
	for _, m := range e.Metrics {
		if m.Before == nil || m.After == nil {
			said = append(said, r.titleOf(m.Signal)+" can't be seen")
			continue
		}
		said = append(said, fmt.Sprintf("%s %s → %s%s, needed %s", r.titleOf(m.Signal), triggers.FormatValue(m.Unit, m.Before.V),
			triggers.FormatValue(m.Unit, m.After.V), m.interval(), strings.TrimPrefix(m.Target, m.Signal+" ")))
	}
	if len(said) == 0 {
		return lowerFirst(e.Verdict)
	}
	return strings.Join(said, "; ") + ": " + lowerFirst(e.Verdict)
}

// interval is that of a share's difference, in percentage points; empty: there is none.
func (m *EffectMetric) interval() string {
	if m.Unit != triggers.Ratio || m.Low == 0 && m.High == 0 {
		return ""
	}
	return " (difference " + signedPoints(m.Low) + " to " + signedPoints(m.High) + " points)"
}

// signedPoints writes a difference of two shares in percentage points, with its sign: −14, +7.8, 0.
func signedPoints(difference float64) string {
	points := math.Round(1000*math.Abs(difference)) / 10
	if points >= 10 {
		points = math.Round(100 * math.Abs(difference))
	}
	sign := "+"
	switch {
	case points == 0:
		sign = ""
	case difference < 0:
		sign = "−"
	}
	return sign + strconv.FormatFloat(points, 'f', -1, 64)
}

// titleOf is what people call a signal.
func (r *Record) titleOf(signal string) string {
	for i := range r.Findings {
		if s := r.Findings[i].Snapshot; s != nil && s.Signals[signal] != nil {
			return lowerFirst(cmp.Or(s.Signals[signal].Title, signal))
		}
	}
	return signal
}

// shownSuspects is how many suspects the timeline names.
const shownSuspects = 3

func (b SuspectsRanked) inWords() string {
	var said []string
	for i := range b.Ranking.Suspects[:min(shownSuspects, len(b.Ranking.Suspects))] {
		s := &b.Ranking.Suspects[i]
		said = append(said, fmt.Sprintf("%d. %s %s (%s)", s.Rank, s.Change.Artifact, strings.TrimSpace(versions(s.Change.From, s.Change.To)), s.Reason))
	}
	if more := len(b.Ranking.Suspects) - len(said); more > 0 {
		said = append(said, fmt.Sprintf("%d more", more))
	}
	if len(said) == 0 {
		said = []string{"no change before impact is on record"}
	}
	return "changes before impact: " + strings.Join(append(said, b.Ranking.Statements()...), "; ")
}

func (b ActionFailed) inWords(title string) string {
	said := map[string]string{
		FailedRefused:     "was refused",
		FailedExpired:     "was not approved in time",
		FailedDryRun:      "was not run: actions are switched off, this shows what would be sent",
		FailedUnanswered:  "had no answer: nobody knows whether it took place, and it is not sent again by itself",
		FailedIneffective: "did not take effect on traffic",
	}[b.Why]
	said = title + " " + cmp.Or(said, "failed")
	if b.Cause != "" {
		said += ": " + b.Cause
	}
	return said
}

// actionTitle names an action for people.
func (r *Record) actionTitle(id string) string {
	if a := r.action(id); a != nil {
		return cmp.Or(a.Title, a.Step, a.Mitigate, "the action")
	}
	return "the action"
}

// versions says what an artifact was changed from and to, as far as that is known.
func versions(from, to string) string {
	switch {
	case from != "" && to != "":
		return " from " + from + " to " + to
	case to != "":
		return " to " + to
	case from != "":
		return " from " + from
	}
	return ""
}

// pagingInWords is what the timeline says of the events of paging, and of those of a later release.
func pagingInWords(e Event) string {
	switch b := e.Body.(type) {
	case Paged:
		return b.inWords(e.At)
	case PageHeld:
		until := "in a quiet time of the settings"
		if !b.Until.IsZero() {
			until = "silenced until " + Clock(b.Until, e.At)
		}
		return fmt.Sprintf("nobody is called for now (%s): %s", strings.Join(b.Causes, ", "), until)
	case PageDelivered:
		if b.Digest != "" {
			return b.Receiver + " accepted the page, in a digest of many"
		}
		return b.Receiver + " accepted the page"
	case PageFailed:
		return b.inWords()
	case Acknowledged:
		return b.inWords()
	case Unacknowledged:
		return "gave the incident back"
	case Unknown:
		return "an event of a later release: " + string(b.Raw)
	}
	return e.Body.Kind()
}

func (b SeverityRaised) inWords(r *Record) string {
	said := fmt.Sprintf("raised from %s to %s", loud(b.From), loud(b.To))
	if len(b.Breaches) > 0 {
		said += ": " + breaches(r, b.Breaches)
	}
	return said + rule(b.Rule)
}

func (b HoldBroken) inWords(r *Record) string {
	switch b.Why {
	case HoldFires:
		return "recovery didn't hold: the trigger fires again"
	case HoldBlind:
		return "recovery can't be verified: the data of " + cmp.Or(b.Band, "recovery") +
			" were missing for longer than the hold lasts"
	case HoldPooled:
		return "recovery didn't hold: over the whole hold " + b.Band + " is out of band, though single points are not"
	}
	said := "recovery didn't hold: " + b.Band + " was out of band more often than it may be"
	if b.Value != nil {
		said += ", now " + triggers.FormatValue(r.Findings[0].unitOf(b.Band), b.Value.V)
	}
	return said
}

// unitOf is the unit of a band's first condition.
func (f *Finding) unitOf(band string) triggers.Unit {
	bands := bandsOf(&f.runbook().Recovery)
	at := slices.Index(BandNames[:], band)
	if at < 0 || f.Snapshot == nil {
		return triggers.NoUnit
	}
	for _, condition := range bands[at].Clause.Conditions() {
		if signal := f.Snapshot.Signals[condition.Signal]; signal != nil {
			return signal.Unit
		}
	}
	return triggers.NoUnit
}

func (b Acknowledged) inWords() string {
	said := "took the incident"
	if b.From != "" {
		said = "took over from " + b.From
	}
	if b.Resolved {
		said += ", and resolved it at " + cmp.Or(b.Receiver, b.Via) + ": here it is still watched"
	}
	return said
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
	return said + "; next call " + Clock(b.NextAt, at)
}

func (b PageFailed) inWords() string {
	switch {
	case b.NotSent:
		return "the page to " + b.Receiver + " was not sent: " + b.Cause
	case b.Permanent:
		return b.Receiver + " refused the page: " + b.Cause
	case b.Awaited:
		return b.Receiver + " has not taken the page yet: " + b.Cause
	}
	return b.Receiver + " has still not taken the page: " + b.Cause + "; the ladder no longer waits for it"
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

// Clock writes a time for somebody who reads at about now: with the day only where it is another one, and with seconds
// only where there are any. Everything that people read writes its times so.
func Clock(at, now time.Time) string {
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

// minute is Clock without the seconds, for a line in which they would only be in the way.
func minute(at, now time.Time) string { return Clock(at.Truncate(time.Minute), now) }

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
