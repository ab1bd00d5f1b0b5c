package replay

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Result is what a replay found; its JSON is a contract.
type Result struct {
	From      time.Time   `json:"from"` // the first evaluation time
	To        time.Time   `json:"to"`   // the last one
	Interval  string      `json:"interval"`
	Phase     string      `json:"phase"`
	Runbooks  []string    `json:"runbooks"`
	Incidents []*Incident `json:"incidents"` // in the order of their opening
	Against   *Comparison `json:"against,omitempty"`
	Notes     []string    `json:"notes"` // what a reader should know of the data
}

// Incident is one that would have opened. Times of what has not happened by the end of the range are null.
type Incident struct {
	Runbook         string           `json:"runbook"`
	Group           labels.Labels    `json:"group"`
	Severity        runbook.Severity `json:"severity"` // the worst that it had
	ImpactStartedAt time.Time        `json:"impact_started_at"`
	OpenedAt        time.Time        `json:"opened_at"`
	ResolvedAt      *time.Time       `json:"resolved_at"`
	Segments        []labels.Labels  `json:"segments"` // that breached, in the order of their labels

	Joined             []string         `json:"joined,omitempty"` // runbooks that fired in it too, instead of opening another one
	Title              string           `json:"title"`
	Service            string           `json:"service"`
	Owner              string           `json:"owner"`
	SeverityAtOpening  runbook.Severity `json:"severity_at_opening"`
	BreachBegan        time.Time        `json:"breach_began"`
	DetectionDelay     float64          `json:"detection_delay_seconds"` // from impact_started_at to opened_at
	ImpactEndedAt      *time.Time       `json:"impact_ended_at"`
	RecoveryUnverified bool             `json:"unverified"` // recovery.timeout passed
	Blind              bool             `json:"blind"`      // at the end of the range, or when it ended

	Suspects []changes.Suspect `json:"suspects,omitempty"` // what the metrics show to have changed before impact, by rank
}

func newIncident(r *incident.Record) *Incident {
	return &Incident{
		Runbook: r.Findings[0].Name, Group: r.Findings[0].Group, Title: r.Findings[0].Snapshot.Runbook.Title,
		Owner: r.Findings[0].Snapshot.Runbook.Owner, Service: r.Service, SeverityAtOpening: r.Severity,
	}
}

// update takes over what a record says now.
func (i *Incident) update(r *incident.Record) {
	i.Severity = r.Peak
	i.ImpactStartedAt, i.BreachBegan, i.OpenedAt = r.ImpactStartedAt, r.BreachBegan, r.OpenedAt
	i.DetectionDelay = r.OpenedAt.Sub(r.ImpactStartedAt).Seconds()
	i.ResolvedAt, i.ImpactEndedAt = happened(r.ResolvedAt), happened(r.ImpactEndedAt)
	i.RecoveryUnverified, i.Blind = r.Unverified, r.Blind != nil
	if n := len(r.Rankings); n > 0 {
		i.Suspects = r.Rankings[n-1].Ranking.Suspects
	}
	i.Segments, i.Joined = i.Segments[:0], i.Joined[:0]
	for n, f := range r.Findings {
		if n > 0 {
			i.Joined = append(i.Joined, f.Name)
		}
		for _, b := range f.Breaches {
			i.Segments = append(i.Segments, b.Segment)
		}
	}
	slices.SortFunc(i.Segments, labels.Compare)
	i.Segments = slices.CompactFunc(i.Segments, labels.Equal)
}

func happened(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Delay is how long after impact began the incident opened.
func (i *Incident) Delay() time.Duration { return i.OpenedAt.Sub(i.ImpactStartedAt) }

// end is when the incident was over, or the end of the range.
func (i *Incident) end(to time.Time) time.Time {
	if i.ResolvedAt != nil {
		return *i.ResolvedAt
	}
	return to
}

func newResult(config *Config, h *history, players []*player) *Result {
	r := &Result{
		From: config.Grid.Time(config.first()), To: config.Grid.Time(config.last()),
		Interval: triggers.FormatDuration(config.Grid.Interval), Phase: triggers.FormatDuration(config.Grid.Phase),
		Incidents: append([]*Incident{}, players[0].found...),
		Notes:     append([]string{}, h.notes()...),
	}
	for _, s := range config.Runbooks {
		r.Runbooks = append(r.Runbooks, s.Runbook.Name)
	}
	for _, d := range players[0].evaluator.Status().Detect {
		if d.Error != "" {
			r.Notes = append(r.Notes, fmt.Sprintf("changes may be missing among what changed before an incident: %s: %s", d.Query, d.Error))
		}
	}
	if config.Against != nil {
		r.Against = compare(config.Against.Runbook.Name, r.Incidents, players[1].found, r.To, config.Pages)
	}
	return r
}

// enough is the share of the range of which a signal has points without a note.
const enough = 0.99

// notes tells of the signals that the source has in a part of the range only.
func (h *history) notes() []string {
	var notes []string
	for _, u := range h.config.uses() {
		c, asked := h.seen(u)
		if share := float64(c.known) / float64(max(c.asked, 1)); asked && u.trigger && c.known > 0 && share < enough {
			notes = append(notes, fmt.Sprintf("%s has points at %s of the evaluation times, between %s and %s; at the others its conditions are unknown",
				u.signal.Name, percent(share), stamp(h.config.Grid.Time(c.first)), stamp(h.config.Grid.Time(c.last))))
		}
	}
	return notes
}

// percent is rounded down: what is not all never looks like it.
func percent(share float64) string {
	if p := int(share * 100); p > 0 {
		return fmt.Sprintf("%d%%", p)
	}
	return "less than 1%"
}
