package access_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/access"
)

var expires = time.Date(2026, 11, 4, 14, 10, 0, 0, time.UTC)

func links(t testing.TB, key byte) *access.Links {
	t.Helper()
	l, err := access.NewLinks(bytes.Repeat([]byte{key}, 32), "https://incidents.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALinkSaysWhatItAcknowledges(t *testing.T) {
	l := links(t, 1)
	link := l.Acknowledge("5f0c2a9be1d34788", 3, "mail-oncall", expires)
	token, ours := strings.CutPrefix(link, "https://incidents.example.com/acknowledge/")
	if !ours || len(link) > 120 || strings.ContainsAny(token, "+/=.") || !strings.HasSuffix(token, "1") {
		t.Errorf("link %s of %d characters", link, len(link))
	}
	call, err := l.Open(token, expires.Add(-time.Nanosecond))
	if want := (access.Call{Incident: "5f0c2a9be1d34788", Round: 3, Receiver: "mail-oncall", Expires: expires}); err != nil || call != want {
		t.Errorf("%+v, %v", call, err)
	}
	if call, err := l.Open(token, expires); !errors.Is(err, access.ErrLinkExpired) || call.Round != 3 {
		t.Errorf("at its end: %+v, %v", call, err)
	}
	if _, err := access.NewLinks([]byte("short"), ""); err == nil {
		t.Error("a short key is taken")
	}
}

func TestALinkThatWasTamperedWithIsNotValid(t *testing.T) {
	l := links(t, 1)
	token := l.Token(access.Call{Incident: "5f0c2a9be1d34788", Round: 3, Receiver: "mail", Expires: expires})
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=. \n"
	for i := range token {
		for _, letter := range letters {
			changed := token[:i] + string(letter) + token[i+1:]
			if changed == token {
				continue
			}
			if call, err := l.Open(changed, expires.Add(-time.Hour)); !errors.Is(err, access.ErrLinkInvalid) {
				t.Fatalf("%q in place %d: %+v, %v", letter, i, call, err)
			}
		}
		if _, err := l.Open(token[:i], expires.Add(-time.Hour)); !errors.Is(err, access.ErrLinkInvalid) {
			t.Fatalf("cut off at %d: %v", i, err)
		}
		if _, err := l.Open(token[:i]+"\n"+token[i:], expires.Add(-time.Hour)); !errors.Is(err, access.ErrLinkInvalid) {
			t.Fatalf("broken at %d: %v", i, err)
		}
	}
	if _, err := links(t, 2).Open(token, expires.Add(-time.Hour)); !errors.Is(err, access.ErrLinkInvalid) {
		t.Errorf("another key: %v", err)
	}
	if _, err := l.Open(strings.Repeat("A", 1<<20)+"1", expires); !errors.Is(err, access.ErrLinkInvalid) {
		t.Errorf("a token without end: %v", err)
	}
}

// FuzzLink holds that a link opens as what it was made of, and that nothing else opens.
func FuzzLink(f *testing.F) {
	l, other := links(f, 1), links(f, 2)
	f.Add("5f0c2a9be1d34788", 3, "mail", int64(1793801400), "")
	f.Add("", -1, "", int64(-1), "AAAA1")
	f.Add("a\x00b", 1<<40, "ü/<b>", int64(1)<<40, l.Token(access.Call{Incident: "x"}))
	f.Fuzz(func(t *testing.T, incident string, round int, receiver string, seconds int64, sent string) {
		seconds %= 1 << 40
		if len(incident)+len(receiver) > 500 {
			return
		}
		want := access.Call{Incident: incident, Round: round, Receiver: receiver, Expires: time.Unix(seconds, 0).UTC()}
		token := l.Token(want)
		if got, err := l.Open(token, want.Expires.Add(-1)); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if _, err := other.Open(token, want.Expires.Add(-1)); !errors.Is(err, access.ErrLinkInvalid) {
			t.Errorf("another key: %v", err)
		}
		if got, err := l.Open(sent, time.Time{}); err == nil && l.Token(got) != sent {
			t.Errorf("%q opens as %+v", sent, got)
		}
	})
}
