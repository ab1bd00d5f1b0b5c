package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/model/labels"
)

// PrometheusConfig says where an engine with Prometheus' HTTP API is and how it is asked.
type PrometheusConfig struct {
	// URL is what stands before /api/v1: http://prometheus:9090, https://mimir/prometheus. A query string is kept and
	// sent along. A user and password in it are sent as basic authentication and are never shown.
	URL string

	// HTTPClient is TLS, credentials, proxy and headers. Redirects are followed where it says so, and then only to
	// the same host and with the same method: another host would be given the credentials, and a POST that becomes
	// a GET loses its expression.
	HTTPClient config.HTTPClientConfig

	// Timeout bounds one query, its retry included; 10s by default. It belongs below the evaluation interval:
	// a query that outlives its tick makes the next one late.
	Timeout time.Duration

	// MaxSeries is how many series an answer may have; 0: any number. More is an error with Reason Limit,
	// never a shorter answer.
	MaxSeries int

	// Transport, when set, sends the requests instead of a transport made of HTTPClient. For tests.
	Transport http.RoundTripper
}

const defaultTimeout = 10 * time.Second

// Prometheus asks an engine over Prometheus' HTTP API. It is safe for concurrent use.
type Prometheus struct {
	instantURL, rangeURL string // with credentials, where the settings' URL has some: not to be shown
	client               *retryablehttp.Client
	timeout              time.Duration
	maxSeries            int
	compress             bool // ask for gzip: saves 12:1, and costs more than it saves on loopback
	memories             memories
	ahead                atomic.Int64 // nanoseconds by which the engine's clock was ahead of ours at its last answer
}

// NewPrometheus makes a client; it connects to nothing yet. An error says which setting is wrong, without its value.
func NewPrometheus(cfg PrometheusConfig) (*Prometheus, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		// The parser's error prints the URL, or parts of a password that it took for a port.
		return nil, errors.New("prometheus url: not an address; allowed is http://host:port or https://host:port, with a path where the engine has one")
	}
	if cfg.Timeout < 0 || cfg.MaxSeries < 0 {
		return nil, fmt.Errorf("prometheus: timeout %s and series limit %d must not be negative", cfg.Timeout, cfg.MaxSeries)
	}
	client, err := newClient(cfg, base.Host)
	if err != nil {
		return nil, fmt.Errorf("prometheus http_client: %s", firstLine(withoutURL(err)))
	}
	p := &Prometheus{
		instantURL: base.JoinPath("api/v1/query").String(),
		rangeURL:   base.JoinPath("api/v1/query_range").String(),
		timeout:    cfg.Timeout,
		maxSeries:  cfg.MaxSeries,
		compress:   !loopback(base.Hostname()),
		memories:   memories{maxSeries: max(rememberedSeries, 2*cfg.MaxSeries)},
	}
	if p.timeout == 0 {
		p.timeout = defaultTimeout
	}
	p.client = newRetrying(client, p.timeout)
	return p, nil
}

// rememberedSeries bounds the label sets kept for all expressions together, some 100 MB.
const rememberedSeries = 200_000

// Instant evaluates expr at t, a millisecond.
func (p *Prometheus) Instant(ctx context.Context, expr string, t time.Time) (Answer, error) {
	return p.ask(ctx, question{
		expr: expr, url: p.instantURL,
		form:   url.Values{"time": {seconds(t)}},
		want:   []resultKind{vectorResult, scalarResult},
		bounds: bounds{series: p.maxSeries},
	})
}

// maxPoints is how many points a series Prometheus gives at once.
const maxPoints = 11_000

