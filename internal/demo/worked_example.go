package demo

import (
	"embed"
	"io/fs"
	"time"
)

//go:embed worked-example
var workedExampleFiles embed.FS

// WorkedExample is the support bot that starts to refuse good users: within ten minutes it gets a new prompt and a
// new retrieval index, both of them bad, without any deploy of code. Rolling the prompt back heals half of the harm;
// the index heals the rest.
func WorkedExample() Scenario {
	files, err := fs.Sub(workedExampleFiles, "worked-example")
	if err != nil {
		panic(err) // the name is a constant that fs.ValidPath accepts
	}
	return Scenario{
		Name:     "worked-example",
		Title:    "A new prompt and a new index: good users are refused",
		Service:  "support-bot",
		Start:    storyTime(13, 30, 0),
		End:      storyTime(14, 51, 0),
		Interval: 15 * time.Second,
		Segments: []Segment{
			{Tier: "paid", Language: "en", Share: 0.42},
			{Tier: "paid", Language: "de", Share: 0.18},
			{Tier: "free", Language: "en", Share: 0.28},
			{Tier: "free", Language: "de", Share: 0.12},
		},
		Phases: []Phase{
			{storyTime(13, 30, 0).Add(-24 * time.Hour), workedExampleRates(0.04, 0.42)},
			{storyTime(13, 58, 30), workedExampleRates(0.19, 0.25)},
			{storyTime(14, 21, 0), workedExampleRates(0.08, 0.36)},
			{storyTime(14, 31, 0), workedExampleRates(0.05, 0.41)},
		},
		Versions:  workedExampleVersions(),
		Lines:     workedExampleLines(),
		Responder: workedExampleResponder(),
		Reports: []Report{
			{storyTime(13, 30, 0), "prompt", "prompt-v6", "prompt-v7"},
			{storyTime(13, 40, 0), "retrieval_index", "kb-2025-02-01", "kb-2025-02-15"},
		},
		Expected: Expectation{
			Events: []Expected{
				{Event: "opened", At: storyTime(14, 10, 0), Severity: "sev2"},
				{Event: "paged", At: storyTime(14, 10, 0)},
				{Event: "breach_joined", At: storyTime(14, 11, 45)},
				{Event: "acknowledged", At: storyTime(14, 12, 24)},
				{Event: "hold_started", At: storyTime(14, 36, 0)},
				{Event: "trigger_cleared", At: storyTime(14, 41, 15)},
				{Event: "resolved", At: storyTime(14, 51, 0)},
			},
			Never: []string{
				"action_failed", "dismissed", "finding_joined", "hold_broken", "page_failed", "relapsed", "reopened",
				"severity_raised", "unacknowledged", "unverified", "update_overdue", "went_blind",
			},
			Tolerance: 30 * time.Second,
		},
		Files: files,
	}
}

// storyTime is a time of the story's day, a Monday.
func storyTime(hour, minute, second int) time.Time {
	return time.Date(2025, time.February, 17, hour, minute, second, 0, time.UTC)
}

// workedExampleRates are a busy support bot's: 6,000 requests and 1,500 conversations in five minutes. Only refusals
// and deflection ever move; that the others stay flat is part of the diagnosis.
func workedExampleRates(refused, deflected float64) Rates {
	return Rates{
		Requests:      20,
		Refused:       refused,
		Unsafe:        0.0002,
		Conversations: 5,
		Deflected:     deflected,
		InputTokens:   850,
		OutputTokens:  220,
		Latency:       Latency{0.2, 0.62, 0.94, 0.99, 0.995, 0.998, 0.999, 0.9994, 0.9998, 0.9999, 0.99999, 1}, // p95 1.2 s
	}
}

// workedExampleResponder takes the incident, tells those who wait, and does by hand what the runbook says. What she does
// counts from when it takes effect on all traffic.
func workedExampleResponder() Responder {
	return Responder{Name: "alice", Acts: []Act{
		{At: storyTime(14, 12, 24), Acknowledge: true},
		{At: storyTime(14, 19, 0), Update: "The bot refuses some good questions. The prompt of 13:30 is being rolled back."},
		{At: storyTime(14, 21, 0), RolledBack: "prompt"},
		{At: storyTime(14, 31, 0), RolledBack: "retrieval_index"},
		{At: storyTime(14, 39, 0), Update: "Prompt and index are rolled back; refusals are back to normal, we keep watching.", Next: storyTime(15, 15, 0)},
	}}
}

func workedExampleVersions() []Version {
	dayBefore := storyTime(13, 30, 0).Add(-24 * time.Hour)
	return []Version{
		{dayBefore, "code", "api-v18"},
		{dayBefore, "prompt", "prompt-v6"},
		{dayBefore, "weights", "support-3.2"},
		{dayBefore, "retrieval_index", "kb-2025-02-01"},
		{dayBefore, "router_policy", "small-first-then-large"},
		{storyTime(13, 30, 0), "prompt", "prompt-v7"},
		{storyTime(13, 40, 0), "retrieval_index", "kb-2025-02-15"},
		{storyTime(14, 21, 0), "prompt", "prompt-v6"},
		{storyTime(14, 31, 0), "retrieval_index", "kb-2025-02-01"},
	}
}

func workedExampleLines() []Line {
	return []Line{
		{storyTime(13, 30, 0), "deployed", "prompt prompt-v7 (was prompt-v6)"},
		{storyTime(13, 40, 0), "deployed", "retrieval_index kb-2025-02-15 (was kb-2025-02-01)"},
		{storyTime(13, 58, 30), "harm", "refused 4% → 19%, deflected 42% → 25%, latency flat; nobody has noticed yet"},
		{storyTime(14, 18, 0), "operator", "rolls the prompt back to prompt-v6"},
		{storyTime(14, 21, 0), "effect", "prompt-v6 on all traffic: refused 19% → 8%, deflected 25% → 36%; still not normal"},
		{storyTime(14, 29, 0), "operator", "rolls the retrieval index back to kb-2025-02-01"},
		{storyTime(14, 31, 0), "effect", "kb-2025-02-01 is live: refused 8% → 5%, deflected 36% → 41%"},
	}
}
