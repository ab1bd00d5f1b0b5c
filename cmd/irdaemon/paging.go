package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// linkLasts is how long the link of a message acknowledges: its round calls again, with a new one, long before.
const linkLasts = 24 * time.Hour

// sign makes the links of messages. Their key lies in the store, so that a restart leaves them valid.
func (d *daemon) sign(ctx context.Context) error {
	key, err := d.store.Key(ctx, "acknowledge links")
	if err != nil {
		return err
	}
	d.links, err = access.NewLinks(key, d.options.Config.Settings.Web.ExternalURL)
	return err
}

func (d *daemon) acknowledgeLink(incident string, round int, receiver string) string {
	return d.links.Acknowledge(incident, round, receiver, time.Now().Add(linkLasts))
}

func (d *daemon) receiversInForce() map[string]notify.Receiver { return *d.receivers.Load() }

func (d *daemon) receiverKind(name string) string {
	return d.loaded.Load().Settings.Receivers[name].Kind()
}

func (d *daemon) pageLimits() notify.Limits {
	limits := d.loaded.Load().Settings.Limits
	return notify.Limits{Pages: limits.Pages, PagesIn: limits.PagesIn, OpenGroups: limits.OpenGroups}
}

// ownersReceivers are those of everybody who answers for the daemon itself: its owner's whole ladder.
func (d *daemon) ownersReceivers() []string {
	settings := &d.loaded.Load().Settings
	var all []string
	for _, role := range append([]string{settings.Owner}, settings.Roles[settings.Owner].EscalateTo...) {
		for _, receiver := range settings.Roles[role].Page {
			if !slices.Contains(all, receiver) {
				all = append(all, receiver)
			}
		}
	}
	return all
}

// drill opens a practice incident of a runbook in force.
func (d *daemon) drill(ctx context.Context, name string, group map[string]string, severity severity, by string) (incident.View, error) {
	var known []string
	for _, s := range d.loaded.Load().Runbooks {
		if s.Runbook.Name == name {
			return d.desk.Drill(ctx, s, labels.FromMap(group), severity, by)
		}
		known = append(known, s.Runbook.Name)
	}
	return incident.View{}, &incident.Refusal{Reason: fmt.Sprintf("there is no runbook %q", name), Allowed: triggers.Suggest(name, known, "no runbook is in force")}
}

// receiverDesk is what people ask of the receivers.
type receiverDesk struct{ daemon *daemon }

// Status implements web.Receivers.
func (r receiverDesk) Status(context.Context) ([]web.ReceiverStatus, error) {
	receivers, settings := r.daemon.receiversInForce(), &r.daemon.loaded.Load().Settings
	var all []web.ReceiverStatus
	for _, s := range r.daemon.notifier.Status() {
		status := web.ReceiverStatus{Name: s.Name, Kind: s.Kind, Waiting: s.Waiting, Carries: []string{}, Roles: []string{}}
		if receiver := receivers[s.Name]; receiver != nil {
			status.Carries = carried(receiver.Carries())
			_, status.Answers = receiver.(notify.Answerer)
		}
		for role, called := range settings.Roles {
			if slices.Contains(called.Page, s.Name) {
				status.Roles = append(status.Roles, role)
			}
		}
		slices.Sort(status.Roles)
		if !s.LastDelivered.IsZero() {
			status.LastDelivered = &s.LastDelivered
		}
		if !s.FailingSince.IsZero() {
			status.FailingSince, status.Error = &s.FailingSince, s.LastError
		}
		all = append(all, status)
	}
	return all, nil
}

func carried(c incident.Carries) []string {
	words := []string{}
	for _, what := range []struct {
		word string
		is   bool
	}{{"notices", c.Notices}, {"acknowledgements", c.Acknowledgements}, {"progress", c.Progress}} {
		if what.is {
			words = append(words, what.word)
		}
	}
	return words
}

// Test implements web.Receivers.
func (r receiverDesk) Test(ctx context.Context, name, by string) (web.ReceiverTest, error) {
	if r.daemon.receiversInForce()[name] == nil {
		return web.ReceiverTest{}, web.ErrNoReceiver
	}
	trial := r.daemon.notifier.Test(ctx, name, cmp.Or(by, "somebody"))
	return web.ReceiverTest{
		Receiver: name, Delivered: trial.Outcome == notify.Delivered, Status: trial.Status, Detail: trial.Detail,
		TookSeconds: trial.Took.Seconds(),
	}, nil
}

// Hear implements web.Receivers.
func (r receiverDesk) Hear(ctx context.Context, name string, header http.Header, body []byte) (status int, answer []byte) {
	return r.daemon.notifier.Hear(ctx, name, header, body)
}
