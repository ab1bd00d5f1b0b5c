package changes_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

var now = time.Date(2026, 11, 1, 14, 0, 0, 0, time.UTC)

// clockTime is a time of the day on which everything happens.
func clockTime(text string) time.Time {
	t, err := time.Parse("15:04:05", text)
	if err != nil {
		t, err = time.Parse("15:04", text)
	}
	if err != nil {
		panic(err)
	}
	return now.Truncate(24 * time.Hour).Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
}

func good() changes.Change {
	return changes.Change{
		Artifact: "prompt", Service: "support-bot", From: "prompt-v6", To: "prompt-v7", At: clockTime("13:30"),
		By: "ci", URL: "https://ci.example/build/2", Note: "Shorter answers",
	}
}

func TestAReportIsTakenAsItIsGiven(t *testing.T) {
	c, err := changes.Report(good(), now)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(c)
	want := `{"id":"` + c.ID + `","artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7","at":"2026-11-01T13:30:00Z",` +
		`"by":"ci","url":"https://ci.example/build/2","source":"reported","note":"Shorter answers"}`
	if string(got) != want || len(c.ID) != 20 {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

func TestWhatAReporterCantKnowIsOverwritten(t *testing.T) {
	c := good()
	c.ID, c.Source, c.Seen.HalfAt, c.Also, c.RecordedAt = "x", changes.Detected, now, []string{"y"}, now
	c, err := changes.Report(c, now)
	plain, _ := changes.Report(good(), now)
	if err != nil || c.ID != plain.ID || c.Source != changes.Reported || c.Seen != (changes.Sight{}) || c.Also != nil || !c.RecordedAt.IsZero() {
		t.Errorf("it is %+v, %v", c, err)
	}
}

func TestARepeatedReportIsTheSameChange(t *testing.T) {
	first, _ := changes.Report(good(), now)
	for _, test := range []struct {
		name   string
		change func(*changes.Change)
		same   bool
	}{
		{"the same again", func(*changes.Change) {}, true},
		{"with white space around it", func(c *changes.Change) { c.To = " prompt-v7\n" }, true},
		{"in another time zone", func(c *changes.Change) { c.At = c.At.In(time.FixedZone("", 7200)) }, true},
		{"with other words and by another sender", func(c *changes.Change) { c.By, c.URL, c.Note = "alice", "", "" }, true},
		{"of another version", func(c *changes.Change) { c.To = "prompt-v8" }, false},
		{"from another version", func(c *changes.Change) { c.From = "prompt-v5" }, false},
		{"at another time", func(c *changes.Change) { c.At = c.At.Add(time.Second) }, false},
		{"of another artifact", func(c *changes.Change) { c.Artifact = "code" }, false},
		{"of another service", func(c *changes.Change) { c.Service = "billing-bot" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good()
			test.change(&c)
			again, err := changes.Report(c, now)
			if err != nil || again.ID == first.ID != test.same {
				t.Errorf("the ids are %s and %s, %v", first.ID, again.ID, err)
			}
		})
	}
	one, _ := changes.Report(changes.Change{Artifact: "thresholds", Note: "looser", At: now}, now)
	other, _ := changes.Report(changes.Change{Artifact: "thresholds", Note: "tighter", At: now}, now)
	if one.ID == other.ID {
		t.Error("two changes without versions have one id")
	}
}

func TestATimeThatIsNotGivenIsNow(t *testing.T) {
	c := good()
	c.At = time.Time{}
	if c, err := changes.Report(c, now.Add(1234567*time.Nanosecond)); err != nil || !c.At.Equal(now.Add(time.Millisecond)) {
		t.Errorf("it is at %s, %v", c.At, err)
	}
}

func TestABrokenReportSaysWhatIsAllowed(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*changes.Change)
		want   string
	}{
		{"no artifact", func(c *changes.Change) { c.Artifact = " " }, "artifact: missing; what was changed: code, prompt, weights, retrieval_index, router_policy, thresholds or another word"},
		{"an artifact of two words", func(c *changes.Change) { c.Artifact = "retrieval index" }, `artifact: "retrieval index" is not a name; letters, digits, _, - and ., at most 64, as the rollback steps of the runbooks name it`},
		{"a service with a line break", func(c *changes.Change) { c.Service = "a\nb" }, `service: "a\nb" is not a text of one line; at most 200 printable characters`},
		{"a version with a control character", func(c *changes.Change) { c.To = "v7\x1b[2J" }, `to: "v7\x1b[2J" is not a text of one line; at most 200 printable characters`},
		{"a version that turns the text around", func(c *changes.Change) { c.From = "v\u202e7" }, `from: "v\u202e7" is not a text of one line; at most 200 printable characters`},
		{"a version of a page", func(c *changes.Change) { c.To = strings.Repeat("v", 201) }, `to: "` + strings.Repeat("v", 60) + `…" is not a text of one line; at most 200 printable characters`},
		{"no UTF-8", func(c *changes.Change) { c.By = "a\xff" }, `by: "a\xff" is not a text of one line; at most 200 printable characters`},
		{"a note of a book", func(c *changes.Change) { c.Note = strings.Repeat("é", 1025) }, "at most 1024 printable characters"},
		{"neither version nor note", func(c *changes.Change) { c.To, c.Note = "", "" }, "to: missing; the version since the change, or a note that says what was changed"},
		{"a script for an address", func(c *changes.Change) { c.URL = "javascript:alert(1)" }, `url: "javascript:alert(1)" is not a web address; http:// or https:// and a host, without a password, at most 2000 characters`},
		{"an address without a host", func(c *changes.Change) { c.URL = "https:///x" }, "is not a web address"},
		{"an address with a password", func(c *changes.Change) { c.URL = "https://me:secret@host/" }, "is not a web address"},
		{"an address with a blank", func(c *changes.Change) { c.URL = "https://host/a b" }, "is not a web address"},
		{"a long address", func(c *changes.Change) { c.URL = "https://host/" + strings.Repeat("a", 2000) }, "is not a web address"},
		{"the future", func(c *changes.Change) { c.At = now.Add(5*time.Minute + time.Second) }, "at: 2026-11-01T14:05:01Z lies in the future; the time of the change in RFC 3339, at most 5 minutes from now; left out: now"},
		{"milliseconds for seconds", func(c *changes.Change) { c.At = time.Unix(0, now.UnixMilli()) }, "is before the year 2000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good()
			test.change(&c)
			_, err := changes.Report(c, now)
			var invalid changes.Invalid
			if !errors.As(err, &invalid) || len(invalid) != 1 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v\nwant %s", err, test.want)
			}
		})
	}
	c := good()
	c.At = now.Add(5 * time.Minute)
	if _, err := changes.Report(c, now); err != nil {
		t.Errorf("a clock five minutes ahead: %v", err)
	}
	if _, err := changes.Report(changes.Change{URL: "x", At: now.Add(time.Hour)}, now); len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("not all problems are said at once: %v", err)
	}
}

