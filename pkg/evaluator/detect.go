package evaluator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/source"
)

// Detect is an info metric that shows which versions of artifacts run: one series a version, with the number of
// instances that run it.
type Detect struct {
	Query  string
	Labels changes.Labels
}

// Changes keeps what the metrics show of changes. The same change may be handed over again, under the same id: what
// became of it since, or what a restart found anew.
type Changes interface {
	Detected(ctx context.Context, found []changes.Change) error
}

const (
	// patience is how long a tick waits for the versions after its own questions were answered: a change and what fires
	// because of it should meet, but nobody is paged late for it.
	patience = time.Second
	// detectQueries is how many questions for versions are put to the source at once, beside those of the tick.
	detectQueries = 2
	// detectAgain is how long a question is left alone that the source refuses for what it is, or whose answer is too
	// large.
	detectAgain = 10 * time.Minute
	// recallChanges is how far back changes are of interest to anybody.
	recallChanges = 8 * 24 * time.Hour
)

// detection watches one info metric.
type detection struct {
	Detect
	detector *changes.Detector
	asking   chan detected // the question under way; nil: none
	waited   bool          // a tick has waited for it in vain
	series   []source.Series
	until    time.Time // series has the looks up to here; those that lie ahead of the tick are still to be taken
	notAgain time.Time // no question is put before it

	answered, failing time.Time
	problem           string // why the last question was not answered, or what was left out of the answer
}

// detected is the answer to a question for versions.
type detected struct {
	question
	answer
}

func newDetections(config *Config) []*detection {
	var all []*detection
	for _, d := range config.Detect {
		all = append(all, &detection{Detect: d, detector: changes.NewDetector(changes.Config{
			Labels: d.Labels, Grid: changes.LookGrid(config.Grid), Reach: config.DetectReach,
		})})
	}
	return all
}

// askVersions puts the questions for versions that tick t needs, and with them those of the ticks up to newest. It does
// not wait: whatever becomes of them, triggers are judged.
func (e *Evaluator) askVersions(ctx context.Context, t, newest time.Time) {
	look := changes.LookGrid(e.config.Grid)
	for _, d := range e.detections {
		from, target, ok := d.detector.Question(t)
		if !ok || d.asking != nil || !d.until.Before(target) || t.Before(d.notAgain) {
			continue
		}
		q := question{from: from, to: look.Floor(newest)}
		if !q.instant() {
			q.step = look.Interval
		}
		asking := make(chan detected, 1)
		d.asking, d.waited = asking, false
		go func() {
			select {
			case e.detectSlots <- struct{}{}:
				defer func() { <-e.detectSlots }()
			case <-ctx.Done():
				asking <- detected{q, answer{err: ctx.Err()}}
				return
			}
			asking <- detected{q, e.askOne(ctx, asked{d.Query, q})}
		}()
	}
}

// detectChanges takes the versions that were answered, and hands the changes that they show to whoever keeps them. An
// answer that is late is taken by a later tick.
func (e *Evaluator) detectChanges(ctx context.Context, t time.Time) {
	if len(e.detections) == 0 {
		return
	}
	var timeout <-chan time.Time
	if !e.config.Virtual {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		timeout = timer.C
	}
	for _, d := range e.detections {
		if d.asking != nil {
			timeout = e.await(ctx, d, t, timeout)
		}
		e.observeVersions(d, t)
	}
	e.keepChanges(ctx)
}

// await takes the answer to the question under way, if it comes in time. Where time is played it is waited for.
func (e *Evaluator) await(ctx context.Context, d *detection, t time.Time, timeout <-chan time.Time) <-chan time.Time {
	if d.waited {
		timeout = elapsed
	}
	select { // what is there already is taken, whatever the time
	case a := <-d.asking:
		e.takeVersions(d, a, t)
		return timeout
	default:
	}
	select {
	case a := <-d.asking:
		e.takeVersions(d, a, t)
	case <-timeout:
		d.waited = true
		return elapsed // none of the others is waited for any more
	case <-ctx.Done():
	}
	return timeout
}

