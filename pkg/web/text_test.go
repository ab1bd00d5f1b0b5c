package web_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func TestALinkOfAMessageLeadsToTheIncident(t *testing.T) {
	for _, test := range []struct {
		name, target string
		status       int
		says         []string
	}{
		{"by its number", "/incidents/42", 200, []string{"#42 sev2 triggered: [calling] The safety layer refuses good users", "Roll back, in this order", "irdaemon ack 42"}},
		{"by its id", "/incidents/5f0c2a9be1d34788", 200, []string{"#42 sev2 triggered"}},
		{"of one that is over", "/incidents/41", 200, []string{"#41 sev3 resolved"}},
		{"of one that there is not", "/incidents/99", 404, []string{`there is no incident "99"`, "/ lists the open incidents"}},
		{"with markup in it", "/incidents/%3Cb%3E%1b%5B2J", 404, []string{"<b>\uFFFD[2J"}},
		{"of all that are open", "/", 200, []string{"#43  sev1", "#42  sev2", "https://incidents.example.com/incidents/NUMBER"}},
		{"of all that are open, by another name", "/incidents", 200, []string{"#42  sev2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := newFixture(t).call("GET", test.target, "")
			if answer.Code != test.status || answer.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%d %s", answer.Code, answer.Header().Get("Content-Type"))
			}
			for _, want := range test.says {
				if !strings.Contains(answer.Body.String(), want) {
					t.Errorf("lacks %q:\n%s", want, answer.Body)
				}
			}
			if strings.ContainsRune(answer.Body.String(), '\x1b') || strings.Contains(answer.Body.String(), "#41") != strings.HasSuffix(test.target, "41") {
				t.Errorf("%q", answer.Body)
			}
		})
	}
}

func TestAPageThatCanNotBeMadeSaysSoAndTellsTheLogWhy(t *testing.T) {
	for _, target := range []string{"/", "/incidents/42"} {
		f := newFixture(t)
		f.desk.Fail(errors.New("disk I/O error at /secret/path"))
		answer := f.call("GET", target, "")
		if answer.Code != 500 || answer.Body.String() != "the daemon could not do it; its log says why\n" {
			t.Errorf("%s: %d %q", target, answer.Code, answer.Body)
		}
		if f.logs.FilterMessage("request to the desk").Len() != 1 {
			t.Errorf("%s: logged %v", target, f.logs.All())
		}
	}
}

func TestThatNothingIsOpenIsSaid(t *testing.T) {
	f := newFixture(t, webtest.Costs())
	if answer := f.call("GET", "/", ""); answer.Code != 200 || !strings.HasPrefix(answer.Body.String(), "no open incidents\n") {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
}
