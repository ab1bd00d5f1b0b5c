package demo

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Scenario is a story as data: what the service does in each phase, which versions it runs, what its people do, and
// what the daemon must make of it. All times are story times, in UTC.
type Scenario struct {
	Name    string
	Title   string
	Service string // the service label of every series

	Start time.Time // where the story is taken up; the service ran normally in the day before
	End   time.Time // where it ends; rates stay those of the last phase from here on
	// Interval is the daemon's evaluation interval at story scale. Start is a multiple of it.
	Interval time.Duration

	Segments []Segment // how requests divide among users; shares add up to 1
	Phases   []Phase   // in order; the counters are 0 at the first one's From
	Versions []Version // in order; the last one of an artifact that has begun is the one that runs

	Lines     []Line    // what the bot and its operator do, in order, for people to read
	Responder Responder // who takes the incident when nobody sits at the keyboard
	Reports   []Report  // what a pipeline reports of changes

	Expected Expectation
	Files    fs.FS // irdaemon.yaml and the files that it names, at story scale
}

// Segment is the share of all requests that comes from users of one tier in one language.
type Segment struct {
	Tier, Language string
	Share          float64
}

// Phase is a time of constant rates. It lasts until the next one begins.
type Phase struct {
	From  time.Time
	Rates Rates
}

// Rates are what the service does in a phase. Shares are 0 to 1.
type Rates struct {
	Requests      float64 // per second
	Refused       float64 // share of the requests that the safety layer refuses
	Unsafe        float64 // share of the answers given that the output judge finds unsafe
	Conversations float64 // closed per second
	Deflected     float64 // share of the conversations closed without a person's help
	InputTokens   float64 // mean per request
	OutputTokens  float64 // mean per request
	Latency       Latency
}

// latencyEdges are the upper edges of the latency buckets, in seconds. 5 is among them, for limits of 5 s can only be
// judged exactly at an edge.
var latencyEdges = [...]float64{0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 60}

// Latency is how long requests take: the share of them that is done within each of latencyEdges. None takes longer
// than the last edge.
type Latency [len(latencyEdges)]float64

// mean is the mean in seconds, each bucket's requests counted at its middle.
func (l Latency) mean() float64 {
	var mean, edge, share float64
	for i := range l {
		mean += (l[i] - share) * (edge + latencyEdges[i]) / 2
		edge, share = latencyEdges[i], l[i]
	}
	return mean
}

// Version is the version of an artifact that runs from a time on.
type Version struct {
	From     time.Time
	Artifact string
	Version  string
}

// Line is one line of the story: when, one word for what kind of thing it is, and the text.
type Line struct {
	At   time.Time
	Word string
	Text string
}

// Responder is the person who answers by script.
type Responder struct {
	Name string
	Acts []Act // in order of time
}

// Act is one thing that the responder does. One of its ways is set.
type Act struct {
	At          time.Time
	Acknowledge bool
	Update      string    // the text of an update
	Next        time.Time // when the next one is due; zero: as the runbook has it
	RolledBack  string    // the artifact that was rolled back by hand, and takes effect now
}

// Report is a change that a deploy pipeline reports.
type Report struct {
	At                 time.Time
	Artifact, From, To string
}

// scenarios are the stories that ship. The first is the default.
var scenarios = []func() Scenario{WorkedExample}

// FindScenario gives the scenario of that name; the empty name gives the default. Its error lists the names that
// there are.
func FindScenario(name string) (Scenario, error) {
	for _, scenario := range scenarios {
		found := scenario()
		if name == "" || found.Name == name {
			return found, nil
		}
	}
	return Scenario{}, fmt.Errorf("scenario %q: unknown; there is %s", name, strings.Join(ScenarioNames(), ", "))
}

// ScenarioNames names the stories that ship, the default first.
func ScenarioNames() []string {
	var names []string
	for _, scenario := range scenarios {
		names = append(names, scenario().Name)
	}
	return names
}

// Tell calls tell for each of the scenario's lines when its time has come, and returns after the last one. Lines
// whose time is over already come at once. It returns ctx's error when ctx ends first.
func (s Scenario) Tell(ctx context.Context, clock Clock, tell func(Line)) error {
	for _, line := range s.Lines {
		if err := clock.Wait(ctx, line.At); err != nil {
			return err
		}
		tell(line)
	}
	return nil
}

// total is the integral of rate from the beginning to the story time given. It never falls when time goes on, not
// even by a rounding.
func (s Scenario) total(rate func(Rates) float64, story time.Time) float64 {
	var total float64
	for i, phase := range s.Phases {
		until := story
		if i+1 < len(s.Phases) && s.Phases[i+1].From.Before(until) {
			until = s.Phases[i+1].From
		}
		if !until.After(phase.From) {
			break
		}
		total += rate(phase.Rates) * until.Sub(phase.From).Seconds()
	}
	return total
}

// running is the version of the artifact that runs at the story time, empty before its first.
func (s Scenario) running(artifact string, story time.Time) string {
	for _, version := range slices.Backward(s.Versions) {
		if version.Artifact == artifact && !version.From.After(story) {
			return version.Version
		}
	}
	return ""
}
