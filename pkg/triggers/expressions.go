package triggers

import "time"

// Expressions are what a condition asks of the source, with $range filled in: a query with or without its traffic, or the
// two of a ratio. Equal ones are asked once, by however many conditions and runbooks they are used.
type Expressions struct {
	Query, Traffic         string // Traffic may be empty
	Numerator, Denominator string // or these two
	ZeroBorn               bool
	Reads                  time.Duration // the range that each point adds up
}

// Expressions gives what the condition asks of its signal.
func (c *Condition) Expressions(s *Signal) Expressions {
	x := Expressions{Reads: c.RangeOf(s)}
	expand := func(text string) string {
		if text == "" {
			return ""
		}
		return Expand(text, x.Reads)
	}
	if s.IsRatio() {
		x.Numerator, x.Denominator, x.ZeroBorn = expand(s.Numerator), expand(s.Denominator), s.ZeroBorn
		return x
	}
	x.Query, x.Traffic = expand(s.Query), expand(s.Traffic)
	return x
}

// List gives the expressions to be asked, in the order in which Points takes their answers.
func (x Expressions) List() []string {
	switch {
	case x.Query == "":
		return []string{x.Numerator, x.Denominator}
	case x.Traffic == "":
		return []string{x.Query}
	}
	return []string{x.Query, x.Traffic}
}

// Shape is what the points are.
func (x Expressions) Shape() Shape {
	return Shape{Ratio: x.Query == "", Traffic: x.Traffic != "", Reads: x.Reads}
}

// Points joins the samples of one tick, those of each expression in the order of List.
func (x Expressions) Points(samples [][]Sample) []Point {
	switch {
	case x.Query == "":
		return Share(samples[0], samples[1], x.ZeroBorn)
	case x.Traffic == "":
		return Values(samples[0])
	}
	return Measured(samples[0], samples[1])
}
