package triggers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// Use is where in a runbook a clause stands: not every key means something everywhere.
type Use string

// The uses of conditions.
const (
	InTrigger  Use = "a trigger"
	InRubric   Use = "the severity rubric"
	InRecovery Use = "recovery"
	InEffect   Use = "the effect of a rollback"
)

// maxWidenTo bounds how far a thin segment's counts are added up.
const maxWidenTo = 6 * time.Hour

// Resolve finishes the conditions of a clause now that the signals are known: it reads the limits in the signals'
// units, and notes what doesn't fit together. Without any signals (nil) it checks what can be checked without them; a nil entry is a
// signal whose file could not be read, and nothing is said about it.
func Resolve(clause *Clause, signals map[string]*Signal, use Use) {
	for _, c := range clause.Conditions() {
		if c.source.Exists() {
			c.resolve(signals, use)
		}
	}
}

// Settle forgets the documents that the conditions came from. What is left survives JSON unchanged.
func Settle(clause *Clause) {
	for _, c := range clause.Conditions() {
		c.source = document.Value{}
		if math.IsNaN(c.Limit) {
			c.Limit = 0
		}
	}
}

// At is where a key of the condition stands in its file, until Settle.
func (c *Condition) At(key string) document.Place {
	if !c.source.Exists() {
		return c.Place
	}
	return c.source.Key(key)
}

// RangeOf is the range with which the condition asks for its signal.
func (c *Condition) RangeOf(s *Signal) time.Duration {
	if c.Range > 0 {
		return c.Range
	}
	return s.Range
}

func (c *Condition) resolve(signals map[string]*Signal, use Use) {
	s := c.find(signals)
	if s != nil {
		c.Unit, c.Worse = s.Unit, s.Worse
	}
	c.compare()
	if c.Signal == BlastRadius {
		c.checkBlastRadius(use)
	} else {
		c.checkKeys(s, use)
		c.checkLabels(s)
	}
	c.readClearsLimit()
}

// find gives the signal, nil where it is unknown or no signals are at hand.
func (c *Condition) find(signals map[string]*Signal) *Signal {
	if c.Signal == BlastRadius {
		return &Signal{Name: BlastRadius, Unit: Ratio}
	}
	s, known := signals[c.Signal]
	if !known && signals != nil && c.Signal != "" {
		UnknownSignal(c.source.Get("signal"), c.Signal, signals)
	}
	return s
}

// UnknownSignal notes that there is no signal of a name, with the nearest one there is.
func UnknownSignal(v document.Value, name string, signals map[string]*Signal) {
	names := slices.Sorted(maps.Keys(signals))
	v.Error("unknown signal `"+name+"`", Suggest(name, names, "no signal is loaded"))
}

// Suggest tells which names there are, the nearest first.
func Suggest(name string, names []string, none string) string {
	const most = 12
	if len(names) == 0 {
		return none
	}
	text := ""
	if nearest := document.Nearest(name, names); nearest != "" {
		text = "did you mean " + nearest + "? "
	}
	shown := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		shown += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text + "there are " + shown
}

// compare reads the one comparison of the condition.
func (c *Condition) compare() {
	var written []string
	for _, name := range comparisons {
		if c.source.Has(string(name)) {
			written = append(written, string(name))
		}
	}
	switch {
	case !c.source.IsMap():
		return
	case len(written) == 0:
		c.source.Error("no comparison", "one of above, below, between, rises, falls, within, absent")
		return
	case len(written) > 1:
		c.source.Error("several comparisons: "+strings.Join(written, ", "), "one a condition; write two conditions under all: or any:")
		return
	}
	c.Comparison = Comparison(written[0])
	v := c.source.Get(written[0])
	switch c.Comparison {
	case Above, Below:
		if read, ok := c.Unit.Read(v); ok {
			c.Limit = read
		} else {
			c.Limit = math.NaN() // nothing is past it, so nothing is said of what depends on it
		}
	case Between:
		c.readBand(v)
	case Rises:
		document.Into(&c.Limit, document.Value.Multiple)(v)
	case Falls, Within:
		document.Into(&c.Limit, aboveZero)(v)
	case Absent:
		if yes, ok := v.Bool(); ok && !yes {
			v.Error("absent: false asks for nothing", "absent: true")
		}
	}
	if delta := c.source.Get("min_delta"); delta.Exists() {
		if read, ok := c.Unit.Read(delta); ok && read <= 0 {
			delta.Error("asks for nothing", "a difference above 0 in the unit of the signal")
		} else {
			c.MinDelta = read
		}
	}
}

