//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPlannedWorkHoldsBackCallsAndNothingElse plays quiet times of the settings, then a silence by the command line.
func TestPlannedWorkHoldsBackCallsAndNothingElse(t *testing.T) {
	t.Parallel()
	r := startRailway(t, quickScale, func(r *railway) {
		r.other.alone = true
		r.other.top = `quiet: [{runbooks: [good-users-refused], up_to: sev2, times: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}]`
	})
	r.bot.behave("support-bot", refusing)
	planned := r.isHeldBack("support-bot")
	r.reload(func(s *settings) { s.top = "" })
	r.isCalledOnce("support-bot", planned)

	silence := regexp.MustCompile(`silence end (\S+)`).FindStringSubmatch(
		r.daemon.command("silence", "add", "good-users-refused", "--for", "1h", "--up-to", "sev2", "--reason", "the index is rebuilt", "--by", "alice"))
	if silence == nil {
		t.Fatal("silence add does not say how to end it")
	}
	r.bot.behave("sales-bot", refusing)
	r.bot.behave("billing-bot", behaviour{refused: 0.95, deflected: 0.42, slow: 0.01})
	held := r.isHeldBack("sales-bot")
	worse := r.isCalled("billing-bot")
	if worse.Data.Incident.Severity != "sev1" {
		t.Errorf("called at %s through a silence of sev2, want sev1", worse.Data.Incident.Severity)
	}
	if list := r.daemon.command("silence", "list"); !strings.Contains(list, fmt.Sprintf("holds back #%d;", held.Number)) ||
		!strings.Contains(list, "alice: the index is rebuilt") {
		t.Errorf("silence list does not say what is held back, by whom and why:\n%s", list)
	}
	r.daemon.command("silence", "end", silence[1], "--by", "bob")
	r.isCalledOnce("sales-bot", held)
	if list := r.daemon.command("silence", "list"); list != "no silences\n" {
		t.Errorf("the silence is over, and listed:\n%s", list)
	}
}

// isHeldBack waits for a service's incident, for which nobody must be called.
func (r *railway) isHeldBack(service string) incident {
	r.t.Helper()
	found := eventually(r.t, r.firesWithin(), "the incident of "+service, func() (incident, error) {
		incidents, err := r.daemon.incidents()
		i := slices.IndexFunc(incidents, func(i incident) bool { return i.Service == service })
		if err == nil && i < 0 {
			err = errNotYet
		}
		if err != nil {
			return incident{}, err
		}
		return incidents[i], nil
	})
	always(r.t, time.Now().Add(4*interval), "silenced", func() error {
		i, err := r.daemon.incident(found.ID)
		if err == nil && (i.Calling || !slices.Equal(i.Silenced, []string{"opened"}) || i.State != "triggered") {
			err = fmt.Errorf("%s, calling %t, held back %v", i.State, i.Calling, i.Silenced)
		}
		if err == nil && len(r.pagesOf(service)) > 0 {
			err = fmt.Errorf("somebody was called: %s", describe(r.pagesOf(service)))
		}
		return err
	})
	if held, err := r.daemon.incident(found.ID); err != nil || len(held.times("page_held")) != 1 {
		r.t.Errorf("the timeline does not tell once that the call was held back (%v):\n%s", err, held.story())
	}
	return found
}

// pagesOf are a service's calls at the role on call.
func (r *railway) pagesOf(service string) []delivery {
	return r.oncall.list(func(d delivery) bool {
		return d.accepted && d.Type == "incident.page" && d.Data.Incident.Service == service
	})
}

// isCalled waits for a service's first call.
func (r *railway) isCalled(service string) delivery {
	r.t.Helper()
	return eventually(r.t, r.firesWithin()+signalRange, "a call for "+service, func() (delivery, error) {
		if pages := r.pagesOf(service); len(pages) > 0 {
			return pages[0], nil
		}
		return delivery{}, errNotYet
	})
}

// isCalledOnce waits for the call that was held back, for which there must be one round.
func (r *railway) isCalledOnce(service string, held incident) {
	r.t.Helper()
	page := r.isCalled(service)
	if page.Data.Round != 1 || !slices.Equal(page.Data.Reasons, []string{"opened"}) || page.Data.Incident.ID != held.ID {
		r.t.Errorf("the call that was held back is round %d for %v of %s, want round 1 for opened of %s",
			page.Data.Round, page.Data.Reasons, page.Data.Incident.ID, held.ID)
	}
	always(r.t, time.Now().Add(2*interval), "after the silence", func() error {
		if pages := r.pagesOf(service); len(pages) != 1 {
			return fmt.Errorf("%d calls, want one: %s", len(pages), describe(pages))
		}
		return nil
	})
}
