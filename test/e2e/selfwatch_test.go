//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// trouble waits for the call of a trouble of the daemon's own at its owner.
func (r *railway) trouble(kind string, within time.Duration) delivery {
	r.t.Helper()
	return r.ownerHears("incident.page", "irdaemon/e2e/self/"+kind+"/", within)
}

// troubleOver waits for its end.
func (r *railway) troubleOver(key string) {
	r.t.Helper()
	r.ownerHears("incident.resolved", key, 30*time.Second)
}

// ownerHears waits for the latest message of a type to the daemon's owner whose key begins like this.
func (r *railway) ownerHears(kind, key string, within time.Duration) delivery {
	r.t.Helper()
	return eventually(r.t, within, kind+" "+key+" at the owner", func() (delivery, error) {
		got := r.owner.got(kind)
		for i := len(got) - 1; i >= 0; i-- {
			if strings.HasPrefix(got[i].Data.DedupKey, key) {
				return got[i], nil
			}
		}
		return delivery{}, fmt.Errorf("there are:\n%s", describe(r.owner.list(func(delivery) bool { return true })))
	})
}

// TestADaemonThatIsBlindCallsItsOwner stops Prometheus for longer than blind_after, twice.
func TestADaemonThatIsBlindCallsItsOwner(t *testing.T) {
	t.Parallel()
	r := startRailway(t, quickScale, func(r *railway) { r.other.alone = true })
	for n := 1; n <= 2; n++ {
		key := fmt.Sprintf("irdaemon/e2e/self/blind/%d", n)
		r.prometheus.kill()
		page := r.ownerHears("incident.page", key, r.scale.blindAfter+30*time.Second)
		if page.Data.DedupKey != key || page.Data.Round != n || !strings.Contains(page.Data.Message.Title, "blind") {
			t.Errorf("the owner is called with %s, round %d, want %s: %s", page.Data.DedupKey, page.Data.Round, key, page.Data.Message.Title)
		}
		if title := page.Data.Message.Title; !strings.Contains(title, "refusal_rate") || strings.Count(title, "unreachable") != 1 {
			t.Errorf("the call does not say which signals can't be seen, and once why: %s", title)
		}
		id := page.Data.Incident.ID
		if list := r.daemon.command("incidents", "--self"); !strings.Contains(list, "irdaemon is blind") {
			t.Errorf("incidents --self does not list the trouble:\n%s", list)
		}
		r.daemon.command("ack", id, "--by", "olga")
		taken := r.ownerHears("incident.acknowledged", key, 10*time.Second)
		if taken.Data.Incident.AcknowledgedBy != "olga" || taken.Data.Incident.Calling {
			t.Errorf("taken by %q, calling %t, want olga, and nobody called any more", taken.Data.Incident.AcknowledgedBy, taken.Data.Incident.Calling)
		}
		r.prometheus.start()
		r.troubleOver(key)
	}
	if err := r.daemon.hasIncidents(0); err != nil {
		t.Errorf("a trouble of the daemon's own is listed as an incident: %v", err)
	}
	for name, receiver := range map[string]*webhookReceiver{"the role on call": r.oncall, "the lead": r.lead} {
		if got := receiver.list(func(delivery) bool { return true }); len(got) != 0 {
			t.Errorf("%s was told of the daemon's own trouble: %s", name, describe(got))
		}
	}
}

