package incident

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
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
	Class    Class             `json:"class,omitempty" enum:"drill,self" doc:"drill: practice. self: a trouble of the daemon's own. Missing: an incident."`
	Severity runbook.Severity  `json:"severity"`
	Rule     string            `json:"rule,omitempty" doc:"The rule of the severity rubric that holds, in words."`
	State    State             `json:"state"`
	Owner    string            `json:"owner" doc:"The one accountable role."`
	Impact   string            `json:"impact" doc:"One sentence with the numbers."`
	Headline string            `json:"headline" doc:"The first line of every message: what is broken, by how much, since when, how bad, who owns it, where to look."`
	URL      string            `json:"url"`

	Findings    []FindingView     `json:"findings" doc:"The triggers that stand in it; the first one gives title, owner, service and branch."`
	Segments    []SegmentView     `json:"segments"`
	BlastRadius *float64          `json:"blast_radius,omitempty" doc:"Share of traffic in segments that breach now."`
	Recovery    []BandView        `json:"recovery"`
	Triage      []TriageView      `json:"triage"`
	Mitigations []MitigationView  `json:"mitigations" doc:"What buys time before or beside a rollback."`
	Rollbacks   []RollbackView    `json:"rollbacks"`
	Suspects    []changes.Suspect `json:"suspects" doc:"What changed before impact, in the order in which it deserves a look. It claims no cause."`
	Excluded    []changes.Suspect `json:"excluded" doc:"Changes that are no suspects, and why."`
	Unchanged   []string          `json:"unchanged" doc:"What did not change, and what nobody would tell of."`
	Artifacts   []changes.Running `json:"artifacts" doc:"The versions that ran when impact began."`
	Actions     []ActionView      `json:"actions" doc:"Rollbacks and mitigations that were asked for or done, in that order."`
	Updates     []UpdateView      `json:"updates" doc:"What was told to those who wait for news."`
	Postmortem  PostmortemView    `json:"postmortem"`
	Timeline    []TimelineEntry   `json:"timeline"`
	SeenAt      *time.Time        `json:"seen_at,omitempty" doc:"The tick that saw what is said of now; missing before the first one, and when the incident is over."`

	Calling      bool       `json:"calling" doc:"Somebody is being called and nobody has acknowledged."`
	NotDelivered bool       `json:"not_delivered" doc:"Somebody is being called, an attempt has failed, and no receiver has accepted a page of the round."`
	Round        int        `json:"round,omitempty"`
	Called       []string   `json:"called,omitempty" doc:"Roles called so far in the present round."`
	NextCallAt   *time.Time `json:"next_call_at,omitempty"`
	Unverified   bool       `json:"unverified"`
	Blind        bool       `json:"blind"`
	Unknown      []string   `json:"unknown,omitempty" doc:"What has been unknown for blind_after or longer."`
	Follows      string     `json:"follows,omitempty" doc:"Id of the incident before it, of the same trigger."`

	Silenced     []string       `json:"silenced,omitempty" doc:"Causes for a call that wait for the end of a silence."`
	PinnedUntil  *time.Time     `json:"pinned_until,omitempty" doc:"Until then the severity stays where a person lowered it."`
	Overdue      bool           `json:"overdue" doc:"An update fell due and has not been posted."`
	NextUpdateAt *time.Time     `json:"next_update_at,omitempty"`
	Dismissal    *DismissalView `json:"dismissal,omitempty"`

	HoldSince          *time.Time `json:"hold_since,omitempty"`
	HoldSeconds        float64    `json:"hold_seconds,omitempty" doc:"How long every band must be held."`
	HoldElapsedSeconds *float64   `json:"hold_elapsed_seconds,omitempty" doc:"How much of it has been seen; less than the time since hold_since where data were missing."`

	ImpactStartedAt *time.Time `json:"impact_started_at,omitempty"`
	BreachBegan     *time.Time `json:"breach_began,omitempty"`
	OpenedAt        *time.Time `json:"opened_at,omitempty"`
	DetectedAt      *time.Time `json:"detected_at,omitempty"`
	PagedAt         *time.Time `json:"paged_at,omitempty"`
	AcknowledgedAt  *time.Time `json:"acknowledged_at,omitempty"`
	AcknowledgedBy  string     `json:"acknowledged_by,omitempty"`
	TakenAt         *time.Time `json:"taken_at,omitempty" doc:"Since when acknowledged_by has it; acknowledged_at is the first acknowledgement, whoever made it."`
	MitigatedAt     *time.Time `json:"mitigated_at,omitempty"`
	ImpactEndedAt   *time.Time `json:"impact_ended_at,omitempty"`
	ResolvedAt      *time.Time `json:"resolved_at,omitempty"`
	ClosedAt        *time.Time `json:"closed_at,omitempty"`
	DismissedAt     *time.Time `json:"dismissed_at,omitempty"`
	ReopenedAt      *time.Time `json:"reopened_at,omitempty" doc:"The last time."`
}

