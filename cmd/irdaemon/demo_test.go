package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/internal/demo"
)

// stopper ends the demo when its introduction has been printed, as Ctrl-C does.
type stopper struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (s *stopper) Write(text []byte) (int, error) {
	if strings.Contains(string(text), "What is open") {
		s.stop()
	}
	return s.Buffer.Write(text)
}

func TestADemoThatAPersonEndsSaysSo(t *testing.T) {
	for _, test := range []struct {
		name string
		exit bool
		want string // the error
	}{
		{"by itself it would have gone on", false, ""},
		{"it was to end with the incident", true, "stopped before the incident was resolved"},
	} {
		t.Run(test.name, func(t *testing.T) {
			scenario, err := demo.FindScenario("")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &stopper{stop: cancel}
			err = playDemo(ctx, demoOptions{scenario: scenario, responder: "manual", exit: test.exit, logLevel: "error", out: out})
			if got := errorText(err); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			said := out.String()
			for _, want := range []string{"good users are refused. Played at 40 times the speed (1:40", "irdaemon ack 1 --by YOU", "\nstopped\n"} {
				if !strings.Contains(said, want) {
					t.Errorf("lacks %q:\n%s", want, said)
				}
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
