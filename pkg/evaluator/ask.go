package evaluator

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// question is the ticks for which an expression is asked, both ends included.
type question struct {
	from, to time.Time
	step     time.Duration
}

func (q question) instant() bool { return q.from.Equal(q.to) }

// answer is what the source said to an expression.
type answer struct {
	source.Answer
	err error
}

// asked is an expression with the ticks for which it is asked. Equal ones are asked once.
type asked struct {
	expr string
	question
}

// ask puts all questions to the source, so many of them at once. It may be called beside a tick.
func (e *Evaluator) ask(ctx context.Context, questions map[asked]bool, atOnce int) map[asked]answer {
	type answered struct {
		asked
		answer
	}
	results := make(chan answered, len(questions))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for q := range questions {
		group.Go(func() error {
			results <- answered{q, e.askOne(ctx, q)}
			return nil
		})
	}
	_ = group.Wait() // the questions answer for themselves
	close(results)
	answers := make(map[asked]answer, len(questions))
	for r := range results {
		answers[r.asked] = r.answer
	}
	return answers
}

// mostPoints is how many points of a series are asked for at once: Prometheus refuses more than 11,000.
const mostPoints = 10_000

func (e *Evaluator) askOne(ctx context.Context, q asked) answer {
	if q.instant() {
		return e.heard(q.expr, func() (source.Answer, error) { return e.config.Source.Instant(ctx, q.expr, q.from) })
	}
	var whole answer
	for from := q.from; !from.After(q.to); from = from.Add(mostPoints * q.step) {
		to := from.Add((mostPoints - 1) * q.step)
		if to.After(q.to) {
			to = q.to
		}
		part := e.heard(q.expr, func() (source.Answer, error) { return e.config.Source.Range(ctx, q.expr, from, to, q.step) })
		if part.err != nil {
			return part
		}
		whole.Series = append(whole.Series, part.Series...)
	}
	return whole
}

// heard counts what the source answers, and logs what it warns of.
func (e *Evaluator) heard(expr string, ask func() (source.Answer, error)) answer {
	var a answer
	a.Answer, a.err = ask()
	e.metrics.observe(a)
	e.warn(expr, a.Warnings)
	return a
}

// fetch asks for whatever the feeds lack to decide tick, up to newest.
func (e *Evaluator) fetch(ctx context.Context, feeds []*feed, tick, newest time.Time) {
	need, questions := e.questions(feeds, tick, newest)
	if len(questions) == 0 {
		return
	}
	answers := e.ask(ctx, questions, e.config.Queries)
	if ctx.Err() != nil {
		return // cut short: neither answered nor refused
	}
	e.takeAnswers(tick, need, answers)
}

// questions gives what the feeds lack to decide tick, up to newest: by feed, and as they are put to the source.
func (e *Evaluator) questions(feeds []*feed, tick, newest time.Time) (need map[*feed]question, all map[asked]bool) {
	need, all = map[*feed]question{}, map[asked]bool{}
	for _, f := range feeds {
		q, ok := f.question(tick, newest, e.warm)
		if !ok {
			continue
		}
		need[f] = q
		for _, expr := range f.List() {
			all[asked{expr, q}] = true
		}
	}
	return need, all
}

// takeAnswers gives the feeds the answers to what they needed, and logs which signals are lost from sight or seen again.
func (e *Evaluator) takeAnswers(tick time.Time, need map[*feed]question, answers map[asked]answer) {
	now := e.config.Now()
	var lost, back []*feed
	for f, q := range need {
		own := map[string]answer{}
		for _, expr := range f.List() {
			own[expr] = answers[asked{expr, q}]
		}
		failed := f.err != nil
		f.take(tick, q, own, now)
		switch {
		case e.feeds[f.feedKey] != f: // of one that looks at the past the signal's own tells
		case f.spare:
			if f.err != nil && !failed {
				e.log.Warn("the traffic of a week before is not told; that of the hour before impact stands in", zap.String("signal", f.signal), zap.Error(f.err))
			}
		case f.err != nil && !failed:
			lost = append(lost, f)
		case f.err == nil && failed:
			back = append(back, f)
		}
	}
	e.tell(lost, back)
}
