package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// queryable gives the engine the series.
type queryable struct {
	series []storage.Series // in the order of their labels
}

func newQueryable(series []Series, interval time.Duration) *queryable {
	sorted := slices.Clone(series)
	slices.SortFunc(sorted, func(a, b Series) int { return labels.Compare(a.Labels, b.Labels) })
	q := &queryable{}
	for _, s := range sorted {
		q.series = append(q.series, storage.NewListSeries(s.Labels, samples(s, interval)))
	}
	return q
}

func samples(s Series, interval time.Duration) []chunks.Sample {
	all := make([]sample, 0, len(s.Points))
	for i, p := range s.Points {
		if !p.Omitted {
			all = append(all, sample{int64(i) * interval.Milliseconds(), p.Value, p.Histogram})
		}
	}
	list := make([]chunks.Sample, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	return list
}

// Querier implements storage.Queryable. Every querier sees all of the time: the engine looks only where it asked for.
func (q *queryable) Querier(int64, int64) (storage.Querier, error) { return q, nil }

// Select implements storage.Querier.
func (q *queryable) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return &selection{matching: q.matching(matchers), at: -1}
}

func (q *queryable) matching(matchers []*labels.Matcher) []storage.Series {
	var all []storage.Series
	for _, s := range q.series {
		missed := slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels().Get(m.Name)) })
		if !missed {
			all = append(all, s)
		}
	}
	return all
}

// LabelValues implements storage.LabelQuerier.
func (q *queryable) LabelValues(_ context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values := map[string]bool{}
	for _, s := range q.matching(matchers) {
		if v := s.Labels().Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), nil, nil
}

// LabelNames implements storage.LabelQuerier.
func (q *queryable) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names := map[string]bool{}
	for _, s := range q.matching(matchers) {
		s.Labels().Range(func(l labels.Label) { names[l.Name] = true })
	}
	return slices.Sorted(maps.Keys(names)), nil, nil
}

// Close implements storage.LabelQuerier.
func (q *queryable) Close() error { return nil }

// selection is the series that a selector matches.
type selection struct {
	matching []storage.Series
	at       int
}

func (s *selection) Next() bool {
	s.at++
	return s.at < len(s.matching)
}

func (s *selection) At() storage.Series                { return s.matching[s.at] }
func (s *selection) Err() error                        { return nil }
func (s *selection) Warnings() annotations.Annotations { return nil }

// sample is a point of a series. Its histogram is given out as a copy: the engine reckons in what it gets.
type sample struct {
	t int64
	v float64
	h *histogram.FloatHistogram // nil: the point is a number
}

func (s *sample) T() int64                      { return s.t }
func (s *sample) ST() int64                     { return 0 }
func (s *sample) F() float64                    { return s.v }
func (s *sample) H() *histogram.Histogram       { return nil }
func (s *sample) FH() *histogram.FloatHistogram { return s.h.Copy() }

func (s *sample) Type() chunkenc.ValueType {
	if s.h != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func (s *sample) Copy() chunks.Sample {
	other := *s
	if s.h != nil {
		other.h = s.h.Copy()
	}
	return &other
}
