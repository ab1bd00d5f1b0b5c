package slack_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
)

// In a channel a call is known by its thread, not by a key: the story and the tests of threads hold the bot to that.
func TestConformanceOfTheBot(t *testing.T) {
	notifytest.Run(t, notifytest.Case{
		New: func(t *testing.T, address string) notify.Receiver {
			return slack.New(slack.Config{
				TokenFile: file(t, token+"\n"), Channel: "#incidents", SigningSecretFile: file(t, secret), APIURL: address + "/",
			})
		},
		Accept: func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"ok":true,"channel":"C0INCIDENTS","ts":"1795442400.000100","message":{"thread_ts":"1795442400.000100"}}`)
		},
		Secrets: []string{token, secret},
	})
}

// A workspace as strict as Slack itself takes whatever the daemon may send.
func TestAWorkspaceTakesWhateverIsSent(t *testing.T) {
	w := newWorkspace(t)
	receiver := bot(t, w)
	for _, m := range notifytest.Carried(receiver) {
		for range 2 { // by itself, and as news of what it is about
			result := receiver.Deliver(t.Context(), m)
			if result.Outcome != notify.Delivered || result.Detail != "" {
				t.Errorf("%s: %+v", m.Kind, result)
			}
			m.Receipt, m.Thread = result.Receipt, result.Receipt
		}
	}
}
