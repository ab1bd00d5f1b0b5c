package demo

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// family is a metric: its name, its type and help in the exposition, and its series.
type family struct {
	name   string
	kind   string // counter, gauge, histogram
	help   string
	series []series
}

// series is one series of a family. A histogram's are its buckets, sums and counts.
type series struct {
	name   string
	labels labels.Labels
	// at gives the value at a story time; false where the series doesn't exist then.
	at func(story time.Time) (float64, bool)
}

// families gives all that the bot exposes. Counters are born with the bot, at 0, for every label value that they will
// ever have: an increase over the birth of a counter is lost.
func families(scenario Scenario) []family {
	return []family{
		{"llm_requests_total", "counter", "Chat requests by outcome: answered, or refused by the safety layer.", requests(scenario)},
		{"llm_request_duration_seconds", "histogram", "Time from a request to its last token.", durations(scenario)},
		{"llm_answers_total", "counter", "Answers given, by the verdict of the output judge.", answers(scenario)},
		{"llm_tokens_total", "counter", "Tokens read and written by the model.", tokens(scenario)},
		{"support_conversations_total", "counter", "Conversations closed: deflected, or escalated to a person.", conversations(scenario)},
		{"llm_artifact_info", "gauge", "The versions that are running; always 1.", artifacts(scenario)},
	}
}

// counter is a series that grows at a rate.
func (s Scenario) counter(name string, rate func(Rates) float64, pairs ...string) series {
	pairs = append([]string{"service", s.Service}, pairs...)
	at := func(story time.Time) (float64, bool) { return s.total(rate, story), true }
	return series{name: name, labels: labels.FromStrings(pairs...), at: at}
}

func requests(s Scenario) []series {
	const name = "llm_requests_total"
	var all []series
	for _, segment := range s.Segments {
		ok := func(r Rates) float64 { return r.Requests * segment.Share * (1 - r.Refused) }
		refused := func(r Rates) float64 { return r.Requests * segment.Share * r.Refused }
		all = append(all,
			s.counter(name, ok, "tier", segment.Tier, "language", segment.Language, "outcome", "ok"),
			s.counter(name, refused, "tier", segment.Tier, "language", segment.Language, "outcome", "refused"))
	}
	return all
}

func durations(s Scenario) []series {
	const name = "llm_request_duration_seconds"
	var all []series
	for _, tier := range tiers(s) {
		rate := func(r Rates) float64 { return r.Requests * tier.Share }
		for i, edge := range latencyEdges {
			within := func(r Rates) float64 { return rate(r) * r.Latency[i] }
			all = append(all, s.counter(name+"_bucket", within, "tier", tier.Tier, "le", bucketEdge(edge)))
		}
		sum := func(r Rates) float64 { return rate(r) * r.Latency.mean() }
		all = append(all,
			s.counter(name+"_bucket", rate, "tier", tier.Tier, "le", "+Inf"),
			s.counter(name+"_sum", sum, "tier", tier.Tier),
			s.counter(name+"_count", rate, "tier", tier.Tier))
	}
	return all
}

// tiers adds the segments up over their languages.
func tiers(s Scenario) []Segment {
	var all []Segment
	for _, segment := range s.Segments {
		i := slices.IndexFunc(all, func(tier Segment) bool { return tier.Tier == segment.Tier })
		if i < 0 {
			all = append(all, Segment{Tier: segment.Tier, Share: segment.Share})
			continue
		}
		all[i].Share += segment.Share
	}
	return all
}

// bucketEdge writes an edge as Prometheus stores it ("1.0"), whatever a target wrote. History writes around the
// scraper, and must give the same series.
func bucketEdge(edge float64) string {
	text := strconv.FormatFloat(edge, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

func answers(s Scenario) []series {
	const name = "llm_answers_total"
	answered := func(r Rates) float64 { return r.Requests * (1 - r.Refused) }
	return []series{
		s.counter(name, func(r Rates) float64 { return answered(r) * (1 - r.Unsafe) }, "verdict", "safe"),
		s.counter(name, func(r Rates) float64 { return answered(r) * r.Unsafe }, "verdict", "unsafe"),
	}
}

func tokens(s Scenario) []series {
	const name = "llm_tokens_total"
	return []series{
		s.counter(name, func(r Rates) float64 { return r.Requests * r.InputTokens }, "direction", "input"),
		s.counter(name, func(r Rates) float64 { return r.Requests * r.OutputTokens }, "direction", "output"),
	}
}

func conversations(s Scenario) []series {
	const name = "support_conversations_total"
	return []series{
		s.counter(name, func(r Rates) float64 { return r.Conversations * r.Deflected }, "outcome", "deflected"),
		s.counter(name, func(r Rates) float64 { return r.Conversations * (1 - r.Deflected) }, "outcome", "escalated"),
	}
}

// artifacts gives a series for each version that ever runs; it exists only while that version runs.
func artifacts(s Scenario) []series {
	var all []series
	seen := map[Version]bool{}
	for _, version := range s.Versions {
		version.From = time.Time{}
		if seen[version] {
			continue
		}
		seen[version] = true
		at := func(story time.Time) (float64, bool) {
			return 1, s.running(version.Artifact, story) == version.Version
		}
		pairs := []string{"service", s.Service, "artifact", version.Artifact, "version", version.Version}
		all = append(all, series{name: "llm_artifact_info", labels: labels.FromStrings(pairs...), at: at})
	}
	return all
}

// exposition renders the metrics of a story time in Prometheus' text format 0.0.4.
func (b *Bot) exposition(story time.Time) []byte {
	var text []byte
	for _, family := range b.families {
		text = append(text, "# HELP "+family.name+" "+family.help+"\n# TYPE "+family.name+" "+family.kind+"\n"...)
		for _, series := range family.series {
			value, ok := series.at(story)
			if !ok {
				continue
			}
			text = append(text, series.name...)
			text = appendLabels(text, series.labels)
			text = append(text, ' ')
			text = strconv.AppendFloat(text, value, 'g', -1, 64)
			text = append(text, '\n')
		}
	}
	return text
}

// labelEscaper escapes a label's value for the text format.
var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func appendLabels(text []byte, set labels.Labels) []byte {
	separator := byte('{')
	set.Range(func(l labels.Label) {
		text = append(text, separator)
		text = append(text, l.Name+`="`+labelEscaper.Replace(l.Value)+`"`...)
		separator = ','
	})
	return append(text, '}')
}
