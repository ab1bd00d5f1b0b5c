package incident

import (
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// View is the one view of a record that the API, messages, commands and pages share, so that they never disagree.
// Its JSON keys are a contract; shares are 0 to 1, times RFC 3339 in UTC, and null or missing where it has not
// happened.
type View struct {
	ID       string            `json:"id" doc:"Identifies the incident; the same on every replica."`
	Number   int64             `json:"number" doc:"For people: #42. Accepted wherever an incident is named."`
	Runbook  string            `json:"runbook"`
	Title    string            `json:"title"`
	Service  string            `json:"service"`
	Group    map[string]string `json:"group" doc:"Values of the runbook's group_by labels."`
	Branch   string            `json:"branch"`
	Severity runbook.Severity  `json:"severity"`
	Rule     string            `json:"rule,omitempty" doc:"The rule of the severity rubric that holds, in words."`
	State    State             `json:"state"`
	Owner    string            `json:"owner" doc:"The one accountable role."`
	Impact   string            `json:"impact" doc:"One sentence with the numbers."`
	Headline string            `json:"headline" doc:"The first line of every message: what is broken, by how much, since when, how bad, who owns it, where to look."`
	URL      string            `json:"url"`

	Segments   []SegmentView   `json:"segments"`
	Recovery   []BandView      `json:"recovery"`
	Triage     []TriageView    `json:"triage"`
	Rollbacks  []RollbackView  `json:"rollbacks"`
	Postmortem PostmortemView  `json:"postmortem"`
	Timeline   []TimelineEntry `json:"timeline"`

	Calling    bool       `json:"calling" doc:"Somebody is being called and nobody has acknowledged."`
	Round      int        `json:"round,omitempty"`
	Called     []string   `json:"called,omitempty" doc:"Roles called so far in the present round."`
	NextCallAt *time.Time `json:"next_call_at,omitempty"`
	Unverified bool       `json:"unverified"`
	Blind      bool       `json:"blind"`
	Unknown    []string   `json:"unknown,omitempty" doc:"What has been unknown for blind_after or longer."`
	HoldSince  *time.Time `json:"hold_since,omitempty"`
	Follows    string     `json:"follows,omitempty"`

	ImpactStartedAt *time.Time `json:"impact_started_at,omitempty"`
	BreachBegan     *time.Time `json:"breach_began,omitempty"`
	OpenedAt        *time.Time `json:"opened_at,omitempty"`
	DetectedAt      *time.Time `json:"detected_at,omitempty"`
	PagedAt         *time.Time `json:"paged_at,omitempty"`
	AcknowledgedAt  *time.Time `json:"acknowledged_at,omitempty"`
	AcknowledgedBy  string     `json:"acknowledged_by,omitempty"`
	MitigatedAt     *time.Time `json:"mitigated_at,omitempty"`
	ImpactEndedAt   *time.Time `json:"impact_ended_at,omitempty"`
	ResolvedAt      *time.Time `json:"resolved_at,omitempty"`
	ClosedAt        *time.Time `json:"closed_at,omitempty"`
}

// SegmentView is a condition that breached, for a segment.
type SegmentView struct {
	Condition string            `json:"condition"`
	Signal    string            `json:"signal"`
	Labels    map[string]string `json:"labels"`
	Value     float64           `json:"value"`
	Text      string            `json:"text" doc:"The value with its unit, for people."`
	Limit     float64           `json:"limit"`
	Since     time.Time         `json:"since" doc:"First point of the run that satisfies the condition."`
}

// BandView is a recovery band.
type BandView struct {
	Band   string `json:"band" enum:"key,safety,business"`
	Target string `json:"target" doc:"The condition in words."`
	None   string `json:"none,omitempty" doc:"Why nothing measures it."`
}

// TriageView is an item of the checklist.
type TriageView struct {
	N      int      `json:"n"`
	Check  string   `json:"check"`
	Decide []string `json:"decide,omitempty"`
}

// RollbackView is a step of the rollback stack, in the order to try.
type RollbackView struct {
	Artifact string `json:"artifact"`
	Name     string `json:"name"`
	Do       string `json:"do" doc:"As the runbook has it; the versions are filled in by the person who does it."`
}

// PostmortemView is what the postmortem will ask.
type PostmortemView struct {
	Questions []string `json:"questions"`
}

// TimelineEntry is an event, in the words of people.
type TimelineEntry struct {
	Seq        int64     `json:"seq"`
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	Kind       string    `json:"kind"`
	Actor      string    `json:"actor"`
	Text       string    `json:"text"`
}

// NewView gives the view of a record. events are its timeline, none where only the present matters; externalURL is
// where people reach the daemon.
func NewView(r *Record, events []Event, externalURL string, now time.Time) View {
	first := r.Findings[0]
	book := first.runbook()
	v := View{
		ID: r.ID, Number: r.Number, Runbook: first.Name, Title: book.Title, Service: r.Service, Group: first.Group.Map(),
		Branch: book.Branch, Severity: r.Severity, Rule: r.Rule, State: r.State(), Owner: book.Owner,
		Impact: impact(r), URL: fmt.Sprintf("%s/incidents/%d", strings.TrimSuffix(externalURL, "/"), r.Number),
		Segments: segmentViews(r), Recovery: bandViews(book), Triage: triageViews(book), Rollbacks: rollbackViews(book),
		Postmortem: PostmortemView{Questions: book.Postmortem.Questions},
		Unverified: r.Unverified, Blind: r.Blind != nil, Follows: r.Follows,
		ImpactStartedAt: known(r.ImpactStartedAt), BreachBegan: known(r.BreachBegan), OpenedAt: known(r.OpenedAt),
		DetectedAt: known(r.DetectedAt), PagedAt: known(r.PagedAt), AcknowledgedAt: known(r.AcknowledgedAt),
		MitigatedAt: known(r.MitigatedAt), ImpactEndedAt: known(r.ImpactEndedAt), ResolvedAt: known(r.ResolvedAt),
		ClosedAt: known(r.ClosedAt),
	}
	if r.Acknowledged != nil {
		v.AcknowledgedBy = r.Acknowledged.By
	}
	if r.Hold != nil {
		v.HoldSince = known(r.Hold.Since)
	}
	if r.Blind != nil {
		v.Unknown = r.Blind.Conditions
	}
	if r.Round != nil {
		v.Calling, v.Round, v.Called, v.NextCallAt = r.Round.Calling, r.Round.N, r.Round.Called, known(r.Round.NextAt)
	}
	v.Headline = headline(r, v, now)
	for _, e := range events {
		v.Timeline = append(v.Timeline, TimelineEntry{
			Seq: e.Seq, At: e.At, RecordedAt: e.RecordedAt, Kind: e.Body.Kind(), Actor: e.Actor, Text: inWords(r, e),
		})
	}
	return v
}

// known is nil for a time that has not come.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func segmentViews(r *Record) []SegmentView {
	var views []SegmentView
	for _, f := range r.Findings {
		for _, b := range f.Breaches {
			views = append(views, SegmentView{
				Condition: b.Condition, Signal: b.Signal, Labels: b.Segment.Map(), Value: b.Value.V,
				Text: triggers.FormatValue(b.Unit, b.Value.V), Limit: b.Limit, Since: b.BreachBegan,
			})
		}
	}
	return views
}

func bandViews(book *runbook.Runbook) []BandView {
	var views []BandView
	for i, band := range bandsOf(&book.Recovery) {
		views = append(views, BandView{Band: BandNames[i], Target: band.Clause.String(), None: band.None})
	}
	return views
}

func triageViews(book *runbook.Runbook) []TriageView {
	var views []TriageView
	for i, item := range book.Triage {
		views = append(views, TriageView{N: i + 1, Check: item.Title, Decide: item.Decide})
	}
	return views
}

func rollbackViews(book *runbook.Runbook) []RollbackView {
	var views []RollbackView
	for _, step := range book.Rollback {
		views = append(views, RollbackView{Artifact: step.Artifact, Name: step.Name, Do: step.Do})
	}
	return views
}