// Ref names the incident where people type it: its number, or the id of what has none.
func (v *View) Ref() string {
	if v.Number > 0 {
		return strconv.FormatInt(v.Number, 10)
	}
	return v.ID
}

// FindingView is a trigger that stands in the incident.
type FindingView struct {
	Runbook string            `json:"runbook"`
	Title   string            `json:"title"`
	Group   map[string]string `json:"group"`
	Owner   string            `json:"owner"`
	Cleared bool              `json:"cleared" doc:"Its trigger is clear."`
}

// ActionView is a rollback or a mitigation, from its request to its measured effect.
type ActionView struct {
	ID          string     `json:"id"`
	Step        string     `json:"step,omitempty" doc:"Of the rollback stack; missing: a mitigation."`
	Title       string     `json:"title"`
	From        string     `json:"from,omitempty"`
	To          string     `json:"to,omitempty"`
	State       string     `json:"state" enum:"requested,started,done,effective,failed"`
	How         string     `json:"how,omitempty" enum:"sent,by hand,seen"`
	Why         string     `json:"why,omitempty" doc:"It failed: refused, expired, dry run, unanswered, ineffective."`
	Cause       string     `json:"cause,omitempty"`
	By          string     `json:"by,omitempty"`
	Approvers   []string   `json:"approvers,omitempty"`
	RequestedAt *time.Time `json:"requested_at,omitempty"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	DoneAt      *time.Time `json:"done_at,omitempty"`
	EffectiveAt *time.Time `json:"effective_at,omitempty"`
	FailedAt    *time.Time `json:"failed_at,omitempty"`
	Effect      *Effect    `json:"effect,omitempty"`
}

// UpdateView is an update that was posted.
type UpdateView struct {
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Audience string    `json:"audience" enum:"internal,customer"`
	Text     string    `json:"text"`
}

// DismissalView says why an incident was none.
type DismissalView struct {
	By          string `json:"by"`
	Reason      string `json:"reason" enum:"false_alarm,duplicate,expected,test"`
	Text        string `json:"text,omitempty"`
	DuplicateOf string `json:"duplicate_of,omitempty"`
}

// SegmentView is a condition that breached, for a segment.
type SegmentView struct {
	Condition string            `json:"condition"`
	Signal    string            `json:"signal"`
	Labels    map[string]string `json:"labels"`
	Value     float64           `json:"value" doc:"When it fired."`
	Text      string            `json:"text" doc:"The value with its unit, for people."`
	Limit     float64           `json:"limit"`
	Since     time.Time         `json:"since" doc:"First point of the run that satisfies the condition."`
	Now       *float64          `json:"now,omitempty" doc:"The value at seen_at; missing where it cannot be seen."`
	NowText   string            `json:"now_text,omitempty" doc:"That value with its unit, or unknown."`
	Breaching *bool             `json:"breaching,omitempty" doc:"Whether the condition still fires at seen_at."`
	Evidence  string            `json:"evidence,omitempty" doc:"Why the counts of a ratio were enough."`
}

// BandView is a recovery band.
type BandView struct {
	Band    string `json:"band" enum:"key,safety,business"`
	Runbook string `json:"runbook,omitempty" doc:"Of a finding that joined; missing: the incident's own."`
	Target  string `json:"target" doc:"The condition in words."`
	None    string `json:"none,omitempty" doc:"Why nothing measures it."`

	State     string     `json:"state,omitempty" enum:"held,missed,unknown,empty,none" doc:"At seen_at. empty: a share of nothing."`
	Value     *float64   `json:"value,omitempty" doc:"At seen_at, of the band's (first) condition."`
	Text      string     `json:"text,omitempty" doc:"The value with its unit, for people."`
	HeldSince *time.Time `json:"held_since,omitempty" doc:"While a hold runs."`
	Missing   string     `json:"missing,omitempty" doc:"What the counts still lack to prove the band: until they do, a hold that is over lasts on."`
}

// TriageView is an item of the checklist.
type TriageView struct {
	N        int      `json:"n"`
	Check    string   `json:"check"`
	Evidence string   `json:"evidence,omitempty" doc:"What it is to be decided by, in words."`
	Decide   []string `json:"decide,omitempty"`
	Runbook  string   `json:"runbook,omitempty" doc:"Of a finding that joined; missing: the incident's own."`

	Answer     string     `json:"answer,omitempty" doc:"The last one."`
	AnswerText string     `json:"answer_text,omitempty"`
	AnsweredBy string     `json:"answered_by,omitempty"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"`

	Found      string          `json:"found,omitempty" doc:"The evidence, in words."`
	FoundError string          `json:"found_error,omitempty" doc:"Why there is none."`
	FoundAt    *time.Time      `json:"found_at,omitempty"`
	Values     json.RawMessage `json:"values,omitempty" doc:"The evidence, as its kind has it."`
}