// elapsed is a time that is over.
var elapsed = func() <-chan time.Time {
	over := make(chan time.Time)
	close(over)
	return over
}()

// takeVersions keeps an answer for the ticks that it was asked for.
func (e *Evaluator) takeVersions(d *detection, a detected, t time.Time) {
	d.asking = nil
	if a.err != nil {
		var known *source.Error
		if errors.As(a.err, &known) && (known.Reason == source.Query || known.Reason == source.Limit) {
			d.notAgain = t.Add(detectAgain)
		}
		if !errors.Is(a.err, context.Canceled) {
			e.tellDetection(d, a.err.Error(), reasonOf(a.err))
		}
		return
	}
	d.series, d.until, d.answered = a.Series, a.to, e.config.Now()
}

// observeVersions looks at the versions up to tick t, as far as they were answered.
func (e *Evaluator) observeVersions(d *detection, t time.Time) {
	from, to, ok := d.detector.Question(t)
	if !ok || d.until.Before(from) {
		return
	}
	if d.until.Before(to) {
		to = d.until
	}
	found, err := d.detector.Observe(to, d.series)
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if _, _, still := d.detector.Question(to); still { // it took nothing: the answer is too large
		d.series, d.until, d.notAgain = nil, time.Time{}, t.Add(detectAgain)
	}
	e.tellDetection(d, problem, problem)
	d.series = after(d.series, to)
	for _, c := range found {
		e.recent[c.ID], e.unkept[c.ID] = c, true
	}
}

// after gives the series with the points that come after a time, those that have any.
func after(series []source.Series, t time.Time) []source.Series {
	left := series[:0]
	for _, s := range series {
		n := 0
		for n < len(s.Points) && s.Points[n].T <= t.UnixMilli() {
			n++
		}
		if n < len(s.Points) {
			left = append(left, source.Series{Labels: s.Labels, Points: s.Points[n:]})
		}
	}
	clear(series[len(left):])
	return left
}

// tellDetection notes what is wrong with an info metric, and logs it once; empty: nothing is.
func (e *Evaluator) tellDetection(d *detection, problem, inShort string) {
	now := e.config.Now()
	switch {
	case problem == "" && d.problem != "":
		e.log.Info("changes of versions are seen again", zap.String("query", d.Query))
	case problem != "" && d.problem == "":
		e.log.Warn("changes of versions are not seen as they should be", zap.String("query", d.Query), zap.String("error", inShort))
	}
	if problem == "" {
		d.failing = time.Time{}
	} else if d.failing.IsZero() {
		d.failing = now
	}
	d.problem = problem
}

// keepChanges hands over what was found. What could not be kept is handed over again with the next tick, which goes on
// without it.
func (e *Evaluator) keepChanges(ctx context.Context) {
	for id, c := range e.recent {
		if e.config.Now().Sub(c.At) > recallChanges {
			delete(e.recent, id)
			delete(e.unkept, id)
		}
	}
	if len(e.unkept) == 0 || e.config.Changes == nil {
		clear(e.unkept)
		return
	}
	found := make([]changes.Change, 0, len(e.unkept))
	for id := range e.unkept {
		found = append(found, e.recent[id])
	}
	slices.SortFunc(found, func(a, b changes.Change) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	err := e.config.Changes.Detected(ctx, found)
	switch {
	case err == nil:
		clear(e.unkept)
		e.unkeptTold = false
	case ctx.Err() != nil || errors.Is(err, incident.ErrFenced):
	case !e.unkeptTold:
		e.unkeptTold = true
		e.log.Error("changes that were detected are not kept; tried again with each tick", zap.Int("changes", len(found)), zap.Error(err))
	}
}

func (e *Evaluator) detectStatus() []DetectStatus {
	var all []DetectStatus
	for _, d := range e.detections {
		all = append(all, DetectStatus{Query: d.Query, AnsweredAt: d.answered, Failing: d.failing, Error: d.problem})
	}
	return all
}
