package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/watchdog"
)

const (
	tellAfter   = time.Minute      // of what is stuck
	pollLate    = 30 * time.Second // the outbox is read every second
	writeWithin = 5 * time.Second
	unheardFor  = 30 * time.Second
)

// newWatchdog says what the daemon must be able to do. What is vital stops the heartbeat at once.
func (d *daemon) newWatchdog() *watchdog.Watchdog {
	settings := &d.options.Config.Settings
	c := watchdog.Config{
		Checks: []watchdog.Check{
			{Kind: incident.TroubleBlind, Look: d.blind, After: settings.BlindAfter},
			{Kind: incident.TroubleStuck, Look: d.stuck, After: tellAfter, Vital: true},
			{Kind: incident.TroubleStore, Look: d.unwritable, After: 30 * time.Second, Vital: true},
			{Kind: incident.TroublePaging, Look: d.pagingStuck, After: tellAfter, Vital: true},
			{Kind: incident.TroubleUndelivered, Look: d.undeliveredPages, Vital: true}, // after pageLate
			{Kind: incident.TroubleUnheard, Look: d.callUnheard, After: unheardFor, Vital: true},
			{Kind: incident.TroubleSettings, Look: d.settingsRefused, After: tellAfter},
		},
		Desk: d.desk, Caller: d.notifier, Instance: settings.Instance, Now: time.Now, Log: d.log, Registry: d.registry,
	}
	if h := settings.Heartbeat; h != nil {
		c.Heartbeat = &watchdog.Heartbeat{URLFile: h.URLFile, Every: h.Every}
	}
	return watchdog.New(c)
}

// blind says which signals are not answered, and of the first one why.
func (d *daemon) blind(context.Context) string {
	status := d.evaluator.Status()
	if status.Tick.IsZero() && status.Awaited == nil {
		return "" // that is being stuck
	}
	var unseen []string
	var first evaluator.SignalStatus
	for _, signal := range status.Signals {
		if signal.Error == "" {
			continue
		}
		if !slices.Contains(unseen, signal.Name) { // it is asked with several ranges
			unseen = append(unseen, signal.Name)
		}
		if first.Name == "" || signal.Failing.Before(first.Failing) {
			first = signal
		}
	}
	if len(unseen) == 0 {
		return strings.Join(status.Blind(), "; ")
	}
	return fmt.Sprintf("%s can't be seen since %s: %s", some(unseen), first.Failing.UTC().Format("15:04:05 UTC"), first.Error)
}

// some names a few of what may be many.
func some(all []string) string {
	const named = 5
	if others := len(all) - named; others > 0 {
		all = append(slices.Clone(all[:named]), count(others, "other"))
	}
	return strings.Join(all, ", ")
}

// stuck says that no tick was decided when it was due. Before the first one there is no heartbeat either: a daemon that
// crashes at every start must not calm anybody.
func (d *daemon) stuck(context.Context) string {
	settings, status := &d.options.Config.Settings, d.evaluator.Status()
	switch {
	case status.Awaited != nil:
		return "" // that is being blind
	case status.Tick.IsZero():
		return "no tick has been decided since the start, at " + d.began.UTC().Format("15:04:05 UTC")
	}
	if late := time.Since(status.Tick); late > 3*settings.Interval+settings.QueryOffset {
		return fmt.Sprintf("no tick has been decided since %s; one is due every %s", status.Tick.UTC().Format("15:04:05 UTC"), settings.Interval)
	}
	return ""
}

// unwritable says that nothing can be written to the store.
func (d *daemon) unwritable(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	if err := d.store.Writable(ctx); err != nil && ctx.Err() == nil {
		return "the store can't be written: " + err.Error()
	} else if err != nil {
		return fmt.Sprintf("the store did not take a write within %s", writeWithin)
	}
	return ""
}

// pagingStuck says that nobody looks for pages to send.
func (d *daemon) pagingStuck(context.Context) string {
	since := d.notifier.Polled()
	if since.IsZero() {
		since = d.began
	}
	if time.Since(since) > pollLate {
		return "the outbox has not been looked at since " + since.UTC().Format("15:04:05 UTC") + ": nobody is paged"
	}
	return ""
}

// undeliveredPages says that a page has been waiting for its receiver.
func (d *daemon) undeliveredPages(context.Context) string { return strings.Join(d.undelivered(), "; ") }

// callUnheard names the incidents that call and that nobody hears.
func (d *daemon) callUnheard(ctx context.Context) string {
	open, err := d.desk.Open(ctx)
	if err != nil {
		return "" // that is a trouble of the store
	}
	var unheard []string
	for _, r := range open {
		if r.Unheard() {
			unheard = append(unheard, fmt.Sprintf("#%d (%s)", r.Number, r.Findings[0].Name))
		}
	}
	if len(unheard) == 0 {
		return ""
	}
	return "nobody hears the call of " + some(unheard) + ": no receiver of the whole ladder takes the page"
}

// settingsRefused says that the files in force are not those that are there.
func (d *daemon) settingsRefused(context.Context) string {
	if why := d.refused.Load(); why != nil {
		return "the last reload was refused, the files loaded before stay in force: " + *why
	}
	return ""
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