// theirs is the example of PagerDuty's documentation.
const theirs = `{
  "routing_key": "samplekeyhere",
  "payload": {
    "summary": "Build Success: Increase snapshot create timeout to 30 seconds",
    "timestamp": "2020-07-17T08:42:58.315+0000",
    "source": "acme-build-pipeline-tool-default-i-9999",
    "custom_details": {"build_state": "passed", "build_number": "2", "run_time": "1236s"}
  },
  "links": [{"href": "https://acme.pagerduty.dev/build/2", "text": "View more details in Acme!"}]
}`

func TestAChangeEventOfPagerDutyIsAChange(t *testing.T) {
	for _, test := range []struct{ name, event, want string }{
		{"as documented, which is a deploy", theirs, `{"artifact":"code","at":"2020-07-17T08:42:58.315Z","by":"acme-build-pipeline-tool-default-i-9999",` +
			`"url":"https://acme.pagerduty.dev/build/2","source":"reported","note":"Build Success: Increase snapshot create timeout to 30 seconds"}`},
		{"with details", `{"routing_key":"samplekeyhere","payload":{"summary":"s","timestamp":"2026-11-01T13:30:00Z",
			"custom_details":{"artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7","by":"alice","build":{"n":[1]}}}}`,
			`{"artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7","at":"2026-11-01T13:30:00Z","by":"alice","source":"reported","note":"s"}`},
		{"with other words for them, and numbers", `{"routing_key":"samplekeyhere","payload":{"summary":"s","source":"argo",
			"custom_details":{"kind":"weights","previous_version":3.1,"version":3.2,"service":null,"author":["a"]}}}`,
			`{"artifact":"weights","from":"3.1","to":"3.2","at":"2026-11-01T14:00:00Z","by":"argo","source":"reported","note":"s"}`},
		{"a summary that another system shows as it likes", `{"routing_key":"samplekeyhere","payload":{"summary":" a\n\tb\u0007c\u202e ` + strings.Repeat("x", 2000) + `"},
			"links":[{"href":"javascript:x"},{"text":"none"},{"href":"http://ok.example/1"},{"href":"http://late.example/"}]}`,
			`{"artifact":"code","at":"2026-11-01T14:00:00Z","url":"http://ok.example/1","source":"reported","note":"a b c ` + strings.Repeat("x", 1017) + `…"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, key, err := changes.PagerDuty(strings.NewReader(test.event), now)
			if err != nil || c.ID == "" || key != "samplekeyhere" {
				t.Fatalf("id %q, key %q, %v", c.ID, key, err)
			}
			got, _ := json.Marshal(c)
			if got := strings.Replace(string(got), `"id":"`+c.ID+`",`, "", 1); got != test.want {
				t.Errorf("it is\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWhatDoesNotFitInAnEventGoesIntoTheNote(t *testing.T) {
	for _, test := range []struct{ name, details, artifact, note string }{
		{"an image is no artifact", `{"artifact":"registry.example:5000/app:1.2","to":"1.2"}`, "code", "s; artifact: registry.example:5000/app:1.2"},
		{"nor is a kind of several words", `{"kind":"Kubernetes\nDeployment"}`, "code", "s; kind: Kubernetes Deployment"},
		{"the first that is a name counts", `{"artifact":"the prompt","kind":"prompt"}`, "prompt", "s; artifact: the prompt"},
		{"details that are a text", `"rolled out\nto all"`, "code", "s; rolled out to all"},
		{"details that are a list", `["a", {"b": 1}]`, "code", `s; ["a", {"b": 1}]`},
		{"details that are nothing", `null`, "code", "s"},
		{"a text that is too long is cut", `"` + strings.Repeat("x", 2000) + `"`, "code", "s; " + strings.Repeat("x", 1020) + "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := changes.PagerDuty(strings.NewReader(`{"payload":{"summary":"s","custom_details":`+test.details+`}}`), now)
			if err != nil || c.Artifact != test.artifact || c.Note != test.note {
				t.Errorf("artifact %q, note %q, %v; want %q, %q", c.Artifact, c.Note, err, test.artifact, test.note)
			}
		})
	}
}

func TestAnEventThatIsNoneSaysWhatIsAllowed(t *testing.T) {
	for _, test := range []struct{ name, event, want string }{
		{"no JSON", `{"payload":`, "event: it can't be read"},
		{"a list", `[]`, "event: it can't be read"},
		{"no payload", `{"routing_key":"k"}`, "payload: missing; an object with summary, source, timestamp and custom_details"},
		{"no summary", `{"payload":{"summary":" \n"}}`, "payload.summary: missing; what was changed, in words"},
		{"no time", `{"payload":{"summary":"s","timestamp":"yesterday"}}`, `payload.timestamp: "yesterday" is not a time; ISO 8601`},
		{"a time in the future", `{"payload":{"summary":"s","timestamp":"2027-01-01T00:00:00Z"}}`, "payload.timestamp: 2027-01-01T00:00:00Z lies in the future"},
		{"a version with a control character", `{"payload":{"summary":"s","custom_details":{"to":"v\u0000"}}}`, `payload.custom_details.to: "v\x00" is not a text of one line`},
		{"too long", `{"payload":{"summary":"` + strings.Repeat("s", changes.LongestEvent) + `"}}`, "event: it is too long; at most 65536 bytes"},
		{"as deep as a well", `{"payload":{"custom_details":{"a":` + strings.Repeat("[", 20000), "event: it can't be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := changes.PagerDuty(strings.NewReader(test.event), now)
			var invalid changes.Invalid
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v\nwant %s", err, test.want)
			}
		})
	}
}

// Whatever is sent, what is taken can be shown, and repeated it is the same.
func FuzzPagerDuty(f *testing.F) {
	f.Add(theirs)
	f.Add(`{"routing_key":"k","payload":{"summary":"s","custom_details":{"artifact":"prompt","service":"b","from":"1","to":2,"by":"a"}},"links":[{"href":"http://a/"}]}`)
	f.Add(`{"payload":{"summary":"\ud800\u202e","timestamp":"0000-01-01T00:00:00Z"}}`)
	f.Fuzz(func(t *testing.T, event string) {
		c, _, err := changes.PagerDuty(strings.NewReader(event), now)
		if err != nil {
			if c.ID != "" || err.Error() == "" {
				t.Fatalf("refused, and yet %+v", c)
			}
			return
		}
		for _, text := range []string{c.Artifact, c.Service, c.From, c.To, c.By, c.Note, c.URL} {
			if len(text) > 8192 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("taken: %q", text)
			}
		}
		if again, err := changes.Report(c, now); err != nil || again.ID != c.ID {
			t.Fatalf("what was taken is not taken again: %v", err)
		}
		if c.At.After(now.Add(5*time.Minute)) || c.Artifact == "" {
			t.Fatalf("taken: %+v", c)
		}
	})
}