func (c *Condition) readBand(v document.Value) {
	var ends []float64
	read := 0
	ok := v.Items(func(item document.Value) {
		read++
		if end, ok := c.Unit.Read(item); ok {
			ends = append(ends, end)
		}
	})
	switch {
	case !ok || len(ends) < read && read == 2:
	case read != 2:
		v.Error(fmt.Sprintf("between has %d ends", read), "two, the lower first: between: [35%, 60%]")
	case ends[0] >= ends[1]:
		v.Error("the lower end is not below the upper one", "the lower first: between: [35%, 60%]")
	default:
		c.Low, c.High = ends[0], ends[1]
	}
}

// Read reads a limit in the unit. Durations are allowed for seconds, 15% for shares. The empty unit is not known.
func (u Unit) Read(v document.Value) (float64, bool) {
	switch u {
	case Ratio:
		return v.Share()
	case Seconds:
		return readSeconds(v)
	case "":
		return readAny(v)
	}
	if text, ok := v.Optional(); !ok {
		return 0, false
	} else if strings.HasSuffix(text, "%") {
		v.Error("`"+text+"` is a share, the signal's unit is "+string(u), "a number")
		return 0, false
	}
	return v.Number()
}

func readSeconds(v document.Value) (float64, bool) {
	const allowed = "a duration such as 5s or 26h, or a number of seconds"
	text, ok := v.Optional()
	if !ok {
		return 0, false
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d).Seconds(), true
	}
	if f, ok := document.ParseShare(text); ok && !strings.HasSuffix(text, "%") {
		return f, true
	}
	v.Error("`"+text+"` is no time", allowed)
	return 0, false
}

// readAny takes whatever is a limit in some unit: the signal is not at hand.
func readAny(v document.Value) (float64, bool) {
	text, ok := v.Optional()
	if !ok {
		return 0, false
	}
	if f, ok := document.ParseShare(text); ok {
		return f, true
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d).Seconds(), true
	}
	v.Error("`"+text+"` is no limit", "a number, a share such as 15%, or a duration such as 5s")
	return 0, false
}

// checkBlastRadius refuses what the built-in signal knows nothing of.
func (c *Condition) checkBlastRadius(use Use) {
	if use != InRubric {
		c.source.Get("signal").Error("blast_radius is a signal of an open incident", "it stands in the severity rubric only")
		return
	}
	for _, key := range c.source.Keys() {
		switch key {
		case "signal", "above", "below", "between", "<<":
		default:
			c.source.Report().Error(c.source.Key(key), "blast_radius takes no "+key, "signal and one of above, below, between")
		}
	}
}

// keyRule says with what a key goes.
type keyRule struct {
	key     string
	fits    func(c *Condition, s *Signal, use Use) bool
	what    string
	allowed string
}

var keyRules = []keyRule{
	{"by", func(_ *Condition, s *Signal, _ Use) bool { return s.IsRatio() },
		"by adds up counts, and the signal is a query", "leave it out, or write the signal as a ratio"},
	{"min_traffic", func(_ *Condition, s *Signal, _ Use) bool { return s.Traffic != "" },
		"the signal is no query with traffic", "min_traffic needs a query with traffic; a ratio counts its own events"},
	{"confidence", func(_ *Condition, s *Signal, use Use) bool {
		return s.IsRatio() && (use == InTrigger || use == InRecovery)
	},
		"confidence has nothing to do here", "it goes with ratios, in a trigger or under recovery"},
	{"widen_to", func(_ *Condition, s *Signal, use Use) bool { return s.IsRatio() && use == InTrigger },
		"widen_to has nothing to do here", "it goes with ratios, in a trigger"},
	{"range", func(_ *Condition, s *Signal, _ Use) bool { return s.HasRange },
		"no expression of the signal names $range", "write $range in the signal, or leave range out"},
	{"min_delta", func(c *Condition, _ *Signal, _ Use) bool { return c.Comparison == Rises || c.Comparison == Falls },
		"min_delta bounds a change", "it goes with rises or falls"},
	{"baseline", func(c *Condition, _ *Signal, _ Use) bool { return c.Comparison != Between && c.Comparison != Absent },
		"nothing is compared with the baseline", "it goes with rises, falls, within, above, below"},
	{"clears", func(c *Condition, _ *Signal, use Use) bool {
		return use == InTrigger && (c.Comparison == Above || c.Comparison == Below)
	}, "clears says when a trigger is over", "it goes with above or below, in a trigger"},
}

