package watchdog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// house is a world for a watchdog: a desk, people past it, and one thing that can be wrong.
type house struct {
	mu     sync.Mutex
	wrong  string
	hangs  chan struct{}
	desk   error // what the desk answers
	people error // what the people past it answer
	told   []string
	began  time.Time
}

func (h *house) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text = fmt.Sprintf("%s %s", time.Since(h.began).Truncate(time.Second), text)
	if len(h.told) == 0 || h.told[len(h.told)-1] != text {
		h.told = append(h.told, text)
	}
}

func (h *house) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// Trouble implements Desk. Each text is noted once.
func (h *house) Trouble(_ context.Context, kind, text string) error {
	h.mu.Lock()
	err := h.desk
	known := slices.ContainsFunc(h.told, func(line string) bool { return strings.HasSuffix(line, " trouble "+kind+": "+text) })
	h.mu.Unlock()
	if err == nil && !known {
		h.say("trouble " + kind + ": " + text)
	}
	return err
}

// TroubleOver implements Desk.
func (h *house) TroubleOver(_ context.Context, kind string) error {
	h.mu.Lock()
	err := h.desk
	h.mu.Unlock()
	if err == nil {
		h.say("over " + kind)
	}
	return err
}

// Call implements Caller.
func (h *house) Call(_ context.Context, key, _, text string, over bool) error {
	h.mu.Lock()
	err := h.people
	h.mu.Unlock()
	h.say(fmt.Sprintf("call %s %q over %t: %v", key, text, over, err))
	return err
}

// look is the check.
func (h *house) look(ctx context.Context) string {
	h.mu.Lock()
	wrong, hangs := h.wrong, h.hangs
	h.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
		}
	}
	return wrong
}

