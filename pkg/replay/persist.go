package replay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// persist puts a question until it is answered. When it will not be, it ends the run with the reason.
func (h *history) persist(expr string, ask func() (source.Answer, error)) (source.Answer, error) {
	wait := h.config.Backoff
	for attempt := 1; ; attempt++ {
		answer, err := ask()
		if err == nil {
			err = cutShort(expr, answer.Warnings)
		}
		if err == nil {
			return answer, nil
		}
		if h.ctx.Err() != nil {
			return source.Answer{}, context.Cause(h.ctx)
		}
		if !passes(err) {
			h.stop(err)
			return source.Answer{}, err
		}
		if attempt == h.config.Attempts {
			if attempt > 1 {
				err = fmt.Errorf("tried %d times: %w", h.config.Attempts, err)
			}
			h.stop(err)
			return source.Answer{}, err
		}
		h.config.Tell(fmt.Sprintf("%v; tried again in %s (%d of %d)", err, wait, attempt+1, h.config.Attempts))
		select {
		case <-time.After(wait):
		case <-h.ctx.Done():
			return source.Answer{}, context.Cause(h.ctx)
		}
		wait *= 2
	}
}

// passes tells whether the source may answer a moment later.
func passes(err error) bool {
	var failed *source.Error
	if !errors.As(err, &failed) {
		return true
	}
	switch failed.Reason {
	case source.Query, source.Limit:
		return false
	case source.HTTPStatus:
		return failed.Status == 0 || failed.Status >= 500 || failed.Status == http.StatusTooManyRequests || failed.Status == http.StatusRequestTimeout
	}
	return true
}

// cutShort gives an error where the source's warnings say that data are missing: a remote store that did not answer, a
// store that is down. PromQL's own warnings are about the expression, and the data are whole.
func cutShort(expr string, warnings []string) error {
	for _, w := range warnings {
		if !strings.HasPrefix(w, "PromQL warning") {
			return &source.Error{Reason: source.Partial, Expr: expr, Detail: "the answer may be cut, the source warns: " + w}
		}
	}
	return nil
}