// checkKeys notes keys that don't go with the condition's comparison, its signal, or its use.
func (c *Condition) checkKeys(s *Signal, use Use) {
	known := s
	if s == nil { // anything may be true of a signal that is not at hand
		known = &Signal{Numerator: "?", Traffic: "?", HasRange: true}
	}
	for _, rule := range keyRules {
		if c.source.Has(rule.key) && c.Comparison != "" && !rule.fits(c, known, use) {
			c.source.Report().Error(c.source.Key(rule.key), rule.what, rule.allowed)
		}
	}
	switch c.Comparison {
	case Rises, Falls, Within:
		if !c.source.Has("baseline") {
			c.source.Report().Error(c.source.Key(string(c.Comparison)), "there is nothing to compare with", "a baseline beside it, such as baseline: {last: 1d}")
		}
	}
	if v := c.source.Get("min_traffic"); v.Exists() && c.MinTraffic < 0 {
		v.Error("traffic is never below 0", "a number of events above 0")
	}
	if s != nil {
		c.checkWidenTo(s)
	}
}

func (c *Condition) checkWidenTo(s *Signal) {
	least := 6 * c.RangeOf(s)
	if c.WidenTo > 0 && (c.WidenTo < least || c.WidenTo > maxWidenTo) {
		c.source.Get("widen_to").Error("out of bounds", fmt.Sprintf("from six times the range, %s, to %s", model.Duration(least), model.Duration(maxWidenTo)))
	}
}

// checkLabels notes labels that the signal is known not to carry: such a condition would look at nothing, for ever.
func (c *Condition) checkLabels(s *Signal) {
	if s == nil || s.Labels == nil {
		return
	}
	carried := "the signal carries " + strings.Join(s.Labels, ", ")
	if len(s.Labels) == 0 {
		carried = "the signal carries no label"
	}
	for _, name := range slices.Sorted(maps.Keys(c.Where)) {
		if !slices.Contains(s.Labels, name) && !slices.Contains(c.Where[name], "") {
			c.source.Report().Error(c.source.Get("where").Key(name), s.Name+" has no label "+name, carried)
		}
	}
	for _, name := range c.By {
		if !slices.Contains(s.Labels, name) {
			c.source.Get("by").Error(s.Name+" has no label "+name, carried)
		}
	}
}

// readClearsLimit reads the limit of clears, which lies on the good side of the trigger's own.
func (c *Condition) readClearsLimit() {
	v := c.source.Get("clears")
	if c.Clears == nil || c.Comparison != Above && c.Comparison != Below {
		return
	}
	good, bad := Below, Above
	if c.Comparison == Below {
		good, bad = Above, Below
	}
	if v.Has(string(bad)) {
		v.Report().Error(v.Key(string(bad)), "clears on the bad side", "beside "+string(bad)+" it is clears: {"+string(good)+": …}")
		return
	}
	limit := v.Get(string(good))
	if !limit.Exists() {
		if v.IsMap() && !v.Has("for") {
			v.Error("is empty", "clears: {"+string(good)+": …, for: 5m}")
		}
		return
	}
	read, ok := c.Unit.Read(limit)
	if !ok {
		return
	}
	if good == Below && read > c.Limit || good == Above && read < c.Limit {
		limit.Error("is past the limit of the trigger itself", string(good)+" at most "+FormatLimit(c.Unit, c.Limit))
		return
	}
	c.Clears.Comparison, c.Clears.Limit = good, read
}
