package replay

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// coverage is what of the range an expression has points for.
type coverage struct {
	asked       int64 // ticks that the source was asked about
	known       int64 // of them with a point
	first, last int64 // of those
}

// count adds what a piece has of the range to the coverage.
func (t *tape) count(p *piece, last int64) {
	grid := t.grid
	last = min(p.last, last)
	if p.fresh > last {
		return
	}
	from, to := grid.Time(p.fresh).UnixMilli(), grid.Time(last).UnixMilli()
	seen := make([]bool, last-p.fresh+1)
	left := len(seen)
	for _, s := range p.series {
		for _, point := range between(s.Points, from, to) {
			if math.IsNaN(point.V) || math.IsInf(point.V, 0) {
				continue // no data, as in a window
			}
			if i := grid.Tick(time.UnixMilli(point.T)) - p.fresh; !seen[i] {
				seen[i] = true
				left--
			}
		}
		if left == 0 {
			break // the other series can add nothing
		}
	}
	t.asked += int64(len(seen))
	first := slices.Index(seen, true)
	if first < 0 {
		return
	}
	newest := len(seen) - 1
	for !seen[newest] {
		newest--
	}
	if t.known == 0 || p.fresh+int64(first) < t.first {
		t.first = p.fresh + int64(first)
	}
	t.last = max(t.last, p.fresh+int64(newest))
	t.known += int64(len(seen) - left)
}

// checkData refuses a range in which a signal that was asked for has no point at all.
func (h *history) checkData() error {
	var without []string
	for _, u := range h.config.uses() {
		c, asked := h.seen(u)
		if asked && c.known == 0 && c.asked < h.config.last()-h.config.first()+1 {
			// Only now and then was it asked for: there may be points at other times.
			if err := h.search(u); err != nil {
				return err
			}
			c, _ = h.seen(u)
		}
		if asked && c.known == 0 && !u.absence {
			without = append(without, fmt.Sprintf("%s (%s)", u.signal.Name, strings.Join(u.runbooks, ", ")))
		}
	}
	if len(without) == 0 {
		return nil
	}
	return fmt.Errorf("the source has no point between %s and %s of %s: what there is no data of looks healthy, so nothing is shown; look at the expressions, at the range and at how long the source keeps its data",
		stamp(h.config.From), stamp(h.config.To), strings.Join(without, ", "))
}

// search asks for all of the range, until there is a point.
func (h *history) search(u *use) error {
	for _, expr := range u.exprs {
		h.mu.Lock()
		t := h.tape(expr, h.config.Grid.Interval)
		t.begun = h.config.first() - 1
		t.pieces, t.coverage = nil, coverage{}
		h.mu.Unlock()
		for c := (chunk{h.config.first() - maxTicks, h.config.first() - 1}); c.last < h.config.last(); {
			c = chunk{c.last + 1, min(c.last+maxTicks, h.config.last())}
			h.mu.Lock()
			found, pieces := t.known > 0, []*piece(nil)
			if !found {
				pieces = h.cover(t, c)
			}
			h.mu.Unlock()
			if found {
				break
			}
			for _, p := range pieces {
				<-p.done
				if p.err != nil {
					return p.err
				}
			}
		}
	}
	return nil
}

// seen gives what the source has of a signal: of a ratio the numerator too, unless a missing one is 0. asked is false
// for what was never needed.
func (h *history) seen(u *use) (c coverage, asked bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, expr := range u.exprs {
		if u.signal.ZeroBorn && i < len(u.exprs)-1 {
			continue
		}
		own := h.coverage(expr)
		if own.asked == 0 {
			return coverage{}, false
		}
		if !asked || own.known < c.known {
			c = own
		}
		asked = true
	}
	return c, asked
}

// coverage is that of the expression or of its greatest or least value: whichever was asked for more.
func (h *history) coverage(expr string) coverage {
	var c coverage
	for _, e := range []string{expr, greatest(expr), least(expr)} {
		if t := h.tapes[tapeKey{e, h.config.Grid.Interval}]; t != nil && t.asked > c.asked {
			c = t.coverage
		}
	}
	return c
}
