package email_test

import (
	"io"
	"net/mail"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/email"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
)

// Whatever the daemon may send becomes one mail to whom it is for, with a name of its own.
func TestAServerTakesWhateverIsSent(t *testing.T) {
	office := &postOffice{}
	config := basic(office.open(t, nil, false))
	receiver, err := email.New(config)
	if err != nil {
		t.Fatal(err)
	}
	all := notifytest.Carried(receiver)
	for _, m := range all {
		if result := deliver(t.Context(), t, config, m); result.Outcome != notify.Delivered || result.Detail != "" {
			t.Errorf("%s: %+v", m.Kind, result)
		}
	}
	mails := office.mails()
	if len(mails) != len(all) {
		t.Fatalf("%d mails of %d messages", len(mails), len(all))
	}
	for i, got := range mails {
		read, err := mail.ReadMessage(strings.NewReader(string(got.mail)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(read.Body); err != nil {
			t.Error(err)
		}
		if len(got.to) != 1 || read.Header.Get("Bcc") != "" || read.Header.Get("Message-Id") == "" {
			t.Errorf("%s to %q: %v", all[i].Kind, got.to, read.Header)
		}
	}
}