// MitigationView is what buys time before or beside a rollback.
type MitigationView struct {
	Title    string         `json:"title"`
	Kind     string         `json:"kind"`
	Do       string         `json:"do"`
	Approved []ApprovalView `json:"approved,omitempty" doc:"The fallback models that are, or were, approved for production."`
}

// ApprovalView is until when a fallback model is approved.
type ApprovalView struct {
	Model   string `json:"model"`
	Until   string `json:"until,omitempty" doc:"The last day (UTC), as 2027-03-01. Left out: no end is set."`
	Expired bool   `json:"expired" doc:"That day is over."`
}

// RollbackView is a step of the rollback stack, in the order to try: first what changed before impact.
type RollbackView struct {
	Artifact string `json:"artifact"`
	Name     string `json:"name"`
	Runbook  string `json:"runbook,omitempty" doc:"Of a finding that joined; missing: the incident's own."`
	Do       string `json:"do" doc:"As the runbook has it, with the versions filled in where they are known."`
	From     string `json:"from,omitempty" doc:"The version that runs, as far as is known."`
	To       string `json:"to,omitempty" doc:"The version to go back to."`
	Changed  string `json:"changed,omitempty" doc:"Why it stands in front: its artifact changed before impact. Missing: no change of it is on record."`
	Approval string `json:"approval" enum:"owner,none,two_person"`
	Runs     bool   `json:"runs" doc:"The daemon can run it; else a person does it and says so."`
	Action   string `json:"action,omitempty" doc:"Id of its last action."`
	State    string `json:"state,omitempty" enum:"requested,started,done,effective,failed" doc:"Of its last action."`
	Effect   string `json:"effect,omitempty" doc:"What its last action did, in one sentence."`
	Next     bool   `json:"next,omitempty" doc:"To be tried next."`
}