// Lines are what was told so far.
func (h *house) lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// live runs a watchdog in virtual time while a story is played.
func live(t *testing.T, beat http.RoundTripper, story func(h *house, w *Watchdog)) *observer.ObservedLogs {
	core, logs := observer.New(zap.DebugLevel)
	synctest.Test(t, func(t *testing.T) {
		h := &house{began: time.Now()}
		config := Config{
			Checks: []Check{{Kind: "stuck", After: 30 * time.Second, Vital: true, Look: h.look}},
			Desk:   h, Caller: h, Instance: "test", Now: time.Now, Log: zap.New(core), Registry: prometheus.NewPedanticRegistry(),
		}
		if beat != nil {
			file := filepath.Join(t.TempDir(), "heartbeat")
			if err := os.WriteFile(file, []byte("https://beats.example/secret-canary\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			config.Heartbeat = &Heartbeat{URLFile: file, Every: time.Minute, Transport: beat}
		}
		w := New(config)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(time.Second)
		story(h, w)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return logs
}

func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

func TestWhatLastsIsTold(t *testing.T) {
	live(t, nil, func(h *house, w *Watchdog) {
		h.set(func() { h.wrong = "no tick for 25s" })
		time.Sleep(20 * time.Second)
		h.set(func() { h.wrong = "" })
		time.Sleep(time.Minute) // too short: nobody heard of it
		h.set(func() { h.wrong = "no tick for 1m" })
		time.Sleep(40 * time.Second)
		if n := testutil.ToFloat64(w.troubled); n != 1 {
			t.Errorf("the metric says %v", n)
		}
		h.set(func() { h.wrong = "" })
		time.Sleep(10 * time.Second)
		sameLines(t, h.lines(), []string{"30s over stuck", "1m55s trouble stuck: no tick for 1m", "2m5s over stuck"})
	})
}

func TestACheckThatHangsIsWhatIsWrong(t *testing.T) {
	live(t, nil, func(h *house, w *Watchdog) {
		hangs := make(chan struct{})
		h.set(func() { h.hangs = hangs })
		time.Sleep(time.Minute)
		if wrong := w.Wrong(); len(wrong) != 1 || !strings.Contains(wrong[0], "it has not answered since") {
			t.Errorf("wrong: %q", wrong)
		}
		close(hangs)
		h.set(func() { h.hangs = nil })
		time.Sleep(10 * time.Second)
		if wrong := w.Wrong(); len(wrong) != 0 {
			t.Errorf("wrong still: %q", wrong)
		}
		if lines := h.lines(); len(lines) != 2 || !strings.Contains(lines[0], "trouble stuck: it has not answered") {
			t.Errorf("told %q", lines)
		}
	})
}

func TestPeopleAreCalledPastAStoreThatCannotKeepATrouble(t *testing.T) {
	live(t, nil, func(h *house, _ *Watchdog) {
		h.set(func() {
			h.wrong, h.desk, h.people = "the disk is full", errors.New("disk full"), errors.New("no answer")
		})
		time.Sleep(100 * time.Second)
		h.set(func() { h.people = nil })
		time.Sleep(3 * time.Minute)
		h.set(func() { h.wrong, h.desk = "", nil })
		time.Sleep(10 * time.Second)
		const key = `irdaemon/test/self/stuck/unkept-946684805`
		sameLines(t, h.lines(), []string{
			`35s call ` + key + ` "the disk is full" over false: no answer`,
			`1m35s call ` + key + ` "the disk is full" over false: no answer`,
			`2m35s call ` + key + ` "the disk is full" over false: <nil>`,
			`4m45s call ` + key + ` "" over true: <nil>`,
			"4m45s over stuck",
		})
	})
}

func TestAfterAStartATroubleThatWasOpenEndsOnceAllHasBeenWell(t *testing.T) {
	live(t, nil, func(h *house, _ *Watchdog) { // the process before left it open
		time.Sleep(20 * time.Second)
		h.set(func() { h.wrong = "no tick for 25s" })
		time.Sleep(time.Minute)
		sameLines(t, h.lines(), []string{"55s trouble stuck: no tick for 25s"})
	})
}

func TestADaemonThatCrashesAtEveryStartSendsNoHeartbeat(t *testing.T) {
	switchboard := &beats{status: 200}
	for range 5 {
		core, _ := observer.New(zap.DebugLevel)
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "heartbeat")
			if err := os.WriteFile(file, []byte("https://beats.example/x"), 0o600); err != nil {
				t.Fatal(err)
			}
			h := &house{began: time.Now(), wrong: "no tick has been decided since the start"}
			w := New(Config{
				Checks: []Check{{Kind: "stuck", After: time.Minute, Vital: true, Look: h.look}}, Desk: h, Now: time.Now,
				Log: zap.New(core), Registry: prometheus.NewPedanticRegistry(),
				Heartbeat: &Heartbeat{URLFile: file, Every: time.Minute, Transport: switchboard},
			})
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	if len(switchboard.at) != 0 {
		t.Errorf("%d beats", len(switchboard.at))
	}
}

// beats answers heartbeats.
type beats struct {
	mu     sync.Mutex
	at     []time.Duration
	began  time.Time
	status int
	err    error
}

// RoundTrip implements http.RoundTripper.
func (b *beats) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.began.IsZero() {
		b.began = time.Now()
	}
	b.at = append(b.at, time.Since(b.began))
	if b.err != nil {
		return nil, b.err
	}
	return &http.Response{StatusCode: b.status, Status: fmt.Sprint(b.status), Body: io.NopCloser(strings.NewReader("OK")), Request: r}, nil
}

func TestTheHeartbeatStopsWhileAnythingVitalIsWrong(t *testing.T) {
	switchboard := &beats{status: 200}
	logs := live(t, switchboard, func(h *house, w *Watchdog) {
		time.Sleep(2 * time.Minute) // beats at 0, 1 and 2 minutes
		if at := testutil.ToFloat64(w.lastBeat); at != float64(time.Now().Add(-time.Second).Unix()) {
			t.Errorf("the last beat at %v", at)
		}
		h.set(func() { h.wrong = "no tick" }) // at once, before anybody is told
		time.Sleep(2 * time.Minute)
		h.set(func() { h.wrong = "" })
		time.Sleep(time.Minute + time.Second)
		switchboard.mu.Lock()
		defer switchboard.mu.Unlock()
		want := []time.Duration{0, time.Minute, 2 * time.Minute, 5 * time.Minute}
		if !slices.Equal(switchboard.at, want) {
			t.Errorf("beats at %v, want %v", switchboard.at, want)
		}
	})
	if n := logs.FilterMessage("no heartbeat").Len(); n != 1 {
		t.Errorf("its stop was logged %d times", n)
	}
}

func TestTheHeartbeatsAddressIsNeverTold(t *testing.T) {
	for name, switchboard := range map[string]*beats{
		"refused": {status: 404}, "unreachable": {err: errors.New("dial https://beats.example/secret-canary")},
	} {
		logs := live(t, switchboard, func(_ *house, w *Watchdog) {
			time.Sleep(time.Minute)
			if at := testutil.ToFloat64(w.lastBeat); at != 0 {
				t.Errorf("%s: counts as a beat", name)
			}
		})
		entries := logs.FilterMessage("no heartbeat").All()
		if len(entries) != 1 || strings.Contains(fmt.Sprint(entries[0].ContextMap()), "canary") {
			t.Errorf("%s: %v", name, entries)
		}
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	New(Config{Checks: []Check{{Kind: "stuck"}}, Registry: registry})
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
