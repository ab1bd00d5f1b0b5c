package runbook

import (
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What to add where a section is missing.
const (
	missingTrigger       = "add trigger: {signal: refusal_rate, above: 15%, for: 10m, clears: {below: 12%}}"
	missingSeverity      = "add severity: {sev1: {signal: refusal_rate, above: 30%}, default: sev3}"
	missingOwner         = "add owner: the one accountable role, such as owner: ml-platform-oncall"
	missingTriage        = "add triage: [{check: Confirm the alert is real, evidence: {signal: refusal_rate}}]"
	missingRollback      = "add rollback: [{artifact: prompt, do: \"Set the live label back to {{ .Previous }}.\"}]"
	missingCommunication = "add communication: {internal: \"{{ .Severity }} {{ .Title }}: {{ .Impact }} since {{ .StartedAt }}.\"}"
	missingRecovery      = "add recovery: {key: {signal: …, below: …}, safety: {signal: …, below: …}, business: {none: why nothing measures it}}"
	missingPostmortem    = "add postmortem: {} for the defaults, or postmortem: {due: 5d}"
)

// Read reads a runbook as far as it stands by itself. Check does what needs the signals and the settings.
func Read(v document.Value) *Runbook {
	r := &Runbook{Place: v.Place(), Branch: "other", ReopenWithin: DefaultReopenWithin, source: v}
	required := func(key, missing string, read func(document.Value)) document.Field {
		return document.Field{Key: key, Required: true, Missing: missing, Read: read}
	}
	v.Object(
		required("runbook", "add runbook: its name", r.readName),
		document.Field{Key: "title", Read: document.Into(&r.Title, document.Value.Text)},
		document.Field{Key: "service", Read: document.Into(&r.Service, document.Value.Text)},
		document.Field{Key: "branch", Read: document.Into(&r.Branch, document.Word("provider-outage", "prompt-regression",
			"retrieval-freshness", "safety-false-positives", "cost-spike", "other"))},
		document.Field{Key: "group_by", Read: document.Into(&r.GroupBy, document.Value.LabelNames)},
		required("trigger", missingTrigger, func(v document.Value) { r.Trigger = triggers.ReadClause(v, false) }),
		required("severity", missingSeverity, r.Severity.read),
		document.Field{Key: "reviewed", Read: func(v document.Value) {
			r.ReviewedAt = v.Place()
			document.Into(&r.Reviewed, document.Value.Date)(v)
		}},
		required("owner", missingOwner, document.Into(&r.Owner, document.Value.Text)),
		document.Field{Key: "reopen_within", Read: document.Into(&r.ReopenWithin, document.Value.Duration)},
		required("triage", missingTriage, func(v document.Value) {
			v.Items(func(v document.Value) { r.Triage = append(r.Triage, readCheck(v)) })
		}),
		document.Field{Key: "mitigate", Read: func(v document.Value) {
			v.Items(func(v document.Value) { r.Mitigate = append(r.Mitigate, readMitigation(v)) })
		}},
		required("rollback", missingRollback, func(v document.Value) {
			v.Items(func(v document.Value) { r.Rollback = append(r.Rollback, readStep(v)) })
		}),
		required("communication", missingCommunication, r.Communication.read),
		required("recovery", missingRecovery, r.Recovery.read),
		required("postmortem", missingPostmortem, r.Postmortem.read),
	)
	if r.Title == "" {
		r.Title = r.Name
	}
	return r
}

func (r *Runbook) readName(v document.Value) {
	name, ok := v.Text()
	if ok && triggers.CheckName(v.Report(), v.Place(), name) {
		r.Name = name
	}
}

// read reads the rules worst first, whatever their order in the file.
func (r *Rubric) read(v document.Value) {
	var fields []document.Field
	for _, severity := range Severities {
		fields = append(fields, document.Field{Key: string(severity), Read: func(v document.Value) {
			r.Rules = append(r.Rules, Rule{Severity: severity, When: triggers.ReadClause(v, false)})
		}})
	}
	fields = append(fields, document.Field{
		Key: "default", Required: true, Missing: "add default: sev3, for what no rule matches",
		Read: document.Into(&r.Default, document.Word(Severities...)),
	})
	if !v.Object(fields...) {
		return
	}
	written := slices.DeleteFunc(v.Keys(), func(key string) bool { return !slices.Contains(Severities, Severity(key)) })
	if !slices.IsSorted(written) {
		v.Warn("the rules are not in the order in which they are tried", "from sev1 down, whatever the order here")
	}
	for _, rule := range r.Rules {
		if !rule.Severity.Worse(r.Default) {
			v.Report().Warn(v.Key(string(rule.Severity)), "is not worse than the default "+string(r.Default),
				"rules raise the severity; a default as bad or worse makes this one lower it")
		}
	}
}

func readCheck(v document.Value) Check {
	var c Check
	v.Object(
		document.Field{Key: "check", Required: true, Missing: "check: what to find out", Read: document.Into(&c.Title, document.Value.Text)},
		document.Field{Key: "evidence", Read: func(v document.Value) { c.Evidence = readEvidence(v) }},
		document.Field{Key: "decide", Read: func(v document.Value) {
			answers, ok := v.SomeTexts()
			if ok && len(answers) < 2 {
				v.Error("one answer decides nothing", "two or more, such as [\"yes\", \"no\"]; \"can't tell\" is always allowed")
			}
			c.Decide = answers
		}},
	)
	return c
}

// evidenceKeys go with evidence of a signal only.
var evidenceKeys = []string{"where", "by", "top", "compare"}

func readEvidence(v document.Value) *Evidence {
	e := &Evidence{}
	v.Object(
		document.Field{Key: "signal", Read: document.Into(&e.Signal, document.Value.Text)},
		document.Field{Key: "where", Read: document.Into(&e.Where, document.Value.Labels)},
		document.Field{Key: "by", Read: document.Into(&e.By, document.Value.LabelNames)},
		document.Field{Key: "top", Read: document.Into(&e.Top, document.Value.PositiveInt)},
		document.Field{Key: "compare", Read: func(v document.Value) { e.Compare = readCompare(v) }},
		document.Field{Key: "changes", Read: document.Into(&e.Changes, document.Value.Positive)},
		document.Field{Key: "http", Read: document.Into(&e.HTTP, document.Value.Address)},
	)
	kinds := 0
	for _, key := range []string{"signal", "changes", "http"} {
		if v.Has(key) {
			kinds++
		}
	}
	if v.IsMap() && kinds != 1 {
		v.Error("evidence is of one kind", "one of signal: …, changes: 2h, http: \"https://…\"")
	}
	for _, key := range evidenceKeys {
		if v.Has(key) && kinds == 1 && !v.Has("signal") {
			v.Report().Error(v.Key(key), key+" goes with a signal", "leave it out")
		}
	}
	return e
}

func readCompare(v document.Value) *Compare {
	c := &Compare{}
	v.Object(
		document.Field{Key: "label", Required: true, Missing: "label: the label whose values are compared", Read: document.Into(&c.Label, document.Value.Text)},
		document.Field{Key: "control", Read: document.Into(&c.Control, document.Value.Text)},
		document.Field{Key: "treatment", Read: document.Into(&c.Treatment, document.Value.Text)},
		document.Field{Key: "artifact", Read: document.Into(&c.Artifact, document.Value.Text)},
	)
	control, treatment, artifact := v.Has("control"), v.Has("treatment"), v.Has("artifact")
	if v.IsMap() && (control != treatment || control == artifact) {
		v.Error("half a comparison", "control and treatment, or artifact: before and after its last change")
	}
	return c
}

func (c *Communication) read(v document.Value) {
	v.Object(
		document.Field{Key: "first_update", Read: func(v document.Value) { c.FirstUpdate = readBySeverity(v) }},
		document.Field{Key: "update_every", Read: func(v document.Value) { c.UpdateEvery = readBySeverity(v) }},
		document.Field{
			Key: "internal", Required: true, Missing: "the text of an update to colleagues, with fields such as {{ .Impact }}",
			Read: document.Into(&c.Internal, template(updateFields, "")),
		},
		document.Field{Key: "customer", Read: document.Into(&c.Customer, template(customerFields,
			"a customer's text names no groups and no versions"))},
	)
	c.checkFirst(v)
}

// readBySeverity reads durations by severity; none is kept as 0.
func readBySeverity(v document.Value) map[Severity]time.Duration {
	bySeverity := map[Severity]time.Duration{}
	var fields []document.Field
	for _, severity := range Severities {
		fields = append(fields, document.Field{Key: string(severity), Read: func(v document.Value) {
			if word, ok := v.Optional(); ok && word == "none" {
				bySeverity[severity] = 0
			} else if d, read := v.Positive(); ok && read {
				bySeverity[severity] = d
			}
		}})
	}
	v.Object(fields...)
	return bySeverity
}

// checkFirst holds first updates to be due no later than the ones that follow.
func (c *Communication) checkFirst(v document.Value) {
	for _, severity := range Severities {
		first, every := c.first(severity), c.every(severity, 0)
		if first == 0 || every == 0 || first <= every {
			continue
		}
		at := v.Get("first_update").Key(string(severity))
		if !v.Get("first_update").Has(string(severity)) {
			at = v.Get("update_every").Key(string(severity))
		}
		v.Report().Error(at, "the first update would be due after "+triggers.FormatDuration(first)+", the next ones every "+
			triggers.FormatDuration(every), "first_update at most update_every")
	}
}

func (r *Recovery) read(v document.Value) {
	r.Timeout = DefaultTimeout
	band := func(into *Band, mayBeNone bool) func(document.Value) {
		return func(v document.Value) { *into = readBand(v, mayBeNone) }
	}
	v.Object(
		document.Field{Key: "hold", Read: document.Into(&r.Hold, document.Value.Positive)},
		document.Field{Key: "timeout", Read: document.Into(&r.Timeout, document.Value.Positive)},
		document.Field{Key: "key", Required: true, Missing: "the condition that says users are well, such as key: {signal: refusal_rate, below: 6%}", Read: band(&r.Key, false)},
		document.Field{Key: "safety", Required: true, Missing: "the condition that says nothing unsafe got through, or safety: {none: why nothing measures it}", Read: band(&r.Safety, true)},
		document.Field{Key: "business", Required: true, Missing: "the condition that says the service earns its keep, or business: {none: why nothing measures it}", Read: band(&r.Business, true)},
	)
}

func readBand(v document.Value, mayBeNone bool) Band {
	var b Band
	if !v.Has("none") {
		clause := triggers.ReadClause(v, true)
		b.Clause = &clause
		return b
	}
	if !mayBeNone {
		v.Error("the key metric can't be none", "a condition: recovery is measured, not assumed")
		return b
	}
	v.Object(document.Field{Key: "none", Read: document.Into(&b.None, document.Value.Text)})
	return b
}

func (p *Postmortem) read(v document.Value) {
	p.Questions = slices.Clone(DefaultQuestions)
	v.Object(
		document.Field{Key: "due", Read: document.Into(&p.Due, document.Value.Positive)},
		document.Field{Key: "questions", Read: document.Into(&p.Questions, document.Value.SomeTexts)},
	)
}
