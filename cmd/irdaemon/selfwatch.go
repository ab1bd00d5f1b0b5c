package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/watchdog"
)

const (
	tellAfter   = time.Minute      // of what is stuck
	pollLate    = 30 * time.Second // the outbox is read every second
	writeWithin = 5 * time.Second

	unheardNamed = 5 // of the incidents that nobody hears
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
			{Kind: incident.TroubleUnheard, Look: d.callUnheard, Vital: true},
			{Kind: incident.TroubleSettings, Look: d.settingsRefused, After: tellAfter},
		},
		Desk: d.desk, Caller: d.notifier, Instance: settings.Instance, Now: time.Now, Log: d.log, Registry: d.registry,
	}
	if h := settings.Heartbeat; h != nil {
		c.Heartbeat = &watchdog.Heartbeat{URLFile: h.URLFile, Every: h.Every}
	}
	return watchdog.New(c)
}

// blind says which signals are not answered.
func (d *daemon) blind(context.Context) string {
	status := d.evaluator.Status()
	if status.Tick.IsZero() {
		return "" // that is being stuck
	}
	return strings.Join(status.Blind(), "; ")
}

// stuck says that no tick was decided when it was due.
func (d *daemon) stuck(context.Context) string {
	settings := &d.options.Config.Settings
	since := d.evaluator.Status().Tick
	if since.IsZero() {
		since = d.began
	}
	if late := time.Since(since); late > 3*settings.Interval+settings.QueryOffset {
		return fmt.Sprintf("no tick has been decided since %s; one is due every %s", since.UTC().Format("15:04:05 UTC"), settings.Interval)
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

// callUnheard names the incidents that call and that nobody hears: no role in their whole ladder has a receiver.
func (d *daemon) callUnheard(ctx context.Context) string {
	open, err := d.desk.Open(ctx)
	if err != nil {
		return "" // that is a trouble of the store
	}
	var unheard []string
	for _, r := range open {
		if r.Class != incident.Self && r.Round != nil && r.Round.Calling && len(r.Round.Receivers) == 0 {
			unheard = append(unheard, fmt.Sprintf("#%d (%s)", r.Number, r.Findings[0].Name))
		}
	}
	switch n := len(unheard); {
	case n == 0:
		return ""
	case n > unheardNamed:
		unheard = append(unheard[:unheardNamed], count(n-unheardNamed, "other"))
	}
	return "nobody is called for " + strings.Join(unheard, ", ") + ": no role in the whole ladder has a receiver"
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
