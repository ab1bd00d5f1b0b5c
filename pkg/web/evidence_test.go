package web_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func TestEvidenceIsGatheredAgain(t *testing.T) {
	for _, test := range []struct {
		name, body string
		answer     error
		status     int
	}{
		{"gathered", "{}", nil, 200},
		{"under way", "{}", web.ErrGathering, 409},
		{"no such incident is open", "{}", incident.ErrNotFound, 404},
		{"it can't be kept", "{}", errors.New("disk full at /secret"), 500},
		{"a key that there is not", `{"text":"x"}`, nil, 422},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := ""
			f := &fixture{desk: webtest.NewDesk(nil, webtest.Refusals())}
			f.handler = web.New(web.Config{
				Desk: f.desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop(),
				Evidence: func(_ context.Context, ref string) error { asked = ref; return test.answer },
			})
			answer := f.call("POST", "/api/v1/incidents/42/evidence", test.body)
			if answer.Code != test.status {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
			if (asked == "42") != (test.status != 422) {
				t.Errorf("asked for %q", asked)
			}
			if test.status == 200 && decode[incident.View](t, answer).Number != 42 {
				t.Errorf("answered %s", answer.Body)
			}
		})
	}
}