// PostmortemView is what the postmortem will ask.
type PostmortemView struct {
	Questions []string `json:"questions"`
	// Content is what people filled in; nil: nothing so far.
	Content *Postmortem `json:"content,omitempty"`
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
// where people reach the daemon. Nothing is known of the values since; see LiveView.
func NewView(r *Record, events []Event, externalURL string, now time.Time) View {
	return LiveView(r, events, externalURL, now, nil)
}

// LiveView gives the view of a record with what the last tick saw of it; nil: that is not known.
func LiveView(r *Record, events []Event, externalURL string, now time.Time, live *Live) View {
	if !r.Open() {
		live = nil // the values of now are no longer the incident's
	}
	first := r.Findings[0]
	book := first.runbook()
	v := View{
		ID: r.ID, Number: r.Number, Class: r.Class, Runbook: first.Name, Title: book.Title, Service: r.Service, Group: first.Group.Map(),
		Branch: book.Branch, Severity: r.Severity, Rule: r.Rule, State: r.State(), Owner: book.Owner,
		Impact:   impact(r, live),
		Findings: findingViews(r), Segments: segmentViews(r, live), Recovery: bandViews(r, live), Triage: triageViews(r),
		Actions: actionViews(r), Postmortem: PostmortemView{Questions: r.questions(), Content: r.Postmortem},
		Unverified: r.Unverified, Blind: r.Blind != nil, Follows: r.Follows,
		ImpactStartedAt: known(r.ImpactStartedAt), BreachBegan: known(r.BreachBegan), OpenedAt: known(r.OpenedAt),
		DetectedAt: known(r.DetectedAt), PagedAt: known(r.PagedAt), AcknowledgedAt: known(r.AcknowledgedAt),
		MitigatedAt: known(r.MitigatedAt), ImpactEndedAt: known(r.ImpactEndedAt), ResolvedAt: known(r.ResolvedAt),
		ClosedAt: known(r.ClosedAt), DismissedAt: known(r.DismissedAt), ReopenedAt: known(r.ReopenedAt),
	}
	v.URL = strings.TrimSuffix(externalURL, "/") + "/incidents/" + v.Ref()
	v.see(r, live)
	v.people(r)
	v.changed(r)
	v.steps(r, now)
	v.Headline = headline(r, live, v, now)
	for _, e := range events {
		v.Timeline = append(v.Timeline, TimelineEntry{
			Seq: e.Seq, At: e.At, RecordedAt: e.RecordedAt, Kind: e.Body.Kind(), Actor: e.Actor, Text: inWords(r, e),
		})
	}
	return v
}

// see fills in what can and can't be seen now.
func (v *View) see(r *Record, live *Live) {
	if r.Blind != nil {
		v.Unknown = r.Blind.Conditions
	}
	if r.Hold != nil {
		v.HoldSince, v.HoldSeconds = known(r.Hold.Since), r.HoldFor().Seconds()
	}
	if r.Open() {
		v.BlastRadius = r.BlastRadius // until a tick has looked at it again
	}
	if live == nil {
		return
	}
	v.SeenAt = known(live.At)
	if len(live.Findings) > 0 {
		v.BlastRadius = live.Findings[0].BlastRadius
	}
	if r.Hold != nil && live.Hold.Since.Equal(r.Hold.Since) {
		elapsed := live.Hold.Elapsed.Seconds()
		v.HoldElapsedSeconds = &elapsed
	}
}

// people fills in who has it, and who is being called.
func (v *View) people(r *Record) {
	if r.Acknowledged != nil {
		v.AcknowledgedBy, v.TakenAt = r.Acknowledged.By, known(r.Acknowledged.At)
	}
	if r.Round != nil {
		v.Calling, v.Round, v.Called, v.NextCallAt = r.Round.Calling, r.Round.N, r.Round.Called, known(r.Round.NextAt)
		v.NotDelivered = r.notDelivered()
	}
	if r.Pin != nil {
		v.PinnedUntil = known(r.Pin.Until)
	}
	if d := r.Dismissal; d != nil {
		v.Dismissal = &DismissalView{By: d.By, Reason: d.Reason, Text: d.Text, DuplicateOf: d.DuplicateOf}
	}
	v.Silenced = r.Held
	v.NextUpdateAt, v.Overdue = known(r.NextUpdateAt), !r.OverdueSince.IsZero()
	for _, u := range r.Updates {
		v.Updates = append(v.Updates, UpdateView(u))
	}
}

// changed fills in what changed before impact, and what did not.
func (v *View) changed(r *Record) {
	ranked := r.ranking()
	if ranked == nil {
		if unknown := r.unreported(); unknown != "" && r.Class == Real {
			v.Unchanged = []string{"unknown: nothing reports " + unknown}
		}
		return
	}
	v.Suspects, v.Excluded, v.Artifacts = ranked.Ranking.Suspects, ranked.Ranking.Excluded, ranked.Running
	v.Unchanged = ranked.Ranking.Statements()
}

// unreported names the artifacts of the rollback stack, of which nothing is on record.
func (r *Record) unreported() string {
	var all []string
	for _, step := range r.order() {
		if !slices.Contains(all, step.Artifact) {
			all = append(all, step.Artifact)
		}
	}
	return strings.Join(all, ", ")
}

// steps fills in what people can do now, of every finding.
func (v *View) steps(r *Record, now time.Time) {
	for i := range r.Findings {
		book := r.Findings[i].runbook()
		for _, m := range book.Mitigate {
			v.Mitigations = append(v.Mitigations, MitigationView{
				Title: m.Title, Kind: m.Kind, Do: instruction(m.Do, v, "", ""), Approved: approvals(m.Approved, now),
			})
		}
	}
	v.plan(r)
}

// approvals tells which approvals hold now.
func approvals(all []runbook.Approval, now time.Time) (views []ApprovalView) {
	for _, a := range all {
		view := ApprovalView{Model: a.Model}
		if !a.Until.IsZero() {
			view.Until, view.Expired = a.Until.Format(time.DateOnly), a.Expired(now)
		}
		views = append(views, view)
	}
	return views
}

// plan fills in the rollback stack in the order to try.
func (v *View) plan(r *Record) {
	next := ""
	if r.Open() {
		next = r.next()
	}
	for _, step := range r.Plan() {
		view := RollbackView{
			Artifact: step.Artifact, Name: step.Called, From: step.From, To: step.To,
			Do:       instruction(step.Do, v, step.To, step.From),
			Approval: cmp.Or(step.Approval, "owner"), Runs: step.Action != nil, Next: step.Name() == next,
		}
		if step.Runbook != r.Findings[0].Name {
			view.Runbook = step.Runbook
		}
		if step.Suspect != nil {
			view.Changed = step.Suspect.Reason
		}
		if a := r.lastOf(step.Name()); a != nil {
			view.Action, view.State = a.ID, a.state()
			if a.Effect != nil {
				view.Effect = a.Effect.inWords(r)
			}
		}
		v.Rollbacks = append(v.Rollbacks, view)
	}

}

// known is nil for a time that has not come.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func segmentViews(r *Record, live *Live) []SegmentView {
	var views []SegmentView
	for i, f := range r.Findings {
		for _, b := range f.Breaches {
			s := SegmentView{
				Condition: b.Condition, Signal: b.Signal, Labels: b.Segment.Map(), Value: b.Value.V,
				Text: triggers.FormatValue(b.Unit, b.Value.V), Limit: b.Limit, Since: b.BreachBegan,
				Evidence: b.Evidence.Sentence(),
			}
			if b.Absent {
				s.Text = "no data"
			}
			if seen := live.breach(i, b); seen != nil {
				s.NowText, s.Breaching = "unknown", &seen.Fires
				if seen.Value != nil {
					s.Now, s.NowText = &seen.Value.V, triggers.FormatValue(b.Unit, seen.Value.V)
				}
			}
			views = append(views, s)
		}
	}
	return views
}

