package webtest

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/irdaemon/irdaemon/pkg/web"
)

// Receivers are two: pager takes a test page, chat is out of order. Chat takes what its service posts where the header
// Signature says right, and answers with what it got.
type Receivers struct {
	mutex sync.Mutex
	tests []string
}

var _ web.Receivers = (*Receivers)(nil)

// Tested gives the names of those who sent test pages, each with the receiver's: alice pager.
func (r *Receivers) Tested() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.tests)
}

// Status implements web.Receivers.
func (r *Receivers) Status(context.Context) ([]web.ReceiverStatus, error) {
	return []web.ReceiverStatus{
		{Name: "pager", Kind: "pagerduty", Carries: []string{"acknowledgements"}, Answers: true, Roles: []string{"ml-platform-oncall"}, LastDelivered: at("14:10:01")},
		{Name: "chat", Kind: "slack", FailingSince: at("14:10:02"), Error: "401 Unauthorized", Waiting: 2},
	}, nil
}

// Test implements web.Receivers.
func (r *Receivers) Test(_ context.Context, name, by string) (web.ReceiverTest, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch name {
	case "pager":
		r.tests = append(r.tests, by+" "+name)
		return web.ReceiverTest{Receiver: name, Delivered: true, Status: http.StatusAccepted, TookSeconds: 0.12}, nil
	case "chat":
		r.tests = append(r.tests, by+" "+name)
		return web.ReceiverTest{Receiver: name, Status: http.StatusUnauthorized, Detail: "401 Unauthorized", TookSeconds: 0.5}, nil
	}
	return web.ReceiverTest{}, web.ErrNoReceiver
}

// Hear implements web.Receivers.
func (r *Receivers) Hear(_ context.Context, name string, header http.Header, body []byte) (status int, answer []byte) {
	switch {
	case name != "chat":
		return http.StatusNotFound, nil
	case header.Get("Signature") != "right":
		return http.StatusUnauthorized, nil
	}
	return http.StatusOK, body
}
