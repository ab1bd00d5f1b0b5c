package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Describe says what an event of an incident means, with its times on the story's clock. Where people answer in their own
// time, as manual says, the wait until the next call is theirs.
func Describe(clock Clock, r *incident.Record, e incident.Event, manual bool) string {
	story := func(at time.Time) string { return clockTime(clock.Story(at)) }
	switch body := e.Body.(type) {
	case incident.Opened:
		var breaches []string
		for _, b := range body.Breaches {
			breaches = append(breaches, fmt.Sprintf("%s %s (limit %s)", b.Title, triggers.FormatValue(b.Unit, b.Value.V), triggers.FormatValue(b.Unit, b.Limit)))
		}
		return fmt.Sprintf("%s: %s; past the limit since %s, impact began %s", body.Severity, strings.Join(breaches, ", "),
			story(body.BreachBegan), story(body.ImpactStartedAt))
	case incident.Paged:
		next := "at " + story(body.NextAt)
		if manual {
			next = "in " + triggers.FormatDuration(body.NextAt.Sub(e.At)) + " of your own time"
		}
		return fmt.Sprintf("round %d calls %s; if nobody acknowledges, the next call is %s", body.Round,
			strings.Join(body.Roles, ", "), next)
	case incident.WentBlind:
		return fmt.Sprintf("can't see %s since %s", strings.Join(body.Conditions, ", "), story(body.Since))
	case incident.Unverified:
		return "no verified recovery within the runbook's timeout"
	case incident.Acknowledged:
		return e.Actor + " has it; nobody else is called"
	case incident.SuspectsRanked:
		var all []string
		for _, s := range body.Ranking.Suspects {
			before := clock.Story(r.ImpactStartedAt).Sub(clock.Story(s.Change.At)).Round(time.Minute)
			all = append(all, fmt.Sprintf("%d. %s %s → %s, %s before impact", s.Rank, s.Change.Artifact, s.Change.From, s.Change.To, triggers.FormatDuration(before)))
		}
		return "what changed before impact: " + strings.Join(all, "; ")
	case incident.UpdatePosted:
		return fmt.Sprintf("%s tells: %s (next update %s)", e.Actor, body.Text, story(body.NextUpdateAt))
	case incident.UpdateOverdue:
		return "an update was due " + story(body.Due) + " and nobody posted it"
	case incident.HoldStarted:
		hold := clock.Story(e.At.Add(r.HoldFor())).Sub(clock.Story(e.At))
		return fmt.Sprintf("key, safety and business are in band, and must stay so for %s", triggers.FormatDuration(hold))
	case incident.Resolved:
		impact := clock.Story(body.ImpactEndedAt).Sub(clock.Story(r.ImpactStartedAt)).Round(time.Minute)
		return fmt.Sprintf("recovery is verified; impact lasted %s, from %s to %s", triggers.FormatDuration(impact),
			story(r.ImpactStartedAt), story(body.ImpactEndedAt))
	}
	return incident.NewView(r, []incident.Event{e}, "", e.At).Timeline[0].Text
}