// ofJoined names the runbook of a finding that joined; empty for the incident's own.
func (r *Record) ofJoined(finding int) string {
	if finding == 0 {
		return ""
	}
	return r.Findings[finding].Name
}

func findingViews(r *Record) []FindingView {
	var views []FindingView
	for i := range r.Findings {
		f := &r.Findings[i]
		views = append(views, FindingView{
			Runbook: f.Name, Title: f.runbook().Title, Group: f.Group.Map(), Owner: f.runbook().Owner, Cleared: f.Cleared,
		})
	}
	return views
}

func bandViews(r *Record, live *Live) []BandView {
	if r.Class == Self {
		return nil // nothing is to recover but the daemon
	}
	var views []BandView
	for n := range r.Findings {
		seen := live.bands(n)
		for i, band := range bandsOf(&r.Findings[n].runbook().Recovery) {
			view := BandView{Band: BandNames[i], Runbook: r.ofJoined(n), Target: band.Clause.String(), None: band.None}
			if seen != nil {
				view.see(r, n, seen[i])
			}
			views = append(views, view)
		}
	}
	return views
}

func (v *BandView) see(r *Record, finding int, seen BandObservation) {
	v.State, v.Missing = bandWords[seen.State], seen.Unproven
	if seen.Value != nil {
		v.Value, v.Text = &seen.Value.V, triggers.FormatValue(r.Findings[finding].unitOf(v.Band), seen.Value.V)
	}
	if r.Hold != nil && seen.State == BandHeld {
		v.HeldSince = known(r.Hold.Since)
	}
}

