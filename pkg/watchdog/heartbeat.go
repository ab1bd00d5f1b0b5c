package watchdog

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Heartbeat is a dead man's switch outside this process: it rings when it has not been asked for its address for a
// while. healthchecks.io, Dead Man's Snitch and their like take a plain GET.
type Heartbeat struct {
	URLFile   string // the file that holds the address, which is itself the secret; read at each beat
	Every     time.Duration
	Transport http.RoundTripper // nil: the usual one
}

const beatTimeout = 10 * time.Second

// beat asks for the address as long as everything vital is well. It stops when evaluation, store or paging is stuck: a
// process that merely lives must not calm anybody.
func (w *Watchdog) beat(ctx context.Context) {
	ticker := time.NewTicker(w.config.Heartbeat.Every)
	defer ticker.Stop()
	failing := ""
	for {
		reason := strings.Join(w.Wrong(), "; ")
		if reason == "" {
			if err := w.config.Heartbeat.send(ctx); err != nil && ctx.Err() == nil {
				reason = err.Error()
			} else if err == nil {
				w.lastBeat.Set(float64(w.config.Now().UnixMilli()) / 1000)
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case reason != "" && failing == "":
			w.config.Log.Warn("no heartbeat", zap.String("reason", reason))
		case reason == "" && failing != "":
			w.config.Log.Info("the heartbeat goes on")
		}
		failing = reason
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// send makes one attempt. No error that it gives holds the address.
func (h *Heartbeat) send(ctx context.Context) error {
	content, err := os.ReadFile(h.URLFile)
	if err != nil {
		return errors.New("the heartbeat's address can't be read from " + h.URLFile)
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(string(content)), nil)
	if err != nil {
		return errors.New("the heartbeat's address in " + h.URLFile + " is not a URL")
	}
	request.Header.Set("User-Agent", "irdaemon")
	client := &http.Client{Transport: h.Transport}
	response, err := client.Do(request)
	if err != nil {
		var refused *url.Error
		if errors.As(err, &refused) && refused.Timeout() {
			return errors.New("the heartbeat had no answer in time")
		}
		return errors.New("the heartbeat could not be sent")
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096)) // so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return errors.New("the heartbeat was answered with " + response.Status)
	}
	return nil
}
