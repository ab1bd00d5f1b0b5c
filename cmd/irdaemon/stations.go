package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// station logs the stations of an incident on the railway. What a receiver took or refused is logged where it is sent.
func (d *daemon) station(r *incident.Record, events []incident.Event) {
	for _, e := range events {
		switch e.Body.(type) {
		case incident.PageDelivered, incident.PageFailed, incident.Noted:
			continue
		}
		d.log.Info(strings.ReplaceAll(e.Body.Kind(), "_", " "), d.stationFields(r, e)...)
	}
}

// nameOf is how the log calls an incident: #42, or the id of what has no number.
func nameOf(r *incident.Record) string {
	if r.Number > 0 {
		return fmt.Sprintf("#%d", r.Number)
	}
	return r.ID
}

func (d *daemon) stationFields(r *incident.Record, e incident.Event) []zap.Field {
	fields := []zap.Field{
		zap.String("incident", nameOf(r)), zap.String("runbook", r.Findings[0].Name),
		zap.String("severity", string(r.Severity)), zap.Time("at", e.At),
	}
	if group := r.Findings[0].Group; !group.IsEmpty() {
		fields = append(fields, zap.String("group", group.String()))
	}
	if e.Actor != incident.Daemon {
		fields = append(fields, zap.String("by", e.Actor))
	}
	switch body := e.Body.(type) {
	case incident.SeverityRaised:
		fields = append(fields, zap.String("from", string(body.From)), zap.String("rule", body.Rule))
	case incident.Paged:
		fields = append(fields, zap.Int("round", body.Round), zap.Int("step", body.Step), zap.Strings("roles", body.Roles),
			zap.Strings("receivers", body.Receivers), zap.Strings("causes", body.Causes))
	case incident.HoldBroken:
		fields = append(fields, zap.String("why", body.Why), zap.String("band", body.Band))
	case incident.WentBlind:
		fields = append(fields, zap.Strings("unseen", body.Conditions))
	case incident.Resolved:
		fields = append(fields, zap.Stringer("impact", body.ImpactEndedAt.Sub(r.ImpactStartedAt).Round(time.Second)))
	}
	return fields
}

// probeAgain is how long a source that answers nothing at all is left alone before its signals are tried out again.
const probeAgain = time.Minute

// probe tries out every expression in force, at the start and after each reload, and tells what could never work. An
// embedded source that has just begun to scrape is left a few scrapes: before, it has no series of anything.
func (d *daemon) probe(ctx context.Context) error {
	if e := d.options.Config.Settings.Embedded; e != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(3 * e.ScrapeInterval):
		}
	}
	for {
		found := d.evaluator.Probe(ctx)
		if ctx.Err() != nil {
			return nil
		}
		d.probed.Store(&found)
		var again <-chan time.Time
		if found.Answered() {
			d.tellProbe(found.Empty(), found.Unverifiable)
		} else {
			again = time.After(probeAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-d.tryOut:
		}
	}
}

func (d *daemon) tellProbe(empty []string, unverifiable map[string][]string) {
	if len(empty) > 0 {
		d.log.Warn("signals without any series: what reads them can't be judged; is the metric's name right, is it scraped?",
			zap.Strings("signals", empty))
	}
	for _, name := range slices.Sorted(maps.Keys(unverifiable)) {
		d.log.Warn("recovery could never be verified: a band reads a signal without any series",
			zap.String("runbook", name), zap.Strings("bands", unverifiable[name]))
	}
}