// checklist gives the items of every finding, in their order: an item's number is its place, from 1.
func (r *Record) checklist() []runbook.Check {
	var all []runbook.Check
	for i := range r.Findings {
		all = append(all, r.Findings[i].runbook().Triage...)
	}
	return all
}

// questions are those that the postmortem must answer, of every finding, each once.
func (r *Record) questions() []string {
	var all []string
	for i := range r.Findings {
		for _, question := range r.Findings[i].runbook().Postmortem.Questions {
			if !slices.Contains(all, question) {
				all = append(all, question)
			}
		}
	}
	return all
}

func triageViews(r *Record) []TriageView {
	var views []TriageView
	for finding := range r.Findings {
		for _, item := range r.Findings[finding].runbook().Triage {
			n := len(views) + 1
			view := TriageView{N: n, Check: item.Title, Evidence: evidenceInWords(item.Evidence), Decide: item.Decide, Runbook: r.ofJoined(finding)}
			if answered, ok := r.Triage[n]; ok {
				view.Answer, view.AnswerText = answered.Answer, answered.Text
				view.AnsweredBy, view.AnsweredAt = answered.By, known(answered.At)
			}
			if found, ok := r.Evidence[n]; ok {
				view.Found, view.FoundError, view.FoundAt, view.Values = found.Text, found.Error, known(found.At), found.Values
			}
			views = append(views, view)
		}
	}
	return views
}

func actionViews(r *Record) []ActionView {
	var views []ActionView
	for _, a := range r.Actions {
		views = append(views, ActionView{
			ID: a.ID, Step: a.Step, Title: a.Title, From: a.From, To: a.To, State: a.state(),
			How: a.How, Why: a.Why, Cause: a.Cause, By: cmp.Or(a.RequestedBy, a.DoneBy), Approvers: a.Approvers,
			RequestedAt: known(a.RequestedAt), StartedAt: known(a.StartedAt), DoneAt: known(a.DoneAt),
			EffectiveAt: known(a.EffectiveAt), FailedAt: known(a.FailedAt), Effect: a.Effect,
		})
	}
	return views
}

// state says how far an action has come.
func (a *Action) state() string {
	switch {
	case !a.FailedAt.IsZero():
		return "failed"
	case !a.EffectiveAt.IsZero():
		return "effective"
	case !a.DoneAt.IsZero():
		return "done"
	case !a.StartedAt.IsZero():
		return "started"
	}
	return "requested"
}
