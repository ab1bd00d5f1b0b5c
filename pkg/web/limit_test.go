package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const notes = "/api/v1/incidents/42/notes"

func TestACallerWhoWritesTooMuchWaits(t *testing.T) {
	g := newGuarded(t)
	alice, root := allCredentials[2], allCredentials[7]
	for i := range 50 {
		if answer := g.send(alice, "POST", notes, fmt.Sprintf(`{"text":"%d"}`, i)); answer.Code != 200 {
			t.Fatalf("write %d: %d %s", i, answer.Code, answer.Body)
		}
	}
	answer := g.send(alice, "POST", notes, `{"text":"one more"}`)
	if answer.Code != 429 || answer.Header().Get("Retry-After") != "1" || !strings.Contains(answer.Body.String(), `"allowed":["again in 1 s"]`) {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
	if answer := g.send(root, "POST", notes, `{"text":"from the same address"}`); answer.Code != 200 {
		t.Errorf("another person: %d", answer.Code)
	}
	if answer := g.send(alice, "GET", "/api/v1/incidents", ""); answer.Code != 200 {
		t.Errorf("a read: %d", answer.Code)
	}
	g.now = g.now.Add(time.Second)
	for i := range 11 {
		if answer := g.send(alice, "POST", notes, `{"text":"a second later"}`); (answer.Code == 200) != (i < 10) {
			t.Errorf("write %d a second later: %d", i, answer.Code)
		}
	}
}

func TestReadsAreGenerousNotEndless(t *testing.T) {
	g := newGuarded(t)
	for i := range 1001 {
		if answer := g.send(allCredentials[1], "GET", "/api/v1/signals", ""); (answer.Code == 200) != (i < 1000) {
			t.Fatalf("read %d: %d", i, answer.Code)
		}
	}
}

func TestAGuesserWaitsAndNobodyElse(t *testing.T) {
	g := newGuarded(t)
	root, guess := allCredentials[7], allCredentials[8]
	elsewhere := root
	elsewhere.from = "192.0.2.2:1234"
	read := func(c credentials, headers ...string) int {
		return g.send(c, "GET", "/api/v1/incidents", "", headers...).Code
	}
	for i := range 10 {
		if code := read(guess); code != 401 {
			t.Fatalf("guess %d: %d", i, code)
		}
	}
	answer := g.send(guess, "GET", "/api/v1/incidents", "")
	if answer.Code != 429 || answer.Header().Get("Retry-After") != "6" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
	if code := read(root); code != 429 {
		t.Errorf("the right password from there, never seen before: %d; it would tell a guesser that it is right", code)
	}
	if code := read(allCredentials[5]); code != 429 {
		t.Errorf("a wrong token from there: %d", code)
	}
	if code := read(allCredentials[1]); code != 200 {
		t.Errorf("a right token from there: %d", code)
	}
	if code := read(allCredentials[0]); code != 401 {
		t.Errorf("no credentials from there: %d", code)
	}
	if code := read(elsewhere); code != 200 {
		t.Errorf("the right password from elsewhere: %d", code)
	}
	if code := read(root); code != 200 {
		t.Errorf("the right password from there, seen before: %d", code)
	}
	g.now = g.now.Add(6 * time.Second)
	if code := read(guess); code != 401 {
		t.Errorf("a guess six seconds later: %d", code)
	}
}

func TestRightPasswordsAreNoGuesses(t *testing.T) {
	g := newGuarded(t)
	for i := range 15 {
		g.access = newGuarded(t).access // after a reload no password has been seen
		if answer := g.send(allCredentials[7], "GET", "/api/v1/incidents", ""); answer.Code != 200 {
			t.Fatalf("%d: %d", i, answer.Code)
		}
	}
}