// Range evaluates expr at from, from+step, … up to to. A range of more points than the engine gives at once is asked
// in pieces, one after the other, each with a Timeout of its own; if one fails, there is no answer.
func (p *Prometheus) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Answer, error) {
	if err := CheckRange(expr, from, to, step); err != nil {
		return Answer{}, err
	}
	joined := newJoin(expr, p.maxSeries)
	for !from.After(to) {
		last := from.Add((maxPoints - 1) * step)
		if last.After(to) {
			last = to
		}
		piece, err := p.ask(ctx, question{
			expr: expr, url: p.rangeURL,
			form:   url.Values{"start": {seconds(from)}, "end": {seconds(last)}, "step": {stepParameter(step)}},
			want:   []resultKind{matrixResult},
			bounds: bounds{series: p.maxSeries, points: int(last.Sub(from)/step) + 1},
		})
		if err != nil {
			return Answer{}, err
		}
		if err := joined.add(piece); err != nil {
			return Answer{}, err
		}
		from = last.Add(step)
		if last.Equal(to) {
			break
		}
	}
	return joined.answer, nil
}

// Ready asks the engine for a constant at its own present time, and returns why it cannot answer.
func (p *Prometheus) Ready(ctx context.Context) error {
	_, err := p.ask(ctx, question{
		expr: "vector(1)", url: p.instantURL, form: url.Values{},
		want: []resultKind{vectorResult}, bounds: bounds{series: 1},
	})
	return err
}

// ClockAhead is how far the engine's clock was ahead of ours at its last answer, to about a second; below zero it was
// behind. A daemon that asks about a time that the engine has not reached, or has long left, sees nothing.
func (p *Prometheus) ClockAhead() time.Duration { return time.Duration(p.ahead.Load()) }

func (p *Prometheus) noteClock(response *http.Response) {
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		p.ahead.Store(int64(date.Sub(time.Now().UTC().Truncate(time.Second))))
	}
}

// seconds writes a time as Prometheus' API takes it, exact to the millisecond.
func seconds(t time.Time) string {
	ms := t.UnixMilli()
	return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
}

// stepParameter writes whole seconds as a number and all else in milliseconds: a number with a fraction
// goes through a float64 in the engine and may come out a nanosecond short, and so a millisecond.
func stepParameter(step time.Duration) string {
	if step%time.Second == 0 {
		return strconv.FormatInt(int64(step/time.Second), 10)
	}
	return strconv.FormatInt(step.Milliseconds(), 10) + "ms"
}

// loopback reports whether the host is this machine, by its name alone.
func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// join puts the pieces of a long range together, series by series.
type join struct {
	expr      string
	maxSeries int
	places    map[string]int // in answer.Series, by the label set's bytes
	key       []byte
	answer    Answer
}

func newJoin(expr string, maxSeries int) *join {
	return &join{expr: expr, maxSeries: maxSeries}
}

// add takes the next piece. The first one is taken as it is: most ranges have no other.
func (j *join) add(piece Answer) error {
	if j.answer.Series == nil {
		j.answer.Series = piece.Series
	} else {
		for _, series := range piece.Series {
			j.addSeries(series)
		}
	}
	for _, warning := range piece.Warnings {
		if !slices.Contains(j.answer.Warnings, warning) {
			j.answer.Warnings = append(j.answer.Warnings, warning)
		}
	}
	if j.maxSeries > 0 && len(j.answer.Series) > j.maxSeries {
		return TooManySeries(j.expr, j.maxSeries)
	}
	return nil
}

func (j *join) addSeries(series Series) {
	if j.places == nil {
		j.places = make(map[string]int, len(j.answer.Series))
		for i, known := range j.answer.Series {
			j.places[string(j.bytes(known.Labels))] = i
		}
	}
	key := j.bytes(series.Labels)
	if i, ok := j.places[string(key)]; ok {
		known := &j.answer.Series[i]
		known.Points = append(known.Points, series.Points...)
		return
	}
	j.places[string(key)] = len(j.answer.Series)
	j.answer.Series = append(j.answer.Series, series)
}

func (j *join) bytes(set labels.Labels) []byte {
	j.key = set.Bytes(j.key)
	return j.key
}