// TestTheOwnerHearsThatNothingIsDelivered has a receiver take nothing, and the daemon refuse its new files, for as long
// as either may last without anybody being told.
func TestTheOwnerHearsThatNothingIsDelivered(t *testing.T) {
	t.Parallel()
	s := quickScale
	s.acknowledgeWithin = 10 * time.Minute
	r := startRailway(t, s, func(r *railway) { r.other.alone = true })
	whole := r.refusals("The safety layer refuses good users")
	r.daemon.write("runbooks/refusals.yaml", strings.Replace(whole, "above: 15%", "abvoe: 15%", 1))
	if status, answer := r.daemon.post("/-/reload", nil); status != http.StatusUnprocessableEntity {
		t.Fatalf("reload of a broken file: %d: %s", status, answer)
	}
	r.oncall.set(answers503)
	r.breach()
	eventually(t, r.firesWithin(), "the receiver turns the page away", func() (struct{}, error) {
		if len(r.oncall.turnedAway("incident.page")) == 0 {
			return struct{}{}, errNotYet
		}
		return struct{}{}, nil
	})
	settings := r.trouble("settings", 100*time.Second)
	if !strings.Contains(settings.Data.Message.Text, "refusals.yaml:") {
		t.Errorf("the call does not say what is wrong with the files: %s", settings.Data.Message.Text)
	}
	undelivered := r.trouble("undelivered", 100*time.Second)
	if status, reasons, err := r.daemon.readiness(); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(reasons, "pages are not delivered") {
		t.Errorf("/-/ready: %d %s (%v), want 503 and that pages are not delivered", status, reasons, err)
	}
	if list := r.daemon.command("receivers"); !strings.Contains(list, "FAILING") || !strings.Contains(list, "503") {
		t.Errorf("receivers does not say which one fails, and how:\n%s", list)
	}
	r.oncall.set(accepts)
	page := r.oncall.waitFor(t, "incident.page", 30*time.Second)
	if first := r.oncall.turnedAway("incident.page")[0]; page.id != first.id || page.Data.DedupKey != first.Data.DedupKey || !page.Data.Resent {
		t.Errorf("sent again as %s with %s, resent %t; want as the first time, %s with %s", page.id, page.Data.DedupKey, page.Data.Resent, first.id, first.Data.DedupKey)
	}
	r.troubleOver(undelivered.Data.DedupKey)
	r.daemon.write("runbooks/refusals.yaml", whole)
	r.daemon.hangUp()
	r.troubleOver(settings.Data.DedupKey)
}

// deadMansSwitch takes heartbeats.
type deadMansSwitch struct {
	server *httptest.Server
	mutex  sync.Mutex
	beats  []time.Time
}

func startDeadMansSwitch(t testing.TB) *deadMansSwitch {
	t.Helper()
	d := &deadMansSwitch{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping/5b1d", func(http.ResponseWriter, *http.Request) {
		d.mutex.Lock()
		defer d.mutex.Unlock()
		d.beats = append(d.beats, time.Now())
	})
	d.server = httptest.NewServer(mux)
	t.Cleanup(d.server.Close)
	return d
}

// since gives the beats after an instant.
func (d *deadMansSwitch) since(at time.Time) []time.Time {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var later []time.Time
	for _, beat := range d.beats {
		if beat.After(at) {
			later = append(later, beat)
		}
	}
	return later
}

// waitFor waits for a beat after an instant.
func (d *deadMansSwitch) waitFor(t testing.TB, after time.Time, within time.Duration) {
	t.Helper()
	eventually(t, within, "a heartbeat after "+after.Format(time.TimeOnly), func() (struct{}, error) {
		if len(d.since(after)) == 0 {
			return struct{}{}, errNotYet
		}
		return struct{}{}, nil
	})
}

// heartbeat is the least time that the settings allow between two beats.
const heartbeat = 15 * time.Second

// TestAFullDiskStopsTheHeartbeatAndCallsTheOwnerAllTheSame takes the daemon's disk away and gives it back. A process that
// lives and can keep nothing must not calm anybody; what it can't keep, it tells its owner past the store.
func TestAFullDiskStopsTheHeartbeatAndCallsTheOwnerAllTheSame(t *testing.T) {
	t.Parallel()
	outside := startDeadMansSwitch(t)
	r := newRailway(t, quickScale, func(r *railway) {
		r.other.alone = true
		r.other.top = "heartbeat: {url_file: secrets/heartbeat, every: " + duration(heartbeat) + "}"
		r.other.files = map[string]string{"secrets/heartbeat": outside.server.URL + "/ping/5b1d\n"}
	})
	r.daemon.startReady()
	outside.waitFor(t, time.Time{}, 2*heartbeat+busy)

	r.daemon.fillDisk(t)
	full := time.Now()
	page := r.ownerHears("incident.page", "irdaemon/e2e/self/store/unkept-", 90*time.Second)
	// The check of the store comes every five seconds, so one beat may still have been sent.
	if beats := outside.since(full.Add(heartbeat)); len(beats) != 0 {
		t.Errorf("%d heartbeats, at %v, though since %s nothing can be written", len(beats), beats, full)
	}
	if !strings.Contains(page.Data.Message.Text, "store") {
		t.Errorf("the call does not say that it is the store: %s", page.Data.Message.Text)
	}
	if err := answers(r.daemon.client, r.daemon.url+"/-/healthy"); err != nil {
		t.Errorf("the process lives: %v", err)
	}

	r.daemon.emptyDisk(t)
	empty := time.Now()
	r.troubleOver(page.Data.DedupKey)
	outside.waitFor(t, empty, 2*heartbeat+busy)
	if strings.Contains(r.daemon.log(), "/ping/5b1d") {
		t.Error("the heartbeat's address, which is a secret, is in the log")
	}
}
